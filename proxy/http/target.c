#include "proxy/http/target.h"

#include "proxy/http/chars.h"

#define HOST_BYTES_MAX 255

struct authority {
	struct slice host;
	uint64_t port; /* 0: none given */
};

/* uri-host [ ":" port ] without userinfo. */
static bool is_reg_name(struct slice s)
{
	size_t i = 0;

	while (i < s.n) {
		if (char_is(s.p[i], CHAR_HOST)) {
			i++;
		} else if (s.p[i] == '%' && s.n - i >= 3 && char_is(s.p[i + 1], CHAR_HEX) &&
			   char_is(s.p[i + 2], CHAR_HEX)) {
			i += 3;
		} else {
			return false;
		}
	}
	return s.n > 0;
}

/* "[" IPv6address "]"; neither zones nor IPvFuture. */
static bool is_ip_literal(struct slice s)
{
	unsigned colons = 0;

	if (s.n < 4 || s.n > 47 || s.p[s.n - 1] != ']')
		return false;
	for (size_t i = 1; i < s.n - 1; i++) {
		if (s.p[i] == ':')
			colons++;
		else if (s.p[i] != '.' && !char_is(s.p[i], CHAR_HEX))
			return false;
	}
	return colons >= 2;
}

static bool split_authority(struct slice s, struct authority *out)
{
	struct slice port;
	size_t host_n;

	if (s.n == 0 || s.n > HOST_BYTES_MAX)
		return false;
	if (s.p[0] == '[') {
		const char *close = memchr(s.p, ']', s.n);

		host_n = close == NULL ? s.n : (size_t)(close - s.p) + 1;
		out->host = slice_make(s.p, host_n);
		if (!is_ip_literal(out->host))
			return false;
	} else {
		const char *colon = memchr(s.p, ':', s.n);

		host_n = colon == NULL ? s.n : (size_t)(colon - s.p);
		out->host = slice_make(s.p, host_n);
		if (!is_reg_name(out->host))
			return false;
	}
	out->port = 0;
	if (host_n == s.n)
		return true;
	port = slice_drop(s, host_n + 1);
	if (s.p[host_n] != ':')
		return false;
	/* The port may be empty (RFC 3986 3.2.3). */
	return port.n == 0 || (slice_to_u64(port, &out->port) == 0 && out->port <= 65535);
}

static void split_query(struct slice s, struct http_head *head)
{
	const char *mark = s.n == 0 ? NULL : memchr(s.p, '?', s.n);

	head->path = s;
	head->query = slice_make(NULL, 0);
	if (mark != NULL) {
		head->path.n = (size_t)(mark - s.p);
		head->query = slice_drop(s, head->path.n + 1);
	}
}

static bool is_options(const struct http_head *head)
{
	return slice_eq(head->method, SLICE("OPTIONS"));
}

static size_t scheme_bytes(struct slice target)
{
	if (slice_istarts(target, SLICE("http://")))
		return 7;
	if (slice_istarts(target, SLICE("https://")))
		return 8;
	return 0;
}

static enum reason split_absolute(struct http_head *head)
{
	size_t scheme = scheme_bytes(head->target), n = 0;
	struct slice rest = slice_drop(head->target, scheme);
	struct authority a;

	if (scheme == 0)
		return REASON_TARGET_FORM;
	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	head->authority = slice_make(rest.p, n);
	head->is_absolute = true;
	if (!split_authority(head->authority, &a))
		return REASON_TARGET_FORM;
	split_query(slice_drop(rest, n), head);
	/* RFC 9112 3.2.1 and 3.2.4: what an empty path stands for. */
	if (head->path.n == 0)
		head->path = is_options(head) && head->query.p == NULL ? SLICE("*") : SLICE("/");
	return REASON_NONE;
}

enum reason target_split(struct http_head *head)
{
	if (head->target.p[0] == '/') {
		split_query(head->target, head);
		return REASON_NONE;
	}
	if (slice_eq(head->target, SLICE("*"))) {
		head->path = head->target;
		return is_options(head) ? REASON_NONE : REASON_TARGET_FORM;
	}
	return split_absolute(head);
}

static uint64_t port_of(const struct authority *a, const struct http_head *head)
{
	if (a->port != 0)
		return a->port;
	return scheme_bytes(head->target) == 8 ? 443 : 80;
}

enum reason target_take_host(struct http_head *head, struct slice value)
{
	struct authority host, target;

	if (!split_authority(value, &host))
		return REASON_HOST_BAD;
	if (!head->is_absolute) {
		head->authority = value;
		return REASON_NONE;
	}
	if (!split_authority(head->authority, &target))
		return REASON_TARGET_FORM;
	if (!slice_ieq(host.host, target.host) || port_of(&host, head) != port_of(&target, head))
		return REASON_HOST_MISMATCH;
	return REASON_NONE;
}
