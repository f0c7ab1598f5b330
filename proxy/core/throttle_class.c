/* Which class a request belongs to, by table. */
#include "proxy/core/throttle.h"

/* TargetEndpoint of messages (docs/PROTOCOL.md); others are "other messages": inventory. */
static const struct {
	struct slice endpoint;
	enum throttle_class cls;
} endpoints[] = {
	{{"StatusReceiver", 14}, THROTTLE_STATUS},
	{{"MP_RelayEndpoint", 16}, THROTTLE_STATE},
	{{"MP_PolicyManager", 16}, THROTTLE_POLICY},
	{{"MP_LocationManager", 18}, THROTTLE_POLICY},
	{{"MP_ClientRegistration", 21}, THROTTLE_POLICY},
	{{"MP_TokenManager", 15}, THROTTLE_POLICY},
};

/* GET and HEAD below /SMS_MP and its variants: file name, query begins with. */
static const struct {
	struct slice file, query;
	enum throttle_class cls;
} gets[] = {
	{{"/.sms_aut", 9}, {"mplist", 6}, THROTTLE_HEALTH},
	{{"/.sms_aut", 9}, {"mpcert", 6}, THROTTLE_HEALTH},
	{{"/.sms_aut", 9}, {"smstrc", 6}, THROTTLE_HEALTH},
	{{"/.sms_aut", 9}, {"", 0}, THROTTLE_POLICY},
	{{"/.sms_pol", 9}, {"", 0}, THROTTLE_POLICY},
	{{"/.sms_dcm", 9}, {"", 0}, THROTTLE_POLICY},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *throttle_class_name(enum throttle_class c)
{
	static const char *const names[] = {"status", "state",	"inventory", "policy",
					    "bits",   "health", "other"};

	_Static_assert(COUNT(names) == THROTTLE_N_CLASSES, "a name for each class");
	CHECK((unsigned)c < THROTTLE_N_CLASSES);
	return names[c];
}

/* http://host/path: without scheme and host. */
static struct slice origin_form(struct slice target)
{
	const char *slash;
	size_t scheme = 0;

	if (slice_istarts(target, SLICE("http://")))
		scheme = 7;
	else if (slice_istarts(target, SLICE("https://")))
		scheme = 8;
	if (scheme == 0)
		return target;
	target = slice_drop(target, scheme);
	slash = target.n > 0 ? memchr(target.p, '/', target.n) : NULL;
	return slash == NULL ? SLICE("/") : slice_drop(target, (size_t)(slash - target.p));
}

/* The folder itself or something below it or, for /SMS_MP_AltAuth, a name that goes on. */
static bool is_under(struct slice path, struct slice folder, bool may_go_on)
{
	return slice_istarts(path, folder) && (path.n == folder.n || path.p[folder.n] == '/' ||
					       (may_go_on && path.p[folder.n] == '_'));
}

static enum throttle_class classify_get(struct slice path, struct slice query)
{
	const char *slash = memrchr(path.p, '/', path.n);
	struct slice file;

	if (slash == NULL || !is_under(path, SLICE("/SMS_MP"), true))
		return THROTTLE_OTHER;
	file = slice_drop(path, (size_t)(slash - path.p));
	for (size_t i = 0; i < COUNT(gets); i++)
		if (slice_ieq(file, gets[i].file) && slice_istarts(query, gets[i].query))
			return gets[i].cls;
	return THROTTLE_OTHER;
}

static enum throttle_class classify_message(struct slice path, struct slice endpoint)
{
	/* Not read: too large to inspect, or a protected path. Not paced with the others. */
	if (endpoint.n == 0 || !is_under(path, SLICE("/ccm_system"), true))
		return THROTTLE_OTHER;
	for (size_t i = 0; i < COUNT(endpoints); i++)
		if (slice_ieq(endpoint, endpoints[i].endpoint))
			return endpoints[i].cls;
	return THROTTLE_INVENTORY;
}

enum throttle_class throttle_classify(struct slice method, struct slice target,
				      struct slice endpoint)
{
	struct slice path = origin_form(target), query = {"", 0};
	const char *mark = path.n > 0 ? memchr(path.p, '?', path.n) : NULL;

	if (mark != NULL) {
		query = slice_drop(path, (size_t)(mark - path.p) + 1);
		path.n = (size_t)(mark - path.p);
	}
	if (path.n == 0)
		return THROTTLE_OTHER;
	if (slice_ieq(method, SLICE("BITS_POST")) || is_under(path, SLICE("/CCM_Incoming"), false))
		return THROTTLE_BITS;
	if (slice_ieq(method, SLICE("GET")) || slice_ieq(method, SLICE("HEAD")))
		return classify_get(path, query);
	if (slice_ieq(method, SLICE("CCM_POST")) || slice_ieq(method, SLICE("POST")))
		return classify_message(path, endpoint);
	return THROTTLE_OTHER;
}
