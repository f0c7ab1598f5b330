/* Outages and the way back, STAT.BOX, observing. */
#include "tests/sim/throttle_world.h"

#define CLIENTS 2000

static void send_all(bool is_polite)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct msg *m = sim_msg(THROTTLE_STATUS, i, 0);

		m->must_succeed = true;
		m->is_polite = is_polite;
		sim_try(m);
	}
}

/* The second by which so much of a series from first_s on has come. */
static unsigned second_of_share(const unsigned *series, unsigned first_s, double share)
{
	double all = sim_mean(series, first_s, SIM_SPAN_S) * (SIM_SPAN_S - first_s), seen = 0;
	unsigned s = first_s;

	while (s < SIM_SPAN_S - 1 && seen + series[s] < share * all)
		seen += series[s++];
	return s;
}

/* The ladder of 1, 5, 30 and 60 minutes, sixty times faster. */
static void start_outage(uint64_t seed)
{
	static struct stream_of usual = {.rate = 30, .cls = THROTTLE_STATUS, .clients = CLIENTS};

	sim_start(seed);
	sim.conf.throttle_status_queue = 5000;
	sim.conf.throttle_status_queue_age_ms = 20000;
	sim_configure();
	sim.ladder_us[0] = 1 * SECONDS;
	sim.ladder_us[1] = 5 * SECONDS;
	sim.ladder_us[2] = 30 * SECONDS;
	sim.ladder_us[3] = 60 * SECONDS;
	sim_run(10, sim_stream, &usual);
	sim.mp.is_down = true;
}

/*
 * 60 s of outage, 2,000 clients that all send when it begins and heed Retry-After: those
 * that were refused come back as a stream.
 */
static void test_throttle_outage_refused_return_as_a_stream(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 10; seed++) {
		unsigned first_s, last_s;

		start_outage(seed);
		send_all(true);
		sim_run(21, NULL, NULL);
		/* Most have been refused for their age, in the same second. */
		assert_true(sim.n_refused > CLIENTS * 7 / 10);
		first_s = sim_seconds() + 1;
		sim_run(39, NULL, NULL);
		sim.mp.is_down = false;
		while (sim.n_waiting > 0)
			sim_run(1, NULL, NULL);
		/* The stream without its first and last drops. */
		last_s = second_of_share(sim.tried_s, first_s, 0.95);
		first_s = second_of_share(sim.tried_s, first_s, 0.05);
		assert_true(last_s - first_s > 30);
		for (unsigned s = first_s; s + 5 < last_s; s += 5)
			assert_true(sim_mean(sim.tried_s, s, s + 5) <=
				    1.5 * sim_mean(sim.tried_s, first_s, last_s));
		/* And soon: not long after the end of the outage everything is served. */
		assert_true(sim_seconds() - first_s < 120);
		sim_run(5, NULL, NULL);
		assert_true(sim.n_ok >= CLIENTS);
		sim_stop();
	}
}

/* One message of every client, spread over the first ten seconds of the outage. */
static void send_slowly(void *arg)
{
	unsigned *n = arg;

	for (; *n < CLIENTS && sim.now_us >= sim.outage_us + (int64_t)*n * 5 * MS; (*n)++) {
		struct msg *m = sim_msg(THROTTLE_STATUS, *n, 1);

		m->must_succeed = true;
		sim_try(m);
	}
}

/* usual a second, then an outage with default queues until everything is served after it. */
static unsigned run_outage(uint64_t seed, double usual, double seconds)
{
	static struct stream_of stream = {.cls = THROTTLE_STATUS, .clients = CLIENTS};
	unsigned n = 0, back_s;

	sim_start(seed);
	for (unsigned i = 0; i < 4; i++)
		sim.ladder_us[i] = (int64_t)(5 << i) * SECONDS;
	sim.conf.throttle_status_queue = 5000;
	sim.conf.throttle_status_queue_age_ms = 20000;
	sim.conf.throttle_retry_max_ms = 600000;
	sim_configure();
	stream.rate = usual;
	if (usual > 0)
		sim_run(30, sim_stream, &stream);
	sim.mp.is_down = true;
	sim.outage_us = sim.now_us;
	sim_run(seconds, send_slowly, &n);
	sim.mp.is_down = false;
	back_s = sim_seconds();
	for (unsigned s = 0; s < 600 && sim.n[1] < CLIENTS; s++)
		sim_run(1, NULL, NULL);
	assert_int_equal(sim.n[1], CLIENTS);
	return back_s;
}

