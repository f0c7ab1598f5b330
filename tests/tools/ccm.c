#include "tests/tools/ccm.h"

#include <libdeflate.h>
#include <stdio.h>

#define ROOM	    (512u << 10)
#define NOISE_BYTES 4096

static const char *const kind_names[CCM_KINDS] = {
	"rule", "status", "mixed", "conflict", "state", "inventory",
	"sync", "policy", "info",  "auth",     "bits",	"probe",
};

enum element {
	E_ID,
	E_SOURCE_ID,
	E_SOURCE_HOST,
	E_TARGET_ADDRESS,
	E_REPLY_TO,
	E_CORRELATION,
	E_PRIORITY,
	E_TIMEOUT,
	E_SENT,
	E_BODY,
	E_PROPERTY,
	E_HOOKS,
	E_PAYLOAD,
	E_TARGET_HOST,
	E_ENDPOINT,
	E_REPLY_MODE,
	E_PROTOCOL,
	ELEMENTS,
};

static const unsigned char client_order[] = {
	E_ID,	    E_SOURCE_ID,   E_SOURCE_HOST, E_TARGET_ADDRESS, E_REPLY_TO, E_CORRELATION,
	E_PRIORITY, E_TIMEOUT,	   E_SENT,	  E_BODY,	    E_PROPERTY, E_HOOKS,
	E_PAYLOAD,  E_TARGET_HOST, E_ENDPOINT,	  E_REPLY_MODE,	    E_PROTOCOL,
};
static const unsigned char name_order[] = {
	E_BODY,	     E_CORRELATION,    E_HOOKS,	     E_ID,	    E_PAYLOAD, E_PRIORITY,
	E_PROPERTY,  E_PROTOCOL,       E_REPLY_MODE, E_REPLY_TO,    E_SENT,    E_SOURCE_HOST,
	E_SOURCE_ID, E_TARGET_ADDRESS, E_ENDPOINT,   E_TARGET_HOST, E_TIMEOUT,
};
static const unsigned char shuffled_order[] = {
	E_PROTOCOL, E_HOOKS,	E_REPLY_MODE,	  E_BODY,      E_ENDPOINT,    E_SENT,
	E_ID,	    E_PAYLOAD,	E_TARGET_HOST,	  E_TIMEOUT,   E_PROPERTY,    E_SOURCE_HOST,
	E_REPLY_TO, E_PRIORITY, E_TARGET_ADDRESS, E_SOURCE_ID, E_CORRELATION,
};
static const unsigned char minimal_order[] = {
	E_ID,	 E_SOURCE_ID, E_SOURCE_HOST, E_BODY,	   E_PROPERTY,
	E_HOOKS, E_PAYLOAD,   E_ENDPOINT,    E_REPLY_MODE,
};

static const struct variant {
	const unsigned char *order;
	unsigned n_order;
	const char *root, *path, *hook, *mode;
	enum {
		ZIP_NONE,
		ZIP_FAST,
		ZIP_GOOD
	} zip;
	bool is_signed;
} variants[CCM_VARIANTS] = {
#define ORDER(o) o, sizeof(o)
#define SCHEMA	 "<Msg SchemaVersion=\"1.1\" ReplyCompression=\"zlib\">"
#define ZLIB	 "<Hook3 Name=\"zlib-compress\"/>"
	{ORDER(client_order), SCHEMA, "/ccm_system/request", ZLIB, "Async", ZIP_FAST, false},
	{ORDER(client_order), SCHEMA, "/ccm_system/request", "", "Async", ZIP_NONE, false},
	{ORDER(name_order), SCHEMA, "/CCM_System/request", ZLIB, "Async", ZIP_GOOD, false},
	{ORDER(client_order), SCHEMA, "/ccm_system/request", ZLIB, "Async", ZIP_FAST, false},
	{ORDER(client_order), SCHEMA, "/ccm_system/request", ZLIB, "Async", ZIP_FAST, true},
	{ORDER(minimal_order), "<Msg>", "/ccm_system/request", "", "Async", ZIP_NONE, false},
	{ORDER(client_order), "<Msg SchemaVersion=\"1.0\">", "/CCM_SYSTEM/REQUEST",
	 "<Hook Name=\"compress\"/><Hook Name=\"authenticate\"/>", "ASync", ZIP_GOOD, false},
	{ORDER(shuffled_order), SCHEMA, "/ccm_system/request", ZLIB, "async", ZIP_FAST, false},
};

