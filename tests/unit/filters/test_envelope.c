/* The envelope: what it must say, in whatever order, and what it may not. */
#include "filters/envelope.h"

#include "tests/unit/filters/try.h"

struct fixture {
	struct status_filter f;
	struct arena scratch;
	struct try_bytes bytes;
	struct envelope e;
};

static int begin(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->f = try_filter();
	assert_int_equal(arena_init(&x->scratch, 65536), 0);
	try_bytes_init(&x->bytes);
	*state = x;
	return 0;
}

static int end(void **state)
{
	struct fixture *x = *state;

	try_bytes_fini(&x->bytes);
	arena_fini(&x->scratch);
	free(x);
	return 0;
}

/* The answer about x->bytes; x->e holds nothing of them. */
static enum doubt ask(struct fixture *x)
{
	char *bytes = try_exact(try_slice(&x->bytes));
	enum doubt doubt;

	arena_reset(&x->scratch);
	doubt = envelope_read(&x->f, slice_make(bytes, x->bytes.n), &x->scratch, &x->e);
	free(bytes);
	return doubt;
}

static enum doubt ask_about(struct fixture *x, const struct try_msg *m)
{
	x->bytes.n = 0;
	try_put_envelope(&x->bytes, m, 1748);
	return ask(x);
}

static enum doubt ask_text(struct fixture *x, const char *xml)
{
	x->bytes.n = 0;
	try_put_unit(&x->bytes, 0xfeff);
	try_put_wide(&x->bytes, xml);
	return ask(x);
}

static void expect_usual(const struct fixture *x)
{
	try_expect_text(x->e.id, TRY_MESSAGE_ID, "id");
	try_expect_text(x->e.source_id, TRY_CLIENT, "source_id");
	try_expect_text(x->e.source_host, "PC00003", "source_host");
	try_expect_text(x->e.schema_version, "1.1", "schema_version");
	try_expect_text(x->e.reply_compression, "zlib", "reply_compression");
	assert_int_equal(x->e.hook, HOOK_NONE);
	assert_int_equal(x->e.offset, 0);
	assert_int_equal(x->e.length, 1748);
}

static void test_envelope_read_usual_understood(void **state)
{
	static const struct try_msg cases[] = {
		{0},
		{.has_no_mark = true},
		{.prolog = "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n"},
		{.prolog = "<!-- a comment --><?an instruction?>"},
		{.close = "</Msg>\r\n<!-- the end -->"},
		{.root = "<Msg ReplyCompression='zlib' SchemaVersion='1.1'>"},
		{.root = "<Msg SchemaVersion=\" 1.1\t\" ReplyCompression=\"&#122;lib\">"},
		{.root = "<m:Msg xmlns:m='urn:m' SchemaVersion='1.1' ReplyCompression='zlib'>",
		 .close = "</m:Msg>"},
		{.id = "<ID> \r\n" TRY_MESSAGE_ID "\t</ID>"},
		{.id = "<ID><![CDATA[" TRY_MESSAGE_ID "]]></ID>"},
		{.id = "<ID>&#123;3F2504E0-4F89-41D3-<!-- half -->9A0C-0305E82C3301}</ID>"},
		{.id = "<m:ID xmlns:m='urn:m'>" TRY_MESSAGE_ID "</m:ID>"},
		{.source_id = "<SourceID>GUID&#x3a;11111111-2222-3333-4444-<![CDATA[555]]>"
			      "555555555</SourceID>"},
		{.body = "<Body Type='ByteRange' Offset='0' Length='1748'></Body>"},
		{.body = "<Body Length='1748'/>"},
		{.body = "<Body Length=' 01748 ' Type='byterange' Offset='00' x:Length='9'/>"},
		{.body = "<Body Length='1748'>\r\n<Inner/>text</Body>"},
		{.hooks = ""},
		{.hooks = "<Hooks></Hooks>"},
		{.hooks = "<Hooks>\r\n</Hooks>"},
		{.hooks = "<Hooks><Hook2 Name='clientauth'><Property Name='PublicKey'>06</Property>"
			  "<Any><Hook2 Name='encrypt'/></Any></Hook2></Hooks>"},
		{.hooks = "<Hooks><Hook Name='Authenticate'/><Hook2 Name='CLIENTAUTH'/></Hooks>"},
		{.payload = ""},
		{.payload = "<Payload/>"},
		{.payload = "<Payload Type='Inline'>\r\n</Payload>"},
		{.endpoint = "<TargetEndpoint>STATUSRECEIVER</TargetEndpoint>"},
		{.endpoint = "<TargetEndpoint> StatusReceiver\r\n</TargetEndpoint>"},
		{.mode = "<ReplyMode>ASync</ReplyMode>"},
		{.mode = "<ReplyMode>\tasync </ReplyMode>"},
		{.more = ""},
		{.more = "<Property Name='FileType' Value='SWM'/><Unknown a='b'><Attachment/>"
			 "<ID>no child of the root</ID></Unknown>text"},
		{.more = "<id>other case, other element</id><sourceid/><HOOKS><Hook "
			 "Name='encrypt'/>"
			 "</HOOKS><Unknown/><Unknown/>"},
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char of[16];

		snprintf(of, sizeof(of), "case %zu", i);
		try_expect_doubt(ask_about(x, &cases[i]), DOUBT_NONE, of);
		expect_usual(x);
	}
}

