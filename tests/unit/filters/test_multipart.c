/* The boundary parameter, and a body cut into its two parts. */
#include "filters/multipart.h"

#include "tests/unit/filters/try.h"

#define B70 "0123456789012345678901234567890123456789012345678901234567890123456789"

static void test_multipart_boundary_usable_read(void **state)
{
	static const struct {
		const char *type, *boundary;
	} cases[] = {
		{"multipart/mixed; boundary=\"aAbB\"", "aAbB"},
		{"multipart/mixed; boundary=aAbB", "aAbB"},
		{"multipart/mixed;boundary=a", "a"},
		{"Multipart/MIXED ;\tBOUNDARY=\"a\"", "a"},
		{" multipart/mixed; boundary=a ", "a"},
		{"multipart/mixed; charset=utf-8; boundary=a", "a"},
		{"multipart/mixed; boundary=a; charset=\"utf-8\"", "a"},
		{"multipart/mixed; x=\"; boundary=b\"; boundary=a", "a"},
		{"multipart/mixed; xboundary=b; boundary=a; boundaryx=c", "a"},
		{"multipart/mixed; boundary=\"----=_NextPart_0001_2\"", "----=_NextPart_0001_2"},
		{"multipart/mixed; boundary=\"a b\"", "a b"},
		{"multipart/mixed; boundary=\"'()+_,-./:=?\"", "'()+_,-./:=?"},
		{"multipart/mixed; boundary='a'", "'a'"},
		{"multipart/mixed; boundary=" B70, B70},
		{"multipart/mixed; boundary=\"" B70 "\"", B70},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct slice type = slice_str(cases[i].type), boundary = SLICE("none");
		char *bytes = try_exact(type);

		if (!multipart_boundary(slice_make(bytes, type.n), &boundary))
			fail_msg("refused: %s", cases[i].type);
		try_expect_text(boundary, cases[i].boundary, cases[i].type);
		free(bytes);
	}
}

static void test_multipart_boundary_unusable_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"multipart",
		"multipart/mixed",
		"multipart/mixed;",
		"multipart/mixed; ",
		"multipart/mixedx; boundary=a",
		"multipart/mixed boundary=a",
		"multipart/form-data; boundary=a",
		"multipart/related; boundary=a",
		"text/plain; boundary=a",
		"application/octet-stream",
		"multipart/mixed; boundary",
		"multipart/mixed; boundary=",
		"multipart/mixed; boundary= a",
		"multipart/mixed; boundary =a",
		"multipart/mixed; boundary=\"\"",
		"multipart/mixed; boundary=\"a",
		"multipart/mixed; boundary=\"",
		"multipart/mixed; boundary=\"a \"",
		"multipart/mixed; boundary=\"a\\b\"",
		"multipart/mixed; boundary=\"a\\\"b\"",
		"multipart/mixed; boundary=\"a\"b",
		"multipart/mixed; boundary=a b",
		"multipart/mixed; boundary=a=b",
		"multipart/mixed; boundary=\"a;b\"",
		"multipart/mixed; boundary=\"a\tb\"",
		"multipart/mixed; boundary=\"a\x7f\"",
		"multipart/mixed; boundary=\"\xc3\xa4\"",
		"multipart/mixed; boundary=a; boundary=a",
		"multipart/mixed; boundary=a; BOUNDARY=b",
		"multipart/mixed; boundary=a;",
		"multipart/mixed; boundary=a; x",
		"multipart/mixed; boundary=a, x=y",
		"multipart/mixed; =a; boundary=b",
		"multipart/mixed; x=; boundary=b",
		"multipart/mixed; x=a\x7f; boundary=b",
		"multipart/mixed; x\x7f=a; boundary=b",
		"multipart/mixed; boundary=b; x=\"a",
		"multipart/mixed; charset=utf-8",
		"multipart/mixed; boundary=" B70 "x",
		"multipart/mixed; boundary=\"" B70 "x\"",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct slice type = slice_str(cases[i]), boundary;
		char *bytes = try_exact(type);

		if (multipart_boundary(slice_make(bytes, type.n), &boundary))
			fail_msg("accepted: %s", cases[i]);
		free(bytes);
	}
}

static enum doubt split(struct slice body, const char *boundary, char **bytes,
			struct slice parts[2])
{
	*bytes = try_exact(body);
	return multipart_split(slice_make(*bytes, body.n), slice_str(boundary), parts);
}

