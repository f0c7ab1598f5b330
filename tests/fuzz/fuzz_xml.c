/*
 * Any bytes as UTF-16LE markup: what our scanner accepts, expat accepts, with the same
 * elements, attributes and text. And back: what expat accepts within our limits, we do.
 */
#include "filters/utf16.h"
#include "filters/xml_scan.h"

#include "proxy/base/strbuf.h"
#include "tests/fuzz/fuzz_filters.h"
#include "tests/fuzz/fuzz_tree.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MANY_ROOTS 4 /* beside enum fuzz_option */

#define DUMP_MAX (1u << 20)

/* What was read, as one text: (name|attribute=value|...)text(/name). */
struct dump {
	XML_Parser parser;
	struct strbuf out;
	unsigned depth;
	bool is_wrapped; /* in an element of ours: it and what stands between is not read */
	bool is_past_limits;
};

static void put(struct strbuf *out, struct slice text, bool has_reference)
{
	size_t n = 0;
	char *buf;

	if (!has_reference) {
		strbuf_put(out, text);
		return;
	}
	buf = malloc(text.n);
	CHECK(buf != NULL && scan_decode(text, buf, &n, text.n));
	strbuf_put(out, slice_make(buf, n));
	free(buf);
}

/* Where the value has white space, expat says a space: the same in the end, see below. */
static void dump_ours_start(const struct scan *s, struct strbuf *out)
{
	strbuf_put_str(out, "(");
	strbuf_put(out, s->name);
	for (unsigned i = 0; i < s->n_attrs; i++) {
		strbuf_put_str(out, "|");
		strbuf_put(out, s->attrs[i].name);
		strbuf_put_str(out, "=");
		put(out, s->attrs[i].value, s->attrs[i].has_reference);
	}
	strbuf_put_str(out, ")");
}

static bool dump_text(struct slice text, bool many_roots, struct strbuf *out, unsigned *n_roots)
{
	struct scan s;

	scan_init(&s, text, many_roots);
	for (;;) {
		enum scan_event event = scan_next(&s);

		CHECK(s.depth <= SCAN_DEPTH && s.n_attrs <= SCAN_ATTRS && s.p <= s.end);
		switch (event) {
		case SCAN_START:
			dump_ours_start(&s, out);
			break;
		case SCAN_TEXT:
			CHECK(s.depth > 0);
			put(out, s.text, s.has_reference);
			break;
		case SCAN_END:
			strbuf_put_str(out, "(/");
			strbuf_put(out, s.name);
			strbuf_put_str(out, ")");
			break;
		case SCAN_DONE:
			CHECK(s.depth == 0 && s.n_roots > 0);
			*n_roots = s.n_roots;
			return true;
		case SCAN_BAD:
		case SCAN_DOCTYPE:
			return false;
		}
	}
}

/* What comes out is in a block of exactly the room that it may need. */
static bool dump_ours(struct slice wide, bool many_roots, struct strbuf *out, unsigned *n_roots)
{
	struct arena scratch;
	struct slice text;
	bool is_good;
	int rc;

	if (wide.n % 2 != 0)
		return false;
	CHECK(arena_init(&scratch, UTF16_ROOM(wide.n)) == 0);
	rc = utf16_narrow(wide, &scratch, &text);
	CHECK(rc == 0 || rc == -EILSEQ);
	is_good = rc == 0 && dump_text(text, many_roots, out, n_roots);
	arena_fini(&scratch);
	return is_good;
}

static bool is_our_name(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			return false;
	return strlen(name) <= SCAN_NAME;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
	struct dump *d = arg;
	unsigned n = 0;

	if (++d->depth == 1 && d->is_wrapped)
		return;
	d->is_past_limits |= !is_our_name(name) || d->depth > SCAN_DEPTH;
	strbuf_printf(&d->out, "(%s", name);
	for (; attrs[0] != NULL; attrs += 2, n++) {
		d->is_past_limits |= !is_our_name(attrs[0]);
		strbuf_printf(&d->out, "|%s=", attrs[0]);
		strbuf_put_str(&d->out, attrs[1]);
	}
	d->is_past_limits |= n > SCAN_ATTRS;
	strbuf_put_str(&d->out, ")");
}

static void on_end(void *arg, const XML_Char *name)
{
	struct dump *d = arg;

	if (d->depth-- == 1 && d->is_wrapped)
		return;
	strbuf_printf(&d->out, "(/%s)", name);
}

static void on_text(void *arg, const XML_Char *p, int n)
{
	struct dump *d = arg;

	if (d->depth > 1 || !d->is_wrapped)
		strbuf_put(&d->out, slice_make(p, (size_t)n));
}

static void on_instruction(void *arg, const XML_Char *target, const XML_Char *text)
{
	struct dump *d = arg;

	(void)text;
	d->is_past_limits |= !is_our_name(target);
}

