/*
 * The flusher: every interval, for each shard whose lease it gets, it seals clients
 * and sends their summaries until the management point has acknowledged them.
 *
 *   lease -> outbox (a predecessor's) -> seal -> write -> post -> acknowledged -> settle
 *                                                         \-> anything else: same bytes again,
 * later
 *
 * It knows the store and the bytes; posting is a callback, so a simulation can play
 * the management point.
 */
#ifndef STATWEIR_FLUSH_FLUSH_H
#define STATWEIR_FLUSH_FLUSH_H

#include "proxy/flush/summary.h"
#include "proxy/store/store.h"

struct flush;

typedef void flush_posted_fn(void *arg, bool is_acknowledged, const char *why);

struct flush_env {
	void *arg;
	/*
	 * Send one whole request; envelope_id is what to mask in the reply. request stays
	 * valid until done() has run. done() runs exactly once, never before this returns:
	 * is_acknowledged only for a reply equal to a learned acknowledgement. 0, or -ENOMEM:
	 * it will not run.
	 */
	int (*post)(void *arg, struct slice request, const char *envelope_id, flush_posted_fn *done,
		    void *done_arg);
	/* Is there a learned acknowledgement to compare with? Else nothing is sent. */
	bool (*may_post)(void *arg);
};

/* conf, who and env are borrowed for its life. owner names this worker uniquely. 0 or -ENOMEM. */
int flush_open(struct flush **out, struct store *store, const struct conf *conf,
	       const struct summary_identity *who, const struct flush_env *env,
	       const char *owner) MUSTUSE;
/* Nothing of it may be under way: after flush_is_idle(), or when the store is closed. */
void flush_close(struct flush *f);

/* Every 100 ms. */
void flush_tick(struct flush *f);

/* Seal and send what there is now, whatever the interval says. */
void flush_now(struct flush *f);

/* Begin nothing new and give leases back; what is pending stays in Redis. */
void flush_stop(struct flush *f);
bool flush_is_idle(const struct flush *f);

#endif
