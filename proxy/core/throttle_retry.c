/*
 * When a refused client may come back. Returns are given out one by one, behind half of what
 * is held and behind those promised before, at the rate at which messages go: so many
 * refused at the same moment come back as a stream and not as a second wave. The other half
 * is the reserve from which the management point is kept at work when that rate was too low.
 */
#include "proxy/core/throttle_priv.h"

/* Share of the delay that a client's hash moves, so that several proxies don't agree. */
#define JITTER 0.1
/* Share of better days' rate, and of what the limits allow, that is counted on. */
#define USUAL_SHARE 0.25
#define LIMIT_SHARE 0.15
/* Share of what is held behind which returns begin. */
#define HELD_SHARE 0.5

static double share_of(uint64_t client)
{
	/* Upper bits: the lower ones choose the bucket of the queue. */
	return (double)(client >> 40 & 0xffff) / 65536;
}

static double at_least(double a, double b)
{
	return a > b ? a : b;
}

double retry_rate_of_limit(const struct throttle *t, unsigned c)
{
	return LIMIT_SHARE * t->limiter.applied * US_PER_S / throttle_exp2(t->limiter.last[c]);
}

/* Messages of this class a second that can be expected to go. */
static double expected_rate(const struct throttle *t, const struct throttle_kind *k, int64_t now_us)
{
	double gone = at_least(k->gone.rate, k->gone.quick);
	double rate = at_least(gone, k->usual * USUAL_SHARE);
	double away = t->mode == THROTTLE_AUTO ? away_rate_of(t, k, now_us) : 0;

	if (away > 0 && throttle_rules[k->cls].is_paced)
		return at_least(away, rate > t->floor && !t->limiter.is_away ? rate : t->floor);
	rate = at_least(rate, t->floor);
	if (t->mode != THROTTLE_AUTO || !throttle_rules[k->cls].is_paced)
		return at_least(rate, k->rate);
	if (t->limiter.last[k->cls] > 0)
		rate = at_least(rate, retry_rate_of_limit(t, k->cls));
	if (k->bucket.rate > 0 && rate > k->bucket.rate)
		rate = k->bucket.rate;
	/* Not by the rate after errors: who is sent away in an outage returns after it. */
	return rate > t->ceiling ? t->ceiling : rate;
}

unsigned retry_after(struct throttle *t, struct throttle_kind *k, uint64_t client, int64_t now_us)
{
	double gap_us = US_PER_S / expected_rate(t, k, now_us), delay_us;
	/* While nothing goes, those that are held will be sent away as well. */
	double n_before = t->limiter.is_away ? 0 : HELD_SHARE * k->queue.n;
	int64_t free_us = now_us + (int64_t)(gap_us * n_before);

	if (k->booked_us < free_us)
		k->booked_us = free_us;
	k->booked_us += (int64_t)gap_us;
	if (k->booked_us > now_us + t->retry_max_us) {
		/* No slot so soon: anywhere in the later half. */
		k->booked_us = now_us + t->retry_max_us;
		delay_us = (double)t->retry_max_us * (0.5 + 0.5 * share_of(client));
	} else {
		delay_us = (double)(k->booked_us - now_us) *
			   (1 - JITTER + 2 * JITTER * share_of(client));
	}
	return 1 + (unsigned)(delay_us / US_PER_S);
}
