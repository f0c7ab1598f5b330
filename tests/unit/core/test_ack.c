#include "tests/unit/core/ack_try.h"

/* --- learning --- */

static void test_ack_three_equal_replies_become_the_template(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ack_count(f->a), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		answer(f, i == 1 ? HEAD "Keep-Alive: timeout=5\r\nVia: 1.1 x\r\n" : HEAD, BODY,
		       id_of(i));
	}
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_int_equal(ack_count(f->a), 1);
	assert_written(f, id_of(7), 1, true,
		       "HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nDate: " DATE "\r\n"
		       "Content-Type: multipart/mixed\r\nX-Powered-By: ASP.NET\r\n"
		       "Content-Length: 21\r\n\r\n" BODY);
}

static void test_ack_samples_under_way_make_others_wait(void **state)
{
	struct fixture *f = *state;
	uint64_t generation = ack_generation(f->a);

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(choose(f), ACK_SAMPLE);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(choose(f), ACK_WAIT);
	assert_int_equal(ack_generation(f->a), generation);
	for (unsigned i = 0; i < 3; i++)
		answer(f, HEAD, BODY, id_of(i));
	assert_true(ack_generation(f->a) > generation);
	assert_int_equal(choose(f), ACK_REPLAY);
}

static void test_ack_lost_sample_frees_its_slot(void **state)
{
	struct fixture *f = *state;
	uint64_t generation;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(choose(f), ACK_SAMPLE);
	generation = ack_generation(f->a);
	ack_sample_lost(f->a, &key);
	assert_true(ack_generation(f->a) > generation);
	assert_int_equal(choose(f), ACK_SAMPLE);
	assert_int_equal(choose(f), ACK_WAIT);
}

static void test_ack_slow_samples_are_not_waited_for(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(choose(f), ACK_SAMPLE);
	fake_clock_advance(5000);
	assert_int_equal(choose(f), ACK_WAIT);
	fake_clock_advance(1);
	assert_int_equal(choose(f), ACK_FORWARD);
}

static void test_ack_replies_that_differ_stop_learning_for_a_while(void **state)
{
	struct fixture *f = *state;
	uint64_t generation;

	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, id_of(0));
	assert_int_equal(choose(f), ACK_SAMPLE);
	generation = ack_generation(f->a);
	answer(f, HEAD, "--b\r\n\r\nExpired\r\n--b--", id_of(1));
	assert_true(ack_generation(f->a) > generation);
	fake_clock_advance(29999);
	assert_int_equal(choose(f), ACK_FORWARD);
	fake_clock_advance(1);
	learn(f);
}

static void test_ack_pause_is_never_longer_than_revalidate(void **state)
{
	struct fixture *f = *state;

	f->conf.ack_revalidate_ms = 2000;
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, id_of(0));
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD "X-More: 1\r\n", BODY, id_of(1));
	assert_int_equal(choose(f), ACK_FORWARD);
	fake_clock_advance(2000);
	assert_int_equal(choose(f), ACK_SAMPLE);
}

static void test_ack_field_that_differs_stops_learning(void **state)
{
	static const char *const others[] = {
		HEAD "X-Request: 2\r\n",
		"HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\n",
		"HTTP/1.1 200 OK\r\nX-Powered-By: ASP.NET\r\nServer: Microsoft-IIS/6.0\r\n",
		"HTTP/1.1 200 OK\r\n",
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		answer(f, HEAD, BODY, id_of(0));
		assert_int_equal(choose(f), ACK_SAMPLE);
		answer(f, others[i], BODY, id_of(1));
		assert_int_equal(choose(f), ACK_FORWARD);
		fake_clock_advance(30000);
	}
}

static void test_ack_unusable_replies_are_never_a_template(void **state)
{
	static const struct {
		const char *fields, *body;
	} bad[] = {
		{HEAD, ""},
		{"HTTP/1.1 500 Broken\r\nServer: Microsoft-IIS/6.0\r\n", BODY},
		{"HTTP/1.1 202 Accepted\r\nServer: Microsoft-IIS/6.0\r\n", BODY},
		{HEAD "Set-Cookie: a=b\r\n", BODY},
		{HEAD "WWW-Authenticate: NTLM\r\n", BODY},
		{HEAD "Content-Encoding: gzip\r\n", BODY},
		{HEAD "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n", BODY},
	};
	struct fixture *f = *state;

	for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		for (unsigned i = 0; i < 9; i++) {
			assert_int_equal(choose(f), ACK_SAMPLE);
			answer(f, bad[k].fields, bad[k].body, id_of(i));
		}
		assert_int_equal(choose(f), ACK_FORWARD);
		assert_int_equal(ack_count(f->a), 0);
		fake_clock_advance(30000);
	}
	learn(f);
}