const char *ccm_kind_name(enum ccm_kind kind)
{
	return kind_names[kind];
}

unsigned ccm_steps(enum ccm_kind kind)
{
	return kind == CCM_AUTH ? 3 : kind == CCM_BITS ? 4 : 1;
}

bool ccm_is_async(enum ccm_kind kind)
{
	return kind <= CCM_INVENTORY;
}

void ccm_builder_init(struct ccm_builder *b, uint64_t seed, unsigned variants_mask,
		      const char *host)
{
	*b = (struct ccm_builder){.seed = seed, .variants = variants_mask, .host = host};
	CHECK(variants_mask % (1u << CCM_VARIANTS) != 0);
	ccm_text_init(&b->ascii, ROOM);
	ccm_text_init(&b->envelope, ROOM);
	ccm_text_init(&b->payload, ROOM);
	ccm_text_init(&b->body, ROOM);
	ccm_text_init(&b->head, 8192);
	ccm_text_init(&b->noise, NOISE_BYTES);
	for (uint64_t i = 0; b->noise.n < NOISE_BYTES; i++)
		ccm_put_hex(&b->noise, ccm_hash(seed, 77, i), 16);
	b->fast = libdeflate_alloc_compressor(1);
	CHECK(b->fast);
	CHECK(deflateInit2(&b->zip, 6, Z_DEFLATED, 15, 5, Z_DEFAULT_STRATEGY) == Z_OK);
}

void ccm_builder_fini(struct ccm_builder *b)
{
	ccm_text_fini(&b->ascii);
	ccm_text_fini(&b->envelope);
	ccm_text_fini(&b->payload);
	ccm_text_fini(&b->body);
	ccm_text_fini(&b->head);
	ccm_text_fini(&b->noise);
	libdeflate_free_compressor(b->fast);
	deflateEnd(&b->zip);
}

enum ccm_variant ccm_variant_of(const struct ccm_builder *b, uint32_t client)
{
	unsigned v = (unsigned)(ccm_hash(b->seed, 5, client) % CCM_VARIANTS);

	while (!(b->variants & 1u << v))
		v = (v + 1) % CCM_VARIANTS;
	return (enum ccm_variant)v;
}

/* Hexadecimal digits that look like a key or a signature. */
static void put_noise(struct ccm_builder *b, uint32_t client, size_t n)
{
	size_t at = (client * 61u) % (NOISE_BYTES - n);

	ccm_put(&b->ascii, slice_make(b->noise.p + at, n));
}

static void put_signature(struct ccm_builder *b, const struct ccm_item *it)
{
	struct ccm_text *t = &b->ascii;

	ccm_puts(t, "<Hook2 Name=\"clientauth\"><Property Name=\"AuthSenderMachine\">PC");
	ccm_put_number(t, it->client, 5);
	ccm_puts(t, "</Property><Property Name=\"PublicKey\">0602000000A400005253413100080000");
	put_noise(b, it->client, 520);
	ccm_puts(t, "</Property><Property Name=\"ClientIDSignature\">");
	put_noise(b, it->client + 1, 512);
	ccm_puts(t, "</Property><Property Name=\"PayloadSignature\">");
	put_noise(b, it->client + it->serial, 512);
	ccm_puts(t, "</Property><Property Name=\"ClientCapabilities\">NonSSL</Property>"
		    "<Property Name=\"HashAlgorithm\">1.2.840.113549.1.1.11</Property></Hook2>");
}

static const char *endpoint_of(enum ccm_kind kind)
{
	switch (kind) {
	case CCM_STATE:
		return "MP_RelayEndpoint";
	case CCM_INVENTORY:
		return "MP_HinvEndpoint";
	case CCM_SYNC:
	case CCM_AUTH:
		return "MP_PolicyManager";
	default:
		return "StatusReceiver";
	}
}

static void put_hooks(struct ccm_builder *b, const struct ccm_item *it, const struct variant *v)
{
	struct ccm_text *t = &b->ascii;

	if (!v->hook[0] && !v->is_signed) {
		ccm_puts(t, "<Hooks/>");
		return;
	}
	ccm_puts(t, "<Hooks>");
	if (v->is_signed)
		put_signature(b, it);
	ccm_puts(t, v->hook);
	ccm_puts(t, "</Hooks>");
}

