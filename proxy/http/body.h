/*
 * Message bodies: tells where the data is and when the message ends, copying and
 * keeping nothing. RFC 9112 6 and 7.
 */
#ifndef STATWEIR_HTTP_BODY_H
#define STATWEIR_HTTP_BODY_H

#include "proxy/base/check.h"
#include "proxy/http/message.h"
#include "proxy/http/reason.h"

struct http_body_limits {
	uint64_t chunk_ext, trailers; /* bytes in one message */
	uint64_t body;		      /* data bytes, 0: no limit */
};

struct http_body {
	enum framing framing;
	uint64_t left;	/* of the length, or of the current chunk */
	uint64_t total; /* data bytes given out so far */
	uint64_t ext_bytes, trailer_bytes;
	uint8_t state;	/* of the chunk decoder */
	uint8_t digits; /* of the chunk size being read */
	char name[20];	/* lower-cased start of the trailer name being read */
	uint8_t name_n;
	bool is_done;
	bool is_response; /* faults are reasons of status 502 */
	enum reason reason;
};

enum body_rc {
	BODY_MORE, /* all input used, message not at its end */
	BODY_DATA, /* *data holds the next piece of the body (inside the input) */
	BODY_END,  /* the message ended; the input behind *used is the next message's */
	BODY_BAD,  /* malformed: b->reason */
};

void http_body_init(struct http_body *b, const struct http_head *head);

/*
 * Take the next step through in. *used says how many bytes of in were consumed,
 * data included. Call again with the rest while BODY_DATA is returned. A body of
 * FRAMING_NONE or length 0 answers BODY_END with *used 0. FRAMING_CLOSE never ends
 * here: the end of the connection is its end. Trailers are checked and dropped
 * (RFC 9110 6.5.1); chunk extensions are checked and dropped (RFC 9112 7.1.1).
 */
enum body_rc http_body_next(struct http_body *b, const struct http_body_limits *lim,
			    struct slice in, size_t *used, struct slice *data) MUSTUSE;

#endif
