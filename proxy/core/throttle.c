/* Let go, hold or refuse; the rest of the throttle_*.c files say at which pace. */
#include "proxy/core/throttle_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct kind_rule throttle_rules[THROTTLE_N_CLASSES] = {
	[THROTTLE_STATUS] = {.weight = 1, .is_paced = true, .is_measured = true},
	[THROTTLE_STATE] = {.weight = 2, .is_paced = true, .is_measured = true},
	[THROTTLE_INVENTORY] = {.weight = 4, .is_paced = true, .is_measured = true},
	[THROTTLE_POLICY] = {.weight = 8, .is_measured = true},
	/* Uploads and downloads take as long as they are large: their latency says nothing. */
	[THROTTLE_BITS] = {.weight = 2},
	[THROTTLE_HEALTH] = {.weight = 8, .is_measured = true},
	[THROTTLE_OTHER] = {.weight = 4},
};

/* Items pushed out of a full queue to make room for one. */
#define VICTIMS_MAX 8
/* Items of one bucket that are looked at for one that may go. */
#define LOOK_AHEAD 8

static bool is_limited(const struct throttle *t, const struct throttle_kind *k)
{
	return t->mode == THROTTLE_AUTO && throttle_rules[k->cls].is_paced;
}

/* May one more of this class go now? */
static bool can_go(struct throttle *t, struct throttle_kind *k, int64_t now_us)
{
	if (t->mode == THROTTLE_OFF)
		return true;
	if (k->max_in_flight > 0 && k->in_flight >= k->max_in_flight)
		return false;
	if (!bucket_has(&k->bucket, now_us))
		return false;
	if (!is_limited(t, k))
		return true;
	if (t->in_flight >= t->limiter.applied) {
		t->limiter.w.was_full = true;
		return false;
	}
	if (!bucket_has(&t->shared, now_us)) {
		t->limiter.w.was_rate_full = true;
		return false;
	}
	return true;
}

/* When client and network of item are within their own rates. */
static int64_t keys_next_us(const struct throttle *t, const struct throttle_item *item,
			    int64_t now_us)
{
	int64_t a, b;

	if (t->mode == THROTTLE_OFF)
		return now_us;
	a = keyed_next_us(&t->clients, item->client, now_us);
	b = keyed_next_us(&t->networks, item->network, now_us);
	return a > b ? a : b;
}

static void start(struct throttle *t, struct throttle_kind *k, struct throttle_item *item,
		  int64_t now_us)
{
	bucket_take(&k->bucket);
	if (is_limited(t, k))
		bucket_take(&t->shared);
	keyed_take(&t->clients, item->client, now_us);
	keyed_take(&t->networks, item->network, now_us);
	k->in_flight++;
	if (throttle_rules[k->cls].is_paced)
		t->in_flight++;
	k->gone.n++;
	k->passed++;
	item->state = THROTTLE_ITEM_GONE;
	item->is_counted = true;
	item->since_us = now_us;
	if (!item->is_shadow)
		limit_gone(t, k->cls, now_us);
}

/* Out of the queue, to be refused when callbacks may run. */
static void push_out(struct throttle *t, struct throttle_kind *k, struct throttle_item *item)
{
	queue_remove(&k->queue, item);
	item->state = THROTTLE_ITEM_LEAVING;
	TAILQ_INSERT_TAIL(&t->leaving, item, link);
}

static bool make_room(struct throttle *t, struct throttle_kind *k, const struct throttle_item *item)
{
	for (unsigned i = 0; i < VICTIMS_MAX && !queue_has_room(&k->queue, item->bytes); i++) {
		struct throttle_item *victim = queue_victim(&k->queue, item->client, item->bytes);

		if (victim == NULL)
			return false;
		push_out(t, k, victim);
	}
	return queue_has_room(&k->queue, item->bytes);
}

static void hold(struct throttle *t, struct throttle_kind *k, struct throttle_item *item,
		 int64_t rested_us, int64_t now_us)
{
	bool was_empty = queue_flow(&k->queue, item->client)->n == 0;

	if (TAILQ_EMPTY(&k->queue.ring) && k->turn < t->turn)
		k->turn = t->turn;
	item->state = THROTTLE_ITEM_HELD;
	item->since_us = now_us;
	k->held_total++;
	queue_push(&k->queue, item);
	if (rested_us <= now_us)
		queue_rouse(&k->queue, item);
	else if (was_empty)
		queue_sleep(&k->queue, item, rested_us);
}

