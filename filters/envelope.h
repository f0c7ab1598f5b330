/* The <Msg> envelope: what the recogniser needs of it (docs/PROTOCOL.md, "Envelope"). */
#ifndef STATWEIR_FILTERS_ENVELOPE_H
#define STATWEIR_FILTERS_ENVELOPE_H

#include "filters/status_filter.h"

enum payload_hook {
	HOOK_NONE,
	HOOK_ZLIB,
	HOOK_FIRST_GENERATION
};

struct envelope {
	struct slice id, source_id, source_host; /* UTF-8 in the arena, trimmed; empty if absent */
	struct slice schema_version, reply_compression;
	struct slice endpoint; /* set as soon as it was read, whatever doubt comes of it */
	enum payload_hook hook;
	uint64_t offset, length; /* of the body within the uncompressed payload */
};

/*
 * Read the envelope's bytes (the first part) and require what protocol demands of a status
 * message that may be absorbed. DOUBT_NONE, or the reason why not.
 */
enum doubt envelope_read(const struct status_filter *f, struct slice bytes, struct arena *scratch,
			 struct envelope *e);

#endif
