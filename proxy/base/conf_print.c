#include "proxy/base/conf_table.h"

#include <string.h>

static bool opens_section(unsigned i)
{
	return i == 0 || strcmp(conf_rows[i].section, conf_rows[i - 1].section) != 0;
}

void conf_print(const struct conf *c, struct strbuf *out)
{
	for (unsigned i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];
		bool is_default = conf_value_is_default(c, row);

		if (opens_section(i))
			strbuf_printf(out, "%s[%s]\n", i > 0 ? "\n" : "", row->section);
		strbuf_printf(out, "# %s%s\n", row->help, is_default ? " (default)" : "");
		strbuf_printf(out, "%s = ", row->key);
		conf_value_print(c, row, out);
		strbuf_put_str(out, "\n");
	}
}

/* A vertical bar would end a table cell. */
static void put_cell(struct strbuf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '|')
			strbuf_put_str(out, "\\");
		strbuf_put(out, slice_make(s.p + i, 1));
	}
}

static void print_row(const struct conf *defaults, const struct conf_row *row, struct strbuf *out)
{
	struct strbuf cell;

	strbuf_init(&cell, 4096);
	strbuf_printf(out, "| `%s` | ", row->key);
	conf_value_print(defaults, row, &cell);
	if (cell.n > 0) {
		strbuf_put_str(out, "`");
		put_cell(out, strbuf_slice(&cell));
		strbuf_put_str(out, "`");
	}
	strbuf_put_str(out, " | ");
	strbuf_reset(&cell);
	conf_value_allowed(row, &cell);
	put_cell(out, row->kind == CONF_KIND_TEXT ? SLICE("text") : strbuf_slice(&cell));
	strbuf_put_str(out, " | ");
	put_cell(out, slice_str(row->help));
	strbuf_put_str(out, " |\n");
	strbuf_fini(&cell);
}

void conf_print_manual(struct strbuf *out)
{
	struct conf defaults;

	if (conf_init(&defaults) < 0) {
		out->has_failed = true;
		return;
	}
	strbuf_put_str(
		out,
		"# Configuration\n\n"
		"Generated from `proxy/base/conf.def`; "
		"change it there.\n\n"
		"One INI file, `/etc/statweir/statweir.conf`. Each setting has a default, so no\n"
		"file is needed. `--set section.key=value` on the command line wins over the\n"
		"file. A line that begins with `#` or `;` is a comment, and so is the rest of a\n"
		"line after a space and `;`. A setting may stand once. Anything unknown or out\n"
		"of bounds is a fault, and statweir then doesn't start. `statweir -t` checks a\n"
		"file. A change takes effect with a restart, which loses nothing; SIGHUP does\n"
		"nothing, and is logged.\n\n"
		"Times are written `500ms`, `10s`, `5m`, `2h`, `1d`; sizes `300B`, `64KiB`, "
		"`16MiB`,\n`1GiB`; shares `25%`; switches `on` or `off`.\n");
	for (unsigned i = 0; i < conf_n_rows; i++) {
		if (opens_section(i))
			strbuf_printf(out,
				      "\n## [%s]\n\n| setting | default | allowed | meaning |\n"
				      "| --- | --- | --- | --- |\n",
				      conf_rows[i].section);
		print_row(&defaults, &conf_rows[i], out);
	}
	conf_fini(&defaults);
}
