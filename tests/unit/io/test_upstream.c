#include "proxy/io/upstream.h"

#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "tests/unit/store/rig_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define PEERS_MAX 8
#define TURNS_MAX 1000

/* The management point: a listener whose accepted sockets the test holds, oldest first. */
struct fixture {
	struct event_base *base;
	struct event accepting, pulse;
	int listener, peer[PEERS_MAX];
	unsigned n_peers, n_readable, n_writable;
	struct conf conf;
	struct upstream *u;
};

struct asker {
	struct up_waiter w; /* the first: ready() gets it */
	unsigned n_called;
	struct upconn *uc;
	enum reason why;
};

static void on_ready(struct up_waiter *w, struct upconn *uc, enum reason why)
{
	struct asker *a = (struct asker *)w;

	a->n_called++;
	a->uc = uc;
	a->why = why;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;

	(void)what;
	assert_true(f->n_peers < PEERS_MAX);
	f->peer[f->n_peers] = accept(fd, NULL, NULL);
	assert_true(f->peer[f->n_peers++] >= 0);
}

/* Ends a turn in which nothing happens. */
static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void on_readable(void *arg)
{
	((struct fixture *)arg)->n_readable++;
}

static void on_writable(void *arg)
{
	((struct fixture *)arg)->n_writable++;
}

static void turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_ONCE);
	clock_end_turn();
	upstream_bury(f->u);
}

static void until_called(struct fixture *f, const struct asker *a, unsigned n)
{
	for (unsigned i = 0; i < TURNS_MAX && a->n_called < n; i++)
		turn(f);
	assert_int_equal(a->n_called, n);
}

static void until_peers(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < TURNS_MAX && f->n_peers < n; i++)
		turn(f);
	assert_int_equal(f->n_peers, n);
}

static int64_t n_open(void)
{
	return metrics_self->v[M_UP_OPEN];
}

static void until_open(struct fixture *f, int64_t n)
{
	for (unsigned i = 0; i < TURNS_MAX && n_open() != n; i++)
		turn(f);
	assert_int_equal(n_open(), n);
}

static void ask(struct fixture *f, struct asker *a)
{
	*a = (struct asker){.w.ready = on_ready};
	assert_int_equal(upstream_wait(f->u, &a->w), 0);
}

/* A connection as its first user gets it, accepted by the peer. */
static struct upconn *get(struct fixture *f)
{
	struct asker a;
	unsigned n = f->n_peers;

	ask(f, &a);
	until_called(f, &a, 1);
	until_peers(f, n + 1);
	assert_non_null(a.uc);
	return a.uc;
}

/* Bound but deaf at first: a connect is refused until listen(). */
static void bind_listener(struct fixture *f)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	char text[32];
	struct strbuf err;

	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&sin, &len), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(sin.sin_port));
	strbuf_init(&err, 256);
	assert_int_equal(conf_set(&f->conf, "global.upstream", text, &err), 0);
	strbuf_fini(&err);
}

static int setup_deaf(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct timeval often = {.tv_usec = 5000};

	assert_non_null(f);
	log_threshold = LOG_ERROR;
	clock_refresh();
	f->base = event_base_new();
	assert_int_equal(conf_init(&f->conf), 0);
	bind_listener(f);
	event_assign(&f->pulse, f->base, -1, EV_PERSIST, on_pulse, f);
	event_add(&f->pulse, &often);
	assert_int_equal(upstream_open(&f->u, f->base, &f->conf), 0);
	*state = f;
	return 0;
}

static void start_listening(struct fixture *f)
{
	assert_int_equal(listen(f->listener, 16), 0);
	event_assign(&f->accepting, f->base, f->listener, EV_READ | EV_PERSIST, on_accept, f);
	event_add(&f->accepting, NULL);
}

static int setup(void **state)
{
	setup_deaf(state);
	start_listening(*state);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	upstream_close(f->u);
	assert_int_equal(n_open(), 0);
	assert_int_equal(metrics_self->v[M_UP_WAITING], 0);
	for (unsigned i = 0; i < f->n_peers; i++)
		close(f->peer[i]);
	close(f->listener);
	event_base_free(f->base);
	conf_fini(&f->conf);
	iobuf_pool_fini();
	free(f);
	return 0;
}

