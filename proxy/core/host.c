#include "proxy/core/host.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/io/listen.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TICK_US 100000

static void on_stop_signal(evutil_socket_t sig, short what, void *arg)
{
	struct host *h = arg;

	(void)sig;
	(void)what;
	clock_touch();
	h->stop_wanted(h->arg);
}

static void on_child_signal(evutil_socket_t sig, short what, void *arg)
{
	struct host *h = arg;
	int status;
	pid_t pid;

	(void)sig;
	(void)what;
	clock_touch();
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (h->embedded != NULL && pid == embedded_pid(h->embedded))
			embedded_has_exited(h->embedded, status);
		else if (h->child_exited != NULL)
			h->child_exited(h->arg, pid, status);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct host *h = arg;

	(void)fd;
	(void)what;
	clock_touch();
	if (h->embedded != NULL)
		embedded_tick(h->embedded);
	if (h->admin != NULL)
		admin_tick(h->admin);
}

static int make_state_dir(const struct conf *conf)
{
	if (mkdir(conf->state, 0700) == 0 || errno == EEXIST)
		return 0;
	log_line(LOG_ERROR, "state_directory",
		 "setting=global.state value=\"%s\" error=\"%s\" hint=\"create it, or choose "
		 "another "
		 "with --state\"",
		 conf->state, strerror(errno));
	return -errno;
}

static int start_embedded(struct host *h)
{
	struct strbuf err;
	int rc;

	if (strcmp(h->conf->redis_server, "embedded") != 0)
		return 0;
	strbuf_init(&err, 4096);
	rc = embedded_start(&h->embedded, h->conf, &err);
	if (rc < 0)
		log_line(LOG_ERROR, "embedded_redis", "error=\"%.*s\"", (int)err.n,
			 err.p != NULL ? err.p : "");
	strbuf_fini(&err);
	return rc;
}

enum exit_code host_prepare(struct host *h, const struct conf *conf, unsigned n_slots)
{
	void *page;
	int rc;

	h->conf = conf;
	if (make_state_dir(conf) < 0)
		return EXIT_CANTCREATE;
	page = mmap(NULL, n_slots * sizeof(struct metrics), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return EXIT_RUNTIME;
	h->slots = page;
	h->n_slots = n_slots;
	rc = start_embedded(h);
	if (rc == -ENOMEM)
		return host_exit_code(rc);
	return rc < 0 ? EXIT_UNAVAILABLE : EXIT_GOOD;
}

/* What ends a process by default, and reloads others: neither is what an operator wants here. */
static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	(void)arg;
	log_line(LOG_WARN, "hangup_ignored",
		 "signal=SIGHUP hint=\"settings take effect with a restart, which loses nothing: "
		 "check them with statweir -t first\"");
}

static int add_events(struct host *h)
{
	struct timeval period = {.tv_usec = TICK_US};

	h->on_term = evsignal_new(h->base, SIGTERM, on_stop_signal, h);
	h->on_int = evsignal_new(h->base, SIGINT, on_stop_signal, h);
	h->on_hup = evsignal_new(h->base, SIGHUP, on_hangup, h);
	h->on_child = evsignal_new(h->base, SIGCHLD, on_child_signal, h);
	h->tick = event_new(h->base, -1, EV_PERSIST, on_tick, h);
	if (h->on_term == NULL || h->on_int == NULL || h->on_hup == NULL || h->on_child == NULL ||
	    h->tick == NULL)
		return -ENOMEM;
	if (event_add(h->on_term, NULL) < 0 || event_add(h->on_int, NULL) < 0 ||
	    event_add(h->on_hup, NULL) < 0 || event_add(h->on_child, NULL) < 0 ||
	    event_add(h->tick, &period) < 0)
		return -ENOMEM;
	/* One may have ended before anybody listened. */
	event_active(h->on_child, EV_SIGNAL, 1);
	return 0;
}

enum exit_code host_start(struct host *h, struct event_base *base, struct store *store)
{
	struct admin_env env = {.conf = h->conf,
				.slots = h->slots,
				.n_slots = h->n_slots,
				.store = store,
				.arg = h->arg,
				.readiness = h->readiness};

	int rc;

	h->base = base;
	rc = add_events(h);
	if (rc == 0)
		rc = admin_open(&h->admin, base, &env);
	return rc < 0 ? host_exit_code(rc == -ENOMEM ? rc : -EIO) : EXIT_GOOD;
}

enum exit_code host_exit_code(int rc)
{
	if (rc == -ENOMEM)
		log_line(LOG_ERROR, "start_failed", "error=\"out of memory\"");
	return rc == -EINVAL || rc == -ENOENT ? EXIT_CONFIG : EXIT_RUNTIME;
}

void host_say_listening(const struct host *h, int listen_fd)
{
	char listen[256], admin[256] = "off";
	uint16_t port;

	if (conf_parse_address(h->conf->listen, listen, &port) < 0)
		return;
	if (strcmp(h->conf->admin, "off") != 0 &&
	    conf_parse_address(h->conf->admin, admin, &port) < 0)
		return;
	log_line(LOG_INFO, "listening", "listen=%s:%u upstream=%s admin=%s:%u state=%s workers=%u",
		 listen, listen_port(listen_fd), h->conf->upstream, admin, admin_port(h->admin),
		 h->conf->state, h->n_slots);
}

void host_stop(struct host *h)
{
	struct event **events[] = {&h->on_term, &h->on_int, &h->on_hup, &h->on_child, &h->tick};

	if (h->admin != NULL)
		admin_close(h->admin);
	h->admin = NULL;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i] != NULL)
			event_free(*events[i]);
		*events[i] = NULL;
	}
}

void host_finish(struct host *h)
{
	if (h->embedded != NULL)
		embedded_stop(h->embedded);
	h->embedded = NULL;
	if (h->slots != NULL)
		munmap(h->slots, h->n_slots * sizeof(struct metrics));
	h->slots = NULL;
}
