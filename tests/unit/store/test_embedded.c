#include "proxy/store/embedded_find.h"
#include "tests/unit/store/rig.h"
#include "tests/unit/store/rig_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct conf conf;
static struct strbuf err;

static int setup(void **state)
{
	(void)state;
	log_threshold = LOG_ERROR;
	rig_conf(&conf);
	strbuf_init(&err, 4096);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	strbuf_fini(&err);
	rig_conf_fini(&conf);
	return 0;
}

static bool says(const char *words)
{
	return err.n > 0 && memmem(err.p, err.n, words, strlen(words)) != NULL;
}

static char *answer_to(const char *words)
{
	static char out[256];
	char path[300];
	redisContext *c;
	redisReply *r;

	embedded_socket_path(&conf, path, sizeof(path));
	c = redisConnectUnix(path);
	out[0] = '\0';
	if (c->err == 0 && (r = redisCommand(c, words)) != NULL) {
		const redisReply *v = r->type == REDIS_REPLY_ARRAY ? r->element[1] : r;

		snprintf(out, sizeof(out), "%s", v->str != NULL ? v->str : "");
		freeReplyObject(r);
	}
	redisFree(c);
	return out;
}

static void test_embedded_start_settings_as_promised(void **state)
{
	static const char *const wanted[][2] = {
		{"CONFIG GET appendonly", "yes"},
		{"CONFIG GET appendfsync", "everysec"},
		{"CONFIG GET port", "0"},
		{"CONFIG GET save", ""},
		{"CONFIG GET maxmemory-policy", "noeviction"},
		{"CONFIG GET set-max-intset-entries", "4096"},
		{"CONFIG GET zset-max-listpack-entries", "16"},
		{"CONFIG GET hash-max-listpack-entries", "128"},
		{"CONFIG GET unixsocketperm", "700"},
	};
	struct embedded *e = rig_redis(&conf);

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		assert_string_equal(answer_to(wanted[i][0]), wanted[i][1]);
	embedded_stop(e);
	rig_set(&conf, "redis.durability", "redis");
	e = rig_redis(&conf);
	assert_string_equal(answer_to("CONFIG GET appendfsync"), "always");
	embedded_stop(e);
}

static void test_embedded_stop_keeps_data_and_drops_lock(void **state)
{
	struct embedded *e = rig_redis(&conf);
	pid_t pid = embedded_pid(e);

	(void)state;
	answer_to("SET kept yes");
	embedded_stop(e);
	assert_int_equal(kill(pid, 0), -1);
	e = rig_redis(&conf);
	assert_string_equal(answer_to("GET kept"), "yes");
	embedded_stop(e);
}

static void test_embedded_start_twice_busy(void **state)
{
	struct embedded *e = rig_redis(&conf), *second = NULL;

	(void)state;
	assert_int_equal(embedded_start(&second, &conf, &err), -EBUSY);
	assert_true(says("in use"));
	assert_string_equal(answer_to("PING"), "PONG");
	embedded_stop(e);
}

static void test_embedded_has_exited_starts_again_with_backoff(void **state)
{
	struct embedded *e = rig_redis(&conf);
	pid_t first = embedded_pid(e);
	int64_t until = rig_now_ms() + 10000;
	int status;

	(void)state;
	answer_to("SET kept yes");
	kill(first, SIGKILL);
	waitpid(first, &status, 0);
	log_threshold = (enum log_level)0;
	embedded_has_exited(e, status);
	log_threshold = LOG_ERROR;
	assert_int_equal(embedded_pid(e), 0);
	embedded_tick(e);
	assert_int_equal(embedded_pid(e), 0);
	while (strcmp(answer_to("GET kept"), "yes") != 0 && rig_now_ms() < until)
		embedded_tick(e);
	assert_string_equal(answer_to("GET kept"), "yes");
	assert_int_not_equal(embedded_pid(e), first);
	embedded_stop(e);
}

