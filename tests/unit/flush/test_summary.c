#include "proxy/flush/summary.h"
#include "proxy/flush/summary_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <expat.h>

#define DELIMITER "\r\n--aAbBcCdDv1234567890VxXyYzZ"

static const struct summary_identity who = {
	.nonce = "00112233445566778899aabbccddeeff",
	.source_id = "GUID:11111111-2222-3333-4444-555555555555",
	.machine_name = "WEIR1",
	.site_code = "ABC",
	.target_host = "mp1.example.test",
};

/* What a parser finds: elements and named values as "name" -> text. */
struct found {
	struct {
		char name[64], text[1200];
	} v[64];
	unsigned n;
	char order[2048]; /* the names of properties, each with a space behind */
};

struct parse {
	struct found *out;
	char name[64], text[1200];
	size_t n;
};

static void XMLCALL on_start(void *user, const XML_Char *element, const XML_Char **attr)
{
	struct parse *p = user;

	snprintf(p->name, sizeof(p->name), "%s", element);
	for (; attr[0] != NULL; attr += 2) {
		if (strcmp(attr[0], "Name") == 0)
			snprintf(p->name, sizeof(p->name), "%s", attr[1]);
		if (strcmp(element, "Body") == 0 && strcmp(attr[0], "Length") == 0)
			snprintf(p->out->v[p->out->n].name, 64, "Length"),
				snprintf(p->out->v[p->out->n++].text, 1200, "%s", attr[1]);
	}
	if (strcmp(element, "Property") == 0) {
		size_t at = strlen(p->out->order);

		snprintf(p->out->order + at, sizeof(p->out->order) - at, "%s ", p->name);
	}
	p->n = 0;
}

static void XMLCALL on_text(void *user, const XML_Char *s, int len)
{
	struct parse *p = user;

	assert_true(p->n + (size_t)len < sizeof(p->text));
	memcpy(p->text + p->n, s, (size_t)len);
	p->n += (size_t)len;
}

static void XMLCALL on_end(void *user, const XML_Char *element)
{
	struct parse *p = user;

	(void)element;
	if (p->name[0] == '\0')
		return;
	assert_true(p->out->n < 64);
	p->text[p->n] = '\0';
	memcpy(p->out->v[p->out->n].name, p->name, sizeof(p->name));
	memcpy(p->out->v[p->out->n++].text, p->text, sizeof(p->text));
	p->name[0] = '\0';
}

static void parse_xml(struct slice utf16, struct found *out)
{
	XML_Parser x = XML_ParserCreate("UTF-16LE");
	struct parse p = {.out = out};

	memset(out, 0, sizeof(*out));
	XML_SetUserData(x, &p);
	XML_SetElementHandler(x, on_start, on_end);
	XML_SetCharacterDataHandler(x, on_text);
	if (XML_Parse(x, utf16.p, (int)utf16.n, 1) != XML_STATUS_OK)
		fail_msg("not well-formed: %s", XML_ErrorString(XML_GetErrorCode(x)));
	XML_ParserFree(x);
}

static const char *value(const struct found *f, const char *name)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return f->v[i].text;
	return NULL;
}

/* Take the text up to and including mark off s. */
static struct slice cut(struct slice *s, const char *mark)
{
	const char *at = memmem(s->p, s->n, mark, strlen(mark));
	struct slice head;

	assert_non_null(at);
	head = slice_make(s->p, (size_t)(at - s->p));
	*s = slice_drop(*s, head.n + strlen(mark));
	return head;
}

/* Characters of UTF-8 as UTF-16 units. */
static size_t units_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) == 0x80 ? 0 : (unsigned char)*s >= 0xf0 ? 2 : 1;
	return n;
}

struct message {
	struct strbuf bytes;
	struct found envelope, status;
	char head[1024], id[39];
};

