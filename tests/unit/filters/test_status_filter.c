/*
 * The whole filter: which heads it wants, what it makes of whole messages, and every
 * reason of the table of doubts at least once.
 */
#include "filters/status_filter.h"

#include "tests/unit/filters/try.h"

#include <errno.h>

#define LIMIT 4096 /* of the payload, where a limit is tried */

static void test_status_filter_init_lists_read(void **state)
{
	struct status_filter_conf conf = try_conf();
	struct status_filter f;

	(void)state;
	conf.paths = " /a ,, /b,";
	conf.message_ids = "1, 65535 ,0";
	assert_int_equal(status_filter_init(&f, &conf), 0);
	assert_int_equal(f.paths.n, 2);
	try_expect_text(f.paths.v[0], "/a", "first");
	try_expect_text(f.paths.v[1], "/b", "second");
	assert_int_equal(f.n_ids, 3);
	assert_int_equal(f.ids[0], 1);
	assert_int_equal(f.ids[1], 65535);
	assert_int_equal(f.ids[2], 0);
	assert_int_equal(f.match, STATUS_EITHER);
	assert_int_equal(f.max_inspect, 65536);
	assert_int_equal(f.max_inflated, 262144);
	assert_true(status_filter_scratch(&f) > 262144);
}

static void test_status_filter_init_bad_ids_refused(void **state)
{
	static const char *const cases[] = {"65536", "-1", "x", "1,2,x", "0x2A9B", "10907 10908"};
	struct status_filter_conf conf = try_conf();
	struct status_filter f;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		conf.message_ids = cases[i];
		assert_int_equal(status_filter_init(&f, &conf), -EINVAL);
	}
}

static void test_status_filter_init_lists_at_their_limit(void **state)
{
	static const char full[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16";
	static const char over[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17";
	struct status_filter f;

	(void)state;
	for (unsigned k = 0; k < 5; k++)
		for (unsigned is_over = 0; is_over < 2; is_over++) {
			struct status_filter_conf conf = try_conf();
			const char **lists[] = {&conf.paths, &conf.endpoints, &conf.types,
						&conf.message_ids, &conf.rule_properties};

			*lists[k] = is_over ? over : full;
			assert_int_equal(status_filter_init(&f, &conf), is_over ? -EINVAL : 0);
		}
}

static enum doubt interest(const struct status_filter *f, const struct http_head *head)
{
	return status_filter_ops.interest(f, head);
}

static void test_interest_candidate_wanted(void **state)
{
	static const char *const paths[] = {"/ccm_system/request", "/CCM_System/Request"};
	struct status_filter f = try_filter();

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		struct http_head head = try_head(&f, TRY_MULTIPART, 2065);

		head.path = slice_str(paths[i]);
		head.query = SLICE("a=b");
		try_expect_doubt(interest(&f, &head), DOUBT_NONE, paths[i]);
	}
}

static void test_interest_length_at_its_limit(void **state)
{
	struct status_filter f = try_filter();

	(void)state;
	for (uint64_t n = f.max_inspect - 1; n <= f.max_inspect + 1; n++) {
		struct http_head head = try_head(&f, TRY_MULTIPART, n);

		assert_true((interest(&f, &head) == DOUBT_NONE) == (n <= f.max_inspect));
	}
}

static void test_interest_others_left_alone(void **state)
{
	struct status_filter f = try_filter();
	const struct http_head usual = try_head(&f, TRY_MULTIPART, 2065);
	struct http_head heads[16];
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++)
		heads[i] = usual;
	heads[n++].method = SLICE("POST");
	heads[n++].method = SLICE("ccm_post");
	heads[n++].method = SLICE("CCM_POSTS");
	heads[n++].method = SLICE("BITS_POST");
	heads[n++].path = SLICE("/ccm_system_windowsauth/request");
	heads[n++].path = SLICE("/ccm_system/request/");
	heads[n++].path = SLICE("/ccm_system/reques");
	heads[n++].framing = FRAMING_CHUNKED;
	heads[n++].framing = FRAMING_NONE;
	heads[n++].length = UINT64_MAX;
	heads[n++].has_authorization = true;
	heads[n++].content_encoding = SLICE("gzip");
	heads[n++].content_encoding = SLICE("identity");
	heads[n++].content_type = SLICE("text/plain");
	heads[n++].content_type = SLICE("multipart/mixed");
	heads[n++].content_type = SLICE("");
	assert_int_equal(n, COUNT(heads));
	for (size_t i = 0; i < COUNT(heads); i++) {
		char of[16];

		snprintf(of, sizeof(of), "head %zu", i);
		try_expect_doubt(interest(&f, &heads[i]), DOUBT_NOT_MULTIPART, of);
	}
}

