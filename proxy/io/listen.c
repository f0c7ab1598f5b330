#include "proxy/io/listen.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* Accepts in one turn: more would keep the connections that are there waiting. */
#define ACCEPTS_PER_TURN 64

struct listener {
	struct event *ev;
	int fd;
	bool is_paused;
	accepted_fn *accepted;
	void *arg;
	struct log_limit log_lim;
};

int listen_socket(const char *text, int backlog, const char *setting)
{
	struct address addr;
	int fd, rc, one = 1;

	rc = address_resolve(&addr, text);
	if (rc < 0) {
		log_line(LOG_ERROR, "listen_failed", "setting=%s value=\"%s\" error=\"%s\"",
			 setting, text,
			 rc == -ENOMEM ? "out of memory" : "not an address with a port");
		return rc;
	}
	fd = socket(addr.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&addr.ss, addr.len) < 0 || listen(fd, backlog) < 0) {
		rc = -errno;
		log_line(LOG_ERROR, "listen_failed", "setting=%s value=\"%s\" error=\"%s\"",
			 setting, text, strerror(-rc));
		close(fd);
		return rc;
	}
	return fd;
}

uint16_t listen_port(int fd)
{
	struct address a = {.len = sizeof(a.ss)};

	if (getsockname(fd, (struct sockaddr *)&a.ss, &a.len) < 0)
		return 0;
	return address_port(&a);
}

static void pause_accepting(struct listener *l, int err)
{
	l->is_paused = true;
	event_del(l->ev);
	metric_add(M_ACCEPT_PAUSES, 1);
	log_limited(&l->log_lim, 2, LOG_ERROR, "accept_paused",
		    "error=\"%s\" hint=\"raise the limit of open files (LimitNOFILE)\"",
		    strerror(err));
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	int one = 1;

	(void)what;
	clock_touch();
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct address from = {.len = sizeof(from.ss)};
		int c = accept4((int)fd, (struct sockaddr *)&from.ss, &from.len,
				SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (c >= 0) {
			setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			l->accepted(l->arg, c, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(l, errno);
			return;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		/* ECONNABORTED and the like concern that connection alone. */
	}
}

int listener_open(struct listener **out, struct event_base *base, int fd, accepted_fn *accepted,
		  void *arg)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	l->fd = fd;
	l->accepted = accepted;
	l->arg = arg;
	l->ev = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
	if (l->ev == NULL || event_add(l->ev, NULL) < 0) {
		listener_close(l);
		return -ENOMEM;
	}
	*out = l;
	return 0;
}

void listener_close(struct listener *l)
{
	if (l->ev != NULL)
		event_free(l->ev);
	free(l);
}

void listener_tick(struct listener *l)
{
	if (!l->is_paused)
		return;
	l->is_paused = event_add(l->ev, NULL) < 0;
}