/* The busiest two seconds of a series, a second. */
static double busiest(const unsigned *series, unsigned from_s, unsigned to_s)
{
	double most = 0;

	for (unsigned s = from_s; s + 2 <= to_s; s++)
		most = sim_mean(series, s, s + 2) > most ? sim_mean(series, s, s + 2) : most;
	return most;
}

/*
 * Whatever was usual before and however long it took: what reaches the management point
 * afterwards, held or returning, is one even stream, and so is what returns. The mean is
 * that of 5 to 80 %: those that tried in vain, a tenth after a long outage, come when their
 * own ladder says so, long after the rest.
 */
static void check_even(uint64_t seed, double usual, double seconds)
{
	unsigned back_s = run_outage(seed, usual, seconds);
	unsigned from_s = second_of_share(sim.arrived_s, back_s, 0.05);
	unsigned to_s = second_of_share(sim.arrived_s, back_s, 0.8);
	unsigned last_s = sim_seconds();
	double mean = sim_mean(sim.arrived_s, from_s, to_s);
	/* So short that nobody was refused: all are held, and the limit has to grow. */
	double bound = seconds < 20 ? 1.6 : 1.5;

	if (sim.is_loud)
		printf("usual %.0f, %.0f s: %.0f/s in %u s, peak %.2f, of returns %.2f\n", usual,
		       seconds, mean, to_s - back_s, busiest(sim.arrived_s, back_s, last_s) / mean,
		       busiest(sim.tried_s, back_s, last_s) / mean);
	assert_true(busiest(sim.arrived_s, back_s, last_s) <= bound * mean);
	assert_true(busiest(sim.tried_s, back_s, last_s) <= bound * mean);
	assert_true(to_s - back_s <= (usual > 0 ? 45 : 60));
	assert_int_equal(sim.n_timeouts, 0);
	sim_stop();
}

static void test_throttle_outage_what_follows_is_even(void **state)
{
	static const double usuals[] = {0, 30, 60, 150, 250}, spans[] = {15, 35, 60, 90};

	(void)state;
	for (unsigned u = 0; u < 5; u++)
		for (unsigned i = 0; i < 4; i++)
			for (uint64_t seed = 1; seed <= 3; seed++)
				check_even(seed, usuals[u], spans[i]);
}

/* Clients that know their ladder alone return as waves; the management point sees none. */
static void test_throttle_outage_ladder_waves_are_flattened(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 3; seed++) {
		unsigned from_s, to_s;

		start_outage(seed);
		send_all(false);
		sim_run(60, NULL, NULL);
		sim.mp.is_down = false;
		from_s = sim_seconds() + 1;
		while (sim.n_ok < CLIENTS + 200)
			sim_run(1, NULL, NULL);
		to_s = sim_seconds() - 1;
		assert_true(to_s - from_s > 3);
		for (unsigned s = from_s; s < to_s; s++)
			assert_true(sim.arrived_s[s] <= 1.15 * 300);
		assert_true(sim.mp.most < 40);
		sim_stop();
	}
}

/* So many refused at once that not all fit into retry_max: spread over its later half. */
static void test_throttle_more_than_retry_max_holds_spread_out(void **state)
{
	(void)state;
	start_outage(1);
	sim.conf.throttle_retry_max_ms = 60000;
	sim.conf.throttle_status_queue = 0;
	sim_configure();
	sim.mp.is_hung = true;
	for (unsigned i = 0; i < 10; i++)
		send_all(true);
	assert_true(sim.n_refused >= 19800);
	for (unsigned s = 32; s < 60; s += 4) {
		unsigned n = 0;
		struct msg *m;

		for (unsigned slot = 0; slot < 200; slot++) {
			int64_t at = sim.now_us + (int64_t)s * SECONDS + slot * SIM_SLOT_US;

			TAILQ_FOREACH (m, &sim.wheel[at / SIM_SLOT_US % SIM_WHEEL], link) {
				n++;
			}
		}
		assert_in_range(n, 1700, 3600);
	}
	sim_stop();
}

