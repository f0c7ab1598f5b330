/*
 * The file operations of the journal, as a table: the system's, or in tests ones that
 * fail at the nth call, cut writes short or keep a log. They are called from the
 * writer thread as well as from the event loop's.
 */
#ifndef STATWEIR_STORE_JOURNAL_IO_H
#define STATWEIR_STORE_JOURNAL_IO_H

#include "proxy/base/check.h"

#include <stdint.h>
#include <sys/types.h>

/* Each returns what its namesake does, but a negative errno for -1. */
struct journal_io {
	int (*openat)(int dir, const char *name, int flags, mode_t mode);
	ssize_t (*pread)(int fd, void *p, size_t n, off_t off);
	ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t off);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*fallocate)(int fd, off_t n); /* space for bytes 0 to n, which read as zero */
	int (*renameat)(int dir, const char *from, const char *to);
	int (*unlinkat)(int dir, const char *name);
	int (*close)(int fd);
};

extern const struct journal_io journal_io_system;

/* pwrite until all n bytes are written. 0, or -errno (-EIO if the file takes no more). */
int journal_io_write(const struct journal_io *io, int fd, const void *p, size_t n,
		     uint64_t off) MUSTUSE;

/* pread until n bytes or the end of the file: the number read, or -errno. */
ssize_t journal_io_read(const struct journal_io *io, int fd, void *p, size_t n,
			uint64_t off) MUSTUSE;

#endif