static void test_ack_body_at_its_bound_is_usable_and_past_it_is_not(void **state)
{
	struct fixture *f = *state;
	char *body = malloc(ACK_MAX_BODY + 1);

	assert_non_null(body);
	memset(body, 'x', ACK_MAX_BODY + 1);
	f->conf.ack_samples = 1;
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer_bytes(f, HEAD, slice_make(body, ACK_MAX_BODY + 1), id_of(0));
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer_bytes(f, HEAD, slice_make(body, ACK_MAX_BODY), id_of(0));
	assert_int_equal(choose(f), ACK_REPLAY);
	free(body);
}

static void test_ack_head_too_long_is_unusable(void **state)
{
	struct fixture *f = *state;
	struct parsed p;
	struct field *last;
	char *value = malloc(ACK_MAX_HEAD);

	assert_non_null(value);
	memset(value, 'v', ACK_MAX_HEAD);
	f->conf.ack_samples = 1;
	parse(&p, HEAD "X-Long: 1\r\n", strlen(BODY));
	last = &p.head.fields[p.head.n_fields - 2];
	last->value = slice_make(value, ACK_MAX_HEAD);
	assert_int_equal(choose(f), ACK_SAMPLE);
	ack_observe(f->a, &key, &p.head, slice_str(BODY), SLICE(""));
	assert_int_equal(choose(f), ACK_SAMPLE);
	assert_int_equal(ack_count(f->a), 0);
	free(value);
}

static void test_ack_lost_samples_in_a_row_give_up_and_a_good_one_counts_anew(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		ack_sample_lost(f->a, &key);
	}
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, id_of(0));
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		ack_sample_lost(f->a, &key);
	}
	assert_int_equal(choose(f), ACK_FORWARD);
}

static void test_ack_late_reply_after_giving_up_changes_nothing(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, id_of(0));
	answer(f, HEAD, "other", id_of(1));
	answer(f, HEAD, BODY, id_of(2));
	assert_int_equal(choose(f), ACK_FORWARD);
	fake_clock_advance(30000);
	learn(f);
}

static void test_ack_report_nobody_asked_for_is_ignored(void **state)
{
	struct fixture *f = *state;

	answer(f, HEAD, BODY, id_of(0));
	ack_sample_lost(f->a, &key);
	learn(f);
	answer(f, HEAD, "other", id_of(1));
	ack_sample_lost(f->a, &key);
	assert_int_equal(choose(f), ACK_REPLAY);
}

/* --- checking again --- */

static void test_ack_check_is_one_at_a_time_and_renews(void **state)
{
	struct fixture *f = *state;

	learn(f);
	fake_clock_advance(f->conf.ack_revalidate_ms - 1);
	assert_int_equal(choose(f), ACK_REPLAY);
	fake_clock_advance(1);
	assert_int_equal(choose(f), ACK_SAMPLE);
	assert_int_equal(choose(f), ACK_REPLAY);
	answer(f, HEAD, BODY, id_of(4));
	fake_clock_advance(f->conf.ack_revalidate_ms - 1);
	assert_int_equal(choose(f), ACK_REPLAY);
	fake_clock_advance(1);
	assert_int_equal(choose(f), ACK_SAMPLE);
	assert_int_equal(metrics_self->v[M_ACK_MISMATCHES], f->mismatches);
}

static void assert_dropped(struct fixture *f, const char *fields, const char *body)
{
	uint64_t generation;

	learn(f);
	assert_int_equal(n_files(f), 1);
	generation = ack_generation(f->a);
	f->mismatches = metrics_self->v[M_ACK_MISMATCHES];
	fake_clock_advance(f->conf.ack_revalidate_ms);
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, fields, body, id_of(4));
	assert_int_equal(metrics_self->v[M_ACK_MISMATCHES], f->mismatches + 1);
	assert_int_equal(ack_count(f->a), 0);
	assert_int_equal(n_files(f), 0);
	assert_true(ack_generation(f->a) > generation);
}