static void test_envelope_read_any_order_same(void **state)
{
	static const char *const elements[] = {
		"<ID>" TRY_MESSAGE_ID "</ID>",
		"<SourceID>" TRY_CLIENT "</SourceID>",
		"<SourceHost>PC00003</SourceHost>",
		"<Body Type=\"ByteRange\" Offset=\"0\" Length=\"1748\"/>",
		"<Hooks/>",
		"<Payload Type=\"inline\"/>",
		"<TargetEndpoint>StatusReceiver</TargetEndpoint>",
		"<ReplyMode>Async</ReplyMode>",
		"<CorrelationID>{00000000-0000-0000-0000-000000000000}</CorrelationID>",
	};
	struct fixture *x = *state;
	char xml[1024];

	/* Every start, forwards and backwards, in strides that visit each once. */
	for (size_t stride = 1; stride < COUNT(elements); stride++)
		for (size_t first = 0; stride % 3 != 0 && first < COUNT(elements); first++) {
			size_t n = 0;

			n += (size_t)snprintf(xml + n, sizeof(xml) - n,
					      "<Msg SchemaVersion='1.1' ReplyCompression='zlib'>");
			for (size_t i = 0; i < COUNT(elements); i++)
				n += (size_t)snprintf(
					xml + n, sizeof(xml) - n, "%s",
					elements[(first + i * stride) % COUNT(elements)]);
			snprintf(xml + n, sizeof(xml) - n, "</Msg>");
			try_expect_doubt(ask_text(x, xml), DOUBT_NONE, xml);
			expect_usual(x);
		}
}

static void test_envelope_read_absent_is_empty(void **state)
{
	struct fixture *x = *state;
	static const struct try_msg m = {.root = "<Msg>",
					 .id = "",
					 .source_id = "<SourceID/>",
					 .source_host = "<SourceHost> </SourceHost>"};

	try_expect_doubt(ask_about(x, &m), DOUBT_NONE, "absent");
	assert_int_equal(x->e.id.n, 0);
	assert_int_equal(x->e.source_id.n, 0);
	assert_int_equal(x->e.source_host.n, 0);
	assert_int_equal(x->e.schema_version.n, 0);
	assert_int_equal(x->e.reply_compression.n, 0);
}