/* One message for each row of doubt.def; the last of these tests looks for rows without. */
#define XML_OF(inner) TRY_STATUS_OF(TRY_IS_RULE inner, TRY_IS_NUMBER)
static const struct {
	enum doubt doubt;
	struct try_msg m;
} doubts[] = {
	{DOUBT_NONE, {0}},
	{DOUBT_NOT_MULTIPART, {.content_type = "text/plain"}},
	{DOUBT_PARTS, {.content_type = "multipart/mixed; boundary=other"}},
	{DOUBT_PARTS, {.epilogue = "\r\n\r\nthird\r\n--" TRY_BOUNDARY "--"}},
	{DOUBT_PARTS, {.preamble = "This is a message in two parts.\r\n"}},
	{DOUBT_PART_HEAD, {.head = {"\r\nno field\r\n\r\n"}}},
	{DOUBT_ENVELOPE_ENCODING, {.prolog = "\ufeff"}},
	{DOUBT_ENVELOPE_XML, {.close = ""}},
	{DOUBT_ENVELOPE_ROOT, {.root = "<Report>", .close = "</Report>"}},
	{DOUBT_ENVELOPE_TWICE, {.more = "<ReplyMode>Sync</ReplyMode>"}},
	{DOUBT_ENDPOINT, {.endpoint = "<TargetEndpoint>MP_DdrEndpoint</TargetEndpoint>"}},
	{DOUBT_NOT_ASYNC, {.mode = "<ReplyMode>Sync</ReplyMode>"}},
	{DOUBT_PAYLOAD_KIND, {.payload = "<Payload Type='bits'/>"}},
	{DOUBT_ATTACHMENT, {.more = "<Attachment Type='ByteRange' Offset='2' Length='2'/>"}},
	{DOUBT_HOOK_ENCRYPT, {.hooks = "<Hooks><Hook2 Name='encrypt'/></Hooks>"}},
	{DOUBT_HOOK_UNKNOWN, {.hooks = "<Hooks><Hook4 Name='brotli'/></Hooks>"}},
	{DOUBT_BODY_RANGE, {.body = "<Body Offset='0' Length='1000000'/>"}},
	{DOUBT_INFLATE, {.hooks = "<Hooks><Hook3 Name='zlib-compress'/></Hooks>"}},
	{DOUBT_OPAQUE, {.hooks = "<Hooks><Hook Name='compress'/></Hooks>", .status = "Status"}},
	{DOUBT_STATUS_ENCODING, {.status = "\ufeff\ufeff<Status/>"}},
	{DOUBT_STATUS_XML, {.status = "<Status>"}},
	{DOUBT_DOCTYPE, {.prolog = "<!DOCTYPE Msg>"}},
	{DOUBT_DOCTYPE, {.status = "<!DOCTYPE Status>" TRY_USUAL_STATUS}},
	{DOUBT_STATUS_ROOT, {.status = "<Report/>"}},
	{DOUBT_OTHER_STATUS, {.status = TRY_STATUS(TRY_OF_TYPE("Other"))}},
	{DOUBT_MIXED, {.status = TRY_USUAL_STATUS TRY_STATUS(TRY_OF_TYPE("Other"))}},
	{DOUBT_CONFLICT,
	 {.status = TRY_STATUS_OF(TRY_IS_RULE, TRY_QUALIFIER("SMS_MessageID", "10906"))}},
	{DOUBT_SEVERITY,
	 {.status = TRY_STATUS_OF(TRY_IS_RULE, TRY_QUALIFIER("SMS_MessageID", "2147494555"))}},
	{DOUBT_WIN32_ERROR, {.status = XML_OF(TRY_PROPERTY("Win32ErrorCode", "5"))}},
	{DOUBT_FAILURE_SIBLING, {.status = TRY_STATUS(TRY_OF_TYPE("SWMtr_Status_WMIFailure"))}},
	{DOUBT_IDENTITY, {.source_id = "<SourceID>a client</SourceID>"}},
	{DOUBT_SEVERAL, {.status = TRY_USUAL_STATUS TRY_USUAL_STATUS}},
	/* INFLATE_LIMIT and NO_ROOM need a limit: they have tests of their own */
};

