/* The throttle call by call: states, callbacks, bounds, figures. */
#include "proxy/core/throttle_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define S 1000000
#define N 64

static struct {
	struct conf conf;
	struct throttle *t;
	struct throttle_item items[N];
	struct throttle_item *gone[N], *refused[N];
	unsigned n_gone, n_refused, n_changes, retry_after_s;
	bool ends_at_once; /* go() ends the item before it returns */
	bool is_inside;	   /* a call that must not call back */
} u;

static void on_go(void *arg, struct throttle_item *item, int64_t now_us)
{
	assert_ptr_equal(arg, &u);
	assert_false(u.is_inside);
	assert_int_equal(item->state, THROTTLE_ITEM_GONE);
	if (u.n_gone < N)
		u.gone[u.n_gone] = item;
	u.n_gone++;
	if (u.ends_at_once)
		throttle_done(u.t, item, now_us, 1000, THROTTLE_OK);
}

static void on_refuse(void *arg, struct throttle_item *item, unsigned retry_after_s, int64_t now_us)
{
	(void)now_us;
	assert_ptr_equal(arg, &u);
	assert_false(u.is_inside);
	assert_int_equal(item->state, THROTTLE_ITEM_IDLE);
	u.refused[u.n_refused++] = item;
	u.retry_after_s = retry_after_s;
}

static void on_change(void *arg, const struct throttle_change *change)
{
	(void)arg;
	assert_true(change->reason[0] != '\0');
	u.n_changes++;
}

static int start(void **state)
{
	const struct throttle_calls calls = {on_go, on_refuse, on_change, &u};

	(void)state;
	memset(&u, 0, sizeof(u));
	if (conf_init(&u.conf) < 0)
		return -1;
	u.conf.throttle_mode = THROTTLE_FIXED;
	u.conf.throttle_status_concurrency = 2;
	for (unsigned i = 0; i < N; i++)
		u.items[i] = (struct throttle_item){.client = (i + 1) * 0x9e3779b97f4a7c15u,
						    .bytes = 100};
	return throttle_new(&u.t, &u.conf, &calls);
}

static int stop(void **state)
{
	(void)state;
	throttle_free(u.t);
	conf_fini(&u.conf);
	return 0;
}

static void configure(void)
{
	assert_int_equal(throttle_set_conf(u.t, &u.conf, S), 0);
}

static enum throttle_rc submit(unsigned i, int64_t now_us)
{
	enum throttle_rc rc;

	u.is_inside = true;
	rc = throttle_submit(u.t, &u.items[i], now_us, &u.retry_after_s);
	u.is_inside = false;
	return rc;
}

static struct throttle_figures figures(void)
{
	struct throttle_figures f;

	throttle_figures(u.t, THROTTLE_STATUS, S, &f);
	return f;
}

static void test_throttle_submit_room_goes(void **state)
{
	(void)state;
	assert_int_equal(submit(0, S), THROTTLE_GO);
	assert_int_equal(u.items[0].state, THROTTLE_ITEM_GONE);
	assert_int_equal(figures().in_flight, 1);
	throttle_done(u.t, &u.items[0], S, 1000, THROTTLE_OK);
	assert_int_equal(figures().in_flight, 0);
	assert_int_equal(u.n_gone, 0);
}

static void test_throttle_submit_full_held_until_done(void **state)
{
	(void)state;
	assert_int_equal(submit(0, S), THROTTLE_GO);
	assert_int_equal(submit(1, S), THROTTLE_GO);
	assert_int_equal(submit(2, S), THROTTLE_HELD);
	assert_int_equal(u.items[2].state, THROTTLE_ITEM_HELD);
	throttle_tick(u.t, S + 100000);
	assert_int_equal(u.n_gone, 0);
	throttle_done(u.t, &u.items[0], S + 200000, 1000, THROTTLE_OK);
	assert_int_equal(u.n_gone, 1);
	assert_ptr_equal(u.gone[0], &u.items[2]);
	assert_int_equal(figures().held_total, 1);
	assert_int_equal(figures().passed, 3);
	assert_in_range(figures().hold_p50_us, 180000, 220000);
}

