/*
 * What a statweir has once, however many workers: the state directory, the embedded
 * Redis, the admin listener, the signals, the page of metrics.
 */
#ifndef STATWEIR_CORE_HOST_H
#define STATWEIR_CORE_HOST_H

#include "proxy/base/conf.h"
#include "proxy/core/admin.h"
#include "proxy/store/embedded.h"

#include <event2/event.h>

enum exit_code {
	EXIT_GOOD = 0,
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 64,
	EXIT_UNAVAILABLE = 69, /* a needed service is missing */
	EXIT_CANTCREATE = 73,
	EXIT_CONFIG = 78,
};

struct host {
	const struct conf *conf;
	struct event_base *base;
	struct embedded *embedded;
	struct admin *admin;
	struct event *on_term, *on_int, *on_hup, *on_child, *tick;
	struct metrics *slots; /* shared page, one slot per worker */
	unsigned n_slots;
	void *arg;						/* of the callbacks below */
	void (*stop_wanted)(void *arg);				/* TERM or INT */
	void (*child_exited)(void *arg, pid_t pid, int status); /* may be NULL */
	const char *(*readiness)(void *arg);
};

/*
 * Before any fork: state directory, metrics page, embedded Redis. EXIT_GOOD, or the
 * exit code after a log line that names the setting.
 */
enum exit_code host_prepare(struct host *h, const struct conf *conf, unsigned n_slots) MUSTUSE;

/* Signals, ticks and the admin listener on base; store is borrowed, for the audit. */
enum exit_code host_start(struct host *h, struct event_base *base, struct store *store) MUSTUSE;

/* What to exit with after an error at the start; says so if it is that there is no memory. */
enum exit_code host_exit_code(int rc);

/* One log line that names the real addresses. */
void host_say_listening(const struct host *h, int listen_fd);

/* The admin listener and the events; before the store is closed. */
void host_stop(struct host *h);
/* The embedded Redis and the page; last. */
void host_finish(struct host *h);

#endif
