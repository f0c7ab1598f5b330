#include "tests/unit/core/ack_try.h"

/* --- the message's own ID --- */

static void test_ack_own_id_is_replaced_in_ascii(void **state)
{
	struct fixture *f = *state;
	char body[256], expected[512];

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		snprintf(body, sizeof(body), "NoReply %s!", id_of(i));
		answer(f, HEAD, body, id_of(i));
	}
	assert_int_equal(choose(f), ACK_REPLAY);
	snprintf(expected, sizeof(expected),
		 "HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nDate: %s\r\n"
		 "Content-Type: multipart/mixed\r\nX-Powered-By: ASP.NET\r\n"
		 "Content-Length: 47\r\nConnection: close\r\n\r\nNoReply %s!",
		 DATE, id_of(9));
	assert_written(f, id_of(9), 1, false, expected);
}

/* Each reply repeats the ID as format says, with the letters as given. */
static void learn_echo(struct fixture *f, const char *const sent[3], const char *const echoed[3])
{
	char body[256];

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		snprintf(body, sizeof(body), "<%s>", echoed[i]);
		answer(f, HEAD, body, sent[i]);
	}
}

static void test_ack_id_with_braces_is_repeated_without_them(void **state)
{
	static const char *const sent[] = {"{11111111-AAAA-4000-8000-000000000001}",
					   "{22222222-AAAA-4000-8000-000000000001}",
					   "{33333333-AAAA-4000-8000-000000000001}"};
	static const char *const echoed[] = {"11111111-AAAA-4000-8000-000000000001",
					     "22222222-AAAA-4000-8000-000000000001",
					     "33333333-AAAA-4000-8000-000000000001"};
	struct fixture *f = *state;

	learn_echo(f, sent, echoed);
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_echo(f, "{44444444-AAAA-4000-8000-000000000001}",
		    "<44444444-AAAA-4000-8000-000000000001>");
	assert_echo(f, "44444444-AAAA-4000-8000-000000000001",
		    "<44444444-AAAA-4000-8000-000000000001>");
}

static void test_ack_id_in_capitals_is_told_from_the_same_by_one_small_letter(void **state)
{
	static const char *const sent[] = {"{11111111-AAAA-4000-8000-000000000001}",
					   "{22222222-aaaa-4000-8000-000000000001}",
					   "{33333333-AAAA-4000-8000-000000000001}"};
	static const char *const echoed[] = {"{11111111-AAAA-4000-8000-000000000001}",
					     "{22222222-AAAA-4000-8000-000000000001}",
					     "{33333333-AAAA-4000-8000-000000000001}"};
	struct fixture *f = *state;

	learn_echo(f, sent, echoed);
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_echo(f, "{44444444-aaaa-4000-8000-00000000000b}",
		    "<{44444444-AAAA-4000-8000-00000000000B}>");
}

static void test_ack_id_in_small_letters_is_repeated_so(void **state)
{
	static const char *const sent[] = {"{11111111-AAAA-4000-8000-000000000001}",
					   "{22222222-AAAA-4000-8000-000000000001}",
					   "{33333333-AAAA-4000-8000-000000000001}"};
	static const char *const echoed[] = {"{11111111-aaaa-4000-8000-000000000001}",
					     "{22222222-aaaa-4000-8000-000000000001}",
					     "{33333333-aaaa-4000-8000-000000000001}"};
	struct fixture *f = *state;

	learn_echo(f, sent, echoed);
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_echo(f, "{44444444-ABCD-4000-8000-000000000001}",
		    "<{44444444-abcd-4000-8000-000000000001}>");
	reopen(f);
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_echo(f, "{44444444-ABCD-4000-8000-000000000001}",
		    "<{44444444-abcd-4000-8000-000000000001}>");
}

static void test_ack_id_in_changing_letters_stops_learning(void **state)
{
	static const char *const sent[] = {"{11111111-AAAA-4000-8000-000000000001}",
					   "{22222222-AAAA-4000-8000-000000000001}",
					   "{33333333-AAAA-4000-8000-000000000001}"};
	static const char *const echoed[] = {"{11111111-AAAA-4000-8000-000000000001}",
					     "{22222222-aaaa-4000-8000-000000000001}"};
	struct fixture *f = *state;
	char body[256];

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		snprintf(body, sizeof(body), "<%s>", echoed[i]);
		answer(f, HEAD, body, sent[i]);
	}
	assert_int_equal(choose(f), ACK_FORWARD);
}

static void test_ack_own_id_is_replaced_in_utf16_at_any_offset(void **state)
{
	struct fixture *f = *state;
	struct strbuf body, out;

	strbuf_init(&body, 4096);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		strbuf_reset(&body);
		strbuf_put_str(&body, "odd"); /* an odd number of bytes */
		strbuf_put(&body, wide(id_of(i)));
		strbuf_put_str(&body, id_of(i));
		answer_bytes(f, HEAD, strbuf_slice(&body), id_of(i));
	}
	assert_int_equal(choose(f), ACK_REPLAY);
	strbuf_init(&out, 65536);
	ack_write(f->t, slice_str(id_of(8)), 1, true, clock_http_date(), &out);
	strbuf_reset(&body);
	strbuf_put_str(&body, "odd");
	strbuf_put(&body, wide(id_of(8)));
	strbuf_put_str(&body, id_of(8));
	assert_memory_equal(out.p + out.n - body.n, body.p, body.n);
	strbuf_fini(&out);
	strbuf_fini(&body);
}

static void test_ack_unmasked_id_of_another_message_stops_learning(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, "<{11111111-AAAA-4000-8000-000000000001}>",
	       "{11111111-AAAA-4000-8000-000000000001}");
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, "<{11111111-AAAA-4000-8000-000000000001}>",
	       "{22222222-AAAA-4000-8000-000000000001}");
	assert_int_equal(choose(f), ACK_FORWARD);
}

