/*
 * What the journal knows of one segment file: which numbers its records have, which of
 * them Redis has got, and when they were received. No files are touched here.
 */
#ifndef STATWEIR_STORE_JOURNAL_SEGMENT_H
#define STATWEIR_STORE_JOURNAL_SEGMENT_H

#include "proxy/store/journal_format.h"

#include <sys/queue.h>

/* 64 records: which are applied, and when the first of them was received. */
struct journal_marks {
	uint64_t applied;
	int64_t at_ms;
};

/* Owned by the journal's list of segments. */
struct journal_segment {
	TAILQ_ENTRY(journal_segment) link; /* by first, then generation */
	char name[JOURNAL_NAME_BYTES];
	struct journal_header header;
	uint32_t seed;
	uint64_t bytes; /* of the file */
	uint64_t off;	/* where the next group goes, while it is written */
	int fd;		/* while it is written, else -1 */

	uint64_t n; /* records; while !is_counted as far as the next segment's first tells */
	uint64_t n_applied;	     /* set bits of marks */
	struct journal_marks *marks; /* owned */
	size_t n_marks;		     /* slots with a known at_ms */
	size_t room_marks;
	size_t low;		 /* no slot before this one has an unapplied record */
	int64_t first_at_ms;	 /* of the first record, until it is counted */
	int64_t last_applied_ms; /* monotonic */

	bool is_counted;  /* n is exact: we wrote it, or have read it to its end */
	bool is_found;	  /* of an earlier run */
	bool was_done;	  /* that run knew Redis to have it all */
	bool is_damaged;  /* to be kept as *.bad */
	bool has_expired; /* to be kept as *.old */
};
TAILQ_HEAD(journal_segments, journal_segment);

/* NULL when out of memory. It has no name yet. */
struct journal_segment *journal_segment_new(const struct journal_header *h) MUSTUSE;
/* Does not close its descriptor. */
void journal_segment_free(struct journal_segment *s);

/* Record number place of s was received at at_ms: places in rising order, each at least once. 0 or
 * -ENOMEM. */
int journal_segment_note(struct journal_segment *s, uint64_t place, int64_t at_ms) MUSTUSE;
/* Have memory for n records. 0 or -ENOMEM. */
int journal_segment_reserve(struct journal_segment *s, uint64_t n) MUSTUSE;
/* n bytes of sealed records were written behind what s has, which has memory for them. */
void journal_segment_extend(struct journal_segment *s, const uint8_t *p, size_t n);

/* Redis has record place. False if it was known. */
bool journal_segment_mark(struct journal_segment *s, uint64_t place, int64_t now_ms);
bool journal_segment_is_marked(const struct journal_segment *s, uint64_t place);
/* Forget the marks from place on. */
void journal_segment_unmark(struct journal_segment *s, uint64_t place);
/* When the first unapplied record (of its 64) was received. Only if there is one. */
int64_t journal_segment_oldest(struct journal_segment *s);

#endif
