/* The function library on a private Redis, called as words; each test has a shard of its own. */
#ifndef STATWEIR_TESTS_STORE_RIG_ROLLUP_H
#define STATWEIR_TESTS_STORE_RIG_ROLLUP_H

#include "proxy/store/rollup.h"
#include "tests/unit/store/rig.h"

#include <hiredis/hiredis.h>
#include <time.h>

static struct conf conf;
static struct embedded *redis;
static redisContext *link_;
static unsigned shard_number;
static char key[64];

static inline int start(void **state)
{
	char path[300];
	redisReply *r;

	(void)state;
	rig_conf(&conf);
	redis = rig_redis(&conf);
	embedded_socket_path(&conf, path, sizeof(path));
	link_ = redisConnectUnix(path);
	assert_non_null(link_);
	r = redisCommand(link_, "FUNCTION LOAD %s", rollup_lua);
	assert_string_equal(r->str, ROLLUP_LIBRARY);
	freeReplyObject(r);
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	redisFree(link_);
	embedded_stop(redis);
	rig_conf_fini(&conf);
	return 0;
}

static inline int new_shard(void **state)
{
	(void)state;
	snprintf(key, sizeof(key), "test:{%u}", shard_number++);
	return 0;
}

/* "absorb 1 2 X": a word "''" is an empty argument. The reply is the caller's. */
static inline redisReply *ask(const char *words)
{
	const char *argv[64];
	char text[1024], function[64], *save = NULL;
	int argc = 0;
	redisReply *r;

	snprintf(text, sizeof(text), "%s", words);
	argv[argc++] = "FCALL";
	for (char *w = strtok_r(text, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		assert_true(argc < 60);
		argv[argc++] = strcmp(w, "''") == 0 ? "" : w;
		if (argc != 2)
			continue;
		snprintf(function, sizeof(function), ROLLUP_LIBRARY "_%s", w);
		argv[1] = function;
		argv[argc++] = "1";
		argv[argc++] = key;
	}
	r = redisCommandArgv(link_, argc, argv, NULL);
	assert_non_null(r);
	return r;
}

static inline int64_t number(const char *words)
{
	redisReply *r = ask(words);
	int64_t n = r->integer;

	if (r->type != REDIS_REPLY_INTEGER)
		fail_msg("%s: %s", words, r->str);
	freeReplyObject(r);
	return n;
}

static inline void expect_error(const char *words, const char *prefix)
{
	redisReply *r = ask(words);

	assert_int_equal(r->type, REDIS_REPLY_ERROR);
	assert_memory_equal(r->str, prefix, strlen(prefix));
	freeReplyObject(r);
}

/* Elements joined by blanks; binary strings as hex digits behind an x. */
static inline const char *texts(const char *words)
{
	static char out[4096];
	size_t at = 0;
	redisReply *r = ask(words);

	if (r->type != REDIS_REPLY_ARRAY)
		fail_msg("%s: %s", words, r->str);
	out[0] = '\0';
	for (size_t i = 0; i < r->elements; i++) {
		const redisReply *e = r->element[i];
		bool is_plain = e->type == REDIS_REPLY_STRING;

		if (e->type == REDIS_REPLY_INTEGER) {
			at += (size_t)snprintf(out + at, sizeof(out) - at, "%lld ", e->integer);
			continue;
		}
		for (size_t j = 0; j < e->len; j++)
			is_plain = is_plain && e->str[j] > 0x20 && e->str[j] < 0x7f;
		if (is_plain) {
			at += (size_t)snprintf(out + at, sizeof(out) - at, "%s ", e->str);
			continue;
		}
		at += (size_t)snprintf(out + at, sizeof(out) - at, "x");
		for (size_t j = 0; j < e->len; j++)
			at += (size_t)snprintf(out + at, sizeof(out) - at, "%02x",
					       (unsigned char)e->str[j]);
		at += (size_t)snprintf(out + at, sizeof(out) - at, " ");
	}
	freeReplyObject(r);
	return out;
}

/* The fields of the claim of a client without the time of sealing, which is Redis's. */
static inline void expect_claim(const char *words, const char *client, const char *expected)
{
	redisReply *r = ask(words);
	char got[512] = "none";

	assert_int_equal(r->type, REDIS_REPLY_ARRAY);
	assert_int_equal(r->elements % 9, 0);
	for (size_t i = 0; i < r->elements; i += 9) {
		redisReply *const *v = r->element + i;
		size_t at;

		if (strcmp(v[0]->str, client) != 0)
			continue;
		assert_true(strtoll(v[4]->str, NULL, 10) > 1600000000000);
		at = (size_t)snprintf(got, sizeof(got), "%s %s %s %s x", v[1]->str, v[2]->str,
				      v[3]->str, v[5]->str);
		for (size_t j = 0; j < v[6]->len; j++)
			at += (size_t)snprintf(got + at, sizeof(got) - at, "%02x",
					       (unsigned char)v[6]->str[j]);
		snprintf(got + at, sizeof(got) - at, " [%s] [%s]", v[7]->str, v[8]->str);
	}
	freeReplyObject(r);
	assert_string_equal(got, expected);
}

static inline void nap_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* absorbed = settled + open + outbox, and sealed = settled + outbox, whatever happened. */
static inline void expect_books_balance(void)
{
	redisReply *r = ask("audit");

	assert_int_equal(r->elements, 7);
	assert_int_equal(r->element[0]->integer,
			 r->element[2]->integer + r->element[3]->integer + r->element[4]->integer);
	assert_int_equal(r->element[1]->integer, r->element[2]->integer + r->element[4]->integer);
	freeReplyObject(r);
}

static inline int64_t key_count(const char *pattern)
{
	redisReply *r = redisCommand(link_, "KEYS %s", pattern);
	int64_t n = (int64_t)r->elements;

	freeReplyObject(r);
	return n;
}

static inline int64_t command_number(const char *format, const char *arg)
{
	redisReply *r = redisCommand(link_, format, arg);
	int64_t n = r->integer;

	assert_int_equal(r->type, REDIS_REPLY_INTEGER);
	freeReplyObject(r);
	return n;
}

static inline const char *shard_key(const char *name)
{
	static char out[128];

	snprintf(out, sizeof(out), "test:%s%s", name, strchr(key, '{'));
	return out;
}

#endif
