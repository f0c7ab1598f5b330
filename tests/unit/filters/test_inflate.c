/* Decompression: whole streams only, within a bound that is exact. */
#include "filters/inflate.h"

#include "tests/unit/filters/try.h"

#define ZLIB 15
#define GZIP 31
#define RAW  -15

struct fixture {
	struct try_bytes plain, packed;
};

static int begin(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	try_bytes_init(&x->plain);
	try_bytes_init(&x->packed);
	*state = x;
	return 0;
}

static int end(void **state)
{
	struct fixture *x = *state;

	try_bytes_fini(&x->plain);
	try_bytes_fini(&x->packed);
	free(x);
	return 0;
}

/* Text that compresses, but not to nothing. */
static void fill(struct fixture *x, size_t n, int window_bits)
{
	uint32_t r = 1;

	x->plain.n = x->packed.n = 0;
	try_put(&x->plain, SLICE("<\0"));
	while (x->plain.n < n) {
		r = r * 1664525u + 1013904223u;
		try_put_unit(&x->plain, 'a' + (r >> 24) % 16);
	}
	x->plain.n = n;
	try_deflate(try_slice(&x->plain), window_bits, &x->packed);
}

/* inflate_zlib() from a block of in's size to one of room bytes; *out is the caller's. */
static enum doubt unzlib(struct slice in, size_t room, char **out, size_t *n)
{
	char *bytes = try_exact(in);
	enum doubt doubt;

	*out = malloc(room > 0 ? room : 1);
	assert_non_null(*out);
	doubt = inflate_zlib(slice_make(bytes, in.n), *out, room, n);
	free(bytes);
	return doubt;
}

static enum doubt unzlib_only(struct slice in, size_t room)
{
	enum doubt doubt;
	char *out;
	size_t n;

	doubt = unzlib(in, room, &out, &n);
	free(out);
	return doubt;
}

static void test_inflate_zlib_room_at_its_limit(void **state)
{
	static const size_t sizes[] = {2, 3, 100, 4096, 65536, 262144};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		fill(x, sizes[i], ZLIB);
		for (size_t room = sizes[i] - 1; room <= sizes[i] + 1; room++) {
			char *out;
			size_t n;
			enum doubt doubt = unzlib(try_slice(&x->packed), room, &out, &n);

			try_expect_doubt(doubt, room < sizes[i] ? DOUBT_INFLATE_LIMIT : DOUBT_NONE,
					 "room");
			if (doubt == DOUBT_NONE)
				assert_true(slice_eq(slice_make(out, n), try_slice(&x->plain)));
			free(out);
		}
	}
}

static void test_inflate_zlib_bomb_stopped(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < TRY_ROOM; i++)
		x->plain.p[i] = 0;
	x->plain.n = TRY_ROOM;
	try_deflate(try_slice(&x->plain), ZLIB, &x->packed);
	assert_true(x->packed.n < 2048);
	try_expect_doubt(unzlib_only(try_slice(&x->packed), 262144), DOUBT_INFLATE_LIMIT, "bomb");
	try_expect_doubt(unzlib_only(try_slice(&x->packed), TRY_ROOM), DOUBT_NONE, "with room");
}

static void test_inflate_zlib_empty_output(void **state)
{
	struct fixture *x = *state;
	char *out;
	size_t n = 1;

	try_deflate(SLICE(""), ZLIB, &x->packed);
	try_expect_doubt(unzlib(try_slice(&x->packed), 0, &out, &n), DOUBT_NONE, "empty");
	assert_int_equal(n, 0);
	free(out);
}

static void test_inflate_zlib_cut_anywhere_refused(void **state)
{
	struct fixture *x = *state;

	fill(x, 1748, ZLIB);
	for (size_t n = 0; n < x->packed.n; n++)
		if (unzlib_only(slice_make(x->packed.p, n), 4096) == DOUBT_NONE)
			fail_msg("%zu of %zu bytes accepted", n, x->packed.n);
}

static void test_inflate_zlib_bytes_behind_refused(void **state)
{
	static const struct slice behind[] = {SLICE("\0"), SLICE("\r\n"), SLICE("x"),
					      SLICE("\x78\x9c\x03\0\0\0\0\x01")};
	struct fixture *x = *state;
	size_t n;

	fill(x, 1748, ZLIB);
	n = x->packed.n;
	for (size_t i = 0; i < COUNT(behind); i++) {
		x->packed.n = n;
		try_put(&x->packed, behind[i]);
		try_expect_doubt(unzlib_only(try_slice(&x->packed), 4096), DOUBT_INFLATE, "behind");
	}
}

/* The checksum at the end sees every changed bit: bits of the header may not matter. */
static void test_inflate_zlib_any_bit_changed_refused_or_same(void **state)
{
	struct fixture *x = *state;
	unsigned same = 0;

	fill(x, 300, ZLIB);
	for (size_t bit = 0; bit < x->packed.n * 8; bit++) {
		char *out;
		size_t n;

		x->packed.p[bit / 8] ^= (char)(1u << bit % 8);
		if (unzlib(try_slice(&x->packed), 4096, &out, &n) == DOUBT_NONE) {
			assert_true(slice_eq(slice_make(out, n), try_slice(&x->plain)));
			same++;
		}
		free(out);
		x->packed.p[bit / 8] ^= (char)(1u << bit % 8);
	}
	assert_true(same < 16);
}