static void test_ack_mismatch_drops_the_template_and_its_file(void **state)
{
	struct fixture *f = *state;

	assert_dropped(f, HEAD, "--b\r\n\r\nExpired\r\n--b--");
	assert_dropped(f, HEAD, "");
	assert_dropped(f, "HTTP/1.1 500 Broken\r\n", BODY);
	assert_dropped(f, HEAD "X-New: 1\r\n", BODY);
	learn(f);
}

static void test_ack_other_server_drops_the_template(void **state)
{
	struct fixture *f = *state;

	assert_dropped(f,
		       "HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/10.0\r\n"
		       "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
		       "Content-Type: multipart/mixed\r\nX-Powered-By: ASP.NET\r\n",
		       BODY);
}

static void test_ack_mismatch_makes_the_other_keys_due(void **state)
{
	struct ack_key other = key;
	struct fixture *f = *state;
	struct parsed p;

	f->conf.ack_samples = 1;
	other.schema = SLICE("1.0");
	assert_int_equal(ack_choose(f->a, &other, &f->t), ACK_SAMPLE);
	parse(&p, HEAD, strlen(BODY));
	ack_observe(f->a, &other, &p.head, slice_str(BODY), slice_str(id_of(1)));
	fake_clock_advance(f->conf.ack_revalidate_ms - 1);
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, id_of(1));
	assert_int_equal(ack_choose(f->a, &other, &f->t), ACK_REPLAY);
	fake_clock_advance(1);
	assert_int_equal(ack_choose(f->a, &other, &f->t), ACK_SAMPLE);
	ack_observe(f->a, &other, &p.head, SLICE("x"), slice_str(id_of(1)));
	assert_int_equal(choose(f), ACK_SAMPLE);
}

static void test_ack_three_lost_checks_drop_the_template(void **state)
{
	struct fixture *f = *state;

	learn(f);
	fake_clock_advance(f->conf.ack_revalidate_ms);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ack_count(f->a), 1);
		assert_int_equal(choose(f), ACK_SAMPLE);
		assert_int_equal(choose(f), ACK_REPLAY);
		ack_sample_lost(f->a, &key);
	}
	assert_int_equal(ack_count(f->a), 0);
	assert_int_equal(n_files(f), 0);
	assert_int_equal(metrics_self->v[M_ACK_MISMATCHES], f->mismatches);
	/* Nobody answers: forwarded as samples, then for good. */
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		ack_sample_lost(f->a, &key);
	}
	assert_int_equal(choose(f), ACK_FORWARD);
}

static void test_ack_good_check_between_lost_ones_keeps_the_template(void **state)
{
	struct fixture *f = *state;

	learn(f);
	for (unsigned i = 0; i < 4; i++) {
		fake_clock_advance(f->conf.ack_revalidate_ms);
		for (unsigned k = 0; k < 2; k++) {
			assert_int_equal(choose(f), ACK_SAMPLE);
			ack_sample_lost(f->a, &key);
		}
		assert_int_equal(choose(f), ACK_SAMPLE);
		answer(f, HEAD, BODY, id_of(i));
		assert_int_equal(choose(f), ACK_REPLAY);
	}
}

/* --- keys --- */

static void test_ack_keys_are_learned_apart(void **state)
{
	struct fixture *f = *state;
	struct ack_key other[4] = {key, key, key, key};

	learn(f);
	other[0].minor = 0;
	other[1].compression = SLICE("");
	other[2].schema = SLICE("1.0");
	other[3].path = SLICE("/ccm_system/other");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ack_choose(f->a, &other[i], &f->t), ACK_SAMPLE);
	other[3].path = SLICE("/ccm_SYSTEM/REQUEST");
	assert_int_equal(ack_choose(f->a, &other[3], &f->t), ACK_REPLAY);
}

