/* The management point can't be reached, and is again: what the limits do call by call. */
#include "proxy/core/throttle_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)
#define N 600

static struct {
	struct conf conf;
	struct throttle *t;
	struct throttle_item items[N];
	unsigned n_items;
	int64_t now_us;
	enum throttle_outcome outcome;
} u;

static void on_go(void *arg, struct throttle_item *item, int64_t now_us)
{
	(void)arg;
	throttle_done(u.t, item, now_us, u.outcome == THROTTLE_OK ? 10000 : 0, u.outcome);
}

static void on_refuse(void *arg, struct throttle_item *item, unsigned retry_after_s, int64_t now_us)
{
	(void)arg;
	(void)item;
	(void)retry_after_s;
	(void)now_us;
}

static int start(void **state)
{
	const struct throttle_calls calls = {on_go, on_refuse, NULL, NULL};

	(void)state;
	memset(&u, 0, sizeof(u));
	u.now_us = 100 * S;
	if (conf_init(&u.conf) < 0)
		return -1;
	u.conf.throttle_status_queue_age_ms = 3600000;
	return throttle_new(&u.t, &u.conf, &calls);
}

static int stop(void **state)
{
	(void)state;
	throttle_free(u.t);
	conf_fini(&u.conf);
	return 0;
}

/* So many a second for so many tenths of a second, each with this outcome at once. */
static void run(unsigned each_tenth, unsigned tenths, enum throttle_outcome outcome)
{
	unsigned retry_after_s;

	u.outcome = outcome;
	for (unsigned i = 0; i < tenths; i++) {
		for (unsigned n = 0; n < each_tenth; n++) {
			struct throttle_item *item = &u.items[u.n_items++ % N];

			if (item->state != THROTTLE_ITEM_IDLE)
				continue;
			item->client = (uint64_t)(u.n_items % N + 1) * 0x9e3779b97f4a7c15u;
			if (throttle_submit(u.t, item, u.now_us, &retry_after_s) == THROTTLE_GO)
				on_go(NULL, item, u.now_us);
		}
		u.now_us += S / 10;
		throttle_tick(u.t, u.now_us);
	}
}

static double rate_limit(void)
{
	struct throttle_totals totals;

	throttle_totals(u.t, &totals);
	return totals.rate_limit;
}

static void test_throttle_unreachable_a_try_a_second_then_what_was_good(void **state)
{
	(void)state;
	run(10, 300, THROTTLE_OK);
	run(10, 50, THROTTLE_UNREACHABLE);
	assert_true(rate_limit() <= LIMIT_TRIES);
	/* However long. */
	run(1, 600, THROTTLE_UNREACHABLE);
	assert_true(rate_limit() <= LIMIT_TRIES);
	/* Half of 100 a second at least, as soon as one is answered. */
	run(1, 12, THROTTLE_OK);
	assert_true(rate_limit() >= 45);
	run(10, 40, THROTTLE_OK);
	assert_true(rate_limit() >= 90);
}

static void test_throttle_unreachable_nothing_known_no_limit_is_left(void **state)
{
	(void)state;
	run(1, 100, THROTTLE_UNREACHABLE);
	assert_true(rate_limit() <= LIMIT_TRIES);
	run(2, 60, THROTTLE_OK);
	assert_true(rate_limit() >= (double)u.conf.throttle_ceiling);
}

/* Silence and 503 come from one that is there and has too much: as ever. */
static void test_throttle_timeouts_and_errors_lower_to_the_floor_only(void **state)
{
	(void)state;
	run(10, 300, THROTTLE_OK);
	run(10, 100, THROTTLE_TIMEOUT);
	assert_true(rate_limit() >= (double)u.conf.throttle_floor);
	run(10, 100, THROTTLE_ERROR);
	assert_true(rate_limit() >= (double)u.conf.throttle_floor);
	assert_false(u.t->limiter.is_away);
}

/* Some get through: the others found no place, which is overload. */
static void test_throttle_unreachable_for_some_is_overload(void **state)
{
	(void)state;
	run(10, 300, THROTTLE_OK);
	for (unsigned i = 0; i < 20; i++) {
		run(5, 1, THROTTLE_UNREACHABLE);
		run(5, 1, THROTTLE_OK);
	}
	assert_false(u.t->limiter.is_away);
	assert_true(rate_limit() < 100);
	assert_true(rate_limit() >= (double)u.conf.throttle_floor);
}

/* Away, back, and away again before all have returned: nothing is lost of what was good. */
static void test_throttle_unreachable_twice_remembers(void **state)
{
	(void)state;
	run(10, 300, THROTTLE_OK);
	for (unsigned i = 0; i < 5; i++) {
		run(10, 30, THROTTLE_UNREACHABLE);
		run(1, 12, THROTTLE_OK);
	}
	assert_true(rate_limit() >= 45);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, start, stop)
		CASE(test_throttle_unreachable_a_try_a_second_then_what_was_good),
		CASE(test_throttle_unreachable_nothing_known_no_limit_is_left),
		CASE(test_throttle_timeouts_and_errors_lower_to_the_floor_only),
		CASE(test_throttle_unreachable_for_some_is_overload),
		CASE(test_throttle_unreachable_twice_remembers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
