/* Forwarding: request to the management point, response back, as each side takes it. */
#include "proxy/base/clock.h"
#include "proxy/base/metrics.h"
#include "proxy/core/pace.h"
#include "proxy/http/emit.h"

#include <errno.h>
#include <stdio.h>

/* Interim responses of one request (R1). */
#define INTERIM_MAX 16
/* Bytes of chunk framing around one piece: size line, two line ends. */
#define CHUNK_FRAME 24

static void on_up_readable(void *arg);
static void on_up_writable(void *arg);

static struct emit_request how_to_emit(struct exchange *x)
{
	/* At 0 it was answered by us. */
	bool counts = x->head.counts_forwards;

	return (struct emit_request){
		.peer = slice_str(x->c->peer),
		.default_host = slice_str(upstream_name(x->w->upstream)),
		.pseudonym = slice_str(x->w->conf->pseudonym),
		.is_trusted = x->c->is_trusted,
		.max_forwards = counts ? (int64_t)(x->head.max_forwards - 1) : -1,
		.changes = &x->changes,
	};
}

/* 100 Continue was sent by us, or the body is here: the upstream must not wait for either. */
static void drop_expect(struct http_head *h)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == FIELD_EXPECT)
			h->fields[i].is_dropped = true;
}

/* Send one piece of body with the framing of its side; head goes first in the same call. */
static int send_piece(struct stream *to, struct slice head, struct slice data, bool is_chunked,
		      bool is_last)
{
	char line[CHUNK_FRAME];
	struct slice v[4] = {head};
	unsigned n = 1;

	if (!is_chunked) {
		v[n++] = data;
		return stream_send(to, v, n);
	}
	if (data.n > 0) {
		int len = snprintf(line, sizeof(line), "%zx\r\n", data.n);

		v[n++] = slice_make(line, (size_t)len);
		v[n++] = data;
	}
	if (data.n > 0)
		v[n++] = is_last ? SLICE("\r\n0\r\n\r\n") : SLICE("\r\n");
	else if (is_last)
		v[n++] = SLICE("0\r\n\r\n");
	return stream_send(to, v, n);
}

/*
 * Take the next piece of a body that fits into room. BODY_DATA and BODY_MORE as from
 * http_body_next(); what was used is consumed only by the caller, after sending.
 */
static enum body_rc next_piece(struct http_body *b, const struct http_body_limits *lim,
			       struct iobuf *in, size_t room, size_t *used, struct slice *data)
{
	struct slice avail = iobuf_slice(in);

	if (avail.n > room)
		avail.n = room;
	*data = slice_make(avail.p, 0);
	*used = 0;
	return http_body_next(b, lim, avail, used, data);
}

static void request_sent(struct exchange *x)
{
	x->is_read = true;
	x->is_sent = true;
	x->sent_us = clock_mono_us();
	if (!x->has_up_head)
		x->deadline_ms = clock_mono_ms() + x->w->conf->up_first_byte_ms;
}

static void request_failed(struct exchange *x, enum reason why)
{
	exch_drop_upstream(x);
	exch_refuse(x, why);
}

/* The client's body is malformed, too long or cut: nothing whole may reach the upstream. */
static bool check_cut(struct exchange *x)
{
	if (!x->c->s.has_eof)
		return false;
	x->keep_alive = false;
	request_failed(x, REASON_BODY_CUT);
	return true;
}

/* Keep reading from the client while there is room to put it. */
static void want_more_input(struct exchange *x)
{
	struct stream *s = &x->c->s;

	if (s->in.p != NULL && iobuf_room(&s->in) == 0 && s->in.start > 0)
		iobuf_compact(&s->in);
	stream_want_read(s, s->in.p == NULL || iobuf_room(&s->in) > 0);
}

/* Send what there is of the body, first (if any) before it. */
static void pump(struct exchange *x, struct slice first)
{
	bool is_chunked = x->head.framing == FRAMING_CHUNKED;
	struct iobuf *in = &x->c->s.in;
	enum body_rc rc = BODY_DATA;
	struct slice data;
	size_t used;

	while (!x->is_sent) {
		size_t room = stream_room(&x->uc->s);

		if (room <= first.n + CHUNK_FRAME * 2)
			break; /* the writable event goes on */
		rc = next_piece(&x->body, &x->w->body_limits, in, room - first.n - CHUNK_FRAME * 2,
				&used, &data);
		if (rc == BODY_BAD) {
			request_failed(x, x->body.reason);
			return;
		}
		if (rc == BODY_DATA && x->body.framing == FRAMING_LENGTH && x->body.left == 0)
			rc = BODY_END;
		if (first.n + data.n > 0 || rc == BODY_END)
			if (send_piece(&x->uc->s, first, data, is_chunked, rc == BODY_END) < 0)
				break; /* reading finds the answer, or the reason */
		first.n = 0;
		iobuf_consume(in, used);
		if (rc == BODY_END)
			request_sent(x);
		if (rc == BODY_MORE && iobuf_used(in) == 0)
			break;
	}
	if (!x->is_sent && rc == BODY_MORE && check_cut(x))
		return;
	want_more_input(x);
}

