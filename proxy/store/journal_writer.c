#include "proxy/store/journal_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Who may touch the job: the state is the lock. */
enum {
	NONE,
	POSTED,
	FINISHED
};

struct journal_writer {
	const struct journal_io *io;
	int dir; /* borrowed */
	int wake_fd, done_fd;
	bool has_thread;
	pthread_t thread;
	atomic_int state;
	atomic_bool is_stopping;
	struct journal_job *job; /* borrowed, while state is not NONE */
};

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	/* Cannot fail but by our own bug: the counter never comes near its end. */
	while (write(fd, &one, sizeof(one)) < 0)
		CHECK(errno == EINTR);
}

static void finish_job(struct journal_writer *w)
{
	journal_job_run(w->job, w->io, w->dir);
	atomic_store_explicit(&w->state, FINISHED, memory_order_release);
	signal_fd(w->done_fd);
}

static void *writer_main(void *arg)
{
	struct journal_writer *w = arg;
	uint64_t n;

	while (!atomic_load_explicit(&w->is_stopping, memory_order_acquire)) {
		if (atomic_load_explicit(&w->state, memory_order_acquire) == POSTED)
			finish_job(w);
		while (read(w->wake_fd, &n, sizeof(n)) < 0)
			CHECK(errno == EINTR);
	}
	return NULL;
}

/* Signals are the event loop's: none may run its handler in here. */
static int start_thread(struct journal_writer *w)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc != 0)
		return -rc;
	rc = pthread_create(&w->thread, NULL, writer_main, w);
	w->has_thread = rc == 0;
	CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return -rc;
}

int journal_writer_new(struct journal_writer **out, const struct journal_io *io, int dir,
		       bool is_inline)
{
	struct journal_writer *w = calloc(1, sizeof(*w));
	int rc = 0;

	if (w == NULL)
		return -ENOMEM;
	w->io = io;
	w->dir = dir;
	w->wake_fd = eventfd(0, EFD_CLOEXEC);
	w->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0 || w->done_fd < 0)
		rc = -errno;
	if (rc == 0 && !is_inline)
		rc = start_thread(w);
	if (rc < 0) {
		journal_writer_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

void journal_writer_free(struct journal_writer *w)
{
	if (w == NULL)
		return;
	if (w->has_thread) {
		atomic_store_explicit(&w->is_stopping, true, memory_order_release);
		signal_fd(w->wake_fd);
		CHECK(pthread_join(w->thread, NULL) == 0);
	}
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	if (w->done_fd >= 0)
		close(w->done_fd);
	free(w);
}

int journal_writer_fd(const struct journal_writer *w)
{
	return w->done_fd;
}

void journal_writer_post(struct journal_writer *w, struct journal_job *job)
{
	CHECK(atomic_load_explicit(&w->state, memory_order_relaxed) == NONE);
	w->job = job;
	if (!w->has_thread) {
		finish_job(w);
		return;
	}
	atomic_store_explicit(&w->state, POSTED, memory_order_release);
	signal_fd(w->wake_fd);
}

void journal_writer_drain(struct journal_writer *w)
{
	uint64_t n;

	while (read(w->done_fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

bool journal_writer_take(struct journal_writer *w)
{
	if (atomic_load_explicit(&w->state, memory_order_acquire) != FINISHED)
		return false;
	journal_writer_drain(w);
	atomic_store_explicit(&w->state, NONE, memory_order_relaxed);
	return true;
}

void journal_writer_wait(struct journal_writer *w)
{
	struct pollfd p = {.fd = w->done_fd, .events = POLLIN};

	while (poll(&p, 1, -1) < 0)
		CHECK(errno == EINTR);
}
