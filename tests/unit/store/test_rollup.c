/*
 * Every meaning of the function library, on a real Redis. Each test has a shard of its
 * own, so none sees another's data.
 */
#include "proxy/store/rollup.h"
#include "tests/unit/store/rig.h"

#include <hiredis/hiredis.h>
#include <time.h>

static struct conf conf;
static struct embedded *redis;
static redisContext *link_;
static unsigned shard_number;
static char key[64];

static int start(void **state)
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

static int stop(void **state)
{
	(void)state;
	redisFree(link_);
	embedded_stop(redis);
	rig_conf_fini(&conf);
	return 0;
}

static int new_shard(void **state)
{
	(void)state;
	snprintf(key, sizeof(key), "test:{%u}", shard_number++);
	return 0;
}

/* "absorb 1 2 X": a word "''" is an empty argument. The reply is the caller's. */
static redisReply *ask(const char *words)
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

static int64_t number(const char *words)
{
	redisReply *r = ask(words);
	int64_t n = r->integer;

	if (r->type != REDIS_REPLY_INTEGER)
		fail_msg("%s: %s", words, r->str);
	freeReplyObject(r);
	return n;
}

static void expect_error(const char *words, const char *prefix)
{
	redisReply *r = ask(words);

	assert_int_equal(r->type, REDIS_REPLY_ERROR);
	assert_memory_equal(r->str, prefix, strlen(prefix));
	freeReplyObject(r);
}

/* Elements joined by blanks; binary strings as hex digits behind an x. */
static const char *texts(const char *words)
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
static void expect_claim(const char *words, const char *client, const char *expected)
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

static void nap_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* absorbed = settled + open + outbox, and sealed = settled + outbox, whatever happened. */
static void expect_books_balance(void)
{
	redisReply *r = ask("audit");

	assert_int_equal(r->elements, 7);
	assert_int_equal(r->element[0]->integer,
			 r->element[2]->integer + r->element[3]->integer + r->element[4]->integer);
	assert_int_equal(r->element[1]->integer, r->element[2]->integer + r->element[4]->integer);
	freeReplyObject(r);
}

static int64_t key_count(const char *pattern)
{
	redisReply *r = redisCommand(link_, "KEYS %s", pattern);
	int64_t n = (int64_t)r->elements;

	freeReplyObject(r);
	return n;
}

static int64_t command_number(const char *format, const char *arg)
{
	redisReply *r = redisCommand(link_, format, arg);
	int64_t n = r->integer;

	assert_int_equal(r->type, REDIS_REPLY_INTEGER);
	freeReplyObject(r);
	return n;
}

static const char *shard_key(const char *name)
{
	static char out[128];

	snprintf(out, sizeof(out), "test:%s%s", name, strchr(key, '{'));
	return out;
}

/* --- absorb ------------------------------------------------------------------------- */

static void test_absorb_retry_counts_once(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 60 3 X 11 R1 X 12 R2 Y 13 R1"), 3);
	assert_int_equal(number("absorb 5 5 60 3 X 11 R1 X 12 R2 Y 13 R1"), 0);
	assert_int_equal(number("count X"), 2);
	expect_books_balance();
}

static void test_absorb_same_id_twice_in_a_call_counts_once(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 60 2 X 14 R2 X 14 R2"), 1);
	assert_int_equal(number("count X"), 1);
}

static void test_absorb_same_id_of_another_client_counts(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 60 2 X 11 R1 Z 11 R1"), 2);
}

static void test_absorb_same_id_with_another_rule_counts_once(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 60 2 X 11 R1 X 11 R2"), 1);
}

static void test_absorb_whole_range_of_digests(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 60 4 X 9223372036854775807 R X -9223372036854775808 R "
				"X 9223372036854775806 R X 0 R"),
			 4);
	assert_int_equal(number("absorb 5 5 60 2 X 9223372036854775807 R X -9223372036854775808 R"),
			 0);
}

static void test_absorb_rules_numbered_from_zero_in_order(void **state)
{
	(void)state;
	number("absorb 5 5 60 3 X 1 R1 X 2 R2 Y 3 R1");
	number("absorb 5 5 60 2 Z 4 R3 Z 5 R2");
	assert_string_equal(texts("rules"), "R1 R2 R3 ");
}

