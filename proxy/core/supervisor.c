#include "proxy/core/supervisor.h"

#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/base/reserve.h"
#include "proxy/core/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A worker that lives shorter than this is started again later, not at once. */
#define YOUNG_MS     2000
#define RESPAWN_MS   1000
#define CHECK_PERIOD 100000

struct child {
	pid_t pid; /* 0: not running */
	int listen_fd;
	int64_t started_ms, respawn_ms;
};

struct supervisor {
	const struct conf *conf;
	struct host host;
	struct store *store; /* for the audit alone */
	struct event *tick;
	struct child children[WORKERS_MAX];
	unsigned n;
	unsigned n_stops; /* TERMs received */
	bool is_over;
};

static void in_worker_stop(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	clock_touch();
	worker_drain(arg);
}

/*
 * A worker that wakes waits its turn instead of stopping the one that runs: where they share a
 * processor, each change costs more than it gains (docs/decisions/0006). No matter if refused.
 */
static void be_patient(void)
{
	const struct sched_param none = {0};

	(void)!sched_setscheduler(0, SCHED_BATCH, &none);
}

/* The life of a worker process. Never returns. */
static _Noreturn void worker_main(struct supervisor *s, unsigned i, pid_t parent)
{
	static struct worker w;
	struct event_base *base;
	struct event *term;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "worker%u", i);
	log_set_name(name);
	metrics_use(&s->host.slots[i]);
	/* The supervisor may be gone before the request to hear of it was made. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_RUNTIME);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	be_patient();
	base = event_base_new();
	if (base == NULL)
		_exit((int)host_exit_code(-ENOMEM));
	rc = worker_open(&w, base, s->conf, i, s->children[i].listen_fd);
	if (rc < 0)
		_exit((int)host_exit_code(rc));
	term = evsignal_new(base, SIGTERM, in_worker_stop, &w);
	if (term == NULL || event_add(term, NULL) < 0)
		_exit((int)host_exit_code(-ENOMEM));
	worker_run(&w);
	worker_close(&w);
	event_free(term);
	event_base_free(base);
	_exit(EXIT_GOOD);
}

static void spawn(struct supervisor *s, unsigned i)
{
	struct child *c = &s->children[i];
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0)
		worker_main(s, i, parent);
	if (pid < 0) {
		log_line(LOG_ERROR, "fork_failed", "worker=%u error=\"%s\"", i, strerror(errno));
		c->respawn_ms = clock_mono_ms() + RESPAWN_MS;
		return;
	}
	c->pid = pid;
	c->started_ms = clock_mono_ms();
	c->respawn_ms = 0;
}

/*
 * What a dead worker has not answered is aborted. Not what it counted as in flight: it may
 * have died between the fate of a request and that.
 */
static void settle_slot(struct metrics *m)
{
	m->v[M_ABORTED] = m->v[M_RECEIVED] - m->v[M_PASSED] - m->v[M_ABSORBED_UNIQUE] -
			  m->v[M_ABSORBED_DUPLICATE] - m->v[M_ABSORBED_JOURNAL] - m->v[M_REFUSED];
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		if (metric_table[i].kind == GAUGE)
			m->v[i] = 0;
}

static bool any_running(const struct supervisor *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->children[i].pid != 0)
			return true;
	return false;
}

static void child_exited(void *arg, pid_t pid, int status)
{
	struct supervisor *s = arg;

	for (unsigned i = 0; i < s->n; i++) {
		struct child *c = &s->children[i];

		if (c->pid != pid)
			continue;
		c->pid = 0;
		settle_slot(&s->host.slots[i]);
		if (s->n_stops > 0)
			continue;
		log_line(LOG_ERROR, "worker_died", "worker=%u pid=%ld signal=%d exit=%d", i,
			 (long)pid, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
			 WIFEXITED(status) ? WEXITSTATUS(status) : 0);
		if (clock_mono_ms() - c->started_ms >= YOUNG_MS)
			spawn(s, i);
		else
			c->respawn_ms = clock_mono_ms() + RESPAWN_MS;
	}
	if (s->n_stops > 0 && !any_running(s))
		s->is_over = true;
}

