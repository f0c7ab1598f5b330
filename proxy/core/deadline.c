/* What happens to an exchange that takes too long, by the state it is in. */
#include "proxy/base/clock.h"
#include "proxy/core/exchange.h"

static uint64_t body_bytes(const struct exchange *x)
{
	return x->state == EXCH_HOLD ? iobuf_used(&x->c->s.in) : x->body.total;
}

static void set_deadline(struct exchange *x, int64_t at)
{
	int64_t last = x->start_ms + x->w->conf->request_timeout_ms;

	/* A held message has an end of its own, however steadily it comes. */
	x->deadline_ms = x->state == EXCH_HOLD && last < at ? last : at;
}

void exch_start_window(struct exchange *x)
{
	x->window_bytes = body_bytes(x);
	x->blocked_ms = 0;
	set_deadline(x, clock_mono_ms() + x->w->conf->rate_window_ms);
}

/* The window has passed: was the client fast enough in it? */
static bool is_fast_enough(const struct exchange *x)
{
	const struct conf *conf = x->w->conf;
	uint64_t got = body_bytes(x) - x->window_bytes;

	return got >= (uint64_t)conf->min_rate_bytes * (uint64_t)conf->rate_window_ms / 1000;
}

static void refuse_body(struct exchange *x, enum reason why)
{
	x->keep_alive = false;
	exch_drop_upstream(x);
	exch_refuse(x, why);
}

/* The management point takes nothing, and so neither do we: that is not the client's fault. */
static void wait_for_upstream(struct exchange *x, int64_t now)
{
	const struct conf *conf = x->w->conf;
	bool has_moved = stream_has_moved(&x->uc->s);

	if (x->blocked_ms == 0 || has_moved)
		x->blocked_ms = now;
	x->deadline_ms = x->blocked_ms + conf->up_between_ms;
	if (now >= x->deadline_ms)
		refuse_body(x, REASON_UP_TIMEOUT);
	else if (x->deadline_ms > now + conf->rate_window_ms)
		x->deadline_ms = now + conf->rate_window_ms;
}

static void check_upload(struct exchange *x, int64_t now)
{
	bool is_blocked_by_upstream = x->uc != NULL && stream_pending(&x->uc->s) > 0;

	if (now - x->start_ms >= x->w->conf->request_timeout_ms && x->state == EXCH_HOLD) {
		refuse_body(x, REASON_BODY_TIMEOUT);
	} else if (is_fast_enough(x)) {
		exch_start_window(x);
	} else if (is_blocked_by_upstream) {
		wait_for_upstream(x, now);
	} else {
		refuse_body(x, REASON_BODY_TIMEOUT);
	}
}

static void check_relay(struct exchange *x, int64_t now)
{
	if (!x->has_up_head && !x->is_sent) {
		check_upload(x, now);
	} else if (x->has_up_head && stream_pending(&x->c->s) > 0) {
		if (stream_has_moved(&x->c->s))
			x->deadline_ms = now + x->w->conf->up_between_ms;
		else
			conn_kill(x->c, REASON_CLIENT_SLOW);
	} else {
		x->keep_alive = x->keep_alive && !x->has_answer;
		exch_drop_upstream(x);
		exch_refuse(x, x->has_answer ? REASON_UP_SILENT : REASON_UP_TIMEOUT);
	}
}

void exch_on_deadline(struct exchange *x, int64_t now)
{
	switch (x->state) {
	case EXCH_HEAD:
		exch_refuse(x, REASON_HEAD_TIMEOUT);
		return;
	case EXCH_HOLD:
		check_upload(x, now);
		return;
	case EXCH_ACKWAIT:
		TAILQ_REMOVE(&x->w->waiting, x, link);
		x->state = EXCH_HOLD;
		exch_forward(x, NULL);
		return;
	case EXCH_RELAY:
		check_relay(x, now);
		return;
	case EXCH_RECORD:
	case EXCH_HELD:
	case EXCH_QUEUE:
		return; /* store, throttle and pool have deadlines of their own */
	}
}
