#include "tests/unit/http/try.h"

static void test_R1_interim_heads_returned(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_RESPONSE, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", &t);
	assert_int_equal(t.head.status, 100);
	assert_int_equal(t.head.framing, FRAMING_NONE);
	assert_int_equal(t.head.head_bytes, 25);
	assert_true(t.head.keep_alive);
	try_free(&t);
}

static void test_R2_no_body_whatever_the_lengths_say(void **state)
{
	static const struct {
		enum try_kind kind;
		const char *text;
	} cases[] = {
		{TRY_RESPONSE_TO_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		{TRY_RESPONSE_TO_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{TRY_RESPONSE_TO_HEAD, "HTTP/1.1 200 OK\r\n\r\n"},
		{TRY_RESPONSE, "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"},
		{TRY_RESPONSE, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"},
		{TRY_RESPONSE, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		{TRY_RESPONSE, "HTTP/1.1 304 Not Modified\r\n\r\n"},
	};
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		read_good(cases[i].kind, cases[i].text, &t);
		assert_int_equal(t.head.framing, FRAMING_NONE);
		assert_true(t.head.keep_alive);
		try_free(&t);
	}
}

static void test_R7_connection_of_204_with_a_body_is_not_kept(void **state)
{
	static const char *const cases[] = {
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
	};
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		read_good(TRY_RESPONSE, cases[i], &t);
		assert_int_equal(t.head.framing, FRAMING_NONE);
		assert_false(t.head.keep_alive);
		try_free(&t);
	}
}

static void test_R4_coding_with_length_refused(void **state)
{
	static const struct refusal bad[] = {
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
		 REASON_RESPONSE_BAD},
		{"HTTP/1.1 304 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		 REASON_RESPONSE_BAD},
	};

	(void)state;
	assert_all_refused(TRY_RESPONSE, bad, COUNT(bad));
}

static void test_R5_status_line_faults_refused(void **state)
{
	static const char *const bad[] = {
		"<html>",
		"\r\nHTTP/1.1 200 OK\r\n",
		"HTP/1.1 200 OK\r\n",
		"HTTP/01.1 200 OK\r\n",
		"HTTP/11.1 200 OK\r\n",
		"HTTP/1.01 200 OK\r\n",
		"HTTP/1.1\t200 OK\r\n",
		"\rHTTP/1.1 200 OK\r\n",
		"HTTP/2.0 200 OK\r\n",
		"HTTP/0.9 200 OK\r\n",
		"HTTP/1.1  200 OK\r\n",
		"HTTP/1.1 2 OK\r\n",
		"HTTP/1.1 20 OK\r\n",
		"HTTP/1.1 2000 OK\r\n",
		"HTTP/1.1 099 OK\r\n",
		"HTTP/1.1 600 OK\r\n",
		"HTTP/1.1 2x0 OK\r\n",
		"HTTP/1.1 200\r\n",
		"HTTP/1.1\r\n",
		"http/1.1 200 OK\r\n",
		"HTTP/1.1 200 O\x01K\r\n",
		"HTTP/1.1 200 OK\rX: y\r\n",
		"HTTP/1.1 200 OK\n",
		"RTSP/1.1 200 OK\r\n",
		"HTTP/1.1 -20 OK\r\n",
		"HTTP/1.x 200 OK\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_refused(TRY_RESPONSE, slice_str(bad[i]), REASON_STATUS_LINE);
}

static void test_R5_field_faults_refused(void **state)
{
	static const char *const bad[] = {
		"X : y",
		"X: y\r\n z",
		" X: y",
		"X",
		": y",
		"X: \x01",
		"X: a\rb",
		"X: a\nb: c",
		"Content-Length: x",
		"Content-Length: 5\r\nContent-Length: 5",
		"Content-Length: 5, 5",
		"Content-Length: 9223372036854775808",
		"Transfer-Encoding:",
		"Transfer-Encoding: gzip",
		"Transfer-Encoding: chunked, gzip",
		"Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: chunked, chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Connection: content-length",
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\n\r\n", bad[i]);
		assert_refused(TRY_RESPONSE, slice_str(text), REASON_RESPONSE_BAD);
	}
	assert_refused(TRY_RESPONSE, SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
		       REASON_RESPONSE_BAD);
	assert_refused(TRY_RESPONSE, SLICE("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
		       REASON_RESPONSE_BAD);
	assert_refused(TRY_RESPONSE, SLICE("HTTP/1.1 200 OK\r\n\rX"), REASON_RESPONSE_BAD);
}

static void test_R5_every_fault_has_status_502(void **state)
{
	(void)state;
	assert_int_equal(reason_table[REASON_STATUS_LINE].status, 502);
	assert_int_equal(reason_table[REASON_RESPONSE_BAD].status, 502);
	assert_int_equal(reason_table[REASON_RESPONSE_LONG].status, 502);
}

static void test_R5_head_limits(void **state)
{
	const struct http_limits lim = {
		.request_line = 64, .field_line = 64, .head = 128, .fields = 2};
	char text[512];
	struct try_result t;

	(void)state;
	for (int n = 63; n <= 65; n++) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 %0*d\r\nX: %0*d\r\n\r\n", 64 - 13, 0,
			 n - 3, 0);
		try_head(TRY_RESPONSE, slice_str(text), &try_limits, &t);
		assert_int_equal(t.rc, HTTP_HEAD);
		try_free(&t);
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX: %0*d\r\n\r\n", n - 3, 0);
		try_head(TRY_RESPONSE, slice_str(text), &lim, &t);
		assert_int_equal(t.reason, n <= 64 ? REASON_NONE : REASON_RESPONSE_LONG);
		try_free(&t);
		snprintf(text, sizeof(text), "HTTP/1.1 200 %0*d\r\n\r\n", n - 13, 0);
		try_head(TRY_RESPONSE, slice_str(text), &lim, &t);
		assert_int_equal(t.reason, n <= 64 ? REASON_NONE : REASON_RESPONSE_LONG);
		try_free(&t);
		/* 127, 128 and 129 bytes. */
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX: %040d\r\nY: %0*d\r\n\r\n", 0,
			 n - 5, 0);
		try_head(TRY_RESPONSE, slice_str(text), &lim, &t);
		assert_int_equal(t.reason,
				 strlen(text) <= 128 ? REASON_NONE : REASON_RESPONSE_LONG);
		try_free(&t);
	}
	assert_int_equal(strlen(text), 129);
	try_head(TRY_RESPONSE, SLICE("HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"), &lim, &t);
	assert_int_equal(t.reason, REASON_RESPONSE_LONG);
	try_free(&t);
}

static void test_R8_close_delimited_ends_the_connection(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", &t);
	assert_int_equal(t.head.framing, FRAMING_CLOSE);
	assert_false(t.head.keep_alive);
	try_free(&t);
}

static void test_response_framings(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &t);
	assert_int_equal(t.head.framing, FRAMING_LENGTH);
	assert_int_equal(t.head.length, 5);
	assert_true(t.head.keep_alive);
	try_free(&t);
	read_good(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &t);
	assert_int_equal(t.head.framing, FRAMING_NONE);
	assert_true(t.head.keep_alive);
	try_free(&t);
	read_good(TRY_RESPONSE, "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", &t);
	assert_int_equal(t.head.framing, FRAMING_CHUNKED);
	try_free(&t);
	read_good(TRY_RESPONSE, "HTTP/1.1 200  A reason \xeb\t\r\nContent-Length: 1\r\n\r\n", &t);
	assert_slice(t.head.reason, " A reason \xeb\t");
	try_free(&t);
	read_good(TRY_RESPONSE, "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n", &t);
	assert_slice(t.head.reason, "");
	try_free(&t);
}

