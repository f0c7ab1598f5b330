/*
 * The configuration: one flat struct, filled from conf.def's defaults, then the
 * file, then the command line. Const once loaded.
 */
#ifndef STATWEIR_BASE_CONF_H
#define STATWEIR_BASE_CONF_H

#include "proxy/base/check.h"
#include "proxy/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

enum conf_mode {
	MODE_ENFORCE,
	MODE_OBSERVE,
	MODE_BYPASS
};
enum conf_match {
	MATCH_EITHER,
	MATCH_BOTH,
	MATCH_TYPE,
	MATCH_ID
};
enum conf_form {
	FORM_STATUS,
	FORM_EXEMPLAR,
	FORM_LOG
};
enum conf_durability {
	DURABLE_JOURNAL,
	DURABLE_REDIS,
	DURABLE_NONE
};
enum conf_throttle {
	CONF_THROTTLE_AUTO,
	CONF_THROTTLE_FIXED,
	CONF_THROTTLE_OFF
};
enum conf_log {
	CONF_LOG_ERROR,
	CONF_LOG_WARN,
	CONF_LOG_INFO,
	CONF_LOG_DEBUG
};

struct conf {
#define CONF_TEXT(s, k, field, ...)	 char *field;
#define CONF_COUNT(s, k, field, ...)	 int64_t field;
#define CONF_AUTO(s, k, field, ...)	 int64_t field;
#define CONF_TIME(s, k, field, ...)	 int64_t field;
#define CONF_FINE_TIME(s, k, field, ...) int64_t field;
#define CONF_SIZE(s, k, field, ...)	 int64_t field;
#define CONF_RATIO(s, k, field, ...)	 int64_t field;
#define CONF_SWITCH(s, k, field, ...)	 bool field;
#define CONF_CHOICE(s, k, field, ...)	 int field;
#include "proxy/base/conf.def"
#undef CONF_TEXT
#undef CONF_COUNT
#undef CONF_AUTO
#undef CONF_TIME
#undef CONF_FINE_TIME
#undef CONF_SIZE
#undef CONF_RATIO
#undef CONF_SWITCH
#undef CONF_CHOICE
};

/* All defaults; texts are owned by c. 0 or -ENOMEM. */
int conf_init(struct conf *c) MUSTUSE;
void conf_fini(struct conf *c);

/*
 * Read an INI file over what c holds. Every fault (unknown section or key, bad
 * value, out of bounds) is one line in err: file, line, the setting, what is
 * allowed, and for an unknown key the nearest known one. 0, -ENOENT, or -EINVAL
 * when err is not empty (c is then half-filled: throw it away).
 */
int conf_read_file(struct conf *c, const char *path, struct strbuf *err) MUSTUSE;

/* One setting as text: --set section.key=value. 0 or -EINVAL with a line in err. */
int conf_set(struct conf *c, const char *section_key, const char *value,
	     struct strbuf *err) MUSTUSE;

/* What no single setting can tell: required ones, addresses that do not parse. As above. */
int conf_check(const struct conf *c, struct strbuf *err) MUSTUSE;

/* The effective configuration as an INI file with comments (defaults marked). */
void conf_print(const struct conf *c, struct strbuf *out);

/* docs/CONFIG.md from the table. */
void conf_print_manual(struct strbuf *out);

/*
 * ADDR:PORT or [ADDR]:PORT into host and port. host has room for 256 bytes.
 * 0 or -EINVAL. Names are allowed; nothing is resolved.
 */
int conf_parse_address(const char *text, char *host, uint16_t *port) MUSTUSE;

#endif
