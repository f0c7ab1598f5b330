#include "proxy/http/emit.h"

#include "proxy/http/emit_put.h"
#include "proxy/http/names.h"

#define CRLF SLICE("\r\n")

/* A field that goes no further, and why. The framing is not the field's: it is said anew. */
static void note_dropped(struct changes *changes, const struct field *f)
{
	enum field_id id = (enum field_id)f->id;
	enum change why = CHANGE_OPTION;

	if (changes == NULL || id == FIELD_TRANSFER_ENCODING)
		return;
	if (name_is_hop_by_hop(id))
		why = CHANGE_HOP_BY_HOP;
	else if (id == FIELD_EXPECT)
		why = CHANGE_EXPECT;
	else if (name_is_twin(f->name))
		why = CHANGE_TWIN;
	changes_note(changes, why, f->name);
}

static void note(struct changes *changes, enum change what)
{
	changes_note(changes, what, slice_make(NULL, 0));
}

static void put_line(struct strbuf *out, struct slice name, struct slice value)
{
	emit_put(out, name);
	emit_put(out, SLICE(": "));
	emit_put(out, value);
	emit_put(out, CRLF);
}

static void put_number_line(struct strbuf *out, struct slice name, uint64_t value)
{
	emit_put(out, name);
	emit_put(out, SLICE(": "));
	strbuf_put_u64(out, value);
	emit_put(out, CRLF);
}

static void put_length(struct strbuf *out, uint64_t length)
{
	put_number_line(out, SLICE("Content-Length"), length);
}

/* Received-protocol is the version that the message came with (RFC 9110 7.6.3). */
static void put_via(struct strbuf *out, const struct http_head *head, struct slice pseudonym)
{
	if (pseudonym.n == 0)
		return;
	emit_put(out, head->minor == 0 ? SLICE("Via: 1.0 ") : SLICE("Via: 1.1 "));
	emit_put(out, pseudonym);
	emit_put(out, CRLF);
}

/* The peer as a node of Forwarded: an IPv6 address goes in brackets and quotes (RFC 7239 6). */
static void put_node(struct strbuf *out, struct slice peer)
{
	bool is_v6 = memchr(peer.p, ':', peer.n) != NULL;

	emit_put(out, is_v6 ? SLICE("for=\"[") : SLICE("for="));
	emit_put(out, peer);
	emit_put(out, is_v6 ? SLICE("]\"") : SLICE(""));
}

/* One field of a trusted peer that names its clients: the peer is added behind the last. */
static void put_appended(struct strbuf *out, const struct field *f, bool is_last, struct slice peer)
{
	emit_put(out, f->name);
	emit_put(out, SLICE(": "));
	emit_put(out, f->value);
	if (is_last && peer.n > 0) {
		emit_put(out, f->value.n > 0 ? SLICE(", ") : SLICE(""));
		if (f->id == FIELD_FORWARDED)
			put_node(out, peer);
		else
			emit_put(out, peer);
	}
	emit_put(out, CRLF);
}

static const struct field *find_last(const struct http_head *head, enum field_id id)
{
	const struct field *last = NULL;

	for (unsigned i = 0; i < head->n_fields; i++)
		if (head->fields[i].id == id && !head->fields[i].is_dropped)
			last = &head->fields[i];
	return last;
}

static void put_request_field(struct strbuf *out, const struct http_head *head,
			      const struct field *f, const struct emit_request *how)
{
	switch (f->id) {
	case FIELD_HOST:
	case FIELD_CONTENT_LENGTH:
	case FIELD_TRANSFER_ENCODING:
		return;
	case FIELD_X_FORWARDED_FOR:
	case FIELD_FORWARDED:
		if (how->is_trusted)
			put_appended(out, f, f == find_last(head, (enum field_id)f->id), how->peer);
		else
			changes_note(how->changes, CHANGE_UNTRUSTED, f->name);
		return;
	case FIELD_X_FORWARDED_PROTO:
	case FIELD_X_FORWARDED_HOST:
		if (how->is_trusted)
			put_line(out, f->name, f->value);
		else
			changes_note(how->changes, CHANGE_UNTRUSTED, f->name);
		return;
	case FIELD_MAX_FORWARDS:
		if (how->max_forwards >= 0) {
			put_number_line(out, f->name, (uint64_t)how->max_forwards);
			note(how->changes, CHANGE_HOPS);
		} else {
			put_line(out, f->name, f->value);
		}
		return;
	default:
		put_line(out, f->name, f->value);
	}
}

static void put_request_line(struct strbuf *out, const struct http_head *head)
{
	emit_put(out, head->method);
	emit_put(out, SLICE(" "));
	emit_put(out, head->path);
	if (head->query.p != NULL) {
		emit_put(out, SLICE("?"));
		emit_put(out, head->query);
	}
	emit_put(out, SLICE(" HTTP/1.1\r\n"));
}

