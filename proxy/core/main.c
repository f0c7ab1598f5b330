/* statweir: options, then one cell alone or a supervisor with several. */
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/base/reserve.h"
#include "proxy/core/host.h"
#include "proxy/core/options.h"
#include "proxy/core/supervisor.h"
#include "proxy/core/worker.h"

#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct alone {
	struct host host;
	struct worker worker;
	struct event_base *base;
	int listen_fd;
};

static void stop_wanted(void *arg)
{
	struct alone *a = arg;

	worker_drain(&a->worker);
}

static const char *readiness(void *arg)
{
	const struct alone *a = arg;

	return worker_readiness(&a->worker);
}

static enum exit_code start_alone(struct alone *a, const struct conf *conf)
{
	enum exit_code code;
	int rc;

	a->listen_fd = listen_socket(conf->listen, (int)conf->backlog, "global.listen");
	if (a->listen_fd < 0)
		return EXIT_RUNTIME;
	code = host_prepare(&a->host, conf, 1);
	if (code != EXIT_GOOD)
		return code;
	metrics_use(&a->host.slots[0]);
	a->base = event_base_new();
	if (a->base == NULL)
		return host_exit_code(-ENOMEM);
	rc = worker_open(&a->worker, a->base, conf, 0, a->listen_fd);
	if (rc < 0)
		return host_exit_code(rc);
	return host_start(&a->host, a->base, a->worker.store);
}

static enum exit_code run_alone(const struct conf *conf)
{
	static struct alone a;
	enum exit_code code;

	a.host.arg = &a;
	a.host.stop_wanted = stop_wanted;
	a.host.readiness = readiness;
	code = start_alone(&a, conf);
	if (code == EXIT_GOOD) {
		host_say_listening(&a.host, a.listen_fd);
		worker_run(&a.worker);
	}
	host_stop(&a.host);
	if (a.worker.conf != NULL)
		worker_close(&a.worker);
	if (a.base != NULL)
		event_base_free(a.base);
	if (a.listen_fd >= 0)
		close(a.listen_fd);
	host_finish(&a.host);
	return code;
}

/* As many as processors that we may run on, for "auto". */
static void count_workers(struct conf *conf)
{
	cpu_set_t may_use;
	int64_t n = 1;

	if (conf->workers != 0)
		return;
	CPU_ZERO(&may_use);
	if (sched_getaffinity(0, sizeof(may_use), &may_use) == 0)
		n = CPU_COUNT(&may_use);
	conf->workers = n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : n;
}

int main(int argc, char **argv)
{
	static const enum log_level levels[] = {LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG};
	struct conf conf;
	enum exit_code code = EXIT_GOOD;

	/* Before the first use of either. */
	event_set_mem_functions(reserve_malloc, reserve_realloc, free);
	json_set_alloc_funcs(reserve_malloc, free);
	if (reserve_fill() < 0 || conf_init(&conf) < 0)
		return (int)host_exit_code(-ENOMEM);
	switch (options_read(&conf, argc, argv)) {
	case OPTIONS_DONE:
		break;
	case OPTIONS_USAGE:
		code = EXIT_USAGE;
		break;
	case OPTIONS_CONF:
		code = EXIT_CONFIG;
		break;
	case OPTIONS_MEMORY:
		code = EXIT_RUNTIME;
		break;
	case OPTIONS_RUN:
		signal(SIGPIPE, SIG_IGN);
		log_threshold = levels[conf.log_level];
		clock_refresh();
		count_workers(&conf);
		code = conf.workers > 1 ? supervisor_run(&conf, (unsigned)conf.workers)
					: run_alone(&conf);
		if (code == EXIT_GOOD)
			log_line(LOG_INFO, "stopped", "exit=0");
		break;
	}
	conf_fini(&conf);
	reserve_fini();
	return (int)code;
}
