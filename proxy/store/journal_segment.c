#include "proxy/store/journal_segment.h"

#include <errno.h>
#include <stdlib.h>

enum {
	SLOT = 64,
	MARKS_MIN = 64
};

struct journal_segment *journal_segment_new(const struct journal_header *h)
{
	struct journal_segment *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->header = *h;
	s->fd = -1;
	s->off = JOURNAL_HEADER_BYTES;
	journal_name_put(s->name, h->first, h->generation, "seg");
	return s;
}

void journal_segment_free(struct journal_segment *s)
{
	free(s->marks);
	free(s);
}

static int reserve_slots(struct journal_segment *s, size_t room)
{
	struct journal_marks *more;

	if (room <= s->room_marks)
		return 0;
	more = realloc(s->marks, room * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	s->marks = more;
	s->room_marks = room;
	return 0;
}

int journal_segment_reserve(struct journal_segment *s, uint64_t n)
{
	return reserve_slots(s, (size_t)(n / SLOT + 1));
}

int journal_segment_note(struct journal_segment *s, uint64_t place, int64_t at_ms)
{
	size_t slot = (size_t)(place / SLOT);

	if (slot < s->n_marks)
		return 0;
	CHECK(slot == s->n_marks);
	if (slot >= s->room_marks &&
	    reserve_slots(s, s->room_marks > 0 ? s->room_marks * 2 : MARKS_MIN) < 0)
		return -ENOMEM;
	s->marks[slot] = (struct journal_marks){0, at_ms};
	s->n_marks++;
	return 0;
}

void journal_segment_extend(struct journal_segment *s, const uint8_t *p, size_t n)
{
	for (size_t at = 0; at < n; at += journal_record_span(p + at)) {
		if (s->n % SLOT == 0)
			CHECK(journal_segment_note(s, s->n, journal_record_at(p + at)) == 0);
		s->n++;
	}
}

bool journal_segment_is_marked(const struct journal_segment *s, uint64_t place)
{
	size_t slot = (size_t)(place / SLOT);

	return slot < s->n_marks && (s->marks[slot].applied >> (place % SLOT) & 1) != 0;
}

bool journal_segment_mark(struct journal_segment *s, uint64_t place, int64_t now_ms)
{
	size_t slot = (size_t)(place / SLOT);

	if (slot >= s->n_marks || journal_segment_is_marked(s, place))
		return false;
	s->marks[slot].applied |= UINT64_C(1) << (place % SLOT);
	s->n_applied++;
	s->last_applied_ms = now_ms;
	return true;
}

void journal_segment_unmark(struct journal_segment *s, uint64_t place)
{
	for (size_t slot = (size_t)(place / SLOT); slot < s->n_marks; slot++) {
		uint64_t kept = slot == place / SLOT ? (UINT64_C(1) << (place % SLOT)) - 1 : 0;
		uint64_t gone = s->marks[slot].applied & ~kept;

		s->n_applied -= (uint64_t)__builtin_popcountll(gone);
		s->marks[slot].applied &= kept;
	}
	if (s->low > place / SLOT)
		s->low = (size_t)(place / SLOT);
}

int64_t journal_segment_oldest(struct journal_segment *s)
{
	while (s->low < s->n_marks && s->marks[s->low].applied == UINT64_MAX)
		s->low++;
	return s->low < s->n_marks ? s->marks[s->low].at_ms : s->first_at_ms;
}
