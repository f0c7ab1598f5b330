#include "proxy/flush/summary_rules.h"

#include "proxy/flush/summary_text.h"

#include <errno.h>
#include <stdlib.h>

/* A name may take this much of a string, so that a count always fits behind it. */
#define NAME_UNITS 200

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
		units = text_put_clean(out, name, ",*#", NAME_UNITS);
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

static int pack_all(struct packer *p, const struct claim *c, const struct slice *names,
		    unsigned n_names)
{
	uint64_t *counts = read_extra(c);
	struct strbuf element;
	int rc = 0;

	if (counts == NULL)
		return -ENOMEM;
	strbuf_init(&element, 4 * SUMMARY_STRING_UNITS);
	for (size_t r = 0; r < c->bits.n * 8 && rc == 0; r++) {
		struct slice name = r < n_names ? names[r] : slice_make(NULL, 0);
		size_t units;

		if (!has_rule(c, r))
			continue;
		strbuf_reset(&element);
		units = put_element(&element, r, name, counts[r]);
		if (!strbuf_ok(&element))
			rc = -ENOMEM;
		else
			pack(p, strbuf_slice(&element), units);
	}
	strbuf_fini(&element);
	free(counts);
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
