/* Request targets and hosts (RFC 9112 3.2, 3986 3.2). */
#ifndef STATWEIR_HTTP_TARGET_H
#define STATWEIR_HTTP_TARGET_H

#include "proxy/http/message.h"
#include "proxy/http/reason.h"

/*
 * Split head->target, whose bytes are checked, into path, query and authority by its
 * form. head->method is set. REASON_NONE or REASON_TARGET_FORM.
 */
enum reason target_split(struct http_head *head);

/*
 * Check a Host value and compare it with the authority of an absolute-form target,
 * or take it as the authority. REASON_NONE, REASON_HOST_BAD or REASON_HOST_MISMATCH.
 */
enum reason target_take_host(struct http_head *head, struct slice value);

#endif
