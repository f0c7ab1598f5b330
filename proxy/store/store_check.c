#include "proxy/base/clock.h"
#include "proxy/store/resp.h"
#include "proxy/store/rollup.h"
#include "proxy/store/store_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/*
 * While all is well, and while it is not: an operator waits for the effect of a remedy. The
 * journal is let go by the marks of checks, so a short grace time needs more of them.
 */
#define CHECK_PERIOD_MS 10000
#define RECHECK_MS	1000

static const char *const durability_names[] = {"journal", "redis", "none"};

static void check_facts(struct store *s);
static void check_meta(struct store *s);
static void check_replicas(struct store *s);

/* Not ready, for this reason: one line whenever the reason changes. */
static void not_ready(struct store *s, const char *why)
{
	if (s->why != why)
		snprintf(s->why, sizeof(s->why), "%s", why);
	if (strcmp(s->said, s->why) == 0)
		return;
	memcpy(s->said, s->why, sizeof(s->said));
	log_line(LOG_ERROR, "redis_not_ready", "reason=\"%s\" effect=\"%s\"", s->why,
		 store_is_ready(s) ? "messages are acknowledged from the journal"
				   : "messages are forwarded, none is absorbed");
}

static void check_failed_with(struct store *s, const char *why)
{
	s->check = CHECK_IDLE;
	s->next_check_ms = clock_mono_ms() + RECHECK_MS;
	not_ready(s, why);
}

static bool has_changed(char *known, size_t room, const char *now)
{
	bool has = known[0] != '\0' && now[0] != '\0' && strcmp(known, now) != 0;

	if (now[0] != '\0')
		snprintf(known, room, "%s", now);
	return has;
}

/* After a restart or a failover the last seconds may be missing: the journal has them. */
static void compare_instance(struct store *s)
{
	bool is_other = has_changed(s->run_id, sizeof(s->run_id), s->facts.run_id);

	is_other |= has_changed(s->replid, sizeof(s->replid), s->facts.replid);
	is_other |= s->mark.has_fallen;
	s->mark.has_fallen = false;
	if (!is_other)
		return;
	s->generation++;
	log_line(LOG_WARN, "redis_is_another", "run_id=%.40s replid=%.40s effect=\"%s\"", s->run_id,
		 s->replid,
		 s->journal != NULL ? "the journal is replayed whole first"
				    : "none: it has all that was acknowledged");
	if (s->journal != NULL)
		store_journal_restore(s);
}

static int64_t period_ms(const struct store *s)
{
	int64_t half = s->conf->journal_grace_ms / 2;

	if (s->journal == NULL || half >= CHECK_PERIOD_MS)
		return CHECK_PERIOD_MS;
	return half > RECHECK_MS ? half : RECHECK_MS;
}

static void on_rewrite(void *arg, const redisReply *reply)
{
	struct store *s = arg;

	s->check_waits--;
	if (reply == NULL || reply->type != REDIS_REPLY_ERROR || strstr(reply->str, "progress"))
		return;
	log_limited(&s->log_errors, 3, LOG_WARN, "redis_file_not_rewritten",
		    "error=\"%.200s\" effect=\"half a transaction that Redis was killed in may be "
		    "executed at its next start: messages counted twice\" remedy=\"BGREWRITEAOF\"",
		    reply->str);
}

/*
 * Redis 7.0 starts with half a transaction at the end of its file where its end was torn, and
 * leaves it there: the next start executes it with whatever came after. A file written anew
 * has none. The embedded server's is mended before the start (aof_tail.h).
 */
static void rewrite_once(struct store *s)
{
	if (strcmp(s->facts.aof_enabled, "1") != 0 || strcmp(s->facts.aof_rewrites, "0") != 0 ||
	    strcmp(s->facts.aof_is_rewriting, "1") == 0 ||
	    strcmp(s->conf->redis_server, "embedded") == 0)
		return;
	(void)store_send_words(s, on_rewrite, "BGREWRITEAOF");
}

