#include "proxy/flush/summary.h"

#include "proxy/base/clock.h"
#include "proxy/flush/summary_rules.h"
#include "proxy/flush/summary_text.h"

#include <errno.h>
#include <inttypes.h>
/* The functions of before 3.0: those that came after get memory at each call, and may not. */
#define OPENSSL_API_COMPAT 0x10100000L
#include <openssl/sha.h>
#include <stdio.h>
#include <time.h>

#define PATH	 "/ccm_system/request"
#define BOUNDARY "aAbBcCdDv1234567890VxXyYzZ"
#define CATEGORY "statweir-10907-summary"
#define ENDPOINT "StatusReceiver"

/* One document. A part has at most 10 strings of 255 units: far below this. */
#define XML_BYTES   65536
#define UTF16_BYTES (2 * XML_BYTES)

static void sha256(const char *p, size_t n, unsigned char out[SHA256_DIGEST_LENGTH])
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, p, n);
	SHA256_Final(out, &ctx);
}

/* The first 128 bits of SHA-256 as "{8-4-4-4-12}". */
static void digest_id(const char *text, size_t n, char out[39])
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char sha[SHA256_DIGEST_LENGTH];
	unsigned at = 0;

	sha256(text, n, sha);
	out[at++] = '{';
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = hex[sha[i] >> 4];
		out[at++] = hex[sha[i] & 15];
	}
	out[at++] = '}';
	out[at] = '\0';
}

void summary_window_id(const struct summary_identity *who, const struct claim *c, char out[39])
{
	unsigned char client[SHA256_DIGEST_LENGTH];
	char text[256];
	size_t at;
	int n;

	/* The client's own digest, so that no byte of a client can imitate a separator. */
	sha256(c->client.p, c->client.n, client);
	n = snprintf(text, sizeof(text) - sizeof(client),
		     "statweir-window\n%.64s\n%" PRIu64 "\n%" PRId64 "\n", who->nonce, c->seq,
		     c->sealed_ms);
	at = (size_t)n;
	memcpy(text + at, client, sizeof(client));
	digest_id(text, at + sizeof(client), out);
}

static void part_id(const char *window, unsigned part, char out[39])
{
	char text[80];
	int n = snprintf(text, sizeof(text), "statweir-part\n%s\n%u\n", window, part);

	digest_id(text, (size_t)n, out);
}

unsigned summary_parts(const struct claim *c, const struct slice *names, unsigned n_names)
{
	int64_t strings = rules_strings(c, names, n_names);

	if (strings < 0)
		return 0;
	if (strings == 0)
		return 1;
	return (unsigned)((strings + SUMMARY_RULE_STRINGS - 1) / SUMMARY_RULE_STRINGS);
}

static void open_tag(struct strbuf *x, const char *element, const char *name)
{
	strbuf_printf(x, "<%s Name=\"%s\">", element, name);
}

/* A value that we made ourselves. */
static void put_plain(struct strbuf *x, const char *element, const char *name, const char *value)
{
	open_tag(x, element, name);
	text_put_xml(x, slice_str(value));
	strbuf_printf(x, "</%s>", element);
}

/* A value that came from outside, cut to what an attribute may hold. */
static void put_foreign(struct strbuf *x, const char *name, struct slice value)
{
	struct strbuf clean;

	strbuf_init(&clean, 4 * SUMMARY_STRING_UNITS);
	text_put_clean(&clean, value, "", SUMMARY_STRING_UNITS);
	open_tag(x, "Property", name);
	text_put_xml(x, strbuf_slice(&clean));
	strbuf_put_str(x, "</Property>");
	if (!strbuf_ok(&clean))
		x->has_failed = true;
	strbuf_fini(&clean);
}

/* yyyymmddHHMMSS.mmmmmm+000, the form that WMI takes. */
static void cim_time(int64_t wall_ms, char *out, size_t room)
{
	time_t at = (time_t)(wall_ms / 1000);
	size_t n;
	struct tm tm;

	gmtime_r(&at, &tm);
	n = strftime(out, room, "%Y%m%d%H%M%S", &tm);
	snprintf(out + n, room - n, ".%03u000+000", (unsigned)(wall_ms % 1000) % 1000);
}

