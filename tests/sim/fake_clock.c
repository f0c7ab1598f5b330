/*
 * proxy/base/clock.h for simulations: time passes when the test says so. Included by a
 * test as a file, so that the archive's clock is never linked.
 */
#include "proxy/base/clock.h"

#include <time.h>

static int64_t fake_mono_us = 1000000;
static int64_t fake_wall_ms = 1795342272000; /* 2026-11-22T10:11:12Z */

/* Both clocks go on. */
static inline void fake_clock_advance(int64_t ms)
{
	fake_mono_us += ms * 1000;
	fake_wall_ms += ms;
}

/* Somebody sets the wall clock. */
static inline void fake_clock_set_wall(int64_t wall_ms)
{
	fake_wall_ms = wall_ms;
}

void clock_refresh(void)
{
}

int64_t clock_mono_ms(void)
{
	return fake_mono_us / 1000;
}

int64_t clock_mono_us(void)
{
	return fake_mono_us;
}

int64_t clock_wall_ms(void)
{
	return fake_wall_ms;
}

const char *clock_http_date(void)
{
	return "Sun, 22 Nov 2026 10:11:12 GMT";
}

void clock_format_utc(int64_t at_ms, char *out, size_t room)
{
	time_t at = (time_t)(at_ms / 1000);
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, room, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
