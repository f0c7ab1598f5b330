#include "proxy/store/aof_tail.h"

#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER	   "appendonlydir"
#define MANIFEST   FOLDER "/appendonly.aof.manifest"
#define NAME_BYTES 256

enum word {
	WORD_WHOLE,
	WORD_TORN, /* the file ends in it */
	WORD_BAD,  /* not what Redis writes */
};

/* "*N\r\n" or "$N\r\n" off the front of *rest. */
static enum word take_number(struct slice *rest, char kind, uint64_t *n)
{
	const char *end;

	if (rest->n == 0)
		return WORD_TORN;
	if (rest->p[0] != kind)
		return WORD_BAD;
	end = memchr(rest->p, '\n', rest->n < 24 ? rest->n : 24);
	if (end == NULL)
		return rest->n < 24 ? WORD_TORN : WORD_BAD;
	if (end - rest->p < 3 || end[-1] != '\r' ||
	    slice_to_u64(slice_make(rest->p + 1, (size_t)(end - rest->p) - 2), n) < 0)
		return WORD_BAD;
	*rest = slice_drop(*rest, (size_t)(end - rest->p) + 1);
	return WORD_WHOLE;
}

static enum word take_text(struct slice *rest, struct slice *text)
{
	uint64_t n;
	enum word w = take_number(rest, '$', &n);

	if (w != WORD_WHOLE)
		return w;
	if (n > rest->n || rest->n - n < 2)
		return WORD_TORN;
	*text = slice_make(rest->p, (size_t)n);
	*rest = slice_drop(*rest, (size_t)n + 2);
	return WORD_WHOLE;
}

/* One command off the front of *rest; its name. */
static enum word take_command(struct slice *rest, struct slice *name)
{
	struct slice text;
	uint64_t n;
	enum word w = take_number(rest, '*', &n);

	if (w == WORD_WHOLE)
		w = take_text(rest, name);
	for (uint64_t i = 1; w == WORD_WHOLE && i < n; i++)
		w = take_text(rest, &text);
	return w;
}

static bool is_name(struct slice s, const char *name)
{
	return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

int64_t aof_open_transaction(struct slice s)
{
	struct slice rest = s, name;
	int64_t open_at = -1;

	while (rest.n > 0) {
		int64_t at = (int64_t)(rest.p - s.p);
		const char *end;

		/* A time stamp, where Redis is told to write them. */
		if (rest.p[0] == '#') {
			end = memchr(rest.p, '\n', rest.n);
			if (end == NULL)
				break;
			rest = slice_drop(rest, (size_t)(end - rest.p) + 1);
			continue;
		}
		switch (take_command(&rest, &name)) {
		case WORD_BAD:
			return -1;
		case WORD_TORN:
			return open_at;
		case WORD_WHOLE:
			break;
		}
		if (is_name(name, "MULTI"))
			open_at = at;
		else if (is_name(name, "EXEC"))
			open_at = -1;
	}
	return open_at;
}

/* The name of the newest file: the last line "file NAME seq N type i". */
static int find_newest(int dir_fd, char out[NAME_BYTES])
{
	char line[NAME_BYTES + 64], name[NAME_BYTES - sizeof(FOLDER)], type;
	int fd = openat(dir_fd, MANIFEST, O_RDONLY | O_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	out[0] = '\0';
	if (f == NULL) {
		int rc = -errno;

		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "file %240s seq %*d type %c", name, &type) == 2 && type == 'i' &&
		    strchr(name, '/') == NULL)
			snprintf(out, NAME_BYTES, FOLDER "/%s", name);
	fclose(f);
	return out[0] != '\0' ? 0 : -ENOENT;
}

static int64_t mend_file(int fd)
{
	struct stat st;
	int64_t at;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0)
		return 0;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	at = aof_open_transaction(slice_make(p, (size_t)st.st_size));
	munmap(p, (size_t)st.st_size);
	if (at < 0)
		return 0;
	if (ftruncate(fd, at) < 0 || fsync(fd) < 0)
		return -errno;
	return st.st_size - at;
}

int64_t aof_mend(int dir_fd)
{
	char path[NAME_BYTES];
	int fd, rc = find_newest(dir_fd, path);
	int64_t n;

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	fd = openat(dir_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	n = fd < 0 ? -errno : mend_file(fd);
	if (fd >= 0)
		close(fd);
	if (n > 0)
		log_line(LOG_WARN, "redis_file_mended",
			 "file=%s bytes=%" PRId64
			 " reason=\"it ended inside a transaction, which nobody was told of\"",
			 path, n);
	else if (n < 0)
		log_line(LOG_WARN, "redis_file_unread",
			 "file=%s error=\"%s\" effect=\"Redis is started on it as it is\"", path,
			 strerror((int)-n));
	return n;
}
