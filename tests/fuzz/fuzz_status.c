/*
 * Any bytes as a status payload: the same answer twice and with less room, and what is
 * recognised holds for expat too: kind, number, severity, client and rule.
 */
#include "filters/status.h"

#include "tests/fuzz/fuzz_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct slice wide, enum doubt doubt, const struct status *s)
{
	struct status again;
	struct arena small;
	enum doubt other;

	CHECK(arena_init(&small, status_filter_scratch(fuzz_filter())) == 0);
	CHECK(status_read(fuzz_filter(), wide, &small, &again) == doubt);
	if (doubt == DOUBT_NONE)
		CHECK(slice_eq(s->client, again.client) && slice_eq(s->rule, again.rule));
	/* As if no more than that many bytes were left. */
	small.used = small.size - wide.n % 97;
	other = status_read(fuzz_filter(), wide, &small, &again);
	CHECK(other == doubt || other == DOUBT_NO_ROOM);
	arena_fini(&small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tree tree;
	struct slice in = slice_make((const char *)data, size), wide;
	unsigned options = fuzz_options(&in);
	struct status s;
	enum doubt doubt;

	wide = fuzz_wide(in, options);
	doubt = status_read(fuzz_filter(), wide, fuzz_scratch(), &s);
	if (doubt == DOUBT_NONE)
		oracle_check_status(&tree, fuzz_unmarked(wide), &s);
	check_again(wide, doubt, &s);
	fuzz_free(wide);
	return 0;
}
