#include "proxy/core/ack_template.h"

#include "proxy/base/log.h"
#include "proxy/http/chars.h"
#include "proxy/http/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define GUID_BYTES 36
#define TEXT_CAP   (2 * ACK_MAX_HEAD + ACK_MAX_BODY + 1024)

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

/* The 36 characters of a GUID, with or without braces; p NULL if it is none. */
static struct slice guid_of(struct slice id)
{
	if (id.n == GUID_BYTES + 2 && id.p[0] == '{' && id.p[id.n - 1] == '}')
		id = slice_make(id.p + 1, GUID_BYTES);
	if (id.n != GUID_BYTES)
		return slice_make(NULL, 0);
	for (size_t i = 0; i < GUID_BYTES; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? id.p[i] != '-' : !char_is(id.p[i], CHAR_HEX))
			return slice_make(NULL, 0);
	}
	return id;
}

/* Does body hold id (any case) from at on, each character followed by a 0 if is_wide? */
static bool stands_at(struct slice body, size_t at, struct slice id, bool is_wide)
{
	size_t step = is_wide ? 2 : 1;

	if (body.n - at < id.n * step)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		if (slice_lower(body.p[at + i * step]) != slice_lower(id.p[i]))
			return false;
		if (is_wide && body.p[at + i * step + 1] != '\0')
			return false;
	}
	return true;
}

static uint8_t cases_of(const char *p, struct slice id, bool is_wide)
{
	size_t step = is_wide ? 2 : 1;
	unsigned cases = ACK_CASE_SAME | ACK_CASE_UPPER | ACK_CASE_LOWER;

	for (size_t i = 0; i < id.n; i++) {
		char c = p[i * step];

		if (c != id.p[i])
			cases &= ~(unsigned)ACK_CASE_SAME;
		if (c != upper(id.p[i]))
			cases &= ~(unsigned)ACK_CASE_UPPER;
		if (c != slice_lower(id.p[i]))
			cases &= ~(unsigned)ACK_CASE_LOWER;
	}
	return (uint8_t)cases;
}

static bool stands_anywhere(struct slice body, struct slice id)
{
	for (size_t at = 0; at < body.n; at++)
		if (stands_at(body, at, id, false) || stands_at(body, at, id, true))
			return true;
	return false;
}

/* Append body to text without the occurrences of guid, which are noted in t. */
static int mask(struct ack_template *t, struct strbuf *text, struct slice body, struct slice guid)
{
	size_t start = text->n, from = 0, at = 0;

	while (at < body.n) {
		bool is_wide = stands_at(body, at, guid, true);
		uint8_t cases = 0;

		if (is_wide || stands_at(body, at, guid, false))
			cases = cases_of(body.p + at, guid, is_wide);
		if (cases == 0) {
			at++;
			continue;
		}
		if (t->n_ids == ACK_MAX_IDS)
			return -EINVAL;
		strbuf_put(text, slice_make(body.p + from, at - from));
		t->ids[t->n_ids++] = (struct ack_id){(uint16_t)(text->n - start), is_wide, cases};
		at += GUID_BYTES * (is_wide ? 2u : 1u);
		from = at;
	}
	strbuf_put(text, slice_drop(body, from));
	return 0;
}

/* Ours, or that of the proxies between: not what the management point says. */
static bool is_passing(const struct field *f)
{
	return f->is_dropped || f->id == FIELD_VIA || f->id == FIELD_CONTENT_LENGTH ||
	       name_is_hop_by_hop((enum field_id)f->id);
}

static const char *why_unusable(const struct http_head *reply, struct slice body)
{
	unsigned n_dates = 0;

	if (reply->status != 200)
		return "its status is not 200";
	if (body.n == 0)
		return "its body is empty, which is a refusal";
	if (body.n > ACK_MAX_BODY)
		return "its body is too long";
	for (unsigned i = 0; i < reply->n_fields; i++) {
		const struct field *f = &reply->fields[i];

		if (f->id == FIELD_WWW_AUTHENTICATE)
			return "it asks for a logon (WWW-Authenticate)";
		if (f->id == FIELD_CONTENT_ENCODING)
			return "its body is encoded (Content-Encoding)";
		if (slice_ieq(f->name, SLICE("Set-Cookie")))
			return "it sets a cookie (Set-Cookie)";
		n_dates += f->id == FIELD_DATE;
	}
	return n_dates > 1 ? "it has more than one Date" : NULL;
}

