#include "proxy/flush/flush_priv.h"

#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/base/siphash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define CLAIM_MAGIC 0x636c616du

static struct log_limit log_refused, log_no_raw, log_settle, log_fenced;

unsigned claim_room(const struct flush_shard *s)
{
	unsigned own = s->n_claims < FLUSH_SLOTS ? FLUSH_SLOTS - s->n_claims : 0;
	unsigned all = s->f->n_claims < FLUSH_SLOTS_ALL ? FLUSH_SLOTS_ALL - s->f->n_claims : 0;

	return own < all ? own : all;
}

static struct flush_claim *find(struct flush_shard *s, const struct claim *c)
{
	struct flush_claim *k;

	TAILQ_FOREACH (k, &s->f->claims, link)
		if (k->shard == s && k->c.seq == c->seq && k->c.sealed_ms == c->sealed_ms &&
		    slice_eq(k->c.client, c->client))
			return k;
	return NULL;
}

static struct slice copy_into(char **p, struct slice s)
{
	struct slice copy = slice_make(*p, s.n);

	if (s.n > 0)
		memcpy(*p, s.p, s.n);
	*p += s.n;
	return copy;
}

int claim_keep(struct flush_shard *s, const struct claim *c)
{
	struct flush_claim *k = find(s, c);
	size_t raw = s->f->conf->summary_form == FORM_EXEMPLAR ? c->raw.n : 0;
	char *p;

	if (k != NULL) {
		k->token = s->token;
		return -EEXIST;
	}
	if (claim_room(s) == 0)
		return -ENOSPC;
	k = malloc(sizeof(*k) + c->client.n + c->bits.n + c->extra.n + raw);
	if (k == NULL)
		return -ENOMEM;
	p = (char *)(k + 1);
	*k = (struct flush_claim){.magic = CLAIM_MAGIC, .shard = s, .c = *c, .token = s->token};
	k->c.client = copy_into(&p, c->client);
	k->c.bits = copy_into(&p, c->bits);
	k->c.extra = copy_into(&p, c->extra);
	k->c.raw = copy_into(&p, slice_make(c->raw.p, raw));
	k->names_generation = s->names_generation;
	/*
	 * Where Redis syncs every second: not posted before it is certainly on disk. That it
	 * was still there then, its answer to a later call tells.
	 */
	k->not_before_ms = clock_mono_ms() + s->f->conf->settle_wait_ms;
	if (s->f->conf->settle_wait_ms > 0)
		k->durable_ms = k->not_before_ms;
	TAILQ_INSERT_TAIL(&s->f->claims, k, link);
	s->n_claims++;
	s->n_fresh++;
	s->f->n_claims++;
	return 0;
}

static void forget(struct flush_claim *k)
{
	struct flush_shard *s = k->shard;

	TAILQ_REMOVE(&s->f->claims, k, link);
	s->n_claims--;
	s->n_fresh -= k->attempts == 0;
	s->f->n_claims--;
	strbuf_fini(&k->request);
	k->magic = 0;
	free(k);
}

void claim_forget_idle(struct flush_shard *s)
{
	struct flush_claim *k, *next;

	for (k = TAILQ_FIRST(&s->f->claims); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link);
		if (k->shard == s && k->state == CLAIM_READY)
			forget(k);
	}
}

bool claim_is_under_way(const struct flush_shard *s)
{
	const struct flush_claim *k;

	TAILQ_FOREACH (k, &s->f->claims, link)
		if (k->shard == s &&
		    (k->state != CLAIM_READY || (k->is_between && flush_may_post(s->f))))
			return true;
	return false;
}

void claim_fini(struct flush *f)
{
	struct flush_claim *k;

	while ((k = TAILQ_FIRST(&f->claims)) != NULL)
		forget(k);
}

/* Is the lease that it was read under still ours? */
static bool is_ours(const struct flush_claim *k)
{
	return k->shard->token != 0 && k->token == k->shard->token;
}

/*
 * 1 s, 2 s, ... 60 s, each by up to a quarter less: a share that follows from the
 * client and its sequence, so that those refused together do not come back together.
 */
static int64_t backoff_ms(const struct flush_claim *k)
{
	static const struct siphash_key key = {0x73746174, 0x77656972};
	unsigned doublings = k->attempts - 1;
	int64_t full = doublings < 6 ? INT64_C(1000) << doublings : FLUSH_BACKOFF_MAX_MS;
	uint64_t mix = siphash(&key, k->c.client) + k->c.seq * 7919 + k->attempts;

	if (full > FLUSH_BACKOFF_MAX_MS)
		full = FLUSH_BACKOFF_MAX_MS;
	return full - (int64_t)(mix % (uint64_t)(full / 4));
}

static struct summary_identity identity_of(const struct flush *f)
{
	struct summary_identity who = *f->who;

