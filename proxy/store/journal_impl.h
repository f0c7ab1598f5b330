/*
 * The inside of a journal, for the journal*.c files only.
 *
 * journal.c	     life, append, marks, metrics
 * journal_dir.c     the directory at the start: lock, look through
 * journal_replay.c  passes over the records
 * journal_work.c    what the writer does next, and what its outcome means
 *
 *   append -> fill --swap, when the writer is idle--> out -> job -> disk
 *
 *   seq:  ... <= settled | out: being written | fill: gathering | next_seq
 */
#ifndef STATWEIR_STORE_JOURNAL_IMPL_H
#define STATWEIR_STORE_JOURNAL_IMPL_H

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/store/journal_reader.h"
#include "proxy/store/journal_segment.h"
#include "proxy/store/journal_writer.h"

#define JOURNAL_MAGIC 0x6a726e6cu

enum {
	JOURNAL_RETRY_MS = 10000,
	JOURNAL_DIR_BYTES = 256
};

struct journal_buffer {
	uint8_t *p;	/* owned, conf.buffer_bytes */
	size_t n, done; /* bytes in it; of these settled */
};

struct journal {
	unsigned magic;
	struct journal_conf conf; /* dir is journal.dir */
	const struct journal_io *io;
	struct journal_events events;
	char dir[JOURNAL_DIR_BYTES];
	int dir_fd; /* carries the lock */
	struct event *done_event;

	struct journal_segments segments;
	struct journal_segment
		*cur; /* the last of segments, or NULL: the next group opens a new one */
	struct journal_segment *hint; /* where journal_applied() found the last record, or NULL */
	uint64_t bytes;		      /* of all segments; not of the spare */
	int64_t released_ms;	      /* monotonic: journal_release() */
	uint32_t generation;	      /* of the next segment */
	bool is_after_gap;	      /* of the next segment: JOURNAL_AFTER_GAP */

	struct journal_buffer fill, out;
	bool is_committed; /* fill is to be written as soon as the writer is idle */
	uint64_t next_seq;
	uint64_t settled; /* every record up to this one was synced or reported as failed */
	/*
	 * Where appended records will lie: the offset behind them, in the current segment or
	 * the plan_extra'th one to come.
	 */
	uint64_t plan_off;
	unsigned plan_extra;
	/* Marks of records not settled yet, bit seq % early_bits. */
	uint64_t *early;
	uint64_t early_bits; /* a power of two, more than both buffers hold records */

	struct journal_writer *writer;
	struct journal_job job;
	struct journal_segment *making;	  /* what a job with is_new makes; not in segments yet */
	struct journal_segment *dropping; /* what a JOB_DROP removes; not in segments any more */
	bool is_busy;			  /* job is the writer's */
	bool has_written;		  /* the last job was a group: upkeep may have a turn */
	unsigned n_failures;		  /* of JOB_WRITE since the last success */

	int spare_fd; /* -1: there is none, or it is in a job */
	uint64_t spare_filled;
	bool has_spare_failed;
	int64_t spare_retry_ms; /* monotonic */
	bool has_failed;
	int64_t mend_ms; /* monotonic: the next try */

	/* The pass of journal_replay.c. */
	struct journal_segment *at; /* NULL: over */
	struct journal_reader reader;
	bool is_open;	   /* reader is in `at` */
	bool has_unmarked; /* and was found to skip, so that marks of `at` were void */
	uint64_t pass_end; /* records from this number on are not the pass's */

	uint64_t n_expired, n_quarantined, n_poisoned;
	struct log_limit refused_limit, expired_limit;
};

/* journal_dir.c */

/* Open, lock and read conf.dir; fills segments, next_seq, generation. Logs failures. 0 or -errno.
 */
int journal_dir_open(struct journal *j) MUSTUSE;

/* journal_replay.c */

/* s is about to be freed: the pass leaves it. */
void journal_replay_leave(struct journal *j, const struct journal_segment *s);

/* journal_work.c */

/* May a segment be opened beyond those that appended records are planned into? */
bool journal_may_grow(const struct journal *j);
/* Give the idle writer what is due: a group, or upkeep. */
void journal_work(struct journal *j);
/* The writer's event. */
void journal_work_done(struct journal *j);
/* Nothing is left to write, or the journal has failed. */
bool journal_work_is_over(const struct journal *j);
/* What became due by time alone. */
void journal_work_tick(struct journal *j);
/* Reserve the first spare, with no writer about. */
void journal_work_start(struct journal *j);

#endif
