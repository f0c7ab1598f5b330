#include "filters/utf16_scan.h"

#include "filters/utf16_units.h"

enum unit_class {
	U_NAME_START = 1, /* letters, _ and : */
	U_NAME = 2,	  /* and digits, - and . */
	U_SPACE = 4,
	U_PLAIN = 8, /* nothing to look at in text: not < & ] and no control character */
};

#define L (U_NAME_START | U_NAME | U_PLAIN)
#define D (U_NAME | U_PLAIN)
#define S (U_SPACE | U_PLAIN)
#define P U_PLAIN
static const uint8_t classes[128] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, 0, 0, S, 0, 0, /* 00 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
	S, P, P, P, P, P, 0, P, P, P, P, P, P, D, D, P, /* 20: & */
	D, D, D, D, D, D, D, D, D, D, L, P, 0, P, P, P, /* 30: < */
	P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* 40 */
	L, L, L, L, L, L, L, L, L, L, L, P, P, 0, P, L, /* 50: ] */
	P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* 60 */
	L, L, L, L, L, L, L, L, L, L, L, P, P, P, P, P, /* 70 */
};
#undef L
#undef D
#undef S
#undef P

static inline unsigned class_of(unsigned u)
{
	return u < 128 ? classes[u] : 0;
}

static inline size_t left(const struct scan *s)
{
	return (size_t)(s->end - s->p) / 2;
}

static inline unsigned peek(const struct scan *s)
{
	return s->p < s->end ? unit(s->p) : 0; /* NUL is no XML character: never wanted */
}

/* Units of one character that is no plain ASCII: 1 or 2, 0 when it may not stand in XML. */
static unsigned char_units(const unsigned char *p, const unsigned char *end)
{
	unsigned u = unit(p);

	if (u < 128)
		return u >= 0x20 || u == '\t' || u == '\n' || u == '\r' ? 1 : 0;
	if (u < 0xd800 || (u >= 0xe000 && u < 0xfffe))
		return 1;
	if (u >= 0xdc00 || end - p < 4)
		return 0;
	u = unit(p + 2);
	return u >= 0xdc00 && u < 0xe000 ? 2 : 0;
}

static bool starts_with(const struct scan *s, const char *ascii)
{
	size_t n = strlen(ascii);

	if (left(s) < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (unit(s->p + 2 * i) != (unsigned char)ascii[i])
			return false;
	return true;
}

static bool skip_literal(struct scan *s, const char *ascii)
{
	if (!starts_with(s, ascii))
		return false;
	s->p += 2 * strlen(ascii);
	return true;
}

static inline bool skip_unit(struct scan *s, unsigned u)
{
	if (peek(s) != u)
		return false;
	s->p += 2;
	return true;
}

/* Past units that are ASCII, no control character, and none of '<', '&' and stop. */
static inline const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end,
					      unsigned stop)
{
	while (end - p >= 16) {
		units8 v = load8(p);
		unsigned n = first_of((units8)((v - 0x20 > 0x5f) | (v == '<') | (v == '&') |
					       (v == (uint16_t)stop)));

		p += (size_t)2 * n;
		if (n < 8)
			break;
	}
	return p;
}

/* Past units that may stand in a name, but for ':'. */
static inline const unsigned char *skip_name(const unsigned char *p, const unsigned char *end)
{
	while (end - p >= 16) {
		units8 v = load8(p);
		units8 is_name = (units8)(((v | 0x20) - 'a' < 26) | (v - '0' < 10) | (v == '_') |
					  (v == '-') | (v == '.'));
		unsigned n = first_of(~is_name);

		p += (size_t)2 * n;
		if (n < 8)
			return p;
	}
	while (p < end && (class_of(unit(p)) & U_NAME) && unit(p) != ':')
		p += 2;
	return p;
}

static inline bool skip_space(struct scan *s)
{
	const unsigned char *from = s->p;

	while (s->p < s->end && (class_of(unit(s->p)) & U_SPACE))
		s->p += 2;
	return s->p > from;
}