enum throttle_rc engine_submit(struct throttle *t, struct throttle_item *item, int64_t now_us,
			       unsigned *retry_after_s)
{
	struct throttle_kind *k = &t->kinds[item->cls];
	int64_t rested_us = keys_next_us(t, item, now_us);

	k->submitted++;
	k->came.n++;
	item->is_counted = false;
	if (rested_us <= now_us && TAILQ_EMPTY(&k->queue.ring) &&
	    !queue_is_before(&k->queue, item) && can_go(t, k, now_us)) {
		start(t, k, item, now_us);
		return THROTTLE_GO;
	}
	if (queue_has_room(&k->queue, item->bytes) || make_room(t, k, item)) {
		hold(t, k, item, rested_us, now_us);
		return THROTTLE_HELD;
	}
	k->refused_total++;
	item->state = THROTTLE_ITEM_IDLE;
	*retry_after_s = retry_after(t, k, item->client, now_us);
	return THROTTLE_REFUSED;
}

enum throttle_rc throttle_submit(struct throttle *t, struct throttle_item *item, int64_t now_us,
				 unsigned *retry_after_s)
{
	DCHECK((unsigned)item->cls < THROTTLE_N_CLASSES);
	CHECK(item->state == THROTTLE_ITEM_IDLE);
	item->shadow = NULL;
	item->is_shadow = false;
	if (!t->is_observing)
		return engine_submit(t, item, now_us, retry_after_s);
	observe_submit(t, item, now_us);
	return THROTTLE_GO;
}

void engine_done(struct throttle *t, struct throttle_item *item, int64_t now_us)
{
	struct throttle_kind *k = &t->kinds[item->cls];

	(void)now_us;
	item->state = THROTTLE_ITEM_IDLE;
	if (!item->is_counted)
		return;
	item->is_counted = false;
	k->in_flight--;
	if (throttle_rules[k->cls].is_paced)
		t->in_flight--;
}

void throttle_done(struct throttle *t, struct throttle_item *item, int64_t now_us,
		   int64_t latency_us, enum throttle_outcome outcome)
{
	CHECK(item->state == THROTTLE_ITEM_GONE);
	limit_done(t, item, now_us, latency_us, outcome);
	if (item->shadow != NULL)
		observe_done(t, item, now_us, latency_us);
	engine_done(t, item, now_us);
	engine_release(t, now_us);
}

void throttle_cancel(struct throttle *t, struct throttle_item *item)
{
	struct throttle_kind *k = &t->kinds[item->cls];

	if (item->state == THROTTLE_ITEM_HELD)
		queue_remove(&k->queue, item);
	else if (item->state == THROTTLE_ITEM_LEAVING)
		TAILQ_REMOVE(&t->leaving, item, link);
	else
		return;
	item->state = THROTTLE_ITEM_IDLE;
	k->aborted++;
}

/* --- letting go */

static void refuse_leaving(struct throttle *t, int64_t now_us)
{
	struct throttle_item *item;

	while ((item = TAILQ_FIRST(&t->leaving)) != NULL) {
		struct throttle_kind *k = &t->kinds[item->cls];
		unsigned after_s = retry_after(t, k, item->client, now_us);

		TAILQ_REMOVE(&t->leaving, item, link);
		item->state = THROTTLE_ITEM_IDLE;
		k->refused_total++;
		if (item->is_shadow)
			observe_dropped(t, item);
		else
			t->calls.refuse(t->calls.arg, item, after_s, now_us);
	}
}

static void let_go(struct throttle *t, struct throttle_kind *k, struct throttle_item *item,
		   int64_t now_us)
{
	queue_take(&k->queue, item);
	hist_add(&k->held_for, now_us - item->since_us);
	start(t, k, item, now_us);
	if (item->is_shadow)
		observe_gone(t, item, now_us);
	else
		t->calls.go(t->calls.arg, item, now_us);
}

/*
 * The first of a client's items that its client and network allow, among the first few:
 * clients that share a bucket need not rest with each other. NULL: *until_us says when.
 */
static struct throttle_item *first_rested(const struct throttle *t, struct throttle_item *item,
					  int64_t now_us, int64_t *until_us)
{
	*until_us = INT64_MAX;
	for (unsigned i = 0; i < LOOK_AHEAD && item != NULL; i++) {
		int64_t rested_us = keys_next_us(t, item, now_us);

		if (rested_us <= now_us)
			return item;
		if (rested_us < *until_us)
			*until_us = rested_us;
		item = TAILQ_NEXT(item, link);
	}
	return NULL;
}

/* The item of k whose turn it is and that may go; NULL: none now. */
static struct throttle_item *next_of(struct throttle *t, struct throttle_kind *k, int64_t now_us)
{
	struct throttle_item *first, *item;
	int64_t until_us;

	while ((first = queue_peek(&k->queue)) != NULL) {
		item = first_rested(t, first, now_us, &until_us);
		if (item != NULL)
			return can_go(t, k, now_us) ? item : NULL;
		queue_sleep(&k->queue, first, until_us);
	}
	return NULL;
}

