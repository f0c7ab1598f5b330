#include "proxy/base/conf_table.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The longest line of a file, its end included. */
#define LINE_BYTES 8192
#define FILE_BYTES (1u << 20)
#define ROWS_MAX   256

int conf_init(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < conf_n_rows; i++) {
		const struct conf_row *row = &conf_rows[i];
		char *field = (char *)c + row->offset;

		switch (row->kind) {
		case CONF_KIND_TEXT:
			*(char **)(void *)field = strdup(row->text);
			if (*(char **)(void *)field == NULL) {
				conf_fini(c);
				return -ENOMEM;
			}
			break;
		case CONF_KIND_SWITCH:
			*(bool *)(void *)field = row->preset != 0;
			break;
		case CONF_KIND_CHOICE:
			*(int *)(void *)field = (int)row->preset;
			break;
		case CONF_KIND_COUNT:
		case CONF_KIND_TIME:
		case CONF_KIND_FINE_TIME:
		case CONF_KIND_SIZE:
		case CONF_KIND_RATIO:
			*(int64_t *)(void *)field = row->preset;
			break;
		}
	}
	return 0;
}

void conf_fini(struct conf *c)
{
	for (unsigned i = 0; i < conf_n_rows; i++) {
		char **field = (char **)(void *)((char *)c + conf_rows[i].offset);

		if (conf_rows[i].kind != CONF_KIND_TEXT)
			continue;
		free(*field);
		*field = NULL;
	}
}

/* Bytes of a stranger's file or command line in a message: printable, not too long. */
static void put_shown(struct strbuf *err, struct slice s)
{
	for (size_t i = 0; i < s.n && i < 80; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch < 0x20 || ch == 0x7f)
			strbuf_printf(err, "\\x%02x", ch);
		else
			strbuf_put(err, slice_make(s.p + i, 1));
	}
	if (s.n > 80)
		strbuf_put_str(err, "...");
}

static int fault_unknown(struct slice section, struct slice key, struct strbuf *err)
{
	const struct conf_row *near = conf_row_nearest(section, key);

	strbuf_put_str(err, "unknown ");
	strbuf_put_str(err, conf_section_exists(section) ? "setting " : "section in ");
	put_shown(err, section);
	strbuf_put_str(err, ".");
	put_shown(err, key);
	strbuf_printf(err, "; nearest is %s.%s\n", near->section, near->key);
	return -EINVAL;
}

/* prefix ("file:7: ") opens the line that a fault puts into err. */
static int set_one(struct conf *c, const char *prefix, const struct conf_row *row,
		   struct slice value, struct strbuf *err)
{
	int rc = conf_value_read(c, row, value);

	if (rc == 0)
		return 0;
	strbuf_printf(err, "%s%s.%s = ", prefix, row->section, row->key);
	put_shown(err, value);
	if (rc == -ENOMEM) {
		strbuf_put_str(err, ": out of memory\n");
		return -EINVAL;
	}
	strbuf_put_str(err, ": allowed is ");
	conf_value_allowed(row, err);
	strbuf_put_str(err, "\n");
	return -EINVAL;
}

int conf_set(struct conf *c, const char *section_key, const char *value, struct strbuf *err)
{
	const char *dot = strchr(section_key, '.');
	const struct conf_row *row;
	struct slice section, key;

	if (dot == NULL) {
		put_shown(err, slice_str(section_key));
		strbuf_put_str(err, ": a setting is written section.key=value\n");
		return -EINVAL;
	}
	section = slice_make(section_key, (size_t)(dot - section_key));
	key = slice_str(dot + 1);
	row = conf_row_find(section, key);
	if (row == NULL)
		return fault_unknown(section, key, err);
	return set_one(c, "", row, slice_trim(slice_str(value)), err);
}

struct reading {
	struct conf *conf;
	const char *name;
	struct slice rest; /* of the file */
	unsigned line;	   /* the one handed out last */
	bool has_fault;
	bool seen[ROWS_MAX];
	struct strbuf *err;
};