static void put_body_ranges(struct ccm_builder *b, const struct ccm_item *it, size_t body_bytes)
{
	struct ccm_text *t = &b->ascii;

	ccm_puts(t, "<Body Type=\"ByteRange\" Offset=\"0\" Length=\"");
	ccm_put_number(t, body_bytes, 1);
	ccm_puts(t, "\"/>");
	if (it->kind != CCM_INVENTORY)
		return;
	ccm_puts(t, "<Attachment Type=\"ByteRange\" Name=\"report\" Offset=\"");
	ccm_put_number(t, body_bytes, 1);
	ccm_puts(t, "\" Length=\"");
	ccm_put_number(t, b->payload.n - body_bytes, 1);
	ccm_puts(t, "\"/>");
}

static void put_tag(struct ccm_text *t, const char *name, const char *value)
{
	ccm_puts(t, "<");
	ccm_puts(t, name);
	ccm_puts(t, ">");
	ccm_puts(t, value);
	ccm_puts(t, "</");
	ccm_puts(t, name);
	ccm_puts(t, ">");
}

static void put_address(struct ccm_text *t, const struct ccm_item *it, bool is_reply)
{
	if (!is_reply) {
		ccm_puts(t, "<TargetAddress>mp:");
		ccm_puts(t, endpoint_of(it->kind));
		ccm_puts(t, "</TargetAddress>");
		return;
	}
	ccm_puts(t, "<ReplyTo>direct:PC");
	ccm_put_number(t, it->client, 5);
	ccm_puts(t, ":StatusAgent</ReplyTo>");
}

static void put_sent(struct ccm_text *t, const struct ccm_item *it)
{
	uint32_t s = it->client * 7 + it->serial;

	ccm_puts(t, "<SentTime>2007-03-01T");
	ccm_put_number(t, s / 3600 % 24, 2);
	ccm_puts(t, ":");
	ccm_put_number(t, s / 60 % 60, 2);
	ccm_puts(t, ":");
	ccm_put_number(t, s % 60, 2);
	ccm_puts(t, "Z</SentTime>");
}

static void put_element(struct ccm_builder *b, enum element e, const struct ccm_item *it,
			const struct ccm_request *r, const struct variant *v, size_t body_bytes)
{
	struct ccm_text *t = &b->ascii;
	char name[16];

	switch (e) {
	case E_ID:
		put_tag(t, "ID", r->id);
		break;
	case E_SOURCE_ID:
		put_tag(t, "SourceID", r->client);
		break;
	case E_SOURCE_HOST:
		snprintf(name, sizeof(name), "PC%05u", it->client);
		put_tag(t, "SourceHost", name);
		break;
	case E_TARGET_ADDRESS:
		put_address(t, it, false);
		break;
	case E_REPLY_TO:
		put_address(t, it, true);
		break;
	case E_CORRELATION:
		put_tag(t, "CorrelationID", "{00000000-0000-0000-0000-000000000000}");
		break;
	case E_PRIORITY:
		put_tag(t, "Priority", "0");
		break;
	case E_TIMEOUT:
		put_tag(t, "Timeout", "360000");
		break;
	case E_SENT:
		put_sent(t, it);
		break;
	case E_BODY:
		put_body_ranges(b, it, body_bytes);
		break;
	case E_PROPERTY:
		if (it->kind == CCM_STATE)
			ccm_puts(t, "<Property Name=\"FileType\" Value=\"SMX\"/>");
		break;
	case E_HOOKS:
		put_hooks(b, it, v);
		break;
	case E_PAYLOAD:
		ccm_puts(t, "<Payload Type=\"inline\"/>");
		break;
	case E_TARGET_HOST:
		put_tag(t, "TargetHost", b->host);
		break;
	case E_ENDPOINT:
		put_tag(t, "TargetEndpoint", endpoint_of(it->kind));
		break;
	case E_REPLY_MODE:
		put_tag(t, "ReplyMode", ccm_is_async(it->kind) ? v->mode : "Sync");
		break;
	case E_PROTOCOL:
		put_tag(t, "Protocol", "http");
		break;
	case ELEMENTS:
		break;
	}
}

/* The boundary of a message, without the quotes. */
static size_t boundary_of(const struct ccm_item *it, enum ccm_variant which, char out[48])
{
	if (which == CCM_V_BOUNDARY)
		return (size_t)snprintf(out, 48, "----=_NextPart_%08X_%u", it->client * 40503u,
					it->serial);
	return (size_t)snprintf(out, 48, "aAbBcCdDv1234567890VxXyYzZ");
}

