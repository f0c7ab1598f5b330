/*
 * Messages put together from named pieces, and the filter asked about them. Every piece
 * has a usual text, so that a test names only what it changes. The bytes asked about lie
 * in a block of exactly their size: reading past them is seen by the sanitizer.
 */
#ifndef STATWEIR_TESTS_UNIT_FILTERS_TRY_H
#define STATWEIR_TESTS_UNIT_FILTERS_TRY_H

#include "filters/status_filter.h"
#include "filters/utf16.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#define COUNT(a)       (sizeof(a) / sizeof((a)[0]))
#define TRY_ROOM       (1u << 20)
#define TRY_BOUNDARY   "aAbBcCdDv1234567890VxXyYzZ"
#define TRY_MULTIPART  "multipart/mixed; boundary=\"" TRY_BOUNDARY "\""
#define TRY_MESSAGE_ID "{3F2504E0-4F89-41D3-9A0C-0305E82C3301}"
#define TRY_CLIENT     "GUID:11111111-2222-3333-4444-555555555555"
#define TRY_RULE       "ABC00012"
#define TRY_TYPE       "SWMtr_Status_Received_MeterRule"

/* Pieces of a <Status>. */
#define TRY_OF_TYPE(t)	    "<Type>" t "</Type>"
#define TRY_PROPERTY(n, v)  "<Property Name=\"" n "\">" v "</Property>"
#define TRY_QUALIFIER(n, v) "<Qualifier Name=\"" n "\">" v "</Qualifier>"
#define TRY_PROPERTIES(p)   "<Properties>" p "</Properties>"
#define TRY_QUALIFIERS(q)   "<Qualifiers>" q "</Qualifiers>"
#define TRY_STATUS(inner) \
	"<Status SchemaVersion=\"1.0\" CodePage=\"437\" LocaleID=\"1033\">" inner "</Status>"
#define TRY_IS_RULE   TRY_PROPERTY("Attribute407", TRY_RULE)
#define TRY_IS_NUMBER TRY_QUALIFIER("SMS_MessageID", "1073752731")
/* The usual <Status> with these properties (of the rule) and qualifiers (of the number). */
#define TRY_STATUS_OF(properties, qualifiers) \
	TRY_STATUS(TRY_OF_TYPE(TRY_TYPE) TRY_PROPERTIES(properties) TRY_QUALIFIERS(qualifiers))
#define TRY_USUAL_STATUS                                                            \
	TRY_STATUS_OF(TRY_IS_RULE TRY_PROPERTY("ClientID", TRY_CLIENT)              \
			      TRY_PROPERTY("DateTime", "20070301101112.000000+000") \
				      TRY_PROPERTY("MachineName", "PC00003"),       \
		      TRY_QUALIFIER("SMS_Component", "Software Metering Agent") TRY_IS_NUMBER)

enum try_pack {
	TRY_PLAIN,
	TRY_ZLIB,
	TRY_OLD_ZLIB, /* the three that a first-generation hook may mean */
	TRY_OLD_GZIP,
	TRY_OLD_RAW,
};

/* UTF-8; NULL: the usual text, "": nothing. */
struct try_msg {
	const char *prolog, *root;
	const char *id, *source_id, *source_host, *body, *hooks, *payload, *endpoint, *mode;
	const char *more, *close;
	const char *status;
	struct slice tail; /* bytes behind the payload's text, before it is compressed */
	enum try_pack pack;
	bool has_no_mark; /* the envelope has no byte order mark */
	bool has_payload_mark;
	const char *content_type, *boundary, *head[2], *preamble, *epilogue;
	struct slice junk; /* bytes behind the compressed payload */
};

struct try_bytes {
	char *p; /* owned, of TRY_ROOM bytes */
	size_t n;
};

/* One question and its answer. */
struct try_run {
	struct arena scratch;
	char *body; /* owned */
	struct verdict v;
};

static inline void try_bytes_init(struct try_bytes *b)
{
	b->p = malloc(TRY_ROOM);
	b->n = 0;
	assert_non_null(b->p);
}

static inline void try_bytes_fini(struct try_bytes *b)
{
	free(b->p);
	b->p = NULL;
}

static inline void try_put(struct try_bytes *b, struct slice s)
{
	assert_true(s.n <= TRY_ROOM - b->n);
	if (s.n > 0)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
}

static inline void try_puts(struct try_bytes *b, const char *s)
{
	try_put(b, slice_str(s));
}

static inline struct slice try_slice(const struct try_bytes *b)
{
	return slice_make(b->p, b->n);
}

