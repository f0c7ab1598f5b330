/*
 * Listening: one non-blocking socket, many accepts a turn, a pause when the machine
 * is out of descriptors or memory.
 */
#ifndef STATWEIR_IO_LISTEN_H
#define STATWEIR_IO_LISTEN_H

#include "proxy/io/address.h"

struct event_base;
struct listener;

/* Takes fd; from is only valid during the call. */
typedef void accepted_fn(void *arg, int fd, const struct address *from);

/*
 * A bound and listening socket for text ("ADDR:PORT"), SO_REUSEPORT so that every
 * worker has its own. The descriptor, or -errno after a log line that names setting.
 */
int listen_socket(const char *text, int backlog, const char *setting) MUSTUSE;
/* The port of a listening socket. */
uint16_t listen_port(int fd);

/* Accept from fd (borrowed, stays open). 0 or -ENOMEM. */
int listener_open(struct listener **out, struct event_base *base, int fd, accepted_fn *accepted,
		  void *arg) MUSTUSE;
void listener_close(struct listener *l);
/* Every 100 ms: try again after a pause. */
void listener_tick(struct listener *l);

#endif
