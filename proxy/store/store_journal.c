#include "proxy/store/store_journal.h"

#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/metrics.h"
#include "proxy/store/journal.h"
#include "proxy/store/store_impl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BATCH = 1024, /* records of a pass under way at a time */
	/* Records of a pass in a tick of 100 ms: beside live ones, and with Redis for itself. */
	PACE_BESIDE = 4096,
	PACE_ALONE = 16384,
	LIVE_SHORT = 512, /* more live records than this are waiting: the pass waits */
	OPEN_RETRY_MS = 10000,
	BUSY_RETRY_MS = 200,
	DIR_BYTES = 256,
};

/* Requests in it make records a thousand times as long. */
#define BUFFER_EXEMPLAR ((uint64_t)32 << 20)

struct store_journal {
	struct store *s;
	struct journal *j; /* NULL: could not be opened, or is closed */
	char dir[DIR_BYTES];
	int64_t open_ms; /* monotonic: the next try */
	int64_t busy_ms; /* when it was first found locked, or this was said again; 0: it is not */
	char why[STORE_WHY_BYTES];
	struct record_list
		unsynced; /* by number; each is in a queue or a call as well, or answered */

	bool is_passing;
	bool has_left;	   /* records that no pass will find: another one is due */
	bool has_failed;   /* a call of this pass: what it missed needs another one */
	bool must_restore; /* as soon as nothing is under way */
	bool is_restoring;
	bool has_stopped; /* nothing can be kept, and that is in the log */
	unsigned n_calls; /* of the pass, under way */
	unsigned pace;	  /* records that this tick still allows */
	int64_t n_replayed, n_new;
	struct journal_record in[BATCH];
	struct record out[BATCH];
	struct log_limit log_errors;
};

/* --- records ------------------------------------------------------------------------ */

static void on_synced(void *arg, uint64_t upto, int rc)
{
	struct store_journal *k = arg;
	struct record *r;

	while ((r = STAILQ_FIRST(&k->unsynced)) != NULL && r->seq <= upto) {
		STAILQ_REMOVE_HEAD(&k->unsynced, sync_link);
		store_record_synced(k->s, r, rc == 0);
	}
}

bool store_journal_keep(struct store *s, struct record *r)
{
	struct store_journal *k = s->journal;
	struct journal_record out = {
		.client = r->client,
		.rule = r->rule,
		.raw = r->raw,
		.digest = r->digest,
		.at_ms = r->at_ms,
		.is_seen_only = r->is_seen_only,
	};

	if (k->j == NULL || journal_append(k->j, &out, &r->seq) < 0)
		return false;
	STAILQ_INSERT_TAIL(&k->unsynced, r, sync_link);
	return true;
}

void store_journal_commit(struct store *s)
{
	if (s->journal != NULL && s->journal->j != NULL)
		journal_commit(s->journal->j);
}

void store_journal_recorded(struct store *s, const struct record *r)
{
	journal_applied(s->journal->j, r->seq);
}

void store_journal_release(struct store *s, int64_t at_ms)
{
	if (s->journal->j != NULL)
		journal_release(s->journal->j, at_ms);
}

void store_journal_left(struct store *s)
{
	s->journal->has_left = true;
}

/* --- passes ------------------------------------------------------------------------- */

void store_journal_restore(struct store *s)
{
	if (s->journal == NULL)
		return;
	s->journal->must_restore = true;
	store_kick(s);
}

bool store_journal_is_restoring(const struct store *s)
{
	return s->journal != NULL && (s->journal->must_restore || s->journal->is_restoring);
}

static void begin_pass(struct store_journal *k, bool is_all)
{
	journal_replay_begin(k->j, is_all);
	k->is_passing = true;
	k->has_left = k->has_failed = false;
}

static void end_pass(struct store_journal *k)
{
	k->is_passing = false;
	if (k->n_replayed > 0)
		log_line(LOG_INFO, "journal_replayed",
			 "records=%" PRId64 " new=%" PRId64 " complete=%d", k->n_replayed, k->n_new,
			 !k->has_failed);
	k->n_replayed = k->n_new = 0;
	if (k->has_failed)
		k->has_left = true;
	else
		k->is_restoring = false;
}

static void finish_replay(struct call *c, enum store_rc rc, const redisReply *reply)
{
	struct store_journal *k = c->s->journal;
	int64_t n_new = 0;
	struct record *r;

	FAILPOINT("replay_answered");
	if (rc == STORE_OK && reply->type == REDIS_REPLY_INTEGER) {
		n_new = store_count_new(reply->integer, c->n_counted);
		STAILQ_FOREACH (r, &c->records, link)
			journal_applied(k->j, r->seq);
		metric_add(M_JOURNAL_REPLAYED_NEW, n_new);
		metric_add(M_JOURNAL_REPLAYED_DUPLICATE, c->n_counted - n_new);
		k->n_replayed += c->n_records;
		k->n_new += n_new;
	} else {
		k->has_failed = true;
	}
	k->n_calls--;
	if (k->n_calls == 0)
		store_kick(k->s);
	call_free(c);
}

