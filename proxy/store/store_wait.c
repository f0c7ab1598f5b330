#include "proxy/store/store_wait.h"

#include "proxy/base/metrics.h"
#include "proxy/store/resp.h"
#include "proxy/store/store_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

void store_wait_init(struct store_wait *w)
{
	STAILQ_INIT(&w->list);
}

bool store_wait_is_on(const struct store *s)
{
	return s->conf->redis_wait > 0 && s->conf->durability == DURABLE_REDIS;
}

void store_wait_keep(struct store *s, struct call *c, int64_t n_new)
{
	s->wait.n_new += n_new;
	s->wait.n_counted += c->n_counted;
	STAILQ_CONCAT(&s->wait.list, &c->records);
}

/* All that wait are answered; done() may add again, which is another round's. */
static void answer_all(struct store *s, enum store_rc rc)
{
	struct record_list list = STAILQ_HEAD_INITIALIZER(list);
	int64_t n_new = s->wait.n_new, n_counted = s->wait.n_counted;

	STAILQ_CONCAT(&list, &s->wait.list);
	s->wait.n_new = s->wait.n_counted = 0;
	store_answer_round(s, &list, rc, n_new, n_counted);
}

static void on_mark(void *arg, const redisReply *reply)
{
	struct store *s = arg;

	s->wait.is_marked = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
}

bool store_wait_is_enough(const struct store *s, const redisReply *reply, char *why, size_t room)
{
	long long n = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;

	if (!s->wait.is_marked)
		snprintf(why, room,
			 "Redis did not take the change that replicas are to confirm (redis.wait)");
	else if (n < s->conf->redis_wait)
		snprintf(why, room,
			 "%lld of %" PRId64 " replicas (redis.wait) answered within %" PRId64
			 " ms (redis.wait_timeout): bring them back, or lower redis.wait",
			 n, s->conf->redis_wait, s->conf->redis_wait_timeout_ms);
	return s->wait.is_marked && n >= s->conf->redis_wait;
}

/* Too few are not a refusal: Redis has the records, and a replica may have them. */
static bool has_enough(struct store *s, const redisReply *reply)
{
	char why[STORE_WHY_BYTES];

	if (reply == NULL)
		return false; /* the lost connection is said already */
	if (reply->type == REDIS_REPLY_ERROR) {
		store_check_refused(s, reply->str);
		return false;
	}
	if (store_wait_is_enough(s, reply, why, sizeof(why)))
		return true;
	store_check_unfit(s, why);
	return false;
}

static void on_wait(void *arg, const redisReply *reply)
{
	struct store *s = arg;
	bool is_enough = has_enough(s, reply);

	s->wait.is_under_way = false;
	store_call_ended(s);
	if (!is_enough)
		metric_add(M_STORE_ERRORS, 1);
	if (s->n_round == 0 && s->n_queued > 0)
		store_kick(s);
	answer_all(s, is_enough ? STORE_OK : STORE_UNKNOWN);
}

/*
 * WAIT asks for the last change made over this connection. Records that are all known already
 * change nothing, and who made them known may have been another statweir, whose replicas
 * never confirmed: hence a change of our own, which comes after theirs in the stream.
 */
int store_wait_ask(struct store *s, link_reply_fn *reply)
{
	struct strbuf cmd;
	char text[128];
	int rc;

	strbuf_init(&cmd, 1024);
	snprintf(text, sizeof(text), "HINCRBY %s:meta waits 1", s->conf->redis_prefix);
	resp_words(&cmd, text);
	rc = strbuf_ok(&cmd) ? link_send(s->link, strbuf_slice(&cmd), on_mark, s) : -ENOMEM;
	strbuf_reset(&cmd);
	snprintf(text, sizeof(text), "WAIT %" PRId64 " %" PRId64, s->conf->redis_wait,
		 s->conf->redis_wait_timeout_ms);
	resp_words(&cmd, text);
	if (rc == 0)
		rc = strbuf_ok(&cmd) ? link_send(s->link, strbuf_slice(&cmd), reply, s) : -ENOMEM;
	strbuf_fini(&cmd);
	return rc;
}

void store_wait_begin(struct store *s)
{
	if (!store_wait_is_on(s) || s->wait.is_under_way || s->is_closing)
		return;
	if (store_wait_ask(s, on_wait) < 0)
		return; /* store_wait_go_on() tries again */
	s->wait.is_under_way = true;
	s->n_round++;
}

void store_wait_go_on(struct store *s)
{
	if (s->n_round > 0 || STAILQ_EMPTY(&s->wait.list))
		return;
	store_wait_begin(s);
	if (!s->wait.is_under_way)
		answer_all(s, STORE_UNKNOWN);
}
