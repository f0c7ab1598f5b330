#include "proxy/base/strbuf.h"

#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool is(const struct strbuf *b, const char *want)
{
	return strbuf_ok(b) && slice_eq(strbuf_slice(b), slice_str(want));
}

static void test_strbuf_put_appends(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 1000);
	assert_null(b.p);
	strbuf_put(&b, slice_make(NULL, 0));
	assert_true(is(&b, ""));
	strbuf_put_str(&b, "a=");
	strbuf_put_u64(&b, 0);
	strbuf_put(&b, SLICE(","));
	strbuf_put_u64(&b, UINT64_MAX);
	strbuf_printf(&b, ",%s%d", "x", -7);
	assert_true(is(&b, "a=0,18446744073709551615,x-7"));
	strbuf_fini(&b);
	assert_null(b.p);
	assert_int_equal(b.cap, 1000);
}

static void test_strbuf_put_up_to_cap_exactly(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 4);
	strbuf_put_str(&b, "abc");
	strbuf_put_str(&b, "d");
	assert_true(is(&b, "abcd"));
	strbuf_put_str(&b, "");
	assert_true(strbuf_ok(&b));
	strbuf_put_str(&b, "e");
	assert_false(strbuf_ok(&b));
	assert_int_equal(b.n, 4);
	strbuf_fini(&b);
}

static void test_strbuf_failed_stays_failed_until_reset(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 4);
	strbuf_put_str(&b, "abcde");
	strbuf_put_str(&b, "x");
	strbuf_put_u64(&b, 1);
	strbuf_printf(&b, "%d", 2);
	assert_false(strbuf_ok(&b));
	assert_int_equal(b.n, 0);
	strbuf_reset(&b);
	strbuf_put_str(&b, "ab");
	assert_true(is(&b, "ab"));
	strbuf_fini(&b);
}

static void test_strbuf_grows_and_keeps_bytes(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 100000);
	for (unsigned i = 0; i < 20000; i++)
		strbuf_put(&b, slice_make(&"abcde"[i % 5], 1));
	assert_true(strbuf_ok(&b));
	assert_int_equal(b.n, 20000);
	for (unsigned i = 0; i < 20000; i++)
		assert_int_equal(b.p[i], 'a' + (char)(i % 5));
	assert_true(b.room <= b.cap);
	strbuf_reset(&b);
	assert_int_equal(b.n, 0);
	assert_true(b.room >= 20000);
	strbuf_fini(&b);
}

static void test_strbuf_printf_longer_than_its_stack(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 4096);
	for (int n = 510; n <= 514; n++) {
		strbuf_reset(&b);
		strbuf_printf(&b, "<%0*d>", n - 2, 7);
		assert_true(strbuf_ok(&b));
		assert_int_equal(b.n, n);
		assert_int_equal(b.p[0], '<');
		assert_int_equal(b.p[n - 2], '7');
		assert_int_equal(b.p[n - 1], '>');
	}
	strbuf_printf(&b, "%05000d", 1);
	assert_false(strbuf_ok(&b));
	assert_int_equal(b.n, 514);
	strbuf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strbuf_put_appends),
		cmocka_unit_test(test_strbuf_put_up_to_cap_exactly),
		cmocka_unit_test(test_strbuf_failed_stays_failed_until_reset),
		cmocka_unit_test(test_strbuf_grows_and_keeps_bytes),
		cmocka_unit_test(test_strbuf_printf_longer_than_its_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
