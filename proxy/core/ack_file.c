#include "proxy/core/ack_file.h"

#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/base/siphash.h"
#include "proxy/http/body.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT	    "statweir-ack 1 "
#define FILE_CAP    (64 * 1024)
#define NAME_BYTES  21 /* 16 hex digits, ".ack", NUL */
#define DIGIT_BYTES 21
/* Stands for any message's ID in a file: capitals and small letters tell "the same" apart. */
#define FILE_ID "{AbCdEf01-2345-6789-aBcD-eF0123456789}"

int ack_dir_open(struct ack_dir *d, const struct conf *conf)
{
	char *path = NULL;

	*d = (struct ack_dir){.upstream = conf->upstream};
	d->limits = (struct http_limits){
		.request_line = (size_t)conf->max_request_line,
		.field_line = (size_t)conf->max_field_line,
		.head = (size_t)conf->max_response_head,
		.method = (size_t)conf->max_method,
		.fields = (unsigned)conf->max_fields,
		.pseudonym = slice_str(conf->pseudonym),
	};
	if (asprintf(&path, "%s/ack", conf->state) < 0)
		return -ENOMEM;
	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		log_line(LOG_WARN, "ack_directory",
			 "path=\"%s\" error=\"%s\" effect=\"acknowledgements are learned anew at "
			 "each start\"",
			 path, strerror(errno));
		free(path);
		return 0;
	}
	d->path = path;
	return 0;
}

void ack_dir_close(struct ack_dir *d)
{
	free(d->path);
	d->path = NULL;
}