/* Write a part and take it to pieces as its receiver does. */
static void take(struct message *m, const struct claim *c, const struct slice *names,
		 unsigned n_names, unsigned part)
{
	struct slice rest, head, envelope;
	size_t length;

	strbuf_init(&m->bytes, 1u << 20);
	assert_int_equal(summary_write(&who, c, names, n_names, part, &m->bytes, m->id), 0);
	rest = strbuf_slice(&m->bytes);
	head = cut(&rest, "\r\n\r\n");
	snprintf(m->head, sizeof(m->head), "%.*s", SLICE_ARG(head));
	length = strtoul(strstr(m->head, "Content-Length: ") + 16, NULL, 10);
	assert_int_equal(length, rest.n);
	assert_int_equal(cut(&rest, &DELIMITER[2]).n, 0);
	cut(&rest, "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n\xff\xfe");
	envelope = cut(&rest, DELIMITER);
	cut(&rest, "\r\ncontent-type: application/octet-stream\r\n\r\n");
	parse_xml(envelope, &m->envelope);
	length = strtoul(value(&m->envelope, "Length"), NULL, 10);
	assert_true(length <= rest.n && length % 2 == 0 && length > 2);
	assert_memory_equal(rest.p + length - 2, "\0", 2);
	assert_int_equal(rest.n - length, sizeof(DELIMITER "--") - 1);
	assert_memory_equal(rest.p + length, DELIMITER "--", sizeof(DELIMITER "--") - 1);
	parse_xml(slice_make(rest.p, length - 2), &m->status);
	assert_string_equal(value(&m->envelope, "ID"), m->id);
}

static struct claim claim_of(const char *client, const char *bits, size_t n_bits)
{
	return (struct claim){
		.client = slice_str(client),
		.seq = 7,
		.first_ms = 1795342272001,
		.last_ms = 1795345872999,
		.sealed_ms = 1795345900123,
		.count = 5,
		.bits = slice_make(bits, n_bits),
	};
}

static const struct slice three_names[] = {
	{"ABC00001", 8},
	{"ABC00002", 8},
	{"ABC00003", 8},
};

static void test_summary_write_every_field(void **state)
{
	struct claim c = claim_of("GUID:AAAA", "\xa0", 1);
	struct message m;

	(void)state;
	c.extra = SLICE("2+3");
	take(&m, &c, three_names, 3, 0);
	assert_ptr_equal(strstr(m.head, "CCM_POST /ccm_system/request HTTP/1.1\r\n"), m.head);
	assert_non_null(strstr(m.head, "\r\nHost: mp1.example.test\r\n"));
	assert_string_equal(value(&m.envelope, "SourceID"), who.source_id);
	assert_string_equal(value(&m.envelope, "SourceHost"), "WEIR1");
	assert_string_equal(value(&m.envelope, "TargetAddress"), "mp:StatusReceiver");
	assert_string_equal(value(&m.envelope, "TargetEndpoint"), "StatusReceiver");
	assert_string_equal(value(&m.envelope, "TargetHost"), "mp1.example.test");
	assert_string_equal(value(&m.envelope, "ReplyMode"), "Async");
	assert_string_equal(value(&m.envelope, "SentTime"), "2026-11-22T11:11:40Z");
	assert_string_equal(value(&m.status, "Type"), "SMS_GenericStatusMessage_Info");
	assert_string_equal(value(&m.status, "Attribute403"), "statweir-10907-summary");
	assert_string_equal(value(&m.status, "Attribute408"), "GUID:AAAA");
	assert_string_equal(value(&m.status, "ClientID"), who.source_id);
	assert_string_equal(value(&m.status, "DateTime"), "20261122111140.123000+000");
	assert_string_equal(value(&m.status, "MachineName"), "WEIR1");
	assert_string_equal(value(&m.status, "SiteCode"), "ABC");
	assert_string_equal(value(&m.status, "InsertionString2"), "messages=5 rules=2");
	assert_string_equal(value(&m.status, "InsertionString3"),
			    "first=2026-11-22T10:11:12Z last=2026-11-22T11:11:12Z");
	assert_string_equal(value(&m.status, "InsertionString4"),
			    "window=7 sealed=2026-11-22T11:11:40Z");
	assert_string_equal(value(&m.status, "InsertionString5"), "ABC00001,ABC00003*4");
	assert_null(value(&m.status, "InsertionString6"));
	assert_string_equal(value(&m.status, "SMS_MessageID"), "1073781821");
	assert_string_equal(value(&m.status, "SMS_ModuleName"), "SMS Provider");
	assert_string_equal(value(&m.status, "SMS_MessageType"), "256");
	assert_string_equal(value(&m.status, "SMS_Component"), "statweir");
	assert_string_equal(value(&m.status, "SMS_PerClient"), "True");
	assert_string_equal(m.status.order,
			    "Attribute403 Attribute408 ClientID DateTime InsertionString1 "
			    "InsertionString2 InsertionString3 InsertionString4 InsertionString5 "
			    "MachineName SiteCode ");
	strbuf_fini(&m.bytes);
}

