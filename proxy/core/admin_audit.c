#include "proxy/core/admin_priv.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define PERIOD_MS 10000
/* Until the first recount has succeeded. */
#define FIRST_MS 1000
/* A recount may take this share of the time at most. */
#define IDLE_FACTOR 10

static void on_audited(void *arg, enum store_rc rc, const struct audit *v);

static void ask(struct admin *a)
{
	store_audit(a->env.store, a->audit.shard, on_audited, a);
}

uint64_t admin_audit_begin(struct admin *a)
{
	struct admin_audit *u = &a->audit;

	if (u->is_running) {
		/* Its shards were counted before: another one follows. */
		u->next_ms = 0;
		return u->run + 1;
	}
	u->is_running = true;
	u->run++;
	u->shard = 0;
	u->sum = (struct audit){0};
	u->started_ms = clock_mono_ms();
	ask(a);
	return u->run;
}

static void end_run(struct admin *a, bool is_good)
{
	struct admin_audit *u = &a->audit;
	int64_t now = clock_mono_ms();
	int64_t pause_ms = (now - u->started_ms) * IDLE_FACTOR;

	u->is_running = false;
	u->has_failed = !is_good;
	if (is_good) {
		u->total = u->sum;
		u->has_total = true;
		u->total_at_ms = clock_wall_ms();
	}
	if (pause_ms < PERIOD_MS)
		pause_ms = u->has_total ? PERIOD_MS : FIRST_MS;
	/* 0: somebody waits for the next one. */
	if (u->next_ms != 0)
		u->next_ms = now + pause_ms;
	admin_audit_ended(a);
}

static void warn_of_imbalance(const struct audit *v, unsigned shard)
{
	static struct log_limit limit;
	int64_t pending = v->pending_open + v->pending_outbox;

	if (v->absorbed != v->settled + pending)
		log_limited(&limit, 2, LOG_ERROR, "ledger_imbalance",
			    "shard=%u absorbed=%" PRId64 " summarised=%" PRId64 " pending=%" PRId64
			    " hint=\"was data in Redis removed or restored? see /ledger\"",
			    shard, v->absorbed, v->settled, pending);
}

static void on_audited(void *arg, enum store_rc rc, const struct audit *v)
{
	struct admin *a = arg;
	struct admin_audit *u = &a->audit;

	OBJ_CHECK(a, ADMIN_MAGIC);
	clock_touch();
	if (a->is_closed) {
		a->magic = 0;
		free(a);
		return;
	}
	if (rc != STORE_OK) {
		end_run(a, false);
		return;
	}
	warn_of_imbalance(v, u->shard);
	u->sum.absorbed += v->absorbed;
	u->sum.sealed += v->sealed;
	u->sum.settled += v->settled;
	u->sum.pending_open += v->pending_open;
	u->sum.pending_outbox += v->pending_outbox;
	u->sum.clients += v->clients;
	u->sum.rules += v->rules;
	if (++u->shard < store_n_shards(a->env.store))
		ask(a);
	else
		end_run(a, true);
}

void admin_audit_tick(struct admin *a)
{
	struct admin_audit *u = &a->audit;

	if (u->is_running || clock_mono_ms() < u->next_ms)
		return;
	u->next_ms = clock_mono_ms() + FIRST_MS;
	if (store_is_ready(a->env.store)) {
		admin_audit_begin(a);
	} else if (!STAILQ_EMPTY(&a->waiters)) {
		u->run++;
		u->has_failed = true;
		admin_audit_ended(a);
	}
}
