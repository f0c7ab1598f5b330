#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/metrics.h"
#include "proxy/base/siphash.h"
#include "proxy/store/resp.h"
#include "proxy/store/store_impl.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CALL_RECORDS 512
/* Requests may travel along with records: a call ends when it is this large. */
#define CALL_BYTES ((size_t)1 << 20)
/* A call carries one first and one last time: its records lie that close together. */
#define CALL_SPAN_MS 1000
#define MAX_PREFIX   64
/* A round that carried one: one client after the other, no flood. */
#define LINGER_RECORDS 2

const char *store_rc_name(enum store_rc rc)
{
	switch (rc) {
	case STORE_OK:
		return "ok";
	case STORE_REFUSED:
		return "refused";
	case STORE_UNKNOWN:
		return "unknown";
	case STORE_FENCED:
		return "fenced";
	}
	UNREACHABLE("store_rc");
}

uint64_t record_digest(struct slice message_id)
{
	/* "statweir" and "message1" as big-endian numbers; part of the data, never changed. */
	static const struct siphash_key key = {0x7374617477656972u, 0x6d65737361676531u};

	return siphash(&key, message_id);
}

/* --- rounds ------------------------------------------------------------------------- */

bool store_is_fit(const struct store *s)
{
	return !s->is_closing && link_is_up(s->link) && s->is_durable && s->is_ours;
}

bool store_may_absorb(const struct store *s)
{
	return store_is_fit(s) && !store_journal_is_restoring(s);
}

void store_kick(struct store *s)
{
	event_active(s->kick, EV_TIMEOUT, 0);
}

static void count_pending(struct store *s, int64_t n)
{
	s->n_pending += n;
	metric_set(M_STORE_PENDING, s->n_pending);
}

static void answer(struct store *s, struct record *r, enum store_rc rc)
{
	count_pending(s, -1);
	r->done(r, rc);
}

/* Which of a call's records were new Redis does not say, only how many. */
static void count_recorded(struct store *s, const struct record *r, bool is_acknowledged)
{
	enum metric m = M_ABSORBED_DUPLICATE;

	if (r->is_seen_only)
		return;
	if (s->n_new > 0) {
		s->n_new--;
		m = M_ABSORBED_UNIQUE;
	} else {
		s->n_repeated--;
	}
	if (is_acknowledged)
		metric_add(m, 1);
}

/* With a journal: answered when both have spoken. What the journal has is not forwarded. */
static void settle(struct store *s, struct record *r)
{
	if (!r->is_answered || !r->is_synced)
		return;
	if (r->is_recorded) {
		count_recorded(s, r, !r->is_lost);
	} else if (!r->is_lost) {
		metric_add(M_ABSORBED_JOURNAL, !r->is_seen_only);
		store_journal_left(s);
	}
	answer(s, r, r->is_lost ? STORE_UNKNOWN : STORE_OK);
}

void store_record_synced(struct store *s, struct record *r, bool is_on_disk)
{
	r->is_synced = true;
	r->is_lost = !is_on_disk;
	settle(s, r);
}

/* Redis has spoken of r. */
static void redis_answered(struct store *s, struct record *r, enum store_rc rc)
{
	if (s->journal == NULL) {
		if (rc == STORE_OK)
			count_recorded(s, r, true);
		answer(s, r, rc);
		return;
	}
	r->is_answered = true;
	r->is_recorded = rc == STORE_OK;
	if (r->is_recorded)
		store_journal_recorded(s, r);
	settle(s, r);
}