void exch_pump_request(struct exchange *x)
{
	if (x->state != EXCH_RELAY || x->uc == NULL || x->is_sent)
		return;
	/* Answered already: the rest of the body is not sent (T4). */
	if (x->has_answer)
		return;
	pump(x, slice_make("", 0));
}

/* An upstream connection is there: head first, with as much of the body as has come. */
static void begin_relay(struct exchange *x, struct upconn *uc)
{
	struct worker *w = x->w;
	struct emit_request how = how_to_emit(x);
	struct slice head;
	int64_t now = clock_mono_ms();

	x->state = EXCH_RELAY;
	x->uc = uc;
	x->deadline_ms = now + w->conf->up_first_byte_ms;
	upconn_own(uc, x, on_up_readable, on_up_writable);
	if (x->is_bound)
		x->c->pinned = uc;
	if (x->is_read || x->has_continued)
		drop_expect(&x->head);
	strbuf_reset(&w->out);
	emit_request_head(&w->out, &x->head, &how);
	if (!strbuf_ok(&w->out)) {
		request_failed(x, REASON_NO_MEMORY);
		return;
	}
	head = strbuf_slice(&w->out);
	if (x->head.framing == FRAMING_NONE) {
		(void)stream_send(&uc->s, &head, 1);
		exch_consume(x);
		request_sent(x);
		return;
	}
	/* The head alone: the body, held or not, is now read by the pump. */
	x->is_read = false;
	exch_consume(x);
	exch_start_window(x);
	pump(x, head);
}

static void on_upstream_ready(struct up_waiter *waiter, struct upconn *uc, enum reason why)
{
	struct exchange *x =
		(struct exchange *)((char *)waiter - offsetof(struct exchange, waiter));

	x->state = EXCH_RELAY;
	if (uc == NULL)
		exch_refuse(x, why);
	else
		begin_relay(x, uc);
}

void exch_forward(struct exchange *x, const struct verdict *v)
{
	/* OPTIONS counts down; at 0 we are the last one (RFC 9110 7.6.2). */
	if (x->head.counts_forwards && x->head.max_forwards == 0) {
		exch_refuse(x, REASON_MAX_FORWARDS);
		return;
	}
	pace_forward(x, v);
}

void exch_send(struct exchange *x)
{
	struct worker *w = x->w;
	struct upconn *uc;

	x->is_bound = x->c->is_bound;
	uc = x->c->pinned;
	if (uc != NULL && upconn_is_quiet(uc)) {
		begin_relay(x, uc);
		return;
	}
	if (uc != NULL) {
		/* On no other connection is this client who it says it is. */
		x->uc = uc;
		exch_drop_upstream(x);
		x->keep_alive = false;
		exch_refuse(x, REASON_BOUND_LOST);
		return;
	}
	uc = upstream_take(w->upstream);
	if (uc != NULL) {
		begin_relay(x, uc);
		return;
	}
	x->state = EXCH_QUEUE;
	x->deadline_ms = INT64_MAX; /* the pool has its own */
	x->waiter.ready = on_upstream_ready;
	if (upstream_wait(w->upstream, &x->waiter) < 0) {
		x->state = EXCH_RELAY;
		exch_refuse(x, REASON_UP_QUEUE_FULL);
	}
}

/* --- the response --- */

static void response_failed(struct exchange *x, enum reason why)
{
	metric_add(M_UP_ERRORS, 1);
	exch_drop_upstream(x);
	exch_refuse(x, why);
}

static void teach(struct exchange *x)
{
	struct slice all = strbuf_slice(&x->sample);
	struct http_reader reader = {0};

	x->is_sample = false;
	if (!strbuf_ok(&x->sample) || x->up_body.total > ACK_MAX_BODY ||
	    http_read_response(&reader, all.p, x->sample_head_bytes, false, &x->w->response_limits,
			       &x->up_head) != HTTP_HEAD) {
		ack_sample_lost(x->w->ack, &x->ack_key);
		return;
	}
	ack_observe(x->w->ack, &x->ack_key, &x->up_head, slice_drop(all, x->sample_head_bytes),
		    x->envelope_id);
}

