#include "proxy/core/exchange.h"

#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/core/pace.h"
#include "proxy/http/emit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EXCH_MAGIC 0x65786368u
/* So many spare ones are kept for ever. */
#define EXCH_SPARE_FLOOR 256
/* Of a 503 that is not the throttle's. */
#define RETRY_AFTER_S 5
#define REPLY_CAP     (ACK_MAX_BODY + 8192)
#define SAMPLE_CAP    (ACK_MAX_BODY + 65536)

const char *exch_state_name(enum exch_state s)
{
	static const char *const names[] = {
		"head", "hold", "acknowledgement_wait", "record", "held", "queue", "relay"};

	return names[s];
}

struct exchange *exch_new(struct conn *c)
{
	struct worker *w = c->w;
	struct exchange *x = spare_take(&w->spare);
	struct strbuf reply, sample;

	if (x != NULL) {
		reply = x->reply;
		sample = x->sample;
		/* The heads are filled by their readers: clearing 10 KB each time would show. */
		memset(x, 0, offsetof(struct exchange, head));
		memset(&x->body, 0,
		       offsetof(struct exchange, text) - offsetof(struct exchange, body));
		memset(&x->record, 0, sizeof(x->record));
		memset(&x->waiter, 0,
		       offsetof(struct exchange, up_head) - offsetof(struct exchange, waiter));
		memset(&x->up_body, 0, sizeof(*x) - offsetof(struct exchange, up_body));
		x->reply = reply;
		x->sample = sample;
		strbuf_reset(&x->reply);
		strbuf_reset(&x->sample);
	} else {
		x = calloc(1, sizeof(*x));
		if (x == NULL)
			return NULL;
		strbuf_init(&x->reply, REPLY_CAP);
		strbuf_init(&x->sample, SAMPLE_CAP);
	}
	x->magic = EXCH_MAGIC;
	x->w = w;
	x->c = c;
	x->start_ms = clock_mono_ms();
	x->deadline_ms = x->start_ms + w->conf->header_timeout_ms;
	if (w->conf->access_log) {
		memcpy(x->peer, c->peer, sizeof(x->peer));
		x->changes.wants_names = true;
	}
	return x;
}

static void free_exchange(struct exchange *x)
{
	x->magic = 0;
	spare_put(&x->w->spare, x);
}

static void free_spare(struct worker *w, size_t n)
{
	while (n-- > 0) {
		struct exchange *x = spare_take(&w->spare);

		strbuf_fini(&x->reply);
		strbuf_fini(&x->sample);
		free(x);
	}
}

void exch_trim(struct worker *w)
{
	free_spare(w, spare_surplus(&w->spare, EXCH_SPARE_FLOOR));
}

void exch_fini(struct worker *w)
{
	free_spare(w, w->spare.n);
}

static void count_fate(struct exchange *x, enum fate fate)
{
	static const enum metric fates[] = {
		[FATE_PASSED] = M_PASSED, [FATE_REFUSED] = M_REFUSED, [FATE_ABORTED] = M_ABORTED};

	if (!x->is_received)
		return;
	x->is_received = false;
	metric_add(M_IN_FLIGHT, -1);
	if (fate != FATE_ABSORBED)
		metric_add(fates[fate], 1);
}

/* What went on otherwise than it came, as far as it went on. */
static void count_changes(struct exchange *x, enum fate fate)
{
	const struct slice none = {NULL, 0};

	if (fate == FATE_PASSED && x->body.ext_bytes + x->up_body.ext_bytes > 0)
		changes_note(&x->changes, CHANGE_CHUNK_EXT, none);
	if (fate == FATE_PASSED && x->body.trailer_bytes + x->up_body.trailer_bytes > 0)
		changes_note(&x->changes, CHANGE_TRAILERS, none);
	for (unsigned i = 0; x->changes.set >> i != 0; i++)
		metrics_self->change[i] += x->changes.set >> i & 1;
}

static unsigned logged_status(const struct exchange *x, enum fate fate, enum reason why)
{
	if (fate == FATE_ABSORBED)
		return 200;
	return x->has_up_head ? x->up_head.status : reason_table[why].status;
}

static void log_access(const struct exchange *x, enum fate fate, enum reason why)
{
	static const char *const words[] = {"passed", "absorbed", "refused", "aborted"};
	struct strbuf *changes = &x->w->out;

	if (!x->w->conf->access_log)
		return;
	if (why == REASON_LAST_REQUEST)
		why = REASON_NONE;
	strbuf_reset(changes);
	changes_put(&x->changes, changes);
	log_line(LOG_INFO, "request",
		 "peer=%s request=\"%s\" fate=%s reason=%s status=%u took_ms=%" PRId64 "%.*s",
		 x->peer, x->line[0] != '\0' ? x->line : "-", words[fate], reason_table[why].word,
		 logged_status(x, fate, why), clock_mono_ms() - x->start_ms,
		 (int)strbuf_slice(changes).n, strbuf_slice(changes).p);
}

