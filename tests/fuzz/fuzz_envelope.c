/*
 * Any bytes as an envelope: the same answer twice and with less room, and what is
 * accepted holds for expat too, value by value.
 */
#include "filters/envelope.h"

#include "tests/fuzz/fuzz_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct envelope *a, const struct envelope *b)
{
	CHECK(slice_eq(a->id, b->id) && slice_eq(a->source_id, b->source_id));
	CHECK(slice_eq(a->source_host, b->source_host));
	CHECK(slice_eq(a->schema_version, b->schema_version));
	CHECK(slice_eq(a->reply_compression, b->reply_compression));
	CHECK(a->hook == b->hook && a->offset == b->offset && a->length == b->length);
}

static void check_again(struct slice wide, enum doubt doubt, const struct envelope *e)
{
	struct envelope again;
	struct arena small;
	enum doubt other;

	CHECK(arena_init(&small, 65536) == 0);
	CHECK(envelope_read(fuzz_filter(), wide, &small, &again) == doubt);
	if (doubt == DOUBT_NONE)
		check_same(e, &again);
	/* As if no more than that many bytes were left. */
	small.used = small.size - wide.n % 97;
	other = envelope_read(fuzz_filter(), wide, &small, &again);
	CHECK(other == doubt || other == DOUBT_NO_ROOM);
	arena_fini(&small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tree tree;
	struct slice in = slice_make((const char *)data, size), wide;
	unsigned options = fuzz_options(&in);
	struct envelope e;
	enum doubt doubt;

	wide = fuzz_wide(in, options);
	doubt = envelope_read(fuzz_filter(), wide, fuzz_scratch(), &e);
	if (doubt == DOUBT_NONE)
		oracle_check_envelope(&tree, fuzz_unmarked(wide), &e);
	check_again(wide, doubt, &e);
	fuzz_free(wide);
	return 0;
}
