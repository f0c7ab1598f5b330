/*
 * Replicas, for the store*.c files only: with redis.wait a record that Redis has counts as
 * recorded when so many replicas have it too.
 *
 * A round of records ends with two commands in the same write: one that changes something,
 * so that there is always a place in the replication stream to wait for, and WAIT. What was
 * answered before WAIT is covered by it; what comes later (a call that was sent twice)
 * needs another one.
 */
#ifndef STATWEIR_STORE_STORE_WAIT_H
#define STATWEIR_STORE_STORE_WAIT_H

#include "proxy/store/link.h"
#include "proxy/store/store.h"

STAILQ_HEAD(record_list, record);

struct call;

struct store_wait {
	struct record_list list;  /* Redis has them, of the replicas nobody knows */
	int64_t n_new, n_counted; /* of them, as Redis said */
	bool is_under_way;	  /* one WAIT at a time; it counts as a call of the round */
	bool is_marked;		  /* the change before the last WAIT was made */
};

void store_wait_init(struct store_wait *w);
/* Do answers depend on replicas? */
bool store_wait_is_on(const struct store *s);
/* After the calls of a round have been sent. */
void store_wait_begin(struct store *s);
/* Redis has recorded those of c, n_new of them new: they wait here. */
void store_wait_keep(struct store *s, struct call *c, int64_t n_new);
/* Ask for replicas outside of rounds: store_wait_is_enough() reads the answer. 0 or -errno. */
int store_wait_ask(struct store *s, link_reply_fn *reply) MUSTUSE;
/* Is that answer enough? Else why is for an operator. */
bool store_wait_is_enough(const struct store *s, const struct redisReply *reply, char *why,
			  size_t room);
/* A call of the round has been answered: does anything wait that no WAIT covers? */
void store_wait_go_on(struct store *s);

#endif