/* The response is whole and sent (or waits in the client's buffer). */
static void response_done(struct exchange *x)
{
	struct upconn *uc = x->uc;
	bool may_reuse = x->up_head.keep_alive && x->is_sent && x->up_body.framing != FRAMING_CLOSE;

	if (x->up_head.status == 200 && x->up_body.total > 0)
		exch_remember(x);
	if (x->is_sample)
		teach(x);
	if (x->client_framing == FRAMING_CLOSE || !x->is_sent)
		x->keep_alive = false;
	x->uc = NULL;
	if (x->c->pinned == uc) {
		/* Pinned: stays with this client, or goes with it. */
		upconn_own(uc, x->c, NULL, NULL);
		if (!may_reuse || !x->keep_alive || iobuf_used(&uc->s.in) > 0) {
			x->c->pinned = NULL;
			x->keep_alive = false;
			upconn_drop(uc);
		} else {
			conn_pin(x->c, uc);
		}
	} else if (may_reuse) {
		upconn_put_back(uc);
	} else {
		upconn_drop(uc);
	}
	exch_end(x, FATE_PASSED, REASON_LAST_REQUEST);
}

/*
 * May the client be sent n bytes? What it has not read yet has a bound; but where nothing
 * waits even a head that is larger than the buffer may go.
 */
static bool has_room(const struct exchange *x, size_t n)
{
	return n < stream_room(&x->c->s) || stream_pending(&x->c->s) == 0;
}

/* False: x has ended. */
static bool interim_response(struct exchange *x)
{
	struct iobuf *in = &x->uc->s.in;
	struct emit_response how = {
		.minor = x->head.minor, .keep_alive = true, .changes = &x->changes};
	struct slice head;

	strbuf_reset(&x->w->out);
	(void)emit_response_head(&x->w->out, &x->up_head, &how);
	iobuf_consume(in, x->up_head.head_bytes);
	x->up_reader = (struct http_reader){0};
	/* Never to a 1.0 client (R1), and no second 100 after our own. */
	if (x->head.minor == 0 || (x->up_head.status == 100 && x->has_continued))
		return true;
	head = strbuf_slice(&x->w->out);
	if (!has_room(x, head.n)) {
		response_failed(x, REASON_RESPONSE_1XX);
		return false;
	}
	return conn_send(x->c, &head, 1);
}

/* Send the client form of the final head, and what has come of the body, once there is room. */
static void start_response(struct exchange *x)
{
	struct worker *w = x->w;
	/* No Via: a gateway may leave it out (RFC 9110 7.6.3), and the reply stays what it was. */
	struct emit_response how = {.minor = x->head.minor,
				    .is_head = x->head.is_head,
				    .keep_alive = x->keep_alive,
				    .date = clock_http_date(),
				    .changes = x->has_waited ? NULL : &x->changes};
	struct slice head;

	strbuf_reset(&w->out);
	x->client_framing = emit_response_head(&w->out, &x->up_head, &how);
	if (!strbuf_ok(&w->out)) {
		response_failed(x, REASON_NO_MEMORY);
		return;
	}
	head = strbuf_slice(&w->out);
	if (!has_room(x, head.n)) {
		/* Behind answers that the client has not read; its writable event goes on. */
		x->has_waited = true;
		stream_want_read(&x->uc->s, false);
		return;
	}
	x->has_answer = true;
	iobuf_consume(&x->uc->s.in, x->up_head.head_bytes);
	if (head.n + CHUNK_FRAME * 2 >= stream_room(&x->c->s)) {
		x->has_head_out = true;
		if (!conn_send(x->c, &head, 1))
			return;
	}
	exch_pump_response(x);
}

/* The final head is there. */
static void final_response(struct exchange *x)
{
	struct slice raw = slice_make(iobuf_slice(&x->uc->s.in).p, x->up_head.head_bytes);

	x->has_up_head = true;
	if (x->up_head.has_bound_auth || x->c->is_bound) {
		x->c->is_bound = true;
		x->c->pinned = x->uc;
	}
	if (x->is_sample) {
		strbuf_put(&x->sample, raw);
		x->sample_head_bytes = raw.n;
	}
	/* Answered before the request was read: the rest is not sent, nothing follows (T3, T4). */
	if (!x->is_sent)
		x->keep_alive = false;
	/* A bound connection ends with its upstream's: the client is told (W11). */
	if (x->c->pinned == x->uc && !x->up_head.keep_alive)
		x->keep_alive = false;
	http_body_init(&x->up_body, &x->up_head);
	start_response(x);
}

