#include "proxy/io/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct address make(const char *text)
{
	struct address a = {0};

	assert_int_equal(address_resolve(&a, text), 0);
	return a;
}

static void test_resolve_v4_and_v6_host_and_port(void **state)
{
	char out[ADDRESS_TEXT];
	struct address a = make("192.0.2.7:8080");

	(void)state;
	assert_string_equal(address_host(&a, out), "192.0.2.7");
	assert_int_equal(address_port(&a), 8080);
	a = make("[2001:db8::1]:80");
	assert_string_equal(address_host(&a, out), "2001:db8::1");
	assert_int_equal(address_port(&a), 80);
}

static void test_resolve_mapped_v4_shown_as_v4(void **state)
{
	char out[ADDRESS_TEXT];
	struct address a = make("[::ffff:192.0.2.9]:1");

	(void)state;
	assert_string_equal(address_host(&a, out), "192.0.2.9");
}

static void test_resolve_garbage_refused(void **state)
{
	struct address a;

	(void)state;
	assert_int_equal(address_resolve(&a, "no-port"), -EINVAL);
	assert_int_equal(address_resolve(&a, "192.0.2.1:99999"), -EINVAL);
}

static void test_networks_contain_by_prefix(void **state)
{
	struct networks n;
	struct address in4 = make("10.1.2.3:1"), out4 = make("10.2.0.1:1");
	struct address in6 = make("[2001:db8:1::5]:1"), out6 = make("[2001:db9::5]:1");

	(void)state;
	assert_int_equal(networks_parse(&n, "10.1.0.0/16, 2001:db8::/32,192.0.2.1"), 0);
	assert_true(networks_contain(&n, &in4));
	assert_false(networks_contain(&n, &out4));
	assert_true(networks_contain(&n, &in6));
	assert_false(networks_contain(&n, &out6));
}

static void test_networks_odd_prefix_bits_compared(void **state)
{
	struct networks n;
	struct address in = make("192.0.2.130:1"), out = make("192.0.2.127:1");

	(void)state;
	assert_int_equal(networks_parse(&n, "192.0.2.128/25"), 0);
	assert_true(networks_contain(&n, &in));
	assert_false(networks_contain(&n, &out));
}

static void test_networks_empty_contains_nothing(void **state)
{
	struct networks n;
	struct address a = make("127.0.0.1:1");

	(void)state;
	assert_int_equal(networks_parse(&n, ""), 0);
	assert_false(networks_contain(&n, &a));
}

static void test_networks_garbage_refused(void **state)
{
	static const char *const bad[] = {"10.0.0.0/33", "10.0.0.0/", "host", "10.0.0/8", "::/129"};
	struct networks n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(networks_parse(&n, bad[i]), -EINVAL);
}

static void test_networks_too_many_refused(void **state)
{
	char text[NETWORKS_MAX * 16 + 32] = "";
	struct networks n;
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i <= NETWORKS_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "10.0.0.%u,", i);
	assert_int_equal(networks_parse(&n, text), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolve_v4_and_v6_host_and_port),
		cmocka_unit_test(test_resolve_mapped_v4_shown_as_v4),
		cmocka_unit_test(test_resolve_garbage_refused),
		cmocka_unit_test(test_networks_contain_by_prefix),
		cmocka_unit_test(test_networks_odd_prefix_bits_compared),
		cmocka_unit_test(test_networks_empty_contains_nothing),
		cmocka_unit_test(test_networks_garbage_refused),
		cmocka_unit_test(test_networks_too_many_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
