/*
 * The private redis-server: a child on a Unix socket in the state directory, which
 * is locked against a second statweir. Started first, stopped last.
 */
#ifndef STATWEIR_STORE_EMBEDDED_H
#define STATWEIR_STORE_EMBEDDED_H

#include "proxy/base/conf.h"

#include <sys/types.h>

struct embedded;

/*
 * Find the binary (conf's, else redis-server in PATH, else any multi-call Redis binary
 * such as redis-check-rdb run under that name), take the lock, start it. On failure
 * err says what to install or set. 0, -ENOENT (no binary), -EBUSY (state directory
 * in use), or -errno.
 */
int embedded_start(struct embedded **out, const struct conf *conf, struct strbuf *err) MUSTUSE;

/* Its process, for the caller's SIGCHLD. */
pid_t embedded_pid(const struct embedded *e);
/* It has ended: start it again, with back-off, when embedded_tick() says so. */
void embedded_has_exited(struct embedded *e, int status);
void embedded_tick(struct embedded *e);
/* TERM it, wait for its end (it writes its file first), drop the lock. */
void embedded_stop(struct embedded *e);

/* unix socket path of conf's state directory, into out. */
void embedded_socket_path(const struct conf *conf, char *out, size_t room);

#endif
