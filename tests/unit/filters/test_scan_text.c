/* What is done with scanned text: compared, decoded, gathered. */
#include "filters/scan_text.h"

#include "tests/unit/filters/try.h"

struct reading {
	const char *xml, *want;
};

static struct text16 wide_of(struct try_bytes *b, const char *utf8)
{
	b->n = 0;
	try_put_wide(b, utf8);
	return (struct text16){(const unsigned char *)b->p, b->n / 2};
}

static struct text16 wide_of_n(struct try_bytes *b, const char *ascii, size_t n)
{
	return (struct text16){wide_of(b, ascii).p, n};
}

static void test_text16_decode_room_at_its_limit(void **state)
{
	static const struct reading cases[] = {
		{"", ""},
		{"a", "a"},
		{"abcdefgh", "abcdefgh"},
		{"abcdefghi", "abcdefghi"},
		{"abcdefg\u00e4abcdefgh", "abcdefg\u00e4abcdefgh"},
		{"\u07ff", "\u07ff"},
		{"\u0800\uffff", "\u0800\uffff"},
		{"\U00010000\U0010ffff", "\U00010000\U0010ffff"},
		{"abcdefghijklmno&amp;", "abcdefghijklmno&"},
		{"&#x20AC;&#x1F600;", "\u20ac\U0001f600"},
	};
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct text16 t = wide_of(&b, cases[i].xml);
		size_t want = strlen(cases[i].want);

		for (size_t room = want > 0 ? want - 1 : 0; room <= want + 9; room++) {
			char *out = try_exact(slice_make(NULL, 0));
			size_t n = 0;

			out = realloc(out, room + 1);
			assert_non_null(out);
			out[room] = 'G';
			assert_int_equal(text16_decode(t, false, out, &n, room), room >= want);
			assert_int_equal(out[room], 'G');
			assert_true(n <= room);
			if (room >= want)
				try_expect_text(slice_make(out, n), cases[i].want, cases[i].xml);
			free(out);
		}
	}
	try_bytes_fini(&b);
}

static void test_text16_decode_appends(void **state)
{
	char out[8] = "ab";
	struct try_bytes b;
	size_t n = 2;

	(void)state;
	try_bytes_init(&b);
	assert_true(text16_decode(wide_of(&b, "&#99;"), false, out, &n, sizeof(out)));
	assert_true(text16_decode(wide_of(&b, "&#9"), true, out, &n, sizeof(out)));
	try_expect_text(slice_make(out, n), "abc&#9", "appended");
	assert_false(text16_decode(wide_of(&b, "xyz"), true, out, &n, sizeof(out)));
	try_bytes_fini(&b);
}

static void test_text16_eq_exact(void **state)
{
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	assert_true(text16_eq(wide_of(&b, "Type"), "Type"));
	assert_false(text16_eq(wide_of(&b, "Type"), "type"));
	assert_false(text16_eq(wide_of(&b, "Typ"), "Type"));
	assert_false(text16_eq(wide_of(&b, "Types"), "Type"));
	assert_false(text16_eq(wide_of(&b, "\u0154ype"), "Type"));
	assert_true(text16_eq(wide_of(&b, ""), ""));
	assert_true(text16_ieq(wide_of(&b, "uTF-16"), SLICE("Utf-16")));
	assert_false(text16_ieq(wide_of(&b, "uTF-1"), SLICE("Utf-16")));
	assert_false(text16_ieq(wide_of(&b, "\u0155TF-16"), SLICE("Utf-16")));
	assert_false(text16_ieq(wide_of(&b, "uTF_16"), SLICE("Utf-16")));
	try_bytes_fini(&b);
}

