#include "tests/sim/flush_sim.c"

/* docs/STORE.md: after the due time, when nobody holds the shard, and when its holder has died. */
#define LATE_FREE_MS 1200
#define LATE_DEAD_MS (FLUSH_TTL_MS + FLUSH_TAKEN_MS + LATE_FREE_MS)
/* A round trip, the posts before it in the shard. */
#define LATE_SLACK_MS 400

static uint64_t settled[SIM_NODES];

/* Summaries that each has settled since the last time. */
static void take_settled(uint64_t out[SIM_NODES])
{
	for (unsigned i = 0; i < SIM_NODES; i++) {
		uint64_t n = w.node[i].store == NULL
				     ? settled[i]
				     : fake_store_calls(w.node[i].store, FAKE_SETTLE);

		out[i] = n - settled[i];
		settled[i] = n;
	}
}

static void share_setup(unsigned n_shards, unsigned n_nodes)
{
	sim_setup(n_shards);
	memset(settled, 0, sizeof(settled));
	for (unsigned i = 0; i < n_nodes; i++)
		node_start(i);
	sim_run(2 * 60000);
	take_settled((uint64_t[SIM_NODES]){0});
}

static void run_intervals(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		sim_add_clients(160);
		sim_run(60000);
	}
}

/* After its due time, how late the slowest shard's first summary since from_ms went out. */
static int64_t latest_ms(int64_t from_ms)
{
	int64_t to_wall = clock_wall_ms() - clock_mono_ms(), most = 0;

	for (unsigned i = 0; i < w.n_parts; i++) {
		unsigned shard = client_get(&w.m, w.parts[i].client)->shard;
		int64_t phase = 60000 * shard / w.m.n_shards;
		int64_t late = (w.parts[i].first_post_ms + to_wall - phase) % 60000;

		if (w.parts[i].first_post_ms >= from_ms && late > most)
			most = late;
	}
	return most;
}

/* Each of the living has at least a third of what would be fair. */
static void assert_shared(unsigned n_alive)
{
	uint64_t n[SIM_NODES], sum = 0;

	take_settled(n);
	for (unsigned i = 0; i < SIM_NODES; i++)
		sum += n[i];
	assert_true(sum > 0);
	for (unsigned i = 0; i < SIM_NODES; i++) {
		if (w.node[i].flush == NULL)
			continue;
		print_message("%u shards, %u alive: %u settled %u of %u\n", w.m.n_shards, n_alive,
			      i, (unsigned)n[i], (unsigned)sum);
		assert_true(n[i] * 3 * n_alive >= sum);
	}
}

static void assert_nothing_twice(void)
{
	assert_books();
	assert_int_equal(w.n_posts, w.n_parts);
	assert_int_equal(w.metrics.v[M_SUM_SEALED], w.n_parts);
	assert_int_equal(w.m.n_fenced, 0);
}

static const unsigned shard_counts[] = {2, 4, 16};

static void test_flush_share_each_has_a_part(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		unsigned n_nodes = 2 + i % 2;
		int64_t from;

		share_setup(shard_counts[i / 2], n_nodes);
		from = clock_mono_ms();
		/* The fewer shards, the more turns until everybody had one. */
		run_intervals(shard_counts[i / 2] == 2 ? 12 : 5);
		assert_shared(n_nodes);
		assert_in_range(latest_ms(from), 1, LATE_FREE_MS + LATE_SLACK_MS);
		assert_nothing_twice();
		sim_run(61000);
		assert_all_delivered();
		sim_teardown();
	}
}

/* One dies in mid-round: its leases end by themselves, then the others share what was its. */
static void test_flush_share_one_dies(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		int64_t from;

		share_setup(shard_counts[i], 3);
		w.mp_delay_ms = 3000;
		sim_add_clients(160);
		for (unsigned t = 0; w.node[1].flush->n_posting == 0; t += 100) {
			assert_true(t < 70000);
			sim_run(100);
		}
		node_kill(1, false);
		w.mp_delay_ms = 20;
		from = clock_mono_ms();
		sim_run(60000);
		assert_in_range(latest_ms(from), 1, LATE_DEAD_MS + LATE_SLACK_MS);
		/* Long enough for it to be forgotten. */
		sim_run(90000);
		take_settled((uint64_t[SIM_NODES]){0});
		from = clock_mono_ms();
		run_intervals(5);
		assert_shared(2);
		assert_in_range(latest_ms(from), 1, LATE_FREE_MS + LATE_SLACK_MS);
		sim_run(61000);
		assert_all_delivered();
		sim_teardown();
	}
}