static void stop_wanted(void *arg)
{
	struct supervisor *s = arg;

	s->n_stops++;
	for (unsigned i = 0; i < s->n; i++)
		if (s->children[i].pid != 0)
			kill(s->children[i].pid, SIGTERM);
	if (!any_running(s))
		s->is_over = true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	int64_t now;

	(void)fd;
	(void)what;
	clock_touch();
	(void)reserve_fill(); /* else at the next tick */
	now = clock_mono_ms();
	store_tick(s->store);
	for (unsigned i = 0; s->n_stops == 0 && i < s->n; i++)
		if (s->children[i].pid == 0 && now >= s->children[i].respawn_ms)
			spawn(s, i);
}

static const char *readiness(void *arg)
{
	const struct supervisor *s = arg;

	if (s->n_stops > 0)
		return "stopping";
	for (unsigned i = 0; i < s->n; i++)
		if (s->children[i].pid == 0)
			return "a worker is being started again";
	return "ok";
}

static int open_listeners(struct supervisor *s)
{
	char text[300], host[256];
	uint16_t port;

	if (conf_parse_address(s->conf->listen, host, &port) < 0)
		return -EINVAL;
	for (unsigned i = 0; i < s->n; i++) {
		/* Port 0: the first gets any, the others the same. */
		snprintf(text, sizeof(text), "%s", s->conf->listen);
		if (i > 0 && port == 0)
			snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
				 listen_port(s->children[0].listen_fd));
		s->children[i].listen_fd =
			listen_socket(text, (int)s->conf->backlog, "global.listen");
		if (s->children[i].listen_fd < 0)
			return -EADDRINUSE;
	}
	return 0;
}

static void run(struct supervisor *s, struct event_base *base)
{
	while (!s->is_over) {
		if (event_base_loop(base, EVLOOP_ONCE) < 0)
			break;
		clock_touch();
		store_commit(s->store);
		clock_end_turn();
	}
}

static enum exit_code start(struct supervisor *s, struct event_base **base)
{
	struct timeval period = {.tv_usec = CHECK_PERIOD};
	enum exit_code rc = host_prepare(&s->host, s->conf, s->n);

	if (rc != EXIT_GOOD)
		return rc;
	for (unsigned i = 0; i < s->n; i++)
		spawn(s, i);
	FAILPOINT("workers_begun");
	/* After the forks: a worker must not inherit the supervisor's event base. */
	*base = event_base_new();
	if (*base == NULL)
		return host_exit_code(-ENOMEM);
	if (store_open(&s->store, *base, s->conf) < 0)
		return host_exit_code(-ENOMEM);
	s->tick = event_new(*base, -1, EV_PERSIST, on_tick, s);
	if (s->tick == NULL || event_add(s->tick, &period) < 0)
		return host_exit_code(-ENOMEM);
	rc = host_start(&s->host, *base, s->store);
	if (rc == EXIT_GOOD)
		host_say_listening(&s->host, s->children[0].listen_fd);
	return rc;
}

static void finish(struct supervisor *s, struct event_base *base)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->children[i].pid != 0) {
			kill(s->children[i].pid, SIGKILL);
			waitpid(s->children[i].pid, NULL, 0);
		}
		if (s->children[i].listen_fd >= 0)
			close(s->children[i].listen_fd);
	}
	host_stop(&s->host);
	if (s->tick != NULL)
		event_free(s->tick);
	if (s->store != NULL)
		store_close(s->store);
	host_finish(&s->host);
	if (base != NULL)
		event_base_free(base);
}

enum exit_code supervisor_run(const struct conf *conf, unsigned n_workers)
{
	static struct supervisor s;
	struct event_base *base = NULL;
	enum exit_code rc = EXIT_RUNTIME;

	CHECK(n_workers <= WORKERS_MAX);
	s = (struct supervisor){.conf = conf, .n = n_workers};
	s.host.arg = &s;
	s.host.stop_wanted = stop_wanted;
	s.host.child_exited = child_exited;
	s.host.readiness = readiness;
	for (unsigned i = 0; i < s.n; i++)
		s.children[i].listen_fd = -1;
	if (open_listeners(&s) == 0)
		rc = start(&s, &base);
	if (rc == EXIT_GOOD)
		run(&s, base);
	finish(&s, base);
	return rc;
}
