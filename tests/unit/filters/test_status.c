/* The <Status>: which kind it is, whose, about which rule, and what speaks against it. */
#include "tests/unit/filters/try_status.h"

static void test_status_read_usual_understood(void **state)
{
	static const char *const cases[] = {
		TRY_STATUS(TYPE RULE ID("1073752731")),
		TRY_STATUS(TYPE RULE),
		TRY_STATUS(RULE ID("1073752731")),
		TRY_STATUS("<Type/>" RULE ID("10907")),
		TRY_STATUS("<Type/>" TYPE RULE),
		TRY_STATUS(ID("10907") RULE TYPE),
		TRY_STATUS(RULE TYPE ID(" 010907\r\n")),
		/* customer bit and facility bits are not looked at: the number is 16 bits */
		TRY_STATUS(TYPE RULE ID("1610623643")),
		/* the number as MessageID, or as a property */
		TRY_STATUS(TYPE RULE TRY_QUALIFIERS(TRY_QUALIFIER("MessageID", "10907"))),
		TRY_STATUS(RULE TRY_QUALIFIERS(TRY_QUALIFIER("sms_messageid", "10907"))),
		WITH(TRY_PROPERTY("MessageID", "10907")),
		WITH(TRY_PROPERTY("SMS_MessageID", "1073752731")),
		/* the type in other letters and other clothes */
		TRY_STATUS(TRY_OF_TYPE(" swmtr_status_received_meterrule\r\n") RULE),
		TRY_STATUS(TRY_OF_TYPE("<![CDATA[" TRY_TYPE "]]>") RULE),
		TRY_STATUS(TRY_OF_TYPE("SWMtr&#95;Status_Received<!-- c -->_MeterRule") RULE),
		"<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n" TRY_STATUS(TYPE RULE) "\r\n",
		"<!-- c --><?p?>" TRY_STATUS("<?p q?>" TYPE "<!-- c -->" RULE) "<!-- c -->",
		"<Status xmlns='urn:s' xmlns:t='urn:t'>" TYPE RULE "</Status>",
		"<s:Status xmlns:s='urn:s'><s:Type>" TRY_TYPE "</s:Type><s:Properties><s:Property "
		"Name='Attribute407'>" TRY_RULE "</s:Property></s:Properties></s:Status>",
		"<Status>" TYPE "<Properties><Property x:Name='y' Name='Attribute407'\r\n>\r\n\t"
		"ABC<![CDATA[00]]>0&#49;2 </Property></Properties></Status>",
		/* nothing that we know speaks against it */
		WITH(TRY_PROPERTY("Win32ErrorCode", "0")),
		WITH(TRY_PROPERTY("Win32ErrorCode", " 00 ")),
		WITH(TRY_PROPERTY("Severity", "3")),
		WITH("<Property>no name</Property><Other><Property "
		     "Name='RuleID'>X</Property></Other>"),
		TRY_STATUS(TYPE RULE "<Unknown><Group><Type>Other</Type></Group></Unknown>"),
		TRY_STATUS(TYPE RULE TRY_QUALIFIERS(TRY_QUALIFIER("Win32ErrorCode", "5"))),
		TRY_STATUS(TYPE TRY_PROPERTIES("<Type>Other</Type>" TRY_IS_RULE)),
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		try_expect_doubt(ask_text(x, cases[i]), DOUBT_NONE, cases[i]);
		try_expect_text(x->s.rule, TRY_RULE, cases[i]);
		assert_int_equal(x->s.client.n, 0);
	}
}

struct doubtful {
	const char *xml;
	enum doubt doubt;
};

static void expect_each(struct fixture *x, const struct doubtful *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		try_expect_doubt(ask_text(x, c[i].xml), c[i].doubt, c[i].xml);
}

