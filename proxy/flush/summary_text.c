#include "proxy/flush/summary_text.h"

#include <string.h>

#define REPLACEMENT 0xfffdu

/*
 * Decode the first character of s (not empty). Returns its length in bytes, or 0 if
 * the first byte begins none: overlong forms, surrogates and U+FFFE, U+FFFF (which XML
 * forbids) count as none.
 */
static unsigned decode(struct slice s, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)s.p[0];
	unsigned len = first < 0x80   ? 1
		       : first < 0xc2 ? 0
		       : first < 0xe0 ? 2
		       : first < 0xf0 ? 3
		       : first < 0xf5 ? 4
				      : 0;
	uint32_t v;

	if (len == 0 || len > s.n)
		return 0;
	v = len == 1 ? first : first & (0x7fu >> len);
	for (unsigned i = 1; i < len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (c & 0x3f);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ||
	    (v & 0xfffe) == 0xfffe)
		return 0;
	*code = v;
	return len;
}

static bool is_plain(uint32_t code, const char *also)
{
	if (code >= 0x80)
		return code >= 0xa0;
	return code >= 0x20 && code != 0x7f && code != '%' && strchr(also, (int)code) == NULL;
}

size_t text_put_clean(struct strbuf *out, struct slice s, const char *also, size_t max_units)
{
	size_t units = 0;

	while (s.n > 0) {
		uint32_t code = 0;
		unsigned len = decode(s, &code);
		bool as_is = len > 0 && is_plain(code, also);
		unsigned n = len > 0 ? len : 1;
		size_t need = !as_is ? 3 * (size_t)n : code > 0xffff ? 2 : 1;

		if (units + need > max_units)
			break;
		if (as_is)
			strbuf_put(out, slice_make(s.p, n));
		else
			for (unsigned i = 0; i < n; i++)
				strbuf_printf(out, "%%%02X", (unsigned)(unsigned char)s.p[i]);
		units += need;
		s = slice_drop(s, n);
	}
	return units;
}

void text_put_xml(struct strbuf *out, struct slice s)
{
	static const char special[] = "<>&\"'";
	static const char *const entity[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&apos;"};
	size_t from = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] != '\0' ? strchr(special, s.p[i]) : NULL;

		if (at == NULL)
			continue;
		strbuf_put(out, slice_make(s.p + from, i - from));
		strbuf_put_str(out, entity[at - special]);
		from = i + 1;
	}
	strbuf_put(out, slice_make(s.p + from, s.n - from));
}

static void put_unit(struct strbuf *out, uint32_t unit)
{
	char b[2] = {(char)(unit & 0xff), (char)(unit >> 8)};

	strbuf_put(out, slice_make(b, 2));
}

void text_put_utf16(struct strbuf *out, struct slice s)
{
	while (s.n > 0) {
		uint32_t code = 0;
		unsigned len = decode(s, &code);

		if (len == 0) {
			/* Cannot come from text_put_clean(); an operator's setting might. */
			code = REPLACEMENT;
			len = 1;
		}
		if (code > 0xffff) {
			put_unit(out, 0xd800 + ((code - 0x10000) >> 10));
			put_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff));
		} else {
			put_unit(out, code);
		}
		s = slice_drop(s, len);
	}
}
