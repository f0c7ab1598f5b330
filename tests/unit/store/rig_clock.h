/* A clock that a test can put forward: deadlines pass without waiting. Takes clock.c's place. */
#ifndef STATWEIR_TESTS_STORE_RIG_CLOCK_H
#define STATWEIR_TESTS_STORE_RIG_CLOCK_H

#include "proxy/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t rig_skipped_ms;
static int64_t rig_mono_us, rig_wall_ms;

static inline void rig_skip_ms(int64_t ms)
{
	rig_skipped_ms += ms;
}

void clock_refresh(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	rig_mono_us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 + rig_skipped_ms * 1000;
	clock_gettime(CLOCK_REALTIME, &ts);
	rig_wall_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + rig_skipped_ms;
}

void clock_touch(void)
{
	clock_refresh();
}

void clock_end_turn(void)
{
}

int64_t clock_mono_ms(void)
{
	return rig_mono_us / 1000;
}

int64_t clock_mono_us(void)
{
	return rig_mono_us;
}

int64_t clock_wall_ms(void)
{
	return rig_wall_ms;
}

const char *clock_http_date(void)
{
	return "Sun, 22 Nov 2026 10:00:00 GMT";
}

void clock_format_utc(int64_t at_ms, char *out, size_t room)
{
	snprintf(out, room, "%lld", (long long)at_ms);
}

#endif
