/* The store with a journal: who must have spoken before a message is acknowledged. */
#include "tests/unit/store/rig_fake_journal.h"

#include <sys/resource.h>

/* --- when a message is acknowledged ------------------------------------------------- */

static void test_add_redis_silent_not_acknowledged_by_the_journal_alone(void **state)
{
	(void)state;
	wait_redis();
	fake.fcall = "";
	add(&sent[0], 1);
	store_commit(rig.s);
	RIG_UNTIL(&rig, fake.n_fcalls == 1 && metric(M_JOURNAL_RECORDS) == 1);
	rig_run(&rig, 60);
	assert_int_equal(sent[0].n_answers, 0);
	say(":1\r\n");
	RIG_UNTIL(&rig, sent[0].n_answers == 1);
	assert_int_equal(sent[0].rc, STORE_OK);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 1);
	assert_int_equal(metric(M_ABSORBED_JOURNAL), 0);
	rig_run(&rig, 60);
	assert_int_equal(metric(M_JOURNAL_UNAPPLIED), 0);
	assert_int_equal(fake.n_fcalls, 1);
}

static void test_add_redis_never_there_acknowledged_by_the_journal(void **state)
{
	(void)state;
	fake.info = AWAY;
	RIG_UNTIL(&rig, strstr(store_state(rig.s), "loading") != NULL);
	assert_true(store_is_ready(rig.s));
	assert_false(store_is_redis_up(rig.s));
	assert_non_null(strstr(store_state(rig.s), "acknowledged from the journal"));
	record_many(0, 300, STORE_OK);
	assert_int_equal(metric(M_ABSORBED_JOURNAL), 300);
	assert_int_equal(metric(M_STORE_PENDING), 0);
	assert_int_equal(fake.n_seen, 0);
	come_back(HEALTHY RUN_1 REPL_1);
	expect_all_replayed(300);
	assert_int_equal(n_seen_twice(), 0);
	assert_int_equal(metric(M_JOURNAL_REPLAYED_NEW), 300);
	assert_int_equal(metric(M_ABSORBED_UNIQUE) + metric(M_ABSORBED_DUPLICATE), 0);
	assert_string_equal(store_state(rig.s), "ok");
}

static void test_add_seen_only_is_remembered_and_no_outcome(void **state)
{
	(void)state;
	fake.info = AWAY;
	rig_run(&rig, 60);
	fill(&sent[0], 7);
	sent[0].r.is_seen_only = true;
	store_add(rig.s, &sent[0].r);
	add(&sent[1], 8);
	store_commit(rig.s);
	RIG_UNTIL(&rig, sent[0].n_answers == 1 && sent[1].n_answers == 1);
	assert_int_equal(metric(M_ABSORBED_JOURNAL), 1);
	come_back(HEALTHY RUN_1 REPL_1);
	expect_all_replayed(2);
	assert_int_equal(metric(M_JOURNAL_REPLAYED_NEW) + metric(M_JOURNAL_REPLAYED_DUPLICATE), 1);
}

static const char *const failures[] = {
	"-LOADING Redis is loading the dataset in memory\r\n",
	"-READONLY You can't write against a read only replica.\r\n",
	"-MISCONF Errors writing to the AOF file: No space left\r\n",
	"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
	"-BUSY Redis is busy running a script.\r\n",
	"-NOREPLICAS Not enough good replicas to write.\r\n",
	"-CLUSTERDOWN Hash slot not served\r\n",
	"-NOAUTH Authentication required.\r\n",
	"-ERR Function not found\r\n",
	"-WRONGTYPE Operation against a key script: statweir3_absorb, on @user_function:1.\r\n",
	"+OK\r\n",
};

/* What the journal holds is never forwarded, so never refused; Redis gets it later. */
static void test_add_redis_fails_acknowledged_and_replayed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		fake.fcall = NULL;
		wait_redis();
		fake.fcall = failures[i];
		record_many(i, i + 1, STORE_OK);
		assert_true(store_is_ready(rig.s));
		fake.fcall = NULL;
		wait_redis();
		expect_all_replayed(i + 1);
	}
	assert_int_equal(n_seen_twice(), 0);
	assert_int_equal(metric(M_ABSORBED_JOURNAL), sizeof(failures) / sizeof(failures[0]));
}

