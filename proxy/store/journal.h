/*
 * The journal: acknowledged messages on this machine's own disk, before and beside
 * Redis (docs/STORE.md, Journal).
 *
 * Records gather in a buffer; journal_commit() hands it to the one writer thread,
 * which writes and syncs it while the next buffer fills, so the size of a group
 * regulates itself. Records lie in preallocated segment files. A segment goes away
 * when Redis is certain to keep all its records, see journal_release(); until then it
 * can be replayed, also after Redis came back as another instance.
 *
 * Everything here belongs to the event loop's thread. A directory has one user.
 */
#ifndef STATWEIR_STORE_JOURNAL_H
#define STATWEIR_STORE_JOURNAL_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

struct event_base;
struct journal;
struct journal_io;

enum {
	JOURNAL_TEXT_MAX = 1024, /* bytes of a client or a rule */
	JOURNAL_RECORD_MAX = 2 * 1024 * 1024,
};

struct journal_conf {
	const char *dir;	/* made if it is missing (its parent is not) */
	uint64_t segment_bytes; /* of new segments, a multiple of 8 from 4 KiB to 1 GiB */
	uint64_t limit_bytes;	/* all segments together, at least two */
	uint64_t buffer_bytes;	/* each of the two buffers */
	int64_t window_ms; /* records of an earlier run that are older are not replayed; 0: all are
			    */
	uint64_t instance; /* written into segments; 0: a random one */
	const struct journal_io *io; /* NULL: the system's */
	bool is_inline; /* no thread, journal_commit() does the work itself: simulations */
};

/* 16 MiB segments, 4 GiB, 4 MiB buffers, no window. dir is borrowed until the open.
 */
void journal_conf_init(struct journal_conf *c, const char *dir);

/*
 * What the journal tells. Runs from the event loop, or from within journal_close().
 * synced: every record up to and including upto_seq that was not reported before is on
 * disk (rc 0), or cannot be promised to be (rc -EIO; a restart may still find some of them,
 * so such a record must not be forwarded as well unless Redis refused it too and the
 * operator accepts a double count: treat it as of unknown outcome).
 */
struct journal_events {
	void (*synced)(void *arg, uint64_t upto_seq, int rc);
	void *arg;
};

struct journal_record {
	struct slice client, rule;
	struct slice raw; /* the whole message where summaries need one, else empty */
	uint64_t digest;
	int64_t at_ms; /* wall clock */
	bool is_seen_only;
	uint64_t seq; /* filled by journal_replay_next() */
};

/*
 * Lock the directory, look through it, reserve a first spare segment, start the
 * writer. A replay pass over everything found begins by itself. A full disk is no
 * failure here (what is there can be replayed): it is logged, and appending answers
 * -ENOSPC. Every other failure is logged with what to do. 0, -EBUSY (another process has
 * the directory: not logged), -ENOTSUP (a segment of an unknown version: nothing was touched),
 * -EINVAL (conf), -ENOMEM, or -errno.
 */
int journal_open(struct journal **out, struct event_base *base, const struct journal_conf *conf,
		 const struct journal_events *events) MUSTUSE;

/*
 * Write what is buffered (synced() runs from here), stop the writer, unlock. Waits for
 * the disk. NULL is allowed.
 */
void journal_close(struct journal *j);

/*
 * Copy r into the buffer; *seq is its number, rising by one. Nothing happens on disk
 * before journal_commit(). 0; -ENOSPC: the limit or the disk is full; -EAGAIN: the
 * buffers are, the disk being slow; -EIO: the journal has failed (journal_tick() tries
 * to mend it); -EMSGSIZE: longer than a record or a segment may be.
 */
int journal_append(struct journal *j, const struct journal_record *r, uint64_t *seq) MUSTUSE;

/*
 * Let the writer have what was appended so far, once it is idle. What is appended while it is
 * busy goes with it; what comes after that waits for the next commit: when to pay for a sync is
 * the caller's to say.
 */
void journal_commit(struct journal *j);

/*
 * Redis has record seq. In any order, also before the record was synced, also twice;
 * numbers that no retained record has are ignored.
 */
void journal_applied(struct journal *j, uint64_t seq);

/*
 * Redis keeps, for certain, each record that it had before at_ms (monotonic): segments of which
 * that was the last may go. Until then they stay: Redis may forget its last seconds
 * (store.md 5.3).
 */
void journal_release(struct journal *j, int64_t at_ms);

/* Every 100 ms or so: drop what is done with, reserve space, mend a failed journal, metrics. */
void journal_tick(struct journal *j);

/*
 * Begin a pass over the synced records that are here now: those that Redis has not
 * got, or, if is_all (Redis may have forgotten: another run_id or replication id),
 * every one, all marks being dropped. A pass under way is given up. No
 * journal_applied() for an answer from before the call may come after it if is_all.
 */
void journal_replay_begin(struct journal *j, bool is_all);

/*
 * The next at most max records of the pass into v; their slices live until the next
 * call on j's replay. 0: the pass is over (begin another while journal_unapplied() says
 * that some were refused). Records older than conf's window come not out of here: they are
 * counted in journal_stats and logged, and their file is kept under the name *.old.
 * Damage is logged, counted, and the damaged file kept under the name *.bad.
 * -EAGAIN: much was passed over and none found yet, call again after others had their turn;
 * -ENOMEM, or -errno if a segment cannot be opened (the pass stays where it is).
 */
int journal_replay_next(struct journal *j, struct journal_record *v, unsigned max) MUSTUSE;

struct journal_stats {
	uint64_t segments, bytes; /* on disk, the spare included */
	uint64_t unapplied;	  /* synced records that Redis has not got */
	int64_t oldest_ms; /* age of the oldest of them (of its group of 64), 0 if there is none */
	uint64_t expired;  /* records not replayed because of their age */
	uint64_t quarantined; /* segments found damaged */
	uint64_t poisoned;    /* segments given up after a failed write or sync */
	bool is_full, has_failed;
};
void journal_get_stats(const struct journal *j, struct journal_stats *st);
/* In words for an operator: "ok", or what is wrong. */
const char *journal_state(const struct journal *j);

/* Take what the writer has done already; synced() runs. */
void journal_poll(struct journal *j);

#endif