static void test_status_read_other_kinds_passed(void **state)
{
	static const struct doubtful cases[] = {
		{TRY_STATUS(""), DOUBT_OTHER_STATUS},
		{TRY_STATUS(RULE), DOUBT_OTHER_STATUS},
		{"<Status/>", DOUBT_OTHER_STATUS},
		{TRY_STATUS(TRY_OF_TYPE("SoftDistProgramStartedEvent") RULE), DOUBT_OTHER_STATUS},
		{TRY_STATUS(TRY_OF_TYPE(TRY_TYPE "s") RULE), DOUBT_OTHER_STATUS},
		{TRY_STATUS(TRY_OF_TYPE("SWMtr_Status_Received_MeterRul") RULE),
		 DOUBT_OTHER_STATUS},
		{TRY_STATUS(TRY_OF_TYPE("SWMtr_Status Received_MeterRule") RULE),
		 DOUBT_OTHER_STATUS},
		{TRY_STATUS(RULE ID("10906")), DOUBT_OTHER_STATUS},
		{TRY_STATUS(RULE ID("10908")), DOUBT_OTHER_STATUS},
		{TRY_STATUS(RULE "<type>" TRY_TYPE "</type>"), DOUBT_OTHER_STATUS},
		{TRY_STATUS(RULE "<Group>" TYPE "</Group>"), DOUBT_OTHER_STATUS},
		{TRY_STATUS(RULE TRY_PROPERTY("MessageID", "10907")), DOUBT_OTHER_STATUS},
	};

	expect_each(*state, cases, COUNT(cases));
}

static void test_status_read_contradictions_passed(void **state)
{
	static const struct doubtful cases[] = {
		/* type and number contradict each other, or themselves */
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "10906")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "0")), DOUBT_CONFLICT},
		{TRY_STATUS(TRY_OF_TYPE("Other") RULE ID("10907")), DOUBT_CONFLICT},
		{TRY_STATUS(TYPE TYPE RULE), DOUBT_CONFLICT},
		{TRY_STATUS(TYPE "<Type/>" RULE), DOUBT_CONFLICT},
		{SAYS(TRY_IS_NUMBER TRY_QUALIFIER("MessageID", "10906")), DOUBT_CONFLICT},
		{WITH(TRY_PROPERTY("MessageID", "10906")), DOUBT_CONFLICT},
		/* numbers that are none */
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "-")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "0x2A9B")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "+10907")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "10907.0")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "10 907")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "4294978203")), DOUBT_CONFLICT},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "18446744073709562523")), DOUBT_CONFLICT},
		{WITH(TRY_PROPERTY("MessageID", "x")), DOUBT_CONFLICT},
	};

	expect_each(*state, cases, COUNT(cases));
}

static void test_status_read_vetoes_passed(void **state)
{
	static const struct doubtful cases[] = {
		/* warning, error; unsigned and signed */
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "2147494555")), DOUBT_SEVERITY},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "-2147472741")), DOUBT_SEVERITY},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "3221236379")), DOUBT_SEVERITY},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "-1073730917")), DOUBT_SEVERITY},
		{SAYS(TRY_QUALIFIER("SMS_MessageID", "10907")
			      TRY_QUALIFIER("MessageID", "2147494555")),
		 DOUBT_SEVERITY},
		{SAYS(TRY_QUALIFIER("MessageID", "2147494555") TRY_IS_NUMBER), DOUBT_CONFLICT},
		{SAYS(TRY_IS_NUMBER TRY_QUALIFIER("MessageID", "2147494555")), DOUBT_CONFLICT},
		/* something went wrong */
		{WITH(TRY_PROPERTY("Win32ErrorCode", "1")), DOUBT_WIN32_ERROR},
		{WITH(TRY_PROPERTY("win32errorcode", "-2147024891")), DOUBT_WIN32_ERROR},
		{WITH(TRY_PROPERTY("Win32ErrorCode", "4294967296")), DOUBT_WIN32_ERROR},
		{WITH(TRY_PROPERTY("Win32ErrorCode", "-4294967296")), DOUBT_WIN32_ERROR},
		{WITH(TRY_PROPERTY("Win32ErrorCode", "")), DOUBT_WIN32_ERROR},
		{WITH(TRY_PROPERTY("Win32ErrorCode", "none")), DOUBT_WIN32_ERROR},
		{WITH(TRY_PROPERTY("Win32ErrorCode", "5") TRY_PROPERTY("Win32ErrorCode", "0")),
		 DOUBT_WIN32_ERROR},
		/* the same where it is not read: too high, too deep */
		{TRY_STATUS(TYPE TRY_PROPERTY("Win32ErrorCode", "0") RULE), DOUBT_STATUS_XML},
		{TRY_STATUS(TYPE RULE TRY_QUALIFIER("SMS_MessageID", "10907")), DOUBT_STATUS_XML},
		{WITH("<Group>" TRY_PROPERTY("Win32ErrorCode", "5") "</Group>"), DOUBT_STATUS_XML},
		{SAYS("<Group><Group>" TRY_IS_NUMBER "</Group></Group>"), DOUBT_STATUS_XML},
	};

	expect_each(*state, cases, COUNT(cases));
}