static inline void try_put_unit(struct try_bytes *b, unsigned u)
{
	char pair[2] = {(char)(u & 0xff), (char)(u >> 8)};

	try_put(b, slice_make(pair, 2));
}

/* Well-formed UTF-8 as UTF-16LE. */
static inline void try_put_wide(struct try_bytes *b, const char *utf8)
{
	const unsigned char *p = (const unsigned char *)utf8;

	while (*p != 0) {
		unsigned more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
		uint32_t c = more == 0 ? *p : *p & (0x3fu >> more);

		for (p++; more > 0; more--)
			c = c << 6 | (*p++ & 0x3fu);
		if (c >= 0x10000) {
			try_put_unit(b, 0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		try_put_unit(b, c);
	}
}

/* A copy of exactly s.n bytes, never NULL; the caller frees it. */
static inline char *try_exact(struct slice s)
{
	char *p = malloc(s.n > 0 ? s.n : 1);

	assert_non_null(p);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

/* Deflate in to out: 15 window bits zlib, 31 gzip, -15 neither. */
static inline void try_deflate(struct slice in, int window_bits, struct try_bytes *out)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = (Bytef *)(out->p + out->n);
	z.avail_out = (uInt)(TRY_ROOM - out->n);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n = TRY_ROOM - z.avail_out;
	deflateEnd(&z);
}

static inline const char *try_or(const char *given, const char *usual)
{
	return given != NULL ? given : usual;
}

static inline const char *try_hooks(const struct try_msg *m)
{
	if (m->hooks != NULL)
		return m->hooks;
	return m->pack == TRY_PLAIN  ? "<Hooks/>"
	       : m->pack == TRY_ZLIB ? "<Hooks><Hook3 Name=\"zlib-compress\"/></Hooks>"
				     : "<Hooks><Hook Name=\"compress\"/></Hooks>";
}

/* The first part's bytes, with length in the usual <Body>. */
static inline void try_put_envelope(struct try_bytes *b, const struct try_msg *m, size_t length)
{
	char body[80];

	snprintf(body, sizeof(body), "<Body Type=\"ByteRange\" Offset=\"0\" Length=\"%zu\"/>",
		 length);
	if (!m->has_no_mark)
		try_put_unit(b, 0xfeff);
	try_put_wide(b, try_or(m->prolog, ""));
	try_put_wide(b, try_or(m->root, "<Msg SchemaVersion=\"1.1\" ReplyCompression=\"zlib\">"));
	try_put_wide(b, try_or(m->id, "<ID>" TRY_MESSAGE_ID "</ID>"));
	try_put_wide(b, try_or(m->source_id, "<SourceID>" TRY_CLIENT "</SourceID>"));
	try_put_wide(b, try_or(m->source_host, "<SourceHost>PC00003</SourceHost>"));
	try_put_wide(b, try_or(m->body, body));
	try_put_wide(b, try_hooks(m));
	try_put_wide(b, try_or(m->payload, "<Payload Type=\"inline\"/>"));
	try_put_wide(b, try_or(m->endpoint, "<TargetEndpoint>StatusReceiver</TargetEndpoint>"));
	try_put_wide(b, try_or(m->mode, "<ReplyMode>Async</ReplyMode>"));
	try_put_wide(b, try_or(m->more, "<Protocol>http</Protocol>"));
	try_put_wide(b, try_or(m->close, "</Msg>"));
}

/* The payload before it is compressed; returns the bytes that <Body> counts. */
static inline size_t try_put_status(struct try_bytes *b, const struct try_msg *m)
{
	size_t length;

	if (m->has_payload_mark)
		try_put_unit(b, 0xfeff);
	try_put_wide(b, try_or(m->status, TRY_USUAL_STATUS));
	length = b->n;
	try_put(b, m->tail);
	return length;
}

static inline void try_put_packed(struct try_bytes *b, const struct try_msg *m, struct slice s)
{
	switch (m->pack) {
	case TRY_PLAIN:
		try_put(b, s);
		break;
	case TRY_ZLIB:
	case TRY_OLD_ZLIB:
		try_deflate(s, 15, b);
		break;
	case TRY_OLD_GZIP:
		try_deflate(s, 31, b);
		break;
	case TRY_OLD_RAW:
		try_deflate(s, -15, b);
		break;
	}
}

static inline void try_put_delimiter(struct try_bytes *b, const struct try_msg *m)
{
	try_puts(b, "--");
	try_puts(b, try_or(m->boundary, TRY_BOUNDARY));
}

/* The whole body into b, which must be empty. */
static inline void try_build(struct try_bytes *b, const struct try_msg *m)
{
	struct try_bytes plain;
	size_t length;

	try_bytes_init(&plain);
	length = try_put_status(&plain, m);
	try_puts(b, try_or(m->preamble, ""));
	try_put_delimiter(b, m);
	try_puts(b, try_or(m->head[0], "\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n"));
	try_put_envelope(b, m, length);
	try_puts(b, "\r\n");
	try_put_delimiter(b, m);
	try_puts(b, try_or(m->head[1], "\r\ncontent-type: application/octet-stream\r\n\r\n"));
	try_put_packed(b, m, try_slice(&plain));
	try_put(b, m->junk);
	try_puts(b, "\r\n");
	try_put_delimiter(b, m);
	try_puts(b, try_or(m->epilogue, "--"));
	try_bytes_fini(&plain);
}

/* What the configuration says when nothing is configured. */
static inline struct status_filter_conf try_conf(void)
{
	return (struct status_filter_conf){
		.paths = "/ccm_system/request",
		.endpoints = "StatusReceiver",
		.types = TRY_TYPE,
		.message_ids = "10907",
		.rule_properties = "Attribute407,RuleID,MeterRuleID",
		.match = STATUS_EITHER,
		.max_inspect = 65536,
		.max_inflated = 262144,
	};
}

static inline struct status_filter try_filter(void)
{
	struct status_filter_conf conf = try_conf();
	struct status_filter f;

	assert_int_equal(status_filter_init(&f, &conf), 0);
	return f;
}

static inline struct http_head try_head(const struct status_filter *f, const char *content_type,
					size_t length)
{
	return (struct http_head){
		.method = SLICE("CCM_POST"),
		.path = f->paths.n > 0 ? f->paths.v[0] : SLICE("/"),
		.framing = FRAMING_LENGTH,
		.length = length,
		.content_type = slice_str(content_type),
	};
}

/* inspect() of these bytes, with scratch bytes of room; try_done() afterwards. */
static inline void try_ask_within(struct try_run *r, const struct status_filter *f,
				  const char *content_type, struct slice body, size_t scratch)
{
	struct http_head head = try_head(f, content_type, body.n);

	*r = (struct try_run){.body = try_exact(body)};
	memset(&r->v, 0xa5, sizeof(r->v)); /* it is the filter's to fill */
	assert_int_equal(arena_init(&r->scratch, scratch), 0);
	status_filter_ops.inspect(f, &head, slice_make(r->body, body.n), &r->scratch, &r->v);
	assert_true((r->v.action == FILTER_ABSORB) == (r->v.doubt == DOUBT_NONE));
}

static inline void try_ask(struct try_run *r, const struct status_filter *f,
			   const char *content_type, struct slice body)
{
	try_ask_within(r, f, content_type, body, status_filter_scratch(f));
}

static inline void try_done(struct try_run *r)
{
	arena_fini(&r->scratch);
	free(r->body);
	r->body = NULL;
}

/* Build m and ask f about it. */
static inline void try_message(struct try_run *r, const struct status_filter *f,
			       const struct try_msg *m)
{
	struct try_bytes b;

	try_bytes_init(&b);
	try_build(&b, m);
	try_ask(r, f, try_or(m->content_type, TRY_MULTIPART), try_slice(&b));
	try_bytes_fini(&b);
}

/* A wide text narrowed, in a block of exactly the room it may need. */
struct try_narrow {
	struct arena scratch;
	struct slice text;
};

/* False: refused. try_narrow_done() either way. */
static inline bool try_narrow(struct try_narrow *t, struct slice wide)
{
	char *bytes = try_exact(wide);
	int rc;

	assert_int_equal(arena_init(&t->scratch, UTF16_ROOM(wide.n)), 0);
	rc = utf16_narrow(slice_make(bytes, wide.n), &t->scratch, &t->text);
	assert_true(rc == 0 || rc == -EILSEQ);
	free(bytes);
	return rc == 0;
}

static inline void try_narrow_done(struct try_narrow *t)
{
	arena_fini(&t->scratch);
}

static inline void try_expect_text(struct slice got, const char *want, const char *of)
{
	if (!slice_eq(got, slice_str(want)))
		fail_msg("%s: \"%.*s\" where \"%s\" was wanted", of, SLICE_ARG(got), want);
}

static inline void try_expect_doubt(enum doubt got, enum doubt want, const char *of)
{
	if (got != want)
		fail_msg("%s: %s where %s was wanted", of, doubt_table[got].word,
			 doubt_table[want].word);
}

#endif
