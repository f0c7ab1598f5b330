/*
 * Gathering element text while scanning: pieces, references and CDATA become one slice. A
 * text of one piece without references, the usual one, is told where it lies.
 */
#ifndef STATWEIR_FILTERS_SCAN_TEXT_H
#define STATWEIR_FILTERS_SCAN_TEXT_H

#include "filters/filter.h"
#include "filters/xml_scan.h"

#define SCAN_TEXT_MAX 1024 /* bytes of one value: longer is DOUBT_NO_ROOM */

struct gather {
	struct slice only; /* the text, while it is one piece as it lies */
	size_t n;	   /* bytes of buf: it is another */
	bool is_on, is_full;
	bool is_blind; /* the text is of no use: nothing is copied, and it is empty */
	char buf[SCAN_TEXT_MAX];
};

void gather_begin(struct gather *g);
/* As gather_begin(), for a value that nobody wants. */
void gather_begin_blind(struct gather *g);
/* The scanner's current SCAN_TEXT. */
void gather_add(struct gather *g, const struct scan *s);
/*
 * What was gathered, without surrounding white space, in the scanned text or copied to
 * scratch; false: too long.
 */
bool gather_end(struct gather *g, struct arena *scratch, struct slice *out);

/*
 * The value of the attribute of that name without surrounding white space, in the scanned
 * text or copied to scratch; absent: *out stays. False: too long.
 */
bool scan_attr_text(const struct scan *s, struct slice name, struct arena *scratch,
		    struct slice *out);

#endif
