/*
 * Byte buffers of one size from a pool. An idle connection holds none.
 *
 *	p          start            end              cap
 *	|  used up  |  bytes to use  |  free          |
 *
 * A buffer's bytes stay where they are until iobuf_compact(), so slices into it hold.
 */
#ifndef STATWEIR_IO_IOBUF_H
#define STATWEIR_IO_IOBUF_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#define IOBUF_BYTES 65536u

struct iobuf {
	char *p; /* NULL: no block */
	size_t start, end, cap;
};

/* Make sure there is a block. 0 or -ENOMEM. */
int iobuf_need(struct iobuf *b) MUSTUSE;
/* Give the block back to the pool, with whatever is in it. */
void iobuf_release(struct iobuf *b);
/* Replace the block by one of at least cap bytes; the contents move. 0 or -ENOMEM. */
int iobuf_enlarge(struct iobuf *b, size_t cap) MUSTUSE;
/* Move the contents to the front of the block. */
void iobuf_compact(struct iobuf *b);
/* Once a second: give back some of the blocks that a burst left over. */
void iobuf_pool_trim(void);
/* Free the pool's spare blocks (at exit). */
void iobuf_pool_fini(void);

static inline size_t iobuf_used(const struct iobuf *b)
{
	return b->end - b->start;
}

static inline size_t iobuf_room(const struct iobuf *b)
{
	return b->cap - b->end;
}

static inline struct slice iobuf_slice(const struct iobuf *b)
{
	return slice_make(b->p + b->start, b->end - b->start);
}

static inline void iobuf_consume(struct iobuf *b, size_t n)
{
	DCHECK(n <= iobuf_used(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

#endif