static void test_scan_local_behind_the_first_colon(void **state)
{
	static const struct {
		const char *text, *name, *local;
	} cases[] = {
		{"<Msg/>", "Msg", "Msg"},
		{"<m:Msg x:a='1'/>", "m:Msg", "Msg"},
		{"<m: a='1'/>", "m:", ""},
		{"<:m></:m>", ":m", "m"},
		{"<a:b:c>........</a:b:c>", "a:b:c", "b:c"},
		{"<abcdefgh:ijklmnopqrst y='1'/>", "abcdefgh:ijklmnopqrst", "ijklmnopqrst"},
		{"<abcdefghijkl::/>", "abcdefghijkl::", ":"},
	};
	struct try_bytes b;
	struct scan s;

	(void)state;
	try_bytes_init(&b);
	for (size_t i = 0; i < COUNT(cases); i++) {
		(void)wide_of(&b, cases[i].text);
		scan_init(&s, try_slice(&b), false);
		assert_int_equal(scan_next(&s), SCAN_START);
		assert_true(text16_eq(s.name, cases[i].name));
		assert_true(text16_eq(s.local, cases[i].local));
	}
	try_bytes_fini(&b);
}

/* Any length, and one character off at any place. */
static void test_text16_eq_each_length_and_place(void **state)
{
	static const char *const text = "abcdefghijklmnopqrstuvwxyz";
	char part[32];
	struct try_bytes b;
	struct text16 t;

	(void)state;
	try_bytes_init(&b);
	for (size_t n = 1; n <= strlen(text); n++) {
		t = wide_of_n(&b, text, n);
		snprintf(part, sizeof(part), "%.*s", (int)n, text);
		assert_true(text16_eq(t, part));
		for (size_t i = 0; i < n; i++) {
			part[i]++;
			assert_false(text16_eq(t, part));
			part[i]--;
		}
	}
	try_bytes_fini(&b);
}

static void test_scan_attr_by_whole_name(void **state)
{
	struct try_bytes b;
	struct scan s;

	(void)state;
	try_bytes_init(&b);
	try_put_wide(&b, "<a Name='1' x:Name='2' Names='3'/>");
	scan_init(&s, try_slice(&b), false);
	assert_int_equal(scan_next(&s), SCAN_START);
	assert_true(text16_eq(scan_attr(&s, "Name")->value, "1"));
	assert_true(text16_eq(scan_attr(&s, "x:Name")->value, "2"));
	assert_null(scan_attr(&s, "Nam"));
	assert_null(scan_attr(&s, "name"));
	try_bytes_fini(&b);
}

/* Gather the text of the root of an element tree without other elements. */
static bool gather_root(struct slice wide, struct arena *scratch, struct slice *out)
{
	struct gather g;
	struct scan s;

	scan_init(&s, wide, false);
	assert_int_equal(scan_next(&s), SCAN_START);
	gather_begin(&g);
	while (scan_next(&s) == SCAN_TEXT)
		gather_add(&g, &s);
	return gather_end(&g, scratch, out);
}

static void test_gather_pieces_joined_and_trimmed(void **state)
{
	static const struct reading cases[] = {
		{"<a/>", ""},
		{"<a> \t\r\n </a>", ""},
		{"<a>b</a>", "b"},
		{"<a>\n b c\t</a>", "b c"},
		{"<a> b<!-- x --><![CDATA[&lt; ]]>&gt;<?p q?>c </a>", "b&lt; >c"},
		{"<a><![CDATA[ b ]]></a>", "b"},
		{"<a>&#32;b&#9;</a>", "b"},
		{"<a>\u00a0b\u00a0</a>", "\u00a0b\u00a0"}, /* no white space of XML */
	};
	struct arena scratch;
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	assert_int_equal(arena_init(&scratch, 4096), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct slice out = SLICE("untouched");

		wide_of(&b, cases[i].xml);
		assert_true(gather_root(try_slice(&b), &scratch, &out));
		try_expect_text(out, cases[i].want, cases[i].xml);
		arena_reset(&scratch);
	}
	arena_fini(&scratch);
	try_bytes_fini(&b);
}

