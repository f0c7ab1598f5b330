#include "proxy/base/spare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void *blocks[100][2];

/* A list with the first n blocks in it, the surplus of before asked for. */
static struct spare filled(size_t n)
{
	struct spare s = {0};

	for (size_t i = 0; i < n; i++)
		spare_put(&s, blocks[i]);
	(void)spare_surplus(&s, 0);
	return s;
}

static void test_take_from_an_empty_list_gives_nothing(void **state)
{
	struct spare s = {0};

	(void)state;
	assert_null(spare_take(&s));
	assert_int_equal(s.n, 0);
	assert_int_equal(spare_surplus(&s, 0), 0);
}

static void test_take_gives_the_last_first(void **state)
{
	struct spare s = filled(3);

	(void)state;
	assert_ptr_equal(spare_take(&s), blocks[2]);
	spare_put(&s, blocks[7]);
	assert_int_equal(s.n, 3);
	assert_ptr_equal(spare_take(&s), blocks[7]);
	assert_ptr_equal(spare_take(&s), blocks[1]);
	assert_ptr_equal(spare_take(&s), blocks[0]);
	assert_null(spare_take(&s));
	assert_int_equal(s.n, 0);
}

static void test_surplus_is_half_of_what_was_never_needed(void **state)
{
	struct spare s = filled(100);

	(void)state;
	for (unsigned i = 0; i < 60; i++)
		(void)spare_take(&s);
	for (unsigned i = 0; i < 60; i++)
		spare_put(&s, blocks[i]);
	/* There were always 40 left. */
	assert_int_equal(spare_surplus(&s, 10), 15);
	assert_int_equal(s.n, 100);
}

static void test_surplus_ends_at_the_floor(void **state)
{
	struct spare s = filled(100);
	size_t n, rounds = 0;

	(void)state;
	while ((n = spare_surplus(&s, 16)) > 0) {
		for (; n > 0; n--)
			assert_non_null(spare_take(&s));
		rounds++;
		assert_true(rounds < 20);
	}
	assert_int_equal(s.n, 16);
	assert_int_equal(spare_surplus(&s, 16), 0);
}

/* Right after a burst nothing is known about what is needed. */
static void test_surplus_of_a_list_that_was_empty_in_between_is_none(void **state)
{
	struct spare s = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		spare_put(&s, blocks[i]);
	assert_int_equal(spare_surplus(&s, 0), 0);
	assert_int_equal(spare_surplus(&s, 0), 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take_from_an_empty_list_gives_nothing),
		cmocka_unit_test(test_take_gives_the_last_first),
		cmocka_unit_test(test_surplus_is_half_of_what_was_never_needed),
		cmocka_unit_test(test_surplus_ends_at_the_floor),
		cmocka_unit_test(test_surplus_of_a_list_that_was_empty_in_between_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
