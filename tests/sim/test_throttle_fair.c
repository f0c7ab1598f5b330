/* Fairness between clients, bounds of the queue, limits of classes and clients. */
#include "tests/sim/throttle_world.h"

static struct stream_of others = {.rate = 120, .cls = THROTTLE_STATUS, .clients = 200};
/* Client 100000, figures of group 1. */
static double heavy_rate;

static void others_and_heavy(void *arg)
{
	sim_stream(arg);
	for (unsigned n = sim_arrivals(heavy_rate); n > 0; n--)
		sim_send(THROTTLE_STATUS, 100000, 1);
}

/* Median of the others in a minute. */
static double median(uint64_t seed, double rate, double heavy)
{
	double ms;

	sim_start(seed);
	others.rate = rate;
	heavy_rate = heavy;
	sim_run(20, others_and_heavy, &others);
	sim_forget_latencies();
	sim_run(60, others_and_heavy, &others);
	ms = sim_percentile(0, 0.5);
	sim_stop();
	return ms;
}

/* At 60 % load: beside the others as if it were not there. */
static void test_throttle_half_from_one_client_others_within_20_percent(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 3; seed++)
		assert_true(median(seed, 90, 90) <= 1.2 * median(seed, 90, 0));
}

/* At any load: no worse than if the same traffic came from all of them alike. */
static void test_throttle_half_from_one_client_as_if_from_all(void **state)
{
	static const double rates[] = {120, 140, 200};

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (unsigned seed = 1; seed <= 3; seed++)
			assert_true(median(seed, rates[i], rates[i]) <=
				    1.2 * median(seed, 2 * rates[i], 0));
}

/* Far more than can be served: it is the heavy one that waits. */
static void test_throttle_overload_by_one_client_others_hardly_wait(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 3; seed++) {
		double alone = median(seed, 180, 0);

		assert_true(median(seed, 180, 600) <= 2.2 * alone);
		assert_true(median(seed, 180, 2000) <= 2.2 * alone);
	}
}

/* A burst of 5,000 from one; a single message of another passes it. */
static void test_throttle_single_message_passes_a_burst(void **state)
{
	(void)state;
	sim_start(1);
	others.rate = 100;
	sim_run(10, sim_stream, &others);
	for (unsigned i = 0; i < 5000; i++)
		sim_send(THROTTLE_STATUS, 100000, 1);
	sim_forget_latencies();
	for (unsigned i = 0; i < 20; i++) {
		sim_send(THROTTLE_STATUS, 200000 + i, 2);
		sim_run(0.3, NULL, NULL);
	}
	assert_true(sim_figures(THROTTLE_STATUS).held > 2000);
	assert_int_equal(sim.n[2], 20);
	assert_true(sim_percentile(2, 1) < 300);
	assert_true(sim_percentile(2, 0.5) < 100);
	sim_stop();
}

/* The queue is full of one client's messages: it gives way to a newcomer. */
static void test_throttle_full_queue_heavy_client_is_refused(void **state)
{
	(void)state;
	sim_start(1);
	sim.conf.throttle_status_queue = 1000;
	sim_configure();
	for (unsigned i = 0; i < 3000; i++)
		sim_send(THROTTLE_STATUS, 100000, 1);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held, 1000);
	assert_in_range(sim.n_refused, 1990, 2000);
	for (unsigned i = 0; i < 100; i++)
		sim_send(THROTTLE_STATUS, 300000 + i, 2);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held, 1000);
	sim_run(2, NULL, NULL);
	assert_int_equal(sim.n[2], 100);
	sim_stop();
}

static void test_throttle_queue_bytes_bounded(void **state)
{
	(void)state;
	sim_start(1);
	sim.conf.throttle_status_queue_bytes = 300000;
	sim_configure();
	for (unsigned i = 0; i < 500; i++)
		sim_send(THROTTLE_STATUS, i, 0);
	assert_in_range(sim_figures(THROTTLE_STATUS).held_bytes, 290000, 300000);
	assert_in_range(sim.n_refused, 390, 400);
	sim_run(5, NULL, NULL);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held_bytes, 0);
	sim_stop();
}

static void test_throttle_queue_age_bounded(void **state)
{
	(void)state;
	sim_start(1);
	sim.conf.throttle_status_queue_age_ms = 3000;
	sim_configure();
	sim.mp.is_hung = true;
	for (unsigned i = 0; i < 500; i++)
		sim_send(THROTTLE_STATUS, i, 0);
	sim_run(2.9, NULL, NULL);
	assert_int_equal(sim.n_refused, 0);
	sim_run(0.3, NULL, NULL);
	assert_int_equal(sim.n_refused, 500 - 4);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held, 0);
	sim_stop();
}

/* A rate of its own: the client is held, nobody else is. */
static void test_throttle_client_rate_holds_that_client_alone(void **state)
{
	(void)state;
	sim_start(1);
	sim.conf.throttle_client_rate = 120; /* a minute */
	sim.conf.throttle_client_burst = 10;
	sim_configure();
	others.rate = 50;
	heavy_rate = 20;
	sim_run(60, others_and_heavy, &others);
	/* 2 a second and the burst. */
	assert_in_range(sim.n[1], 120, 132);
	assert_true(sim_percentile(0, 0.99) < 250);
	sim_stop();
}

