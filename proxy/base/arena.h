/*
 * Bump allocation for the length of one inspection: one block, a hard bound, no
 * single frees, no growth. What does not fit is refused, which for a filter
 * means: pass the message on.
 */
#ifndef STATWEIR_BASE_ARENA_H
#define STATWEIR_BASE_ARENA_H

#include "proxy/base/check.h"

#include <stddef.h>

struct arena {
	char *base; /* owned */
	size_t used;
	size_t size;
};

/* Allocate the block. 0 or -ENOMEM. */
int arena_init(struct arena *a, size_t size) MUSTUSE;
void arena_fini(struct arena *a);

/* n bytes aligned to 16, uninitialised; NULL when the arena is full. */
void *arena_get(struct arena *a, size_t n);

/* Give back all but the first n bytes of p, the block that was got last. */
void arena_trim(struct arena *a, const void *p, size_t n);

/* Forget everything allocated; the block stays. */
static inline void arena_reset(struct arena *a)
{
	a->used = 0;
}

#endif