static void test_open_bad_address_refused(void **state)
{
	struct conf conf = {.upstream = (char[]){"no port"}};
	struct upstream *u = NULL;

	(void)state;
	log_threshold = (enum log_level)0;
	assert_int_equal(upstream_open(&u, NULL, &conf), -EINVAL);
	assert_null(u);
}

static void test_wait_connects_and_calls_later(void **state)
{
	struct fixture *f = *state;
	struct asker a;

	assert_string_equal(upstream_name(f->u), f->conf.upstream);
	assert_true(upstream_is_up(f->u));
	assert_null(upstream_take(f->u));
	ask(f, &a);
	assert_int_equal(a.n_called, 0);
	assert_true(a.w.is_queued);
	until_called(f, &a, 1);
	assert_false(a.w.is_queued);
	assert_int_equal(a.why, REASON_NONE);
	assert_int_equal(a.uc->state, UPCONN_BUSY);
	assert_int_equal(n_open(), 1);
	assert_true(upstream_is_up(f->u));
}

static void test_take_last_put_back_first(void **state)
{
	struct fixture *f = *state;
	struct upconn *one = get(f), *two = get(f), *three = get(f);

	upconn_put_back(two);
	upconn_put_back(one);
	upconn_put_back(three);
	assert_int_equal(one->served, 1);
	assert_ptr_equal(upstream_take(f->u), three);
	assert_int_equal(three->state, UPCONN_BUSY);
	assert_ptr_equal(upstream_take(f->u), one);
	assert_ptr_equal(upstream_take(f->u), two);
	assert_null(upstream_take(f->u));
	assert_int_equal(f->n_peers, 3);
}

static void test_take_while_others_wait_nothing(void **state)
{
	struct fixture *f = *state;
	struct upconn *uc = get(f);
	struct asker a;

	upconn_put_back(uc);
	ask(f, &a);
	assert_null(upstream_take(f->u));
	upstream_cancel(f->u, &a.w);
	assert_ptr_equal(upstream_take(f->u), uc);
}

static void test_wait_at_limit_served_in_order_by_put_back(void **state)
{
	struct fixture *f = *state;
	struct asker a, b, c;
	struct upconn *uc;

	f->conf.up_max_conns = 1;
	ask(f, &a);
	ask(f, &b);
	ask(f, &c);
	until_called(f, &a, 1);
	uc = a.uc;
	turn(f);
	assert_int_equal(n_open(), 1);
	assert_int_equal(b.n_called, 0);
	upconn_put_back(uc);
	assert_ptr_equal(b.uc, uc);
	assert_int_equal(uc->state, UPCONN_BUSY);
	assert_int_equal(c.n_called, 0);
	upconn_put_back(uc);
	assert_ptr_equal(c.uc, uc);
	until_peers(f, 1);
}

static void test_wait_as_many_connections_as_waiters(void **state)
{
	struct fixture *f = *state;
	struct asker a, b, c;

	f->conf.up_max_conns = 2;
	ask(f, &a);
	ask(f, &b);
	ask(f, &c);
	assert_int_equal(n_open(), 2);
	until_called(f, &a, 1);
	until_called(f, &b, 1);
	assert_ptr_not_equal(a.uc, b.uc);
	assert_int_equal(c.n_called, 0);
	upconn_drop(b.uc);
	until_called(f, &c, 1);
	assert_int_equal(n_open(), 2);
	until_peers(f, 3);
}

static void test_wait_queue_full_refused(void **state)
{
	struct fixture *f = *state;
	struct asker a, b = {.w.ready = on_ready};

	f->conf.up_max_waiting = 1;
	ask(f, &a);
	assert_int_equal(upstream_wait(f->u, &b.w), -EAGAIN);
	assert_false(b.w.is_queued);
	until_called(f, &a, 1);
	assert_int_equal(upstream_wait(f->u, &b.w), 0);
	until_called(f, &b, 1);
}

