/*
 * Observe mode: the request goes at once, and its shadow goes through limits and queues
 * as the request would have. A shadow that is let go after its request has ended stays
 * under way for as long as the request took.
 */
#include "proxy/core/throttle_priv.h"

#include <errno.h>
#include <stdlib.h>

int observe_init(struct observer *o, unsigned n)
{
	o->pool = calloc(n, sizeof(*o->pool));
	if (o->pool == NULL)
		return -ENOMEM;
	o->n = n;
	for (unsigned i = 0; i < n; i++)
		TAILQ_INSERT_TAIL(&o->spare, &o->pool[i].item, link);
	return 0;
}

void observe_fini(struct observer *o)
{
	free(o->pool);
	o->pool = NULL;
}

/* item is the first member. */
static struct shadow *shadow_of(struct throttle_item *item)
{
	CHECK(item->is_shadow);
	return (struct shadow *)(void *)item;
}

static void give_back(struct throttle *t, struct shadow *s)
{
	if (s->real != NULL)
		s->real->shadow = NULL;
	s->real = NULL;
	TAILQ_INSERT_HEAD(&t->observer.spare, &s->item, link);
}

void observe_submit(struct throttle *t, struct throttle_item *item, int64_t now_us)
{
	struct throttle_item *first = TAILQ_FIRST(&t->observer.spare);
	unsigned unused;

	item->state = THROTTLE_ITEM_GONE;
	item->since_us = now_us;
	item->is_counted = false;
	limit_gone(t, item->cls, now_us);
	if (first == NULL) {
		/* More under way than the pool foresees: would have been refused long ago. */
		t->kinds[item->cls].submitted++;
		t->kinds[item->cls].refused_total++;
		return;
	}
	TAILQ_REMOVE(&t->observer.spare, first, link);
	*first = (struct throttle_item){
		.cls = item->cls,
		.client = item->client,
		.network = item->network,
		.bytes = item->bytes,
		.is_shadow = true,
	};
	item->shadow = shadow_of(first);
	item->shadow->real = item;
	if (engine_submit(t, first, now_us, &unused) == THROTTLE_REFUSED)
		give_back(t, item->shadow);
}

void observe_gone(struct throttle *t, struct throttle_item *item, int64_t now_us)
{
	struct shadow *s = shadow_of(item);

	if (s->real != NULL)
		return;
	s->end_us = now_us + s->latency_us;
	TAILQ_INSERT_TAIL(&t->observer.running, item, link);
}

void observe_dropped(struct throttle *t, struct throttle_item *item)
{
	give_back(t, shadow_of(item));
}

void observe_done(struct throttle *t, struct throttle_item *item, int64_t now_us,
		  int64_t latency_us)
{
	struct shadow *s = item->shadow;

	item->shadow = NULL;
	s->real = NULL;
	s->latency_us = latency_us;
	if (s->item.state != THROTTLE_ITEM_GONE)
		return; /* still held: observe_gone() goes on with it */
	engine_done(t, &s->item, now_us);
	give_back(t, s);
}

void observe_tick(struct throttle *t, int64_t now_us)
{
	struct throttle_item *item = TAILQ_FIRST(&t->observer.running);

	while (item != NULL) {
		struct throttle_item *next = TAILQ_NEXT(item, link);

		if (shadow_of(item)->end_us <= now_us) {
			TAILQ_REMOVE(&t->observer.running, item, link);
			engine_done(t, item, now_us);
			give_back(t, shadow_of(item));
		}
		item = next;
	}
}

void observe_stop(struct throttle *t, int64_t now_us)
{
	struct throttle_item *item;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		struct queue *q = &t->kinds[c].queue;

		/* Nothing but shadows is held while observing. */
		while ((item = TAILQ_FIRST(&q->by_age)) != NULL) {
			queue_remove(q, item);
			give_back(t, shadow_of(item));
		}
	}
	while ((item = TAILQ_FIRST(&t->observer.running)) != NULL) {
		TAILQ_REMOVE(&t->observer.running, item, link);
		engine_done(t, item, now_us);
		give_back(t, shadow_of(item));
	}
}
