/*
 * The socket under a link: commands gather and leave in one write a turn, answers come out
 * of hiredis's reader. hiredis's own connections are not used: 0.14 ends the process where
 * it gets no memory for a callback, a command or a context.
 */
#ifndef STATWEIR_STORE_WIRE_H
#define STATWEIR_STORE_WIRE_H

#include "proxy/base/check.h"
#include "proxy/base/strbuf.h"

#include <event2/event.h>
#include <event2/event_struct.h>

struct redisReader;
struct redisReply;

struct wire_env {
	void *arg;
	/* Connected: may send, also from inside. */
	void (*connected)(void *arg);
	/* The next answer; valid until this returns. */
	void (*answered)(void *arg, const struct redisReply *reply);
	/* Closed already. why is for an operator, and ends with this call. */
	void (*lost)(void *arg, const char *why);
};

struct wire {
	struct event_base *base;
	struct wire_env env;
	int fd; /* -1: closed */
	bool is_connected;
	bool is_write_asked;
	bool must_wait; /* for the socket to take bytes: it was full, or is connecting */
	struct event on_read, on_write;
	struct strbuf out;
	size_t sent; /* of out */
	struct redisReader *reader;
	size_t longest; /* that the reader's buffer ever was */
};

void wire_init(struct wire *w, struct event_base *base, const struct wire_env *env);

/*
 * Begin to connect: to the Unix socket at host where port is 0. The name is resolved now.
 * True, and connected() or lost() will follow; else what went wrong is in why.
 */
bool wire_open(struct wire *w, const char *host, uint16_t port, char *why, size_t room) MUSTUSE;
/* Harmless when closed. Also from inside a callback; no other follows. */
void wire_close(struct wire *w);

static inline bool wire_is_open(const struct wire *w)
{
	return w->fd >= 0;
}

/* Queue a whole command (copied). 0, or -ENOMEM: nothing of it is sent. */
int wire_put(struct wire *w, struct slice command) MUSTUSE;

/* Write what is queued and read what is there, without waiting; answered() and lost() run. */
void wire_poll(struct wire *w);

#endif
