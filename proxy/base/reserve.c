#include "proxy/base/reserve.h"

#include <errno.h>
#include <stdlib.h>

/* Many of the small blocks that they ask for; below what glibc would map apart. */
#define RESERVE_BYTES 65536

static void *reserve;

int reserve_fill(void)
{
	if (reserve == NULL)
		reserve = malloc(RESERVE_BYTES);
	return reserve != NULL ? 0 : -ENOMEM;
}

void reserve_fini(void)
{
	free(reserve);
	reserve = NULL;
}

void *reserve_malloc(size_t n)
{
	void *p = malloc(n);

	if (p != NULL)
		return p;
	reserve_fini();
	return malloc(n);
}

void *reserve_realloc(void *p, size_t n)
{
	void *moved = realloc(p, n);

	/* Without bytes to keep it is free(), and NULL no lack. */
	if (moved != NULL || n == 0)
		return moved;
	reserve_fini();
	return realloc(p, n);
}
