#include "tests/sim/flush_sim.c"

static void test_flush_every_client_one_summary(void **state)
{
	(void)state;
	sim_setup(4);
	sim_add_clients(50);
	node_start(0);
	sim_run(61000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 50);
	assert_int_equal(w.n_posts, 50);
	assert_int_equal(w.metrics.v[M_SUM_SEALED], 50);
	assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 50);
	assert_int_equal(w.metrics.v[M_SUM_MESSAGES], 100);
	assert_int_equal(w.metrics.v[M_SUM_RETRIED], 0);
	assert_int_equal(w.metrics.v[M_LEASES], 0);
	assert_true(w.node[0].most_posting <= 4);
	assert_true(flush_is_idle(w.node[0].flush));
	sim_teardown();
}

/* A client that never falls silent gets one summary an interval, not one a message. */
static void test_flush_busy_client_once_an_interval(void **state)
{
	(void)state;
	sim_setup(4);
	node_start(0);
	for (unsigned i = 0; i < 600; i++) {
		sim_add("busy", i, 1);
		sim_run(1000);
	}
	assert_in_range(w.n_parts, 9, 11);
	sim_run(121000);
	assert_all_delivered();
	assert_true(w.m.n_rotations >= 4 * 10);
	sim_teardown();
}

static void test_flush_shards_spread_over_interval(void **state)
{
	int64_t first = INT64_MAX, last = 0;

	(void)state;
	sim_setup(4);
	node_start(0);
	sim_run(2000);
	sim_add_clients(50);
	sim_run(70000);
	for (unsigned i = 0; i < w.n_parts; i++) {
		first = w.parts[i].first_post_ms < first ? w.parts[i].first_post_ms : first;
		last = w.parts[i].first_post_ms > last ? w.parts[i].first_post_ms : last;
	}
	assert_in_range(last - first, 40000, 60000);
	assert_all_delivered();
	sim_teardown();
}

static const struct mood_case {
	enum mp_mood mood;
	unsigned times, want_seen; /* by the receiver, in all */
} mood_cases[] = {
	{MP_LOSES, 1, 2}, {MP_LOSES, 4, 5}, {MP_WRONG, 2, 3},
	{MP_EMPTY, 2, 1}, {MP_FAILS, 5, 1}, {MP_IS_DOWN, 3, 1},
};

/* The same bytes under the same ID until acknowledged, and counted once. */
static void test_flush_not_acknowledged_same_bytes_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mood_cases) / sizeof(mood_cases[0]); i++) {
		const struct mood_case *t = &mood_cases[i];

		sim_setup(1);
		w.mood = t->mood;
		w.mood_times = t->times;
		sim_add("one", 0, 3);
		node_start(0);
		sim_run(1000);
		/* What comes meanwhile is for the next summary. */
		sim_add("one", 3, 2);
		sim_run(200000);
		assert_all_delivered();
		assert_int_equal(w.n_parts, 2);
		assert_int_equal(w.parts[0].messages, 3);
		assert_int_equal(w.parts[0].n_posted, t->times + 1);
		assert_int_equal(w.parts[0].n_seen, t->want_seen);
		assert_int_equal(w.metrics.v[M_SUM_RETRIED], t->times);
		assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 2);
		sim_teardown();
	}
}

static void test_flush_down_backs_off_to_a_minute(void **state)
{
	int64_t full = 1000;

	(void)state;
	sim_setup(1);
	w.mood = MP_IS_DOWN;
	sim_add("one", 0, 1);
	node_start(0);
	sim_run(600000);
	assert_in_range(w.n_posts, 12, 20);
	for (unsigned i = 1; i < w.n_posts; i++) {
		/* A tick of 100 ms and the answer's 20 ms are on top. */
		assert_in_range(w.post_ms[i] - w.post_ms[i - 1], full * 3 / 4, full + 150);
		full = full * 2 > 60000 ? 60000 : full * 2;
	}
	w.mood = MP_ACKS;
	sim_run(61000);
	assert_all_delivered();
	sim_teardown();
}

