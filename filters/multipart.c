#include "filters/multipart.h"

enum {
	C_TOKEN = 1,
	C_BOUNDARY = 2
};
#define T C_TOKEN
#define B C_BOUNDARY
#define X (C_TOKEN | C_BOUNDARY)
/* tokens of RFC 2045, bchars of RFC 2046 */
static const uint8_t classes[128] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 00 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
	B, T, 0, T, T, T, T, X, B, B, T, X, B, X, X, B, /* 20: " */
	X, X, X, X, X, X, X, X, X, X, B, 0, 0, B, 0, B, /* 30: ; < > */
	0, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, /* 40: @ */
	X, X, X, X, X, X, X, X, X, X, X, 0, 0, 0, T, X, /* 50: [ \ ] */
	T, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, /* 60 */
	X, X, X, X, X, X, X, X, X, X, X, T, T, T, T, 0, /* 70 */
};
#undef T
#undef B
#undef X

static inline bool is_of(unsigned class, char c)
{
	return (unsigned char)c < 128 && (classes[(unsigned char)c] & class);
}

/* A space may stand inside a quoted boundary, but not at its end. */
static bool is_boundary(struct slice b)
{
	if (b.n == 0 || b.n > MULTIPART_BOUNDARY || b.p[b.n - 1] == ' ')
		return false;
	for (size_t i = 0; i < b.n; i++)
		if (!is_of(C_BOUNDARY, b.p[i]))
			return false;
	return true;
}

/* One value behind '=': quoted without escapes, or a token. False when it is neither. */
static bool read_value(struct slice *rest, struct slice *value)
{
	size_t n = 0;

	if (rest->n > 0 && rest->p[0] == '"') {
		const char *close = memchr(rest->p + 1, '"', rest->n - 1);

		if (close == NULL)
			return false;
		*value = slice_make(rest->p + 1, (size_t)(close - rest->p) - 1);
		*rest = slice_drop(*rest, value->n + 2);
		return memchr(value->p, '\\', value->n) == NULL;
	}
	while (n < rest->n && is_of(C_TOKEN, rest->p[n]))
		n++;
	*value = slice_make(rest->p, n);
	*rest = slice_drop(*rest, n);
	return n > 0;
}

bool multipart_boundary(struct slice content_type, struct slice *boundary)
{
	struct slice type = SLICE("multipart/mixed"), rest = slice_trim(content_type);
	bool has_boundary = false;

	if (!slice_istarts(rest, type))
		return false;
	rest = slice_trim(slice_drop(rest, type.n));
	while (rest.n > 0) {
		struct slice name, value;
		size_t n = 0;

		if (rest.p[0] != ';')
			return false;
		rest = slice_trim(slice_drop(rest, 1));
		while (n < rest.n && is_of(C_TOKEN, rest.p[n]))
			n++;
		name = slice_make(rest.p, n);
		rest = slice_drop(rest, n);
		if (n == 0 || rest.n == 0 || rest.p[0] != '=')
			return false;
		rest = slice_drop(rest, 1);
		if (!read_value(&rest, &value))
			return false;
		rest = slice_trim(rest);
		if (!slice_ieq(name, SLICE("boundary")))
			continue;
		if (has_boundary || !is_boundary(value))
			return false;
		has_boundary = true;
		*boundary = value;
	}
	return has_boundary;
}

/* "--boundary" at the start of s? */
static bool is_delimiter(struct slice s, struct slice boundary)
{
	return s.n >= boundary.n + 2 && s.p[0] == '-' && s.p[1] == '-' &&
	       memcmp(s.p + 2, boundary.p, boundary.n) == 0;
}

/* Where CRLF--boundary begins in s, or NULL. */
static const char *find_delimiter(struct slice s, struct slice boundary)
{
	const char *from = s.p, *end = s.p + s.n;

	while (end - from >= 2) {
		const char *cr = memchr(from, '\r', (size_t)(end - from) - 1);

		if (cr == NULL)
			return NULL;
		if (cr[1] == '\n' &&
		    is_delimiter(slice_make(cr + 2, (size_t)(end - cr) - 2), boundary))
			return cr;
		from = cr + 1;
	}
	return NULL;
}

/* A part's header section: field lines, then an empty one. *part loses it. */
static enum doubt skip_head(struct slice *part)
{
	size_t total = 0;

	for (;;) {
		const char *lf = part->n == 0 ? NULL : memchr(part->p, '\n', part->n);
		size_t n;

		if (lf == NULL || lf == part->p || lf[-1] != '\r')
			return DOUBT_PART_HEAD;
		n = (size_t)(lf - part->p) - 1;
		total += n + 2;
		if (total > MULTIPART_HEAD)
			return DOUBT_PART_HEAD;
		if (n == 0) {
			*part = slice_drop(*part, 2);
			return DOUBT_NONE;
		}
		/* A name, a colon; folding is as unwelcome here as in HTTP. */
		if (!is_of(C_TOKEN, part->p[0]) || memchr(part->p, ':', n) == NULL ||
		    memchr(part->p, '\0', n) != NULL || memchr(part->p, '\r', n) != NULL)
			return DOUBT_PART_HEAD;
		*part = slice_drop(*part, n + 2);
	}
}

enum doubt multipart_split(struct slice body, struct slice boundary, struct slice parts[2])
{
	struct slice rest = body;
	enum doubt doubt;

	if (!is_delimiter(rest, boundary))
		return DOUBT_PARTS;
	rest = slice_drop(rest, boundary.n + 2);
	for (unsigned i = 0; i < 2; i++) {
		const char *at;

		if (rest.n < 2 || rest.p[0] != '\r' || rest.p[1] != '\n')
			return DOUBT_PARTS;
		rest = slice_drop(rest, 2);
		/* The header section first: what follows may hold any bytes. */
		doubt = skip_head(&rest);
		if (doubt != DOUBT_NONE)
			return doubt;
		at = find_delimiter(rest, boundary);
		if (at == NULL)
			return DOUBT_PARTS;
		parts[i] = slice_make(rest.p, (size_t)(at - rest.p));
		rest = slice_drop(rest, parts[i].n + 2 + boundary.n + 2);
	}
	if (rest.n < 2 || rest.p[0] != '-' || rest.p[1] != '-')
		return DOUBT_PARTS;
	rest = slice_drop(rest, 2);
	if (rest.n != 0 && !slice_eq(rest, SLICE("\r\n")))
		return DOUBT_PARTS;
	return DOUBT_NONE;
}