static void put_fixed_strings(struct strbuf *x, const struct claim *c, const char *window,
			      unsigned part, unsigned n_parts)
{
	char text[128], first[24], last[24];

	snprintf(text, sizeof(text), "%s %u/%u", window, part + 1, n_parts);
	put_plain(x, "Property", "InsertionString1", text);
	snprintf(text, sizeof(text), "messages=%" PRIu64 " rules=%" PRIu64, c->count,
		 rules_count(c));
	put_plain(x, "Property", "InsertionString2", text);
	clock_format_utc(c->first_ms, first, sizeof(first));
	clock_format_utc(c->last_ms, last, sizeof(last));
	snprintf(text, sizeof(text), "first=%s last=%s", first, last);
	put_plain(x, "Property", "InsertionString3", text);
	clock_format_utc(c->sealed_ms, last, sizeof(last));
	snprintf(text, sizeof(text), "window=%" PRIu64 " sealed=%s", c->seq, last);
	put_plain(x, "Property", "InsertionString4", text);
}

static int put_rule_strings(struct strbuf *x, const struct claim *c, const struct slice *names,
			    unsigned n_names, unsigned part)
{
	struct strbuf strings[SUMMARY_RULE_STRINGS];
	char name[32];
	int rc;

	for (unsigned i = 0; i < SUMMARY_RULE_STRINGS; i++)
		strbuf_init(&strings[i], 4 * SUMMARY_STRING_UNITS);
	rc = rules_write(c, names, n_names, (uint64_t)part * SUMMARY_RULE_STRINGS, strings);
	for (unsigned i = 0; i < SUMMARY_RULE_STRINGS; i++) {
		if (!strbuf_ok(&strings[i]))
			rc = -ENOMEM;
		if (rc == 0 && strings[i].n > 0) {
			snprintf(name, sizeof(name), "InsertionString%u", 5 + i);
			open_tag(x, "Property", name);
			text_put_xml(x, strbuf_slice(&strings[i]));
			strbuf_put_str(x, "</Property>");
		}
		strbuf_fini(&strings[i]);
	}
	return rc;
}

static void put_qualifiers(struct strbuf *x)
{
	strbuf_put_str(x, "<Qualifiers>");
	put_plain(x, "Qualifier", "SMS_Component", "statweir");
	/* 39997, informational: the only number whose insertion strings are shown as text. */
	put_plain(x, "Qualifier", "SMS_MessageID", "1073781821");
	put_plain(x, "Qualifier", "SMS_MessageType", "256");
	put_plain(x, "Qualifier", "SMS_ModuleName", "SMS Provider");
	put_plain(x, "Qualifier", "SMS_PerClient", "True");
	strbuf_put_str(x, "</Qualifiers>");
}

static int put_status(struct strbuf *x, const struct summary_identity *who, const struct claim *c,
		      const struct slice *names, unsigned n_names, unsigned part)
{
	unsigned n_parts = summary_parts(c, names, n_names);
	char window[39], when[40];
	int rc;

	if (n_parts == 0)
		return -ENOMEM;
	summary_window_id(who, c, window);
	cim_time(c->sealed_ms, when, sizeof(when));
	strbuf_put_str(x, "<Status SchemaVersion=\"1.0\" CodePage=\"437\" LocaleID=\"1033\">"
			  "<Type>SMS_GenericStatusMessage_Info</Type><Properties>");
	put_plain(x, "Property", "Attribute403", CATEGORY);
	put_foreign(x, "Attribute408", c->client);
	put_foreign(x, "ClientID", slice_str(who->source_id));
	put_plain(x, "Property", "DateTime", when);
	put_fixed_strings(x, c, window, part, n_parts);
	rc = put_rule_strings(x, c, names, n_names, part);
	if (rc < 0)
		return rc;
	put_foreign(x, "MachineName", slice_str(who->machine_name));
	if (who->site_code[0] != '\0')
		put_foreign(x, "SiteCode", slice_str(who->site_code));
	strbuf_put_str(x, "</Properties>");
	put_qualifiers(x);
	strbuf_put_str(x, "</Status>");
	return strbuf_ok(x) ? 0 : -ENOMEM;
}

static void put_element(struct strbuf *x, const char *name, struct slice value)
{
	strbuf_printf(x, "<%s>", name);
	text_put_xml(x, value);
	strbuf_printf(x, "</%s>", name);
}

