/*
 * Connections to the management point: a pool with a limit, idle ones reused last in
 * first out, a bounded queue of those who wait.
 *
 *	CONNECTING --> BUSY <--> IDLE
 *	     \___________\_________\____--> closed (freed at the end of the turn)
 *
 * A connection on which somebody has logged on (docs/HTTP.md W11) is never put back:
 * its owner keeps it until it closes.
 */
#ifndef STATWEIR_IO_UPSTREAM_H
#define STATWEIR_IO_UPSTREAM_H

#include "proxy/base/conf.h"
#include "proxy/http/reason.h"
#include "proxy/io/address.h"
#include "proxy/io/stream.h"

#include <sys/queue.h>

struct upconn;
struct upstream;

/* One waiter is in the queue at most once; it is the caller's memory. */
struct up_waiter {
	TAILQ_ENTRY(up_waiter) link;
	int64_t deadline_ms;
	bool is_queued;
	/*
	 * Runs once, never from inside upstream_wait(): uc is the caller's (BUSY), or NULL
	 * and the reason.
	 */
	void (*ready)(struct up_waiter *w, struct upconn *uc, enum reason why);
};

enum upconn_state {
	UPCONN_CONNECTING,
	UPCONN_IDLE,
	UPCONN_BUSY,
	UPCONN_DEAD
};

struct upconn {
	unsigned magic;
	enum upconn_state state;
	struct upstream *u;
	struct stream s;
	TAILQ_ENTRY(upconn) link;
	int64_t since_ms;  /* in this state */
	int connect_error; /* connect() failed at once: told when the event comes */
	uint64_t served;   /* responses read whole */
	/* The owner's while BUSY. */
	stream_fn *readable, *writable;
	void *owner;
};

/* conf is borrowed. 0, -EINVAL or -ENOENT (upstream address), -ENOMEM. */
int upstream_open(struct upstream **out, struct event_base *base, const struct conf *conf) MUSTUSE;
/* Closes every connection; waiters are forgotten. */
void upstream_close(struct upstream *u);
/* The address of the management point as in the configuration. */
const char *upstream_name(const struct upstream *u);

/* An idle connection, now the caller's, or NULL: wait. */
struct upconn *upstream_take(struct upstream *u);
/* Queue for a connection; one is opened if the limit allows. 0 or -EAGAIN (queue full). */
int upstream_wait(struct upstream *u, struct up_waiter *w) MUSTUSE;
void upstream_cancel(struct upstream *u, struct up_waiter *w);

/* Who hears of events on a busy connection. */
void upconn_own(struct upconn *uc, void *owner, stream_fn *readable, stream_fn *writable);
/*
 * Has the peer been silent since its last response? Bytes or an end that the event loop has
 * not told of yet would be taken for the answer to the next request (R7), or cost it a 502.
 */
bool upconn_is_quiet(const struct upconn *uc);
/* The response was read whole, nothing is left over: others may use it. */
void upconn_put_back(struct upconn *uc);
/* Close it: any fault, a message cut short, a peer that wants it closed. */
void upconn_drop(struct upconn *uc);

/* Every 100 ms: deadlines of connects, idle ones and waiters. */
void upstream_tick(struct upstream *u);
/* End of a turn: free what was dropped. */
void upstream_bury(struct upstream *u);
/* Has the last attempt to connect worked (or was there none yet)? */
bool upstream_is_up(const struct upstream *u);

#endif
