#include "proxy/store/link.h"

#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/store/embedded.h"
#include "proxy/store/resp.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/queue.h>
#include <sys/un.h>
#include <unistd.h>

#define LINK_MAGIC     0x6c696e6bu
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define COMMAND_CAP    8192
#define PASSWORD_MAX   1024
#define SPARE_CALLS    256
/* A connection that lived this long was worth having: the next back-off starts anew. */
#define LONG_ENOUGH_MS 5000

enum link_state {
	LINK_WAITING,
	LINK_CONNECTING,
	LINK_GREETING,
	LINK_UP
};

struct link_call {
	TAILQ_ENTRY(link_call) entry;
	struct link *l;
	link_reply_fn *reply;
	void *arg;
	int64_t sent_ms;
};
TAILQ_HEAD(link_calls, link_call);

/*
 * Between one hiredis context and libevent. hiredis frees it with the context, which may
 * be later than the link forgets the context.
 */
struct adapter {
	redisAsyncContext *ac;
	struct event *on_read, *on_write;
	bool is_reading;
	bool is_write_asked;
	bool must_wait; /* for the socket to take bytes: it was full, or is connecting */
};

struct link {
	unsigned magic;
	struct event_base *base;
	const struct conf *conf;
	struct link_env env;
	char host[256]; /* or the socket's path */
	uint16_t port;	/* 0: Unix socket */
	enum link_state state;
	redisAsyncContext *ac; /* NULL in LINK_WAITING */
	struct link_calls calls, spare;
	unsigned n_spare, n_greetings;
	int64_t began_ms; /* to connect */
	int64_t up_ms;	  /* 0: this connection was never up */
	int64_t next_try_ms, backoff_ms;
	bool is_closing;
	char must_drop[160]; /* found where hiredis forbids to free: the next tick does it */
	struct log_limit log_down;
};

/* --- hiredis and libevent ----------------------------------------------------------- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct adapter *a = arg;

	(void)fd;
	(void)what;
	clock_touch();
	FAILPOINT("link_read");
	redisAsyncHandleRead(a->ac); /* may free a */
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct adapter *a = arg;

	(void)fd;
	(void)what;
	clock_touch();
	a->is_write_asked = false;
	/* Whoever asks again from inside has met a full socket. */
	a->must_wait = true;
	redisAsyncHandleWrite(a->ac); /* may free a */
}

static void adapter_add_read(void *arg)
{
	struct adapter *a = arg;

	if (!a->is_reading)
		a->is_reading = event_add(a->on_read, NULL) == 0;
}

static void adapter_del_read(void *arg)
{
	struct adapter *a = arg;

	if (a->is_reading)
		event_del(a->on_read);
	a->is_reading = false;
}

/*
 * The first write of a turn needs no poll: it is made active as it is, runs in the next
 * turn with all commands of this one, and epoll is told only about a full socket.
 */
static void adapter_add_write(void *arg)
{
	struct adapter *a = arg;

	if (a->is_write_asked)
		return;
	a->is_write_asked = true;
	if (a->must_wait)
		event_add(a->on_write, NULL);
	else
		event_active(a->on_write, EV_WRITE, 0);
}

/* hiredis says so after everything is written. */
static void adapter_del_write(void *arg)
{
	struct adapter *a = arg;

	a->must_wait = false;
	a->is_write_asked = false;
	event_del(a->on_write);
}

static void adapter_cleanup(void *arg)
{
	struct adapter *a = arg;

	event_free(a->on_read);
	event_free(a->on_write);
	free(a);
}

