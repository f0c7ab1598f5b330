#include "proxy/http/reader.h"

#include "proxy/base/metrics.h"
#include "proxy/http/chars.h"
#include "proxy/http/framing.h"
#include "proxy/http/head_lines.h"
#include "proxy/http/shadow.h"

/* RFC 9112 2.2 wants at least one empty line before a request ignored. */
#define EMPTY_LINES_MAX 2

struct reading {
	struct http_reader *r;
	const char *buf;
	size_t n;
	const struct http_limits *lim;
	struct http_head *head;
	bool is_response, is_head;
};

enum line_rc {
	LINE_MORE,
	LINE_WHOLE,
	LINE_BAD
};

static enum line_rc refuse(struct http_reader *r, enum reason why)
{
	r->reason = why;
	return LINE_BAD;
}

/*
 * Cut the next line off. A limit is passed when the line's LF isn't among the first
 * so many bytes, whether it has come or not: the pieces in which the bytes arrive
 * make no difference.
 */
static enum line_rc next_line(struct reading *rd, struct slice *line)
{
	struct http_reader *r = rd->r;
	const char *start = rd->buf + r->at, *lf = NULL;
	size_t avail = rd->n - r->at, seen = r->scanned > r->at ? r->scanned - r->at : 0;
	size_t line_room = (r->has_start ? rd->lim->field_line : rd->lim->request_line) + 2;
	size_t head_used = r->at - r->head_start;
	/* The limits may have shrunk since the last call. */
	size_t head_room = head_used < rd->lim->head ? rd->lim->head - head_used : 0;
	size_t room = line_room < head_room ? line_room : head_room;
	size_t look = avail < room ? avail : room;

	/* A lone CR where the empty line is due: its LF may never come. */
	if (look >= 2 && start[0] == '\r' && start[1] != '\n')
		return refuse(r, REASON_BARE_CR);
	if (look > seen)
		lf = memchr(start + seen, '\n', look - seen);
	if (lf == NULL && avail < room) {
		r->scanned = rd->n;
		return LINE_MORE;
	}
	if (lf == NULL && head_room <= line_room)
		return refuse(r, REASON_HEAD_LONG);
	if (lf == NULL)
		return refuse(r, r->has_start ? REASON_FIELD_LONG : REASON_REQUEST_LINE_LONG);
	if (lf == start || lf[-1] != '\r')
		return refuse(r, REASON_BARE_LF);
	*line = slice_make(start, (size_t)(lf - start) - 1);
	r->at += line->n + 2;
	return LINE_WHOLE;
}

/* What can be no start line is refused at its first byte: nobody waits for its end. */
static bool may_start(const struct reading *rd)
{
	const char *p = rd->buf + rd->r->at;
	size_t n = rd->n - rd->r->at;

	if (n == 0)
		return true;
	if (rd->is_response)
		return memcmp(p, "HTTP/1.", n < 7 ? n : 7) == 0;
	return char_is(p[0], CHAR_TOKEN) || p[0] == '\r' || p[0] == '\n';
}

static enum line_rc read_start(struct reading *rd)
{
	struct http_reader *r = rd->r;
	struct slice line;
	enum line_rc rc;

	do {
		if (!may_start(rd))
			return refuse(r, REASON_METHOD_BAD);
		r->head_start = r->at;
		rc = next_line(rd, &line);
		if (rc != LINE_WHOLE)
			return rc;
		if (line.n == 0 && ++r->n_empty > EMPTY_LINES_MAX)
			return refuse(r, REASON_LEADING_CRLF);
	} while (line.n == 0);

	memset(rd->head, 0, offsetof(struct http_head, fields));
	r->has_start = true;
	if (rd->is_response)
		r->reason = line_read_status(line, rd->head);
	else
		r->reason = line_read_request(line, rd->lim, rd->head);
	return r->reason == REASON_NONE ? LINE_WHOLE : LINE_BAD;
}

static enum reason add_field(struct reading *rd, struct slice line)
{
	struct http_head *head = rd->head;
	struct field *f = &head->fields[head->n_fields];
	enum reason why;

	if (head->n_fields >= rd->lim->fields || head->n_fields >= HTTP_MAX_FIELDS)
		return REASON_FIELD_COUNT;
	why = line_read_field(line, f);
	if (why == REASON_NONE)
		why = framing_take_field(head, f, rd->lim);
	if (why == REASON_NONE)
		head->n_fields++;
	return why;
}

static enum reason end_head(struct reading *rd)
{
	struct http_head *head = rd->head;
	const char *end = rd->buf + rd->r->at;
	const char *first = head->n_fields > 0 ? head->fields[0].name.p : end - 2;
	enum reason why;

	head->head_bytes = rd->r->at;
	why = rd->is_response ? framing_end_response(head, rd->is_head) : framing_end_request(head);
	if (why != REASON_NONE)
		return why;
	if (shadow_agrees(head, slice_make(first, (size_t)(end - first))))
		return REASON_NONE;
	metric_add(M_PARSER_DISAGREED, 1);
	return REASON_DISAGREE;
}

static enum line_rc read_head(struct reading *rd)
{
	struct http_reader *r = rd->r;
	struct slice line;
	enum line_rc rc;

	if (r->reason != REASON_NONE)
		return LINE_BAD;
	if (rd->n == 0)
		return LINE_MORE;
	if (!r->has_start) {
		rc = read_start(rd);
		if (rc != LINE_WHOLE)
			return rc;
	}
	for (;;) {
		rc = next_line(rd, &line);
		if (rc != LINE_WHOLE)
			return rc;
		r->reason = line.n == 0 ? end_head(rd) : add_field(rd, line);
		if (r->reason != REASON_NONE)
			return LINE_BAD;
		if (line.n == 0)
			return LINE_WHOLE;
	}
}

static enum http_rc as_http_rc(enum line_rc rc)
{
	switch (rc) {
	case LINE_MORE:
		return HTTP_MORE;
	case LINE_WHOLE:
		return HTTP_HEAD;
	default:
		return HTTP_BAD;
	}
}

enum http_rc http_read_request(struct http_reader *r, const char *buf, size_t n,
			       const struct http_limits *lim, struct http_head *head)
{
	struct reading rd = {.r = r, .buf = buf, .n = n, .lim = lim, .head = head};

	return as_http_rc(read_head(&rd));
}

/* A fault of the upstream's is none of the client's: other reasons, status 502. */
static enum reason as_response_reason(const struct http_reader *r)
{
	switch (r->reason) {
	case REASON_REQUEST_LINE_LONG:
	case REASON_FIELD_LONG:
	case REASON_FIELD_COUNT:
	case REASON_HEAD_LONG:
		return REASON_RESPONSE_LONG;
	default:
		return r->has_start && r->reason != REASON_STATUS_LINE ? REASON_RESPONSE_BAD
								       : REASON_STATUS_LINE;
	}
}

enum http_rc http_read_response(struct http_reader *r, const char *buf, size_t n, bool is_head,
				const struct http_limits *lim, struct http_head *head)
{
	struct reading rd = {.r = r,
			     .buf = buf,
			     .n = n,
			     .lim = lim,
			     .head = head,
			     .is_response = true,
			     .is_head = is_head};
	enum line_rc rc;

	if (r->reason != REASON_NONE)
		return HTTP_BAD;
	rc = read_head(&rd);
	if (rc == LINE_BAD)
		r->reason = as_response_reason(r);
	return as_http_rc(rc);
}
