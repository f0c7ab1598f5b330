/*
 * One connection to Redis that comes back by itself: connect, greet (AUTH, CLIENT
 * SETNAME), calls with a deadline, and after any fault a new try with back-off. A call
 * that is answered too late condemns the connection, because its answer could no longer
 * be told from the next one's.
 */
#ifndef STATWEIR_STORE_LINK_H
#define STATWEIR_STORE_LINK_H

#include "proxy/base/check.h"
#include "proxy/base/conf.h"
#include "proxy/base/slice.h"

struct event_base;
struct link;
struct redisReply;

/*
 * The answer, valid until this returns; NULL: the connection was lost, nobody knows
 * what became of the call. Runs exactly once for each link_send() that returned 0, in
 * the order of sending, never from inside link_send().
 */
typedef void link_reply_fn(void *arg, const struct redisReply *reply);

struct link_env {
	void *arg;
	/* Connected and greeted: calls may be sent, also from inside. */
	void (*up)(void *arg);
	/* Gone, or a try has failed. why is for an operator. Calls under way get NULL. */
	void (*down)(void *arg, const char *why);
};

/*
 * Reads conf's redis section (borrowed); env is copied. Starts to connect at the first
 * tick. 0, -EINVAL (redis.server is no address, the socket's path is too long) or -ENOMEM.
 */
int link_open(struct link **out, struct event_base *base, const struct conf *conf,
	      const struct link_env *env) MUSTUSE;
/* Answers calls under way with NULL. Not from inside a callback; down() does not run. */
void link_close(struct link *l);

bool link_is_up(const struct link *l);

/*
 * Send a whole command in Redis's own format (copied). Commands of one turn leave in one
 * write. 0, or -ENOTCONN or -ENOMEM: reply() will not run.
 */
int link_send(struct link *l, struct slice command, link_reply_fn *reply, void *arg) MUSTUSE;

/* Give the connection up and try again. why is for an operator. */
void link_drop(struct link *l, const char *why);

/* Every 100 ms: deadlines, reconnects. */
void link_tick(struct link *l);

/* Send and receive what can be without waiting; reply functions run. */
void link_poll(struct link *l);

#endif