static int adapter_attach(redisAsyncContext *ac, struct event_base *base)
{
	struct adapter *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->ac = ac;
	a->must_wait = true;
	a->on_read = event_new(base, ac->c.fd, EV_READ | EV_PERSIST, on_readable, a);
	a->on_write = event_new(base, ac->c.fd, EV_WRITE, on_writable, a);
	if (a->on_read == NULL || a->on_write == NULL)
		goto fail;
	ac->ev.data = a;
	ac->ev.addRead = adapter_add_read;
	ac->ev.delRead = adapter_del_read;
	ac->ev.addWrite = adapter_add_write;
	ac->ev.delWrite = adapter_del_write;
	ac->ev.cleanup = adapter_cleanup;
	return 0;
fail:
	if (a->on_read != NULL)
		event_free(a->on_read);
	free(a);
	return -ENOMEM;
}

/* --- calls -------------------------------------------------------------------------- */

static struct link_call *call_new(struct link *l)
{
	struct link_call *c = TAILQ_FIRST(&l->spare);

	if (c != NULL) {
		TAILQ_REMOVE(&l->spare, c, entry);
		l->n_spare--;
		return c;
	}
	return malloc(sizeof(*c));
}

static void call_put(struct link *l, struct link_call *c)
{
	if (l->n_spare >= SPARE_CALLS) {
		free(c);
		return;
	}
	TAILQ_INSERT_HEAD(&l->spare, c, entry);
	l->n_spare++;
}

static void on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
	struct link_call *c = arg;
	struct link *l = c->l;
	link_reply_fn *fn = c->reply;
	void *fn_arg = c->arg;

	OBJ_CHECK(l, LINK_MAGIC);
	/* Lost: nothing may be sent on it any more, also not by what is answered now. */
	if (reply == NULL && l->ac == ac && l->state == LINK_UP)
		l->state = LINK_GREETING;
	TAILQ_REMOVE(&l->calls, c, entry);
	call_put(l, c);
	fn(fn_arg, reply);
}

static int send_command(struct link *l, struct slice command, link_reply_fn *reply, void *arg)
{
	struct link_call *c = call_new(l);

	if (c == NULL)
		return -ENOMEM;
	*c = (struct link_call){.l = l, .reply = reply, .arg = arg, .sent_ms = clock_mono_ms()};
	if (redisAsyncFormattedCommand(l->ac, on_reply, c, command.p, command.n) != REDIS_OK) {
		call_put(l, c);
		return -ENOTCONN;
	}
	/*
	 * Without memory hiredis 0.14 forgets the callback, sends the command, and ends the
	 * process when the answer comes. Nothing was written yet: it never will be.
	 */
	if (l->ac->replies.tail == NULL || l->ac->replies.tail->privdata != c) {
		shutdown(l->ac->c.fd, SHUT_RDWR);
		l->state = LINK_GREETING;
		call_put(l, c);
		return -ENOTCONN;
	}
	TAILQ_INSERT_TAIL(&l->calls, c, entry);
	return 0;
}

int link_send(struct link *l, struct slice command, link_reply_fn *reply, void *arg)
{
	if (l->state != LINK_UP || FAILPOINT_ERROR("link_send") < 0)
		return -ENOTCONN;
	return send_command(l, command, reply, arg);
}

bool link_is_up(const struct link *l)
{
	return l->state == LINK_UP;
}

/* --- life --------------------------------------------------------------------------- */

/* The context is gone or going: wait, then try again. */
static void went_down(struct link *l, const char *why)
{
	if (l->up_ms != 0 && clock_mono_ms() - l->up_ms >= LONG_ENOUGH_MS)
		l->backoff_ms = BACKOFF_MIN_MS;
	l->up_ms = 0;
	l->must_drop[0] = '\0';
	l->ac = NULL;
	l->state = LINK_WAITING;
	l->next_try_ms = clock_mono_ms() + l->backoff_ms;
	l->backoff_ms *= 2;
	if (l->backoff_ms > BACKOFF_MAX_MS)
		l->backoff_ms = BACKOFF_MAX_MS;
	if (l->is_closing)
		return;
	log_limited(&l->log_down, 3, LOG_DEBUG, "redis_link_down",
		    "reason=\"%s\" next_try_ms=%" PRId64, why, l->next_try_ms - clock_mono_ms());
	l->env.down(l->env.arg, why);
}

