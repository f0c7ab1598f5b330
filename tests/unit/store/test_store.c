/* The asynchronous interface, against a real Redis that is killed and stopped. */
#include "tests/unit/store/rig_store.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* --- recording ---------------------------------------------------------------------- */

static void test_store_add_recorded_and_counted(void **state)
{
	int64_t unique = metrics_self->v[M_ABSORBED_UNIQUE];
	int64_t twice = metrics_self->v[M_ABSORBED_DUPLICATE];

	(void)state;
	assert_string_equal(store_state(rig.s), "ok");
	assert_int_equal(record_one(1, 1, 11), STORE_OK);
	assert_int_equal(record_one(1, 1, 11), STORE_OK);
	assert_int_equal(record_one(2, 1, 11), STORE_OK);
	assert_int_equal(metrics_self->v[M_ABSORBED_UNIQUE] - unique, 2);
	assert_int_equal(metrics_self->v[M_ABSORBED_DUPLICATE] - twice, 1);
	assert_int_equal(metrics_self->v[M_STORE_PENDING], 0);
	assert_int_equal(audit_all().pending_open, 2);
}

static void test_store_add_seen_only_is_no_message(void **state)
{
	int64_t unique = metrics_self->v[M_ABSORBED_UNIQUE];
	int64_t twice = metrics_self->v[M_ABSORBED_DUPLICATE];
	struct message m;

	(void)state;
	add(&m, 1, 1, 11);
	m.r.is_seen_only = true;
	commit();
	RIG_UNTIL(&rig, m.n_answers == 1);
	assert_int_equal(m.rc, STORE_OK);
	assert_int_equal(record_one(1, 1, 11), STORE_OK);
	assert_int_equal(metrics_self->v[M_ABSORBED_UNIQUE] - unique, 0);
	assert_int_equal(metrics_self->v[M_ABSORBED_DUPLICATE] - twice, 1);
	assert_int_equal(audit_all().absorbed, 0);
}

/* More than a call takes, more than a round takes: every message is answered once. */
static void test_store_add_5000_at_once_all_recorded(void **state)
{
	static struct message m[5000];
	int64_t calls = metrics_self->v[M_STORE_CALLS];

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		add(&m[i], i % 100, i % 70, i);
	assert_int_equal(metrics_self->v[M_STORE_PENDING], 5000);
	commit();
	RIG_UNTIL(&rig, n_answered == 5000);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(m[i].n_answers, 1);
	assert_int_equal(n_ok, 5000);
	/* 4 shards, at most 512 a call, and no more calls than that takes. */
	assert_in_range(metrics_self->v[M_STORE_CALLS] - calls, 10, 16);
	assert_int_equal(audit_all().pending_open, 5000);
	assert_int_equal(audit_all().clients, 100);
}

/* A long turn takes answers before its end: no event loop runs here. */
static void poll_2000(void)
{
	static struct message m[2000];
	time_t end = time(NULL) + 20;

	for (unsigned i = 0; i < 2000; i++) {
		add(&m[i], i % 100, i % 70, i);
		if (i % 32 == 31)
			store_poll(rig.s);
	}
	while (n_answered < 2000 && time(NULL) < end)
		store_poll(rig.s);
	assert_int_equal(n_ok, 2000);
	assert_int_equal(audit_all().pending_open, 2000);
}

static void test_store_poll_answers_within_a_turn(void **state)
{
	(void)state;
	poll_2000();
}

static void test_store_poll_answers_what_is_synced(void **state)
{
	(void)state;
	rig_close_store(&rig);
	rig_set(&rig.conf, "redis.durability", "journal");
	rig_open_store(&rig);
	assert_int_equal(store_use_state(rig.s, 0), 0);
	RIG_UNTIL(&rig, store_is_redis_up(rig.s));
	poll_2000();
}

static struct message chain[50];
static unsigned chain_at;

static void on_chain_done(struct record *r, enum store_rc rc)
{
	on_done(r, rc);
	if (++chain_at >= 50)
		return;
	fill(&chain[chain_at], chain_at, 1, chain_at);
	chain[chain_at].r.done = on_chain_done;
	store_add(rig.s, &chain[chain_at].r);
}

static void test_store_add_from_done_goes_on(void **state)
{
	(void)state;
	chain_at = 0;
	fill(&chain[0], 0, 1, 0);
	chain[0].r.done = on_chain_done;
	store_add(rig.s, &chain[0].r);
	commit();
	RIG_UNTIL(&rig, n_answered == 50);
	assert_int_equal(n_ok, 50);
	assert_int_equal(audit_all().absorbed, 50);
}