static void test_throttle_network_rate_holds_that_network(void **state)
{
	(void)state;
	sim_start(1);
	sim.conf.throttle_network_rate = 600;
	sim.conf.throttle_network_burst = 20;
	sim_configure();
	for (unsigned i = 0; i < 1000; i++) {
		struct msg *m = sim_msg(THROTTLE_STATUS, 500000 + i, 1);

		m->item.network = sim_hash(77);
		sim_try(m);
	}
	others.rate = 50;
	sim_run(30, sim_stream, &others);
	assert_in_range(sim.n[1], 310, 330);
	assert_true(sim_percentile(0, 0.99) < 250);
	sim_stop();
}

/* Fixed: rate, burst and concurrency of a class, as set. */
static void test_throttle_fixed_class_limits_hold(void **state)
{
	static struct stream_of all = {.rate = 200, .cls = THROTTLE_STATUS, .clients = 100};

	(void)state;
	sim_start(1);
	sim.conf.throttle_mode = THROTTLE_FIXED;
	sim.conf.throttle_status_rate = 50;
	sim.conf.throttle_status_burst = 5;
	sim.conf.throttle_state_concurrency = 3;
	sim_configure();
	sim_run(30, sim_stream, &all);
	assert_in_range(sim_mean(sim.served_s, 2, 30), 49, 51);
	all.cls = THROTTLE_STATE;
	sim_run(10, sim_stream, &all);
	assert_int_equal(sim_figures(THROTTLE_STATE).in_flight, 3);
	assert_int_equal(sim_figures(THROTTLE_STATE).concurrency_limit, 3);
	assert_int_equal(sim_figures(THROTTLE_STATUS).rate_limit, 50);
	assert_int_equal(sim.n_changes, 0);
	sim_stop();
}

static void test_throttle_off_nothing_held(void **state)
{
	static struct stream_of all = {.rate = 280, .cls = THROTTLE_STATUS, .clients = 100};

	(void)state;
	sim_start(1);
	sim.conf.throttle_mode = THROTTLE_OFF;
	sim.conf.throttle_status_rate = 1;
	sim.conf.throttle_client_rate = 1;
	sim_configure();
	sim_run(10, sim_stream, &all);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held_total, 0);
	assert_int_equal(sim_figures(THROTTLE_STATUS).passed,
			 sim_figures(THROTTLE_STATUS).submitted);
	sim_stop();
}

/* Classes share the limit by weight: 4 to 2 to 1. */
static void test_throttle_classes_share_by_weight(void **state)
{
	uint64_t status, state_, inventory;

	(void)state;
	sim_start(1);
	for (unsigned i = 0; i < 3000; i++) {
		sim_send(THROTTLE_STATUS, i, 0);
		sim_send(THROTTLE_STATE, i, 0);
		if (i < 1900)
			sim_send(THROTTLE_INVENTORY, i, 0);
	}
	sim_run(10, NULL, NULL);
	status = sim_figures(THROTTLE_STATUS).passed;
	state_ = sim_figures(THROTTLE_STATE).passed;
	inventory = sim_figures(THROTTLE_INVENTORY).passed;
	assert_in_range(state_ * 10 / status, 18, 22);
	assert_in_range(inventory * 10 / status, 37, 43);
	sim_stop();
}

/* Stopping: all that is held goes within the time given, evenly, and nothing is refused. */
static void test_throttle_drain_lets_go_evenly(void **state)
{
	unsigned from_s;

	(void)state;
	sim_start(1);
	for (unsigned i = 0; i < 6000; i++)
		sim_send(THROTTLE_STATUS, i, 0);
	sim_run(1, NULL, NULL);
	from_s = sim_seconds();
	throttle_drain(sim.t, sim.now_us, sim.now_us + 10 * SECONDS);
	sim_run(10.1, NULL, NULL);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held, 0);
	assert_int_equal(sim.n_refused, 0);
	assert_true(sim_peak(sim.arrived_s, from_s, from_s + 10) <
		    1.3 * sim_mean(sim.arrived_s, from_s, from_s + 10));
	sim_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_throttle_half_from_one_client_others_within_20_percent),
		cmocka_unit_test(test_throttle_half_from_one_client_as_if_from_all),
		cmocka_unit_test(test_throttle_overload_by_one_client_others_hardly_wait),
		cmocka_unit_test(test_throttle_single_message_passes_a_burst),
		cmocka_unit_test(test_throttle_full_queue_heavy_client_is_refused),
		cmocka_unit_test(test_throttle_queue_bytes_bounded),
		cmocka_unit_test(test_throttle_queue_age_bounded),
		cmocka_unit_test(test_throttle_client_rate_holds_that_client_alone),
		cmocka_unit_test(test_throttle_network_rate_holds_that_network),
		cmocka_unit_test(test_throttle_fixed_class_limits_hold),
		cmocka_unit_test(test_throttle_off_nothing_held),
		cmocka_unit_test(test_throttle_classes_share_by_weight),
		cmocka_unit_test(test_throttle_drain_lets_go_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
