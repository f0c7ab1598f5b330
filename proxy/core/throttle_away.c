/*
 * The management point can't be reached at all. That says nothing about what it can take,
 * so what was good before is good again. Until then a few try, the others are held or sent
 * away: to return as one stream at the rate that was good. When it answers again, what is
 * held is spread over the time for which returns are promised. Together that is one even
 * stream and not a wave in front of it.
 */
#include "proxy/core/throttle_priv.h"

#include <stdio.h>

/* Of what was good, at once. */
#define BACK_SHARE 0.5
/* Nothing is known: what is held returns within so long. */
#define GUESS_US (60 * (double)US_PER_S)
/* What is held is spread over so long at least. */
#define SPREAD_MIN_US (3 * (int64_t)US_PER_S)
/* So long after it, measured rates are still those of the outage. */
#define FRESH_US (10 * (int64_t)US_PER_S)
/* Errors shortly before belong to the same event. */
#define CUT_US US_PER_S

double throttle_usual(const struct throttle *t)
{
	double sum = 0;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		if (throttle_rules[c].is_paced)
			sum += t->kinds[c].usual;
	return sum;
}

/* What it has been able to take; 0: not known. */
static double good_rate(const struct throttle *t, int64_t now_us)
{
	const struct limiter *l = &t->limiter;
	double good = throttle_usual(t);
	double rate = now_us - l->cut_us <= CUT_US ? l->rate_before : l->rate;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		double by_limit = throttle_rules[c].is_paced && l->last[c] > 0
					  ? retry_rate_of_limit(t, c)
					  : 0;

		if (by_limit > good)
			good = by_limit;
	}
	return rate > 0 && rate < good ? rate : good;
}

static unsigned n_held(const struct throttle *t)
{
	unsigned n = 0;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		if (throttle_rules[c].is_paced)
			n += t->kinds[c].queue.n;
	return n;
}

void away_begin(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	double guess = n_held(t) * US_PER_S / GUESS_US;
	char why[THROTTLE_REASON / 2];

	if (!l->is_away) {
		/* Soon away again: what is in force now is only on its way back. */
		if (now_us >= l->even_until_us) {
			l->good = good_rate(t, now_us);
			l->is_guess = l->good <= 0;
		}
		l->is_away = true;
		l->test = TEST_NONE;
	}
	if (l->is_guess && guess > l->good)
		l->good = guess;
	l->slow_rate = l->good;
	(void)snprintf(why, sizeof(why), "no connection, %u of %u in vain", l->w.n_away,
		       l->w.n_away + l->w.n_errors + l->w.n_timeouts);
	limit_set_rate(t, now_us, LIMIT_TRIES, why);
}

void away_forget(struct throttle *t)
{
	t->limiter.is_away = false;
	t->limiter.is_guess = false;
	t->limiter.even_until_us = -FRESH_US;
}

/* So that all that is held and all that comes make one even stream until even_until_us. */
static double even_rate(const struct throttle *t, int64_t now_us)
{
	const struct limiter *l = &t->limiter;
	int64_t left_us = l->even_until_us - now_us;
	double came = 0;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		if (throttle_rules[c].is_paced)
			came += t->kinds[c].came.rate;
	}
	left_us = left_us > SPREAD_MIN_US ? left_us : SPREAD_MIN_US;
	return came + n_held(t) * (double)US_PER_S / (double)left_us;
}

static void follow(struct throttle *t, int64_t now_us, const char *why)
{
	double rate = even_rate(t, now_us), least = BACK_SHARE * t->limiter.good;

	limit_set_rate(t, now_us, rate > least ? rate : least, why);
}

void away_end(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	l->is_away = false;
	l->even_until_us = now_us;
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		if (throttle_rules[c].is_paced && t->kinds[c].booked_us > l->even_until_us)
			l->even_until_us = t->kinds[c].booked_us;
	follow(t, now_us, "it answers again");
}

bool away_follow(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	if (now_us < l->even_until_us) {
		follow(t, now_us, "returns and what is held");
		return true;
	}
	if (!l->is_guess)
		return false;
	/* As after the start: the concurrency limit alone. */
	l->is_guess = false;
	limit_set_rate(t, now_us, t->ceiling, "all have returned");
	return true;
}

double away_rate_of(const struct throttle *t, const struct throttle_kind *k, int64_t now_us)
{
	const struct limiter *l = &t->limiter;
	double usual = throttle_usual(t);

	if (!l->is_away && now_us >= l->even_until_us + FRESH_US)
		return 0;
	return usual > 0 ? l->good * k->usual / usual : l->good;
}
