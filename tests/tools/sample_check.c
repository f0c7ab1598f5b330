#include "tests/tools/sample_check.h"

#include <zlib.h>

static uint32_t add(uint32_t crc, struct slice s)
{
	return (uint32_t)crc32_z(crc, (const Bytef *)s.p, s.n);
}

uint32_t sample_crc(struct slice s)
{
	return add(0, s);
}

/* Connection fields, Host and lengths are the proxy's to rewrite; Via and such its own. */
static bool is_meaningful(struct slice name)
{
	return slice_ieq(name, SLICE("User-Agent")) || slice_ieq(name, SLICE("Content-Type")) ||
	       slice_ieq(name, SLICE("Authorization")) || slice_ieq(name, SLICE("Content-Range")) ||
	       slice_istarts(name, SLICE("Client")) || slice_istarts(name, SLICE("CCM")) ||
	       slice_istarts(name, SLICE("BITS-"));
}

uint32_t sample_head_crc(const struct http_msg *request)
{
	uint32_t crc = add(0, request->method);

	crc = add(crc, SLICE(" "));
	crc = add(crc, request->target);
	for (unsigned i = 0; i < request->n_fields; i++) {
		if (!is_meaningful(request->field[i].name))
			continue;
		crc = add(crc, request->field[i].line);
		crc = add(crc, SLICE("\n"));
	}
	return crc;
}
