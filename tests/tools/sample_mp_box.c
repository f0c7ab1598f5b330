#include "tests/tools/http_client.h"
#include "tests/tools/sample_mp.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES 2821109907456u /* 36 to the 8th */
#define BATCH 100	     /* files moved between two readings of the folder */

struct entry {
	int64_t at_ns;
	char name[16];
};

/* Eight characters that look random and do not repeat: a step that 36^8 has no factor of. */
static void file_name(uint64_t number, char out[16])
{
	uint64_t v = number % NAMES * 999983u % NAMES;

	for (int i = 7; i >= 0; i--, v /= 36)
		out[i] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[v % 36];
	memcpy(out + 8, ".SVF", 5);
}

void mp_box_put(struct mp *mp, struct slice content)
{
	char name[16];
	int fd;

	if (mp->box.dir < 0)
		return;
	do {
		file_name(++mp->box.next_name, name);
		fd = openat(mp->box.dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	} while (fd < 0 && errno == EEXIST);
	CHECK(fd >= 0);
	CHECK(write(fd, content.p, content.n) == (ssize_t)content.n);
	close(fd);
	mp->box.written++;
}

uint64_t mp_box_files(const struct mp *mp)
{
	return mp->box.written - mp->box.moved;
}

static int older_first(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

/* Every file of the folder with its time, as the dispatch manager wants it. */
static struct entry *enumerate(struct mp *mp, size_t *n_out)
{
	int fd = openat(mp->box.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct entry *v = NULL;
	size_t n = 0, room = 0;
	struct dirent *d;
	struct stat st;

	CHECK(dir);
	while ((d = readdir(dir))) {
		if (strlen(d->d_name) != 12 || fstatat(mp->box.dir, d->d_name, &st, 0) < 0)
			continue;
		if (n == room) {
			room = room ? room * 2 : 4096;
			v = realloc(v, room * sizeof(*v));
			CHECK(v);
		}
		v[n].at_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
		memcpy(v[n].name, d->d_name, 13);
		n++;
	}
	closedir(dir);
	*n_out = n;
	return v;
}

/* Read the folder and move the oldest files away, at most max. How many were moved. */
static size_t move_batch(struct mp *mp, size_t max)
{
	size_t n, moved = 0;
	struct entry *v = enumerate(mp, &n);

	if (n > 0)
		qsort(v, n, sizeof(*v), older_first);
	for (size_t i = 0; i < n && i < max; i++)
		moved += unlinkat(mp->box.dir, v[i].name, 0) == 0;
	free(v);
	mp->box.moved += moved;
	return moved;
}

/*
 * One pass, on the thread that serves requests, because that is the trouble: while the
 * folder is read nobody gets an answer (KB 924842). It is read again for every batch,
 * for new files arrive all the time.
 */
static void dispatch(evutil_socket_t fd, short what, void *arg)
{
	struct mp *mp = arg;
	int64_t start = http_client_now_us();
	size_t left = mp->opt.drain, max, moved;

	(void)fd;
	(void)what;
	do {
		max = left < BATCH ? left : BATCH;
		moved = move_batch(mp, max);
		left -= moved;
	} while (left > 0 && moved == max);
	mp->box.passes++;
	mp->box.last_pass_us = http_client_now_us() - start;
	if (mp->box.last_pass_us > mp->box.slowest_pass_us)
		mp->box.slowest_pass_us = mp->box.last_pass_us;
	mp->blocked_us = mp->box.last_pass_us;
}

int mp_box_open(struct mp *mp)
{
	struct timeval second = {1, 0};
	struct event *timer;

	mp->box.dir = -1;
	if (!mp->opt.box)
		return 0;
	if (mkdir(mp->opt.box, 0755) < 0 && errno != EEXIST)
		return -errno;
	mp->box.dir = open(mp->opt.box, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mp->box.dir < 0)
		return -errno;
	if (!mp->opt.does_dispatch)
		return 0;
	timer = event_new(mp->base, -1, EV_PERSIST, dispatch, mp);
	if (!timer || event_add(timer, &second) < 0)
		return -ENOMEM;
	return 0;
}
