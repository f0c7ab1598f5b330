#include "proxy/io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	struct event_base *base;
	struct stream s;
	int peer;
	unsigned n_readable, n_writable;
};

static void on_readable(void *arg)
{
	((struct fixture *)arg)->n_readable++;
}

static void on_writable(void *arg)
{
	((struct fixture *)arg)->n_writable++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd[2];

	assert_non_null(f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	f->base = event_base_new();
	f->peer = fd[1];
	stream_init(&f->s, f->base, fd[0], on_readable, on_writable, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stream_close(&f->s);
	close(f->peer);
	event_base_free(f->base);
	iobuf_pool_fini();
	free(f);
	return 0;
}

static void test_send_empty_socket_written_at_once(void **state)
{
	struct fixture *f = *state;
	struct slice v[2] = {SLICE("hello "), SLICE("world")};
	char got[32];

	assert_int_equal(stream_send(&f->s, v, 2), 0);
	assert_int_equal(stream_pending(&f->s), 0);
	assert_int_equal(read(f->peer, got, sizeof(got)), 11);
	assert_memory_equal(got, "hello world", 11);
	assert_false(f->s.is_writing);
}

/* Pieces around the size that is put together, an empty one among them. */
static void test_send_pieces_of_any_size_in_order(void **state)
{
	struct fixture *f = *state;
	char text[1100], got[1200];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 23);
	for (size_t total = 1; total <= sizeof(text); total++) {
		size_t first = total / 3;
		struct slice v[4] = {slice_make(text, first),
				     {NULL, 0},
				     slice_make(text + first, 1),
				     slice_make(text + first + 1, total - first - 1)};

		assert_int_equal(stream_send(&f->s, v, 4), 0);
		assert_int_equal(read(f->peer, got, sizeof(got)), total);
		assert_memory_equal(got, text, total);
	}
}

/* Fill the socket until stream_send keeps something. */
static size_t fill(struct fixture *f)
{
	static const char block[4096];
	struct slice v = slice_make(block, sizeof(block));
	size_t sent = 0;

	while (stream_pending(&f->s) == 0) {
		assert_int_equal(stream_send(&f->s, &v, 1), 0);
		sent += v.n;
	}
	return sent;
}

static size_t drain_peer(struct fixture *f)
{
	char got[8192];
	size_t n = 0;
	ssize_t k;

	while ((k = read(f->peer, got, sizeof(got))) > 0)
		n += (size_t)k;
	return n;
}

static void test_send_full_socket_rest_kept_in_order(void **state)
{
	struct fixture *f = *state;
	struct slice tail = SLICE("tail");
	size_t sent = fill(f) + tail.n, got = 0;

	assert_int_equal(stream_send(&f->s, &tail, 1), 0);
	assert_true(f->s.is_writing);
	for (unsigned i = 0; i < 1000 && got < sent; i++) {
		got += drain_peer(f);
		assert_int_equal(stream_flush(&f->s), 0);
	}
	assert_int_equal(got, sent);
	assert_int_equal(stream_pending(&f->s), 0);
	assert_null(f->s.out.p);
}

static void test_writable_called_once_when_there_is_room(void **state)
{
	struct fixture *f = *state;

	fill(f);
	drain_peer(f);
	event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->n_writable, 1);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	assert_int_equal(f->n_writable, 1);
}

static void test_read_full_buffer_says_so(void **state)
{
	struct fixture *f = *state;
	static const char block[IOBUF_BYTES];
	ssize_t n;
	size_t got = 0;

	while (got < IOBUF_BYTES) {
		assert_true(write(f->peer, block, sizeof(block)) > 0);
		while ((n = stream_read(&f->s)) > 0)
			got += (size_t)n;
	}
	assert_int_equal(stream_read(&f->s), -ENOBUFS);
	iobuf_consume(&f->s.in, 10);
	iobuf_compact(&f->s.in);
	assert_int_equal(iobuf_room(&f->s.in), 10);
}

static void test_read_end_of_input_stops_reading(void **state)
{
	struct fixture *f = *state;

	stream_want_read(&f->s, true);
	shutdown(f->peer, SHUT_WR);
	assert_int_equal(stream_read(&f->s), 0);
	assert_true(f->s.has_eof);
	assert_false(f->s.is_reading);
	stream_want_read(&f->s, true);
	assert_false(f->s.is_reading);
}

static void test_send_peer_gone_fails_for_good(void **state)
{
	struct fixture *f = *state;
	struct slice v = SLICE("x");

	shutdown(f->peer, SHUT_RDWR);
	assert_int_equal(stream_send(&f->s, &v, 1), -EPIPE);
	assert_true(f->s.has_failed);
	assert_int_equal(stream_send(&f->s, &v, 1), -EPIPE);
}

static void test_iobuf_enlarge_keeps_contents(void **state)
{
	struct iobuf b = {0};

	(void)state;
	assert_int_equal(iobuf_need(&b), 0);
	memcpy(b.p, "abcdef", 6);
	b.end = 6;
	iobuf_consume(&b, 2);
	assert_int_equal(iobuf_enlarge(&b, IOBUF_BYTES * 2), 0);
	assert_int_equal(b.cap, IOBUF_BYTES * 2);
	assert_true(slice_eq(iobuf_slice(&b), SLICE("cdef")));
	iobuf_release(&b);
}

static void test_iobuf_consume_all_starts_over(void **state)
{
	struct iobuf b = {0};

	(void)state;
	assert_int_equal(iobuf_need(&b), 0);
	b.end = 6;
	iobuf_consume(&b, 6);
	assert_int_equal(b.start, 0);
	assert_int_equal(iobuf_room(&b), IOBUF_BYTES);
	iobuf_release(&b);
}

#define WITH_SOCKET(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SOCKET(test_send_empty_socket_written_at_once),
		WITH_SOCKET(test_send_pieces_of_any_size_in_order),
		WITH_SOCKET(test_send_full_socket_rest_kept_in_order),
		WITH_SOCKET(test_writable_called_once_when_there_is_room),
		WITH_SOCKET(test_read_full_buffer_says_so),
		WITH_SOCKET(test_read_end_of_input_stops_reading),
		WITH_SOCKET(test_send_peer_gone_fails_for_good),
		cmocka_unit_test(test_iobuf_enlarge_keeps_contents),
		cmocka_unit_test(test_iobuf_consume_all_starts_over),
	};

	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	iobuf_pool_fini();
	return rc;
}
