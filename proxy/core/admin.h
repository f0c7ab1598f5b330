/*
 * The admin listener: read-only statistics over libevent's evhttp.
 * /stats.json /metrics /healthz /readyz /ledger /config and / (a page without scripts).
 */
#ifndef STATWEIR_CORE_ADMIN_H
#define STATWEIR_CORE_ADMIN_H

#include "proxy/base/conf.h"
#include "proxy/base/metrics.h"
#include "proxy/store/store.h"

struct admin;

struct admin_env {
	const struct conf *conf;
	const struct metrics *slots; /* one per worker */
	unsigned n_slots;
	struct store *store; /* for the audit; borrowed */
	void *arg;
	/* Is statweir ready for traffic? In words why not, else "ok". */
	const char *(*readiness)(void *arg);
};

/*
 * Listen on conf->admin ("off": succeeds, does nothing). 0, or -errno after one log line
 * that names the setting.
 */
int admin_open(struct admin **out, struct event_base *base, const struct admin_env *env) MUSTUSE;
void admin_close(struct admin *a);
/* The port it listens on, 0 when off. */
uint16_t admin_port(const struct admin *a);
/* Every 100 ms: recounts the ledger in the background every 10 s. */
void admin_tick(struct admin *a);

#endif