static void test_status_read_no_identity_passed(void **state)
{
	static const struct doubtful cases[] = {
		{NAMELESS(""), DOUBT_IDENTITY},
		{NAMELESS("<Property Name='ClientID'>" TRY_CLIENT "</Property>"), DOUBT_IDENTITY},
		{WITH(TRY_PROPERTY("Attribute407", "ABC00013")), DOUBT_IDENTITY},
		{WITH(TRY_PROPERTY("Attribute407", "")), DOUBT_IDENTITY},
		{WITH(TRY_PROPERTY("ClientID", "GUID:1") TRY_PROPERTY("ClientID", "GUID:2")),
		 DOUBT_IDENTITY},
		{WITH(TRY_PROPERTY("ClientID", "GUID:1") TRY_PROPERTY("ClientID", "")),
		 DOUBT_IDENTITY},
	};

	expect_each(*state, cases, COUNT(cases));
}

static void test_status_read_not_understood_passed(void **state)
{
	static const struct doubtful cases[] = {
		{"<Report/>", DOUBT_STATUS_ROOT},
		{"<status/>", DOUBT_STATUS_ROOT},
		{"<Statuses>" TRY_STATUS(TYPE RULE) "</Statuses>", DOUBT_STATUS_ROOT},
		{TRY_STATUS(TYPE RULE) "<Report/>", DOUBT_STATUS_ROOT},
		{"<Status>", DOUBT_STATUS_XML},
		{"<Status></status>", DOUBT_STATUS_XML},
		{TRY_STATUS(TYPE RULE) "x", DOUBT_STATUS_XML},
		{"x" TRY_STATUS(TYPE RULE), DOUBT_STATUS_XML},
		{" <?xml version='1.0'?>" TRY_STATUS(TYPE RULE), DOUBT_STATUS_XML},
		{TRY_STATUS(TYPE RULE "<?xml version='1.0'?>"), DOUBT_STATUS_XML},
		{TRY_STATUS(TRY_OF_TYPE(TRY_TYPE "<b/>") RULE), DOUBT_STATUS_XML},
		{WITH(TRY_PROPERTY("A", "b<c/>")), DOUBT_STATUS_XML},
		{SAYS(TRY_QUALIFIER("A", "<b>c</b>")), DOUBT_STATUS_XML},
		{"<!DOCTYPE Status>" TRY_STATUS(TYPE RULE), DOUBT_DOCTYPE},
		{"<!DOCTYPE Status [<!ENTITY r 'ABC00012'>]>" TRY_STATUS(TYPE RULE), DOUBT_DOCTYPE},
		{WITH(TRY_PROPERTY("A", "&r;")), DOUBT_DOCTYPE},
		{WITH(TRY_PROPERTY("A&r;", "")), DOUBT_DOCTYPE},
	};

	expect_each(*state, cases, COUNT(cases));
}

/* A failure is never absorbed, whatever the configuration and the number say. */
static void test_status_read_failure_siblings_vetoed(void **state)
{
	static const char *const types[] = {"SWMtr_Status_Send_UsageReport_Failed",
					    "SWMtr_Status_Create_UsageReport_Failed",
					    "SWMtr_Status_WMIFailure", "swmtr_status_wmifailure"};
	struct status_filter_conf conf = try_conf();
	struct fixture *x = *state;
	char xml[512];

	conf.types = "SWMtr_Status_Send_UsageReport_Failed,SWMtr_Status_Create_UsageReport_Failed,"
		     "SWMtr_Status_WMIFailure";
	conf.message_ids = "10904,10905,10906,10907";
	for (unsigned match = STATUS_EITHER; match <= STATUS_ID; match++) {
		conf.match = (enum status_match)match;
		assert_int_equal(status_filter_init(&x->f, &conf), 0);
		for (size_t i = 0; i < COUNT(types); i++) {
			snprintf(xml, sizeof(xml), "<Status><Type>%s</Type>%s%s</Status>", types[i],
				 RULE, i % 2 == 0 ? ID("10907") : "");
			try_expect_doubt(ask_text(x, xml), DOUBT_FAILURE_SIBLING, xml);
		}
	}
}

