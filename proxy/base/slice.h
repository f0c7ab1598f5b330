/*
 * A slice is a string as a value: pointer and length, never NUL-terminated and
 * never owned. It must not outlive the bytes it points to.
 */
#ifndef STATWEIR_BASE_SLICE_H
#define STATWEIR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

/* A slice of a string literal. */
#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})

/* printf("%.*s", SLICE_ARG(s)): only where s.n is known to fit an int. */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_make(const char *p, size_t n)
{
	return (struct slice){p, n};
}

static inline struct slice slice_str(const char *cstr)
{
	return (struct slice){cstr, strlen(cstr)};
}

static inline char slice_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, b.n) == 0);
}

/* Equal but for the case of ASCII letters. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != b.p[i] && slice_lower(a.p[i]) != slice_lower(b.p[i]))
			return false;
	return true;
}

/* Starts with, ignoring the case of ASCII letters. */
static inline bool slice_istarts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_ieq(slice_make(s.p, prefix.n), prefix);
}

static inline struct slice slice_drop(struct slice s, size_t n)
{
	return n >= s.n ? slice_make(s.p + s.n, 0) : slice_make(s.p + n, s.n - n);
}

/* Without leading and trailing SP and HTAB (OWS of RFC 9110 5.6.3). */
static inline struct slice slice_trim(struct slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_drop(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/*
 * Cut the next element off a comma-separated list: returns false at the end of
 * *rest, else *item is the element without its surrounding OWS (perhaps empty).
 */
bool slice_next_item(struct slice *rest, struct slice *item);

/* Unsigned decimal 1*DIGIT into *out. 0, -EINVAL (empty, sign, other bytes) or -ERANGE. */
int slice_to_u64(struct slice s, uint64_t *out);

#endif
