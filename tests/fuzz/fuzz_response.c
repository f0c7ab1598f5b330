/*
 * Any bytes as a response head: the same outcome in whatever pieces, faults that are
 * the upstream's, llhttp agreeing, and a form towards the client that reads back.
 */
#include "tests/fuzz/fuzz_http.h"

#include "proxy/http/emit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_rc read_in_pieces(struct slice in, size_t step, bool is_head,
				   struct http_reader *r, struct http_head *head)
{
	enum http_rc rc;
	size_t have = 0;

	memset(r, 0, sizeof(*r));
	do {
		have = in.n - have > step ? have + step : in.n;
		rc = http_read_response(r, in.p, have, is_head, &fuzz_limits, head);
	} while (rc == HTTP_MORE && have < in.n);
	return rc;
}

static void check_emitted(const struct http_head *head, bool is_head, uint8_t minor)
{
	static const struct http_limits wide = {
		.request_line = 4096, .field_line = 4096, .head = 65536, .fields = 100};
	const struct emit_response how = {
		.minor = minor, .keep_alive = true, .is_head = is_head, .date = "now"};
	struct http_reader r = {0};
	struct http_head again;
	enum framing framing;
	struct strbuf out;

	strbuf_init(&out, 65536);
	framing = emit_response_head(&out, head, &how);
	CHECK(strbuf_ok(&out));
	CHECK(http_read_response(&r, out.p, out.n, is_head, &wide, &again) == HTTP_HEAD);
	CHECK(again.head_bytes == out.n && again.status == head->status);
	CHECK(again.framing == framing && slice_eq(again.reason, head->reason));
	CHECK(framing != FRAMING_LENGTH || again.length == head->length);
	CHECK(framing != FRAMING_CHUNKED || minor != 0);
	CHECK(again.keep_alive == (framing != FRAMING_CLOSE));
	CHECK(again.has_date || again.status < 200);
	strbuf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head whole, pieces;
	struct slice in = slice_make((const char *)data, size), copy;
	struct http_reader r, again;
	bool is_head = false;
	enum http_rc rc;
	size_t step = 1;
	char *buf;

	/* The first byte says what was asked for, and how big the pieces are. */
	if (in.n > 0) {
		is_head = (in.p[0] & 0x40) != 0;
		step += (unsigned char)in.p[0] % 16;
		in = slice_drop(in, 1);
	}
	buf = fuzz_copy(in);
	copy = slice_make(buf, in.n);
	rc = read_in_pieces(copy, in.n + 1, is_head, &r, &whole);
	CHECK((rc == HTTP_BAD) == (r.reason != REASON_NONE));
	CHECK(rc != HTTP_BAD || reason_table[r.reason].status == 502);
	CHECK(rc == read_in_pieces(copy, step, is_head, &again, &pieces));
	CHECK(r.reason == again.reason);
	if (rc == HTTP_HEAD) {
		fuzz_check_same_head(&whole, &pieces);
		check_emitted(&whole, is_head, (uint8_t)(step % 2));
	}
	free(buf);
	return 0;
}