void link_drop(struct link *l, const char *why)
{
	redisAsyncContext *ac = l->ac;

	if (ac == NULL)
		return;
	l->ac = NULL;
	l->state = LINK_WAITING;
	/* Inside a callback hiredis frees it only when that has returned. */
	redisAsyncFree(ac);
	went_down(l, why);
}

/* hiredis has given up: its context is freed after this. */
static void on_disconnect(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;
	char why[160];

	OBJ_CHECK(l, LINK_MAGIC);
	if (l->ac != ac)
		return;
	snprintf(why, sizeof(why), "the connection to Redis was lost: %.100s",
		 status == REDIS_OK || ac->errstr == NULL ? "closed" : ac->errstr);
	went_down(l, why);
}

static void is_up(struct link *l)
{
	l->state = LINK_UP;
	l->up_ms = clock_mono_ms();
	metric_add(M_STORE_RECONNECTS, 1);
	l->env.up(l->env.arg);
}

static void on_named(void *arg, const redisReply *reply)
{
	struct link *l = arg;

	/* Where an ACL forbids CLIENT SETNAME the name is missed, nothing else. */
	if (reply != NULL && l->ac != NULL && l->state == LINK_GREETING)
		is_up(l);
}

static void on_authenticated(void *arg, const redisReply *reply)
{
	struct link *l = arg;
	char why[256];

	if (reply == NULL || l->ac == NULL || reply->type != REDIS_REPLY_ERROR)
		return;
	snprintf(why, sizeof(why),
		 "Redis refuses redis.user or the password in redis.password_file: %.160s",
		 reply->str);
	link_drop(l, why);
}

/* The password without the line end, at most room bytes; its length, or a negative errno. */
static ssize_t read_password(const char *path, char *out, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, room);
	if (n < 0)
		n = -errno;
	close(fd);
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r'))
		n--;
	return n;
}

/* Read at each connect, so that a password can be changed without a restart. */
static int send_auth(struct link *l, struct strbuf *cmd)
{
	char password[PASSWORD_MAX];
	ssize_t n = 0;
	int rc;

	if (l->conf->redis_password_file[0] != '\0')
		n = read_password(l->conf->redis_password_file, password, sizeof(password));
	if (n < 0)
		return (int)n;
	resp_array(cmd, l->conf->redis_user[0] != '\0' ? 3 : 2);
	resp_bulk(cmd, SLICE("AUTH"));
	if (l->conf->redis_user[0] != '\0')
		resp_bulk(cmd, slice_str(l->conf->redis_user));
	resp_bulk(cmd, slice_make(password, (size_t)n));
	rc = strbuf_ok(cmd) ? send_command(l, strbuf_slice(cmd), on_authenticated, l) : -ENOMEM;
	explicit_bzero(password, sizeof(password));
	if (cmd->p != NULL)
		explicit_bzero(cmd->p, cmd->n);
	return rc;
}

static void greet(struct link *l)
{
	struct strbuf cmd;
	char text[300];
	int rc = 0;

	strbuf_init(&cmd, COMMAND_CAP);
	l->state = LINK_GREETING;
	if (l->conf->redis_user[0] != '\0' || l->conf->redis_password_file[0] != '\0')
		rc = send_auth(l, &cmd);
	if (rc == 0) {
		strbuf_reset(&cmd);
		snprintf(text, sizeof(text), "CLIENT SETNAME statweir-%ld", (long)getpid());
		resp_words(&cmd, text);
		rc = strbuf_ok(&cmd) ? send_command(l, strbuf_slice(&cmd), on_named, l) : -ENOMEM;
	}
	strbuf_fini(&cmd);
	if (rc == 0)
		return;
	snprintf(l->must_drop, sizeof(l->must_drop), "redis.password_file %.80s: %s",
		 l->conf->redis_password_file, strerror(-rc));
}

