#include "tests/sim/flush_sim.c"

#include <inttypes.h>

/* Let pass: the dead one's lease, the other's wait after it met it, some posts. */
#define TAKEOVER_MS 60000

static unsigned posted_twice(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.n_parts; i++)
		n += w.parts[i].n_posted > 1;
	return n;
}

enum crash_moment {
	BEFORE_SEAL,
	SEAL_SENT,
	SEALED,
	POSTED,
	SETTLE_SENT,
};

static const struct crash_case {
	enum crash_moment moment;
	bool is_done; /* Redis does what it was sent before the crash */
} crash_cases[] = {
	{BEFORE_SEAL, false}, {SEAL_SENT, false},   {SEAL_SENT, true},	 {SEALED, false},
	{POSTED, false},      {SETTLE_SENT, false}, {SETTLE_SENT, true},
};

static void run_to_moment(enum crash_moment moment)
{
	struct store *s = w.node[0].store;

	for (unsigned i = 0; i < 10000; i++) {
		bool is_there = false;

		switch (moment) {
		case BEFORE_SEAL:
			is_there = w.m.lease[0].token > 0;
			break;
		case SEAL_SENT:
			is_there = fake_store_has(s, FAKE_SEAL);
			break;
		case SEALED:
			is_there = w.m.n_clients > 0 && w.m.clients[0].is_sealed && w.n_posts == 0;
			break;
		case POSTED:
			is_there = w.n_posts > 0;
			break;
		case SETTLE_SENT:
			is_there = fake_store_has(s, FAKE_SETTLE);
			break;
		}
		if (is_there)
			return;
		fake_clock_advance(10);
		mp_run();
		fake_store_run(s);
		flush_tick(w.node[0].flush);
	}
	fail_msg("moment %d never came", (int)moment);
}

/* Whoever comes next sends the same summary, the same bytes, the same ID. */
static void test_flush_crash_successor_sends_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(crash_cases) / sizeof(crash_cases[0]); i++) {
		const struct crash_case *t = &crash_cases[i];
		unsigned n_posts;

		sim_setup(1);
		w.conf.settle_wait_ms = t->moment == SEALED ? 500 : 0;
		node_start(0);
		sim_add_clients(3);
		sim_run(60000 - clock_wall_ms() % 60000);
		fake_store_delay(w.node[0].store, 50);
		run_to_moment(t->moment);
		n_posts = w.n_posts;
		node_kill(0, t->is_done);
		sim_run(500);
		/* Those that it leaves are not changed by what comes later. */
		sim_add("C0", 100, 5);
		node_start(1);
		sim_run(TAKEOVER_MS + 61000);
		assert_all_delivered();
		assert_in_range(w.n_parts, 3, 4);
		assert_int_equal(w.n_posts, w.n_parts + posted_twice());
		if (t->moment >= POSTED && !t->is_done)
			assert_true(posted_twice() > 0 && n_posts > 0);
		sim_teardown();
	}
}

/* It dies within settle_wait of a seal and comes back without it. */
static void test_flush_redis_forgets_a_seal_nothing_of_it_is_posted(void **state)
{
	struct fake_model saved;

	(void)state;
	sim_setup(1);
	w.conf.settle_wait_ms = 2000;
	node_start(0);
	sim_add_clients(3);
	sim_run(60000 - clock_wall_ms() % 60000);
	fake_model_save(&w.m, &saved);
	run_to_moment(SEALED);
	fake_model_restore(&w.m, &saved);
	sim_add("C0", 100, 5);
	sim_run(TAKEOVER_MS + 61000);
	assert_all_delivered();
	assert_int_equal(w.n_posts, 3);
	sim_teardown();
}

