#include "tests/tools/id_set.h"

#include "tests/tools/ccm_text.h"

#include <stdlib.h>

static uint64_t hash(struct slice id)
{
	uint64_t h = id.n, word;

	for (size_t i = 0; i < id.n; i += 8) {
		word = 0;
		memcpy(&word, id.p + i, id.n - i < 8 ? id.n - i : 8);
		h = ccm_hash(h, word, i);
	}
	return h | 1;
}

/* Where h is or would be. */
static size_t place(const uint64_t *v, size_t room, uint64_t h)
{
	size_t i = (h >> 1) & (room - 1);

	while (v[i] != 0 && v[i] != h)
		i = (i + 1) & (room - 1);
	return i;
}

static void grow(struct id_set *s)
{
	size_t room = s->room ? s->room * 2 : 65536;
	uint64_t *v = calloc(room, sizeof(*v));

	CHECK(v);
	for (size_t i = 0; i < s->room; i++)
		if (s->v[i] != 0)
			v[place(v, room, s->v[i])] = s->v[i];
	free(s->v);
	s->v = v;
	s->room = room;
}

void id_set_fini(struct id_set *s)
{
	free(s->v);
	*s = (struct id_set){0};
}

bool id_set_add(struct id_set *s, struct slice id)
{
	uint64_t h = hash(id);
	size_t i;

	if (s->n * 2 >= s->room)
		grow(s);
	i = place(s->v, s->room, h);
	if (s->v[i] != 0)
		return true;
	s->v[i] = h;
	s->n++;
	return false;
}

bool id_set_has(const struct id_set *s, struct slice id)
{
	uint64_t h = hash(id);

	return s->room > 0 && s->v[place(s->v, s->room, h)] == h;
}
