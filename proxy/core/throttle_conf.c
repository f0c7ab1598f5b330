/* Settings into limits, and figures out of them. */
#include "proxy/core/throttle_priv.h"

#include <errno.h>
#include <stdlib.h>

/* Shadows beyond those held: under way. */
#define SHADOWS_MORE 8192
/*
 * A rate may run ahead by this much of a second at least: ticks come every 10 ms, and a
 * bucket that is full before the next one would lose its overflow.
 */
#define BURST_S 0.1

struct kind_conf {
	int64_t rate, burst, concurrency, queue, queue_bytes, queue_age_ms;
};

static void read_kinds(const struct conf *c, struct kind_conf out[THROTTLE_N_CLASSES])
{
#define KIND(id, name)                                                        \
	out[id] = (struct kind_conf){                                         \
		c->throttle_##name##_rate,	  c->throttle_##name##_burst, \
		c->throttle_##name##_concurrency, c->throttle_##name##_queue, \
		c->throttle_##name##_queue_bytes, c->throttle_##name##_queue_age_ms}
	KIND(THROTTLE_STATUS, status);
	KIND(THROTTLE_STATE, state);
	KIND(THROTTLE_INVENTORY, inventory);
	KIND(THROTTLE_POLICY, policy);
	KIND(THROTTLE_BITS, bits);
	KIND(THROTTLE_HEALTH, health);
	KIND(THROTTLE_OTHER, other);
#undef KIND
}

/* This worker's part of a number, but at least 1 of any limit; 0 stays 0. */
static unsigned part(const struct throttle *t, int64_t n)
{
	if (n <= 0)
		return 0;
	return n <= t->workers ? 1 : (unsigned)(n / t->workers);
}

static double burst_of(double rate, double burst)
{
	return burst > rate * BURST_S ? burst : rate * BURST_S;
}

static void set_kind(struct throttle *t, struct throttle_kind *k, const struct kind_conf *c)
{
	k->rate = (double)c->rate / t->workers;
	k->max_in_flight = part(t, c->concurrency);
	k->queue.max_n = part(t, c->queue);
	k->queue.max_bytes = (size_t)c->queue_bytes / t->workers;
	k->queue.max_age_us = c->queue_age_ms * 1000;
	bucket_set(&k->bucket, k->rate, burst_of(k->rate, part(t, c->burst)));
}

double throttle_rate(const struct throttle *t)
{
	double rate = t->ceiling;

	if (t->mode != THROTTLE_AUTO)
		return 0;
	if (t->limiter.applied_rate > 0 && t->limiter.applied_rate < rate)
		rate = t->limiter.applied_rate;
	return rate;
}

void throttle_apply_rates(struct throttle *t)
{
	struct throttle_kind *k = &t->kinds[THROTTLE_STATUS];
	double rate = throttle_rate(t);

	bucket_set(&t->shared, rate, burst_of(rate, 1));
	if (t->mode == THROTTLE_AUTO && t->files.cap > 0 &&
	    (k->rate <= 0 || t->files.cap < k->rate)) {
		bucket_set(&k->bucket, t->files.cap, burst_of(t->files.cap, 1));
	} else if (k->bucket.rate != k->rate) {
		/* The burst is earned anew. */
		bucket_set(&k->bucket, k->rate, k->bucket.burst);
	}
}

/* Everything that can fail, before anything has changed. */
static int prepare(struct throttle *t, const struct conf *conf,
		   const struct kind_conf kinds[THROTTLE_N_CLASSES])
{
	double workers = (double)t->workers;
	unsigned n = SHADOWS_MORE;
	int rc;

	rc = keyed_set(&t->clients, (double)conf->throttle_client_rate / 60 / workers,
		       (double)conf->throttle_client_burst);
	if (rc < 0)
		return rc;
	rc = keyed_set(&t->networks, (double)conf->throttle_network_rate / 60 / workers,
		       (double)part(t, conf->throttle_network_burst));
	if (rc < 0 || !conf->throttle_observe || t->observer.pool != NULL)
		return rc;
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		n += part(t, kinds[c].queue);
	return observe_init(&t->observer, n);
}

int throttle_set_conf(struct throttle *t, const struct conf *conf, int64_t now_us)
{
	struct kind_conf kinds[THROTTLE_N_CLASSES];
	bool was_observing = t->is_observing;
	int rc;

	/* 0 is auto, not resolved. */
	t->workers = conf->workers > 0 ? (unsigned)conf->workers : 1;
	read_kinds(conf, kinds);
	rc = prepare(t, conf, kinds);
	if (rc < 0)
		return rc;
	t->mode = (enum throttle_mode)conf->throttle_mode;
	t->is_observing = conf->throttle_observe;
	t->ceiling = (double)conf->throttle_ceiling / t->workers;
	t->floor = (double)conf->throttle_floor / t->workers;
	if (t->floor > t->ceiling)
		t->floor = t->ceiling;
	t->ceiling_n = part(t, conf->throttle_ceiling_concurrency);
	t->floor_n = part(t, conf->throttle_floor_concurrency);
	if (t->floor_n > t->ceiling_n)
		t->floor_n = t->ceiling_n;
	t->files_high = (uint64_t)conf->throttle_files_high;
	t->retry_max_us = conf->throttle_retry_max_ms * 1000;
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		set_kind(t, &t->kinds[c], &kinds[c]);
	limit_set_conf(t, now_us);
	throttle_apply_rates(t);
	if (t->is_observing && !was_observing)
		throttle_release_all(t, now_us);
	else if (!t->is_observing && was_observing)
		observe_stop(t, now_us);
	return 0;
}

int throttle_new(struct throttle **out, const struct conf *conf, const struct throttle_calls *calls)
{
	struct throttle *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return -ENOMEM;
	t->calls = *calls;
	TAILQ_INIT(&t->leaving);
	TAILQ_INIT(&t->observer.spare);
	TAILQ_INIT(&t->observer.running);
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		t->kinds[c].cls = (enum throttle_class)c;
		queue_init(&t->kinds[c].queue);
	}
	limit_init(t);
	rc = throttle_set_conf(t, conf, 0);
	if (rc < 0) {
		throttle_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void throttle_free(struct throttle *t)
{
	if (t == NULL)
		return;
	keyed_fini(&t->clients);
	keyed_fini(&t->networks);
	observe_fini(&t->observer);
	free(t);
}

/* --- figures */

static int64_t latency_us(double log2_us)
{
	return log2_us > 0 ? (int64_t)throttle_exp2(log2_us) - LIMIT_GRAIN_US : 0;
}

void throttle_figures(const struct throttle *t, enum throttle_class c, int64_t now_us,
		      struct throttle_figures *out)
{
	const struct throttle_kind *k = &t->kinds[c];
	const struct throttle_item *first = TAILQ_FIRST(&k->queue.by_age);
	const struct limiter *l = &t->limiter;

	*out = (struct throttle_figures){
		.submitted = k->submitted,
		.passed = k->passed,
		.held_total = k->held_total,
		.refused_total = k->refused_total,
		.aborted = k->aborted,
		.held = k->queue.n,
		.queue_limit = k->queue.max_n,
		.held_bytes = k->queue.bytes,
		.queue_bytes_limit = k->queue.max_bytes,
		.in_flight = k->in_flight,
		.concurrency_limit = k->max_in_flight,
		.rate = k->gone.rate,
		.rate_limit = k->bucket.rate,
		.hold_p50_us = hist_percentile(&k->held_for, 0.5),
		.hold_p99_us = hist_percentile(&k->held_for, 0.99),
		.latency_us = latency_us(l->last[c]),
		.base_latency_us = latency_us(l->base[c]),
		.oldest_us = first == NULL ? 0 : now_us - first->since_us,
	};
	if (t->mode != THROTTLE_AUTO || !throttle_rules[c].is_paced)
		return;
	if (out->concurrency_limit == 0 || l->applied < out->concurrency_limit)
		out->concurrency_limit = l->applied;
	if (out->rate_limit <= 0 || t->shared.rate < out->rate_limit)
		out->rate_limit = t->shared.rate;
}

void throttle_totals(const struct throttle *t, struct throttle_totals *out)
{
	*out = (struct throttle_totals){
		.mode = t->mode,
		.is_observing = t->is_observing,
		.in_flight = t->in_flight,
		.concurrency_limit = t->mode == THROTTLE_AUTO ? t->limiter.applied : 0,
		.rate_limit = throttle_rate(t),
		.status_rate_limit = t->files.cap,
		.n_changes = t->n_changes,
		.n_evictions = t->clients.n_evictions + t->networks.n_evictions,
		.last_reason = t->reason,
		.last_change_us = t->last_change_us,
	};
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		out->held += t->kinds[c].queue.n;
}
