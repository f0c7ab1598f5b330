/* redis.wait: a message is recorded when its replicas have it too. */
#include "tests/unit/store/rig_fake.h"

static int wait_setup(void **state)
{
	fake_setup(state);
	memset(metrics_self, 0, sizeof(*metrics_self));
	memset(sent, 0, sizeof(sent));
	log_threshold = (enum log_level)0;
	fake.wait = ":2\r\n";
	fake.fcall = NULL;
	rig_set(&rig.conf, "redis.wait", "2");
	rig_set(&rig.conf, "redis.wait_timeout", "700ms");
	return 0;
}

static void wait_ready(void)
{
	rig_wait_ready(&rig);
	fake.n_waits = fake.n_fcalls = 0;
}

static void begin_one(uint64_t id)
{
	memset(&sent[id], 0, sizeof(sent[id]));
	add(&sent[id], id);
	store_commit(rig.s);
}

static void expect_one(uint64_t id, enum store_rc rc)
{
	RIG_UNTIL(&rig, sent[id].n_answers == 1);
	assert_int_equal(sent[id].rc, rc);
}

static int64_t metric(enum metric m)
{
	return metrics_self->v[m];
}

static void test_add_replicas_have_it_recorded(void **state)
{
	(void)state;
	wait_ready();
	begin_one(1);
	expect_one(1, STORE_OK);
	assert_string_equal(fake.asked, "2 700");
	assert_int_equal(fake.n_waits, 1);
	begin_one(1);
	expect_one(1, STORE_OK);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 1);
	assert_int_equal(metric(M_ABSORBED_DUPLICATE), 1);
	assert_int_equal(metric(M_STORE_PENDING), 0);
}

/* One WAIT for all shards of a round, and the next round after it. */
static void test_add_many_one_wait_for_a_round(void **state)
{
	static char names[64][16];

	(void)state;
	wait_ready();
	for (unsigned i = 0; i < 64; i++) {
		fill(&sent[i], i);
		snprintf(names[i], sizeof(names[i]), "GUID:%u", i);
		sent[i].r.client = slice_str(names[i]);
		store_add(rig.s, &sent[i].r);
	}
	store_commit(rig.s);
	for (unsigned i = 0; i < 64; i++)
		expect_one(i, STORE_OK);
	assert_in_range(fake.n_fcalls, 12, 16);
	assert_int_equal(fake.n_waits, 1);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 64);
}

static void test_add_not_answered_before_the_replicas(void **state)
{
	(void)state;
	wait_ready();
	fake.wait = "";
	begin_one(1);
	RIG_UNTIL(&rig, fake.n_waits == 1);
	begin_one(2); /* waits for the end of the round */
	rig_run(&rig, 60);
	assert_int_equal(fake.n_fcalls, 1);
	assert_int_equal(sent[1].n_answers + sent[2].n_answers, 0);
	fake.wait = ":2\r\n";
	end_wait(":3\r\n");
	expect_one(1, STORE_OK);
	expect_one(2, STORE_OK);
	assert_int_equal(fake.n_waits, 2);
}

static const struct {
	const char *mark, *wait, *words;
} shorts[] = {
	{":1\r\n", ":1\r\n", "1 of 2 replicas (redis.wait)"},
	{":1\r\n", ":0\r\n", "within 700 ms (redis.wait_timeout)"},
	{":1\r\n", "+OK\r\n", "0 of 2 replicas"},
	{":1\r\n", "-NOPERM this user has no permissions to run 'wait'\r\n", "ACL"},
	{"-NOPERM this user has no permissions to run 'hincrby'\r\n", ":2\r\n", "did not take"},
	{"+OK\r\n", ":2\r\n", "did not take"},
};

/* Redis has them, so they are not forwarded, and do not count twice when they come again. */
static void test_add_too_few_replicas_unknown_and_said(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++) {
		wait_ready();
		fake.mark = shorts[i].mark;
		fake.wait = shorts[i].wait;
		begin_one(i);
		expect_one(i, STORE_UNKNOWN);
		assert_false(store_is_ready(rig.s));
		if (strstr(store_state(rig.s), shorts[i].words) == NULL)
			fail_msg("%s%s: %s", shorts[i].mark, shorts[i].wait, store_state(rig.s));
		assert_int_equal(metric(M_ABSORBED_UNIQUE), 0);
		assert_int_equal(metric(M_ABSORBED_DUPLICATE), i);
		fake.mark = ":1\r\n";
		fake.wait = ":2\r\n";
		rig_skip_ms(1001);
		wait_ready();
		begin_one(i);
		expect_one(i, STORE_OK);
	}
}