static void test_throttle_cancel_held_counts_aborted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		(void)!submit(i, S);
	throttle_cancel(u.t, &u.items[2]);
	throttle_cancel(u.t, &u.items[2]); /* nothing more */
	throttle_cancel(u.t, &u.items[0]); /* under way: nothing */
	assert_int_equal(u.items[2].state, THROTTLE_ITEM_IDLE);
	assert_int_equal(figures().aborted, 1);
	assert_int_equal(figures().held, 0);
	throttle_done(u.t, &u.items[0], S, 1000, THROTTLE_OK);
	assert_int_equal(u.n_gone, 0);
	/* The item may be used again. */
	assert_int_equal(submit(2, S), THROTTLE_GO);
}

static void test_throttle_cancel_leaving_not_refused(void **state)
{
	(void)state;
	u.conf.throttle_status_queue = 2;
	configure();
	for (unsigned i = 2; i < 6; i++)
		u.items[i].client = 7;
	for (unsigned i = 0; i < 4; i++)
		(void)!submit(i, S);
	u.items[6].client = 8;
	assert_int_equal(submit(6, S), THROTTLE_HELD);
	assert_int_equal(u.items[3].state, THROTTLE_ITEM_LEAVING);
	assert_int_equal(throttle_next_ms(u.t, S), 0);
	throttle_cancel(u.t, &u.items[3]);
	throttle_tick(u.t, S);
	assert_int_equal(u.n_refused, 0);
	assert_int_equal(figures().aborted, 1);
}

static void test_throttle_submit_queue_full_refused(void **state)
{
	(void)state;
	u.conf.throttle_status_queue = 3;
	configure();
	for (unsigned i = 0; i < 5; i++)
		(void)!submit(i, S);
	assert_int_equal(figures().held, 3);
	assert_int_equal(submit(5, S), THROTTLE_REFUSED);
	assert_true(u.retry_after_s >= 1);
	assert_int_equal(u.items[5].state, THROTTLE_ITEM_IDLE);
	assert_int_equal(figures().refused_total, 1);
	assert_int_equal(figures().queue_limit, 3);
}

static void test_throttle_submit_queue_zero_refused_at_once(void **state)
{
	(void)state;
	u.conf.throttle_status_queue = 0;
	configure();
	(void)!submit(0, S);
	(void)!submit(1, S);
	assert_int_equal(submit(2, S), THROTTLE_REFUSED);
}

static void test_throttle_tick_too_old_refused(void **state)
{
	(void)state;
	u.conf.throttle_status_queue_age_ms = 1000;
	configure();
	for (unsigned i = 0; i < 3; i++)
		(void)!submit(i, S);
	throttle_tick(u.t, 2 * S - 1);
	assert_int_equal(u.n_refused, 0);
	throttle_tick(u.t, 2 * S);
	assert_int_equal(u.n_refused, 1);
	assert_ptr_equal(u.refused[0], &u.items[2]);
	assert_true(u.retry_after_s >= 1);
}

/* An item that ends inside go() lets the next one go, without recursion. */
static void test_throttle_go_ends_inside_callback_next_goes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++)
		(void)!submit(i, S);
	u.ends_at_once = true;
	throttle_done(u.t, &u.items[0], S, 1000, THROTTLE_OK);
	assert_int_equal(u.n_gone, 38);
	assert_int_equal(figures().held, 0);
	assert_int_equal(figures().in_flight, 1);
}

/* Each client's first message before anybody's second. */
static void test_throttle_held_round_robin_by_client(void **state)
{
	(void)state;
	u.conf.throttle_status_concurrency = 1;
	configure();
	(void)!submit(0, S);
	for (unsigned i = 1; i < 10; i++) {
		u.items[i].client = i < 8 ? 1 : i; /* seven of one client, then two others */
		(void)!submit(i, S);
	}
	u.ends_at_once = true;
	throttle_done(u.t, &u.items[0], S, 1000, THROTTLE_OK);
	assert_ptr_equal(u.gone[0], &u.items[1]);
	assert_ptr_equal(u.gone[1], &u.items[8]);
	assert_ptr_equal(u.gone[2], &u.items[9]);
	assert_ptr_equal(u.gone[3], &u.items[2]);
	/* One client's keep their order. */
	for (unsigned i = 4; i < 9; i++)
		assert_ptr_equal(u.gone[i], &u.items[i - 1]);
}

