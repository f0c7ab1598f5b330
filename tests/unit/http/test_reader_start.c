#include "tests/unit/http/try.h"

#include "proxy/http/chars.h"

static void test_L8_request_line_not_three_words_refused(void **state)
{
	static const struct refusal bad[] = {
		{"GET\r\n", REASON_REQUEST_LINE},
		{"GET /\r\n", REASON_REQUEST_LINE},
		{"GET / \r\n", REASON_VERSION_BAD},
		{"GET  / HTTP/1.1\r\n", REASON_REQUEST_LINE},
		{"GET /  HTTP/1.1\r\n", REASON_REQUEST_LINE},
		{"GET / HTTP/1.1 \r\n", REASON_REQUEST_LINE},
		{"GET / HTTP/1.1 HTTP/1.1\r\n", REASON_REQUEST_LINE},
		{"GET /a b HTTP/1.1\r\n", REASON_REQUEST_LINE},
		{"GET HTTP/1.1\r\n", REASON_REQUEST_LINE},
		{" GET / HTTP/1.1\r\n", REASON_METHOD_BAD},
		{"\tGET / HTTP/1.1\r\n", REASON_METHOD_BAD},
		{"GET\t/ HTTP/1.1\r\n", REASON_METHOD_BAD},
		{"GET /\tHTTP/1.1\r\n", REASON_TARGET_BAD},
		{"GET /\vHTTP/1.1\r\n", REASON_TARGET_BAD},
		{"GET /\f HTTP/1.1\r\n", REASON_TARGET_BAD},
		{"GET / HTTP/1.1\t\r\n", REASON_VERSION_BAD},
	};

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
}

static void test_L9_any_token_is_a_method(void **state)
{
	static const char *const methods[] = {
		"GET",	    "CCM_POST", "BITS_POST",	     "PROPFIND",
		"M-SEARCH", "get",	"!#$%&'*+-.^_`|~09", "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
	};
	struct try_result t;
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(methods); i++) {
		snprintf(text, sizeof(text), "%s /x HTTP/1.1\r\nHost: a\r\n\r\n", methods[i]);
		read_good(TRY_REQUEST, text, &t);
		assert_slice(t.head.method, methods[i]);
		assert_false(t.head.is_head);
		try_free(&t);
	}
	read_good(TRY_REQUEST, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", &t);
	assert_true(t.head.is_head);
	try_free(&t);
}

static void test_L9_method_not_a_token_or_too_long_refused(void **state)
{
	static const struct refusal bad[] = {
		{"G@T / HTTP/1.1\r\n", REASON_METHOD_BAD},
		{"G\"T / HTTP/1.1\r\n", REASON_METHOD_BAD},
		{"\xc3\xa4 / HTTP/1.1\r\n", REASON_METHOD_BAD},
		{"\x16\x03\x01", REASON_METHOD_BAD},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 / HTTP/1.1\r\n", REASON_METHOD_LONG},
	};
	struct http_limits lim = try_limits;
	struct try_result t;

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
	assert_refused(TRY_REQUEST, SLICE("G\0T / HTTP/1.1\r\n"), REASON_METHOD_BAD);
	lim.method = 3;
	try_head(TRY_REQUEST, SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &lim, &t);
	assert_int_equal(t.rc, HTTP_HEAD);
	try_free(&t);
	try_head(TRY_REQUEST, SLICE("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), &lim, &t);
	assert_int_equal(t.reason, REASON_METHOD_LONG);
	try_free(&t);
}

static void test_W7_connect_and_trace_refused(void **state)
{
	static const struct refusal bad[] = {
		{"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", REASON_METHOD_CONNECT},
		{"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_METHOD_CONNECT},
		{"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", REASON_METHOD_TRACE},
	};

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
}

static void test_L10_every_byte_of_a_target(void **state)
{
	struct try_result t;

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		char text[] = "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n";

		text[5] = (char)c;
		try_head(TRY_REQUEST, slice_make(text, sizeof(text) - 1), &try_limits, &t);
		if (c > 0x20 && c < 0x7f && c != '#')
			assert_int_equal(t.rc, HTTP_HEAD);
		else
			assert_int_equal(t.rc, HTTP_BAD);
		try_free(&t);
	}
	assert_refused(TRY_REQUEST, SLICE("GET /a#b HTTP/1.1\r\n"), REASON_TARGET_BAD);
	assert_refused(TRY_REQUEST, SLICE("GET /\0 HTTP/1.1\r\n"), REASON_TARGET_BAD);
	assert_refused(TRY_REQUEST, SLICE("GET /\r HTTP/1.1\r\n"), REASON_BARE_CR);
}

static void test_L10_target_is_not_decoded(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_REQUEST, "GET /%2e%2E//../a%00?x=%0d&y=?z HTTP/1.1\r\nHost: a\r\n\r\n", &t);
	assert_slice(t.head.path, "/%2e%2E//../a%00");
	assert_slice(t.head.query, "x=%0d&y=?z");
	assert_slice(t.head.authority, "a");
	try_free(&t);
	read_good(TRY_REQUEST, "GET /p HTTP/1.1\r\nHost: a\r\n\r\n", &t);
	assert_null(t.head.query.p);
	try_free(&t);
	read_good(TRY_REQUEST, "GET /p? HTTP/1.1\r\nHost: a\r\n\r\n", &t);
	assert_non_null(t.head.query.p);
	assert_int_equal(t.head.query.n, 0);
	try_free(&t);
}

static void test_L11_absolute_form_taken_apart(void **state)
{
	static const struct {
		const char *target, *host, *path, *authority;
	} good[] = {
		{"http://a/x?y", "a", "/x", "a"},
		{"http://a:80/", "a", "/", "a:80"},
		{"http://a/", "a:80", "/", "a"},
		{"http://a:/", "A:80", "/", "a:"},
		{"https://a/", "a:443", "/", "a"},
		{"HTTP://A:8080", "a:8080", "/", "A:8080"},
		{"http://a?q", "a", "/", "a"},
		{"http://[2001:db8::1]:8/", "[2001:DB8::1]:8", "/", "[2001:db8::1]:8"},
	};
	struct try_result t;
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", good[i].target,
			 good[i].host);
		read_good(TRY_REQUEST, text, &t);
		assert_true(t.head.is_absolute);
		assert_slice(t.head.path, good[i].path);
		assert_slice(t.head.authority, good[i].authority);
		try_free(&t);
	}
	read_good(TRY_REQUEST, "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", &t);
	assert_slice(t.head.path, "*");
	try_free(&t);
}

