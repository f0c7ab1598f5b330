#include "proxy/store/embedded.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/store/aof_tail.h"
#include "proxy/store/embedded_find.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS       30000
#define STOP_MS	       60000
#define LOCK_WAIT_MS   3000
#define POLL_MS	       10
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
/* One that lived this long did not die of its start. */
#define LONG_ENOUGH_MS 10000
#define LOG_MAX_BYTES  (1 << 20)

struct embedded {
	char dir[256], socket[300], binary[512];
	char config[1024]; /* its standard input: smaller than any pipe */
	int lock_fd, dir_fd, log_fd;
	pid_t pid; /* 0: not running */
	int64_t started_ms, restart_ms, backoff_ms;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	/* Not the turn's clock: start and stop wait outside the event loop. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void nap(void)
{
	struct timespec ts = {.tv_nsec = POLL_MS * 1000000L};

	nanosleep(&ts, NULL);
}

void embedded_socket_path(const struct conf *conf, char *out, size_t room)
{
	int n = snprintf(out, room, "%s/redis.sock", conf->state);

	if (n < 0 || (size_t)n >= room)
		out[0] = '\0';
}

/* --- the state directory ------------------------------------------------------------ */

static int check_paths(struct embedded *e, const struct conf *conf, struct strbuf *err)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	int n = snprintf(e->dir, sizeof(e->dir), "%s", conf->state);

	embedded_socket_path(conf, e->socket, sizeof(e->socket));
	if (n > 0 && (size_t)n < sizeof(e->dir) && e->socket[0] != '\0' &&
	    strlen(e->socket) <= most)
		return 0;
	strbuf_printf(
		err,
		"the path of the state directory is too long: with /redis.sock it may have "
		"%zu bytes (a Unix socket's limit); set global.state (--state) to a shorter one",
		most);
	return -ENAMETOOLONG;
}

/*
 * The lock is inherited by the server, so that after a crash of ours the directory counts
 * as in use until the server too has ended: two on one append-only file destroy it.
 */
static int take_lock(struct embedded *e, struct strbuf *err)
{
	int64_t until = now_ms() + LOCK_WAIT_MS;
	bool has_said = false;

	e->lock_fd = openat(e->dir_fd, "lock", O_RDWR | O_CREAT, 0600);
	if (e->lock_fd < 0) {
		strbuf_printf(err, "%s/lock: %s", e->dir, strerror(errno));
		return -errno;
	}
	while (flock(e->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			strbuf_printf(err, "%s/lock: %s", e->dir, strerror(errno));
			return -errno;
		}
		if (now_ms() >= until) {
			strbuf_printf(err,
				      "%s is in use by another statweir, or by the redis-server of "
				      "one: stop it, or set global.state (--state)",
				      e->dir);
			return -EBUSY;
		}
		if (!has_said)
			log_line(LOG_INFO, "state_in_use", "wait_ms=%d state=%s", LOCK_WAIT_MS,
				 e->dir);
		has_said = true;
		nap();
	}
	return 0;
}

static int open_log(struct embedded *e, struct strbuf *err)
{
	struct stat st;

	if (fstatat(e->dir_fd, "redis.log", &st, 0) == 0 && st.st_size > LOG_MAX_BYTES)
		renameat(e->dir_fd, "redis.log", e->dir_fd, "redis.log.1");
	e->log_fd = openat(e->dir_fd, "redis.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (e->log_fd >= 0)
		return 0;
	strbuf_printf(err, "%s/redis.log: %s", e->dir, strerror(errno));
	return -errno;
}

static int open_dir(struct embedded *e, struct strbuf *err)
{
	if (mkdir(e->dir, 0700) < 0 && errno != EEXIST) {
		strbuf_printf(err, "%s: %s", e->dir, strerror(errno));
		return -errno;
	}
	e->dir_fd = open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dir_fd >= 0)
		return 0;
	strbuf_printf(err, "%s: %s", e->dir, strerror(errno));
	return -errno;
}

