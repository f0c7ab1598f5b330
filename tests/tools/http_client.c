#include "tests/tools/http_client.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define IN_ROOM_FIRST 16384
#define IN_ROOM_MAX   (4u << 20)

struct http_client {
	struct event_base *base;
	struct sockaddr_storage addr;
	socklen_t addr_bytes;
	http_client_fn *done;
	void *arg;
	int fd;		 /* -1: not connected */
	int failed;	 /* an error found inside send(), told by the next event */
	bool is_waiting; /* a request is under way */
	struct event *readable, *writable, *later;
	int64_t deadline_us;
	char *out, *in;
	size_t out_n, out_at, out_room, in_n, in_room;
};

int64_t http_client_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void drop_connection(struct http_client *c)
{
	if (c->fd < 0)
		return;
	event_free(c->readable);
	event_free(c->writable);
	c->readable = c->writable = NULL;
	close(c->fd);
	c->fd = -1;
	c->in_n = 0;
}

static void fail(struct http_client *c, int rc)
{
	drop_connection(c);
	event_del(c->later);
	if (!c->is_waiting)
		return;
	c->is_waiting = false;
	c->done(c, c->arg, rc, NULL);
}

/* Errors inside send() are told from the event loop, so that done() never nests. */
static void fail_later(struct http_client *c, int rc)
{
	c->failed = rc;
	event_active(c->later, EV_TIMEOUT, 0);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;

	(void)fd;
	(void)what;
	fail(c, c->failed);
}

static int write_out(struct http_client *c)
{
	while (c->out_at < c->out_n) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
			event_add(c->writable, NULL);
			return 0;
		}
		if (n < 0)
			return errno == ECONNREFUSED ? -ECONNREFUSED : -ECONNRESET;
		c->out_at += (size_t)n;
	}
	return 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;
	int err = 0, rc;
	socklen_t n = sizeof(err);

	(void)what;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	rc = err == 0 ? write_out(c) : err == ECONNREFUSED ? -ECONNREFUSED : -ECONNRESET;
	if (rc < 0)
		fail(c, rc);
}

static void deliver(struct http_client *c, struct http_msg *m)
{
	bool has_rest = c->in_n > m->total_bytes;

	/* The bytes of the reply stay where they are until the next read. */
	c->in_n = 0;
	c->is_waiting = false;
	if (!m->is_keep_alive || has_rest || c->out_at < c->out_n)
		drop_connection(c);
	c->done(c, c->arg, has_rest ? -EPROTO : 0, has_rest ? NULL : m);
}

static void read_replies(struct http_client *c)
{
	struct http_msg m;
	enum http_msg_rc rc;

	for (;;) {
		rc = http_msg_read(&m, c->in, c->in_n, true);
		if (rc == HTTP_MSG_BAD || (rc != HTTP_MSG_MORE && !c->is_waiting)) {
			fail(c, -EPROTO);
			return;
		}
		if (rc != HTTP_MSG_WHOLE)
			return;
		if (m.status >= 200)
			break;
		c->in_n -= m.total_bytes;
		memmove(c->in, c->in + m.total_bytes, c->in_n);
	}
	deliver(c, &m);
}

static bool make_room(struct http_client *c)
{
	size_t room = c->in_room ? c->in_room * 2 : IN_ROOM_FIRST;
	char *p;

	if (c->in_n < c->in_room)
		return true;
	if (room > IN_ROOM_MAX)
		return false;
	p = realloc(c->in, room);
	if (!p)
		return false;
	c->in = p;
	c->in_room = room;
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;
	ssize_t n;

	(void)what;
	if (!make_room(c)) {
		fail(c, -EPROTO);
		return;
	}
	n = recv(fd, c->in + c->in_n, c->in_room - c->in_n, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(c, n < 0 && errno == ECONNREFUSED ? -ECONNREFUSED : -ECONNRESET);
		return;
	}
	c->in_n += (size_t)n;
	read_replies(c);
}

static int open_connection(struct http_client *c)
{
	int one = 1;

	c->fd = socket(c->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->readable = event_new(c->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(c->base, c->fd, EV_WRITE, on_writable, c);
	CHECK(c->readable && c->writable);
	if (connect(c->fd, (struct sockaddr *)&c->addr, c->addr_bytes) < 0 && errno != EINPROGRESS)
		return errno == ECONNREFUSED ? -ECONNREFUSED : -ECONNRESET;
	event_add(c->readable, NULL);
	return 0;
}

struct http_client *http_client_new(struct event_base *base, const struct sockaddr *addr,
				    socklen_t addr_bytes, http_client_fn *done, void *arg)
{
	struct http_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->base = base;
	memcpy(&c->addr, addr, addr_bytes);
	c->addr_bytes = addr_bytes;
	c->done = done;
	c->arg = arg;
	c->fd = -1;
	c->later = event_new(base, -1, 0, on_later, c);
	if (!c->later) {
		free(c);
		return NULL;
	}
	return c;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	drop_connection(c);
	event_free(c->later);
	free(c->in);
	free(c->out);
	free(c);
}

static void put_out(struct http_client *c, struct slice head, struct slice body)
{
	size_t n = head.n + body.n;

	if (n > c->out_room) {
		free(c->out);
		c->out = malloc(n);
		CHECK(c->out);
		c->out_room = n;
	}
	memcpy(c->out, head.p, head.n);
	if (body.n > 0)
		memcpy(c->out + head.n, body.p, body.n);
	c->out_n = n;
	c->out_at = 0;
}

void http_client_send(struct http_client *c, struct slice head, struct slice body,
		      int64_t timeout_ms)
{
	int rc = 0;

	CHECK(!c->is_waiting);
	c->is_waiting = true;
	c->deadline_us = http_client_now_us() + timeout_ms * 1000;
	put_out(c, head, body);
	if (c->fd < 0)
		rc = open_connection(c);
	if (rc == 0)
		rc = write_out(c);
	if (rc < 0)
		fail_later(c, rc);
}

bool http_client_is_idle(const struct http_client *c)
{
	return !c->is_waiting;
}

void http_client_drop(struct http_client *c)
{
	if (!c->is_waiting)
		drop_connection(c);
}

void http_client_tick(struct http_client *c)
{
	if (c->is_waiting && http_client_now_us() > c->deadline_us)
		fail(c, -ETIMEDOUT);
}
