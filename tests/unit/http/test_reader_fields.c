#include "tests/unit/http/try.h"

static void test_L1_lone_cr_refused(void **state)
{
	static const struct refusal bad[] = {
		{"X: a\rb", REASON_BARE_CR},  {"X: \r", REASON_BARE_CR},
		{"X:\ry: z", REASON_BARE_CR}, {"X\r: a", REASON_BARE_CR},
		{"\rX: a", REASON_BARE_CR},   {"X: a\rContent-Length: 5", REASON_BARE_CR},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
	assert_refused(TRY_REQUEST, SLICE("GET / HTTP/1.1\r\nHost: a\r\n\rX"), REASON_BARE_CR);
	assert_refused(TRY_REQUEST, SLICE("GET / HTTP/1.1\rHost: a\r\n"), REASON_BARE_CR);
}

/* Found by fuzzing: the limit came first in pieces, the lone CR in the whole. */
static void test_L1_lone_cr_behind_the_limit_of_the_head(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\rX";
	struct http_limits lim = try_limits;
	struct try_result t;

	(void)state;
	for (lim.head = 26; lim.head <= 27; lim.head++) {
		try_head(TRY_REQUEST, slice_str(text), &lim, &t);
		assert_int_equal(t.reason, lim.head == 26 ? REASON_HEAD_LONG : REASON_BARE_CR);
		try_free(&t);
	}
}

static void test_L2_lone_lf_refused_at_once(void **state)
{
	static const struct refusal bad[] = {
		{"GET / HTTP/1.1\n", REASON_BARE_LF},
		{"GET / HTTP/1.1\r\nHost: a\n", REASON_BARE_LF},
		{"GET / HTTP/1.1\r\nHost: a\r\n\n", REASON_BARE_LF},
		{"GET / HTTP/1.1\r\nX: a\nb", REASON_BARE_LF},
	};

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
}

static void test_L3_folded_line_refused(void **state)
{
	static const struct refusal bad[] = {
		{"X: a\r\n b", REASON_FIELD_FOLDED},
		{"X: a\r\n\tb", REASON_FIELD_FOLDED},
		{"X: a\r\n ", REASON_FIELD_FOLDED},
		{"X: a\r\n Content-Length: 5", REASON_FIELD_FOLDED},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_L4_space_before_colon_refused(void **state)
{
	static const struct refusal bad[] = {
		{"X : a", REASON_FIELD_NAME},
		{"X\t: a", REASON_FIELD_NAME},
		{"Content-Length : 5", REASON_FIELD_NAME},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_L5_space_before_first_field_refused(void **state)
{
	static const struct refusal bad[] = {
		{"GET / HTTP/1.1\r\n Host: a\r\n", REASON_FIELD_FOLDED},
		{"GET / HTTP/1.1\r\n\tHost: a\r\n", REASON_FIELD_FOLDED},
	};

	(void)state;
	assert_all_refused(TRY_REQUEST, bad, COUNT(bad));
}

static void test_L6_names_refused(void **state)
{
	static const struct refusal bad[] = {
		{"X", REASON_FIELD_NO_COLON},	    {"two words", REASON_FIELD_NO_COLON},
		{": a", REASON_FIELD_NAME},	    {":", REASON_FIELD_NAME},
		{"X[]: a", REASON_FIELD_NAME},	    {"X\x7f: a", REASON_FIELD_NAME},
		{"X\x01: a", REASON_FIELD_NAME},    {"(X): a", REASON_FIELD_NAME},
		{"\xc3\xa4: a", REASON_FIELD_NAME}, {"two words: a", REASON_FIELD_NAME},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
	assert_refused(TRY_REQUEST, SLICE("GET / HTTP/1.1\r\nX\0: a\r\n"), REASON_FIELD_NAME);
}

/* At every place of a value, since eight bytes are looked at together. */
static void test_L7_every_byte_of_a_value(void **state)
{
	struct try_result t;

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		for (size_t at = 0; at < 17; at++) {
			char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: vvvvvvvvvvvvvvvvv\r\n\r\n";

			text[28 + at] = (char)c;
			try_step(TRY_REQUEST, slice_make(text, sizeof(text) - 1), sizeof(text),
				 &try_limits, &t);
			if (c == '\t' || (c >= 0x20 && c != 0x7f))
				assert_int_equal(t.rc, HTTP_HEAD);
			else
				assert_int_equal(t.rc, HTTP_BAD);
			try_free(&t);
		}
	}
}

static void test_L7_controls_refused_and_high_bytes_kept(void **state)
{
	static const struct refusal bad[] = {
		{"X: a\x01", REASON_FIELD_CONTROL},
		{"X: \x7f", REASON_FIELD_CONTROL},
		{"X: long enough for eight\x1b", REASON_FIELD_CONTROL},
		{"Transfer-Encoding: \vchunked", REASON_FIELD_CONTROL},
	};
	struct try_result t;

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
	assert_refused(TRY_REQUEST, SLICE("GET / HTTP/1.1\r\nX: a\0b\r\n"), REASON_FIELD_CONTROL);
	read_fields("X: D\xfcsseldorf\t\x80\xff\r\n", &t);
	assert_slice(find_field(&t, "x")->value, "D\xfcsseldorf\t\x80\xff");
	try_free(&t);
}

static void test_field_value_is_trimmed(void **state)
{
	struct try_result t;

	(void)state;
	read_fields("A: \t x y \t \r\nB:\r\nC:   \r\nD:z\r\n", &t);
	assert_slice(find_field(&t, "A")->value, "x y");
	assert_slice(find_field(&t, "B")->value, "");
	assert_slice(find_field(&t, "C")->value, "");
	assert_slice(find_field(&t, "D")->value, "z");
	try_free(&t);
}

static void test_L13_host_needed_once_and_valid(void **state)
{
	static const char *const bad[] = {
		"",
		"a,b",
		"a b",
		"a/p",
		"a?q",
		"u@a",
		"a:b",
		"a:1:2",
		"a:-1",
		"a:65536",
		"a:99999999999999999999",
		":80",
		"http://a",
		"a%zz",
		"a%4",
		"[::1",
		"[::1]x",
		"[zz::]",
		"[1]",
		"[]",
		"a#",
		"[v1.a]",
		"[fe80::1%25eth0]",
		"\xc3\xa4",
	};
	static const char *const good[] = {
		"a",	     "a:",	     "a:0",   "a:65535",
		"A.b-c_d~e", "192.0.2.1:80", "[::1]", "[2001:db8::192.0.2.1]:8080",
		"a%4a",
	};
	char text[512];
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
		assert_refused(TRY_REQUEST, slice_str(text), REASON_HOST_BAD);
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
		read_good(TRY_REQUEST, text, &t);
		assert_slice(t.head.authority, good[i]);
		try_free(&t);
	}
	assert_refused(TRY_REQUEST, SLICE("GET / HTTP/1.1\r\n\r\n"), REASON_HOST_MISSING);
	assert_refused(TRY_REQUEST, SLICE("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
		       REASON_FIELD_REPEATED);
}

static void test_L13_host_length_limit(void **state)
{
	char text[512];
	struct try_result t;

	(void)state;
	for (int n = 254; n <= 256; n++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %0*d\r\n\r\n", n, 0);
		try_head(TRY_REQUEST, slice_str(text), &try_limits, &t);
		assert_int_equal(t.reason, n <= 255 ? REASON_NONE : REASON_HOST_BAD);
		try_free(&t);
	}
}

static void test_L14_http10_without_host(void **state)
{
	struct try_result t;

	(void)state;
	read_good(TRY_REQUEST, "GET / HTTP/1.0\r\n\r\n", &t);
	assert_int_equal(t.head.authority.n, 0);
	assert_int_equal(t.head.n_fields, 0);
	assert_false(t.head.keep_alive);
	try_free(&t);
}

static void test_L17_field_line_limit(void **state)
{
	char text[8400];
	struct try_result t;

	(void)state;
	for (int n = 8191; n <= 8193; n++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n", n - 3,
			 0);
		try_head(TRY_REQUEST, slice_str(text), &try_limits, &t);
		assert_int_equal(t.reason, n <= 8192 ? REASON_NONE : REASON_FIELD_LONG);
		try_free(&t);
	}
	/* Refused before its end is seen. */
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX: %08191d", 0);
	assert_refused(TRY_REQUEST, slice_make(text, 16 + 8194), REASON_FIELD_LONG);
}

static void test_L17_header_section_limit(void **state)
{
	static char text[40000];
	struct try_result t;

	(void)state;
	for (int total = 32767; total <= 32769; total++) {
		int at = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n"), left;

		for (int i = 0; i < 6; i++)
			at += snprintf(text + at, sizeof(text) - (size_t)at, "X: %05000d\r\n", 0);
		left = total - at - 7;
		snprintf(text + at, sizeof(text) - (size_t)at, "X: %0*d\r\n\r\n", left, 0);
		assert_int_equal(strlen(text), total);
		try_head(TRY_REQUEST, slice_str(text), &try_limits, &t);
		assert_int_equal(t.reason, total <= 32768 ? REASON_NONE : REASON_HEAD_LONG);
		if (t.rc == HTTP_HEAD)
			assert_int_equal(t.head.head_bytes, total);
		try_free(&t);
	}
	/* 32,768 bytes without the end: refused without one more. */
	assert_refused(TRY_REQUEST, slice_make(text, 32768), REASON_HEAD_LONG);
}

static void test_L17_limits_shrunk_in_the_middle_of_a_head(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyy\r\n\r\n";
	struct http_limits lim = try_limits;
	struct http_reader r = {0};
	struct http_head head;

	(void)state;
	assert_int_equal(http_read_request(&r, text, 40, &lim, &head), HTTP_MORE);
	lim.head = 8;
	assert_int_equal(http_read_request(&r, text, sizeof(text) - 1, &lim, &head), HTTP_BAD);
	assert_int_equal(r.reason, REASON_HEAD_LONG);
}

static void test_L17_field_count_limit(void **state)
{
	char text[4096];
	struct try_result t;

	(void)state;
	for (int n = 99; n <= 101; n++) {
		int at = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");

		for (int i = 1; i < n; i++)
			at += snprintf(text + at, sizeof(text) - (size_t)at, "X%d: y\r\n", i);
		snprintf(text + at, sizeof(text) - (size_t)at, "\r\n");
		try_head(TRY_REQUEST, slice_str(text), &try_limits, &t);
		assert_int_equal(t.reason, n <= 100 ? REASON_NONE : REASON_FIELD_COUNT);
		try_free(&t);
	}
}

static void test_L18_underscore_twins_dropped(void **state)
{
	static const char *const twins[] = {
		"Content_Length", "Transfer_Encoding", "X_Forwarded_For", "X_Forwarded-For",
		"CONTENT_TYPE",	  "proxy_connection",  "Max_Forwards",
	};
	char line[128];
	struct try_result t;

	(void)state;
	for (size_t i = 0; i < COUNT(twins); i++) {
		snprintf(line, sizeof(line), "%s: 9\r\n", twins[i]);
		read_fields(line, &t);
		assert_true(find_field(&t, twins[i])->is_dropped);
		assert_int_equal(find_field(&t, twins[i])->id, FIELD_OTHER);
		assert_int_equal(t.head.framing, FRAMING_NONE);
		try_free(&t);
	}
	read_fields("X_Y: 1\r\nContent_Lengths: 2\r\n_: 3\r\nAn_Unknown_Name_That_Is_Long: 4\r\n",
		    &t);
	for (unsigned i = 0; i < t.head.n_fields; i++)
		assert_false(t.head.fields[i].is_dropped);
	try_free(&t);
}

static void test_L19_repeated_singletons_refused(void **state)
{
	static const struct refusal bad[] = {
		{"Host: a", REASON_FIELD_REPEATED},
		{"Content-Type: a/b\r\nContent-Type: a/b", REASON_FIELD_REPEATED},
		{"Content-Range: x\r\ncontent-range: x", REASON_FIELD_REPEATED},
		{"Content-Length: 2\r\nExpect: 100-continue\r\nExpect: 100-continue",
		 REASON_FIELD_REPEATED},
		{"Authorization: x\r\nX: y\r\nAUTHORIZATION: x", REASON_FIELD_REPEATED},
		{"Max-Forwards: 1\r\nMax-Forwards: 1", REASON_FIELD_REPEATED},
	};

	(void)state;
	assert_fields_refused(bad, COUNT(bad));
}

static void test_L20_order_and_unknown_fields_kept(void **state)
{
	static const char *const names[] = {"Host", "Accept", "X-B", "X-A", "x-b", "Accept"};
	struct try_result t;

	(void)state;
	read_fields("Accept: 1\r\nX-B: 2\r\nX-A: 3\r\nx-b: 4\r\nAccept: 5\r\n", &t);
	assert_int_equal(t.head.n_fields, COUNT(names));
	for (unsigned i = 0; i < COUNT(names); i++) {
		assert_slice(t.head.fields[i].name, names[i]);
		assert_false(t.head.fields[i].is_dropped);
	}
	try_free(&t);
}

static void test_content_fields_are_shown(void **state)
{
	struct try_result t;

	(void)state;
	read_fields("Content-Type: text/xml\r\nContent-Encoding: deflate\r\nDate: now\r\n", &t);
	assert_slice(t.head.content_type, "text/xml");
	assert_slice(t.head.content_encoding, "deflate");
	assert_true(t.head.has_date);
	try_free(&t);
	/* Two codings are none that may be taken off. */
	read_fields("Content-Encoding: deflate\r\nContent-Encoding: identity\r\n", &t);
	assert_slice(t.head.content_encoding, "several");
	try_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L1_lone_cr_refused),
		cmocka_unit_test(test_L1_lone_cr_behind_the_limit_of_the_head),
		cmocka_unit_test(test_L2_lone_lf_refused_at_once),
		cmocka_unit_test(test_L3_folded_line_refused),
		cmocka_unit_test(test_L4_space_before_colon_refused),
		cmocka_unit_test(test_L5_space_before_first_field_refused),
		cmocka_unit_test(test_L6_names_refused),
		cmocka_unit_test(test_L7_every_byte_of_a_value),
		cmocka_unit_test(test_L7_controls_refused_and_high_bytes_kept),
		cmocka_unit_test(test_field_value_is_trimmed),
		cmocka_unit_test(test_L13_host_needed_once_and_valid),
		cmocka_unit_test(test_L13_host_length_limit),
		cmocka_unit_test(test_L14_http10_without_host),
		cmocka_unit_test(test_L17_field_line_limit),
		cmocka_unit_test(test_L17_header_section_limit),
		cmocka_unit_test(test_L17_limits_shrunk_in_the_middle_of_a_head),
		cmocka_unit_test(test_L17_field_count_limit),
		cmocka_unit_test(test_L18_underscore_twins_dropped),
		cmocka_unit_test(test_L19_repeated_singletons_refused),
		cmocka_unit_test(test_L20_order_and_unknown_fields_kept),
		cmocka_unit_test(test_content_fields_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