/* Declarations of other versions and encodings are refused by us: "1.0", "UTF-16". */
static void on_declaration(void *arg, const XML_Char *version, const XML_Char *encoding,
			   int standalone)
{
	struct dump *d = arg;

	(void)standalone;
	d->is_past_limits |= strcmp(version, "1.0") != 0;
	d->is_past_limits |= encoding != NULL && !slice_ieq(slice_str(encoding), SLICE("utf-16"));
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
		       const XML_Char *public, int has_subset)
{
	struct dump *d = arg;

	(void)name;
	(void)system;
	(void)public;
	(void)has_subset;
	XML_StopParser(d->parser, XML_FALSE);
}

static void dump_init(struct dump *d, bool is_wrapped)
{
	*d = (struct dump){.parser = XML_ParserCreate("UTF-16LE"), .is_wrapped = is_wrapped};
	CHECK(d->parser != NULL);
	strbuf_init(&d->out, DUMP_MAX);
	XML_SetUserData(d->parser, d);
	XML_SetElementHandler(d->parser, on_start, on_end);
	XML_SetCharacterDataHandler(d->parser, on_text);
	XML_SetProcessingInstructionHandler(d->parser, on_instruction);
	XML_SetXmlDeclHandler(d->parser, on_declaration);
	XML_SetStartDoctypeDeclHandler(d->parser, on_doctype);
}

static void dump_fini(struct dump *d)
{
	XML_ParserFree(d->parser);
	strbuf_fini(&d->out);
}

static bool feed(struct dump *d, struct slice wide, bool is_last)
{
	return XML_Parse(d->parser, wide.p, (int)wide.n, is_last) == XML_STATUS_OK;
}

/* The XML declaration at the beginning of what we have accepted; else nothing. */
static struct slice declaration_of(struct slice wide)
{
	static const char start[] = "<\0?\0x\0m\0l", stop[] = "?\0>";
	const char *at = wide.p;

	if (wide.n < 12 || memcmp(wide.p, start, sizeof(start)) != 0 ||
	    !(tree_is_space(wide.p[10]) && wide.p[11] == '\0'))
		return slice_make(wide.p, 0);
	while (memcmp(at, stop, sizeof(stop)) != 0)
		at += 2;
	return slice_make(wide.p, (size_t)(at + 4 - wide.p));
}

/* A sequence of elements is no document: expat reads it inside one of ours. */
static bool dump_wrapped(struct dump *d, struct slice wide)
{
	struct slice declaration = declaration_of(wide);

	return feed(d, declaration, false) && feed(d, slice_make("<\0w\0>", 6), false) &&
	       feed(d, slice_drop(wide, declaration.n), false) &&
	       feed(d, slice_make("<\0/\0w\0>", 8), true);
}

static void check_same(struct strbuf *ours, struct strbuf *theirs)
{
	CHECK(strbuf_ok(ours) && strbuf_ok(theirs));
	ours->n = tree_squeeze(ours->p, ours->n);
	theirs->n = tree_squeeze(theirs->p, theirs->n);
	CHECK(slice_eq(strbuf_slice(ours), strbuf_slice(theirs)));
}

/*
 * Is it known why we may refuse what expat accepts? A beginning from which expat guesses
 * another encoding; surrogates, of which expat doesn't look at the second; references
 * longer than eight digits.
 */
static bool is_known_refusal(struct slice wide)
{
	unsigned n_digits = 0;

	if (wide.n % 2 != 0 || (wide.n > 0 && (wide.p[0] == '\0' || wide.p[1] != '\0')))
		return true;
	for (size_t i = 0; i + 1 < wide.n; i += 2) {
		unsigned u = (unsigned char)wide.p[i] | (unsigned)(unsigned char)wide.p[i + 1] << 8;
		bool is_digit = u < 128 && strchr("0123456789abcdefABCDEF", (int)u) && u != 0;

		if (u >= 0xd800 && u < 0xe000)
			return true;
		n_digits = is_digit ? n_digits + 1 : 0;
		if (n_digits > 8)
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size), wide;
	unsigned options = fuzz_options(&in), n_roots = 0;
	struct strbuf ours;
	struct dump whole, wrapped;
	bool is_ours, is_theirs;

	wide = fuzz_wide(in, options & FUZZ_RAW);
	strbuf_init(&ours, DUMP_MAX);
	is_ours = dump_ours(wide, options & MANY_ROOTS, &ours, &n_roots);
	dump_init(&whole, false);
	is_theirs = feed(&whole, wide, true);
	if (is_ours && n_roots == 1) {
		CHECK(is_theirs);
		check_same(&ours, &whole.out);
	} else if (is_ours) {
		CHECK(options & MANY_ROOTS);
		dump_init(&wrapped, true);
		CHECK(dump_wrapped(&wrapped, wide));
		check_same(&ours, &wrapped.out);
		dump_fini(&wrapped);
	} else if (is_theirs) {
		CHECK(whole.is_past_limits || is_known_refusal(wide));
	}
	dump_fini(&whole);
	strbuf_fini(&ours);
	fuzz_free(wide);
	return 0;
}
