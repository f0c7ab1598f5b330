#include "proxy/io/address.h"

#include "proxy/base/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>

int address_resolve(struct address *out, const char *text)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	struct addrinfo *found;
	char host[256], service[8];
	uint16_t port;
	int rc;

	if (conf_parse_address(text, host, &port) < 0)
		return -EINVAL;
	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &found);
	if (rc == EAI_MEMORY)
		return -ENOMEM;
	if (rc != 0)
		return -ENOENT;
	memcpy(&out->ss, found->ai_addr, found->ai_addrlen);
	out->len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static bool is_mapped(const uint8_t key[16])
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(key, prefix, sizeof(prefix)) == 0;
}

void address_key(const struct address *a, uint8_t key[16])
{
	memset(key, 0, 16);
	if (a->ss.ss_family == AF_INET6) {
		memcpy(key, &((const struct sockaddr_in6 *)&a->ss)->sin6_addr, 16);
	} else if (a->ss.ss_family == AF_INET) {
		key[10] = key[11] = 0xff;
		memcpy(key + 12, &((const struct sockaddr_in *)&a->ss)->sin_addr, 4);
	}
}

const char *address_host(const struct address *a, char out[ADDRESS_TEXT])
{
	uint8_t key[16];

	address_key(a, key);
	if (is_mapped(key))
		inet_ntop(AF_INET, key + 12, out, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, key, out, ADDRESS_TEXT);
	return out;
}

uint16_t address_port(const struct address *a)
{
	if (a->ss.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&a->ss)->sin6_port);
	if (a->ss.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
	return 0;
}

static int parse_network(struct slice item, uint8_t key[16], unsigned *bits)
{
	char text[ADDRESS_TEXT];
	const char *slash = memchr(item.p, '/', item.n);
	struct slice host = item;
	uint64_t given;
	unsigned width, shift = 0;

	if (slash != NULL)
		host.n = (size_t)(slash - item.p);
	if (host.n == 0 || host.n >= sizeof(text))
		return -EINVAL;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	memset(key, 0, 16);
	if (inet_pton(AF_INET, text, key + 12) == 1) {
		key[10] = key[11] = 0xff;
		shift = 96;
	} else if (inet_pton(AF_INET6, text, key) != 1) {
		return -EINVAL;
	}
	width = 128 - shift;
	given = width;
	if (slash != NULL && slice_to_u64(slice_drop(item, host.n + 1), &given) < 0)
		return -EINVAL;
	if (given > width)
		return -EINVAL;
	*bits = (unsigned)given + shift;
	return 0;
}

int networks_parse(struct networks *out, const char *text)
{
	struct slice rest = slice_str(text), item;

	out->n = 0;
	while (slice_next_item(&rest, &item)) {
		if (item.n == 0)
			continue;
		if (out->n == NETWORKS_MAX)
			return -EINVAL;
		if (parse_network(item, out->v[out->n].key, &out->v[out->n].bits) < 0)
			return -EINVAL;
		out->n++;
	}
	return 0;
}

static bool has_prefix(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool networks_contain(const struct networks *n, const struct address *a)
{
	uint8_t key[16];

	if (n->n == 0)
		return false;
	address_key(a, key);
	for (unsigned i = 0; i < n->n; i++)
		if (has_prefix(key, n->v[i].key, n->v[i].bits))
			return true;
	return false;
}