/* Whoever started it is killed: the server ends too, and the lock holds until it has. */
static void test_embedded_parent_killed_server_ends(void **state)
{
	int fds[2];
	pid_t parent, server = 0;
	struct embedded *e = NULL;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	parent = fork();
	if (parent == 0) {
		if (embedded_start(&e, &conf, &err) == 0)
			server = embedded_pid(e);
		if (write(fds[1], &server, sizeof(server)) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(fds[0], &server, sizeof(server)), sizeof(server));
	assert_true(server > 0);
	answer_to("SET kept yes");
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	/* Waits for the lock, that is for the end of the first server. */
	e = rig_redis(&conf);
	assert_int_not_equal(embedded_pid(e), server);
	assert_string_equal(answer_to("GET kept"), "yes");
	embedded_stop(e);
	close(fds[0]);
	close(fds[1]);
}

/* Listening sockets and connections of ours must not live on in the server. */
static void test_embedded_start_inherits_no_descriptors(void **state)
{
	int leaked = open("/dev/null", O_RDONLY);
	struct embedded *e = rig_redis(&conf);
	char path[64], target[300];
	ssize_t n;

	(void)state;
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)embedded_pid(e), fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		assert_string_not_equal(target, "/dev/null");
		if (fd == 3)
			assert_non_null(strstr(target, "/lock"));
	}
	embedded_stop(e);
	close(leaked);
}

static void test_embedded_start_path_too_long_said(void **state)
{
	char dir[200];
	struct conf long_conf = conf;
	struct embedded *e = NULL;

	(void)state;
	memset(dir, 'd', sizeof(dir));
	dir[0] = '/';
	dir[sizeof(dir) - 1] = '\0';
	long_conf.state = dir;
	assert_int_equal(embedded_start(&e, &long_conf, &err), -ENAMETOOLONG);
	assert_true(says("107 bytes"));
}

static void write_program(char *path, size_t room, const char *text)
{
	int fd;

	snprintf(path, room, "%s/redis-server", conf.state);
	fd = open(path, O_WRONLY | O_CREAT, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void test_embedded_start_bad_server_said(void **state)
{
	char path[300];
	struct embedded *e = NULL;

	(void)state;
	write_program(path, sizeof(path), "#!/bin/sh\nexit 3\n");
	rig_set(&conf, "redis.binary", path);
	assert_int_equal(embedded_start(&e, &conf, &err), -ECHILD);
	assert_true(says("exit status 3"));
	assert_true(says("redis.log"));
}

static void test_embedded_find_order_and_absence(void **state)
{
	char path[300], out[512];

	(void)state;
	write_program(path, sizeof(path), "#!/bin/sh\n");
	assert_int_equal(embedded_find("", conf.state, out, sizeof(out), &err), 0);
	assert_string_equal(out, path);
	assert_int_equal(embedded_find(path, NULL, out, sizeof(out), &err), 0);
	assert_int_equal(embedded_find("/nonexistent", NULL, out, sizeof(out), &err), -ENOENT);
	assert_true(says("redis.binary"));
	/* Not executable, a directory, and an empty part of PATH, are no programs. */
	chmod(path, 0600);
	assert_int_equal(embedded_find(conf.state, NULL, out, sizeof(out), &err), -ENOENT);
	assert_int_equal(embedded_find("", "::/nonexistent:", out, sizeof(out), &err), 0);
	assert_memory_equal(out, "/usr/", 5);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_embedded_start_settings_as_promised),
		CASE(test_embedded_stop_keeps_data_and_drops_lock),
		CASE(test_embedded_start_twice_busy),
		CASE(test_embedded_has_exited_starts_again_with_backoff),
		CASE(test_embedded_parent_killed_server_ends),
		CASE(test_embedded_start_inherits_no_descriptors),
		CASE(test_embedded_start_path_too_long_said),
		CASE(test_embedded_start_bad_server_said),
		CASE(test_embedded_find_order_and_absence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