static void fault(struct reading *r, const char *what)
{
	strbuf_printf(r->err, "%s:%u: %s\n", r->name, r->line, what);
	r->has_fault = true;
}

/*
 * Called by inih in place of fgets(), once for each line. It sees no line that it
 * would cut in two, and no NUL, where it would stop reading in silence.
 */
static char *next_line(char *out, int room, void *stream)
{
	struct reading *r = stream;
	const char *end;
	size_t n;

	if (r->rest.n == 0)
		return NULL;
	r->line++;
	end = memchr(r->rest.p, '\n', r->rest.n);
	n = end != NULL ? (size_t)(end - r->rest.p) + 1 : r->rest.n;
	if (n >= (size_t)room) {
		fault(r, "line too long");
		memcpy(out, "\n", 2);
	} else if (memchr(r->rest.p, '\0', n) != NULL) {
		fault(r, "NUL byte");
		memcpy(out, "\n", 2);
	} else {
		memcpy(out, r->rest.p, n);
		out[n] = '\0';
	}
	r->rest = slice_drop(r->rest, n);
	return out;
}

/* Called by inih for each setting; a NULL value is a line without "=". */
static int on_setting(void *user, const char *section, const char *key, const char *value)
{
	struct reading *r = user;
	const struct conf_row *row;
	char prefix[300];

	if (value == NULL) {
		fault(r, "neither [section] nor key = value");
		return 1;
	}
	snprintf(prefix, sizeof(prefix), "%s:%u: ", r->name, r->line);
	row = conf_row_find(slice_str(section), slice_str(key));
	if (row == NULL) {
		strbuf_put_str(r->err, prefix);
		(void)fault_unknown(slice_str(section), slice_str(key), r->err);
		r->has_fault = true;
		return 1;
	}
	if (r->seen[row - conf_rows]) {
		strbuf_printf(r->err, "%s%s.%s is set twice\n", prefix, row->section, row->key);
		r->has_fault = true;
		return 1;
	}
	r->seen[row - conf_rows] = true;
	if (set_one(r->conf, prefix, row, slice_trim(slice_str(value)), r->err) < 0)
		r->has_fault = true;
	return 1;
}

int conf_read_text(struct conf *c, const char *name, struct slice text, struct strbuf *err)
{
	struct reading r = {.conf = c, .name = name, .rest = text, .err = err};
	int rc;

	CHECK(conf_n_rows <= ROWS_MAX);
	ini_use_stack = false;
	ini_initial_alloc = LINE_BYTES;
	ini_max_line = LINE_BYTES;
	ini_allow_multiline = false;
	ini_allow_no_value = true;
	rc = ini_parse_stream(next_line, &r, on_setting, &r);
	if (rc > 0) {
		r.line = (unsigned)rc;
		fault(&r, "[section] without its closing bracket");
	} else if (rc < 0) {
		fault(&r, "out of memory");
	}
	return r.has_fault ? -EINVAL : 0;
}

/* The file's bytes into text, at most FILE_BYTES of them. */
static int slurp(const char *path, struct strbuf *text)
{
	char buf[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		strbuf_put(text, slice_make(buf, (size_t)n));
	if (n < 0)
		n = -errno;
	close(fd);
	if (n == 0 && !strbuf_ok(text))
		n = text->cap - text->n < sizeof(buf) ? -EFBIG : -ENOMEM;
	return (int)n;
}

int conf_read_file(struct conf *c, const char *path, struct strbuf *err)
{
	struct strbuf text;
	int rc;

	strbuf_init(&text, FILE_BYTES);
	rc = slurp(path, &text);
	if (rc == 0) {
		rc = conf_read_text(c, path, strbuf_slice(&text), err);
	} else if (rc != -ENOENT) {
		strbuf_printf(err, "%s: %s\n", path,
			      rc == -ENOMEM ? "out of memory" : strerror(-rc));
		rc = -EINVAL;
	}
	strbuf_fini(&text);
	return rc;
}