static void test_envelope_read_hooks_told(void **state)
{
	static const struct {
		const char *hooks;
		enum doubt doubt;
		enum payload_hook hook;
	} cases[] = {
		{"<Hook3 Name='zlib-compress'/>", DOUBT_NONE, HOOK_ZLIB},
		{"<Hook3 Name='ZLIB-Compress'></Hook3>", DOUBT_NONE, HOOK_ZLIB},
		{"<h:Hook3 Name='zlib-compress'/>", DOUBT_NONE, HOOK_ZLIB},
		{"<Hook Name='compress'/>", DOUBT_NONE, HOOK_FIRST_GENERATION},
		{"<Hook Name='compress'/><Hook Name='authenticate'/>", DOUBT_NONE,
		 HOOK_FIRST_GENERATION},
		{"<Hook2 Name='clientauth'/><Hook3 Name='zlib-compress'/>", DOUBT_NONE, HOOK_ZLIB},
		{"text<!-- c --><Hook Name='authenticate'>text</Hook>", DOUBT_NONE, HOOK_NONE},
		{"<Hook2 Name='encrypt'/>", DOUBT_HOOK_ENCRYPT, HOOK_NONE},
		{"<Hook Name='Encrypt'/>", DOUBT_HOOK_ENCRYPT, HOOK_NONE},
		{"<Other Name='encrypt'/>", DOUBT_HOOK_ENCRYPT, HOOK_NONE},
		{"<Hook3 Name='zlib-compress'/><Hook2 Name='encrypt'/>", DOUBT_HOOK_ENCRYPT,
		 HOOK_ZLIB},
		{"<Hook3 Name='zlib-compress'/><Hook3 Name='zlib-compress'/>", DOUBT_HOOK_UNKNOWN,
		 HOOK_ZLIB},
		{"<Hook Name='compress'/><Hook3 Name='zlib-compress'/>", DOUBT_HOOK_UNKNOWN,
		 HOOK_FIRST_GENERATION},
		{"<Hook3/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Hook3 Name=''/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Hook3 name='zlib-compress'/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Hook3 Name='zlib'/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Hook2 Name='zlib-compress'/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Hook3 Name='compress'/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Hook Name='clientauth'/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Hook4 Name='zlib-compress'/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<hook3 Name='zlib-compress'/>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
		{"<Group><Hook3 Name='zlib-compress'/></Group>", DOUBT_HOOK_UNKNOWN, HOOK_NONE},
	};
	struct fixture *x = *state;
	char hooks[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct try_msg m = {.hooks = hooks};

		snprintf(hooks, sizeof(hooks), "<Hooks>%s</Hooks>", cases[i].hooks);
		try_expect_doubt(ask_about(x, &m), cases[i].doubt, hooks);
		assert_int_equal(x->e.hook, cases[i].hook);
	}
}

static void test_envelope_read_doubts(void **state)
{
	static const struct {
		struct try_msg m;
		enum doubt doubt;
	} cases[] = {
		{{.root = "<Message>", .close = "</Message>"}, DOUBT_ENVELOPE_ROOT},
		{{.root = "<msg>", .close = "</msg>"}, DOUBT_ENVELOPE_ROOT},
		{{.root = "<Msg:x>", .close = "</Msg:x>"}, DOUBT_ENVELOPE_ROOT},
		{{.close = "</Mrg>"}, DOUBT_ENVELOPE_XML},
		{{.close = ""}, DOUBT_ENVELOPE_XML},
		{{.close = "</Msg><Msg/>"}, DOUBT_ENVELOPE_XML},
		{{.close = "</Msg>x"}, DOUBT_ENVELOPE_XML},
		{{.prolog = "x"}, DOUBT_ENVELOPE_XML},
		{{.prolog = " <?xml version='1.0'?>"}, DOUBT_ENVELOPE_XML},
		{{.prolog = "<!DOCTYPE Msg>"}, DOUBT_DOCTYPE},
		{{.id = "<ID>&id;</ID>"}, DOUBT_DOCTYPE},
		{{.id = "<ID><b/></ID>"}, DOUBT_ENVELOPE_XML},
		{{.source_id = "<SourceID>GUID:<b>1</b></SourceID>"}, DOUBT_ENVELOPE_XML},
		{{.more = "<ID/>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<x:ID/>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<SourceID>" TRY_CLIENT "</SourceID>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<SourceHost/>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<TargetEndpoint>StatusReceiver</TargetEndpoint>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<ReplyMode>Async</ReplyMode>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<Body Length='2'/>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<Hooks/>"}, DOUBT_ENVELOPE_TWICE},
		{{.more = "<Payload/>"}, DOUBT_ENVELOPE_TWICE},
		{{.endpoint = ""}, DOUBT_ENDPOINT},
		{{.endpoint = "<TargetEndpoint/>"}, DOUBT_ENDPOINT},
		{{.endpoint = "<TargetEndpoint>MP_RelayEndpoint</TargetEndpoint>"}, DOUBT_ENDPOINT},
		{{.endpoint = "<TargetEndpoint>StatusReceiver2</TargetEndpoint>"}, DOUBT_ENDPOINT},
		{{.endpoint = "<targetEndpoint>StatusReceiver</targetEndpoint>"}, DOUBT_ENDPOINT},
		{{.mode = ""}, DOUBT_NOT_ASYNC},
		{{.mode = "<ReplyMode/>"}, DOUBT_NOT_ASYNC},
		{{.mode = "<ReplyMode>Sync</ReplyMode>"}, DOUBT_NOT_ASYNC},
		{{.payload = "<Payload Type='bits'/>"}, DOUBT_PAYLOAD_KIND},
		{{.payload = "<Payload Type=''/>"}, DOUBT_PAYLOAD_KIND},
		{{.more = "<Attachment Type='ByteRange' Offset='8' Length='8'/>"},
		 DOUBT_ATTACHMENT},
		{{.prolog = "<?xml version='1.0'?>", .more = "<x:Attachment/>"}, DOUBT_ATTACHMENT},
		{{.body = ""}, DOUBT_BODY_RANGE},
		{{.body = "<Body/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Length=''/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Length='-1'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Length='+1'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Length='0x10'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Length='1 0'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Length='18446744073709551616'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Offset='' Length='1'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Offset='-0' Length='1'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Type='' Length='1'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Type='Inline' Length='1'/>"}, DOUBT_BODY_RANGE},
		{{.body = "<Body Length='1' Length='1'/>"}, DOUBT_ENVELOPE_XML},
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char of[16];

		snprintf(of, sizeof(of), "case %zu", i);
		try_expect_doubt(ask_about(x, &cases[i].m), cases[i].doubt, of);
	}
}

static void test_envelope_read_encodings_refused(void **state)
{
	static const struct slice cases[] = {
		SLICE(""),
		SLICE("<Msg/>"),
		SLICE("\xef\xbb\xbf<Msg/>."),
		SLICE("\xfe\xff\0<\0M\0s\0g\0/\0>"),
		SLICE("\0<\0M\0s\0g\0/\0>"),
		SLICE("\xff\xfe<\0M\0s\0g\0/\0>"), /* one byte is missing */
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		x->bytes.n = 0;
		try_put(&x->bytes, cases[i]);
		try_expect_doubt(ask(x), DOUBT_ENVELOPE_ENCODING, "encoding");
	}
}

static void test_envelope_read_odd_bytes_refused(void **state)
{
	static const struct try_msg m = {0};
	struct fixture *x = *state;

	try_put_envelope(&x->bytes, &m, 2);
	try_puts(&x->bytes, "\n");
	try_expect_doubt(ask(x), DOUBT_ENVELOPE_ENCODING, "odd");
}

/* A text of n letters between two others, in ASCII. */
static char *long_text(const char *before, size_t n, const char *after)
{
	char *s = malloc(strlen(before) + n + strlen(after) + 1);

	assert_non_null(s);
	memcpy(s, before, strlen(before));
	memset(s + strlen(before), 'x', n);
	memcpy(s + strlen(before) + n, after, strlen(after) + 1);
	return s;
}

/* Values of 1,024 bytes are read: whether they are any good is asked later. */
static void test_envelope_read_values_at_their_limit(void **state)
{
	static const char *const around[][2] = {
		{"<ID>", "</ID>"},
		{"<SourceID>", "</SourceID>"},
		{"<TargetEndpoint>", "</TargetEndpoint>"},
		{"<Body Length='1' Type='", "'/>"},
		{"<Body Length='1' Offset='", "'/>"},
		{"<Body Length='", "'/>"},
		{"<Payload Type='", "'/>"},
		{"<Hooks><Hook Name='", "'/></Hooks>"},
	};
	static const enum doubt within[] = {
		DOUBT_NONE,	  DOUBT_NONE,	    DOUBT_ENDPOINT,	DOUBT_BODY_RANGE,
		DOUBT_BODY_RANGE, DOUBT_BODY_RANGE, DOUBT_PAYLOAD_KIND, DOUBT_HOOK_UNKNOWN,
	};
	struct fixture *x = *state;

	for (size_t k = 0; k < COUNT(around); k++)
		for (size_t n = 1023; n <= 1025; n++) {
			char *text = long_text(around[k][0], n, around[k][1]);
			struct try_msg m = {0};

			switch (k) {
			case 0:
				m.id = text;
				break;
			case 1:
				m.source_id = text;
				break;
			case 2:
				m.endpoint = text;
				break;
			case 6:
				m.payload = text;
				break;
			case 7:
				m.hooks = text;
				break;
			default:
				m.body = text;
				break;
			}
			try_expect_doubt(ask_about(x, &m), n <= 1024 ? within[k] : DOUBT_NO_ROOM,
					 around[k][0]);
			free(text);
		}
}

static void test_envelope_read_root_values_at_their_limit(void **state)
{
	static const char *const names[] = {"<Msg SchemaVersion='", "<Msg ReplyCompression='"};
	struct fixture *x = *state;

	for (size_t k = 0; k < COUNT(names); k++)
		for (size_t n = 1023; n <= 1025; n++) {
			char *text = long_text(names[k], n, "'>");
			struct try_msg m = {.root = text};

			try_expect_doubt(ask_about(x, &m), n <= 1024 ? DOUBT_NONE : DOUBT_NO_ROOM,
					 names[k]);
			free(text);
		}
}

/* With less scratch than the values need: a doubt, whichever value it is. */
static void test_envelope_read_scratch_full_no_room(void **state)
{
	static const struct try_msg m = {.pack = TRY_ZLIB};
	struct fixture *x = *state;
	struct arena small;
	size_t needed;

	try_expect_doubt(ask_about(x, &m), DOUBT_NONE, "with room");
	needed = x->scratch.used;
	for (size_t room = 1; room < needed; room++) {
		assert_int_equal(arena_init(&small, room), 0);
		try_expect_doubt(envelope_read(&x->f, try_slice(&x->bytes), &small, &x->e),
				 DOUBT_NO_ROOM, "without");
		arena_fini(&small);
	}
}

static void test_envelope_read_cut_anywhere_refused(void **state)
{
	static const struct try_msg m = {.pack = TRY_ZLIB};
	struct fixture *x = *state;
	size_t whole;

	try_put_envelope(&x->bytes, &m, 1748);
	whole = x->bytes.n;
	for (size_t n = 0; n < whole; n++) {
		x->bytes.n = n;
		assert_int_not_equal(ask(x), DOUBT_NONE);
	}
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_envelope_read_usual_understood),
		WITH_FIXTURE(test_envelope_read_any_order_same),
		WITH_FIXTURE(test_envelope_read_absent_is_empty),
		WITH_FIXTURE(test_envelope_read_hooks_told),
		WITH_FIXTURE(test_envelope_read_doubts),
		WITH_FIXTURE(test_envelope_read_encodings_refused),
		WITH_FIXTURE(test_envelope_read_odd_bytes_refused),
		WITH_FIXTURE(test_envelope_read_values_at_their_limit),
		WITH_FIXTURE(test_envelope_read_root_values_at_their_limit),
		WITH_FIXTURE(test_envelope_read_scratch_full_no_room),
		WITH_FIXTURE(test_envelope_read_cut_anywhere_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
