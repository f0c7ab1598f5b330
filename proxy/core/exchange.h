/*
 * One request and its response.
 *
 *	HEAD -> HOLD -> (verdict) -> RECORD -> answered by us
 *	  |       |         |  \---> ACKWAIT (an acknowledgement is being learned)
 *	  |       |         v
 *	  +-------+-----> (throttle) -> HELD -> QUEUE -> RELAY -> answered by the management point
 *
 * One deadline at a time. An exchange whose client has gone lives on in RECORD until
 * the store has answered (c is NULL then).
 */
#ifndef STATWEIR_CORE_EXCHANGE_H
#define STATWEIR_CORE_EXCHANGE_H

#include "proxy/core/conn.h"
#include "proxy/http/changes.h"

enum exch_state {
	EXCH_HEAD,
	EXCH_HOLD,
	EXCH_ACKWAIT,
	EXCH_RECORD,
	EXCH_HELD,
	EXCH_QUEUE,
	EXCH_RELAY
};
const char *exch_state_name(enum exch_state s);

/* Which fate a received request is counted under; the store counts absorbed ones itself. */
enum fate {
	FATE_PASSED,
	FATE_ABSORBED,
	FATE_REFUSED,
	FATE_ABORTED
};

#define EXCH_TEXT (FINDING_MAX_TEXT * 4 + 64 * 2)

struct exchange {
	unsigned magic;
	enum exch_state state;
	struct worker *w;
	struct conn *c;		    /* NULL: the client has gone */
	TAILQ_ENTRY(exchange) link; /* in w->waiting (ACKWAIT) */
	int64_t deadline_ms;
	int64_t start_ms;
	struct throttle_item pace;    /* its place in the throttle */
	int64_t sent_us, answered_us; /* request sent whole, first byte of the answer; 0: not yet */
	unsigned retry_after_s;	      /* for a refusal; 0: the usual */
	bool is_received;	      /* counted, and a fate is owed */
	bool is_recognised;	      /* by a filter, and counted */
	bool must_remember; /* recognised but forwarded: a retry of it must not be counted */
	bool was_recent;    /* it, or an earlier try, may be recorded already */
	bool is_sample;	    /* its reply teaches the acknowledgement */
	bool is_candidate;  /* its body is held for the filters, not only gathered */
	bool is_buffered;   /* its bytes are in the connection's buffer from the head on */
	bool is_read;	    /* request body read to its end */
	bool is_sent;	    /* request forwarded to its end */
	bool has_continued; /* we have sent 100 Continue ourselves */
	bool has_answer;    /* a final response head has been sent to the client */
	bool keep_alive;

	/* Request */
	struct http_reader reader;
	struct http_head head;
	struct http_body body;
	uint64_t window_bytes; /* body bytes at the start of the rate window */
	int64_t blocked_ms;    /* since when the upstream takes nothing of it; 0: it does */

	/* Recognised message: slices into text[] */
	struct slice client, rule, envelope_id;
	struct ack_key ack_key;
	char text[EXCH_TEXT];
	struct record record;
	struct strbuf reply; /* acknowledgement, ready to send */

	/* Forwarding */
	struct up_waiter waiter;
	struct upconn *uc;
	struct http_reader up_reader;
	struct http_head up_head;
	struct http_body up_body;
	enum framing client_framing;
	unsigned n_interim;
	bool has_up_head;
	bool has_head_out;    /* the client form of the head has been sent */
	bool has_waited;      /* the head has waited for room: what changed is noted */
	bool is_bound;	      /* forwarded on a connection of its own (W11) */
	struct strbuf sample; /* head and body of the reply, for is_sample */
	size_t sample_head_bytes;
	/* For the access log */
	char peer[ADDRESS_TEXT], line[160]; /* line: method and target */
	struct changes changes;
};

/* A new exchange for the next request of c; NULL without memory. */
struct exchange *exch_new(struct conn *c);

/* More of the request has arrived (or may be in the buffer already). */
void exch_on_input(struct exchange *x);
/* The client has sent its last byte. */
void exch_on_eof(struct exchange *x);
/* The client connection takes bytes again. */
void exch_on_writable(struct exchange *x);
/* The request body is being read: its pace is looked at after the rate window. */
void exch_start_window(struct exchange *x);
/* Its deadline has passed. */
void exch_on_deadline(struct exchange *x, int64_t now);
/* The client's connection ends: let go of everything that can be let go of. */
void exch_abort(struct exchange *x, enum reason why);
/* Ask again for those that waited for an acknowledgement to be learned. */
void exch_wake_waiting(struct worker *w);
/* Once a second: give back some of those that a burst left over. */
void exch_trim(struct worker *w);
/* Free the spare ones (at exit). */
void exch_fini(struct worker *w);

/* --- between exchange.c, inspect.c and relay.c --- */

/* Whole body in the buffer: let the filters see it and act on the verdict. */
void exch_inspect(struct exchange *x);
/* The management point has taken a recognised message itself: a retry of it counts nothing. */
void exch_remember(const struct exchange *x);
/* Is the body worth holding? */
bool exch_is_candidate(const struct exchange *x);
/*
 * It is to reach the management point: as fast as the throttle lets it. v tells
 * whose message it is and for whom; NULL where it was not inspected, or is known already.
 */
void exch_forward(struct exchange *x, const struct verdict *v);
/* The throttle lets it go: send it upstream, as soon as there is a connection. */
void exch_send(struct exchange *x);
/* Relay: request bytes have arrived / the client takes bytes. */
void exch_pump_request(struct exchange *x);
void exch_pump_response(struct exchange *x);
/* Let go of the upstream connection, which is not fit for others. */
void exch_drop_upstream(struct exchange *x);

/* The request is not needed any more: take it out of the connection's buffer. */
void exch_consume(struct exchange *x);
/* Answer with an error of our own (or just close, if the reason has none) and end. */
void exch_refuse(struct exchange *x, enum reason why);
/* Count the fate, free the exchange, tell the connection. */
void exch_end(struct exchange *x, enum fate fate, enum reason why);

#endif
