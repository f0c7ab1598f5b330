/* A Redis that has forgotten: a little, which the journal has, or more than that. */
#include "tests/unit/store/rig_fake_journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#define OLDER "Redis holds an older state of its data than before"

/* One more check, and what comes of it. */
static void next_check(void)
{
	unsigned n = fake.n_checks;

	rig_skip_ms(10001);
	RIG_UNTIL(&rig, fake.n_checks > n);
	rig_run(&rig, 30);
}

static long long floor_on_disk(void)
{
	char path[200], text[200] = "";
	long long floor = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/redis-mark/0", rig.conf.state);
	f = fopen(path, "r");
	if (f == NULL)
		return -1;
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_int_equal(
		sscanf(text, "statweir-mark 1 " NONCE " %*16[0-9a-f] %lld statweir\n", &floor), 1);
	return floor;
}

static void write_file(const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/redis-mark", rig.conf.state);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/redis-mark/0", rig.conf.state);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* What an operator does who accepts the loss. */
static void remove_dir(void)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/redis-mark/0", rig.conf.state);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/redis-mark", rig.conf.state);
	assert_int_equal(rmdir(path), 0);
}

static void expect_stopped(const char *words)
{
	RIG_UNTIL(&rig, strstr(store_state(rig.s), words) != NULL);
	assert_false(store_is_ready(rig.s));
	assert_non_null(strstr(store_state(rig.s), "redis-mark and restart every statweir"));
}

static void test_mark_rises_floor_follows_a_grace_later(void **state)
{
	long long floor = 0;

	(void)state;
	wait_redis();
	assert_int_equal(fake.progress, 1);
	assert_int_equal(floor_on_disk(), 0);
	for (int i = 2; i < 9; i++) {
		next_check();
		assert_int_equal(fake.progress, i);
		assert_true(floor_on_disk() >= floor && floor_on_disk() < i);
		floor = floor_on_disk();
	}
	assert_true(floor >= 6);
	reopen();
	wait_redis();
	assert_int_equal(fake.progress, 9);
}

static void test_redis_fell_not_below_the_floor_journal_is_replayed(void **state)
{
	(void)state;
	wait_redis();
	for (int i = 0; i < 5; i++)
		next_check();
	record_many(0, 20, STORE_OK);
	/* The same process, so to see: neither run_id nor replication ID are others. */
	memset(fake.seen, 0, sizeof(fake.seen));
	fake.n_seen = 0;
	fake.progress = floor_on_disk();
	next_check();
	expect_all_replayed(20);
	assert_true(store_is_redis_up(rig.s));
	assert_true(fake.progress > 6);
}

static void test_redis_fell_below_the_floor_stops_until_consent(void **state)
{
	(void)state;
	wait_redis();
	for (int i = 0; i < 5; i++)
		next_check();
	record_many(0, 20, STORE_OK);
	log_threshold = (enum log_level)0;
	fake.progress = floor_on_disk() - 1;
	rig_skip_ms(10001);
	expect_stopped(OLDER);
	/* Nor is a restart consent, nor do others who use that Redis make it whole. */
	reopen();
	rig_skip_ms(3000);
	expect_stopped(OLDER);
	/* The newer data is back. */
	fake.progress = floor_on_disk();
	rig_skip_ms(3000);
	RIG_UNTIL(&rig, store_is_redis_up(rig.s));
	fake.progress = 0;
	rig_skip_ms(10001);
	expect_stopped(OLDER);
	remove_dir();
	reopen();
	wait_redis();
	assert_int_equal(fake.progress, 1);
}

/* It dies and loses its last second, and stays away longer than the grace time. */
static void test_away_for_hours_the_journal_keeps_what_it_may_have_lost(void **state)
{
	unsigned n = 0;

	(void)state;
	rig.conf.journal_segment = 8192;
	reopen();
	wait_redis();
	while (n < 300) { /* several segments */
		record_many(n, n + 20, STORE_OK);
		n += 20;
	}
	next_check();
	go_away();
	memset(fake.seen, 0, sizeof(fake.seen));
	fake.n_seen = 0;
	for (int i = 0; i < 20; i++) {
		rig_skip_ms(600000);
		rig_run(&rig, 30);
	}
	come_back(HEALTHY RUN_2 REPL_1);
	expect_all_replayed(n);
}