static void put_payload_part(struct ccm_builder *b, const struct variant *v)
{
	char *to = b->body.p + b->body.n;
	size_t room = b->body.room - b->body.n;

	if (v->zip == ZIP_NONE) {
		ccm_put(&b->body, slice_make(b->payload.p, b->payload.n));
		return;
	}
	if (v->zip == ZIP_FAST) {
		b->body.n +=
			libdeflate_zlib_compress(b->fast, b->payload.p, b->payload.n, to, room);
		return;
	}
	deflateReset(&b->zip);
	b->zip.next_in = (Bytef *)b->payload.p;
	b->zip.avail_in = (uInt)b->payload.n;
	b->zip.next_out = (Bytef *)to;
	b->zip.avail_out = (uInt)room;
	CHECK(deflate(&b->zip, Z_FINISH) == Z_STREAM_END);
	b->body.n += room - b->zip.avail_out;
}

static void put_parts(struct ccm_builder *b, enum ccm_variant which, struct slice boundary)
{
	const struct variant *v = &variants[which];
	struct ccm_text *t = &b->body;

	t->n = 0;
	ccm_puts(t, "--");
	ccm_put(t, boundary);
	if (which == CCM_V_BOUNDARY)
		ccm_puts(t, "\r\nContent-Disposition: form-data; name=\"Msg\"");
	ccm_puts(t, "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n\xff\xfe");
	ccm_put_wide(t, slice_make(b->ascii.p, b->ascii.n));
	ccm_puts(t, "\r\n--");
	ccm_put(t, boundary);
	if (which == CCM_V_BOUNDARY)
		ccm_puts(t, "\r\nContent-Disposition: form-data; name=\"RequestPayload\"");
	ccm_puts(t, which == CCM_V_MINIMAL ? "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n"
					   : "\r\ncontent-type: application/octet-stream\r\n\r\n");
	put_payload_part(b, v);
	ccm_puts(t, "\r\n--");
	ccm_put(t, boundary);
	ccm_puts(t, "--");
}

static void put_post_head(struct ccm_builder *b, const struct ccm_item *it, const char *path,
			  struct slice boundary)
{
	struct ccm_text *t = &b->head;

	ccm_puts(t, "CCM_POST ");
	ccm_puts(t, it->kind == CCM_AUTH ? "/ccm_system_windowsauth/request" : path);
	ccm_puts(t, " HTTP/1.1\r\nUser-Agent: ccmhttp\r\nHost: ");
	ccm_puts(t, b->host);
	ccm_puts(t, "\r\nContent-Type: multipart/mixed; boundary=\"");
	ccm_put(t, boundary);
	ccm_puts(t, "\"\r\n");
	if (it->kind == CCM_AUTH && it->step > 0) {
		ccm_puts(t, "Authorization: NTLM ");
		ccm_puts(t,
			 it->step == 1 ? "TlRMTVNTUAABAAAAB4IIogAAAAAAAAAA" : "TlRMTVNTUAADAAAA");
		ccm_puts(t, it->token);
		ccm_puts(t, "\r\n");
	}
	ccm_puts(t, "Content-Length: ");
	ccm_put_number(t, b->body.n, 1);
	ccm_puts(t, "\r\nConnection: Keep-Alive\r\n\r\n");
}

static void build_post(struct ccm_builder *b, const struct ccm_item *it, struct ccm_request *out)
{
	enum ccm_variant which = ccm_variant_of(b, it->client);
	const struct variant *v = &variants[which];
	size_t body_bytes = 0;
	char boundary[48];
	struct slice bound = slice_make(boundary, boundary_of(it, which, boundary));

	b->payload.n = 0;
	ccm_build_payload(b, it, out, &body_bytes);
	b->ascii.n = 0;
	ccm_puts(&b->ascii, v->root);
	for (unsigned i = 0; i < v->n_order; i++)
		put_element(b, v->order[i], it, out, v, body_bytes);
	ccm_puts(&b->ascii, "</Msg>");
	put_parts(b, which, bound);
	put_post_head(b, it, v->path, bound);
}

