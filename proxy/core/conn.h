/*
 * A client connection: reads requests one after the other, owns at most one exchange.
 *
 *	FRESH --> BUSY --> FLUSH --> LINGER --> DEAD (freed at the end of the turn)
 *	           ^ \--> IDLE
 *	            \_____/
 *
 * state = list it is on; conn_set_state() is the only door.
 */
#ifndef STATWEIR_CORE_CONN_H
#define STATWEIR_CORE_CONN_H

#include "proxy/core/worker.h"
#include "proxy/io/stream.h"

enum conn_state {
	CONN_FRESH, /* no byte of a request yet */
	CONN_IDLE,
	CONN_BUSY,
	CONN_FLUSH,
	CONN_LINGER,
	CONN_DEAD,
	CONN_STATES
};

struct conn {
	unsigned magic;
	enum conn_state state;
	struct worker *w;
	struct stream s;
	TAILQ_ENTRY(conn) link;
	struct exchange *x;	 /* the request being served; NULL between requests */
	struct upconn *pinned;	 /* upstream connection that belongs to this client (W11) */
	struct addr_count *addr; /* connections of the same address; NULL for trusted peers */
	int64_t since_ms;	 /* in this state */
	uint64_t lingered;	 /* bytes thrown away in LINGER */
	unsigned n_requests;
	uint64_t network; /* keyed hash of the client's network, for the throttle */
	bool is_trusted;
	bool is_bound;	  /* connection-bound logon was seen: nothing is absorbed any more */
	bool is_running;  /* conn_run() is on the stack */
	bool must_linger; /* the request was not read to its end */
	char peer[ADDRESS_TEXT];
};

/* Take over an accepted socket (closes it when a limit is reached). */
void conn_accept(struct worker *w, int fd, const struct address *from);

/* Serve what is in the input buffer. */
void conn_run(struct conn *c);

/*
 * The exchange has ended: next request, or close after what waits has been written. Why it
 * ended has been counted with it.
 */
void conn_exchange_ended(struct conn *c, bool keep_alive);

/* Close at once, aborting the exchange. */
void conn_kill(struct conn *c, enum reason why);
/* The same with a reset: the client must not take a cut message for a whole one. */
void conn_reset(struct conn *c, enum reason why);

/* Send bytes; a connection that fails is killed. true while it lives. */
bool conn_send(struct conn *c, const struct slice *v, unsigned n);

/* Between requests on a bound connection: uc waits for the client, and dies with it. */
void conn_pin(struct conn *c, struct upconn *uc);

void conn_tick(struct worker *w);
void conn_bury(struct worker *w);
/* Close idle connections of a draining worker. */
void conn_close_idle(struct worker *w, enum reason why);
/* Forget the per-address counts (at exit). */
void conn_fini(struct worker *w);

#endif
