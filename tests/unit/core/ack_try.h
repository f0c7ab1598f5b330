/* A set of acknowledgements in a state directory of its own, and a management point to answer it.
 */
#ifndef STATWEIR_TESTS_UNIT_CORE_ACK_TRY_H
#define STATWEIR_TESTS_UNIT_CORE_ACK_TRY_H

#include "proxy/core/ack.h"
#include "proxy/core/ack_template.h"

#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/http/reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/sim/fake_clock.c"

#define DATE "Sun, 22 Nov 2026 10:11:12 GMT" /* of the fake clock */
#define HEAD                                                                                      \
	"HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n" \
	"Content-Type: multipart/mixed\r\nX-Powered-By: ASP.NET\r\n"
#define BODY "--b\r\n\r\nNoReply\r\n--b--"

static const struct ack_key key = {.path = {"/CCM_system/request", 19},
				   .minor = 1,
				   .compression = {"zlib", 4},
				   .schema = {"1.1", 3}};

struct fixture {
	struct conf conf;
	char state[64], upstream[32], template[96];
	struct ack_set *a;
	const struct ack_template *t; /* of the last choice */
	int64_t mismatches;
};

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(conf_init(&f->conf), 0);
	snprintf(f->state, sizeof(f->state), "/tmp/test_ack_XXXXXX");
	assert_non_null(mkdtemp(f->state));
	free(f->conf.state);
	f->conf.state = f->state;
	assert_int_equal(ack_open(&f->a, &f->conf), 0);
	f->mismatches = metrics_self->v[M_ACK_MISMATCHES];
	*state = f;
	return 0;
}

static inline void each_file(const struct fixture *f, void (*fn)(const char *path))
{
	char path[512], dir_path[128];
	struct dirent *entry;
	DIR *dir;

	snprintf(dir_path, sizeof(dir_path), "%s/ack", f->state);
	dir = opendir(dir_path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir_path, entry->d_name);
		fn(path);
	}
	closedir(dir);
}

static unsigned n_counted;

static inline void count_file(const char *path)
{
	(void)path;
	n_counted++;
}

static inline unsigned n_files(const struct fixture *f)
{
	n_counted = 0;
	each_file(f, count_file);
	return n_counted;
}

static inline void remove_file(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	char path[128];

	if (f->a != NULL)
		ack_close(f->a);
	each_file(f, remove_file);
	snprintf(path, sizeof(path), "%s/ack", f->state);
	assert_int_equal(rmdir(path), 0);
	if (f->template[0] != '\0')
		unlink(f->template);
	assert_int_equal(rmdir(f->state), 0);
	f->conf.state = NULL;
	if (f->upstream[0] != '\0')
		f->conf.upstream = NULL;
	if (f->template[0] != '\0')
		f->conf.ack_template = NULL;
	conf_fini(&f->conf);
	free(f);
	return 0;
}

static inline void reopen(struct fixture *f)
{
	ack_close(f->a);
	f->a = NULL;
	assert_int_equal(ack_open(&f->a, &f->conf), 0);
}

static inline enum ack_choice choose(struct fixture *f)
{
	return ack_choose(f->a, &key, &f->t);
}

struct parsed {
	struct http_head head;
	char text[4096];
};

static inline void parse(struct parsed *p, const char *fields, size_t body_bytes)
{
	struct http_limits lim = {8192, 8192, 32768, 32, 100, {"weir", 4}};
	struct http_reader r = {0};

	snprintf(p->text, sizeof(p->text), "%sContent-Length: %zu\r\n\r\n", fields, body_bytes);
	assert_int_equal(http_read_response(&r, p->text, strlen(p->text), false, &lim, &p->head),
			 HTTP_HEAD);
}

static inline void answer_bytes(struct fixture *f, const char *fields, struct slice body,
				const char *id)
{
	struct parsed p;

	parse(&p, fields, body.n);
	ack_observe(f->a, &key, &p.head, body, slice_str(id));
}

static inline void answer(struct fixture *f, const char *fields, const char *body, const char *id)
{
	answer_bytes(f, fields, slice_str(body), id);
}

static inline const char *id_of(unsigned i)
{
	static char text[64];

	snprintf(text, sizeof(text), "{0000000%u-AbCd-4000-8000-00000000000%u}", i % 10, i % 10);
	return text;
}

/* From nothing to VALID. */
static inline void learn(struct fixture *f)
{
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		answer(f, HEAD, BODY, id_of(i));
	}
	assert_int_equal(choose(f), ACK_REPLAY);
}

static inline void assert_written(const struct fixture *f, const char *id, uint8_t minor,
				  bool keep_alive, const char *expected)
{
	struct strbuf out;

	strbuf_init(&out, 65536);
	ack_write(f->t, slice_str(id), minor, keep_alive, clock_http_date(), &out);
	assert_true(strbuf_ok(&out));
	strbuf_put(&out, slice_make("", 1));
	assert_string_equal(out.p, expected);
	strbuf_fini(&out);
}

/* UTF-16LE of ASCII. */
static inline struct slice wide(const char *text)
{
	static char out[4096];
	size_t n = strlen(text);

	assert_true(n * 2 <= sizeof(out));
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = text[i];
		out[2 * i + 1] = '\0';
	}
	return slice_make(out, n * 2);
}

/* The acknowledgement of a message ends in body. */
static inline void assert_echo(const struct fixture *f, const char *id, const char *body)
{
	struct strbuf out;

	strbuf_init(&out, 65536);
	ack_write(f->t, slice_str(id), 1, true, clock_http_date(), &out);
	assert_true(strbuf_ok(&out) && out.n > strlen(body));
	assert_memory_equal(out.p + out.n - strlen(body), body, strlen(body));
	strbuf_fini(&out);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