void engine_release(struct throttle *t, int64_t now_us)
{
	/* A callback that ends an item comes back here: the loop outside goes on with it. */
	if (t->is_busy)
		return;
	t->is_busy = true;
	for (;;) {
		struct throttle_kind *best = NULL;
		struct throttle_item *item = NULL;

		refuse_leaving(t, now_us);
		for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
			struct throttle_kind *k = &t->kinds[c];
			struct throttle_item *next;

			if (k->queue.n == 0 || (best != NULL && best->turn <= k->turn))
				continue;
			next = next_of(t, k, now_us);
			if (next == NULL)
				continue;
			best = k;
			item = next;
		}
		if (best == NULL)
			break;
		t->turn = best->turn;
		best->turn += 1 / throttle_rules[best->cls].weight;
		let_go(t, best, item, now_us);
	}
	t->is_busy = false;
}

/* The oldest of any class. */
static struct throttle_item *oldest(struct throttle *t)
{
	struct throttle_item *found = NULL;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		struct throttle_item *first = TAILQ_FIRST(&t->kinds[c].queue.by_age);

		if (first != NULL && (found == NULL || first->since_us < found->since_us))
			found = first;
	}
	return found;
}

static unsigned n_held(const struct throttle *t)
{
	unsigned n = 0;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		n += t->kinds[c].queue.n;
	return n;
}

static void force(struct throttle *t, double share, int64_t now_us)
{
	struct throttle_item *item;
	double due = (double)n_held(t) * share;

	if (t->is_busy)
		return;
	t->is_busy = true;
	for (; due > 0 && (item = oldest(t)) != NULL; due -= 1)
		let_go(t, &t->kinds[item->cls], item, now_us);
	t->is_busy = false;
}

void throttle_release_all(struct throttle *t, int64_t now_us)
{
	struct throttle_item *item;

	if (t->is_busy)
		return;
	t->is_busy = true;
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		struct throttle_kind *k = &t->kinds[c];

		/* Callbacks may bring shadows; they are younger. */
		while ((item = TAILQ_FIRST(&k->queue.by_age)) != NULL && !item->is_shadow)
			let_go(t, k, item, now_us);
	}
	t->is_busy = false;
}

static void drain_some(struct throttle *t, int64_t now_us)
{
	double share = 1;

	if (now_us <= t->drained_us)
		return;
	if (now_us < t->drain_until_us)
		share = (double)(now_us - t->drained_us) /
			(double)(t->drain_until_us - t->drained_us);
	t->drained_us = now_us;
	force(t, share, now_us);
}

void throttle_drain(struct throttle *t, int64_t now_us, int64_t until_us)
{
	t->drain_until_us = until_us > 0 ? until_us : 1;
	t->drained_us = now_us;
	if (until_us <= now_us)
		force(t, 1, now_us);
}

static void tick_kind(struct throttle *t, struct throttle_kind *k, int64_t now_us)
{
	struct throttle_item *first;

	queue_wake(&k->queue, now_us);
	while ((first = TAILQ_FIRST(&k->queue.by_age)) != NULL &&
	       now_us - first->since_us >= k->queue.max_age_us)
		push_out(t, k, first);
	hist_turn(&k->held_for, now_us);
	meter_tick(&k->came, now_us);
	meter_tick(&k->gone, now_us);
}

void throttle_tick(struct throttle *t, int64_t now_us)
{
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		tick_kind(t, &t->kinds[c], now_us);
	observe_tick(t, now_us);
	limit_tick(t, now_us);
	files_tick(t, now_us);
	if (t->drain_until_us > 0)
		drain_some(t, now_us);
	engine_release(t, now_us);
}

/* Ticks while something is held, and while there is only something under way. */
#define TICK_HELD_US 10000
#define TICK_BUSY_US 100000

int throttle_next_ms(const struct throttle *t, int64_t now_us)
{
	int64_t next_us = INT64_MAX;

	if (!TAILQ_EMPTY(&t->leaving))
		return 0;
	if (t->limiter.busy > 0 || t->limiter.rate > 0 || t->files.cap > 0)
		next_us = TICK_BUSY_US;
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		const struct throttle_kind *k = &t->kinds[c];
		int64_t us;

		if (k->queue.n == 0)
			continue;
		us = bucket_next_us(&k->bucket, now_us) - now_us;
		us = us > TICK_HELD_US ? us : TICK_HELD_US;
		us = us < TICK_BUSY_US ? us : TICK_BUSY_US;
		next_us = us < next_us ? us : next_us;
	}
	return next_us == INT64_MAX ? -1 : (int)((next_us + 999) / 1000);
}

void throttle_changed(struct throttle *t, int64_t now_us, struct throttle_change *change,
		      const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(t->reason, sizeof(t->reason), format, ap);
	va_end(ap);
	t->n_changes++;
	t->last_change_us = now_us;
	change->reason = t->reason;
	if (t->calls.change != NULL)
		t->calls.change(t->calls.arg, change);
}
