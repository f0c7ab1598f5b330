/* store_history, store_client, store_reports: answers as values. */
#include "tests/unit/store/rig_store.h"

static struct window window;
static struct client_sheet sheet;
static unsigned n_clients, n_having;
static int64_t n_of_rule;
static uint64_t cursor;

static void on_windows(void *arg, enum store_rc rc, const struct window *v, unsigned n)
{
	on_number(arg, rc, n);
	if (n > 0)
		window = v[n - 1];
}

static void on_client(void *arg, enum store_rc rc, const struct client_sheet *c)
{
	on_number(arg, rc, 0);
	if (c != NULL)
		sheet = *c;
}

static void on_reports(void *arg, enum store_rc rc, const struct reports *r)
{
	on_number(arg, rc, 0);
	if (r == NULL)
		return;
	cursor = r->cursor;
	n_of_rule += r->messages;
	n_clients += r->n;
	for (unsigned i = 0; i < r->n; i++)
		n_having += r->has[i];
}

static void test_store_history_values(void **state)
{
	struct message m;
	unsigned shard;
	int64_t token;

	(void)state;
	rig.conf.window_ms = 5;
	assert_int_equal(record_one(1, 1, 11), STORE_OK);
	fill(&m, 1, 1, 0);
	shard = store_shard_of(rig.s, m.r.client);
	ASK(store_history(rig.s, shard, on_windows, NULL));
	assert_int_equal(answer.rc, STORE_OK);
	assert_int_equal(answer.n, 0);
	ASK(store_lease(rig.s, shard, "me", 60000, on_number, NULL));
	token = answer.n;
	ASK(store_rotate(rig.s, shard, token, on_number, NULL));
	do
		ASK(store_rotate(rig.s, shard, token, on_number, NULL));
	while (answer.n == 0);
	ASK(store_history(rig.s, shard, on_windows, NULL));
	assert_int_equal(answer.rc, STORE_OK);
	assert_int_equal(answer.n, 1);
	assert_int_equal(window.number, 0);
	assert_true(window.began_ms > 1600000000000 && window.ended_ms >= window.began_ms);
	assert_int_equal(window.absorbed, 1);
	assert_int_equal(window.settled, 0);
	assert_int_equal(window.pending, 1);
	assert_int_equal(window.off, 0);
}

static void test_store_client_values(void **state)
{
	(void)state;
	ASK(store_client(rig.s, SLICE("GUID:000001"), on_client, NULL));
	assert_int_equal(answer.rc, STORE_OK);
	assert_false(sheet.is_known);
	assert_int_equal(record_one(1, 1, 11), STORE_OK);
	assert_int_equal(record_one(1, 1, 12), STORE_OK);
	ASK(store_client(rig.s, SLICE("GUID:000001"), on_client, NULL));
	assert_true(sheet.is_known);
	assert_int_equal(sheet.open, 2);
	assert_int_equal(sheet.sealed, 0);
	assert_int_equal(sheet.outbox, 0);
	assert_int_equal(sheet.n_summaries, 0);
	assert_true(sheet.first_ms > 1600000000000 && sheet.last_ms >= sheet.first_ms);
	assert_int_equal(sheet.ever.n, 0);
	assert_int_equal(sheet.now.n, 1);
}

static void test_store_reports_all_shards_all_clients(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(record_one(i, i % 4, i), STORE_OK);
	n_clients = n_having = 0;
	n_of_rule = 0;
	for (unsigned k = 0; k < store_n_shards(rig.s); k++) {
		cursor = 0;
		do
			ASK(store_reports(rig.s, k, SLICE("RULE0003"), cursor, on_reports, NULL));
		while (cursor != 0);
		assert_int_equal(answer.rc, STORE_OK);
	}
	assert_int_equal(n_clients, 40);
	assert_int_equal(n_having, 10);
	assert_int_equal(n_of_rule, 10);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_store_history_values),
		CASE(test_store_client_values),
		CASE(test_store_reports_all_shards_all_clients),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