/* Rule names must not reach the fields in which the functions keep their own numbers. */
static void test_absorb_rule_names_like_own_fields_escaped(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 60 4 X 1 @w X 2 @n X 3 @ X 4 @@p"), 4);
	assert_int_equal(number("absorb 5 5 60 1 X 5 R"), 1);
	assert_string_equal(texts("rules"), "@w @n @ @@p R ");
	assert_int_equal(number("absorb 5 5 60 1 X 1 @w"), 0);
}

static void test_absorb_seen_only_counts_nothing_but_dedupes(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 60 2 X 1 '' X 2 R1"), 1);
	assert_int_equal(number("absorb 6 6 60 1 X 1 R1"), 0);
	assert_int_equal(number("absorb 6 6 60 1 Q 9 ''"), 0);
	assert_int_equal(number("count X"), 1);
	assert_int_equal(number("count Q"), -1);
	assert_string_equal(texts("rules"), "R1 ");
	assert_string_equal(texts("audit"), "1 0 0 1 0 1 1 ");
	/* Nothing will ever seal Q: its set goes by itself. */
	assert_in_range(command_number("TTL %sQ", shard_key("d0")), 1, 60);
}

static void test_absorb_times_first_is_earliest_last_is_latest(void **state)
{
	(void)state;
	number("absorb 1000 1005 60 1 X 1 R1");
	number("absorb 2000 2007 60 1 X 2 R1");
	number("absorb 900 901 60 1 X 3 R1");
	number("absorb 3000 3000 60 1 X 3 R1");
	number("lease p 60000");
	expect_claim("seal 1 9 5000 60", "X", "1 900 2007 3 x80 [0+2] []");
}

static void test_absorb_rule_counters_in_redis(void **state)
{
	redisReply *r;

	(void)state;
	number("absorb 5 5 60 4 X 1 R1 X 2 R2 Y 3 R2 X 4 R2");
	r = redisCommand(link_, "BITFIELD_RO %s GET u32 #0 GET u32 #1", shard_key("r"));
	assert_int_equal(r->element[0]->integer, 1);
	assert_int_equal(r->element[1]->integer, 3);
	freeReplyObject(r);
}

/* --- lease -------------------------------------------------------------------------- */

static void test_lease_one_holder_token_grows_with_holders(void **state)
{
	(void)state;
	assert_int_equal(number("lease p1 60000"), 1);
	assert_int_equal(number("lease p2 60000"), 0);
	assert_int_equal(number("lease p1 50"), 1);
	nap_ms(80);
	assert_int_equal(number("lease p2 60000"), 2);
	assert_int_equal(number("lease p1 60000"), 0);
}

static void test_release_by_holder_only(void **state)
{
	(void)state;
	assert_int_equal(number("release p1"), 0);
	assert_int_equal(number("lease p1 60000"), 1);
	assert_int_equal(number("release p2"), 0);
	assert_int_equal(number("release p1"), 1);
	assert_int_equal(number("release p1"), 0);
	assert_int_equal(number("lease p2 60000"), 2);
}

static void test_stale_token_is_fenced(void **state)
{
	(void)state;
	expect_error("seal 1 9 5000 60", "FENCED");
	number("absorb 5 5 60 1 X 1 R1");
	number("lease p1 20");
	expect_claim("seal 1 9 5000 60", "X", "1 5 5 1 x80 [] []");
	nap_ms(40);
	assert_int_equal(number("lease p2 60000"), 2);
	expect_error("seal 1 9 5000 60", "FENCED");
	expect_error("settle 1 X 1", "FENCED");
	expect_error("rotate 1 1 60", "FENCED");
	assert_int_equal(number("settle 2 X 1"), 1);
	expect_books_balance();
}

/* --- seal, outbox, settle ----------------------------------------------------------- */

