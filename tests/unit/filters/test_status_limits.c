/* The <Status> as bytes: encodings, sizes, scratch, and what is not whole. */
#include "tests/unit/filters/try_status.h"

static void test_status_read_encodings(void **state)
{
	static const struct slice refused[] = {
		SLICE(""),
		SLICE("<Status/>"),
		SLICE("\xef\xbb\xbf<Status/>"),
		SLICE("\xfe\xff\0<\0S\0/\0>"),
		SLICE("\xff\xfe<\0S\0/\0>"),
		SLICE("\xff\xfe\xff\xfe<\0S\0/\0>\0"),
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(refused); i++) {
		x->bytes.n = 0;
		try_put(&x->bytes, refused[i]);
		try_expect_doubt(ask(x), DOUBT_STATUS_ENCODING, "encoding");
	}
	x->bytes.n = 0;
	try_put_unit(&x->bytes, 0xfeff);
	try_put_wide(&x->bytes, TRY_STATUS(TYPE RULE));
	try_expect_doubt(ask(x), DOUBT_NONE, "with a mark");
	try_puts(&x->bytes, "\n");
	try_expect_doubt(ask(x), DOUBT_STATUS_ENCODING, "odd");
}

/* A terminator is the caller's to cut off: inside the text it is no character. */
static void test_status_read_terminator_within_refused(void **state)
{
	struct fixture *x = *state;

	try_put_wide(&x->bytes, TRY_STATUS(TYPE RULE));
	try_put_unit(&x->bytes, 0);
	try_expect_doubt(ask(x), DOUBT_STATUS_XML, "terminator");
}

static void put_long(struct fixture *x, const char *before, size_t n, const char *after)
{
	x->bytes.n = 0;
	try_put_wide(&x->bytes, before);
	for (size_t i = 0; i < n; i++)
		try_put_unit(&x->bytes, 'x');
	try_put_wide(&x->bytes, after);
}

static void test_status_read_values_at_their_limit(void **state)
{
#define REST "</Type>" RULE "</Status>"
	static const struct {
		const char *before, *after;
		enum doubt within, above;
	} cases[] = {
		{"<Status><Type>", REST, DOUBT_OTHER_STATUS, DOUBT_NO_ROOM},
		{"<Status><Type>" TRY_TYPE REST "<Status><Properties><Property Name='",
		 "'/></Properties></Status>", DOUBT_MIXED, DOUBT_NO_ROOM},
		{"<Status>" TYPE "<Properties><Property Name='RuleID'>",
		 "</Property></Properties></Status>", DOUBT_NONE, DOUBT_NO_ROOM},
		{"<Status>" TYPE "<Properties><Property Name='Other'>",
		 "</Property></Properties></Status>", DOUBT_NONE, DOUBT_NO_ROOM},
		{"<Status>" TYPE RULE "<P><Property Name='ClientID'>", "</Property></P></Status>",
		 DOUBT_NONE, DOUBT_NO_ROOM},
		{"<Status>" TYPE RULE "<Q><Qualifier Name='", "'/></Q></Status>", DOUBT_NONE,
		 DOUBT_NO_ROOM},
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t n = 1023; n <= 1025; n++) {
			put_long(x, cases[i].before, n, cases[i].after);
			try_expect_doubt(ask(x), n <= 1024 ? cases[i].within : cases[i].above,
					 cases[i].before);
		}
}

/* What nobody looks at has no limit of its own, where the rule has a name. */
static void test_status_read_unused_values_unlimited(void **state)
{
	static const char *const before[] = {
		"<Status>" TYPE RULE "<P><Property Name='DateTime'>",
		"<Status>" TYPE RULE "<P><Property Name='Other'>",
		"<Status>" TYPE RULE "<P><Property Name='RuleID'>",
		"<Status>" TYPE RULE "<P><Property>",
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(before); i++) {
		put_long(x, before[i], 5000, "</Property></P></Status>");
		try_expect_doubt(ask(x), DOUBT_NONE, before[i]);
		assert_true(x->scratch.used < x->bytes.n / 2 + UTF16_PAD + 100);
	}
}

/* With less scratch than the texts need: a doubt, whichever text it is. */
static void test_status_read_scratch_full_no_room(void **state)
{
	static const char *const cases[] = {TRY_USUAL_STATUS,
					    NAMELESS(TRY_PROPERTY("Program", "calc.exe"))};
	struct fixture *x = *state;
	struct arena small;
	size_t needed;

	for (size_t i = 0; i < COUNT(cases); i++) {
		try_expect_doubt(ask_text(x, cases[i]), DOUBT_NONE, "with room");
		needed = x->scratch.used;
		for (size_t room = 1; room < needed; room++) {
			assert_int_equal(arena_init(&small, room), 0);
			try_expect_doubt(status_read(&x->f, try_slice(&x->bytes), &small, &x->s),
					 DOUBT_NO_ROOM, "without");
			arena_fini(&small);
		}
	}
}

static void test_status_read_cut_anywhere_refused(void **state)
{
	struct fixture *x = *state;
	size_t whole;

	try_put_wide(&x->bytes, TRY_USUAL_STATUS);
	whole = x->bytes.n;
	for (size_t n = 0; n < whole; n++) {
		x->bytes.n = n;
		assert_int_not_equal(ask(x), DOUBT_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_status_read_encodings),
		WITH_FIXTURE(test_status_read_terminator_within_refused),
		WITH_FIXTURE(test_status_read_values_at_their_limit),
		WITH_FIXTURE(test_status_read_unused_values_unlimited),
		WITH_FIXTURE(test_status_read_scratch_full_no_room),
		WITH_FIXTURE(test_status_read_cut_anywhere_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