static void build_get(struct ccm_builder *b, const struct ccm_item *it, const struct ccm_request *r)
{
	static const char *const info[] = {"MPLIST", "MPLIST1&ABC", "MPCERT", "MPKEYINFORMATION"};
	struct ccm_text *t = &b->head;

	if (it->kind == CCM_INFO) {
		ccm_puts(t, "GET /SMS_MP/.sms_aut?");
		ccm_puts(t, info[it->serial % 4]);
	} else {
		ccm_puts(t, "GET /SMS_MP/.sms_pol?");
		ccm_put(t, slice_make(r->id, 38));
		ccm_puts(t, ".1_00");
	}
	ccm_puts(t, " HTTP/1.1\r\nUser-Agent: ccmhttp\r\nHost: ");
	ccm_puts(t, b->host);
	if (it->kind == CCM_POLICY) {
		ccm_puts(t, "\r\nClientToken: ");
		ccm_puts(t, r->client);
		ccm_puts(t, ";2007-03-01T10:11:12Z;2\r\nClientTokenSignature: ");
		ccm_put(t, slice_make(b->noise.p + it->serial % 512, 512));
	}
	ccm_puts(t, "\r\nConnection: Keep-Alive\r\n\r\n");
}

static void put_range(struct ccm_text *t, size_t from, size_t n, size_t total)
{
	ccm_puts(t, "Content-Range: bytes ");
	ccm_put_number(t, from, 1);
	ccm_puts(t, "-");
	ccm_put_number(t, from + n - 1, 1);
	ccm_puts(t, "/");
	ccm_put_number(t, total, 1);
	ccm_puts(t, "\r\n");
}

static void build_bits(struct ccm_builder *b, const struct ccm_item *it,
		       const struct ccm_request *r)
{
	static const char *const packet[] = {"Create-Session", "Fragment", "Fragment",
					     "Close-Session"};
	/* The first fragment is sometimes larger than anything that is held for inspection. */
	size_t first = 4096 + ccm_hash(b->seed, it->client, it->serial) % 90000;
	size_t n = it->step == 1 ? first : 3000;
	struct ccm_text *t = &b->head;

	if (it->step == 1 || it->step == 2)
		for (uint64_t i = 0; b->body.n < n; i++)
			ccm_put_hex(&b->body, ccm_hash(b->seed, it->serial + it->step, i),
				    n - b->body.n < 16 ? (unsigned)(n - b->body.n) : 16);
	ccm_puts(t, "BITS_POST /CCM_Incoming/");
	ccm_put(t, slice_make(r->id, 38));
	ccm_puts(t, ".msg HTTP/1.1\r\nUser-Agent: Microsoft BITS/6.7\r\nHost: ");
	ccm_puts(t, b->host);
	ccm_puts(t, "\r\nBITS-Packet-Type: ");
	ccm_puts(t, packet[it->step]);
	ccm_puts(t, "\r\n");
	if (it->step == 0)
		ccm_puts(t, "BITS-Supported-Protocols: {7df0354d-249b-430f-820d-3d2a9bef4931}\r\n");
	else {
		ccm_puts(t, "BITS-Session-Id: ");
		ccm_puts(t, it->token);
		ccm_puts(t, "\r\n");
	}
	if (b->body.n > 0)
		put_range(t, it->step == 1 ? 0 : first, n, first + 3000);
	ccm_puts(t, "Content-Length: ");
	ccm_put_number(t, b->body.n, 1);
	ccm_puts(t, "\r\nConnection: Keep-Alive\r\n\r\n");
}

void ccm_build(struct ccm_builder *b, const struct ccm_item *it, struct ccm_request *out)
{
	char guid[37];

	ccm_guid(ccm_hash(b->seed, it->client, it->serial * 2ull + 1000),
		 ccm_hash(b->seed, it->client, it->serial * 2ull + 1001), guid);
	snprintf(out->id, sizeof(out->id), "{%s}", guid);
	ccm_guid(ccm_hash(b->seed, 1, it->client), ccm_hash(b->seed, 2, it->client), guid);
	snprintf(out->client, sizeof(out->client), "GUID:%s", guid);
	out->rule[0] = '\0';
	if (it->kind == CCM_RULE)
		snprintf(out->rule, sizeof(out->rule), "ABC%05u", it->rule);
	b->head.n = b->body.n = 0;
	if (it->kind == CCM_POLICY || it->kind == CCM_INFO || it->kind == CCM_PROBE)
		build_get(b, it, out);
	else if (it->kind == CCM_BITS)
		build_bits(b, it, out);
	else
		build_post(b, it, out);
	out->head = slice_make(b->head.p, b->head.n);
	out->body = slice_make(b->body.p, b->body.n);
}
