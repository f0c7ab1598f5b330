#include "proxy/http/chunk.h"

#include "proxy/http/chars.h"
#include "proxy/http/names.h"

#define SIZE_DIGITS_MAX 16

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_EXT_NAME_FIRST,
	CHUNK_EXT_NAME,
	CHUNK_EXT_VALUE_FIRST,
	CHUNK_EXT_TOKEN,
	CHUNK_EXT_QUOTED,
	CHUNK_EXT_ESCAPED,
	CHUNK_EXT_QUOTED_END,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_FIRST,
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
};

bool chunk_is_data(struct http_body *b)
{
	return b->state == CHUNK_DATA && b->left > 0;
}

static unsigned hex_value(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static enum reason step_size(struct http_body *b, char c)
{
	if (char_is(c, CHAR_HEX)) {
		if (b->digits == SIZE_DIGITS_MAX || b->left > INT64_MAX >> 4)
			return REASON_CHUNK_RANGE;
		b->digits++;
		b->left = b->left << 4 | hex_value(c);
		return REASON_NONE;
	}
	if (b->digits == 0)
		return REASON_CHUNK_SIZE;
	if (c == '\r') {
		b->state = CHUNK_SIZE_LF;
	} else if (c == ';') {
		/* Held against the limit with the byte behind it. */
		b->ext_bytes++;
		b->state = CHUNK_EXT_NAME_FIRST;
	} else {
		return REASON_CHUNK_SIZE;
	}
	return REASON_NONE;
}

/* Between extensions, and at their end. */
static enum reason step_ext_end(struct http_body *b, char c)
{
	if (c == ';')
		b->state = CHUNK_EXT_NAME_FIRST;
	else if (c == '\r')
		b->state = CHUNK_SIZE_LF;
	else
		return REASON_CHUNK_EXT;
	return REASON_NONE;
}

static enum reason step_ext_state(struct http_body *b, char c)
{
	bool is_token = char_is(c, CHAR_TOKEN);

	switch (b->state) {
	case CHUNK_EXT_NAME_FIRST:
		b->state = CHUNK_EXT_NAME;
		return is_token ? REASON_NONE : REASON_CHUNK_EXT;
	case CHUNK_EXT_NAME:
		if (c == '=')
			b->state = CHUNK_EXT_VALUE_FIRST;
		return is_token || c == '=' ? REASON_NONE : step_ext_end(b, c);
	case CHUNK_EXT_VALUE_FIRST:
		b->state = c == '"' ? CHUNK_EXT_QUOTED : CHUNK_EXT_TOKEN;
		return is_token || c == '"' ? REASON_NONE : REASON_CHUNK_EXT;
	case CHUNK_EXT_TOKEN:
		return is_token ? REASON_NONE : step_ext_end(b, c);
	case CHUNK_EXT_QUOTED:
		if (c == '"')
			b->state = CHUNK_EXT_QUOTED_END;
		else if (c == '\\')
			b->state = CHUNK_EXT_ESCAPED;
		else if (!char_is(c, CHAR_QUOTED))
			return REASON_CHUNK_EXT;
		return REASON_NONE;
	case CHUNK_EXT_ESCAPED:
		b->state = CHUNK_EXT_QUOTED;
		return char_is(c, CHAR_VALUE) ? REASON_NONE : REASON_CHUNK_EXT;
	default:
		return step_ext_end(b, c);
	}
}

/* A client could send extensions for ever and no data (CVE-2024-22019). */
static enum reason step_ext(struct http_body *b, const struct http_body_limits *lim, char c)
{
	enum reason why = step_ext_state(b, c);

	if (why == REASON_NONE && b->state != CHUNK_SIZE_LF && ++b->ext_bytes > lim->chunk_ext)
		return REASON_CHUNK_EXT;
	return why;
}

static void start_size(struct http_body *b)
{
	b->state = CHUNK_SIZE;
	b->digits = 0;
	b->left = 0;
}

/* Of framing, routing, logon or content: never after the content (RFC 9110 6.5.1). */
static bool is_forbidden(const struct http_body *b)
{
	static const char *const others[] = {"cookie", "set-cookie", "range", "cache-control"};
	struct slice name = slice_make(b->name, b->name_n);

	if (b->name_n == sizeof(b->name))
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (slice_eq(name, slice_str(others[i])))
			return true;
	switch (name_id(name)) {
	case FIELD_OTHER:
	case FIELD_DATE:
	case FIELD_SERVER:
		return false;
	default:
		return true;
	}
}

static enum reason step_trailer_name(struct http_body *b, char c)
{
	if (c == ':' && b->name_n > 0) {
		b->state = CHUNK_TRAILER_VALUE;
		return is_forbidden(b) ? REASON_TRAILER_BAD : REASON_NONE;
	}
	if (!char_is(c, CHAR_TOKEN))
		return REASON_TRAILER_BAD;
	/* A full buffer stands for a name longer than any we look for. */
	if (b->name_n < sizeof(b->name))
		b->name[b->name_n++] = c == '_' ? '-' : slice_lower(c);
	return REASON_NONE;
}

static enum reason step_trailer_state(struct http_body *b, char c)
{
	switch (b->state) {
	case CHUNK_TRAILER_FIRST:
		b->name_n = 0;
		b->state = c == '\r' ? CHUNK_END_LF : CHUNK_TRAILER_NAME;
		return c == '\r' ? REASON_NONE : step_trailer_name(b, c);
	case CHUNK_TRAILER_NAME:
		return step_trailer_name(b, c);
	case CHUNK_TRAILER_VALUE:
		if (c == '\r')
			b->state = CHUNK_TRAILER_LF;
		return c == '\r' || char_is(c, CHAR_VALUE) ? REASON_NONE : REASON_TRAILER_BAD;
	case CHUNK_TRAILER_LF:
		b->state = CHUNK_TRAILER_FIRST;
		return c == '\n' ? REASON_NONE : REASON_TRAILER_BAD;
	default:
		b->is_done = true;
		return c == '\n' ? REASON_NONE : REASON_TRAILER_BAD;
	}
}

static enum reason step_trailer(struct http_body *b, const struct http_body_limits *lim, char c)
{
	enum reason why = step_trailer_state(b, c);

	/* The empty line that ends the section doesn't count. */
	if (why == REASON_NONE && b->state != CHUNK_END_LF && ++b->trailer_bytes > lim->trailers)
		return REASON_TRAILER_LONG;
	return why;
}

enum reason chunk_step(struct http_body *b, const struct http_body_limits *lim, char c)
{
	switch ((enum chunk_state)b->state) {
	case CHUNK_SIZE:
		return step_size(b, c);
	case CHUNK_SIZE_LF:
		b->state = b->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_FIRST;
		return c == '\n' ? REASON_NONE : REASON_CHUNK_SIZE;
	case CHUNK_DATA:
		b->state = CHUNK_DATA_LF;
		return c == '\r' ? REASON_NONE : REASON_CHUNK_DATA;
	case CHUNK_DATA_LF:
		start_size(b);
		return c == '\n' ? REASON_NONE : REASON_CHUNK_DATA;
	case CHUNK_TRAILER_FIRST:
	case CHUNK_TRAILER_NAME:
	case CHUNK_TRAILER_VALUE:
	case CHUNK_TRAILER_LF:
	case CHUNK_END_LF:
		return step_trailer(b, lim, c);
	default:
		return step_ext(b, lim, c);
	}
}
