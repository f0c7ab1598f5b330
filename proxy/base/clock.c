#include "proxy/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static int64_t mono_us;
static int64_t wall_ms;
static bool is_fresh;
static int64_t date_s = -1;
static char date_text[CLOCK_HTTP_DATE_BYTES + 1];

void clock_refresh(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	mono_us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	clock_gettime(CLOCK_REALTIME, &ts);
	wall_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void clock_touch(void)
{
	if (is_fresh)
		return;
	clock_refresh();
	is_fresh = true;
}

void clock_end_turn(void)
{
	is_fresh = false;
}

int64_t clock_mono_ms(void)
{
	return mono_us / 1000;
}

int64_t clock_mono_us(void)
{
	return mono_us;
}

int64_t clock_wall_ms(void)
{
	return wall_ms;
}

const char *clock_http_date(void)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (now == date_s)
		return date_text;
	gmtime_r(&now, &tm);
	/* Not strftime: its names follow the locale. The modulos only calm the compiler. */
	snprintf(date_text, sizeof(date_text), "%s, %02u %s %04u %02u:%02u:%02u GMT",
		 days[tm.tm_wday], (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
	date_s = now;
	return date_text;
}

void clock_format_utc(int64_t at_ms, char *out, size_t room)
{
	time_t at = (time_t)(at_ms / 1000);
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, room, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
