#include "proxy/store/journal_writer.h"
#include "proxy/base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/*
 * Space is reserved first, so that a full disk shows here and not in a commit; zeros are
 * then written, slice by slice, because a commit to blocks never written before must
 * also journal that they are now in use, which makes it half as slow again.
 */
static int spare_make(struct journal_job *job, const struct journal_io *io, int dir)
{
	int rc;

	/* Left behind by a crash or a failure: nothing acknowledged is ever under this name. */
	rc = io->unlinkat(dir, JOURNAL_SPARE);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = io->openat(dir, JOURNAL_SPARE, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (rc < 0)
		return rc;
	job->fd = rc;
	job->filled = 0;
	do
		rc = io->fallocate(job->fd, (off_t)job->bytes);
	while (rc == -EINTR);
	return rc;
}

static int spare_fill(struct journal_job *job, const struct journal_io *io)
{
	static const uint8_t zeros[64 * 1024];
	uint64_t end = job->filled + JOURNAL_SLICE_BYTES;
	int rc;

	if (end > job->bytes)
		end = job->bytes;
	while (job->filled < end) {
		size_t n = sizeof(zeros);

		if (n > end - job->filled)
			n = (size_t)(end - job->filled);
		rc = journal_io_write(io, job->fd, zeros, n, job->filled);
		if (rc < 0)
			return rc;
		job->filled += n;
	}
	return io->fdatasync(job->fd);
}

static void spare_abandon(struct journal_job *job, const struct journal_io *io, int dir)
{
	if (job->fd >= 0)
		(void)io->close(job->fd);
	job->fd = -1;
	(void)io->unlinkat(dir, JOURNAL_SPARE);
}

static int run_spare(struct journal_job *job, const struct journal_io *io, int dir)
{
	int rc = job->fd < 0 ? spare_make(job, io, dir) : spare_fill(job, io);

	if (rc < 0)
		spare_abandon(job, io, dir);
	return rc;
}

static int write_group(struct journal_job *job, const struct journal_io *io)
{
	int rc;

	if (job->group_n == 0)
		return 0;
	journal_seal_group(job->group, job->group_n, job->seed, job->off);
	rc = journal_io_write(io, job->fd, job->group, job->group_n, job->off);
	return rc;
}

/*
 * Header and first group are synced under the spare's name, then the file gets its own:
 * a segment without a whole header was damaged, not torn.
 */
static int write_new(struct journal_job *job, const struct journal_io *io, int dir)
{
	uint8_t header[JOURNAL_HEADER_BYTES];
	int rc = 0;

	if (job->fd < 0)
		rc = spare_make(job, io, dir);
	if (rc < 0)
		return rc;
	job->seed = journal_header_put(&job->header, header);
	rc = journal_io_write(io, job->fd, header, sizeof(header), 0);
	if (rc == 0)
		rc = write_group(job, io);
	/* fsync: a spare that was just made has metadata of its own. */
	if (rc == 0)
		rc = io->fsync(job->fd);
	FAILPOINT("journal_rename");
	if (rc == 0)
		rc = io->renameat(dir, JOURNAL_SPARE, job->name);
	if (rc < 0)
		return rc;
	rc = io->fsync(dir);
	if (rc < 0)
		(void)io->unlinkat(dir, job->name);
	return rc;
}

static int run_write(struct journal_job *job, const struct journal_io *io, int dir)
{
	int rc;

	if (job->is_new) {
		rc = write_new(job, io, dir);
		if (rc < 0)
			spare_abandon(job, io, dir);
		return rc;
	}
	FAILPOINT("journal_write");
	rc = write_group(job, io);
	FAILPOINT("journal_written");
	if (rc == 0)
		rc = io->fdatasync(job->fd);
	FAILPOINT("journal_synced");
	return rc;
}

static int run_drop(struct journal_job *job, const struct journal_io *io, int dir)
{
	char to[JOURNAL_NAME_BYTES + 8];
	const char *dot = strrchr(job->name, '.');
	int rc;

	if (job->to == NULL) {
		rc = io->unlinkat(dir, job->name);
		return rc == -ENOENT ? 0 : rc;
	}
	CHECK(dot != NULL);
	snprintf(to, sizeof(to), "%.*s.%s", (int)(dot - job->name), job->name, job->to);
	rc = io->renameat(dir, job->name, to);
	return rc == -ENOENT ? 0 : rc;
}

void journal_job_run(struct journal_job *job, const struct journal_io *io, int dir)
{
	switch (job->kind) {
	case JOB_WRITE:
		job->rc = run_write(job, io, dir);
		return;
	case JOB_SPARE:
		job->rc = run_spare(job, io, dir);
		return;
	case JOB_DROP:
		job->rc = run_drop(job, io, dir);
		return;
	}
	UNREACHABLE("journal job");
}