/* Read response heads until the final one. False: wait, or x has ended. */
static void read_response_head(struct exchange *x)
{
	while (!x->has_up_head) {
		struct slice in;

		iobuf_compact(&x->uc->s.in);
		in = iobuf_slice(&x->uc->s.in);
		if (in.n == 0)
			return;
		switch (http_read_response(&x->up_reader, in.p, in.n, x->head.is_head,
					   &x->w->response_limits, &x->up_head)) {
		case HTTP_MORE:
			if (iobuf_room(&x->uc->s.in) == 0)
				response_failed(x, REASON_RESPONSE_LONG);
			return;
		case HTTP_BAD:
			response_failed(x, x->up_reader.reason);
			return;
		case HTTP_HEAD:
			break;
		}
		if (x->up_head.status >= 200) {
			final_response(x);
			return;
		}
		if (x->up_head.status == 101 || ++x->n_interim > INTERIM_MAX) {
			response_failed(x, REASON_RESPONSE_1XX);
			return;
		}
		if (!interim_response(x))
			return;
	}
}

/* One piece to the client. False: x has ended. */
static bool send_to_client(struct exchange *x, struct slice first, struct slice data, bool is_last)
{
	struct conn *c = x->c;

	if (x->is_sample)
		strbuf_put(&x->sample, data);
	metric_add(M_BYTES_OUT, (int64_t)(first.n + data.n));
	if (send_piece(&c->s, first, data, x->client_framing == FRAMING_CHUNKED, is_last) < 0) {
		conn_kill(c, REASON_CLIENT_GONE);
		return false;
	}
	return true;
}

void exch_pump_response(struct exchange *x)
{
	static const struct http_body_limits no_limits = {
		.chunk_ext = 1 << 20, .trailers = 1 << 20, .body = 0};
	struct slice first = strbuf_slice(&x->w->out), data;
	struct upconn *uc = x->uc;
	struct iobuf *in = &uc->s.in;
	enum body_rc rc;
	size_t used;

	if (!x->has_up_head)
		return;
	if (!x->has_answer) {
		start_response(x);
		return;
	}
	/* w->out holds the head only in the call that made it. */
	if (x->has_head_out)
		first.n = 0;
	x->has_head_out = true;
	for (;;) {
		size_t room = stream_room(&x->c->s);

		if (room <= first.n + CHUNK_FRAME * 2) {
			stream_want_read(&uc->s, false);
			return;
		}
		rc = next_piece(&x->up_body, &no_limits, in, room - first.n - CHUNK_FRAME * 2,
				&used, &data);
		if (rc == BODY_BAD) {
			/* The head has not been sent yet: the client may know (R5). */
			if (first.n > 0)
				x->has_answer = x->has_up_head = false;
			response_failed(x, REASON_RESPONSE_BAD);
			return;
		}
		if (rc == BODY_DATA && x->up_body.framing == FRAMING_LENGTH && x->up_body.left == 0)
			rc = BODY_END;
		if (rc == BODY_MORE && x->up_body.framing == FRAMING_CLOSE && uc->s.has_eof &&
		    used == iobuf_used(in))
			rc = BODY_END;
		if (first.n + data.n > 0 || rc == BODY_END)
			if (!send_to_client(x, first, data, rc == BODY_END))
				return;
		first.n = 0;
		iobuf_consume(in, used);
		if (rc == BODY_END) {
			response_done(x);
			return;
		}
		if (rc == BODY_MORE && iobuf_used(in) == 0)
			break;
	}
	if (uc->s.has_eof || uc->s.has_failed) {
		response_failed(x, REASON_RESPONSE_CUT);
		return;
	}
	stream_want_read(&uc->s, true);
}

static void on_up_readable(void *arg)
{
	struct exchange *x = arg;
	struct upconn *uc = x->uc;
	ssize_t n;

	if (uc->s.in.p != NULL && iobuf_room(&uc->s.in) == 0)
		iobuf_compact(&uc->s.in);
	n = stream_read(&uc->s);
	if (n == -EAGAIN)
		return;
	if (n == -ENOBUFS) {
		stream_want_read(&uc->s, false);
		return;
	}
	x->deadline_ms = clock_mono_ms() + x->w->conf->up_between_ms;
	if (x->has_up_head) {
		exch_pump_response(x);
		return;
	}
	if (x->answered_us == 0)
		x->answered_us = clock_mono_us();
	if (n > 0)
		read_response_head(x);
	else
		response_failed(x, iobuf_used(&uc->s.in) > 0 ? REASON_RESPONSE_CUT
							     : REASON_UP_REFUSED);
}

static void on_up_writable(void *arg)
{
	struct exchange *x = arg;

	/* A failed write is not the end: its answer, if any, is still read (T6). */
	if (stream_flush(&x->uc->s) == 0)
		exch_pump_request(x);
}