/* The same, and nobody tells: it is silent, and the flusher has no other question for it. */
static void test_flush_redis_dies_silently_nothing_is_posted(void **state)
{
	struct fake_model saved;
	unsigned n;

	(void)state;
	sim_setup(1);
	w.conf.settle_wait_ms = 2000;
	node_start(0);
	/* A post that is under way keeps the lease, and the names of the rules. */
	w.mp_delay_ms = 90000;
	sim_add("C0", 0, 2);
	sim_run(65000);
	assert_int_equal(w.n_parts, 1);
	sim_add("C1", 0, 2);
	sim_run(60000 - clock_wall_ms() % 60000);
	fake_model_save(&w.m, &saved);
	for (unsigned i = 0; i < 1000 && !w.m.clients[1].is_sealed; i++)
		sim_run(10);
	assert_true(w.m.clients[1].is_sealed);
	fake_store_delay(w.node[0].store, 6000);
	n = w.n_parts;
	sim_run(5000);
	assert_int_equal(w.n_parts, n);
	fake_model_restore(&w.m, &saved);
	fake_store_delay(w.node[0].store, 0);
	w.mp_delay_ms = 0;
	sim_run(TAKEOVER_MS + 121000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 2);
	sim_teardown();
}

static void test_flush_crash_between_parts_all_parts_again(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add("many", 0, 500);
	w.mp_delay_ms = 1000;
	node_start(0);
	sim_run(1500);
	assert_int_equal(w.n_parts, 2);
	node_kill(0, false);
	node_start(1);
	sim_run(TAKEOVER_MS);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 3);
	assert_int_equal(w.parts[0].n_posted, 2);
	assert_int_equal(w.parts[1].n_posted, 2);
	assert_int_equal(w.parts[2].n_posted, 1);
	sim_teardown();
}

static void test_flush_two_holders_share_the_work(void **state)
{
	(void)state;
	sim_setup(8);
	sim_add_clients(100);
	node_start(0);
	node_start(1);
	for (unsigned round = 0; round < 5; round++) {
		sim_run(60000);
		sim_add_clients(100);
	}
	sim_run(121000);
	assert_all_delivered();
	/* Never two summaries of an interval, never one sent by both. */
	assert_int_equal(w.n_parts, 600);
	assert_int_equal(w.n_posts, 600);
	assert_int_equal(w.m.n_fenced, 0);
	sim_teardown();
}

/* SIGSTOP for longer than the lease, with a post under way. */
static void test_flush_stopped_longer_than_lease_fenced(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add_clients(1);
	w.mp_delay_ms = 300;
	node_start(0);
	sim_run(300);
	assert_int_equal(w.n_posts, 1);
	w.node[0].is_frozen = true;
	node_start(1);
	sim_run(45000);
	assert_int_equal(fake_model_settled(&w.m), 2);
	assert_int_equal(w.parts[0].n_posted, 2);
	assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 1);
	/* The old holder wakes up, reads the acknowledgement, and may not settle. */
	w.node[0].is_frozen = false;
	sim_run(5000);
	assert_in_range(w.m.n_fenced, 1, 2);
	assert_int_equal(w.metrics.v[M_SUM_FENCED], 1);
	assert_int_equal(w.node[0].flush->n_claims, 0);
	assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 1);
	assert_all_delivered();
	sim_run(121000);
	assert_int_equal(w.n_parts, 1);
	assert_int_equal(w.metrics.v[M_LEASES], 0);
	sim_teardown();
}

/* It wakes up while the new holder's own post of the same summary is under way. */
static void test_flush_stopped_and_successor_still_posting(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add_clients(3);
	w.mp_delay_ms = 20000;
	node_start(0);
	sim_run(300);
	assert_int_equal(w.n_posts, 3);
	w.node[0].is_frozen = true;
	node_start(1);
	sim_run(40000);
	w.node[0].is_frozen = false;
	sim_run(60000);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 3);
	assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 3);
	sim_teardown();
}

/* A post may last longer than the lease: it is renewed, and nobody else sends. */
static void test_flush_slow_upstream_lease_renewed(void **state)
{
	(void)state;
	sim_setup(1);
	sim_add_clients(2);
	w.mp_delay_ms = 55000;
	node_start(0);
	node_start(1);
	sim_run(120000);
	assert_all_delivered();
	assert_int_equal(w.n_posts, 2);
	assert_int_equal(w.m.lease[0].token,
			 fake_store_calls(w.node[0].store, FAKE_RELEASE) +
				 fake_store_calls(w.node[1].store, FAKE_RELEASE));
	sim_teardown();
}