static void choose_many(struct fixture *f, unsigned n, enum ack_choice expected)
{
	struct ack_key k = key;
	char schema[16];

	for (unsigned i = 0; i < n; i++) {
		snprintf(schema, sizeof(schema), "x%u", i);
		k.schema = slice_str(schema);
		assert_int_equal(ack_choose(f->a, &k, &f->t), expected);
		ack_sample_lost(f->a, &k);
	}
}

static void test_ack_more_keys_than_there_is_room_are_forwarded(void **state)
{
	struct fixture *f = *state;
	struct ack_key k = key;

	choose_many(f, ACK_MAX_KEYS, ACK_SAMPLE);
	assert_int_equal(choose(f), ACK_FORWARD);
	fake_clock_advance(59999);
	assert_int_equal(choose(f), ACK_FORWARD);
	/* One that nobody has used for a minute makes room. */
	fake_clock_advance(1);
	learn(f);
	/* A template stays. */
	fake_clock_advance(60000);
	choose_many(f, ACK_MAX_KEYS - 1, ACK_SAMPLE);
	fake_clock_advance(59999);
	choose_many(f, ACK_MAX_KEYS - 1, ACK_SAMPLE);
	k.schema = SLICE("one more");
	assert_int_equal(ack_choose(f->a, &k, &f->t), ACK_FORWARD);
	assert_int_equal(ack_count(f->a), 1);
}

static void test_ack_template_unused_for_an_hour_makes_room(void **state)
{
	struct fixture *f = *state;
	struct ack_key k = key;

	learn(f);
	fake_clock_advance(3599999);
	choose_many(f, ACK_MAX_KEYS - 1, ACK_SAMPLE);
	k.schema = SLICE("one more");
	assert_int_equal(ack_choose(f->a, &k, &f->t), ACK_FORWARD);
	assert_int_equal(n_files(f), 1);
	fake_clock_advance(1);
	assert_int_equal(ack_choose(f->a, &k, &f->t), ACK_SAMPLE);
	assert_int_equal(ack_count(f->a), 0);
	assert_int_equal(n_files(f), 0);
}

static void test_ack_odd_keys_are_forwarded(void **state)
{
	static char text[300];
	struct fixture *f = *state;
	struct ack_key k = key;

	memset(text, 'a', sizeof(text));
	k.path = slice_make(text, 129);
	assert_int_equal(ack_choose(f->a, &k, &f->t), ACK_FORWARD);
	k = key;
	k.compression = slice_make(text, 65);
	assert_int_equal(ack_choose(f->a, &k, &f->t), ACK_FORWARD);
	k = key;
	k.schema = slice_make(text, 65);
	assert_int_equal(ack_choose(f->a, &k, &f->t), ACK_FORWARD);
	k.path = slice_make(text, 128);
	k.schema = k.compression = slice_make(text, 64);
	assert_int_equal(ack_choose(f->a, &k, &f->t), ACK_SAMPLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ack_three_equal_replies_become_the_template),
		T(test_ack_samples_under_way_make_others_wait),
		T(test_ack_lost_sample_frees_its_slot),
		T(test_ack_slow_samples_are_not_waited_for),
		T(test_ack_replies_that_differ_stop_learning_for_a_while),
		T(test_ack_pause_is_never_longer_than_revalidate),
		T(test_ack_field_that_differs_stops_learning),
		T(test_ack_unusable_replies_are_never_a_template),
		T(test_ack_body_at_its_bound_is_usable_and_past_it_is_not),
		T(test_ack_head_too_long_is_unusable),
		T(test_ack_lost_samples_in_a_row_give_up_and_a_good_one_counts_anew),
		T(test_ack_late_reply_after_giving_up_changes_nothing),
		T(test_ack_report_nobody_asked_for_is_ignored),
		T(test_ack_check_is_one_at_a_time_and_renews),
		T(test_ack_mismatch_drops_the_template_and_its_file),
		T(test_ack_other_server_drops_the_template),
		T(test_ack_mismatch_makes_the_other_keys_due),
		T(test_ack_three_lost_checks_drop_the_template),
		T(test_ack_good_check_between_lost_ones_keeps_the_template),
		T(test_ack_keys_are_learned_apart),
		T(test_ack_more_keys_than_there_is_room_are_forwarded),
		T(test_ack_template_unused_for_an_hour_makes_room),
		T(test_ack_odd_keys_are_forwarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
