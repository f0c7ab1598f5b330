/*
 * What a management point sees in a CCM_POST: multipart, envelope, payload, status
 * message. Tolerant text search, independent of the proxy's recogniser on purpose.
 */
#ifndef STATWEIR_TOOLS_CCM_READ_H
#define STATWEIR_TOOLS_CCM_READ_H

#include "tests/tools/ccm_text.h"

#include <zlib.h>

#define CCM_READ_STRINGS 10
#define CCM_SUMMARY_MARK "statweir-10907-summary"

struct ccm_view {
	bool is_readable; /* a multipart with an envelope and a payload */
	bool is_sync;
	unsigned n_status;
	long number; /* SMS_MessageID without severity, -1 if absent */
	struct slice id, client, endpoint, type, rule, category, subject;
	struct slice string[CCM_READ_STRINGS]; /* InsertionString1 and on */
};

/* Buffers and the stream, reused. */
struct ccm_reader {
	z_stream zip;
	struct ccm_text inflated, envelope, payload;
};

void ccm_reader_init(struct ccm_reader *r);
void ccm_reader_fini(struct ccm_reader *r);

/* Slices of v point into r until the next call. */
void ccm_read(struct ccm_reader *r, struct slice content_type, struct slice body,
	      struct ccm_view *v);

/* The text between before and the next after, NULL slice if not there. */
struct slice ccm_between(struct slice in, const char *before, const char *after);

#endif
