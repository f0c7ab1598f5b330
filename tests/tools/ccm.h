/*
 * What SMS clients send, built from a seed: the same seed, client and serial number
 * give the same bytes, so that a message can be sent again without being kept.
 * docs/PROTOCOL.md describes the messages; every one here is constructed, none is a
 * capture.
 */
#ifndef STATWEIR_TOOLS_CCM_H
#define STATWEIR_TOOLS_CCM_H

#include "tests/tools/ccm_text.h"

#include <zlib.h>

enum ccm_kind {
	CCM_RULE,      /* status message 10907: a client has received a metering rule */
	CCM_STATUS,    /* any other status message */
	CCM_MIXED,     /* a 10907 and another one in one body: must pass */
	CCM_CONFLICT,  /* the type says 10907 and the number does not: must pass */
	CCM_STATE,     /* state message */
	CCM_INVENTORY, /* hardware inventory, body and attachment, 10 to 40 KB */
	CCM_SYNC,      /* a request for policy assignments, answered in two parts */
	CCM_POLICY,    /* GET of a policy body */
	CCM_INFO,      /* GET of MPLIST and its like */
	CCM_AUTH,      /* three steps of NTLM on one connection */
	CCM_BITS,      /* an upload: session, two fragments, end */
	CCM_PROBE,     /* a policy GET that only measures */
	CCM_KINDS,
};

enum ccm_variant {
	CCM_V_PLAIN,	  /* element order of the client, zlib, usual boundary */
	CCM_V_RAW,	  /* payload neither compressed nor without BOM */
	CCM_V_ALPHABETIC, /* elements by name, NUL and CRLF after the body */
	CCM_V_BOUNDARY,	  /* generated boundary, Content-Disposition in the parts */
	CCM_V_SIGNED,	  /* a clientauth hook as large as a real signature */
	CCM_V_MINIMAL,	  /* no SchemaVersion, no ReplyCompression, few elements */
	CCM_V_OLD,	  /* first-generation hooks, odd case, rule as RuleID */
	CCM_V_TYPE_ONLY,  /* no SMS_MessageID, rule as MeterRuleID, shuffled elements */
	CCM_VARIANTS,
};

struct ccm_item {
	enum ccm_kind kind;
	uint32_t client, serial, rule;
	unsigned step;	   /* of CCM_AUTH and CCM_BITS, from 0 */
	const char *token; /* what the server gave in an earlier step, or "" */
};

/* A request as bytes; all of it is the builder's, until the next ccm_build(). */
struct ccm_request {
	struct slice head, body;
	char id[39];	 /* "{GUID}", also for what has no envelope */
	char client[42]; /* "GUID:..." */
	char rule[16];	 /* "" if none */
};

struct libdeflate_compressor;

struct ccm_builder {
	uint64_t seed;
	unsigned variants; /* bit mask of enum ccm_variant */
	const char *host;  /* for Host and TargetHost */
	struct ccm_text ascii, envelope, payload, body, head, noise;
	/* Two hands that compress: the payloads of one kind must not all look alike. */
	struct libdeflate_compressor *fast;
	z_stream zip;
};

void ccm_builder_init(struct ccm_builder *b, uint64_t seed, unsigned variants, const char *host);
void ccm_builder_fini(struct ccm_builder *b);

void ccm_build(struct ccm_builder *b, const struct ccm_item *it, struct ccm_request *out);

/* Requests that one message of this kind takes. */
unsigned ccm_steps(enum ccm_kind kind);
const char *ccm_kind_name(enum ccm_kind kind);
/* Does the client wait for no more than NoReply? */
bool ccm_is_async(enum ccm_kind kind);
enum ccm_variant ccm_variant_of(const struct ccm_builder *b, uint32_t client);

/* For ccm_*.c: the payload of a message, as text or bytes, into b->payload. */
void ccm_build_payload(struct ccm_builder *b, const struct ccm_item *it,
		       const struct ccm_request *r, size_t *body_bytes);

#endif
