/* Single lines of a head, without their CRLF, into a struct http_head. */
#ifndef STATWEIR_HTTP_HEAD_LINES_H
#define STATWEIR_HTTP_HEAD_LINES_H

#include "proxy/http/message.h"
#include "proxy/http/reason.h"
#include "proxy/http/reader.h"

/* METHOD SP TARGET SP VERSION, with the target split (RFC 9112 3). */
enum reason line_read_request(struct slice line, const struct http_limits *lim,
			      struct http_head *head);

/* VERSION SP 3DIGIT SP [REASON] (RFC 9112 4). REASON_NONE or REASON_STATUS_LINE. */
enum reason line_read_status(struct slice line, struct http_head *head);

/* NAME ":" OWS VALUE OWS: name, value and id of f (RFC 9112 5). line isn't empty. */
enum reason line_read_field(struct slice line, struct field *f);

#endif