static void test_seal_what_has_gathered(void **state)
{
	(void)state;
	number("absorb 10 10 60 4 X 1 R1 X 2 R2 X 3 R3 Y 4 R2");
	number("absorb 20 20 60 3 X 5 R2 X 6 R2 X 7 R3");
	number("lease p 60000");
	expect_claim("seal 1 9 5000 60", "X", "1 10 20 6 xe0 [1+2,2+1] []");
	expect_claim("outbox 9", "X", "1 10 20 6 xe0 [1+2,2+1] []");
	expect_claim("outbox 9", "Y", "1 10 10 1 x40 [] []");
	assert_string_equal(texts("audit"), "7 7 0 0 7 2 3 ");
	/* Retries are recognised after the seal too. */
	assert_int_equal(number("absorb 30 30 60 2 X 1 R1 Y 4 R2"), 0);
	assert_int_equal(number("count X"), 6);
}

static void test_seal_old_enough_clients_only(void **state)
{
	(void)state;
	number("absorb 1000 1000 60 1 X 1 R1");
	number("absorb 2000 2000 60 1 Y 1 R1");
	number("lease p 60000");
	assert_string_equal(texts("seal 1 9 1000 60"), "");
	expect_claim("seal 1 9 2000 60", "X", "1 1000 1000 1 x80 [] []");
	expect_claim("outbox 9", "Y", "none");
	expect_books_balance();
}

static void test_seal_at_most_max_oldest_first(void **state)
{
	(void)state;
	number("absorb 3 3 60 1 C 1 R");
	number("absorb 1 1 60 1 A 1 R");
	number("absorb 2 2 60 1 B 1 R");
	number("lease p 60000");
	expect_claim("seal 1 1 100 60", "A", "1 1 1 1 x80 [] []");
	expect_claim("seal 1 1 100 60", "B", "1 2 2 1 x80 [] []");
	expect_claim("seal 1 9 100 60", "C", "1 3 3 1 x80 [] []");
	assert_string_equal(texts("seal 1 9 100 60"), "");
}

static void test_seal_client_in_outbox_goes_on_adding_up(void **state)
{
	(void)state;
	number("absorb 10 10 60 1 X 1 R1");
	number("lease p 60000");
	expect_claim("seal 1 9 5000 60", "X", "1 10 10 1 x80 [] []");
	number("absorb 20 20 60 1 X 2 R2");
	number("absorb 30 30 60 1 X 3 R1");
	assert_string_equal(texts("seal 1 9 5000 60"), "");
	assert_string_equal(texts("audit"), "3 1 0 2 1 1 2 ");
	assert_int_equal(number("settle 1 X 1"), 1);
	expect_claim("seal 1 9 5000 60", "X", "2 20 30 2 xc0 [] []");
	assert_int_equal(number("count X"), 3);
	expect_books_balance();
}

/* Clients whose summaries cannot be delivered are the oldest: the others still get theirs. */
static void test_seal_clients_in_outbox_do_not_starve_others(void **state)
{
	char words[128];

	(void)state;
	number("lease p 60000");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(words, sizeof(words), "absorb 10 10 60 1 S%u 1 R", i);
		number(words);
	}
	texts("seal 1 100 5000 60");
	texts("seal 1 100 5000 60");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(words, sizeof(words), "absorb 20 20 60 1 S%u 2 R", i);
		number(words);
	}
	number("absorb 30 30 60 1 Late 1 R");
	expect_claim("seal 1 1 5000 60", "Late", "1 30 30 1 x80 [] []");
	expect_books_balance();
}

static void test_settle_once_and_only_this_summary(void **state)
{
	(void)state;
	number("absorb 10 10 60 2 X 1 R1 Y 1 R1");
	number("lease p 60000");
	texts("seal 1 9 5000 60");
	assert_int_equal(number("settle 1 X 9"), 0);
	assert_int_equal(number("settle 1 Q 1"), 0);
	assert_int_equal(number("settle 1 X 1"), 1);
	assert_int_equal(number("settle 1 X 1"), 0);
	assert_string_equal(texts("audit"), "2 2 1 0 1 2 1 ");
}

static void test_outbox_at_most_max(void **state)
{
	redisReply *r;

	(void)state;
	number("absorb 10 10 60 3 X 1 R Y 1 R Z 1 R");
	number("lease p 60000");
	assert_string_equal(texts("outbox 9"), "");
	texts("seal 1 9 5000 60");
	r = ask("outbox 2");
	assert_int_equal(r->elements, 18);
	freeReplyObject(r);
}

