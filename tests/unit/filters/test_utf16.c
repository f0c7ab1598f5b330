/* Texts of clients made into UTF-8: which characters pass, and what stands behind. */
#include "filters/utf16.h"

#include "tests/unit/filters/try.h"

/* What the scanner looks at together, and one more. */
#define PADS 33

static void expect_text(struct slice wide, struct slice want)
{
	static const char zeros[UTF16_PAD];
	struct try_narrow n;

	assert_true(try_narrow(&n, wide));
	assert_true(slice_eq(n.text, want));
	assert_memory_equal(n.text.p + n.text.n, zeros, UTF16_PAD);
	assert_int_equal(n.scratch.used, n.text.n + UTF16_PAD);
	try_narrow_done(&n);
}

static void expect_refused(struct slice wide)
{
	struct try_narrow n;

	assert_false(try_narrow(&n, wide));
	try_narrow_done(&n);
}

static void test_narrow_characters(void **state)
{
	static const char *const cases[] = {
		"",
		"a",
		"0123456789abcdef",
		"0123456789abcdefg",
		"\t\r\n \x7f~",
		"\xc2\x80\u00e4\u07ff\u0800\u20ac\ud7ff\ue000\ufffd",
		"\U00010000\U0001f600\U0010ffff",
		"0123456789abcde\u00e40123456789abcdef\r\n0123456789abcdef",
		"\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac",
	};
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	for (size_t i = 0; i < COUNT(cases); i++) {
		b.n = 0;
		try_put_wide(&b, cases[i]);
		expect_text(try_slice(&b), slice_str(cases[i]));
	}
	try_bytes_fini(&b);
}

/* Before and after so many plain characters: each place in what is looked at together. */
static void put_between(struct try_bytes *b, unsigned before, const unsigned *u, unsigned n,
			unsigned after)
{
	b->n = 0;
	for (unsigned i = 0; i < before; i++)
		try_put_unit(b, 'p');
	for (unsigned i = 0; i < n; i++)
		try_put_unit(b, u[i]);
	for (unsigned i = 0; i < after; i++)
		try_put_unit(b, 'q');
}

static void test_narrow_refuses_what_is_no_character(void **state)
{
	static const struct {
		unsigned u[4], n;
	} cases[] = {
		{{0xd800}, 1},	       {{0xdc00}, 1},
		{{0xdfff}, 1},	       {{0xdbff}, 1},
		{{0xdbff, 0xdbff}, 2}, {{0xdc00, 0xd800}, 2},
		{{0xd83d, 0xe000}, 2}, {{0xd83d, 0xde00, 0xde00}, 3},
		{{0xfffe}, 1},	       {{0xffff}, 1},
		{{0x0000}, 1},	       {{0x0001}, 1},
		{{0x0008}, 1},	       {{0x000b}, 1},
		{{0x000c}, 1},	       {{0x000e}, 1},
		{{0x001f}, 1},	       {{0xd83d, 0xde00, 0x0000}, 3},
	};
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	for (size_t i = 0; i < COUNT(cases); i++)
		for (unsigned before = 0; before < PADS; before++)
			for (unsigned after = 0; after < PADS; after++) {
				put_between(&b, before, cases[i].u, cases[i].n, after);
				expect_refused(try_slice(&b));
			}
	try_bytes_fini(&b);
}

static void test_narrow_takes_characters_at_each_place(void **state)
{
	static const struct {
		unsigned u[2], n;
		const char *want;
	} cases[] = {
		{{'\t'}, 1, "\t"},	 {{'\r', '\n'}, 2, "\r\n"},
		{{0x7f}, 1, "\x7f"},	 {{0x80}, 1, "\xc2\x80"},
		{{0xff}, 1, "\u00ff"},	 {{0x0141}, 1, "\u0141"},
		{{0x20ac}, 1, "\u20ac"}, {{0x8000}, 1, "\u8000"},
		{{0xff41}, 1, "\uff41"}, {{0xd83d, 0xde00}, 2, "\U0001f600"},
	};
	struct try_bytes b;
	char want[128];

	(void)state;
	try_bytes_init(&b);
	for (size_t i = 0; i < COUNT(cases); i++)
		for (unsigned before = 0; before < PADS; before++)
			for (unsigned after = 0; after < PADS; after++) {
				put_between(&b, before, cases[i].u, cases[i].n, after);
				snprintf(want, sizeof(want), "%.*s%s%.*s", (int)before,
					 "pppppppppppppppppppppppppppppppp", cases[i].want,
					 (int)after, "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq");
				expect_text(try_slice(&b), slice_str(want));
			}
	try_bytes_fini(&b);
}

