#include "filters/xml_scan.h"

#include "filters/bytes16.h"

enum byte_class {
	B_NAME_START = 1, /* letters, _ and : */
	B_NAME = 2,	  /* and digits, - and . */
	B_SPACE = 4,
};

#define L (B_NAME_START | B_NAME)
#define D B_NAME
#define S B_SPACE
static const uint8_t classes[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, 0, 0, S, 0, 0, /* 00 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
	S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, D, D, 0, /* 20 */
	D, D, D, D, D, D, D, D, D, D, L, 0, 0, 0, 0, 0, /* 30 */
	0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* 40 */
	L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, L, /* 50 */
	0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* 60 */
	L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0, /* 70 */
};
#undef L
#undef D
#undef S

static inline bool is_a(char c, enum byte_class class)
{
	return classes[(unsigned char)c] & class;
}

static inline bool skip_byte(struct scan *s, char c)
{
	if (*s->p != c)
		return false;
	s->p++;
	return true;
}

/* Do the n bytes at p, none of them NUL, stand at s->p? The padding stops the comparison. */
static inline bool stands_here(const struct scan *s, const char *p, size_t n)
{
	return strncmp(s->p, p, n) == 0;
}

static bool skip_literal(struct scan *s, struct slice ascii)
{
	if (!stands_here(s, ascii.p, ascii.n))
		return false;
	s->p += ascii.n;
	return true;
}

static inline bool skip_space(struct scan *s)
{
	const char *from = s->p;

	while (is_a(*s->p, B_SPACE))
		s->p++;
	return s->p > from;
}

/* The next '<', '&', stop, or the end. */
static inline const char *skip_plain(const char *p, char stop)
{
	for (;; p += 16) {
		bytes16 v = bytes16_load(p);
		bytes16 markup =
			bytes16_or(bytes16_eq(v, bytes16_of('<')), bytes16_eq(v, bytes16_of('&')));
		bytes16 ends = bytes16_or(bytes16_eq(v, bytes16_of(stop)),
					  bytes16_eq(v, bytes16_of('\0')));
		unsigned mask = bytes16_mask(bytes16_or(markup, ends));

		if (mask != 0)
			return p + bytes16_first(mask);
	}
}

/* Past bytes that may stand in a name, but for ':'. */
static inline const char *skip_name(const char *p)
{
	for (;; p += 16) {
		bytes16 v = bytes16_load(p);
		bytes16 letters = bytes16_within(bytes16_or(v, bytes16_of(0x20)), 'a', 25);
		bytes16 others = bytes16_or(bytes16_within(v, '0', 9), bytes16_within(v, '-', 1));
		bytes16 is_name =
			bytes16_or(bytes16_or(letters, others), bytes16_eq(v, bytes16_of('_')));
		unsigned mask = bytes16_mask(is_name) ^ 0xffffu;

		if (mask != 0)
			return p + bytes16_first(mask);
	}
}

/* local: what is behind the first colon, the whole name if there is none. */
static inline bool read_name(struct scan *s, struct slice *name, struct slice *local)
{
	const char *from = s->p, *behind = s->p;

	if (!is_a(*from, B_NAME_START))
		return false;
	s->p = skip_name(s->p);
	if (*s->p == ':') {
		behind = s->p + 1;
		while (skip_byte(s, ':'))
			s->p = skip_name(s->p);
	}
	*name = slice_make(from, (size_t)(s->p - from));
	*local = slice_make(behind, (size_t)(s->p - behind));
	return name->n <= SCAN_NAME;
}

/* Text up to the next '<' (or the end). */
static enum scan_event read_text(struct scan *s)
{
	const char *p = s->p;
	size_t used;
	uint32_t c;

	s->has_reference = false;
	for (;; p += used) {
		p = skip_plain(p, ']');
		used = 1;
		if (*p == '&') {
			used = scan_reference(p, &c);
			if (used == 0)
				return SCAN_DOCTYPE;
			s->has_reference = true;
		} else if (*p != ']') {
			break;
		} else if (p[1] == ']' && p[2] == '>') {
			return SCAN_BAD;
		}
	}
	s->text = slice_make(s->p, (size_t)(p - s->p));
	s->p = p;
	return SCAN_TEXT;
}