static void test_seal_leaves_coverage_for_ever(void **state)
{
	(void)state;
	number("absorb 10 10 60 1 X 1 R1");
	number("lease p 60000");
	texts("seal 1 9 5000 60");
	number("settle 1 X 1");
	number("absorb 20 20 60 1 X 2 R2");
	texts("seal 1 9 5000 60");
	assert_int_equal(command_number("BITCOUNT %sX", shard_key("b")), 2);
}

/* --- exemplars ---------------------------------------------------------------------- */

static void test_exemplar_newest_travels_with_the_summary(void **state)
{
	(void)state;
	number("absorb 10 10 60 2 X 1 R1 Y 1 R1 X first Y other");
	number("absorb 20 20 60 2 X 2 R1 X 3 R1 X second X third");
	number("lease p 60000");
	expect_claim("seal 1 9 5000 60", "X", "1 10 20 3 x80 [0+2] [third]");
	number("absorb 30 30 60 1 X 4 R1 X fourth");
	expect_claim("outbox 9", "X", "1 10 20 3 x80 [0+2] [third]");
	assert_int_equal(number("settle 1 X 1"), 1);
	expect_claim("seal 1 9 5000 60", "X", "2 30 30 1 x80 [] [fourth]");
	assert_int_equal(number("settle 1 X 2"), 1);
	assert_int_equal(number("settle 1 Y 1"), 1);
	assert_int_equal(command_number("EXISTS %s", shard_key("e")), 0);
	assert_int_equal(command_number("EXISTS %s", shard_key("f")), 0);
}

static void test_exemplar_of_a_retry_is_not_kept(void **state)
{
	(void)state;
	number("absorb 10 10 60 1 X 1 R1 X first");
	number("absorb 20 20 60 1 X 1 R1 X again");
	number("lease p 60000");
	expect_claim("seal 1 9 5000 60", "X", "1 10 10 1 x80 [] [first]");
}

/* --- windows ------------------------------------------------------------------------ */

static void test_rotate_by_age_of_the_window(void **state)
{
	(void)state;
	number("lease p 60000");
	assert_int_equal(number("rotate 1 50 60"), 0);
	assert_int_equal(number("rotate 1 50 60"), 0);
	nap_ms(60);
	assert_int_equal(number("rotate 1 50 60"), 1);
	assert_int_equal(number("rotate 1 50 60"), 1);
	assert_int_equal(number("rotate 1 3600000 60"), 1);
}

static void rotate_now(int64_t expected)
{
	nap_ms(5);
	assert_int_equal(number("rotate 1 2 60"), expected);
}

static void test_rotate_retry_across_the_edge_is_recognised(void **state)
{
	(void)state;
	number("lease p 60000");
	number("rotate 1 1 60");
	assert_int_equal(number("absorb 5 5 60 2 X 1 R1 Y 1 R1"), 2);
	rotate_now(1);
	assert_int_equal(number("absorb 6 6 60 2 X 1 R1 X 2 R1"), 1);
	rotate_now(2);
	/* X was heard of again in the window before, Y was not. */
	assert_int_equal(number("absorb 7 7 60 1 X 1 R1"), 0);
	assert_int_equal(number("absorb 7 7 60 1 Y 1 R1"), 1);
	expect_books_balance();
}

/* Whatever a set was made by, something makes it go. */
static void test_rotate_every_dedupe_set_expires(void **state)
{
	redisReply *r;
	char pattern[64];

	(void)state;
	number("lease p 60000");
	number("rotate 1 1 60");
	number("absorb 5 5 60 2 Sealed 1 R Dirty 1 R");
	number("absorb 1 1 60 1 Sealed 2 R");
	texts("seal 1 1 3 60");
	number("absorb 5 5 60 1 Seen 1 ''");
	rotate_now(1);
	number("absorb 6 6 60 1 Sealed 1 R");
	rotate_now(2);
	number("absorb 6 6 60 1 Dirty 7 R");
	rotate_now(3);
	snprintf(pattern, sizeof(pattern), "test:d[0-9]*%s*", strchr(key, '{'));
	r = redisCommand(link_, "KEYS %s", pattern);
	assert_int_equal(r->elements, 5);
	for (size_t i = 0; i < r->elements; i++)
		assert_in_range(command_number("TTL %s", r->element[i]->str), 1, 60);
	freeReplyObject(r);
}

