#include "proxy/ctl/ctl_http.h"

#include "proxy/base/conf.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int say(const char *address, int rc)
{
	fprintf(stderr,
		"statweirctl: %s: %s\n"
		"Is statweir running, and is this its statistics listener? Setting global.admin; "
		"say another one with --admin ADDR:PORT.\n",
		address, strerror(-rc));
	return rc;
}

static int open_socket(const char *host, const char *port, unsigned timeout_s)
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	struct timeval limit = {.tv_sec = timeout_s};
	int fd = -1, rc = -EHOSTUNREACH;

	if (getaddrinfo(host, port, &want, &list) != 0)
		return rc;
	for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		rc = -errno;
		close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd < 0 ? rc : fd;
}

static int exchange(int fd, const struct strbuf *request, struct strbuf *answer)
{
	char piece[16384];
	ssize_t n;

	for (size_t at = 0; at < request->n; at += (size_t)n) {
		n = send(fd, request->p + at, request->n - at, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
	}
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		strbuf_put(answer, slice_make(piece, (size_t)n));
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return strbuf_ok(answer) ? 0 : -ENOMEM;
}

/* "HTTP/1.0 200 ..." and fields up to the empty line; the connection's end is the body's. */
static int split(const struct strbuf *answer, int *status, struct strbuf *body)
{
	static const char end[] = "\r\n\r\n";
	const char *at = answer->n < 16 ? NULL : memmem(answer->p, answer->n, end, 4);

	if (at == NULL || memcmp(answer->p, "HTTP/1.", 7) != 0)
		return -EPROTO;
	*status = (int)strtol(answer->p + 9, NULL, 10);
	at += 4;
	strbuf_put(body, slice_make(at, answer->n - (size_t)(at - answer->p)));
	strbuf_put(body, slice_make("", 1)); /* a C string for the JSON reader */
	return strbuf_ok(body) ? 0 : -ENOMEM;
}

int ctl_get(const char *address, const char *path, unsigned timeout_s, int *status,
	    struct strbuf *body)
{
	struct strbuf request, answer;
	char host[256], port_text[8];
	uint16_t port;
	int fd, rc;

	if (conf_parse_address(address, host, &port) < 0)
		return say(address, -EINVAL);
	snprintf(port_text, sizeof(port_text), "%u", port);
	fd = open_socket(host, port_text, timeout_s);
	if (fd < 0)
		return say(address, fd);
	strbuf_init(&request, 4096);
	strbuf_init(&answer, 64 << 20);
	strbuf_printf(&request, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path,
		      address);
	rc = strbuf_ok(&request) ? exchange(fd, &request, &answer) : -ENAMETOOLONG;
	if (rc == 0)
		rc = split(&answer, status, body);
	close(fd);
	strbuf_fini(&request);
	strbuf_fini(&answer);
	return rc < 0 ? say(address, rc) : 0;
}
