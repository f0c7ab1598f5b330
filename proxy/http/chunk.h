/*
 * The chunked transfer coding, one byte at a time outside the data (RFC 9112 7.1).
 * Stricter than the grammar where leniency has been abused: no white space around
 * sizes and extensions, no lone CR or LF, sizes of at most 16 digits.
 */
#ifndef STATWEIR_HTTP_CHUNK_H
#define STATWEIR_HTTP_CHUNK_H

#include "proxy/http/body.h"

/* The next b->left bytes are data; the caller takes them off b->left. */
bool chunk_is_data(struct http_body *b);

/* Take one byte that isn't data. The last one sets b->is_done. */
enum reason chunk_step(struct http_body *b, const struct http_body_limits *lim, char c);

#endif