/* --- the process -------------------------------------------------------------------- */

static void write_config(struct embedded *e, const struct conf *conf)
{
	snprintf(e->config, sizeof(e->config),
		 "port 0\n"
		 "unixsocket redis.sock\n"
		 "unixsocketperm 700\n"
		 "dir .\n"
		 "daemonize no\n"
		 "supervised no\n"
		 "logfile \"\"\n"
		 "always-show-logo no\n"
		 "maxclients 512\n"
		 "databases 1\n"
		 "save \"\"\n"
		 "appendonly yes\n"
		 "appendfsync %s\n"
		 "no-appendfsync-on-rewrite no\n"
		 "auto-aof-rewrite-min-size 256mb\n"
		 "maxmemory-policy noeviction\n"
		 "set-max-intset-entries 4096\n"
		 "zset-max-listpack-entries 16\n"
		 "hash-max-listpack-entries 128\n"
		 "latency-tracking no\n",
		 conf->durability == DURABLE_REDIS ? "always" : "everysec");
}

/* In the child, between fork and exec: nothing but system calls. */
static _Noreturn void become_server(const struct embedded *e, int config_fd, pid_t parent)
{
	static char name[] = "redis-server", from_stdin[] = "-";
	char *const argv[] = {name, from_stdin, NULL};
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* The parent may have died before the line above. */
	if (getppid() != parent)
		_exit(1);
	/* A Ctrl-C at the terminal is for statweir, which stops the server last. */
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fchdir(e->dir_fd) < 0 || dup2(config_fd, 0) < 0 || dup2(e->log_fd, 1) < 0 ||
	    dup2(e->log_fd, 2) < 0)
		_exit(1);
	/* Of all else that is open the server gets the lock alone, as number 3. */
	if (dup2(e->lock_fd, 3) < 0)
		_exit(1);
	if (close_range(4, ~0u, 0) < 0)
		_exit(1);
	execv(e->binary, argv);
	_exit(127);
}

static int spawn(struct embedded *e)
{
	size_t n = strlen(e->config);
	pid_t parent = getpid();
	int fds[2], rc = 0;

	/* Where that fails Redis judges the file itself. */
	(void)aof_mend(e->dir_fd);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (write(fds[1], e->config, n) != (ssize_t)n)
		rc = -EIO;
	close(fds[1]);
	if (rc == 0) {
		e->pid = fork();
		if (e->pid == 0)
			become_server(e, fds[0], parent);
		if (e->pid < 0) {
			rc = -errno;
			e->pid = 0;
		}
	}
	close(fds[0]);
	e->started_ms = now_ms();
	return rc;
}

static int connect_to(const struct embedded *e)
{
	const struct timeval second = {.tv_sec = 1};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.*s", (int)sizeof(addr.sun_path) - 1,
		 e->socket);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second)) == 0 &&
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -EAGAIN;
}

/* Does it answer PING? -EAGAIN while it loads or does not listen yet. */
static int ping(const struct embedded *e)
{
	char answer[] = "+PONG";
	int fd = connect_to(e), result = -EAGAIN;

	if (fd < 0)
		return -EAGAIN;
	if (send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
	    recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) == sizeof(answer) - 1 &&
	    strcmp(answer, "+PONG") == 0)
		result = 0;
	close(fd);
	return result;
}

static int wait_ready(struct embedded *e, struct strbuf *err)
{
	int64_t began = now_ms(), said = began;
	int status;

	while (ping(e) < 0) {
		if (waitpid(e->pid, &status, WNOHANG) == e->pid) {
			e->pid = 0;
			strbuf_printf(err, "%s ended at once (%s %d): see %s/redis.log", e->binary,
				      WIFSIGNALED(status) ? "signal" : "exit status",
				      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
				      e->dir);
			return -ECHILD;
		}
		if (now_ms() - began >= START_MS) {
			strbuf_printf(err,
				      "%s does not answer after %d s: see %s/redis.log (very large "
				      "data may take longer to load: start again)",
				      e->binary, START_MS / 1000, e->dir);
			return -ETIMEDOUT;
		}
		if (now_ms() - said >= 2000) {
			said = now_ms();
			log_line(LOG_INFO, "redis_loading", "after_ms=%" PRId64, said - began);
		}
		nap();
	}
	log_line(LOG_INFO, "redis_started", "pid=%ld binary=%s socket=%s after_ms=%" PRId64,
		 (long)e->pid, e->binary, e->socket, now_ms() - began);
	return 0;
}

