#include "tests/tools/http_client.h"
#include "tests/tools/sample_mp.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define IN_ROOM_FIRST 16384
#define IN_ROOM_MAX   (8u << 20)
#define OUT_MAX	      (1u << 20)

struct mp_conn {
	LIST_ENTRY(mp_conn) link;
	struct mp *mp;
	int fd;
	uint64_t nonce;
	struct event *readable, *writable, *timer;
	char *in;
	size_t in_n, in_room;
	struct strbuf out;
	size_t out_at;
	bool is_last, has_continued;
	bool is_waiting; /* an answer is ready, to be written when the timer fires */
};

static void conn_free(struct mp_conn *c, bool is_reset)
{
	struct linger hard = {1, 0};

	if (is_reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	LIST_REMOVE(c, link);
	event_free(c->readable);
	event_free(c->writable);
	event_free(c->timer);
	close(c->fd);
	strbuf_fini(&c->out);
	free(c->in);
	free(c);
}

/* false: the connection is gone. */
static bool write_out(struct mp_conn *c)
{
	while (c->out_at < c->out.n) {
		ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			event_add(c->writable, NULL);
			return true;
		}
		if (n < 0) {
			conn_free(c, false);
			return false;
		}
		c->out_at += (size_t)n;
	}
	strbuf_reset(&c->out);
	c->out_at = 0;
	if (c->is_last) {
		conn_free(c, false);
		return false;
	}
	return true;
}

/*
 * Service at a bounded rate, by one server or several side by side: each request takes its
 * turn at the one that is free first, and the longer the queue the more each one costs, so
 * that a point pushed past its limit does less, not more.
 */
static int64_t service_delay_us(struct mp *mp, int64_t now)
{
	unsigned servers = mp->opt.servers < MP_SERVERS_MAX ? mp->opt.servers : MP_SERVERS_MAX;
	int64_t cost, queue, *free_us = &mp->next_free_us[0];

	if (mp->opt.max_rate == 0)
		return 0;
	for (unsigned i = 1; i < servers; i++)
		if (mp->next_free_us[i] < *free_us)
			free_us = &mp->next_free_us[i];
	if (*free_us < now)
		*free_us = now;
	queue = *free_us - now;
	cost = (int64_t)1000000 * (servers > 0 ? servers : 1) / mp->opt.max_rate;
	/* Half of it to one and a half: servers in step would make everybody wait for all. */
	if (servers > 1)
		cost = cost / 2 + (int64_t)(ccm_hash(7, mp->n_served++, 0) % (uint64_t)(cost + 1));
	cost += (int64_t)((double)cost * (double)queue / 500000.0);
	*free_us += cost;
	return *free_us - now;
}

static void count_policy(struct mp *mp, int64_t delay_us)
{
	struct timeval woken, now;
	int64_t took;

	event_base_gettimeofday_cached(mp->base, &woken);
	evutil_gettimeofday(&now, NULL);
	took = (int64_t)(now.tv_sec - woken.tv_sec) * 1000000 + (now.tv_usec - woken.tv_usec);
	/* What arrived while the folder was being read has waited for that as well. */
	if (took < mp->blocked_us)
		took = mp->blocked_us;
	took += delay_us;
	if (took > mp->slowest_policy_us)
		mp->slowest_policy_us = took;
}

/* false: the connection is gone. */
static bool serve(struct mp_conn *c, struct http_msg *m)
{
	struct mp *mp = c->mp;
	struct mp_answer a = {.out = &c->out};
	int64_t delay_us;
	struct timeval tv;

	mp_answer(mp, m, c->nonce, &a);
	c->is_last = !m->is_keep_alive;
	c->has_continued = false;
	if (a.mode == MODE_MP_RESET || a.mode == MODE_MP_CLOSE) {
		conn_free(c, a.mode == MODE_MP_RESET);
		return false;
	}
	CHECK(strbuf_ok(&c->out));
	delay_us = service_delay_us(mp, http_client_now_us());
	if (a.mode == MODE_MP_SLOW)
		delay_us += mp->mode_ms * 1000;
	if (a.kind == MP_POLICY)
		count_policy(mp, delay_us);
	if (delay_us == 0)
		return write_out(c);
	c->is_waiting = true;
	tv = (struct timeval){delay_us / 1000000, delay_us % 1000000};
	event_add(c->timer, &tv);
	return true;
}