/* One call for each shard and span of time; the answers decide what is applied. */
static void send_batch(struct store_journal *k, unsigned n)
{
	struct store *s = k->s;

	FAILPOINT("replay_send");
	for (unsigned i = 0; i < n; i++) {
		const struct journal_record *in = &k->in[i];
		struct record *r = &k->out[i];
		struct shard *sh = &s->shards[store_shard_of(s, in->client)];

		*r = (struct record){
			.client = in->client,
			.rule = in->rule,
			.raw = in->raw,
			.digest = in->digest,
			.at_ms = in->at_ms,
			.is_seen_only = in->is_seen_only,
			.seq = in->seq,
		};
		STAILQ_INSERT_TAIL(&sh->again.list, r, link);
		sh->again.n++;
	}
	for (unsigned i = 0; i < s->n_shards; i++) {
		struct shard *sh = &s->shards[i];

		while (sh->again.n > 0 && store_send_records(s, sh, &sh->again, finish_replay))
			k->n_calls++;
		if (sh->again.n == 0)
			continue;
		k->has_failed = true; /* no memory */
		STAILQ_INIT(&sh->again.list);
		sh->again.n = 0;
	}
}

static bool is_its_turn(const struct store_journal *k)
{
	if (k->n_calls > 0 || k->pace == 0 || !store_is_fit(k->s))
		return false;
	return k->is_restoring ? k->s->n_round == 0 : k->s->n_queued < LIVE_SHORT;
}

void store_journal_replay(struct store *s)
{
	struct store_journal *k = s->journal;
	unsigned max;
	int n;

	if (k == NULL || k->j == NULL)
		return;
	/* Answers to calls from before must not be taken for marks of this pass. */
	if (k->must_restore && k->n_calls == 0 && s->n_round == 0) {
		k->must_restore = false;
		k->is_restoring = true;
		begin_pass(k, true);
	}
	while (k->is_passing && !k->must_restore && is_its_turn(k)) {
		max = k->pace < BATCH ? k->pace : BATCH;
		n = journal_replay_next(k->j, k->in, max);
		if (n == 0) {
			end_pass(k);
		} else if (n == -EAGAIN) {
			store_kick(s); /* others first */
			return;
		} else if (n < 0) {
			k->pace = 0; /* the next tick tries again */
			log_limited(&k->log_errors, 3, LOG_ERROR, "journal_replay",
				    "dir=%s error=\"%s\"", k->dir, strerror(-n));
		} else {
			k->pace -= (unsigned)n;
			send_batch(k, (unsigned)n);
		}
	}
}

/* --- life --------------------------------------------------------------------------- */

/* Its entry in the state directory has to survive a power failure, too. */
static int make_parent(const char *state)
{
	char path[DIR_BYTES];
	int fd, rc;

	if (snprintf(path, sizeof(path), "%s/journal", state) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static void read_conf(const struct store_journal *k, struct journal_conf *jc)
{
	const struct conf *c = k->s->conf;
	uint64_t half = (uint64_t)c->journal_limit / 2;

	journal_conf_init(jc, k->dir);
	jc->limit_bytes = (uint64_t)c->journal_limit;
	jc->segment_bytes = (uint64_t)c->journal_segment;
	if (jc->segment_bytes > half)
		jc->segment_bytes = half;
	jc->segment_bytes &= ~(uint64_t)7;
	jc->window_ms = c->window_ms;
	if (c->summary_form == FORM_EXEMPLAR)
		jc->buffer_bytes = BUFFER_EXEMPLAR;
}

/*
 * Mostly by the worker of a statweir that was killed, which finishes what it had begun: its
 * journal is wanted the moment it has ended, and nobody needs to be alarmed until then.
 */
static void journal_is_busy(struct store_journal *k)
{
	int64_t now = clock_mono_ms();
	bool is_long = k->busy_ms != 0 && now - k->busy_ms >= OPEN_RETRY_MS;

	k->open_ms = now + BUSY_RETRY_MS;
	snprintf(k->why, sizeof(k->why),
		 "another process uses the journal %.120s: a statweir that is about to end, or one "
		 "that needs a global.state of its own",
		 k->dir);
	if (k->busy_ms != 0 && !is_long)
		return;
	k->busy_ms = now;
	log_line(is_long ? LOG_ERROR : LOG_WARN, "journal_busy",
		 "dir=%s retry_ms=%d effect=\"messages are forwarded, none is absorbed\" "
		 "todo=\"none, if a statweir is ending: else stop it, or set global.state\"",
		 k->dir, BUSY_RETRY_MS);
}

static void open_journal(struct store_journal *k)
{
	const struct journal_events events = {on_synced, k};
	struct journal_conf jc;
	struct journal_stats st;
	int rc = make_parent(k->s->conf->state);

	read_conf(k, &jc);
	if (rc == 0)
		rc = journal_open(&k->j, k->s->base, &jc, &events);
	if (rc == -EBUSY) {
		journal_is_busy(k);
		return;
	}
	k->busy_ms = 0;
	if (rc < 0) {
		k->open_ms = clock_mono_ms() + OPEN_RETRY_MS;
		snprintf(k->why, sizeof(k->why),
			 "the journal %s cannot be opened (%s): the log says what to do", k->dir,
			 strerror(-rc));
		log_line(LOG_ERROR, "journal_not_open",
			 "dir=%s error=\"%s\" retry_ms=%d effect=\"messages are forwarded, none is "
			 "absorbed\"",
			 k->dir, strerror(-rc), OPEN_RETRY_MS);
		return;
	}
	journal_get_stats(k->j, &st);
	log_line(LOG_INFO, "journal_open", "dir=%s bytes=%" PRIu64 " records=%" PRIu64, k->dir,
		 st.bytes, st.unapplied);
	/* A pass over all that was found has begun by itself. */
	k->is_passing = true;
}

static bool has_segments(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool has = false;

	while (d != NULL && !has && (e = readdir(d)) != NULL) {
		const char *dot = strrchr(e->d_name, '.');

		has = dot != NULL && strcmp(dot, ".seg") == 0;
	}
	if (d != NULL)
		closedir(d);
	return has;
}

/* Workers that there were once may have left something that nobody replays. */
static void warn_of_orphans(const struct conf *conf)
{
	char path[DIR_BYTES + 32];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/journal", conf->state);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]) ||
		    strtol(e->d_name, NULL, 10) < conf->workers)
			continue;
		snprintf(path, sizeof(path), "%s/journal/%.20s", conf->state, e->d_name);
		if (has_segments(path))
			log_line(LOG_ERROR, "journal_orphaned",
				 "dir=%s todo=\"it may hold acknowledged messages that Redis has "
				 "not got: start with global.workers = %ld until journal_replayed "
				 "is logged by each worker\"",
				 path, strtol(e->d_name, NULL, 10) + 1);
	}
	if (d != NULL)
		closedir(d);
}

