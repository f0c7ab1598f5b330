/*
 * A strict pull scanner of XML in UTF-8, made of a narrowed text (filters/utf16.h): one pass,
 * nothing copied, nothing allocated. It knows what messages of this protocol need and refuses
 * the rest: whatever it accepts is well-formed XML 1.0 (expat agrees, see
 * tests/fuzz/fuzz_xml.c), but names are ASCII, and there is no DOCTYPE.
 */
#ifndef STATWEIR_FILTERS_XML_SCAN_H
#define STATWEIR_FILTERS_XML_SCAN_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#define SCAN_DEPTH 16
#define SCAN_ATTRS 32
#define SCAN_NAME  64 /* bytes of a name */

struct scan_attr {
	struct slice name, value; /* value with its references still in it */
	bool has_reference;
};

enum scan_event {
	SCAN_START,   /* name, attrs; an empty element is followed by its SCAN_END */
	SCAN_TEXT,    /* text, has_reference; pieces may follow each other */
	SCAN_END,     /* name */
	SCAN_DONE,    /* the end of the input, at depth 0 */
	SCAN_BAD,     /* not well-formed, or past a limit */
	SCAN_DOCTYPE, /* a DOCTYPE or an entity that is not built in: never read on */
};

struct scan {
	const char *p, *end;
	unsigned depth;
	unsigned n_roots;
	bool is_empty_element; /* its SCAN_END is still owed */
	bool has_begun;	       /* an XML declaration may not follow any more */
	bool may_have_roots;   /* more than one root is allowed */
	struct slice open[SCAN_DEPTH];
	/* of the last event */
	struct slice name, text;
	struct slice local; /* of a SCAN_START: the name behind its colon, if there is one */
	bool has_reference; /* in text; never in that of a CDATA section */
	unsigned n_attrs;
	struct scan_attr attrs[SCAN_ATTRS];
};

/*
 * text is of utf16_narrow(): characters of XML only, and its padding behind, which spares
 * the scanner from looking for the end. many_roots: a sequence of elements.
 */
void scan_init(struct scan *s, struct slice text, bool many_roots);
enum scan_event scan_next(struct scan *s);

/*
 * A reference at p (which is '&'): its character, and the bytes that it takes, or 0 for one
 * that is malformed or not built in. A NUL ends it at the latest.
 */
size_t scan_reference(const char *p, uint32_t *out);

/*
 * Append text, which has passed the scanner, with its references resolved, to out[*n, room).
 * False when there is no room.
 */
bool scan_decode(struct slice text, char *out, size_t *n, size_t room);

/* The attribute of that name, or NULL. */
static inline const struct scan_attr *scan_attr(const struct scan *s, struct slice name)
{
	for (unsigned i = 0; i < s->n_attrs; i++)
		if (slice_eq(s->attrs[i].name, name))
			return &s->attrs[i];
	return NULL;
}

#endif
