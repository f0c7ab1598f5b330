/* A <Status> asked about, for the tests of filters/status.c. */
#ifndef STATWEIR_TESTS_UNIT_FILTERS_TRY_STATUS_H
#define STATWEIR_TESTS_UNIT_FILTERS_TRY_STATUS_H

#include "filters/status.h"

#include "tests/unit/filters/try.h"

#define TYPE  TRY_OF_TYPE(TRY_TYPE)
#define RULE  TRY_PROPERTIES(TRY_IS_RULE)
#define ID(n) TRY_QUALIFIERS(TRY_QUALIFIER("SMS_MessageID", n))
/* A rule's status with more properties, or with other qualifiers. */
#define WITH(properties) TRY_STATUS_OF(TRY_IS_RULE properties, TRY_IS_NUMBER)
#define SAYS(qualifiers) TRY_STATUS_OF(TRY_IS_RULE, qualifiers)
/* With a rule known by its properties alone. */
#define NAMELESS(properties) TRY_STATUS_OF(properties, TRY_IS_NUMBER)

struct fixture {
	struct status_filter f;
	struct arena scratch;
	struct try_bytes bytes;
	struct status s;
};

static inline int begin(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->f = try_filter();
	assert_int_equal(arena_init(&x->scratch, 65536), 0);
	try_bytes_init(&x->bytes);
	*state = x;
	return 0;
}

static inline int end(void **state)
{
	struct fixture *x = *state;

	try_bytes_fini(&x->bytes);
	arena_fini(&x->scratch);
	free(x);
	return 0;
}

/* The answer about x->bytes; x->s holds nothing of them. */
static inline enum doubt ask(struct fixture *x)
{
	char *bytes = try_exact(try_slice(&x->bytes));
	enum doubt doubt;

	arena_reset(&x->scratch);
	doubt = status_read(&x->f, slice_make(bytes, x->bytes.n), &x->scratch, &x->s);
	free(bytes);
	return doubt;
}

static inline enum doubt ask_text(struct fixture *x, const char *xml)
{
	x->bytes.n = 0;
	try_put_wide(&x->bytes, xml);
	return ask(x);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, begin, end)

#endif