static void test_rotate_clock_that_went_back_begins_anew(void **state)
{
	(void)state;
	number("lease p 60000");
	freeReplyObject(redisCommand(link_, "HSET %s @t 99999999999999", shard_key("i")));
	assert_int_equal(number("rotate 1 1 60"), 0);
	rotate_now(1);
}

/* --- audit -------------------------------------------------------------------------- */

/* 20,000 random steps; a model in C keeps what every number must be. */
static void test_audit_random_steps_books_balance(void **state)
{
	int64_t absorbed = 0;
	char words[160];

	(void)state;
	srand(20261122);
	number("lease p 600000");
	for (int i = 0; i < 20000; i++) {
		int what = rand() % 100;

		if (what < 80) {
			snprintf(words, sizeof(words), "absorb %d %d 60 2 C%d %d R%d C%d %d R%d", i,
				 i, rand() % 20, rand() % 2000, rand() % 30, rand() % 20,
				 rand() % 2000, rand() % 30);
			absorbed += number(words);
		} else if (what < 88) {
			snprintf(words, sizeof(words), "seal 1 %d %d 60", rand() % 5, i - 20);
			freeReplyObject(ask(words));
		} else if (what < 99) {
			snprintf(words, sizeof(words), "settle 1 C%d %d", rand() % 20,
				 1 + rand() % (1 + i / 400));
			number(words);
		} else {
			expect_books_balance();
		}
	}
	snprintf(words, sizeof(words), "%lld ", (long long)absorbed);
	assert_memory_equal(texts("audit"), words, strlen(words));
	expect_books_balance();
}

static void test_audit_finds_what_the_totals_do_not(void **state)
{
	(void)state;
	number("absorb 5 5 60 2 X 1 R1 X 2 R1");
	freeReplyObject(redisCommand(link_, "DEL %sX", shard_key("x")));
	assert_string_equal(texts("audit"), "2 0 0 1 0 1 1 ");
}

/* The key that stands for the shard in a call must never come to be. */
static void test_keys_bare_tag_never_exists(void **state)
{
	(void)state;
	number("absorb 5 5 60 1 X 1 R1 X raw");
	number("lease p 60000");
	number("rotate 1 1 60");
	texts("seal 1 9 5000 60");
	assert_int_equal(command_number("EXISTS %s", key), 0);
	assert_int_equal(key_count("test:*") - key_count("test:*{*"), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, new_shard)
	const struct CMUnitTest tests[] = {
		CASE(test_absorb_retry_counts_once),
		CASE(test_absorb_same_id_twice_in_a_call_counts_once),
		CASE(test_absorb_same_id_of_another_client_counts),
		CASE(test_absorb_same_id_with_another_rule_counts_once),
		CASE(test_absorb_whole_range_of_digests),
		CASE(test_absorb_rules_numbered_from_zero_in_order),
		CASE(test_absorb_rule_names_like_own_fields_escaped),
		CASE(test_absorb_seen_only_counts_nothing_but_dedupes),
		CASE(test_absorb_times_first_is_earliest_last_is_latest),
		CASE(test_absorb_rule_counters_in_redis),
		CASE(test_lease_one_holder_token_grows_with_holders),
		CASE(test_release_by_holder_only),
		CASE(test_stale_token_is_fenced),
		CASE(test_seal_what_has_gathered),
		CASE(test_seal_old_enough_clients_only),
		CASE(test_seal_at_most_max_oldest_first),
		CASE(test_seal_client_in_outbox_goes_on_adding_up),
		CASE(test_seal_clients_in_outbox_do_not_starve_others),
		CASE(test_settle_once_and_only_this_summary),
		CASE(test_outbox_at_most_max),
		CASE(test_seal_leaves_coverage_for_ever),
		CASE(test_exemplar_newest_travels_with_the_summary),
		CASE(test_exemplar_of_a_retry_is_not_kept),
		CASE(test_rotate_by_age_of_the_window),
		CASE(test_rotate_retry_across_the_edge_is_recognised),
		CASE(test_rotate_every_dedupe_set_expires),
		CASE(test_rotate_clock_that_went_back_begins_anew),
		CASE(test_audit_random_steps_books_balance),
		CASE(test_audit_finds_what_the_totals_do_not),
		CASE(test_keys_bare_tag_never_exists),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
