/*
 * Memory for libraries that do not bear its lack: libevent's HTTP server follows a NULL,
 * jansson leaves a value out of a document. A block set aside at the start is given up when
 * an allocation of theirs fails, which is then tried again; between turns it is set aside
 * anew. For the main thread only.
 */
#ifndef STATWEIR_BASE_RESERVE_H
#define STATWEIR_BASE_RESERVE_H

#include "proxy/base/check.h"

#include <stddef.h>

/* Set it aside, unless it is. At the start, and now and then. 0 or -ENOMEM. */
int reserve_fill(void);
/* Give it up for good (at exit). */
void reserve_fini(void);

/* As malloc() and realloc(), at the expense of the reserve. What they give is free()d. */
void *reserve_malloc(size_t n) MUSTUSE;
void *reserve_realloc(void *p, size_t n) MUSTUSE;

#endif
