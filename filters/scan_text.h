/* Gathering element text while scanning: pieces, references and CDATA into one UTF-8 slice. */
#ifndef STATWEIR_FILTERS_SCAN_TEXT_H
#define STATWEIR_FILTERS_SCAN_TEXT_H

#include "filters/filter.h"
#include "filters/utf16_scan.h"

#define SCAN_TEXT_MAX 1024 /* bytes of UTF-8 of one value: longer is DOUBT_NO_ROOM */

struct gather {
	char buf[SCAN_TEXT_MAX];
	size_t n;
	bool is_on, is_full;
	bool is_blind; /* the text is of no use: nothing is copied, and it is empty */
};

void gather_begin(struct gather *g);
/* As gather_begin(), for a value that nobody wants. */
void gather_begin_blind(struct gather *g);
/* The scanner's current SCAN_TEXT. */
void gather_add(struct gather *g, const struct scan *s);
/* What was gathered, without surrounding white space, copied to scratch; false: too long. */
bool gather_end(struct gather *g, struct arena *scratch, struct slice *out);

/*
 * An attribute's value without surrounding white space in buf, of SCAN_TEXT_MAX bytes;
 * absent: empty. False: too long.
 */
bool scan_attr_buf(const struct scan *s, const char *name, char *buf, struct slice *out);
/* The same in scratch; absent: *out stays. */
bool scan_attr_text(const struct scan *s, const char *name, struct arena *scratch,
		    struct slice *out);

/*
 * Bytes of a UTF-16LE text without byte order mark. False: big-endian, odd, or not
 * UTF-16 by its second byte.
 */
bool utf16_body(struct slice *bytes);

#endif