static void test_status_read_several(void **state)
{
#define GOOD  TRY_STATUS(TYPE RULE)
#define OTHER TRY_STATUS(TRY_OF_TYPE("Other") RULE)
	static const struct {
		const char *xml;
		enum doubt doubt;
	} cases[] = {
		{GOOD GOOD, DOUBT_SEVERAL},
		{GOOD "\r\n" GOOD "<!-- c -->" GOOD, DOUBT_SEVERAL},
		{GOOD OTHER, DOUBT_MIXED},
		{OTHER GOOD, DOUBT_MIXED},
		{GOOD GOOD OTHER GOOD, DOUBT_MIXED},
		{GOOD TRY_STATUS(TRY_OF_TYPE("SWMtr_Status_WMIFailure") RULE), DOUBT_MIXED},
		{GOOD WITH(TRY_PROPERTY("Win32ErrorCode", "5")), DOUBT_MIXED},
		{GOOD "<Status/>", DOUBT_MIXED},
		{OTHER OTHER, DOUBT_OTHER_STATUS},
		{TRY_STATUS(TYPE ID("1")) OTHER, DOUBT_CONFLICT},
		{OTHER TRY_STATUS(TYPE ID("1")), DOUBT_OTHER_STATUS},
		{GOOD "<Status>", DOUBT_STATUS_XML},
		{GOOD OTHER "x", DOUBT_STATUS_XML},
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++)
		try_expect_doubt(ask_text(x, cases[i].xml), cases[i].doubt, cases[i].xml);
}

/* What each setting of recognise.match makes of type and number: G good, O other, - absent. */
static void test_status_read_match_as_configured(void **state)
{
	static const struct {
		const char *xml;
		enum doubt doubt[4]; /* either, both, type, id */
	} cases[] = {
#define N DOUBT_NONE
#define O DOUBT_OTHER_STATUS
#define C DOUBT_CONFLICT
		{TRY_STATUS(TYPE RULE ID("10907")), {N, N, N, N}},
		{TRY_STATUS(TYPE RULE), {N, O, N, O}},
		{TRY_STATUS(RULE ID("10907")), {N, O, O, N}},
		{TRY_STATUS(TYPE RULE ID("1")), {C, C, C, C}},
		{TRY_STATUS(TRY_OF_TYPE("Other") RULE ID("10907")), {C, C, C, C}},
		{TRY_STATUS(TRY_OF_TYPE("Other") RULE ID("1")), {O, O, O, O}},
		{TRY_STATUS(TRY_OF_TYPE("Other") RULE), {O, O, O, O}},
		{TRY_STATUS(RULE ID("1")), {O, O, O, O}},
		{TRY_STATUS(RULE), {O, O, O, O}},
#undef N
#undef O
#undef C
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++)
		for (unsigned match = STATUS_EITHER; match <= STATUS_ID; match++) {
			x->f.match = (enum status_match)match;
			try_expect_doubt(ask_text(x, cases[i].xml), cases[i].doubt[match],
					 cases[i].xml);
		}
}

static void test_status_read_lists_as_configured(void **state)
{
	struct status_filter_conf conf = try_conf();
	struct fixture *x = *state;

	conf.types = "One, Two";
	conf.message_ids = "0, 65535";
	conf.rule_properties = "Other, PolicyID";
	assert_int_equal(status_filter_init(&x->f, &conf), 0);
	try_expect_doubt(ask_text(x, TRY_STATUS(TRY_OF_TYPE("Two") TRY_PROPERTIES(
					     TRY_PROPERTY("PolicyID", "P")))),
			 DOUBT_NONE, "type");
	try_expect_text(x->s.rule, "P", "rule");
	try_expect_doubt(ask_text(x, TRY_STATUS(RULE ID("65535"))), DOUBT_NONE, "65535");
	try_expect_doubt(ask_text(x, TRY_STATUS(RULE ID("0"))), DOUBT_NONE, "0");
	try_expect_doubt(ask_text(x, TRY_STATUS(RULE ID("10907"))), DOUBT_OTHER_STATUS, "10907");
	conf.types = conf.message_ids = conf.rule_properties = "";
	assert_int_equal(status_filter_init(&x->f, &conf), 0);
	try_expect_doubt(ask_text(x, TRY_STATUS(TYPE RULE ID("10907"))), DOUBT_OTHER_STATUS,
			 "nothing configured");
}