/* All of a list, which nobody else may reach meanwhile: done() may add again. */
static void redis_answered_all(struct store *s, struct record_list *list, enum store_rc rc)
{
	struct record *r;

	while ((r = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		redis_answered(s, r, rc);
	}
}

void store_answer_round(struct store *s, struct record_list *list, enum store_rc rc, int64_t n_new,
			int64_t n_counted)
{
	if (rc == STORE_OK) {
		s->n_new += n_new;
		s->n_repeated += n_counted - n_new;
	}
	redis_answered_all(s, list, rc);
}

static void refuse_queued(struct store *s)
{
	for (unsigned k = 0; k < s->n_shards; k++) {
		struct record_list list = STAILQ_HEAD_INITIALIZER(list);
		struct record_queue *q = &s->shards[k].queue;

		STAILQ_CONCAT(&list, &q->list);
		s->n_queued -= q->n;
		q->n = 0;
		redis_answered_all(s, &list, STORE_REFUSED);
	}
}

static void refuse_rejected(struct store *s)
{
	struct record_list list = STAILQ_HEAD_INITIALIZER(list);
	struct record *r;

	STAILQ_CONCAT(&list, &s->rejected);
	while ((r = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, link);
		answer(s, r, STORE_REFUSED);
	}
}

int64_t store_count_new(int64_t answered, unsigned n_counted)
{
	if (answered < 0)
		return 0;
	return answered > n_counted ? n_counted : answered;
}

static void finish_absorb(struct call *c, enum store_rc rc, const redisReply *reply)
{
	struct store *s = c->s;
	struct record_list list = STAILQ_HEAD_INITIALIZER(list);
	int64_t n_new, n_counted;

	if (rc == STORE_OK && reply->type != REDIS_REPLY_INTEGER)
		rc = STORE_UNKNOWN;
	FAILPOINT("absorb_answered");
	n_counted = c->n_counted;
	n_new = rc == STORE_OK ? store_count_new(reply->integer, c->n_counted) : 0;
	if (rc == STORE_OK && store_wait_is_on(s))
		store_wait_keep(s, c, n_new);
	STAILQ_CONCAT(&list, &c->records);
	call_free(c);
	store_call_ended(s);
	store_wait_go_on(s);
	/* The next round, or a pass that waits for the end of this one. */
	if (s->n_round == 0 && (s->n_queued > 0 || s->journal != NULL))
		store_kick(s);
	if (!STAILQ_EMPTY(&list))
		store_answer_round(s, &list, rc, n_new, n_counted);
}

/* Move records from a queue into a call: those that fit. */
static void take_records(struct record_queue *q, struct call *c, int64_t *first_ms,
			 int64_t *last_ms)
{
	struct record *r;
	size_t bytes = 0;

	while (c->n_records < CALL_RECORDS && (r = STAILQ_FIRST(&q->list)) != NULL) {
		if (c->n_records == 0)
			*first_ms = *last_ms = r->at_ms;
		else if (r->at_ms > *first_ms + CALL_SPAN_MS || r->at_ms < *last_ms - CALL_SPAN_MS)
			break;
		else if (bytes + r->raw.n > CALL_BYTES)
			break;
		if (r->at_ms < *first_ms)
			*first_ms = r->at_ms;
		if (r->at_ms > *last_ms)
			*last_ms = r->at_ms;
		bytes += r->raw.n;
		STAILQ_REMOVE_HEAD(&q->list, link);
		STAILQ_INSERT_TAIL(&c->records, r, link);
		c->n_records++;
		c->n_counted += !r->is_seen_only;
		q->n--;
	}
}

static bool carries_raw(const struct record *r)
{
	return r->raw.n > 0 && !r->is_seen_only;
}

static void put_record(struct strbuf *b, const struct record *r)
{
	struct slice rule = r->rule;

	if (r->is_seen_only)
		rule.n = 0;
	else if (rule.n == 0)
		rule = SLICE("?"); /* the empty name says: seen only */
	resp_bulk(b, r->client);
	resp_number(b, (int64_t)r->digest);
	resp_bulk(b, rule);
}

bool store_send_records(struct store *s, struct shard *sh, struct record_queue *q,
			call_finish_fn *finish)
{
	struct call *c = call_new(s, finish);
	int64_t first_ms = 0, last_ms = 0;
	const struct record *r;
	unsigned n_raw = 0;

	if (c == NULL)
		return false;
	take_records(q, c, &first_ms, &last_ms);
	STAILQ_FOREACH (r, &c->records, link)
		n_raw += carries_raw(r);
	call_begin(c, "absorb", sh, 3 + (size_t)c->n_records * 3 + (size_t)n_raw * 2);
	resp_number(&c->cmd, first_ms);
	/* To the second, as it is told: what says nothing new, Redis neither changes nor logs. */
	resp_number(&c->cmd, last_ms - last_ms % 1000);
	resp_number(&c->cmd, c->n_records);
	STAILQ_FOREACH (r, &c->records, link)
		put_record(&c->cmd, r);
	for (r = n_raw > 0 ? STAILQ_FIRST(&c->records) : NULL; r != NULL; r = STAILQ_NEXT(r, link))
		if (carries_raw(r)) {
			resp_bulk(&c->cmd, r->client);
			resp_bulk(&c->cmd, r->raw);
		}
	metric_add(M_STORE_RECORDS, c->n_records);
	call_send(c);
	FAILPOINT("absorb_send");
	return true;
}

static bool send_queue(struct store *s, struct shard *sh)
{
	unsigned n = sh->queue.n;
	bool is_sent = store_send_records(s, sh, &sh->queue, finish_absorb);

	s->n_queued -= n - sh->queue.n;
	s->n_round += is_sent;
	return is_sent;
}

/*
 * A call costs Redis as much as three or four records, and a sync of the journal more than
 * that: where one carried several, the next one waits until redis.linger has passed since the
 * round ended, and gathers meanwhile. last_us and last_n: when that was, and with how many.
 * False: later.
 */
static bool is_time(struct store *s, int64_t last_us, int64_t last_n, int64_t n_waiting)
{
	int64_t wait_us = last_us + s->conf->redis_linger_us - clock_mono_us();
	struct timeval tv;

	if (last_n < LINGER_RECORDS || n_waiting >= CALL_RECORDS || wait_us <= 0)
		return true;
	if (!event_pending(s->kick, EV_TIMEOUT, NULL)) {
		tv = (struct timeval){.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
		event_add(s->kick, &tv);
	}
	return false;
}

static bool is_time_for_round(struct store *s)
{
	return is_time(s, s->round_us, s->round_records, s->n_queued);
}

void store_call_ended(struct store *s)
{
	s->n_round--;
	if (s->n_round > 0)
		return;
	/* The next sync waits for the next round: by itself it would carry little. */
	s->round_us = s->sync_us = clock_mono_us();
}

static void commit_journal(struct store *s)
{
	if (s->n_unsynced == 0 || !is_time(s, s->sync_us, s->sync_records, s->n_unsynced))
		return;
	s->sync_us = clock_mono_us();
	s->sync_records = s->n_unsynced;
	s->n_unsynced = 0;
	store_journal_commit(s);
}

static void start_round(struct store *s)
{
	s->round_records = s->n_queued;
	for (unsigned k = 0; k < s->n_shards && s->n_queued > 0; k++)
		if (s->shards[k].queue.n > 0 && !send_queue(s, &s->shards[k]))
			break;
	if (s->n_round == 0)
		refuse_queued(s); /* no memory for a single call */
	else
		store_wait_begin(s);
}

/* Between turns: what could not be sent is refused here, never from inside a call. */
static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	struct call *c;

	(void)fd;
	(void)what;
	OBJ_CHECK(s, STORE_MAGIC);
	clock_touch();
	while ((c = STAILQ_FIRST(&s->dead)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->dead, entry);
		metric_add(M_STORE_ERRORS, 1);
		c->finish(c, STORE_REFUSED, NULL);
	}
	refuse_rejected(s);
	commit_journal(s);
	if (s->n_queued > 0 && !store_may_absorb(s))
		refuse_queued(s);
	else if (s->n_queued > 0 && s->n_round == 0 && is_time_for_round(s))
		start_round(s);
	store_journal_replay(s);
}

void store_add(struct store *s, struct record *r)
{
	struct record_queue *q = &s->shards[shard_of_client(r->client, s->n_shards)].queue;

	count_pending(s, 1);
	r->is_answered = r->is_recorded = r->is_synced = r->is_lost = false;
	if (s->journal != NULL && (s->is_closing || !store_journal_keep(s, r))) {
		STAILQ_INSERT_TAIL(&s->rejected, r, link);
		store_kick(s);
		return;
	}
	STAILQ_INSERT_TAIL(&q->list, r, link);
	q->n++;
	s->n_queued++;
	s->n_unsynced += s->journal != NULL;
}

void store_commit(struct store *s)
{
	commit_journal(s);
	if (s->n_queued == 0 || s->n_round > 0)
		return;
	if (!store_may_absorb(s))
		store_kick(s);
	else if (is_time_for_round(s))
		start_round(s);
}

/* --- life --------------------------------------------------------------------------- */

static void on_link_up(void *arg)
{
	struct store *s = arg;

	store_check_begin(s);
}

static void on_link_down(void *arg, const char *why)
{
	struct store *s = arg;

	store_check_lost(s, why);
	store_kick(s);
}

void store_tick(struct store *s)
{
	OBJ_CHECK(s, STORE_MAGIC);
	link_tick(s->link);
	store_check_tick(s);
	store_journal_tick(s);
	if (s->n_queued > 0 && s->n_round == 0)
		store_kick(s);
}

bool store_is_redis_up(const struct store *s)
{
	return store_may_absorb(s);
}

bool store_is_ready(const struct store *s)
{
	if (s->n_pending >= s->conf->redis_max_pending)
		return false;
	if (s->journal == NULL)
		return store_may_absorb(s);
	return !s->is_closing && !s->is_foreign && store_journal_why_not(s) == NULL;
}

const char *store_state(const struct store *s)
{
	static char text[STORE_WHY_BYTES + 80];
	const char *why = s->journal != NULL ? store_journal_why_not(s) : NULL;

	if (why != NULL)
		return why;
	if (s->n_pending >= s->conf->redis_max_pending && s->why[0] == '\0')
		return "too many messages wait for Redis (redis.max_pending)";
	if (s->journal == NULL || s->is_foreign)
		return s->why[0] != '\0' ? s->why : "ok";
	if (s->why[0] == '\0')
		return store_journal_is_restoring(s) ? "Redis is another one than before: the "
						       "journal is replayed to it first"
						     : "ok";
	snprintf(text, sizeof(text), "%s; messages are acknowledged from the journal", s->why);
	return text;
}

unsigned store_n_shards(const struct store *s)
{
	return s->n_shards;
}

const char *store_nonce(const struct store *s)
{
	return s->nonce;
}

/* Braces would decide on the slot in a cluster, blanks would be quoted in every tool. */
static bool is_prefix_fit(const char *p)
{
	size_t n = strlen(p);

	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)p[i]) || strchr("{}\"\\*?[]", p[i]) != NULL)
			return false;
	return n > 0 && n <= MAX_PREFIX;
}

