/* For the throttle_*.c files and their tests only. */
#ifndef STATWEIR_CORE_THROTTLE_PRIV_H
#define STATWEIR_CORE_THROTTLE_PRIV_H

#include "proxy/core/throttle.h"

#define US_PER_S	1000000
#define THROTTLE_FLOWS	1024 /* buckets of clients in a class; a power of two */
#define THROTTLE_REASON 200

TAILQ_HEAD(item_list, throttle_item);

/* --- throttle_math.c: logarithms to base 2 without libm, good to 1 %. */
double throttle_log2(double x); /* x > 0 */
double throttle_exp2(double x);

/* --- throttle_rate.c */

/* Token bucket; rate 0: no limit. */
struct bucket {
	double rate, burst, tokens;
	int64_t at_us;
};
void bucket_set(struct bucket *b, double rate, double burst);
bool bucket_has(struct bucket *b, int64_t now_us);
void bucket_take(struct bucket *b);
/* When there will be a token; now_us if there is one. */
int64_t bucket_next_us(const struct bucket *b, int64_t now_us);

/*
 * Rates by key (client, network) in fixed memory: four ways a set; a new key takes the
 * place of the one whose debt ends first.
 */
#define KEYED_SETS 2048
#define KEYED_WAYS 4
struct keyed_rate {
	double rate, burst; /* a second; rate 0: no limit, and nothing is allocated */
	uint64_t n_evictions;
	struct keyed_slot {
		uint64_t key;
		int64_t tat_us; /* theoretical arrival time: paid up to here */
	} * slots;
};
/* 0 or -ENOMEM. */
int keyed_set(struct keyed_rate *k, double rate, double burst) MUSTUSE;
void keyed_fini(struct keyed_rate *k);
/* When key may send: <= now_us if at once. */
int64_t keyed_next_us(const struct keyed_rate *k, uint64_t key, int64_t now_us);
void keyed_take(struct keyed_rate *k, uint64_t key, int64_t now_us);

/* How many a second, smoothed over a few seconds; quick: over one. */
struct meter {
	double rate, quick;
	unsigned n;
	int64_t at_us;
};
void meter_tick(struct meter *m, int64_t now_us);

/* --- throttle_hist.c: times in buckets of an eighth of an octave, last one to two minutes. */
#define HIST_BUCKETS (32 * 8)
struct hist {
	uint32_t n[2][HIST_BUCKETS];
	uint64_t total[2];
	unsigned current;
	int64_t turned_us;
};
void hist_add(struct hist *h, int64_t us);
void hist_turn(struct hist *h, int64_t now_us);
/* share 0 to 1; 0 when empty. */
int64_t hist_percentile(const struct hist *h, double share);

/* --- throttle_queue.c: fair queue of one class */

enum flow_state {
	FLOW_IDLE,    /* empty */
	FLOW_ACTIVE,  /* in the ring */
	FLOW_SLEEPING /* its client or network is over its own rate */
};
struct flow {
	TAILQ_ENTRY(flow) link;
	struct item_list items;
	size_t bytes;
	double deficit;
	int64_t until_us; /* SLEEPING */
	unsigned n;
	enum flow_state state;
};
TAILQ_HEAD(flow_list, flow);

struct queue {
	struct flow_list ring, sleepers;
	struct item_list by_age;
	unsigned n;
	size_t bytes;
	unsigned max_n;
	size_t max_bytes;
	int64_t max_age_us;
	struct flow flows[THROTTLE_FLOWS];
};
void queue_init(struct queue *q);
struct flow *queue_flow(struct queue *q, uint64_t client);
void queue_push(struct queue *q, struct throttle_item *item);
void queue_remove(struct queue *q, struct throttle_item *item);
/* The item whose turn it is, not removed; NULL if the ring is empty. */
struct throttle_item *queue_peek(struct queue *q);
/* Remove the item that queue_peek() gave, on its client's account. */
void queue_take(struct queue *q, struct throttle_item *item);
/* The client of this item rests. */
void queue_sleep(struct queue *q, struct throttle_item *item, int64_t until_us);
/* It may go: its bucket rests no more, whoever else is in it. */
void queue_rouse(struct queue *q, struct throttle_item *item);
/* Does anybody in its bucket wait for a turn? */
bool queue_is_before(struct queue *q, const struct throttle_item *item);
void queue_wake(struct queue *q, int64_t now_us);
/* Is there room for another one of so many bytes? */
bool queue_has_room(const struct queue *q, size_t bytes);
/*
 * The newest item of the client that takes most of the queue, if it takes more than this
 * client would; else NULL.
 */