static void test_add_outcome_unknown_replay_repeats_it_harmlessly(void **state)
{
	(void)state;
	wait_redis();
	fake.fcall = ":"; /* it has recorded, and half of its answer comes */
	fake.seen[1] = 1;
	fake.n_seen = 1;
	add(&sent[1], 1);
	store_commit(rig.s);
	RIG_UNTIL(&rig, fake.n_fcalls == 1);
	hang_up();
	RIG_UNTIL(&rig, sent[1].n_answers == 1);
	assert_int_equal(sent[1].rc, STORE_OK);
	fake.fcall = NULL;
	wait_redis();
	RIG_UNTIL(&rig, fake.seen[1] == 2);
	RIG_UNTIL(&rig, metric(M_JOURNAL_UNAPPLIED) == 0);
	assert_int_equal(metric(M_JOURNAL_REPLAYED_DUPLICATE), 1);
	assert_int_equal(metric(M_JOURNAL_REPLAYED_NEW), 0);
}

static void test_add_call_timeout_acknowledged_within_it(void **state)
{
	(void)state;
	wait_redis();
	fake.fcall = "";
	add(&sent[1], 1);
	store_commit(rig.s);
	RIG_UNTIL(&rig, fake.n_fcalls == 1);
	add(&sent[2], 2); /* in the queue behind it */
	store_commit(rig.s);
	rig_skip_ms(rig.conf.redis_call_ms + 1);
	RIG_UNTIL(&rig, sent[1].n_answers == 1 && sent[2].n_answers == 1);
	assert_int_equal(sent[1].rc, STORE_OK);
	assert_int_equal(sent[2].rc, STORE_OK);
	fake.fcall = NULL;
	wait_redis();
	expect_all_replayed(2);
}

/* --- the journal itself ------------------------------------------------------------- */

static void test_journal_full_refuses_says_why_and_empties(void **state)
{
	unsigned n = 0;

	(void)state;
	rig.conf.journal_segment = 8192;
	rig.conf.journal_limit = 32768;
	reopen();
	fake.info = AWAY;
	hang_up();
	rig_run(&rig, 60);
	while (store_is_ready(rig.s)) {
		assert_true(n < 1000);
		record_many(n, n + 1, STORE_OK);
		n++;
	}
	assert_true(n > 200);
	assert_non_null(strstr(store_state(rig.s), "journal.limit"));
	/* One that came too late. Those that still fit into the last segment are taken. */
	for (unsigned i = 0; i < 200; i++) {
		add(&sent[2000 + i], 2000 + i);
		store_commit(rig.s);
		RIG_UNTIL(&rig, sent[2000 + i].n_answers == 1);
		if (sent[2000 + i].rc == STORE_REFUSED)
			break;
		n++;
	}
	assert_int_equal(metric(M_ABSORBED_JOURNAL), n);
	come_back(HEALTHY RUN_1 REPL_1);
	expect_all_replayed(n);
	/* Until a mark that came behind them is as old as the grace time. */
	for (unsigned i = 0; i < 4; i++) {
		rig_skip_ms(rig.conf.journal_grace_ms / 2 + 1);
		rig_run(&rig, 100);
	}
	RIG_UNTIL(&rig, store_is_ready(rig.s));
	record_many(3000, 3010, STORE_OK);
	assert_int_equal(fake.n_seen, n + 10);
}

static void test_journal_sync_fails_unknown_and_mends(void **state)
{
	struct rlimit none, before;

	(void)state;
	wait_redis();
	record_many(0, 10, STORE_OK);
	rig_run(&rig, 300); /* until the spare has its zeros */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	log_threshold = (enum log_level)0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	record_many(10, 20, STORE_UNKNOWN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_false(store_is_ready(rig.s));
	assert_non_null(strstr(store_state(rig.s), "failed"));
	/* Redis had them, which shows when the clients come again. */
	assert_int_equal(fake.n_seen, 20);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 10);
	add(&sent[30], 30);
	store_commit(rig.s);
	RIG_UNTIL(&rig, sent[30].n_answers == 1);
	assert_int_equal(sent[30].rc, STORE_REFUSED);
	rig_skip_ms(11000);
	RIG_UNTIL(&rig, store_is_ready(rig.s));
	memset(sent, 0, sizeof(sent));
	record_many(10, 20, STORE_OK);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 10);
	assert_int_equal(metric(M_ABSORBED_DUPLICATE), 10);
}

