#include "proxy/store/journal_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A number beyond this is no journal's: the sums below cannot overflow. */
#define FIRST_MAX (UINT64_C(1) << 62)

enum {
	RECORD_MIN = JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN
};

/* The directory's own entry must survive a power failure, or all in it is lost. */
static int sync_parent(struct journal *j)
{
	int rc, fd = j->io->openat(j->dir_fd, "..", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	rc = j->io->fsync(fd);
	(void)j->io->close(fd);
	return rc;
}

static int open_locked(struct journal *j)
{
	bool is_new = mkdir(j->dir, 0700) == 0;

	if (!is_new && errno != EEXIST)
		return -errno;
	j->dir_fd = j->io->openat(AT_FDCWD, j->dir, O_RDONLY | O_DIRECTORY, 0);
	if (j->dir_fd < 0)
		return j->dir_fd;
	if (flock(j->dir_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return is_new ? sync_parent(j) : 0;
}

static void insert_sorted(struct journal_segments *list, struct journal_segment *s)
{
	struct journal_segment *at = TAILQ_LAST(list, journal_segments);

	while (at != NULL && (at->header.first > s->header.first ||
			      (at->header.first == s->header.first &&
			       at->header.generation > s->header.generation)))
		at = TAILQ_PREV(at, journal_segments, link);
	if (at == NULL)
		TAILQ_INSERT_HEAD(list, s, link);
	else
		TAILQ_INSERT_AFTER(list, at, s, link);
}

/* What a segment file begins with. first_at_ms of an empty one is left alone. */
static int read_start(struct journal *j, const char *name, struct journal_header *h, uint32_t *seed,
		      int64_t *first_at_ms, uint64_t *bytes)
{
	uint8_t in[JOURNAL_HEADER_BYTES + JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN] = {0};
	struct stat st;
	ssize_t got;
	int fd = j->io->openat(j->dir_fd, name, O_RDONLY, 0);

	if (fd < 0)
		return fd;
	got = journal_io_read(j->io, fd, in, sizeof(in), 0);
	if (fstat(fd, &st) < 0 && got >= 0)
		got = -errno;
	(void)j->io->close(fd);
	if (got < 0)
		return (int)got;
	*bytes = (uint64_t)st.st_size;
	if (journal_record_peek(in + JOURNAL_HEADER_BYTES) > 0)
		*first_at_ms = journal_record_at(in + JOURNAL_HEADER_BYTES);
	return journal_header_get(h, seed, in);
}

/* Without its header no record of it can be told from rubbish: only an operator can judge it. */
static void set_aside(struct journal *j, const char *name, uint64_t first, uint32_t generation)
{
	char to[JOURNAL_NAME_BYTES];
	int rc;

	journal_name_put(to, first, generation, "bad");
	rc = j->io->renameat(j->dir_fd, name, to);
	j->n_quarantined++;
	metric_add(M_JOURNAL_QUARANTINED, 1);
	log_line(LOG_ERROR, "journal_damaged",
		 "file=%s/%s what=header kept_as=*.bad rc=%d records=unreadable "
		 "todo=\"acknowledged messages may be missing: check the disk, keep the file for "
		 "analysis, then remove it\"",
		 j->dir, name, rc);
}

static void log_version(const struct journal *j, const char *name, const struct journal_header *h)
{
	log_line(LOG_ERROR, "journal_version",
		 "file=%s/%s version=%u known=%d "
		 "todo=\"it holds acknowledged messages: start the version of statweir that wrote "
		 "it "
		 "until the journal is empty, or move the file away to give them up\"",
		 j->dir, name, (unsigned)h->version, JOURNAL_VERSION);
}

static int take_file(struct journal *j, const char *name, enum journal_file kind, uint64_t first,
		     uint32_t generation)
{
	struct journal_header h = {0};
	struct journal_segment *s;
	uint32_t seed = 0;
	int64_t at_ms = clock_wall_ms();
	uint64_t bytes = 0;
	int rc = read_start(j, name, &h, &seed, &at_ms, &bytes);

	if (generation >= j->generation)
		j->generation = generation + 1;
	if (rc == 0 &&
	    (h.first != first || h.generation != generation || first == 0 || first > FIRST_MAX))
		rc = -EBADMSG;
	if (rc == -EBADMSG) {
		set_aside(j, name, first, generation);
		return 0;
	}
	if (rc < 0)
		return rc;
	s = journal_segment_new(&h);
	if (s == NULL)
		return -ENOMEM;
	journal_name_put(s->name, first, generation, kind == JOURNAL_FILE_DONE ? "done" : "seg");
	s->seed = seed;
	s->bytes = bytes;
	s->first_at_ms = at_ms;
	s->is_found = true;
	s->was_done = kind == JOURNAL_FILE_DONE;
	j->bytes += bytes;
	insert_sorted(&j->segments, s);
	return 0;
}

/* Versions first, before anything is touched. */
static int check_versions(struct journal *j, DIR *d)
{
	struct journal_header h = {0};
	uint32_t seed, generation;
	uint64_t first, bytes;
	int64_t at_ms;
	struct dirent *e;

	while ((e = readdir(d)) != NULL) {
		if (journal_name_get(e->d_name, &first, &generation) == JOURNAL_FILE_OTHER)
			continue;
		if (read_start(j, e->d_name, &h, &seed, &at_ms, &bytes) == -ENOTSUP) {
			log_version(j, e->d_name, &h);
			return -ENOTSUP;
		}
	}
	rewinddir(d);
	return 0;
}

static int read_names(struct journal *j, DIR *d)
{
	uint32_t generation;
	uint64_t first;
	struct dirent *e;
	int rc = check_versions(j, d);

	while (rc == 0 && (e = readdir(d)) != NULL) {
		enum journal_file kind = journal_name_get(e->d_name, &first, &generation);

		if (kind != JOURNAL_FILE_OTHER)
			rc = take_file(j, e->d_name, kind, first, generation);
	}
	return rc;
}

static int read_dir(struct journal *j)
{
	int rc, fd = dup(j->dir_fd);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	rc = read_names(j, d);
	closedir(d);
	return rc;
}

/* How many records has the last segment? Those before it end where the next one begins. */
static int count_last(struct journal *j)
{
	struct journal_segment *s = TAILQ_LAST(&j->segments, journal_segments);
	struct journal_record r;
	int rc;

	if (s == NULL)
		return 0;
	rc = journal_reader_open(&j->reader, j->dir_fd, s->name, s->seed, s->bytes);
	if (rc < 0)
		return rc;
	while ((rc = journal_reader_next(&j->reader, &r, true)) > 0) {
		rc = journal_segment_note(s, j->reader.place - 1, r.at_ms);
		if (rc < 0)
			break;
	}
	if (rc == 0) {
		s->n = j->reader.place;
		j->next_seq = s->header.first + s->n;
	}
	/*
	 * It may be readable again one day: the next segment's first number must not
	 * cut off what it could have.
	 */
	if (j->reader.is_damaged)
		j->next_seq = s->header.first + s->bytes / RECORD_MIN;
	journal_reader_close(&j->reader);
	return rc;
}

static void count_others(struct journal *j)
{
	struct journal_segment *s, *next;

	TAILQ_FOREACH (s, &j->segments, link) {
		next = TAILQ_NEXT(s, link);
		if (next != NULL)
			s->n = next->header.first - s->header.first;
	}
}

static const char *todo(int rc)
{
	switch (rc) {
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "give statweir's user a state directory it may write to";
	case -ENOENT:
		return "make the parent directory, or set global.state";
	default:
		return "check the disk and the state directory";
	}
}

int journal_dir_open(struct journal *j)
{
	int rc = open_locked(j);

	if (rc == 0)
		rc = read_dir(j);
	if (rc == 0)
		rc = count_last(j);
	if (rc < 0) {
		if (rc != -ENOTSUP && rc != -EBUSY)
			log_line(LOG_ERROR, "journal_unusable", "dir=%s error=\"%s\" todo=\"%s\"",
				 j->dir, strerror(-rc), todo(rc));
		return rc;
	}
	count_others(j);
	return 0;
}
