#include "tests/tools/sample_check.h"
#include "tests/tools/sample_mp.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define BOUNDARY    "aAbBcCdDv1234567890VxXyYzZ"
#define MULTIPART   "multipart/mixed; boundary=\"" BOUNDARY "\""
#define PART	    "--" BOUNDARY "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n\xff\xfe"
#define LAST	    "\r\n--" BOUNDARY "--"
#define POLICY_SIZE 8192

static void put_date(struct strbuf *out)
{
	static time_t cached;
	static char text[40];
	time_t now = time(NULL);
	struct tm tm;

	if (now != cached) {
		cached = now;
		gmtime_r(&now, &tm);
		strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	strbuf_put_str(out, text);
}

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 501:
		return "Not Implemented";
	default:
		return "Internal Server Error";
	}
}

void mp_reply_put(struct strbuf *out, const struct http_msg *m, const struct mp_reply *r)
{
	strbuf_printf(out, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n", r->status,
		      reason_of(r->status), r->body.n);
	if (r->type)
		strbuf_printf(out, "Content-Type: %s\r\n", r->type);
	strbuf_put_str(out, "Server: Microsoft-IIS/6.0\r\n");
	if (!m->is_keep_alive)
		strbuf_put_str(out, "Connection: close\r\n");
	if (r->extra)
		strbuf_put_str(out, r->extra);
	if (!r->is_unmarked)
		strbuf_printf(out,
			      SAMPLE_BODY_CRC ": %08X\r\n" SAMPLE_HEAD_CRC
					      ": %08X\r\n" SAMPLE_REPLY_CRC ": %08X\r\n",
			      sample_crc(m->body), sample_head_crc(m), sample_crc(r->body));
	strbuf_put_str(out, "Date: ");
	put_date(out);
	strbuf_put_str(out, "\r\n\r\n");
	strbuf_put(out, r->body);
}

static void put_wide(struct strbuf *out, const char *text)
{
	for (; *text; text++)
		strbuf_put(out, slice_make((const char[]){*text, 0}, 2));
}

void mp_reply_async(struct mp *mp, struct strbuf *out, const struct http_msg *m,
		    const struct ccm_view *v, bool is_unmarked, bool is_wrong)
{
	struct strbuf body;
	char id[80] = "";

	if (mp->opt.has_ack_id && v->id.n < 64)
		snprintf(id, sizeof(id), " %.*s", SLICE_ARG(v->id));
	strbuf_init(&body, 4096);
	strbuf_put(&body, SLICE(PART));
	put_wide(&body, is_wrong ? "Expired" : "NoReply");
	put_wide(&body, id);
	strbuf_put(&body, SLICE(LAST));
	mp_reply_put(out, m,
		     &(struct mp_reply){.status = 200,
					.type = MULTIPART,
					.body = strbuf_slice(&body),
					.is_unmarked = is_unmarked});
	strbuf_fini(&body);
}

void mp_reply_sync(struct strbuf *out, const struct http_msg *m, const struct ccm_view *v)
{
	struct strbuf body;
	char text[512], answer[256];

	snprintf(answer, sizeof(answer), "<ReplyAssignments SchemaVersion=\"1.00\" crc=\"%08X\"/>",
		 sample_crc(m->body));
	snprintf(text, sizeof(text),
		 "<Msg SchemaVersion=\"1.1\"><ID/><CorrelationID>%.*s</CorrelationID>"
		 "<Body Type=\"ByteRange\" Offset=\"0\" Length=\"%zu\"/><Hooks/>"
		 "<Payload Type=\"inline\"/></Msg>",
		 v->id.n < 64 ? (int)v->id.n : 0, v->id.p ? v->id.p : "", 2 * strlen(answer) + 2);
	strbuf_init(&body, 16384);
	strbuf_put(&body, SLICE(PART));
	put_wide(&body, text);
	strbuf_put(&body,
		   SLICE("\r\n--" BOUNDARY "\r\ncontent-type: application/octet-stream\r\n\r\n"));
	put_wide(&body, answer);
	strbuf_put(&body, slice_make("\0", 2));
	strbuf_put(&body, SLICE(LAST));
	mp_reply_put(
		out, m,
		&(struct mp_reply){.status = 200, .type = MULTIPART, .body = strbuf_slice(&body)});
	strbuf_fini(&body);
}