static void test_summary_write_twice_same_bytes_and_id(void **state)
{
	struct claim c = claim_of("GUID:AAAA", "\xe0", 1);
	struct message a, b;

	(void)state;
	take(&a, &c, three_names, 3, 0);
	take(&b, &c, three_names, 3, 0);
	assert_true(slice_eq(strbuf_slice(&a.bytes), strbuf_slice(&b.bytes)));
	assert_string_equal(a.id, b.id);
	strbuf_fini(&a.bytes);
	strbuf_fini(&b.bytes);
}

/* The IDs are what a receiver remembers: they must not change between versions. */
static void test_summary_window_id_known_value(void **state)
{
	struct claim c = claim_of("GUID:AAAA", "\xe0", 1);
	char id[39];

	(void)state;
	summary_window_id(&who, &c, id);
	assert_string_equal(id, "{A746CDBB-C902-A9E3-3816-086A72952012}");
}

static void test_summary_window_id_differs_by_each_field(void **state)
{
	struct summary_identity other = who;
	struct claim c[5];
	char id[6][39];

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		c[i] = claim_of("GUID:AAAA", "\xe0", 1);
	c[1].seq = 8;
	c[2].sealed_ms++;
	c[3].client = SLICE("GUID:AAAB");
	c[4].client = slice_make("GUID:AAAA\n", 10);
	for (unsigned i = 0; i < 5; i++)
		summary_window_id(&who, &c[i], id[i]);
	other.nonce = "00112233445566778899aabbccddeef0";
	summary_window_id(&other, &c[0], id[5]);
	for (unsigned i = 0; i < 6; i++)
		for (unsigned j = i + 1; j < 6; j++)
			assert_string_not_equal(id[i], id[j]);
}

/* Names "ABC00000", "ABC00002", ... of n rules, so that none follows another, and bits for all. */
struct rules {
	struct slice *names;
	char *text, *bits;
	unsigned n;
};

static struct rules rules_make(unsigned n)
{
	struct rules r = {.n = n};

	r.names = calloc(n, sizeof(*r.names));
	r.text = malloc((size_t)n * 9 + 1);
	r.bits = malloc(n / 8 + 1);
	memset(r.bits, 0, n / 8 + 1);
	for (unsigned i = 0; i < n; i++) {
		snprintf(r.text + (size_t)i * 8, 9, "ABC%05u", i * 2 % 100000);
		r.names[i] = slice_make(r.text + (size_t)i * 8, 8);
		r.bits[i / 8] = (char)(r.bits[i / 8] | 0x80 >> i % 8);
	}
	return r;
}

static void rules_free(struct rules *r)
{
	free(r->names);
	free(r->text);
	free(r->bits);
}

/* Every rule stands once, in order, in strings of at most 255 characters. */
static void all_rules_once(unsigned n_rules, unsigned want_parts)
{
	struct rules r = rules_make(n_rules);
	struct claim c = claim_of("GUID:AAAA", r.bits, n_rules / 8 + 1);
	unsigned next = 0, n_parts;
	char ids[64][39];

	n_parts = summary_parts(&c, r.names, r.n);
	assert_int_equal(n_parts, want_parts);
	for (unsigned part = 0; part < n_parts; part++) {
		struct message m;
		char name[32], want[64];

		take(&m, &c, r.names, r.n, part);
		memcpy(ids[part], m.id, 39);
		for (unsigned i = 0; i < part; i++)
			assert_string_not_equal(ids[i], ids[part]);
		snprintf(want, sizeof(want), " %u/%u", part + 1, n_parts);
		assert_string_equal(value(&m.status, "InsertionString1") + 38, want);
		for (unsigned i = 5; i <= 10; i++) {
			const char *text;
			struct slice rest, item;

			snprintf(name, sizeof(name), "InsertionString%u", i);
			text = value(&m.status, name);
			if (text == NULL)
				continue;
			assert_true(units_of(text) <= 255);
			rest = slice_str(text);
			while (slice_next_item(&rest, &item)) {
				assert_true(next < n_rules);
				assert_true(slice_eq(item, r.names[next]));
				next++;
			}
		}
		strbuf_fini(&m.bytes);
	}
	assert_int_equal(next, n_rules);
	rules_free(&r);
}

