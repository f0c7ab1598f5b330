/* The socket under a link, against one that reads and writes as the test wants. */
#include "proxy/store/wire.h"
#include "proxy/base/clock.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig {
	struct event_base *base;
	struct wire w;
	char path[64];
	int listener, peer;
	unsigned n_connected, n_answers, n_lost;
	unsigned close_at; /* the answer from inside which the wire is closed */
	long long last;
	char why[160];
} rig;

static void on_connected(void *arg)
{
	(void)arg;
	rig.n_connected++;
}

static void on_answered(void *arg, const redisReply *reply)
{
	(void)arg;
	rig.n_answers++;
	rig.last = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
	if (rig.n_answers == rig.close_at)
		wire_close(&rig.w);
}

static void on_lost(void *arg, const char *why)
{
	(void)arg;
	rig.n_lost++;
	assert_false(wire_is_open(&rig.w));
	snprintf(rig.why, sizeof(rig.why), "%s", why);
}

static void turn(void)
{
	assert_true(event_base_loop(rig.base, EVLOOP_NONBLOCK) >= 0);
	clock_end_turn();
}

static int setup(void **state)
{
	const struct wire_env env = {
		.connected = on_connected, .answered = on_answered, .lost = on_lost};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)state;
	rig = (struct rig){.peer = -1};
	clock_refresh();
	rig.base = event_base_new();
	snprintf(rig.path, sizeof(rig.path), "/tmp/statweir-wire-%ld.sock", (long)getpid());
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", rig.path);
	unlink(rig.path);
	rig.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(rig.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(rig.listener, 4), 0);
	wire_init(&rig.w, rig.base, &env);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	wire_close(&rig.w);
	if (rig.peer >= 0)
		close(rig.peer);
	close(rig.listener);
	unlink(rig.path);
	event_base_free(rig.base);
	return 0;
}

static void connect_wire(void)
{
	assert_true(wire_open(&rig.w, rig.path, 0, rig.why, sizeof(rig.why)));
	rig.peer = accept(rig.listener, NULL, NULL);
	assert_true(rig.peer >= 0);
	turn();
	assert_int_equal(rig.n_connected, 1);
}

static void say(const char *bytes)
{
	assert_int_equal(send(rig.peer, bytes, strlen(bytes), 0), (ssize_t)strlen(bytes));
	turn();
}

static void test_wire_open_nobody_listens_says_why(void **state)
{
	(void)state;
	close(rig.listener);
	assert_false(wire_open(&rig.w, rig.path, 0, rig.why, sizeof(rig.why)));
	assert_string_equal(rig.why, strerror(ECONNREFUSED));
	assert_false(wire_is_open(&rig.w));
}

static void test_wire_put_commands_of_a_turn_leave_together(void **state)
{
	char got[16] = "";

	(void)state;
	connect_wire();
	assert_int_equal(wire_put(&rig.w, SLICE("one")), 0);
	assert_int_equal(wire_put(&rig.w, SLICE("two")), 0);
	assert_int_equal(recv(rig.peer, got, sizeof(got), MSG_DONTWAIT), -1);
	turn();
	assert_int_equal(recv(rig.peer, got, sizeof(got) - 1, MSG_DONTWAIT), 6);
	assert_string_equal(got, "onetwo");
}

static void test_wire_put_without_room_keeps_what_is_queued(void **state)
{
	char got[16] = "";

	(void)state;
	connect_wire();
	rig.w.out.cap = 4;
	assert_int_equal(wire_put(&rig.w, SLICE("one")), 0);
	assert_int_equal(wire_put(&rig.w, SLICE("two")), -ENOMEM);
	turn();
	assert_int_equal(recv(rig.peer, got, sizeof(got) - 1, MSG_DONTWAIT), 3);
	assert_string_equal(got, "one");
	assert_int_equal(wire_put(&rig.w, SLICE("two")), 0);
	turn();
	assert_int_equal(recv(rig.peer, got, sizeof(got) - 1, MSG_DONTWAIT), 3);
	assert_string_equal(got, "two");
}

