/*
 * How far Redis has come, for the store*.c files only: each worker counts up a mark of its
 * own in Redis, with every check, and keeps in the state directory (redis-mark/) whose data
 * it is and the mark below which Redis must not fall: its floor. Redis may forget its last seconds
 * (store.md 5.3), and then the journal has what is missing; where it has fallen below the floor, an
 * older backup was loaded, or a replica that was far behind became the master, and
 * messages that were acknowledged are gone (reliability.md 4.3, X19).
 *
 * The journal lets go of what Redis had before the floor was written, and of nothing else:
 * not by the clock while Redis is away, for what it forgets shows when it is back.
 */
#ifndef STATWEIR_STORE_STORE_MARK_H
#define STATWEIR_STORE_STORE_MARK_H

#include "proxy/store/link.h"
#include "proxy/store/store.h"

enum {
	MARK_AGES = 8, /* marks that may become the floor */
	MARK_ID_BYTES = 17,
};

struct store_mark {
	bool is_on;
	unsigned worker;
	char id[MARK_ID_BYTES]; /* of this worker in this state directory, in the key */
	int64_t value;		/* the last in Redis; 0: none */
	int64_t asked;		/* Redis has just said so */
	int64_t asked_ms;	/* monotonic: what Redis had answered by then comes before it */
	int64_t floor;
	struct {
		int64_t value, at_ms;
	} ages[MARK_AGES]; /* the oldest first; younger than journal.grace, but for the first */
	unsigned n_ages;
	bool is_kept;	 /* the file has been written */
	bool has_fallen; /* Redis had an older mark than the last, so has forgotten something */
};

/* The nonce of the data that a worker of this state directory has used: s will have no other. */
void store_mark_read_nonce(struct store *s, unsigned worker);
/* Go on with the worker's mark, or begin one. 0, or -EIO: no random number. */
int store_mark_open(struct store *s, unsigned worker) MUSTUSE;

/* Ask Redis for the mark; the answer goes to store_mark_is_fit(). 0 or -errno. */
int store_mark_ask(struct store *s, link_reply_fn *reply) MUSTUSE;
/* Has Redis all it must have? Else why is for an operator. */
bool store_mark_is_fit(struct store *s, const struct redisReply *reply, char *why, size_t room);
/* Write the next mark; its answer is for store_mark_written(). 0 or -errno. */
int store_mark_write(struct store *s, link_reply_fn *reply) MUSTUSE;
/* Redis has taken it: the floor may rise, and the journal let go. */
void store_mark_written(struct store *s);

#endif