static int make_shards(struct store *s)
{
	char(*tags)[SHARD_TAG_BYTES];

	s->n_shards = (unsigned)s->conf->redis_shards;
	s->shards = calloc(s->n_shards, sizeof(*s->shards));
	tags = calloc(s->n_shards, sizeof(*tags));
	if (s->shards == NULL || tags == NULL) {
		free(tags);
		return -ENOMEM;
	}
	shard_make_tags(s->n_shards, tags);
	for (unsigned k = 0; k < s->n_shards; k++) {
		struct shard *sh = &s->shards[k];

		memcpy(sh->tag, tags[k], sizeof(sh->tag));
		STAILQ_INIT(&sh->queue.list);
		STAILQ_INIT(&sh->again.list);
		strbuf_init(&sh->key, 256);
		strbuf_printf(&sh->key, "%s:{%s}", s->conf->redis_prefix, sh->tag);
		if (!strbuf_ok(&sh->key))
			s->n_shards = k; /* those that store_free() may touch */
	}
	free(tags);
	return s->n_shards == (unsigned)s->conf->redis_shards ? 0 : -ENOMEM;
}

static void store_free(struct store *s)
{
	for (unsigned k = 0; s->shards != NULL && k < s->n_shards; k++)
		strbuf_fini(&s->shards[k].key);
	free(s->shards);
	store_calls_fini(s);
	free(s->journal);
	if (s->kick != NULL)
		event_free(s->kick);
	s->magic = 0;
	free(s);
}

