#include "proxy/io/upstream.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define UPCONN_MAGIC 0x7570636eu

TAILQ_HEAD(upconn_list, upconn);
TAILQ_HEAD(waiter_list, up_waiter);

struct upstream {
	struct event_base *base;
	const struct conf *conf;
	struct address addr;
	struct upconn_list connecting, idle, busy, dead;
	struct waiter_list waiting;
	unsigned n_open, n_connecting, n_waiting;
	bool is_down;
	struct log_limit log_lim;
};

static void set_state(struct upconn *uc, enum upconn_state to)
{
	struct upstream *u = uc->u;
	struct upconn_list *lists[] = {&u->connecting, &u->idle, &u->busy, &u->dead};

	if (uc->state == UPCONN_CONNECTING)
		u->n_connecting--;
	TAILQ_REMOVE(lists[uc->state], uc, link);
	uc->state = to;
	uc->since_ms = clock_mono_ms();
	/* Idle ones are taken from the head: the warmest first, the rest may age out. */
	if (to == UPCONN_IDLE)
		TAILQ_INSERT_HEAD(lists[to], uc, link);
	else
		TAILQ_INSERT_TAIL(lists[to], uc, link);
}

static void close_upconn(struct upconn *uc)
{
	stream_close(&uc->s);
	set_state(uc, UPCONN_DEAD);
	uc->u->n_open--;
	metric_add(M_UP_OPEN, -1);
}

static struct up_waiter *next_waiter(struct upstream *u)
{
	struct up_waiter *w = TAILQ_FIRST(&u->waiting);

	if (w != NULL)
		upstream_cancel(u, w);
	return w;
}

static void fail_waiters(struct upstream *u, enum reason why)
{
	struct up_waiter *w;

	/* Each failure ends one waiter per failed connection: others may have better luck. */
	w = next_waiter(u);
	if (w != NULL)
		w->ready(w, NULL, why);
}

static void connect_failed(struct upconn *uc, enum reason why, int err)
{
	struct upstream *u = uc->u;

	u->is_down = true;
	metric_add(M_UP_ERRORS, 1);
	log_limited(&u->log_lim, 3, LOG_WARN, "upstream_connect_failed",
		    "upstream=%s reason=%s errno=%d", u->conf->upstream, reason_table[why].word,
		    err);
	close_upconn(uc);
	fail_waiters(u, why);
}

static int open_upconn(struct upstream *u);

/* As many connections under way as there are waiters, within the limit. */
static void open_for_waiters(struct upstream *u)
{
	while (u->n_connecting < u->n_waiting && (int64_t)u->n_open < u->conf->up_max_conns)
		if (open_upconn(u) < 0)
			return;
}

