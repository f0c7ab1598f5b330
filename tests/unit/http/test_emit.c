#include "tests/unit/http/try.h"

#include "proxy/http/emit.h"

#define DATE "Sun, 22 Nov 2026 10:11:12 GMT"

static const struct emit_request plain = {
	.peer = {"192.0.2.9", 9},
	.default_host = {"mp.local", 8},
	.pseudonym = {"weir", 4},
	.max_forwards = -1,
};

static void assert_emitted(struct strbuf *out, const char *expected)
{
	strbuf_put(out, slice_make("", 1));
	assert_true(strbuf_ok(out));
	assert_string_equal(out->p, expected);
	strbuf_fini(out);
}

static void assert_request(const char *in, const struct emit_request *how, const char *expected)
{
	struct try_result t;
	struct strbuf out;

	strbuf_init(&out, 65536);
	read_good(TRY_REQUEST, in, &t);
	emit_request_head(&out, &t.head, how);
	assert_emitted(&out, expected);
	try_free(&t);
}

static void assert_response(enum try_kind kind, const char *in, const struct emit_response *how,
			    enum framing framing, const char *expected)
{
	struct try_result t;
	struct strbuf out;

	strbuf_init(&out, 65536);
	read_good(kind, in, &t);
	assert_int_equal(emit_response_head(&out, &t.head, how), framing);
	assert_emitted(&out, expected);
	try_free(&t);
}

static void test_L20_order_and_bytes_of_fields_kept(void **state)
{
	(void)state;
	assert_request("CCM_POST /ccm_system/request?x HTTP/1.1\r\nAccept: */*\r\nHost: MP:80\r\n"
		       "x-B:  2 \t3 \r\nX-a:1\r\nx-b: \xfc\r\nContent-Length: 007\r\nZ:\r\n\r\n",
		       &plain,
		       "CCM_POST /ccm_system/request?x HTTP/1.1\r\nHost: MP:80\r\nAccept: */*\r\n"
		       "x-B: 2 \t3\r\nX-a: 1\r\nx-b: \xfc\r\nZ: \r\nContent-Length: 7\r\n"
		       "Via: 1.1 weir\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
}

static void test_F20_framing_is_made_anew(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};

	(void)state;
	assert_request("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n", &bare,
		       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n", &bare,
		       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", &bare,
		       "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void test_L10_target_bytes_unchanged(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};

	(void)state;
	assert_request("GET //a/../%2E%2e%00\\|\"?%0d? HTTP/1.1\r\nHost: a\r\n\r\n", &bare,
		       "GET //a/../%2E%2e%00\\|\"?%0d? HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_request("GET /? HTTP/1.1\r\nHost: a\r\n\r\n", &bare,
		       "GET /? HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &bare,
		       "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void test_L11_absolute_form_becomes_origin_form(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};

	(void)state;
	assert_request("GET http://A:80/x?y HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", &bare,
		       "GET /x?y HTTP/1.1\r\nHost: A:80\r\nX: y\r\n\r\n");
	assert_request("GET http://a?y HTTP/1.1\r\nHost: a\r\n\r\n", &bare,
		       "GET /?y HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", &bare,
		       "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void test_L14_http10_gets_our_host(void **state)
{
	(void)state;
	assert_request("GET /x HTTP/1.0\r\n\r\n", &plain,
		       "GET /x HTTP/1.1\r\nHost: mp.local\r\nVia: 1.0 weir\r\n"
		       "X-Forwarded-For: 192.0.2.9\r\n\r\n");
}

static void test_L18_twins_left_out(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};

	(void)state;
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\nX_Y: 2\r\n\r\n", &bare,
		       "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 2\r\n\r\n");
}

static void test_W1_hop_by_hop_fields_removed(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};

	(void)state;
	assert_request(
		"GET / HTTP/1.1\r\nHost: a\r\nMine: 1\r\nConnection: mine, close\r\n"
		"Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: x\r\n"
		"Upgrade: h2c\r\nProxy-Authenticate: x\r\nProxy-Authorization: x\r\nB: 2\r\n\r\n",
		&bare, "GET / HTTP/1.1\r\nHost: a\r\nB: 2\r\n\r\n");
}

static void test_W3_via_appended_behind_others(void **state)
{
	static const struct emit_request via = {.pseudonym = {"weir", 4}, .max_forwards = -1};

	(void)state;
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x, 1.1 y\r\nB: 2\r\n\r\n", &via,
		       "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x, 1.1 y\r\nB: 2\r\n"
		       "Via: 1.1 weir\r\n\r\n");
}