static void test_inflate_zlib_other_formats_refused(void **state)
{
	/* FDICT set, with a valid header check */
	static const struct slice with_dictionary = SLICE("\x78\xbb\0\0\0\x01\x03\0\0\0\0\x01");
	struct fixture *x = *state;

	fill(x, 300, GZIP);
	try_expect_doubt(unzlib_only(try_slice(&x->packed), 4096), DOUBT_INFLATE, "gzip");
	fill(x, 300, RAW);
	try_expect_doubt(unzlib_only(try_slice(&x->packed), 4096), DOUBT_INFLATE, "raw");
	try_expect_doubt(unzlib_only(try_slice(&x->plain), 4096), DOUBT_INFLATE, "plain");
	try_expect_doubt(unzlib_only(with_dictionary, 4096), DOUBT_INFLATE, "dictionary");
	try_expect_doubt(unzlib_only(SLICE(""), 4096), DOUBT_INFLATE, "nothing");
}

/* inflate_sniff() and whether it gave back the plain text. */
static enum doubt sniff(struct fixture *x, struct slice in, size_t room)
{
	char *bytes = try_exact(in), *out = malloc(room > 0 ? room : 1);
	struct slice text;
	enum doubt doubt;

	assert_non_null(out);
	doubt = inflate_sniff(slice_make(bytes, in.n), out, room, &text);
	if (doubt == DOUBT_NONE)
		assert_true(slice_eq(text, try_slice(&x->plain)));
	free(out);
	free(bytes);
	return doubt;
}

static void test_inflate_sniff_each_format_found(void **state)
{
	static const int formats[] = {ZLIB, GZIP, RAW};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(formats); i++) {
		fill(x, 1748, formats[i]);
		try_expect_doubt(sniff(x, try_slice(&x->packed), 1747), DOUBT_OPAQUE, "limit - 1");
		try_expect_doubt(sniff(x, try_slice(&x->packed), 1748), DOUBT_NONE, "limit");
		try_expect_doubt(sniff(x, try_slice(&x->packed), 1749), DOUBT_NONE, "limit + 1");
	}
}

static void test_inflate_sniff_text_as_it_is(void **state)
{
	static const struct slice texts[] = {SLICE("<\0"), SLICE("<\0a\0"),
					     SLICE("\xff\xfe<\0a\0/\0>\0"), SLICE("<\0a")};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(texts); i++) {
		x->plain.n = 0;
		try_put(&x->plain, texts[i]);
		try_expect_doubt(sniff(x, texts[i], 0), DOUBT_NONE, "text");
	}
}

static void test_inflate_sniff_mark_within(void **state)
{
	struct fixture *x = *state;

	try_put(&x->plain, SLICE("\xff\xfe<\0a\0/\0>\0"));
	try_deflate(try_slice(&x->plain), GZIP, &x->packed);
	try_expect_doubt(sniff(x, try_slice(&x->packed), 10), DOUBT_NONE, "mark");
}

static void test_inflate_sniff_anything_else_opaque(void **state)
{
	static const struct slice others[] = {
		SLICE(""),	   SLICE("<"),	       SLICE("\xff\xfe"),    SLICE("\xff\xfe<"),
		SLICE("\0<\0a"),   SLICE("<Status/>"), SLICE("\xfe\xff\0<"), SLICE("MSCF\0\0\0\0"),
		SLICE("\x1f\x8b"), SLICE("\x78\x9c"),
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(others); i++)
		try_expect_doubt(sniff(x, others[i], 4096), DOUBT_OPAQUE, "other");
}

static void test_inflate_sniff_damage_opaque(void **state)
{
	static const int formats[] = {ZLIB, GZIP, RAW};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(formats); i++) {
		fill(x, 300, formats[i]);
		for (size_t n = 0; n < x->packed.n; n++)
			try_expect_doubt(sniff(x, slice_make(x->packed.p, n), 4096), DOUBT_OPAQUE,
					 "cut");
		try_puts(&x->packed, "x");
		try_expect_doubt(sniff(x, try_slice(&x->packed), 4096), DOUBT_OPAQUE, "behind");
	}
}

static void test_inflate_sniff_gzip_of_two_members_opaque(void **state)
{
	struct fixture *x = *state;

	fill(x, 300, GZIP);
	try_deflate(try_slice(&x->plain), GZIP, &x->packed);
	try_expect_doubt(sniff(x, try_slice(&x->packed), 4096), DOUBT_OPAQUE, "two members");
}

static void test_inflate_sniff_no_markup_inside_opaque(void **state)
{
	static const int formats[] = {ZLIB, GZIP, RAW};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(formats); i++) {
		x->packed.n = 0;
		try_deflate(SLICE("<Status/>, but in ASCII"), formats[i], &x->packed);
		try_expect_doubt(sniff(x, try_slice(&x->packed), 4096), DOUBT_OPAQUE, "ASCII");
	}
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_inflate_zlib_room_at_its_limit),
		WITH_FIXTURE(test_inflate_zlib_bomb_stopped),
		WITH_FIXTURE(test_inflate_zlib_empty_output),
		WITH_FIXTURE(test_inflate_zlib_cut_anywhere_refused),
		WITH_FIXTURE(test_inflate_zlib_bytes_behind_refused),
		WITH_FIXTURE(test_inflate_zlib_any_bit_changed_refused_or_same),
		WITH_FIXTURE(test_inflate_zlib_other_formats_refused),
		WITH_FIXTURE(test_inflate_sniff_each_format_found),
		WITH_FIXTURE(test_inflate_sniff_text_as_it_is),
		WITH_FIXTURE(test_inflate_sniff_mark_within),
		WITH_FIXTURE(test_inflate_sniff_anything_else_opaque),
		WITH_FIXTURE(test_inflate_sniff_damage_opaque),
		WITH_FIXTURE(test_inflate_sniff_gzip_of_two_members_opaque),
		WITH_FIXTURE(test_inflate_sniff_no_markup_inside_opaque),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
