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

static void test_recent_full_forgets_and_keeps_the_newest(void **state)
{
	struct recent *r = recent_open(folder);
	unsigned kept = 0;

	(void)state;
	for (uint64_t i = 0; i < 200000; i++) {
		uint64_t key = recent_key(SLICE("GUID:1"), i * UINT64_C(0x9e3779b97f4a7c15));

		recent_put(r, key);
		assert_true(recent_has(r, key));
	}
	for (uint64_t i = 0; i < 200000; i++)
		kept += recent_has(r,
				   recent_key(SLICE("GUID:1"), i * UINT64_C(0x9e3779b97f4a7c15)));
	assert_in_range(kept, 60000, 65536);
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
		cmocka_unit_test_setup_teardown(test_recent_full_forgets_and_keeps_the_newest,
						make_folder, remove_folder),
		cmocka_unit_test(test_recent_without_a_folder_works_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
