#include "proxy/store/journal_impl.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	SEGMENT_MIN = 4096,
	SEGMENT_MAX = 1 << 30,
	BUFFER_MIN = 4096,
	BUFFER_MAX = 1 << 30
};

void journal_conf_init(struct journal_conf *c, const char *dir)
{
	*c = (struct journal_conf){
		.dir = dir,
		.segment_bytes = UINT64_C(16) << 20,
		.limit_bytes = UINT64_C(4) << 30,
		.buffer_bytes = UINT64_C(4) << 20,
	};
}

static bool is_conf_sane(const struct journal_conf *c)
{
	return c->segment_bytes >= SEGMENT_MIN && c->segment_bytes <= SEGMENT_MAX &&
	       c->segment_bytes % JOURNAL_ALIGN == 0 && c->limit_bytes >= 2 * c->segment_bytes &&
	       c->buffer_bytes >= BUFFER_MIN && c->buffer_bytes <= BUFFER_MAX &&
	       c->window_ms >= 0 && strlen(c->dir) < JOURNAL_DIR_BYTES;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct journal *j = arg;

	(void)fd;
	(void)what;
	OBJ_CHECK(j, JOURNAL_MAGIC);
	clock_touch();
	/* journal_poll() may have taken the job before its signal came. */
	journal_writer_drain(j->writer);
	journal_work_done(j);
}

static struct journal *journal_new(const struct journal_conf *conf,
				   const struct journal_events *events)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->magic = JOURNAL_MAGIC;
	j->conf = *conf;
	j->io = conf->io != NULL ? conf->io : &journal_io_system;
	j->events = *events;
	snprintf(j->dir, sizeof(j->dir), "%s", conf->dir);
	j->conf.dir = j->dir;
	j->dir_fd = -1;
	j->spare_fd = -1;
	j->next_seq = 1;
	j->generation = 1;
	/* The first segment of a run cannot tell how many records the one before should have. */
	j->is_after_gap = true;
	TAILQ_INIT(&j->segments);
	journal_reader_init(&j->reader, j->io);
	return j;
}

static int alloc_buffers(struct journal *j)
{
	const uint64_t smallest = JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN;

	j->early_bits = 64;
	while (j->early_bits < 2 * j->conf.buffer_bytes / smallest)
		j->early_bits *= 2;
	j->early = calloc(j->early_bits / 64, sizeof(*j->early));
	j->fill.p = malloc(j->conf.buffer_bytes);
	j->out.p = malloc(j->conf.buffer_bytes);
	return j->early == NULL || j->fill.p == NULL || j->out.p == NULL ? -ENOMEM : 0;
}

static void journal_destroy(struct journal *j)
{
	struct journal_segment *s;

	if (j->done_event != NULL)
		event_free(j->done_event);
	journal_writer_free(j->writer);
	journal_reader_fini(&j->reader);
	while ((s = TAILQ_FIRST(&j->segments)) != NULL) {
		TAILQ_REMOVE(&j->segments, s, link);
		if (s->fd >= 0)
			(void)j->io->close(s->fd);
		journal_segment_free(s);
	}
	if (j->making != NULL)
		journal_segment_free(j->making);
	if (j->dropping != NULL)
		journal_segment_free(j->dropping);
	if (j->spare_fd >= 0)
		(void)j->io->close(j->spare_fd);
	if (j->dir_fd >= 0)
		(void)j->io->close(j->dir_fd);
	free(j->early);
	free(j->fill.p);
	free(j->out.p);
	j->magic = 0;
	free(j);
}

