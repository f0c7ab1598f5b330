#include "proxy/http/head_lines.h"

#include "proxy/http/chars.h"
#include "proxy/http/names.h"
#include "proxy/http/target.h"

/* A byte stands where it may not. A lone CR has a name of its own (RFC 9112 2.2). */
static enum reason blame(char c, enum reason otherwise)
{
	return c == '\r' ? REASON_BARE_CR : otherwise;
}

/* HTTP/1.0 is 0; everything later of major 1 is read as 1.1 (RFC 9110 2.5). */
static enum reason read_version(struct slice s, uint8_t *minor)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.' || s.p[5] < '0' ||
	    s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
		return REASON_VERSION_BAD;
	if (s.p[5] == '0')
		return REASON_VERSION_BAD;
	if (s.p[5] != '1')
		return REASON_VERSION_MAJOR;
	*minor = s.p[7] == '0' ? 0 : 1;
	return REASON_NONE;
}

/* Cut the method off *line, with the space behind it. */
static enum reason take_method(struct slice *line, const struct http_limits *lim,
			       struct http_head *head)
{
	size_t n = char_span(*line, CHAR_TOKEN);

	if (n == line->n)
		return REASON_REQUEST_LINE;
	if (n == 0 || line->p[n] != ' ')
		return blame(line->p[n], REASON_METHOD_BAD);
	if (n > lim->method)
		return REASON_METHOD_LONG;
	head->method = slice_make(line->p, n);
	if (slice_eq(head->method, SLICE("CONNECT")))
		return REASON_METHOD_CONNECT;
	if (slice_eq(head->method, SLICE("TRACE")))
		return REASON_METHOD_TRACE;
	head->is_head = slice_eq(head->method, SLICE("HEAD"));
	*line = slice_drop(*line, n + 1);
	return REASON_NONE;
}

static enum reason take_target(struct slice *line, struct http_head *head)
{
	size_t n = char_span(*line, CHAR_TARGET);

	if (n == line->n)
		return REASON_REQUEST_LINE;
	if (line->p[n] != ' ')
		return blame(line->p[n], REASON_TARGET_BAD);
	if (n == 0)
		return REASON_REQUEST_LINE;
	head->target = slice_make(line->p, n);
	*line = slice_drop(*line, n + 1);
	return REASON_NONE;
}

enum reason line_read_request(struct slice line, const struct http_limits *lim,
			      struct http_head *head)
{
	enum reason why;

	why = take_method(&line, lim, head);
	if (why != REASON_NONE)
		return why;
	why = take_target(&line, head);
	if (why != REASON_NONE)
		return why;
	why = read_version(line, &head->minor);
	if (why == REASON_VERSION_BAD && line.n > 0) {
		if (memchr(line.p, '\r', line.n) != NULL)
			return REASON_BARE_CR;
		if (memchr(line.p, ' ', line.n) != NULL)
			return REASON_REQUEST_LINE;
	}
	if (why != REASON_NONE)
		return why;
	return target_split(head);
}

enum reason line_read_status(struct slice line, struct http_head *head)
{
	unsigned status = 0;

	if (line.n < 13 || line.p[8] != ' ' || line.p[12] != ' ' ||
	    read_version(slice_make(line.p, 8), &head->minor) != REASON_NONE)
		return REASON_STATUS_LINE;
	for (size_t i = 9; i < 12; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return REASON_STATUS_LINE;
		status = status * 10 + (unsigned)(line.p[i] - '0');
	}
	if (status < 100 || status > 599)
		return REASON_STATUS_LINE;
	head->status = (uint16_t)status;
	head->reason = slice_drop(line, 13);
	return char_all(head->reason, CHAR_VALUE) ? REASON_NONE : REASON_STATUS_LINE;
}

/* Eight bytes, one of which may be a control character (HTAB and DEL included). */
static bool may_hold_control(const char *p)
{
	const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
	uint64_t v, del;

	memcpy(&v, p, sizeof(v));
	del = v ^ ones * 0x7f;
	return (((v - ones * 0x20) & ~v & tops) | ((del - ones) & ~del & tops)) != 0;
}

/* The first byte that may not stand in a value, or s.n. */
static size_t find_bad_byte(struct slice s)
{
	size_t i = 0;

	while (s.n - i >= 8 && !may_hold_control(s.p + i))
		i += 8;
	/* The rest, or a tab, or the culprit. */
	while (i < s.n && char_is(s.p[i], CHAR_VALUE))
		i++;
	return i;
}

static enum reason blame_name(struct slice line, size_t n)
{
	if (n == line.n)
		return REASON_FIELD_NO_COLON;
	if (n == 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
		return REASON_FIELD_FOLDED;
	if (line.p[n] != '\r' && memchr(line.p, ':', line.n) == NULL)
		return REASON_FIELD_NO_COLON;
	return blame(line.p[n], REASON_FIELD_NAME);
}

enum reason line_read_field(struct slice line, struct field *f)
{
	size_t n = char_span(line, CHAR_TOKEN), bad;

	if (n == 0 || n == line.n || line.p[n] != ':')
		return blame_name(line, n);
	f->name = slice_make(line.p, n);
	f->value = slice_drop(line, n + 1);
	bad = find_bad_byte(f->value);
	if (bad < f->value.n)
		return blame(f->value.p[bad], REASON_FIELD_CONTROL);
	f->value = slice_trim(f->value);
	f->id = (uint8_t)name_id(f->name);
	f->is_dropped = name_is_hop_by_hop((enum field_id)f->id);
	return REASON_NONE;
}