/* They were not sent: forwarded, as ever while Redis is not fit. */
static void test_add_queued_behind_a_shortage_refused(void **state)
{
	(void)state;
	wait_ready();
	fake.wait = "";
	begin_one(1);
	RIG_UNTIL(&rig, fake.n_waits == 1);
	begin_one(2);
	end_wait(":0\r\n");
	expect_one(1, STORE_UNKNOWN);
	expect_one(2, STORE_REFUSED);
}

static void test_add_connection_lost_while_replicas_are_asked_unknown(void **state)
{
	(void)state;
	wait_ready();
	fake.wait = "";
	begin_one(1);
	RIG_UNTIL(&rig, fake.n_waits == 1);
	rig_run(&rig, 30);
	hang_up();
	expect_one(1, STORE_UNKNOWN);
	fake.wait = ":2\r\n";
	rig_skip_ms(3000);
	wait_ready();
	begin_one(1);
	expect_one(1, STORE_OK);
	assert_int_equal(metric(M_ABSORBED_DUPLICATE), 1);
}

/* Its second try is behind the WAIT of the round, which says nothing of it. */
static void test_add_sent_again_with_the_library_waits_anew(void **state)
{
	(void)state;
	wait_ready();
	fake.missing = 1;
	begin_one(2);
	expect_one(2, STORE_OK);
	assert_int_equal(fake.n_fcalls, 2);
	assert_int_equal(fake.n_waits, 2);
	assert_int_equal(metric(M_ABSORBED_UNIQUE), 1);
}

static void test_add_refused_by_redis_no_replica_is_asked_of_it(void **state)
{
	(void)state;
	wait_ready();
	fake.fcall = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
	begin_one(1);
	expect_one(1, STORE_REFUSED);
}

static void test_close_while_replicas_are_asked_unknown(void **state)
{
	(void)state;
	wait_ready();
	fake.wait = "";
	begin_one(1);
	RIG_UNTIL(&rig, fake.n_waits == 1);
	rig_run(&rig, 30);
	store_close(rig.s);
	rig.s = NULL;
	assert_int_equal(sent[1].n_answers, 1);
	assert_int_equal(sent[1].rc, STORE_UNKNOWN);
}

static void test_ready_too_few_replicas_answer_not(void **state)
{
	(void)state;
	fake.wait = ":1\r\n";
	RIG_UNTIL(&rig, strstr(store_state(rig.s), "1 of 2 replicas") != NULL);
	assert_false(store_is_ready(rig.s));
	fake.wait = "-NOPERM this user has no permissions to run 'wait'\r\n";
	rig_skip_ms(1001);
	RIG_UNTIL(&rig, strstr(store_state(rig.s), "ACL") != NULL);
	fake.wait = ":2\r\n";
	rig_skip_ms(1001);
	wait_ready();
	/* One fails while nobody sends anything. */
	fake.wait = ":0\r\n";
	rig_skip_ms(10001);
	RIG_UNTIL(&rig, !store_is_ready(rig.s));
}

/* The answers of a round and of a check must not be taken for each other's. */
static void test_add_while_a_check_asks_too(void **state)
{
	(void)state;
	wait_ready();
	fake.wait = "";
	rig_skip_ms(10001);
	RIG_UNTIL(&rig, fake.n_waits == 1);
	begin_one(1);
	rig_run(&rig, 30);
	assert_int_equal(fake.n_fcalls, 0);
	end_wait(":2\r\n");
	RIG_UNTIL(&rig, fake.n_waits == 2);
	rig_run(&rig, 30);
	assert_true(store_is_ready(rig.s));
	assert_int_equal(sent[1].n_answers, 0);
	end_wait(":1\r\n");
	expect_one(1, STORE_UNKNOWN);
	assert_false(store_is_ready(rig.s));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, wait_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_add_replicas_have_it_recorded),
		CASE(test_add_many_one_wait_for_a_round),
		CASE(test_add_not_answered_before_the_replicas),
		CASE(test_add_too_few_replicas_unknown_and_said),
		CASE(test_add_queued_behind_a_shortage_refused),
		CASE(test_add_connection_lost_while_replicas_are_asked_unknown),
		CASE(test_add_sent_again_with_the_library_waits_anew),
		CASE(test_add_refused_by_redis_no_replica_is_asked_of_it),
		CASE(test_close_while_replicas_are_asked_unknown),
		CASE(test_add_while_a_check_asks_too),
		CASE(test_ready_too_few_replicas_answer_not),
	};

	/* As statweir does: a broken connection is an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
