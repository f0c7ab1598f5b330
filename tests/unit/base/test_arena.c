#include "proxy/base/arena.h"

#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_arena_get_aligned_and_apart(void **state)
{
	struct arena a;
	char *p, *q;

	(void)state;
	assert_int_equal(arena_init(&a, 1024), 0);
	p = arena_get(&a, 3);
	q = arena_get(&a, 5);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 16, 0);
	assert_int_equal((uintptr_t)q % 16, 0);
	assert_true(q >= p + 3);
	memset(p, 1, 3);
	memset(q, 2, 5);
	assert_int_equal(p[2], 1);
	arena_fini(&a);
	assert_null(a.base);
}

static void test_arena_get_full_refused(void **state)
{
	struct arena a;

	(void)state;
	assert_int_equal(arena_init(&a, 64), 0);
	assert_null(arena_get(&a, 65));
	assert_null(arena_get(&a, SIZE_MAX));
	assert_int_equal(a.used, 0);
	assert_non_null(arena_get(&a, 64));
	assert_null(arena_get(&a, 1));
	arena_reset(&a);
	assert_non_null(arena_get(&a, 50));
	/* 14 bytes are left, but none of them aligned. */
	assert_null(arena_get(&a, 1));
	arena_fini(&a);
}

static void test_arena_reset_same_memory_again(void **state)
{
	struct arena a;
	void *p;

	(void)state;
	assert_int_equal(arena_init(&a, 64), 0);
	p = arena_get(&a, 10);
	arena_reset(&a);
	assert_ptr_equal(arena_get(&a, 20), p);
	arena_fini(&a);
	assert_null(arena_get(&a, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena_get_aligned_and_apart),
		cmocka_unit_test(test_arena_get_full_refused),
		cmocka_unit_test(test_arena_reset_same_memory_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
