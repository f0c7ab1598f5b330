/*
 * Whose turn it is: several flushers on one Redis share the shards without knowing of
 * each other. A shard is offered to all of them at the same due time, and whoever had
 * much lately waits longer before it asks. That somebody else is there shows by a lease
 * that is taken, or by a token that has grown by more than our own coming back.
 */
#include "proxy/flush/flush_priv.h"

#include "proxy/base/clock.h"
#include "proxy/base/siphash.h"

#define SHARE_ONE 1024

void share_due(struct flush_shard *s)
{
	struct flush *f = s->f;

	/* Of rounds that never end, 8 in all: so long is the memory, in due times. */
	f->share -= f->share / 8;
	s->is_shared = false;
	if (s->token == 0)
		s->not_before_ms = clock_mono_ms() + share_wait_ms(s);
}

void share_met(struct flush *f)
{
	f->met_until_ms = clock_mono_ms() + 2 * f->conf->interval_ms + FLUSH_TTL_MS;
}

static bool has_company(const struct flush *f)
{
	return clock_mono_ms() < f->met_until_ms;
}

void share_took(struct flush_shard *s, unsigned n)
{
	if (n == 0 || s->is_shared)
		return;
	s->is_shared = true;
	s->f->share += SHARE_ONE;
}

static unsigned n_held(const struct flush *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_shards; i++)
		n += f->shards[i].token != 0;
	return n;
}

int64_t share_wait_ms(const struct flush_shard *s)
{
	static const struct siphash_key key = {0x73686172, 0x65};
	const struct flush *f = s->f;
	uint64_t mix = siphash(&key, slice_str(f->owner));
	int64_t wait;

	if (!has_company(f))
		return 0;
	wait = (int64_t)f->share * FLUSH_SHARE_STEP_MS / SHARE_ONE +
	       (int64_t)n_held(f) * FLUSH_SHARE_STEP_MS;
	/* Perhaps it is only we who cannot reach the upstream. */
	if (f->failures >= FLUSH_CAUTIOUS_AFTER || wait > FLUSH_SHARE_MAX_MS)
		wait = FLUSH_SHARE_MAX_MS;
	/* Ticks of two flushers keep their distance: the same one would always be first. */
	mix += s->number * UINT64_C(7919) + (uint64_t)(s->due_wall_ms / f->conf->interval_ms) * 31;
	return wait + (int64_t)(mix * UINT64_C(0x9e3779b97f4a7c15) >> 32) % FLUSH_SHARE_JITTER_MS;
}

bool share_is_over(const struct flush_shard *s)
{
	/* Somebody who came later cannot be seen by one who never lets go. */
	int64_t limit = has_company(s->f) ? FLUSH_HOLD_MS : FLUSH_HOLD_ALONE_MS;

	if (limit < s->f->conf->interval_ms)
		limit = s->f->conf->interval_ms;
	return clock_mono_ms() - s->gained_ms >= limit;
}