static int put_envelope(struct strbuf *x, const struct summary_identity *who, const struct claim *c,
			const char *id, size_t body_bytes)
{
	char when[24];

	clock_format_utc(c->sealed_ms, when, sizeof(when));
	strbuf_put_str(x, "<Msg SchemaVersion=\"1.1\" ReplyCompression=\"zlib\">");
	put_element(x, "ID", slice_str(id));
	put_element(x, "SourceID", slice_str(who->source_id));
	put_element(x, "SourceHost", slice_str(who->machine_name));
	put_element(x, "TargetAddress", SLICE("mp:" ENDPOINT));
	strbuf_put_str(x, "<ReplyTo>direct:");
	text_put_xml(x, slice_str(who->machine_name));
	strbuf_put_str(x, ":StatusAgent</ReplyTo>");
	put_element(x, "CorrelationID", SLICE("{00000000-0000-0000-0000-000000000000}"));
	put_element(x, "Priority", SLICE("0"));
	put_element(x, "Timeout", SLICE("360000"));
	put_element(x, "SentTime", slice_str(when));
	strbuf_printf(x, "<Body Type=\"ByteRange\" Offset=\"0\" Length=\"%zu\"/>", body_bytes);
	strbuf_put_str(x, "<Hooks/><Payload Type=\"inline\"/>");
	put_element(x, "TargetHost", slice_str(who->target_host));
	put_element(x, "TargetEndpoint", SLICE(ENDPOINT));
	put_element(x, "ReplyMode", SLICE("Async"));
	put_element(x, "Protocol", SLICE("http"));
	strbuf_put_str(x, "</Msg>");
	return strbuf_ok(x) ? 0 : -ENOMEM;
}

static int put_request(struct strbuf *out, const struct summary_identity *who,
		       struct slice envelope, struct slice payload)
{
	static const char first[] = "--" BOUNDARY "\r\ncontent-type: text/plain; charset=UTF-16"
				    "\r\n\r\n\xff\xfe";
	static const char second[] = "\r\n--" BOUNDARY "\r\ncontent-type: application/octet-stream"
				     "\r\n\r\n";
	static const char last[] = "\r\n--" BOUNDARY "--";
	size_t body =
		sizeof(first) - 1 + envelope.n + sizeof(second) - 1 + payload.n + sizeof(last) - 1;

	if (out->cap - out->n < body + 1024)
		return -EMSGSIZE;
	strbuf_printf(out,
		      "CCM_POST " PATH " HTTP/1.1\r\nUser-Agent: statweir\r\nHost: %s\r\n"
		      "Content-Type: multipart/mixed; boundary=\"" BOUNDARY "\"\r\n"
		      "Content-Length: %zu\r\nConnection: Keep-Alive\r\n\r\n",
		      who->target_host, body);
	strbuf_put(out, SLICE(first));
	strbuf_put(out, envelope);
	strbuf_put(out, SLICE(second));
	strbuf_put(out, payload);
	strbuf_put(out, SLICE(last));
	return strbuf_ok(out) ? 0 : -ENOMEM;
}

int summary_write(const struct summary_identity *who, const struct claim *c,
		  const struct slice *names, unsigned n_names, unsigned part, struct strbuf *out,
		  char id[39])
{
	struct strbuf xml, envelope, payload;
	char window[39];
	int rc;

	strbuf_init(&xml, XML_BYTES);
	strbuf_init(&envelope, UTF16_BYTES);
	strbuf_init(&payload, UTF16_BYTES);
	summary_window_id(who, c, window);
	part_id(window, part, id);
	rc = put_status(&xml, who, c, names, n_names, part);
	if (rc == 0) {
		text_put_utf16(&payload, strbuf_slice(&xml));
		/* The terminator of UTF-16 is part of the Length. */
		strbuf_put(&payload, slice_make("\0", 2));
		strbuf_reset(&xml);
		rc = strbuf_ok(&payload) ? put_envelope(&xml, who, c, id, payload.n) : -ENOMEM;
	}
	if (rc == 0) {
		text_put_utf16(&envelope, strbuf_slice(&xml));
		rc = strbuf_ok(&envelope) ? put_request(out, who, strbuf_slice(&envelope),
							strbuf_slice(&payload))
					  : -ENOMEM;
	}
	strbuf_fini(&xml);
	strbuf_fini(&envelope);
	strbuf_fini(&payload);
	return rc;
}

/* Is text, ASCII, at p as UTF-16LE? */
static bool utf16_at(struct slice s, size_t at, const char *text, size_t n)
{
	if (s.n < 2 * n || at > s.n - 2 * n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s.p[at + 2 * i] != text[i] || s.p[at + 2 * i + 1] != '\0')
			return false;
	return true;
}

void summary_find_id(struct slice raw, char *out, size_t room)
{
	size_t at = 0, n = 0;

	out[0] = '\0';
	/* Characters of two bytes may begin at any byte: a part's start is not aligned. */
	while (at < raw.n && !utf16_at(raw, at, "<ID>", 4))
		at++;
	if (at >= raw.n)
		return;
	for (at += 8; at + 2 <= raw.n && n + 1 < room && raw.p[at + 1] == '\0'; at += 2) {
		if (raw.p[at] == '<') {
			out[n] = '\0';
			return;
		}
		if (raw.p[at] <= ' ' || raw.p[at] > '~')
			break;
		out[n++] = raw.p[at];
	}
	out[0] = '\0';
}
