/* The <Status> payload: kind, identity and the reasons against it (docs/PROTOCOL.md, "Status"). */
#ifndef STATWEIR_FILTERS_STATUS_H
#define STATWEIR_FILTERS_STATUS_H

#include "filters/status_filter.h"

struct status {
	struct slice client; /* ClientID property, UTF-8 in the arena; empty if absent */
	struct slice rule;   /* first of the rule properties found, else "#" and a digest */
};

/*
 * Read the payload's text (UTF-16LE, perhaps with a byte order mark, cut to the declared
 * range). DOUBT_NONE: exactly one <Status>, and it is coalesced. Else the reason why not.
 */
enum doubt status_read(const struct status_filter *f, struct slice text, struct arena *scratch,
		       struct status *out);

#endif