static void test_inspect_each_doubt_by_name(void **state)
{
	struct status_filter f = try_filter();

	(void)state;
	for (size_t i = 0; i < COUNT(doubts); i++) {
		char of[16];
		struct try_run r;

		snprintf(of, sizeof(of), "case %zu", i);
		try_message(&r, &f, &doubts[i].m);
		try_expect_doubt(r.v.doubt, doubts[i].doubt, of);
		try_done(&r);
	}
}

/* Who paces what is forwarded wants to know for whom it is. */
static void test_inspect_tells_the_endpoint_of_what_passes(void **state)
{
	static const struct {
		struct try_msg m;
		const char *endpoint;
	} cases[] = {
		{{0}, "StatusReceiver"},
		{{.status = "<Report/>"}, "StatusReceiver"},
		{{.endpoint = "<TargetEndpoint> MP_DdrEndpoint </TargetEndpoint>"},
		 "MP_DdrEndpoint"},
		{{.more = "<ID/>"}, "StatusReceiver"},
		{{.root = "<Report>"}, ""},
		{{.endpoint = ""}, ""},
		{{.epilogue = ""}, ""},
		{{.content_type = "text/plain"}, ""},
	};
	struct status_filter f = try_filter();

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct try_run r;

		try_message(&r, &f, &cases[i].m);
		try_expect_text(r.v.endpoint, cases[i].endpoint, "endpoint");
		/* Before the endpoint stands the sender: who paces is fair between senders. */
		assert_int_equal(r.v.sender.n > 0, cases[i].endpoint[0] != '\0' || i == 5);
		try_done(&r);
	}
}

static void test_doubt_table_each_row_has_a_case(void **state)
{
	bool has_case[DOUBT_COUNT] = {[DOUBT_INFLATE_LIMIT] = true, [DOUBT_NO_ROOM] = true};

	(void)state;
	for (size_t i = 0; i < COUNT(doubts); i++)
		has_case[doubts[i].doubt] = true;
	for (unsigned d = 0; d < DOUBT_COUNT; d++) {
		if (!has_case[d])
			fail_msg("no message is tested for %s", doubt_table[d].word);
		assert_true(strlen(doubt_table[d].text) > 0);
		for (unsigned other = 0; other < d; other++)
			assert_string_not_equal(doubt_table[d].word, doubt_table[other].word);
	}
}

/* A payload of exactly n bytes, in a comment before the usual status. */
static char *status_of_size(size_t n)
{
	size_t rest = n / 2 - strlen(TRY_USUAL_STATUS) - 7;
	char *xml = malloc(n / 2 + 1);

	assert_non_null(xml);
	snprintf(xml, n / 2 + 1, "<!--%*s-->%s", (int)rest, "", TRY_USUAL_STATUS);
	return xml;
}

static void test_inspect_inflated_at_its_limit(void **state)
{
	static const enum try_pack packs[] = {TRY_ZLIB, TRY_OLD_ZLIB, TRY_OLD_GZIP, TRY_OLD_RAW};
	struct status_filter f = try_filter();

	(void)state;
	f.max_inflated = LIMIT;
	for (size_t k = 0; k < COUNT(packs); k++)
		for (size_t n = LIMIT - 2; n <= LIMIT + 2; n += 1) {
			/* An odd byte more is a terminator behind the body. */
			char *xml = status_of_size(n & ~(size_t)1);
			struct try_msg m = {.pack = packs[k], .status = xml};
			enum doubt above = k == 0 ? DOUBT_INFLATE_LIMIT : DOUBT_OPAQUE;
			struct try_run r;

			m.tail = slice_make("\n", n % 2);
			try_message(&r, &f, &m);
			try_expect_doubt(r.v.doubt, n <= LIMIT ? DOUBT_NONE : above, "limit");
			try_done(&r);
			free(xml);
		}
}

static void test_inspect_scratch_full_passed(void **state)
{
	static const struct try_msg m = {.pack = TRY_ZLIB, .id = ""};
	struct status_filter f = try_filter();
	struct try_bytes b;
	struct try_run r;
	size_t needed;

	(void)state;
	f.max_inflated = LIMIT;
	try_bytes_init(&b);
	try_build(&b, &m);
	try_ask(&r, &f, TRY_MULTIPART, try_slice(&b));
	try_expect_doubt(r.v.doubt, DOUBT_NONE, "with room");
	needed = r.scratch.used;
	try_done(&r);
	for (size_t room = 1; room < needed; room += room < needed - 256 ? 61 : 1) {
		try_ask_within(&r, &f, TRY_MULTIPART, try_slice(&b), room);
		/* The last of it is for the names: without them there is no identity. */
		assert_true(r.v.doubt == DOUBT_NO_ROOM || r.v.doubt == DOUBT_IDENTITY);
		if (room < LIMIT)
			try_expect_doubt(r.v.doubt, DOUBT_NO_ROOM, "payload");
		try_done(&r);
	}
	try_bytes_fini(&b);
}

