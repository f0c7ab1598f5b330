/* What the fuzz targets of the HTTP layer share. */
#ifndef STATWEIR_TESTS_FUZZ_FUZZ_HTTP_H
#define STATWEIR_TESTS_FUZZ_FUZZ_HTTP_H

#include "proxy/base/check.h"
#include "proxy/http/reader.h"

#include <stdlib.h>

/* Small enough for an input to reach them. */
static const struct http_limits fuzz_limits = {
	.request_line = 64,
	.field_line = 64,
	.head = 256,
	.method = 8,
	.fields = 8,
	.pseudonym = {"weir", 4},
};

/* A copy of exactly that size, so that a byte read too far is noticed. */
static inline char *fuzz_copy(struct slice s)
{
	char *p = malloc(s.n > 0 ? s.n : 1);

	CHECK(p != NULL);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

static inline void fuzz_check_same_head(const struct http_head *a, const struct http_head *b)
{
	CHECK(slice_eq(a->method, b->method) && slice_eq(a->target, b->target));
	CHECK(slice_eq(a->path, b->path) && slice_eq(a->query, b->query));
	CHECK(slice_eq(a->authority, b->authority) && a->is_absolute == b->is_absolute);
	CHECK(a->is_head == b->is_head && a->status == b->status && a->minor == b->minor);
	CHECK(a->framing == b->framing && a->length == b->length);
	CHECK(a->keep_alive == b->keep_alive && a->expects_continue == b->expects_continue);
	CHECK(a->has_upgrade == b->has_upgrade && a->has_bound_auth == b->has_bound_auth);
	CHECK(a->via_count == b->via_count && a->head_bytes == b->head_bytes);
	CHECK(a->n_fields == b->n_fields);
	for (unsigned i = 0; i < a->n_fields; i++) {
		CHECK(slice_eq(a->fields[i].name, b->fields[i].name));
		CHECK(slice_eq(a->fields[i].value, b->fields[i].value));
		CHECK(a->fields[i].id == b->fields[i].id);
		CHECK(a->fields[i].is_dropped == b->fields[i].is_dropped);
	}
}

#endif
