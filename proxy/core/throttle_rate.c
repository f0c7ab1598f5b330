/* Rates: of a class, of a client or network, and as measured. */
#include "proxy/core/throttle_priv.h"

#include <errno.h>
#include <stdlib.h>

void bucket_set(struct bucket *b, double rate, double burst)
{
	if (b->rate <= 0 || b->tokens > burst)
		b->tokens = burst;
	b->rate = rate;
	b->burst = burst;
}

/* Half a rounding error must not cost a turn. */
#define NEARLY_ONE 0.999999

bool bucket_has(struct bucket *b, int64_t now_us)
{
	if (b->rate <= 0)
		return true;
	if (now_us > b->at_us) {
		b->tokens += (double)(now_us - b->at_us) * b->rate / US_PER_S;
		if (b->tokens > b->burst)
			b->tokens = b->burst;
		b->at_us = now_us;
	}
	return b->tokens >= NEARLY_ONE;
}

void bucket_take(struct bucket *b)
{
	if (b->rate > 0)
		b->tokens -= 1;
}

int64_t bucket_next_us(const struct bucket *b, int64_t now_us)
{
	int64_t at;

	if (b->rate <= 0 || b->tokens >= NEARLY_ONE)
		return now_us;
	at = b->at_us + (int64_t)((1 - b->tokens) / b->rate * US_PER_S);
	return at > now_us ? at : now_us;
}

int keyed_set(struct keyed_rate *k, double rate, double burst)
{
	if (rate > 0 && k->slots == NULL) {
		k->slots = calloc((size_t)KEYED_SETS * KEYED_WAYS, sizeof(*k->slots));
		if (k->slots == NULL)
			return -ENOMEM;
	}
	k->rate = rate;
	k->burst = burst;
	return 0;
}

void keyed_fini(struct keyed_rate *k)
{
	free(k->slots);
	k->slots = NULL;
}

static struct keyed_slot *set_of(const struct keyed_rate *k, uint64_t key)
{
	return &k->slots[(key >> 20) % KEYED_SETS * KEYED_WAYS];
}

static struct keyed_slot *find(const struct keyed_rate *k, uint64_t key)
{
	struct keyed_slot *set = set_of(k, key);

	for (unsigned i = 0; i < KEYED_WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

int64_t keyed_next_us(const struct keyed_rate *k, uint64_t key, int64_t now_us)
{
	const struct keyed_slot *s;

	if (k->rate <= 0 || key == 0)
		return now_us;
	s = find(k, key);
	if (s == NULL)
		return now_us;
	return s->tat_us - (int64_t)((k->burst - 1) / k->rate * US_PER_S);
}

void keyed_take(struct keyed_rate *k, uint64_t key, int64_t now_us)
{
	struct keyed_slot *s;

	if (k->rate <= 0 || key == 0)
		return;
	s = find(k, key);
	if (s == NULL) {
		struct keyed_slot *set = set_of(k, key);

		s = set;
		for (unsigned i = 1; i < KEYED_WAYS; i++)
			if (set[i].tat_us < s->tat_us)
				s = &set[i];
		if (s->tat_us > now_us)
			k->n_evictions++;
		*s = (struct keyed_slot){.key = key, .tat_us = now_us};
	}
	if (s->tat_us < now_us)
		s->tat_us = now_us;
	s->tat_us += (int64_t)(US_PER_S / k->rate);
}

/* Time constants of the smoothing. */
#define METER_US       (3 * US_PER_S)
#define METER_QUICK_US US_PER_S
/* Shorter spans say too little. */
#define METER_STEP_US (US_PER_S / 4)

void meter_tick(struct meter *m, int64_t now_us)
{
	int64_t span = now_us - m->at_us;
	double now;

	if (m->at_us == 0)
		m->at_us = now_us;
	if (m->at_us == now_us || span < METER_STEP_US)
		return;
	now = (double)m->n * US_PER_S / (double)span;
	m->rate += (now - m->rate) * (double)span / (double)(span + METER_US);
	m->quick += (now - m->quick) * (double)span / (double)(span + METER_QUICK_US);
	m->n = 0;
	m->at_us = now_us;
}
