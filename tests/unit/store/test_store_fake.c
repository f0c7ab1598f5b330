/* The store against a scripted Redis: every answer that a real one gives only on a bad day. */
#include "tests/unit/store/rig_fake.h"

/* --- errors ------------------------------------------------------------------------- */

static const struct {
	const char *reply, *words;
	enum store_rc rc;
} errors[] = {
	{"-LOADING Redis is loading the dataset in memory\r\n", "loading", STORE_REFUSED},
	{"-READONLY You can't write against a read only replica.\r\n", "master", STORE_REFUSED},
	{"-MISCONF Errors writing to the AOF file: No space left\r\n", "disk", STORE_REFUSED},
	{"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "maxmemory",
	 STORE_REFUSED},
	{"-BUSY Redis is busy running a script.\r\n", "busy", STORE_REFUSED},
	{"-NOREPLICAS Not enough good replicas to write.\r\n", "replicas", STORE_REFUSED},
	{"-MOVED 3999 127.0.0.1:6381\r\n", "cluster", STORE_REFUSED},
	{"-ASK 3999 127.0.0.1:6381\r\n", "ASK", STORE_REFUSED},
	{"-CLUSTERDOWN Hash slot not served\r\n", "cluster", STORE_REFUSED},
	{"-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN", STORE_REFUSED},
	{"-NOAUTH Authentication required.\r\n", "password", STORE_REFUSED},
	{"-NOPERM this user has no permissions\r\n", "ACL", STORE_REFUSED},
	{"-ERR unknown command 'FCALL'\r\n", "older than 7.0", STORE_REFUSED},
	{"-ERR Function not found\r\n", "function library", STORE_REFUSED},
	/* From within a function: part of it may be done. */
	{"-NOPERM no permissions script: statweir3_absorb, on @user_function:64.\r\n", "ACL",
	 STORE_UNKNOWN},
	{"-OOM command not allowed script: statweir3_absorb, on @user_function:9.\r\n", "maxmemory",
	 STORE_UNKNOWN},
	{"-WRONGTYPE Operation against a key script: statweir3_absorb, on @user_function:1.\r\n",
	 "WRONGTYPE", STORE_UNKNOWN},
	{"-ERR something \"new\"\r\n", "ERR something ?new?", STORE_UNKNOWN},
	/* Not errors, and not numbers either. */
	{"+OK\r\n", "ok", STORE_UNKNOWN},
	{"$-1\r\n", "ok", STORE_UNKNOWN},
	{"*1\r\n:1\r\n", "ok", STORE_UNKNOWN},
};

static void test_store_each_error_mapped_and_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		rig_skip_ms(3000);
		fake.fcall = ":1\r\n";
		rig_wait_ready(&rig);
		fake.fcall = errors[i].reply;
		if (record_one() != errors[i].rc)
			fail_msg("%s: %s", errors[i].reply, store_rc_name(sent[0].rc));
		assert_int_equal(sent[0].n_answers, 1);
		if (strstr(store_state(rig.s), errors[i].words) == NULL)
			fail_msg("%s: %s", errors[i].reply, store_state(rig.s));
		assert_int_equal(store_is_ready(rig.s), strcmp(errors[i].words, "ok") == 0);
	}
}