static void test_wait_past_deadline_told_busy(void **state)
{
	struct fixture *f = *state;
	struct upconn *uc;
	struct asker a, b;

	f->conf.up_max_conns = 1;
	uc = get(f);
	ask(f, &a);
	rig_skip_ms(f->conf.up_wait_timeout_ms - 1000);
	clock_refresh();
	upstream_tick(f->u);
	assert_int_equal(a.n_called, 0);
	ask(f, &b);
	rig_skip_ms(1000);
	clock_refresh();
	upstream_tick(f->u);
	assert_int_equal(a.n_called, 1);
	assert_null(a.uc);
	assert_int_equal(a.why, REASON_UP_BUSY);
	assert_int_equal(b.n_called, 0);
	upconn_put_back(uc);
	assert_ptr_equal(b.uc, uc);
	assert_int_equal(a.n_called, 1);
}

static void test_connect_refused_told_until_it_works(void **state)
{
	struct fixture *f = *state;
	struct asker a, b;

	f->conf.up_max_conns = 1;
	ask(f, &a);
	ask(f, &b);
	assert_int_equal(a.n_called, 0);
	until_called(f, &a, 1);
	assert_null(a.uc);
	assert_int_equal(a.why, REASON_UP_REFUSED);
	assert_false(upstream_is_up(f->u));
	assert_int_equal(n_open(), 0);
	/* One failure ends one waiter; the next tick tries for the other. */
	assert_int_equal(b.n_called, 0);
	start_listening(f);
	upstream_tick(f->u);
	until_called(f, &b, 1);
	assert_non_null(b.uc);
	assert_true(upstream_is_up(f->u));
}

static void test_connect_past_its_time_told(void **state)
{
	struct fixture *f = *state;
	struct asker a;

	/* No turn of the loop: the connection stays one that is being made. */
	ask(f, &a);
	rig_skip_ms(f->conf.up_connect_timeout_ms);
	clock_refresh();
	upstream_tick(f->u);
	assert_int_equal(a.n_called, 1);
	assert_null(a.uc);
	assert_int_equal(a.why, REASON_UP_CONNECT_TIMEOUT);
	assert_false(upstream_is_up(f->u));
	assert_int_equal(n_open(), 0);
}

static void test_take_closed_by_peer_not_handed_out(void **state)
{
	struct fixture *f = *state;
	struct upconn *one = get(f), *two = get(f);

	upconn_put_back(one);
	upconn_put_back(two);
	/* Both ends are there, the loop has told of neither. */
	shutdown(f->peer[1], SHUT_WR);
	assert_ptr_equal(upstream_take(f->u), one);
	assert_int_equal(n_open(), 1);
	upconn_put_back(one);
	shutdown(f->peer[0], SHUT_WR);
	assert_null(upstream_take(f->u));
	assert_int_equal(n_open(), 0);
}

static void test_take_with_unasked_bytes_not_handed_out(void **state)
{
	struct fixture *f = *state;

	upconn_put_back(get(f));
	assert_int_equal(write(f->peer[0], "x", 1), 1);
	assert_null(upstream_take(f->u));
	assert_int_equal(n_open(), 0);
}

static void test_idle_closed_by_peer_closed_by_the_loop(void **state)
{
	struct fixture *f = *state;

	upconn_put_back(get(f));
	assert_int_equal(n_open(), 1);
	shutdown(f->peer[0], SHUT_WR);
	until_open(f, 0);
	assert_null(upstream_take(f->u));
}

static void test_idle_too_long_closed_oldest_first(void **state)
{
	struct fixture *f = *state;
	struct upconn *one = get(f), *two = get(f);

	upconn_put_back(one);
	rig_skip_ms(f->conf.up_idle_ms / 2);
	clock_refresh();
	upconn_put_back(two);
	upstream_tick(f->u);
	assert_int_equal(n_open(), 2);
	rig_skip_ms(f->conf.up_idle_ms / 2);
	clock_refresh();
	upstream_tick(f->u);
	assert_int_equal(n_open(), 1);
	assert_ptr_equal(upstream_take(f->u), two);
}

static void test_put_back_with_left_over_bytes_closed(void **state)
{
	struct fixture *f = *state;
	struct upconn *uc = get(f);

	assert_int_equal(write(f->peer[0], "xy", 2), 2);
	assert_int_equal(stream_read(&uc->s), 2);
	upconn_put_back(uc);
	assert_int_equal(uc->state, UPCONN_DEAD);
	assert_int_equal(n_open(), 0);
	upstream_bury(f->u);
}

