/*
 * The strict reader of HTTP/1.1 heads: ours first, llhttp (strict mode) as the
 * second opinion on framing. RFC 9112; the lines F, L, W and R of docs/HTTP.md.
 *
 * The caller owns one buffer whose bytes do not move while a head is being read
 * and as long as the head is used. It appends what arrives and calls again; each
 * line is looked at once, whatever the pieces. No allocation.
 */
#ifndef STATWEIR_HTTP_READER_H
#define STATWEIR_HTTP_READER_H

#include "proxy/base/check.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"

struct http_limits {
	size_t request_line, field_line; /* without their CRLF */
	size_t head;			 /* start line, header section and empty line together */
	size_t method;
	unsigned fields;
	struct slice pseudonym; /* ours, counted in Via */
};

enum http_rc {
	HTTP_MORE, /* not whole yet */
	HTTP_HEAD, /* whole: head is filled, head->head_bytes were used */
	HTTP_BAD,  /* refused: see reason */
};

/* Where a reader stands in its buffer. Zero it before the first byte of a message. */
struct http_reader {
	size_t at;	   /* start of the first line not read yet */
	size_t scanned;	   /* bytes already searched for its end */
	unsigned n_empty;  /* empty lines seen before a request */
	bool has_start;	   /* start line done */
	size_t head_start; /* where the start line begins */
	enum reason reason;
};

/*
 * Read a request head from buf[0, n), n growing from call to call.
 *
 * On HTTP_HEAD everything about framing, Host and target is decided and checked,
 * hop-by-hop fields are marked, and head->head_bytes counts from buf[0] (leading
 * empty lines included). On HTTP_BAD r->reason names why; a response with
 * reason_table[].status and then the end of the connection is the caller's duty.
 */
enum http_rc http_read_request(struct http_reader *r, const char *buf, size_t n,
			       const struct http_limits *lim, struct http_head *head) MUSTUSE;

/*
 * Read a response head. is_head: it answers a HEAD request (no body whatever the
 * fields say, RFC 9112 6.3). lim->request_line bounds the status line too. An
 * interim (1xx) response is returned as a head with FRAMING_NONE.
 */
enum http_rc http_read_response(struct http_reader *r, const char *buf, size_t n, bool is_head,
				const struct http_limits *lim, struct http_head *head) MUSTUSE;

#endif
