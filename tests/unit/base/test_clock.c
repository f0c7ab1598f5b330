#include "proxy/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_clock_stands_still_between_refreshes(void **state)
{
	int64_t mono, wall;

	(void)state;
	clock_refresh();
	mono = clock_mono_us();
	wall = clock_wall_ms();
	while (true) {
		struct timespec ts;

		clock_gettime(CLOCK_MONOTONIC, &ts);
		if ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 > mono + 2000)
			break;
	}
	assert_int_equal(clock_mono_us(), mono);
	assert_int_equal(clock_wall_ms(), wall);
	clock_refresh();
	assert_true(clock_mono_us() > mono + 2000);
	assert_true(clock_wall_ms() >= wall);
	assert_int_equal(clock_mono_ms(), clock_mono_us() / 1000);
}

static void test_clock_wall_agrees_with_time(void **state)
{
	(void)state;
	clock_refresh();
	assert_in_range(time(NULL) - clock_wall_ms() / 1000, 0, 2);
}

static void test_clock_http_date_is_imf_fixdate(void **state)
{
	char want[64];
	struct tm tm;
	time_t at;

	(void)state;
	clock_refresh();
	at = (time_t)(clock_wall_ms() / 1000);
	gmtime_r(&at, &tm);
	strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm); /* in locale C */
	assert_string_equal(clock_http_date(), want);
	assert_int_equal(strlen(clock_http_date()), CLOCK_HTTP_DATE_BYTES);
	assert_ptr_equal(clock_http_date(), clock_http_date());
}

static void test_clock_format_utc_known_times(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} t[] = {
		{0, "1970-01-01T00:00:00Z"},
		{1795342272999, "2026-11-22T10:11:12Z"},
		{951782400000, "2000-02-29T00:00:00Z"},
		{4102444799000, "2099-12-31T23:59:59Z"},
	};
	char out[21];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		clock_format_utc(t[i].ms, out, sizeof(out));
		assert_string_equal(out, t[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_stands_still_between_refreshes),
		cmocka_unit_test(test_clock_wall_agrees_with_time),
		cmocka_unit_test(test_clock_http_date_is_imf_fixdate),
		cmocka_unit_test(test_clock_format_utc_known_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
