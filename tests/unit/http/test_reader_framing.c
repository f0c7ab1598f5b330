#include "tests/unit/http/try.h"

#include "proxy/base/metrics.h"
#include "proxy/http/shadow.h"

static void test_F1_coding_with_length_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Content-Length: 5\r\nTransfer-Encoding: chunked", REASON_TE_AND_LENGTH},
		{"Transfer-Encoding: chunked\r\nContent-Length: 5", REASON_TE_AND_LENGTH},
		{"Transfer-Encoding: Chunked\r\nX: y\r\ncontent-length: 0", REASON_TE_AND_LENGTH},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F2_chunked_not_last_or_not_alone_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Transfer-Encoding: chunked, gzip", REASON_TE_BAD},
		{"Transfer-Encoding: xchunked", REASON_TE_BAD},
		{"Transfer-Encoding: chunkedx", REASON_TE_BAD},
		{"Transfer-Encoding: identity", REASON_TE_BAD},
		{"Transfer-Encoding: gzip", REASON_TE_BAD},
		{"Transfer-Encoding: chunked;q=1", REASON_TE_BAD},
		{"Transfer-Encoding: \"chunked\"", REASON_TE_BAD},
		{"Transfer-Encoding: 'chunked'", REASON_TE_BAD},
		{"Transfer-Encoding: chunked chunked", REASON_TE_BAD},
		{"Transfer-Encoding: chun ked", REASON_TE_BAD},
		{"Transfer-Encoding: \x80"
		 "chunked",
		 REASON_TE_BAD},
		{"Transfer-Encoding: \"a\", chunked", REASON_TE_BAD},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F3_empty_coding_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Transfer-Encoding:", REASON_TE_BAD},
		{"Transfer-Encoding:   ", REASON_TE_BAD},
		{"Transfer-Encoding: ,", REASON_TE_BAD},
		{"Transfer-Encoding: , ,", REASON_TE_BAD},
		{"Transfer-Encoding: , chunked", REASON_TE_BAD},
		{"Transfer-Encoding: chunked,", REASON_TE_BAD},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F4_coding_before_chunked_unsupported(void **state)
{
	static const struct refusal bad[] = {
		{"Transfer-Encoding: gzip, chunked", REASON_TE_UNSUPPORTED},
		{"Transfer-Encoding: identity,chunked", REASON_TE_UNSUPPORTED},
		{"Transfer-Encoding: x;a=b, Chunked", REASON_TE_UNSUPPORTED},
	};

	(void)state;
	assert_int_equal(reason_table[REASON_TE_UNSUPPORTED].status, 501);
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F5_coding_in_http10_refused(void **state)
{
	static const struct refusal bad[] = {
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", REASON_TE_HTTP10},
		{"POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		 REASON_TE_HTTP10},
	};

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
}

static void test_F6_chunked_twice_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Transfer-Encoding: chunked, chunked", REASON_TE_BAD},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", REASON_TE_BAD},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", REASON_TE_BAD},
		{"Transfer-Encoding: chunked, gzip, chunked", REASON_TE_BAD},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F7_length_not_digits_refused(void **state)
{
	static const char *const bad[] = {
		"+5",	 "-5", "0x5", "0o5",	  "5_0",
		"5 0",	 "",   "5e0", "5.0",	  "5;",
		"\"5\"", "a",  "5 a", "\xd9\xa5", "99999999999999999999999a",
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const struct refusal r = {line, REASON_LENGTH_BAD};

		snprintf(line, sizeof(line), "Content-Length: %s", bad[i]);
		assert_fields_refused(&r, 1);
	}
}

static void test_F7_length_with_zeros_and_white_space_taken(void **state)
{
	static const char *const good[] = {
		"Content-Length: 42\r\n",    "Content-Length:42\r\n",
		"content-length:  42  \r\n", "CONTENT-LENGTH:\t42\t \r\n",
		"Content-Length: 0042\r\n",  "Content-Length: 42\t\r\n",
	};
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		read_fields(good[i], &t);
		assert_int_equal(t.head.framing, FRAMING_LENGTH);
		assert_int_equal(t.head.length, 42);
		try_free(&t);
	}
	read_fields("Content-Length: 00\r\n", &t);
	assert_int_equal(t.head.framing, FRAMING_NONE);
	try_free(&t);
}