static void on_connect(const redisAsyncContext *ac, int status)
{
	struct link *l = ac->data;
	char why[400];

	OBJ_CHECK(l, LINK_MAGIC);
	if (l->ac != ac)
		return;
	if (status == REDIS_OK) {
		greet(l);
		return;
	}
	snprintf(why, sizeof(why), "cannot connect to Redis at %.200s: %.100s", l->host,
		 ac->c.errstr[0] != '\0' ? ac->c.errstr : "refused");
	went_down(l, why);
}

static void connect_now(struct link *l)
{
	redisAsyncContext *ac;
	char why[400];

	ac = l->port == 0 ? redisAsyncConnectUnix(l->host) : redisAsyncConnect(l->host, l->port);
	l->began_ms = clock_mono_ms();
	l->state = LINK_CONNECTING;
	if (ac == NULL || ac->err != 0 || adapter_attach(ac, l->base) < 0) {
		snprintf(why, sizeof(why), "cannot connect to Redis at %.200s: %.100s", l->host,
			 ac != NULL && ac->errstr != NULL ? ac->errstr : "no memory");
		if (ac != NULL)
			redisAsyncFree(ac);
		went_down(l, why);
		return;
	}
	fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC);
	ac->data = l;
	l->ac = ac;
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
	redisAsyncSetConnectCallback(ac, on_connect);
}

void link_tick(struct link *l)
{
	const struct link_call *c = TAILQ_FIRST(&l->calls);
	int64_t now = clock_mono_ms();
	char why[160];

	if (l->state == LINK_WAITING) {
		if (now >= l->next_try_ms)
			connect_now(l);
		return;
	}
	if (l->must_drop[0] != '\0') {
		memcpy(why, l->must_drop, sizeof(why));
		link_drop(l, why);
		return;
	}
	if (l->state != LINK_UP) {
		if (now - l->began_ms < l->conf->redis_connect_ms)
			return;
		snprintf(why, sizeof(why),
			 "Redis did not answer a new connection within %" PRId64
			 " ms (redis.connect_timeout)",
			 l->conf->redis_connect_ms);
		link_drop(l, why);
		return;
	}
	if (c == NULL || now - c->sent_ms < l->conf->redis_call_ms)
		return;
	snprintf(why, sizeof(why),
		 "Redis did not answer within %" PRId64 " ms (redis.call_timeout)",
		 l->conf->redis_call_ms);
	link_drop(l, why);
}

static int find_address(struct link *l)
{
	const char *server = l->conf->redis_server;
	int n;

	if (strcmp(server, "embedded") != 0 && strncmp(server, "unix:", 5) != 0)
		return conf_parse_address(server, l->host, &l->port);
	if (strcmp(server, "embedded") == 0) {
		embedded_socket_path(l->conf, l->host, sizeof(l->host));
	} else {
		n = snprintf(l->host, sizeof(l->host), "%s", server + 5);
		if (n < 0 || (size_t)n >= sizeof(l->host))
			return -EINVAL;
	}
	if (l->host[0] == '\0' || strlen(l->host) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -EINVAL;
	return 0;
}

int link_open(struct link **out, struct event_base *base, const struct conf *conf,
	      const struct link_env *env)
{
	struct link *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->magic = LINK_MAGIC;
	l->base = base;
	l->conf = conf;
	l->env = *env;
	l->backoff_ms = BACKOFF_MIN_MS;
	TAILQ_INIT(&l->calls);
	TAILQ_INIT(&l->spare);
	rc = find_address(l);
	if (rc < 0) {
		free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void link_close(struct link *l)
{
	struct link_call *c;

	OBJ_CHECK(l, LINK_MAGIC);
	l->is_closing = true;
	link_drop(l, "closed");
	CHECK(TAILQ_EMPTY(&l->calls));
	while ((c = TAILQ_FIRST(&l->spare)) != NULL) {
		TAILQ_REMOVE(&l->spare, c, entry);
		free(c);
	}
	l->magic = 0;
	free(l);
}