/* 28 names of 8 characters with their commas make 251: 28 a string, 168 a part. */
static void test_summary_write_500_rules_three_parts(void **state)
{
	(void)state;
	all_rules_once(168, 1);
	all_rules_once(169, 2);
	all_rules_once(500, 3);
}

static void test_summary_write_2000_rules_twelve_parts(void **state)
{
	(void)state;
	all_rules_once(2000, 12);
}

/* What InsertionString5 says of rules with these names, one message each. */
static void rule_list_is(const char *const *texts, unsigned n, const char *extra, const char *want)
{
	struct slice names[16];
	char bits[3] = {0};
	struct claim c = claim_of("GUID:AAAA", bits, sizeof(bits));
	struct message m;

	for (unsigned i = 0; i < n; i++) {
		names[i] = slice_str(texts[i]);
		bits[i / 8] = (char)(bits[i / 8] | 0x80 >> i % 8);
	}
	c.extra = slice_str(extra);
	take(&m, &c, names, n, 0);
	assert_string_equal(value(&m.status, "InsertionString5"), want);
	strbuf_fini(&m.bytes);
}

static void test_summary_rules_in_a_row_make_a_range(void **state)
{
	static const char *const row[] = {"A03", "A01", "A02", "A04"};
	static const char *const gap[] = {"A01", "A02", "A04", "A05"};
	static const char *const kinds[] = {"A9", "A10", "A11", "B12", "A.1", "A08"};

	(void)state;
	rule_list_is(row, 4, "", "A01..04");
	rule_list_is(gap, 4, "", "A01,A02,A04,A05");
	rule_list_is(kinds, 6, "", "A%2E1,A08,A10,A11,A9,B12");
	/* A rule that came more than once stands alone. */
	rule_list_is(row, 4, "0+2", "A01,A02,A03*3,A04");
}

static void test_summary_write_no_rules_one_part(void **state)
{
	struct claim c = claim_of("GUID:AAAA", NULL, 0);
	struct message m;

	(void)state;
	assert_int_equal(summary_parts(&c, NULL, 0), 1);
	take(&m, &c, NULL, 0, 0);
	assert_string_equal(value(&m.status, "InsertionString2"), "messages=5 rules=0");
	assert_null(value(&m.status, "InsertionString5"));
	strbuf_fini(&m.bytes);
}

static void test_summary_write_escapes_strangers(void **state)
{
	static const struct slice names[] = {
		{"a,b*c#d%e", 9}, {"<&>\"'", 5}, {"\xff\x01\n", 3}, {"\xc3\xa4\xf0\x9f\x98\x80", 6},
		{NULL, 0},
	};
	struct claim c = claim_of("<x>&\n]]>", "\xfc", 1);
	struct message m;

	(void)state;
	take(&m, &c, names, 5, 0);
	assert_string_equal(value(&m.status, "Attribute408"), "<x>&%0A]]>");
	assert_string_equal(value(&m.status, "InsertionString5"),
			    "<&>\"',a%2Cb%2Ac%23d%25e,\xc3\xa4\xf0\x9f\x98\x80,%FF%01%0A,#4,#5");
	strbuf_fini(&m.bytes);
}

static void test_summary_write_long_names_cut_and_distinct(void **state)
{
	char longest[1000], text[600];
	struct slice names[9];
	struct claim c = claim_of(longest, "\xff\x80", 2);
	struct message m;
	char name[32];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memset(text, ',', sizeof(text));
	c.client = slice_str(longest);
	c.extra = SLICE("0+18446744073709551614,9+1,x+1,3,+,1+x,8+2");
	for (unsigned i = 0; i < 9; i++)
		names[i] = slice_str(longest);
	names[8] = slice_make(text, sizeof(text));
	assert_int_equal(summary_parts(&c, names, 9), 2);
	for (unsigned part = 0; part < 2; part++) {
		take(&m, &c, names, 9, part);
		assert_int_equal(strlen(value(&m.status, "Attribute408")), 255);
		for (unsigned i = 5; i <= 10; i++) {
			const char *got;

			snprintf(name, sizeof(name), "InsertionString%u", i);
			got = value(&m.status, name);
			assert_true(got == NULL || units_of(got) <= 255);
			if (part == 0 && i == 5)
				assert_non_null(strstr(got, "%2C#8*3"));
			if (part == 0 && i == 6)
				assert_non_null(strstr(got, "x#0*18446744073709551615"));
			if (part == 0 && i == 7)
				assert_non_null(strstr(got, "x#1"));
		}
		strbuf_fini(&m.bytes);
	}
}

