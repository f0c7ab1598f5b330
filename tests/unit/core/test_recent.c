#include "proxy/core/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/statweir-test-XXXXXX");
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/recent", folder);
	unlink(path);
	return rmdir(folder);
}

static void test_recent_put_is_found_until_dropped(void **state)
{
	struct recent *r = recent_open(folder);
	uint64_t a = recent_key(SLICE("GUID:1"), 7), b = recent_key(SLICE("GUID:2"), 7);

	(void)state;
	assert_int_not_equal(a, b);
	assert_false(recent_has(r, a));
	recent_put(r, a);
	recent_put(r, a);
	assert_true(recent_has(r, a));
	assert_false(recent_has(r, b));
	recent_drop(r, a);
	recent_drop(r, b);
	assert_false(recent_has(r, a));
	recent_close(r);
}

static void test_recent_shared_and_kept(void **state)
{
	struct recent *one = recent_open(folder), *two = recent_open(folder);

	(void)state;
	recent_put(one, 42);
	assert_true(recent_has(two, 42));
	recent_close(one);
	recent_close(two);
	one = recent_open(folder);
	assert_true(recent_has(one, 42));
	recent_close(one);
}

static uint64_t nth_key(uint64_t i)
{
	return recent_key(SLICE("GUID:1"), i * UINT64_C(0x9e3779b97f4a7c15));
}

static unsigned n_kept(const struct recent *r, uint64_t from, uint64_t to)
{
	unsigned n = 0;

	for (uint64_t i = from; i < to; i++)
		n += recent_has(r, nth_key(i));
	return n;
}

static void test_recent_full_forgets_the_oldest(void **state)
{
	const uint64_t n = 400000;
	struct recent *r = recent_open(folder);

	(void)state;
	for (uint64_t i = 0; i < n; i++) {
		recent_put(r, nth_key(i));
		assert_true(recent_has(r, nth_key(i)));
	}
	assert_in_range(n_kept(r, n - 1000, n), 1000, 1000);
	assert_in_range(n_kept(r, n - 20000, n), 19980, 20000);
	assert_in_range(n_kept(r, 0, n), 110000, 16384 * 7);
	assert_in_range(n_kept(r, 0, n - 300000), 0, 20);
	recent_close(r);
}

/* A place that was given back is not the next one: what was put last would go first. */
static void test_recent_after_a_drop_the_newest_stays(void **state)
{
	struct recent *r = recent_open(folder);
	const uint64_t same = UINT64_C(1) << 32; /* all in one bucket */

	(void)state;
	for (uint64_t i = 1; i <= 7; i++)
		recent_put(r, i * same);
	recent_drop(r, 1 * same);
	recent_put(r, 8 * same);
	recent_put(r, 9 * same);
	assert_true(recent_has(r, 8 * same));
	assert_true(recent_has(r, 9 * same));
	assert_false(recent_has(r, 2 * same));
	assert_true(recent_has(r, 3 * same));
	recent_close(r);
}

static void test_recent_without_a_folder_works_alone(void **state)
{
	struct recent *r = recent_open("/nonexistent/folder");

	(void)state;
	assert_non_null(r);
	recent_put(r, 42);
	assert_true(recent_has(r, 42));
	recent_close(r);
	recent_put(NULL, 42);
	recent_drop(NULL, 42);
	assert_false(recent_has(NULL, 42));
	recent_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_recent_put_is_found_until_dropped, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_recent_shared_and_kept, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_recent_full_forgets_the_oldest, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_recent_after_a_drop_the_newest_stays,
						make_folder, remove_folder),
		cmocka_unit_test(test_recent_without_a_folder_works_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
