/* UTF-16LE units as they lie in memory, for the utf16_*.c files only. */
#ifndef STATWEIR_FILTERS_UTF16_UNITS_H
#define STATWEIR_FILTERS_UTF16_UNITS_H

#include <stdint.h>
#include <string.h>

static inline unsigned unit(const unsigned char *p)
{
	return (unsigned)p[0] | (unsigned)p[1] << 8;
}

/*
 * Eight units at a time: a comparison gives each unit all ones or zero. first_of() is
 * the number of units before the first that has ones.
 */
typedef uint16_t units8 __attribute__((vector_size(16)));
typedef uint8_t marks8 __attribute__((vector_size(8)));

static inline units8 load8(const unsigned char *p)
{
	units8 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The same with four. */
typedef uint16_t units4 __attribute__((vector_size(8)));
typedef uint8_t marks4 __attribute__((vector_size(4)));

static inline units4 load4(const unsigned char *p)
{
	units4 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline unsigned first_of(units8 hits)
{
	marks8 marks = __builtin_convertvector(hits, marks8);
	uint64_t bits;

	memcpy(&bits, &marks, sizeof(bits));
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "units are compared as they lie in memory: little-endian machines only"
#endif
	return bits == 0 ? 8 : (unsigned)__builtin_ctzll(bits) / 8;
}

static inline unsigned first_of4(units4 hits)
{
	uint64_t bits;

	memcpy(&bits, &hits, sizeof(bits));
	return bits == 0 ? 4 : (unsigned)__builtin_ctzll(bits) / 16;
}

#endif