static void test_summary_write_small_buffer_refused(void **state)
{
	struct claim c = claim_of("GUID:AAAA", "\xe0", 1);
	struct strbuf out;
	char id[39];

	(void)state;
	strbuf_init(&out, 4096);
	assert_int_equal(summary_write(&who, &c, three_names, 3, 0, &out, id), -EMSGSIZE);
	assert_int_equal(out.n, 0);
	strbuf_fini(&out);
}

static void test_summary_find_id_in_own_message(void **state)
{
	struct claim c = claim_of("GUID:AAAA", "\xe0", 1);
	struct message m;
	char id[64];

	(void)state;
	take(&m, &c, three_names, 3, 0);
	summary_find_id(strbuf_slice(&m.bytes), id, sizeof(id));
	assert_string_equal(id, m.id);
	summary_find_id(strbuf_slice(&m.bytes), id, 38);
	assert_string_equal(id, "");
	summary_find_id(slice_make(m.bytes.p, 300), id, sizeof(id));
	assert_string_equal(id, "");
	summary_find_id(slice_make(NULL, 0), id, sizeof(id));
	assert_string_equal(id, "");
	strbuf_fini(&m.bytes);
}

static void test_summary_find_id_odd_shapes(void **state)
{
	static const struct {
		struct slice raw;
		const char *want;
	} t[] = {
		{SLICE("x<\0I\0D\0>\0{\0a\0}\0<\0/\0"), "{a}"},
		{SLICE("<\0I\0D\0>\0<\0/\0I\0D\0>\0"), ""},
		{SLICE("<\0I\0D\0/\0>\0"), ""},
		{SLICE("<\0I\0D\0>\0{\0a\0"), ""},
		{SLICE("<\0I\0D\0>\0\xe4\1<\0"), ""},
		{SLICE("<\0I\0D\0>\0a\0\n\0<\0"), ""},
		{SLICE("<ID>{a}</ID>"), ""},
	};
	char id[64];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		summary_find_id(t[i].raw, id, sizeof(id));
		assert_string_equal(id, t[i].want);
	}
}

static void test_text_put_clean_bad_utf8_percent_encoded(void **state)
{
	static const struct {
		struct slice in;
		const char *want;
	} t[] = {
		{SLICE("plain"), "plain"},
		{SLICE("\xc0\x80"), "%C0%80"},
		{SLICE("\xed\xa0\x80"), "%ED%A0%80"},
		{SLICE("\xf4\x90\x80\x80"), "%F4%90%80%80"},
		{SLICE("\xe2\x82"), "%E2%82"},
		{SLICE("\xc2\x85"), "%C2%85"},
		{SLICE("\xef\xbf\xbe"), "%EF%BF%BE"},
		{SLICE("a\0b"), "a%00b"},
		{SLICE("\x7f\t"), "%7F%09"},
	};
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 256);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		strbuf_reset(&out);
		assert_int_equal(text_put_clean(&out, t[i].in, "", 100), strlen(t[i].want));
		assert_true(slice_eq(strbuf_slice(&out), slice_str(t[i].want)));
	}
	strbuf_reset(&out);
	assert_int_equal(text_put_clean(&out, SLICE("a\xf0\x9f\x98\x80"), "", 2), 1);
	assert_int_equal(text_put_clean(&out, SLICE("\n"), "", 2), 0);
	strbuf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_summary_write_every_field),
		cmocka_unit_test(test_summary_write_twice_same_bytes_and_id),
		cmocka_unit_test(test_summary_window_id_known_value),
		cmocka_unit_test(test_summary_window_id_differs_by_each_field),
		cmocka_unit_test(test_summary_write_500_rules_three_parts),
		cmocka_unit_test(test_summary_write_2000_rules_twelve_parts),
		cmocka_unit_test(test_summary_rules_in_a_row_make_a_range),
		cmocka_unit_test(test_summary_write_no_rules_one_part),
		cmocka_unit_test(test_summary_write_escapes_strangers),
		cmocka_unit_test(test_summary_write_long_names_cut_and_distinct),
		cmocka_unit_test(test_summary_write_small_buffer_refused),
		cmocka_unit_test(test_summary_find_id_in_own_message),
		cmocka_unit_test(test_summary_find_id_odd_shapes),
		cmocka_unit_test(test_text_put_clean_bad_utf8_percent_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
