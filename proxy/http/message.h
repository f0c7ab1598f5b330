/*
 * One HTTP/1.1 message head as slices into the buffer it was read from. Filled by
 * reader.h, read by filters, emitted by emit.h. No I/O.
 */
#ifndef STATWEIR_HTTP_MESSAGE_H
#define STATWEIR_HTTP_MESSAGE_H

#include "proxy/base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_MAX_FIELDS 100

enum framing {
	FRAMING_NONE,	 /* no body */
	FRAMING_LENGTH,	 /* Content-Length bytes; length > 0 */
	FRAMING_CHUNKED, /* Transfer-Encoding: chunked */
	FRAMING_CLOSE,	 /* response only: until the connection ends */
};

/* Fields that statweir itself looks at. */
enum field_id {
	FIELD_OTHER,
	FIELD_HOST,
	FIELD_CONTENT_LENGTH,
	FIELD_TRANSFER_ENCODING,
	FIELD_CONNECTION,
	FIELD_KEEP_ALIVE,
	FIELD_PROXY_CONNECTION,
	FIELD_TE,
	FIELD_TRAILER,
	FIELD_UPGRADE,
	FIELD_PROXY_AUTHENTICATE,
	FIELD_PROXY_AUTHORIZATION,
	FIELD_EXPECT,
	FIELD_CONTENT_TYPE,
	FIELD_CONTENT_ENCODING,
	FIELD_CONTENT_RANGE,
	FIELD_AUTHORIZATION,
	FIELD_WWW_AUTHENTICATE,
	FIELD_VIA,
	FIELD_FORWARDED,
	FIELD_X_FORWARDED_FOR,
	FIELD_X_FORWARDED_PROTO,
	FIELD_X_FORWARDED_HOST,
	FIELD_MAX_FORWARDS,
	FIELD_DATE,
	FIELD_SERVER,
	FIELD_ID_COUNT
};

struct field {
	struct slice name;  /* as it came */
	struct slice value; /* without surrounding OWS */
	uint8_t id;	    /* enum field_id */
	bool is_dropped; /* hop-by-hop, named in Connection, or an underscore twin: not emitted */
};

struct http_head {
	/* Request */
	struct slice method;
	struct slice target;	/* as it came */
	struct slice path;	/* target without scheme, authority and query; "*" for OPTIONS * */
	struct slice query;	/* without '?'; p NULL if there is none */
	struct slice authority; /* of an absolute-form target, else the Host value; may be empty
				   in 1.0 */
	bool is_absolute;	/* target was absolute-form */
	bool is_head;		/* method is HEAD */
	bool counts_forwards;	/* OPTIONS with Max-Forwards */
	uint64_t max_forwards;	/* then its number, at most 2^63 */

	/* Response */
	uint16_t status;
	struct slice reason;

	/* Both */
	uint8_t minor; /* of HTTP/1.minor: 0 or 1; 1.2 to 1.9 are read as 1 */
	enum framing framing;
	uint64_t length;	/* of Content-Length, also where the framing is FRAMING_NONE */
	bool keep_alive;	/* the connection may be used again after this message */
	bool expects_continue;	/* Expect: 100-continue, 1.1, with a body */
	bool has_upgrade;	/* asked for, or answered with, another protocol */
	bool has_bound_auth;	/* Authorization, or an NTLM/Negotiate challenge: connection-bound
				   logon */
	bool has_authorization; /* any Authorization field */
	bool has_date;
	unsigned via_count; /* how often our pseudonym stands in Via */
	struct slice content_type;
	struct slice content_encoding; /* "several" where the field is repeated */
	size_t head_bytes; /* of the start line and header section, with the empty line */
	unsigned n_fields;
	struct field fields[HTTP_MAX_FIELDS];
};

/* First field of that id, or NULL. */
static inline const struct field *head_find(const struct http_head *h, enum field_id id)
{
	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == id)
			return &h->fields[i];
	return NULL;
}

#endif
