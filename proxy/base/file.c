#include "proxy/base/file.h"

#include "proxy/base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static int read_all(int fd, struct strbuf *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0)
		strbuf_put(out, slice_make(piece, (size_t)n));
	if (n < 0)
		return -errno;
	return strbuf_ok(out) ? 0 : -EFBIG;
}

int file_read(const char *path, struct strbuf *out)
{
	/* A pipe in its place must not stop us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else
		rc = S_ISREG(st.st_mode) ? read_all(fd, out) : -EINVAL;
	close(fd);
	return rc;
}

static int write_all(int fd, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		s = slice_drop(s, (size_t)n);
	}
	return 0;
}

int file_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int write_new(const char *temp, const struct slice *v, unsigned n, enum file_sync sync)
{
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	rc = FAILPOINT_ERROR("file_write");
	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = write_all(fd, v[i]);
	if (rc == 0 && sync == FILE_SYNCED && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

int file_replace(const char *path, const struct slice *v, unsigned n, enum file_sync sync)
{
	char dir[PATH_BYTES], temp[PATH_BYTES + 32];
	char *slash;
	int rc;

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	slash = strrchr(dir, '/');
	CHECK(slash != NULL);
	*slash = '\0';
	snprintf(temp, sizeof(temp), "%s/.new-%ld", dir, (long)getpid());
	rc = write_new(temp, v, n, sync);
	if (rc == 0)
		rc = FAILPOINT_ERROR("file_rename");
	if (rc == 0 && rename(temp, path) < 0)
		rc = -errno;
	if (rc < 0) {
		unlink(temp);
		return rc;
	}
	return sync == FILE_SYNCED ? file_sync_dir(dir) : 0;
}
