/*
 * A strict pull scanner of XML in UTF-16LE: one pass over the bytes as they are, no
 * conversion, no allocation. It knows what messages of this protocol need and refuses
 * the rest: whatever it accepts is well-formed XML 1.0 (expat agrees, see
 * tests/fuzz/fuzz_xml.c), but names are ASCII, and there is no DOCTYPE.
 */
#ifndef STATWEIR_FILTERS_UTF16_SCAN_H
#define STATWEIR_FILTERS_UTF16_SCAN_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#define SCAN_DEPTH 16
#define SCAN_ATTRS 32
#define SCAN_NAME  64 /* units of a name */

/* A piece of UTF-16LE text: n units of two bytes at p (not aligned). */
struct text16 {
	const unsigned char *p;
	size_t n;
};

struct scan_attr {
	struct text16 name, value; /* value with its references still in it */
};

enum scan_event {
	SCAN_START,   /* name, attrs; an empty element is followed by its SCAN_END */
	SCAN_TEXT,    /* text, is_raw: a CDATA section; pieces may follow each other */
	SCAN_END,     /* name */
	SCAN_DONE,    /* the end of the input, at depth 0 */
	SCAN_BAD,     /* not well-formed, or past a limit */
	SCAN_DOCTYPE, /* a DOCTYPE or an entity that is not built in: never read on */
};

struct scan {
	const unsigned char *p, *end;
	unsigned depth;
	unsigned n_roots;
	bool is_empty_element; /* its SCAN_END is still owed */
	bool has_begun;	       /* an XML declaration may not follow any more */
	bool may_have_roots;   /* more than one root is allowed */
	struct text16 open[SCAN_DEPTH];
	/* of the last event */
	struct text16 name, text;
	struct text16 local; /* of a SCAN_START: the name behind its colon, if there is one */
	bool is_raw;
	unsigned n_attrs;
	struct scan_attr attrs[SCAN_ATTRS];
};

/* bytes without a byte order mark, of even length; many_roots: a sequence of elements. */
void scan_init(struct scan *s, struct slice bytes, bool many_roots);
enum scan_event scan_next(struct scan *s);

/* Do the t.n units equal the first t.n of ascii? */
bool text16_same(struct text16 t, const char *ascii);

/* Equal to ASCII letters; the i form ignores their case. */
static inline bool text16_eq(struct text16 t, const char *ascii)
{
	return t.n == strlen(ascii) && text16_same(t, ascii);
}
bool text16_ieq(struct text16 t, struct slice ascii);
/*
 * A reference at p (which is '&'): its character, and the units that it takes, or 0 for one
 * that is malformed or not built in.
 */
size_t text16_reference(const unsigned char *p, const unsigned char *end, uint32_t *out);

/*
 * Append t as UTF-8 to out[*n, room), with references resolved unless is_raw. t must
 * have passed the scanner. False when there is no room.
 */
bool text16_decode(struct text16 t, bool is_raw, char *out, size_t *n, size_t room);

/* The attribute of that name, or NULL. */
static inline const struct scan_attr *scan_attr(const struct scan *s, const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < s->n_attrs; i++)
		if (s->attrs[i].name.n == n && text16_same(s->attrs[i].name, name))
			return &s->attrs[i];
	return NULL;
}

#endif
