/* What is done with scanned text: compared, decoded, gathered. */
#include "filters/scan_text.h"

#include "tests/unit/filters/try.h"

struct reading {
	const char *xml, *want;
};

/* A scanner of this text behind its first event; scanned_done() afterwards. */
struct scanned {
	struct try_narrow narrow;
	struct scan scan;
};

static void scan_wide(struct scanned *x, struct slice wide)
{
	assert_true(try_narrow(&x->narrow, wide));
	scan_init(&x->scan, x->narrow.text, false);
	assert_int_equal(scan_next(&x->scan), SCAN_START);
}

static void scan_text(struct scanned *x, const char *utf8)
{
	struct try_bytes b;

	try_bytes_init(&b);
	try_put_wide(&b, utf8);
	scan_wide(x, try_slice(&b));
	try_bytes_fini(&b);
}

static void scanned_done(struct scanned *x)
{
	try_narrow_done(&x->narrow);
}

/* before, n times 'x', after. */
static void scan_long(struct scanned *x, const char *before, unsigned n, const char *after)
{
	struct try_bytes b;

	try_bytes_init(&b);
	try_put_wide(&b, before);
	for (unsigned i = 0; i < n; i++)
		try_put_unit(&b, 'x');
	try_put_wide(&b, after);
	scan_wide(x, try_slice(&b));
	try_bytes_fini(&b);
}

static void test_scan_decode_room_at_its_limit(void **state)
{
	static const struct reading cases[] = {
		{"", ""},
		{"a", "a"},
		{"&amp;", "&"},
		{"a&lt;", "a<"},
		{"&gt;a", ">a"},
		{"&quot;&apos;", "\"'"},
		{"abcdefghijklmno&#9;\u00e4", "abcdefghijklmno\t\u00e4"},
		{"&#x20AC;&#x1F600;", "\u20ac\U0001f600"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t want = strlen(cases[i].want);

		for (size_t room = want > 0 ? want - 1 : 0; room <= want + 2; room++) {
			char *out = malloc(room + 1);
			size_t n = 0;

			assert_non_null(out);
			out[room] = 'G';
			assert_int_equal(scan_decode(slice_str(cases[i].xml), out, &n, room),
					 room >= want);
			assert_int_equal(out[room], 'G');
			assert_true(n <= room);
			if (room >= want)
				try_expect_text(slice_make(out, n), cases[i].want, cases[i].xml);
			free(out);
		}
	}
}

static void test_scan_decode_appends(void **state)
{
	char out[8] = "ab";
	size_t n = 2;

	(void)state;
	assert_true(scan_decode(SLICE("&#99;"), out, &n, sizeof(out)));
	assert_true(scan_decode(SLICE("d"), out, &n, sizeof(out)));
	try_expect_text(slice_make(out, n), "abcd", "appended");
	assert_false(scan_decode(SLICE("vwxyz"), out, &n, sizeof(out)));
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
	struct scanned x;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		scan_text(&x, cases[i].text);
		assert_true(slice_eq(x.scan.name, slice_str(cases[i].name)));
		assert_true(slice_eq(x.scan.local, slice_str(cases[i].local)));
		scanned_done(&x);
	}
}

static void test_scan_attr_by_whole_name(void **state)
{
	struct scanned x;

	(void)state;
	scan_text(&x, "<a Name='1' x:Name='2' Names='3'/>");
	assert_true(slice_eq(scan_attr(&x.scan, SLICE("Name"))->value, SLICE("1")));
	assert_true(slice_eq(scan_attr(&x.scan, SLICE("x:Name"))->value, SLICE("2")));
	assert_null(scan_attr(&x.scan, SLICE("Nam")));
	assert_null(scan_attr(&x.scan, SLICE("name")));
	scanned_done(&x);
}

/* Gather the text of the root of an element tree without other elements. */
static bool gather_root(struct scanned *x, struct arena *scratch, struct slice *out)
{
	struct gather g;

	gather_begin(&g);
	while (scan_next(&x->scan) == SCAN_TEXT)
		gather_add(&g, &x->scan);
	return gather_end(&g, scratch, out);
}

static void test_gather_pieces_joined_and_trimmed(void **state)
{
	static const struct {
		const char *xml, *want;
		size_t copied;
	} cases[] = {
		{"<a/>", "", 0},
		{"<a> \t\r\n </a>", "", 0},
		{"<a>b</a>", "b", 0},
		{"<a>\n b c\t</a>", "b c", 0},
		{"<a> b<!-- x --><![CDATA[&lt; ]]>&gt;<?p q?>c </a>", "b&lt; >c", 8},
		{"<a>b<![CDATA[c]]></a>", "bc", 2},
		{"<a><![CDATA[]]>b<![CDATA[]]></a>", "b", 0},
		{"<a><![CDATA[ b ]]></a>", "b", 0},
		{"<a>&#32;b&#9;</a>", "b", 1},
		{"<a>b&amp;</a>", "b&", 2},
		{"<a>&amp;<!-- -->b</a>", "&b", 2},
		{"<a>\u00a0b\u00a0</a>", "\u00a0b\u00a0", 0}, /* no white space of XML */
	};
	struct arena scratch;
	struct scanned x;

	(void)state;
	assert_int_equal(arena_init(&scratch, 4096), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct slice out = SLICE("untouched");

		scan_text(&x, cases[i].xml);
		assert_true(gather_root(&x, &scratch, &out));
		try_expect_text(out, cases[i].want, cases[i].xml);
		assert_int_equal(scratch.used, cases[i].copied);
		arena_reset(&scratch);
		scanned_done(&x);
	}
	arena_fini(&scratch);
}

