/*
 * Reading a head in one piece, byte by byte, and in pieces of seven: whatever the
 * pieces, the outcome must be the same.
 */
#ifndef STATWEIR_TESTS_UNIT_HTTP_TRY_H
#define STATWEIR_TESTS_UNIT_HTTP_TRY_H

#include "proxy/http/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct http_limits try_limits = {
	.request_line = 8192,
	.field_line = 8192,
	.head = 32768,
	.method = 32,
	.fields = 100,
	.pseudonym = {"weir", 4},
};

enum try_kind {
	TRY_REQUEST,
	TRY_RESPONSE,
	TRY_RESPONSE_TO_HEAD
};

struct try_result {
	enum http_rc rc;
	enum reason reason;
	char *bytes; /* owned; of exactly the input's size */
	struct http_head head;
};

struct refusal {
	const char *bytes;
	enum reason reason;
};

static void try_free(struct try_result *t)
{
	free(t->bytes);
	t->bytes = NULL;
}

static void try_step(enum try_kind kind, struct slice in, size_t step,
		     const struct http_limits *lim, struct try_result *t)
{
	struct http_reader r = {0};
	size_t n = 0;

	memset(t, 0, sizeof(*t));
	t->bytes = malloc(in.n > 0 ? in.n : 1);
	assert_non_null(t->bytes);
	memcpy(t->bytes, in.p, in.n);
	do {
		n = in.n - n > step ? n + step : in.n;
		if (kind == TRY_REQUEST)
			t->rc = http_read_request(&r, t->bytes, n, lim, &t->head);
		else
			t->rc = http_read_response(&r, t->bytes, n, kind == TRY_RESPONSE_TO_HEAD,
						   lim, &t->head);
	} while (t->rc == HTTP_MORE && n < in.n);
	t->reason = r.reason;
}

static bool try_same_fields(const struct http_head *a, const struct http_head *b)
{
	if (a->n_fields != b->n_fields)
		return false;
	for (unsigned i = 0; i < a->n_fields; i++)
		if (!slice_eq(a->fields[i].name, b->fields[i].name) ||
		    !slice_eq(a->fields[i].value, b->fields[i].value) ||
		    a->fields[i].id != b->fields[i].id ||
		    a->fields[i].is_dropped != b->fields[i].is_dropped)
			return false;
	return true;
}

static bool try_same(const struct try_result *x, const struct try_result *y)
{
	const struct http_head *a = &x->head, *b = &y->head;

	if (x->rc != y->rc || x->reason != y->reason)
		return false;
	if (x->rc != HTTP_HEAD)
		return true;
	return slice_eq(a->method, b->method) && slice_eq(a->path, b->path) &&
	       slice_eq(a->query, b->query) && slice_eq(a->authority, b->authority) &&
	       a->status == b->status && slice_eq(a->reason, b->reason) && a->minor == b->minor &&
	       a->framing == b->framing && a->length == b->length &&
	       a->keep_alive == b->keep_alive && a->expects_continue == b->expects_continue &&
	       a->has_upgrade == b->has_upgrade && a->has_bound_auth == b->has_bound_auth &&
	       a->via_count == b->via_count && a->head_bytes == b->head_bytes &&
	       try_same_fields(a, b);
}

/* The result has to be freed with try_free(). */
static void try_head(enum try_kind kind, struct slice in, const struct http_limits *lim,
		     struct try_result *whole)
{
	static const size_t steps[] = {1, 7};
	struct try_result pieces;

	try_step(kind, in, in.n, lim, whole);
	for (size_t i = 0; i < COUNT(steps); i++) {
		try_step(kind, in, steps[i], lim, &pieces);
		if (!try_same(whole, &pieces))
			fail_msg("pieces of %zu read otherwise (%s, %s): %.*s", steps[i],
				 reason_table[whole->reason].word, reason_table[pieces.reason].word,
				 SLICE_ARG(in));
		try_free(&pieces);
	}
}

static inline void assert_refused(enum try_kind kind, struct slice in, enum reason reason)
{
	struct try_result t;

	try_head(kind, in, &try_limits, &t);
	if (t.rc != HTTP_BAD || t.reason != reason)
		fail_msg("rc %d, %s instead of %s: %.*s", (int)t.rc, reason_table[t.reason].word,
			 reason_table[reason].word, SLICE_ARG(in));
	try_free(&t);
}

static inline void assert_all_refused(enum try_kind kind, const struct refusal *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_refused(kind, slice_str(r[i].bytes), r[i].reason);
}

/* Each of the lines between a good request line, a Host and the empty line. */
static inline void assert_fields_refused(const struct refusal *r, size_t n)
{
	char text[4096];

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "POST /p HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n",
			 r[i].bytes);
		assert_refused(TRY_REQUEST, slice_str(text), r[i].reason);
	}
}

static inline void read_good(enum try_kind kind, const char *text, struct try_result *t)
{
	try_head(kind, slice_str(text), &try_limits, t);
	if (t->rc != HTTP_HEAD)
		fail_msg("rc %d, %s: %s", (int)t->rc, reason_table[t->reason].word, text);
}

/* A good request with these lines (each with its CRLF) behind a Host. */
static inline void read_fields(const char *lines, struct try_result *t)
{
	char text[4096];

	snprintf(text, sizeof(text), "POST /p HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
	read_good(TRY_REQUEST, text, t);
}

static inline void assert_slice(struct slice s, const char *text)
{
	if (!slice_eq(s, slice_str(text)))
		fail_msg("'%.*s' is not '%s'", SLICE_ARG(s), text);
}

static inline const struct field *find_field(const struct try_result *t, const char *name)
{
	for (unsigned i = 0; i < t->head.n_fields; i++)
		if (slice_ieq(t->head.fields[i].name, slice_str(name)))
			return &t->head.fields[i];
	fail_msg("no field %s", name);
	return NULL;
}

#endif
