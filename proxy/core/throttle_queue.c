/*
 * The queue of one class: deficit round robin over buckets of clients (Shreedhar and
 * Varghese, 1995; McKenney's stochastic fair queueing). A client's second message waits
 * until every other client that waits has had a turn.
 */
#include "proxy/core/throttle_priv.h"

/* So many bytes cost as much as one more message, up to COST_MAX messages. */
#define COST_BYTES 16384
#define COST_MAX   8.0

void queue_init(struct queue *q)
{
	TAILQ_INIT(&q->ring);
	TAILQ_INIT(&q->sleepers);
	TAILQ_INIT(&q->by_age);
	for (unsigned i = 0; i < THROTTLE_FLOWS; i++)
		TAILQ_INIT(&q->flows[i].items);
}

struct flow *queue_flow(struct queue *q, uint64_t client)
{
	return &q->flows[client % THROTTLE_FLOWS];
}

static double cost(const struct throttle_item *item)
{
	double c = 1 + (double)item->bytes / COST_BYTES;

	return c < COST_MAX ? c : COST_MAX;
}

static void flow_stop(struct queue *q, struct flow *f)
{
	if (f->state == FLOW_ACTIVE)
		TAILQ_REMOVE(&q->ring, f, link);
	else if (f->state == FLOW_SLEEPING)
		TAILQ_REMOVE(&q->sleepers, f, link);
	f->state = FLOW_IDLE;
}

static void flow_start(struct queue *q, struct flow *f)
{
	flow_stop(q, f);
	f->state = FLOW_ACTIVE;
	TAILQ_INSERT_TAIL(&q->ring, f, link);
}

void queue_push(struct queue *q, struct throttle_item *item)
{
	struct flow *f = queue_flow(q, item->client);

	if (f->n == 0) {
		f->deficit = 0;
		flow_start(q, f);
	}
	TAILQ_INSERT_TAIL(&f->items, item, link);
	TAILQ_INSERT_TAIL(&q->by_age, item, age_link);
	f->n++;
	f->bytes += item->bytes;
	q->n++;
	q->bytes += item->bytes;
}

void queue_remove(struct queue *q, struct throttle_item *item)
{
	struct flow *f = queue_flow(q, item->client);

	TAILQ_REMOVE(&f->items, item, link);
	TAILQ_REMOVE(&q->by_age, item, age_link);
	f->n--;
	f->bytes -= item->bytes;
	q->n--;
	q->bytes -= item->bytes;
	if (f->n == 0)
		flow_stop(q, f);
}

struct throttle_item *queue_peek(struct queue *q)
{
	struct flow *f;

	while ((f = TAILQ_FIRST(&q->ring)) != NULL && f->deficit <= 0) {
		f->deficit += 1;
		if (f->deficit > 0)
			break;
		TAILQ_REMOVE(&q->ring, f, link);
		TAILQ_INSERT_TAIL(&q->ring, f, link);
	}
	return f == NULL ? NULL : TAILQ_FIRST(&f->items);
}

void queue_take(struct queue *q, struct throttle_item *item)
{
	struct flow *f = queue_flow(q, item->client);

	/* A large one is paid for in the rounds after it. */
	f->deficit -= cost(item);
	queue_remove(q, item);
	if (f->state == FLOW_ACTIVE && f->deficit <= 0)
		flow_start(q, f);
}

void queue_sleep(struct queue *q, struct throttle_item *item, int64_t until_us)
{
	struct flow *f = queue_flow(q, item->client);

	flow_stop(q, f);
	f->state = FLOW_SLEEPING;
	f->until_us = until_us;
	TAILQ_INSERT_TAIL(&q->sleepers, f, link);
}

void queue_rouse(struct queue *q, struct throttle_item *item)
{
	struct flow *f = queue_flow(q, item->client);

	if (f->state == FLOW_SLEEPING)
		flow_start(q, f);
}

bool queue_is_before(struct queue *q, const struct throttle_item *item)
{
	return queue_flow(q, item->client)->state == FLOW_ACTIVE;
}

void queue_wake(struct queue *q, int64_t now_us)
{
	struct flow *f = TAILQ_FIRST(&q->sleepers);

	while (f != NULL) {
		struct flow *next = TAILQ_NEXT(f, link);

		if (f->until_us <= now_us)
			flow_start(q, f);
		f = next;
	}
}

bool queue_has_room(const struct queue *q, size_t bytes)
{
	return q->n < q->max_n && bytes <= q->max_bytes && q->bytes <= q->max_bytes - bytes;
}

struct throttle_item *queue_victim(struct queue *q, uint64_t client, size_t bytes)
{
	const struct flow *mine = queue_flow(q, client);
	struct flow *most = NULL;
	bool by_count = q->n >= q->max_n;

	if (bytes > q->max_bytes || q->max_n == 0)
		return NULL;
	for (unsigned i = 0; i < THROTTLE_FLOWS; i++) {
		struct flow *f = &q->flows[i];

		if (f->n > 0 &&
		    (most == NULL || (by_count ? f->n > most->n : f->bytes > most->bytes)))
			most = f;
	}
	if (most == NULL || most == mine)
		return NULL;
	if (by_count ? most->n <= mine->n + 1 : most->bytes <= mine->bytes + bytes)
		return NULL;
	return TAILQ_LAST(&most->items, item_list);
}
