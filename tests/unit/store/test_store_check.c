/* What Redis must be before anything is recorded, and what an operator is told. */
#include "tests/unit/store/rig_store.h"

#include <errno.h>

/* --- what Redis must be ------------------------------------------------------------- */

static void test_store_wrong_fsync_stops_and_comes_back(void **state)
{
	struct message m;

	(void)state;
	command("CONFIG SET appendfsync everysec");
	rig_skip_ms(11000);
	expect_state("Redis appendfsync is everysec, redis.durability = redis needs always: "
		     "CONFIG SET appendfsync always");
	add(&m, 1, 1, 1);
	commit();
	RIG_UNTIL(&rig, m.n_answers == 1);
	assert_int_equal(m.rc, STORE_REFUSED);
	command("CONFIG SET appendfsync always");
	rig_skip_ms(1100);
	rig_wait_ready(&rig);
	assert_string_equal(store_state(rig.s), "ok");
}

static void test_store_journal_accepts_everysec_none_accepts_all(void **state)
{
	(void)state;
	command("CONFIG SET appendfsync everysec");
	rig_set(&conf, "redis.durability", "journal");
	reopen();
	rig_wait_ready(&rig);
	command("CONFIG SET maxmemory-policy allkeys-lru");
	rig_skip_ms(11000);
	expect_state("CONFIG SET maxmemory-policy noeviction");
	rig_set(&conf, "redis.durability", "none");
	reopen();
	rig_wait_ready(&rig);
	command("CONFIG SET maxmemory-policy noeviction");
	command("CONFIG SET appendfsync always");
}

static void test_store_flushall_stops_until_restart(void **state)
{
	char nonce[40];

	(void)state;
	snprintf(nonce, sizeof(nonce), "%s", store_nonce(rig.s));
	assert_int_equal(record_one(1, 1, 1), STORE_OK);
	command("FLUSHALL");
	rig_skip_ms(11000);
	expect_state("has lost its data");
	/* Waiting does not help, nor does a new connection. */
	command("CLIENT KILL TYPE normal SKIPME yes");
	rig_skip_ms(3000);
	rig_run(&rig, 200);
	expect_state("has lost its data");
	reopen();
	rig_wait_ready(&rig);
	assert_string_not_equal(store_nonce(rig.s), nonce);
}

static void test_store_restored_backup_stops(void **state)
{
	char words[100];

	(void)state;
	snprintf(words, sizeof(words), "HSET %s:meta nonce 00112233445566778899aabbccddeeff",
		 conf.redis_prefix);
	command(words);
	rig_skip_ms(11000);
	expect_state("nonce");
}

static void test_store_other_shards_or_format_refused(void **state)
{
	char words[100];

	(void)state;
	rig_set(&conf, "redis.shards", "8");
	reopen();
	expect_state("Redis holds data in 4 shards, redis.shards is 8: set redis.shards = 4");
	rig_set(&conf, "redis.shards", "4");
	snprintf(words, sizeof(words), "HSET %s:meta format 99", conf.redis_prefix);
	command(words);
	reopen();
	expect_state("format 99");
}

static void test_store_second_instance_same_nonce(void **state)
{
	struct rig other = {.conf = conf};

	(void)state;
	rig_open_store(&other);
	rig_wait_ready(&other);
	assert_string_equal(store_nonce(other.s), store_nonce(rig.s));
	rig_close_store(&other);
}

static void test_store_library_lost_is_loaded_again(void **state)
{
	static struct message m[200];

	(void)state;
	command("FUNCTION FLUSH");
	for (unsigned i = 0; i < 200; i++)
		add(&m[i], i, 1, i);
	commit();
	RIG_UNTIL(&rig, n_answered == 200);
	assert_int_equal(n_ok, 200);
	assert_true(store_is_ready(rig.s));
	assert_int_equal(audit_all().absorbed, 200);
}

