/*
 * One acknowledgement, ready to be written: a reply of the management point with the
 * places marked where its Date and the message's own ID stand. For the ack*.c files only.
 */
#ifndef STATWEIR_CORE_ACK_TEMPLATE_H
#define STATWEIR_CORE_ACK_TEMPLATE_H

#include "proxy/core/ack.h"

#include <stdint.h>

#define ACK_MAX_HEAD 7168 /* fits a reply buffer together with ACK_MAX_BODY */
#define ACK_MAX_IDS  16
#define ACK_WHAT     200 /* room for a difference in words */

/* How the letters of an ID in a reply follow from those in the request: a set. */
enum ack_case {
	ACK_CASE_SAME = 1,
	ACK_CASE_UPPER = 2,
	ACK_CASE_LOWER = 4,
};

struct ack_id {
	uint16_t at;   /* where in the body without IDs */
	bool is_wide;  /* UTF-16LE, else ASCII */
	uint8_t cases; /* which enum ack_case explain all replies seen */
};

struct ack_template {
	char *text;	     /* owned; the slices point into it */
	struct slice head;   /* from the status line up to the value of Date, if it has one */
	struct slice tail;   /* the rest of the fields, with Content-Length, without Connection */
	struct slice fields; /* those that are compared, as lines */
	struct slice server; /* fingerprint of the management point, may be empty */
	struct slice body;   /* without the IDs */
	bool has_date;
	unsigned n_ids;
	struct ack_id ids[ACK_MAX_IDS];
};

/*
 * From a reply and the ID of the message that it answers. 0; -EINVAL: no such reply can
 * be an acknowledgement; -EAGAIN: this one tells nothing, because the ID is of a form
 * that can't be told from text; -ENOMEM. what says why not.
 */
int ack_template_new(struct ack_template **out, const struct http_head *reply, struct slice body,
		     struct slice envelope_id, char what[ACK_WHAT]) MUSTUSE;
void ack_template_free(struct ack_template *t);

/* Do both answer in the same way? If not, what names the first difference, fit for a log line. */
bool ack_template_is_same(const struct ack_template *a, const struct ack_template *b,
			  char what[ACK_WHAT]);

/* b is the same as t: what only one of them allows is no longer allowed. */
void ack_template_narrow(struct ack_template *t, const struct ack_template *b);

#endif
