#include "proxy/core/post.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define POST_MAGIC 0x706f7374u

struct post {
	unsigned magic;
	struct worker *w;
	TAILQ_ENTRY(post) link;
	struct up_waiter waiter;
	struct upconn *uc;
	struct slice request; /* borrowed */
	size_t sent;
	char envelope_id[40];
	flush_posted_fn *done;
	void *done_arg;
	int64_t deadline_ms;
	struct http_reader reader;
	struct http_head head;
	struct http_body body;
	struct strbuf reply_head, reply_body;
	bool has_head;
	bool is_over, is_acknowledged;
	const char *why;
};

static void on_readable(void *arg);
static void on_writable(void *arg);

static void post_over(struct post *p, bool is_acknowledged, const char *why)
{
	if (p->uc != NULL && is_acknowledged && p->head.keep_alive)
		upconn_put_back(p->uc);
	else if (p->uc != NULL)
		upconn_drop(p->uc);
	p->uc = NULL;
	upstream_cancel(p->w->upstream, &p->waiter);
	p->is_over = true;
	p->is_acknowledged = is_acknowledged;
	p->why = why;
}

static void push(struct post *p)
{
	struct slice rest = slice_drop(p->request, p->sent);

	if (rest.n > stream_room(&p->uc->s))
		rest.n = stream_room(&p->uc->s);
	if (rest.n == 0)
		return;
	if (stream_send(&p->uc->s, &rest, 1) < 0)
		return; /* reading finds the end */
	p->sent += rest.n;
	if (p->sent < p->request.n)
		stream_want_write(&p->uc->s, true);
}

static void on_connected(struct up_waiter *waiter, struct upconn *uc, enum reason why)
{
	struct post *p = (struct post *)((char *)waiter - offsetof(struct post, waiter));

	OBJ_CHECK(p, POST_MAGIC);
	if (uc == NULL) {
		post_over(p, false, reason_table[why].word);
		return;
	}
	p->uc = uc;
	p->deadline_ms = clock_mono_ms() + p->w->conf->up_first_byte_ms;
	upconn_own(uc, p, on_readable, on_writable);
	push(p);
}

int post_send(struct worker *w, struct slice request, const char *envelope_id,
	      flush_posted_fn *done, void *done_arg)
{
	struct post *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->magic = POST_MAGIC;
	p->w = w;
	p->request = request;
	p->done = done;
	p->done_arg = done_arg;
	p->deadline_ms = INT64_MAX;
	snprintf(p->envelope_id, sizeof(p->envelope_id), "%s", envelope_id);
	strbuf_init(&p->reply_head, IOBUF_BYTES);
	strbuf_init(&p->reply_body, ACK_MAX_BODY);
	TAILQ_INSERT_TAIL(&w->posts, p, link);
	p->waiter.ready = on_connected;
	p->uc = upstream_take(w->upstream);
	if (p->uc != NULL) {
		struct upconn *uc = p->uc;

		on_connected(&p->waiter, uc, REASON_NONE);
	} else if (upstream_wait(w->upstream, &p->waiter) < 0) {
		post_over(p, false, reason_table[REASON_UP_QUEUE_FULL].word);
	}
	return 0;
}

/* The reply is whole: does it equal the acknowledgement? */
static void judge(struct post *p)
{
	struct slice raw = strbuf_slice(&p->reply_head);
	struct http_reader reader = {0};
	bool is_known;

	if (!strbuf_ok(&p->reply_head) || !strbuf_ok(&p->reply_body) ||
	    http_read_response(&reader, raw.p, raw.n, false, &p->w->response_limits, &p->head) !=
		    HTTP_HEAD) {
		post_over(p, false, "reply_unusable");
		return;
	}
	is_known = ack_is_known(p->w->ack, &p->head, strbuf_slice(&p->reply_body),
				slice_str(p->envelope_id));
	post_over(p, is_known, is_known ? "acknowledged" : "reply_differs");
}

static bool read_head(struct post *p)
{
	struct iobuf *in = &p->uc->s.in;
	struct slice bytes;

	iobuf_compact(in);
	bytes = iobuf_slice(in);
	switch (http_read_response(&p->reader, bytes.p, bytes.n, false, &p->w->response_limits,
				   &p->head)) {
	case HTTP_MORE:
		if (iobuf_room(in) == 0)
			post_over(p, false, "reply_too_long");
		return false;
	case HTTP_BAD:
		post_over(p, false, reason_table[p->reader.reason].word);
		return false;
	case HTTP_HEAD:
		break;
	}
	if (p->head.status < 200) {
		iobuf_consume(in, p->head.head_bytes);
		p->reader = (struct http_reader){0};
		return iobuf_used(in) > 0 && read_head(p);
	}
	strbuf_put(&p->reply_head, slice_make(bytes.p, p->head.head_bytes));
	iobuf_consume(in, p->head.head_bytes);
	http_body_init(&p->body, &p->head);
	p->has_head = true;
	return true;
}

static void read_body(struct post *p)
{
	static const struct http_body_limits limits = {.chunk_ext = 4096, .trailers = 8192};
	struct iobuf *in = &p->uc->s.in;
	enum body_rc rc;

	do {
		struct slice data = {0};
		size_t used = 0;

		rc = http_body_next(&p->body, &limits, iobuf_slice(in), &used, &data);
		if (rc == BODY_DATA)
			strbuf_put(&p->reply_body, data);
		iobuf_consume(in, used);
	} while (rc == BODY_DATA);
	if (rc == BODY_BAD)
		post_over(p, false, "reply_malformed");
	else if (rc == BODY_END)
		judge(p);
	else if (p->uc->s.has_eof && p->body.framing == FRAMING_CLOSE)
		judge(p);
	else if (p->uc->s.has_eof)
		post_over(p, false, "reply_cut");
}

static void on_readable(void *arg)
{
	struct post *p = arg;
	ssize_t n;

	OBJ_CHECK(p, POST_MAGIC);
	n = stream_read(&p->uc->s);
	if (n == -EAGAIN)
		return;
	if (n < 0 || (n == 0 && !p->has_head)) {
		post_over(p, false, "upstream_closed");
		return;
	}
	if (!p->has_head && !read_head(p))
		return;
	read_body(p);
}

static void on_writable(void *arg)
{
	struct post *p = arg;

	OBJ_CHECK(p, POST_MAGIC);
	if (stream_flush(&p->uc->s) == 0)
		push(p);
}

void post_tick(struct worker *w)
{
	struct post *p;

	TAILQ_FOREACH (p, &w->posts, link)
		if (!p->is_over && clock_mono_ms() >= p->deadline_ms)
			post_over(p, false, "upstream_timeout");
}

void post_finish(struct worker *w)
{
	struct post *p, *next;

	for (p = TAILQ_FIRST(&w->posts); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (!p->is_over)
			continue;
		TAILQ_REMOVE(&w->posts, p, link);
		p->done(p->done_arg, p->is_acknowledged, p->why);
		strbuf_fini(&p->reply_head);
		strbuf_fini(&p->reply_body);
		p->magic = 0;
		free(p);
	}
}

void post_fini(struct worker *w)
{
	struct post *p;

	TAILQ_FOREACH (p, &w->posts, link)
		if (!p->is_over)
			post_over(p, false, "stopping");
	post_finish(w);
}
