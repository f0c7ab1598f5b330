/* What differs between a message that came and the one that went on; for log and metrics. */
#ifndef STATWEIR_HTTP_CHANGES_H
#define STATWEIR_HTTP_CHANGES_H

#include "proxy/base/slice.h"
#include "proxy/base/strbuf.h"
#include "proxy/http/reason.h"

#include <stdbool.h>
#include <stdint.h>

#define CHANGES_NAMES 160

_Static_assert((int)CHANGE_COUNT <= 32, "a set of changes fits 32 bits");

struct changes {
	uint32_t set;		   /* bits of enum change */
	bool wants_names;	   /* somebody will read them */
	bool has_more;		   /* names for which there was no room */
	uint8_t n;		   /* bytes of names */
	char names[CHANGES_NAMES]; /* "Keep-Alive:hop_by_hop,X-A:connection_option" */
};

/* c may be NULL: nobody asks. name is of the field that was dropped; empty: none. */
void changes_note(struct changes *c, enum change what, struct slice name);

/* " dropped=NAME:WORD,... added=WORD,... rewritten=WORD,..." of what there is. */
void changes_put(const struct changes *c, struct strbuf *out);

#endif
