#include "proxy/store/journal_impl.h"

#include <errno.h>
#include <inttypes.h>

static uint64_t pending_bytes(const struct journal *j)
{
	return j->out.n - j->out.done + j->fill.n;
}

bool journal_work_is_over(const struct journal *j)
{
	return !j->is_busy && pending_bytes(j) == 0;
}

bool journal_may_grow(const struct journal *j)
{
	uint64_t planned = (uint64_t)j->plan_extra + 1;

	/* Where reserving fails, what was reserved may still be used. */
	if (j->has_spare_failed && planned > (j->spare_fd >= 0 ? 1 : 0))
		return false;
	return j->bytes + planned * j->conf.segment_bytes <= j->conf.limit_bytes;
}

static void plan_buffer(struct journal *j, const struct journal_buffer *b)
{
	for (size_t at = b->done; at < b->n;) {
		size_t span = journal_record_span(b->p + at);

		if (j->plan_off + span > j->conf.segment_bytes) {
			j->plan_extra++;
			j->plan_off = JOURNAL_HEADER_BYTES;
		}
		j->plan_off += span;
		at += span;
	}
}

/* After a failure records lie elsewhere than was planned. */
static void plan_again(struct journal *j)
{
	j->plan_extra = 0;
	j->plan_off = j->cur != NULL ? j->cur->off : j->conf.segment_bytes;
	plan_buffer(j, &j->out);
	plan_buffer(j, &j->fill);
}

static void retire_current(struct journal *j)
{
	if (j->cur == NULL)
		return;
	(void)j->io->close(j->cur->fd);
	j->cur->fd = -1;
	j->cur = NULL;
}

static void post(struct journal *j)
{
	j->is_busy = true;
	journal_writer_post(j->writer, &j->job);
}

/* Fill in job to open the next segment. False when out of memory. */
static bool prepare_new(struct journal *j)
{
	struct journal_header h = {
		.version = JOURNAL_VERSION,
		.flags = j->is_after_gap ? JOURNAL_AFTER_GAP : 0,
		.instance = j->conf.instance,
		.first = j->settled + 1,
		.generation = j->generation,
	};
	const uint64_t smallest = JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN;

	if (j->making == NULL)
		j->making = journal_segment_new(&h);
	if (j->making == NULL ||
	    journal_segment_reserve(j->making, j->conf.segment_bytes / smallest) < 0)
		return false;
	j->making->header = h;
	j->making->bytes = j->conf.segment_bytes;
	j->making->is_counted = true;
	journal_name_put(j->making->name, h.first, h.generation, "seg");
	j->generation++;
	j->job.is_new = true;
	j->job.header = h;
	j->job.fd = j->spare_fd;
	j->job.off = JOURNAL_HEADER_BYTES;
	memcpy(j->job.name, j->making->name, sizeof(j->job.name));
	j->spare_fd = -1;
	j->spare_filled = 0;
	return true;
}

/* How many of the bytes left in out go into room, whole records only. */
static size_t take_fitting(const struct journal *j, uint64_t room)
{
	const struct journal_buffer *b = &j->out;
	size_t n = 0;

	if (b->n - b->done <= room)
		return b->n - b->done;
	for (;;) {
		size_t span = journal_record_span(b->p + b->done + n);

		if (n + span > room)
			return n;
		n += span;
	}
}

static void post_group(struct journal *j)
{
	struct journal_buffer swap;
	uint64_t seg = j->conf.segment_bytes;
	size_t n;

	if (j->out.done == j->out.n) {
		swap = j->out;
		j->out = j->fill;
		j->fill = swap;
		j->fill.n = j->fill.done = 0;
		j->is_committed = false;
	}
	j->job = (struct journal_job){.kind = JOB_WRITE, .fd = -1, .bytes = seg};
	n = j->cur != NULL ? take_fitting(j, seg - j->cur->off) : 0;
	if (n > 0) {
		j->job.fd = j->cur->fd;
		j->job.off = j->cur->off;
		j->job.seed = j->cur->seed;
	} else {
		retire_current(j);
		n = take_fitting(j, seg - JOURNAL_HEADER_BYTES);
		if (!prepare_new(j))
			return; /* the tick comes back */
	}
	j->job.group = j->out.p + j->out.done;
	j->job.group_n = n;
	post(j);
}

