#include "proxy/base/slice.h"

#include <errno.h>

bool slice_next_item(struct slice *rest, struct slice *item)
{
	const char *comma;

	if (rest->p == NULL)
		return false;
	comma = rest->n == 0 ? NULL : memchr(rest->p, ',', rest->n);
	if (comma == NULL) {
		*item = slice_trim(*rest);
		*rest = slice_make(NULL, 0);
		return true;
	}
	*item = slice_trim(slice_make(rest->p, (size_t)(comma - rest->p)));
	*rest = slice_drop(*rest, (size_t)(comma - rest->p) + 1);
	return true;
}

int slice_to_u64(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

		if (digit > 9)
			return -EINVAL;
		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*out = v;
	return 0;
}
