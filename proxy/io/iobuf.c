#include "proxy/io/iobuf.h"

#include <errno.h>
#include <stdlib.h>

/* More spare blocks than this go back to the system: a burst must not be kept for ever. */
#define SPARE_MAX 256

static char *spare[SPARE_MAX];
static unsigned n_spare;

int iobuf_need(struct iobuf *b)
{
	if (b->p != NULL)
		return 0;
	b->p = n_spare > 0 ? spare[--n_spare] : malloc(IOBUF_BYTES);
	if (b->p == NULL)
		return -ENOMEM;
	b->start = b->end = 0;
	b->cap = IOBUF_BYTES;
	return 0;
}

void iobuf_release(struct iobuf *b)
{
	if (b->p == NULL)
		return;
	if (b->cap == IOBUF_BYTES && n_spare < SPARE_MAX)
		spare[n_spare++] = b->p;
	else
		free(b->p);
	*b = (struct iobuf){0};
}

int iobuf_enlarge(struct iobuf *b, size_t cap)
{
	char *p;
	size_t n = iobuf_used(b);

	if (cap <= b->cap)
		return 0;
	p = malloc(cap);
	if (p == NULL)
		return -ENOMEM;
	if (n > 0)
		memcpy(p, b->p + b->start, n);
	iobuf_release(b);
	*b = (struct iobuf){.p = p, .end = n, .cap = cap};
	return 0;
}

void iobuf_compact(struct iobuf *b)
{
	size_t n = iobuf_used(b);

	if (b->start == 0)
		return;
	memmove(b->p, b->p + b->start, n);
	b->start = 0;
	b->end = n;
}

void iobuf_pool_fini(void)
{
	while (n_spare > 0)
		free(spare[--n_spare]);
}
