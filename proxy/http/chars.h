/* Classes of bytes in HTTP/1.1 (RFC 9110 5.5, 5.6; 9112 3.2; 3986 3.2.2): one look-up each. */
#ifndef STATWEIR_HTTP_CHARS_H
#define STATWEIR_HTTP_CHARS_H

#include "proxy/base/slice.h"

enum char_class {
	CHAR_TOKEN = 0x01,  /* tchar */
	CHAR_VALUE = 0x02,  /* HTAB, SP, VCHAR, obs-text */
	CHAR_TARGET = 0x04, /* 0x21 to 0x7e without '#' */
	CHAR_HOST = 0x08,   /* unreserved and sub-delims without ',' */
	CHAR_HEX = 0x10,
	CHAR_QUOTED = 0x20, /* qdtext: CHAR_VALUE without '"' and '\' */
};

extern const uint8_t http_chars[256];

static inline bool char_is(char c, enum char_class class)
{
	return (http_chars[(unsigned char)c] & class) != 0;
}

/* How many bytes at the start of s are of that class. */
static inline size_t char_span(struct slice s, enum char_class class)
{
	size_t i = 0;

	while (i < s.n && char_is(s.p[i], class))
		i++;
	return i;
}

static inline bool char_all(struct slice s, enum char_class class)
{
	return char_span(s, class) == s.n;
}

#endif