static bool is_spare_due(const struct journal *j)
{
	if (j->has_failed || j->has_spare_failed)
		return false;
	if (j->spare_fd >= 0)
		return j->spare_filled < j->conf.segment_bytes;
	return j->bytes + j->conf.segment_bytes <= j->conf.limit_bytes;
}

static void spare_job(struct journal *j)
{
	j->job = (struct journal_job){
		.kind = JOB_SPARE,
		.fd = j->spare_fd,
		.bytes = j->conf.segment_bytes,
		.filled = j->spare_filled,
	};
	j->spare_fd = -1;
}

static void post_drop(struct journal *j)
{
	const struct journal_segment *s = j->dropping;

	j->job = (struct journal_job){.kind = JOB_DROP, .fd = -1};
	memcpy(j->job.name, s->name, sizeof(j->job.name));
	if (s->is_damaged)
		j->job.to = "bad";
	else if (s->has_expired)
		j->job.to = "old";
	post(j);
}

void journal_work(struct journal *j)
{
	bool is_upkeep_due = is_spare_due(j) || j->dropping != NULL;
	bool is_group_due = j->out.done < j->out.n || (j->is_committed && j->fill.n > 0);

	if (j->is_busy)
		return;
	/* Under load the two take turns, or the spare would come too late. */
	if (is_group_due && !(is_upkeep_due && j->has_written)) {
		j->has_written = true;
		post_group(j);
		return;
	}
	j->has_written = false;
	if (is_spare_due(j)) {
		spare_job(j);
		post(j);
	} else if (j->dropping != NULL) {
		post_drop(j);
	}
}

/* Records up to seq are settled on disk: what was marked early is marked now. */
static void settle(struct journal *j, struct journal_segment *s, uint64_t upto)
{
	for (; j->settled < upto; j->settled++) {
		uint64_t seq = j->settled + 1;
		uint64_t bit = seq & (j->early_bits - 1);
		uint64_t mask = UINT64_C(1) << (bit % 64);

		if ((j->early[bit / 64] & mask) == 0)
			continue;
		j->early[bit / 64] &= ~mask;
		journal_segment_mark(s, seq - s->header.first, clock_mono_ms());
	}
}

static void adopt_new(struct journal *j)
{
	struct journal_segment *s = j->making;

	j->making = NULL;
	s->fd = j->job.fd;
	s->seed = j->job.seed;
	TAILQ_INSERT_TAIL(&j->segments, s, link);
	j->bytes += s->bytes;
	j->cur = s;
	j->is_after_gap = false;
	if (j->plan_extra > 0)
		j->plan_extra--;
}

static void group_written(struct journal *j)
{
	struct journal_segment *s;
	uint64_t before;

	if (j->job.is_new)
		adopt_new(j);
	s = j->cur;
	before = s->n;
	journal_segment_extend(s, j->job.group, j->job.group_n);
	s->off += j->job.group_n;
	j->out.done += j->job.group_n;
	j->n_failures = 0;
	metric_add(M_JOURNAL_SYNCS, 1);
	metric_add(M_JOURNAL_RECORDS, (int64_t)(s->n - before));
	if (j->has_failed) {
		j->has_failed = false;
		plan_again(j);
		log_line(LOG_INFO, "journal_mended", "dir=%s", j->dir);
		return;
	}
	settle(j, s, s->header.first + s->n - 1);
	j->events.synced(j->events.arg, j->settled, 0);
}

/* What was promised to nobody is given up; its numbers are not used again. */
static void give_up(struct journal *j, int rc)
{
	uint64_t upto = j->next_seq - 1;

	j->mend_ms = clock_mono_ms() + JOURNAL_RETRY_MS;
	j->out.n = j->out.done = j->fill.n = 0;
	log_line(LOG_ERROR, "journal_failed",
		 "dir=%s error=\"%s\" unsynced=%" PRIu64 " retry_ms=%d "
		 "todo=\"check the disk; until it works again nothing rests on this journal\"",
		 j->dir, strerror(-rc), upto - j->settled, JOURNAL_RETRY_MS);
	j->has_failed = true;
	plan_again(j);
	if (upto == j->settled)
		return;
	j->is_after_gap = true;
	j->settled = upto;
	memset(j->early, 0, j->early_bits / 8);
	j->events.synced(j->events.arg, upto, -EIO);
}

