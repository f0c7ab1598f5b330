#include "tests/unit/http/try.h"

#include "proxy/http/emit.h"

#include <string.h>

static void assert_said(const struct changes *c, const char *expected)
{
	struct strbuf out;

	strbuf_init(&out, 4096);
	changes_put(c, &out);
	strbuf_put(&out, slice_make("", 1));
	assert_true(strbuf_ok(&out));
	assert_string_equal(out.p, expected);
	strbuf_fini(&out);
}

/* What becomes different of a request, with names and by words alone. */
static void assert_request(const char *in, bool is_trusted, const char *with_names,
			   const char *words)
{
	for (int i = 0; i < 2; i++) {
		struct changes c = {.wants_names = i == 0};
		const struct emit_request how = {.peer = {"192.0.2.9", 9},
						 .default_host = {"mp.local", 8},
						 .pseudonym = {"weir", 4},
						 .is_trusted = is_trusted,
						 .max_forwards = -1,
						 .changes = &c};
		struct try_result t;
		struct strbuf out;

		strbuf_init(&out, 65536);
		read_good(TRY_REQUEST, in, &t);
		emit_request_head(&out, &t.head, &how);
		assert_said(&c, i == 0 ? with_names : words);
		strbuf_fini(&out);
		try_free(&t);
	}
}

static void test_changes_of_a_plain_request(void **state)
{
	(void)state;
	assert_request("GET / HTTP/1.1\r\nHost: mp\r\n\r\n", false, " added=via,peer_address",
		       " added=via,peer_address");
}

static void test_changes_name_dropped_fields_and_why(void **state)
{
	(void)state;
	assert_request("GET / HTTP/1.1\r\nHost: mp\r\nConnection: x-a\r\nX-A: 1\r\nTE: trailers\r\n"
		       "Content_Length: 3\r\nForwarded: for=a\r\nExpect: 100-continue\r\n\r\n",
		       false,
		       " dropped=Connection:hop_by_hop,X-A:connection_option,TE:hop_by_hop,"
		       "Content_Length:underscore_twin,Forwarded:untrusted_forwarding,"
		       "Expect:expect_met added=via,peer_address",
		       " dropped=hop_by_hop,connection_option,underscore_twin,"
		       "untrusted_forwarding,expect_met added=via,peer_address");
}

static void test_changes_trusted_peer_keeps_its_word(void **state)
{
	(void)state;
	assert_request(
		"GET / HTTP/1.1\r\nHost: mp\r\nForwarded: for=a\r\nX-Forwarded-Host: b\r\n\r\n",
		true, " added=via,peer_address", " added=via,peer_address");
}

static void test_changes_of_target_and_host(void **state)
{
	(void)state;
	assert_request("GET http://mp/x HTTP/1.1\r\nHost: mp\r\n\r\n", false,
		       " added=via,peer_address rewritten=target_form",
		       " added=via,peer_address rewritten=target_form");
	assert_request("GET / HTTP/1.0\r\n\r\n", false, " added=via,peer_address,default_host",
		       " added=via,peer_address,default_host");
}

static void test_changes_framing_said_anew_is_no_drop(void **state)
{
	(void)state;
	assert_request("POST / HTTP/1.1\r\nHost: mp\r\nTransfer-Encoding: chunked\r\n\r\n", false,
		       " added=via,peer_address", " added=via,peer_address");
}

static void assert_response(const char *in, uint8_t minor, const char *expected)
{
	struct changes c = {.wants_names = true};
	const struct emit_response how = {
		.minor = minor, .keep_alive = true, .date = "today", .changes = &c};
	struct try_result t;
	struct strbuf out;

	strbuf_init(&out, 65536);
	read_good(TRY_RESPONSE, in, &t);
	(void)emit_response_head(&out, &t.head, &how);
	assert_said(&c, expected);
	strbuf_fini(&out);
	try_free(&t);
}

static void test_changes_of_responses(void **state)
{
	(void)state;
	assert_response("HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 3\r\n\r\n", 1, "");
	assert_response("HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nContent-Length: 3\r\n\r\n", 1,
			" dropped=Keep-Alive:hop_by_hop added=date");
	assert_response("HTTP/1.1 204 No\r\nDate: d\r\nContent-Length: 0\r\n\r\n", 1,
			" dropped=Content-Length:framing_without_body");
	assert_response("HTTP/1.1 200 OK\r\nDate: d\r\n\r\n", 1, " rewritten=framing");
	assert_response("HTTP/1.1 200 OK\r\nDate: d\r\n\r\n", 0, "");
	assert_response("HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n", 1, "");
	assert_response("HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
			" rewritten=framing");
}

static void test_changes_note_nobody_asks(void **state)
{
	(void)state;
	changes_note(NULL, CHANGE_VIA, SLICE(""));
}

/* Names at limit - 1, limit and limit + 1 of their room. */
static void test_changes_note_more_names_than_room(void **state)
{
	char name[CHANGES_NAMES];
	size_t word = strlen(":underscore_twin");

	(void)state;
	memset(name, 'n', sizeof(name));
	for (size_t d = 0; d < 3; d++) {
		struct changes c = {.wants_names = true};

		changes_note(&c, CHANGE_TWIN, slice_make(name, CHANGES_NAMES - word - 1 + d));
		assert_int_equal(c.has_more, d == 2);
		assert_int_equal(c.n, d == 2 ? 0 : CHANGES_NAMES - 1 + d);
		if (d == 2)
			assert_said(&c, " dropped=underscore_twin");
		/* The next one has no room, and is not half said. */
		changes_note(&c, CHANGE_TWIN, slice_make(name, 150));
		assert_true(c.has_more);
	}
}

static void test_changes_put_says_that_names_are_missing(void **state)
{
	struct changes c = {.wants_names = true};
	char name[CHANGES_NAMES];

	(void)state;
	memset(name, 'n', sizeof(name));
	changes_note(&c, CHANGE_TWIN, SLICE("A_B"));
	changes_note(&c, CHANGE_TWIN, slice_make(name, sizeof(name)));
	changes_note(&c, CHANGE_TRAILERS, SLICE(""));
	assert_said(&c, " dropped=A_B:underscore_twin,...,trailers");
}

static void test_changes_every_row_is_a_word_with_a_text(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CHANGE_COUNT; i++) {
		const struct change_info *info = &change_table[i];

		assert_true(info->kind < CHANGE_KINDS);
		assert_true(strspn(info->word, "abcdefghijklmnopqrstuvwxyz_") ==
			    strlen(info->word));
		assert_true(strlen(info->text) > 3);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(info->word, change_table[j].word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_of_a_plain_request),
		cmocka_unit_test(test_changes_name_dropped_fields_and_why),
		cmocka_unit_test(test_changes_trusted_peer_keeps_its_word),
		cmocka_unit_test(test_changes_of_target_and_host),
		cmocka_unit_test(test_changes_framing_said_anew_is_no_drop),
		cmocka_unit_test(test_changes_of_responses),
		cmocka_unit_test(test_changes_note_nobody_asks),
		cmocka_unit_test(test_changes_note_more_names_than_room),
		cmocka_unit_test(test_changes_put_says_that_names_are_missing),
		cmocka_unit_test(test_changes_every_row_is_a_word_with_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