static void put_field(struct strbuf *out, const struct field *f)
{
	strbuf_put(out, f->name);
	strbuf_put(out, SLICE(": "));
	strbuf_put(out, f->value);
	strbuf_put(out, SLICE("\r\n"));
}

/* Offsets first: the text moves while it grows. */
struct layout {
	size_t tail, fields, server, server_bytes, body;
};

static void put_head(struct ack_template *t, struct strbuf *text, const struct http_head *reply,
		     size_t body_bytes, struct layout *at)
{
	strbuf_put_str(text, "HTTP/1.1 200 ");
	strbuf_put(text, reply->reason);
	strbuf_put_str(text, "\r\n");
	for (unsigned i = 0; i < reply->n_fields; i++) {
		const struct field *f = &reply->fields[i];

		if (f->id != FIELD_DATE) {
			if (!is_passing(f))
				put_field(text, f);
			continue;
		}
		strbuf_put(text, f->name);
		strbuf_put(text, SLICE(": "));
		t->has_date = true;
		at->tail = text->n;
		strbuf_put(text, SLICE("\r\n"));
	}
	if (!t->has_date)
		at->tail = text->n;
	strbuf_put_str(text, "Content-Length: ");
	strbuf_put_u64(text, body_bytes);
	strbuf_put_str(text, "\r\n");
}

static void put_compared(struct strbuf *text, const struct http_head *reply, struct layout *at)
{
	at->fields = text->n;
	for (unsigned i = 0; i < reply->n_fields; i++) {
		const struct field *f = &reply->fields[i];

		if (f->id == FIELD_DATE || is_passing(f))
			continue;
		if (f->id == FIELD_SERVER) {
			at->server = text->n + f->name.n + 2;
			at->server_bytes = f->value.n;
		}
		put_field(text, f);
	}
	at->body = text->n;
}

static int fill(struct ack_template *t, struct strbuf *text, const struct http_head *reply,
		struct slice body, struct slice guid)
{
	struct layout at = {0};

	put_head(t, text, reply, body.n, &at);
	if (!strbuf_ok(text) || text->n > ACK_MAX_HEAD)
		return -EINVAL;
	put_compared(text, reply, &at);
	if (guid.p == NULL)
		strbuf_put(text, body);
	else if (mask(t, text, body, guid) < 0)
		return -EINVAL;
	if (!strbuf_ok(text))
		return -ENOMEM;
	t->text = text->p;
	t->head = slice_make(t->text, at.tail);
	t->tail = slice_make(t->text + at.tail, at.fields - at.tail);
	t->fields = slice_make(t->text + at.fields, at.body - at.fields);
	t->server = slice_make(t->text + at.server, at.server_bytes);
	t->body = slice_make(t->text + at.body, text->n - at.body);
	return 0;
}

int ack_template_new(struct ack_template **out, const struct http_head *reply, struct slice body,
		     struct slice envelope_id, char what[ACK_WHAT])
{
	const char *why = why_unusable(reply, body);
	struct slice guid = guid_of(envelope_id);
	struct ack_template *t;
	struct strbuf text;
	int rc;

	*out = NULL;
	if (why != NULL) {
		snprintf(what, ACK_WHAT, "%s (status=%u bytes=%zu)", why, reply->status, body.n);
		return -EINVAL;
	}
	/* A client may call its message "NoReply": nothing of that kind may be masked. */
	if (guid.p == NULL && envelope_id.n > 0 && stands_anywhere(body, envelope_id)) {
		snprintf(what, ACK_WHAT, "it repeats a message ID that is not a GUID");
		return -EAGAIN;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	strbuf_init(&text, TEXT_CAP);
	rc = fill(t, &text, reply, body, guid);
	if (rc == 0) {
		*out = t;
		return 0;
	}
	snprintf(what, ACK_WHAT, "its header section is too long, or it repeats the ID too often");
	strbuf_fini(&text);
	free(t);
	return rc;
}

void ack_template_free(struct ack_template *t)
{
	if (t == NULL)
		return;
	free(t->text);
	free(t);
}

/* Cut the next line off, with its line end. */
static struct slice next_line(struct slice *rest)
{
	const char *lf = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
	struct slice line = slice_make(rest->p, lf != NULL ? (size_t)(lf + 1 - rest->p) : 0);

