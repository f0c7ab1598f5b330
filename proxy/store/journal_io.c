#include "proxy/store/journal_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int result(int rc)
{
	return rc < 0 ? -errno : rc;
}

static int system_openat(int dir, const char *name, int flags, mode_t mode)
{
	return result(openat(dir, name, flags | O_CLOEXEC, mode));
}

static ssize_t system_pread(int fd, void *p, size_t n, off_t off)
{
	ssize_t got = pread(fd, p, n, off);

	return got < 0 ? -errno : got;
}

static ssize_t system_pwrite(int fd, const void *p, size_t n, off_t off)
{
	ssize_t put = pwrite(fd, p, n, off);

	return put < 0 ? -errno : put;
}

static int system_fdatasync(int fd)
{
	return result(fdatasync(fd));
}

static int system_fsync(int fd)
{
	return result(fsync(fd));
}

static int system_fallocate(int fd, off_t n)
{
	return -posix_fallocate(fd, 0, n);
}

static int system_renameat(int dir, const char *from, const char *to)
{
	return result(renameat(dir, from, dir, to));
}

static int system_unlinkat(int dir, const char *name)
{
	return result(unlinkat(dir, name, 0));
}

static int system_close(int fd)
{
	return result(close(fd));
}

const struct journal_io journal_io_system = {
	.openat = system_openat,
	.pread = system_pread,
	.pwrite = system_pwrite,
	.fdatasync = system_fdatasync,
	.fsync = system_fsync,
	.fallocate = system_fallocate,
	.renameat = system_renameat,
	.unlinkat = system_unlinkat,
	.close = system_close,
};

int journal_io_write(const struct journal_io *io, int fd, const void *p, size_t n, uint64_t off)
{
	const char *at = p;

	while (n > 0) {
		ssize_t put = io->pwrite(fd, at, n, (off_t)off);

		if (put == -EINTR)
			continue;
		if (put < 0)
			return (int)put;
		if (put == 0)
			return -EIO;
		at += put;
		off += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

ssize_t journal_io_read(const struct journal_io *io, int fd, void *p, size_t n, uint64_t off)
{
	char *at = p;
	size_t done = 0;

	while (done < n) {
		ssize_t got = io->pread(fd, at + done, n - done, (off_t)(off + done));

		if (got == -EINTR)
			continue;
		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}
