/*
 * A growing byte string with a promised bound. After a failed put the buffer
 * stays failed and further puts do nothing, so a series of puts needs one check
 * at its end: strbuf_ok().
 */
#ifndef STATWEIR_BASE_STRBUF_H
#define STATWEIR_BASE_STRBUF_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

struct strbuf {
	char *p; /* owned; NULL until the first put */
	size_t n;
	size_t room; /* bytes allocated at p */
	size_t cap;  /* never more than this */
	bool has_failed;
};

/* No allocation; cap is the bound in bytes. */
void strbuf_init(struct strbuf *b, size_t cap);
void strbuf_fini(struct strbuf *b);
/* Empty it, keep the memory, forget a failure. */
void strbuf_reset(struct strbuf *b);

void strbuf_put(struct strbuf *b, struct slice s);
void strbuf_put_str(struct strbuf *b, const char *cstr);
void strbuf_put_u64(struct strbuf *b, uint64_t v);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline bool strbuf_ok(const struct strbuf *b)
{
	return !b->has_failed;
}

static inline struct slice strbuf_slice(const struct strbuf *b)
{
	return slice_make(b->p, b->n);
}

#endif
