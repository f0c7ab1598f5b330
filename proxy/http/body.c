#include "proxy/http/body.h"

#include "proxy/http/chunk.h"

void http_body_init(struct http_body *b, const struct http_head *head)
{
	*b = (struct http_body){.framing = head->framing, .is_response = head->status != 0};
	if (b->framing == FRAMING_LENGTH)
		b->left = head->length;
	if (b->framing == FRAMING_NONE || (b->framing == FRAMING_LENGTH && b->left == 0))
		b->is_done = true;
}

static enum body_rc refuse(struct http_body *b, enum reason why)
{
	/* What the upstream got wrong is no fault of the client's. */
	b->reason = b->is_response ? REASON_RESPONSE_BAD : why;
	return BODY_BAD;
}

/* Would n further bytes of data be too many? */
static bool is_too_long(const struct http_body *b, const struct http_body_limits *lim, uint64_t n)
{
	return lim->body != 0 && (b->total > lim->body || n > lim->body - b->total);
}

/* Give out at most b->left bytes of in, which begin at *used. */
static enum body_rc give(struct http_body *b, struct slice in, size_t *used, struct slice *data)
{
	size_t n = in.n - *used;

	if (n > b->left)
		n = (size_t)b->left;
	*data = slice_make(in.p + *used, n);
	*used += n;
	b->left -= n;
	b->total += n;
	return BODY_DATA;
}

static enum body_rc next_by_length(struct http_body *b, const struct http_body_limits *lim,
				   struct slice in, size_t *used, struct slice *data)
{
	if (b->left == 0) {
		b->is_done = true;
		return BODY_END;
	}
	if (is_too_long(b, lim, b->left))
		return refuse(b, REASON_BODY_LONG);
	return in.n == 0 ? BODY_MORE : give(b, in, used, data);
}

static enum body_rc next_chunked(struct http_body *b, const struct http_body_limits *lim,
				 struct slice in, size_t *used, struct slice *data)
{
	enum reason why;

	while (*used < in.n) {
		if (chunk_is_data(b))
			return give(b, in, used, data);
		why = chunk_step(b, lim, in.p[(*used)++]);
		if (why != REASON_NONE)
			return refuse(b, why);
		if (b->is_done)
			return BODY_END;
		if (chunk_is_data(b) && is_too_long(b, lim, b->left))
			return refuse(b, REASON_BODY_LONG);
	}
	return BODY_MORE;
}

static enum body_rc next_until_close(struct http_body *b, const struct http_body_limits *lim,
				     struct slice in, size_t *used, struct slice *data)
{
	if (in.n == 0)
		return BODY_MORE;
	if (is_too_long(b, lim, in.n))
		return refuse(b, REASON_BODY_LONG);
	b->left = in.n;
	return give(b, in, used, data);
}

enum body_rc http_body_next(struct http_body *b, const struct http_body_limits *lim,
			    struct slice in, size_t *used, struct slice *data)
{
	*used = 0;
	*data = slice_make(in.p, 0);
	if (b->reason != REASON_NONE)
		return BODY_BAD;
	if (b->is_done)
		return BODY_END;
	switch (b->framing) {
	case FRAMING_LENGTH:
		return next_by_length(b, lim, in, used, data);
	case FRAMING_CHUNKED:
		return next_chunked(b, lim, in, used, data);
	case FRAMING_CLOSE:
		return next_until_close(b, lim, in, used, data);
	case FRAMING_NONE:
		break;
	}
	UNREACHABLE("a body without framing is done");
}
