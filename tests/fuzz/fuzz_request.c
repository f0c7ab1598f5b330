/*
 * Any bytes as a request head: the same outcome in whatever pieces, and a head that
 * is taken is one for llhttp too, with the same framing; what we write from it, we
 * read back as the same message.
 */
#include "tests/fuzz/fuzz_http.h"

#include "proxy/http/emit.h"

#include "tests/fuzz/fuzz_llhttp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_rc read_in_pieces(const char *buf, size_t n, size_t step,
				   const struct http_limits *lim, struct http_reader *r,
				   struct http_head *head)
{
	enum http_rc rc;
	size_t have = 0;

	memset(r, 0, sizeof(*r));
	do {
		have = n - have > step ? have + step : n;
		rc = http_read_request(r, buf, have, lim, head);
	} while (rc == HTTP_MORE && have < n);
	return rc;
}

static int note_framing(llhttp_t *parser)
{
	*(llhttp_t *)parser->data = *parser;
	return -1;
}

/* llhttp 8.1 takes a tab behind a length or a coding for part of it. */
static bool has_tab_behind(const struct field *f)
{
	const char *p = f == NULL ? "" : f->value.p + f->value.n;

	while (*p == ' ')
		p++;
	return *p == '\t';
}

/* All that follows the start line, as it came: nothing of shadow.c is used here. */
static void check_with_llhttp(const struct http_head *head, const char *buf)
{
	static const char start[] = "POST / HTTP/1.1\r\n";
	const char *p = memchr(head->target.p, '\n', head->head_bytes);
	llhttp_settings_t settings;
	llhttp_t parser, seen;

	CHECK(p != NULL);
	p++;
	memset(&seen, 0, sizeof(seen));
	llhttp_settings_init(&settings);
	settings.on_headers_complete = note_framing;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &seen;
	CHECK(llhttp_execute(&parser, start, sizeof(start) - 1) == HPE_OK);
	CHECK(llhttp_execute(&parser, p, (size_t)(buf + head->head_bytes - p)) ==
	      HPE_CB_HEADERS_COMPLETE);
	CHECK(llhttp_get_error_pos(&parser) == buf + head->head_bytes);
	CHECK(!(seen.flags & F_CHUNKED) == (head->framing != FRAMING_CHUNKED));
	CHECK(seen.content_length == (head->framing == FRAMING_LENGTH ? head->length : 0));
}

static void check_emitted(const struct http_head *head)
{
	static const struct emit_request how = {
		.default_host = {"d", 1}, .pseudonym = {"weir", 4}, .max_forwards = -1};
	static const struct http_limits wide = {.request_line = 4096,
						.field_line = 4096,
						.head = 65536,
						.method = 64,
						.fields = 100,
						.pseudonym = {"weir", 4}};
	struct http_reader r = {0};
	struct http_head again;
	struct strbuf out;

	strbuf_init(&out, 65536);
	emit_request_head(&out, head, &how);
	CHECK(strbuf_ok(&out));
	CHECK(http_read_request(&r, out.p, out.n, &wide, &again) == HTTP_HEAD);
	CHECK(again.head_bytes == out.n && again.minor == 1 && again.keep_alive);
	CHECK(again.framing == head->framing);
	CHECK(head->framing != FRAMING_LENGTH || again.length == head->length);
	CHECK(slice_eq(again.method, head->method) && slice_eq(again.path, head->path));
	CHECK(slice_eq(again.query, head->query));
	CHECK(again.via_count == head->via_count + 1);
	CHECK(!again.has_upgrade && again.has_bound_auth == head->has_bound_auth);
	strbuf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head whole, pieces;
	struct slice in = slice_make((const char *)data, size);
	struct http_reader r, again;
	enum http_rc rc;
	size_t step = 1;
	char *buf;

	/* The first byte says how big the pieces are. */
	if (in.n > 0) {
		step += (unsigned char)in.p[0] % 16;
		in = slice_drop(in, 1);
	}
	buf = fuzz_copy(in);
	rc = read_in_pieces(buf, in.n, in.n + 1, &fuzz_limits, &r, &whole);
	CHECK((rc == HTTP_BAD) == (r.reason != REASON_NONE));
	CHECK(rc != HTTP_BAD || reason_table[r.reason].status >= 400);
	CHECK(r.reason != REASON_DISAGREE);
	CHECK(rc == read_in_pieces(buf, in.n, step, &fuzz_limits, &again, &pieces));
	CHECK(r.reason == again.reason);
	if (rc == HTTP_HEAD) {
		CHECK(whole.head_bytes <= in.n && whole.n_fields <= fuzz_limits.fields);
		fuzz_check_same_head(&whole, &pieces);
		if (!has_tab_behind(head_find(&whole, FIELD_CONTENT_LENGTH)) &&
		    !has_tab_behind(head_find(&whole, FIELD_TRANSFER_ENCODING)))
			check_with_llhttp(&whole, buf);
		check_emitted(&whole);
	}
	free(buf);
	return 0;
}
