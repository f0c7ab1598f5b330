/*
 * Sixteen bytes looked at together. A mask has a bit for each of them, the lowest for the
 * first. SSE2 is part of every x86-64; elsewhere the compiler makes what it can of it.
 */
#ifndef STATWEIR_FILTERS_BYTES16_H
#define STATWEIR_FILTERS_BYTES16_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

typedef __m128i bytes16;

static inline bytes16 bytes16_load(const void *p)
{
	return _mm_loadu_si128(p);
}

static inline bytes16 bytes16_of(char c)
{
	return _mm_set1_epi8(c);
}

static inline bytes16 bytes16_eq(bytes16 a, bytes16 b)
{
	return _mm_cmpeq_epi8(a, b);
}

static inline bytes16 bytes16_or(bytes16 a, bytes16 b)
{
	return _mm_or_si128(a, b);
}

/* from <= byte <= from + width, unsigned. */
static inline bytes16 bytes16_within(bytes16 v, char from, char width)
{
	bytes16 d = _mm_sub_epi8(v, bytes16_of(from));

	return bytes16_eq(_mm_min_epu8(d, bytes16_of(width)), d);
}

static inline unsigned bytes16_mask(bytes16 v)
{
	return (unsigned)_mm_movemask_epi8(v);
}

/* Sixteen units of UTF-16LE as bytes. False: not all of them are ASCII. */
static inline bool bytes16_narrow(const void *wide, bytes16 *out)
{
	bytes16 a = bytes16_load(wide), b = bytes16_load((const char *)wide + 16);
	bytes16 upper = _mm_and_si128(_mm_or_si128(a, b), _mm_set1_epi16((short)0xff80));

	*out = _mm_packus_epi16(a, b);
	return bytes16_mask(bytes16_eq(upper, _mm_setzero_si128())) == 0xffff;
}

#else

typedef struct {
	uint8_t b[16];
} bytes16;

static inline bytes16 bytes16_load(const void *p)
{
	bytes16 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline bytes16 bytes16_of(char c)
{
	bytes16 v;

	memset(&v, c, sizeof(v));
	return v;
}

static inline bytes16 bytes16_eq(bytes16 a, bytes16 b)
{
	for (unsigned i = 0; i < 16; i++)
		a.b[i] = a.b[i] == b.b[i] ? 0xff : 0;
	return a;
}

static inline bytes16 bytes16_or(bytes16 a, bytes16 b)
{
	for (unsigned i = 0; i < 16; i++)
		a.b[i] |= b.b[i];
	return a;
}

static inline bytes16 bytes16_within(bytes16 v, char from, char width)
{
	for (unsigned i = 0; i < 16; i++)
		v.b[i] = (uint8_t)(v.b[i] - (uint8_t)from) <= (uint8_t)width ? 0xff : 0;
	return v;
}

static inline unsigned bytes16_mask(bytes16 v)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < 16; i++)
		mask |= (unsigned)(v.b[i] & 1) << i;
	return mask;
}

static inline bool bytes16_narrow(const void *wide, bytes16 *out)
{
	const uint8_t *p = wide;
	unsigned upper = 0;

	for (unsigned i = 0; i < 16; i++) {
		out->b[i] = p[2 * i];
		upper |= p[2 * i + 1] | (p[2 * i] & 0x80u);
	}
	return upper == 0;
}

#endif

/* Bytes before the first that mask has; mask is not 0. */
static inline unsigned bytes16_first(unsigned mask)
{
	return (unsigned)__builtin_ctz(mask);
}

#endif
