#include "proxy/flush/flush_priv.h"

#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* More names than this are not kept: the rules then stand by their numbers. */
#define NAMES_MAX 65536u

static struct log_limit log_trouble, log_memory;

static void begin_call(struct flush_shard *s)
{
	s->is_calling = true;
	s->f->n_calls++;
}

static struct flush_shard *end_call(void *arg)
{
	struct flush_shard *s = arg;

	OBJ_CHECK(s, FLUSH_SHARD_MAGIC);
	CHECK(s->is_calling);
	s->is_calling = false;
	s->f->n_calls--;
	return s;
}

static void trouble(struct flush_shard *s, const char *call, enum store_rc rc)
{
	log_limited(&log_trouble, 5, LOG_WARN, "flush_store", "shard=%u call=%s rc=%s", s->number,
		    call, store_rc_name(rc));
	shard_recheck(s);
}

static void forget_names(struct flush_shard *s)
{
	free(s->names);
	s->names = NULL;
	s->n_names = 0;
}

void shard_fini(struct flush_shard *s)
{
	forget_names(s);
	if (s->token != 0)
		metric_add(M_LEASES, -1);
	s->token = 0;
	s->magic = 0;
}

void shard_lose(struct flush_shard *s)
{
	if (s->token == 0)
		return;
	s->token = 0;
	s->is_yielding = false;
	metric_add(M_LEASES, -1);
	claim_forget_idle(s);
	forget_names(s);
}

void shard_recheck(struct flush_shard *s)
{
	s->renew_ms = clock_mono_ms();
	s->not_before_ms = clock_mono_ms() + FLUSH_RETRY_MS;
	s->phase = PHASE_OUTBOX;
}

bool shard_may_post(const struct flush_shard *s)
{
	const struct conf *conf = s->f->conf;
	int64_t need = conf->up_connect_timeout_ms + conf->up_first_byte_ms;

	/*
	 * A time-out may be longer than any lease. Then the lease only keeps two holders
	 * from posting at once as a rule; that it is the same ID keeps them from counting twice.
	 */
	if (need > FLUSH_LEFT_MAX_MS)
		need = FLUSH_LEFT_MAX_MS;
	return s->token != 0 && s->lease_until_ms - clock_mono_ms() > need;
}

bool shard_is_remembered(const struct flush_shard *s)
{
	return s->generation == store_generation(s->f->store);
}

static void gain(struct flush_shard *s, int64_t token)
{
	shard_lose(s);
	/* It grows by one where nobody had the shard in between. */
	if (s->last_token != 0 && token > s->last_token + 1)
		share_met(s->f);
	s->token = s->last_token = token;
	s->generation = store_generation(s->f->store);
	s->gained_ms = s->lease_sent_ms;
	s->phase = PHASE_OUTBOX;
	s->not_before_ms = 0;
	metric_add(M_LEASES, 1);
}

static void on_lease(void *arg, enum store_rc rc, int64_t n)
{
	struct flush_shard *s = end_call(arg);

	if (rc != STORE_OK) {
		/* A lease that is held is held until it ends. */
		log_limited(&log_trouble, 5, LOG_WARN, "flush_store", "shard=%u call=lease rc=%s",
			    s->number, store_rc_name(rc));
		s->renew_ms = clock_mono_ms() + FLUSH_RETRY_MS;
		if (s->token == 0)
			s->not_before_ms = clock_mono_ms() + FLUSH_RETRY_MS;
		return;
	}
	if (n <= 0) {
		if (s->token != 0)
			log_line(LOG_WARN, "flush_lease_lost", "shard=%u", s->number);
		shard_lose(s);
		share_met(s->f);
		s->not_before_ms = clock_mono_ms() + FLUSH_TAKEN_MS;
		return;
	}
	if (n != s->token)
		gain(s, n);
	/* From when it was asked for: the answer may have been on its way for long. */
	s->lease_until_ms = s->lease_sent_ms + FLUSH_TTL_MS;
	s->renew_ms = s->lease_sent_ms + FLUSH_RENEW_MS;
	s->confirmed_ms = s->lease_sent_ms;
	flush_next(s);
}

static void call_lease(struct flush_shard *s)
{
	s->lease_sent_ms = clock_mono_ms();
	begin_call(s);
	store_lease(s->f->store, s->number, s->f->owner, FLUSH_TTL_MS, on_lease, s);
}

static void on_release(void *arg, enum store_rc rc, int64_t n)
{
	struct flush_shard *s = end_call(arg);

	/* Whatever the answer: what was not given back ends by itself. */
	(void)rc;
	(void)n;
	if (s->is_yielding)
		s->not_before_ms = clock_mono_ms() + FLUSH_YIELD_MS;
	shard_lose(s);
}

/* Keep what was read; true if all of it is in memory now. */
static bool keep_all(struct flush_shard *s, const struct claim *v, unsigned n)
{
	bool is_all = true;

	for (unsigned i = 0; i < n; i++) {
		int rc = claim_keep(s, &v[i]);

		if (rc == 0 || rc == -EEXIST)
			continue;
		is_all = false;
		if (rc == -ENOMEM)
			log_limited(&log_memory, 1, LOG_ERROR, "flush_no_memory", "shard=%u",
				    s->number);
	}
	return is_all;
}