static void check_passed(struct store *s)
{
	bool was_ready = s->why[0] == '\0';

	s->check = CHECK_IDLE;
	s->next_check_ms = clock_mono_ms() + period_ms(s);
	s->is_durable = s->is_ours = true;
	s->is_foreign = false;
	if (s->mark.is_on)
		store_mark_written(s);
	compare_instance(s);
	rewrite_once(s);
	s->why[0] = s->said[0] = '\0';
	if (was_ready)
		return;
	log_line(LOG_INFO, "redis_ready",
		 "server=%s durability=%s appendonly=%s appendfsync=%s shards=%u",
		 s->conf->redis_server, durability_names[s->conf->durability],
		 s->facts.appendonly[0] != '\0' ? s->facts.appendonly : "unknown",
		 s->facts.appendfsync[0] != '\0' ? s->facts.appendfsync : "unknown", s->n_shards);
}

int store_send_words(struct store *s, link_reply_fn *reply, const char *words)
{
	struct strbuf cmd;
	int rc;

	strbuf_init(&cmd, 4096);
	resp_words(&cmd, words);
	rc = strbuf_ok(&cmd) ? link_send(s->link, strbuf_slice(&cmd), reply, s) : -ENOMEM;
	strbuf_fini(&cmd);
	s->check_waits += rc == 0;
	return rc;
}

/* An answer of this step; false where it is an error or the connection is lost. */
static bool step_answered(struct store *s, const redisReply *reply)
{
	char why[STORE_WHY_BYTES];

	s->check_waits--;
	if (reply == NULL || s->check == CHECK_IDLE)
		return false;
	if (reply->type != REDIS_REPLY_ERROR)
		return true;
	s->is_durable = false;
	store_explain(reply->str, why, sizeof(why));
	check_failed_with(s, why);
	return false;
}

/* --- does Redis keep what is configured? -------------------------------------------- */

static void warn_once(struct store *s)
{
	if (s->has_warned)
		return;
	s->has_warned = true;
	if (s->facts.intset_entries[0] != '\0' && strtol(s->facts.intset_entries, NULL, 10) < 4096)
		log_line(LOG_WARN, "redis_setting",
			 "setting=set-max-intset-entries value=%s wanted=4096 effect=\"a client "
			 "with "
			 "more messages than that in a window takes 70 bytes a message, not 8\"",
			 s->facts.intset_entries);
	if (s->facts.appendfsync[0] == '\0' && s->conf->durability == DURABLE_REDIS)
		log_line(LOG_WARN, "redis_setting",
			 "setting=appendfsync value=unknown wanted=always effect=\"CONFIG GET is "
			 "forbidden: that every write is synced rests on your word\"");
}

static void judge_facts(struct store *s)
{
	char why[STORE_WHY_BYTES];

	if (facts_are_enough(&s->facts, (enum conf_durability)s->conf->durability, why,
			     sizeof(why))) {
		warn_once(s);
		check_meta(s);
		return;
	}
	s->is_durable = false;
	check_failed_with(s, why);
	/* The name may lead to another server by now. */
	if (strcmp(s->facts.role, "slave") == 0)
		link_drop(s->link, why);
}

static void on_info(void *arg, const redisReply *reply)
{
	struct store *s = arg;

	if (!step_answered(s, reply))
		return;
	if (reply->type == REDIS_REPLY_STRING)
		facts_of_info(&s->facts, reply->str);
	if (s->check_waits == 0)
		judge_facts(s);
}

static void on_config(void *arg, const redisReply *reply)
{
	struct store *s = arg;

	s->check_waits--;
	if (reply == NULL || s->check != CHECK_FACTS)
		return;
	/* Where an ACL forbids CONFIG, INFO has to do. */
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2)
		if (reply->element[i]->type == REDIS_REPLY_STRING &&
		    reply->element[i + 1]->type == REDIS_REPLY_STRING)
			facts_of_config(&s->facts, reply->element[i]->str,
					reply->element[i + 1]->str);
	if (s->check_waits == 0)
		judge_facts(s);
}