struct throttle_item *queue_victim(struct queue *q, uint64_t client, size_t bytes);

struct throttle_kind;

/* --- throttle_limit.c: follow latency and errors */

/* One window of answers. */
struct window {
	int64_t start_us;
	int64_t settled_us; /* answers before that still belong to the limit before */
	unsigned n[THROTTLE_N_CLASSES];
	double sum[THROTTLE_N_CLASSES]; /* of log2 of latencies in us, LIMIT_GRAIN_US added */
	unsigned n_samples, n_ok, n_errors, n_timeouts, n_away, n_gone;
	bool was_full;	    /* the concurrency limit held something back */
	bool was_rate_full; /* the rate limit did */
};

struct limiter {
	double limit;	     /* concurrency, as calculated */
	unsigned applied;    /* as in force: follows when it differs enough */
	double rate;	     /* after errors, as calculated; 0: the ceiling alone */
	double applied_rate; /* as in force */
	double slow_rate;    /* up to here a lowered rate may double */
	double rate_before;  /* the errors at cut_us */
	int64_t cut_us;
	bool is_guess;			 /* good is one */
	bool is_away;			 /* no connection */
	double good;			 /* rate before that; 0: not known */
	int64_t even_until_us;		 /* it answers again: returns are promised until then */
	double base[THROTTLE_N_CLASSES]; /* log2 of the latency without load; 0: not known */
	unsigned learned[THROTTLE_N_CLASSES]; /* answers that a new base rests on */
	double last[THROTTLE_N_CLASSES];      /* log2 of the latency in the last window; 0: none */
	double slowdown;		      /* log2 of latency / base in the last window */
	unsigned n_hold; /* windows in which nothing is raised: a base has just fallen */
	unsigned n_good; /* windows in a row at the base */
	struct window w;

	/* The test: has latency fallen as requests under way have? */
	enum {
		TEST_NONE,
		TEST_LOWERED, /* the limit had to be lowered */
		TEST_LOOK,    /* lowered to see whether a base that was raised is right */
		TEST_UP	      /* raised from the floor, where nothing can be lowered */
	} test;
	double ref_slowdown, ref_busy, ref_limit;
	unsigned n_low; /* windows with clearly less under way, and their sums */
	double low_slowdown, low_drop;
	double smooth;	      /* slowdown over some windows */
	unsigned n_windows;   /* of this test */
	unsigned n_looks;     /* since the base was raised */
	int64_t next_look_us; /* 0: none */
	unsigned n_ups;	      /* tests from the floor in vain */
	int64_t next_up_us;   /* 0: not at the floor */

	/* Requests under way in measured classes, integrated over time. */
	unsigned busy;
	double busy_area;
	int64_t busy_at_us, busy_start_us;
};
void limit_init(struct throttle *t);
/* Bounds or mode have changed. */
void limit_set_conf(struct throttle *t, int64_t now_us);
void limit_gone(struct throttle *t, enum throttle_class c, int64_t now_us);
void limit_done(struct throttle *t, const struct throttle_item *item, int64_t now_us,
		int64_t latency_us, enum throttle_outcome outcome);
void limit_tick(struct throttle *t, int64_t now_us);

void limit_count_busy(struct limiter *l, int64_t now_us);

/* why is for a person. */
void limit_set_rate(struct throttle *t, int64_t now_us, double rate, const char *why);

