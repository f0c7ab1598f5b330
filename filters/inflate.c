#include "filters/inflate.h"

#include <libdeflate.h>

/* libdeflate's work space: one for the process, made at first use, never freed. Not state. */
static struct libdeflate_decompressor *work(void)
{
	static struct libdeflate_decompressor *d;

	if (d == NULL)
		d = libdeflate_alloc_decompressor();
	return d;
}

static enum doubt doubt_of(enum libdeflate_result rc, bool is_whole)
{
	if (rc == LIBDEFLATE_INSUFFICIENT_SPACE)
		return DOUBT_INFLATE_LIMIT;
	return rc == LIBDEFLATE_SUCCESS && is_whole ? DOUBT_NONE : DOUBT_INFLATE;
}

enum doubt inflate_zlib(struct slice in, char *out, size_t room, size_t *n)
{
	enum libdeflate_result rc;
	size_t used = 0;

	*n = 0;
	if (work() == NULL)
		return DOUBT_NO_ROOM;
	rc = libdeflate_zlib_decompress_ex(work(), in.p, in.n, out, room, &used, n);
	return doubt_of(rc, used == in.n);
}

static bool is_utf16_markup(struct slice s)
{
	if (s.n >= 4 && (unsigned char)s.p[0] == 0xff && (unsigned char)s.p[1] == 0xfe)
		s = slice_drop(s, 2);
	return s.n >= 2 && s.p[0] == '<' && s.p[1] == '\0';
}

enum doubt inflate_sniff(struct slice in, char *out, size_t room, struct slice *text)
{
	size_t used = 0, n = 0;

	*text = in;
	if (is_utf16_markup(in))
		return DOUBT_NONE;
	if (work() == NULL)
		return DOUBT_NO_ROOM;
	if (inflate_zlib(in, out, room, &n) != DOUBT_NONE &&
	    !(libdeflate_gzip_decompress_ex(work(), in.p, in.n, out, room, &used, &n) ==
		      LIBDEFLATE_SUCCESS &&
	      used == in.n) &&
	    !(libdeflate_deflate_decompress_ex(work(), in.p, in.n, out, room, &used, &n) ==
		      LIBDEFLATE_SUCCESS &&
	      used == in.n))
		return DOUBT_OPAQUE;
	*text = slice_make(out, n);
	return is_utf16_markup(*text) ? DOUBT_NONE : DOUBT_OPAQUE;
}