	/* The store may have been connected after the flusher was opened. */
	who.nonce = store_nonce(f->store);
	return who;
}

/* The name of every rule of it is known, or certainly unknown. Else the shard asks for them. */
static bool has_names(struct flush_claim *k)
{
	struct flush_shard *s = k->shard;

	/* Read after it was sealed: no more can be known. */
	if (s->names != NULL && s->names_generation != k->names_generation)
		return true;
	for (size_t r = 0; r < k->c.bits.n * 8; r++) {
		bool is_set = (unsigned char)k->c.bits.p[r / 8] >> (7 - r % 8) & 1;

		if (is_set && (r >= s->n_names || s->names[r].n == 0)) {
			s->wants_names = true;
			return false;
		}
	}
	return true;
}

/* An upstream that takes nothing at all is asked now and then, not for every summary. */
static int64_t pause_ms(const struct flush *f)
{
	unsigned doublings = f->failures - FLUSH_CAUTIOUS_AFTER;
	int64_t pause;

	if (f->failures < FLUSH_CAUTIOUS_AFTER)
		return 0;
	pause = doublings < 4 ? INT64_C(1000) << doublings : FLUSH_CAUTIOUS_MAX_MS;
	return pause < FLUSH_CAUTIOUS_MAX_MS ? pause : FLUSH_CAUTIOUS_MAX_MS;
}

static void refused(struct flush_claim *k, const char *why)
{
	struct flush *f = k->shard->f;

	k->shard->n_fresh -= k->attempts == 0;
	k->attempts++;
	k->is_between = false;
	k->state = CLAIM_READY;
	k->not_before_ms = clock_mono_ms() + backoff_ms(k);
	f->failures++;
	f->post_not_before_ms = clock_mono_ms() + pause_ms(f);
	/* The others first: one that is never taken must not be tried in their place. */
	TAILQ_REMOVE(&f->claims, k, link);
	TAILQ_INSERT_TAIL(&f->claims, k, link);
	log_limited(&log_refused, 5, LOG_WARN, "summary_not_acknowledged",
		    "shard=%u seq=%" PRIu64 " part=%u attempts=%u why=%s", k->shard->number,
		    k->c.seq, k->part + 1, k->attempts, why);
}

/* The upstream has it from us, but whoever has the lease now settles it. */
static void fenced(const struct flush_claim *k)
{
	metric_add(M_SUM_FENCED, 1);
	log_limited(&log_fenced, 5, LOG_WARN, "summary_fenced",
		    "shard=%u seq=%" PRIu64 " token=%" PRId64, k->shard->number, k->c.seq,
		    k->token);
}

static void on_settled(void *arg, enum store_rc rc, int64_t n)
{
	struct flush_claim *k = arg;
	struct flush_shard *s;
	struct flush *f;

	OBJ_CHECK(k, CLAIM_MAGIC);
	s = k->shard;
	f = s->f;
	f->n_calls--;
	FAILPOINT("settle_answered");
	if (rc == STORE_OK) {
		/* 0 after an unknown outcome: that one did it. */
		if (n > 0 || k->is_settle_unknown) {
			metric_add(M_SUM_DELIVERED, 1);
			metric_add(M_SUM_MESSAGES, (int64_t)k->c.count);
		}
		forget(k);
	} else if (!is_ours(k) || f->is_stopping) {
		if (rc == STORE_FENCED)
			fenced(k);
		forget(k); /* it is in the outbox, for whoever comes next */
	} else {
		log_limited(&log_settle, 5, LOG_WARN, "flush_store", "shard=%u call=settle rc=%s",
			    s->number, store_rc_name(rc));
		k->is_settle_unknown |= rc == STORE_UNKNOWN;
		k->state = CLAIM_POSTED;
		k->not_before_ms = clock_mono_ms() + FLUSH_RETRY_MS;
		/* A refusal may mean that another holds the shard. */
		s->renew_ms = clock_mono_ms();
	}
	flush_next(s);
}

static void settle(struct flush_claim *k)
{
	struct flush_shard *s = k->shard;

	k->state = CLAIM_SETTLING;
	s->f->n_calls++;
	store_settle(s->f->store, s->number, k->token, k->c.client, k->c.seq, k->c.sealed_ms,
		     on_settled, k);
	FAILPOINT("settle_send");
}