/* The lease cannot be renewed: no post begins that might outlast it. */
static void test_flush_lease_not_renewed_no_new_posts(void **state)
{
	unsigned n_posts;

	(void)state;
	sim_setup(1);
	sim_add_clients(3);
	w.mood = MP_IS_DOWN;
	node_start(0);
	sim_run(9000);
	fake_store_fault(w.node[0].store, FAKE_LEASE, FAKE_UNKNOWN_LOST, 60);
	sim_run(7000);
	n_posts = w.n_posts;
	sim_run(14000);
	assert_int_equal(w.n_posts, n_posts);
	sim_run(1000);
	assert_int_equal(w.node[0].flush->n_claims, 0);
	w.mood = MP_ACKS;
	sim_run(TAKEOVER_MS);
	assert_all_delivered();
	assert_int_equal(w.n_parts, 3);
	sim_teardown();
}

static const enum fake_fault faults[] = {FAKE_REFUSED, FAKE_UNKNOWN_DONE, FAKE_UNKNOWN_LOST};

/* Any call of the store going wrong, some times in a row. */
static void test_flush_store_fault_at_each_call(void **state)
{
	static const unsigned times[] = {1, 3, 20};

	(void)state;
	for (enum fake_call call = FAKE_LEASE; call <= FAKE_NAMES; call++) {
		for (unsigned i = 0; i < 9; i++) {
			sim_setup(2);
			sim_add_clients(10);
			node_start(0);
			fake_store_fault(w.node[0].store, call, faults[i / 3], times[i % 3]);
			sim_run(30000);
			sim_add_clients(10);
			sim_run(121000);
			assert_all_delivered();
			assert_int_equal(w.n_parts, 20);
			assert_int_equal(w.n_posts, 20);
			assert_int_equal(w.metrics.v[M_SUM_DELIVERED], 20);
			assert_int_equal(w.metrics.v[M_SUM_MESSAGES], 40);
			sim_teardown();
		}
	}
}

/* The same while the store is slow and two workers compete. */
static void test_flush_store_slow_and_faulty_two_workers(void **state)
{
	(void)state;
	for (enum fake_call call = FAKE_LEASE; call <= FAKE_NAMES; call++) {
		for (unsigned i = 0; i < 3; i++) {
			sim_setup(2);
			sim_add_clients(10);
			node_start(0);
			node_start(1);
			fake_store_delay(w.node[0].store, 700);
			fake_store_delay(w.node[1].store, 300);
			fake_store_fault(w.node[0].store, call, faults[i], 2);
			fake_store_fault(w.node[1].store, call, faults[i], 5);
			sim_run(30000);
			sim_add_clients(10);
			sim_run(181000);
			assert_all_delivered();
			assert_int_equal(w.n_parts, 20);
			sim_teardown();
		}
	}
}

/* A day without the management point: everything waits, in bounds, nothing is lost. */
static void test_flush_upstream_down_a_day(void **state)
{
	(void)state;
	sim_setup(4);
	w.conf.interval_ms = 900000;
	w.mood = MP_IS_DOWN;
	node_start(0);
	for (unsigned hour = 0; hour < 24; hour++) {
		sim_add_clients(300);
		sim_run_by(3600000, 1000);
		assert_books();
		assert_true(w.node[0].most_claims <= 4 * FLUSH_SLOTS);
	}
	/* One summary of a client at a time, so what came later is not in it. */
	assert_true(w.metrics.v[M_SUM_SEALED] <= 4 * FLUSH_SLOTS);
	/* Now and then the leases are given back, and it begins with any of them again. */
	assert_in_range(w.n_parts, 100, w.metrics.v[M_SUM_SEALED]);
	assert_int_equal(mp_counted(), 0);
	w.mood = MP_ACKS;
	sim_run_by(3 * 900000, 1000);
	assert_all_delivered();
	/* A day's messages of a client: at most one summary of the start, one of the rest. */
	assert_in_range(w.n_parts, 300, 600);
	assert_int_equal(fake_model_added(&w.m), 24 * 600);
	sim_teardown();
}

