/* Small files, read and replaced whole. Each call waits for the disk. */
#ifndef STATWEIR_BASE_FILE_H
#define STATWEIR_BASE_FILE_H

#include "proxy/base/check.h"
#include "proxy/base/strbuf.h"

enum file_sync {
	FILE_LAZY,   /* whole or as before, but after a power failure perhaps empty */
	FILE_SYNCED, /* and on disk, under its name, when the call returns */
};

/* All of a regular file, behind what is in out. 0, -EFBIG (more than out may hold), -EINVAL (not a
 * regular file), or -errno. */
int file_read(const char *path, struct strbuf *out) MUSTUSE;

/*
 * Make the file at path from n slices, mode 0600: nobody reads half of it, and a failure
 * leaves what was there. Written first as .new-PID in its directory, which is never
 * the name of a file that means something. 0 or -errno.
 */
int file_replace(const char *path, const struct slice *v, unsigned n, enum file_sync sync) MUSTUSE;

/* What was made, renamed or removed in dir outlives a power failure. 0 or -errno. */
int file_sync_dir(const char *dir) MUSTUSE;

#endif