static void test_gather_size_at_its_limit(void **state)
{
	static const struct {
		const char *before, *after;
		unsigned more; /* bytes that these two are */
	} cases[] = {{"<a>", "</a>", 0},
		     {"<a>&amp;", "</a>", 1},
		     {"<a>", "<!-- -->y</a>", 1},
		     {"<a>", "&#x20AC;</a>", 3},
		     {"<a> ", " </a>", 2}};
	struct arena scratch;
	struct scanned x;
	struct slice out;

	(void)state;
	assert_int_equal(arena_init(&scratch, 4096), 0);
	for (size_t i = 0; i < COUNT(cases); i++)
		for (unsigned n = SCAN_TEXT_MAX - 1; n <= SCAN_TEXT_MAX + 1; n++) {
			scan_long(&x, cases[i].before, n - cases[i].more, cases[i].after);
			assert_int_equal(gather_root(&x, &scratch, &out), n <= SCAN_TEXT_MAX);
			arena_reset(&scratch);
			scanned_done(&x);
		}
	arena_fini(&scratch);
}

static void test_gather_blind_is_empty(void **state)
{
	struct arena scratch = {0};
	struct slice out = SLICE("untouched");
	struct scanned x;
	struct gather g;

	(void)state;
	scan_long(&x, "<a>&amp;", 5000, "</a>");
	gather_begin_blind(&g);
	while (scan_next(&x.scan) == SCAN_TEXT)
		gather_add(&g, &x.scan);
	assert_true(gather_end(&g, &scratch, &out));
	assert_int_equal(out.n, 0);
	scanned_done(&x);
}

static void test_gather_end_scratch_full_refused(void **state)
{
	struct arena scratch;
	struct scanned x;
	struct slice out;

	(void)state;
	for (unsigned room = 7; room <= 9; room++) {
		scan_text(&x, "<a>1234567&#56;</a>");
		assert_int_equal(arena_init(&scratch, room), 0);
		assert_int_equal(gather_root(&x, &scratch, &out), room >= 8);
		arena_fini(&scratch);
		scanned_done(&x);
	}
}

static void test_scan_attr_text_absent_stays(void **state)
{
	struct slice out = SLICE("before");
	struct arena scratch;
	struct scanned x;

	(void)state;
	assert_int_equal(arena_init(&scratch, 64), 0);
	scan_text(&x, "<a b=' &#x20;c&amp;d\t' e='' g=' h '/>");
	assert_true(scan_attr_text(&x.scan, SLICE("f"), &scratch, &out));
	try_expect_text(out, "before", "absent");
	assert_true(scan_attr_text(&x.scan, SLICE("b"), &scratch, &out));
	try_expect_text(out, "c&d", "trimmed");
	assert_int_equal(scratch.used, 3);
	assert_true(scan_attr_text(&x.scan, SLICE("e"), &scratch, &out));
	try_expect_text(out, "", "empty");
	assert_true(scan_attr_text(&x.scan, SLICE("g"), &scratch, &out));
	try_expect_text(out, "h", "as it lies");
	assert_int_equal(scratch.used, 3);
	arena_fini(&scratch);
	scanned_done(&x);
}

static void test_scan_attr_text_size_at_its_limit(void **state)
{
	struct arena scratch;
	struct scanned x;
	struct slice out;

	(void)state;
	for (unsigned n = SCAN_TEXT_MAX - 1; n <= SCAN_TEXT_MAX + 1; n++)
		for (unsigned more = 0; more < 2; more++) {
			scan_long(&x, "<a b='", n - more, more > 0 ? "&lt;'/>" : "'/>");
			assert_int_equal(arena_init(&scratch, 4096), 0);
			assert_int_equal(scan_attr_text(&x.scan, SLICE("b"), &scratch, &out),
					 n <= SCAN_TEXT_MAX);
			arena_fini(&scratch);
			scanned_done(&x);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_decode_room_at_its_limit),
		cmocka_unit_test(test_scan_decode_appends),
		cmocka_unit_test(test_scan_local_behind_the_first_colon),
		cmocka_unit_test(test_scan_attr_by_whole_name),
		cmocka_unit_test(test_gather_pieces_joined_and_trimmed),
		cmocka_unit_test(test_gather_size_at_its_limit),
		cmocka_unit_test(test_gather_blind_is_empty),
		cmocka_unit_test(test_gather_end_scratch_full_refused),
		cmocka_unit_test(test_scan_attr_text_absent_stays),
		cmocka_unit_test(test_scan_attr_text_size_at_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
