#include "proxy/store/wire.h"

#include "proxy/base/clock.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OUT_CAP	   ((size_t)256 << 20)
#define READ_BYTES 16384
/* Buffers that became longer than this are given back when they are empty. */
#define KEEP_BYTES ((size_t)1 << 20)

void wire_close(struct wire *w)
{
	if (w->fd < 0)
		return;
	event_del(&w->on_read);
	event_del(&w->on_write);
	close(w->fd);
	w->fd = -1;
	redisReaderFree(w->reader);
	w->reader = NULL;
	strbuf_fini(&w->out);
	w->is_connected = w->is_write_asked = false;
}

static void lose(struct wire *w, const char *why)
{
	wire_close(w);
	w->env.lost(w->env.arg, why);
}

/* --- reading ------------------------------------------------------------------------ */

static redisReader *new_reader(void)
{
	redisReader *r = redisReaderCreate();

	/* No bound: to stay below one it frees its buffer, and asserts that it gets another. */
	if (r != NULL)
		r->maxbuf = 0;
	return r;
}

static void take_answers(struct wire *w)
{
	redisReply *reply = NULL;
	char why[160];

	while (wire_is_open(w)) {
		if (redisReaderGetReply(w->reader, (void **)&reply) != REDIS_OK) {
			snprintf(why, sizeof(why), "%s", w->reader->errstr);
			lose(w, why);
			return;
		}
		if (reply == NULL)
			return;
		w->env.answered(w->env.arg, reply);
		freeReplyObject(reply);
		reply = NULL;
	}
}

/* After a long answer. Without memory for another the long one stays. */
static void shorten_reader(struct wire *w)
{
	redisReader *r;

	if (w->longest <= KEEP_BYTES || w->reader->ridx >= 0 || w->reader->pos != w->reader->len)
		return;
	r = new_reader();
	if (r == NULL)
		return;
	redisReaderFree(w->reader);
	w->reader = r;
	w->longest = 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static char bytes[READ_BYTES];
	struct wire *w = arg;
	ssize_t n;

	(void)what;
	clock_touch();
	n = recv(fd, bytes, sizeof(bytes), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lose(w, n < 0 ? strerror(errno) : "Server closed the connection");
		return;
	}
	if (redisReaderFeed(w->reader, bytes, (size_t)n) != REDIS_OK) {
		lose(w, "out of memory");
		return;
	}
	if (w->longest < w->reader->len)
		w->longest = w->reader->len;
	take_answers(w);
	if (wire_is_open(w))
		shorten_reader(w);
}

/* --- writing ------------------------------------------------------------------------ */

/*
 * The first write of a turn needs no poll: it is made active as it is, runs in the next
 * turn with all commands of this one, and epoll is told only about a full socket.
 */
static bool ask_write(struct wire *w)
{
	if (w->is_write_asked)
		return true;
	if (w->must_wait && event_add(&w->on_write, NULL) < 0)
		return false;
	w->is_write_asked = true;
	if (!w->must_wait)
		event_active(&w->on_write, EV_WRITE, 0);
	return true;
}

/* Now and then, so that a Redis that never takes all of it doesn't make it grow for ever. */
static void forget_sent(struct wire *w)
{
	if (w->sent < w->out.n / 2)
		return;
	w->out.n -= w->sent;
	memmove(w->out.p, w->out.p + w->sent, w->out.n);
	w->sent = 0;
}

static void write_out(struct wire *w)
{
	ssize_t n = send(w->fd, w->out.p + w->sent, w->out.n - w->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lose(w, strerror(errno));
		return;
	}
	if (n > 0)
		w->sent += (size_t)n;
	if (w->sent < w->out.n) {
		forget_sent(w);
		w->must_wait = true;
		if (!ask_write(w))
			lose(w, "out of memory");
		return;
	}
	w->must_wait = false;
	w->sent = 0;
	if (w->out.room > KEEP_BYTES)
		strbuf_fini(&w->out);
	else
		strbuf_reset(&w->out);
}

static void finish_connect(struct wire *w)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error != 0) {
		lose(w, strerror(error));
		return;
	}
	if (event_add(&w->on_read, NULL) < 0) {
		lose(w, "out of memory");
		return;
	}
	w->is_connected = true;
	w->must_wait = false;
	w->env.connected(w->env.arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *w = arg;

	(void)fd;
	(void)what;
	clock_touch();
	w->is_write_asked = false;
	if (!w->is_connected)
		finish_connect(w);
	else if (w->sent < w->out.n)
		write_out(w);
}

void wire_poll(struct wire *w)
{
	if (!w->is_connected)
		return;
	if (w->is_write_asked && !w->must_wait) {
		event_del(&w->on_write);
		w->is_write_asked = false;
		write_out(w);
	}
	if (wire_is_open(w))
		on_readable(w->fd, EV_READ, w);
}

int wire_put(struct wire *w, struct slice command)
{
	strbuf_put(&w->out, command);
	if (!strbuf_ok(&w->out)) {
		/* What is in it already stays, and will be sent. */
		w->out.has_failed = false;
		return -ENOMEM;
	}
	/* While it is connecting, or the socket is full, somebody waits already. */
	(void)ask_write(w);
	return 0;
}

/* --- connecting --------------------------------------------------------------------- */

/* A socket that is connecting, or a negative errno. */
static int begin_connect(int family, const struct sockaddr *addr, socklen_t n)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, rc;

	if (fd < 0)
		return -errno;
	if (family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, addr, n) == 0 || errno == EINPROGRESS)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	return begin_connect(AF_UNIX, (const struct sockaddr *)&addr, sizeof(addr));
}

/* IPv4 first: a refusal comes later, and then the other family is not tried any more. */
static int connect_tcp(const char *host, uint16_t port, char *why, size_t room)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found = NULL;
	char service[8];
	int fd = -ENOENT, rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &found);
	if (rc != 0) {
		hints.ai_family = AF_INET6;
		rc = getaddrinfo(host, service, &hints, &found);
	}
	if (rc != 0) {
		snprintf(why, room, "%s", gai_strerror(rc));
		return -ENOENT;
	}
	for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
		fd = begin_connect(a->ai_family, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(found);
	if (fd < 0)
		snprintf(why, room, "%s", strerror(-fd));
	return fd;
}

bool wire_open(struct wire *w, const char *host, uint16_t port, char *why, size_t room)
{
	int fd = port == 0 ? connect_unix(host) : connect_tcp(host, port, why, room);

	CHECK(w->fd < 0);
	if (fd < 0) {
		if (port == 0)
			snprintf(why, room, "%s", strerror(-fd));
		return false;
	}
	event_assign(&w->on_read, w->base, fd, EV_READ | EV_PERSIST, on_readable, w);
	event_assign(&w->on_write, w->base, fd, EV_WRITE, on_writable, w);
	w->fd = fd;
	w->is_connected = w->is_write_asked = false;
	w->must_wait = true;
	w->sent = w->longest = 0;
	w->reader = new_reader();
	if (w->reader != NULL && ask_write(w))
		return true;
	wire_close(w);
	snprintf(why, room, "out of memory");
	return false;
}

void wire_init(struct wire *w, struct event_base *base, const struct wire_env *env)
{
	*w = (struct wire){.base = base, .env = *env, .fd = -1};
	strbuf_init(&w->out, OUT_CAP);
}
