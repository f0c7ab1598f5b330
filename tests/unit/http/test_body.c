#include "proxy/http/body.h"
#include "proxy/http/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct http_body_limits limits = {.chunk_ext = 64, .trailers = 64};

struct outcome {
	enum body_rc rc; /* the last one */
	enum reason reason;
	size_t used;
	size_t n;
	char data[256];
};

/* All of in, in pieces of step bytes; every piece in memory of its own size. */
static struct outcome decode(struct http_body b, const struct http_body_limits *lim,
			     struct slice in, size_t step)
{
	struct outcome o = {.rc = BODY_MORE};
	size_t at = 0;

	do {
		size_t n = in.n - at > step ? step : in.n - at, used;
		char *piece = malloc(n > 0 ? n : 1);
		struct slice data;

		assert_non_null(piece);
		memcpy(piece, in.p + at, n);
		o.rc = http_body_next(&b, lim, slice_make(piece, n), &used, &data);
		assert_true(used <= n);
		if (o.rc == BODY_DATA) {
			assert_true(data.n > 0 && data.p >= piece &&
				    data.p + data.n == piece + used);
			assert_true(o.n + data.n <= sizeof(o.data));
			memcpy(o.data + o.n, data.p, data.n);
			o.n += data.n;
		}
		if (o.rc == BODY_MORE)
			assert_int_equal(used, n);
		at += used;
		free(piece);
	} while (o.rc == BODY_DATA || (o.rc == BODY_MORE && at < in.n));
	o.used = at;
	o.reason = b.reason;
	assert_int_equal(b.total, o.n);
	return o;
}

static struct outcome decode_all_ways(struct http_body b, const struct http_body_limits *lim,
				      struct slice in)
{
	static const size_t steps[] = {1, 7};
	struct outcome whole = decode(b, lim, in, in.n + 1), o;

	for (size_t i = 0; i < COUNT(steps); i++) {
		o = decode(b, lim, in, steps[i]);
		assert_int_equal(o.rc, whole.rc);
		assert_int_equal(o.reason, whole.reason);
		assert_int_equal(o.used, whole.used);
		assert_int_equal(o.n, whole.n);
		assert_memory_equal(o.data, whole.data, o.n);
	}
	return whole;
}

static struct http_body body_of(enum framing framing, uint64_t length, unsigned status)
{
	struct http_head head = {.framing = framing, .length = length, .status = (uint16_t)status};
	struct http_body b;

	http_body_init(&b, &head);
	return b;
}

static struct outcome chunked(const char *text)
{
	return decode_all_ways(body_of(FRAMING_CHUNKED, 0, 0), &limits, slice_str(text));
}

static void assert_chunked(const char *text, const char *data)
{
	struct outcome o = chunked(text);

	if (o.rc != BODY_END || o.n != strlen(data) || memcmp(o.data, data, o.n) != 0)
		fail_msg("rc %d (%s), %zu bytes: %s", (int)o.rc, reason_table[o.reason].word, o.n,
			 text);
	assert_int_equal(o.used, strlen(text));
}

static void assert_chunked_bad(const char *text, enum reason reason)
{
	struct outcome o = chunked(text);

	if (o.rc != BODY_BAD || o.reason != reason)
		fail_msg("rc %d, %s instead of %s: %s", (int)o.rc, reason_table[o.reason].word,
			 reason_table[reason].word, text);
}

static void test_body_none_ends_at_once(void **state)
{
	struct outcome o;

	(void)state;
	o = decode_all_ways(body_of(FRAMING_NONE, 0, 0), &limits, SLICE("GET /"));
	assert_int_equal(o.rc, BODY_END);
	assert_int_equal(o.used, 0);
	o = decode_all_ways(body_of(FRAMING_LENGTH, 0, 0), &limits, SLICE("GET /"));
	assert_int_equal(o.rc, BODY_END);
	assert_int_equal(o.used, 0);
}

static void test_F19_body_by_length_leaves_the_next_request(void **state)
{
	struct outcome o = decode_all_ways(body_of(FRAMING_LENGTH, 5, 0), &limits,
					   SLICE("helloGET / HTTP/1.1\r\n"));

	(void)state;
	assert_int_equal(o.rc, BODY_END);
	assert_int_equal(o.used, 5);
	assert_memory_equal(o.data, "hello", 5);
}

