/*
 * The inside of a store, for the store_*.c files only.
 *
 * store.c	  life, records and rounds
 * store_journal.c what is kept on our own disk, and its replay
 * store_call.c	  one call: its bytes, its answer, whom an error acquits
 * store_verbs.c  lease, seal, outbox, settle and the rest: answers as values
 * store_query.c  what people ask: windows, a client, a rule
 * store_check.c  does Redis keep what is configured? whose data is it?
 * store_mark.c	  has it all that it had?
 * store_wait.c	  do replicas have it?
 */
#ifndef STATWEIR_STORE_STORE_IMPL_H
#define STATWEIR_STORE_STORE_IMPL_H

#include "proxy/base/log.h"
#include "proxy/base/strbuf.h"
#include "proxy/store/link.h"
#include "proxy/store/shard.h"
#include "proxy/store/store.h"
#include "proxy/store/store_check.h"
#include "proxy/store/store_journal.h"
#include "proxy/store/store_mark.h"
#include "proxy/store/store_wait.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>

#define STORE_MAGIC	0x73746f72u
#define STORE_WHY_BYTES 400

struct call;
/* reply is NULL unless rc is STORE_OK; a reply of the wrong shape is answered as unknown. */
typedef void call_finish_fn(struct call *c, enum store_rc rc, const struct redisReply *reply);

/* A function call on its way. Owned by the store: under way, dead, or spare. */
struct call {
	STAILQ_ENTRY(call) entry; /* in dead or spare */
	struct store *s;
	struct strbuf cmd; /* kept until the answer, to be sent again if the library is missing */
	call_finish_fn *finish;
	unsigned n_sent;
	struct record_list records; /* of absorb */
	unsigned n_records, n_counted;
	void (*done)(void); /* of the others: a function type of store.h, by finish */
	void *arg;
};
STAILQ_HEAD(call_list, call);

struct record_queue {
	struct record_list list;
	unsigned n;
};

struct shard {
	char tag[SHARD_TAG_BYTES];
	struct strbuf key;	   /* "prefix:{tag}" */
	struct record_queue queue; /* live ones */
	struct record_queue again; /* from the journal; empty between turns */
};

struct store {
	unsigned magic;
	const struct conf *conf;
	struct event_base *base;
	struct link *link;
	struct event *kick; /* answers what cannot be sent, starts the next round */
	struct shard *shards;
	unsigned n_shards;
	int64_t n_queued, n_pending;	 /* records: waiting; waiting or sent */
	unsigned n_round;		 /* calls of the round under way */
	int64_t round_us, round_records; /* when the last round ended, and what it carried */
	int64_t sync_us, sync_records;	 /* the same of the journal, or when its last sync began */
	int64_t n_unsynced;		 /* records appended since */
	struct call_list dead;		 /* to be refused by the next kick */
	struct record_list rejected;	 /* the journal did not take them: likewise */
	struct store_journal *journal;	 /* NULL: none */
	struct store_wait wait;
	struct store_mark mark;
	unsigned generation; /* store_generation() */
	/*
	 * What Redis said of records in sum, not handed out to single ones yet: new, seen before.
	 */
	int64_t n_new, n_repeated;
	struct call_list spare;
	unsigned n_spare;
	bool is_closing;

	/* store_check.c */
	enum {
		CHECK_IDLE,
		CHECK_FACTS,
		CHECK_META,
		CHECK_REPLICAS
	} check;
	unsigned check_waits; /* answers */
	int64_t next_check_ms;
	struct redis_facts facts;
	bool is_durable; /* the last check found what conf demands */
	bool is_ours;	 /* and our data */
	/* It holds somebody else's, or has lost ours: nothing more is promised until a check
	 * passes. */
	bool is_foreign;
	char run_id[48], replid[48]; /* of the Redis that was last found fit */
	bool is_library_sent, has_warned;
	bool is_known;		    /* nonce was read from this Redis and must stay */
	char nonce[33];		    /* of this deployment; empty until known */
	char why[STORE_WHY_BYTES];  /* it is not ready; empty: it is */
	char said[STORE_WHY_BYTES]; /* the last why in the log */
	struct log_limit log_errors;
};

/* store.c */
/* Connected, durable, and our data. */
bool store_is_fit(const struct store *s);
/* And has all that it ever had. */
bool store_may_absorb(const struct store *s);
void store_kick(struct store *s);
/* A call of the round, or its WAIT, is over. */
void store_call_ended(struct store *s);
/* Send the first records of q, as many as fit into a call. False: no memory. */
bool store_send_records(struct store *s, struct shard *sh, struct record_queue *q,
			call_finish_fn *finish);
/* A count as Redis answered it, made possible. */
int64_t store_count_new(int64_t answered, unsigned n_counted);
/* Redis has spoken of these, of which n_counted were counted and n_new new. Empties the list. */
void store_answer_round(struct store *s, struct record_list *list, enum store_rc rc, int64_t n_new,
			int64_t n_counted);
/* The journal has r on disk, or could not write it. */
void store_record_synced(struct store *s, struct record *r, bool is_on_disk);

/* store_call.c */
struct call *call_new(struct store *s, call_finish_fn *finish) MUSTUSE;
/* For a call that cannot be refused: from the reserve, where there is no memory. */
struct call *call_new_reserved(struct store *s, call_finish_fn *finish) MUSTUSE;
/* Set the reserve aside. 0 or -ENOMEM. */
int store_calls_init(struct store *s) MUSTUSE;
/* Put "FCALL name 1 key" for n_args more arguments. */
void call_begin(struct call *c, const char *function, const struct shard *shard, size_t n_args);
/* Send it; what cannot be sent is refused by the next kick, never from inside. */
void call_send(struct call *c);
void call_free(struct call *c);
void store_calls_fini(struct store *s);
/* Words for an operator about an error of Redis, into out. */
void store_explain(const char *error, char *out, size_t room);
/* Was a call answered with this certainly not executed? */
bool store_error_is_refusal(const char *error);

/* store_verbs.c */
/* What a call needs of the store beyond a connection. */
enum need {
	NEED_DATA,    /* Redis holds our data */
	NEED_DURABLE, /* and keeps what is written */
};
struct call *verb_begin(struct store *s, call_finish_fn *finish, void (*done)(void), void *arg);
void verb_commit(struct call *c, enum need need);
struct shard *verb_shard(struct store *s, unsigned shard);

/* store_check.c */
/* Send a command of a check, whose answer it waits for. 0 or -errno. */
int store_send_words(struct store *s, link_reply_fn *reply, const char *words);
void store_check_begin(struct store *s);
void store_check_tick(struct store *s);
void store_check_lost(struct store *s, const char *why);
/* Redis has refused a call: no records until the next check has passed, in a second. */
void store_check_refused(struct store *s, const char *error);
/* The same, for this reason. */
void store_check_unfit(struct store *s, const char *why);
int store_send_library(struct store *s);

#endif
