/*
 * UTF-16LE, as clients write it (protocol.md 3), made into UTF-8 once, before anything
 * reads it: half of the bytes to look at, and one place that knows what a character is.
 */
#ifndef STATWEIR_FILTERS_UTF16_H
#define STATWEIR_FILTERS_UTF16_H

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"

#include <stdint.h>

/* NUL bytes that follow a narrowed text; utf16_narrow() leaves none within it. */
#define UTF16_PAD 16
/* Bytes of scratch that a text of n bytes takes, at most. */
#define UTF16_ROOM(n) ((n) / 2 * 3 + 2 * UTF16_PAD)

/*
 * Bytes of a UTF-16LE text without its byte order mark. False: big-endian, odd, or not
 * UTF-16 by its second byte.
 */
bool utf16_body(struct slice *bytes);

/*
 * wide, without a byte order mark and of even length, as UTF-8 in scratch, with UTF16_PAD
 * NUL bytes behind. 0; -EILSEQ: a unit that is no character of XML 1.0 (2.2): a control
 * character, half a pair of surrogates, U+FFFE or U+FFFF; -ENOMEM: scratch is full.
 */
int utf16_narrow(struct slice wide, struct arena *scratch, struct slice *out) MUSTUSE;

/* c as UTF-8 to out[*n, room), if it has room. c is a character. */
bool utf8_put(uint32_t c, char *out, size_t *n, size_t room);

/* Char of XML 1.0, 2.2. */
static inline bool is_xml_char(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n' || c == '\r';
	return c < 0xd800 || (c >= 0xe000 && c < 0xfffe) || (c >= 0x10000 && c < 0x110000);
}

#endif