static void test_L11_absolute_form_faults_refused(void **state)
{
	static const struct refusal bad[] = {
		{"GET http:///x HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http:// HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http://?q HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http://:80/ HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http://u@a/ HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http://u:p@a/ HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http://a:b/ HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http://a:65536/ HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET http://a/ HTTP/1.1\r\nHost: b\r\n", REASON_HOST_MISMATCH},
		{"GET http://a/ HTTP/1.1\r\nHost: a:81\r\n", REASON_HOST_MISMATCH},
		{"GET https://a/ HTTP/1.1\r\nHost: a:80\r\n", REASON_HOST_MISMATCH},
		{"GET http://a/ HTTP/1.1\r\n\r\n", REASON_HOST_MISSING},
		{"GET ftp://a/ HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET ws://a/ HTTP/1.1\r\n", REASON_TARGET_FORM},
	};

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
}

static void test_L12_target_form_belongs_to_its_method(void **state)
{
	static const struct refusal bad[] = {
		{"GET * HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET a:443 HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET index.html HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"GET ?q HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"OPTIONS ** HTTP/1.1\r\n", REASON_TARGET_FORM},
		{"options * HTTP/1.1\r\n", REASON_TARGET_FORM},
	};
	struct try_result t;

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
	read_good(TRY_REQUEST, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &t);
	assert_slice(t.head.path, "*");
	try_free(&t);
}

static void test_L15_versions(void **state)
{
	static const struct refusal bad[] = {
		{"GET / HTTP/2.0\r\n", REASON_VERSION_MAJOR},
		{"GET / HTTP/3.7\r\n", REASON_VERSION_MAJOR},
		{"GET / HTTP/0.9\r\n", REASON_VERSION_BAD},
		{"GET / http/1.1\r\n", REASON_VERSION_BAD},
		{"GET / HTTP/1.10\r\n", REASON_VERSION_BAD},
		{"GET / HTTP/01.1\r\n", REASON_VERSION_BAD},
		{"GET / HTTP/1\r\n", REASON_VERSION_BAD},
		{"GET / HTTP/1,1\r\n", REASON_VERSION_BAD},
		{"GET / HTTP/1.x\r\n", REASON_VERSION_BAD},
		{"GET / HTTP/x.1\r\n", REASON_VERSION_BAD},
		{"GET / HTTPS/1.1\r\n", REASON_VERSION_BAD},
		{"GET / RTSP/1.0\r\n", REASON_VERSION_BAD},
		{"GET / HTTP/1.\r1\r\n", REASON_BARE_CR},
	};
	struct try_result t;
	char text[64];

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
	for (char minor = '0'; minor <= '9'; minor++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.%c\r\nHost: a\r\n\r\n", minor);
		read_good(TRY_REQUEST, text, &t);
		assert_int_equal(t.head.minor, minor == '0' ? 0 : 1);
		try_free(&t);
	}
}

