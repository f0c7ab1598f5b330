#include "proxy/store/journal_impl.h"

#include <errno.h>
#include <inttypes.h>

enum {
	STEPS_MAX = 8192, /* over records that Redis has: some milliseconds */
};

static bool is_applied(const struct journal_segment *s)
{
	return s->is_counted && s->n_applied == s->n;
}

static void leave_segment(struct journal *j)
{
	journal_reader_close(&j->reader);
	j->is_open = false;
	j->at = TAILQ_NEXT(j->at, link);
}

static void end_pass(struct journal *j)
{
	journal_reader_close(&j->reader);
	j->is_open = false;
	j->at = NULL;
}

void journal_replay_leave(struct journal *j, const struct journal_segment *s)
{
	if (j->at == s)
		leave_segment(j);
}

void journal_replay_begin(struct journal *j, bool is_all)
{
	struct journal_segment *s;

	if (is_all) {
		TAILQ_FOREACH (s, &j->segments, link) {
			journal_segment_unmark(s, 0);
			s->was_done = false;
		}
		memset(j->early, 0, j->early_bits / 8);
	}
	end_pass(j);
	j->at = TAILQ_FIRST(&j->segments);
	j->pass_end = j->settled + 1;
}

static void report_damage(struct journal *j, struct journal_segment *s, const char *what)
{
	if (s->is_damaged)
		return;
	s->is_damaged = true;
	j->n_quarantined++;
	metric_add(M_JOURNAL_QUARANTINED, 1);
	log_line(LOG_ERROR, "journal_damaged",
		 "file=%s/%s what=%s records=%" PRIu64 " expected=%" PRIu64 " kept_as=*.bad "
		 "todo=\"the readable records were recorded, acknowledged messages may be missing: "
		 "check the disk, keep the file for analysis, then remove it\"",
		 j->dir, s->name, what, j->reader.place, s->n);
}

static void report_expired(struct journal *j, const struct journal_segment *s)
{
	log_limited(&j->expired_limit, 5, LOG_ERROR, "journal_expired",
		    "file=%s/%s total=%" PRIu64 " kept_as=*.old "
		    "todo=\"these messages are older than the window in which a repeat is "
		    "recognised, so "
		    "recording them now could count them twice: keep the file as evidence or "
		    "remove it; "
		    "to count them all the same, rename it to *.seg and start once with a longer "
		    "rollup.window\"",
		    j->dir, s->name, j->n_expired);
}

/* The reader has come to the end of s, or to the number where the next one goes on. */
static void end_segment(struct journal *j, struct journal_segment *s)
{
	struct journal_segment *next = TAILQ_NEXT(s, link);
	bool may_miss = next != NULL && (next->header.flags & JOURNAL_AFTER_GAP) != 0;

	if (j->reader.is_damaged)
		report_damage(j, s, "record");
	else if (j->reader.place < s->n && !may_miss)
		report_damage(j, s, "end");
	if (s->has_expired && !s->is_counted)
		report_expired(j, s);
	/* What cannot be read can never be applied. The current one's count goes on rising. */
	if (j->reader.place < s->n && s != j->cur)
		s->n = j->reader.place;
	s->is_counted = true;
	leave_segment(j);
}

static int open_segment(struct journal *j, struct journal_segment *s)
{
	int rc = journal_reader_open(&j->reader, j->dir_fd, s->name, s->seed, s->bytes);

	j->has_unmarked = false;
	if (rc == -ENOENT && s != j->cur) {
		report_damage(j, s, "gone");
		journal_segment_unmark(s, 0);
		s->n = 0;
		s->is_counted = true;
		leave_segment(j);
		return 0;
	}
	j->is_open = rc == 0;
	return rc;
}

/*
 * Behind damage places are counted anew, so marks made before it was known may be on the
 * wrong records: those are offered again.
 */
static void drop_void_marks(struct journal *j, struct journal_segment *s, uint64_t place)
{
	if (!j->reader.has_skipped || j->has_unmarked)
		return;
	j->has_unmarked = true;
	journal_segment_unmark(s, place);
}

static bool settle_expired(struct journal *j, struct journal_segment *s, uint64_t place,
			   int64_t at_ms)
{
	if (!s->is_found || j->conf.window_ms <= 0 || at_ms >= clock_wall_ms() - j->conf.window_ms)
		return false;
	if (!s->was_done) {
		s->has_expired = true;
		j->n_expired += s->is_counted ? 0 : 1;
	}
	journal_segment_mark(s, place, clock_mono_ms());
	return true;
}

static int read_record(struct journal *j, struct journal_segment *s, struct journal_record *r,
		       bool may_move)
{
	uint64_t place = j->reader.place, off = j->reader.off;
	int rc = journal_reader_next(&j->reader, r, may_move);

	if (rc < 0)
		return rc;
	if (rc == 0) {
		end_segment(j, s);
		return 0;
	}
	if (journal_segment_note(s, place, r->at_ms) < 0) {
		j->reader.place = place;
		j->reader.off = off;
		return -ENOMEM;
	}
	drop_void_marks(j, s, place);
	if (journal_segment_is_marked(s, place) || settle_expired(j, s, place, r->at_ms))
		return 0;
	r->seq = s->header.first + place;
	return 1;
}

/* One step of the pass: 1 with a record in r, 0 without, or -errno. */
static int step(struct journal *j, struct journal_record *r, bool may_move)
{
	struct journal_segment *s = j->at;

	if (!j->is_open && is_applied(s)) {
		leave_segment(j);
		return 0;
	}
	if (!j->is_open)
		return may_move ? open_segment(j, s) : -EAGAIN;
	if (j->reader.place >= s->n) {
		end_segment(j, s);
		return 0;
	}
	if (s->header.first + j->reader.place >= j->pass_end) {
		end_pass(j);
		return 0;
	}
	return read_record(j, s, r, may_move);
}

int journal_replay_next(struct journal *j, struct journal_record *v, unsigned max)
{
	unsigned n = 0, n_steps = 0;
	int rc;

	OBJ_CHECK(j, JOURNAL_MAGIC);
	while (n < max && j->at != NULL) {
		if (n_steps++ >= STEPS_MAX)
			return n > 0 ? (int)n : -EAGAIN;
		rc = step(j, &v[n], n == 0);
		if (rc < 0)
			return n > 0 ? (int)n : rc;
		n += (unsigned)rc;
	}
	return (int)n;
}