/* Up to the text stop, which is skipped; *out is what stood before it. */
static bool read_until(struct scan *s, struct slice stop, struct slice *out)
{
	const char *at = strstr(s->p, stop.p);

	if (at == NULL)
		return false;
	*out = slice_make(s->p, (size_t)(at - s->p));
	s->p = at + stop.n;
	return true;
}

static inline enum scan_event read_value(struct scan *s, struct scan_attr *a)
{
	char quote = *s->p;
	const char *p;
	size_t used;
	uint32_t c;

	if (quote != '"' && quote != '\'')
		return SCAN_BAD;
	p = ++s->p;
	a->has_reference = false;
	for (;; p += used) {
		p = skip_plain(p, quote);
		if (*p != '&')
			break;
		used = scan_reference(p, &c);
		if (used == 0)
			return SCAN_DOCTYPE;
		a->has_reference = true;
	}
	if (*p != quote)
		return SCAN_BAD;
	a->value = slice_make(s->p, (size_t)(p - s->p));
	s->p = p + 1;
	return SCAN_START;
}

static inline enum scan_event read_attr(struct scan *s)
{
	struct scan_attr *a = &s->attrs[s->n_attrs];
	struct slice local;

	if (s->n_attrs == SCAN_ATTRS || !read_name(s, &a->name, &local))
		return SCAN_BAD;
	for (unsigned i = 0; i < s->n_attrs; i++)
		if (slice_eq(s->attrs[i].name, a->name))
			return SCAN_BAD;
	skip_space(s);
	if (!skip_byte(s, '='))
		return SCAN_BAD;
	skip_space(s);
	s->n_attrs++;
	return read_value(s, a);
}

/* Behind '<', at the name. */
static enum scan_event read_start(struct scan *s)
{
	enum scan_event rc;

	if (s->depth == SCAN_DEPTH || !read_name(s, &s->name, &s->local))
		return SCAN_BAD;
	if (s->depth == 0 && s->n_roots++ > 0 && !s->may_have_roots)
		return SCAN_BAD;
	s->n_attrs = 0;
	for (;;) {
		bool has_space = skip_space(s);

		if (skip_byte(s, '>'))
			break;
		if (skip_byte(s, '/')) {
			if (!skip_byte(s, '>'))
				return SCAN_BAD;
			s->is_empty_element = true;
			break;
		}
		if (!has_space)
			return SCAN_BAD;
		rc = read_attr(s);
		if (rc != SCAN_START)
			return rc;
	}
	s->open[s->depth++] = s->name;
	return SCAN_START;
}

/* Do both texts, which have padding behind, begin with the same n bytes? */
static inline bool begin_same(const char *a, const char *b, size_t n)
{
	unsigned want = n < 16 ? (1u << n) - 1 : 0xffff;

	if ((bytes16_mask(bytes16_eq(bytes16_load(a), bytes16_load(b))) & want) != want)
		return false;
	return n <= 16 || strncmp(a, b, n) == 0;
}

/* Behind '</'. */
static enum scan_event read_end(struct scan *s)
{
	if (s->depth == 0)
		return SCAN_BAD;
	/* It can only be the name of the open element: compare, then see that it ends there. */
	s->name = s->open[s->depth - 1];
	if (!begin_same(s->p, s->name.p, s->name.n))
		return SCAN_BAD;
	s->p += s->name.n;
	skip_space(s);
	if (!skip_byte(s, '>'))
		return SCAN_BAD;
	s->depth--;
	return SCAN_END;
}

/* One pseudo-attribute of the XML declaration; value is checked by the caller. */
static bool read_pseudo(struct scan *s, struct slice name, struct slice *value)
{
	struct scan_attr a;

	if (!skip_literal(s, name))
		return false;
	skip_space(s);
	if (!skip_byte(s, '='))
		return false;
	skip_space(s);
	if (read_value(s, &a) != SCAN_START)
		return false;
	*value = a.value;
	return true;
}