	*rest = slice_drop(*rest, line.n);
	return line;
}

static void name_field(struct slice a, struct slice b, char what[ACK_WHAT])
{
	struct slice x = next_line(&a), y = next_line(&b);
	char name[80];
	const char *colon;

	while (x.n > 0 && slice_eq(x, y)) {
		x = next_line(&a);
		y = next_line(&b);
	}
	if (x.n == 0)
		x = y;
	colon = x.n > 0 ? memchr(x.p, ':', x.n) : NULL;
	x.n = colon != NULL ? (size_t)(colon - x.p) : 0;
	snprintf(what, ACK_WHAT, "the field %s", log_escape(x, name, sizeof(name)));
}

static void name_byte(struct slice a, struct slice b, char what[ACK_WHAT])
{
	size_t i = 0;

	while (i < a.n && i < b.n && a.p[i] == b.p[i])
		i++;
	snprintf(what, ACK_WHAT, "the body from byte %zu on (%zu and %zu bytes, without IDs)", i,
		 a.n, b.n);
}

bool ack_template_is_same(const struct ack_template *a, const struct ack_template *b,
			  char what[ACK_WHAT])
{
	if (!slice_eq(a->fields, b->fields)) {
		name_field(a->fields, b->fields, what);
		return false;
	}
	if (!slice_eq(a->body, b->body)) {
		name_byte(a->body, b->body, what);
		return false;
	}
	for (unsigned i = 0; i < a->n_ids && i < b->n_ids; i++) {
		const struct ack_id *x = &a->ids[i], *y = &b->ids[i];

		if (x->at == y->at && x->is_wide == y->is_wide && (x->cases & y->cases) != 0)
			continue;
		snprintf(what, ACK_WHAT, "how the body repeats the ID, occurrence %u", i + 1);
		return false;
	}
	if (a->n_ids != b->n_ids) {
		snprintf(what, ACK_WHAT, "how often the body repeats the ID (%u and %u times)",
			 a->n_ids, b->n_ids);
		return false;
	}
	return true;
}

void ack_template_narrow(struct ack_template *t, const struct ack_template *b)
{
	for (unsigned i = 0; i < t->n_ids; i++)
		t->ids[i].cases &= b->ids[i].cases;
}

static void put_id(struct strbuf *out, const struct ack_id *id, struct slice guid)
{
	size_t step = id->is_wide ? 2 : 1;
	char text[GUID_BYTES * 2] = {0};

	for (size_t i = 0; i < GUID_BYTES; i++) {
		char c = guid.p[i];

		if (!(id->cases & ACK_CASE_SAME))
			c = id->cases & ACK_CASE_UPPER ? upper(c) : slice_lower(c);
		text[i * step] = c;
	}
	strbuf_put(out, slice_make(text, GUID_BYTES * step));
}

void ack_write(const struct ack_template *t, struct slice envelope_id, uint8_t minor,
	       bool keep_alive, const char *date, struct strbuf *out)
{
	struct slice guid = t->n_ids > 0 ? guid_of(envelope_id) : envelope_id;
	size_t from = 0;

	if (t->n_ids > 0 && guid.p == NULL) {
		/* What would the management point answer? Not known: no answer from us. */
		out->has_failed = true;
		return;
	}
	strbuf_put(out, t->head);
	if (t->has_date)
		strbuf_put(out, slice_make(date, strlen(date)));
	strbuf_put(out, t->tail);
	if (!keep_alive)
		strbuf_put(out, SLICE("Connection: close\r\n"));
	else if (minor == 0)
		strbuf_put(out, SLICE("Connection: keep-alive\r\n"));
	strbuf_put(out, SLICE("\r\n"));
	for (unsigned i = 0; i < t->n_ids; i++) {
		strbuf_put(out, slice_make(t->body.p + from, t->ids[i].at - from));
		put_id(out, &t->ids[i], guid);
		from = t->ids[i].at;
	}
	strbuf_put(out, slice_drop(t->body, from));
}