static void test_F8_different_lengths_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Content-Length: 5\r\nContent-Length: 6", REASON_LENGTH_REPEATED},
		{"Content-Length: 5, 6", REASON_LENGTH_REPEATED},
		{"Content-Length: 5,", REASON_LENGTH_REPEATED},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F9_same_length_twice_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Content-Length: 5\r\nContent-Length: 5", REASON_LENGTH_REPEATED},
		{"Content-Length: 5, 5", REASON_LENGTH_REPEATED},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F10_length_range(void **state)
{
	static const struct refusal bad[] = {
		{"Content-Length: 9223372036854775808", REASON_LENGTH_RANGE},
		{"Content-Length: 18446744073709551616", REASON_LENGTH_RANGE},
		{"Content-Length: 18446744073709551621", REASON_LENGTH_RANGE},
		{"Content-Length: 99999999999999999999999999999999", REASON_LENGTH_RANGE},
	};
	struct try_result t;

	(void)state;
	read_fields("Content-Length: 9223372036854775806\r\n", &t);
	assert_true(t.head.length == (uint64_t)INT64_MAX - 1);
	try_free(&t);
	read_fields("Content-Length: 9223372036854775807\r\n", &t);
	assert_true(t.head.length == INT64_MAX);
	try_free(&t);
	assert_fields_refused(bad, COUNT(bad));
}

static void test_F17_close_is_seen(void **state)
{
	static const struct {
		const char *version, *lines;
		bool keep_alive;
	} cases[] = {
		{"1.1", "", true},
		{"1.1", "Connection: close\r\n", false},
		{"1.1", "Connection: x,, Close ,\r\n", false},
		{"1.1", "Connection: keep-alive\r\nConnection: close\r\n", false},
		{"1.1", "Connection: close, keep-alive\r\n", false},
		{"1.1", "Proxy-Connection: close\r\n", true},
		{"1.0", "", false},
		{"1.0", "Connection: Keep-Alive\r\n", true},
		{"1.0", "Connection: keep-alive, close\r\n", false},
	};
	struct try_result t;
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/%s\r\nHost: a\r\n%s\r\n", cases[i].version,
			 cases[i].lines);
		read_good(TRY_REQUEST, text, &t);
		assert_int_equal(t.head.keep_alive, cases[i].keep_alive);
		try_free(&t);
	}
}

static void test_F18_pipelined_heads_end_where_they_end(void **state)
{
	static const char both[] =
		"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n";
	struct try_result t;
	size_t first;

	(void)state;
	read_good(TRY_REQUEST, both, &t);
	first = t.head.head_bytes;
	assert_int_equal(first, 28);
	assert_slice(t.head.path, "/1");
	try_free(&t);
	read_good(TRY_REQUEST, both + first, &t);
	assert_slice(t.head.path, "/2");
	try_free(&t);
}

static void test_F19_bodies_of_methods_without_a_habit_of_them(void **state)
{
	static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PROPFIND", "DELETE"};
	struct try_result t;
	char text[128];

	(void)state;
	for (size_t i = 0; i < COUNT(methods); i++) {
		snprintf(text, sizeof(text),
			 "%s / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", methods[i]);
		read_good(TRY_REQUEST, text, &t);
		assert_int_equal(t.head.framing, FRAMING_LENGTH);
		assert_int_equal(t.head.length, 5);
		try_free(&t);
	}
}