static inline double limit_bounded(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

/* --- throttle_concurrency.c */

/*
 * Added to every latency: differences of less than this come from turns of the event loop
 * and the network, not from a management point in need.
 */
#define LIMIT_GRAIN_US 2000
#define LIMIT_START    4  /* before anything is known */
#define LIMIT_FEW      8  /* answers under which a window decides little */
#define LIMIT_TEST_MIN 24 /* answers for a test, that chance may not decide */

/* A window is complete: move bases and limit. */
void limit_adapt_concurrency(struct throttle *t, int64_t now_us);
/* format is for a and b: why. */
void limit_set(struct throttle *t, int64_t now_us, double limit, const char *format, double a,
	       double b);

/* --- throttle_away.c */

/* A second, while it can't be reached: each fails, and its client does as it likes then. */
#define LIMIT_TRIES 1.0

/* Of all paced classes together, on better days. */
double throttle_usual(const struct throttle *t);

/* A window without any answer, and no connection. */
void away_begin(struct throttle *t, int64_t now_us);
/* The first answers after it. */
void away_end(struct throttle *t, int64_t now_us);
/* A window while returns are promised; false: the ordinary rules hold. */
bool away_follow(struct throttle *t, int64_t now_us);
/* It was reached and had too much: the ordinary rules hold. */
void away_forget(struct throttle *t);
/* The rate at which clients of this class are to return; 0: by the ordinary rules. */
double away_rate_of(const struct throttle *t, const struct throttle_kind *k, int64_t now_us);

/* --- throttle_files.c */
struct files {
	int64_t at_us; /* of the last report; 0: none */
	int64_t gap_us;
	uint64_t count;
	uint64_t passed; /* status messages by then */
	double moved;	 /* files a second that leave the folder */
	double cap;	 /* messages a second for this worker; 0: none */
};
void files_tick(struct throttle *t, int64_t now_us);

/* --- throttle_retry.c */
/* Messages a second that the limit in force allows for, with much to spare. */
double retry_rate_of_limit(const struct throttle *t, unsigned c);
unsigned retry_after(struct throttle *t, struct throttle_kind *k, uint64_t client, int64_t now_us);

/* --- throttle_observe.c */
struct shadow {
	struct throttle_item item;
	struct throttle_item *real; /* NULL: has ended, after latency_us */
	int64_t latency_us;
	int64_t end_us;
};
struct observer {
	struct shadow *pool;
	unsigned n;
	struct item_list spare, running;
};
int observe_init(struct observer *o, unsigned n) MUSTUSE;
void observe_fini(struct observer *o);
void observe_submit(struct throttle *t, struct throttle_item *item, int64_t now_us);
void observe_gone(struct throttle *t, struct throttle_item *item, int64_t now_us);
void observe_dropped(struct throttle *t, struct throttle_item *item);
void observe_done(struct throttle *t, struct throttle_item *item, int64_t now_us,
		  int64_t latency_us);
void observe_tick(struct throttle *t, int64_t now_us);
/* Observing ends: what would be held is forgotten. */
void observe_stop(struct throttle *t, int64_t now_us);

/* --- throttle.c */

/* What the table says of a class. */
struct kind_rule {
	const char *name;
	double weight;	  /* share of the turns among classes that wait */
	bool is_paced;	  /* the limits that auto finds hold for it */
	bool is_measured; /* its latency tells how the management point is */
};
extern const struct kind_rule throttle_rules[THROTTLE_N_CLASSES];

/* One class at work. */
struct throttle_kind {
	enum throttle_class cls;
	struct bucket bucket;
	double rate; /* as configured, this worker's share */
	unsigned max_in_flight;
	unsigned in_flight;
	double turn;	   /* virtual time of its next turn among classes */
	int64_t booked_us; /* returns of refused clients are given out up to here */
	struct meter came, gone;
	double usual; /* rate of better days, forgotten slowly */
	uint64_t submitted, passed, held_total, refused_total, aborted;
	struct hist held_for;
	struct queue queue;
};

struct throttle {
	enum throttle_mode mode;
	bool is_observing, is_busy; /* is_busy: inside a callback loop */
	unsigned workers;
	double floor, ceiling; /* messages a second, this worker's share */
	unsigned floor_n, ceiling_n;
	uint64_t files_high;
	int64_t retry_max_us;
	struct throttle_calls calls;
	struct bucket shared; /* of the paced classes: ceiling, errors */
	unsigned in_flight;   /* of the paced classes */
	double turn;	      /* virtual time of the class that went last */
	struct keyed_rate clients, networks;
	struct limiter limiter;
	struct files files;
	struct observer observer;
	struct item_list leaving;
	int64_t drain_until_us, drained_us; /* 0: not draining */
	uint64_t n_changes;
	int64_t last_change_us;
	char reason[THROTTLE_REASON];
	struct throttle_kind kinds[THROTTLE_N_CLASSES];
};

/* Submit, end and let go without observing. */
enum throttle_rc engine_submit(struct throttle *t, struct throttle_item *item, int64_t now_us,
			       unsigned *retry_after_s);
void engine_done(struct throttle *t, struct throttle_item *item, int64_t now_us);
void engine_release(struct throttle *t, int64_t now_us);
/* Everything that is held, whatever the limits say: observing begins. */
void throttle_release_all(struct throttle *t, int64_t now_us);
/* The shared rate limit in force, 0: none. */
double throttle_rate(const struct throttle *t);
void throttle_apply_rates(struct throttle *t);
/* Keep the reason and tell of the change. */
void throttle_changed(struct throttle *t, int64_t now_us, struct throttle_change *change,
		      const char *format, ...) PRINTF_LIKE(4, 5);

#endif
