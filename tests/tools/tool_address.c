#include "tests/tools/tool_address.h"

#include "proxy/base/conf.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>

int tool_address_read(struct tool_address *out, const char *text)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char host[256], service[8];
	uint16_t port;

	if (conf_parse_address(text, host, &port) < 0)
		return -EINVAL;
	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &found) != 0)
		return -EINVAL;
	memcpy(&out->ss, found->ai_addr, found->ai_addrlen);
	out->len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

void tool_address_of(struct tool_address *out, int fd)
{
	out->len = sizeof(out->ss);
	CHECK(getsockname(fd, (struct sockaddr *)&out->ss, &out->len) == 0);
}

const char *tool_address_text(const struct tool_address *a, char *out, size_t room)
{
	char host[64], port[8];
	bool is_v6 = a->ss.ss_family == AF_INET6;

	CHECK(getnameinfo((const struct sockaddr *)&a->ss, a->len, host, sizeof(host), port,
			  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0);
	snprintf(out, room, is_v6 ? "[%s]:%s" : "%s:%s", host, port);
	return out;
}