static void check_facts(struct store *s)
{
	s->check = CHECK_FACTS;
	s->facts = (struct redis_facts){0};
	if (store_send_words(s, on_info, "INFO") == 0 &&
	    store_send_words(s, on_config,
			     "CONFIG GET appendonly appendfsync no-appendfsync-on-rewrite "
			     "set-max-intset-entries") == 0)
		return;
	link_drop(s->link, "no memory");
}

/* --- whose data is it? -------------------------------------------------------------- */

static bool is_text(const redisReply *r, const char *text)
{
	return r->type == REDIS_REPLY_STRING && strcmp(r->str, text) == 0;
}

/* "": it is ours. */
static void judge_meta(const struct store *s, const redisReply *r, char *why, size_t room)
{
	char shards[16];
	const redisReply *const *v = (const redisReply *const *)r->element;

	snprintf(shards, sizeof(shards), "%u", s->n_shards);
	why[0] = '\0';
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 3)
		snprintf(why, room, "Redis answered HMGET in an unknown form");
	else if (v[0]->type != REDIS_REPLY_STRING || v[1]->type != REDIS_REPLY_STRING ||
		 v[2]->type != REDIS_REPLY_STRING || v[2]->len != sizeof(s->nonce) - 1)
		snprintf(why, room,
			 "Redis has lost its data (key %s:meta is gone: FLUSHALL, or an empty "
			 "server took its place): bring the data back; or, to begin anew, remove "
			 "%.100s/redis-mark and restart every statweir",
			 s->conf->redis_prefix, s->conf->state);
	else if (!is_text(v[0], ROLLUP_FORMAT))
		snprintf(
			why, room,
			"Redis holds data in format %.16s, this statweir writes format %s: use the "
			"other version, or another redis.prefix",
			v[0]->str, ROLLUP_FORMAT);
	else if (!is_text(v[1], shards))
		snprintf(why, room,
			 "Redis holds data in %.16s shards, redis.shards is %s: set redis.shards = "
			 "%.16s, or use another redis.prefix",
			 v[1]->str, shards, v[1]->str);
	else if (s->is_known && !is_text(v[2], s->nonce))
		snprintf(
			why, room,
			"Redis holds other data than before (nonce of %s:meta has changed: the "
			"server was replaced, or a backup of another loaded): bring the data of "
			"before back; or, to go on with this, remove %.100s/redis-mark and restart "
			"every statweir",
			s->conf->redis_prefix, s->conf->state);
}

static void on_replicas(void *arg, const redisReply *reply)
{
	struct store *s = arg;
	char why[STORE_WHY_BYTES];

	if (!step_answered(s, reply))
		return;
	if (store_wait_is_enough(s, reply, why, sizeof(why))) {
		check_passed(s);
		return;
	}
	s->is_durable = false;
	check_failed_with(s, why);
}

/* INFO may still list one that is silent: only its answer tells. */
static void check_replicas(struct store *s)
{
	s->check = CHECK_REPLICAS;
	if (store_wait_ask(s, on_replicas) == 0)
		s->check_waits++;
	else
		link_drop(s->link, "no memory");
}

static void end_checks(struct store *s)
{
	if (store_wait_is_on(s))
		check_replicas(s);
	else
		check_passed(s);
}

/* Not what it was: nothing more is promised until somebody has decided. */
static void is_not_ours(struct store *s, const char *why)
{
	s->is_ours = false;
	s->is_foreign = true;
	check_failed_with(s, why);
}

static void on_mark_written(void *arg, const redisReply *reply)
{
	struct store *s = arg;

	/* Gone meanwhile: the next check brings it. */
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "not found"))
		s->is_ours = false;
	if (!step_answered(s, reply))
		return;
	if (reply->type != REDIS_REPLY_INTEGER) {
		link_drop(s->link, "Redis answered a mark in an unknown form");
		return;
	}
	s->mark.asked = reply->integer;
	end_checks(s);
}