static void test_response_of_http10_keeps_alive_only_when_said(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_RESPONSE, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", &t);
	assert_false(t.head.keep_alive);
	assert_int_equal(t.head.minor, 0);
	try_free(&t);
	read_good(TRY_RESPONSE,
		  "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", &t);
	assert_true(t.head.keep_alive);
	try_free(&t);
	read_good(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
		  &t);
	assert_false(t.head.keep_alive);
	try_free(&t);
}

static void test_W8_switched_protocols_returned_as_such(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_RESPONSE,
		  "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nxyz", &t);
	assert_int_equal(t.head.status, 101);
	assert_true(t.head.has_upgrade);
	assert_true(find_field(&t, "Upgrade")->is_dropped);
	try_free(&t);
	read_good(TRY_RESPONSE, "HTTP/1.1 101 Switching\r\n\r\n", &t);
	assert_true(t.head.has_upgrade);
	try_free(&t);
	read_good(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", &t);
	assert_false(t.head.has_upgrade);
	try_free(&t);
}

static void test_W11_bound_challenge_seen(void **state)
{
	static const struct {
		const char *lines;
		bool has_bound_auth;
	} cases[] = {
		{"WWW-Authenticate: NTLM\r\n", true},
		{"WWW-Authenticate: Basic realm=\"x\", Negotiate\r\n", true},
		{"WWW-Authenticate: Basic\r\nWWW-Authenticate: negotiate oYG2\r\n", true},
		{"WWW-Authenticate: Basic realm=\"NTLM\"\r\n", false},
		{"Authorization: NTLM\r\n", false},
	};
	struct try_result t;
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof(text), "HTTP/1.1 401 No\r\nContent-Length: 0\r\n%s\r\n",
			 cases[i].lines);
		read_good(TRY_RESPONSE, text, &t);
		assert_int_equal(t.head.has_bound_auth, cases[i].has_bound_auth);
		try_free(&t);
	}
}

/* What a server sends back is not ours to tidy up. */
static void test_response_keeps_twins_and_repeated_fields(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_RESPONSE,
		  "HTTP/1.1 200 OK\r\nContent_Type: a\r\nContent-Type: b\r\nContent-Type: c\r\n"
		  "Expect: x\r\nHost: ,\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n",
		  &t);
	assert_false(find_field(&t, "Content_Type")->is_dropped);
	assert_true(find_field(&t, "X-Hop")->is_dropped);
	assert_slice(t.head.content_type, "b");
	try_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_R1_interim_heads_returned),
		cmocka_unit_test(test_R2_no_body_whatever_the_lengths_say),
		cmocka_unit_test(test_R7_connection_of_204_with_a_body_is_not_kept),
		cmocka_unit_test(test_R4_coding_with_length_refused),
		cmocka_unit_test(test_R5_status_line_faults_refused),
		cmocka_unit_test(test_R5_field_faults_refused),
		cmocka_unit_test(test_R5_every_fault_has_status_502),
		cmocka_unit_test(test_R5_head_limits),
		cmocka_unit_test(test_R8_close_delimited_ends_the_connection),
		cmocka_unit_test(test_response_framings),
		cmocka_unit_test(test_response_of_http10_keeps_alive_only_when_said),
		cmocka_unit_test(test_W8_switched_protocols_returned_as_such),
		cmocka_unit_test(test_W11_bound_challenge_seen),
		cmocka_unit_test(test_response_keeps_twins_and_repeated_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