/* The usual message, in every clothing that is understood: the same finding. */
static void test_inspect_clothings_same_finding(void **state)
{
	static const struct try_msg cases[] = {
		{.pack = TRY_PLAIN},
		{.pack = TRY_ZLIB},
		{.pack = TRY_OLD_ZLIB},
		{.pack = TRY_OLD_GZIP},
		{.pack = TRY_OLD_RAW},
		{.hooks = "<Hooks><Hook Name='compress'/><Hook Name='authenticate'/></Hooks>"},
		{.has_no_mark = true},
		{.has_payload_mark = true},
		{.has_no_mark = true, .has_payload_mark = true, .pack = TRY_ZLIB},
		{.has_payload_mark = true, .pack = TRY_OLD_RAW},
		{.tail = SLICE("\r\n")},
		{.tail = SLICE("\0\0\r\n"), .pack = TRY_ZLIB},
		{.tail = SLICE("\0\0"), .pack = TRY_ZLIB},
		{.tail = SLICE("\0"), .pack = TRY_ZLIB},
		{.status = TRY_USUAL_STATUS "\r\n"},
		{.status = TRY_USUAL_STATUS " \r\n \n", .tail = SLICE("\n")},
		{.boundary = "----=_NextPart_0001_2",
		 .content_type = "multipart/mixed; boundary=\"----=_NextPart_0001_2\""},
		{.boundary = "x", .content_type = "Multipart/Mixed;charset=utf-8;Boundary=x"},
		{.head = {"\r\nContent-Disposition: form-data; name=\"Msg\"\r\n"
			  "Content-Type: text/plain; charset=UTF-16\r\n\r\n",
			  "\r\n\r\n"}},
		{.epilogue = "--\r\n"},
		{.id = "<ID>{3f2504e0-4f89-41d3-9a0c-0305e82c3301}</ID>"},
		{.source_id = "<SourceID>guid:11111111-2222-3333-4444-555555555555</SourceID>"},
		{.source_host = ""},
		{.source_host = "<SourceHost>a b \u00e4</SourceHost>"},
		{.source_id = ""}, /* the payload says the same */
	};
	struct status_filter f = try_filter();

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char of[16];
		struct try_run r;

		snprintf(of, sizeof(of), "case %zu", i);
		try_message(&r, &f, &cases[i]);
		try_expect_doubt(r.v.doubt, DOUBT_NONE, of);
		try_expect_text(r.v.finding.client, TRY_CLIENT, of);
		try_expect_text(r.v.finding.rule, TRY_RULE, of);
		try_expect_text(r.v.finding.message, TRY_MESSAGE_ID, of);
		try_expect_text(r.v.reply.schema_version, "1.1", of);
		try_expect_text(r.v.reply.reply_compression, "zlib", of);
		try_done(&r);
	}
}

/* The acknowledgement repeats the ID as it was sent, so that is what must be masked. */
static void test_inspect_reply_key_as_sent(void **state)
{
	static const struct try_msg m = {.root = "<Msg SchemaVersion='1.0'>",
					 .id = "<ID>{3f2504e0-aBc}</ID>"};
	struct status_filter f = try_filter();
	struct try_run r;

	(void)state;
	try_message(&r, &f, &m);
	try_expect_doubt(r.v.doubt, DOUBT_NONE, "reply");
	try_expect_text(r.v.reply.envelope_id, "{3f2504e0-aBc}", "envelope_id");
	try_expect_text(r.v.finding.message, "{3F2504E0-ABC}", "message");
	try_expect_text(r.v.reply.schema_version, "1.0", "schema_version");
	try_expect_text(r.v.reply.reply_compression, "", "reply_compression");
	try_done(&r);
}

