/*
 * The table behind the configuration: one row for every line of conf.def. For the
 * conf_*.c files only.
 */
#ifndef STATWEIR_BASE_CONF_TABLE_H
#define STATWEIR_BASE_CONF_TABLE_H

#include "proxy/base/conf.h"

#include <stddef.h>

enum conf_kind {
	CONF_KIND_TEXT,
	CONF_KIND_COUNT,
	CONF_KIND_TIME,
	CONF_KIND_FINE_TIME,
	CONF_KIND_SIZE,
	CONF_KIND_RATIO,
	CONF_KIND_SWITCH,
	CONF_KIND_CHOICE,
};

struct conf_row {
	const char *section, *key;
	enum conf_kind kind;
	size_t offset; /* of the field in struct conf */
	/* The default of a text, the words of a choice ("a|b|c"), the word for 0, else NULL. */
	const char *text;
	int64_t preset; /* the default of any other kind; of a choice its index */
	int64_t min, max;
	const char *help;
};

extern const struct conf_row conf_rows[];
extern const unsigned conf_n_rows;

/* The row of section and key, or NULL. */
const struct conf_row *conf_row_find(struct slice section, struct slice key);
/* Is there such a section? */
bool conf_section_exists(struct slice section);
/* The row whose "section.key" takes the fewest edits; never NULL. */
const struct conf_row *conf_row_nearest(struct slice section, struct slice key);

/*
 * Store a value given as text. 0, -EINVAL (not of the kind, or out of bounds: nothing
 * changed) or -ENOMEM.
 */
int conf_value_read(struct conf *c, const struct conf_row *row, struct slice value) MUSTUSE;
/* The value that c holds, as conf_value_read() would take it. */
void conf_value_print(const struct conf *c, const struct conf_row *row, struct strbuf *out);
/* A number as the row's kind writes it. */
void conf_number_print(const struct conf_row *row, int64_t v, struct strbuf *out);
/* What is allowed, for a person: "100ms to 10m". */
void conf_value_allowed(const struct conf_row *row, struct strbuf *out);
/* Is it still what conf.def says? */
bool conf_value_is_default(const struct conf *c, const struct conf_row *row);

/* conf_read_file() on bytes in memory; name stands in the lines of err. */
int conf_read_text(struct conf *c, const char *name, struct slice text, struct strbuf *err) MUSTUSE;

#endif