int embedded_start(struct embedded **out, const struct conf *conf, struct strbuf *err)
{
	struct embedded *e = calloc(1, sizeof(*e));
	int rc;

	if (e == NULL) {
		strbuf_put_str(err, "out of memory");
		return -ENOMEM;
	}
	e->lock_fd = e->dir_fd = e->log_fd = -1;
	e->backoff_ms = BACKOFF_MIN_MS;
	write_config(e, conf);
	rc = check_paths(e, conf, err);
	if (rc == 0)
		rc = embedded_find(conf->redis_binary, getenv("PATH"), e->binary, sizeof(e->binary),
				   err);
	if (rc == 0)
		rc = open_dir(e, err);
	if (rc == 0)
		rc = take_lock(e, err);
	if (rc == 0)
		rc = open_log(e, err);
	if (rc == 0)
		rc = spawn(e);
	if (rc < 0 && strbuf_slice(err).n == 0)
		strbuf_printf(err, "%s: %s", e->dir, strerror(-rc));
	if (rc == 0)
		rc = wait_ready(e, err);
	if (rc < 0) {
		embedded_stop(e);
		return rc;
	}
	*out = e;
	return 0;
}

pid_t embedded_pid(const struct embedded *e)
{
	return e->pid;
}

void embedded_has_exited(struct embedded *e, int status)
{
	int64_t now = now_ms();

	e->pid = 0;
	if (now - e->started_ms >= LONG_ENOUGH_MS)
		e->backoff_ms = BACKOFF_MIN_MS;
	e->restart_ms = now + e->backoff_ms;
	log_line(LOG_ERROR, "redis_died",
		 "signal=%d exit=%d restart_ms=%" PRId64 " hint=\"see %s/redis.log\"",
		 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		 WIFEXITED(status) ? WEXITSTATUS(status) : 0, e->backoff_ms, e->dir);
	e->backoff_ms *= 2;
	if (e->backoff_ms > BACKOFF_MAX_MS)
		e->backoff_ms = BACKOFF_MAX_MS;
}

void embedded_tick(struct embedded *e)
{
	int rc;

	if (e->pid != 0 || now_ms() < e->restart_ms)
		return;
	rc = spawn(e);
	if (rc == 0) {
		log_line(LOG_INFO, "redis_restarted", "pid=%ld", (long)e->pid);
		return;
	}
	e->restart_ms = now_ms() + BACKOFF_MAX_MS;
	log_line(LOG_ERROR, "redis_restart", "error=\"%s\"", strerror(-rc));
}

static void end_server(struct embedded *e)
{
	int64_t began = now_ms();
	bool is_killed = false;

	kill(e->pid, SIGTERM);
	while (waitpid(e->pid, NULL, WNOHANG) == 0) {
		/* Everything acknowledged is in the file already: killing loses nothing. */
		if (!is_killed && now_ms() - began >= STOP_MS) {
			log_line(LOG_WARN, "redis_killed", "after_ms=%d", STOP_MS);
			kill(e->pid, SIGKILL);
			is_killed = true;
		}
		nap();
	}
	log_line(LOG_INFO, "redis_stopped", "after_ms=%" PRId64, now_ms() - began);
	e->pid = 0;
}

void embedded_stop(struct embedded *e)
{
	int *const fds[] = {&e->log_fd, &e->dir_fd, &e->lock_fd};

	if (e->pid != 0)
		end_server(e);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	free(e);
}
