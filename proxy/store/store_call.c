#include "proxy/base/clock.h"
#include "proxy/base/metrics.h"
#include "proxy/store/resp.h"
#include "proxy/store/rollup.h"
#include "proxy/store/store_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CALL_CAP	 ((size_t)64 << 20)
#define SPARE_CALLS	 128
#define RESERVED_CALLS	 64 /* of them; see call_new_reserved() */
#define SPARE_CALL_BYTES ((size_t)256 << 10)
#define MAX_SENT	 2

static struct call *new_block(void)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c != NULL)
		strbuf_init(&c->cmd, CALL_CAP);
	return c;
}

/* The one used last, unless no more than so many are left. */
static struct call *take_spare(struct store *s, unsigned n_left)
{
	struct call *c = STAILQ_FIRST(&s->spare);

	if (s->n_spare <= n_left)
		return NULL;
	STAILQ_REMOVE_HEAD(&s->spare, entry);
	s->n_spare--;
	strbuf_reset(&c->cmd);
	return c;
}

static struct call *begin(struct store *s, struct call *c, call_finish_fn *finish)
{
	if (c == NULL)
		return NULL;
	c->s = s;
	c->finish = finish;
	c->n_sent = c->n_records = c->n_counted = 0;
	STAILQ_INIT(&c->records);
	c->done = NULL;
	c->arg = NULL;
	return c;
}

struct call *call_new(struct store *s, call_finish_fn *finish)
{
	struct call *c = take_spare(s, RESERVED_CALLS);

	return begin(s, c != NULL ? c : new_block(), finish);
}

struct call *call_new_reserved(struct store *s, call_finish_fn *finish)
{
	struct call *c = call_new(s, finish);

	return c != NULL ? c : begin(s, take_spare(s, 0), finish);
}

int store_calls_init(struct store *s)
{
	struct call *c;

	while (s->n_spare < RESERVED_CALLS) {
		c = new_block();
		if (c == NULL)
			return -ENOMEM;
		STAILQ_INSERT_HEAD(&s->spare, c, entry);
		s->n_spare++;
	}
	return 0;
}

void call_free(struct call *c)
{
	struct store *s = c->s;

	if (s->n_spare >= SPARE_CALLS || c->cmd.room > SPARE_CALL_BYTES) {
		strbuf_fini(&c->cmd);
		free(c);
		return;
	}
	STAILQ_INSERT_HEAD(&s->spare, c, entry);
	s->n_spare++;
}

void store_calls_fini(struct store *s)
{
	struct call *c;

	while ((c = STAILQ_FIRST(&s->spare)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->spare, entry);
		strbuf_fini(&c->cmd);
		free(c);
	}
}

void call_begin(struct call *c, const char *function, const struct shard *shard, size_t n_args)
{
	resp_array(&c->cmd, 4 + n_args);
	resp_bulk(&c->cmd, SLICE("FCALL"));
	resp_bulk3(&c->cmd, SLICE(ROLLUP_LIBRARY), SLICE("_"), slice_str(function));
	resp_bulk(&c->cmd, SLICE("1"));
	resp_bulk(&c->cmd, strbuf_slice(&shard->key));
}

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/*
 * What Redis says before a function starts. An error of a command inside a function
 * carries the same words but names the script: by then part of it is done.
 */
bool store_error_is_refusal(const char *error)
{
	static const char *const words[] = {
		"LOADING ",
		"READONLY ",
		"MISCONF ",
		"OOM ",
		"BUSY ",
		"NOREPLICAS ",
		"MOVED ",
		"ASK ",
		"TRYAGAIN",
		"CLUSTERDOWN ",
		"MASTERDOWN ",
		"NOAUTH ",
		"NOPERM ",
		"FENCED ",
		"ERR unknown command",
		"ERR Function not found",
	};

	if (strstr(error, " script: " ROLLUP_LIBRARY) != NULL)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (starts_with(error, words[i]))
			return true;
	return false;
}

