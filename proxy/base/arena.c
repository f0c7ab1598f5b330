#include "proxy/base/arena.h"

#include <errno.h>
#include <stdlib.h>

#define ARENA_ALIGN 16u

int arena_init(struct arena *a, size_t size)
{
	a->base = malloc(size);
	a->used = 0;
	a->size = a->base ? size : 0;
	return a->base ? 0 : -ENOMEM;
}

void arena_fini(struct arena *a)
{
	free(a->base);
	*a = (struct arena){0};
}

void arena_trim(struct arena *a, const void *p, size_t n)
{
	size_t at = (size_t)((const char *)p - a->base);

	CHECK(at + n <= a->used);
	a->used = at + n;
}

void *arena_get(struct arena *a, size_t n)
{
	size_t at = (a->used + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

	if (at > a->size || n > a->size - at)
		return NULL;
	a->used = at + n;
	return a->base + at;
}