int64_t ack_dir_changed_ns(const struct ack_dir *d)
{
	struct stat st;

	if (d->path == NULL || stat(d->path, &st) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* --- one response in memory --- */

static int read_chunks(struct http_body *b, struct slice rest, struct strbuf *out, size_t *used)
{
	static const struct http_body_limits limits = {.chunk_ext = 4096, .trailers = 8192};
	struct slice data;
	enum body_rc rc;
	size_t n;

	do {
		rc = http_body_next(b, &limits, slice_drop(rest, *used), &n, &data);
		*used += n;
		if (rc == BODY_DATA)
			strbuf_put(out, data);
	} while (rc == BODY_DATA);
	return rc == BODY_END ? 0 : -EINVAL;
}

/* A whole response, and nothing behind it. 0, -EINVAL or -ENOMEM with words in what. */
static int read_response(const struct ack_dir *d, struct slice raw, struct slice id,
			 struct ack_template **out, char what[ACK_WHAT])
{
	struct http_reader reader = {0};
	struct http_head head = {0};
	struct http_body body;
	struct strbuf data;
	struct slice rest;
	size_t used = 0;
	int rc = 0;

	snprintf(what, ACK_WHAT, "not a whole HTTP response with CRLF line ends");
	if (http_read_response(&reader, raw.p, raw.n, false, &d->limits, &head) != HTTP_HEAD) {
		if (reader.reason != REASON_NONE)
			snprintf(what, ACK_WHAT, "%s", reason_table[reader.reason].text);
		return -EINVAL;
	}
	rest = slice_drop(raw, head.head_bytes);
	strbuf_init(&data, ACK_MAX_BODY + 1);
	http_body_init(&body, &head);
	if (head.framing == FRAMING_CLOSE) {
		strbuf_put(&data, rest);
		used = rest.n;
	} else {
		rc = read_chunks(&body, rest, &data, &used);
	}
	if (rc == 0 && used != rest.n) {
		snprintf(what, ACK_WHAT, "%zu bytes behind the end of the body", rest.n - used);
		rc = -EINVAL;
	}
	if (rc == 0 && !strbuf_ok(&data)) {
		snprintf(what, ACK_WHAT, "its body is longer than %d bytes", ACK_MAX_BODY);
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = ack_template_new(out, &head, strbuf_slice(&data), id, what);
	strbuf_fini(&data);
	return rc == -EAGAIN ? -EINVAL : rc;
}

/* --- files --- */

int ack_file_read_response(const struct ack_dir *d, const char *path, struct ack_template **out)
{
	char what[ACK_WHAT] = "";
	struct strbuf raw;
	int rc;

	strbuf_init(&raw, FILE_CAP);
	rc = file_read(path, &raw);
	if (rc < 0)
		snprintf(what, sizeof(what), "%s", strerror(-rc));
	else
		rc = read_response(d, strbuf_slice(&raw), SLICE(""), out, what);
	strbuf_fini(&raw);
	if (rc == 0)
		return 0;
	log_line(LOG_ERROR, "ack_template",
		 "setting=ack.template file=\"%s\" error=\"%s\" hint=\"give a complete response "
		 "of status 200 with a body, exactly as the management point sent it\"",
		 path, what);
	return rc == -ENOMEM ? rc : -EINVAL;
}

/* "WORD LENGTH BYTES\n" off the front of *rest. */
static bool take_item(struct slice *rest, const char *word, struct slice *value)
{
	struct slice name = slice_str(word);
	uint64_t bytes;
	const char *sp;

	if (rest->n < name.n + 1 || memcmp(rest->p, name.p, name.n) != 0 || rest->p[name.n] != ' ')
		return false;
	*rest = slice_drop(*rest, name.n + 1);
	sp = memchr(rest->p, ' ', rest->n < DIGIT_BYTES ? rest->n : DIGIT_BYTES);
	if (sp == NULL || slice_to_u64(slice_make(rest->p, (size_t)(sp - rest->p)), &bytes) < 0)
		return false;
	*rest = slice_drop(*rest, (size_t)(sp + 1 - rest->p));
	if (bytes >= rest->n || rest->p[bytes] != '\n')
		return false;
	*value = slice_make(rest->p, (size_t)bytes);
	*rest = slice_drop(*rest, (size_t)bytes + 1);
	return true;
}

static void put_item(struct strbuf *out, const char *word, struct slice value)
{
	strbuf_printf(out, "%s %zu ", word, value.n);
	strbuf_put(out, value);
	strbuf_put(out, SLICE("\n"));
}

static void put_number_item(struct strbuf *out, const char *word, uint64_t v)
{
	char digits[DIGIT_BYTES];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, v);

	put_item(out, word, slice_make(digits, (size_t)n));
}

static uint32_t crc_of(struct slice s)
{
	return libdeflate_crc32(0, s.p, s.n);
}

/* Header line, then what its CRC covers. False: not a file of ours, or damaged. */
static bool take_header(struct slice *rest, uint32_t *crc, char what[ACK_WHAT])
{
	struct slice format = SLICE(FORMAT);
	char digits[9] = "", *end;

	if (rest->n < format.n + sizeof(digits) || memcmp(rest->p, format.p, format.n) != 0) {
		snprintf(what, ACK_WHAT, "of another version, or not an acknowledgement");
		return false;
	}
	memcpy(digits, rest->p + format.n, sizeof(digits) - 1);
	*crc = (uint32_t)strtoul(digits, &end, 16);
	if (*end != '\0' || rest->p[format.n + 8] != '\n') {
		snprintf(what, ACK_WHAT, "damaged");
		return false;
	}
	*rest = slice_drop(*rest, format.n + sizeof(digits));
	if (crc_of(*rest) != *crc) {
		snprintf(what, ACK_WHAT, "damaged (checksum)");
		return false;
	}
	return true;
}

/* 0, -EINVAL with words in what, or -ESTALE: of another management point. */
static int parse_file(const struct ack_dir *d, struct slice rest, struct ack_loaded *l,
		      char what[ACK_WHAT])
{
	struct slice version, upstream, learned, id, reply;
	uint64_t minor, at;

	if (!take_header(&rest, &l->crc, what))
		return -EINVAL;
	snprintf(what, ACK_WHAT, "incomplete");
	if (!take_item(&rest, "path", &l->key.path) || !take_item(&rest, "version", &version) ||
	    !take_item(&rest, "compression", &l->key.compression) ||
	    !take_item(&rest, "schema", &l->key.schema) ||
	    !take_item(&rest, "upstream", &upstream) || !take_item(&rest, "learned", &learned) ||
	    !take_item(&rest, "id", &id) || !take_item(&rest, "reply", &reply) || rest.n != 0)
		return -EINVAL;
	if (slice_to_u64(version, &minor) < 0 || minor > 1 || slice_to_u64(learned, &at) < 0 ||
	    at > INT64_MAX)
		return -EINVAL;
	if (!slice_eq(upstream, slice_str(d->upstream)))
		return -ESTALE;
	l->key.minor = (uint8_t)minor;
	l->learned_ms = (int64_t)at;
	return read_response(d, reply, id, &l->template, what);
}

static bool is_ack_name(const char *name)
{
	size_t n = strlen(name);

	return n == NAME_BYTES - 1 && strcmp(name + n - 4, ".ack") == 0;
}

static void load_one(const struct ack_dir *d, const char *name, ack_loaded_fn *fn, void *arg)
{
	static struct log_limit limit;
	char path[4096], what[ACK_WHAT] = "";
	struct ack_loaded l = {0};
	struct strbuf raw;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", d->path, name);
	strbuf_init(&raw, FILE_CAP);
	rc = file_read(path, &raw);
	if (rc < 0)
		snprintf(what, sizeof(what), "%s", strerror(-rc));
	else
		rc = parse_file(d, strbuf_slice(&raw), &l, what);
	if (rc == 0)
		fn(arg, &l);
	else if (rc == -ESTALE)
		log_limited(&limit, 4, LOG_INFO, "ack_file_ignored",
			    "file=\"%s\" why=\"learned from another upstream\"", path);
	else if (rc != -ENOENT) /* else another worker has just removed it */
		log_limited(&limit, 4, LOG_WARN, "ack_file_ignored",
			    "file=\"%s\" why=\"%s\" hint=\"it may be removed; the acknowledgement "
			    "is learned anew\"",
			    path, what);
	strbuf_fini(&raw);
}

void ack_dir_read(const struct ack_dir *d, ack_loaded_fn *fn, void *arg)
{
	struct dirent *entry;
	DIR *dir = d->path != NULL ? opendir(d->path) : NULL;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (is_ack_name(entry->d_name))
			load_one(d, entry->d_name, fn, arg);
	closedir(dir);
}

/* The same key has the same name in every process. */
static void name_file(const struct ack_key *key, char out[NAME_BYTES])
{
	static const struct siphash_key name_key = {0x61636b6e6f776c65u, 0x6467656d656e7473u};
	struct strbuf text;
	uint64_t hash;

	strbuf_init(&text, 4096);
	put_item(&text, "path", key->path);
	put_number_item(&text, "version", key->minor);
	put_item(&text, "compression", key->compression);
	put_item(&text, "schema", key->schema);
	hash = siphash(&name_key, strbuf_slice(&text));
	strbuf_fini(&text);
	snprintf(out, NAME_BYTES, "%016" PRIx64 ".ack", hash);
}

static void put_content(const struct ack_dir *d, const struct ack_key *key,
			const struct ack_template *t, struct strbuf *out)
{
	struct strbuf reply;

	strbuf_init(&reply, FILE_CAP);
	ack_write(t, SLICE(FILE_ID), 1, true, clock_http_date(), &reply);
	if (!strbuf_ok(&reply))
		out->has_failed = true;
	put_item(out, "path", key->path);
	put_number_item(out, "version", key->minor);
	put_item(out, "compression", key->compression);
	put_item(out, "schema", key->schema);
	put_item(out, "upstream", slice_str(d->upstream));
	put_number_item(out, "learned", (uint64_t)clock_wall_ms());
	put_item(out, "id", SLICE(FILE_ID));
	put_item(out, "reply", strbuf_slice(&reply));
	strbuf_fini(&reply);
}

int ack_file_write(const struct ack_dir *d, const struct ack_key *key, const struct ack_template *t,
		   uint32_t *crc)
{
	char path[4096], name[NAME_BYTES], head[64];
	struct strbuf content;
	struct slice v[2];
	int rc = -ENOMEM, n;

	*crc = 0;
	if (d->path == NULL)
		return -ENOENT;
	name_file(key, name);
	snprintf(path, sizeof(path), "%s/%s", d->path, name);
	strbuf_init(&content, FILE_CAP);
	put_content(d, key, t, &content);
	if (strbuf_ok(&content)) {
		*crc = crc_of(strbuf_slice(&content));
		n = snprintf(head, sizeof(head), FORMAT "%08" PRIx32 "\n", *crc);
		v[0] = slice_make(head, (size_t)n);
		v[1] = strbuf_slice(&content);
		rc = file_replace(path, v, 2, FILE_SYNCED);
	}
	strbuf_fini(&content);
	if (rc < 0)
		log_line(LOG_WARN, "ack_file",
			 "file=\"%s\" error=\"%s\" effect=\"learned anew at the next start\"", path,
			 strerror(-rc));
	return rc;
}

void ack_file_remove(const struct ack_dir *d, const struct ack_key *key)
{
	char path[4096], name[NAME_BYTES];

	if (d->path == NULL)
		return;
	name_file(key, name);
	snprintf(path, sizeof(path), "%s/%s", d->path, name);
	if (unlink(path) < 0 && errno != ENOENT)
		log_line(LOG_ERROR, "ack_file",
			 "file=\"%s\" error=\"%s\" hint=\"remove it: the management point answers "
			 "otherwise now\"",
			 path, strerror(errno));
	else
		(void)!file_sync_dir(d->path);
}