void store_explain(const char *error, char *out, size_t room)
{
	static const struct {
		const char *word, *text;
	} known[] = {
		{"LOADING ", "Redis is loading its data"},
		{"READONLY ", "Redis is a read-only replica: point redis.server to the master"},
		{"MISCONF ", "Redis cannot write to its disk: look at its log and free space"},
		{"OOM ", "Redis has reached maxmemory: raise it"},
		{"BUSY ", "Redis is busy with a long script"},
		{"NOREPLICAS ", "Redis has fewer replicas than min-replicas-to-write"},
		{"MOVED ", "Redis is a cluster, which this version does not support"},
		{"CLUSTERDOWN ", "the Redis cluster is down"},
		{"NOAUTH ", "Redis wants a password: set redis.password_file"},
		{"NOPERM ", "the ACL of redis.user forbids a command or the keys"},
		{"ERR unknown command", "Redis is older than 7.0 and has no functions"},
		{"ERR Function not found", "Redis does not keep the function library"},
	};
	char safe[120];

	/* Redis quotes arguments in some errors: not as they are into a log. */
	snprintf(safe, sizeof(safe), "%s", error);
	for (char *p = safe; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e || *p == '"')
			*p = '?';
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!starts_with(error, known[i].word))
			continue;
		snprintf(out, room, "%s (%s)", known[i].text, safe);
		return;
	}
	snprintf(out, room, "Redis answered: %s", safe);
}

static void on_library(void *arg, const redisReply *reply)
{
	struct store *s = arg;
	char why[STORE_WHY_BYTES];

	s->is_library_sent = false;
	if (reply == NULL || reply->type != REDIS_REPLY_ERROR ||
	    strstr(reply->str, "already exists") != NULL)
		return;
	store_explain(reply->str, why, sizeof(why));
	log_limited(&s->log_errors, 3, LOG_ERROR, "redis_function_load", "error=\"%s\"", why);
}

/* Answers come in order: calls sent after the library find it. */
int store_send_library(struct store *s)
{
	struct strbuf cmd;
	int rc;

	if (s->is_library_sent)
		return 0;
	strbuf_init(&cmd, 65536);
	resp_array(&cmd, 3);
	resp_bulk(&cmd, SLICE("FUNCTION"));
	resp_bulk(&cmd, SLICE("LOAD"));
	resp_bulk(&cmd, slice_str(rollup_lua));
	rc = strbuf_ok(&cmd) ? link_send(s->link, strbuf_slice(&cmd), on_library, s) : -ENOMEM;
	strbuf_fini(&cmd);
	s->is_library_sent = rc == 0;
	return rc;
}

static void on_call_reply(void *arg, const redisReply *reply);

static int send_now(struct call *c)
{
	int rc = c->s->is_closing ? -ENOTCONN : strbuf_ok(&c->cmd) ? 0 : -ENOMEM;

	if (rc == 0)
		rc = link_send(c->s->link, strbuf_slice(&c->cmd), on_call_reply, c);
	if (rc == 0) {
		c->n_sent++;
		metric_add(M_STORE_CALLS, 1);
	}
	return rc;
}

void call_send(struct call *c)
{
	if (send_now(c) == 0)
		return;
	STAILQ_INSERT_TAIL(&c->s->dead, c, entry);
	store_kick(c->s);
}

static void finish(struct call *c, enum store_rc rc, const redisReply *reply)
{
	if (rc != STORE_OK)
		metric_add(M_STORE_ERRORS, 1);
	c->finish(c, rc, reply);
}

static void on_call_error(struct call *c, const char *error)
{
	struct store *s = c->s;
	bool is_refusal = store_error_is_refusal(error);
	/* Between flushers: Redis is well. */
	bool is_fenced = starts_with(error, "FENCED ");

	if (starts_with(error, "ERR Function not found") && c->n_sent < MAX_SENT &&
	    store_send_library(s) == 0 && send_now(c) == 0)
		return;
	if (!is_fenced)
		store_check_refused(s, error);
	finish(c, is_fenced ? STORE_FENCED : is_refusal ? STORE_REFUSED : STORE_UNKNOWN, NULL);
}

static void on_call_reply(void *arg, const redisReply *reply)
{
	struct call *c = arg;

	if (reply == NULL)
		finish(c, STORE_UNKNOWN, NULL);
	else if (reply->type == REDIS_REPLY_ERROR)
		on_call_error(c, reply->str);
	else
		finish(c, STORE_OK, reply);
}
