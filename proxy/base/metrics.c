#include "proxy/base/metrics.h"

#include <stddef.h>

const struct metric_info metric_table[METRIC_COUNT] = {
#define METRIC(name, kind, prom, labels, help) {prom, labels, help, kind},
#include "proxy/base/metrics.def"
#undef METRIC
};

static struct metrics own;
struct metrics *metrics_self = &own;

void metrics_use(struct metrics *m)
{
	CHECK(m != NULL);
	metrics_self = m;
}
