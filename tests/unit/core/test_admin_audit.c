#include "tests/unit/core/admin_try.h"

static void test_admin_audit_runs_shard_after_shard_every_ten_seconds(void **state)
{
	struct fixture *f = *state;

	admin_tick(f->a);
	assert_int_equal(f->store.asked, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(f->store.asked, i);
		admin_tick(f->a);
		assert_int_equal(f->store.n_calls, i + 1);
		answer_audit(&f->store, STORE_OK);
	}
	assert_null(f->store.done);
	fake_clock_advance(9999);
	admin_tick(f->a);
	assert_int_equal(f->store.n_calls, 3);
	fake_clock_advance(1);
	admin_tick(f->a);
	assert_int_equal(f->store.n_calls, 4);
}

static void test_admin_audit_that_takes_long_runs_less_often(void **state)
{
	struct fixture *f = *state;

	admin_tick(f->a);
	fake_clock_advance(3000);
	answer_all(&f->store);
	fake_clock_advance(29999);
	admin_tick(f->a);
	assert_int_equal(f->store.n_calls, 3);
	fake_clock_advance(1);
	admin_tick(f->a);
	assert_int_equal(f->store.n_calls, 4);
}

static void test_admin_audit_without_redis_asks_nothing(void **state)
{
	struct fixture *f = *state;

	f->store.is_ready = false;
	admin_tick(f->a);
	assert_int_equal(f->store.n_calls, 0);
	f->store.is_ready = true;
	fake_clock_advance(1000);
	admin_tick(f->a);
	assert_int_equal(f->store.n_calls, 1);
}

static void test_admin_audit_that_fails_keeps_the_last_total(void **state)
{
	struct fixture *f = *state;

	recount(f);
	fake_clock_advance(10000);
	admin_tick(f->a);
	f->store.shard[0].absorbed = 1;
	answer_audit(&f->store, STORE_OK);
	answer_audit(&f->store, STORE_UNKNOWN);
	assert_null(f->store.done);
	get(f, "/ledger");
	assert_has(f, "\"absorbed\": 303");
	assert_has(f, "\"last_recount_failed\": true");
	get(f, "/ledger?format=text");
	assert_has(f, "a later recount failed");
	get(f, "/");
	assert_has(f, "last recount of the ledger failed");
}

static const char fresh[] = "GET /ledger?fresh=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static void test_admin_fresh_ledger_waits_for_its_own_recount(void **state)
{
	struct fixture *f = *state;
	int fd = client_open(f, fresh);
	char c;

	settle(f);
	assert_int_equal(f->store.n_calls, 1);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	answer_all(&f->store);
	client_read(f, fd);
	assert_status(f, 200);
	assert_has(f, "\"absorbed\": 303");
}

static void test_admin_fresh_ledger_does_not_take_a_recount_under_way(void **state)
{
	struct fixture *f = *state;
	int fd;
	char c;

	admin_tick(f->a);
	answer_audit(&f->store, STORE_OK);
	fd = client_open(f, fresh);
	settle(f);
	f->store.shard[0].absorbed++;
	f->store.shard[0].settled++;
	answer_audit(&f->store, STORE_OK);
	answer_audit(&f->store, STORE_OK);
	settle(f);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	admin_tick(f->a);
	answer_all(&f->store);
	client_read(f, fd);
	assert_status(f, 200);
	assert_has(f, "\"absorbed\": 304");
}

static void test_admin_fresh_ledger_without_redis_is_503(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->store.is_ready = false;
	request(f, fresh);
	assert_status(f, 503);
	f->store.is_ready = true;
	fd = client_open(f, fresh);
	settle(f);
	answer_audit(&f->store, STORE_UNKNOWN);
	client_read(f, fd);
	assert_status(f, 503);
	/* Redis goes away between two recounts. */
	fake_clock_advance(10000);
	admin_tick(f->a);
	fd = client_open(f, fresh);
	settle(f);
	answer_all(&f->store);
	f->store.is_ready = false;
	admin_tick(f->a);
	client_read(f, fd);
	assert_status(f, 503);
}

static void test_admin_fresh_ledger_survives_a_client_that_leaves(void **state)
{
	struct fixture *f = *state;
	int fd[3];

	for (unsigned i = 0; i < 3; i++)
		fd[i] = client_open(f, fresh);
	settle(f);
	close(fd[0]);
	close(fd[2]);
	settle(f);
	answer_all(&f->store);
	admin_tick(f->a);
	if (f->store.done != NULL)
		answer_all(&f->store);
	client_read(f, fd[1]);
	assert_status(f, 200);
	settle(f);
	get(f, "/healthz");
	assert_status(f, 200);
}

static void test_admin_fresh_ledger_for_too_many_is_503(void **state)
{
	struct fixture *f = *state;
	int fd[16];

	for (unsigned i = 0; i < 16; i++) {
		fd[i] = client_open(f, fresh);
		settle(f);
	}
	request(f, fresh);
	assert_status(f, 503);
	answer_all(&f->store);
	admin_tick(f->a);
	answer_all(&f->store);
	for (unsigned i = 0; i < 16; i++) {
		client_read(f, fd[i]);
		assert_status(f, 200);
	}
}

static void test_admin_close_while_the_store_owes_an_answer(void **state)
{
	struct fixture *f = *state;
	int fd = client_open(f, fresh);

	settle(f);
	admin_close(f->a);
	f->a = NULL;
	close(fd);
	answer_audit(&f->store, STORE_UNKNOWN);
	assert_null(f->store.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_admin_audit_runs_shard_after_shard_every_ten_seconds),
		T(test_admin_audit_that_takes_long_runs_less_often),
		T(test_admin_audit_without_redis_asks_nothing),
		T(test_admin_audit_that_fails_keeps_the_last_total),
		T(test_admin_fresh_ledger_waits_for_its_own_recount),
		T(test_admin_fresh_ledger_does_not_take_a_recount_under_way),
		T(test_admin_fresh_ledger_without_redis_is_503),
		T(test_admin_fresh_ledger_survives_a_client_that_leaves),
		T(test_admin_fresh_ledger_for_too_many_is_503),
		T(test_admin_close_while_the_store_owes_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