/* Strangers choose what stands there: escaped, and cut. */
static void keep_line(struct exchange *x)
{
	size_t n;

	log_escape(x->head.method, x->line, 40);
	n = strlen(x->line);
	x->line[n++] = ' ';
	log_escape(x->head.target, x->line + n, sizeof(x->line) - n);
}

/* Take x off whatever it waits on. */
static void detach(struct exchange *x)
{
	if (x->state == EXCH_ACKWAIT)
		TAILQ_REMOVE(&x->w->waiting, x, link);
	if (x->state == EXCH_QUEUE)
		upstream_cancel(x->w->upstream, &x->waiter);
	if (x->uc != NULL)
		exch_drop_upstream(x);
	if (x->is_sample) {
		x->is_sample = false;
		ack_sample_lost(x->w->ack, &x->ack_key);
	}
}

void exch_end(struct exchange *x, enum fate fate, enum reason why)
{
	struct conn *c = x->c;
	bool keep_alive = x->keep_alive;

	detach(x);
	pace_ended(x, fate, why);
	count_changes(x, fate);
	log_access(x, fate, why);
	count_fate(x, fate);
	if (c != NULL && !x->is_read)
		c->must_linger = true;
	free_exchange(x);
	if (c != NULL)
		conn_exchange_ended(c, keep_alive && !c->must_linger);
}

void exch_abort(struct exchange *x, enum reason why)
{
	OBJ_CHECK(x, EXCH_MAGIC);
	x->c = NULL;
	if (x->state == EXCH_RECORD)
		return; /* the store holds its record: exch_recorded() ends it */
	exch_end(x, FATE_ABORTED, why);
}

void exch_drop_upstream(struct exchange *x)
{
	struct upconn *uc = x->uc;

	x->uc = NULL;
	if (x->c != NULL && x->c->pinned == uc)
		x->c->pinned = NULL;
	if (uc != NULL)
		upconn_drop(uc);
}

void exch_consume(struct exchange *x)
{
	size_t n = x->head.head_bytes;

	if (!x->is_buffered)
		return;
	x->is_buffered = false;
	if (x->is_read && x->head.framing == FRAMING_LENGTH)
		n += (size_t)x->head.length;
	iobuf_consume(&x->c->s.in, n);
}

void exch_refuse(struct exchange *x, enum reason why)
{
	struct conn *c = x->c;
	struct strbuf *out = &x->w->out;
	struct slice answer;

	metrics_self->reason[why]++;
	if (!x->is_received)
		metric_add(M_PROTOCOL_ERRORS, 1);
	if (x->has_answer || reason_table[why].status == 0) {
		/* Nothing whole can follow: the client must see a broken message. */
		bool is_open_ended = x->has_answer && x->client_framing == FRAMING_CLOSE;

		if (!x->is_read)
			c->must_linger = true;
		x->keep_alive = false;
		x->c = NULL;
		c->x = NULL;
		exch_end(x, FATE_ABORTED, why);
		if (is_open_ended)
			conn_reset(c, REASON_LAST_REQUEST);
		else
			conn_exchange_ended(c, false);
		return;
	}
	x->keep_alive = x->is_received && x->is_read && x->keep_alive;
	strbuf_reset(out);
	emit_error(out, why, x->keep_alive, x->reader.has_start && x->head.is_head,
		   clock_http_date(),
		   reason_table[why].status != 503 ? 0
		   : x->retry_after_s > 0	   ? x->retry_after_s
						   : RETRY_AFTER_S);
	answer = strbuf_slice(out);
	exch_consume(x);
	if (!conn_send(c, &answer, 1))
		return; /* the connection has died and taken x with it */
	exch_end(x, FATE_REFUSED, why);
}

/*
 * A body that fits into the buffer is gathered there first: a client that takes its time
 * keeps no upstream connection, and no place under the throttle, from the others.
 */
static bool may_gather(const struct exchange *x)
{
	const struct http_head *h = &x->head;

	return h->framing == FRAMING_LENGTH && h->length <= IOBUF_BYTES - h->head_bytes &&
	       !h->expects_continue && !x->c->is_bound && x->w->conf->mode != MODE_BYPASS;
}

/* A request whose head is whole and right: count it, decide how its body is read. */
static void start_request(struct exchange *x)
{
	struct worker *w = x->w;
	struct conn *c = x->c;
	struct http_head *h = &x->head;

	FAILPOINT("request_head");
	x->is_received = true;
	x->is_buffered = true;
	metric_add(M_RECEIVED, 1);
	metric_add(M_IN_FLIGHT, 1);
	c->n_requests++;
	x->keep_alive =
		h->keep_alive && (int64_t)c->n_requests < w->conf->max_requests && !w->is_draining;
	if (w->conf->access_log)
		keep_line(x);
	http_body_init(&x->body, h);
	x->is_read = h->framing == FRAMING_NONE;
	if (h->via_count >= (unsigned)w->conf->via_limit) {
		exch_refuse(x, REASON_VIA_LOOP);
		return;
	}
	if (h->framing == FRAMING_LENGTH && w->body_limits.body != 0 &&
	    h->length > w->body_limits.body) {
		exch_refuse(x, REASON_BODY_LONG);
		return;
	}
	if (h->has_authorization)
		c->is_bound = true;
	x->is_candidate = exch_is_candidate(x);
	metric_add(M_CANDIDATES, x->is_candidate);
	if (x->is_candidate || may_gather(x)) {
		x->state = EXCH_HOLD;
		exch_start_window(x);
		exch_on_input(x);
		return;
	}
	exch_forward(x, NULL);
}