static void test_store_error_while_checking_explained(void **state)
{
	static const char *const infos[][2] = {
		{"-NOAUTH Authentication required.\r\n", "redis.password_file"},
		{"-NOPERM no permission to run the 'info' command\r\n", "ACL"},
		{"role:slave\r\n", "replica"},
		{"role:master\r\nloading:1\r\n", "loading"},
		{HEALTHY "maxmemory_policy:volatile-lru\r\n", "noeviction"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		fake.info = infos[i][0];
		rig_skip_ms(11000);
		RIG_UNTIL(&rig, strstr(store_state(rig.s), infos[i][1]) != NULL);
		assert_false(store_is_ready(rig.s));
	}
	fake.info = HEALTHY;
	rig_skip_ms(3000);
	rig_wait_ready(&rig);
}

static void test_store_config_forbidden_info_is_enough(void **state)
{
	(void)state;
	fake.config = "-NOPERM this user has no permissions to run the 'config|get' command\r\n";
	rig_wait_ready(&rig);
	assert_int_equal(record_one(), STORE_OK);
}

static void test_store_function_not_found_loaded_once_tried_twice(void **state)
{
	(void)state;
	rig_wait_ready(&rig);
	fake.n_loads = 0;
	fake.fcall = "-ERR Function not found\r\n";
	assert_int_equal(record_one(), STORE_REFUSED);
	assert_int_equal(fake.n_loads, 1);
	assert_int_equal(fake.n_fcalls, 2);
}

/* --- connections -------------------------------------------------------------------- */

/* A late answer must not be taken for the answer to a later call. */
static void test_store_late_answer_condemns_the_connection(void **state)
{
	(void)state;
	rig_wait_ready(&rig);
	fake.fcall = "";
	add(&sent[0], 1);
	store_commit(rig.s);
	RIG_UNTIL(&rig, fake.n_fcalls == 1);
	rig_skip_ms(rig.conf.redis_call_ms + 1);
	RIG_UNTIL(&rig, sent[0].n_answers == 1);
	assert_int_equal(sent[0].rc, STORE_UNKNOWN);
	assert_false(store_is_ready(rig.s));
	if (fake.conn != NULL)
		say(":1\r\n");
	rig_skip_ms(3000);
	rig_wait_ready(&rig);
	assert_int_equal(sent[0].n_answers, 1);
	assert_int_equal(fake.n_conns, 2);
	fake.fcall = ":1\r\n";
	assert_int_equal(record_one(), STORE_OK);
}

static void test_store_connection_cut_inside_an_answer_unknown(void **state)
{
	(void)state;
	rig_wait_ready(&rig);
	fake.fcall = ":";
	add(&sent[0], 1);
	store_commit(rig.s);
	RIG_UNTIL(&rig, fake.n_fcalls == 1);
	rig_run(&rig, 30);
	assert_int_equal(sent[0].n_answers, 0);
	hang_up();
	RIG_UNTIL(&rig, sent[0].n_answers == 1);
	assert_int_equal(sent[0].rc, STORE_UNKNOWN);
	assert_non_null(strstr(store_state(rig.s), "connection to Redis was lost"));
}

static void test_store_answer_that_is_no_redis_unknown(void **state)
{
	(void)state;
	rig_wait_ready(&rig);
	fake.fcall = "HTTP/1.1 400 Bad Request\r\n\r\n";
	assert_int_equal(record_one(), STORE_UNKNOWN);
}

/* While nobody reads, megabytes wait in the link; later they leave whole. */
static void test_store_slow_reader_gets_everything(void **state)
{
	static char body[60000];

	(void)state;
	rig_wait_ready(&rig);
	memset(body, 'b', sizeof(body));
	bufferevent_disable(fake.conn, EV_READ);
	for (unsigned i = 0; i < 100; i++) {
		add(&sent[i], i);
		sent[i].r.raw = slice_make(body, sizeof(body));
	}
	store_commit(rig.s);
	rig_run(&rig, 100);
	assert_int_equal(fake.n_fcalls, 0);
	bufferevent_enable(fake.conn, EV_READ);
	for (unsigned i = 0; i < 100; i++)
		RIG_UNTIL(&rig, sent[i].n_answers == 1);
	/* 6 MB in calls of about 1 MiB each. */
	assert_in_range(fake.n_fcalls, 6, 8);
}

/* Idle: at once. Busy: gather until the answer, then everything in one call. */
static void test_store_commit_clocks_itself(void **state)
{
	(void)state;
	rig_wait_ready(&rig);
	fake.fcall = "";
	for (unsigned i = 0; i < 100; i++) {
		add(&sent[i], i);
		store_commit(rig.s);
		rig_turn(&rig);
	}
	rig_run(&rig, 50);
	assert_int_equal(fake.n_fcalls, 1);
	fake.fcall = ":99\r\n";
	say(":1\r\n");
	RIG_UNTIL(&rig, sent[99].n_answers == 1);
	assert_int_equal(fake.n_fcalls, 2);
}

/* A replayed record of long ago must not lend its time to those of now. */
static void test_store_records_far_apart_in_time_in_calls_of_their_own(void **state)
{
	(void)state;
	rig_wait_ready(&rig);
	for (unsigned i = 0; i < 30; i++) {
		add(&sent[i], i);
		sent[i].r.at_ms += (int64_t)(i / 10) * 3600000 + i % 10;
	}
	store_commit(rig.s);
	RIG_UNTIL(&rig, sent[29].n_answers == 1);
	assert_int_equal(fake.n_fcalls, 3);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_store_each_error_mapped_and_explained),
		CASE(test_store_error_while_checking_explained),
		CASE(test_store_config_forbidden_info_is_enough),
		CASE(test_store_function_not_found_loaded_once_tried_twice),
		CASE(test_store_late_answer_condemns_the_connection),
		CASE(test_store_connection_cut_inside_an_answer_unknown),
		CASE(test_store_answer_that_is_no_redis_unknown),
		CASE(test_store_slow_reader_gets_everything),
		CASE(test_store_commit_clocks_itself),
		CASE(test_store_records_far_apart_in_time_in_calls_of_their_own),
	};

	/* As statweir does: a broken connection is an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
