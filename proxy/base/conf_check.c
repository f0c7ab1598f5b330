/* What no single setting can tell, and texts that mean something. */
#include "proxy/base/conf_table.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define HOST_BYTES 256

int conf_parse_address(const char *text, char *host, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	struct slice name;
	uint64_t number;

	if (colon == NULL || slice_to_u64(slice_str(colon + 1), &number) < 0 || number > 65535)
		return -EINVAL;
	name = slice_make(text, (size_t)(colon - text));
	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']') {
		name = slice_make(name.p + 1, name.n - 2);
		if (name.n == 0 || memchr(name.p, ':', name.n) == NULL)
			return -EINVAL;
	} else if (name.n > 0 && memchr(name.p, ':', name.n) != NULL) {
		return -EINVAL;
	}
	if (name.n == 0 || name.n >= HOST_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < name.n; i++)
		if (!isgraph((unsigned char)name.p[i]) || strchr("[]/@\"", name.p[i]) != NULL)
			return -EINVAL;
	memcpy(host, name.p, name.n);
	host[name.n] = '\0';
	*port = (uint16_t)number;
	return 0;
}

static void fault(struct strbuf *err, const char *setting, const char *value, const char *what)
{
	strbuf_printf(err, "%s = %.80s: %s\n", setting, value, what);
}

static void check_address(struct strbuf *err, const char *setting, const char *value,
			  bool may_be_any_port)
{
	char host[HOST_BYTES];
	uint16_t port;

	if (conf_parse_address(value, host, &port) < 0)
		fault(err, setting, value, "allowed is ADDR:PORT or [ADDR]:PORT");
	else if (port == 0 && !may_be_any_port)
		fault(err, setting, value, "a port from 1 to 65535 is needed");
}

/* ADDR or ADDR/BITS. */
static bool is_network(struct slice s)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char addr[16];
	const char *slash = s.n > 0 ? memchr(s.p, '/', s.n) : NULL;
	uint64_t bits = 0;
	bool is_v6;

	if (slash != NULL) {
		size_t at = (size_t)(slash - s.p);

		if (slice_to_u64(slice_drop(s, at + 1), &bits) < 0)
			return false;
		s.n = at;
	}
	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	is_v6 = strchr(text, ':') != NULL;
	return bits <= (is_v6 ? 128 : 32) && inet_pton(is_v6 ? AF_INET6 : AF_INET, text, addr) == 1;
}

static bool is_path(struct slice s)
{
	return s.n > 0 && s.p[0] == '/' && memchr(s.p, '?', s.n) == NULL;
}

static bool is_message_id(struct slice s)
{
	uint64_t v;

	return slice_to_u64(s, &v) == 0 && v <= 0xffff;
}

/* A word for XML attributes, Via and the like: printable, without separators. */
static bool is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (!isalnum(ch) && (ch == '\0' || strchr("._-+$!#%&'*^`|~", ch) == NULL))
			return false;
	}
	return s.n > 0;
}

static void check_list(struct strbuf *err, const char *setting, const char *value,
		       bool (*is_good)(struct slice), const char *what)
{
	struct slice rest = slice_str(value), item;

	while (slice_next_item(&rest, &item)) {
		if (is_good(item))
			continue;
		fault(err, setting, value, what);
		return;
	}
}

/* "GUID:" and 8-4-4-4-12 hexadecimal digits. */
static bool is_identity(const char *s)
{
	static const char form[] = "GUID:hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

	if (strlen(s) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (form[i] == 'h' ? !isxdigit((unsigned char)s[i]) : s[i] != form[i])
			return false;
	return true;
}

static void check_redis(const struct conf *c, struct strbuf *err)
{
	const char *server = c->redis_server;

	if (strncmp(server, "unix:", 5) == 0) {
		/* sun_path holds 108 bytes with the NUL. */
		if (server[5] != '/' || strlen(server + 5) > 107)
			fault(err, "redis.server", server, "allowed is unix:/PATH of 107 bytes");
	} else if (strcmp(server, "embedded") != 0) {
		check_address(err, "redis.server", server, false);
	}
	if (c->redis_wait > 0 && c->durability != DURABLE_REDIS)
		strbuf_put_str(err, "redis.wait needs redis.durability = redis\n");
	if (c->redis_wait > 0 && strcmp(server, "embedded") == 0)
		strbuf_put_str(err, "redis.wait needs a Redis with replicas, not redis.server = "
				    "embedded\n");
	/* The connection is given up, and nobody would learn what WAIT had to say. */
	if (c->redis_wait > 0 && c->redis_wait_timeout_ms >= c->redis_call_ms)
		strbuf_put_str(err, "redis.wait_timeout must be shorter than redis.call_timeout\n");
	/* Braces would move the hash tag that keeps a shard's keys together. */
	if (!is_word(slice_str(c->redis_prefix)))
		fault(err, "redis.prefix", c->redis_prefix, "allowed are letters, digits, . _ -");
}

static void check_lists(const struct conf *c, struct strbuf *err)
{
	if (c->trusted[0] != '\0')
		check_list(err, "listen.trusted", c->trusted, is_network,
			   "allowed are ADDR and ADDR/BITS");
	check_list(err, "recognise.paths", c->absorb_paths, is_path,
		   "each path begins with / and has no query");
	check_list(err, "recognise.endpoints", c->status_endpoints, is_word,
		   "each is the name of an endpoint");
	check_list(err, "recognise.message_ids", c->message_ids, is_message_id,
		   "each is a number from 0 to 65535");
	check_list(err, "recognise.types", c->status_types, is_word, "each is the name of a class");
	check_list(err, "recognise.rule_properties", c->rule_properties, is_word,
		   "each is the name of a property");
}

static void check_identity(const struct conf *c, struct strbuf *err)
{
	if (c->identity[0] != '\0' && !is_identity(c->identity))
		fault(err, "rollup.identity", c->identity,
		      "allowed is GUID:XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX");
	if (c->machine_name[0] != '\0' && !is_word(slice_str(c->machine_name)))
		fault(err, "rollup.machine_name", c->machine_name, "allowed is a host name");
	if (c->site_code[0] != '\0' && !is_word(slice_str(c->site_code)))
		fault(err, "rollup.site_code", c->site_code, "allowed is a site code");
}

int conf_check(const struct conf *c, struct strbuf *err)
{
	size_t before = err->n;

	check_address(err, "global.listen", c->listen, true);
	if (c->upstream[0] == '\0')
		strbuf_put_str(err, "global.upstream is required: HOST:PORT of the "
				    "management point\n");
	else
		check_address(err, "global.upstream", c->upstream, false);
	if (strcmp(c->admin, "off") != 0)
		check_address(err, "global.admin", c->admin, true);
	if (c->state[0] == '\0')
		strbuf_put_str(err, "global.state is required: a directory\n");
	if (!is_word(slice_str(c->pseudonym)))
		fault(err, "listen.pseudonym", c->pseudonym, "allowed is one word");
	if (c->max_request_line > c->max_head)
		strbuf_put_str(err, "limits.request_line must not exceed limits.header_section\n");
	if (c->max_field_line > c->max_head)
		strbuf_put_str(err, "limits.field_line must not exceed limits.header_section\n");
	check_lists(c, err);
	check_identity(c, err);
	check_redis(c, err);
	return err->n > before || !strbuf_ok(err) ? -EINVAL : 0;
}