static int check_conf(const struct conf *conf)
{
	if (!is_prefix_fit(conf->redis_prefix)) {
		log_line(LOG_ERROR, "configuration",
			 "setting=redis.prefix error=\"1 to %d printable characters, none of "
			 "{}*?[] quotes or backslash\"",
			 MAX_PREFIX);
		return -EINVAL;
	}
	if (conf->redis_shards < 1 || conf->redis_shards > SHARD_MAX)
		return -EINVAL;
	return 0;
}

int store_open(struct store **out, struct event_base *base, const struct conf *conf)
{
	struct store *s;
	struct link_env env;
	int rc = check_conf(conf);

	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->magic = STORE_MAGIC;
	s->conf = conf;
	s->base = base;
	STAILQ_INIT(&s->dead);
	STAILQ_INIT(&s->spare);
	STAILQ_INIT(&s->rejected);
	store_wait_init(&s->wait);
	store_mark_read_nonce(s, 0);
	snprintf(s->why, sizeof(s->why), "connecting to Redis");
	s->kick = event_new(base, -1, 0, on_kick, s);
	env = (struct link_env){.arg = s, .up = on_link_up, .down = on_link_down};
	rc = s->kick == NULL ? -ENOMEM : make_shards(s);
	if (rc == 0)
		rc = store_calls_init(s);
	if (rc == 0)
		rc = link_open(&s->link, base, conf, &env);
	if (rc == -EINVAL)
		log_line(LOG_ERROR, "configuration",
			 "setting=redis.server error=\"embedded, unix:/PATH of at most 107 bytes, "
			 "or HOST:PORT\"");
	if (rc < 0) {
		store_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	struct call *c;

	OBJ_CHECK(s, STORE_MAGIC);
	s->is_closing = true;
	link_close(s->link);
	/* What is answered may ask again: also that is refused. */
	while (!STAILQ_EMPTY(&s->dead) || !STAILQ_EMPTY(&s->rejected) || s->n_queued > 0) {
		while ((c = STAILQ_FIRST(&s->dead)) != NULL) {
			STAILQ_REMOVE_HEAD(&s->dead, entry);
			c->finish(c, STORE_REFUSED, NULL);
		}
		refuse_rejected(s);
		refuse_queued(s);
	}
	store_journal_close(s);
	refuse_rejected(s);
	store_free(s);
}

void store_poll(struct store *s)
{
	store_commit(s);
	link_poll(s->link);
	store_journal_poll(s);
}
