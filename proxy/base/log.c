#include "proxy/base/log.h"

#include "proxy/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_WINDOW_MS 10000

enum log_level log_threshold = LOG_INFO;
static char log_name[32] = "main";

void log_set_name(const char *name)
{
	snprintf(log_name, sizeof(log_name), "%s", name);
}

static void write_line(enum log_level level, const char *event, unsigned suppressed,
		       const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

static void write_line(enum log_level level, const char *event, unsigned suppressed,
		       const char *fmt, va_list ap)
{
	char line[1024];
	size_t room = sizeof(line) - 1; /* one byte is kept for the line end */
	int n;

	n = snprintf(line, room, "<%d>%s proc=%s", (int)level, event, log_name);
	if (fmt[0] != '\0' && (size_t)n < room) {
		line[n++] = ' ';
		n += vsnprintf(line + n, room - (size_t)n, fmt, ap);
	}
	if (suppressed > 0 && (size_t)n < room)
		n += snprintf(line + n, room - (size_t)n, " suppressed=%u", suppressed);
	if ((size_t)n >= room)
		n = (int)room - 1;
	line[n++] = '\n';
	/* One write, so that lines of several processes do not mix. A full pipe loses it. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
	va_list ap;

	if (level > log_threshold)
		return;
	va_start(ap, fmt);
	write_line(level, event, 0, fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *lim, unsigned burst, enum log_level level, const char *event,
		 const char *fmt, ...)
{
	va_list ap;

	if (level > log_threshold)
		return;
	if (clock_mono_ms() - lim->window_ms >= LOG_WINDOW_MS || lim->window_ms == 0) {
		lim->window_ms = clock_mono_ms();
		lim->written = 0;
	}
	if (lim->written >= burst) {
		lim->suppressed++;
		return;
	}
	lim->written++;
	va_start(ap, fmt);
	write_line(level, event, lim->suppressed, fmt, ap);
	va_end(ap);
	lim->suppressed = 0;
}

const char *log_escape(struct slice s, char *out, size_t room)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > 0x20 && c < 0x7f && c != '"' && c != '\\') {
			if (n + 1 >= room)
				break;
			out[n++] = (char)c;
			continue;
		}
		if (n + 4 >= room)
			break;
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
	return out;
}