static void test_narrow_scratch_full(void **state)
{
	struct arena scratch;
	struct try_bytes b;
	struct slice out;

	(void)state;
	try_bytes_init(&b);
	try_put_wide(&b, "\u20ac\u20ac\u20ac");
	assert_int_equal(arena_init(&scratch, 9 + UTF16_PAD - 1), 0);
	assert_int_equal(utf16_narrow(try_slice(&b), &scratch, &out), -ENOMEM);
	arena_fini(&scratch);
	assert_int_equal(arena_init(&scratch, 9 + UTF16_PAD), 0);
	assert_int_equal(utf16_narrow(try_slice(&b), &scratch, &out), 0);
	arena_fini(&scratch);
	try_bytes_fini(&b);
}

static void test_utf8_put_room_at_its_limit(void **state)
{
	static const struct {
		uint32_t c;
		const char *want;
	} cases[] = {{'a', "a"},
		     {0x7f, "\x7f"},
		     {0x80, "\xc2\x80"},
		     {0x7ff, "\u07ff"},
		     {0x800, "\u0800"},
		     {0xffff, "\uffff"},
		     {0x10000, "\U00010000"},
		     {0x10ffff, "\U0010ffff"}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t want = strlen(cases[i].want);

		for (size_t room = 1; room < 8; room++) {
			char out[8] = "x.......";
			size_t n = 1;

			assert_int_equal(utf8_put(cases[i].c, out, &n, room), room - 1 >= want);
			assert_int_equal(n, room - 1 >= want ? 1 + want : 1);
			assert_memory_equal(out + 1, cases[i].want, n - 1);
			assert_true(n == 8 || out[n] == '.');
		}
	}
}

static void test_utf16_body_mark_dropped_others_refused(void **state)
{
	static const struct {
		struct slice bytes;
		bool is_text;
		size_t left;
	} cases[] = {
		{SLICE(""), false, 0},
		{SLICE("<"), false, 0},
		{SLICE("<\0"), false, 0},
		{SLICE("\xff\xfe"), false, 0},
		{SLICE("<\0a\0"), true, 4},
		{SLICE("\xff\xfe<\0"), true, 2},
		{SLICE("\xff\xfe<\0a\0"), true, 4},
		{SLICE("<\0a\0>"), false, 0},
		{SLICE("\xff\xfe<\0a"), false, 0},
		{SLICE("\xfe\xff\0<\0a"), false, 0},
		{SLICE("\0<\0a"), false, 0},
		{SLICE("\xff\xfe\xff\xfe<\0"), false, 0},
		{SLICE("<a/>"), false, 0},
		{SLICE("\xef\xbb\xbf<a/>."), false, 0},
		{SLICE("\xe4\0a\0"), false, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *bytes = try_exact(cases[i].bytes);
		struct slice s = slice_make(bytes, cases[i].bytes.n);

		assert_int_equal(utf16_body(&s), cases[i].is_text);
		if (cases[i].is_text)
			assert_int_equal(s.n, cases[i].left);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_narrow_characters),
		cmocka_unit_test(test_narrow_refuses_what_is_no_character),
		cmocka_unit_test(test_narrow_takes_characters_at_each_place),
		cmocka_unit_test(test_narrow_scratch_full),
		cmocka_unit_test(test_utf8_put_room_at_its_limit),
		cmocka_unit_test(test_utf16_body_mark_dropped_others_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
