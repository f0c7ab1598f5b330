/*
 * For LD_PRELOAD: the nth call of a function of libc fails, is cut short or is late; and
 * a wall clock that a test may turn.
 *
 *	NTH_CALLS="pwrite:ENOSPC@3;fdatasync:EIO@1+;send:short%7;malloc:fail@120"
 *	NTH_ONLY=statweir	programs it acts in (all, without)
 *	NTH_PATH=/journal/	files only: the path of the descriptor contains this
 *	NTH_GATE=FILE		nothing happens, and nothing is counted, while FILE is missing
 *	NTH_FIRED=FILE		is made when something has happened, with the stack in it
 *	NTH_LIVE=FILE		how many blocks of malloc() are left at exit() (nth_malloc.so)
 *	NTH_CLOCK=FILE		its 8 bytes are seconds added to the wall clock
 *
 * CALL:WHAT@N is the Nth call, @N+ all from there on, %N each Nth. WHAT is the name of an
 * error, "short" (one byte) or sleep<MS>.
 * "fail" is ENOMEM. Calls: open write pwrite writev fdatasync fsync rename malloc send
 * recv read connect accept; malloc (calloc, realloc,
 * aligned_alloc) only in nth_malloc.so.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 16
#define DEEPEST	  40

enum call {
	CALL_OPEN,
	CALL_WRITE,
	CALL_PWRITE,
	CALL_WRITEV,
	CALL_FDATASYNC,
	CALL_FSYNC,
	CALL_RENAME,
	CALL_MALLOC,
	CALL_SEND,
	CALL_RECV,
	CALL_READ,
	CALL_CONNECT,
	CALL_ACCEPT,
	CALLS
};

static const char *const call_names[CALLS] = {
	"open",	  "write", "pwrite", "writev", "fdatasync", "fsync",  "rename",
	"malloc", "send",  "recv",   "read",   "connect",   "accept",
};

static const struct {
	const char *word;
	int value;
} errors[] = {
	{"fail", ENOMEM},
	{"ENOMEM", ENOMEM},
	{"EIO", EIO},
	{"ENOSPC", ENOSPC},
	{"EINTR", EINTR},
	{"EAGAIN", EAGAIN},
	{"EMFILE", EMFILE},
	{"ENFILE", ENFILE},
	{"ENOBUFS", ENOBUFS},
	{"EACCES", EACCES},
	{"ECONNREFUSED", ECONNREFUSED},
	{"ECONNRESET", ECONNRESET},
	{"EPIPE", EPIPE},
};

struct rule {
	enum call call;
	int error; /* 0: short or sleep */
	bool is_short;
	long sleep_ms;
	long at, every;
	bool goes_on;
	atomic_long hits;
};

static struct rule rules[RULES_MAX];
static unsigned n_rules;
static const char *gate, *path_part, *fired;
static const volatile int64_t *clock_shift; /* seconds */
/* dlsym() and the parser call malloc() themselves. */
static _Thread_local bool is_inside;

#ifdef NTH_MALLOC
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
extern void __libc_free(void *p);

static atomic_long n_live;
static const char *live;
#endif

static void *next(const char *name)
{
	bool was = is_inside;
	void *f;

	is_inside = true;
	f = dlsym(RTLD_NEXT, name);
	is_inside = was;
	return f;
}

static void die(const char *what)
{
	(void)!write(2, "nth_call: cannot read ", 22);
	(void)!write(2, what, strlen(what));
	(void)!write(2, "\n", 1);
	_exit(78);
}

static void read_what(struct rule *r, const char *word)
{
	if (strcmp(word, "short") == 0) {
		r->is_short = true;
		return;
	}
	if (strncmp(word, "sleep", 5) == 0) {
		r->sleep_ms = strtol(word + 5, NULL, 10);
		return;
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].word, word) == 0) {
			r->error = errors[i].value;
			return;
		}
	die(word);
}

static void read_rule(char *item)
{
	struct rule *r = &rules[n_rules];
	char *what = strchr(item, ':'), *when, *end;

	if (what == NULL || n_rules == RULES_MAX)
		die(item);
	*what++ = '\0';
	when = strpbrk(what, "@%");
	if (when == NULL)
		die(what);
	if (*when == '@')
		r->at = strtol(when + 1, &end, 10);
	else
		r->every = strtol(when + 1, &end, 10);
	r->goes_on = *end == '+';
	*when = '\0';
	read_what(r, what);
	for (r->call = 0; r->call < CALLS; r->call++)
		if (strcmp(call_names[r->call], item) == 0)
			break;
	if (r->call == CALLS)
		die(item);
	n_rules++;
}