/* 64 KiB pays for itself in the rounds after. */
static void test_throttle_held_large_ones_pay_more(void **state)
{
	unsigned large = 0;

	(void)state;
	u.conf.throttle_status_concurrency = 1;
	configure();
	(void)!submit(0, S);
	for (unsigned i = 1; i < 41; i++) {
		u.items[i].client = i % 2 + 1;
		u.items[i].bytes = i % 2 == 0 ? 65536 : 0;
		(void)!submit(i, S);
	}
	u.ends_at_once = false;
	for (unsigned n = 0; n < 12; n++) {
		struct throttle_item *last = n == 0 ? &u.items[0] : u.gone[n - 1];

		throttle_done(u.t, last, S, 1000, THROTTLE_OK);
		large += u.gone[n]->bytes > 0;
	}
	assert_in_range(large, 2, 4);
}

static void test_throttle_rate_bucket_paces(void **state)
{
	(void)state;
	u.conf.throttle_status_concurrency = 0;
	u.conf.throttle_status_rate = 10;
	u.conf.throttle_status_burst = 3;
	configure();
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(submit(i, S), i < 3 ? THROTTLE_GO : THROTTLE_HELD);
	assert_int_equal(throttle_next_ms(u.t, S), 100);
	throttle_tick(u.t, S + 99000);
	assert_int_equal(u.n_gone, 0);
	throttle_tick(u.t, S + 100000);
	assert_int_equal(u.n_gone, 1);
	throttle_tick(u.t, S + 300000);
	assert_int_equal(u.n_gone, 3);
	/* The clock never runs backwards here; if it did, nothing happens. */
	throttle_tick(u.t, S);
	assert_int_equal(u.n_gone, 3);
}

/* Policy and health wait for nobody else's queue. */
static void test_throttle_status_queue_holds_no_policy(void **state)
{
	(void)state;
	u.conf.throttle_mode = THROTTLE_AUTO;
	configure();
	for (unsigned i = 0; i < 20; i++)
		(void)!submit(i, S);
	assert_int_equal(figures().held, 18);
	for (unsigned i = 20; i < 40; i++) {
		u.items[i].cls = i % 2 ? THROTTLE_POLICY : THROTTLE_HEALTH;
		assert_int_equal(submit(i, S), THROTTLE_GO);
	}
}

static void test_throttle_drain_at_once_lets_all_go(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		(void)!submit(i, S);
	throttle_drain(u.t, S, S);
	assert_int_equal(u.n_gone, 18);
	assert_int_equal(figures().held, 0);
}

static void test_throttle_observe_goes_and_counts(void **state)
{
	(void)state;
	u.conf.throttle_observe = true;
	configure();
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(submit(i, S), THROTTLE_GO);
	assert_int_equal(figures().held, 8);
	assert_int_equal(figures().in_flight, 2);
	/* The request ends before its shadow has gone: it will stay as long as it took. */
	throttle_done(u.t, &u.items[5], S + 50000, 50000, THROTTLE_OK);
	throttle_done(u.t, &u.items[0], S + 60000, 60000, THROTTLE_OK);
	throttle_done(u.t, &u.items[1], S + 60000, 60000, THROTTLE_OK);
	assert_int_equal(figures().in_flight, 2);
	for (unsigned i = 2; i < 10; i++)
		if (i != 5)
			throttle_done(u.t, &u.items[i], S + 70000, 70000, THROTTLE_OK);
	for (int64_t us = S + 70000; us < 2 * S; us += 10000)
		throttle_tick(u.t, us);
	assert_int_equal(figures().held, 0);
	assert_int_equal(figures().in_flight, 0);
	assert_int_equal(figures().passed, 10);
	assert_int_equal(figures().held_total, 8);
	assert_int_equal(u.n_gone, 0);
	assert_in_range(figures().hold_p50_us, 50000, 200000);
}

static void test_throttle_workers_share_limits(void **state)
{
	(void)state;
	u.conf.workers = 4;
	u.conf.throttle_mode = THROTTLE_AUTO;
	u.conf.throttle_status_rate = 100;
	u.conf.throttle_status_queue = 40;
	u.conf.throttle_ceiling_concurrency = 12;
	u.conf.throttle_floor_concurrency = 1;
	configure();
	assert_int_equal(figures().rate_limit, 25);
	assert_int_equal(figures().queue_limit, 10);
	assert_int_equal(u.t->ceiling_n, 3);
	assert_int_equal(u.t->floor_n, 1);
	u.conf.workers = 0; /* auto */
	configure();
	assert_int_equal(figures().rate_limit, 100);
}