/* A peer that reads slowly gets every byte once, in order. */
static void test_wire_put_more_than_the_socket_takes_all_arrives(void **state)
{
	static unsigned char piece[50000], got[70001];
	size_t n_put = 0, n_got = 0;
	ssize_t n;

	(void)state;
	connect_wire();
	while (n_put < 20000000) {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = (unsigned char)((n_put + i) % 251);
		assert_int_equal(wire_put(&rig.w, slice_make((const char *)piece, sizeof(piece))),
				 0);
		n_put += sizeof(piece);
		turn();
		n = recv(rig.peer, got, n_put % 3 == 0 ? sizeof(got) : 100, MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], n_got++ % 251);
	}
	while (n_got < n_put) {
		turn();
		n = recv(rig.peer, got, sizeof(got), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], n_got++ % 251);
	}
	assert_int_equal(rig.w.out.n, 0);
	assert_int_equal(rig.n_lost, 0);
}

static void test_wire_answers_in_pieces_come_whole(void **state)
{
	(void)state;
	connect_wire();
	say(":1\r\n:2\r");
	assert_int_equal(rig.n_answers, 1);
	say("\n:3\r\n");
	assert_int_equal(rig.n_answers, 3);
	assert_int_equal(rig.last, 3);
}

/* Longer than what the buffer is kept for, and then short ones again. */
static void test_wire_answer_of_megabytes_then_short(void **state)
{
	size_t n = 3000000;
	char *text = malloc(n + 32);
	int at;

	(void)state;
	connect_wire();
	at = snprintf(text, 32, "$%zu\r\n", n);
	memset(text + at, 'x', n);
	memcpy(text + at + n, "\r\n", 2);
	n += (size_t)at + 2;
	for (size_t sent = 0; sent < n;) {
		ssize_t k = send(rig.peer, text + sent, n - sent, MSG_DONTWAIT);

		sent += k > 0 ? (size_t)k : 0;
		turn();
	}
	free(text);
	for (unsigned i = 0; i < 1000 && rig.n_answers == 0; i++)
		turn();
	assert_int_equal(rig.n_answers, 1);
	assert_int_equal(rig.w.longest, 0);
	say(":7\r\n");
	assert_int_equal(rig.last, 7);
}

static void test_wire_close_inside_answer_no_more_follow(void **state)
{
	(void)state;
	connect_wire();
	rig.close_at = 2;
	say(":1\r\n:2\r\n:3\r\n");
	assert_int_equal(rig.n_answers, 2);
	assert_int_equal(rig.n_lost, 0);
	turn();
	assert_false(wire_is_open(&rig.w));
}

static void test_wire_nonsense_loses_it(void **state)
{
	(void)state;
	connect_wire();
	say("HTTP/1.1 400\r\n");
	assert_int_equal(rig.n_lost, 1);
	assert_non_null(strstr(rig.why, "Protocol error"));
}

static void test_wire_peer_closes_loses_it_and_opens_again(void **state)
{
	(void)state;
	connect_wire();
	close(rig.peer);
	turn();
	assert_int_equal(rig.n_lost, 1);
	rig.n_connected = 0;
	connect_wire();
	say(":4\r\n");
	assert_int_equal(rig.last, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(test_wire_open_nobody_listens_says_why),
		CASE(test_wire_put_commands_of_a_turn_leave_together),
		CASE(test_wire_put_without_room_keeps_what_is_queued),
		CASE(test_wire_put_more_than_the_socket_takes_all_arrives),
		CASE(test_wire_answers_in_pieces_come_whole),
		CASE(test_wire_answer_of_megabytes_then_short),
		CASE(test_wire_close_inside_answer_no_more_follow),
		CASE(test_wire_nonsense_loses_it),
		CASE(test_wire_peer_closes_loses_it_and_opens_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