static void test_F16_incomplete_body_never_ends(void **state)
{
	static const char *const cut[] = {
		"",
		"5",
		"5\r",
		"5\r\n",
		"5\r\nhel",
		"5\r\nhello",
		"5\r\nhello\r\n",
		"5\r\nhello\r\n0",
		"5\r\nhello\r\n0\r\n",
		"5\r\nhello\r\n0\r\n\r",
		"5\r\nhello\r\n0\r\nX: y\r\n",
	};
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < COUNT(cut); i++)
		assert_int_equal(chunked(cut[i]).rc, BODY_MORE);
	o = decode_all_ways(body_of(FRAMING_LENGTH, 6, 0), &limits, SLICE("hello"));
	assert_int_equal(o.rc, BODY_MORE);
	assert_int_equal(o.n, 5);
}

static void test_body_until_close_takes_everything(void **state)
{
	struct outcome o = decode_all_ways(body_of(FRAMING_CLOSE, 0, 200), &limits, SLICE("hello"));

	(void)state;
	assert_int_equal(o.rc, BODY_MORE);
	assert_memory_equal(o.data, "hello", 5);
}

static void test_chunked_data_given_out(void **state)
{
	struct outcome o;

	(void)state;
	assert_chunked("0\r\n\r\n", "");
	assert_chunked("5\r\nhello\r\n0\r\n\r\n", "hello");
	assert_chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world");
	assert_chunked("A\r\n0123456789\r\n000\r\n\r\n", "0123456789");
	assert_chunked("0000000000000001\r\nx\r\n0\r\n\r\n", "x");
	assert_chunked("1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", "\r\n");
	o = chunked("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
	assert_int_equal(o.rc, BODY_END);
	assert_int_equal(o.used, 11);
}

static void test_F10_chunk_size_range(void **state)
{
	struct outcome o;

	(void)state;
	assert_chunked_bad("8000000000000000\r\n", REASON_CHUNK_RANGE);
	assert_chunked_bad("ffffffffffffffff\r\n", REASON_CHUNK_RANGE);
	assert_chunked_bad("10000000000000005\r\n", REASON_CHUNK_RANGE);
	assert_chunked_bad("00000000000000005\r\n", REASON_CHUNK_RANGE);
	o = chunked("7fffffffffffffff\r\nx");
	assert_int_equal(o.rc, BODY_MORE);
	assert_int_equal(o.n, 1);
	o = chunked("7FFFFFFFFFFFFFFE\r\nx");
	assert_int_equal(o.rc, BODY_MORE);
}

static void test_F11_chunk_size_forms_refused(void **state)
{
	static const char *const bad[] = {
		"+5\r\n",   "-5\r\n",  "0x5\r\n", "1_0\r\n",	      " 5\r\n",
		"5 \r\n",   "5\t\r\n", "\r\n",	  ";a\r\n",	      "g\r\n",
		"5 ;a\r\n", "5,\r\n",  "5h\r\n",  "\xef\xbc\x95\r\n", "\"5\"\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_chunked_bad(bad[i], REASON_CHUNK_SIZE);
}

static void test_F12_chunk_data_of_another_length_refused(void **state)
{
	(void)state;
	assert_chunked_bad("5\r\nhello!\r\n0\r\n\r\n", REASON_CHUNK_DATA);
	assert_chunked_bad("5\r\nhell\r\n0\r\n\r\n", REASON_CHUNK_DATA);
	assert_chunked_bad("5\r\nhello0\r\n\r\n", REASON_CHUNK_DATA);
	assert_chunked_bad("3\r\nfoo\r\n\r\n", REASON_CHUNK_SIZE);
}

static void test_F13_lone_cr_or_lf_refused(void **state)
{
	(void)state;
	assert_chunked_bad("5\nhello\r\n", REASON_CHUNK_SIZE);
	assert_chunked_bad("5\rhello\r\n", REASON_CHUNK_SIZE);
	assert_chunked_bad("5\r\r\nhello\r\n", REASON_CHUNK_SIZE);
	assert_chunked_bad("5\r\nhello\n0\r\n\r\n", REASON_CHUNK_DATA);
	assert_chunked_bad("5\r\nhello\r0\r\n\r\n", REASON_CHUNK_DATA);
	assert_chunked_bad("5;a\nhello\r\n", REASON_CHUNK_EXT);
	assert_chunked_bad("5;a\rhello\r\n", REASON_CHUNK_SIZE);
	assert_chunked_bad("5;\nhello\r\n", REASON_CHUNK_EXT);
	assert_chunked_bad("0\r\n\n", REASON_TRAILER_BAD);
	assert_chunked_bad("0\r\n\rX", REASON_TRAILER_BAD);
	assert_chunked_bad("0\r\nX: y\n\r\n", REASON_TRAILER_BAD);
	assert_chunked_bad("0\r\nX: y\rz\r\n\r\n", REASON_TRAILER_BAD);
}

static void test_F14_chunk_extensions_checked_and_dropped(void **state)
{
	static const char *const bad[] = {
		"5;\r\n",      "5;;a\r\n",	   "5;a=\r\n",		 "5;=b\r\n",
		"5;a=b=c\r\n", "5;a[\r\n",	   "5; a\r\n",		 "5;a =b\r\n",
		"5;a= b\r\n",  "5;a;\r\n",	   "5;a=\"b\r\n",	 "5;a=\"b\"c\r\n",
		"5;\x01\r\n",  "5;a=\"\x01\"\r\n", "5;a=\"\\\x7f\"\r\n", "5;a=b\"c\"\r\n",
	};

	(void)state;
	assert_chunked("5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello");
	assert_chunked("5;a=\"x;\\\"\t\xff\\\\\";b;c=d\r\nhello\r\n0\r\n\r\n", "hello");
	assert_chunked("5;a=\"\"\r\nhello\r\n0\r\n\r\n", "hello");
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_chunked_bad(bad[i], REASON_CHUNK_EXT);
}

static void test_F14_chunk_extension_limit_of_a_message(void **state)
{
	char text[256];

	(void)state;
	/* ";" and 31 more twice is 64. */
	snprintf(text, sizeof(text), "1;%031d\r\nx\r\n1;%030d\r\ny\r\n0\r\n\r\n", 0, 0);
	assert_chunked(text, "xy");
	snprintf(text, sizeof(text), "1;%031d\r\nx\r\n1;%031d\r\ny\r\n0\r\n\r\n", 0, 0);
	assert_chunked(text, "xy");
	snprintf(text, sizeof(text), "1;%031d\r\nx\r\n1;%032d\r\ny\r\n0\r\n\r\n", 0, 0);
	assert_chunked_bad(text, REASON_CHUNK_EXT);
	/* Refused before the line ends. */
	snprintf(text, sizeof(text), "1;%064d", 0);
	assert_chunked_bad(text, REASON_CHUNK_EXT);
}

static void test_F15_trailers_checked_and_dropped(void **state)
{
	static const char *const forbidden[] = {
		"Content-Length",
		"transfer-encoding",
		"Host",
		"Authorization",
		"Content-Type",
		"Content-Encoding",
		"Content-Range",
		"Trailer",
		"TE",
		"Connection",
		"Cookie",
		"Set-Cookie",
		"X-Forwarded-For",
		"Proxy-Authorization",
		"Content_Length",
		"Expect",
		"Max-Forwards",
		"WWW-Authenticate",
		"Cache-Control",
		"Range",
	};
	static const char *const malformed[] = {
		"X",	 "X y: z",  ": y",     " X: y",		"\tX: y",
		"X : y", "X: \x01", "X: \x7f", "X: a\r\n b: c",
	};
	char text[256];

	(void)state;
	assert_chunked("1\r\nx\r\n0\r\nX-Sum: abc\r\nETag:\r\nDate: now\t\xff\r\n\r\n", "x");
	assert_chunked("0\r\nA-Name-That-Is-Longer-Than-Twenty: x\r\n\r\n", "");
	assert_chunked("0\r\nproxy-authorization2: x\r\n\r\n", "");
	for (size_t i = 0; i < COUNT(forbidden); i++) {
		snprintf(text, sizeof(text), "0\r\nX: y\r\n%s: 5\r\n\r\n", forbidden[i]);
		assert_chunked_bad(text, REASON_TRAILER_BAD);
	}
	for (size_t i = 0; i < COUNT(malformed); i++) {
		snprintf(text, sizeof(text), "0\r\n%s\r\n\r\n", malformed[i]);
		assert_chunked_bad(text, REASON_TRAILER_BAD);
	}
}

static void test_F15_trailer_limit(void **state)
{
	const struct http_body_limits none = {0};
	char text[256];
	struct outcome o;

	(void)state;
	for (int n = 63; n <= 65; n++) {
		snprintf(text, sizeof(text), "0\r\nX: %0*d\r\n\r\n", n - 5, 0);
		if (n <= 64)
			assert_chunked(text, "");
		else
			assert_chunked_bad(text, REASON_TRAILER_LONG);
	}
	o = decode_all_ways(body_of(FRAMING_CHUNKED, 0, 0), &none, SLICE("0\r\n\r\n"));
	assert_int_equal(o.rc, BODY_END);
	o = decode_all_ways(body_of(FRAMING_CHUNKED, 0, 0), &none, SLICE("0\r\nX: y\r\n\r\n"));
	assert_int_equal(o.reason, REASON_TRAILER_LONG);
}

static void test_L17_body_limit(void **state)
{
	char text[64];

	(void)state;
	for (uint64_t max = 9; max <= 11; max++) {
		const struct http_body_limits lim = {.trailers = 64, .body = max};
		enum body_rc rc = max >= 10 ? BODY_END : BODY_BAD;
		enum reason reason = max >= 10 ? REASON_NONE : REASON_BODY_LONG;
		struct outcome o;

		o = decode_all_ways(body_of(FRAMING_LENGTH, 10, 0), &lim, SLICE("0123456789"));
		assert_int_equal(o.rc, rc);
		assert_int_equal(o.reason, reason);
		snprintf(text, sizeof(text), "4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n");
		o = decode_all_ways(body_of(FRAMING_CHUNKED, 0, 0), &lim, slice_str(text));
		assert_int_equal(o.rc, rc);
		assert_int_equal(o.reason, reason);
		assert_int_equal(o.n, max >= 10 ? 10 : 4);
		o = decode(body_of(FRAMING_CLOSE, 0, 200), &lim, SLICE("0123456789"), 5);
		assert_int_equal(o.rc, max >= 10 ? BODY_MORE : BODY_BAD);
	}
	assert_int_equal(reason_table[REASON_BODY_LONG].status, 413);
}

static void test_R5_faults_of_a_response_have_their_own_reason(void **state)
{
	static const char *const bad[] = {"x\r\n", "1\r\nxy", "0\r\nHost: a\r\n", "1;\r\n", "\n"};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct outcome o = decode_all_ways(body_of(FRAMING_CHUNKED, 0, 200), &limits,
						   slice_str(bad[i]));

		assert_int_equal(o.rc, BODY_BAD);
		assert_int_equal(o.reason, REASON_RESPONSE_BAD);
	}
}

static void test_body_refused_stays_refused(void **state)
{
	struct http_body b = body_of(FRAMING_CHUNKED, 0, 0);
	struct slice data;
	size_t used;

	(void)state;
	assert_int_equal(http_body_next(&b, &limits, SLICE("x"), &used, &data), BODY_BAD);
	assert_int_equal(http_body_next(&b, &limits, SLICE("0\r\n\r\n"), &used, &data), BODY_BAD);
	assert_int_equal(used, 0);
}

static void test_body_ended_stays_ended(void **state)
{
	struct http_body b = body_of(FRAMING_CHUNKED, 0, 0);
	struct slice data;
	size_t used;

	(void)state;
	assert_int_equal(http_body_next(&b, &limits, SLICE("0\r\n\r\n"), &used, &data), BODY_END);
	assert_int_equal(used, 5);
	assert_true(b.is_done);
	assert_int_equal(http_body_next(&b, &limits, SLICE("1\r\n"), &used, &data), BODY_END);
	assert_int_equal(used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_none_ends_at_once),
		cmocka_unit_test(test_F19_body_by_length_leaves_the_next_request),
		cmocka_unit_test(test_F16_incomplete_body_never_ends),
		cmocka_unit_test(test_body_until_close_takes_everything),
		cmocka_unit_test(test_chunked_data_given_out),
		cmocka_unit_test(test_F10_chunk_size_range),
		cmocka_unit_test(test_F11_chunk_size_forms_refused),
		cmocka_unit_test(test_F12_chunk_data_of_another_length_refused),
		cmocka_unit_test(test_F13_lone_cr_or_lf_refused),
		cmocka_unit_test(test_F14_chunk_extensions_checked_and_dropped),
		cmocka_unit_test(test_F14_chunk_extension_limit_of_a_message),
		cmocka_unit_test(test_F15_trailers_checked_and_dropped),
		cmocka_unit_test(test_F15_trailer_limit),
		cmocka_unit_test(test_L17_body_limit),
		cmocka_unit_test(test_R5_faults_of_a_response_have_their_own_reason),
		cmocka_unit_test(test_body_refused_stays_refused),
		cmocka_unit_test(test_body_ended_stays_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