static void on_posted(void *arg, bool is_acknowledged, const char *why)
{
	struct flush_claim *k = arg;
	struct flush_shard *s;
	struct flush *f;

	OBJ_CHECK(k, CLAIM_MAGIC);
	CHECK(k->state == CLAIM_POSTING);
	s = k->shard;
	f = s->f;
	f->n_posting--;
	strbuf_fini(&k->request);
	k->state = CLAIM_READY;
	if (!is_acknowledged) {
		refused(k, why);
	} else {
		FAILPOINT("summary_acknowledged");
		f->failures = 0;
		f->post_not_before_ms = 0;
		k->part++;
		k->is_between = true;
		/* Settled even under a lost lease: the store decides by the token. */
		if (k->part >= k->n_parts)
			settle(k);
	}
	if (k->state == CLAIM_READY && (!is_ours(k) || f->is_stopping))
		forget(k);
	flush_next(s);
}

static void hand_over(struct flush_claim *k, struct slice request)
{
	struct flush *f = k->shard->f;

	if (k->attempts > 0)
		metric_add(M_SUM_RETRIED, 1);
	k->state = CLAIM_POSTING;
	f->n_posting++;
	FAILPOINT("summary_send");
	if (f->env->post(f->env->arg, request, k->id, on_posted, k) == 0)
		return;
	f->n_posting--;
	strbuf_fini(&k->request);
	refused(k, "no_memory");
}

static void post_status(struct flush_claim *k)
{
	struct flush_shard *s = k->shard;
	struct summary_identity who = identity_of(s->f);
	int rc = -ENOMEM;

	if (k->n_parts == 0)
		k->n_parts = summary_parts(&k->c, s->names, s->n_names);
	strbuf_init(&k->request, FLUSH_REQUEST_BYTES);
	if (k->n_parts > 0)
		rc = summary_write(&who, &k->c, s->names, s->n_names, k->part, &k->request, k->id);
	if (rc < 0) {
		strbuf_fini(&k->request);
		refused(k, "no_memory");
		return;
	}
	hand_over(k, strbuf_slice(&k->request));
}

static void post(struct flush_claim *k)
{
	if (k->shard->f->conf->summary_form == FORM_EXEMPLAR && k->c.raw.n > 0) {
		k->n_parts = 1;
		summary_find_id(k->c.raw, k->id, sizeof(k->id));
		hand_over(k, k->c.raw);
		return;
	}
	if (k->shard->f->conf->summary_form == FORM_EXEMPLAR)
		log_limited(&log_no_raw, 1, LOG_WARN, "summary_without_exemplar",
			    "shard=%u seq=%" PRIu64, k->shard->number, k->c.seq);
	if (has_names(k))
		post_status(k);
}

static unsigned ones(struct slice bits)
{
	unsigned n = 0;

	for (size_t i = 0; i < bits.n; i++)
		n += (unsigned)__builtin_popcount((unsigned char)bits.p[i]);
	return n;
}

/* The form log. The client stands in it: with this form the log is where summaries go. */
static void write_log(struct flush_claim *k)
{
	struct summary_identity who = identity_of(k->shard->f);
	char client[256], window[39], first[24], last[24];

	summary_window_id(&who, &k->c, window);
	clock_format_utc(k->c.first_ms, first, sizeof(first));
	clock_format_utc(k->c.last_ms, last, sizeof(last));
	log_line(LOG_INFO, "summary",
		 "window=%s client=%s seq=%" PRIu64 " messages=%" PRIu64
		 " rules=%u first=%s last=%s",
		 window, log_escape(k->c.client, client, sizeof(client)), k->c.seq, k->c.count,
		 ones(k->c.bits), first, last);
}

static void advance(struct flush_claim *k)
{
	struct flush *f = k->shard->f;
	unsigned limit =
		f->failures >= FLUSH_CAUTIOUS_AFTER ? 1 : (unsigned)f->conf->summary_concurrency;

	if (k->state == CLAIM_POSTED) {
		settle(k);
		return;
	}
	if (k->state != CLAIM_READY || f->is_stopping || !is_ours(k))
		return;
	if (!shard_is_remembered(k->shard))
		return;
	if (k->durable_ms > k->shard->confirmed_ms) {
		k->shard->renew_ms = clock_mono_ms();
		return;
	}
	/* A successor begins with the first part: where posts are slow, it would never end. */
	if (k->shard->is_yielding && !k->is_between)
		return;
	if (f->conf->summary_form == FORM_LOG) {
		write_log(k);
		settle(k);
		return;
	}
	if (f->n_posting < limit && clock_mono_ms() >= f->post_not_before_ms &&
	    shard_may_post(k->shard) && flush_may_post(f))
		post(k);
}

static void pump(struct flush *f, bool is_fresh)
{
	int64_t now = clock_mono_ms();
	struct flush_claim *k, *next;

	for (k = TAILQ_FIRST(&f->claims); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link);
		if ((k->attempts == 0) == is_fresh && now >= k->not_before_ms)
			advance(k);
	}
}

void claim_pump(struct flush *f)
{
	/* Where few may be tried: first those that nothing speaks against. */
	pump(f, true);
	pump(f, false);
}
