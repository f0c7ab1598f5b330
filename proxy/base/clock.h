/*
 * One clock reading per turn of the event loop: effects never precede causes,
 * and a simulation replaces this file by a clock that it turns itself.
 */
#ifndef STATWEIR_BASE_CLOCK_H
#define STATWEIR_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Read both clocks. For start-up; inside the event loop it is clock_touch() that reads. */
void clock_refresh(void);

/*
 * The first clock_touch() after clock_end_turn() reads the clocks, further ones do
 * nothing: every I/O callback begins with one, whichever the poll wakes first.
 */
void clock_touch(void);
void clock_end_turn(void);

/* Milliseconds and microseconds of CLOCK_MONOTONIC at the last refresh: for deadlines. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Milliseconds since 1970 at the last refresh: for records and dates, never for deadlines. */
int64_t clock_wall_ms(void);

#define CLOCK_HTTP_DATE_BYTES 29
/* The Date field of now (IMF-fixdate, RFC 9110 5.6.7), 29 bytes, cached per second. */
const char *clock_http_date(void);

/* 2026-11-22T10:11:12Z of a wall time in ms; out holds at least 21 bytes. */
void clock_format_utc(int64_t wall_ms, char *out, size_t room);

#endif