static void on_outbox(void *arg, enum store_rc rc, const struct claim *v, unsigned n)
{
	struct flush_shard *s = end_call(arg);

	if (rc != STORE_OK) {
		trouble(s, "outbox", rc);
		return;
	}
	if (s->token == 0 || s->phase != PHASE_OUTBOX || s->f->is_stopping)
		return;
	share_took(s, n);
	if (keep_all(s, v, n) && n < FLUSH_SLOTS)
		s->phase = PHASE_SEAL;
	else
		s->not_before_ms = clock_mono_ms() + FLUSH_RETRY_MS / 10;
	flush_next(s);
}

static void on_seal(void *arg, enum store_rc rc, const struct claim *v, unsigned n)
{
	struct flush_shard *s = end_call(arg);

	if (rc != STORE_OK) {
		trouble(s, "seal", rc);
		return;
	}
	if (n > 0)
		FAILPOINT("seal_answered");
	metric_add(M_SUM_SEALED, n);
	share_took(s, n);
	if (s->token == 0 || s->f->is_stopping)
		return; /* they are in the outbox */
	if (!keep_all(s, v, n))
		s->phase = PHASE_OUTBOX;
	else if (n == 0 && s->phase == PHASE_SEAL)
		s->phase = PHASE_ROTATE;
	flush_next(s);
}

static void on_rotate(void *arg, enum store_rc rc, int64_t n)
{
	struct flush_shard *s = end_call(arg);

	(void)n;
	if (rc != STORE_OK)
		trouble(s, "rotate", rc);
	else if (s->phase == PHASE_ROTATE)
		s->phase = PHASE_DRAIN;
	flush_next(s);
}

/* One block: the slices, then their bytes. */
static struct slice *copy_names(const struct slice *names, unsigned n)
{
	size_t bytes = 0;
	struct slice *copy;
	char *p;

	for (unsigned i = 0; i < n; i++)
		bytes += names[i].n;
	copy = malloc(n * sizeof(*copy) + bytes + 1);
	if (copy == NULL)
		return NULL;
	p = (char *)(copy + n);
	for (unsigned i = 0; i < n; i++) {
		copy[i] = slice_make(p, names[i].n);
		if (names[i].n > 0)
			memcpy(p, names[i].p, names[i].n);
		p += names[i].n;
	}
	return copy;
}

static void on_names(void *arg, enum store_rc rc, const struct slice *names, unsigned n)
{
	struct flush_shard *s = end_call(arg);
	struct slice *copy;

	if (rc != STORE_OK) {
		trouble(s, "rules", rc);
		return;
	}
	if (n > NAMES_MAX)
		n = NAMES_MAX;
	copy = copy_names(names, n);
	if (copy == NULL) {
		s->not_before_ms = clock_mono_ms() + FLUSH_RETRY_MS;
		return;
	}
	free(s->names);
	s->names = copy;
	s->n_names = n;
	s->names_generation++;
	s->wants_names = false;
	flush_next(s);
}

/* Everything is sealed and settled, or we are to stop or to yield: the next one may have it. */
static void release(struct flush_shard *s)
{
	s->is_wanted = s->is_yielding;
	begin_call(s);
	store_release(s->f->store, s->number, s->f->owner, on_release, s);
}

static void seal(struct flush_shard *s)
{
	unsigned room = claim_room(s);

	/* In large bites, but never wait for those that the upstream does not want. */
	if (room == 0 || s->n_fresh > FLUSH_SLOTS / 4)
		return;
	begin_call(s);
	store_seal(s->f->store, s->number, s->token, room, s->before_ms, on_seal, s);
}

/* Held for long enough: what is under way ends, then somebody else may go on. */
static void yield(struct flush_shard *s)
{
	s->is_yielding = true;
	if (claim_is_under_way(s))
		return;
	claim_forget_idle(s);
	release(s);
}

static void step_phase(struct flush_shard *s)
{
	struct flush *f = s->f;

	switch (s->phase) {
	case PHASE_OUTBOX:
		if (claim_room(s) == 0)
			return;
		begin_call(s);
		store_outbox(f->store, s->number, FLUSH_SLOTS, on_outbox, s);
		return;
	case PHASE_SEAL:
		if (flush_may_post(f))
			seal(s);
		return;
	case PHASE_ROTATE:
		begin_call(s);
		store_rotate(f->store, s->number, s->token, on_rotate, s);
		return;
	case PHASE_DRAIN:
		if (s->n_claims == 0)
			release(s);
		return;
	}
	UNREACHABLE("shard phase");
}

void shard_step(struct flush_shard *s)
{
	struct flush *f = s->f;
	int64_t now = clock_mono_ms();

	if (s->is_calling)
		return;
	if (s->token != 0 && now >= s->lease_until_ms) {
		log_line(LOG_WARN, "flush_lease_expired", "shard=%u", s->number);
		shard_lose(s);
	}
	/* Summaries in memory may be none in Redis any more, nor the lease ours. */
	if (!shard_is_remembered(s))
		shard_lose(s);
	if (s->token == 0) {
		if (s->is_wanted && !f->is_stopping && now >= s->not_before_ms &&
		    store_nonce(f->store)[0] != '\0' && flush_may_post(f))
			call_lease(s);
		return;
	}
	if (f->is_stopping && s->n_claims == 0) {
		release(s);
		return;
	}
	if (now >= s->renew_ms) {
		call_lease(s);
		return;
	}
	if (f->is_stopping)
		return;
	if (s->is_yielding || share_is_over(s)) {
		yield(s);
		return;
	}
	if (now < s->not_before_ms)
		return;
	if (s->wants_names) {
		begin_call(s);
		store_rules(f->store, s->number, on_names, s);
		return;
	}
	step_phase(s);
}