/* The next start would ask for less than what had been let go. */
static void test_floor_not_written_the_journal_lets_nothing_go(void **state)
{
	char path[200];
	long long floor;
	unsigned n = 0;

	(void)state;
	rig.conf.journal_segment = 8192;
	reopen();
	wait_redis();
	next_check();
	floor = floor_on_disk();
	log_threshold = (enum log_level)0;
	snprintf(path, sizeof(path), "%s/redis-mark/.new-%ld", rig.conf.state, (long)getpid());
	assert_int_equal(mkdir(path, 0700), 0); /* in the way */
	for (int i = 0; i < 12; i++) {
		record_many(n, n + 20, STORE_OK);
		n += 20;
		next_check();
	}
	assert_int_equal(floor_on_disk(), floor);
	memset(fake.seen, 0, sizeof(fake.seen));
	fake.n_seen = 0;
	fake.progress = floor;
	next_check();
	expect_all_replayed(n);
	assert_int_equal(rmdir(path), 0);
	for (int i = 0; i < 4; i++)
		next_check();
	assert_true(floor_on_disk() > floor);
}

static void test_file_damaged_said_and_begun_anew(void **state)
{
	static const char *const bad[] = {
		"",
		"statweir-mark 2 " NONCE " 0123456789abcdef 7 statweir\n",
		"statweir-mark 1 " NONCE " 0123456789abcdef 7 statweir",
		"statweir-mark 1 0011 0123456789abcdef 7 statweir\n",
		"statweir-mark 1 " NONCE " 0123456789abcdeg 7 statweir\n",
		"statweir-mark 1 " NONCE " 0123456789abcdef x statweir\n",
		"statweir-mark 1 " NONCE " 0123456789abcdef 9223372036854775808 statweir\n",
		"statweir-mark 1 " NONCE "\n",
	};

	(void)state;
	log_threshold = (enum log_level)0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(bad[i]);
		reopen();
		fake.progress = 0;
		wait_redis();
		assert_int_equal(fake.progress, 1);
		assert_int_equal(floor_on_disk(), 0);
	}
}

static void test_file_of_another_prefix_is_not_about_this_data(void **state)
{
	(void)state;
	write_file("statweir-mark 1 " NONCE " 0123456789abcdef 7 other\n");
	reopen();
	wait_redis();
	write_file("statweir-mark 1 " NONCE " 0123456789abcdef 7 statweir\n");
	reopen();
	log_threshold = (enum log_level)0;
	rig_skip_ms(3000);
	expect_stopped(OLDER);
}

static void test_nonce_outlives_a_restart(void **state)
{
	(void)state;
	wait_redis();
	log_threshold = (enum log_level)0;
	fake.meta = "*3\r\n$1\r\n2\r\n$2\r\n16\r\n$32\r\n99112233445566778899aabbccddeeff\r\n";
	reopen();
	rig_skip_ms(3000);
	expect_stopped("other data than before");
	fake.meta = "*3\r\n$-1\r\n$-1\r\n$-1\r\n";
	rig_skip_ms(3000);
	expect_stopped("has lost its data");
}

static void test_without_a_journal_nothing_may_be_missing(void **state)
{
	(void)state;
	rig_set(&rig.conf, "redis.durability", "redis");
	reopen();
	wait_redis();
	next_check();
	assert_int_equal(fake.progress, 2);
	assert_int_equal(floor_on_disk(), 2);
	log_threshold = (enum log_level)0;
	fake.progress = 1;
	rig_skip_ms(10001);
	expect_stopped(OLDER);
}

static void test_durability_none_keeps_no_mark(void **state)
{
	(void)state;
	rig_set(&rig.conf, "redis.durability", "none");
	reopen();
	wait_redis();
	next_check();
	assert_int_equal(fake.progress, 0);
	assert_int_equal(floor_on_disk(), -1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, journal_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_mark_rises_floor_follows_a_grace_later),
		CASE(test_redis_fell_not_below_the_floor_journal_is_replayed),
		CASE(test_redis_fell_below_the_floor_stops_until_consent),
		CASE(test_away_for_hours_the_journal_keeps_what_it_may_have_lost),
		CASE(test_floor_not_written_the_journal_lets_nothing_go),
		CASE(test_file_damaged_said_and_begun_anew),
		CASE(test_file_of_another_prefix_is_not_about_this_data),
		CASE(test_nonce_outlives_a_restart),
		CASE(test_without_a_journal_nothing_may_be_missing),
		CASE(test_durability_none_keeps_no_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
