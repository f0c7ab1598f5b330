/*
 * Where findings are kept. One interface: add, lease, seal, outbox, done, rotate,
 * audit, query. Each call is answered exactly once, never from inside the call.
 *
 * The model (docs/STORE.md): a client's state lives in one shard; a record is a
 * digest in a dedupe set, a bit for its rule, counters. Records of a turn travel
 * together: idle link, send at once; else gather until the answer is there.
 */
#ifndef STATWEIR_STORE_STORE_H
#define STATWEIR_STORE_STORE_H

#include "proxy/base/check.h"
#include "proxy/base/conf.h"
#include "proxy/base/slice.h"

#include <sys/queue.h>

struct event_base;
struct store;

enum store_rc {
	STORE_OK,      /* on disk as far as the configured durability promises */
	STORE_REFUSED, /* certainly not recorded: may be forwarded */
	STORE_UNKNOWN, /* perhaps recorded: must not be forwarded */
	STORE_FENCED,  /* of the flusher's calls: refused, the token is not the newest */
};
const char *store_rc_name(enum store_rc rc);

/*
 * One message to record. Owned by the caller and unmoved, with the bytes behind its
 * slices, until done() has run.
 */
struct record {
	STAILQ_ENTRY(record) link; /* the store's while it holds the record */
	struct slice client, rule;
	struct slice raw;  /* the whole request, only for summaries by exemplar; else empty */
	uint64_t digest;   /* of the message ID: record_digest() */
	int64_t at_ms;	   /* wall clock */
	bool is_seen_only; /* the upstream has this message itself: remember the ID, count nothing
			    */
	void (*done)(struct record *r, enum store_rc rc);

	/* The store's while it holds the record. */
	STAILQ_ENTRY(record) sync_link;
	uint64_t seq;	  /* in the journal */
	bool is_answered; /* Redis has recorded it, or will not for now */
	bool is_recorded;
	bool is_synced; /* the journal is done with it */
	bool is_lost;	/* and could not write it */
};

/* The digest that dedupe compares, the same on every instance. */
uint64_t record_digest(struct slice message_id);

/*
 * Open the link to Redis (starts connecting). conf is borrowed for the life of the
 * store; socket is the Redis address as of conf, or of the embedded server.
 * 0, -EINVAL (address), -ENOMEM.
 */
int store_open(struct store **out, struct event_base *base, const struct conf *conf) MUSTUSE;
/*
 * Use the state directory as this worker (its number, from 0), which no other process may be:
 * know its data in Redis again, notice a Redis that has lost some of it and, where durability
 * = journal, keep the journal. Before the first store_add(); without it, records rest on Redis
 * alone. A journal that cannot be opened is tried again, with the store not ready meanwhile.
 * 0, -EINVAL (path too long), -EIO, -ENOMEM.
 */
int store_use_state(struct store *s, unsigned worker) MUSTUSE;
/* Drops the link; every call still open is answered STORE_UNKNOWN (or STORE_REFUSED if unsent). */
void store_close(struct store *s);

/*
 * May records be added now? Not over redis.max_pending, and: without a journal, Redis is
 * connected and checked; with one, the journal is in order and Redis has not lost its data.
 */
bool store_is_ready(const struct store *s);
/* Is Redis recording? With a journal it need not be. */
bool store_is_redis_up(const struct store *s);
/* In words for an operator: "ok", or what is wrong, also where the journal bridges it. */
const char *store_state(const struct store *s);

/* Queue a record; it is sent by store_commit(). Only while store_is_ready(). */
void store_add(struct store *s, struct record *r);
/* End of a turn: let the journal write; start a round if none is under way. */
void store_commit(struct store *s);
/* Every 100 ms: deadlines, reconnects, checks. */
void store_tick(struct store *s);

/* A sealed summary of one client, as it stands in the outbox. Slices live only in the callback. */
struct claim {
	struct slice client;
	uint64_t seq;
	int64_t first_ms, last_ms, sealed_ms;
	uint64_t count; /* messages */
	struct slice
		bits; /* bit r (0 = most significant bit of the first byte): rule number r seen */
	struct slice extra; /* "r+n,r+n": n further messages of rule r */
	struct slice raw;   /* newest genuine request, only with summaries by exemplar */
};

typedef void store_number_fn(void *arg, enum store_rc rc, int64_t n);
typedef void store_claims_fn(void *arg, enum store_rc rc, const struct claim *v, unsigned n);
typedef void store_names_fn(void *arg, enum store_rc rc, const struct slice *names, unsigned n);

