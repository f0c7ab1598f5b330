/*
 * What a filter is. A filter is a pure function of one message: no socket, clock,
 * Redis, global or allocation beyond the scratch arena. It may be asked twice and
 * must answer the same. docs/FILTERS.md walks through a small one.
 *
 * interest() sees the head alone and says whether the body is worth holding.
 * inspect() sees the whole message and fills a verdict: FILTER_PASS with a doubt, or
 * FILTER_ABSORB with a finding. In doubt, pass: a filter never refuses a message
 * because it does not understand it.
 */
#ifndef STATWEIR_FILTERS_FILTER_H
#define STATWEIR_FILTERS_FILTER_H

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/http/message.h"

enum doubt {
#define DOUBT(name, word, text) DOUBT_##name,
#include "filters/doubt.def"
#undef DOUBT
	DOUBT_COUNT
};

struct doubt_info {
	const char *word, *text;
};
extern const struct doubt_info doubt_table[DOUBT_COUNT];

enum filter_action {
	FILTER_PASS,
	FILTER_ABSORB
};

#define FINDING_MAX_TEXT                                                        \
	128 /* bytes of client, rule and message each: longer is DOUBT_IDENTITY \
	     */

/*
 * What was recognised: the only thing that travels from a filter to a store. The
 * texts are UTF-8 inside the arena or the message; printable ASCII, no spaces.
 */
struct finding {
	struct slice client;  /* "GUID:..." upper case, or host name */
	struct slice rule;    /* rule ID, or "#" and 16 hex digits of the properties' digest */
	struct slice message; /* envelope ID with braces, upper case, or "#" and 32 hex digits */
};

/* What decides which learned acknowledgement fits (protocol.md 10.3, step 3). */
struct reply_key {
	struct slice reply_compression; /* Msg/@ReplyCompression, empty if absent */
	struct slice schema_version;	/* Msg/@SchemaVersion, empty if absent */
	struct slice envelope_id;	/* ID as it stood in the envelope (UTF-8), to be masked */
};

struct verdict {
	enum filter_action action;
	enum doubt doubt; /* with FILTER_PASS */
	/* TargetEndpoint and SourceID, also with FILTER_PASS; empty if they were not read. */
	struct slice endpoint, sender;
	struct finding finding; /* with FILTER_ABSORB */
	struct reply_key reply; /* with FILTER_ABSORB */
};

struct filter {
	const char *name;
	/* May inspect() want the body? DOUBT_NONE: yes. */
	enum doubt (*interest)(const void *self, const struct http_head *head);
	/* body is whole. Everything allocated comes from scratch. */
	void (*inspect)(const void *self, const struct http_head *head, struct slice body,
			struct arena *scratch, struct verdict *v);
};

#endif
