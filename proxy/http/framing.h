/*
 * What the fields of a head mean for the message: framing, connection, Host, Expect,
 * logon, loops. RFC 9112 6 and 9, 9110 7.6, 10.1.1.
 */
#ifndef STATWEIR_HTTP_FRAMING_H
#define STATWEIR_HTTP_FRAMING_H

#include "proxy/http/message.h"
#include "proxy/http/reader.h"
#include "proxy/http/reason.h"

/*
 * Take a field that was just read into account, before it is counted in n_fields:
 * what one line alone can tell is refused here.
 */
enum reason framing_take_field(struct http_head *head, struct field *f,
			       const struct http_limits *lim);

/* The header section is whole: decide what only all fields together can tell. */
enum reason framing_end_request(struct http_head *head);
/* is_head: the response to a HEAD request. */
enum reason framing_end_response(struct http_head *head, bool is_head);

#endif
