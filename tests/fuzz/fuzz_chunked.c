/*
 * Any bytes as a chunked body: the same data in whatever pieces; what we take, llhttp
 * takes as the same data with the same end.
 */
#include "tests/fuzz/fuzz_http.h"

#include "proxy/base/strbuf.h"
#include "proxy/http/body.h"

#include "tests/fuzz/fuzz_llhttp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum body_rc rc;
	enum reason reason;
	size_t used;
	struct strbuf data;
};

static void decode(struct slice in, size_t step, struct outcome *o)
{
	static const struct http_body_limits limits = {.chunk_ext = 32, .trailers = 32, .body = 64};
	static const struct http_head head = {.framing = FRAMING_CHUNKED};
	struct http_body b;

	http_body_init(&b, &head);
	o->used = 0;
	strbuf_init(&o->data, 65536);
	do {
		size_t n = in.n - o->used > step ? step : in.n - o->used, used;
		char *piece = fuzz_copy(slice_make(in.p + o->used, n));
		struct slice data;

		o->rc = http_body_next(&b, &limits, slice_make(piece, n), &used, &data);
		CHECK(used <= n && (o->rc != BODY_MORE || used == n));
		if (o->rc == BODY_DATA) {
			CHECK(data.n > 0 && data.p >= piece && data.p + data.n == piece + used);
			strbuf_put(&o->data, data);
		}
		o->used += used;
		free(piece);
	} while (o->rc == BODY_DATA || (o->rc == BODY_MORE && o->used < in.n));
	o->reason = b.reason;
	CHECK(b.total == o->data.n && b.total <= limits.body);
	CHECK((o->rc == BODY_BAD) == (o->reason != REASON_NONE));
}

static int take_data(llhttp_t *parser, const char *p, size_t n)
{
	strbuf_put((struct strbuf *)parser->data, slice_make(p, n));
	return 0;
}

static int stop_there(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

/*
 * What RFC 9112 7.1.1 allows in chunk extensions and llhttp 8.1 doesn't: a quoted-pair,
 * and a further extension behind a value that is a token.
 */
static bool is_known_refusal(enum llhttp_errno rc, const char *at)
{
	return (rc == HPE_STRICT && at[-1] == '\\') ||
	       (rc == HPE_INVALID_CHUNK_SIZE && at[-1] == ';');
}

static void check_with_llhttp(struct slice in, const struct outcome *ours)
{
	static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
	llhttp_settings_t settings;
	enum llhttp_errno rc;
	struct strbuf data;
	llhttp_t parser;

	strbuf_init(&data, 65536);
	llhttp_settings_init(&settings);
	settings.on_body = take_data;
	settings.on_message_complete = stop_there;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &data;
	CHECK(llhttp_execute(&parser, head, sizeof(head) - 1) == HPE_OK);
	rc = llhttp_execute(&parser, in.p, in.n);
	if (is_known_refusal(rc, llhttp_get_error_pos(&parser))) {
		strbuf_fini(&data);
		return;
	}
	if (ours->rc == BODY_END) {
		CHECK(rc == HPE_PAUSED);
		CHECK(llhttp_get_error_pos(&parser) == in.p + ours->used);
	} else {
		CHECK(ours->rc == BODY_BAD || rc == HPE_OK);
	}
	if (ours->rc != BODY_BAD)
		CHECK(slice_eq(strbuf_slice(&data), strbuf_slice(&ours->data)));
	strbuf_fini(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);
	struct outcome whole, pieces;
	size_t step = 1;

	/* The first byte says how big the pieces are. */
	if (in.n > 0) {
		step += (unsigned char)in.p[0] % 16;
		in = slice_drop(in, 1);
	}
	decode(in, in.n + 1, &whole);
	decode(in, step, &pieces);
	CHECK(whole.rc == pieces.rc && whole.reason == pieces.reason);
	CHECK(whole.used == pieces.used);
	CHECK(slice_eq(strbuf_slice(&whole.data), strbuf_slice(&pieces.data)));
	if (in.n > 0)
		check_with_llhttp(in, &whole);
	strbuf_fini(&whole.data);
	strbuf_fini(&pieces.data);
	return 0;
}