static int start_writer(struct journal *j, struct event_base *base)
{
	int rc = journal_writer_new(&j->writer, j->io, j->dir_fd, j->conf.is_inline);

	if (rc < 0)
		return rc;
	j->done_event =
		event_new(base, journal_writer_fd(j->writer), EV_READ | EV_PERSIST, on_done, j);
	if (j->done_event == NULL || event_add(j->done_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

int journal_open(struct journal **out, struct event_base *base, const struct journal_conf *conf,
		 const struct journal_events *events)
{
	struct journal *j;
	int rc;

	if (!is_conf_sane(conf))
		return -EINVAL;
	j = journal_new(conf, events);
	if (j == NULL)
		return -ENOMEM;
	rc = alloc_buffers(j);
	if (rc < 0)
		goto fail;
	if (j->conf.instance == 0 &&
	    getrandom(&j->conf.instance, sizeof(j->conf.instance), 0) < 0) {
		rc = -errno;
		goto fail;
	}
	rc = journal_dir_open(j);
	if (rc < 0)
		goto fail;
	j->settled = j->next_seq - 1;
	journal_work_start(j);
	rc = start_writer(j, base);
	if (rc < 0)
		goto fail;
	journal_replay_begin(j, false);
	*out = j;
	return 0;
fail:
	journal_destroy(j);
	return rc;
}

/*
 * Tell the next run which segments Redis had whole. They stay, for Redis may yet forget
 * its last seconds, but nobody needs to be alarmed when they grow old.
 */
static void rename_done(struct journal *j)
{
	struct journal_segment *s;
	char name[JOURNAL_NAME_BYTES];

	TAILQ_FOREACH (s, &j->segments, link) {
		bool is_done = s->was_done || (s->is_counted && s->n_applied == s->n &&
					       !s->is_damaged && !s->has_expired);

		journal_name_put(name, s->header.first, s->header.generation,
				 is_done ? "done" : "seg");
		if (strcmp(name, s->name) != 0)
			(void)j->io->renameat(j->dir_fd, s->name, name);
	}
}

void journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	OBJ_CHECK(j, JOURNAL_MAGIC);
	j->is_committed = true;
	journal_work(j);
	while (!journal_work_is_over(j)) {
		if (!j->is_busy) /* out of memory: what is left was never reported as synced */
			break;
		journal_writer_wait(j->writer);
		journal_work_done(j);
	}
	rename_done(j);
	journal_destroy(j);
}

int journal_append(struct journal *j, const struct journal_record *r, uint64_t *seq)
{
	size_t span = journal_record_bytes(r);
	struct journal_buffer *b = &j->fill;

	if (span == 0 || span > j->conf.segment_bytes - JOURNAL_HEADER_BYTES ||
	    span > j->conf.buffer_bytes)
		return -EMSGSIZE;
	if (j->has_failed)
		return -EIO;
	if (span > j->conf.buffer_bytes - b->n)
		return -EAGAIN;
	if (j->plan_off + span > j->conf.segment_bytes) {
		if (!journal_may_grow(j))
			return -ENOSPC;
		j->plan_extra++;
		j->plan_off = JOURNAL_HEADER_BYTES;
	}
	journal_record_put(b->p + b->n, r);
	b->n += span;
	j->plan_off += span;
	*seq = j->next_seq++;
	return 0;
}

void journal_commit(struct journal *j)
{
	OBJ_CHECK(j, JOURNAL_MAGIC);
	if (j->fill.n == 0)
		return;
	j->is_committed = true;
	journal_work(j);
}

static bool has_seq(const struct journal_segment *s, uint64_t seq)
{
	return seq >= s->header.first && seq - s->header.first < s->n;
}

/* From the newest: what is applied is mostly what was just written, or next to the last one. */
static struct journal_segment *find_segment(struct journal *j, uint64_t seq)
{
	struct journal_segment *s = j->hint;

	if (s != NULL && has_seq(s, seq))
		return s;
	TAILQ_FOREACH_REVERSE(s, &j->segments, journal_segments, link)
	if (has_seq(s, seq))
		break;
	j->hint = s;
	return s;
}

void journal_applied(struct journal *j, uint64_t seq)
{
	struct journal_segment *s;
	uint64_t bit;

	if (seq >= j->next_seq)
		return;
	if (seq > j->settled) {
		bit = seq & (j->early_bits - 1);
		j->early[bit / 64] |= UINT64_C(1) << (bit % 64);
		return;
	}
	s = find_segment(j, seq);
	if (s != NULL)
		journal_segment_mark(s, seq - s->header.first, clock_mono_ms());
}

void journal_release(struct journal *j, int64_t at_ms)
{
	if (at_ms > j->released_ms)
		j->released_ms = at_ms;
}

static int64_t age_of_oldest(const struct journal *j)
{
	struct journal_segment *s;
	int64_t age = 0;

	TAILQ_FOREACH (s, &j->segments, link)
		if (s->n_applied < s->n) {
			age = clock_wall_ms() - journal_segment_oldest(s);
			break;
		}
	return age > 0 ? age : 0;
}

static bool is_full(const struct journal *j)
{
	return !journal_may_grow(j) && j->plan_off + SEGMENT_MIN > j->conf.segment_bytes;
}

void journal_get_stats(const struct journal *j, struct journal_stats *st)
{
	const struct journal_segment *s;

	*st = (struct journal_stats){
		.bytes = j->bytes,
		.oldest_ms = age_of_oldest(j),
		.expired = j->n_expired,
		.quarantined = j->n_quarantined,
		.poisoned = j->n_poisoned,
		.is_full = is_full(j),
		.has_failed = j->has_failed,
	};
	TAILQ_FOREACH (s, &j->segments, link) {
		st->segments++;
		st->unapplied += s->n - s->n_applied;
	}
	if (j->spare_fd >= 0 || (j->is_busy && j->job.kind == JOB_SPARE)) {
		st->segments++;
		st->bytes += j->conf.segment_bytes;
	}
}

const char *journal_state(const struct journal *j)
{
	if (j->has_failed)
		return "failed: the disk refuses writes";
	if (is_full(j))
		return j->has_spare_failed ? "full: no space on the file system"
					   : "full: at the journal's limit";
	return "ok";
}

void journal_tick(struct journal *j)
{
	struct journal_stats st;

	OBJ_CHECK(j, JOURNAL_MAGIC);
	journal_work_tick(j);
	journal_get_stats(j, &st);
	metric_set(M_JOURNAL_BYTES, (int64_t)st.bytes);
	metric_set(M_JOURNAL_UNAPPLIED, (int64_t)st.unapplied);
	metric_set(M_JOURNAL_OLDEST_MS, st.oldest_ms);
}

void journal_poll(struct journal *j)
{
	journal_work_done(j);
}
