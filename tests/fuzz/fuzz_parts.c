/*
 * A Content-Type on the first line, any bytes as the body behind it: two parts exactly
 * when the body can be put together again from them, and any two parts that are put
 * together are found again.
 */
#include "filters/multipart.h"

#include "proxy/base/strbuf.h"
#include "tests/fuzz/fuzz_filters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has(struct slice in, struct slice what)
{
	return in.n > 0 && memmem(in.p, in.n, what.p, what.n) != NULL;
}

static bool is_inside(struct slice s, struct slice whole)
{
	return s.p >= whole.p && s.n <= whole.n && s.p + s.n <= whole.p + whole.n;
}

static void check_boundary(struct slice type, struct slice boundary)
{
	CHECK(is_inside(boundary, type) && slice_istarts(type, SLICE("multipart/mixed")));
	CHECK(boundary.n >= 1 && boundary.n <= MULTIPART_BOUNDARY);
	CHECK(boundary.p[-1] == '=' || (boundary.p[-1] == '"' && boundary.p[boundary.n] == '"'));
	for (size_t i = 0; i < boundary.n; i++)
		CHECK(boundary.p[i] >= 0x20 && boundary.p[i] < 0x7f && boundary.p[i] != '"');
}

/* CRLF, "--", boundary: what no part may hold. */
static void put_delimiter(struct strbuf *b, struct slice boundary)
{
	strbuf_put_str(b, "\r\n--");
	strbuf_put(b, boundary);
}

/* A head that was accepted: lines with a colon, then an empty one. */
static void check_head(struct slice head)
{
	CHECK(head.n >= 2 && head.n <= MULTIPART_HEAD);
	while (!slice_eq(head, SLICE("\r\n"))) {
		const char *end = memmem(head.p, head.n, "\r\n", 2);
		struct slice line;

		CHECK(end != NULL && end > head.p);
		line = slice_make(head.p, (size_t)(end - head.p));
		CHECK(has(line, SLICE(":")) && line.p[0] != ':' && line.p[0] > 0x20);
		CHECK(!has(line, SLICE("\n")) && !has(line, SLICE("\r")));
		head = slice_drop(head, line.n + 2);
	}
}

/* The body is nothing but the parts, their heads and the delimiters. */
static void check_split(struct slice body, struct slice boundary, const struct slice parts[2])
{
	struct strbuf delimiter;
	struct slice d, rest = body;

	strbuf_init(&delimiter, 256);
	put_delimiter(&delimiter, boundary);
	d = strbuf_slice(&delimiter);
	CHECK(rest.n >= d.n && memcmp(rest.p, d.p + 2, d.n - 2) == 0);
	rest = slice_drop(rest, d.n - 2);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(is_inside(parts[i], rest) && !has(parts[i], d));
		CHECK(rest.p[0] == '\r' && rest.p[1] == '\n');
		check_head(slice_make(rest.p + 2, (size_t)(parts[i].p - rest.p) - 2));
		rest = slice_drop(rest, (size_t)(parts[i].p - rest.p) + parts[i].n);
		CHECK(rest.n >= d.n && memcmp(rest.p, d.p, d.n) == 0);
		rest = slice_drop(rest, d.n);
	}
	CHECK(slice_eq(rest, SLICE("--")) || slice_eq(rest, SLICE("--\r\n")));
	strbuf_fini(&delimiter);
}

/* Put first and second together with this boundary: they are found, or it is clear why not. */
static void check_found_again(struct slice boundary, struct slice first, struct slice second)
{
	struct strbuf b, delimiter;
	struct slice parts[2], body;
	bool is_clean;

	strbuf_init(&b, 1u << 20);
	strbuf_init(&delimiter, 256);
	put_delimiter(&delimiter, boundary);
	is_clean = !has(first, strbuf_slice(&delimiter)) && !has(second, strbuf_slice(&delimiter));
	strbuf_put_str(&b, "--");
	strbuf_put(&b, boundary);
	strbuf_put_str(&b, "\r\ncontent-type: text/plain\r\nA:\r\n\r\n");
	strbuf_put(&b, first);
	put_delimiter(&b, boundary);
	strbuf_put_str(&b, "\r\n\r\n");
	strbuf_put(&b, second);
	put_delimiter(&b, boundary);
	strbuf_put_str(&b, "--");
	CHECK(strbuf_ok(&b));
	body = slice_make(fuzz_exact(strbuf_slice(&b)), b.n);
	if (is_clean) {
		CHECK(multipart_split(body, boundary, parts) == DOUBT_NONE);
		CHECK(slice_eq(parts[0], first) && slice_eq(parts[1], second));
	} else if (multipart_split(body, boundary, parts) == DOUBT_NONE) {
		check_split(body, boundary, parts);
	}
	fuzz_free(body);
	strbuf_fini(&delimiter);
	strbuf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size), boundary, parts[2];
	struct slice line = fuzz_cut(&in, '\n'), type, body;
	enum doubt doubt;

	type = slice_make(fuzz_exact(line), line.n);
	body = slice_make(fuzz_exact(in), in.n);
	if (multipart_boundary(type, &boundary)) {
		check_boundary(slice_trim(type), boundary);
		doubt = multipart_split(body, boundary, parts);
		CHECK(doubt == DOUBT_NONE || doubt == DOUBT_PARTS || doubt == DOUBT_PART_HEAD);
		if (doubt == DOUBT_NONE)
			check_split(body, boundary, parts);
		check_found_again(boundary, slice_make(body.p, body.n / 2),
				  slice_drop(body, body.n / 2));
	}
	fuzz_free(body);
	fuzz_free(type);
	return 0;
}
