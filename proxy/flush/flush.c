#include "proxy/flush/flush_priv.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The newest due time of a shard that is not after wall_ms. Due times are multiples of
 * the interval plus a share of it: the same for every worker and instance, so that who
 * comes second finds nothing older to seal, and spread, so that the upstream sees a
 * steady trickle.
 */
static int64_t last_due(const struct flush_shard *s, int64_t wall_ms)
{
	int64_t interval = s->f->conf->interval_ms;
	int64_t phase = interval * s->number / s->f->n_shards;

	return (wall_ms - phase) / interval * interval + phase;
}

static void want_flush(struct flush_shard *s, int64_t before_ms)
{
	s->is_wanted = true;
	s->before_ms = before_ms;
	/* From the outbox on: a claim that is in nobody's memory would block its client. */
	s->phase = PHASE_OUTBOX;
}

static void check_due(struct flush_shard *s)
{
	int64_t now = clock_wall_ms(), interval = s->f->conf->interval_ms;

	/* The second case: the clock was set back. */
	if (now < s->due_wall_ms && s->due_wall_ms - now <= interval)
		return;
	want_flush(s, last_due(s, now));
	s->due_wall_ms = s->before_ms + interval;
	share_due(s);
}

int flush_open(struct flush **out, struct store *store, const struct conf *conf,
	       const struct summary_identity *who, const struct flush_env *env, const char *owner)
{
	struct flush *f = calloc(1, sizeof(*f));

	*out = NULL;
	if (f == NULL)
		return -ENOMEM;
	f->store = store;
	f->conf = conf;
	f->who = who;
	f->env = env;
	f->n_shards = store_n_shards(store);
	f->may_post_checked_ms = INT64_MIN;
	TAILQ_INIT(&f->claims);
	f->owner = strdup(owner);
	f->shards = calloc(f->n_shards, sizeof(*f->shards));
	if (f->owner == NULL || f->shards == NULL) {
		flush_close(f);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < f->n_shards; i++) {
		f->shards[i].magic = FLUSH_SHARD_MAGIC;
		f->shards[i].f = f;
		f->shards[i].number = i;
		/* Due at once: somebody may have died with its outbox full. */
		f->shards[i].due_wall_ms = last_due(&f->shards[i], clock_wall_ms());
	}
	*out = f;
	return 0;
}

void flush_close(struct flush *f)
{
	if (f == NULL)
		return;
	claim_fini(f);
	for (unsigned i = 0; f->shards != NULL && i < f->n_shards; i++)
		shard_fini(&f->shards[i]);
	free(f->shards);
	free(f->owner);
	free(f);
}

bool flush_may_post(struct flush *f)
{
	int64_t now = clock_mono_ms();

	if (f->conf->summary_form == FORM_LOG)
		return true;
	if (f->may_post_checked_ms == INT64_MIN || now - f->may_post_checked_ms >= FLUSH_RETRY_MS) {
		f->may_post_checked_ms = now;
		f->may_post = f->env->may_post(f->env->arg);
	}
	return f->may_post;
}

void flush_next(struct flush_shard *s)
{
	/* While stopping only by the tick: an answer may come from a store being closed. */
	if (s->f->is_stopping)
		return;
	shard_step(s);
	claim_pump(s->f);
}

void flush_tick(struct flush *f)
{
	for (unsigned i = 0; i < f->n_shards; i++) {
		if (!f->is_stopping)
			check_due(&f->shards[i]);
		shard_step(&f->shards[i]);
	}
	claim_pump(f);
}

void flush_now(struct flush *f)
{
	if (f->is_stopping)
		return;
	for (unsigned i = 0; i < f->n_shards; i++) {
		/* Messages of this very millisecond too. */
		want_flush(&f->shards[i], clock_wall_ms() + 1);
		f->shards[i].not_before_ms = 0;
		shard_step(&f->shards[i]);
	}
}

void flush_stop(struct flush *f)
{
	if (f->is_stopping)
		return;
	f->is_stopping = true;
	for (unsigned i = 0; i < f->n_shards; i++) {
		claim_forget_idle(&f->shards[i]);
		shard_step(&f->shards[i]);
	}
}

bool flush_is_idle(const struct flush *f)
{
	if (f->n_claims > 0 || f->n_calls > 0)
		return false;
	for (unsigned i = 0; i < f->n_shards; i++)
		if (f->shards[i].token != 0)
			return false;
	return true;
}