static void test_W1_hop_by_hop_fields_marked(void **state)
{
	static const char *const hops[] = {
		"Connection",	     "Keep-Alive", "Proxy-Connection",	 "TE",
		"Trailer",	     "Upgrade",	   "Proxy-Authenticate", "Proxy-Authorization",
		"Transfer-Encoding", "X-Mine",	   "http2-settings",
	};
	struct try_result t;

	(void)state;
	read_fields("X-Mine: 1\r\nConnection: x-mine, TE ,, HTTP2-Settings\r\nKeep-Alive: 5\r\n"
		    "Proxy-Connection: x\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\n"
		    "Proxy-Authenticate: x\r\nProxy-Authorization: x\r\nhttp2-settings: x\r\n"
		    "Transfer-Encoding: chunked\r\nX-Yours: 2\r\n",
		    &t);
	for (size_t i = 0; i < COUNT(hops); i++)
		assert_true(find_field(&t, hops[i])->is_dropped);
	assert_false(find_field(&t, "X-Yours")->is_dropped);
	assert_false(find_field(&t, "Host")->is_dropped);
	try_free(&t);
}

static void test_W2_connection_may_not_name_end_to_end_fields(void **state)
{
	static const char *const names[] = {
		"Host",
		"Content-Length",
		"content-type",
		"Authorization",
		"X-Forwarded-For",
		"Via",
		"CCMClientID",
		"Transfer-Encoding",
		"Expect",
		"BITS-Packet-Type",
		"Cookie",
		"Date",
		"If-Match",
		"Max-Forwards",
		"x-forwarded-client",
		"User-Agent",
		"Accept",
		"not token",
		"\"close\"",
		"X-Real-IP",
		"SOAPAction",
	};
	char line[128];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct refusal r = {line, REASON_CONNECTION_NAMES};

		snprintf(line, sizeof(line), "Connection: close, %s", names[i]);
		assert_fields_refused(&r, 1);
	}
}

static void test_W2_connection_options_bounded(void **state)
{
	char line[1024];
	struct try_result t;
	const struct refusal r = {line, REASON_CONNECTION_NAMES};

	(void)state;
	for (int n = 63; n <= 65; n++) {
		int at = snprintf(line, sizeof(line), "Connection: x");

		for (int i = 1; i < n; i++)
			at += snprintf(line + at, sizeof(line) - (size_t)at, ",y");
		if (n > 64) {
			assert_fields_refused(&r, 1);
			continue;
		}
		snprintf(line + at, sizeof(line) - (size_t)at, "\r\n");
		read_fields(line, &t);
		try_free(&t);
	}
}

static void test_W3_via_counts_our_name(void **state)
{
	struct try_result t;

	(void)state;
	read_fields("Via: 1.1 weir, 1.0 other (weir), HTTP/1.1 WEIR (a comment)\r\n"
		    "Via: 1.1 weir2,1.1\tweir\r\nX: 1.1 weir\r\nVia:\r\n",
		    &t);
	assert_int_equal(t.head.via_count, 3);
	try_free(&t);
	read_fields("Via: 1.1\r\n", &t);
	assert_int_equal(t.head.via_count, 0);
	try_free(&t);
}

static void test_W6_max_forwards_of_options_is_a_number(void **state)
{
	static const struct {
		const char *value;
		uint64_t n;
	} good[] = {
		{"0", 0},
		{"007", 7},
		{"9223372036854775808", UINT64_C(1) << 63},
		{"9223372036854775809", UINT64_C(1) << 63},
		{"99999999999999999999999", UINT64_C(1) << 63},
	};
	static const char *const bad[] = {"",	 "x",	"-1",  "+1",
					  "1,2", "1 2", "1.0", "99999999999999999999999x"};
	char text[128];
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof(text),
			 "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: %s\r\n\r\n",
			 good[i].value);
		read_good(TRY_REQUEST, text, &t);
		assert_true(t.head.counts_forwards);
		assert_true(t.head.max_forwards == good[i].n);
		try_free(&t);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof(text),
			 "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: %s\r\n\r\n", bad[i]);
		assert_refused(TRY_REQUEST, slice_str(text), REASON_MAX_FORWARDS_BAD);
		/* Of another method it is only passed on. */
		snprintf(text, sizeof(text), "Max-Forwards: %s\r\n", bad[i]);
		read_fields(text, &t);
		assert_false(t.head.counts_forwards);
		try_free(&t);
	}
}