/* The ends of what 32 bits can say, signed or not; past them nothing is a number. */
static void test_status_read_numbers_at_their_limit(void **state)
{
	static const struct {
		const char *number;
		enum doubt doubt;
	} cases[] = {
		{"0", DOUBT_NONE},
		{"-0", DOUBT_NONE},
		{"65535", DOUBT_NONE},
		{"65536", DOUBT_NONE},
		{"2147483647", DOUBT_NONE},
		{"2147483648", DOUBT_SEVERITY},
		{"4294967295", DOUBT_SEVERITY},
		{"4294967296", DOUBT_CONFLICT},
		{"-1", DOUBT_SEVERITY},
		{"-2147483648", DOUBT_SEVERITY},
		{"-2147483649", DOUBT_CONFLICT},
		{"--1", DOUBT_CONFLICT},
	};
	struct fixture *x = *state;
	char xml[256];

	x->f.ids[0] = 0;
	x->f.ids[1] = 65535;
	x->f.n_ids = 2;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(xml, sizeof(xml),
			 "<Status>%s<Q><Qualifier Name='MessageID'>%s"
			 "</Qualifier></Q></Status>",
			 RULE, cases[i].number);
		try_expect_doubt(ask_text(x, xml), cases[i].doubt, cases[i].number);
	}
}

static void test_status_read_client_told(void **state)
{
	static const struct {
		const char *properties, *client;
	} cases[] = {
		{TRY_PROPERTY("ClientID", TRY_CLIENT), TRY_CLIENT},
		{TRY_PROPERTY("clientid", " " TRY_CLIENT "\r\n"), TRY_CLIENT},
		{TRY_PROPERTY(" ClientID ", "a"), "a"},
		{TRY_PROPERTY("&#67;lientID", "a"), "a"},
		{TRY_PROPERTY("ClientID", "a") TRY_PROPERTY("ClientID", "a"), "a"},
		{TRY_PROPERTY("ClientID", "a") TRY_PROPERTY("ClientID", "A"), "A"},
		{TRY_PROPERTY("ClientID", "") TRY_PROPERTY("ClientID", "a"), "a"},
		{TRY_PROPERTY("ClientID", ""), ""},
		{TRY_PROPERTY("Client", "a") TRY_PROPERTY("ClientIDs", "b"), ""},
		{TRY_PROPERTY("Attribute408", TRY_CLIENT), ""},
		{"<Qualifier Name='ClientID'>" TRY_CLIENT "</Qualifier>", ""},
	};
	struct fixture *x = *state;
	char xml[512];

	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(xml, sizeof(xml), "<Status>%s<Properties>%s%s</Properties></Status>", TYPE,
			 TRY_IS_RULE, cases[i].properties);
		try_expect_doubt(ask_text(x, xml), DOUBT_NONE, xml);
		try_expect_text(x->s.client, cases[i].client, xml);
	}
}

/* The first name of the configured list wins, wherever it stands in the document. */
static void test_status_read_rule_by_rank(void **state)
{
	static const struct {
		const char *xml, *rule;
	} cases[] = {
		{NAMELESS(TRY_PROPERTY("Attribute407", "A")), "A"},
		{NAMELESS(TRY_PROPERTY("attribute407", "A")), "A"},
		{NAMELESS(TRY_PROPERTY("RuleID", "B")), "B"},
		{NAMELESS(TRY_PROPERTY("MeterRuleID", "C")), "C"},
		{NAMELESS(TRY_PROPERTY("MeterRuleID", "C") TRY_PROPERTY("RuleID", "B")), "B"},
		{NAMELESS(TRY_PROPERTY("RuleID", "B") TRY_PROPERTY("MeterRuleID", "C")), "B"},
		{NAMELESS(TRY_PROPERTY("MeterRuleID", "C") TRY_PROPERTY("RuleID", "B")
				  TRY_PROPERTY("Attribute407", "A")),
		 "A"},
		{NAMELESS(TRY_PROPERTY("RuleID", "B") TRY_PROPERTY("Attribute407", "A")
				  TRY_PROPERTY("MeterRuleID", "C")),
		 "A"},
		{NAMELESS(TRY_PROPERTY("RuleID", "B") TRY_PROPERTY("RuleID", "B")), "B"},
		/* two values of a name that does not count */
		{NAMELESS(TRY_PROPERTY("RuleID", "B") TRY_PROPERTY("MeterRuleID", "C")
				  TRY_PROPERTY("MeterRuleID", "D")),
		 "B"},
		{NAMELESS(TRY_PROPERTY("Attribute408", TRY_CLIENT) TRY_PROPERTY("Other", "x")
				  TRY_PROPERTY("RuleID", "B")),
		 "B"},
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		try_expect_doubt(ask_text(x, cases[i].xml), DOUBT_NONE, cases[i].xml);
		try_expect_text(x->s.rule, cases[i].rule, cases[i].xml);
	}
}