static void test_multipart_split_two_parts_cut(void **state)
{
	static const struct {
		struct slice body, first, second;
	} cases[] = {
		{SLICE("--b\r\nh: v\r\n\r\none\r\n--b\r\nh: v\r\n\r\ntwo\r\n--b--"), SLICE("one"),
		 SLICE("two")},
		{SLICE("--b\r\nh: v\r\n\r\none\r\n--b\r\nh: v\r\n\r\ntwo\r\n--b--\r\n"),
		 SLICE("one"), SLICE("two")},
		/* no fields, no content */
		{SLICE("--b\r\n\r\none\r\n--b\r\n\r\n\r\n--b--"), SLICE("one"), SLICE("")},
		{SLICE("--b\r\nh:\r\nI-2:x:y\r\n\r\n\r\n--b\r\nj: \r\n\r\n\0\r\n--b--"), SLICE(""),
		 SLICE("\0")},
		/* what looks like a boundary */
		{SLICE("--b\r\nh: v\r\n\r\n--b\r\n--b\r\nh: v\r\n\r\n\n--b--\r\r\n--b--"),
		 SLICE("--b"), SLICE("\n--b--\r")},
		{SLICE("--b\r\nh: --b\r\n\r\n\r\n--\r\n-b\r\n--B--\r\n--b\r\n\r\nx--b\r\n--b--"),
		 SLICE("\r\n--\r\n-b\r\n--B--"), SLICE("x--b")},
		{SLICE("--b\r\n\r\n\r\r\n\r\n--b\r\n\r\n\r\n\r\n--b--"), SLICE("\r\r\n"),
		 SLICE("\r\n")},
		/* UTF-16 of CRLF--b is none */
		{SLICE("--b\r\n\r\n\r\0\n\0-\0-\0b\0\r\n--b\r\n\r\n\r\n\0--b\r\n--b--"),
		 SLICE("\r\0\n\0-\0-\0b\0"), SLICE("\r\n\0--b")},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct slice parts[2];
		char *bytes;

		try_expect_doubt(split(cases[i].body, "b", &bytes, parts), DOUBT_NONE,
				 cases[i].body.p);
		assert_true(slice_eq(parts[0], cases[i].first));
		assert_true(slice_eq(parts[1], cases[i].second));
		free(bytes);
	}
}

static void test_multipart_split_other_shapes_refused(void **state)
{
	static const struct {
		struct slice body;
		enum doubt doubt;
	} cases[] = {
		{SLICE(""), DOUBT_PARTS},
		{SLICE("-"), DOUBT_PARTS},
		{SLICE("--"), DOUBT_PARTS},
		{SLICE("--b"), DOUBT_PARTS},
		{SLICE("--b--"), DOUBT_PARTS},
		{SLICE("--c\r\n\r\n\r\n--c\r\n\r\n\r\n--c--"), DOUBT_PARTS},
		/* preamble, epilogue */
		{SLICE("\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		{SLICE("x\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--x"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\nx"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n\r\n"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\n"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b-- "), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\0"), DOUBT_PARTS},
		/* one part, three parts, no end */
		{SLICE("--b\r\n\r\n1\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b-"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b-x"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--bx-"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n\r"), DOUBT_PARTS},
		/* a longer boundary inside a part, white space behind one */
		{SLICE("--b\r\n\r\n1\r\n--bb\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r\n--b \r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b \r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\n--b\r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		{SLICE("--b\r\n\r\n1\r--b\r\n\r\n2\r\n--b--"), DOUBT_PARTS},
		/* header sections */
		{SLICE("--b\r\n"), DOUBT_PART_HEAD},
		{SLICE("--b\r\n\r"), DOUBT_PART_HEAD},
		{SLICE("--b\r\nh: v\r\n"), DOUBT_PART_HEAD},
		{SLICE("--b\r\nh: v\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\nh: v\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\n\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\nh\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\n: v\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\nh: v\r\n folded\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"),
		 DOUBT_PART_HEAD},
		{SLICE("--b\r\nh: v\r\n\tf:x\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\nh: \0\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\nh: \r \r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\n\r\n1\r\n--b\r\n--b--"), DOUBT_PART_HEAD},
		{SLICE("--b\r\n--b\r\n\r\n2\r\n--b--"), DOUBT_PART_HEAD},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct slice parts[2];
		char *bytes, of[16];

		snprintf(of, sizeof(of), "case %zu", i);
		try_expect_doubt(split(cases[i].body, "b", &bytes, parts), cases[i].doubt, of);
		free(bytes);
	}
}

static void test_multipart_split_head_at_its_limit(void **state)
{
	struct slice parts[2];
	struct try_bytes b;
	char *bytes;

	(void)state;
	try_bytes_init(&b);
	for (unsigned k = 0; k < 2; k++)
		for (size_t n = MULTIPART_HEAD - 1; n <= MULTIPART_HEAD + 1; n++) {
			b.n = 0;
			try_puts(&b, k == 0 ? "--b\r\n" : "--b\r\n\r\n1\r\n--b\r\n");
			/* n bytes with both line ends */
			try_puts(&b, "h:");
			for (size_t i = 0; i < n - 6; i++)
				try_puts(&b, "x");
			try_puts(&b, "\r\n\r\n1\r\n--b");
			try_puts(&b, k == 0 ? "\r\n\r\n2\r\n--b--" : "--");
			try_expect_doubt(split(try_slice(&b), "b", &bytes, parts),
					 n <= MULTIPART_HEAD ? DOUBT_NONE : DOUBT_PART_HEAD,
					 "head");
			free(bytes);
		}
	try_bytes_fini(&b);
}

/* Whatever is missing at the end, it is no two parts. */
static void test_multipart_split_cut_anywhere_refused(void **state)
{
	static const struct slice body =
		SLICE("--b b\r\nh: v\r\ni: w\r\n\r\none\r\n--b b\r\nj: x\r\n\r\ntwo\r\n--b b--");

	(void)state;
	for (size_t n = 0; n <= body.n; n++) {
		struct slice parts[2];
		char *bytes;
		enum doubt doubt = split(slice_make(body.p, n), "b b", &bytes, parts);

		assert_true((doubt == DOUBT_NONE) == (n == body.n));
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_multipart_boundary_usable_read),
		cmocka_unit_test(test_multipart_boundary_unusable_refused),
		cmocka_unit_test(test_multipart_split_two_parts_cut),
		cmocka_unit_test(test_multipart_split_other_shapes_refused),
		cmocka_unit_test(test_multipart_split_head_at_its_limit),
		cmocka_unit_test(test_multipart_split_cut_anywhere_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
