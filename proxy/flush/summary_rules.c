#include "proxy/flush/summary_rules.h"

#include "proxy/flush/summary_text.h"

#include <errno.h>
#include <stdlib.h>

/* A name may take this much of a string, so that a count always fits behind it. */
#define NAME_UNITS 200

/*
 * Rule IDs are numbered: "ABC00001..00500" says in one element what would fill three
 * messages. A name longer than this, or with more digits, is written out.
 */
#define RANGE_NAME   64
#define RANGE_DIGITS 18
#define RANGE_MIN    3 /* rules that a range replaces at least */

static bool has_rule(const struct claim *c, size_t r)
{
	return (unsigned char)c->bits.p[r / 8] >> (7 - r % 8) & 1;
}

uint64_t rules_count(const struct claim *c)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->bits.n; i++)
		n += (unsigned)__builtin_popcount((unsigned char)c->bits.p[i]);
	return n;
}

/* counts[r] = further messages of rule r, from "r+n,r+n". NULL: no memory. */
static uint64_t *read_extra(const struct claim *c)
{
	size_t n_rules = c->bits.n * 8;
	uint64_t *counts = calloc(n_rules + 1, sizeof(*counts));
	struct slice rest = c->extra, item;

	if (counts == NULL || c->extra.n == 0)
		return counts;
	while (slice_next_item(&rest, &item)) {
		const char *plus = item.n > 0 ? memchr(item.p, '+', item.n) : NULL;
		uint64_t r, n;

		if (plus == NULL ||
		    slice_to_u64(slice_make(item.p, (size_t)(plus - item.p)), &r) < 0 ||
		    slice_to_u64(slice_drop(item, (size_t)(plus - item.p) + 1), &n) < 0)
			continue;
		if (r < n_rules)
			counts[r] = n;
	}
	return counts;
}

/* "RULE" or "RULE*n". The units it takes are returned, its text put into out. */
static size_t put_element(struct strbuf *out, size_t r, struct slice name, uint64_t more)
{
	size_t units = 0, before;

	if (name.n > 0)
		units = text_put_clean(out, name, ",*#.", NAME_UNITS);
	before = out->n;
	/* A number where the name is not known, or behind a name that was cut. */
	if (name.n == 0 || units + 12 > NAME_UNITS)
		strbuf_printf(out, "#%zu", r);
	if (more > 0) {
		strbuf_put_str(out, "*");
		strbuf_put_u64(out, more + 1);
	}
	return units + (out->n - before);
}

struct packer {
	uint64_t strings; /* begun */
	size_t units;	  /* in the last one */
	uint64_t first;	  /* the first that is written */
	struct strbuf *out;
};

static void pack(struct packer *p, struct slice element, size_t units)
{
	bool opens = p->strings == 0 || p->units + 1 + units > SUMMARY_STRING_UNITS;
	uint64_t at;

	if (opens) {
		p->strings++;
		p->units = units;
	} else {
		p->units += 1 + units;
	}
	at = p->strings - 1;
	if (p->out == NULL || at < p->first || at >= p->first + SUMMARY_RULE_STRINGS)
		return;
	if (!opens)
		strbuf_put_str(&p->out[at - p->first], ",");
	strbuf_put(&p->out[at - p->first], element);
}

/* A rule of the claim: its number in the shard, its name, its further messages. */
struct rule {
	size_t r;
	struct slice name;
	uint64_t more;
};

/* By name, those without one last, by number: the same claim gives the same order. */
static int compare(const void *va, const void *vb)
{
	const struct rule *a = va, *b = vb;
	size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
	int d;

	if ((a->name.n == 0) != (b->name.n == 0))
		return a->name.n == 0 ? 1 : -1;
	d = n > 0 ? memcmp(a->name.p, b->name.p, n) : 0;
	if (d != 0)
		return d;
	if (a->name.n != b->name.n)
		return a->name.n < b->name.n ? -1 : 1;
	return a->r < b->r ? -1 : a->r > b->r;
}

/* The decimal number that a name ends with: its digits. */
static size_t tail_digits(struct slice name)
{
	size_t n = 0;

	while (n < name.n && n < RANGE_DIGITS && name.p[name.n - 1 - n] >= '0' &&
	       name.p[name.n - 1 - n] <= '9')
		n++;
	return n;
}

/* Is b the name that follows a, as ABC00013 follows ABC00012? Both occur once. */
static bool follows(const struct rule *a, const struct rule *b)
{
	size_t n = tail_digits(a->name), head = a->name.n - n;
	uint64_t va, vb;

	if (n == 0 || a->more > 0 || b->more > 0 || a->name.n != b->name.n ||
	    a->name.n > RANGE_NAME || tail_digits(b->name) != n ||
	    memcmp(a->name.p, b->name.p, head) != 0)
		return false;
	return slice_to_u64(slice_drop(a->name, head), &va) == 0 &&
	       slice_to_u64(slice_drop(b->name, head), &vb) == 0 && vb == va + 1;
}

/* One element for the rules from v[0] on: how many it covers. */
static size_t put_rules(struct strbuf *out, const struct rule *v, size_t n, size_t *units)
{
	size_t run = 1, before;
	struct slice last;

	while (run < n && follows(&v[run - 1], &v[run]))
		run++;
	strbuf_reset(out);
	*units = put_element(out, v[0].r, v[0].name, v[0].more);
	if (run < RANGE_MIN)
		return 1;
	last = v[run - 1].name;
	before = out->n;
	strbuf_put_str(out, "..");
	strbuf_put(out, slice_drop(last, last.n - tail_digits(last)));
	*units += out->n - before;
	return run;
}

/* The rules of a claim in their order. NULL: no memory. */
static struct rule *list_rules(const struct claim *c, const struct slice *names, unsigned n_names,
			       size_t *n)
{
	uint64_t *counts = read_extra(c);
	struct rule *v = calloc(rules_count(c) + 1, sizeof(*v));

	*n = 0;
	if (counts == NULL || v == NULL) {
		free(counts);
		free(v);
		return NULL;
	}
	for (size_t r = 0; r < c->bits.n * 8; r++)
		if (has_rule(c, r))
			v[(*n)++] = (struct rule){r, r < n_names ? names[r] : slice_make(NULL, 0),
						  counts[r]};
	free(counts);
	qsort(v, *n, sizeof(*v), compare);
	return v;
}

static int pack_all(struct packer *p, const struct claim *c, const struct slice *names,
		    unsigned n_names)
{
	size_t n, units, done = 0;
	struct rule *v = list_rules(c, names, n_names, &n);
	struct strbuf element;
	int rc = 0;

	if (v == NULL)
		return -ENOMEM;
	strbuf_init(&element, 4 * SUMMARY_STRING_UNITS);
	while (done < n && rc == 0) {
		done += put_rules(&element, v + done, n - done, &units);
		if (!strbuf_ok(&element))
			rc = -ENOMEM;
		else
			pack(p, strbuf_slice(&element), units);
	}
	strbuf_fini(&element);
	free(v);
	return rc;
}

int64_t rules_strings(const struct claim *c, const struct slice *names, unsigned n_names)
{
	struct packer p = {.out = NULL};
	int rc = pack_all(&p, c, names, n_names);

	return rc < 0 ? rc : (int64_t)p.strings;
}

int rules_write(const struct claim *c, const struct slice *names, unsigned n_names, uint64_t first,
		struct strbuf out[SUMMARY_RULE_STRINGS])
{
	struct packer p = {.first = first, .out = out};

	return pack_all(&p, c, names, n_names);
}