int store_journal_open(struct store *s, unsigned worker)
{
	struct store_journal *k;

	if (s->conf->durability != DURABLE_JOURNAL)
		return 0;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return -ENOMEM;
	k->s = s;
	STAILQ_INIT(&k->unsynced);
	if (snprintf(k->dir, sizeof(k->dir), "%s/journal/%u", s->conf->state, worker) >=
	    (int)sizeof(k->dir)) {
		free(k);
		log_line(LOG_ERROR, "configuration",
			 "setting=global.state error=\"longer than %d bytes\"", DIR_BYTES - 16);
		return -EINVAL;
	}
	s->journal = k;
	if (worker == 0)
		warn_of_orphans(s->conf);
	open_journal(k);
	return 0;
}

const char *store_journal_why_not(const struct store *s)
{
	struct store_journal *k = s->journal;
	const char *state;

	if (k->j == NULL)
		return k->why;
	state = journal_state(k->j);
	if (strcmp(state, "ok") == 0)
		return NULL;
	snprintf(k->why, sizeof(k->why),
		 "journal %.120s: %.60s; look at that disk and its space, raise journal.limit, or "
		 "bring Redis back, which empties it",
		 k->dir, state);
	return k->why;
}

/* One line when it stops and one when it goes on: what cannot be kept is forwarded meanwhile. */
static void say_state(struct store_journal *k)
{
	const char *why = store_journal_why_not(k->s);

	if (k->has_stopped == (why != NULL))
		return;
	k->has_stopped = why != NULL;
	if (why != NULL)
		log_line(LOG_ERROR, "journal_stopped",
			 "reason=\"%s\" effect=\"messages are forwarded, none is absorbed\"", why);
	else
		log_line(LOG_INFO, "journal_goes_on", "dir=%s", k->dir);
}

void store_journal_tick(struct store *s)
{
	struct store_journal *k = s->journal;

	if (k == NULL)
		return;
	if (k->j == NULL && clock_mono_ms() >= k->open_ms)
		open_journal(k);
	if (k->j == NULL)
		return;
	journal_tick(k->j);
	say_state(k);
	k->pace = k->is_restoring || k->must_restore ? PACE_ALONE : PACE_BESIDE;
	if (!k->is_passing && k->has_left && k->n_calls == 0 && store_is_fit(s))
		begin_pass(k, false);
	if (k->is_passing || k->must_restore)
		store_kick(s);
}

void store_journal_close(struct store *s)
{
	struct store_journal *k = s->journal;
	struct journal *j;
	struct record *r;

	if (k == NULL)
		return;
	j = k->j;
	journal_close(j);
	k->j = NULL;
	/* Out of memory while closing: nobody knows what of these is on disk. */
	while ((r = STAILQ_FIRST(&k->unsynced)) != NULL) {
		STAILQ_REMOVE_HEAD(&k->unsynced, sync_link);
		store_record_synced(s, r, false);
	}
}

void store_journal_poll(struct store *s)
{
	if (s->journal != NULL && s->journal->j != NULL)
		journal_poll(s->journal->j);
}