/* A client that waits for permission to send gets it at once. */
static void permit(struct mp_conn *c, const struct http_msg *m)
{
	if (!m->has_expect || c->has_continued)
		return;
	c->has_continued = true;
	if (send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) != 25)
		c->is_last = true;
}

/* Serve what is whole in the buffer, in order. */
static void serve_all(struct mp_conn *c)
{
	struct http_msg m;
	enum http_msg_rc rc;

	while (!c->is_waiting && c->out.n == 0 && c->in_n > 0) {
		rc = http_msg_read(&m, c->in, c->in_n, false);
		if (rc == HTTP_MSG_BAD) {
			c->mp->damaged++;
			conn_free(c, false);
			return;
		}
		if (rc == HTTP_MSG_HEAD)
			permit(c, &m);
		if (rc != HTTP_MSG_WHOLE)
			return;
		if (!serve(c, &m))
			return;
		c->in_n -= m.total_bytes;
		memmove(c->in, c->in + m.total_bytes, c->in_n);
	}
}

static bool make_room(struct mp_conn *c)
{
	size_t room = c->in_room ? c->in_room * 2 : IN_ROOM_FIRST;
	char *p;

	if (c->in_n < c->in_room)
		return true;
	p = room > IN_ROOM_MAX ? NULL : realloc(c->in, room);
	if (!p)
		return false;
	c->in = p;
	c->in_room = room;
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct mp_conn *c = arg;
	ssize_t n = make_room(c) ? recv(fd, c->in + c->in_n, c->in_room - c->in_n, 0) : 0;

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_free(c, false);
		return;
	}
	c->in_n += (size_t)n;
	serve_all(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct mp_conn *c = arg;

	(void)fd;
	(void)what;
	if (write_out(c))
		serve_all(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct mp_conn *c = arg;

	(void)fd;
	(void)what;
	c->is_waiting = false;
	if (write_out(c))
		serve_all(c);
}

static void on_acceptable(evutil_socket_t lfd, short what, void *arg)
{
	static uint64_t n_conns;
	struct mp *mp = arg;
	struct mp_conn *c;
	int one = 1, fd;

	(void)what;
	while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = calloc(1, sizeof(*c));
		CHECK(c);
		c->mp = mp;
		c->fd = fd;
		c->nonce = ccm_hash(9, (uint64_t)http_client_now_us(), ++n_conns);
		strbuf_init(&c->out, OUT_MAX);
		c->readable = event_new(mp->base, fd, EV_READ | EV_PERSIST, on_readable, c);
		c->writable = event_new(mp->base, fd, EV_WRITE, on_writable, c);
		c->timer = event_new(mp->base, -1, 0, on_timer, c);
		CHECK(c->readable && c->writable && c->timer);
		event_add(c->readable, NULL);
		LIST_INSERT_HEAD(&mp->conns, c, link);
	}
}

int mp_listen(struct mp *mp)
{
	int one = 1;

	mp->fd = socket(mp->addr.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (mp->fd < 0)
		return -errno;
	setsockopt(mp->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(mp->fd, (struct sockaddr *)&mp->addr.ss, mp->addr.len) < 0 ||
	    listen(mp->fd, 1024) < 0) {
		int rc = -errno;

		close(mp->fd);
		mp->fd = -1;
		return rc;
	}
	/* Port 0 has become a real one, to be kept when the listener comes back. */
	tool_address_of(&mp->addr, mp->fd);
	mp->acceptable = event_new(mp->base, mp->fd, EV_READ | EV_PERSIST, on_acceptable, mp);
	CHECK(mp->acceptable);
	event_add(mp->acceptable, NULL);
	return 0;
}

void mp_vanish(struct mp *mp)
{
	if (mp->fd >= 0) {
		event_free(mp->acceptable);
		close(mp->fd);
		mp->fd = -1;
	}
	while (!LIST_EMPTY(&mp->conns))
		conn_free(LIST_FIRST(&mp->conns), true);
}
