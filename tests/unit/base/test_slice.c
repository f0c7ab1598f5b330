#include "proxy/base/slice.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool is(struct slice s, const char *want)
{
	return slice_eq(s, slice_str(want));
}

static void test_slice_eq_lengths_and_bytes(void **state)
{
	(void)state;
	assert_true(slice_eq(SLICE("abc"), slice_make("abcd", 3)));
	assert_true(slice_eq(slice_make(NULL, 0), SLICE("")));
	assert_false(slice_eq(SLICE("abc"), SLICE("ab")));
	assert_false(slice_eq(SLICE("abc"), SLICE("abC")));
	assert_true(slice_eq(SLICE("a\0b"), slice_make("a\0b", 3)));
	assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
}

static void test_slice_ieq_ascii_letters_only(void **state)
{
	(void)state;
	assert_true(slice_ieq(SLICE("Content-LENGTH"), SLICE("content-length")));
	assert_false(slice_ieq(SLICE("@[`{"), SLICE("`{@[")));
	assert_false(slice_ieq(SLICE("\xc4"), SLICE("\xe4")));
	assert_false(slice_ieq(SLICE("a"), SLICE("aa")));
	assert_true(slice_istarts(SLICE("Multipart/Mixed; x"), SLICE("multipart/mixed")));
	assert_true(slice_istarts(SLICE("a"), SLICE("")));
	assert_false(slice_istarts(SLICE("mult"), SLICE("multi")));
}

static void test_slice_drop_never_past_the_end(void **state)
{
	struct slice s = SLICE("abc");

	(void)state;
	assert_true(is(slice_drop(s, 0), "abc"));
	assert_true(is(slice_drop(s, 2), "c"));
	assert_int_equal(slice_drop(s, 3).n, 0);
	assert_int_equal(slice_drop(s, 99).n, 0);
	assert_ptr_equal(slice_drop(s, 99).p, s.p + 3);
}

static void test_slice_trim_space_and_tab_only(void **state)
{
	(void)state;
	assert_true(is(slice_trim(SLICE(" \t a b\t ")), "a b"));
	assert_true(is(slice_trim(SLICE("\ra\n")), "\ra\n"));
	assert_int_equal(slice_trim(SLICE(" \t ")).n, 0);
	assert_int_equal(slice_trim(slice_make(NULL, 0)).n, 0);
}

static const struct {
	const char *list;
	const char *items[5];
} lists[] = {
	{"a", {"a"}},
	{"a,b", {"a", "b"}},
	{" a ,\tb c ", {"a", "b c"}},
	{"a,,b", {"a", "", "b"}},
	{"a,", {"a", ""}},
	{",", {"", ""}},
	{"", {""}},
	{" , ", {"", ""}},
};

static void test_slice_next_item_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct slice rest = slice_str(lists[i].list), item;
		unsigned n = 0;

		while (slice_next_item(&rest, &item)) {
			assert_non_null(lists[i].items[n]);
			assert_true(is(item, lists[i].items[n]));
			n++;
		}
		assert_null(lists[i].items[n]);
		assert_false(slice_next_item(&rest, &item));
	}
}

static void test_slice_to_u64_table(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t v;
	} t[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"0x1", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"\xb2", -EINVAL, 0},
		{"/", -EINVAL, 0},
		{":", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t v = 42;

		assert_int_equal(slice_to_u64(slice_str(t[i].text), &v), t[i].rc);
		assert_int_equal(v, t[i].rc == 0 ? t[i].v : 42);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slice_eq_lengths_and_bytes),
		cmocka_unit_test(test_slice_ieq_ascii_letters_only),
		cmocka_unit_test(test_slice_drop_never_past_the_end),
		cmocka_unit_test(test_slice_trim_space_and_tab_only),
		cmocka_unit_test(test_slice_next_item_table),
		cmocka_unit_test(test_slice_to_u64_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
