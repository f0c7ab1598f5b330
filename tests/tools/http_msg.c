#include "tests/tools/http_msg.h"

static bool read_version(struct slice s, int *minor)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/1.", 7) != 0 || (s.p[7] != '0' && s.p[7] != '1'))
		return false;
	*minor = s.p[7] - '0';
	return true;
}

static bool read_request_line(struct http_msg *m, struct slice s)
{
	const char *sp1 = memchr(s.p, ' ', s.n);
	const char *sp2;
	struct slice rest;

	if (!sp1 || sp1 == s.p)
		return false;
	m->method = slice_make(s.p, (size_t)(sp1 - s.p));
	rest = slice_drop(s, m->method.n + 1);
	sp2 = memchr(rest.p, ' ', rest.n);
	if (!sp2 || sp2 == rest.p)
		return false;
	m->target = slice_make(rest.p, (size_t)(sp2 - rest.p));
	return read_version(slice_drop(rest, m->target.n + 1), &m->minor);
}

static bool read_status_line(struct http_msg *m, struct slice s)
{
	if (s.n < 12 || !read_version(slice_make(s.p, 8), &m->minor) || s.p[8] != ' ')
		return false;
	for (int i = 9; i < 12; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		m->status = m->status * 10 + (s.p[i] - '0');
	}
	return s.n == 12 || s.p[12] == ' ';
}

static bool read_field(struct http_msg *m, struct slice line)
{
	const char *colon = memchr(line.p, ':', line.n);
	struct http_msg_field *f = &m->field[m->n_fields];

	if (!colon || colon == line.p || line.p[0] == ' ' || line.p[0] == '\t')
		return false;
	if (colon[-1] == ' ' || colon[-1] == '\t' || m->n_fields == HTTP_MSG_FIELDS)
		return false;
	f->line = line;
	f->name = slice_make(line.p, (size_t)(colon - line.p));
	f->value = slice_trim(slice_drop(line, f->name.n + 1));
	m->n_fields++;
	return true;
}

static bool read_head(struct http_msg *m, struct slice head, bool is_response)
{
	bool is_first = true;

	while (head.n > 0) {
		const char *lf = memchr(head.p, '\n', head.n);
		struct slice line;

		if (!lf || lf == head.p || lf[-1] != '\r')
			return false;
		line = slice_make(head.p, (size_t)(lf - head.p) - 1);
		head = slice_drop(head, line.n + 2);
		if (line.n == 0)
			break;
		if (!is_first) {
			if (!read_field(m, line))
				return false;
			continue;
		}
		is_first = false;
		if (!(is_response ? read_status_line(m, line) : read_request_line(m, line)))
			return false;
	}
	return !is_first;
}

/* Walk the chunks; with move, put their data together at body. Bytes used, 0: more, -1: bad. */
static long walk_chunks(struct slice in, char *move, size_t *body_bytes)
{
	size_t at = 0, out = 0;

	for (;;) {
		size_t size = 0, digits = 0;

		for (; at < in.n && digits < 8; at++, digits++) {
			char c = slice_lower(in.p[at]);

			if (c >= '0' && c <= '9')
				size = size * 16 + (size_t)(c - '0');
			else if (c >= 'a' && c <= 'f')
				size = size * 16 + (size_t)(c - 'a' + 10);
			else
				break;
		}
		if (at + 2 > in.n)
			return 0;
		if (digits == 0 || in.p[at] != '\r' || in.p[at + 1] != '\n')
			return -1;
		at += 2;
		if (at + size + 2 > in.n)
			return 0;
		if (in.p[at + size] != '\r' || in.p[at + size + 1] != '\n')
			return -1;
		if (size == 0) {
			*body_bytes = out;
			return (long)at + 2;
		}
		if (move)
			memmove(move + out, in.p + at, size);
		out += size;
		at += size + 2;
	}
}

static enum http_msg_rc read_chunked(struct http_msg *m, char *p, size_t n)
{
	struct slice in = slice_make(p + m->head_bytes, n - m->head_bytes);
	size_t body_bytes = 0;
	long used = walk_chunks(in, NULL, &body_bytes);

	if (used < 0)
		return HTTP_MSG_BAD;
	if (used == 0)
		return HTTP_MSG_HEAD;
	walk_chunks(in, p + m->head_bytes, &body_bytes);
	m->body = slice_make(in.p, body_bytes);
	m->total_bytes = m->head_bytes + (size_t)used;
	return HTTP_MSG_WHOLE;
}

/* Framing and persistence from the fields; the length into *length. */
static bool read_framing(struct http_msg *m, uint64_t *length)
{
	bool has_length = false;

	m->is_keep_alive = m->minor == 1;
	*length = 0;
	for (unsigned i = 0; i < m->n_fields; i++) {
		const struct http_msg_field *f = &m->field[i];

		if (slice_ieq(f->name, SLICE("Content-Length"))) {
			if (has_length || slice_to_u64(f->value, length) < 0)
				return false;
			has_length = true;
		} else if (slice_ieq(f->name, SLICE("Transfer-Encoding"))) {
			if (!slice_ieq(f->value, SLICE("chunked")))
				return false;
			m->is_chunked = true;
		} else if (slice_ieq(f->name, SLICE("Connection"))) {
			if (slice_ieq(f->value, SLICE("close")))
				m->is_keep_alive = false;
			else if (slice_ieq(f->value, SLICE("keep-alive")))
				m->is_keep_alive = true;
		} else if (slice_ieq(f->name, SLICE("Expect"))) {
			m->has_expect = true;
		}
	}
	return !(has_length && m->is_chunked);
}

enum http_msg_rc http_msg_read(struct http_msg *m, char *p, size_t n, bool is_response)
{
	const char *end = n > 0 ? memmem(p, n, "\r\n\r\n", 4) : NULL;
	uint64_t length;

	if (!end)
		return n > 65536 ? HTTP_MSG_BAD : HTTP_MSG_MORE;
	memset(m, 0, offsetof(struct http_msg, field));
	m->body = slice_make(p, 0);
	m->total_bytes = 0;
	m->head_bytes = (size_t)(end - p) + 4;
	if (!read_head(m, slice_make(p, m->head_bytes), is_response) || !read_framing(m, &length))
		return HTTP_MSG_BAD;
	if (m->is_chunked)
		return read_chunked(m, p, n);
	m->body = slice_make(p + m->head_bytes, (size_t)length);
	m->total_bytes = m->head_bytes + (size_t)length;
	return n >= m->total_bytes ? HTTP_MSG_WHOLE : HTTP_MSG_HEAD;
}

struct slice http_msg_field(const struct http_msg *m, const char *name)
{
	struct slice want = slice_str(name);

	for (unsigned i = 0; i < m->n_fields; i++)
		if (slice_ieq(m->field[i].name, want))
			return m->field[i].value;
	return slice_make(NULL, 0);
}
