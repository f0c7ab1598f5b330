/*
 * The learned acknowledgement: never invented, always a replay of what this
 * management point answers (docs/PROTOCOL.md, "Acknowledgement").
 *
 * For each key the first ack.samples recognised messages are forwarded; when their
 * replies are 200, not empty, and equal but for Date and the request's own ID, they
 * become the template. It is kept in the state directory with a fingerprint of the
 * management point (Server field), and compared again every ack.revalidate.
 */
#ifndef STATWEIR_CORE_ACK_H
#define STATWEIR_CORE_ACK_H

#include "proxy/base/conf.h"
#include "proxy/http/message.h"

#define ACK_MAX_BODY 16384 /* a longer reply is never a template */
#define ACK_MAX_KEYS 16

struct ack_set;
struct ack_template;

struct ack_key {
	struct slice path;	  /* lower-cased by ack itself */
	uint8_t minor;		  /* HTTP version of the request */
	struct slice compression; /* Msg/@ReplyCompression */
	struct slice schema;	  /* Msg/@SchemaVersion */
};

enum ack_choice {
	ACK_REPLAY,  /* *out is the template: absorb */
	ACK_SAMPLE,  /* forward, and report with ack_observe() or ack_sample_lost() */
	ACK_WAIT,    /* samples are under way: ask again when ack_generation() has changed */
	ACK_FORWARD, /* no acknowledgement to be had now: forward */
};

/*
 * Loads what is in the state directory, or conf's template file. 0, -ENOMEM, -EINVAL
 * (template, logged).
 */
int ack_open(struct ack_set **out, const struct conf *conf) MUSTUSE;
void ack_close(struct ack_set *a);

/* Decide for one recognised message. A revalidation that is due comes out as ACK_SAMPLE. */
enum ack_choice ack_choose(struct ack_set *a, const struct ack_key *key,
			   const struct ack_template **out);

/* For a message that may not become a sample: what ACK_REPLAY would use; NULL: there is nothing. */
const struct ack_template *ack_valid(struct ack_set *a, const struct ack_key *key);

/* The reply to a sample: its head as parsed, its whole decoded body, the request's envelope ID. */
void ack_observe(struct ack_set *a, const struct ack_key *key, const struct http_head *reply,
		 struct slice body, struct slice envelope_id);
/* A sample got no whole reply (or one longer than ACK_MAX_BODY). */
void ack_sample_lost(struct ack_set *a, const struct ack_key *key);

/* Does this reply equal any valid template? For summaries. */
bool ack_is_known(const struct ack_set *a, const struct http_head *reply, struct slice body,
		  struct slice envelope_id);
/* Valid templates now. */
unsigned ack_count(const struct ack_set *a);
/* Grows whenever a choice may have changed. */
uint64_t ack_generation(const struct ack_set *a);

/*
 * Append the acknowledgement for a message: the template's fields in their order, a
 * fresh Date where it had one, Connection as keep_alive asks, its body with the
 * message's own ID where the samples had theirs. out fails if the ID is no GUID and
 * would have to be put there: what the management point answers then isn't known.
 */
void ack_write(const struct ack_template *t, struct slice envelope_id, uint8_t minor,
	       bool keep_alive, const char *date, struct strbuf *out);

/*
 * Every 100 ms: pick up templates that another worker has learned (mtime of the
 * directory, once a second).
 */
void ack_tick(struct ack_set *a);

#endif
