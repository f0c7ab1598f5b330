/*
 * A whole message through the status filter. Whatever it is, the answer is the same
 * twice; and it is ABSORB only where a second reading (a split of its own, zlib, expat)
 * finds the same client, rule and message, and nothing that forbids it.
 */
#include "proxy/base/strbuf.h"
#include "tests/fuzz/fuzz_oracle.h"
#include "tests/fuzz/fuzz_zlib.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * An input is a first byte, then either a Content-Type line and a body (WHOLE), or an
 * envelope, RECORD and a payload, from which the body is made; LENGTH in the envelope
 * becomes the payload's length.
 */
enum option {
	WHOLE = 1,
	DEFLATED = 2,	/* the payload is compressed */
	TERMINATED = 4, /* a NUL that counts, and a line end that doesn't */
	MARKED = 8,	/* envelope and payload have byte order marks */
};
#define RECORD 0x1e
#define LENGTH 0x1d

#define BODY_MAX (1u << 18)

static struct tree tree;
static char inflated[FUZZ_INFLATED];

/* The parameter outside of quotes; it is there. */
static struct slice second_boundary(struct slice type)
{
	static const struct slice name = {"boundary=", 9};
	bool is_quoted = false;

	for (size_t i = 1; i + name.n < type.n; i++) {
		struct slice rest = slice_drop(type, i);

		is_quoted ^= type.p[i] == '"';
		if (is_quoted || strchr("; \t", type.p[i - 1]) == NULL ||
		    !slice_istarts(rest, name))
			continue;
		rest = slice_drop(rest, name.n);
		if (rest.p[0] != '"')
			return slice_trim(fuzz_cut(&rest, ';'));
		rest = slice_drop(rest, 1);
		return fuzz_cut(&rest, '"');
	}
	UNREACHABLE("no boundary");
}

/* The two parts, found in another way than multipart.c does. */
static void second_split(struct slice type, struct slice body, struct slice parts[2])
{
	struct slice b = second_boundary(type);
	char line[128];
	int n;

	n = snprintf(line, sizeof(line), "\r\n--%.*s", SLICE_ARG(b));
	CHECK(n > 0 && (size_t)n < sizeof(line));
	for (unsigned i = 0; i < 2; i++) {
		const char *head = memmem(body.p, body.n, "\r\n\r\n", 4), *end;

		CHECK(head != NULL);
		/* No header fields: the empty line is the delimiter's own. */
		body = slice_drop(body, (size_t)(head - body.p) + 4);
		end = memmem(body.p, body.n, line, (size_t)n);
		CHECK(end != NULL);
		parts[i] = slice_make(body.p, (size_t)(end - body.p));
		body = slice_drop(body, parts[i].n + (size_t)n);
	}
	CHECK(slice_eq(body, SLICE("--")) || slice_eq(body, SLICE("--\r\n")));
}

static bool is_markup(struct slice s)
{
	s = fuzz_unmarked(s);
	return s.n >= 2 && memcmp(s.p, "<", 2) == 0;
}

static struct slice second_payload(enum payload_hook hook, struct slice part)
{
	static const int forms[] = {ZLIB_FORM, GZIP_FORM, RAW_FORM};
	size_t n;

	if (hook == HOOK_NONE || (hook == HOOK_FIRST_GENERATION && is_markup(part)))
		return part;
	for (unsigned i = 0; i < 3; i++) {
		if (zlib_inflate(part, forms[i], inflated, sizeof(inflated), &n) == Z_STREAM_END)
			return slice_make(inflated, n);
		CHECK(hook == HOOK_FIRST_GENERATION);
	}
	UNREACHABLE("zlib takes none of it");
}

/* What Length says, and behind it nothing but an end of the text. */
static struct slice second_text(struct slice payload, const struct envelope *e)
{
	struct slice text = slice_make(payload.p, e->length), tail;

	CHECK(e->offset == 0 && e->length > 0 && e->length <= payload.n);
	tail = slice_drop(payload, text.n);
	for (size_t i = 0; i < tail.n; i++)
		CHECK(strchr("\r\n", tail.p[i]) != NULL); /* or NUL */
	while (text.n >= 2 && text.p[text.n - 1] == '\0' &&
	       memchr("\0\r\n ", text.p[text.n - 2], 4) != NULL)
		text.n -= 2;
	return text;
}

static void check_identity(struct slice ours, struct slice theirs)
{
	CHECK(ours.n > 0 && ours.n <= FINDING_MAX_TEXT);
	for (size_t i = 0; i < ours.n; i++)
		CHECK(ours.p[i] > 0x20 && ours.p[i] < 0x7f);
	if (theirs.n > 0)
		CHECK(slice_ieq(ours, theirs));
}

/* The client's name wherever it may come from, in that order. */
static void check_client(const struct envelope *e, const struct status *s,
			 const struct finding *finding)
{
	const struct slice from[] = {e->source_id, s->client, e->source_host};

	for (unsigned i = 0; i < 3; i++)
		if (from[i].n > 0) {
			check_identity(finding->client, from[i]);
			return;
		}
	UNREACHABLE("a client without a name");
}

