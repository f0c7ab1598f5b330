/*
 * Counters and gauges. Each worker has one slot in a page that the supervisor
 * shares with it; the worker is the slot's only writer, readers add slots up.
 */
#ifndef STATWEIR_BASE_METRICS_H
#define STATWEIR_BASE_METRICS_H

#include "proxy/base/check.h"

#include <stdint.h>

enum metric_kind {
	COUNTER,
	GAUGE
};

enum metric {
#define METRIC(name, kind, prom, labels, help) M_##name,
#include "proxy/base/metrics.def"
#undef METRIC
	METRIC_COUNT
};

enum doubt_slots {
	METRICS_DOUBTS = 64,
	METRICS_REASONS = 128,
	METRICS_CHANGES = 32
};

struct metrics {
	int64_t v[METRIC_COUNT];
	int64_t doubt[METRICS_DOUBTS];	 /* by enum doubt of filters/ */
	int64_t reason[METRICS_REASONS]; /* by enum reason of proxy/http/reason.h */
	int64_t change[METRICS_CHANGES]; /* by enum change of the same */
} __attribute__((aligned(64)));

struct metric_info {
	const char *name, *labels, *help;
	enum metric_kind kind;
};
extern const struct metric_info metric_table[METRIC_COUNT];

/* The slot of this process; a private one until metrics_use(). Never NULL. */
extern struct metrics *metrics_self;

/* Count into m from now on; m is borrowed for the life of the process. */
void metrics_use(struct metrics *m);

static inline void metric_add(enum metric m, int64_t n)
{
	metrics_self->v[m] += n;
}

static inline void metric_set(enum metric m, int64_t n)
{
	metrics_self->v[m] = n;
}

#endif
