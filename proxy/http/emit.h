/*
 * Heads written from the parsed form only: nothing of a peer's framing is copied
 * (RFC 9112 6, 9110 7.6).
 */
#ifndef STATWEIR_HTTP_EMIT_H
#define STATWEIR_HTTP_EMIT_H

#include "proxy/base/strbuf.h"
#include "proxy/http/changes.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"

struct emit_request {
	struct slice peer;	   /* client address for X-Forwarded-For and Forwarded */
	struct slice default_host; /* Host for a 1.0 request without one */
	struct slice pseudonym;	   /* ours, for Via */
	bool is_trusted;	   /* peer may set X-Forwarded-* and Forwarded */
	int64_t max_forwards;	   /* value to write instead of the client's, -1: leave it */
	struct changes *changes;   /* what becomes different is noted there; NULL: nowhere */
};

/*
 * Append the upstream form of a request head, empty line included: HTTP/1.1, origin
 * form (a "*" stays), one Host, one framing field, Via, X-Forwarded-For; fields marked
 * is_dropped left out; other fields in their order, bytes unchanged. No Connection
 * field is written: HTTP/1.1 keeps alive by default.
 */
void emit_request_head(struct strbuf *out, const struct http_head *head,
		       const struct emit_request *how);

struct emit_response {
	uint8_t minor;	 /* of the client's request */
	bool keep_alive; /* after this response */
	bool is_head;	 /* it answers HEAD */
	struct slice pseudonym;
	const char *date; /* written when the response has none (RFC 9110 6.6.1) */
	struct changes *changes;
};

/*
 * Append the client form of a response head. The framing towards the client is
 * returned: FRAMING_CLOSE input becomes chunked for 1.1 and stays close for 1.0
 * (then Connection: close is written whatever keep_alive says); chunked input to
 * a 1.0 client becomes FRAMING_CLOSE. HEAD, 204, 304 and 1xx: FRAMING_NONE.
 */
enum framing emit_response_head(struct strbuf *out, const struct http_head *head,
				const struct emit_response *how);

/* A whole answer of our own: status line, Date, short text body naming the reason, framing. */
void emit_error(struct strbuf *out, enum reason reason, bool keep_alive, bool is_head,
		const char *date, unsigned retry_after_s);

#endif
