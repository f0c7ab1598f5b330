/*
 * A worker is a cell: one event loop, one upstream pool, one store link, one flusher,
 * and the connections it has accepted. Nothing is shared with other workers but the
 * metrics page. A turn: one poll, then everything that is done once per turn.
 */
#ifndef STATWEIR_CORE_WORKER_H
#define STATWEIR_CORE_WORKER_H

#include "filters/status_filter.h"
#include "proxy/base/conf.h"
#include "proxy/base/spare.h"
#include "proxy/core/ack.h"
#include "proxy/core/admin.h"
#include "proxy/core/throttle.h"
#include "proxy/flush/flush.h"
#include "proxy/http/body.h"
#include "proxy/http/reader.h"
#include "proxy/io/listen.h"
#include "proxy/io/upstream.h"
#include "proxy/store/store.h"

#include <sys/queue.h>

struct conn;
struct exchange;
struct post;
struct addr_count;

TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(exch_list, exchange);
TAILQ_HEAD(post_list, post);

struct worker {
	const struct conf *conf;
	unsigned number; /* from 0; a worker that is started again has the same */
	struct event_base *base;
	struct event *tick;
	struct listener *listener;
	struct upstream *upstream;
	struct store *store;
	struct ack_set *ack;
	struct flush *flush;
	struct throttle *throttle;
	struct event *pace_timer;
	struct pace_class *pace_classes; /* throttle.classes, n_pace_classes of them */
	unsigned n_pace_classes;
	struct status_filter filter;
	struct summary_identity identity;
	struct networks trusted;
	struct http_limits request_limits, response_limits;
	struct http_body_limits body_limits;
	struct arena scratch;	  /* of the message being inspected */
	struct strbuf out;	  /* head being written; emptied by its writer */
	struct conn_list *conns;  /* CONN_STATES lists, by state */
	struct exch_list waiting; /* for an acknowledgement to be learned */
	struct spare spare;	  /* exchanges to use again */
	unsigned n_ticks;
	unsigned n_reads;	/* of connections, since the store was looked at */
	struct post_list posts; /* summaries under way */
	struct addr_count *per_addr;
	uint64_t ack_seen;	  /* ack_generation() that the waiting have been asked for */
	int64_t n_conns, n_fresh; /* client connections; those that never sent a byte */
	bool is_draining, is_stopping;
	int64_t drain_until_ms;
	char machine_name[64], source_id[64], target_host[256], owner[64];
};

/*
 * Build everything of a worker on base. listen_fd is borrowed. redis_conf is conf with
 * the address of the store. 0 or -errno after a log line.
 */
int worker_open(struct worker *w, struct event_base *base, const struct conf *conf, unsigned number,
		int listen_fd) MUSTUSE;
void worker_close(struct worker *w);

/* Run turns until a drain has ended. */
void worker_run(struct worker *w);

/* Stop accepting, finish what is under way, at most conf->drain_ms. Again: stop now. */
void worker_drain(struct worker *w);

/* "ok", or why it is not ready for traffic. */
const char *worker_readiness(const struct worker *w);

#endif
