#include "filters/utf16_scan.h"

#include "filters/utf16_units.h"

static int digit_of(unsigned u, unsigned base)
{
	if (u >= '0' && u <= '9')
		return (int)(u - '0');
	if (base == 16 && u >= 'a' && u <= 'f')
		return (int)(u - 'a') + 10;
	if (base == 16 && u >= 'A' && u <= 'F')
		return (int)(u - 'A') + 10;
	return -1;
}

static bool is_xml_char(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n' || c == '\r';
	return c < 0xd800 || (c >= 0xe000 && c < 0xfffe) || (c >= 0x10000 && c < 0x110000);
}

/* The digits of a character reference between p and end, ';' and all; the units used, or 0. */
static size_t read_number(const unsigned char *p, const unsigned char *end, unsigned base,
			  uint32_t *out)
{
	const unsigned char *from = p;
	unsigned n_digits = 0;
	uint32_t c = 0;
	int d;

	for (; p < end && (d = digit_of(unit(p), base)) >= 0; p += 2, n_digits++) {
		if (n_digits >= 8)
			return 0;
		c = c * base + (uint32_t)d;
	}
	if (n_digits == 0 || p >= end || unit(p) != ';' || !is_xml_char(c))
		return 0;
	*out = c;
	return (size_t)(p - from) / 2 + 1;
}

size_t text16_reference(const unsigned char *p, const unsigned char *end, uint32_t *out)
{
	static const struct {
		struct slice name;
		char c;
	} known[] = {{{"amp;", 4}, '&'},
		     {{"lt;", 3}, '<'},
		     {{"gt;", 3}, '>'},
		     {{"quot;", 5}, '"'},
		     {{"apos;", 5}, '\''}};
	size_t left = (size_t)(end - p) / 2 - 1, n;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		n = known[i].name.n;
		if (left >= n && text16_same((struct text16){p + 2, n}, known[i].name.p)) {
			*out = (unsigned char)known[i].c;
			return n + 1;
		}
	}
	if (left < 2 || unit(p + 2) != '#')
		return 0;
	if (unit(p + 4) == 'x') {
		n = read_number(p + 6, end, 16, out);
		return n == 0 ? 0 : n + 3;
	}
	n = read_number(p + 4, end, 10, out);
	return n == 0 ? 0 : n + 2;
}

/* Four units at p, and the four characters at ascii. */
static inline bool same4(const unsigned char *p, const char *ascii)
{
	uint64_t differ;
	marks4 c;
	units4 v;

	memcpy(&c, ascii, sizeof(c));
	v = load4(p) ^ __builtin_convertvector(c, units4);
	memcpy(&differ, &v, sizeof(differ));
	return differ == 0;
}

bool text16_same(struct text16 t, const char *ascii)
{
	size_t i = 0;

	for (; i + 4 <= t.n; i += 4)
		if (!same4(t.p + 2 * i, ascii + i))
			return false;
	if (t.n >= 4) /* once more the last four, some of them again */
		return same4(t.p + 2 * t.n - 8, ascii + t.n - 4);
	for (; i < t.n; i++)
		if (unit(t.p + 2 * i) != (unsigned char)ascii[i])
			return false;
	return true;
}

bool text16_ieq(struct text16 t, struct slice ascii)
{
	if (t.n != ascii.n)
		return false;
	for (size_t i = 0; i < t.n; i++) {
		unsigned u = unit(t.p + 2 * i);

		if (u >= 128 || slice_lower((char)u) != slice_lower(ascii.p[i]))
			return false;
	}
	return true;
}

static bool put_utf8(uint32_t c, char *out, size_t *n, size_t room)
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

/* The units from p on that are ASCII and no '&', as bytes to out; how many. */
static size_t copy_plain(const unsigned char *p, const unsigned char *end, char *out, size_t room)
{
	size_t done = 0;

	while (end - p >= 16 && room - done >= 8) {
		units8 v = load8(p);
		marks8 bytes = __builtin_convertvector(v, marks8);
		unsigned n = first_of((units8)((v > 0x7f) | (v == '&')));

		memcpy(out + done, &bytes, sizeof(bytes));
		done += n;
		p += (size_t)2 * n;
		if (n < 8)
			return done;
	}
	if (end - p >= 8 && room - done >= 4) {
		units4 v = load4(p);
		marks4 bytes = __builtin_convertvector(v, marks4);

		memcpy(out + done, &bytes, sizeof(bytes));
		done += first_of4((units4)((v > 0x7f) | (v == '&')));
	}
	return done;
}

bool text16_decode(struct text16 t, bool is_raw, char *out, size_t *n, size_t room)
{
	const unsigned char *p = t.p, *end = t.p + 2 * t.n;

	while (p < end) {
		size_t units = copy_plain(p, end, out + *n, room - *n);
		uint32_t c;

		*n += units;
		p += 2 * units;
		if (p == end)
			break;
		c = unit(p);
		units = 1;
		if (c == '&' && !is_raw) {
			units = text16_reference(p, end, &c);
			CHECK(units > 0);
		} else if (c >= 0xd800 && c < 0xdc00) {
			c = 0x10000 + ((c - 0xd800) << 10) + (unit(p + 2) - 0xdc00);
			units = 2;
		}
		if (!put_utf8(c, out, n, room))
			return false;
		p += 2 * units;
	}
	return true;
}