static void test_store_maxmemory_refuses_and_comes_back(void **state)
{
	(void)state;
	command("CONFIG SET maxmemory 1");
	assert_int_equal(record_one(1, 1, 1), STORE_REFUSED);
	expect_state("Redis has reached maxmemory");
	/* What was gathered can still be sealed and settled: that is what frees memory. */
	command("CONFIG SET maxmemory 0");
	rig_skip_ms(1100);
	rig_wait_ready(&rig);
	assert_int_equal(record_one(1, 1, 1), STORE_OK);
	assert_int_equal(audit_all().absorbed, 1);
}

static void test_store_replica_refused(void **state)
{
	(void)state;
	command("REPLICAOF 127.0.0.1 1");
	rig_skip_ms(11000);
	expect_state("replica");
	command("REPLICAOF NO ONE");
	rig_skip_ms(3000);
	rig_wait_ready(&rig);
}

/* --- users and passwords ------------------------------------------------------------ */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_store_acl_user_without_config(void **state)
{
	char path[300];

	(void)state;
	snprintf(path, sizeof(path), "%s/password", conf.state);
	command("ACL SETUSER weir on >geheim resetkeys ~* -@all +fcall +function|load +info +ping "
		"+hsetnx +hmget +hset +hget +hincrby +hdel +hexists +hgetall +hvals +hlen "
		"+hrandfield +hscan +sadd +sismember +setbit +bitcount +bitop +bitfield "
		"+bitfield_ro +getbit +get "
		"+del +zadd +zrem +zscore +zrange +zrangebyscore +time +client|setname");
	rig_set(&conf, "redis.user", "weir");
	rig_set(&conf, "redis.password_file", path);
	write_file(path, "falsch\n");
	reopen();
	expect_state("redis.password_file");
	write_file(path, "geheim\n");
	rig_skip_ms(3000);
	rig_wait_ready(&rig);
	assert_int_equal(record_one(1, 1, 1), STORE_OK);
	for (unsigned k = 0; k < 4; k++) {
		ASK(store_lease(rig.s, k, "me", 60000, on_number, NULL));
		ASK(store_seal(rig.s, k, 1, 100, INT64_MAX, on_claims, NULL));
		assert_int_equal(answer.rc, STORE_OK);
		ASK(store_rotate(rig.s, k, 1, on_number, NULL));
		assert_int_equal(answer.rc, STORE_OK);
		ASK(store_settle(rig.s, k, 1, SLICE("GUID:000001"), 1, answer.sealed_ms, on_number,
				 NULL));
		assert_int_equal(answer.rc, STORE_OK);
	}
	assert_int_equal(audit_all().settled, 1);
	rig_set(&conf, "redis.user", "");
	rig_set(&conf, "redis.password_file", "");
}

static void test_store_password_file_missing_is_said(void **state)
{
	(void)state;
	rig_set(&conf, "redis.password_file", "/nonexistent/password");
	reopen();
	expect_state("/nonexistent/password");
	rig_set(&conf, "redis.password_file", "");
}

static void test_store_open_bad_settings_refused(void **state)
{
	struct conf bad = conf;
	struct store *s = NULL;

	(void)state;
	bad.redis_prefix = "a{b}";
	assert_int_equal(store_open(&s, rig.base, &bad), -EINVAL);
	bad = conf;
	bad.redis_server = "nonsense";
	assert_int_equal(store_open(&s, rig.base, &bad), -EINVAL);
	bad.redis_server = "unix:/0123456789012345678901234567890123456789012345678901234567890123"
			   "45678901234567890123456789012345678901234567890123456789";
	assert_int_equal(store_open(&s, rig.base, &bad), -EINVAL);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_store_wrong_fsync_stops_and_comes_back),
		CASE(test_store_journal_accepts_everysec_none_accepts_all),
		CASE(test_store_flushall_stops_until_restart),
		CASE(test_store_restored_backup_stops),
		CASE(test_store_other_shards_or_format_refused),
		CASE(test_store_second_instance_same_nonce),
		CASE(test_store_library_lost_is_loaded_again),
		CASE(test_store_maxmemory_refuses_and_comes_back),
		CASE(test_store_replica_refused),
		CASE(test_store_acl_user_without_config),
		CASE(test_store_password_file_missing_is_said),
		CASE(test_store_open_bad_settings_refused),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