/* local: what is behind the first colon, the whole name if there is none. */
static bool read_name(struct scan *s, struct text16 *name, struct text16 *local)
{
	const unsigned char *from = s->p, *behind = s->p;

	if (s->p >= s->end || !(class_of(unit(s->p)) & U_NAME_START))
		return false;
	s->p = skip_name(s->p, s->end);
	if (peek(s) == ':') {
		behind = s->p + 2;
		while (skip_unit(s, ':'))
			s->p = skip_name(s->p, s->end);
	}
	*name = (struct text16){from, (size_t)(s->p - from) / 2};
	*local = (struct text16){behind, (size_t)(s->p - behind) / 2};
	return name->n <= SCAN_NAME;
}

/* Text up to the next '<' (or the end); false when something in it may not stand there. */
static enum scan_event read_text(struct scan *s)
{
	const unsigned char *p = s->p;

	while ((p = skip_plain(p, s->end, ']')) < s->end) {
		unsigned u = unit(p), n;
		uint32_t c;

		if (class_of(u) & U_PLAIN) {
			p += 2;
			continue;
		}
		if (u == '<')
			break;
		if (u == '&') {
			size_t units = text16_reference(p, s->end, &c);

			if (units == 0)
				return SCAN_DOCTYPE;
			p += 2 * units;
			continue;
		}
		if (u == ']' && s->end - p >= 6 && unit(p + 2) == ']' && unit(p + 4) == '>')
			return SCAN_BAD;
		n = char_units(p, s->end);
		if (n == 0)
			return SCAN_BAD;
		p += 2 * n;
	}
	s->text = (struct text16){s->p, (size_t)(p - s->p) / 2};
	s->is_raw = false;
	s->p = p;
	return SCAN_TEXT;
}

/* Characters up to the ASCII text stop, which is skipped; *out is what stood before it. */
static bool read_until(struct scan *s, const char *stop, struct text16 *out)
{
	const unsigned char *from = s->p;

	while (s->p < s->end) {
		unsigned n;

		if (unit(s->p) == (unsigned char)stop[0] && starts_with(s, stop)) {
			*out = (struct text16){from, (size_t)(s->p - from) / 2};
			s->p += 2 * strlen(stop);
			return true;
		}
		n = char_units(s->p, s->end);
		if (n == 0)
			return false;
		s->p += 2 * n;
	}
	return false;
}

static enum scan_event read_value(struct scan *s, struct text16 *value)
{
	unsigned quote = peek(s);
	const unsigned char *p;

	if (quote != '"' && quote != '\'')
		return SCAN_BAD;
	s->p += 2;
	for (p = s->p; (p = skip_plain(p, s->end, quote)) < s->end;) {
		unsigned u = unit(p), n;
		uint32_t c;

		if (u == quote) {
			*value = (struct text16){s->p, (size_t)(p - s->p) / 2};
			s->p = p + 2;
			return SCAN_START;
		}
		if (u == '<')
			return SCAN_BAD;
		if (u == '&') {
			size_t units = text16_reference(p, s->end, &c);

			if (units == 0)
				return SCAN_DOCTYPE;
			p += 2 * units;
			continue;
		}
		n = char_units(p, s->end);
		if (n == 0)
			return SCAN_BAD;
		p += 2 * n;
	}
	return SCAN_BAD;
}

static bool same_text(struct text16 a, struct text16 b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n * 2) == 0;
}

static enum scan_event read_attr(struct scan *s)
{
	struct scan_attr *a = &s->attrs[s->n_attrs];
	struct text16 local;

	if (s->n_attrs == SCAN_ATTRS || !read_name(s, &a->name, &local))
		return SCAN_BAD;
	for (unsigned i = 0; i < s->n_attrs; i++)
		if (same_text(s->attrs[i].name, a->name))
			return SCAN_BAD;
	skip_space(s);
	if (!skip_unit(s, '='))
		return SCAN_BAD;
	skip_space(s);
	s->n_attrs++;
	return read_value(s, &a->value);
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

