/*
 * A second reading of what went over one connection of fuzz_conn.c in one direction: cuts
 * it into messages with the strict reader and keeps a hash of each.
 */
#ifndef STATWEIR_TESTS_FUZZ_CONN_WATCH_H
#define STATWEIR_TESTS_FUZZ_CONN_WATCH_H

#include "proxy/base/check.h"
#include "proxy/base/strbuf.h"
#include "proxy/http/body.h"
#include "proxy/http/reader.h"

/* What two messages must have in common to be taken for the same. */
struct watched {
	uint64_t what; /* of a request: method and target */
	uint64_t body, body_n;
	unsigned status; /* of a response */
	bool is_head;	 /* a HEAD request, or the answer to one */
	bool is_dated;	 /* a response; not compared */
};

struct watch;

struct watch_calls {
	/* A response comes next: does it answer HEAD? */
	bool (*answers_head)(void *arg);
	/* w->head is whole. */
	void (*on_head)(void *arg, struct watch *w);
	/* So is the message. */
	void (*on_whole)(void *arg, const struct watched *m);
	/* Bytes that are not of this protocol. */
	void (*on_bad)(void *arg, enum reason why);
};

struct watch {
	const struct watch_calls *calls;
	void *arg;
	const struct http_limits *limits;
	const struct http_body_limits *body_limits;
	bool is_request;
	bool is_body;
	bool is_over; /* nothing behind this is looked at */
	struct strbuf in;
	struct http_reader reader;
	struct http_head head;
	struct http_body body;
	struct watched now;
};

static inline uint64_t watch_hash(uint64_t h, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return h;
}

static inline bool watch_is_same(const struct watched *a, const struct watched *b)
{
	return a->what == b->what && a->body == b->body && a->body_n == b->body_n &&
	       a->status == b->status && a->is_head == b->is_head;
}

static inline void watch_init(struct watch *w, bool is_request, const struct watch_calls *calls,
			      void *arg)
{
	w->calls = calls;
	w->arg = arg;
	w->is_request = is_request;
	strbuf_init(&w->in, 1 << 20);
}

/* The next message begins with what comes from now on. */
static inline void watch_reset(struct watch *w)
{
	strbuf_reset(&w->in);
	w->reader = (struct http_reader){0};
	w->is_body = w->is_over = false;
}

static inline void watch_drop(struct watch *w, size_t n)
{
	w->in.n -= n;
	memmove(w->in.p, w->in.p + n, w->in.n);
}

static inline void watch_bad(struct watch *w, enum reason why)
{
	w->is_over = true;
	w->calls->on_bad(w->arg, why);
}

static inline void watch_end(struct watch *w)
{
	w->is_body = false;
	w->calls->on_whole(w->arg, &w->now);
}

/* False: more bytes are needed. */
static inline bool watch_step_head(struct watch *w)
{
	const struct http_head *h = &w->head;
	bool is_head = !w->is_request && w->calls->answers_head(w->arg);
	enum http_rc rc;

	if (w->is_over)
		return false;
	rc = w->is_request ? http_read_request(&w->reader, w->in.p, w->in.n, w->limits, &w->head)
			   : http_read_response(&w->reader, w->in.p, w->in.n, is_head, w->limits,
						&w->head);
	if (rc == HTTP_BAD)
		watch_bad(w, w->reader.reason);
	if (rc != HTTP_HEAD)
		return false;
	w->now = (struct watched){.is_head = w->is_request ? h->is_head : is_head,
				  .status = h->status};
	for (unsigned i = 0; i < h->n_fields; i++)
		w->now.is_dated |= h->fields[i].id == FIELD_DATE;
	if (w->is_request) {
		w->now.what = watch_hash(watch_hash(1, h->method), SLICE(" "));
		w->now.what = watch_hash(watch_hash(w->now.what, h->path), SLICE("?"));
		w->now.what = watch_hash(w->now.what, h->query);
		w->now.status = 0;
	}
	http_body_init(&w->body, h);
	w->is_body = true;
	w->calls->on_head(w->arg, w);
	watch_drop(w, h->head_bytes);
	w->reader = (struct http_reader){0};
	return true;
}

static inline bool watch_step_body(struct watch *w)
{
	struct slice data = {NULL, 0};
	size_t used = 0;
	enum body_rc rc =
		http_body_next(&w->body, w->body_limits, strbuf_slice(&w->in), &used, &data);

	if (rc == BODY_DATA) {
		w->now.body = watch_hash(w->now.body, data);
		w->now.body_n += data.n;
	}
	watch_drop(w, used);
	if (rc == BODY_BAD)
		watch_bad(w, w->body.reason);
	else if (rc == BODY_END)
		watch_end(w);
	return rc == BODY_DATA || rc == BODY_END;
}

/* Take all that can be taken of what is there. */
static inline void watch_run(struct watch *w)
{
	while (!w->is_over && (w->in.n > 0 || w->is_body))
		if (!(w->is_body ? watch_step_body(w) : watch_step_head(w)))
			break;
}

static inline void watch_feed(struct watch *w, struct slice s)
{
	if (w->is_over)
		return;
	strbuf_put(&w->in, s);
	CHECK(strbuf_ok(&w->in));
	/* The bytes may have moved: a head is read from its start again. */
	if (!w->is_body)
		w->reader = (struct http_reader){0};
	watch_run(w);
}

/* The connection has ended properly, which ends a message that nothing else ends. */
static inline void watch_close(struct watch *w)
{
	if (!w->is_over && w->is_body && w->body.framing == FRAMING_CLOSE)
		watch_end(w);
	w->is_over = true;
}

#endif