/*
 * Never again to the same file: after a failed sync the kernel may take lost pages for
 * clean, and a second sync would succeed without them.
 */
static void group_failed(struct journal *j)
{
	int rc = j->job.rc;

	log_limited(&j->refused_limit, 5, LOG_ERROR, "journal_write_failed",
		    "file=%s/%s error=\"%s\" is_new=%d "
		    "todo=\"check the disk; a new segment is tried\"",
		    j->dir, j->job.is_new ? j->job.name : j->cur->name, strerror(-rc),
		    j->job.is_new);
	if (!j->job.is_new) {
		j->n_poisoned++;
		retire_current(j);
	}
	if (j->has_failed) {
		j->mend_ms = clock_mono_ms() + JOURNAL_RETRY_MS;
		return;
	}
	if (++j->n_failures > 1)
		give_up(j, rc);
	else
		plan_again(j);
}

static void spare_ended(struct journal *j)
{
	int rc = j->job.rc;

	j->spare_fd = j->job.fd;
	j->spare_filled = rc < 0 ? 0 : j->job.filled;
	j->has_spare_failed = rc < 0;
	if (rc == 0)
		return;
	j->spare_retry_ms = clock_mono_ms() + JOURNAL_RETRY_MS;
	log_limited(&j->refused_limit, 5, LOG_ERROR, "journal_no_space",
		    "dir=%s error=\"%s\" bytes=%" PRIu64 " retry_ms=%d "
		    "todo=\"free space on this file system, or lower the journal's limit\"",
		    j->dir, strerror(-rc), j->conf.segment_bytes, JOURNAL_RETRY_MS);
}

static bool is_droppable(const struct journal *j, const struct journal_segment *s)
{
	/* The newest one stays for its numbers. */
	if (s == j->cur || TAILQ_NEXT(s, link) == NULL || !s->is_counted || s->n_applied < s->n)
		return false;
	if (j->is_open && j->at == s)
		return false;
	return s->n == 0 || s->last_applied_ms < j->released_ms;
}

static void choose_drop(struct journal *j)
{
	struct journal_segment *s;

	if (j->dropping != NULL)
		return;
	TAILQ_FOREACH (s, &j->segments, link)
		if (is_droppable(j, s))
			break;
	if (s == NULL)
		return;
	journal_replay_leave(j, s);
	TAILQ_REMOVE(&j->segments, s, link);
	j->bytes -= s->bytes;
	if (j->hint == s)
		j->hint = NULL;
	j->dropping = s;
}

static void drop_ended(struct journal *j)
{
	if (j->job.rc < 0)
		log_line(LOG_ERROR, "journal_drop_failed",
			 "file=%s/%s error=\"%s\" todo=\"check the state directory\"", j->dir,
			 j->job.name, strerror(-j->job.rc));
	journal_segment_free(j->dropping);
	j->dropping = NULL;
	j->has_spare_failed = false; /* there may be room now */
	choose_drop(j);
}

static void job_ended(struct journal *j)
{
	switch (j->job.kind) {
	case JOB_WRITE:
		if (j->job.rc < 0)
			group_failed(j);
		else
			group_written(j);
		return;
	case JOB_SPARE:
		spare_ended(j);
		return;
	case JOB_DROP:
		drop_ended(j);
		return;
	}
	UNREACHABLE("journal job");
}

void journal_work_done(struct journal *j)
{
	if (!j->is_busy || !journal_writer_take(j->writer))
		return;
	j->is_busy = false;
	job_ended(j);
	journal_work(j);
}

static void mend(struct journal *j)
{
	j->job = (struct journal_job){.kind = JOB_WRITE, .bytes = j->conf.segment_bytes};
	if (prepare_new(j))
		post(j);
}

void journal_work_tick(struct journal *j)
{
	if (j->has_spare_failed && clock_mono_ms() >= j->spare_retry_ms)
		j->has_spare_failed = false;
	choose_drop(j);
	if (j->has_failed && !j->is_busy && clock_mono_ms() >= j->mend_ms)
		mend(j);
	journal_work(j);
}

void journal_work_start(struct journal *j)
{
	(void)j->io->unlinkat(j->dir_fd, JOURNAL_SPARE);
	plan_again(j);
	if (!is_spare_due(j))
		return;
	spare_job(j);
	journal_job_run(&j->job, j->io, j->dir_fd);
	spare_ended(j);
}
