/* The storm: many clients, few connections, one thread. For the storm_*.c files only. */
#ifndef STATWEIR_TOOLS_STORM_H
#define STATWEIR_TOOLS_STORM_H

#include "proxy/base/strbuf.h"
#include "tests/tools/ccm.h"
#include "tests/tools/http_client.h"
#include "tests/tools/id_set.h"
#include "tests/tools/tool_address.h"

#include <stdio.h>
#include <sys/queue.h>

struct event_base;

struct storm_options {
	const char *target, *journal, *report, *host;
	uint32_t clients, rules, connections;
	unsigned variants;	 /* bit mask of enum ccm_variant */
	unsigned other_percent;	 /* share of traffic that is not 10907 */
	unsigned twice_percent;	 /* share of 10907 that is sent again though acknowledged */
	unsigned rate;		 /* messages per second, 0: as fast as answers come */
	int64_t retry_minute_ms; /* how long a minute of the retry ladder lasts */
	int64_t give_up_ms, timeout_ms, probe_ms;
	uint64_t seed;
	bool does_resume, is_quiet;
};

/* What came of a request. */
enum storm_verdict {
	STORM_DONE,
	STORM_NEXT_STEP,
	STORM_REFUSED, /* an answer, but not one that a client takes for a yes */
	STORM_DAMAGED, /* an answer to something else than what was sent */
	STORM_VERDICTS,
};

struct storm_client {
	STAILQ_ENTRY(storm_client) link; /* in ready or waiting */
	struct ccm_item item;
	uint32_t next_serial, next_rule;
	uint32_t sent; /* times that the current message was sent */
	bool is_open;  /* there is a current message */
	bool is_twice; /* it was acknowledged before */
	int64_t due_us, first_us, arrival_us, sent_us;
	struct ccm_request request; /* slices are stale once the next one is built */
	uint32_t body_crc, head_crc, upload_crc;
	size_t body_bytes;
	char token[40];
};
STAILQ_HEAD(storm_queue, storm_client);

struct storm_conn {
	SLIST_ENTRY(storm_conn) link; /* while idle */
	struct http_client *http;
	struct storm_client *client;
	struct storm *storm;
};

/* Microseconds in buckets of 1/16 of a power of two. */
struct storm_times {
	uint64_t bucket[60 * 16];
	uint64_t n;
	int64_t max_us;
};

struct storm_counts {
	uint64_t sent, retried, gave_up, resumed;
	uint64_t acknowledged[CCM_KINDS]; /* in the journal */
	uint64_t twice;
	uint64_t verdict[STORM_VERDICTS];
	uint64_t refused_connections, resets, timeouts, protocol_errors;
	uint64_t bytes;
};

struct storm {
	struct storm_options opt;
	struct event_base *base;
	struct tool_address target;
	struct ccm_builder builder;
	struct storm_client *clients;
	struct storm_conn *conns;
	struct storm_queue ready, waiting;
	SLIST_HEAD(storm_idle, storm_conn) idle;
	uint32_t finished; /* clients with nothing left to send */
	bool is_stopped;
	int64_t start_us, last_us;
	uint64_t arrivals; /* sent so far, of those the rate asks for */
	struct storm_conn probe;
	struct storm_client probe_client;
	/* results */
	struct storm_counts count;
	uint64_t fresh[CCM_KINDS]; /* acknowledged this turn, journal not yet written */
	uint64_t fresh_twice;
	struct storm_times times, policy_times;
	int journal;
	struct strbuf lines;
	struct id_set known; /* acknowledged in an earlier run */
	bool has_bar;
	int64_t next_progress_us;
	uint64_t progress_acknowledged;
	char damage[256]; /* the first one, in words */
};

/* storm_client.c */
void storm_clients_start(struct storm *s);
void storm_clients_stop(struct storm *s);
/* Send what can be sent now. */
void storm_pump(struct storm *s);
/* Every 20 ms: retries and time-outs that are due, probes. */
void storm_tick(struct storm *s);

/* storm_check.c: judge the reply to the client's current request. */
enum storm_verdict storm_check(struct storm_client *c, const struct http_msg *reply,
			       const char **why);

/* storm_report.c */
int storm_journal_open(struct storm *s) MUSTUSE;
/* what: 'A' acknowledged, 'D' acknowledged once more, 'U' not acknowledged. */
void storm_journal_put(struct storm *s, char what, const struct storm_client *c,
		       struct slice reply);
/* Write the lines of this turn; only then do they count. */
void storm_journal_flush(struct storm *s);
void storm_times_add(struct storm_times *t, int64_t us);
void storm_progress(struct storm *s, bool is_last);
/* The final report; 0, or -errno of the report file. */
int storm_report(struct storm *s) MUSTUSE;

#endif