static void test_W8_upgrade_noticed_and_still_framed(void **state)
{
	struct try_result t;

	(void)state;
	read_fields("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n", &t);
	assert_true(t.head.has_upgrade);
	assert_int_equal(t.head.framing, FRAMING_LENGTH);
	assert_true(find_field(&t, "Upgrade")->is_dropped);
	try_free(&t);
	read_fields("Connection: Upgrade\r\nUpgrade: websocket\r\n", &t);
	assert_true(t.head.has_upgrade);
	assert_int_equal(t.head.framing, FRAMING_NONE);
	try_free(&t);
	read_fields("Upgrade: websocket\r\n", &t);
	assert_false(t.head.has_upgrade);
	try_free(&t);
	read_good(TRY_REQUEST,
		  "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", &t);
	assert_false(t.head.has_upgrade);
	try_free(&t);
}

static void test_W11_bound_logon_seen(void **state)
{
	static const struct {
		const char *line;
		bool has_bound_auth;
	} cases[] = {
		{"Authorization: NTLM TlRMTVNTUAAB\r\n", true},
		{"authorization: negotiate YII\r\n", true},
		{"Authorization: NTLM\r\n", true},
		{"Authorization: Basic YTpi\r\n", false},
		{"Authorization: NTLMv3 x\r\n", false},
		{"Authorization:\r\n", false},
	};
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		read_fields(cases[i].line, &t);
		assert_true(t.head.has_authorization);
		assert_int_equal(t.head.has_bound_auth, cases[i].has_bound_auth);
		try_free(&t);
	}
	read_fields("WWW-Authenticate: NTLM\r\n", &t);
	assert_false(t.head.has_authorization || t.head.has_bound_auth);
	try_free(&t);
}

static void test_T1_expect_continue(void **state)
{
	struct try_result t;

	(void)state;
	read_fields("Expect: 100-Continue\r\nContent-Length: 5\r\n", &t);
	assert_true(t.head.expects_continue);
	assert_false(find_field(&t, "Expect")->is_dropped);
	try_free(&t);
	read_fields("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", &t);
	assert_true(t.head.expects_continue);
	try_free(&t);
	/* Nothing to wait for: nothing is asked of the upstream either. */
	read_fields("Expect: 100-continue\r\n", &t);
	assert_false(t.head.expects_continue);
	assert_true(find_field(&t, "Expect")->is_dropped);
	try_free(&t);
	read_good(TRY_REQUEST, "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: whatever\r\n\r\n",
		  &t);
	assert_false(t.head.expects_continue);
	assert_true(find_field(&t, "Expect")->is_dropped);
	try_free(&t);
}

static void test_T2_other_expectations_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Expect: 200-ok", REASON_EXPECT_BAD},
		{"Expect:", REASON_EXPECT_BAD},
		{"Expect: 100-continue, x", REASON_EXPECT_BAD},
		{"Expect: y 100-continue", REASON_EXPECT_BAD},
		{"Expect: \"100-continue\"", REASON_EXPECT_BAD},
	};

	(void)state;
	assert_int_equal(reason_table[REASON_EXPECT_BAD].status, 417);
	assert_fields_refused(bad, COUNT(bad));
}