static void map_clock(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	if (fd < 0)
		die(path);
	p = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	clock_shift = p;
	close(fd);
}

/* A program may overwrite its environment, as redis-server does to show a title. */
static const char *kept(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? strdup(value) : NULL;
}

__attribute__((constructor)) static void start(void)
{
	static char text[1024];
	void *stack[1];
	const char *calls = getenv("NTH_CALLS"), *only = getenv("NTH_ONLY");
	char *item = text, *end;

	if (only != NULL && strcmp(only, program_invocation_short_name) != 0)
		return;
	if (getenv("NTH_CLOCK") != NULL)
		map_clock(getenv("NTH_CLOCK"));
	gate = kept("NTH_GATE");
	path_part = kept("NTH_PATH");
	fired = kept("NTH_FIRED");
	(void)backtrace(stack, 1); /* loads a library */
#ifdef NTH_MALLOC
	/* Not for the programs that this one starts. */
	unsetenv("LD_PRELOAD");
	live = kept("NTH_LIVE");
#endif
	if (calls == NULL)
		return;
	if (strlen(calls) >= sizeof(text))
		die("NTH_CALLS");
	memcpy(text, calls, strlen(calls) + 1);
	for (; item != NULL && *item != '\0'; item = end) {
		end = strchr(item, ';');
		if (end != NULL)
			*end++ = '\0';
		read_rule(item);
	}
}

static bool gate_is_open(void)
{
	struct stat st;

	return gate == NULL || stat(gate, &st) == 0;
}

static bool is_our_file(int fd)
{
	char link[64], path[512];
	ssize_t n;

	if (path_part == NULL || fd < 0)
		return true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return strstr(path, path_part) != NULL;
}