static void read_head(struct exchange *x)
{
	struct iobuf *in = &x->c->s.in;
	struct slice bytes = iobuf_slice(in);

	switch (http_read_request(&x->reader, bytes.p, bytes.n, &x->w->request_limits, &x->head)) {
	case HTTP_MORE:
		if (iobuf_room(in) == 0)
			exch_refuse(x, REASON_HEAD_LONG);
		return;
	case HTTP_BAD:
		exch_refuse(x, x->reader.reason);
		return;
	case HTTP_HEAD:
		start_request(x);
		return;
	}
}

/* Make room for a held message larger than the buffer; the head is read again behind the move. */
static bool enlarge_for(struct exchange *x, size_t whole)
{
	struct iobuf *in = &x->c->s.in;
	enum http_rc rc;

	if (whole <= in->cap - in->start)
		return true;
	if (iobuf_enlarge(in, whole) < 0) {
		exch_refuse(x, REASON_NO_MEMORY);
		return false;
	}
	x->reader = (struct http_reader){0};
	rc = http_read_request(&x->reader, in->p, iobuf_used(in), &x->w->request_limits, &x->head);
	CHECK(rc == HTTP_HEAD);
	stream_want_read(&x->c->s, true);
	return true;
}

static void hold_body(struct exchange *x)
{
	struct conn *c = x->c;
	size_t whole = x->head.head_bytes + (size_t)x->head.length;
	struct slice go_on = SLICE("HTTP/1.1 100 Continue\r\n\r\n");

	if (!enlarge_for(x, whole))
		return;
	if (iobuf_used(&c->s.in) >= whole) {
		x->is_read = true;
		if (x->is_candidate)
			exch_inspect(x);
		else
			exch_forward(x, NULL);
		return;
	}
	if (x->head.expects_continue && !x->has_continued &&
	    iobuf_used(&c->s.in) == x->head.head_bytes) {
		x->has_continued = true;
		(void)conn_send(c, &go_on, 1);
	}
}

void exch_on_input(struct exchange *x)
{
	OBJ_CHECK(x, EXCH_MAGIC);
	switch (x->state) {
	case EXCH_HEAD:
		read_head(x);
		return;
	case EXCH_HOLD:
		hold_body(x);
		return;
	case EXCH_RELAY:
		exch_pump_request(x);
		return;
	case EXCH_ACKWAIT:
	case EXCH_RECORD:
	case EXCH_HELD:
	case EXCH_QUEUE:
		return; /* kept in the buffer, which is the bound */
	}
}

void exch_on_eof(struct exchange *x)
{
	OBJ_CHECK(x, EXCH_MAGIC);
	if (x->state == EXCH_HELD) {
		/* Nobody waits for it any more: the management point is spared. */
		conn_kill(x->c, REASON_CLIENT_GONE);
		return;
	}
	if (x->is_read)
		return; /* a whole request is answered, half-closed or not (RFC 9112 9.6) */
	switch (x->state) {
	case EXCH_HEAD:
		exch_refuse(x, REASON_BODY_CUT);
		return;
	case EXCH_HOLD:
		x->keep_alive = false;
		exch_refuse(x, REASON_BODY_CUT);
		return;
	case EXCH_QUEUE:
	case EXCH_RELAY:
		/* Perhaps the rest is in the buffer: the pump finds out. */
		exch_pump_request(x);
		return;
	case EXCH_HELD:
	case EXCH_ACKWAIT:
	case EXCH_RECORD:
		UNREACHABLE("a held message is read whole");
	}
}

void exch_on_writable(struct exchange *x)
{
	OBJ_CHECK(x, EXCH_MAGIC);
	if (x->state != EXCH_RELAY || x->uc == NULL)
		return;
	if (x->has_up_head)
		x->deadline_ms = clock_mono_ms() + x->w->conf->up_between_ms;
	exch_pump_response(x);
}

void exch_wake_waiting(struct worker *w)
{
	struct exchange *x;
	unsigned n = 0;

	w->ack_seen = ack_generation(w->ack);
	TAILQ_FOREACH (x, &w->waiting, link)
		n++;
	/* One that must wait on goes to the tail: behind the n that are asked now. */
	while (n-- > 0 && (x = TAILQ_FIRST(&w->waiting)) != NULL) {
		TAILQ_REMOVE(&w->waiting, x, link);
		x->state = EXCH_HOLD;
		exch_inspect(x);
	}
}