void mp_reply_get(struct strbuf *out, const struct http_msg *m, bool is_policy)
{
	uint32_t crc = sample_head_crc(m);
	struct strbuf body;

	strbuf_init(&body, POLICY_SIZE + 1024);
	if (is_policy) {
		strbuf_printf(&body, "<?xml version=\"1.0\"?><Policy Request=\"%08X\"><![CDATA[",
			      crc);
		for (uint64_t i = 0; body.n < POLICY_SIZE - 16; i++)
			strbuf_printf(&body, "%016" PRIX64, ccm_hash(8, crc, i));
		strbuf_put_str(&body, "]]></Policy>");
	} else {
		strbuf_printf(&body,
			      "<MPList><MP Name=\"MP01\" FQDN=\"mp01.example.test\">"
			      "<Version>3174</Version><Capabilities SchemaVersion=\"1.0\"/>"
			      "<Request>%08X</Request></MP></MPList>",
			      crc);
	}
	mp_reply_put(
		out, m,
		&(struct mp_reply){.status = 200, .type = "text/xml", .body = strbuf_slice(&body)});
	strbuf_fini(&body);
}

static struct mp_upload *find_upload(struct mp *mp, struct slice id)
{
	struct mp_upload *u;
	uint32_t number = 0;

	if (id.n != 38 || !id.p)
		return NULL;
	for (int i = 1; i <= 8; i++) {
		char c = slice_lower(id.p[i]);

		number = number * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	u = &mp->upload[number % 1024];
	return u->number == number ? u : NULL;
}

/* Create-Session, Fragment, Close-Session of [MC-BUP]. */
void mp_reply_bits(struct mp *mp, struct strbuf *out, const struct http_msg *m)
{
	struct slice packet = http_msg_field(m, "BITS-Packet-Type");
	struct mp_upload *u = find_upload(mp, http_msg_field(m, "BITS-Session-Id"));
	char extra[512];

	if (slice_ieq(packet, SLICE("Create-Session"))) {
		uint32_t number = ++mp->uploads;

		u = &mp->upload[number % 1024];
		*u = (struct mp_upload){.number = number};
		snprintf(extra, sizeof(extra),
			 "BITS-Packet-Type: Ack\r\nBITS-Session-Id: "
			 "{%08X-0000-4000-8000-000000000000}\r\n"
			 "BITS-Protocol: {7df0354d-249b-430f-820d-3d2a9bef4931}\r\n",
			 number);
	} else if (u && slice_ieq(packet, SLICE("Fragment"))) {
		u->crc = (uint32_t)crc32_z(u->crc, (const Bytef *)m->body.p, m->body.n);
		u->bytes += m->body.n;
		snprintf(extra, sizeof(extra),
			 "BITS-Packet-Type: Ack\r\nBITS-Received-Content-Range: %" PRIu64 "\r\n",
			 u->bytes);
	} else if (u && slice_ieq(packet, SLICE("Close-Session"))) {
		snprintf(extra, sizeof(extra),
			 "BITS-Packet-Type: Ack\r\n" SAMPLE_UPLOAD_CRC ": %08X\r\n", u->crc);
	} else {
		snprintf(extra, sizeof(extra),
			 "BITS-Packet-Type: Ack\r\nBITS-Error: 0x80070057\r\n"
			 "BITS-Error-Context: 0x5\r\n");
		mp_reply_put(out, m, &(struct mp_reply){.status = 500, .extra = extra});
		return;
	}
	mp_reply_put(out, m, &(struct mp_reply){.status = 200, .extra = extra});
}

/*
 * NTLM in shape, not in cryptography: the third message must bring back the nonce that
 * this very connection was given in the second.
 */
void mp_reply_auth(struct strbuf *out, const struct http_msg *m, const struct ccm_view *v,
		   uint64_t nonce)
{
	struct slice given = http_msg_field(m, "Authorization");
	char challenge[128], want[64];

	snprintf(want, sizeof(want), "NTLM TlRMTVNTUAADAAAA%016" PRIX64, nonce);
	if (given.p && slice_eq(given, slice_str(want))) {
		mp_reply_sync(out, m, v);
		return;
	}
	if (given.p && slice_istarts(given, SLICE("NTLM TlRMTVNTUAABAAAA")))
		snprintf(challenge, sizeof(challenge),
			 "WWW-Authenticate: NTLM TlRMTVNTUAACAAAA%016" PRIX64 "\r\n", nonce);
	else
		snprintf(challenge, sizeof(challenge), "WWW-Authenticate: NTLM\r\n");
	mp_reply_put(out, m, &(struct mp_reply){.status = 401, .extra = challenge});
}
