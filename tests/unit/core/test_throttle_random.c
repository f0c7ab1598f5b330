/* Any sequence of calls: the books of the throttle agree with ours. Seeded. */
#include "proxy/core/throttle_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N     300
#define SEEDS 40
#define STEPS 4000

static struct {
	struct throttle *t;
	struct conf conf;
	struct throttle_item items[N];
	uint64_t rng;
	int64_t now_us;
	uint64_t n_submitted, n_gone, n_refused, n_aborted;
} r;

static unsigned any(unsigned below)
{
	r.rng ^= r.rng << 13;
	r.rng ^= r.rng >> 7;
	r.rng ^= r.rng << 17;
	return (unsigned)(r.rng >> 33) % below;
}

static struct throttle_item *any_in(enum throttle_item_state state)
{
	for (unsigned i = any(N), n = 0; n < N; i = (i + 1) % N, n++)
		if (r.items[i].state == state)
			return &r.items[i];
	return NULL;
}

static void end(struct throttle_item *item)
{
	throttle_done(r.t, item, r.now_us, any(200000) + 1, (enum throttle_outcome)any(4));
}

static void submit(void)
{
	struct throttle_item *item = any_in(THROTTLE_ITEM_IDLE);
	unsigned retry_after_s = 0;

	if (item == NULL)
		return;
	item->cls = (enum throttle_class)any(THROTTLE_N_CLASSES);
	item->client = (uint64_t)any(40) * 0x9e3779b97f4a7c15u;
	item->network = (uint64_t)any(4) * 0x9e3779b97f4a7c15u;
	item->bytes = any(30000);
	r.n_submitted++;
	switch (throttle_submit(r.t, item, r.now_us, &retry_after_s)) {
	case THROTTLE_GO:
		assert_int_equal(item->state, THROTTLE_ITEM_GONE);
		r.n_gone++;
		break;
	case THROTTLE_HELD:
		assert_int_equal(item->state, THROTTLE_ITEM_HELD);
		break;
	case THROTTLE_REFUSED:
		assert_int_equal(item->state, THROTTLE_ITEM_IDLE);
		assert_true(retry_after_s >= 1);
		r.n_refused++;
		break;
	}
}

/* Callbacks do what callers may do: end the item, submit or cancel another one. */
static void on_go(void *arg, struct throttle_item *item, int64_t now_us)
{
	(void)arg;
	(void)now_us;
	r.n_gone++;
	if (any(4) == 0)
		end(item);
	if (any(8) == 0)
		submit();
}

static void cancel(void)
{
	struct throttle_item *item =
		any_in(any(3) > 0 ? THROTTLE_ITEM_HELD : THROTTLE_ITEM_LEAVING);

	if (item == NULL)
		return;
	throttle_cancel(r.t, item);
	assert_int_equal(item->state, THROTTLE_ITEM_IDLE);
	r.n_aborted++;
}

static void on_refuse(void *arg, struct throttle_item *item, unsigned retry_after_s, int64_t now_us)
{
	(void)arg;
	(void)now_us;
	assert_int_equal(item->state, THROTTLE_ITEM_IDLE);
	assert_true(retry_after_s >= 1);
	r.n_refused++;
	if (any(4) == 0)
		submit();
	if (any(4) == 0)
		cancel();
}

static void reconfigure(void)
{
	r.conf.throttle_mode = (int)any(3);
	r.conf.throttle_observe = any(4) == 0;
	r.conf.throttle_status_queue = any(40);
	r.conf.throttle_status_queue_bytes = any(300000);
	r.conf.throttle_state_queue_age_ms = any(500);
	r.conf.throttle_inventory_rate = any(30);
	r.conf.throttle_other_concurrency = any(5);
	r.conf.throttle_policy_concurrency = any(5);
	r.conf.throttle_client_rate = any(2) * any(600);
	r.conf.throttle_client_burst = 1 + any(5);
	r.conf.throttle_network_rate = any(2) * any(3000);
	r.conf.throttle_floor_concurrency = 1 + any(4);
	r.conf.throttle_ceiling_concurrency = 1 + any(20);
	r.conf.workers = any(3);
	assert_int_equal(throttle_set_conf(r.t, &r.conf, r.now_us), 0);
}

static void check_books(void)
{
	unsigned held = 0, leaving = 0;
	struct throttle_totals totals;

	throttle_totals(r.t, &totals);
	for (unsigned i = 0; i < N; i++) {
		held += r.items[i].state == THROTTLE_ITEM_HELD;
		leaving += r.items[i].state == THROTTLE_ITEM_LEAVING;
	}
	if (!totals.is_observing)
		assert_int_equal(totals.held, held);
	else
		assert_int_equal(held, 0);
	assert_int_equal(r.n_submitted, r.n_gone + r.n_refused + r.n_aborted + held + leaving);
	assert_true(totals.in_flight <= N || totals.is_observing);
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		struct throttle_figures f;

		throttle_figures(r.t, (enum throttle_class)c, r.now_us, &f);
		assert_true(f.held > 0 || f.held_bytes == 0);
	}
}

static void step(void)
{
	struct throttle_item *item;

	switch (any(12)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		submit();
		break;
	case 5:
	case 6:
	case 7:
		item = any_in(THROTTLE_ITEM_GONE);
		if (item != NULL)
			end(item);
		break;
	case 8:
		cancel();
		break;
	case 9:
	case 10:
		r.now_us += any(100000);
		throttle_tick(r.t, r.now_us);
		assert_true(throttle_next_ms(r.t, r.now_us) <= 100);
		break;
	default:
		if (any(20) == 0)
			reconfigure();
		else if (any(60) == 0)
			throttle_drain(r.t, r.now_us, r.now_us + any(1000000));
		else
			throttle_report_files(r.t, r.now_us, any(100000));
		break;
	}
}

static void test_throttle_random_calls_books_agree(void **state)
{
	const struct throttle_calls calls = {.go = on_go, .refuse = on_refuse};

	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		struct throttle_item *item;

		memset(&r, 0, sizeof(r));
		r.rng = seed * 0x9e3779b97f4a7c15u;
		r.now_us = 1000000;
		assert_int_equal(conf_init(&r.conf), 0);
		assert_int_equal(throttle_new(&r.t, &r.conf, &calls), 0);
		for (unsigned i = 0; i < STEPS; i++) {
			step();
			check_books();
		}
		/* In the end everything comes to its end. */
		for (unsigned i = 0; i < 20000; i++) {
			while ((item = any_in(THROTTLE_ITEM_GONE)) != NULL)
				end(item);
			r.now_us += 100000;
			throttle_tick(r.t, r.now_us);
			if (any_in(THROTTLE_ITEM_HELD) == NULL &&
			    any_in(THROTTLE_ITEM_GONE) == NULL)
				break;
		}
		assert_null(any_in(THROTTLE_ITEM_HELD));
		assert_null(any_in(THROTTLE_ITEM_LEAVING));
		check_books();
		if (!r.conf.throttle_observe)
			for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
				assert_int_equal(r.t->kinds[c].in_flight, 0);
		assert_int_equal(r.t->limiter.busy, 0);
		throttle_free(r.t);
		conf_fini(&r.conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_throttle_random_calls_books_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
