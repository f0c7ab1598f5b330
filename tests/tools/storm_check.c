#include "tests/tools/sample_check.h"
#include "tests/tools/storm.h"

#include <string.h>

/* ASCII text as UTF-16LE somewhere in s; where it begins, or NULL. */
static const char *find_wide(struct slice s, const char *text)
{
	char wide[128];
	size_t n = strlen(text);

	CHECK(2 * n <= sizeof(wide));
	for (size_t i = 0; i < n; i++) {
		wide[2 * i] = text[i];
		wide[2 * i + 1] = 0;
	}
	return s.n > 0 ? memmem(s.p, s.n, wide, 2 * n) : NULL;
}

static bool delimiter_of(const struct http_msg *m, char *out, size_t room, size_t *n)
{
	struct slice type = http_msg_field(m, "Content-Type");
	const char *p, *end;

	if (!type.p || !slice_istarts(type, SLICE("multipart/mixed")))
		return false;
	p = memmem(type.p, type.n, "boundary=\"", 10);
	if (!p)
		return false;
	p += 10;
	end = memchr(p, '"', (size_t)(type.p + type.n - p));
	if (!end || (size_t)(end - p) + 2 > room)
		return false;
	*n = (size_t)(end - p) + 2;
	memcpy(out, "--", 2);
	memcpy(out + 2, p, *n - 2);
	return true;
}

/* Parts of a multipart body that begins and ends as it must; 0 if it does not. */
static unsigned count_parts(const struct http_msg *m)
{
	char d[80];
	size_t n;
	unsigned found = 0;
	struct slice s = m->body;

	if (!delimiter_of(m, d, sizeof(d), &n))
		return 0;
	if (s.n < 2 * n + 2 || memcmp(s.p, d, n) != 0)
		return 0;
	if (memcmp(s.p + s.n - 2, "--", 2) != 0 || memcmp(s.p + s.n - 2 - n, d, n) != 0)
		return 0;
	for (const char *p = s.p; p; p = memmem(s.p, s.n, d, n)) {
		found++;
		s = slice_drop(s, (size_t)(p - s.p) + n);
	}
	return found - 1;
}

static bool field_is(const struct http_msg *m, const char *name, uint32_t crc)
{
	struct slice v = http_msg_field(m, name);
	char want[9];

	snprintf(want, sizeof(want), "%08X", crc);
	return v.p && slice_eq(v, slice_str(want));
}

/* The management point's own answer to this very request, whole? */
static enum storm_verdict check_marks(const struct storm_client *c, const struct http_msg *m,
				      const char **why)
{
	*why = NULL;
	if (!field_is(m, SAMPLE_BODY_CRC, c->body_crc))
		*why = "the management point saw another body";
	else if (!field_is(m, SAMPLE_HEAD_CRC, c->head_crc))
		*why = "the management point saw another head";
	else if (!field_is(m, SAMPLE_REPLY_CRC, sample_crc(m->body)))
		*why = "the reply's body was changed";
	return *why ? STORM_DAMAGED : STORM_DONE;
}

/* A message ID in the reply, if there is any, must be the request's own. */
static bool names_another(const struct storm_client *c, const struct http_msg *m)
{
	return find_wide(m->body, "{") && !find_wide(m->body, c->request.id);
}

static enum storm_verdict check_async(const struct storm_client *c, const struct http_msg *m,
				      const char **why)
{
	*why = "not one part with NoReply";
	if (m->status != 200 || count_parts(m) != 1 || !find_wide(m->body, "NoReply"))
		return STORM_REFUSED;
	*why = "the acknowledgement of another message";
	if (names_another(c, m))
		return STORM_DAMAGED;
	if (c->item.kind == CCM_RULE)
		return STORM_DONE;
	return check_marks(c, m, why);
}

static enum storm_verdict check_sync(const struct storm_client *c, const struct http_msg *m,
				     const char **why)
{
	*why = "not two parts";
	if (m->status != 200 || count_parts(m) != 2)
		return STORM_REFUSED;
	*why = "the reply to another message";
	if (!find_wide(m->body, c->request.id))
		return STORM_DAMAGED;
	return check_marks(c, m, why);
}

static bool take_token(struct storm_client *c, struct slice v)
{
	if (!v.p || v.n == 0 || v.n >= sizeof(c->token))
		return false;
	memcpy(c->token, v.p, v.n);
	c->token[v.n] = '\0';
	return true;
}

static enum storm_verdict check_auth(struct storm_client *c, const struct http_msg *m,
				     const char **why)
{
	struct slice v = http_msg_field(m, "WWW-Authenticate");
	struct slice challenge = SLICE("NTLM TlRMTVNTUAACAAAA");

	if (c->item.step == 2) {
		/* Refused here means that the connection was not the management point's. */
		*why = "logon lost on its way";
		return m->status == 401 ? STORM_DAMAGED : check_sync(c, m, why);
	}
	*why = "no challenge";
	if (m->status != 401 || !v.p)
		return STORM_REFUSED;
	if (c->item.step == 0)
		return slice_eq(v, SLICE("NTLM")) ? STORM_NEXT_STEP : STORM_REFUSED;
	if (!slice_istarts(v, challenge) || !take_token(c, slice_drop(v, challenge.n)))
		return STORM_REFUSED;
	return STORM_NEXT_STEP;
}

static enum storm_verdict check_bits(struct storm_client *c, const struct http_msg *m,
				     const char **why)
{
	enum storm_verdict rc;

	*why = "upload refused";
	if (m->status != 200 || !slice_ieq(http_msg_field(m, "BITS-Packet-Type"), SLICE("Ack")))
		return STORM_REFUSED;
	rc = check_marks(c, m, why);
	if (rc != STORM_DONE)
		return rc;
	*why = "upload changed";
	if (c->item.step == 3)
		return field_is(m, SAMPLE_UPLOAD_CRC, c->upload_crc) ? STORM_DONE : STORM_DAMAGED;
	if (c->item.step == 0 && !take_token(c, http_msg_field(m, "BITS-Session-Id")))
		return STORM_REFUSED;
	return STORM_NEXT_STEP;
}

enum storm_verdict storm_check(struct storm_client *c, const struct http_msg *reply,
			       const char **why)
{
	switch (c->item.kind) {
	case CCM_SYNC:
		return check_sync(c, reply, why);
	case CCM_AUTH:
		return check_auth(c, reply, why);
	case CCM_BITS:
		return check_bits(c, reply, why);
	case CCM_POLICY:
	case CCM_INFO:
	case CCM_PROBE:
		*why = "no policy";
		return reply->status == 200 ? check_marks(c, reply, why) : STORM_REFUSED;
	default:
		return check_async(c, reply, why);
	}
}
