/*
 * A small keep-alive HTTP client over raw libevent events: one request at a time,
 * connects when there is something to send, forgets a connection that closes idle.
 */
#ifndef STATWEIR_TOOLS_HTTP_CLIENT_H
#define STATWEIR_TOOLS_HTTP_CLIENT_H

#include "proxy/base/check.h"
#include "tests/tools/http_msg.h"

#include <sys/socket.h>

struct event_base;
struct http_client;

/*
 * Exactly once for each http_client_send(), never from inside it. rc is 0 with a
 * whole reply (valid until this returns), or -ECONNREFUSED, -ECONNRESET (also: closed
 * without a reply), -EPROTO, -ETIMEDOUT, and reply is NULL. May send the next request.
 */
typedef void http_client_fn(struct http_client *c, void *arg, int rc, struct http_msg *reply);

/* addr is copied. NULL without memory. Owned by the caller until http_client_free(). */
struct http_client *http_client_new(struct event_base *base, const struct sockaddr *addr,
				    socklen_t addr_bytes, http_client_fn *done, void *arg);
void http_client_free(struct http_client *c);

/* Send head and body (copied). Only while idle. timeout_ms counts from now. */
void http_client_send(struct http_client *c, struct slice head, struct slice body,
		      int64_t timeout_ms);
bool http_client_is_idle(const struct http_client *c);
/* Close the connection if it is idle, so that the next request opens a new one. */
void http_client_drop(struct http_client *c);
/* To be called every now and then: fails what is past its deadline. */
void http_client_tick(struct http_client *c);
/* Microseconds of CLOCK_MONOTONIC, read now. */
int64_t http_client_now_us(void);

#endif
