/*
 * A store in memory for simulations: several instances share one model, every call is
 * answered by fake_store_run(), late, refused or unknown where the script says so.
 */
#ifndef STATWEIR_TESTS_SIM_FAKE_STORE_H
#define STATWEIR_TESTS_SIM_FAKE_STORE_H

#include "proxy/store/store.h"

enum {
	FAKE_CLIENTS = 512,
	FAKE_RULES = 2048,
	FAKE_SHARDS = 16,
	FAKE_RAW = 256,
};

enum fake_call {
	FAKE_LEASE,
	FAKE_RELEASE,
	FAKE_SEAL,
	FAKE_OUTBOX,
	FAKE_SETTLE,
	FAKE_ROTATE,
	FAKE_NAMES,
	FAKE_ADD,
	FAKE_CALLS
};

enum fake_fault {
	FAKE_FINE,
	FAKE_REFUSED,	   /* not done, and the answer says so */
	FAKE_UNKNOWN_DONE, /* done, but no answer */
	FAKE_UNKNOWN_LOST, /* not done, no answer */
};

struct fake_bucket {
	uint64_t count, seq;
	int64_t first_ms, last_ms, sealed_ms;
	unsigned char bits[FAKE_RULES / 8];
	uint32_t more[FAKE_RULES]; /* further messages of a rule */
	char extra[4096];
};

struct fake_client {
	char name[64];
	unsigned shard;
	uint64_t seq;
	uint64_t added, settled; /* messages, ever */
	bool is_dirty, is_sealed;
	struct fake_bucket open, sealed;
	char raw[FAKE_RAW];
};

struct fake_model {
	char nonce[33];
	unsigned n_shards;
	struct fake_client *clients; /* FAKE_CLIENTS */
	unsigned n_clients;
	char rules[FAKE_SHARDS][FAKE_RULES][16];
	unsigned n_rules[FAKE_SHARDS];
	struct {
		char owner[32];
		int64_t token, until_ms;
	} lease[FAKE_SHARDS];
	unsigned n_seals[FAKE_SHARDS], n_rotations, n_fenced;
	unsigned generation;
};

void fake_model_init(struct fake_model *m, unsigned n_shards);
void fake_model_fini(struct fake_model *m);
/* Count one message, as store_add() does. raw may be NULL. */
void fake_model_add(struct fake_model *m, const char *client, const char *rule, const char *raw);
/* As its file is now, for a Redis that dies and comes back with it. out is for one restore. */
void fake_model_save(const struct fake_model *m, struct fake_model *out);
void fake_model_restore(struct fake_model *m, struct fake_model *saved);
/* Totals over all clients; open and sealed are recounted. */
uint64_t fake_model_added(const struct fake_model *m);
uint64_t fake_model_settled(const struct fake_model *m);
uint64_t fake_model_pending(const struct fake_model *m);

/* An instance. */
struct store *fake_store_new(struct fake_model *m);
/* Calls without an answer stay unanswered; with is_done those under way are done first. */
void fake_store_kill(struct store *s, bool is_done);
/* The next times calls of this kind go wrong. */
void fake_store_fault(struct store *s, enum fake_call call, enum fake_fault fault, unsigned times);
/* Answers take this long. */
void fake_store_delay(struct store *s, int64_t ms);
/* Answer what is due; true if there was anything. */
bool fake_store_run(struct store *s);
/* Is a call of this kind without an answer? */
bool fake_store_has(const struct store *s, enum fake_call call);
unsigned fake_store_calls(const struct store *s, enum fake_call call);

#endif