static void test_gather_size_at_its_limit(void **state)
{
	struct arena scratch;
	struct slice out;
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	assert_int_equal(arena_init(&scratch, 4096), 0);
	for (unsigned n = SCAN_TEXT_MAX - 1; n <= SCAN_TEXT_MAX + 1; n++) {
		wide_of(&b, "<a>");
		for (unsigned i = 0; i < n; i++)
			try_put_unit(&b, 'x');
		try_put_wide(&b, "</a>");
		assert_int_equal(gather_root(try_slice(&b), &scratch, &out), n <= SCAN_TEXT_MAX);
		if (n <= SCAN_TEXT_MAX)
			assert_int_equal(out.n, n);
		arena_reset(&scratch);
	}
	arena_fini(&scratch);
	try_bytes_fini(&b);
}

static void test_gather_end_scratch_full_refused(void **state)
{
	struct arena scratch;
	struct slice out;
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	wide_of(&b, "<a>12345678</a>");
	for (unsigned room = 7; room <= 9; room++) {
		assert_int_equal(arena_init(&scratch, room), 0);
		assert_int_equal(gather_root(try_slice(&b), &scratch, &out), room >= 8);
		arena_fini(&scratch);
	}
	try_bytes_fini(&b);
}

static void test_scan_attr_text_absent_stays(void **state)
{
	struct slice out = SLICE("before");
	struct arena scratch;
	struct try_bytes b;
	struct scan s;

	(void)state;
	try_bytes_init(&b);
	assert_int_equal(arena_init(&scratch, 64), 0);
	wide_of(&b, "<a b=' &#x20;c&amp;d\t' e=''/>");
	scan_init(&s, try_slice(&b), false);
	assert_int_equal(scan_next(&s), SCAN_START);
	assert_true(scan_attr_text(&s, "f", &scratch, &out));
	try_expect_text(out, "before", "absent");
	assert_true(scan_attr_text(&s, "b", &scratch, &out));
	try_expect_text(out, "c&d", "trimmed");
	assert_true(scan_attr_text(&s, "e", &scratch, &out));
	try_expect_text(out, "", "empty");
	arena_fini(&scratch);
	try_bytes_fini(&b);
}

static void test_scan_attr_text_size_at_its_limit(void **state)
{
	struct arena scratch;
	struct slice out;
	struct try_bytes b;
	struct scan s;

	(void)state;
	try_bytes_init(&b);
	assert_int_equal(arena_init(&scratch, 4096), 0);
	for (unsigned n = SCAN_TEXT_MAX - 1; n <= SCAN_TEXT_MAX + 1; n++) {
		wide_of(&b, "<a b='");
		for (unsigned i = 0; i < n; i++)
			try_put_unit(&b, 'x');
		try_put_wide(&b, "'/>");
		scan_init(&s, try_slice(&b), false);
		assert_int_equal(scan_next(&s), SCAN_START);
		assert_int_equal(scan_attr_text(&s, "b", &scratch, &out), n <= SCAN_TEXT_MAX);
		arena_reset(&scratch);
	}
	arena_fini(&scratch);
	try_bytes_fini(&b);
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
		cmocka_unit_test(test_text16_decode_room_at_its_limit),
		cmocka_unit_test(test_text16_decode_appends),
		cmocka_unit_test(test_text16_eq_exact),
		cmocka_unit_test(test_scan_local_behind_the_first_colon),
		cmocka_unit_test(test_text16_eq_each_length_and_place),
		cmocka_unit_test(test_scan_attr_by_whole_name),
		cmocka_unit_test(test_gather_pieces_joined_and_trimmed),
		cmocka_unit_test(test_gather_size_at_its_limit),
		cmocka_unit_test(test_gather_end_scratch_full_refused),
		cmocka_unit_test(test_scan_attr_text_absent_stays),
		cmocka_unit_test(test_scan_attr_text_size_at_its_limit),
		cmocka_unit_test(test_utf16_body_mark_dropped_others_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
