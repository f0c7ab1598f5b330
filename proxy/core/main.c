/* statweir: start, signals, stop. */
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/core/options.h"
#include "proxy/core/worker.h"
#include "proxy/store/embedded.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 64,
	EXIT_UNAVAILABLE = 69,
	EXIT_CANTCREATE = 73,
	EXIT_CONFIG = 78
};

struct program {
	struct conf conf;
	struct event_base *base;
	struct worker worker;
	struct embedded *embedded;
	struct admin *admin;
	struct event *on_term, *on_int, *on_child, *tick;
	int listen_fd;
};

static void on_stop_signal(evutil_socket_t sig, short what, void *arg)
{
	struct program *p = arg;

	(void)sig;
	(void)what;
	clock_touch();
	worker_drain(&p->worker);
}

static void on_child_signal(evutil_socket_t sig, short what, void *arg)
{
	struct program *p = arg;
	int status;

	(void)sig;
	(void)what;
	if (p->embedded != NULL && waitpid(embedded_pid(p->embedded), &status, WNOHANG) > 0)
		embedded_has_exited(p->embedded, status);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct program *p = arg;

	(void)fd;
	(void)what;
	clock_touch();
	if (p->embedded != NULL)
		embedded_tick(p->embedded);
	admin_tick(p->admin);
}

static const char *readiness(void *arg)
{
	struct program *p = arg;

	return worker_readiness(&p->worker);
}

static int make_state_dir(const struct conf *conf)
{
	if (mkdir(conf->state, 0700) < 0 && errno != EEXIST) {
		log_line(LOG_ERROR, "state_directory",
			 "setting=global.state value=\"%s\" error=\"%s\" hint=\"create it, or "
			 "choose "
			 "another with --state\"",
			 conf->state, strerror(errno));
		return -errno;
	}
	return 0;
}

static int start_embedded(struct program *p)
{
	struct strbuf err;
	int rc;

	if (strcmp(p->conf.redis_server, "embedded") != 0)
		return 0;
	strbuf_init(&err, 4096);
	rc = embedded_start(&p->embedded, &p->conf, &err);
	if (rc < 0)
		log_line(LOG_ERROR, "embedded_redis", "error=\"%.*s\"", (int)err.n,
			 err.p != NULL ? err.p : "");
	strbuf_fini(&err);
	return rc;
}

static int add_events(struct program *p)
{
	struct timeval period = {.tv_usec = 100000};

	p->on_term = evsignal_new(p->base, SIGTERM, on_stop_signal, p);
	p->on_int = evsignal_new(p->base, SIGINT, on_stop_signal, p);
	p->on_child = evsignal_new(p->base, SIGCHLD, on_child_signal, p);
	p->tick = event_new(p->base, -1, EV_PERSIST, on_tick, p);
	if (p->on_term == NULL || p->on_int == NULL || p->on_child == NULL || p->tick == NULL)
		return -ENOMEM;
	event_add(p->on_term, NULL);
	event_add(p->on_int, NULL);
	event_add(p->on_child, NULL);
	event_add(p->tick, &period);
	return 0;
}

static int start(struct program *p)
{
	struct admin_env env;
	int rc;

	rc = make_state_dir(&p->conf);
	if (rc < 0)
		return EXIT_CANTCREATE;
	p->listen_fd = listen_socket(p->conf.listen, (int)p->conf.backlog, "global.listen");
	if (p->listen_fd < 0)
		return EXIT_RUNTIME;
	if (start_embedded(p) < 0)
		return EXIT_UNAVAILABLE;
	p->base = event_base_new();
	if (p->base == NULL || add_events(p) < 0)
		return EXIT_RUNTIME;
	rc = worker_open(&p->worker, p->base, &p->conf, p->listen_fd);
	if (rc < 0)
		return rc == -EINVAL || rc == -ENOENT ? EXIT_CONFIG : EXIT_RUNTIME;
	env = (struct admin_env){.conf = &p->conf,
				 .slots = metrics_self,
				 .n_slots = 1,
				 .store = p->worker.store,
				 .arg = p,
				 .readiness = readiness};
	rc = admin_open(&p->admin, p->base, &env);
	return rc < 0 ? EXIT_RUNTIME : 0;
}

static void stop(struct program *p)
{
	struct event *events[] = {p->on_term, p->on_int, p->on_child, p->tick};

	if (p->admin != NULL)
		admin_close(p->admin);
	if (p->worker.conf != NULL)
		worker_close(&p->worker);
	if (p->embedded != NULL)
		embedded_stop(p->embedded);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i] != NULL)
			event_free(events[i]);
	if (p->base != NULL)
		event_base_free(p->base);
	if (p->listen_fd >= 0)
		close(p->listen_fd);
	conf_fini(&p->conf);
}

static void say_listening(const struct program *p)
{
	char host[256], admin_host[256] = "off";
	uint16_t port;

	if (conf_parse_address(p->conf.listen, host, &port) < 0)
		return;
	if (strcmp(p->conf.admin, "off") != 0 &&
	    conf_parse_address(p->conf.admin, admin_host, &port) < 0)
		return;
	log_line(LOG_INFO, "listening", "listen=%s:%u upstream=%s admin=%s:%u state=%s", host,
		 listen_port(p->listen_fd), p->conf.upstream, admin_host, admin_port(p->admin),
		 p->conf.state);
}

int main(int argc, char **argv)
{
	static struct program p = {.listen_fd = -1};
	static const enum log_level levels[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
	int rc;

	if (conf_init(&p.conf) < 0)
		return EXIT_RUNTIME;
	switch (options_read(&p.conf, argc, argv)) {
	case OPTIONS_DONE:
		conf_fini(&p.conf);
		return 0;
	case OPTIONS_USAGE:
		return EXIT_USAGE;
	case OPTIONS_CONF:
		return EXIT_CONFIG;
	case OPTIONS_RUN:
		break;
	}
	signal(SIGPIPE, SIG_IGN);
	log_threshold = levels[p.conf.log_level];
	clock_refresh();
	rc = start(&p);
	if (rc == 0) {
		say_listening(&p);
		worker_run(&p.worker);
		log_line(LOG_INFO, "stopped", "%s", "");
	}
	stop(&p);
	return rc;
}
