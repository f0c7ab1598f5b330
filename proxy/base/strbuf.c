#include "proxy/base/strbuf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void strbuf_init(struct strbuf *b, size_t cap)
{
	*b = (struct strbuf){.cap = cap};
}

void strbuf_fini(struct strbuf *b)
{
	free(b->p);
	*b = (struct strbuf){.cap = b->cap};
}

void strbuf_reset(struct strbuf *b)
{
	b->n = 0;
	b->has_failed = false;
}

/* Make room for more bytes; false (and failed) past the bound or without memory. */
static bool reserve(struct strbuf *b, size_t more)
{
	size_t room = b->room ? b->room : 256;
	char *p;

	if (b->has_failed || more > b->cap - b->n) {
		b->has_failed = true;
		return false;
	}
	if (b->n + more <= b->room)
		return true;
	while (room < b->n + more)
		room *= 2;
	if (room > b->cap)
		room = b->cap;
	p = realloc(b->p, room);
	if (p == NULL) {
		b->has_failed = true;
		return false;
	}
	b->p = p;
	b->room = room;
	return true;
}

void strbuf_put(struct strbuf *b, struct slice s)
{
	if (s.n == 0 || !reserve(b, s.n))
		return;
	memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
}

void strbuf_put_str(struct strbuf *b, const char *cstr)
{
	strbuf_put(b, slice_str(cstr));
}

void strbuf_put_u64(struct strbuf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	strbuf_put(b, slice_make(digits + at, sizeof(digits) - at));
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	char small[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->has_failed = true;
		return;
	}
	if ((size_t)n < sizeof(small)) {
		strbuf_put(b, slice_make(small, (size_t)n));
		return;
	}
	/* vsnprintf writes a NUL behind the text: reserve it, do not count it. */
	if (!reserve(b, (size_t)n + 1))
		return;
	va_start(ap, fmt);
	vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}