unsigned store_n_shards(const struct store *s);
/* 32 lower-case hex digits, made once per deployment and kept in Redis; empty until connected. */
const char *store_nonce(const struct store *s);
/*
 * Grows whenever Redis may have forgotten what it answered last: its connection was lost, or
 * it is another one than before.
 */
unsigned store_generation(const struct store *s);

/* Try to become or stay the shard's flusher for ttl_ms: n = fencing token, 0 = another has it. */
void store_lease(struct store *s, unsigned shard, const char *owner, int64_t ttl_ms,
		 store_number_fn *done, void *arg);
/* Give it back early. n = 1 if it was ours. */
void store_release(struct store *s, unsigned shard, const char *owner, store_number_fn *done,
		   void *arg);
/* Freeze up to max clients whose oldest message is older than before_ms (wall clock). */
void store_seal(struct store *s, unsigned shard, int64_t token, unsigned max, int64_t before_ms,
		store_claims_fn *done, void *arg);
/* What was sealed and not settled yet: up to max. */
void store_outbox(struct store *s, unsigned shard, unsigned max, store_claims_fn *done, void *arg);
/* The upstream has acknowledged summary seq of client, sealed then: n = 1 the first time. */
void store_settle(struct store *s, unsigned shard, int64_t token, struct slice client, uint64_t seq,
		  int64_t sealed_ms, store_number_fn *done, void *arg);
/* Start a new dedupe window if the current one is older than conf's window. n = window number. */
void store_rotate(struct store *s, unsigned shard, int64_t token, store_number_fn *done, void *arg);
/* names[r] = name of rule number r of the shard (r from 0; unknown ones empty). */
void store_rules(struct store *s, unsigned shard, store_names_fn *done, void *arg);

struct audit {
	int64_t absorbed, sealed, settled;    /* totals kept by the functions */
	int64_t pending_open, pending_outbox; /* recounted from the data itself */
	int64_t clients, rules;
};
typedef void store_audit_fn(void *arg, enum store_rc rc, const struct audit *a);
/* Recount one shard. */
void store_audit(struct store *s, unsigned shard, store_audit_fn *done, void *arg);

/* One window of one shard, as its end wrote it down. */
struct window {
	uint64_t number;
	int64_t began_ms, ended_ms;
	int64_t absorbed, settled; /* messages, in this window */
	int64_t pending, off;	   /* at its end: recounted, and what did not balance */
};
typedef void store_windows_fn(void *arg, enum store_rc rc, const struct window *v, unsigned n);
/* The windows of a shard that have ended, in no order; the last 400 are kept. */
void store_history(struct store *s, unsigned shard, store_windows_fn *done, void *arg);

/* What is known of one client. The slices live only in the callback. */
struct client_sheet {
	bool is_known;
	int64_t sealed; /* messages that went into summaries */
	int64_t open;	/* messages for the next one, the oldest and newest of them: */
	int64_t first_ms, last_ms;
	int64_t outbox; /* messages of a summary on its way; 0: none */
	uint64_t n_summaries;
	struct slice ever, now; /* bits of rules, as in a claim: in summaries, for the next one */
};
/* The shard that a client belongs to. */
unsigned store_shard_of(const struct store *s, struct slice client);
typedef void store_client_fn(void *arg, enum store_rc rc, const struct client_sheet *c);
void store_client(struct store *s, struct slice client, store_client_fn *done, void *arg);

/* Clients of a shard and whether they have reported a rule. The slices live only in the callback.
 */
struct reports {
	uint64_t cursor;  /* for the next call; 0: that was all */
	int64_t messages; /* of the rule, in the shard, ever; with cursor 0 only */
	unsigned n;
	const struct slice *clients; /* n; one may come twice */
	const bool *has;	     /* n */
};
typedef void store_reports_fn(void *arg, enum store_rc rc, const struct reports *r);
/* Some of them, from cursor on; 0 first. */
void store_reports(struct store *s, unsigned shard, struct slice rule, uint64_t cursor,
		   store_reports_fn *done, void *arg);

/* Messages ever counted for a client; -1 in n if it is unknown. */
void store_client_count(struct store *s, struct slice client, store_number_fn *done, void *arg);

/*
 * In the middle of a long turn: send what has gathered, and take answers that have come. done()
 * of records runs, as it would behind this turn.
 */
void store_poll(struct store *s);

#endif