/* The rule of a status, copied: a digest, where nothing names the rule. */
static void digest(struct fixture *x, const char *xml, char out[18])
{
	try_expect_doubt(ask_text(x, xml), DOUBT_NONE, xml);
	assert_int_equal(x->s.rule.n, 17);
	assert_int_equal(x->s.rule.p[0], '#');
	memcpy(out, x->s.rule.p, 17);
	out[17] = '\0';
}

/* What differs between clients and times, and says nothing about the rule. */
static const char base_x[] = TRY_PROPERTY("ClientID", "x") TRY_PROPERTY("DateTime", "1")
	TRY_PROPERTY("MachineName", "x") TRY_PROPERTY("ProcessID", "1")
		TRY_PROPERTY("ThreadID", "1") TRY_PROPERTY("SiteCode", "x")
			TRY_PROPERTY("TopLevelSiteCode", "x") TRY_PROPERTY("Severity", "1")
				TRY_PROPERTY("EventID", "1") TRY_PROPERTY("Win32ErrorCode", "0")
					TRY_PROPERTY("Attribute408", "x");

static void digest_of(struct fixture *x, const char *before, const char *after, char out[18])
{
	char xml[2048];

	snprintf(xml, sizeof(xml), "<Status>%s<Properties>%s%s</Properties></Status>", TYPE, before,
		 after);
	digest(x, xml, out);
}

static void test_status_read_nameless_rule_digested(void **state)
{
	struct fixture *x = *state;
	char a[18], b[18];

	/* Pinned: the digest is a name in the store, and must not change between versions. */
	digest(x, NAMELESS(TRY_PROPERTY("Program", "calc.exe")), a);
	assert_string_equal(a, "#6e6fcd83d79788bc");
	/* The same rule, another client, another time. */
	digest_of(x, base_x, TRY_PROPERTY("Program", "calc.exe"), b);
	assert_string_equal(a, b);
	digest_of(x, TRY_PROPERTY("Program", " calc.exe "), base_x, b);
	assert_string_equal(a, b);
	/* A rule property without a value does not name it. */
	digest(x, NAMELESS(TRY_PROPERTY("Program", "calc.exe") TRY_PROPERTY("RuleID", "")), b);
	assert_string_not_equal(a, b);
	/* Another value, another name, a piece moved from one to the other, another order. */
	digest(x, NAMELESS(TRY_PROPERTY("Program", "calc.exf")), b);
	assert_string_not_equal(a, b);
	digest(x, NAMELESS(TRY_PROPERTY("Programs", "calc.exe")), b);
	assert_string_not_equal(a, b);
	digest(x, NAMELESS(TRY_PROPERTY("Programc", "alc.exe")), b);
	assert_string_not_equal(a, b);
	digest(x, NAMELESS(TRY_PROPERTY("A", "1") TRY_PROPERTY("B", "2")), a);
	digest(x, NAMELESS(TRY_PROPERTY("B", "2") TRY_PROPERTY("A", "1")), b);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_status_read_usual_understood),
		WITH_FIXTURE(test_status_read_other_kinds_passed),
		WITH_FIXTURE(test_status_read_contradictions_passed),
		WITH_FIXTURE(test_status_read_vetoes_passed),
		WITH_FIXTURE(test_status_read_no_identity_passed),
		WITH_FIXTURE(test_status_read_not_understood_passed),
		WITH_FIXTURE(test_status_read_failure_siblings_vetoed),
		WITH_FIXTURE(test_status_read_several),
		WITH_FIXTURE(test_status_read_match_as_configured),
		WITH_FIXTURE(test_status_read_lists_as_configured),
		WITH_FIXTURE(test_status_read_numbers_at_their_limit),
		WITH_FIXTURE(test_status_read_client_told),
		WITH_FIXTURE(test_status_read_rule_by_rank),
		WITH_FIXTURE(test_status_read_nameless_rule_digested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
