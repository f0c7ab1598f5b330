/*
 * The throttle in its place: between "forward it" and a connection to the management
 * point. What may go goes at once, what may not waits here in state HELD with its bytes
 * in the client's buffer, what is too much gets 503 and a Retry-After of its own.
 */
#ifndef STATWEIR_CORE_PACE_H
#define STATWEIR_CORE_PACE_H

#include "proxy/core/exchange.h"

/* The throttle of a worker and its timer. 0 or -ENOMEM. */
int pace_open(struct worker *w) MUSTUSE;
/* No exchange may be held any more. */
void pace_close(struct worker *w);

/*
 * x is to be forwarded: exch_send() now or later, or x is refused. v as for
 * exch_forward().
 */
void pace_forward(struct exchange *x, const struct verdict *v);
/* x ends: it frees its place in the queue, or tells how the management point was. */
void pace_ended(struct exchange *x, enum fate fate, enum reason why);

/* Every 100 ms: figures, and the number of files in STAT.BOX where it is reported. */
void pace_tick(struct worker *w);
/* The worker drains until until_ms: whatever is held goes before. */
void pace_drain(struct worker *w, int64_t until_ms);

#endif