bool upconn_is_quiet(const struct upconn *uc)
{
	char byte;

	return recv(uc->s.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

static void hand_out(struct upconn *uc)
{
	struct up_waiter *w;

	if (uc->served > 0 && uc->u->n_waiting > 0 && !upconn_is_quiet(uc)) {
		upconn_drop(uc);
		return;
	}
	w = next_waiter(uc->u);
	if (w == NULL) {
		uc->readable = uc->writable = NULL;
		uc->owner = NULL;
		set_state(uc, UPCONN_IDLE);
		stream_want_read(&uc->s, true);
		return;
	}
	if (uc->state != UPCONN_BUSY)
		set_state(uc, UPCONN_BUSY);
	w->ready(w, uc, REASON_NONE);
}

static void on_connected(struct upconn *uc)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (uc->connect_error != 0) {
		connect_failed(uc, REASON_UP_REFUSED, uc->connect_error);
		return;
	}
	if (getsockopt(uc->s.fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 || err != 0) {
		connect_failed(uc, REASON_UP_REFUSED, err);
		return;
	}
	uc->u->is_down = false;
	stream_want_read(&uc->s, true);
	hand_out(uc);
}

static void on_writable(void *arg)
{
	struct upconn *uc = arg;

	OBJ_CHECK(uc, UPCONN_MAGIC);
	if (uc->state == UPCONN_CONNECTING)
		on_connected(uc);
	else if (uc->state == UPCONN_BUSY && uc->writable != NULL)
		uc->writable(uc->owner);
}

static void on_readable(void *arg)
{
	struct upconn *uc = arg;

	OBJ_CHECK(uc, UPCONN_MAGIC);
	if (uc->state == UPCONN_BUSY && uc->readable != NULL)
		uc->readable(uc->owner);
	else if (uc->state == UPCONN_IDLE)
		/* Its end, or bytes that answer nothing: never anybody's (R7). */
		close_upconn(uc);
}

static int open_upconn(struct upstream *u)
{
	struct upconn *uc;
	int fd, one = 1;

	fd = socket(u->addr.ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	uc = calloc(1, sizeof(*uc));
	if (uc == NULL) {
		close(fd);
		return -ENOMEM;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	uc->magic = UPCONN_MAGIC;
	uc->u = u;
	uc->state = UPCONN_CONNECTING;
	uc->since_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&u->connecting, uc, link);
	u->n_connecting++;
	u->n_open++;
	metric_add(M_UP_OPEN, 1);
	metric_add(M_UP_CONNECTS, 1);
	stream_init(&uc->s, u->base, fd, on_readable, on_writable, uc);
	/*
	 * A refusal that is known at once is left to the write event as well: nobody is
	 * called back from inside upstream_wait().
	 */
	if (connect(fd, (const struct sockaddr *)&u->addr.ss, u->addr.len) < 0 &&
	    errno != EINPROGRESS)
		uc->connect_error = errno;
	stream_want_write(&uc->s, true);
	return 0;
}

int upstream_open(struct upstream **out, struct event_base *base, const struct conf *conf)
{
	struct upstream *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL)
		return -ENOMEM;
	u->base = base;
	u->conf = conf;
	TAILQ_INIT(&u->connecting);
	TAILQ_INIT(&u->idle);
	TAILQ_INIT(&u->busy);
	TAILQ_INIT(&u->dead);
	TAILQ_INIT(&u->waiting);
	rc = address_resolve(&u->addr, conf->upstream);
	if (rc < 0) {
		log_line(LOG_ERROR, "upstream_address",
			 "setting=global.upstream value=\"%s\" error=\"%s\"", conf->upstream,
			 rc == -ENOMEM	 ? "out of memory"
			 : rc == -ENOENT ? "name not found"
					 : "not HOST:PORT");
		free(u);
		return rc;
	}
	*out = u;
	return 0;
}

void upstream_close(struct upstream *u)
{
	struct upconn *uc;

	while ((uc = TAILQ_FIRST(&u->connecting)) || (uc = TAILQ_FIRST(&u->idle)) ||
	       (uc = TAILQ_FIRST(&u->busy)))
		close_upconn(uc);
	upstream_bury(u);
	free(u);
}

const char *upstream_name(const struct upstream *u)
{
	return u->conf->upstream;
}

struct upconn *upstream_take(struct upstream *u)
{
	struct upconn *uc;

	/* Those who wait come first, or a steady stream would starve them. */
	if (u->n_waiting > 0)
		return NULL;
	while ((uc = TAILQ_FIRST(&u->idle)) != NULL) {
		if (upconn_is_quiet(uc)) {
			set_state(uc, UPCONN_BUSY);
			return uc;
		}
		close_upconn(uc);
	}
	return NULL;
}

int upstream_wait(struct upstream *u, struct up_waiter *w)
{
	if ((int64_t)u->n_waiting >= u->conf->up_max_waiting)
		return -EAGAIN;
	TAILQ_INSERT_TAIL(&u->waiting, w, link);
	w->is_queued = true;
	w->deadline_ms = clock_mono_ms() + u->conf->up_wait_timeout_ms;
	u->n_waiting++;
	metric_add(M_UP_WAITING, 1);
	open_for_waiters(u);
	return 0;
}

void upstream_cancel(struct upstream *u, struct up_waiter *w)
{
	if (!w->is_queued)
		return;
	TAILQ_REMOVE(&u->waiting, w, link);
	w->is_queued = false;
	u->n_waiting--;
	metric_add(M_UP_WAITING, -1);
}

void upconn_own(struct upconn *uc, void *owner, stream_fn *readable, stream_fn *writable)
{
	uc->owner = owner;
	uc->readable = readable;
	uc->writable = writable;
}

void upconn_put_back(struct upconn *uc)
{
	CHECK(uc->state == UPCONN_BUSY);
	if (iobuf_used(&uc->s.in) > 0 || stream_pending(&uc->s) > 0 || uc->s.has_eof ||
	    uc->s.has_failed) {
		upconn_drop(uc);
		return;
	}
	iobuf_release(&uc->s.in);
	uc->served++;
	hand_out(uc);
}

void upconn_drop(struct upconn *uc)
{
	struct upstream *u = uc->u;

	CHECK(uc->state == UPCONN_BUSY);
	close_upconn(uc);
	open_for_waiters(u);
}

static void tick_connecting(struct upstream *u, int64_t now)
{
	struct upconn *uc;

	while ((uc = TAILQ_FIRST(&u->connecting)) != NULL &&
	       now - uc->since_ms >= u->conf->up_connect_timeout_ms)
		connect_failed(uc, REASON_UP_CONNECT_TIMEOUT, ETIMEDOUT);
}

void upstream_tick(struct upstream *u)
{
	int64_t now = clock_mono_ms();
	struct up_waiter *w;
	struct upconn *uc;

	tick_connecting(u, now);
	while ((uc = TAILQ_LAST(&u->idle, upconn_list)) != NULL &&
	       now - uc->since_ms >= u->conf->up_idle_ms)
		close_upconn(uc);
	while ((w = TAILQ_FIRST(&u->waiting)) != NULL && now >= w->deadline_ms) {
		upstream_cancel(u, w);
		w->ready(w, NULL, REASON_UP_BUSY);
	}
	open_for_waiters(u);
}

void upstream_bury(struct upstream *u)
{
	struct upconn *uc;

	while ((uc = TAILQ_FIRST(&u->dead)) != NULL) {
		TAILQ_REMOVE(&u->dead, uc, link);
		uc->magic = 0;
		free(uc);
	}
}

bool upstream_is_up(const struct upstream *u)
{
	return !u->is_down;
}
