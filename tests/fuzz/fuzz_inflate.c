/*
 * Any bytes as a compressed payload, and any bytes compressed: what zlib takes whole,
 * we take with the same output, or say that it is too large; and nothing is written past
 * the room given.
 */
#include "filters/inflate.h"

#include "tests/fuzz/fuzz_filters.h"
#include "tests/fuzz/fuzz_zlib.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How the input is used: the low two bits of its first byte. */
enum use {
	AS_IT_IS,     /* a zlib or gzip stream */
	AS_DEFLATE,   /* deflate data: a checksum that fits is put around it */
	AS_TEXT,      /* is compressed, and read again */
	AS_WIDE_TEXT, /* as UTF-16LE */
};

#define ROOM	 (FUZZ_INFLATED)
#define BIG_ROOM 65536

static char theirs[BIG_ROOM];

/*
 * libdeflate takes streams with incomplete codes that zlib refuses: then only the
 * bounds are checked. Whatever both take is the same.
 */
static void check_zlib(struct slice in)
{
	char *out = malloc(ROOM);
	size_t n_ours, n_theirs;
	enum doubt doubt;
	int rc;

	CHECK(out != NULL);
	doubt = inflate_zlib(in, out, ROOM, &n_ours);
	rc = zlib_inflate(in, ZLIB_FORM, theirs, ROOM, &n_theirs);
	CHECK(doubt == DOUBT_NONE || doubt == DOUBT_INFLATE || doubt == DOUBT_INFLATE_LIMIT);
	CHECK(n_ours <= ROOM);
	if (rc == Z_STREAM_END) {
		CHECK(doubt == DOUBT_NONE);
		CHECK(slice_eq(slice_make(out, n_ours), slice_make(theirs, n_theirs)));
	} else if (rc == Z_BUF_ERROR) {
		CHECK(doubt != DOUBT_NONE);
	}
	free(out);
}

static bool is_markup(struct slice s)
{
	if (s.n >= 4 && memcmp(s.p, "\xff\xfe", 2) == 0)
		s = slice_drop(s, 2);
	return s.n >= 2 && memcmp(s.p, "<", 2) == 0;
}

static void check_sniff(struct slice in)
{
	static const int forms[] = {ZLIB_FORM, GZIP_FORM, RAW_FORM};
	struct slice text, want = in;
	bool is_known = is_markup(in);
	char *out = malloc(ROOM);
	enum doubt doubt;
	size_t n;

	CHECK(out != NULL);
	doubt = inflate_sniff(in, out, ROOM, &text);
	CHECK(doubt == DOUBT_NONE || doubt == DOUBT_OPAQUE);
	if (doubt == DOUBT_NONE) {
		CHECK(is_markup(text));
		CHECK(text.p == in.p || (text.p == out && text.n <= ROOM));
	}
	for (unsigned i = 0; i < 3 && !is_known; i++)
		if (zlib_inflate(in, forms[i], theirs, ROOM, &n) == Z_STREAM_END) {
			want = slice_make(theirs, n);
			is_known = true;
			CHECK(doubt == DOUBT_NONE || !is_markup(want));
		}
	if (is_known && doubt == DOUBT_NONE)
		CHECK(slice_eq(text, want));
	free(out);
}

static void check_both(struct slice in)
{
	char *p = fuzz_exact(in);

	check_zlib(slice_make(p, in.n));
	check_sniff(slice_make(p, in.n));
	free(p);
}

/* Deflate data with the zlib frame around it that fits what zlib makes of it. */
static void check_framed(struct slice deflate)
{
	static char framed[BIG_ROOM];
	size_t n;
	uLong sum;

	if (deflate.n > sizeof(framed) - 6 ||
	    zlib_inflate(deflate, RAW_FORM, theirs, BIG_ROOM, &n) != Z_STREAM_END)
		return;
	sum = adler32(adler32(0, NULL, 0), (const Bytef *)theirs, (uInt)n);
	memcpy(framed, "\x78\x9c", 2);
	memcpy(framed + 2, deflate.p, deflate.n);
	for (unsigned i = 0; i < 4; i++)
		framed[2 + deflate.n + i] = (char)(sum >> (24 - 8 * i) & 0xff);
	check_both(slice_make(framed, deflate.n + 6));
}

/* Every level, strategy and form; then once with a byte too few and one too many. */
static void check_compressed(struct slice text, unsigned how)
{
	static const int forms[] = {ZLIB_FORM, ZLIB_FORM, GZIP_FORM, RAW_FORM};
	static char packed[BIG_ROOM];
	size_t n;

	if (text.n > BIG_ROOM / 2)
		return;
	n = zlib_deflate(text, forms[how / 4 % 4], (int)(how / 16 % 10), (int)(how / 64 % 5),
			 packed, sizeof(packed) - 1);
	packed[n] = '\0';
	check_both(slice_make(packed, n));
	check_both(slice_make(packed, n - 1));
	check_both(slice_make(packed, n + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size), wide;
	unsigned options = fuzz_options(&in);

	switch ((enum use)(options % 4)) {
	case AS_IT_IS:
		check_both(in);
		break;
	case AS_DEFLATE:
		check_framed(in);
		check_both(in);
		break;
	case AS_TEXT:
		check_compressed(in, options);
		break;
	case AS_WIDE_TEXT:
		wide = fuzz_wide(in, 0);
		check_compressed(wide, options);
		fuzz_free(wide);
		break;
	}
	return 0;
}
