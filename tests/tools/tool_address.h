/* Numeric socket addresses as ADDR:PORT or [ADDR]:PORT; port 0 is allowed. */
#ifndef STATWEIR_TOOLS_TOOL_ADDRESS_H
#define STATWEIR_TOOLS_TOOL_ADDRESS_H

#include "proxy/base/check.h"

#include <stddef.h>
#include <sys/socket.h>

struct tool_address {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* 0 or -EINVAL. */
int tool_address_read(struct tool_address *out, const char *text) MUSTUSE;
/* The address that a socket is bound to. */
void tool_address_of(struct tool_address *out, int fd);
/* As text; out needs 80 bytes. Returns out. */
const char *tool_address_text(const struct tool_address *a, char *out, size_t room);

#endif
