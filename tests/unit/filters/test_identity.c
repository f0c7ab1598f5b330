/* Who sent it, about which rule, which message: the fall-backs, and what is no identity. */
#include "tests/unit/filters/try.h"

#define TYPED(properties) TRY_STATUS(TRY_OF_TYPE(TRY_TYPE) TRY_PROPERTIES(properties))
#define NO_CLIENT	  TYPED(TRY_IS_RULE)
#define OWN_CLIENT(c)	  TYPED(TRY_IS_RULE TRY_PROPERTY("ClientID", c))

static void test_identity_client_fall_backs(void **state)
{
	static const struct {
		struct try_msg m;
		const char *client;
	} cases[] = {
		{{.source_id = "<SourceID>a</SourceID>", .status = OWN_CLIENT("b")}, "A"},
		{{.source_id = "<SourceID> \r\n</SourceID>", .status = OWN_CLIENT("b")}, "B"},
		{{.source_id = "<SourceID/>", .status = OWN_CLIENT("guid:b")}, "GUID:B"},
		{{.source_id = "", .status = OWN_CLIENT("b")}, "B"},
		{{.source_id = "", .status = OWN_CLIENT("")}, "PC00003"},
		{{.source_id = "", .status = NO_CLIENT}, "PC00003"},
		{{.source_id = "",
		  .source_host = "<SourceHost>host.example.test</SourceHost>",
		  .status = NO_CLIENT},
		 "HOST.EXAMPLE.TEST"},
		{{.source_id = "<SourceID>!~</SourceID>"}, "!~"},
	};
	struct status_filter f = try_filter();

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct try_run r;

		try_message(&r, &f, &cases[i].m);
		try_expect_doubt(r.v.doubt, DOUBT_NONE, cases[i].client);
		try_expect_text(r.v.finding.client, cases[i].client, "client");
		try_done(&r);
	}
}

static void test_identity_unusable_passed(void **state)
{
	static const struct try_msg cases[] = {
		/* nobody */
		{.source_id = "", .source_host = "", .status = NO_CLIENT},
		{.source_id = "<SourceID/>",
		 .source_host = "<SourceHost/>",
		 .status = OWN_CLIENT(" ")},
		/* no word of ASCII: there is no falling back from what is there */
		{.source_id = "<SourceID>a b</SourceID>"},
		{.source_id = "<SourceID>a\tb</SourceID>"},
		{.source_id = "<SourceID>\u00e4</SourceID>"},
		{.source_id = "<SourceID>a\u00a0</SourceID>"},
		{.source_id = "<SourceID>\x7f</SourceID>"},
		{.source_id = "<SourceID>\U0001f600</SourceID>"},
		{.source_id = "", .status = OWN_CLIENT("a b")},
		{.source_id = "",
		 .source_host = "<SourceHost>\u00e4</SourceHost>",
		 .status = NO_CLIENT},
		{.id = "<ID>{3F25 04E0}</ID>"},
		{.id = "<ID>\u20ac</ID>"},
		{.status = TYPED(TRY_PROPERTY("Attribute407", "ABC 12"))},
		{.status = TYPED(TRY_PROPERTY("RuleID", "\u00fc"))},
		{.status = TYPED("")},
	};
	struct status_filter f = try_filter();

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char of[16];
		struct try_run r;

		snprintf(of, sizeof(of), "case %zu", i);
		try_message(&r, &f, &cases[i]);
		try_expect_doubt(r.v.doubt, DOUBT_IDENTITY, of);
		try_done(&r);
	}
}

static void test_identity_sizes_at_their_limit(void **state)
{
	static const char *const forms[] = {
		"<SourceID>%s</SourceID>", "<SourceHost>%s</SourceHost>", "<ID>%s</ID>",
		OWN_CLIENT("%s"), TYPED(TRY_PROPERTY("Attribute407", "%s"))};
	struct status_filter f = try_filter();
	char text[FINDING_MAX_TEXT + 2], piece[512];

	(void)state;
	for (size_t k = 0; k < COUNT(forms); k++)
		for (size_t n = FINDING_MAX_TEXT - 1; n <= FINDING_MAX_TEXT + 1; n++) {
			struct try_msg m = {.status = NO_CLIENT};
			struct try_run r;

			memset(text, 'X', n);
			text[n] = '\0';
			snprintf(piece, sizeof(piece), forms[k], text);
			if (k == 0)
				m.source_id = piece;
			if (k == 1 || k == 3)
				m.source_id = "";
			if (k == 1)
				m.source_host = piece;
			if (k == 2)
				m.id = piece;
			if (k >= 3)
				m.status = piece;
			try_message(&r, &f, &m);
			try_expect_doubt(r.v.doubt,
					 n <= FINDING_MAX_TEXT ? DOUBT_NONE : DOUBT_IDENTITY,
					 forms[k]);
			try_done(&r);
		}
}