static void test_flush_share_one_joins(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		int64_t from;

		share_setup(shard_counts[i], 2);
		run_intervals(3);
		node_start(2);
		run_intervals(1);
		take_settled((uint64_t[SIM_NODES]){0});
		from = clock_mono_ms();
		run_intervals(5);
		assert_shared(3);
		assert_in_range(latest_ms(from), 1, LATE_FREE_MS + LATE_SLACK_MS);
		sim_run(61000);
		assert_all_delivered();
		assert_nothing_twice();
		sim_teardown();
	}
}

/* Alone there is nobody to wait for; nor after the other has been gone for some time. */
static void test_flush_share_alone_no_wait(void **state)
{
	int64_t from;

	(void)state;
	share_setup(16, 1);
	from = clock_mono_ms();
	run_intervals(3);
	assert_in_range(latest_ms(from), 1, 100 + LATE_SLACK_MS);
	node_start(1);
	run_intervals(3);
	flush_stop(w.node[1].flush);
	sim_run(4 * 60000);
	node_kill(1, false);
	from = clock_mono_ms();
	run_intervals(3);
	assert_in_range(latest_ms(from), 1, 100 + LATE_SLACK_MS);
	sim_run(61000);
	assert_all_delivered();
	assert_nothing_twice();
	sim_teardown();
}

/* Intervals so short that the loser of one is asked again before it would have come back. */
static void test_flush_share_short_intervals(void **state)
{
	(void)state;
	sim_setup(4);
	w.conf.interval_ms = 2000;
	memset(settled, 0, sizeof(settled));
	node_start(0);
	node_start(1);
	sim_run(5000);
	take_settled((uint64_t[SIM_NODES]){0});
	for (unsigned i = 0; i < 50; i++) {
		sim_add_clients(40);
		sim_run(200);
	}
	sim_run(5000);
	assert_shared(2);
	assert_all_delivered();
	assert_nothing_twice();
	sim_teardown();
}

/*
 * The upstream is so slow that rounds never end, and all shards are held by one when the
 * other comes: it gets its share once the first gives its leases back, which it must do
 * without ever having seen the other.
 */
static void test_flush_share_backlog_without_end(void **state)
{
	uint64_t n[SIM_NODES];

	(void)state;
	sim_setup(4);
	memset(settled, 0, sizeof(settled));
	w.mp_delay_ms = 4000;
	sim_add_clients(400);
	node_start(0);
	sim_run(5000);
	for (unsigned s = 0; s < 4; s++)
		assert_true(w.node[0].flush->shards[s].token != 0);
	node_start(1);
	for (unsigned t = 0; t < FLUSH_HOLD_ALONE_MS + 120000; t += 60000) {
		sim_add_clients(400);
		sim_run(60000);
	}
	take_settled(n);
	for (unsigned i = 0; i < 8; i++) {
		sim_add_clients(400);
		sim_run(60000);
	}
	assert_shared(2);
	assert_books();
	/* Given back between posts, not under them. */
	assert_int_equal(w.n_posts, w.n_parts);
	assert_int_equal(w.m.n_fenced, 0);
	sim_teardown();
}

/* One that cannot reach the upstream does not keep the shards from one that can. */
static void test_flush_share_one_cannot_post(void **state)
{
	(void)state;
	sim_setup(4);
	node_start(0);
	node_start(1);
	sim_run(2 * 60000);
	w.deaf = 1;
	for (unsigned i = 0; i < 6; i++) {
		sim_add_clients(50);
		sim_run(60000);
		assert_books();
	}
	sim_run(3 * 60000);
	assert_all_delivered();
	assert_int_equal(w.metrics.v[M_SUM_FENCED], 0);
	sim_teardown();
}

/* A summary of several parts takes longer than a lease is held: it is ended nevertheless. */
static void test_flush_share_many_slow_parts(void **state)
{
	(void)state;
	sim_setup(1);
	w.mp_delay_ms = 50000;
	node_start(0);
	node_start(1);
	sim_run(2 * 60000);
	sim_add("many", 0, 500);
	sim_run(8 * 60000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 3);
	assert_int_equal(w.n_posts, 3);
	assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 1);
	sim_teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_share_each_has_a_part),
		cmocka_unit_test(test_flush_share_one_dies),
		cmocka_unit_test(test_flush_share_one_joins),
		cmocka_unit_test(test_flush_share_alone_no_wait),
		cmocka_unit_test(test_flush_share_short_intervals),
		cmocka_unit_test(test_flush_share_backlog_without_end),
		cmocka_unit_test(test_flush_share_one_cannot_post),
		cmocka_unit_test(test_flush_share_many_slow_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
