#include "proxy/base/conf_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONF_TEXT_MAX 4096

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first: the first that divides a number is the one it is printed in. */
static const struct unit time_units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit fine_time_units[] = {
	{"s", 1000000},
	{"ms", 1000},
	{"us", 1},
	{NULL, 0},
};
static const struct unit size_units[] = {
	{"TiB", INT64_C(1) << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20},
	{"KiB", 1 << 10},	   {"B", 1},	     {NULL, 0},
};
static const struct unit ratio_units[] = {{"%", 1}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(const struct conf_row *row)
{
	switch (row->kind) {
	case CONF_KIND_TIME:
		return time_units;
	case CONF_KIND_FINE_TIME:
		return fine_time_units;
	case CONF_KIND_SIZE:
		return size_units;
	case CONF_KIND_RATIO:
		return ratio_units;
	case CONF_KIND_TEXT:
	case CONF_KIND_COUNT:
	case CONF_KIND_SWITCH:
	case CONF_KIND_CHOICE:
		break;
	}
	return no_units;
}

static void *field_of(struct conf *c, const struct conf_row *row)
{
	return (char *)c + row->offset;
}

static const void *field_in(const struct conf *c, const struct conf_row *row)
{
	return (const char *)c + row->offset;
}

/* Digits, then one of the row's units; 0 needs none. */
static int read_number(const struct conf_row *row, struct slice value, int64_t *out)
{
	size_t digits = 0;
	struct slice unit;
	uint64_t n;

	while (digits < value.n && value.p[digits] >= '0' && value.p[digits] <= '9')
		digits++;
	if (slice_to_u64(slice_make(value.p, digits), &n) < 0 || n > INT64_MAX)
		return -EINVAL;
	unit = slice_trim(slice_drop(value, digits));
	if (n == 0 && unit.n == 0) {
		*out = 0;
		return 0;
	}
	for (const struct unit *u = units_of(row); u->name != NULL; u++) {
		if (!slice_eq(unit, slice_str(u->name)))
			continue;
		if ((int64_t)n > INT64_MAX / u->factor)
			return -EINVAL;
		*out = (int64_t)n * u->factor;
		return 0;
	}
	return -EINVAL;
}

static int set_number(struct conf *c, const struct conf_row *row, struct slice value)
{
	int64_t *field = field_of(c, row);
	int64_t n = 0;

	if (row->text != NULL && slice_eq(value, slice_str(row->text))) {
		*field = 0;
		return 0;
	}
	if (read_number(row, value, &n) < 0 || n < row->min || n > row->max)
		return -EINVAL;
	*field = n;
	return 0;
}

static int set_text(struct conf *c, const struct conf_row *row, struct slice value)
{
	char **field = field_of(c, row);
	char *copy;

	if (value.n > CONF_TEXT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < value.n; i++) {
		if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
			return -EINVAL;
		/* Printed into a file it would begin a comment. */
		if (value.p[i] == ';' && (i == 0 || value.p[i - 1] == ' '))
			return -EINVAL;
	}
	copy = strndup(value.n > 0 ? value.p : "", value.n);
	if (copy == NULL)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int set_switch(struct conf *c, const struct conf_row *row, struct slice value)
{
	bool *field = field_of(c, row);

	if (slice_eq(value, SLICE("on")))
		*field = true;
	else if (slice_eq(value, SLICE("off")))
		*field = false;
	else
		return -EINVAL;
	return 0;
}

/* The word number index of "a|b|c"; false behind the last. */
static bool choice_word(const struct conf_row *row, int index, struct slice *word)
{
	const char *p = row->text;

	for (; index > 0; index--) {
		p = strchr(p, '|');
		if (p == NULL)
			return false;
		p++;
	}
	*word = slice_make(p, strcspn(p, "|"));
	return true;
}

static int set_choice(struct conf *c, const struct conf_row *row, struct slice value)
{
	int *field = field_of(c, row);
	struct slice word;

	for (int i = 0; choice_word(row, i, &word); i++) {
		if (slice_eq(word, value)) {
			*field = i;
			return 0;
		}
	}
	return -EINVAL;
}

int conf_value_read(struct conf *c, const struct conf_row *row, struct slice value)
{
	switch (row->kind) {
	case CONF_KIND_TEXT:
		return set_text(c, row, value);
	case CONF_KIND_SWITCH:
		return set_switch(c, row, value);
	case CONF_KIND_CHOICE:
		return set_choice(c, row, value);
	case CONF_KIND_COUNT:
	case CONF_KIND_TIME:
	case CONF_KIND_FINE_TIME:
	case CONF_KIND_SIZE:
	case CONF_KIND_RATIO:
		break;
	}
	return set_number(c, row, value);
}

void conf_number_print(const struct conf_row *row, int64_t v, struct strbuf *out)
{
	const struct unit *u = units_of(row);

	if (v == 0 && row->kind != CONF_KIND_RATIO) {
		strbuf_put_str(out, row->text != NULL ? row->text : "0");
		return;
	}
	while (v % u->factor != 0)
		u++;
	strbuf_printf(out, "%" PRId64 "%s", v / u->factor, u->name);
}

void conf_value_print(const struct conf *c, const struct conf_row *row, struct strbuf *out)
{
	const void *field = field_in(c, row);
	struct slice word;

	switch (row->kind) {
	case CONF_KIND_TEXT:
		strbuf_put_str(out, *(char *const *)field);
		return;
	case CONF_KIND_SWITCH:
		strbuf_put_str(out, *(const bool *)field ? "on" : "off");
		return;
	case CONF_KIND_CHOICE:
		CHECK(choice_word(row, *(const int *)field, &word));
		strbuf_put(out, word);
		return;
	case CONF_KIND_COUNT:
	case CONF_KIND_TIME:
	case CONF_KIND_FINE_TIME:
	case CONF_KIND_SIZE:
	case CONF_KIND_RATIO:
		break;
	}
	conf_number_print(row, *(const int64_t *)field, out);
}

static void allowed_words(const struct conf_row *row, struct strbuf *out)
{
	struct slice word;

	for (int i = 0; choice_word(row, i, &word); i++) {
		strbuf_put_str(out, i > 0 ? ", " : "");
		strbuf_put(out, word);
	}
}

void conf_value_allowed(const struct conf_row *row, struct strbuf *out)
{
	switch (row->kind) {
	case CONF_KIND_TEXT:
		strbuf_put_str(out, "text without control characters or \" ;\"");
		return;
	case CONF_KIND_SWITCH:
		strbuf_put_str(out, "on, off");
		return;
	case CONF_KIND_CHOICE:
		allowed_words(row, out);
		return;
	case CONF_KIND_COUNT:
	case CONF_KIND_TIME:
	case CONF_KIND_FINE_TIME:
	case CONF_KIND_SIZE:
	case CONF_KIND_RATIO:
		break;
	}
	if (row->text != NULL)
		strbuf_printf(out, "%s, ", row->text);
	conf_number_print(row, row->min, out);
	if (row->max == INT64_MAX) {
		strbuf_put_str(out, " or more");
		return;
	}
	strbuf_put_str(out, " to ");
	conf_number_print(row, row->max, out);
}

bool conf_value_is_default(const struct conf *c, const struct conf_row *row)
{
	const void *field = field_in(c, row);

	switch (row->kind) {
	case CONF_KIND_TEXT:
		return strcmp(*(char *const *)field, row->text) == 0;
	case CONF_KIND_SWITCH:
		return *(const bool *)field == (row->preset != 0);
	case CONF_KIND_CHOICE:
		return *(const int *)field == row->preset;
	case CONF_KIND_COUNT:
	case CONF_KIND_TIME:
	case CONF_KIND_FINE_TIME:
	case CONF_KIND_SIZE:
	case CONF_KIND_RATIO:
		break;
	}
	return *(const int64_t *)field == row->preset;
}
