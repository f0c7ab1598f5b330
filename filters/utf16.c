#include "filters/utf16.h"

#include "filters/bytes16.h"

#include <errno.h>

static inline unsigned unit(const unsigned char *p)
{
	return (unsigned)p[0] | (unsigned)p[1] << 8;
}

bool utf16_body(struct slice *bytes)
{
	const unsigned char *p = (const unsigned char *)bytes->p;

	if (bytes->n < 4 || bytes->n % 2 != 0)
		return false;
	if (p[0] == 0xff && p[1] == 0xfe) {
		*bytes = slice_drop(*bytes, 2);
		p += 2;
	}
	return p[1] == 0 && p[0] < 0x80;
}

bool utf8_put(uint32_t c, char *out, size_t *n, size_t room)
{
	unsigned bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (room - *n < bytes)
		return false;
	if (bytes == 1) {
		out[(*n)++] = (char)c;
		return true;
	}
	for (unsigned i = bytes - 1; i > 0; i--) {
		out[*n + i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	out[*n] = (char)((0xf0u << (4 - bytes)) | c);
	*n += bytes;
	return true;
}

/* The character at p, which takes 1 or 2 units; 0: none that may stand in XML. */
static unsigned read_char(const unsigned char *p, const unsigned char *end, uint32_t *out)
{
	unsigned first = unit(p), second;

	*out = first;
	if (first < 0xd800 || first >= 0xe000)
		return is_xml_char(first);
	if (first >= 0xdc00 || end - p < 4)
		return 0;
	second = unit(p + 2);
	if (second < 0xdc00 || second >= 0xe000)
		return 0;
	*out = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
	return 2;
}

/* Most texts are ASCII without line ends: sixteen units at a time. How many were taken. */
static size_t narrow_plain(const unsigned char *p, const unsigned char *end, char *out)
{
	size_t n = 0;
	bytes16 v;

	for (; end - p >= 32; p += 32, n += 16) {
		if (!bytes16_narrow(p, &v) || bytes16_mask(bytes16_within(v, 0, 0x1f)) != 0)
			break;
		memcpy(out + n, &v, sizeof(v));
	}
	return n;
}

int utf16_narrow(struct slice wide, struct arena *scratch, struct slice *out)
{
	const unsigned char *p = (const unsigned char *)wide.p, *end = p + wide.n, *stop;
	size_t room = UTF16_ROOM(wide.n) - UTF16_PAD, n = 0;
	char *text = arena_get(scratch, room);
	uint32_t c;

	if (text == NULL)
		return -ENOMEM;
	while (p < end) {
		size_t plain = narrow_plain(p, end, text + n);

		p += 2 * plain;
		n += plain;
		/* Up to where sixteen can be tried again. */
		for (stop = end - p > 32 ? p + 32 : end; p < stop;) {
			unsigned units = read_char(p, end, &c);

			if (units == 0)
				return -EILSEQ;
			CHECK(utf8_put(c, text, &n, room));
			p += 2 * units;
		}
	}
	memset(text + n, 0, UTF16_PAD);
	arena_trim(scratch, text, n + UTF16_PAD);
	*out = slice_make(text, n);
	return 0;
}
