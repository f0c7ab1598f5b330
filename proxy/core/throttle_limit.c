/*
 * Windows of answers, and the rate limit after errors: errors come fast and so never fill
 * the concurrency limit. The rate is lowered when they are many, and raised again until
 * they come back.
 */
#include "proxy/core/throttle_priv.h"

#include <stdio.h>
#include <string.h>

/* Errors: so many, and such a share of the answers. */
#define ERRORS_MIN   3
#define ERRORS_SHARE 0.1
#define ERRORS_CUT   0.5
#define OK_CUT	     0.95
#define RATE_DOUBLE  2.0
#define RATE_CREEP   1.02
#define RATE_WALK    1.1
#define WALK_AFTER   10 /* windows without errors */
#define SLOW_SHARE   0.7
#define RATE_STEP    0.1
/* 503 often means too many at once, not too many a second. */
#define ERRORS_CUT_N 0.9

static void start_window(struct limiter *l, int64_t now_us)
{
	int64_t settled_us = l->w.settled_us;

	memset(&l->w, 0, sizeof(l->w));
	l->w.start_us = now_us;
	l->w.settled_us = settled_us;
	l->busy_area = 0;
	l->busy_at_us = now_us;
	l->busy_start_us = now_us;
}

void limit_init(struct throttle *t)
{
	t->limiter.limit = LIMIT_START;
	t->limiter.applied = LIMIT_START;
	away_forget(t);
}

void limit_set_conf(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	(void)now_us;
	l->limit = limit_bounded(l->limit, t->floor_n, t->ceiling_n);
	l->applied = (unsigned)limit_bounded(l->applied, t->floor_n, t->ceiling_n);
	if (l->rate > 0)
		l->rate = limit_bounded(l->rate, t->floor, t->ceiling);
	l->applied_rate = l->rate;
}

void limit_count_busy(struct limiter *l, int64_t now_us)
{
	if (now_us > l->busy_at_us)
		l->busy_area += (double)l->busy * (double)(now_us - l->busy_at_us);
	l->busy_at_us = now_us;
}

void limit_gone(struct throttle *t, enum throttle_class c, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	if (throttle_rules[c].is_paced)
		l->w.n_gone++;
	if (!throttle_rules[c].is_measured)
		return;
	if (l->busy == 0 && l->w.n_ok + l->w.n_errors + l->w.n_timeouts + l->w.n_away == 0)
		start_window(l, now_us); /* it was idle: that time says nothing */
	limit_count_busy(l, now_us);
	l->busy++;
}

void limit_done(struct throttle *t, const struct throttle_item *item, int64_t now_us,
		int64_t latency_us, enum throttle_outcome outcome)
{
	struct limiter *l = &t->limiter;
	bool is_measured = throttle_rules[item->cls].is_measured;

	if (is_measured) {
		limit_count_busy(l, now_us);
		l->busy--;
	}
	switch (outcome) {
	case THROTTLE_OK:
		l->w.n_ok++;
		break;
	case THROTTLE_ERROR:
		l->w.n_errors++;
		return;
	case THROTTLE_TIMEOUT:
		l->w.n_timeouts++;
		return;
	case THROTTLE_UNREACHABLE:
		l->w.n_away++;
		return;
	case THROTTLE_ABORTED:
		return;
	}
	if (!is_measured || latency_us <= 0 || now_us < l->w.settled_us)
		return;
	l->w.n[item->cls]++;
	l->w.n_samples++;
	l->w.sum[item->cls] += throttle_log2((double)(latency_us + LIMIT_GRAIN_US));
}

/* --- rate */

/* As with concurrency: what is in force follows when it differs enough. */
void limit_set_rate(struct throttle *t, int64_t now_us, double rate, const char *why)
{
	struct limiter *l = &t->limiter;
	double was = throttle_rate(t), low = l->is_away ? LIMIT_TRIES : t->floor, off;
	struct throttle_change change = {.what = THROTTLE_RATE, .from = l->applied_rate};

	l->rate = rate >= t->ceiling ? 0 : limit_bounded(rate, low, t->ceiling);
	off = l->rate > l->applied_rate ? l->rate - l->applied_rate : l->applied_rate - l->rate;
	if (off <= 0 || (l->rate > t->floor && off < RATE_STEP * l->applied_rate))
		return;
	l->applied_rate = l->rate;
	throttle_apply_rates(t);
	change.to = l->applied_rate;
	throttle_changed(t, now_us, &change, "%s: %.0f -> %.0f msg/s", why, was, throttle_rate(t));
}

