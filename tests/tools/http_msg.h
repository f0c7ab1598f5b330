/*
 * One HTTP/1.1 message in a buffer, for the test tools: a reader of its own on
 * purpose, so that the proxy is never checked with its own eyes. Strict and simple:
 * CRLF, no folding, one Content-Length or chunked, nothing delimited by close.
 */
#ifndef STATWEIR_TOOLS_HTTP_MSG_H
#define STATWEIR_TOOLS_HTTP_MSG_H

#include "proxy/base/slice.h"

#define HTTP_MSG_FIELDS 64

struct http_msg_field {
	struct slice line, name, value;
};

struct http_msg {
	struct slice method, target; /* of a request */
	int status;		     /* of a response */
	int minor;
	bool is_keep_alive, is_chunked, has_expect;
	unsigned n_fields;
	struct http_msg_field field[HTTP_MSG_FIELDS];
	size_t head_bytes, total_bytes; /* total as on the wire; 0 until known */
	struct slice body;		/* without chunk framing */
};

enum http_msg_rc {
	HTTP_MSG_BAD = -1,
	HTTP_MSG_MORE,
	HTTP_MSG_HEAD, /* the head is whole, the body is not */
	HTTP_MSG_WHOLE,
};

/*
 * Read the message at p. Slices point into p; with HTTP_MSG_WHOLE and chunks the body
 * has been moved together in place. Interim responses (1xx) are messages of their own.
 */
enum http_msg_rc http_msg_read(struct http_msg *m, char *p, size_t n, bool is_response);

/* The value of the first field of that name (any case); p is NULL if there is none. */
struct slice http_msg_field(const struct http_msg *m, const char *name);

#endif