static void on_mark(void *arg, const redisReply *reply)
{
	struct store *s = arg;
	char why[STORE_WHY_BYTES];

	if (!step_answered(s, reply))
		return;
	if (!store_mark_is_fit(s, reply, why, sizeof(why)))
		is_not_ours(s, why);
	else if (store_mark_write(s, on_mark_written) < 0)
		link_drop(s->link, "no memory");
}

static void on_meta(void *arg, const redisReply *reply)
{
	struct store *s = arg;
	char why[STORE_WHY_BYTES];

	if (!step_answered(s, reply))
		return;
	judge_meta(s, reply, why, sizeof(why));
	if (why[0] != '\0') {
		is_not_ours(s, why);
		return;
	}
	if (s->nonce[0] != '\0' && !is_text(reply->element[2], s->nonce))
		log_line(LOG_WARN, "redis_data_is_new",
			 "reason=\"the Redis of before has forgotten everything\"");
	memcpy(s->nonce, reply->element[2]->str, sizeof(s->nonce));
	s->is_known = true;
	if (!s->mark.is_on)
		end_checks(s);
	else if (store_mark_ask(s, on_mark) < 0)
		link_drop(s->link, "no memory");
}

static void on_set(void *arg, const redisReply *reply)
{
	step_answered(arg, reply);
}

static int send_claim(struct store *s)
{
	unsigned char random[16];
	char text[256], nonce[33];
	const char *prefix = s->conf->redis_prefix;
	int rc;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(nonce + 2 * i, 3, "%02x", random[i]);
	/* The first instance decides, whichever it is. */
	snprintf(text, sizeof(text), "HSETNX %s:meta format %s", prefix, ROLLUP_FORMAT);
	rc = store_send_words(s, on_set, text);
	snprintf(text, sizeof(text), "HSETNX %s:meta shards %u", prefix, s->n_shards);
	if (rc == 0)
		rc = store_send_words(s, on_set, text);
	snprintf(text, sizeof(text), "HSETNX %s:meta nonce %s", prefix, nonce);
	if (rc == 0)
		rc = store_send_words(s, on_set, text);
	return rc;
}

static void check_meta(struct store *s)
{
	char text[128];
	int rc = 0;

	s->check = CHECK_META;
	if (!s->is_ours)
		rc = store_send_library(s);
	if (rc == 0 && !s->is_known)
		rc = send_claim(s);
	snprintf(text, sizeof(text), "HMGET %s:meta format shards nonce", s->conf->redis_prefix);
	if (rc == 0)
		rc = store_send_words(s, on_meta, text);
	if (rc < 0)
		link_drop(s->link, "no memory");
}

/* --- when --------------------------------------------------------------------------- */

void store_check_begin(struct store *s)
{
	s->is_durable = s->is_ours = false;
	s->is_library_sent = false;
	/* A Redis that may forget is allowed to have forgotten who we are. */
	if (s->conf->durability == DURABLE_NONE)
		s->is_known = false;
	check_facts(s);
}

void store_check_tick(struct store *s)
{
	/* Answers of a check that was given up must not be taken for the next one's. */
	if (link_is_up(s->link) && s->check == CHECK_IDLE && s->check_waits == 0 &&
	    clock_mono_ms() >= s->next_check_ms)
		check_facts(s);
}

unsigned store_generation(const struct store *s)
{
	return s->generation;
}

void store_check_lost(struct store *s, const char *why)
{
	s->check = CHECK_IDLE;
	s->is_durable = s->is_ours = false;
	s->generation++;
	not_ready(s, why);
}

void store_check_unfit(struct store *s, const char *why)
{
	s->is_durable = false;
	s->next_check_ms = clock_mono_ms() + RECHECK_MS;
	not_ready(s, why);
}

void store_check_refused(struct store *s, const char *error)
{
	char why[STORE_WHY_BYTES];

	store_explain(error, why, sizeof(why));
	store_check_unfit(s, why);
}
