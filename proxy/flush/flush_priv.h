/*
 * The flusher's inside, for the flush*.c files only.
 *
 *   flush.c       when a shard is due; the public functions
 *   flush_shard.c lease, outbox, seal, rotate, rule names: one store call at a time
 *   flush_claim.c a sealed summary on its way: post, again, settle
 *   flush_share.c whose turn it is among several
 */
#ifndef STATWEIR_FLUSH_FLUSH_PRIV_H
#define STATWEIR_FLUSH_FLUSH_PRIV_H

#include "proxy/flush/flush.h"

#include <sys/queue.h>

#define FLUSH_SHARD_MAGIC 0x66736864u

/* Lease: long enough for a slow Redis, short enough to take over from the dead. */
#define FLUSH_TTL_MS   30000
#define FLUSH_RENEW_MS 10000
/* A post begins only while the lease lasts at least this much longer, whatever the time-out. */
#define FLUSH_LEFT_MAX_MS 15000
/* After another holder was met. */
#define FLUSH_TAKEN_MS 2000
/* With others about: so much later for each shard held now or lately, at most, by chance. */
#define FLUSH_SHARE_STEP_MS   100
#define FLUSH_SHARE_MAX_MS    800
#define FLUSH_SHARE_JITTER_MS 200
/* A lease is given back after an interval, and no sooner than this: with others about, or not. */
#define FLUSH_HOLD_MS	    60000
#define FLUSH_HOLD_ALONE_MS 900000
/* Then not asked for until whoever waits has asked. */
#define FLUSH_YIELD_MS (FLUSH_TAKEN_MS + 500)
/* After an error of the store, and between questions whether posting is possible. */
#define FLUSH_RETRY_MS 1000
/* Summaries in memory: of one shard, of all. */
#define FLUSH_SLOTS	     64u
#define FLUSH_SLOTS_ALL	     1024u
#define FLUSH_BACKOFF_MAX_MS 60000
/* After so many failures in a row: one post at a time, and pauses of 1 s to this between them. */
#define FLUSH_CAUTIOUS_AFTER  3u
#define FLUSH_CAUTIOUS_MAX_MS 10000
/* A request of our own is below 32 KiB; a genuine one is posted from where it is. */
#define FLUSH_REQUEST_BYTES 262144u

struct flush_shard;

enum claim_state {
	CLAIM_READY,	/* to be posted once not_before_ms has come */
	CLAIM_POSTING,	/* the upstream has it */
	CLAIM_POSTED,	/* acknowledged; to be settled once not_before_ms has come */
	CLAIM_SETTLING, /* the store has it */
};

/* A sealed summary in memory; one block with the bytes behind its slices. */
struct flush_claim {
	unsigned magic;
	TAILQ_ENTRY(flush_claim) link; /* flush.claims */
	struct flush_shard *shard;
	struct claim c;
	enum claim_state state;
	int64_t token;	       /* of the lease it was read under */
	int64_t not_before_ms; /* monotonic */
	int64_t durable_ms;    /* monotonic: a Redis that is there then keeps it for certain */
	unsigned attempts;     /* posts that were not acknowledged */
	unsigned part, n_parts;
	bool is_between;	   /* the part before this one has just been acknowledged */
	unsigned names_generation; /* of the shard when this was read */
	bool is_settle_unknown;	   /* a settle may have been done without an answer */
	struct strbuf request;	   /* while CLAIM_POSTING */
	char id[40];
};
TAILQ_HEAD(flush_claims, flush_claim);

enum shard_phase {
	PHASE_OUTBOX, /* what a predecessor left, and what is not in memory */
	PHASE_SEAL,
	PHASE_ROTATE,
	PHASE_DRAIN, /* all is sealed: until the last is settled */
};