/* One client that is never acknowledged must not hold up the others of its shard. */
static void test_flush_poisoned_client_others_go_on(void **state)
{
	(void)state;
	sim_setup(1);
	w.mood = MP_FAILS;
	snprintf(w.only, sizeof(w.only), "Attribute408\">C3<");
	node_start(0);
	for (unsigned round = 0; round < 5; round++) {
		sim_add_clients(100);
		sim_run(60000);
	}
	sim_run(1000);
	assert_books();
	assert_int_equal(fake_model_pending(&w.m), 5 * 2);
	w.mood = MP_ACKS;
	sim_run(180000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_several_parts_settled_after_all(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add("many", 0, 500);
	w.mood = MP_LOSES;
	w.mood_times = 3;
	snprintf(w.only, sizeof(w.only), " 2/3<");
	node_start(0);
	sim_run(1000);
	assert_int_equal(fake_model_settled(&w.m), 0);
	sim_run(30000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 3);
	assert_int_equal(w.n_posts, 6);
	assert_int_equal(w.parts[0].n_posted, 1);
	assert_int_equal(w.parts[1].n_posted, 4);
	assert_int_equal(w.parts[2].n_posted, 1);
	assert_string_equal(w.parts[0].window, w.parts[2].window);
	assert_string_not_equal(w.parts[0].id, w.parts[2].id);
	sim_teardown();
}

static void test_flush_two_thousand_rules(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add("many", 0, 2000);
	node_start(0);
	sim_run(3000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 12);
	sim_teardown();
}

/* A rule that got its number after the names were read stands with its name. */
static void test_flush_new_rule_names_read_again(void **state)
{
	(void)state;
	sim_setup(1);
	w.mood = MP_IS_DOWN;
	w.mood_times = 1;
	sim_add("old", 0, 1);
	node_start(0);
	sim_run(200);
	assert_int_equal(fake_store_calls(w.node[0].store, FAKE_NAMES), 1);
	sim_add("new", 77, 1);
	flush_now(w.node[0].flush);
	sim_run(5000);
	assert_all_delivered();
	assert_int_equal(fake_store_calls(w.node[0].store, FAKE_NAMES), 2);
	sim_teardown();
}

static void test_flush_many_clients_bounded_memory(void **state)
{
	(void)state;
	sim_setup(1);
	w.mood = MP_IS_DOWN;
	sim_add_clients(400);
	node_start(0);
	sim_run(120000);
	assert_true(w.node[0].most_claims <= FLUSH_SLOTS);
	assert_books();
	w.mood = MP_ACKS;
	sim_run(240000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 400);
	sim_teardown();
}

static void test_flush_no_acknowledgement_learned_nothing_sealed(void **state)
{
	(void)state;
	sim_setup(2);
	sim_add_clients(5);
	node_start(0);
	w.node[0].may_post = false;
	sim_run(180000);
	assert_int_equal(fake_store_calls(w.node[0].store, FAKE_LEASE), 0);
	assert_int_equal(w.metrics.v[M_SUM_SEALED], 0);
	w.node[0].may_post = true;
	sim_run(2000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_not_connected_no_lease(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add_clients(5);
	w.m.nonce[0] = '\0';
	node_start(0);
	sim_run(5000);
	assert_int_equal(fake_store_calls(w.node[0].store, FAKE_LEASE), 0);
	snprintf(w.m.nonce, sizeof(w.m.nonce), "%s", "00112233445566778899aabbccddeeff");
	sim_run(2000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_settle_wait_passes_before_posting(void **state)
{
	int64_t start;

	(void)state;
	sim_setup(1);
	w.conf.settle_wait_ms = 2000;
	sim_add("one", 0, 1);
	node_start(0);
	start = clock_mono_ms();
	sim_run(10000);
	assert_all_delivered();
	assert_in_range(w.parts[0].first_post_ms - start, 2000, 2500);
	sim_teardown();
}

static void test_flush_now_does_not_wait_for_interval(void **state)
{
	(void)state;
	sim_setup(4);
	node_start(0);
	sim_run(2000);
	sim_add_clients(20);
	flush_now(w.node[0].flush);
	sim_run(2000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_now_while_another_summary_is_out(void **state)
{
	(void)state;
	sim_setup(1);
	w.mp_delay_ms = 3000;
	sim_add("one", 0, 1);
	node_start(0);
	sim_run(1000);
	sim_add("one", 1, 1);
	flush_now(w.node[0].flush);
	sim_run(1000);
	flush_now(w.node[0].flush);
	sim_run(62000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 2);
	sim_teardown();
}

static void test_flush_stop_finishes_posts_and_gives_leases_back(void **state)
{
	(void)state;
	sim_setup(1);
	w.mp_delay_ms = 2000;
	sim_add_clients(20);
	node_start(0);
	sim_run(1000);
	assert_int_equal(w.n_posts, 4);
	flush_stop(w.node[0].flush);
	assert_false(flush_is_idle(w.node[0].flush));
	sim_run(3000);
	assert_true(flush_is_idle(w.node[0].flush));
	assert_int_equal(w.n_posts, 4);
	assert_int_equal(fake_model_settled(&w.m), 4 * 2);
	assert_int_equal(w.m.lease[0].until_ms, 0);
	assert_int_equal(w.metrics.v[M_LEASES], 0);
	assert_books();
	/* Nothing to wait for: another begins at once. */
	node_start(1);
	sim_run(20000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 20);
	assert_int_equal(w.n_posts, 20);
	sim_teardown();
}

static void test_flush_stop_without_anything_is_idle(void **state)
{
	(void)state;
	sim_setup(16);
	node_start(0);
	assert_true(flush_is_idle(w.node[0].flush));
	flush_tick(w.node[0].flush);
	flush_stop(w.node[0].flush);
	flush_now(w.node[0].flush);
	sim_run(1000);
	assert_true(flush_is_idle(w.node[0].flush));
	sim_run(100000);
	assert_true(flush_is_idle(w.node[0].flush));
	sim_teardown();
}

static void test_flush_exemplar_posts_genuine_bytes(void **state)
{
	static const char raw[] = "CCM_POST / HTTP/1.1\r\n\r\n<ID>{1}</ID>";

	(void)state;
	sim_setup(1);
	w.conf.summary_form = FORM_EXEMPLAR;
	fake_model_add(&w.m, "one", "R", raw);
	w.mp_delay_ms = 1000;
	node_start(0);
	sim_run(500);
	assert_false(TAILQ_EMPTY(&w.posts));
	assert_int_equal(TAILQ_FIRST(&w.posts)->n, strlen(raw));
	assert_memory_equal(TAILQ_FIRST(&w.posts)->bytes, raw, strlen(raw));
	assert_string_equal(TAILQ_FIRST(&w.posts)->id, "");
	sim_run(3000);
	assert_int_equal(fake_model_pending(&w.m), 0);
	assert_int_equal(w.n_posts, 1);
	sim_teardown();
}

static void test_flush_exemplar_without_bytes_is_status(void **state)
{
	(void)state;
	sim_setup(1);
	w.conf.summary_form = FORM_EXEMPLAR;
	sim_add("one", 0, 3);
	node_start(0);
	sim_run(3000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_log_settles_without_posting(void **state)
{
	(void)state;
	sim_setup(4);
	w.conf.summary_form = FORM_LOG;
	sim_add_clients(20);
	node_start(0);
	w.node[0].may_post = false;
	fake_store_fault(w.node[0].store, FAKE_SETTLE, FAKE_UNKNOWN_DONE, 3);
	sim_run(5000);
	assert_int_equal(fake_model_pending(&w.m), 0);
	assert_int_equal(w.n_posts, 0);
	assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 20);
	sim_teardown();
}

static void test_flush_clock_set_back_goes_on(void **state)
{
	(void)state;
	sim_setup(1);
	node_start(0);
	sim_run(2000);
	fake_clock_set_wall(clock_wall_ms() - 86400000);
	sim_add_clients(5);
	sim_run(121000);
	assert_all_delivered();
	fake_clock_set_wall(clock_wall_ms() + 86400000);
	sim_add_clients(5);
	sim_run(121000);
	assert_all_delivered();
	sim_teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_every_client_one_summary),
		cmocka_unit_test(test_flush_busy_client_once_an_interval),
		cmocka_unit_test(test_flush_shards_spread_over_interval),
		cmocka_unit_test(test_flush_not_acknowledged_same_bytes_again),
		cmocka_unit_test(test_flush_down_backs_off_to_a_minute),
		cmocka_unit_test(test_flush_poisoned_client_others_go_on),
		cmocka_unit_test(test_flush_several_parts_settled_after_all),
		cmocka_unit_test(test_flush_two_thousand_rules),
		cmocka_unit_test(test_flush_new_rule_names_read_again),
		cmocka_unit_test(test_flush_many_clients_bounded_memory),
		cmocka_unit_test(test_flush_no_acknowledgement_learned_nothing_sealed),
		cmocka_unit_test(test_flush_not_connected_no_lease),
		cmocka_unit_test(test_flush_settle_wait_passes_before_posting),
		cmocka_unit_test(test_flush_now_does_not_wait_for_interval),
		cmocka_unit_test(test_flush_now_while_another_summary_is_out),
		cmocka_unit_test(test_flush_stop_finishes_posts_and_gives_leases_back),
		cmocka_unit_test(test_flush_stop_without_anything_is_idle),
		cmocka_unit_test(test_flush_exemplar_posts_genuine_bytes),
		cmocka_unit_test(test_flush_exemplar_without_bytes_is_status),
		cmocka_unit_test(test_flush_log_settles_without_posting),
		cmocka_unit_test(test_flush_clock_set_back_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
