#include "tests/tools/ccm_text.h"

#include <stdlib.h>

void ccm_text_init(struct ccm_text *t, size_t room)
{
	t->p = malloc(room);
	CHECK(t->p);
	t->n = 0;
	t->room = room;
}

void ccm_text_fini(struct ccm_text *t)
{
	free(t->p);
	*t = (struct ccm_text){0};
}

void ccm_put_number(struct ccm_text *t, uint64_t v, unsigned width)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (sizeof(digits) - at < width && at > 0)
		digits[--at] = '0';
	ccm_put(t, slice_make(digits + at, sizeof(digits) - at));
}

static void hex(uint64_t v, unsigned digits, char *out)
{
	for (unsigned i = digits; i-- > 0; v >>= 4)
		out[i] = "0123456789ABCDEF"[v & 15];
}

void ccm_put_hex(struct ccm_text *t, uint64_t v, unsigned digits)
{
	char out[16];

	CHECK(digits <= sizeof(out));
	hex(v, digits, out);
	ccm_put(t, slice_make(out, digits));
}

void ccm_put_wide(struct ccm_text *t, struct slice ascii)
{
	char *to = t->p + t->n;

	CHECK(ascii.n * 2 <= t->room - t->n);
	for (size_t i = 0; i < ascii.n; i++) {
		to[2 * i] = ascii.p[i];
		to[2 * i + 1] = 0;
	}
	t->n += ascii.n * 2;
}

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t ccm_hash(uint64_t seed, uint64_t a, uint64_t b)
{
	return mix(mix(mix(seed) ^ a) ^ b);
}

void ccm_guid(uint64_t hi, uint64_t lo, char out[37])
{
	hex(hi >> 32, 8, out);
	out[8] = '-';
	hex(hi >> 16, 4, out + 9);
	out[13] = '-';
	hex(hi, 4, out + 14);
	out[18] = '-';
	hex(lo >> 48, 4, out + 19);
	out[23] = '-';
	hex(lo, 12, out + 24);
	out[36] = '\0';
}
