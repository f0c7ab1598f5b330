/* The store against a scripted Redis: every answer that a real one gives only on a bad day. */
#include "tests/unit/store/rig.h"
#include "tests/unit/store/rig_clock.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/un.h>

#define NONCE	"00112233445566778899aabbccddeeff"
#define N_SENT	1000
#define HEALTHY "role:master\r\nloading:0\r\naof_enabled:1\r\naof_last_write_status:ok\r\n"

/* Answers are raw bytes; "" swallows the call. */
static struct fake {
	struct evconnlistener *listener;
	struct bufferevent *conn;
	redisReader *reader;
	const char *info, *config, *function, *fcall;
	unsigned n_fcalls, n_loads, n_conns;
} fake;

static struct rig rig;

/* --- the scripted server ------------------------------------------------------------ */

static void say(const char *bytes)
{
	bufferevent_write(fake.conn, bytes, strlen(bytes));
}

static void say_bulk(const char *text)
{
	evbuffer_add_printf(bufferevent_get_output(fake.conn), "$%zu\r\n%s\r\n", strlen(text),
			    text);
}

static void answer_command(const redisReply *r)
{
	const char *word = r->element[0]->str;

	if (strcmp(word, "INFO") == 0 && fake.info[0] != '-') {
		say_bulk(fake.info);
	} else if (strcmp(word, "INFO") == 0) {
		say(fake.info);
	} else if (strcmp(word, "CONFIG") == 0) {
		say(fake.config);
	} else if (strcmp(word, "FUNCTION") == 0) {
		fake.n_loads++;
		say(fake.function);
	} else if (strcmp(word, "HSETNX") == 0) {
		say(":0\r\n");
	} else if (strcmp(word, "HMGET") == 0) {
		say("*3\r\n$1\r\n1\r\n$2\r\n16\r\n$32\r\n" NONCE "\r\n");
	} else if (strcmp(word, "FCALL") == 0) {
		fake.n_fcalls++;
		say(fake.fcall);
	} else {
		say("+OK\r\n");
	}
}

static void on_bytes(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in);
	redisReply *r = NULL;

	(void)arg;
	redisReaderFeed(fake.reader, (const char *)evbuffer_pullup(in, -1), n);
	evbuffer_drain(in, n);
	while (fake.conn == bev && redisReaderGetReply(fake.reader, (void **)&r) == REDIS_OK &&
	       r != NULL) {
		answer_command(r);
		freeReplyObject(r);
		r = NULL;
	}
}

static void hang_up(void)
{
	if (fake.conn == NULL)
		return;
	bufferevent_free(fake.conn);
	redisReaderFree(fake.reader);
	fake.conn = NULL;
	fake.reader = NULL;
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	if (fake.conn == bev)
		hang_up();
}

static void on_conn(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int n,
		    void *arg)
{
	(void)sa;
	(void)n;
	(void)arg;
	hang_up();
	fake.n_conns++;
	fake.reader = redisReaderCreate();
	fake.conn = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(fake.conn, on_bytes, NULL, on_end, NULL);
	bufferevent_enable(fake.conn, EV_READ | EV_WRITE);
}

static int setup(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char server[300];

	(void)state;
	log_threshold = LOG_ERROR;
	rig = (struct rig){0};
	rig_conf(&rig.conf);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.80s/fake.sock", rig.conf.state);
	snprintf(server, sizeof(server), "unix:%s", addr.sun_path);
	rig_set(&rig.conf, "redis.server", server);
	fake = (struct fake){
		.info = HEALTHY,
		.config = "*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$11\r\nappendfsync\r\n$"
			  "6\r\nalways\r\n",
		.function = "+statweir1\r\n",
		.fcall = ":1\r\n",
	};
	rig_open_store(&rig);
	fake.listener = evconnlistener_new_bind(rig.base, on_conn, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
						(struct sockaddr *)&addr, sizeof(addr));
	assert_non_null(fake.listener);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hang_up();
	evconnlistener_free(fake.listener);
	rig_close_store(&rig);
	rig_conf_fini(&rig.conf);
	return 0;
}

/* --- messages ----------------------------------------------------------------------- */

static struct message {
	struct record r;
	unsigned n_answers;
	enum store_rc rc;
} sent[N_SENT];

static void on_done(struct record *r, enum store_rc rc)
{
	struct message *m = (struct message *)r;

	m->n_answers++;
	m->rc = rc;
}

static void add(struct message *m, uint64_t id)
{
	*m = (struct message){.r = {.client = SLICE("GUID:1"),
				    .rule = SLICE("R1"),
				    .digest = id,
				    .at_ms = 1700000000000,
				    .done = on_done}};
	store_add(rig.s, &m->r);
}

static enum store_rc record_one(void)
{
	add(&sent[0], 1);
	store_commit(rig.s);
	RIG_UNTIL(&rig, sent[0].n_answers > 0);
	return sent[0].rc;
}

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
	{"-NOPERM no permissions script: statweir1_absorb, on @user_function:64.\r\n", "ACL",
	 STORE_UNKNOWN},
	{"-OOM command not allowed script: statweir1_absorb, on @user_function:9.\r\n", "maxmemory",
	 STORE_UNKNOWN},
	{"-WRONGTYPE Operation against a key script: statweir1_absorb, on @user_function:1.\r\n",
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
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
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
