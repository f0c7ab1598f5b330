#include "proxy/ctl/ctl_ledger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW 1795392000000 /* 2026-11-23T00:00:00Z */

static void test_ctl_parse_since_moments_and_ages(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"2026-11-23", NOW},
		{"2026-11-23T00:00:01Z", NOW + 1000},
		{"1970-01-01", 0},
		{"0s", NOW},
		{"90m", NOW - 90 * 60000},
		{"36h", NOW - 36 * 3600000},
		{"7d", NOW - (int64_t)7 * 86400000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = -1;

		assert_int_equal(ctl_parse_since(cases[i].text, NOW, &ms), 0);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void test_ctl_parse_since_refuses_the_rest(void **state)
{
	static const char *const cases[] = {
		"",
		"yesterday",
		"7",
		"d",
		"-1d",
		"7dd",
		"7 d",
		"2026-11-23x",
		"2026-13-01",
		"9999999d",
		"2026-11-23T00:00:00",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms;

		if (ctl_parse_since(cases[i], NOW, &ms) != -EINVAL)
			fail_msg("\"%s\" was taken", cases[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ctl_parse_since_moments_and_ages),
		cmocka_unit_test(test_ctl_parse_since_refuses_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