static void test_store_is_ready_not_over_max_pending(void **state)
{
	static struct message m[100];

	(void)state;
	rig.conf.redis_max_pending = 100;
	for (unsigned i = 0; i < 99; i++)
		add(&m[i], i, 1, i);
	assert_true(store_is_ready(rig.s));
	add(&m[99], 99, 1, 99);
	assert_false(store_is_ready(rig.s));
	assert_non_null(strstr(store_state(rig.s), "redis.max_pending"));
	commit();
	RIG_UNTIL(&rig, n_ok == 100);
	assert_true(store_is_ready(rig.s));
}

static void test_store_add_large_requests_as_exemplars(void **state)
{
	static struct message m[60];
	static char body[65536];

	(void)state;
	memset(body, 'b', sizeof(body));
	for (unsigned i = 0; i < 60; i++) {
		add(&m[i], i, 1, i);
		m[i].r.raw = slice_make(body, sizeof(body));
	}
	commit();
	RIG_UNTIL(&rig, n_ok == 60);
	for (unsigned k = 0; k < 4; k++) {
		ASK(store_lease(rig.s, k, "me", 60000, on_number, NULL));
		ASK(store_seal(rig.s, k, 1, 100, INT64_MAX, on_claims, NULL));
		assert_int_equal(answer.rc, STORE_OK);
	}
	assert_int_equal(audit_all().pending_outbox, 60);
}

/* --- the flusher's calls ------------------------------------------------------------ */

static void test_store_verbs_life_of_a_summary(void **state)
{
	struct message m;
	struct audit a;

	(void)state;
	rig_close_store(&rig);
	rig.conf.redis_shards = 1;
	rig.conf.redis_prefix = "single";
	rig_open_store(&rig);
	rig_wait_ready(&rig);
	assert_int_equal(strlen(store_nonce(rig.s)), 32);
	ASK(store_client_count(rig.s, SLICE("GUID:000001"), on_number, NULL));
	assert_int_equal(answer.n, -1);
	record_one(1, 1, 11);
	add(&m, 1, 1, 12);
	m.r.raw = SLICE("CCM_POST");
	commit();
	RIG_UNTIL(&rig, m.n_answers == 1);
	ASK(store_rules(rig.s, 0, on_names, NULL));
	assert_string_equal(answer.text, "RULE0001 ");
	ASK(store_lease(rig.s, 0, "me", 60000, on_number, NULL));
	assert_int_equal(answer.n, 1);
	ASK(store_rotate(rig.s, 0, 1, on_number, NULL));
	assert_int_equal(answer.rc, STORE_OK);
	assert_int_equal(answer.n, 0);
	ASK(store_seal(rig.s, 0, 1, 10, clock_wall_ms() + 60000, on_claims, NULL));
	assert_string_equal(answer.text, "GUID:000001 seq=1 n=2 extra=0+1 raw=CCM_POST bits=1 ");
	ASK(store_outbox(rig.s, 0, 10, on_claims, NULL));
	assert_string_equal(answer.text, "GUID:000001 seq=1 n=2 extra=0+1 raw=CCM_POST bits=1 ");
	ASK(store_settle(rig.s, 0, 1, SLICE("GUID:000001"), 1, answer.sealed_ms, on_number, NULL));
	assert_int_equal(answer.n, 1);
	ASK(store_settle(rig.s, 0, 1, SLICE("GUID:000001"), 1, answer.sealed_ms, on_number, NULL));
	assert_int_equal(answer.n, 0);
	ASK(store_outbox(rig.s, 0, 10, on_claims, NULL));
	assert_int_equal(answer.n, 0);
	ASK(store_release(rig.s, 0, "me", on_number, NULL));
	assert_int_equal(answer.n, 1);
	ASK(store_client_count(rig.s, SLICE("GUID:000001"), on_number, NULL));
	assert_int_equal(answer.n, 2);
	a = audit_all();
	assert_int_equal(a.absorbed, 2);
	assert_int_equal(a.settled, 2);
	assert_int_equal(a.pending_open + a.pending_outbox, 0);
	assert_int_equal(a.rules, 1);
}

static void test_store_seal_stale_token_refused(void **state)
{
	(void)state;
	ASK(store_seal(rig.s, 2, 7, 10, INT64_MAX, on_claims, NULL));
	assert_int_equal(answer.rc, STORE_FENCED);
	ASK(store_settle(rig.s, 2, 7, SLICE("X"), 1, 0, on_number, NULL));
	assert_int_equal(answer.rc, STORE_FENCED);
	/* That was between flushers: recording goes on. */
	assert_true(store_is_ready(rig.s));
}

