#include "proxy/http/names.h"

#define LONGEST 19

struct known {
	char name[LONGEST + 1];
	uint8_t id;
};

/* By length, so that at most four are compared. */
static const struct known known_names[] = {
	{"te", FIELD_TE},
	{"via", FIELD_VIA},
	{"host", FIELD_HOST},
	{"date", FIELD_DATE},
	{"expect", FIELD_EXPECT},
	{"server", FIELD_SERVER},
	{"trailer", FIELD_TRAILER},
	{"upgrade", FIELD_UPGRADE},
	{"forwarded", FIELD_FORWARDED},
	{"connection", FIELD_CONNECTION},
	{"keep-alive", FIELD_KEEP_ALIVE},
	{"content-type", FIELD_CONTENT_TYPE},
	{"max-forwards", FIELD_MAX_FORWARDS},
	{"content-range", FIELD_CONTENT_RANGE},
	{"authorization", FIELD_AUTHORIZATION},
	{"content-length", FIELD_CONTENT_LENGTH},
	{"x-forwarded-for", FIELD_X_FORWARDED_FOR},
	{"proxy-connection", FIELD_PROXY_CONNECTION},
	{"content-encoding", FIELD_CONTENT_ENCODING},
	{"www-authenticate", FIELD_WWW_AUTHENTICATE},
	{"x-forwarded-host", FIELD_X_FORWARDED_HOST},
	{"transfer-encoding", FIELD_TRANSFER_ENCODING},
	{"x-forwarded-proto", FIELD_X_FORWARDED_PROTO},
	{"proxy-authenticate", FIELD_PROXY_AUTHENTICATE},
	{"proxy-authorization", FIELD_PROXY_AUTHORIZATION},
};
#define N_KNOWN (sizeof(known_names) / sizeof(known_names[0]))
_Static_assert(N_KNOWN == FIELD_ID_COUNT - 1, "every id but FIELD_OTHER has one name");

/* known_names of length n are [first[n], first[n + 1]). */
static const uint8_t first[LONGEST + 2] = {0,  0,  0,  1,  2,  4,  4,  6,  8,  8, 9,
					   11, 11, 13, 15, 16, 17, 21, 23, 24, 25};

/*
 * Bit 0x20 makes a letter small. Among token characters it makes no '-' and no
 * letter out of anything else, so this is exact.
 */
static bool matches(const char *name, const char *lower, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((name[i] | 0x20) != lower[i])
			return false;
	return true;
}

enum field_id name_id(struct slice name)
{
	if (name.n > LONGEST)
		return FIELD_OTHER;
	for (unsigned i = first[name.n]; i < first[name.n + 1]; i++)
		if (matches(name.p, known_names[i].name, name.n))
			return (enum field_id)known_names[i].id;
	return FIELD_OTHER;
}

bool name_is_twin(struct slice name)
{
	char plain[LONGEST];

	if (name.n > LONGEST || memchr(name.p, '_', name.n) == NULL)
		return false;
	for (size_t i = 0; i < name.n; i++)
		plain[i] = name.p[i] == '_' ? '-' : name.p[i];
	return name_id(slice_make(plain, name.n)) != FIELD_OTHER;
}

bool name_is_hop_by_hop(enum field_id id)
{
	switch (id) {
	case FIELD_CONNECTION:
	case FIELD_KEEP_ALIVE:
	case FIELD_PROXY_CONNECTION:
	case FIELD_TE:
	case FIELD_TRAILER:
	case FIELD_TRANSFER_ENCODING:
	case FIELD_UPGRADE:
	case FIELD_PROXY_AUTHENTICATE:
	case FIELD_PROXY_AUTHORIZATION:
		return true;
	default:
		return false;
	}
}

/* Whole families, by how the name begins. */
static const char *const end_to_end_families[] = {
	"accept", "access-control-", "bits-", "ccm", "content-", "if-", "sec-", "x-forwarded-",
};

static const char *const end_to_end_names[] = {
	"age",		 "allow",      "cache-control", "cookie",     "depth",
	"destination",	 "etag",       "expires",	"from",	      "lock-token",
	"last-modified", "location",   "origin",	"overwrite",  "pragma",
	"range",	 "referer",    "retry-after",	"set-cookie", "soapaction",
	"translate",	 "user-agent", "vary",		"warning",    "x-real-ip",
};

bool name_is_end_to_end(struct slice name)
{
	enum field_id id = name_id(name);

	/* Transfer-Encoding goes with the connection, but it frames: nobody switches it off. */
	if (id != FIELD_OTHER)
		return !name_is_hop_by_hop(id) || id == FIELD_TRANSFER_ENCODING;
	for (size_t i = 0; i < sizeof(end_to_end_families) / sizeof(char *); i++)
		if (slice_istarts(name, slice_str(end_to_end_families[i])))
			return true;
	for (size_t i = 0; i < sizeof(end_to_end_names) / sizeof(char *); i++)
		if (slice_ieq(name, slice_str(end_to_end_names[i])))
			return true;
	return false;
}
