/* Decompression of payloads: whole buffers, a hard bound on the output. */
#ifndef STATWEIR_FILTERS_INFLATE_H
#define STATWEIR_FILTERS_INFLATE_H

#include "filters/filter.h"

/*
 * One zlib stream (RFC 1950) that ends exactly with in, checksum included, into
 * out[0, room). DOUBT_INFLATE: damaged, or bytes behind it; DOUBT_INFLATE_LIMIT: larger
 * than room.
 */
enum doubt inflate_zlib(struct slice in, char *out, size_t room, size_t *n);

/*
 * First-generation compression is not documented: take it for what it sniffs as, UTF-16
 * text as it is, zlib, gzip or raw deflate. *text is in itself or in out. DOUBT_OPAQUE:
 * nothing fits.
 */
enum doubt inflate_sniff(struct slice in, char *out, size_t room, struct slice *text);

#endif
