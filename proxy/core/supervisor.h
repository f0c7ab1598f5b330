/*
 * Several workers: the supervisor owns one SO_REUSEPORT socket per worker and forks
 * them. A worker that dies is replaced on the same descriptor, so connections that
 * wait in its queue are served by its successor instead of being reset.
 */
#ifndef STATWEIR_CORE_SUPERVISOR_H
#define STATWEIR_CORE_SUPERVISOR_H

#include "proxy/core/host.h"

#define WORKERS_MAX 64

/* Runs until TERM has drained every worker (a second TERM: at once). The exit code. */
enum exit_code supervisor_run(const struct conf *conf, unsigned n_workers);

#endif