static void test_ack_id_repeated_by_some_replies_only_stops_learning(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, "<11111111-AAAA-4000-8000-000000000001>",
	       "{11111111-AAAA-4000-8000-000000000001}");
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, "<>", "{22222222-AAAA-4000-8000-000000000001}");
	assert_int_equal(choose(f), ACK_FORWARD);
}

static void test_ack_message_named_like_the_reply_teaches_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, "noreply");
	learn(f);
	/* Nor does it spoil what was learned. */
	fake_clock_advance(f->conf.ack_revalidate_ms);
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, "NoReply");
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, id_of(1));
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_int_equal(metrics_self->v[M_ACK_MISMATCHES], f->mismatches);
}

static void test_ack_write_without_guid_fails_where_the_template_repeats_it(void **state)
{
	static const char *const odd[] = {"", "{}", "17", "{1111111g-AAAA-4000-8000-000000000001}",
					  "11111111+AAAA-4000-8000-000000000001"};
	struct fixture *f = *state;
	struct strbuf out;
	char body[256];

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		snprintf(body, sizeof(body), "NoReply %s!", id_of(i));
		answer(f, HEAD, body, id_of(i));
	}
	assert_int_equal(choose(f), ACK_REPLAY);
	strbuf_init(&out, 65536);
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		strbuf_reset(&out);
		ack_write(f->t, slice_str(odd[i]), 1, true, clock_http_date(), &out);
		assert_false(strbuf_ok(&out));
	}
	strbuf_fini(&out);
}

static void test_ack_id_repeated_too_often_is_unusable(void **state)
{
	struct fixture *f = *state;
	struct strbuf body;

	f->conf.ack_samples = 1;
	strbuf_init(&body, 4096);
	for (unsigned i = 0; i < ACK_MAX_IDS; i++)
		strbuf_put_str(&body, id_of(1));
	assert_int_equal(choose(f), ACK_SAMPLE);
	strbuf_put_str(&body, id_of(1));
	answer_bytes(f, HEAD, strbuf_slice(&body), id_of(1));
	assert_int_equal(choose(f), ACK_SAMPLE);
	body.n -= strlen(id_of(1));
	answer_bytes(f, HEAD, strbuf_slice(&body), id_of(1));
	assert_int_equal(choose(f), ACK_REPLAY);
	strbuf_fini(&body);
}

/* --- writing --- */

static void test_ack_write_connection_follows_the_request(void **state)
{
	static const char expected[] =
		"HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nDate: " DATE "\r\n"
		"Content-Type: multipart/mixed\r\nX-Powered-By: ASP.NET\r\n"
		"Content-Length: 21\r\n%s\r\n" BODY;
	struct fixture *f = *state;
	char text[512];

	learn(f);
	snprintf(text, sizeof(text), expected, "");
	assert_written(f, "", 1, true, text);
	snprintf(text, sizeof(text), expected, "Connection: close\r\n");
	assert_written(f, "", 1, false, text);
	assert_written(f, "", 0, false, text);
	snprintf(text, sizeof(text), expected, "Connection: keep-alive\r\n");
	assert_written(f, "", 0, true, text);
}

static void test_ack_write_without_date_where_the_template_has_none(void **state)
{
	struct fixture *f = *state;

	f->conf.ack_samples = 1;
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, "HTTP/1.1 200 Fine\r\nServer: X\r\n", BODY, id_of(0));
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_written(f, "", 1, true,
		       "HTTP/1.1 200 Fine\r\nServer: X\r\nContent-Length: 21\r\n\r\n" BODY);
}

/* --- summaries --- */

static void test_ack_is_known_masks_and_compares(void **state)
{
	struct fixture *f = *state;
	struct parsed p;
	char body[256];

	parse(&p, HEAD "Connection: close\r\n", 10);
	assert_false(ack_is_known(f->a, &p.head, slice_str(BODY), SLICE("")));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		snprintf(body, sizeof(body), "NoReply %s!", id_of(i));
		answer(f, HEAD, body, id_of(i));
	}
	snprintf(body, sizeof(body), "NoReply %s!", id_of(5));
	assert_true(ack_is_known(f->a, &p.head, slice_str(body), slice_str(id_of(5))));
	assert_false(ack_is_known(f->a, &p.head, slice_str(body), slice_str(id_of(6))));
	assert_false(ack_is_known(f->a, &p.head, SLICE("NoReply"), slice_str(id_of(5))));
	assert_false(ack_is_known(f->a, &p.head, SLICE(""), slice_str(id_of(5))));
	parse(&p, "HTTP/1.1 500 No\r\n", 10);
	assert_false(ack_is_known(f->a, &p.head, slice_str(body), slice_str(id_of(5))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ack_own_id_is_replaced_in_ascii),
		T(test_ack_id_with_braces_is_repeated_without_them),
		T(test_ack_id_in_capitals_is_told_from_the_same_by_one_small_letter),
		T(test_ack_id_in_small_letters_is_repeated_so),
		T(test_ack_id_in_changing_letters_stops_learning),
		T(test_ack_own_id_is_replaced_in_utf16_at_any_offset),
		T(test_ack_unmasked_id_of_another_message_stops_learning),
		T(test_ack_id_repeated_by_some_replies_only_stops_learning),
		T(test_ack_message_named_like_the_reply_teaches_nothing),
		T(test_ack_write_without_guid_fails_where_the_template_repeats_it),
		T(test_ack_id_repeated_too_often_is_unusable),
		T(test_ack_write_connection_follows_the_request),
		T(test_ack_write_without_date_where_the_template_has_none),
		T(test_ack_is_known_masks_and_compares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
