#include "proxy/core/statbox.h"

#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS	   1000
#define FRESH_S	   60 /* an older report says nothing about now */
#define TEXT_BYTES 32

static void path_of(const struct conf *conf, char *out, size_t room)
{
	if (conf->throttle_files_from[0] != '\0')
		snprintf(out, room, "%s", conf->throttle_files_from);
	else
		snprintf(out, room, "%s/statbox", conf->state);
}

static bool parse(struct slice text, uint64_t *files)
{
	while (text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) != NULL)
		text.n--;
	return slice_to_u64(text, files) == 0 && *files <= INT64_MAX;
}

static bool read_file(const char *path, struct timespec *seen, uint64_t *files)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char text[TEXT_BYTES];
	struct stat st;
	ssize_t n = -1;
	bool is_new;

	if (fd < 0)
		return false;
	is_new = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		 (st.st_mtim.tv_sec != seen->tv_sec || st.st_mtim.tv_nsec != seen->tv_nsec) &&
		 clock_wall_ms() / 1000 - st.st_mtim.tv_sec < FRESH_S;
	if (is_new) {
		*seen = st.st_mtim;
		n = read(fd, text, sizeof(text));
	}
	close(fd);
	return n > 0 && parse(slice_make(text, (size_t)n), files);
}

bool statbox_read(const struct conf *conf, uint64_t *files)
{
	static struct timespec seen;
	static int64_t next_ms;
	int64_t now = clock_mono_ms();
	char path[4096];

	if (now < next_ms)
		return false;
	next_ms = now + LOOK_MS;
	path_of(conf, path, sizeof(path));
	if (read_file(path, &seen, files)) {
		metric_set(M_STATBOX_FILES, (int64_t)*files);
		return true;
	}
	if (clock_wall_ms() / 1000 - seen.tv_sec >= FRESH_S)
		metric_set(M_STATBOX_FILES, 0);
	return false;
}

int statbox_write(const struct conf *conf, struct slice text)
{
	char path[4096], line[TEXT_BYTES];
	struct slice content;
	uint64_t files;

	if (!parse(text, &files))
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/statbox", conf->state);
	content = slice_make(line, (size_t)snprintf(line, sizeof(line), "%" PRIu64 "\n", files));
	return file_replace(path, &content, 1, FILE_LAZY);
}
