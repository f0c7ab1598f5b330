/* A histogram of times, so coarse that it costs nothing and so fine that p99 means something. */
#include "proxy/core/throttle_priv.h"

#include <string.h>

#define TURN_US (60 * (int64_t)US_PER_S)

/* Octave by the highest bit, eight steps in it by the next three. */
static unsigned bucket_of(int64_t us)
{
	uint64_t v = us < 8 ? 8 : (uint64_t)us;
	unsigned top = 63u - (unsigned)__builtin_clzll(v);
	unsigned i = (top - 3) * 8 + (unsigned)(v >> (top - 3) & 7);

	return i < HIST_BUCKETS ? i : HIST_BUCKETS - 1;
}

static int64_t middle_of(unsigned i)
{
	unsigned shift = i / 8;

	return ((int64_t)(8 + i % 8) << shift) + ((INT64_C(1) << shift) >> 1);
}

void hist_add(struct hist *h, int64_t us)
{
	h->n[h->current][bucket_of(us)]++;
	h->total[h->current]++;
}

void hist_turn(struct hist *h, int64_t now_us)
{
	if (now_us - h->turned_us < TURN_US)
		return;
	h->turned_us = now_us;
	h->current ^= 1;
	memset(h->n[h->current], 0, sizeof(h->n[0]));
	h->total[h->current] = 0;
}

int64_t hist_percentile(const struct hist *h, double share)
{
	double want = share * (double)(h->total[0] + h->total[1]);
	uint64_t seen = 0;

	if (h->total[0] + h->total[1] == 0)
		return 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += (uint64_t)h->n[0][i] + h->n[1][i];
		if ((double)seen >= want && seen > 0)
			return middle_of(i);
	}
	return middle_of(HIST_BUCKETS - 1);
}