		if (skip_unit(s, '>'))
			break;
		if (skip_unit(s, '/')) {
			if (!skip_unit(s, '>'))
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

/* Behind '</'. */
static enum scan_event read_end(struct scan *s)
{
	size_t bytes;

	if (s->depth == 0)
		return SCAN_BAD;
	/* It can only be the name of the open element: compare, then see that it ends there. */
	s->name = s->open[s->depth - 1];
	bytes = s->name.n * 2;
	if ((size_t)(s->end - s->p) < bytes || memcmp(s->p, s->name.p, bytes) != 0)
		return SCAN_BAD;
	s->p += bytes;
	skip_space(s);
	if (!skip_unit(s, '>'))
		return SCAN_BAD;
	s->depth--;
	return SCAN_END;
}

/* One pseudo-attribute of the XML declaration; value is checked by the caller. */
static bool read_pseudo(struct scan *s, const char *name, struct text16 *value)
{
	if (!skip_literal(s, name))
		return false;
	skip_space(s);
	if (!skip_unit(s, '='))
		return false;
	skip_space(s);
	return read_value(s, value) == SCAN_START;
}

/* Behind '<?xml' and a space: version, perhaps encoding (UTF-16), perhaps standalone. */
static bool read_declaration(struct scan *s)
{
	struct text16 v;

	skip_space(s);
	if (!read_pseudo(s, "version", &v) || !text16_eq(v, "1.0"))
		return false;
	if (skip_space(s) && starts_with(s, "encoding")) {
		if (!read_pseudo(s, "encoding", &v) || !text16_ieq(v, SLICE("utf-16")))
			return false;
		skip_space(s);
	}
	if (starts_with(s, "standalone")) {
		/* A space must have come before: the last thing read was a quote, or a space. */
		if (!(class_of(unit(s->p - 2)) & U_SPACE) || !read_pseudo(s, "standalone", &v) ||
		    !(text16_eq(v, "yes") || text16_eq(v, "no")))
			return false;
		skip_space(s);
	}
	return skip_literal(s, "?>");
}

/* Behind '<?'. */
static bool read_instruction(struct scan *s, bool is_first)
{
	struct text16 target, local, rest;

	if (!read_name(s, &target, &local))
		return false;
	if (text16_ieq(target, SLICE("xml")))
		return is_first && text16_eq(target, "xml") && (class_of(peek(s)) & U_SPACE) &&
		       read_declaration(s);
	if (skip_literal(s, "?>"))
		return true;
	return skip_space(s) && read_until(s, "?>", &rest);
}

/* Behind '<!'. SCAN_START: a comment was skipped, go on. */
static enum scan_event read_bang(struct scan *s)
{
	struct text16 rest;

	if (skip_literal(s, "--"))
		return read_until(s, "--", &rest) && skip_unit(s, '>') ? SCAN_START : SCAN_BAD;
	if (skip_literal(s, "[CDATA[")) {
		if (s->depth == 0 || !read_until(s, "]]>", &s->text))
			return SCAN_BAD;
		s->is_raw = true;
		return SCAN_TEXT;
	}
	return SCAN_DOCTYPE;
}

void scan_init(struct scan *s, struct slice bytes, bool many_roots)
{
	/* The arrays are filled before they are read: clearing them would cost more than the scan.
	 */
	s->p = (const unsigned char *)bytes.p;
	s->end = s->p + (bytes.n & ~(size_t)1);
	s->depth = s->n_roots = s->n_attrs = 0;
	s->is_empty_element = s->has_begun = s->is_raw = false;
	s->may_have_roots = many_roots;
	s->name = s->local = s->text = (struct text16){s->p, 0};
}

/* Between the roots only white space may stand. */
static bool is_blank(struct text16 t)
{
	for (size_t i = 0; i < t.n; i++)
		if (!(class_of(unit(t.p + 2 * i)) & U_SPACE))
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
		if (s->p >= s->end)
			return s->depth == 0 && s->n_roots > 0 ? SCAN_DONE : SCAN_BAD;
		if (unit(s->p) != '<') {
			rc = read_text(s);
			if (rc != SCAN_TEXT || s->depth > 0)
				return rc;
			if (!is_blank(s->text))
				return SCAN_BAD;
			continue;
		}
		s->p += 2;
		switch (peek(s)) {
		case '/':
			s->p += 2;
			return read_end(s);
		case '?':
			s->p += 2;
			if (!read_instruction(s, is_first))
				return SCAN_BAD;
			continue;
		case '!':
			s->p += 2;
			rc = read_bang(s);
			if (rc != SCAN_START)
				return rc;
			continue;
		default:
			return read_start(s);
		}
	}
}