struct flush_shard {
	unsigned magic;
	struct flush *f;
	unsigned number;
	bool is_calling;       /* one call of the store at a time, settling apart */
	bool is_wanted;	       /* there is a flush to do */
	bool is_shared;	       /* this flush is counted in flush.share */
	bool is_yielding;      /* nothing new: the lease is given back for others to take */
	int64_t due_wall_ms;   /* of the next flush */
	int64_t before_ms;     /* wall: clients with an older message are sealed */
	int64_t not_before_ms; /* monotonic: no call but renewing */
	/* The lease. A token of 0: not held, as far as we know. */
	int64_t token;
	int64_t lease_sent_ms, lease_until_ms, renew_ms; /* monotonic */
	int64_t confirmed_ms; /* monotonic: Redis has extended it after this moment */
	unsigned generation;  /* store_generation() that it was got in */
	int64_t gained_ms;    /* monotonic: when it was got, not renewed */
	int64_t last_token;   /* that we had, 0: none yet */
	enum shard_phase phase;
	unsigned n_claims;
	unsigned n_fresh; /* of them, never refused by the upstream */
	/* Names of its rules, read under this lease. */
	struct slice *names; /* owned, with the bytes behind them */
	unsigned n_names, names_generation;
	bool wants_names;
};

struct flush {
	struct store *store;
	const struct conf *conf;
	const struct summary_identity *who;
	const struct flush_env *env;
	char *owner;
	struct flush_shard *shards;
	unsigned n_shards;
	struct flush_claims claims; /* whose turn it is comes first */
	unsigned n_claims, n_posting;
	unsigned n_calls;	    /* of the store, without an answer yet */
	unsigned failures;	    /* in a row, over all claims */
	unsigned share;		    /* flushes with something to send: 1024 each, fading */
	int64_t met_until_ms;	    /* monotonic: others count as being there */
	int64_t post_not_before_ms; /* monotonic: after failures */
	int64_t may_post_checked_ms;
	bool may_post;
	bool is_stopping;
};

/* Whether the upstream can judge now, asked once a second. The form log needs nobody. */
bool flush_may_post(struct flush *f);

/* After an answer: what is next for the shard, and for the summaries of all. */
void flush_next(struct flush_shard *s);

/* Do what is next for the shard, if anything. */
void shard_step(struct flush_shard *s);
/* The lease is gone: forget what is not on its way. */
void shard_lose(struct flush_shard *s);
/* Find out soon whether the lease still holds, then look at the outbox again. */
void shard_recheck(struct flush_shard *s);
/* May a summary go out now: is there enough left of the lease? */
bool shard_may_post(const struct flush_shard *s);
/* Has Redis certainly not forgotten what it said under this lease? */
bool shard_is_remembered(const struct flush_shard *s);
void shard_fini(struct flush_shard *s);

/*
 * Keep a copy of a claim. 0, -EEXIST (the same is here already; if it was a lost lease's, it
 * is the shard's again), -ENOSPC (all slots taken) or -ENOMEM.
 */
int claim_keep(struct flush_shard *s, const struct claim *c) MUSTUSE;
/* How many more the shard may keep. */
unsigned claim_room(const struct flush_shard *s);
/* Forget those of the shard that are not on their way. */
void claim_forget_idle(struct flush_shard *s);
/* Is one of the shard with the upstream or the store, or between two of its parts? */
bool claim_is_under_way(const struct flush_shard *s);
/* Post and settle whatever may be. */
void claim_pump(struct flush *f);
/* Forget all of them. */
void claim_fini(struct flush *f);

/* The shard has come due: how soon it may be asked for, from others' company and our share. */
void share_due(struct flush_shard *s);
int64_t share_wait_ms(const struct flush_shard *s);
/* Another flusher has shown. */
void share_met(struct flush *f);
/* The shard gave so many summaries to send. */
void share_took(struct flush_shard *s, unsigned n);
/* Has its lease been held for so long that others should have a chance? */
bool share_is_over(const struct flush_shard *s);

#endif