static void test_journal_taken_by_another_not_ready_then_opened(void **state)
{
	struct rig other = {.conf = rig.conf};

	(void)state;
	log_threshold = (enum log_level)0;
	rig_open_store(&other);
	assert_int_equal(store_use_state(other.s, 0), 0);
	rig_run(&other, 60);
	assert_false(store_is_ready(other.s));
	assert_non_null(strstr(store_state(other.s), "another process uses the journal"));
	rig_close_store(&rig);
	/* Mostly it is one that is about to end: not ten seconds, as for other failures. */
	rig_skip_ms(201);
	RIG_UNTIL(&other, store_is_ready(other.s));
	rig_close_store(&other);
	rig_open_store(&rig);
}

static void test_journal_of_each_worker_its_own(void **state)
{
	struct rig other = {.conf = rig.conf};

	(void)state;
	rig_open_store(&other);
	assert_int_equal(store_use_state(other.s, 1), 0);
	RIG_UNTIL(&other, store_is_ready(other.s));
	rig_close_store(&other);
}

static void test_journal_not_with_other_durabilities(void **state)
{
	struct rig other = {.conf = rig.conf};

	(void)state;
	rig_set(&other.conf, "redis.durability", "redis");
	rig_open_store(&other);
	assert_int_equal(store_use_state(other.s, 0), 0);
	assert_false(store_is_ready(other.s));
	rig_close_store(&other);
	rig.conf = other.conf;
}

/* --- data that is gone -------------------------------------------------------------- */

static void test_redis_lost_its_data_journal_stops_too(void **state)
{
	const char *healthy = fake.meta;

	(void)state;
	wait_redis();
	record_many(0, 50, STORE_OK);
	log_threshold = (enum log_level)0;
	fake.meta = "*3\r\n$-1\r\n$-1\r\n$-1\r\n";
	rig_skip_ms(11000);
	RIG_UNTIL(&rig, !store_is_ready(rig.s));
	assert_non_null(strstr(store_state(rig.s), "/redis-mark and restart every statweir"));
	/* Not even when that Redis then goes away. */
	fake.info = AWAY;
	hang_up();
	rig_skip_ms(3000);
	rig_run(&rig, 60);
	assert_false(store_is_ready(rig.s));
	fake.meta = healthy;
	fake.info = HEALTHY RUN_1 REPL_1;
	wait_redis();
	assert_true(store_is_ready(rig.s));
}

static void test_redis_replaced_journal_stops_too(void **state)
{
	(void)state;
	wait_redis();
	log_threshold = (enum log_level)0;
	fake.meta = "*3\r\n$1\r\n2\r\n$2\r\n16\r\n$32\r\n99112233445566778899aabbccddeeff\r\n";
	rig_skip_ms(11000);
	RIG_UNTIL(&rig, !store_is_ready(rig.s));
	assert_non_null(strstr(store_state(rig.s), "other data than before"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, journal_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_add_redis_silent_not_acknowledged_by_the_journal_alone),
		CASE(test_add_redis_never_there_acknowledged_by_the_journal),
		CASE(test_add_seen_only_is_remembered_and_no_outcome),
		CASE(test_add_redis_fails_acknowledged_and_replayed),
		CASE(test_add_outcome_unknown_replay_repeats_it_harmlessly),
		CASE(test_add_call_timeout_acknowledged_within_it),
		CASE(test_journal_full_refuses_says_why_and_empties),
		CASE(test_journal_sync_fails_unknown_and_mends),
		CASE(test_journal_taken_by_another_not_ready_then_opened),
		CASE(test_journal_of_each_worker_its_own),
		CASE(test_journal_not_with_other_durabilities),
		CASE(test_redis_lost_its_data_journal_stops_too),
		CASE(test_redis_replaced_journal_stops_too),
	};

	/* As statweir does: a broken connection is an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
