#include "proxy/base/conf_table.h"

#include <string.h>

#define AT(field) offsetof(struct conf, field)

#define CONF_TEXT(s, k, field, preset_text, what) \
	{s, k, CONF_KIND_TEXT, AT(field), preset_text, 0, 0, 0, what},
#define CONF_NUMBER(kind_, s, k, field, preset_, min_, max_, what) \
	{s, k, kind_, AT(field), NULL, preset_, min_, max_, what},
#define CONF_COUNT(...) CONF_NUMBER(CONF_KIND_COUNT, __VA_ARGS__)
#define CONF_AUTO(s, k, field, preset_, min_, max_, what) \
	{s, k, CONF_KIND_COUNT, AT(field), "auto", preset_, min_, max_, what},
#define CONF_TIME(...)	    CONF_NUMBER(CONF_KIND_TIME, __VA_ARGS__)
#define CONF_FINE_TIME(...) CONF_NUMBER(CONF_KIND_FINE_TIME, __VA_ARGS__)
#define CONF_SIZE(...)	    CONF_NUMBER(CONF_KIND_SIZE, __VA_ARGS__)
#define CONF_RATIO(...)	    CONF_NUMBER(CONF_KIND_RATIO, __VA_ARGS__)
#define CONF_SWITCH(s, k, field, preset_, what) \
	{s, k, CONF_KIND_SWITCH, AT(field), NULL, preset_, 0, 1, what},
#define CONF_CHOICE(s, k, field, words, preset_, what) \
	{s, k, CONF_KIND_CHOICE, AT(field), words, preset_, 0, 0, what},

const struct conf_row conf_rows[] = {
#include "proxy/base/conf.def"
};

const unsigned conf_n_rows = sizeof(conf_rows) / sizeof(conf_rows[0]);

const struct conf_row *conf_row_find(struct slice section, struct slice key)
{
	for (unsigned i = 0; i < conf_n_rows; i++)
		if (slice_eq(section, slice_str(conf_rows[i].section)) &&
		    slice_eq(key, slice_str(conf_rows[i].key)))
			return &conf_rows[i];
	return NULL;
}

bool conf_section_exists(struct slice section)
{
	for (unsigned i = 0; i < conf_n_rows; i++)
		if (slice_eq(section, slice_str(conf_rows[i].section)))
			return true;
	return false;
}

#define NAME_BYTES 64

/* Levenshtein distance; texts longer than the table of one row count as far away. */
static unsigned distance(struct slice a, struct slice b)
{
	unsigned row[NAME_BYTES + 1];

	if (a.n > NAME_BYTES || b.n > NAME_BYTES)
		return NAME_BYTES;
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (unsigned i = 0; i < a.n; i++) {
		unsigned diagonal = row[0];

		row[0] = i + 1;
		for (unsigned j = 0; j < b.n; j++) {
			unsigned best = diagonal + (slice_lower(a.p[i]) != slice_lower(b.p[j]));

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			diagonal = row[j + 1];
			row[j + 1] = best;
		}
	}
	return row[b.n];
}

const struct conf_row *conf_row_nearest(struct slice section, struct slice key)
{
	const struct conf_row *best = &conf_rows[0];
	unsigned least = UINT32_MAX;

	for (unsigned i = 0; i < conf_n_rows; i++) {
		unsigned d = distance(key, slice_str(conf_rows[i].key)) +
			     distance(section, slice_str(conf_rows[i].section));

		if (d < least) {
			least = d;
			best = &conf_rows[i];
		}
	}
	return best;
}
