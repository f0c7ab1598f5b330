/* Replay: what Redis gets from the journal, when, and what waits for it. */
#include "tests/unit/store/rig_fake_journal.h"

static void test_restart_replays_what_redis_had_not(void **state)
{
	(void)state;
	wait_redis();
	record_many(0, 100, STORE_OK);
	go_away();
	record_many(100, 1000, STORE_OK);
	reopen();
	rig_run(&rig, 60);
	assert_true(store_is_ready(rig.s));
	record_many(1000, 1100, STORE_OK);
	come_back(HEALTHY RUN_2 REPL_1);
	expect_all_replayed(1100);
	/* Another run must offer also what the one before knew to be recorded. */
	assert_true(n_seen_twice() <= 100);
	reopen();
	wait_redis();
	rig_run(&rig, 100);
	assert_int_equal(fake.n_seen, 1100);
}

static void test_restart_beyond_the_window_nothing_counted_again(void **state)
{
	(void)state;
	go_away();
	record_many(0, 10, STORE_OK);
	log_threshold = (enum log_level)0;
	store_close(rig.s);
	rig.s = NULL;
	rig_skip_ms(rig.conf.window_ms + 1);
	clock_refresh();
	fake.info = HEALTHY RUN_1 REPL_1;
	reopen();
	wait_redis();
	record_many(20, 21, STORE_OK);
	rig_run(&rig, 100);
	assert_int_equal(fake.n_seen, 1);
}

static void test_close_answers_what_is_open_and_keeps_it(void **state)
{
	(void)state;
	wait_redis();
	fake.fcall = "";
	for (unsigned i = 0; i < 20; i++)
		add(&sent[i], i);
	store_commit(rig.s);
	RIG_UNTIL(&rig, fake.n_fcalls > 0);
	for (unsigned i = 20; i < 40; i++)
		add(&sent[i], i);
	store_close(rig.s);
	rig.s = NULL;
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(sent[i].n_answers, 1);
		assert_int_equal(sent[i].rc, STORE_OK);
	}
	fake.fcall = NULL;
	reopen();
	wait_redis();
	expect_all_replayed(40);
}

/* A pass over much goes on while messages come and go. */
static void test_replay_paced_beside_live_records(void **state)
{
	(void)state;
	fake.info = AWAY;
	rig_run(&rig, 60);
	record_many(0, 3000, STORE_OK);
	come_back(HEALTHY RUN_1 REPL_1);
	wait_redis();
	for (unsigned i = 3000; i < 3100; i++)
		record_many(i, i + 1, STORE_OK);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 100);
	expect_all_replayed(3100);
	assert_int_equal(metric(M_JOURNAL_REPLAYED_NEW), 3000);
}

static void test_replay_refused_goes_on_later(void **state)
{
	(void)state;
	fake.info = AWAY;
	rig_run(&rig, 60);
	record_many(0, 1500, STORE_OK);
	fake.fcall = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
	come_back(HEALTHY RUN_1 REPL_1);
	RIG_UNTIL(&rig, strstr(store_state(rig.s), "maxmemory") != NULL);
	assert_int_equal(fake.n_seen, 0);
	fake.fcall = NULL;
	rig_skip_ms(1100);
	expect_all_replayed(1500);
	assert_int_equal(n_seen_twice(), 0);
}

static void test_replay_connection_lost_in_it_goes_on_later(void **state)
{
	(void)state;
	fake.info = AWAY;
	rig_run(&rig, 60);
	record_many(0, 1500, STORE_OK);
	fake.fcall = "";
	come_back(HEALTHY RUN_1 REPL_1);
	RIG_UNTIL(&rig, fake.n_fcalls > 0);
	hang_up();
	fake.fcall = NULL;
	wait_redis();
	expect_all_replayed(1500);
}

static unsigned lease_rc;

static void on_lease(void *arg, enum store_rc rc, int64_t n)
{
	(void)arg;
	(void)n;
	lease_rc = 1 + (unsigned)rc;
}

static void expect_whole_replay(const char *info)
{
	unsigned loaded = fake.n_conns;

	memset(fake.seen, 0, sizeof(fake.seen)); /* it has forgotten everything */
	fake.n_seen = 0;
	fake.fcall = "";
	fake.n_fcalls = 0;
	fake.info = info;
	rig_skip_ms(11000);
	RIG_UNTIL(&rig, fake.n_fcalls > 0);
	assert_true(fake.n_conns >= loaded);
	assert_false(store_is_redis_up(rig.s));
	assert_true(store_is_ready(rig.s));
	assert_non_null(strstr(store_state(rig.s), "replayed"));
	/* Meanwhile: the journal alone, and no summary is sealed. */
	record_many(500, 510, STORE_OK);
	lease_rc = 0;
	store_lease(rig.s, 0, "me", 1000, on_lease, NULL);
	RIG_UNTIL(&rig, lease_rc != 0);
	assert_int_equal(lease_rc, 1 + STORE_REFUSED);
	assert_int_equal(metric(M_ABSORBED_JOURNAL), 10);
	fake.fcall = NULL;
	hang_up();
	wait_redis();
	expect_all_replayed(310);
	assert_string_equal(store_state(rig.s), "ok");
	record_many(600, 601, STORE_OK);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 301);
}

static void test_another_run_id_everything_kept_is_replayed_first(void **state)
{
	(void)state;
	wait_redis();
	record_many(0, 300, STORE_OK);
	hang_up();
	expect_whole_replay(HEALTHY RUN_2 REPL_1);
}

static void test_another_replication_id_on_the_same_connection_too(void **state)
{
	(void)state;
	wait_redis();
	record_many(0, 300, STORE_OK);
	expect_whole_replay(HEALTHY RUN_1 REPL_2);
}

/* Answers of calls from before the change are no marks after it. */
static void test_another_instance_waits_for_calls_under_way(void **state)
{
	(void)state;
	wait_redis();
	record_many(0, 50, STORE_OK);
	fake.fcall = "";
	fake.n_fcalls = 0;
	add(&sent[60], 60);
	store_commit(rig.s);
	RIG_UNTIL(&rig, fake.n_fcalls == 1);
	fake.info = HEALTHY RUN_1 REPL_2;
	/* The check's own answers come behind that of the call. */
	rig_skip_ms(2000);
	rig_run(&rig, 60);
	assert_int_equal(sent[60].n_answers, 0);
	memset(fake.seen, 0, sizeof(fake.seen));
	fake.n_seen = 0;
	fake.fcall = NULL;
	say(":1\r\n");
	rig_skip_ms(11000);
	RIG_UNTIL(&rig, sent[60].n_answers == 1);
	RIG_UNTIL(&rig, fake.n_seen == 51);
}

static void test_same_instance_back_nothing_replayed(void **state)
{
	(void)state;
	wait_redis();
	record_many(0, 50, STORE_OK);
	hang_up();
	wait_redis();
	rig_run(&rig, 100);
	assert_int_equal(n_seen_twice(), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, journal_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_restart_replays_what_redis_had_not),
		CASE(test_restart_beyond_the_window_nothing_counted_again),
		CASE(test_close_answers_what_is_open_and_keeps_it),
		CASE(test_replay_paced_beside_live_records),
		CASE(test_replay_refused_goes_on_later),
		CASE(test_replay_connection_lost_in_it_goes_on_later),
		CASE(test_another_run_id_everything_kept_is_replayed_first),
		CASE(test_another_replication_id_on_the_same_connection_too),
		CASE(test_another_instance_waits_for_calls_under_way),
		CASE(test_same_instance_back_nothing_replayed),
	};

	/* As statweir does: a broken connection is an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
