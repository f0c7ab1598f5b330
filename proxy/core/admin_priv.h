/*
 * The admin listener's inside, for the admin*.c files only.
 *
 *   admin.c         listener, paths, answers
 *   admin_audit.c   the recount of the store in the background
 *   admin_figures.c all numbers at one moment: slots added up, balance, process
 *   admin_text.c    /metrics, /stats.csv
 *   admin_json.c    /stats.json, /ledger, /readyz
 *   admin_page.c    /, /ledger?format=text
 *   admin_query.c   what Redis is asked for: /ledger/windows, /clients/ID, /rules
 */
#ifndef STATWEIR_CORE_ADMIN_PRIV_H
#define STATWEIR_CORE_ADMIN_PRIV_H

#include "proxy/base/strbuf.h"
#include "proxy/core/admin.h"

#include <sys/queue.h>

#ifndef STATWEIR_VERSION
#define STATWEIR_VERSION "0.1"
#endif

#define ADMIN_MAGIC	     0x61646d6eu
#define ADMIN_MAX_WAITING    16 /* requests that wait for a recount */
#define ADMIN_SCHEMA_VERSION 1	/* of the JSON documents; raised when a name changes its meaning */

struct evhttp;
struct evhttp_request;

/* One request that waits for a recount which began after it came. */
struct admin_waiter {
	STAILQ_ENTRY(admin_waiter) link;
	struct evhttp_request *req;
	uint64_t run; /* the first recount that will do */
	bool is_text;
};

struct admin_audit {
	bool is_running;
	bool has_total;
	bool has_failed; /* the last recount; total is of the one before */
	unsigned shard;	 /* being recounted */
	uint64_t run;	 /* number of the recount under way, or of the last one */
	struct audit sum, total;
	int64_t started_ms, next_ms; /* monotonic */
	int64_t total_at_ms;	     /* wall clock */
};

struct admin {
	unsigned magic;
	struct admin_env env;
	struct evhttp *http; /* NULL: off */
	uint16_t port;
	int64_t since_ms, since_mono_ms;
	char instance[96];
	struct admin_audit audit;
	STAILQ_HEAD(, admin_waiter) waiters;
	unsigned n_waiters;
	LIST_HEAD(, question) questions;
	unsigned n_questions;
	/* Closed while the store owes an answer: freed when it comes. */
	bool is_closed;
};

/* --- admin.c --- */

/* Send out as the whole answer. The request is libevent's again afterwards. */
void admin_answer(struct evhttp_request *req, int status, const char *type,
		  const struct strbuf *out);
void admin_answer_words(struct evhttp_request *req, int status, const char *words);

/* --- admin_query.c --- */

/* Answer path, now or when Redis has. False: it is none of the questions. */
bool admin_query(struct admin *a, struct evhttp_request *req, const char *path);
/* Answer those that wait, before the listener goes. */
void admin_query_close(struct admin *a);

/* --- admin_figures.c --- */

struct figures {
	struct metrics sum; /* slots put together */
	int64_t imbalance;  /* received without what became of it */
	int64_t absorbed;   /* unique and duplicate */
	int64_t avoided;    /* files that the management point did not have to write */
	bool has_ledger;    /* the store has been recounted */
	struct audit ledger;
	int64_t ledger_at_ms; /* wall clock */
	int64_t pending, store_imbalance;
	int64_t now_ms, uptime_ms;
	int64_t resident_bytes, open_fds; /* -1: not known */
	double cpu_s;
	const char *mode, *readiness, *store_state;
	bool is_ready, is_store_ready;
};

void figures_read(const struct admin *a, struct figures *f);

/* Is row m shown now? Those of the ledger only after a recount. */
bool figures_has(const struct figures *f, enum metric m);
int64_t figures_value(const struct figures *f, enum metric m);

/* What an operator should know, in order of weight, each one sentence; n of them. */
#define FINDINGS_MAX   8
#define FINDINGS_BYTES 200
struct findings {
	unsigned n;
	char v[FINDINGS_MAX][FINDINGS_BYTES];
};
void figures_judge(const struct admin *a, const struct figures *f, struct findings *out);

/* --- admin_audit.c --- */

/* Begin a recount, or (one is under way) remember to. Returns the number of the recount that
 * begins. */
uint64_t admin_audit_begin(struct admin *a);
void admin_audit_tick(struct admin *a);
/* admin.c: a recount has ended. */
void admin_audit_ended(struct admin *a);

/* --- the documents --- */

struct json_t;
/* Takes doc (NULL: out fails). */
void admin_put_json(struct json_t *doc, struct strbuf *out);
struct json_t *admin_utc(int64_t wall_ms);

void admin_put_metrics(const struct figures *f, struct strbuf *out);
void admin_put_csv(const struct figures *f, struct strbuf *out);
void admin_put_stats(const struct admin *a, const struct figures *f, struct strbuf *out);
void admin_put_ledger(const struct admin *a, const struct figures *f, struct strbuf *out);
void admin_put_ledger_text(const struct admin *a, const struct figures *f, struct strbuf *out);
void admin_put_readiness(const struct admin *a, const struct figures *f, struct strbuf *out);
void admin_put_page(const struct admin *a, const struct figures *f, struct strbuf *out);

#endif
