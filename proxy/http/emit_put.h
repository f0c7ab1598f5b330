/* Appending many small pieces: the copy is inline where there is room. */
#ifndef STATWEIR_HTTP_EMIT_PUT_H
#define STATWEIR_HTTP_EMIT_PUT_H

#include "proxy/base/strbuf.h"

static inline void emit_put(struct strbuf *out, struct slice s)
{
	if (s.n == 0 || out->has_failed || out->room - out->n < s.n) {
		strbuf_put(out, s);
		return;
	}
	memcpy(out->p + out->n, s.p, s.n);
	out->n += s.n;
}

#endif