/* --- STAT.BOX */

static struct stream_of flood = {.rate = 250, .cls = THROTTLE_STATUS, .clients = 500};

/* Run with a report every gap seconds. */
static void run_reporting(unsigned seconds, unsigned gap)
{
	for (unsigned s = 0; s < seconds; s++) {
		sim_run(1, sim_stream, &flood);
		if (s % gap == 0)
			throttle_report_files(sim.t, sim.now_us, (uint64_t)sim.mp.files);
	}
}

static void start_folder(uint64_t seed)
{
	sim_start(seed);
	sim.conf.throttle_status_queue = 1000000;
	sim.conf.throttle_status_queue_age_ms = 3600000;
	sim_configure();
	sim.mp.mover = 60;
	sim.mp.mover_half = 20000;
	sim.mp.slow_half = 40000;
}

static void test_throttle_files_backlog_bounded_and_at_rest(void **state)
{
	static const unsigned gaps[] = {5, 10, 60};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		double low = 1e9, high = 0;

		start_folder(1);
		run_reporting(500, gaps[i]);
		for (unsigned n = 0; n < 10; n++) {
			struct throttle_totals totals;

			run_reporting(60, gaps[i]);
			throttle_totals(sim.t, &totals);
			assert_true(totals.status_rate_limit > 0);
			low = totals.status_rate_limit < low ? totals.status_rate_limit : low;
			high = totals.status_rate_limit > high ? totals.status_rate_limit : high;
			assert_true(sim.mp.files < (double)sim.conf.throttle_files_high);
		}
		/* At rest, and nearly all that the dispatcher can move: 60 with few files. */
		assert_true(high / low < 1.5);
		assert_true(low > 0.7 * 60 / (1 + 5000 / 20000.0));
		sim_stop();
	}
}

/* Without reports the folder fills until the dispatcher hardly gets on. */
static void test_throttle_files_unreported_folder_fills(void **state)
{
	(void)state;
	start_folder(1);
	sim_run(600, sim_stream, &flood);
	assert_true(sim.mp.files > 2 * (double)sim.conf.throttle_files_high);
	sim_stop();
}

static void test_throttle_files_found_full_is_emptied(void **state)
{
	(void)state;
	start_folder(2);
	sim.mp.files = 41200;
	run_reporting(600, 30);
	assert_true(sim.mp.files < 39500);
	/* Half of what is moved goes in. */
	assert_true(sim_figures(THROTTLE_STATUS).rate_limit < 15);
	sim_stop();
}

/* The reason names the folder, its slope, and both rates. */
static void test_throttle_files_reason_is_readable(void **state)
{
	unsigned files;

	(void)state;
	sim_start(1);
	sim.conf.throttle_status_rate = 40;
	sim.conf.throttle_status_burst = 1;
	sim_configure();
	sim_run(5, sim_stream, &flood);
	throttle_report_files(sim.t, sim.now_us, 40300);
	sim_run(60, sim_stream, &flood);
	throttle_report_files(sim.t, sim.now_us, 41200);
	assert_string_equal(sim.files_reason, "STAT.BOX 41,200 files, +900/min: 40 -> 12 msg/s");
	/* Reported no more: without limit again. */
	sim_run(200, sim_stream, &flood);
	assert_string_equal(sim.files_reason, "STAT.BOX is reported no more: no limit by files");
	assert_int_equal(sim_figures(THROTTLE_STATUS).rate_limit, 40);
	/* The dispatcher stands still: the floor. */
	for (files = 41200; files < 41300; files += 10) {
		throttle_report_files(sim.t, sim.now_us, files * 100);
		sim_run(20, sim_stream, &flood);
	}
	assert_int_equal(sim_figures(THROTTLE_STATUS).rate_limit, sim.conf.throttle_floor);
	sim_stop();
}

/* --- observing */

