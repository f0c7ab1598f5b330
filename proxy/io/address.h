/* Socket addresses: resolving once at start, printing, comparing with networks. */
#ifndef STATWEIR_IO_ADDRESS_H
#define STATWEIR_IO_ADDRESS_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct address {
	struct sockaddr_storage ss;
	socklen_t len;
};

#define ADDRESS_TEXT 64

/* "HOST:PORT" (resolved now) into out. 0, -EINVAL (not that form), -ENOENT (unknown name), -ENOMEM.
 */
int address_resolve(struct address *out, const char *text) MUSTUSE;

/* The host part as text, IPv4-mapped addresses as IPv4, no brackets. Returns out. */
const char *address_host(const struct address *a, char out[ADDRESS_TEXT]);
uint16_t address_port(const struct address *a);

/* The address as 16 bytes, IPv4 mapped (::ffff:a.b.c.d): a key for tables. */
void address_key(const struct address *a, uint8_t key[16]);

#define NETWORKS_MAX 32
struct networks {
	unsigned n;
	struct {
		uint8_t key[16];
		unsigned bits;
	} v[NETWORKS_MAX];
};

/* Comma-separated addresses or ADDR/BITS. 0 or -EINVAL. */
int networks_parse(struct networks *out, const char *text) MUSTUSE;
bool networks_contain(const struct networks *n, const struct address *a);

#endif
