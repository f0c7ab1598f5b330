/*
 * Blocks to use again, the one used last first: its bytes are still in the cache. What a
 * burst left over is given back slowly, so that a load which keeps returning doesn't ask
 * the system for the same pages each time. The list's link is in the block's own first
 * bytes.
 */
#ifndef STATWEIR_BASE_SPARE_H
#define STATWEIR_BASE_SPARE_H

#include <stddef.h>
#include <string.h>

/* All zero is an empty list. */
struct spare {
	void *first;
	size_t n;
	size_t low; /* the fewest there were since the last spare_surplus() */
};

/* Give a block away. NULL when there is none. */
static inline void *spare_take(struct spare *s)
{
	void *block = s->first;

	if (block == NULL)
		return NULL;
	memcpy(&s->first, block, sizeof(s->first));
	s->n--;
	if (s->low > s->n)
		s->low = s->n;
	return block;
}

/* Keep a block of at least a pointer's size; its first bytes are overwritten. */
static inline void spare_put(struct spare *s, void *block)
{
	memcpy(block, &s->first, sizeof(s->first));
	s->first = block;
	s->n++;
}

/*
 * How many to take and free now, if this is asked once a second: half of those that were
 * not needed since the last time, beyond the floor.
 */
static inline size_t spare_surplus(struct spare *s, size_t floor)
{
	size_t unused = s->low;

	s->low = s->n;
	return unused > floor ? (unused - floor + 1) / 2 : 0;
}

#endif
