#include "proxy/io/stream.h"

#include "proxy/base/clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SEND_SHORT  1024 /* bytes */
#define SEND_SLICES 4

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	clock_touch();
	s->readable(s->arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	(void)what;
	clock_touch();
	s->is_writing = false;
	s->writable(s->arg);
}

void stream_init(struct stream *s, struct event_base *base, int fd, stream_fn *readable,
		 stream_fn *writable, void *arg)
{
	*s = (struct stream){.fd = fd, .readable = readable, .writable = writable, .arg = arg};
	event_assign(&s->read_ev, base, fd, EV_READ | EV_PERSIST, on_readable, s);
	event_assign(&s->write_ev, base, fd, EV_WRITE, on_writable, s);
}

void stream_close(struct stream *s)
{
	if (s->fd < 0)
		return;
	stream_want_read(s, false);
	stream_want_write(s, false);
	close(s->fd);
	s->fd = -1;
	iobuf_release(&s->in);
	iobuf_release(&s->out);
}

void stream_reset(struct stream *s)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (s->fd >= 0)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	stream_close(s);
}

void stream_want_read(struct stream *s, bool want)
{
	if (want && (s->has_eof || s->has_failed))
		want = false;
	if (want == s->is_reading)
		return;
	/* Without memory it stays off: a deadline of its owner ends the connection. */
	if (!want)
		event_del(&s->read_ev);
	s->is_reading = want && event_add(&s->read_ev, NULL) == 0;
}

void stream_want_write(struct stream *s, bool want)
{
	if (want == s->is_writing)
		return;
	if (!want)
		event_del(&s->write_ev);
	s->is_writing = want && event_add(&s->write_ev, NULL) == 0;
}

ssize_t stream_read(struct stream *s)
{
	ssize_t n;

	if (iobuf_need(&s->in) < 0)
		return -ENOBUFS;
	if (iobuf_room(&s->in) == 0)
		return -ENOBUFS;
	do {
		n = recv(s->fd, s->in.p + s->in.end, iobuf_room(&s->in), 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		s->in.end += (size_t)n;
		return n;
	}
	if (n == 0) {
		s->has_eof = true;
		stream_want_read(s, false);
		return 0;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return -EAGAIN;
	n = -errno;
	s->has_failed = true;
	stream_want_read(s, false);
	return n;
}

/* Keep what the socket did not take of v, skip bytes of it being gone. */
static int keep_rest(struct stream *s, const struct slice *v, unsigned n, size_t skip)
{
	if (iobuf_need(&s->out) < 0) {
		s->has_failed = true;
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n; i++) {
		struct slice rest;

		if (skip >= v[i].n) {
			skip -= v[i].n;
			continue;
		}
		rest = slice_drop(v[i], skip);
		skip = 0;
		if (rest.n > iobuf_room(&s->out))
			iobuf_compact(&s->out);
		if (rest.n > iobuf_room(&s->out) &&
		    iobuf_enlarge(&s->out, iobuf_used(&s->out) + rest.n) < 0) {
			s->has_failed = true;
			return -ENOMEM;
		}
		memcpy(s->out.p + s->out.end, rest.p, rest.n);
		s->out.end += rest.n;
	}
	return 0;
}

/* What is short is put together: copying it costs less than telling the kernel of pieces. */
static ssize_t send_short(int fd, const struct slice *v, unsigned n)
{
	NOT_CLEARED char buf[SEND_SHORT];
	size_t used = 0;

	for (unsigned i = 0; i < n; i++) {
		if (v[i].n > 0)
			memcpy(buf + used, v[i].p, v[i].n);
		used += v[i].n;
	}
	return send(fd, buf, used, MSG_NOSIGNAL);
}

static ssize_t send_pieces(int fd, const struct slice *v, unsigned n)
{
	struct iovec iov[SEND_SLICES];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};

	for (unsigned i = 0; i < n; i++) {
		iov[i].iov_base = (void *)(uintptr_t)v[i].p;
		iov[i].iov_len = v[i].n;
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

int stream_send(struct stream *s, const struct slice *v, unsigned n)
{
	size_t total = 0;
	ssize_t sent = 0;

	CHECK(n <= SEND_SLICES);
	if (s->has_failed || s->fd < 0)
		return -EPIPE;
	for (unsigned i = 0; i < n; i++)
		total += v[i].n;
	if (stream_pending(s) == 0 && total > 0) {
		do {
			sent = total <= SEND_SHORT ? send_short(s->fd, v, n)
						   : send_pieces(s->fd, v, n);
		} while (sent < 0 && errno == EINTR);
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			s->has_failed = true;
			return -errno;
		}
		if (sent < 0)
			sent = 0;
	}
	if ((size_t)sent == total)
		return 0;
	if (stream_pending(s) == 0)
		(void)stream_has_moved(s);
	stream_want_write(s, true);
	return keep_rest(s, v, n, (size_t)sent);
}

bool stream_has_moved(struct stream *s)
{
	int before = s->unacked;

	if (s->fd < 0 || ioctl(s->fd, SIOCOUTQ, &s->unacked) < 0)
		return false;
	return s->unacked != before;
}

int stream_flush(struct stream *s)
{
	ssize_t n;

	while (stream_pending(s) > 0) {
		n = send(s->fd, s->out.p + s->out.start, stream_pending(s), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			stream_want_write(s, true);
			return 0;
		}
		if (n < 0) {
			s->has_failed = true;
			return -errno;
		}
		iobuf_consume(&s->out, (size_t)n);
	}
	iobuf_release(&s->out);
	return 0;
}
