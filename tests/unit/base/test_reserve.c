/* What is left when an allocation fails for good; that one is tried again, test_x_nth.py shows. */
#include "proxy/base/reserve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The sanitizer's allocator ends the process otherwise. */
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* More than there is, behind a variable: the compiler knows better. */
static volatile size_t too_much = SIZE_MAX / 4;

static void test_reserve_malloc_gives_memory(void **state)
{
	char *p;

	(void)state;
	assert_int_equal(reserve_fill(), 0);
	p = reserve_malloc(5);
	assert_non_null(p);
	memcpy(p, "text", 5);
	p = reserve_realloc(p, 50000);
	assert_string_equal(p, "text");
	free(p);
	reserve_fini();
}

static void test_reserve_too_much_is_null_and_reserve_filled_again(void **state)
{
	char *p = malloc(5), *moved;

	(void)state;
	memcpy(p, "text", 5);
	assert_int_equal(reserve_fill(), 0);
	assert_null(reserve_malloc(too_much));
	/* Without a reserve too. */
	assert_null(reserve_malloc(too_much));
	moved = reserve_realloc(p, too_much);
	assert_null(moved);
	assert_string_equal(p, "text");
	free(p);
	assert_int_equal(reserve_fill(), 0);
	assert_int_equal(reserve_fill(), 0);
	reserve_fini();
	reserve_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reserve_malloc_gives_memory),
		cmocka_unit_test(test_reserve_too_much_is_null_and_reserve_filled_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