static void cut_rate(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	const struct window *w = &l->w;
	unsigned n_errors = w->n_errors + w->n_away, all = w->n_ok + n_errors + w->n_timeouts;
	double ok_share = (double)w->n_ok / all;
	double gone = (double)w->n_gone * US_PER_S / (double)(now_us - w->start_us);
	double rate = throttle_rate(t);
	char why[THROTTLE_REASON / 2];

	away_forget(t);
	if (now_us - l->cut_us > US_PER_S)
		l->rate_before = l->rate;
	l->cut_us = now_us;
	if (l->rate <= 0)
		l->slow_rate = SLOW_SHARE * throttle_usual(t);
	if (ok_share > 0.5 && gone * ok_share < rate) {
		rate = gone * ok_share * OK_CUT;
		l->slow_rate = rate;
	} else {
		rate *= ERRORS_CUT;
		if (gone > 0 && gone < rate)
			rate = gone;
	}
	l->n_good = 0;
	l->test = TEST_NONE;
	(void)snprintf(why, sizeof(why), "%u errors, %u timeouts of %u answers", n_errors,
		       w->n_timeouts, all);
	limit_set_rate(t, now_us, rate, why);
	if (w->n_timeouts >= ERRORS_MIN)
		limit_set(t, now_us, l->limit * ERRORS_CUT, "%.0f timeouts, %.0f errors",
			  w->n_timeouts, n_errors);
	else if (ok_share > 0.5)
		limit_set(t, now_us, l->limit * ERRORS_CUT_N, "%.0f errors, %.0f good answers",
			  n_errors, w->n_ok);
}

static void recover_rate(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	double rate = l->rate;

	l->n_good++;
	if (!l->w.was_rate_full)
		rate *= RATE_WALK;
	else if (rate * RATE_DOUBLE <= l->slow_rate)
		rate *= RATE_DOUBLE;
	else
		rate *= l->n_good > WALK_AFTER ? RATE_WALK : RATE_CREEP;
	limit_set_rate(t, now_us, rate, "answers without errors");
}

/* --- windows */

static bool is_failing(const struct window *w)
{
	unsigned bad = w->n_errors + w->n_timeouts + w->n_away;

	return bad >= ERRORS_MIN && bad >= ERRORS_SHARE * (bad + w->n_ok);
}

/* Not one answer: where there are some, connections fail because too many want one. */
static bool is_unreachable(const struct window *w)
{
	return w->n_ok == 0 && w->n_away >= w->n_errors + w->n_timeouts;
}

/* Enough answers for the time it took? */
static bool is_complete(const struct limiter *l, int64_t span_us)
{
	unsigned n = l->w.n_samples;

	/* A test is not to be decided by chance. */
	if (l->test != TEST_NONE && span_us < 3 * US_PER_S && n < LIMIT_TEST_MIN)
		return false;
	return (span_us >= US_PER_S / 5 && n >= 20) ||
	       (span_us >= US_PER_S / 2 && n >= LIMIT_FEW) || (span_us >= US_PER_S && n >= 1);
}

static void remember_usual(struct throttle *t, double span_s)
{
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		struct throttle_kind *k = &t->kinds[c];

		/* Half of it is forgotten in ten minutes. */
		k->usual *= 1 - limit_bounded(span_s * 0.00115, 0, 1);
		if (k->gone.rate > k->usual)
			k->usual = k->gone.rate;
	}
}

void limit_tick(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	int64_t span_us = now_us - l->w.start_us;

	if (span_us < US_PER_S / 5)
		return;
	if (t->mode == THROTTLE_AUTO && is_failing(&l->w)) {
		if (is_unreachable(&l->w))
			away_begin(t, now_us);
		else
			cut_rate(t, now_us);
		start_window(l, now_us);
		return;
	}
	if (l->rate > 0 && l->w.n_ok >= (l->is_away ? 1 : 2) && t->mode == THROTTLE_AUTO) {
		if (l->is_away)
			away_end(t, now_us);
		else if (!away_follow(t, now_us))
			recover_rate(t, now_us);
		if (l->w.n_samples > 0 && is_complete(l, span_us))
			limit_adapt_concurrency(t, now_us);
		start_window(l, now_us);
		return;
	}
	if (is_complete(l, span_us)) {
		limit_adapt_concurrency(t, now_us);
	} else if (span_us < 4 * US_PER_S) {
		return;
	}
	if (l->rate <= 0)
		remember_usual(t, (double)span_us / US_PER_S);
	start_window(l, now_us);
}
