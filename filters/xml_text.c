#include "filters/utf16.h"
#include "filters/xml_scan.h"

static int digit_of(char c, unsigned base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (base == 16 && c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The digits of a character reference at p, ';' and all; the bytes used, or 0. */
static size_t read_number(const char *p, unsigned base, uint32_t *out)
{
	const char *from = p;
	uint32_t c = 0;
	int d;

	for (; (d = digit_of(*p, base)) >= 0; p++) {
		if (p - from >= 8)
			return 0;
		c = c * base + (uint32_t)d;
	}
	if (p == from || *p != ';' || !is_xml_char(c))
		return 0;
	*out = c;
	return (size_t)(p - from) + 1;
}

size_t scan_reference(const char *p, uint32_t *out)
{
	static const struct {
		struct slice name;
		char c;
	} known[] = {{{"amp;", 4}, '&'},
		     {{"lt;", 3}, '<'},
		     {{"gt;", 3}, '>'},
		     {{"quot;", 5}, '"'},
		     {{"apos;", 5}, '\''}};
	bool is_hex;
	size_t n;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strncmp(p + 1, known[i].name.p, known[i].name.n) == 0) {
			*out = (unsigned char)known[i].c;
			return known[i].name.n + 1;
		}
	if (p[1] != '#')
		return 0;
	is_hex = p[2] == 'x';
	n = read_number(p + 2 + is_hex, is_hex ? 16 : 10, out);
	return n == 0 ? 0 : n + 2 + is_hex;
}

bool scan_decode(struct slice text, char *out, size_t *n, size_t room)
{
	while (text.n > 0) {
		const char *at = memchr(text.p, '&', text.n);
		size_t plain = at != NULL ? (size_t)(at - text.p) : text.n, used;
		uint32_t c;

		if (plain > room - *n)
			return false;
		memcpy(out + *n, text.p, plain);
		*n += plain;
		if (at == NULL)
			break;
		used = scan_reference(at, &c);
		CHECK(used > 0);
		if (!utf8_put(c, out, n, room))
			return false;
		text = slice_drop(text, plain + used);
	}
	return true;
}
