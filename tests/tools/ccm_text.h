/*
 * Text for messages: a buffer of fixed room, UTF-16LE, and names drawn from a seed.
 */
#ifndef STATWEIR_TOOLS_CCM_TEXT_H
#define STATWEIR_TOOLS_CCM_TEXT_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

struct ccm_text {
	char *p; /* owned */
	size_t n, room;
};

void ccm_text_init(struct ccm_text *t, size_t room);
void ccm_text_fini(struct ccm_text *t);

/* Room is for the caller to provide: a text that does not fit is our own bug. */
static inline void ccm_put(struct ccm_text *t, struct slice s)
{
	CHECK(s.n <= t->room - t->n);
	if (s.n > 0)
		memcpy(t->p + t->n, s.p, s.n);
	t->n += s.n;
}

static inline void ccm_puts(struct ccm_text *t, const char *cstr)
{
	ccm_put(t, slice_str(cstr));
}

/* Decimal, with leading zeros up to width. */
void ccm_put_number(struct ccm_text *t, uint64_t v, unsigned width);
void ccm_put_hex(struct ccm_text *t, uint64_t v, unsigned digits);
/* ASCII as UTF-16LE. */
void ccm_put_wide(struct ccm_text *t, struct slice ascii);

/* A draw: the same for the same three numbers, unlike any other. */
uint64_t ccm_hash(uint64_t seed, uint64_t a, uint64_t b);
/* XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX and a NUL. */
void ccm_guid(uint64_t hi, uint64_t lo, char out[37]);

#endif