/* The message's name where it has no ID of its own. */
static void digest(const struct try_msg *m, char out[34])
{
	struct status_filter f = try_filter();
	struct try_run r;

	try_message(&r, &f, m);
	try_expect_doubt(r.v.doubt, DOUBT_NONE, "digest");
	assert_int_equal(r.v.finding.message.n, 33);
	assert_int_equal(r.v.finding.message.p[0], '#');
	assert_int_equal(r.v.reply.envelope_id.n, 0);
	memcpy(out, r.v.finding.message.p, 33);
	out[33] = '\0';
	try_done(&r);
}

static void test_identity_message_without_id_digested(void **state)
{
	static const struct try_msg usual = {.id = ""};
	static const struct try_msg same[] = {
		{.id = "<ID/>"},
		{.id = "<ID>\r\n</ID>"},
		{.id = "", .pack = TRY_ZLIB},
		{.id = "", .pack = TRY_OLD_GZIP, .tail = SLICE("\0\0\r\n")},
		{.id = "",
		 .source_id = "<SourceID>guid:11111111-2222-3333-4444-555555555555"
			      "</SourceID>"},
		{.id = "", .source_host = "", .more = "", .has_no_mark = true},
	};
	static const struct try_msg others[] = {
		{.id = "", .source_id = "<SourceID>GUID:2</SourceID>"},
		{.id = "", .status = TYPED(TRY_IS_RULE)},
		{.id = "", .status = TYPED(TRY_PROPERTY("Attribute407", "ABC00013"))},
		{.id = "", .status = TYPED(TRY_IS_RULE TRY_PROPERTY("DateTime", "2007"))},
	};
	char names[1 + COUNT(others)][34], name[34];

	(void)state;
	digest(&usual, names[0]);
	/* Pinned: the digest is a name in the store, and must not change between versions. */
	assert_string_equal(names[0], "#0ff32fb402365275a52f294546183074");
	for (size_t i = 0; i < COUNT(same); i++) {
		digest(&same[i], name);
		assert_string_equal(name, names[0]);
	}
	for (size_t i = 0; i < COUNT(others); i++) {
		digest(&others[i], names[1 + i]);
		for (size_t k = 0; k <= i; k++)
			assert_string_not_equal(names[1 + i], names[k]);
	}
}

static void test_identity_rule_without_a_name_digested(void **state)
{
	static const struct try_msg m = {.status = TYPED(TRY_PROPERTY("Program", "calc.exe"))};
	struct status_filter f = try_filter();
	struct try_run r;

	(void)state;
	try_message(&r, &f, &m);
	try_expect_doubt(r.v.doubt, DOUBT_NONE, "digest");
	assert_int_equal(r.v.finding.rule.n, 17);
	assert_int_equal(r.v.finding.rule.p[0], '#');
	try_done(&r);
}

/* A filter may be asked twice, and answers the same. */
static void test_identity_asked_twice_same(void **state)
{
	static const struct try_msg m = {.id = "", .pack = TRY_OLD_RAW};
	struct status_filter f = try_filter();
	struct try_run a, b;

	(void)state;
	try_message(&a, &f, &m);
	try_message(&b, &f, &m);
	assert_true(slice_eq(a.v.finding.client, b.v.finding.client));
	assert_true(slice_eq(a.v.finding.rule, b.v.finding.rule));
	assert_true(slice_eq(a.v.finding.message, b.v.finding.message));
	try_done(&a);
	try_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity_client_fall_backs),
		cmocka_unit_test(test_identity_unusable_passed),
		cmocka_unit_test(test_identity_sizes_at_their_limit),
		cmocka_unit_test(test_identity_message_without_id_digested),
		cmocka_unit_test(test_identity_rule_without_a_name_digested),
		cmocka_unit_test(test_identity_asked_twice_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
