#include "tests/sim/flush_sim.c"

/* The lease is lost and won again while a post is under way: the same post counts. */
static void test_flush_lease_regained_post_goes_on(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add("many", 0, 500);
	w.mp_delay_ms = 40000;
	node_start(0);
	sim_run(300);
	assert_int_equal(w.n_posts, 1);
	fake_store_fault(w.node[0].store, FAKE_LEASE, FAKE_UNKNOWN_LOST, 1000);
	sim_run(32000);
	assert_int_equal(w.node[0].flush->shards[0].token, 0);
	fake_store_fault(w.node[0].store, FAKE_LEASE, FAKE_FINE, 0);
	w.mp_delay_ms = 20;
	sim_run(10000);
	assert_all_delivered();
	assert_int_equal(w.m.lease[0].token, 2);
	assert_int_equal(w.n_posts, 3);
	/* The names went with the lease and were read again. */
	for (unsigned i = 0; i < w.n_parts; i++)
		assert_false(w.parts[i].has_number);
	sim_teardown();
}

/* The lease is ours, but somebody held it in between: everything is read again. */
static void test_flush_token_changed_while_held(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add_clients(5);
	w.mood = MP_IS_DOWN;
	node_start(0);
	sim_run(5000);
	w.m.lease[0].token++;
	w.m.lease[0].until_ms = 0;
	sim_run(7000);
	w.mood = MP_ACKS;
	sim_run(40000);
	assert_all_delivered();
	assert_int_equal(w.m.n_fenced, 0);
	sim_teardown();
}

static void test_flush_stop_while_posts_fail_becomes_idle(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add_clients(20);
	w.mood = MP_IS_DOWN;
	w.mp_delay_ms = 1000;
	node_start(0);
	sim_run(500);
	flush_stop(w.node[0].flush);
	sim_run(2000);
	assert_true(flush_is_idle(w.node[0].flush));
	assert_int_equal(w.m.lease[0].until_ms, 0);
	assert_books();
	sim_teardown();
}

static void test_flush_stop_while_store_fails_becomes_idle(void **state)
{
	(void)state;
	for (enum fake_call call = FAKE_LEASE; call <= FAKE_NAMES; call++) {
		sim_setup(2);
		sim_add_clients(20);
		w.mp_delay_ms = 300;
		node_start(0);
		fake_store_delay(w.node[0].store, 150);
		sim_run((int64_t)call * 200);
		fake_store_fault(w.node[0].store, call, FAKE_UNKNOWN_LOST, 1000);
		flush_stop(w.node[0].flush);
		sim_run(3000);
		assert_true(flush_is_idle(w.node[0].flush));
		assert_books();
		node_start(1);
		sim_run(130000);
		assert_all_delivered();
		sim_teardown();
	}
}

/* More in the outbox than fits into memory, of a predecessor with other limits. */
static void test_flush_large_outbox_first(void **state)
{
	static struct claim v[64];
	struct fake_op op = {.shard = 0, .max = 64, .before_ms = INT64_MAX};

	(void)state;
	sim_setup(1);
	sim_add_clients(150);
	for (unsigned i = 0; i < 3; i++)
		(void)do_seal(&w.m, &op, v);
	node_start(0);
	sim_run(30000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 150);
	assert_int_equal(w.n_posts, 150);
	assert_int_equal(w.metrics.v[M_SUM_SEALED], 0);
	sim_teardown();
}

/* A seal without an answer: what it sealed is found in the outbox at once. */
static void test_flush_seal_unknown_found_in_outbox(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add_clients(10);
	node_start(0);
	fake_store_fault(w.node[0].store, FAKE_SEAL, FAKE_UNKNOWN_DONE, 1);
	sim_run(20000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_window_id_from_the_stores_nonce(void **state)
{
	struct summary_identity who;
	struct claim c;
	char id[39];

	(void)state;
	sim_setup(1);
	sim_add("one", 0, 1);
	node_start(0);
	sim_run(2000);
	assert_all_delivered();
	c = claim_of(&w.m.clients[0]);
	who = w.who;
	who.nonce = w.m.nonce;
	summary_window_id(&who, &c, id);
	assert_string_equal(w.parts[0].window, id);
	sim_teardown();
}

/* A third of a shard's room taken by clients that are never acknowledged. */
static void test_flush_twenty_poisoned_others_go_on(void **state)
{
	char name[32];

	(void)state;
	sim_setup(1);
	w.mood = MP_EMPTY;
	snprintf(w.only, sizeof(w.only), "Attribute408\">P");
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "P%u", i);
		sim_add(name, 0, 1);
	}
	node_start(0);
	sim_run(120000);
	for (unsigned round = 0; round < 5; round++) {
		sim_add_clients(200);
		sim_run(240000);
		assert_books();
		assert_int_equal(fake_model_pending(&w.m), 20);
	}
	sim_teardown();
}

/* A dead management point is asked now and then, whatever waits; once back, it gets all. */
static void test_flush_down_asked_seldom_then_served_soon(void **state)
{
	unsigned n_posts;

	(void)state;
	sim_setup(4);
	sim_add_clients(300);
	w.mood = MP_IS_DOWN;
	node_start(0);
	sim_run(300000);
	n_posts = w.n_posts;
	sim_run(300000);
	assert_in_range(w.n_posts - n_posts, 10, 35);
	w.mood = MP_ACKS;
	sim_run(150000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_concurrency_is_kept(void **state)
{
	(void)state;
	for (int64_t limit = 1; limit <= 16; limit *= 4) {
		sim_setup(4);
		w.conf.summary_concurrency = limit;
		w.mp_delay_ms = 50;
		sim_add_clients(200);
		node_start(0);
		sim_run(121000);
		assert_all_delivered();
		assert_int_equal(w.node[0].most_posting, limit);
		sim_teardown();
	}
}

static void test_flush_open_and_close_at_once(void **state)
{
	(void)state;
	sim_setup(16);
	node_start(0);
	assert_true(flush_is_idle(w.node[0].flush));
	flush_close(w.node[0].flush);
	flush_close(NULL);
	fake_store_kill(w.node[0].store, false);
	w.node[0].flush = NULL;
	sim_teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_lease_regained_post_goes_on),
		cmocka_unit_test(test_flush_token_changed_while_held),
		cmocka_unit_test(test_flush_stop_while_posts_fail_becomes_idle),
		cmocka_unit_test(test_flush_stop_while_store_fails_becomes_idle),
		cmocka_unit_test(test_flush_large_outbox_first),
		cmocka_unit_test(test_flush_seal_unknown_found_in_outbox),
		cmocka_unit_test(test_flush_window_id_from_the_stores_nonce),
		cmocka_unit_test(test_flush_twenty_poisoned_others_go_on),
		cmocka_unit_test(test_flush_down_asked_seldom_then_served_soon),
		cmocka_unit_test(test_flush_concurrency_is_kept),
		cmocka_unit_test(test_flush_open_and_close_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