static void test_store_verbs_without_redis_refused_later(void **state)
{
	(void)state;
	command("CONFIG SET appendfsync everysec");
	command("CLIENT KILL TYPE normal SKIPME yes");
	expect_state("appendfsync");
	ASK(store_lease(rig.s, 0, "me", 1000, on_number, NULL));
	assert_int_equal(answer.rc, STORE_REFUSED);
	ASK(store_audit(rig.s, 0, on_audit, NULL));
	assert_int_equal(answer.rc, STORE_REFUSED);
	command("CONFIG SET appendfsync always");
}

/* --- outages ------------------------------------------------------------------------ */

static void test_store_stopped_redis_unknown_then_settled_by_retry(void **state)
{
	static struct message sent[100], queued[100];

	(void)state;
	kill(embedded_pid(redis), SIGSTOP);
	for (unsigned i = 0; i < 100; i++)
		add(&sent[i], i, 1, i);
	commit();
	rig_run(&rig, 50);
	for (unsigned i = 0; i < 100; i++)
		add(&queued[i], i, 1, 1000 + i);
	commit();
	rig_run(&rig, 50);
	assert_int_equal(n_answered, 0);
	rig_skip_ms(rig.conf.redis_call_ms + 100);
	RIG_UNTIL(&rig, n_answered == 200);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(sent[i].rc, STORE_UNKNOWN);
		assert_int_equal(queued[i].rc, STORE_REFUSED);
	}
	expect_state("redis.call_timeout");
	kill(embedded_pid(redis), SIGCONT);
	rig_skip_ms(3000);
	rig_wait_ready(&rig);
	/* The clients try again: what was recorded after all is not counted twice. */
	for (unsigned i = 0; i < 100; i++)
		add(&sent[i], i, 1, i);
	commit();
	RIG_UNTIL(&rig, n_ok == 100);
	assert_int_equal(audit_all().absorbed, 100);
}

static void test_store_killed_redis_comes_back_with_everything(void **state)
{
	static struct message m[2000];
	int status;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		add(&m[i], i % 50, i % 40, i);
	commit();
	RIG_UNTIL(&rig, n_ok == 1000);
	for (unsigned i = 1000; i < 2000; i++)
		add(&m[i], i % 50, i % 40, i);
	commit();
	kill(embedded_pid(redis), SIGKILL);
	RIG_UNTIL(&rig, n_answered == 2000);
	/* Not one is claimed to be refused that may have been recorded, nor the reverse. */
	assert_int_equal(n_ok + n_unknown + n_refused, 2000);
	assert_true(n_unknown > 0);
	assert_int_equal(waitpid(embedded_pid(redis), &status, 0), embedded_pid(redis));
	embedded_has_exited(redis, status);
	rig.redis = redis;
	rig_skip_ms(3000);
	rig_wait_ready(&rig);
	rig.redis = NULL;
	assert_true(audit_all().absorbed >= n_ok);
	for (unsigned i = 0; i < 2000; i++)
		add(&m[i], i % 50, i % 40, i);
	commit();
	n_ok = 0;
	RIG_UNTIL(&rig, n_ok == 2000);
	assert_int_equal(audit_all().absorbed, 2000);
	assert_int_equal(audit_all().pending_open, 2000);
}

static void test_store_close_answers_everything(void **state)
{
	static struct message sent[10], queued[10];

	(void)state;
	kill(embedded_pid(redis), SIGSTOP);
	for (unsigned i = 0; i < 10; i++)
		add(&sent[i], i, 1, i);
	commit();
	rig_run(&rig, 50);
	for (unsigned i = 0; i < 10; i++)
		add(&queued[i], i, 1, 100 + i);
	answer.has_come = false;
	store_audit(rig.s, 0, on_audit, NULL);
	store_close(rig.s);
	rig.s = NULL;
	kill(embedded_pid(redis), SIGCONT);
	assert_int_equal(n_unknown, 10);
	assert_int_equal(n_refused, 10);
	assert_true(answer.has_come);
	assert_int_equal(answer.rc, STORE_UNKNOWN);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_store_add_recorded_and_counted),
		CASE(test_store_add_seen_only_is_no_message),
		CASE(test_store_add_5000_at_once_all_recorded),
		CASE(test_store_poll_answers_within_a_turn),
		CASE(test_store_poll_answers_what_is_synced),
		CASE(test_store_add_from_done_goes_on),
		CASE(test_store_is_ready_not_over_max_pending),
		CASE(test_store_add_large_requests_as_exemplars),
		CASE(test_store_verbs_life_of_a_summary),
		CASE(test_store_seal_stale_token_refused),
		CASE(test_store_verbs_without_redis_refused_later),
		CASE(test_store_stopped_redis_unknown_then_settled_by_retry),
		CASE(test_store_killed_redis_comes_back_with_everything),
		CASE(test_store_close_answers_everything),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