/* Behind '<?xml' and a space: version, perhaps encoding (UTF-16), perhaps standalone. */
static bool read_declaration(struct scan *s)
{
	struct slice v;

	skip_space(s);
	if (!read_pseudo(s, SLICE("version"), &v) || !slice_eq(v, SLICE("1.0")))
		return false;
	if (skip_space(s) && stands_here(s, "encoding", 8)) {
		if (!read_pseudo(s, SLICE("encoding"), &v) || !slice_ieq(v, SLICE("utf-16")))
			return false;
		skip_space(s);
	}
	if (stands_here(s, "standalone", 10)) {
		/* A space must have come before: the last thing read was a quote, or a space. */
		if (!is_a(s->p[-1], B_SPACE) || !read_pseudo(s, SLICE("standalone"), &v) ||
		    !(slice_eq(v, SLICE("yes")) || slice_eq(v, SLICE("no"))))
			return false;
		skip_space(s);
	}
	return skip_literal(s, SLICE("?>"));
}

/* Behind '<?'. */
static bool read_instruction(struct scan *s, bool is_first)
{
	struct slice target, local, rest;

	if (!read_name(s, &target, &local))
		return false;
	if (slice_ieq(target, SLICE("xml")))
		return is_first && slice_eq(target, SLICE("xml")) && is_a(*s->p, B_SPACE) &&
		       read_declaration(s);
	if (skip_literal(s, SLICE("?>")))
		return true;
	return skip_space(s) && read_until(s, SLICE("?>"), &rest);
}

/* Behind '<!'. SCAN_START: a comment was skipped, go on. */
static enum scan_event read_bang(struct scan *s)
{
	struct slice rest;

	if (skip_literal(s, SLICE("--")))
		return read_until(s, SLICE("--"), &rest) && skip_byte(s, '>') ? SCAN_START
									      : SCAN_BAD;
	if (skip_literal(s, SLICE("[CDATA["))) {
		if (s->depth == 0 || !read_until(s, SLICE("]]>"), &s->text))
			return SCAN_BAD;
		s->has_reference = false;
		return SCAN_TEXT;
	}
	return SCAN_DOCTYPE;
}

void scan_init(struct scan *s, struct slice text, bool many_roots)
{
	/* The arrays are filled before they are read: clearing them would cost more than the scan.
	 */
	s->p = text.p;
	s->end = s->p + text.n;
	CHECK(*s->end == '\0');
	s->depth = s->n_roots = s->n_attrs = 0;
	s->is_empty_element = s->has_begun = s->has_reference = false;
	s->may_have_roots = many_roots;
	s->name = s->local = s->text = slice_make(s->p, 0);
}

/* Between the roots only white space may stand. */
static bool is_blank(struct slice t)
{
	for (size_t i = 0; i < t.n; i++)
		if (!is_a(t.p[i], B_SPACE))
			return false;
	return true;
}

enum scan_event scan_next(struct scan *s)
{
	enum scan_event rc;
	bool is_first;

	if (s->is_empty_element) {
		s->is_empty_element = false;
		s->name = s->open[--s->depth];
		return SCAN_END;
	}
	for (;;) {
		is_first = !s->has_begun;
		s->has_begun = true;
		if (s->p == s->end)
			return s->depth == 0 && s->n_roots > 0 ? SCAN_DONE : SCAN_BAD;
		if (*s->p != '<') {
			rc = read_text(s);
			if (rc != SCAN_TEXT || s->depth > 0)
				return rc;
			if (!is_blank(s->text))
				return SCAN_BAD;
			continue;
		}
		s->p++;
		switch (*s->p) {
		case '/':
			s->p++;
			return read_end(s);
		case '?':
			s->p++;
			if (!read_instruction(s, is_first))
				return SCAN_BAD;
			continue;
		case '!':
			s->p++;
			rc = read_bang(s);
			if (rc != SCAN_START)
				return rc;
			continue;
		default:
			return read_start(s);
		}
	}
}
