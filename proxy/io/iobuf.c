#include "proxy/io/iobuf.h"

#include "proxy/base/spare.h"

#include <errno.h>
#include <stdlib.h>

/* So many spare blocks are kept for ever. */
#define SPARE_FLOOR 256
/* A message of the usual size then lies in one page, and a waiting one holds no other. */
#define BLOCK_ALIGN 4096

static struct spare spare;

static char *new_block(void)
{
	char *p = spare_take(&spare);

	return p != NULL ? p : aligned_alloc(BLOCK_ALIGN, IOBUF_BYTES);
}

int iobuf_need(struct iobuf *b)
{
	if (b->p != NULL)
		return 0;
	b->p = new_block();
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
	if (b->cap == IOBUF_BYTES)
		spare_put(&spare, b->p);
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

static void free_blocks(size_t n)
{
	while (n-- > 0)
		free(spare_take(&spare));
}

void iobuf_pool_trim(void)
{
	free_blocks(spare_surplus(&spare, SPARE_FLOOR));
}

void iobuf_pool_fini(void)
{
	free_blocks(spare.n);
}
