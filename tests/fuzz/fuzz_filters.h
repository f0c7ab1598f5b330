/*
 * What the fuzz targets of the filters share: a filter as configured by default, blocks
 * of exactly the size asked about, and UTF-16LE from readable files.
 */
#ifndef STATWEIR_TESTS_FUZZ_FUZZ_FILTERS_H
#define STATWEIR_TESTS_FUZZ_FUZZ_FILTERS_H

#include "filters/status_filter.h"

#include <stdlib.h>

#define FUZZ_INFLATED 16384 /* recognise.max_inflated: small enough to be reached */

/* Options are the low bits of an input's first byte: '0' to '?' in the corpus. */
static inline unsigned fuzz_options(struct slice *in)
{
	unsigned options = in->n > 0 ? (unsigned char)in->p[0] : 0;

	*in = slice_drop(*in, 1);
	return options;
}

/* Cut off what stands before the first mark; all of it when there is none. */
static inline struct slice fuzz_cut(struct slice *in, char mark)
{
	const char *at = in->n > 0 ? memchr(in->p, mark, in->n) : NULL;
	size_t n = at != NULL ? (size_t)(at - in->p) : in->n;
	struct slice before = slice_make(in->p, n);

	*in = slice_drop(*in, n + 1);
	return before;
}

/* A copy of exactly that size, so that a byte read too far is noticed; to be freed. */
static inline char *fuzz_exact(struct slice s)
{
	char *p = malloc(s.n > 0 ? s.n : 1);

	CHECK(p != NULL);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

/*
 * The unit that a byte of a readable input stands for: ASCII itself, then the controls
 * behind it, then units whose lower half is a '<' (among them both kinds of surrogates),
 * last what is no character.
 */
static inline unsigned fuzz_unit(unsigned char c)
{
	if (c < 0xa0)
		return c;
	return c == 0xff ? 0xffff : (unsigned)c << 8 | 0x3c;
}

enum fuzz_option {
	FUZZ_MARK = 1, /* a byte order mark in front */
	FUZZ_RAW = 2   /* the bytes as they are */
};

/* in as UTF-16LE, each byte a unit unless FUZZ_RAW. To be freed. */
static inline struct slice fuzz_wide(struct slice in, unsigned options)
{
	size_t mark = options & FUZZ_MARK ? 2 : 0, n = options & FUZZ_RAW ? in.n : 2 * in.n;
	char *p = malloc(mark + n > 0 ? mark + n : 1), *to = p;

	CHECK(p != NULL);
	if (mark > 0) {
		*to++ = (char)0xff;
		*to++ = (char)0xfe;
	}
	if (options & FUZZ_RAW && n > 0)
		memcpy(to, in.p, n);
	for (size_t i = 0; i < in.n && !(options & FUZZ_RAW); i++) {
		unsigned u = fuzz_unit((unsigned char)in.p[i]);

		*to++ = (char)(u & 0xff);
		*to++ = (char)(u >> 8);
	}
	return slice_make(p, mark + n);
}

/* Without the byte order mark that a text may have. */
static inline struct slice fuzz_unmarked(struct slice wide)
{
	return wide.n >= 2 && memcmp(wide.p, "\xff\xfe", 2) == 0 ? slice_drop(wide, 2) : wide;
}

static inline void fuzz_free(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

static inline const struct status_filter *fuzz_filter(void)
{
	static const struct status_filter_conf conf = {
		.paths = "/ccm_system/request",
		.endpoints = "StatusReceiver",
		.types = "SWMtr_Status_Received_MeterRule",
		.message_ids = "10907,10908",
		.rule_properties = "Attribute407,RuleID,MeterRuleID",
		.match = STATUS_EITHER,
		.max_inspect = 65536,
		.max_inflated = FUZZ_INFLATED,
	};
	static struct status_filter f;

	if (f.paths.n == 0)
		CHECK(status_filter_init(&f, &conf) == 0);
	return &f;
}

/* Scratch for inspections, emptied; one for the process. */
static inline struct arena *fuzz_scratch(void)
{
	static struct arena a;

	if (a.base == NULL)
		CHECK(arena_init(&a, status_filter_scratch(fuzz_filter())) == 0);
	arena_reset(&a);
	return &a;
}

static inline bool fuzz_is_listed(const struct name_list *list, struct slice name)
{
	for (unsigned i = 0; i < list->n; i++)
		if (slice_ieq(list->v[i], name))
			return true;
	return false;
}

#endif