static void test_put_back_closed_by_peer_waiter_gets_another(void **state)
{
	struct fixture *f = *state;
	struct upconn *uc;
	struct asker a;

	f->conf.up_max_conns = 1;
	uc = get(f);
	ask(f, &a);
	shutdown(f->peer[0], SHUT_WR);
	upconn_put_back(uc);
	assert_int_equal(a.n_called, 0);
	assert_int_equal(uc->state, UPCONN_DEAD);
	until_called(f, &a, 1);
	assert_non_null(a.uc);
	until_peers(f, 2);
}

static void test_cancel_never_called_connection_kept(void **state)
{
	struct fixture *f = *state;
	struct upconn *uc = NULL;
	struct asker a;

	ask(f, &a);
	upstream_cancel(f->u, &a.w);
	assert_false(a.w.is_queued);
	upstream_cancel(f->u, &a.w);
	assert_int_equal(metrics_self->v[M_UP_WAITING], 0);
	for (unsigned i = 0; i < TURNS_MAX && (uc = upstream_take(f->u)) == NULL; i++)
		turn(f);
	assert_non_null(uc);
	assert_int_equal(a.n_called, 0);
	until_peers(f, 1);
}

static void test_own_events_go_to_the_owner_while_busy(void **state)
{
	struct fixture *f = *state;
	struct upconn *uc = get(f);

	upconn_own(uc, f, on_readable, on_writable);
	stream_want_write(&uc->s, true);
	assert_int_equal(write(f->peer[0], "x", 1), 1);
	for (unsigned i = 0; i < TURNS_MAX && (f->n_readable == 0 || f->n_writable == 0); i++)
		turn(f);
	assert_true(f->n_readable > 0);
	assert_int_equal(f->n_writable, 1);
	assert_int_equal(stream_read(&uc->s), 1);
	iobuf_consume(&uc->s.in, 1);
	f->n_readable = 0;
	/* An owner that has paused reading must not leave an idle one deaf. */
	stream_want_read(&uc->s, false);
	upconn_put_back(uc);
	assert_null(uc->owner);
	assert_null(uc->s.in.p);
	assert_int_equal(write(f->peer[0], "x", 1), 1);
	until_open(f, 0);
	assert_int_equal(f->n_readable, 0);
}

static void test_close_in_every_state_frees_all(void **state)
{
	struct fixture *f = *state;
	struct upconn *busy = get(f);
	struct asker a;

	upconn_put_back(get(f));
	upconn_drop(get(f));
	ask(f, &a);
	upstream_cancel(f->u, &a.w);
	assert_int_equal(busy->state, UPCONN_BUSY);
	assert_int_equal(n_open(), 3);
	/* The teardown closes and counts, the sanitizer looks for leaks. */
}

#define WITH_PEER(t)	  cmocka_unit_test_setup_teardown(t, setup, teardown)
#define WITH_DEAF_PEER(t) cmocka_unit_test_setup_teardown(t, setup_deaf, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_bad_address_refused),
		WITH_PEER(test_wait_connects_and_calls_later),
		WITH_PEER(test_take_last_put_back_first),
		WITH_PEER(test_take_while_others_wait_nothing),
		WITH_PEER(test_wait_at_limit_served_in_order_by_put_back),
		WITH_PEER(test_wait_as_many_connections_as_waiters),
		WITH_PEER(test_wait_queue_full_refused),
		WITH_PEER(test_wait_past_deadline_told_busy),
		WITH_DEAF_PEER(test_connect_refused_told_until_it_works),
		WITH_PEER(test_connect_past_its_time_told),
		WITH_PEER(test_take_closed_by_peer_not_handed_out),
		WITH_PEER(test_take_with_unasked_bytes_not_handed_out),
		WITH_PEER(test_idle_closed_by_peer_closed_by_the_loop),
		WITH_PEER(test_idle_too_long_closed_oldest_first),
		WITH_PEER(test_put_back_with_left_over_bytes_closed),
		WITH_PEER(test_put_back_closed_by_peer_waiter_gets_another),
		WITH_PEER(test_cancel_never_called_connection_kept),
		WITH_PEER(test_own_events_go_to_the_owner_while_busy),
		WITH_PEER(test_close_in_every_state_frees_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
