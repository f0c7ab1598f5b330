/*
 * The throttle: at which pace requests go to the management point. It stands between
 * "forward it" and taking an upstream connection, and knows neither sockets nor a clock:
 * the caller passes the time in (microseconds, monotonic). docs/THROTTLE.md explains the
 * decisions.
 *
 *	submit --> GO -------------------------> done
 *	   |---> HELD --> go() from tick, done --^
 *	   |       |----> refuse() from tick, done
 *	   |       \----> cancel
 *	   \---> REFUSED
 *
 * One for each worker, which takes its share (1 / workers) of every limit.
 */
#ifndef STATWEIR_CORE_THROTTLE_H
#define STATWEIR_CORE_THROTTLE_H

#include "proxy/base/conf.h"
#include "proxy/base/slice.h"

#include <sys/queue.h>

struct throttle;

enum throttle_mode {
	THROTTLE_AUTO,
	THROTTLE_FIXED,
	THROTTLE_OFF
};

enum throttle_class {
	THROTTLE_STATUS,
	THROTTLE_STATE,
	THROTTLE_INVENTORY, /* and other messages */
	THROTTLE_POLICY,    /* and location */
	THROTTLE_BITS,
	THROTTLE_HEALTH,
	THROTTLE_OTHER,
	THROTTLE_N_CLASSES
};
const char *throttle_class_name(enum throttle_class c);

/*
 * The class of a request. target is path and query (or an absolute URI); endpoint is the
 * envelope's TargetEndpoint, empty if the body was not read. Case is ignored.
 */
enum throttle_class throttle_classify(struct slice method, struct slice target,
				      struct slice endpoint);

enum throttle_rc {
	THROTTLE_GO,
	THROTTLE_HELD,
	THROTTLE_REFUSED
};

enum throttle_outcome {
	THROTTLE_OK,	      /* any answer but those below */
	THROTTLE_ERROR,	      /* reset, 502, 503, 504 */
	THROTTLE_TIMEOUT,     /* no answer in time */
	THROTTLE_UNREACHABLE, /* no connection: it says nothing about what it could take */
	THROTTLE_ABORTED      /* the client has gone; says nothing about the management point */
};

enum throttle_item_state {
	THROTTLE_ITEM_IDLE,
	THROTTLE_ITEM_HELD,
	THROTTLE_ITEM_LEAVING, /* pushed out of the queue: refuse() is due */
	THROTTLE_ITEM_GONE     /* under way: throttle_done() is due */
};

/*
 * One request; the caller's memory, zeroed before its first use, and not moved while it is
 * held or under way.
 */
struct throttle_item {
	/* Set by the caller before throttle_submit(). */
	enum throttle_class cls;
	uint64_t client;  /* keyed hash of the client's ID or address */
	uint64_t network; /* keyed hash of its network; 0: none */
	size_t bytes;	  /* that it keeps in memory while it is held */

	/* The throttle's. */
	enum throttle_item_state state;
	bool is_shadow;
	bool is_counted;  /* among those under way that the limits know of */
	int64_t since_us; /* held or under way since */
	struct shadow *shadow;
	TAILQ_ENTRY(throttle_item) link;     /* of its client, or among those that leave */
	TAILQ_ENTRY(throttle_item) age_link; /* of its class, oldest first */
};

struct throttle_change {
	enum {
		THROTTLE_CONCURRENCY,
		THROTTLE_RATE,	     /* of all paced classes; 0: none but the ceiling */
		THROTTLE_STATUS_RATE /* because of STAT.BOX; 0: none */
	} what;
	double from, to;
	const char *reason; /* for a person, with both values */
};

/*
 * Run from throttle_tick(), throttle_done(), throttle_drain() and throttle_set_conf() only;
 * they may call back.
 */
struct throttle_calls {
	/* A held item is under way now; throttle_done() is owed. */
	void (*go)(void *arg, struct throttle_item *item, int64_t now_us);
	/* A held item is the caller's again: answer 503 with Retry-After. */
	void (*refuse)(void *arg, struct throttle_item *item, unsigned retry_after_s,
		       int64_t now_us);
	/* A limit has changed; also from throttle_report_files(). May be NULL. */
	void (*change)(void *arg, const struct throttle_change *change);
	void *arg;
};

/* conf is read, not kept. 0 or -ENOMEM. */
int throttle_new(struct throttle **out, const struct conf *conf,
		 const struct throttle_calls *calls) MUSTUSE;
/* Held items are forgotten; the caller must cancel them before if it cares. */
void throttle_free(struct throttle *t);
/* Other settings; what was learned stays. 0, or -ENOMEM (nothing has changed). */
int throttle_set_conf(struct throttle *t, const struct conf *conf, int64_t now_us) MUSTUSE;

/* May item go? REFUSED: *retry_after_s is set and nothing of item is kept. */
enum throttle_rc throttle_submit(struct throttle *t, struct throttle_item *item, int64_t now_us,
				 unsigned *retry_after_s) MUSTUSE;
/*
 * An item that was under way has ended. latency_us: from the whole request sent to the
 * first byte of the answer, so that a slow client is not taken for a slow management point;
 * 0: not known.
 */
void throttle_done(struct throttle *t, struct throttle_item *item, int64_t now_us,
		   int64_t latency_us, enum throttle_outcome outcome);
/* The client of a held item has gone. Nothing happens to one that is not held. */
void throttle_cancel(struct throttle *t, struct throttle_item *item);
/* Every 10 to 100 ms: let go, refuse what is too old, adapt. */
void throttle_tick(struct throttle *t, int64_t now_us);
/* Milliseconds until it wants the next tick; -1: not before the next call. */
int throttle_next_ms(const struct throttle *t, int64_t now_us);
/* Stopping: whatever is held has gone by until_us, at an even pace. */
void throttle_drain(struct throttle *t, int64_t now_us, int64_t until_us);
/* Files in STAT.BOX of the management point, counted there. */
void throttle_report_files(struct throttle *t, int64_t now_us, uint64_t count);

/* Figures of one class. In observe mode: what would have happened. */
struct throttle_figures {
	uint64_t submitted, passed, held_total, refused_total, aborted;
	unsigned held, queue_limit;
	size_t held_bytes, queue_bytes_limit;
	unsigned in_flight, concurrency_limit; /* limit 0: none */
	double rate, rate_limit;	       /* messages a second; limit 0: none */
	int64_t hold_p50_us, hold_p99_us;      /* of those let go in the last one to two minutes */
	int64_t latency_us;		       /* of the last window, 0: not known */
	int64_t base_latency_us;	       /* without load, as learned; 0: not known */
	int64_t oldest_us;		       /* how long the oldest held one waits */
};
void throttle_figures(const struct throttle *t, enum throttle_class c, int64_t now_us,
		      struct throttle_figures *out);

/* Figures of all paced classes together. */
struct throttle_totals {
	enum throttle_mode mode;
	bool is_observing;
	unsigned held, in_flight, concurrency_limit;
	double rate_limit;		 /* in force: the ceiling, or lower after errors; 0: none */
	double status_rate_limit;	 /* because of STAT.BOX; 0: none */
	uint64_t n_changes, n_evictions; /* evictions: rate entries of clients, in use */
	const char *last_reason;	 /* empty: no change yet */
	int64_t last_change_us;
};
void throttle_totals(const struct throttle *t, struct throttle_totals *out);

#endif