static void test_inspect_body_range(void **state)
{
#define BODY(range) "<Body Type='ByteRange' " range "/>"
	/* "<Status/>" twice: 18 units, 36 bytes, of which one <Status/> is 18 bytes. */
	static const struct {
		const char *body;
		struct slice tail;
		enum doubt doubt;
	} cases[] = {
		{BODY("Length='18'"), SLICE(""), DOUBT_OTHER_STATUS},
		{BODY("Offset='0' Length='18'"), SLICE("\r\n"), DOUBT_OTHER_STATUS},
		{BODY("Offset='0' Length='18'"), SLICE("\0\0\r\n\r\n\0"), DOUBT_OTHER_STATUS},
		{BODY("Offset='0' Length='20'"), SLICE("\0\0"), DOUBT_OTHER_STATUS},
		{BODY("Offset='0' Length='24'"), SLICE("\0\0\r\0\n\0"), DOUBT_OTHER_STATUS},
		{BODY("Offset='0' Length='22'"), SLICE(" \0\0\0\r\n"), DOUBT_OTHER_STATUS},
		{BODY("Offset='0' Length='0'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='0' Length='16'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='0' Length='19'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='0' Length='20'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='2' Length='16'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='18' Length='18'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='19' Length='0'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='18446744073709551615' Length='18'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='0' Length='18446744073709551615'"), SLICE(""), DOUBT_BODY_RANGE},
		{BODY("Offset='18446744073709551615' Length='18446744073709551615'"), SLICE(""),
		 DOUBT_BODY_RANGE},
		/* something else behind the body */
		{BODY("Offset='0' Length='18'"), SLICE("<\0S\0/\0>\0"), DOUBT_BODY_RANGE},
		{BODY("Offset='0' Length='18'"), SLICE("\r\nx"), DOUBT_BODY_RANGE},
		{BODY("Offset='0' Length='18'"), SLICE(" \0"), DOUBT_BODY_RANGE},
		/* half a unit counted */
		{BODY("Offset='0' Length='19'"), SLICE("\0"), DOUBT_STATUS_ENCODING},
		{BODY("Offset='0' Length='20'"), SLICE("\r\n"), DOUBT_STATUS_XML},
		{BODY("Offset='0' Length='17'"), SLICE(""), DOUBT_STATUS_ENCODING},
	};
	struct status_filter f = try_filter();

	(void)state;
	for (size_t i = 0; i < COUNT(cases) * 2; i++) {
		struct try_msg m = {.status = "<Status/>",
				    .body = cases[i / 2].body,
				    .tail = cases[i / 2].tail,
				    .pack = i % 2 ? TRY_ZLIB : TRY_PLAIN};
		struct try_run r;

		try_message(&r, &f, &m);
		try_expect_doubt(r.v.doubt, cases[i / 2].doubt, cases[i / 2].body);
		try_done(&r);
	}
}

static void test_inspect_compressed_payload_must_end_with_its_part(void **state)
{
	static const enum try_pack packs[] = {TRY_ZLIB, TRY_OLD_ZLIB, TRY_OLD_GZIP, TRY_OLD_RAW};
	static const struct slice junk[] = {SLICE("\0"), SLICE("\r\n"), SLICE("x")};
	struct status_filter f = try_filter();

	(void)state;
	for (size_t k = 0; k < COUNT(packs); k++)
		for (size_t i = 0; i < COUNT(junk); i++) {
			struct try_msg m = {.pack = packs[k], .junk = junk[i]};
			struct try_run r;

			try_message(&r, &f, &m);
			try_expect_doubt(r.v.doubt, k == 0 ? DOUBT_INFLATE : DOUBT_OPAQUE, "junk");
			try_done(&r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_filter_init_lists_read),
		cmocka_unit_test(test_status_filter_init_bad_ids_refused),
		cmocka_unit_test(test_status_filter_init_lists_at_their_limit),
		cmocka_unit_test(test_interest_candidate_wanted),
		cmocka_unit_test(test_interest_length_at_its_limit),
		cmocka_unit_test(test_interest_others_left_alone),
		cmocka_unit_test(test_inspect_each_doubt_by_name),
		cmocka_unit_test(test_inspect_tells_the_endpoint_of_what_passes),
		cmocka_unit_test(test_doubt_table_each_row_has_a_case),
		cmocka_unit_test(test_inspect_inflated_at_its_limit),
		cmocka_unit_test(test_inspect_scratch_full_passed),
		cmocka_unit_test(test_inspect_clothings_same_finding),
		cmocka_unit_test(test_inspect_reply_key_as_sent),
		cmocka_unit_test(test_inspect_body_range),
		cmocka_unit_test(test_inspect_compressed_payload_must_end_with_its_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