/* A head that says something else than its bytes, as if our reader had erred. */
static void test_shadow_notices_another_framing(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
	static const char odd[] = "GET / HTTP/1.1\r\nHost: a\r\nContent-Lengty: 5\r\n\r\n";
	struct try_result t, u;
	struct slice fields, odd_fields;

	(void)state;
	read_good(TRY_REQUEST, text, &t);
	read_good(TRY_REQUEST, odd, &u);
	fields = slice_drop(slice_make(t.bytes, sizeof(text) - 1), 16);
	odd_fields = slice_drop(slice_make(u.bytes, sizeof(odd) - 1), 16);
	assert_true(shadow_agrees(&t.head, fields));
	assert_true(shadow_agrees(&u.head, odd_fields));
	t.head.length = 6;
	assert_false(shadow_agrees(&t.head, fields));
	t.head.length = 5;
	t.head.fields[1].id = FIELD_TRANSFER_ENCODING;
	assert_false(shadow_agrees(&t.head, fields));
	t.head.fields[1].id = FIELD_OTHER;
	assert_false(shadow_agrees(&t.head, fields));
	t.head.fields[1].id = FIELD_CONTENT_LENGTH;
	fields.n -= 2;
	assert_false(shadow_agrees(&t.head, fields));
	try_free(&t);
	try_free(&u);
}

static void test_shadow_takes_what_is_valid_and_odd(void **state)
{
	static const char *const odd[] = {
		"Content-Length: 5\t\r\n",
		"Transfer-Encoding:\tchunked\t \r\n",
		"Transfer-Encoding: CHUNKED\r\n",
		"Connection: keep-alive\t,\tclose\t\r\n",
		"Connection:\r\n",
		"Connection: close,close\r\n",
		"Upgrade:\r\n",
		"Proxy-Connection: keep-alive, upgrade\r\n",
		"Content-Lengths: x\r\nTransfer-Encodings: y\r\nContent-Len: z\r\n",
		"!#$%&'*+-.^_`|~: \xff\t\x80\r\n",
		"Content-Length: 9223372036854775807 \t \r\n",
	};
	int64_t before = metrics_self->v[M_PARSER_DISAGREED];
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(odd); i++) {
		read_fields(odd[i], &t);
		try_free(&t);
	}
	assert_int_equal(metrics_self->v[M_PARSER_DISAGREED], before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_F1_coding_with_length_refused),
		cmocka_unit_test(test_F2_chunked_not_last_or_not_alone_refused),
		cmocka_unit_test(test_F3_empty_coding_refused),
		cmocka_unit_test(test_F4_coding_before_chunked_unsupported),
		cmocka_unit_test(test_F5_coding_in_http10_refused),
		cmocka_unit_test(test_F6_chunked_twice_refused),
		cmocka_unit_test(test_F7_length_not_digits_refused),
		cmocka_unit_test(test_F7_length_with_zeros_and_white_space_taken),
		cmocka_unit_test(test_F8_different_lengths_refused),
		cmocka_unit_test(test_F9_same_length_twice_refused),
		cmocka_unit_test(test_F10_length_range),
		cmocka_unit_test(test_F17_close_is_seen),
		cmocka_unit_test(test_F18_pipelined_heads_end_where_they_end),
		cmocka_unit_test(test_F19_bodies_of_methods_without_a_habit_of_them),
		cmocka_unit_test(test_W1_hop_by_hop_fields_marked),
		cmocka_unit_test(test_W2_connection_may_not_name_end_to_end_fields),
		cmocka_unit_test(test_W2_connection_options_bounded),
		cmocka_unit_test(test_W3_via_counts_our_name),
		cmocka_unit_test(test_W6_max_forwards_of_options_is_a_number),
		cmocka_unit_test(test_W8_upgrade_noticed_and_still_framed),
		cmocka_unit_test(test_W11_bound_logon_seen),
		cmocka_unit_test(test_T1_expect_continue),
		cmocka_unit_test(test_T2_other_expectations_refused),
		cmocka_unit_test(test_shadow_notices_another_framing),
		cmocka_unit_test(test_shadow_takes_what_is_valid_and_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
