/* A set of texts, kept as 64-bit hashes: which message IDs were seen. */
#ifndef STATWEIR_TOOLS_ID_SET_H
#define STATWEIR_TOOLS_ID_SET_H

#include "proxy/base/slice.h"

struct id_set {
	uint64_t *v; /* open addressing, 0: free */
	size_t n, room;
};

/* All zero bytes is the empty set. */
void id_set_fini(struct id_set *s);
/* True if it was there already. */
bool id_set_add(struct id_set *s, struct slice id);
bool id_set_has(const struct id_set *s, struct slice id);

#endif
