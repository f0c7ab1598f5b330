#include "proxy/store/link.h"

#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/store/embedded.h"
#include "proxy/store/resp.h"
#include "proxy/store/wire.h"

#include <errno.h>
#include <fcntl.h>
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
	link_reply_fn *reply;
	void *arg;
	int64_t sent_ms;
};
TAILQ_HEAD(link_calls, link_call);

struct link {
	unsigned magic;
	const struct conf *conf;
	struct link_env env;
	char host[256]; /* or the socket's path */
	uint16_t port;	/* 0: Unix socket */
	enum link_state state;
	struct wire wire; /* closed in LINK_WAITING */
	struct link_calls calls, spare;
	unsigned n_spare;
	int64_t began_ms; /* to connect */
	int64_t up_ms;	  /* 0: this connection was never up */
	int64_t next_try_ms, backoff_ms;
	bool is_closing;
	bool is_answering; /* a callback runs: others have to wait for its end */
	struct log_limit log_down;
};

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

static void answer(struct link *l, struct link_call *c, const redisReply *reply)
{
	link_reply_fn *fn = c->reply;
	void *arg = c->arg;

	TAILQ_REMOVE(&l->calls, c, entry);
	call_put(l, c);
	fn(arg, reply);
}

/* Nothing can be sent any more, also not by what is answered now. */
static void answer_lost(struct link *l)
{
	CHECK(l->state == LINK_WAITING);
	while (!TAILQ_EMPTY(&l->calls))
		answer(l, TAILQ_FIRST(&l->calls), NULL);
}

static int send_command(struct link *l, struct slice command, link_reply_fn *reply, void *arg)
{
	struct link_call *c = call_new(l);

	if (c == NULL)
		return -ENOMEM;
	*c = (struct link_call){.reply = reply, .arg = arg, .sent_ms = clock_mono_ms()};
	if (wire_put(&l->wire, command) < 0) {
		call_put(l, c);
		return -ENOMEM;
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

/* The connection is gone: wait, then try again. */
static void went_down(struct link *l, const char *why)
{
	if (l->up_ms != 0 && clock_mono_ms() - l->up_ms >= LONG_ENOUGH_MS)
		l->backoff_ms = BACKOFF_MIN_MS;
	l->up_ms = 0;
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
	if (!wire_is_open(&l->wire))
		return;
	wire_close(&l->wire);
	l->state = LINK_WAITING;
	/* From inside an answer the others follow when it has returned. */
	if (!l->is_answering)
		answer_lost(l);
	went_down(l, why);
}

static void on_lost(void *arg, const char *error)
{
	struct link *l = arg;
	bool was_connected = l->state != LINK_CONNECTING;
	char why[400];

	OBJ_CHECK(l, LINK_MAGIC);
	if (was_connected)
		snprintf(why, sizeof(why), "the connection to Redis was lost: %.100s", error);
	else
		snprintf(why, sizeof(why), "cannot connect to Redis at %.200s: %.100s", l->host,
			 error);
	l->state = LINK_WAITING;
	answer_lost(l);
	went_down(l, why);
}

static void on_answer(void *arg, const redisReply *reply)
{
	struct link *l = arg;
	struct link_call *c = TAILQ_FIRST(&l->calls);
	char why[160];

	OBJ_CHECK(l, LINK_MAGIC);
	if (c == NULL) {
		/* It refuses a connection too many this way. */
		snprintf(why, sizeof(why), "Redis said something nobody asked for: %.100s",
			 reply->type == REDIS_REPLY_ERROR ? reply->str : "no error");
		link_drop(l, why);
		return;
	}
	l->is_answering = true;
	answer(l, c, reply);
	l->is_answering = false;
	if (!wire_is_open(&l->wire))
		answer_lost(l);
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
	if (reply != NULL && l->state == LINK_GREETING)
		is_up(l);
}

static void on_authenticated(void *arg, const redisReply *reply)
{
	struct link *l = arg;
	char why[256];

	if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
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

static void on_connected(void *arg)
{
	struct link *l = arg;
	struct strbuf cmd;
	char text[300];
	int rc = 0;

	OBJ_CHECK(l, LINK_MAGIC);
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
	if (rc == -ENOMEM)
		snprintf(text, sizeof(text), "out of memory");
	else
		snprintf(text, sizeof(text), "redis.password_file %.80s: %s",
			 l->conf->redis_password_file, strerror(-rc));
	link_drop(l, text);
}

static void connect_now(struct link *l)
{
	char error[100], why[400];

	l->began_ms = clock_mono_ms();
	if (wire_open(&l->wire, l->host, l->port, error, sizeof(error))) {
		l->state = LINK_CONNECTING;
		return;
	}
	snprintf(why, sizeof(why), "cannot connect to Redis at %.200s: %.100s", l->host, error);
	went_down(l, why);
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
	struct wire_env wire_env;
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->magic = LINK_MAGIC;
	wire_env = (struct wire_env){
		.arg = l,
		.connected = on_connected,
		.answered = on_answer,
		.lost = on_lost,
	};
	wire_init(&l->wire, base, &wire_env);
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

void link_poll(struct link *l)
{
	wire_poll(&l->wire);
}