static void test_W4_our_own_version(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};

	(void)state;
	assert_request("GET / HTTP/1.0\r\nHost: a\r\n\r\n", &bare,
		       "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_request("GET / HTTP/1.7\r\nHost: a\r\n\r\n", &bare,
		       "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#define FORWARDED                                                                 \
	"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nForwarded: for=2\r\n" \
	"X-Forwarded-Proto: http\r\nX-Forwarded-Host: b\r\nx-forwarded-for: 3\r\nB: 4\r\n\r\n"

static void test_W5_forwarding_fields_of_strangers_dropped(void **state)
{
	static const struct emit_request stranger = {.peer = {"2001:db8::1", 11},
						     .max_forwards = -1};

	(void)state;
	assert_request(FORWARDED, &stranger,
		       "GET / HTTP/1.1\r\nHost: a\r\nB: 4\r\nX-Forwarded-For: 2001:db8::1\r\n\r\n");
}

static void test_W5_forwarding_fields_of_trusted_peers_continued(void **state)
{
	static const struct emit_request v4 = {
		.peer = {"192.0.2.9", 9}, .is_trusted = true, .max_forwards = -1};
	static const struct emit_request v6 = {
		.peer = {"2001:db8::1", 11}, .is_trusted = true, .max_forwards = -1};
	static const struct emit_request nobody = {.is_trusted = true, .max_forwards = -1};

	(void)state;
	assert_request(FORWARDED, &v4,
		       "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n"
		       "Forwarded: for=2, for=192.0.2.9\r\nX-Forwarded-Proto: http\r\n"
		       "X-Forwarded-Host: b\r\nx-forwarded-for: 3, 192.0.2.9\r\nB: 4\r\n\r\n");
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=x\r\n\r\n", &v6,
		       "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=x, for=\"[2001:db8::1]\"\r\n"
		       "X-Forwarded-For: 2001:db8::1\r\n\r\n");
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For:\r\n\r\n", &v4,
		       "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 7\r\n\r\n", &nobody,
		       "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 7\r\n\r\n");
}

static void test_W6_max_forwards_written_only_where_it_stood(void **state)
{
	static const struct emit_request less = {.max_forwards = 6};
	static const struct emit_request same = {.max_forwards = -1};

	(void)state;
	assert_request("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n", &less,
		       "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 6\r\n\r\n");
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n", &same,
		       "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n");
	assert_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &less,
		       "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void test_W10_logon_fields_unchanged(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};
	static const struct emit_response how = {.minor = 1, .keep_alive = true, .date = DATE};

	(void)state;
	assert_request("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: NTLM Tl==\r\n\r\n", &bare,
		       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: NTLM Tl==\r\n\r\n");
	assert_response(TRY_RESPONSE,
			"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nAllow: X\r\n"
			"WWW-Authenticate: Negotiate\r\nContent-Length: 0\r\nDate: then\r\n\r\n",
			&how, FRAMING_NONE,
			"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nAllow: X\r\n"
			"WWW-Authenticate: Negotiate\r\nDate: then\r\nContent-Length: 0\r\n\r\n");
}

static void test_W10_date_added_where_missing(void **state)
{
	static const struct emit_response how = {.minor = 1, .keep_alive = true, .date = DATE};

	(void)state;
	assert_response(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n", &how,
			FRAMING_LENGTH,
			"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\nDate: " DATE "\r\n\r\n");
}

