/*
 * The store's journal, for the store*.c files only: every record goes into it as well as to
 * Redis, and what Redis has not got is sent from it when Redis is back.
 *
 *   away: link down, a check failed, a call refused or without answer
 *   pass: replay of what was left to the journal, paced, beside live records
 *   restoring: Redis is another instance than before and may have forgotten its last
 *              seconds; every retained record is replayed before anything else is recorded
 */
#ifndef STATWEIR_STORE_STORE_JOURNAL_H
#define STATWEIR_STORE_STORE_JOURNAL_H

#include "proxy/store/store.h"

struct store_journal;

/* Append r; r->seq is its number. False: not kept, r is to be refused. */
bool store_journal_keep(struct store *s, struct record *r) MUSTUSE;
/* End of a turn: let the journal write what was kept. */
void store_journal_commit(struct store *s);
/* Redis has recorded r. */
void store_journal_recorded(struct store *s, const struct record *r);
/* r is acknowledged and Redis has perhaps not got it. */
void store_journal_left(struct store *s);
/* This Redis is not the one of before: restore before anything else is recorded. */
void store_journal_restore(struct store *s);
bool store_journal_is_restoring(const struct store *s);
/* Why nothing can be kept, in words for an operator; NULL: it can. */
const char *store_journal_why_not(const struct store *s);

/* Redis keeps, for certain, what it had before at_ms (monotonic): the journal need not. */
void store_journal_release(struct store *s, int64_t at_ms);

/* As of store_use_state(). */
int store_journal_open(struct store *s, unsigned worker) MUSTUSE;
void store_journal_tick(struct store *s);
/* What was synced meanwhile is reported. */
void store_journal_poll(struct store *s);
/* Between turns: send more of the pass, if it is its turn. */
void store_journal_replay(struct store *s);
/* Waits for the disk; records whose fate is open are answered from inside. */
void store_journal_close(struct store *s);

#endif
