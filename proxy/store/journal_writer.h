/*
 * The journal's helper thread: does one job at a time, then wakes the event loop. It
 * decides nothing; what follows from a failure is the event loop's to say.
 *
 * A job belongs to the writer from journal_writer_post() until journal_writer_take()
 * has returned true, and nobody else touches it or what it points to meanwhile.
 */
#ifndef STATWEIR_STORE_JOURNAL_WRITER_H
#define STATWEIR_STORE_JOURNAL_WRITER_H

#include "proxy/store/journal_format.h"
#include "proxy/store/journal_io.h"

/* The file that is to become the next segment. */
#define JOURNAL_SPARE "spare"
enum {
	JOURNAL_SLICE_BYTES = 1024 * 1024
};

enum journal_job_kind {
	JOB_WRITE, /* seal and write a group and sync it, as the first of a new segment if is_new */
	JOB_SPARE, /* make the spare, or fill one more slice of it with zeros */
	JOB_DROP,  /* delete a file, or rename it */
};

struct journal_job {
	enum journal_job_kind kind;
	int rc; /* the outcome: 0 or -errno */

	/*
	 * The segment's or the spare's descriptor, -1: there is none yet. A failed job of a new
	 * segment or a spare has closed it and removed the file.
	 */
	int fd;
	uint64_t bytes; /* of the whole file; for JOB_DROP none */
	char name[JOURNAL_NAME_BYTES];

	bool is_new; /* JOB_WRITE: make the spare segment `name` with this header */
	struct journal_header header;
	uint8_t *group; /* may be empty if is_new */
	size_t group_n;
	uint64_t off;
	uint32_t seed; /* set if is_new */

	uint64_t filled; /* JOB_SPARE: bytes of zeros so far, advanced */
	const char *to;	 /* JOB_DROP: the new suffix, or NULL: delete */
};

struct journal_writer;

/* dir is borrowed, an open directory. Without a thread, a posted job is done at once. */
int journal_writer_new(struct journal_writer **out, const struct journal_io *io, int dir,
		       bool is_inline) MUSTUSE;
/* Ends the thread. No job may be under way. NULL is allowed. */
void journal_writer_free(struct journal_writer *w);

/* Readable when a job may be done. */
int journal_writer_fd(const struct journal_writer *w);
/* Only when no job is under way. */
void journal_writer_post(struct journal_writer *w, struct journal_job *job);
/* Its descriptor is not readable any more, until a job ends from now on. */
void journal_writer_drain(struct journal_writer *w);
/* Has the job under way been done? Then it is the caller's again. */
bool journal_writer_take(struct journal_writer *w);
/* Wait until journal_writer_fd() is readable: for the end, when no event loop runs. */
void journal_writer_wait(struct journal_writer *w);

/* Do a job here and now. */
void journal_job_run(struct journal_job *job, const struct journal_io *io, int dir);

#endif