static void test_R1_interim_heads_carry_nothing_of_ours(void **state)
{
	static const struct emit_response how = {.minor = 1, .keep_alive = false, .date = DATE};

	(void)state;
	assert_response(TRY_RESPONSE, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", &how,
			FRAMING_NONE, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

static void test_R2_length_of_what_is_not_sent(void **state)
{
	static const struct emit_response head = {.minor = 1, .keep_alive = true, .is_head = true};
	static const struct emit_response get = {.minor = 1, .keep_alive = true};

	(void)state;
	assert_response(TRY_RESPONSE_TO_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\n",
			&head, FRAMING_NONE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	assert_response(TRY_RESPONSE_TO_HEAD,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &head,
			FRAMING_NONE, "HTTP/1.1 200 OK\r\n\r\n");
	assert_response(TRY_RESPONSE, "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", &get,
			FRAMING_NONE, "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n");
	assert_response(TRY_RESPONSE, "HTTP/1.1 304 Same\r\n\r\n", &get, FRAMING_NONE,
			"HTTP/1.1 304 Same\r\n\r\n");
}

static void test_R3_no_framing_with_204(void **state)
{
	static const struct emit_response how = {.minor = 1, .keep_alive = true};

	(void)state;
	assert_response(TRY_RESPONSE, "HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n", &how,
			FRAMING_NONE, "HTTP/1.1 204 None\r\n\r\n");
	assert_response(TRY_RESPONSE, "HTTP/1.1 100 Go\r\nTransfer-Encoding: chunked\r\n\r\n", &how,
			FRAMING_NONE, "HTTP/1.1 100 Go\r\n\r\n");
}

static void test_R8_framing_towards_the_client(void **state)
{
	static const struct emit_response new = {.minor = 1, .keep_alive = true};
	static const struct emit_response old = {.minor = 0, .keep_alive = true};
	static const struct emit_response last = {.minor = 1, .keep_alive = false};

	(void)state;
	assert_response(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &new,
			FRAMING_CHUNKED, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_response(TRY_RESPONSE, "HTTP/1.0 200 OK\r\n\r\n", &old, FRAMING_CLOSE,
			"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	assert_response(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &old,
			FRAMING_CLOSE, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	assert_response(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &old,
			FRAMING_LENGTH,
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
	assert_response(TRY_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &last,
			FRAMING_NONE,
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void test_response_of_our_own_making_is_framed(void **state)
{
	static const struct emit_response how = {.minor = 1, .keep_alive = true};
	static const struct http_head head = {.status = 200, .reason = {"OK", 2}};
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 256);
	assert_int_equal(emit_response_head(&out, &head, &how), FRAMING_NONE);
	assert_emitted(&out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void test_response_hops_removed_and_via_added(void **state)
{
	static const struct emit_response how = {
		.minor = 1, .keep_alive = true, .pseudonym = {"weir", 4}};

	(void)state;
	assert_response(
		TRY_RESPONSE,
		"HTTP/1.0 200 OK\r\nConnection: keep-alive, x\r\nKeep-Alive: 5\r\nX: 1\r\n"
		"Upgrade: h2\r\nTrailer: t\r\nServer: IIS\r\nContent-Length: 1\r\n\r\n",
		&how, FRAMING_LENGTH,
		"HTTP/1.1 200 OK\r\nServer: IIS\r\nContent-Length: 1\r\nVia: 1.0 weir\r\n\r\n");
}

static void test_emit_error_is_a_whole_answer(void **state)
{
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 4096);
	emit_error(&out, REASON_BARE_LF, false, false, DATE, 0);
	assert_emitted(&out, "HTTP/1.1 400 Bad Request\r\nDate: " DATE "\r\n"
			     "Content-Type: text/plain\r\nContent-Length: 47\r\n"
			     "Connection: close\r\n\r\n"
			     "bare_lf: a line feed without a carriage return\n");
}

static void test_emit_error_variants(void **state)
{
	struct strbuf out;
	struct slice s;

	(void)state;
	strbuf_init(&out, 4096);
	emit_error(&out, REASON_IN_DOUBT, true, true, DATE, 7);
	s = strbuf_slice(&out);
	assert_non_null(memmem(s.p, s.n, "\r\nRetry-After: 7\r\n", 18));
	assert_non_null(memmem(s.p, s.n, "\r\nConnection: keep-alive\r\n", 26));
	assert_memory_equal(s.p + s.n - 4, "\r\n\r\n", 4);
	strbuf_reset(&out);
	emit_error(&out, REASON_METHOD_TRACE, false, false, DATE, 0);
	s = strbuf_slice(&out);
	assert_non_null(memmem(s.p, s.n, "\r\nAllow: GET, ", 14));
	strbuf_reset(&out);
	emit_error(&out, REASON_IDLE, false, false, DATE, 0);
	assert_int_equal(out.n, 0);
	strbuf_fini(&out);
}

/* Each reason with a status makes a response that our own reader takes. */
static void test_emit_error_every_reason_reads_back(void **state)
{
	struct try_result t;
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 4096);
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		strbuf_reset(&out);
		emit_error(&out, (enum reason)i, i % 2 == 0, false, DATE, i);
		assert_int_equal(out.n == 0, reason_table[i].status == 0);
		if (out.n == 0)
			continue;
		try_head(TRY_RESPONSE, strbuf_slice(&out), &try_limits, &t);
		assert_int_equal(t.rc, HTTP_HEAD);
		assert_int_equal(t.head.status, reason_table[i].status);
		assert_int_equal(t.head.keep_alive, i % 2 == 0);
		assert_int_equal(t.head.head_bytes + t.head.length, out.n);
		assert_false(slice_eq(t.head.reason, SLICE("Refused")));
		try_free(&t);
	}
	strbuf_fini(&out);
}

static void test_emit_past_the_bound_fails_whole(void **state)
{
	static const struct emit_request bare = {.max_forwards = -1};
	struct try_result t;
	struct strbuf out;

	(void)state;
	read_fields("X: y\r\n", &t);
	for (size_t cap = 1; cap < 40; cap++) {
		strbuf_init(&out, cap);
		emit_request_head(&out, &t.head, &bare);
		assert_int_equal(strbuf_ok(&out), cap >= 35);
		strbuf_fini(&out);
	}
	try_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L20_order_and_bytes_of_fields_kept),
		cmocka_unit_test(test_F20_framing_is_made_anew),
		cmocka_unit_test(test_L10_target_bytes_unchanged),
		cmocka_unit_test(test_L11_absolute_form_becomes_origin_form),
		cmocka_unit_test(test_L14_http10_gets_our_host),
		cmocka_unit_test(test_L18_twins_left_out),
		cmocka_unit_test(test_W1_hop_by_hop_fields_removed),
		cmocka_unit_test(test_W3_via_appended_behind_others),
		cmocka_unit_test(test_W4_our_own_version),
		cmocka_unit_test(test_W5_forwarding_fields_of_strangers_dropped),
		cmocka_unit_test(test_W5_forwarding_fields_of_trusted_peers_continued),
		cmocka_unit_test(test_W6_max_forwards_written_only_where_it_stood),
		cmocka_unit_test(test_W10_logon_fields_unchanged),
		cmocka_unit_test(test_W10_date_added_where_missing),
		cmocka_unit_test(test_R1_interim_heads_carry_nothing_of_ours),
		cmocka_unit_test(test_R2_length_of_what_is_not_sent),
		cmocka_unit_test(test_R3_no_framing_with_204),
		cmocka_unit_test(test_R8_framing_towards_the_client),
		cmocka_unit_test(test_response_of_our_own_making_is_framed),
		cmocka_unit_test(test_response_hops_removed_and_via_added),
		cmocka_unit_test(test_emit_error_is_a_whole_answer),
		cmocka_unit_test(test_emit_error_variants),
		cmocka_unit_test(test_emit_error_every_reason_reads_back),
		cmocka_unit_test(test_emit_past_the_bound_fails_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
