/* zlib beside libdeflate: the second opinion about compressed payloads. */
#ifndef STATWEIR_TESTS_FUZZ_FUZZ_ZLIB_H
#define STATWEIR_TESTS_FUZZ_FUZZ_ZLIB_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#include <zlib.h>

#define ZLIB_FORM 15
#define GZIP_FORM 31
#define RAW_FORM  (-15)

/*
 * Exactly one stream of that form in in, which leaves *n bytes in out[0, room).
 * Z_STREAM_END; Z_BUF_ERROR: there would be more; Z_DATA_ERROR: damaged, cut short, or
 * bytes behind it.
 */
static inline int zlib_inflate(struct slice in, int form, char *out, size_t room, size_t *n)
{
	z_stream z = {0};
	bool is_whole, is_full;
	int rc;

	CHECK(inflateInit2(&z, form) == Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)room;
	rc = inflate(&z, Z_FINISH);
	*n = room - z.avail_out;
	is_whole = rc == Z_STREAM_END && z.avail_in == 0;
	is_full = rc == Z_BUF_ERROR && z.avail_out == 0;
	inflateEnd(&z);
	return is_whole ? Z_STREAM_END : is_full ? Z_BUF_ERROR : Z_DATA_ERROR;
}

/* in as one stream of that form in out[0, room); returns its length. */
static inline size_t zlib_deflate(struct slice in, int form, int level, int strategy, char *out,
				  size_t room)
{
	z_stream z = {0};
	size_t n;

	CHECK(deflateInit2(&z, level, Z_DEFLATED, form, 8, strategy) == Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)room;
	CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
	n = room - z.avail_out;
	deflateEnd(&z);
	return n;
}

#endif