static void test_L16_two_empty_lines_ignored(void **state)
{
	static const struct refusal bad[] = {
		{"\r\n\r\n\r\n", REASON_LEADING_CRLF},
		{"\n", REASON_BARE_LF},
		{"\r\rGET", REASON_BARE_CR},
		{"\rGET / HTTP/1.1\r\n", REASON_BARE_CR},
	};
	struct try_result t;

	(void)state;
	read_good(TRY_REQUEST, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nX", &t);
	assert_int_equal(t.head.head_bytes, 31);
	assert_slice(t.head.method, "GET");
	try_free(&t);
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
}

static void test_L17_request_line_limit(void **state)
{
	char text[8400];
	struct try_result t;

	(void)state;
	for (size_t n = 8191; n <= 8193; n++) {
		/* "GET /" and " HTTP/1.1" are 14 bytes of the line. */
		int at = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n", (int)n - 14, 0);

		snprintf(text + at, sizeof(text) - (size_t)at, "Host: a\r\n\r\n");
		try_head(TRY_REQUEST, slice_str(text), &try_limits, &t);
		assert_int_equal(t.rc, n <= 8192 ? HTTP_HEAD : HTTP_BAD);
		assert_int_equal(t.reason, n <= 8192 ? REASON_NONE : REASON_REQUEST_LINE_LONG);
		try_free(&t);
	}
	/* Refused before its end is seen. */
	memset(text, 'a', sizeof(text));
	assert_refused(TRY_REQUEST, slice_make(text, 8194), REASON_REQUEST_LINE_LONG);
	try_head(TRY_REQUEST, slice_make(text, 8193), &try_limits, &t);
	assert_int_equal(t.rc, HTTP_MORE);
	try_free(&t);
}

static void test_L21_http2_preface_refused(void **state)
{
	(void)state;
	assert_refused(TRY_REQUEST, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		       REASON_VERSION_MAJOR);
}

static void test_reader_refused_stays_refused(void **state)
{
	struct http_reader r = {0};
	struct http_head head;

	(void)state;
	assert_int_equal(http_read_request(&r, "\n", 1, &try_limits, &head), HTTP_BAD);
	assert_int_equal(http_read_request(&r, "GET / HTTP/1.1\r\n", 16, &try_limits, &head),
			 HTTP_BAD);
	assert_int_equal(r.reason, REASON_BARE_LF);
}

static void test_reader_nothing_yet_is_more(void **state)
{
	struct http_reader r = {0};
	struct http_head head;

	(void)state;
	assert_int_equal(http_read_request(&r, NULL, 0, &try_limits, &head), HTTP_MORE);
	assert_int_equal(http_read_response(&r, NULL, 0, false, &try_limits, &head), HTTP_MORE);
}

/* The classes as the RFCs write them, against the table. */
static void test_chars_table_is_the_grammar(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		char c = (char)i;
		bool is_alnum =
			(i >= '0' && i <= '9') || (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
		bool is_hex =
			(i >= '0' && i <= '9') || (i >= 'a' && i <= 'f') || (i >= 'A' && i <= 'F');
		bool is_value = i == '\t' || (i >= 0x20 && i != 0x7f);

		assert_int_equal(char_is(c, CHAR_TOKEN),
				 i != 0 && (is_alnum || strchr("!#$%&'*+-.^_`|~", c) != NULL));
		assert_int_equal(char_is(c, CHAR_HOST),
				 i != 0 && (is_alnum || strchr("-._~!$&'()*+;=", c) != NULL));
		assert_int_equal(char_is(c, CHAR_VALUE), is_value);
		assert_int_equal(char_is(c, CHAR_QUOTED), is_value && i != '"' && i != '\\');
		assert_int_equal(char_is(c, CHAR_TARGET), i > 0x20 && i < 0x7f && i != '#');
		assert_int_equal(char_is(c, CHAR_HEX), is_hex);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L8_request_line_not_three_words_refused),
		cmocka_unit_test(test_L9_any_token_is_a_method),
		cmocka_unit_test(test_L9_method_not_a_token_or_too_long_refused),
		cmocka_unit_test(test_W7_connect_and_trace_refused),
		cmocka_unit_test(test_L10_every_byte_of_a_target),
		cmocka_unit_test(test_L10_target_is_not_decoded),
		cmocka_unit_test(test_L11_absolute_form_taken_apart),
		cmocka_unit_test(test_L11_absolute_form_faults_refused),
		cmocka_unit_test(test_L12_target_form_belongs_to_its_method),
		cmocka_unit_test(test_L15_versions),
		cmocka_unit_test(test_L16_two_empty_lines_ignored),
		cmocka_unit_test(test_L17_request_line_limit),
		cmocka_unit_test(test_L21_http2_preface_refused),
		cmocka_unit_test(test_reader_refused_stays_refused),
		cmocka_unit_test(test_reader_nothing_yet_is_more),
		cmocka_unit_test(test_chars_table_is_the_grammar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
