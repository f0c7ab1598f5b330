/*
 * One line per event on stderr: <priority>event key=value ... The priority prefix
 * is the one journald reads. error: someone must act. warn: degraded, handled.
 * info: life cycle only. debug: per request. Never bodies, credentials, or client
 * identities above debug.
 */
#ifndef STATWEIR_BASE_LOG_H
#define STATWEIR_BASE_LOG_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#include <stdint.h>

enum log_level {
	LOG_ERROR = 3,
	LOG_WARN = 4,
	LOG_INFO = 6,
	LOG_DEBUG = 7,
};

/* The level up to which lines are written; LOG_INFO at first. */
extern enum log_level log_threshold;

/* Which process speaks, written in every line ("main", "worker0"). */
void log_set_name(const char *name);

/* event is one word; fmt gives key=value pairs separated by single spaces ("" for none). */
void log_line(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * For sites that repeat: at most burst lines per 10 s from one struct; the next
 * line that is written says how many were suppressed.
 */
struct log_limit {
	int64_t window_ms;
	unsigned written;
	unsigned suppressed;
};
void log_limited(struct log_limit *lim, unsigned burst, enum log_level level, const char *event,
		 const char *fmt, ...) PRINTF_LIKE(5, 6);

/*
 * s as safe log text into out: bytes outside 0x21 to 0x7e and '"' become \xNN, cut
 * at room. Returns out, NUL-terminated.
 */
const char *log_escape(struct slice s, char *out, size_t room);

#endif