/* Records against seals, all the time: each message in exactly one summary. */
static void test_flush_record_and_seal_at_once(void **state)
{
	static const struct siphash_key key = {7, 8};
	char name[32];

	(void)state;
	sim_setup(2);
	node_start(0);
	node_start(1);
	for (uint64_t i = 0; i < 20000; i++) {
		uint64_t mix = siphash(&key, slice_make((const char *)&i, sizeof(i)));

		snprintf(name, sizeof(name), "C%" PRIu64, mix % 20);
		sim_add(name, (unsigned)(mix >> 32) % 50, 1);
		if (mix % 16 == 0)
			fake_clock_advance(1);
		if (mix % 5 == 0)
			flush_now(w.node[mix % 2].flush);
		fake_store_run(w.node[mix % 2].store);
		mp_run();
		if (mix % 1000 == 0)
			sim_run(200);
		if (i % 1000 == 0)
			assert_books();
	}
	sim_run(121000);
	assert_all_delivered();
	assert_true(w.n_parts > 200);
	assert_int_equal(posted_twice(), 0);
	sim_teardown();
}

/* Faults, crashes, stops and moods as they come; the seed is the case. */
static void chaos(unsigned seed)
{
	struct siphash_key key = {seed, 9};

	sim_setup(3);
	node_start(0);
	node_start(1);
	for (uint64_t i = 0; i < 150; i++) {
		uint64_t mix = siphash(&key, slice_make((const char *)&i, sizeof(i)));
		unsigned number = mix >> 40 & 1;
		struct node *n = &w.node[number];

		sim_add_clients((unsigned)(mix >> 8) % 30);
		w.mood = (enum mp_mood)((mix >> 16) % 8);
		if (w.mood > MP_IS_DOWN)
			w.mood = MP_ACKS;
		w.mood_times = 0;
		w.mp_delay_ms = (int64_t)(mix >> 24) % 3000;
		fake_store_delay(n->store, (int64_t)(mix >> 32) % 900);
		fake_store_fault(n->store, (enum fake_call)(mix % FAKE_ADD),
				 (enum fake_fault)((mix >> 4) % 4), 2);
		n->is_frozen = (mix >> 44) % 8 == 0;
		if ((mix >> 48) % 10 == 0) {
			node_kill(number, mix >> 52 & 1);
			node_start(number);
		}
		if ((mix >> 56) % 4 == 0)
			flush_now(n->flush);
		sim_run((int64_t)(mix >> 20) % 20000);
		assert_books();
	}
	w.mood = MP_ACKS;
	w.mp_delay_ms = 20;
	for (unsigned i = 0; i < 2; i++)
		w.node[i].is_frozen = false;
	sim_run(300000);
	assert_all_delivered();
	sim_teardown();
}

static void test_flush_chaos_books_balance(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 25; seed++)
		chaos(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_crash_successor_sends_the_same),
		cmocka_unit_test(test_flush_redis_forgets_a_seal_nothing_of_it_is_posted),
		cmocka_unit_test(test_flush_redis_dies_silently_nothing_is_posted),
		cmocka_unit_test(test_flush_crash_between_parts_all_parts_again),
		cmocka_unit_test(test_flush_two_holders_share_the_work),
		cmocka_unit_test(test_flush_stopped_longer_than_lease_fenced),
		cmocka_unit_test(test_flush_stopped_and_successor_still_posting),
		cmocka_unit_test(test_flush_slow_upstream_lease_renewed),
		cmocka_unit_test(test_flush_lease_not_renewed_no_new_posts),
		cmocka_unit_test(test_flush_store_fault_at_each_call),
		cmocka_unit_test(test_flush_store_slow_and_faulty_two_workers),
		cmocka_unit_test(test_flush_upstream_down_a_day),
		cmocka_unit_test(test_flush_record_and_seal_at_once),
		cmocka_unit_test(test_flush_chaos_books_balance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