static void test_throttle_observe_holds_nothing_counts_all(void **state)
{
	struct throttle_figures f;

	(void)state;
	sim_start(1);
	sim.conf.throttle_mode = THROTTLE_FIXED;
	sim.conf.throttle_observe = true;
	sim.conf.throttle_status_rate = 100;
	sim.conf.throttle_status_burst = 1;
	sim.conf.throttle_status_queue = 200;
	sim_configure();
	flood.rate = 200;
	sim_run(30, sim_stream, &flood);
	f = sim_figures(THROTTLE_STATUS);
	/* Every request went at once. */
	assert_int_equal(sim_mean(sim.arrived_s, 1, 31) * 30, sim.n_submitted);
	assert_int_equal(sim.n_refused, 0);
	/* And would have waited behind 200, 2 s; half of them would have been refused. */
	assert_in_range(f.passed, 2990, 3010);
	assert_int_equal(f.held, 200);
	assert_in_range(f.refused_total, f.submitted - 3210, f.submitted - 3190);
	assert_in_range(f.hold_p50_us, 1700 * MS, 2200 * MS);
	sim_stop();
}

/* The same arrivals, observed and enforced, under limits that don't depend on the answers. */
static void test_throttle_observe_decides_as_enforce_does(void **state)
{
	struct throttle_figures f[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		sim_start(7);
		sim.conf.throttle_mode = THROTTLE_FIXED;
		sim.conf.throttle_observe = i == 0;
		sim.conf.throttle_status_rate = 150;
		sim.conf.throttle_status_queue = 300;
		sim.conf.throttle_client_rate = 60;
		sim.conf.throttle_client_burst = 5;
		sim_configure();
		/* Arrivals by a generator of their own: the model draws from its random numbers. */
		for (unsigned n = 0; n < 6000; n++) {
			sim_send(THROTTLE_STATUS, (unsigned)(sim_hash(n) % 100), 0);
			sim_run((double)(sim_hash(n + 7) % 7 + 2) / 1000, NULL, NULL);
		}
		f[i] = sim_figures(THROTTLE_STATUS);
		sim_stop();
	}
	assert_int_equal(f[0].submitted, f[1].submitted);
	/* But for the moments at which an answer or a tick lets the next one go: 1 %. */
	assert_in_range(f[0].passed, f[1].passed - 40, f[1].passed + 40);
	assert_in_range(f[0].held_total, f[1].held_total - 40, f[1].held_total + 40);
	assert_in_range(f[0].refused_total, f[1].refused_total - 40, f[1].refused_total + 40);
	assert_true(f[1].held_total > 1000);
}

/* Switched on while messages are held: they go. Switched off: limits hold again. */
static void test_throttle_observe_switched_at_run_time(void **state)
{
	(void)state;
	sim_start(1);
	sim.mp.collapse = 0;
	for (unsigned i = 0; i < 1000; i++)
		sim_send(THROTTLE_STATUS, i, 0);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held, 996);
	sim.conf.throttle_observe = true;
	sim_configure();
	assert_int_equal(sim_figures(THROTTLE_STATUS).held, 0);
	for (unsigned i = 0; i < 1000; i++)
		sim_send(THROTTLE_STATUS, i, 0);
	assert_int_equal(sim.mp.n, 2000);
	sim_run(3, NULL, NULL);
	sim.conf.throttle_observe = false;
	sim_configure();
	for (unsigned i = 0; i < 1000; i++)
		sim_send(THROTTLE_STATUS, i, 1);
	sim_run(120, NULL, NULL);
	assert_int_equal(sim.n[1], 1000);
	assert_int_equal(sim_figures(THROTTLE_STATUS).held, 0);
	assert_int_equal(sim_figures(THROTTLE_STATUS).in_flight, 0);
	sim_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_throttle_outage_refused_return_as_a_stream),
		cmocka_unit_test(test_throttle_outage_what_follows_is_even),
		cmocka_unit_test(test_throttle_outage_ladder_waves_are_flattened),
		cmocka_unit_test(test_throttle_more_than_retry_max_holds_spread_out),
		cmocka_unit_test(test_throttle_files_backlog_bounded_and_at_rest),
		cmocka_unit_test(test_throttle_files_unreported_folder_fills),
		cmocka_unit_test(test_throttle_files_found_full_is_emptied),
		cmocka_unit_test(test_throttle_files_reason_is_readable),
		cmocka_unit_test(test_throttle_observe_holds_nothing_counts_all),
		cmocka_unit_test(test_throttle_observe_decides_as_enforce_does),
		cmocka_unit_test(test_throttle_observe_switched_at_run_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
