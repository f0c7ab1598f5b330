/*
 * Posting a summary: one request of our own, its reply compared with the learned
 * acknowledgement. The seam behind struct flush_env.
 */
#ifndef STATWEIR_CORE_POST_H
#define STATWEIR_CORE_POST_H

#include "proxy/core/worker.h"

/* As flush_env.post: request stays the caller's until done() has run. 0 or -ENOMEM. */
int post_send(struct worker *w, struct slice request, const char *envelope_id,
	      flush_posted_fn *done, void *done_arg) MUSTUSE;

/* Every 100 ms: deadlines. */
void post_tick(struct worker *w);
/* End of a turn: call back and free those that have ended. */
void post_finish(struct worker *w);
/* End all of them as failed (at exit). */
void post_fini(struct worker *w);

#endif