static void test_throttle_floor_above_ceiling_bounded(void **state)
{
	(void)state;
	u.conf.throttle_floor = 50;
	u.conf.throttle_ceiling = 10;
	u.conf.throttle_floor_concurrency = 9;
	u.conf.throttle_ceiling_concurrency = 3;
	configure();
	assert_true(u.t->floor <= u.t->ceiling);
	assert_true(u.t->floor_n <= u.t->ceiling_n);
}

static void test_throttle_idle_wants_no_tick(void **state)
{
	(void)state;
	assert_int_equal(throttle_next_ms(u.t, S), -1);
	(void)!submit(0, S);
	assert_int_equal(throttle_next_ms(u.t, S), 100);
	throttle_done(u.t, &u.items[0], S, 1000, THROTTLE_OK);
	assert_int_equal(throttle_next_ms(u.t, S), -1);
}

/* No two clients that are refused together are all told the same. */
static void test_throttle_retry_after_spread(void **state)
{
	unsigned first = 0, last = 0;

	(void)state;
	u.conf.throttle_status_queue = 0;
	configure();
	(void)!submit(0, S);
	(void)!submit(1, S);
	for (unsigned i = 2; i < N; i++) {
		assert_int_equal(submit(i, S), THROTTLE_REFUSED);
		first = i == 2 ? u.retry_after_s : first;
		last = u.retry_after_s;
	}
	/* 62 clients at the floor of 5 a second: over 12 s. */
	assert_in_range(first, 1, 2);
	assert_in_range(last, 10, 15);
}

static void test_throttle_totals_tell_mode_and_limits(void **state)
{
	struct throttle_totals totals;

	(void)state;
	throttle_totals(u.t, &totals);
	assert_int_equal(totals.mode, THROTTLE_FIXED);
	assert_int_equal(totals.concurrency_limit, 0);
	assert_string_equal(totals.last_reason, "");
	u.conf.throttle_mode = THROTTLE_AUTO;
	configure();
	throttle_totals(u.t, &totals);
	assert_int_equal(totals.concurrency_limit, 4);
	assert_int_equal(totals.rate_limit, 1000);
}

/* On the way that most requests take: no allocation, and hardly any time. */
static void test_throttle_pass_path_is_cheap(void **state)
{
	struct timespec a, b;
	int64_t now_us = S;
	double ns;

	(void)state;
	u.conf.throttle_mode = THROTTLE_AUTO;
	configure();
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned i = 0; i < 200000; i++) {
		now_us += 3000;
		if (submit(i % N, now_us) == THROTTLE_GO)
			throttle_done(u.t, &u.items[i % N], now_us + 1000, 1000, THROTTLE_OK);
		if (i % 32 == 0)
			throttle_tick(u.t, now_us);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	ns = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 200000;
	print_message("submit, done and a share of the ticks: %.0f ns\n", ns);
	/* Under sanitizers, on a busy machine; without them some 50 ns. */
	assert_true(ns < 5000);
	assert_int_equal(figures().passed, 200000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_throttle_submit_room_goes),
		T(test_throttle_submit_full_held_until_done),
		T(test_throttle_cancel_held_counts_aborted),
		T(test_throttle_cancel_leaving_not_refused),
		T(test_throttle_submit_queue_full_refused),
		T(test_throttle_submit_queue_zero_refused_at_once),
		T(test_throttle_tick_too_old_refused),
		T(test_throttle_go_ends_inside_callback_next_goes),
		T(test_throttle_held_round_robin_by_client),
		T(test_throttle_held_large_ones_pay_more),
		T(test_throttle_rate_bucket_paces),
		T(test_throttle_status_queue_holds_no_policy),
		T(test_throttle_drain_at_once_lets_all_go),
		T(test_throttle_observe_goes_and_counts),
		T(test_throttle_workers_share_limits),
		T(test_throttle_floor_above_ceiling_bounded),
		T(test_throttle_idle_wants_no_tick),
		T(test_throttle_retry_after_spread),
		T(test_throttle_totals_tell_mode_and_limits),
		T(test_throttle_pass_path_is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