/* The first time only. */
static void note_fired(void)
{
	int fd = fired != NULL ? open(fired, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	void *stack[DEEPEST];

	if (fd < 0)
		return;
	backtrace_symbols_fd(stack, backtrace(stack, DEEPEST), fd);
	close(fd);
}

/* What shall become of this call: 0 nothing, 1 it is cut short, -1 it fails with errno. */
static int fate(enum call call, int fd)
{
	int saved = errno, result = 0;

	if (n_rules == 0 || is_inside)
		return 0;
	is_inside = true;
	for (unsigned i = 0; i < n_rules && result == 0; i++) {
		struct rule *r = &rules[i];
		long hit;

		if (r->call != call || !gate_is_open() || !is_our_file(fd))
			continue;
		hit = atomic_fetch_add(&r->hits, 1) + 1;
		if (r->every > 0 ? hit % r->every != 0
				 : hit != r->at && !(r->goes_on && hit > r->at))
			continue;
		note_fired();
		if (r->sleep_ms > 0)
			usleep((useconds_t)r->sleep_ms * 1000);
		else if (r->is_short)
			result = 1;
		else
			result = -1;
		if (result < 0)
			saved = r->error;
	}
	is_inside = false;
	errno = saved;
	return result;
}

#define REAL(type, name, ...)             \
	static type (*real)(__VA_ARGS__); \
	if (real == NULL)                 \
	real = (type(*)(__VA_ARGS__))(uintptr_t)next(#name)

int open(const char *path, int flags, ...)
{
	REAL(int, open, const char *, int, ...);
	va_list ap;
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if ((path_part == NULL || strstr(path, path_part) != NULL) && fate(CALL_OPEN, -1) < 0)
		return -1;
	return real(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	REAL(int, openat, int, const char *, int, ...);
	va_list ap;
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (fate(CALL_OPEN, dir) < 0)
		return -1;
	return real(dir, path, flags, mode);
}

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(ssize_t, write, int, const void *, size_t);
	int f = fate(CALL_WRITE, fd);

	return f < 0 ? -1 : real(fd, p, f > 0 && n > 1 ? 1 : n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
	int f = fate(CALL_PWRITE, fd);

	return f < 0 ? -1 : real(fd, p, f > 0 && n > 1 ? 1 : n, off);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(ssize_t, writev, int, const struct iovec *, int);
	int f = fate(CALL_WRITEV, fd);
	struct iovec one = *v;

	if (f < 0)
		return -1;
	if (f > 0 && one.iov_len > 1)
		one.iov_len = 1;
	return f > 0 ? real(fd, &one, 1) : real(fd, v, n);
}

int fdatasync(int fd)
{
	REAL(int, fdatasync, int);
	return fate(CALL_FDATASYNC, fd) < 0 ? -1 : real(fd);
}

int fsync(int fd)
{
	REAL(int, fsync, int);
	return fate(CALL_FSYNC, fd) < 0 ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
	REAL(int, rename, const char *, const char *);
	return fate(CALL_RENAME, -1) < 0 ? -1 : real(from, to);
}

int renameat(int a, const char *from, int b, const char *to)
{
	REAL(int, renameat, int, const char *, int, const char *);
	return fate(CALL_RENAME, -1) < 0 ? -1 : real(a, from, b, to);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	REAL(ssize_t, send, int, const void *, size_t, int);
	int f = fate(CALL_SEND, fd);

	return f < 0 ? -1 : real(fd, p, f > 0 && n > 1 ? 1 : n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
	int f = fate(CALL_SEND, fd);
	struct iovec one;
	struct msghdr cut = *m;

	if (f > 0 && m->msg_iovlen > 0) {
		one = m->msg_iov[0];
		if (one.iov_len > 1)
			one.iov_len = 1;
		cut.msg_iov = &one;
		cut.msg_iovlen = 1;
	}
	return f < 0 ? -1 : real(fd, f > 0 ? &cut : m, flags);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	REAL(ssize_t, recv, int, void *, size_t, int);
	int f = fate(CALL_RECV, fd);

	return f < 0 ? -1 : real(fd, p, f > 0 && n > 1 ? 1 : n, flags);
}

ssize_t read(int fd, void *p, size_t n)
{
	REAL(ssize_t, read, int, void *, size_t);
	int f = fate(CALL_READ, fd);

	return f < 0 ? -1 : real(fd, p, f > 0 && n > 1 ? 1 : n);
}

int connect(int fd, const struct sockaddr *a, socklen_t n)
{
	REAL(int, connect, int, const struct sockaddr *, socklen_t);
	return fate(CALL_CONNECT, fd) < 0 ? -1 : real(fd, a, n);
}

int accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	REAL(int, accept4, int, struct sockaddr *, socklen_t *, int);
	return fate(CALL_ACCEPT, -1) < 0 ? -1 : real(fd, a, n, flags);
}

/* A program with an allocator of its own must not get the C library's: nth_malloc.so. */
#ifdef NTH_MALLOC
static void *given(void *p)
{
	n_live += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return fate(CALL_MALLOC, -1) < 0 ? NULL : given(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return fate(CALL_MALLOC, -1) < 0 ? NULL : given(__libc_calloc(n, size));
}

void *aligned_alloc(size_t align, size_t n)
{
	return fate(CALL_MALLOC, -1) < 0 ? NULL : given(__libc_memalign(align, n));
}

void *realloc(void *p, size_t n)
{
	void *q;

	if (fate(CALL_MALLOC, -1) < 0)
		return NULL;
	q = __libc_realloc(p, n);
	if (p == NULL)
		return given(q);
	/* Without bytes to keep it is free(). */
	n_live -= n == 0 && q == NULL;
	return q;
}

void free(void *p)
{
	n_live -= p != NULL;
	__libc_free(p);
}

__attribute__((destructor)) static void tell_live(void)
{
	FILE *f = live != NULL ? fopen(live, "w") : NULL;

	if (f == NULL)
		return;
	/* Without the stream's own. */
	fprintf(f, "%ld\n", (long)n_live - 1);
	fclose(f);
}
#endif

int clock_gettime(clockid_t id, struct timespec *t)
{
	REAL(int, clock_gettime, clockid_t, struct timespec *);
	int rc = real(id, t);

	if (rc == 0 && clock_shift != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += *clock_shift;
	return rc;
}

int gettimeofday(struct timeval *t, void *zone)
{
	REAL(int, gettimeofday, struct timeval *, void *);
	int rc = real(t, zone);

	if (rc == 0 && clock_shift != NULL)
		t->tv_sec += *clock_shift;
	return rc;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}