static void put_request_framing(struct strbuf *out, const struct http_head *head)
{
	switch (head->framing) {
	case FRAMING_LENGTH:
		put_length(out, head->length);
		break;
	case FRAMING_CHUNKED:
		emit_put(out, SLICE("Transfer-Encoding: chunked\r\n"));
		break;
	default:
		/* A length of 0 is said again where it was said: a POST may need it. */
		if (head_find(head, FIELD_CONTENT_LENGTH) != NULL)
			put_length(out, 0);
	}
}

void emit_request_head(struct strbuf *out, const struct http_head *head,
		       const struct emit_request *how)
{
	put_request_line(out, head);
	put_line(out, SLICE("Host"), head->authority.n > 0 ? head->authority : how->default_host);
	if (head->is_absolute)
		note(how->changes, CHANGE_TARGET);
	if (head->authority.n == 0)
		note(how->changes, CHANGE_HOST);
	for (unsigned i = 0; i < head->n_fields; i++)
		if (!head->fields[i].is_dropped)
			put_request_field(out, head, &head->fields[i], how);
		else
			note_dropped(how->changes, &head->fields[i]);
	put_request_framing(out, head);
	put_via(out, head, how->pseudonym);
	if (how->pseudonym.n > 0)
		note(how->changes, CHANGE_VIA);
	if (how->peer.n > 0)
		note(how->changes, CHANGE_PEER);
	if (how->peer.n > 0 && (!how->is_trusted || find_last(head, FIELD_X_FORWARDED_FOR) == NULL))
		put_line(out, SLICE("X-Forwarded-For"), how->peer);
	emit_put(out, CRLF);
}

static void put_status_line(struct strbuf *out, unsigned status, struct slice phrase)
{
	emit_put(out, SLICE("HTTP/1.1 "));
	strbuf_put_u64(out, status);
	emit_put(out, SLICE(" "));
	emit_put(out, phrase);
	emit_put(out, CRLF);
}

static enum framing client_framing(const struct http_head *head, const struct emit_response *how)
{
	unsigned status = head->status;

	if (how->is_head || status < 200 || status == 204 || status == 304)
		return FRAMING_NONE;
	if (head->framing == FRAMING_LENGTH || head->framing == FRAMING_NONE)
		return head->framing;
	return how->minor == 0 ? FRAMING_CLOSE : FRAMING_CHUNKED;
}

/* RFC 9110 8.6: no length with 1xx and 204; what it would be with HEAD and 304. */
static void put_response_framing(struct strbuf *out, const struct http_head *head,
				 enum framing framing, bool is_head)
{
	bool has_length = head_find(head, FIELD_CONTENT_LENGTH) != NULL;

	if (framing == FRAMING_CHUNKED)
		emit_put(out, SLICE("Transfer-Encoding: chunked\r\n"));
	if (framing == FRAMING_CHUNKED || framing == FRAMING_CLOSE)
		return;
	if (head->status < 200 || head->status == 204)
		return;
	if (has_length || !(is_head || head->status == 304))
		put_length(out, head->length);
}

static void put_response_field(struct strbuf *out, const struct http_head *head,
			       const struct field *f, struct changes *changes)
{
	if (f->id == FIELD_CONTENT_LENGTH || f->id == FIELD_TRANSFER_ENCODING) {
		if (head->status < 200 || head->status == 204)
			changes_note(changes, CHANGE_NO_BODY, f->name);
	} else if (f->is_dropped) {
		note_dropped(changes, f);
	} else {
		put_line(out, f->name, f->value);
	}
}

/* HTTP/1.1 stays open unless told otherwise, HTTP/1.0 closes unless told otherwise. */
static void put_connection(struct strbuf *out, bool keep_alive, unsigned minor)
{
	if (!keep_alive)
		emit_put(out, SLICE("Connection: close\r\n"));
	else if (minor == 0)
		emit_put(out, SLICE("Connection: keep-alive\r\n"));
}

enum framing emit_response_head(struct strbuf *out, const struct http_head *head,
				const struct emit_response *how)
{
	enum framing framing = client_framing(head, how);

	put_status_line(out, head->status, head->reason);
	for (unsigned i = 0; i < head->n_fields; i++)
		put_response_field(out, head, &head->fields[i], how->changes);
	if (framing != head->framing && framing != FRAMING_NONE)
		note(how->changes, CHANGE_FRAMING);
	put_response_framing(out, head, framing, how->is_head);
	put_via(out, head, how->pseudonym);
	if (head->status >= 200) {
		if (!head->has_date && how->date != NULL) {
			put_line(out, SLICE("Date"), slice_str(how->date));
			note(how->changes, CHANGE_DATE);
		}
		put_connection(out, how->keep_alive && framing != FRAMING_CLOSE, how->minor);
	}
	emit_put(out, CRLF);
	return framing;
}