static void check_absorbed(struct slice type, struct slice body, const struct verdict *v)
{
	static struct arena room;
	struct slice parts[2], text;
	struct envelope e;
	struct status s;

	if (room.base == NULL)
		CHECK(arena_init(&room, status_filter_scratch(fuzz_filter())) == 0);
	arena_reset(&room);
	second_split(type, body, parts);
	/* What the readers say is held against expat; then it may be used. */
	CHECK(envelope_read(fuzz_filter(), parts[0], &room, &e) == DOUBT_NONE);
	oracle_check_envelope(&tree, fuzz_unmarked(parts[0]), &e);
	text = second_text(second_payload(e.hook, parts[1]), &e);
	CHECK(status_read(fuzz_filter(), text, &room, &s) == DOUBT_NONE);
	oracle_check_status(&tree, fuzz_unmarked(text), &s);
	CHECK(slice_ieq(v->endpoint, SLICE("StatusReceiver")));
	check_client(&e, &s, &v->finding);
	check_identity(v->finding.rule, s.rule);
	CHECK(slice_eq(v->finding.rule, s.rule));
	check_identity(v->finding.message, e.id);
	CHECK(e.id.n > 0 || (v->finding.message.n == 33 && v->finding.message.p[0] == '#'));
	CHECK(slice_eq(v->reply.envelope_id, e.id));
	CHECK(slice_eq(v->reply.schema_version, e.schema_version));
	CHECK(slice_eq(v->reply.reply_compression, e.reply_compression));
}

static void ask(struct slice type, struct slice body)
{
	struct http_head head = {
		.method = SLICE("CCM_POST"),
		.path = SLICE("/CCM_System/request"),
		.framing = FRAMING_LENGTH,
		.length = body.n,
		.content_type = type,
	};
	const struct filter *f = &status_filter_ops;
	struct verdict v = {0};
	enum doubt first;

	f->inspect(fuzz_filter(), &head, body, fuzz_scratch(), &v);
	first = v.doubt;
	f->inspect(fuzz_filter(), &head, body, fuzz_scratch(), &v);
	CHECK(v.doubt == first && first < DOUBT_COUNT);
	CHECK((v.action == FILTER_ABSORB) == (first == DOUBT_NONE));
	if (f->interest(fuzz_filter(), &head) == DOUBT_NONE)
		CHECK(first != DOUBT_NOT_MULTIPART);
	else
		CHECK(first == DOUBT_NOT_MULTIPART || body.n > fuzz_filter()->max_inspect);
	if (v.action == FILTER_ABSORB)
		check_absorbed(type, body, &v);
}

static void put_payload(struct strbuf *out, struct slice text, unsigned options, size_t *length)
{
	static char packed[BODY_MAX];
	struct slice wide = fuzz_wide(text, options & MARKED ? FUZZ_MARK : 0), whole;
	struct strbuf plain;

	strbuf_init(&plain, BODY_MAX);
	strbuf_put(&plain, wide);
	if (options & TERMINATED)
		strbuf_put(&plain, slice_make("\0\0\r\n", 4));
	*length = wide.n + (options & TERMINATED ? 2 : 0);
	whole = strbuf_slice(&plain);
	if (options & DEFLATED)
		whole = slice_make(packed, zlib_deflate(whole, ZLIB_FORM, 6, Z_DEFAULT_STRATEGY,
							packed, sizeof(packed)));
	strbuf_put(out, whole);
	strbuf_fini(&plain);
	fuzz_free(wide);
}

static void put_envelope(struct strbuf *out, struct slice text, unsigned options, size_t length)
{
	bool has_length = text.n > 0 && memchr(text.p, LENGTH, text.n) != NULL;
	struct slice before = fuzz_cut(&text, LENGTH), wide;
	struct strbuf whole;

	strbuf_init(&whole, BODY_MAX);
	strbuf_put(&whole, before);
	if (has_length)
		strbuf_put_u64(&whole, length);
	strbuf_put(&whole, text);
	wide = fuzz_wide(strbuf_slice(&whole), options & MARKED ? FUZZ_MARK : 0);
	strbuf_put(out, wide);
	fuzz_free(wide);
	strbuf_fini(&whole);
}

static void ask_made(struct slice envelope, struct slice payload, unsigned options)
{
	struct strbuf body, packed;
	struct slice exact;
	size_t length;

	strbuf_init(&body, BODY_MAX);
	strbuf_init(&packed, BODY_MAX);
	put_payload(&packed, payload, options, &length);
	strbuf_put_str(&body, "--b\r\ncontent-type: text/plain; charset=UTF-16\r\n\r\n");
	put_envelope(&body, envelope, options, length);
	strbuf_put_str(&body, "\r\n--b\r\ncontent-type: application/octet-stream\r\n\r\n");
	strbuf_put(&body, strbuf_slice(&packed));
	strbuf_put_str(&body, "\r\n--b--");
	CHECK(strbuf_ok(&body) && strbuf_ok(&packed));
	exact = slice_make(fuzz_exact(strbuf_slice(&body)), body.n);
	ask(SLICE("multipart/mixed; boundary=b"), exact);
	fuzz_free(exact);
	strbuf_fini(&packed);
	strbuf_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size), first;
	unsigned options = fuzz_options(&in);

	first = fuzz_cut(&in, options & WHOLE ? '\n' : RECORD);
	if (options & WHOLE) {
		struct slice type = slice_make(fuzz_exact(first), first.n);
		struct slice body = slice_make(fuzz_exact(in), in.n);

		ask(type, body);
		fuzz_free(body);
		fuzz_free(type);
	} else {
		ask_made(first, in, options);
	}
	return 0;
}
