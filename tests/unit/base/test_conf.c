#include "proxy/base/conf_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct conf conf;
	struct strbuf err;
};

static void setup(struct fixture *f)
{
	assert_int_equal(conf_init(&f->conf), 0);
	strbuf_init(&f->err, 65536);
}

static void teardown(struct fixture *f)
{
	conf_fini(&f->conf);
	strbuf_fini(&f->err);
}

static bool says(const struct fixture *f, const char *words)
{
	return f->err.n > 0 && memmem(f->err.p, f->err.n, words, strlen(words)) != NULL;
}

static void test_conf_init_holds_defaults(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_string_equal(f.conf.listen, "127.0.0.1:8080");
	assert_string_equal(f.conf.upstream, "");
	assert_int_equal(f.conf.mode, MODE_ENFORCE);
	assert_int_equal(f.conf.enforce_percent, 100);
	assert_int_equal(f.conf.interval_ms, 900000);
	assert_int_equal(f.conf.max_inspect, 65536);
	assert_int_equal(f.conf.log_level, CONF_LOG_INFO);
	assert_int_equal(f.conf.durability, DURABLE_JOURNAL);
	assert_false(f.conf.access_log);
	for (unsigned i = 0; i < conf_n_rows; i++)
		assert_true(conf_value_is_default(&f.conf, &conf_rows[i]));
	teardown(&f);
}

/* A default that its own bounds refuse would make an example file useless. */
static void test_conf_table_defaults_within_bounds(void **state)
{
	struct fixture f;
	struct strbuf text;

	(void)state;
	setup(&f);
	strbuf_init(&text, 8192);
	for (unsigned i = 0; i < conf_n_rows; i++) {
		strbuf_reset(&text);
		conf_value_print(&f.conf, &conf_rows[i], &text);
		assert_int_equal(conf_value_read(&f.conf, &conf_rows[i], strbuf_slice(&text)), 0);
		assert_true(conf_value_is_default(&f.conf, &conf_rows[i]));
	}
	strbuf_fini(&text);
	teardown(&f);
}

struct set_case {
	const char *setting, *value;
	bool is_good;
	size_t offset;
	int64_t want;
};

#define GOOD(s, v, field, n)                                \
	{                                                   \
		s, v, true, offsetof(struct conf, field), n \
	}
#define BAD(s, v)                 \
	{                         \
		s, v, false, 0, 0 \
	}

static const struct set_case number_cases[] = {
	GOOD("rollup.interval", "10s", interval_ms, 10000),
	GOOD("rollup.interval", "1500ms", interval_ms, 1500),
	GOOD("rollup.interval", "5m", interval_ms, 300000),
	GOOD("rollup.interval", "2h", interval_ms, 7200000),
	GOOD("rollup.interval", "1d", interval_ms, 86400000),
	GOOD("rollup.interval", "5 m", interval_ms, 300000),
	GOOD("rollup.settle_wait", "0", settle_wait_ms, 0),
	GOOD("rollup.settle_wait", "0s", settle_wait_ms, 0),
	GOOD("recognise.max_inspect", "64KiB", max_inspect, 65536),
	GOOD("recognise.max_inspect", "1MiB", max_inspect, 1048576),
	GOOD("limits.request_line", "300B", max_request_line, 300),
	GOOD("limits.body", "9223372036854775807B", max_body, INT64_MAX),
	GOOD("limits.body", "0", max_body, 0),
	GOOD("limits.body", "4GiB", max_body, INT64_C(4) << 30),
	GOOD("global.enforce", "25%", enforce_percent, 25),
	GOOD("global.enforce", "0%", enforce_percent, 0),
	GOOD("global.workers", "64", workers, 64),
	GOOD("global.workers", " 2 ", workers, 2),
	GOOD("global.workers", "auto", workers, 0),
	BAD("rollup.interval", "10"),
	BAD("rollup.interval", "999ms"),
	BAD("rollup.interval", "25h"),
	BAD("rollup.interval", "-5m"),
	BAD("rollup.interval", "+5m"),
	BAD("rollup.interval", "5M"),
	BAD("rollup.interval", "1.5h"),
	BAD("rollup.interval", "5m30s"),
	BAD("rollup.interval", "99999999999999999999s"),
	BAD("rollup.interval", "9223372036854775807d"),
	BAD("rollup.interval", ""),
	BAD("recognise.max_inspect", "64KB"),
	BAD("recognise.max_inspect", "64"),
	BAD("recognise.max_inspect", "1023B"),
	BAD("recognise.max_inspect", "2MiB"),
	BAD("limits.body", "9223372036854775808B"),
	BAD("global.enforce", "101%"),
	BAD("global.enforce", "25"),
	BAD("global.workers", "0"),
	BAD("global.workers", "65"),
	BAD("global.workers", "Auto"),
	BAD("global.workers", "0x2"),
	BAD("global.mode", "Enforce"),
	BAD("global.mode", ""),
	BAD("global.mode", "enforce|observe"),
	BAD("global.access_log", "yes"),
	BAD("global.state", "a\tb"),
	BAD("global.state", ";a"),
	BAD("global.state", "a ;b"),
	BAD("global.nothing", "1"),
	BAD("nowhere.listen", "1"),
	BAD("listen", "1"),
	BAD("", "1"),
	BAD(".", "1"),
};

static void test_conf_set_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(number_cases) / sizeof(number_cases[0]); i++) {
		const struct set_case *t = &number_cases[i];
		struct fixture f;
		int rc;

		setup(&f);
		rc = conf_set(&f.conf, t->setting, t->value, &f.err);
		if (rc != (t->is_good ? 0 : -EINVAL))
			fail_msg("%s = %s: %d", t->setting, t->value, rc);
		assert_int_equal(f.err.n == 0, t->is_good);
		if (t->is_good)
			assert_int_equal(*(int64_t *)(void *)((char *)&f.conf + t->offset),
					 t->want);
		else
			assert_int_equal(f.err.p[f.err.n - 1], '\n');
		teardown(&f);
	}
}

static void test_conf_set_words_and_texts(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(conf_set(&f.conf, "global.mode", "bypass", &f.err), 0);
	assert_int_equal(f.conf.mode, MODE_BYPASS);
	assert_int_equal(conf_set(&f.conf, "redis.durability", "none", &f.err), 0);
	assert_int_equal(f.conf.durability, DURABLE_NONE);
	assert_int_equal(conf_set(&f.conf, "global.access_log", "on", &f.err), 0);
	assert_true(f.conf.access_log);
	assert_int_equal(conf_set(&f.conf, "global.upstream", " mp1:80 ", &f.err), 0);
	assert_string_equal(f.conf.upstream, "mp1:80");
	assert_int_equal(conf_set(&f.conf, "global.upstream", "", &f.err), 0);
	assert_string_equal(f.conf.upstream, "");
	teardown(&f);
}

static void test_conf_set_fault_says_what_is_allowed(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(conf_set(&f.conf, "listen.header_timeout", "1ms", &f.err), -EINVAL);
	assert_true(says(&f, "listen.header_timeout = 1ms: allowed is 100ms to 10m\n"));
	assert_int_equal(conf_set(&f.conf, "limits.body", "x", &f.err), -EINVAL);
	assert_true(says(&f, "allowed is 0 or more\n"));
	assert_int_equal(conf_set(&f.conf, "rollup.summary", "x", &f.err), -EINVAL);
	assert_true(says(&f, "allowed is status, exemplar, log\n"));
	assert_int_equal(conf_set(&f.conf, "rollup.intervall", "5m", &f.err), -EINVAL);
	assert_true(says(&f, "unknown setting rollup.intervall; nearest is rollup.interval\n"));
	assert_int_equal(conf_set(&f.conf, "rolup.window", "5m", &f.err), -EINVAL);
	assert_true(says(&f, "unknown section in rolup.window; nearest is rollup.window\n"));
	teardown(&f);
}

/* Of all times the linger alone is told to the microsecond. */
static void test_conf_set_microseconds(void **state)
{
	static const struct {
		const char *given, *printed;
		int64_t us;
	} good[] = {{"750us", "750us", 750},	{"2000us", "2ms", 2000}, {"0", "0", 0},
		    {"1500us", "1500us", 1500}, {"3ms", "3ms", 3000},	 {"1s", "1s", 1000000}};
	static const char *const bad[] = {"750", "1001ms", "1m", "1.5ms", "us", "-1us", "1 us us"};
	const struct conf_row *row = conf_row_find(SLICE("redis"), SLICE("linger"));
	struct strbuf out;
	struct fixture f;

	(void)state;
	setup(&f);
	strbuf_init(&out, 100);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(conf_set(&f.conf, "redis.linger", good[i].given, &f.err), 0);
		assert_int_equal(f.conf.redis_linger_us, good[i].us);
		strbuf_reset(&out);
		conf_value_print(&f.conf, row, &out);
		assert_true(slice_eq(strbuf_slice(&out), slice_str(good[i].printed)));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(conf_set(&f.conf, "redis.linger", bad[i], &f.err), -EINVAL);
	assert_true(says(&f, "redis.linger = 750: allowed is 0 to 1s\n"));
	assert_int_equal(conf_set(&f.conf, "redis.call_timeout", "60000us", &f.err), -EINVAL);
	strbuf_fini(&out);
	teardown(&f);
}

static int read_text(struct fixture *f, const char *text)
{
	return conf_read_text(&f->conf, "t.conf", slice_str(text), &f->err);
}

static void test_conf_read_text_sets_and_comments(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(read_text(&f, "\xef\xbb\xbf; first\r\n"
				       "[global]\r\n"
				       "  listen = [::1]:80 ; inline\r\n"
				       "upstream: mp1:8080\r\n"
				       "# comment\n"
				       "\n"
				       "[rollup]\n"
				       "\tinterval=5m\n"
				       "machine_name=\n"
				       "[global]\n"
				       "workers = 2"),
			 0);
	assert_int_equal(f.err.n, 0);
	assert_string_equal(f.conf.listen, "[::1]:80");
	assert_string_equal(f.conf.upstream, "mp1:8080");
	assert_int_equal(f.conf.interval_ms, 300000);
	assert_int_equal(f.conf.workers, 2);
	teardown(&f);
}

static void test_conf_read_text_every_fault_has_its_line(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(read_text(&f, "listen = 1\n"
				       "[global]\n"
				       "lisen = 127.0.0.1:80\n"
				       "workers = 2\n"
				       "workers = 3\n"
				       "just words\n"
				       "drain = 1\n"
				       "[broken\n"),
			 -EINVAL);
	assert_true(says(&f, "t.conf:1: unknown section in .listen; nearest is"));
	assert_true(says(&f, "t.conf:3: unknown setting global.lisen; nearest is global.listen\n"));
	assert_true(says(&f, "t.conf:5: global.workers is set twice\n"));
	assert_true(says(&f, "t.conf:6: neither [section] nor key = value\n"));
	assert_true(says(&f, "t.conf:7: global.drain = 1: allowed is 0 to 1h\n"));
	assert_true(says(&f, "t.conf:8: [section] without its closing bracket\n"));
	assert_int_equal(f.conf.workers, 2);
	teardown(&f);
}

static void test_conf_read_text_long_line_and_nul_refused(void **state)
{
	struct fixture f;
	char text[10000];
	int n;

	(void)state;
	setup(&f);
	n = snprintf(text, sizeof(text), "[global]\nstate = /%04000d\n", 0);
	assert_int_equal(read_text(&f, text), 0);
	assert_int_equal(strlen(f.conf.state), 4001);
	n = snprintf(text, sizeof(text), "[global]\nstate = /%09000d\nworkers = 4\n", 0);
	assert_int_equal(read_text(&f, text), -EINVAL);
	assert_true(says(&f, "t.conf:2: line too long\n"));
	assert_int_equal(f.conf.workers, 4);
	n = snprintf(text, sizeof(text), "[global]\nworkers = 5%c\nenforce = 7%%\n", 0);
	assert_int_equal(conf_read_text(&f.conf, "t.conf", slice_make(text, (size_t)n), &f.err),
			 -EINVAL);
	assert_true(says(&f, "t.conf:2: NUL byte\n"));
	assert_int_equal(f.conf.workers, 4);
	assert_int_equal(f.conf.enforce_percent, 7);
	teardown(&f);
}

static void test_conf_read_file_missing_and_unreadable(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(conf_read_file(&f.conf, "/nonexistent/statweir.conf", &f.err), -ENOENT);
	assert_int_equal(f.err.n, 0);
	assert_int_equal(conf_read_file(&f.conf, "/", &f.err), -EINVAL);
	assert_true(says(&f, "/: Is a directory\n"));
	teardown(&f);
}

static void test_conf_print_reads_back_the_same(void **state)
{
	char path[] = "/tmp/statweir-conf-XXXXXX";
	int fd = mkstemp(path);
	struct strbuf first, second;
	struct fixture a, b;

	(void)state;
	assert_true(fd >= 0);
	setup(&a);
	setup(&b);
	strbuf_init(&first, 1u << 20);
	strbuf_init(&second, 1u << 20);
	assert_int_equal(conf_set(&a.conf, "rollup.interval", "1501ms", &a.err), 0);
	assert_int_equal(conf_set(&a.conf, "global.enforce", "0%", &a.err), 0);
	assert_int_equal(conf_set(&a.conf, "listen.trusted", "10.0.0.0/8,::1", &a.err), 0);
	conf_print(&a.conf, &first);
	assert_true(strbuf_ok(&first));
	assert_int_equal(write(fd, first.p, first.n), first.n);
	close(fd);
	assert_int_equal(conf_read_file(&b.conf, path, &b.err), 0);
	unlink(path);
	conf_print(&b.conf, &second);
	assert_true(slice_eq(strbuf_slice(&first), strbuf_slice(&second)));
	assert_non_null(memmem(first.p, first.n, "\ninterval = 1501ms\n", 19));
	strbuf_fini(&first);
	strbuf_fini(&second);
	teardown(&a);
	teardown(&b);
}

static void test_conf_print_manual_names_every_setting(void **state)
{
	struct strbuf out;
	char want[80];

	(void)state;
	strbuf_init(&out, 1u << 20);
	conf_print_manual(&out);
	assert_true(strbuf_ok(&out));
	for (unsigned i = 0; i < conf_n_rows; i++) {
		int n = snprintf(want, sizeof(want), "| `%s` |", conf_rows[i].key);

		assert_non_null(memmem(out.p, out.n, want, (size_t)n));
	}
	strbuf_fini(&out);
}

struct check_case {
	const char *setting, *value;
	bool is_good;
};

static const struct check_case check_cases[] = {
	{"global.listen", "0.0.0.0:0", true},
	{"global.listen", "[::]:8080", true},
	{"global.listen", "8080", false},
	{"global.listen", "", false},
	{"global.upstream", "", false},
	{"global.upstream", "mp1.corp.example:80", true},
	{"global.upstream", "mp1:0", false},
	{"global.upstream", "http://mp1:80", false},
	{"global.admin", "off", true},
	{"global.admin", "on", false},
	{"global.state", "", false},
	{"listen.trusted", "10.0.0.1, 10.0.0.0/8,fe80::/10", true},
	{"listen.trusted", "10.0.0.0/33", false},
	{"listen.trusted", "proxy.example", false},
	{"listen.trusted", "10.0.0.1,,", false},
	{"listen.pseudonym", "a b", false},
	{"recognise.paths", "/ccm_system/request,/b", true},
	{"recognise.paths", "ccm_system", false},
	{"recognise.paths", "/a?b", false},
	{"recognise.message_ids", "10907, 0,65535", true},
	{"recognise.message_ids", "65536", false},
	{"recognise.message_ids", "", false},
	{"recognise.types", "a b", false},
	{"rollup.identity", "GUID:0F8fad5b-d9cb-469f-a165-70867728950e", true},
	{"rollup.identity", "0f8fad5b-d9cb-469f-a165-70867728950e", false},
	{"rollup.identity", "GUID:0f8fad5b-d9cb-469f-a165-70867728950g", false},
	{"rollup.machine_name", "<x>", false},
	{"redis.server", "unix:/run/redis.sock", true},
	{"redis.server", "unix:run/redis.sock", false},
	{"redis.server", "10.0.0.1:6379", true},
	{"redis.server", "10.0.0.1", false},
	{"redis.prefix", "a{b}", false},
	{"redis.prefix", "", false},
	{"limits.header_section", "1KiB", false},
};

static void test_conf_check_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(check_cases) / sizeof(check_cases[0]); i++) {
		const struct check_case *t = &check_cases[i];
		struct fixture f;
		int rc;

		setup(&f);
		assert_int_equal(conf_set(&f.conf, "global.upstream", "mp:80", &f.err), 0);
		assert_int_equal(conf_set(&f.conf, t->setting, t->value, &f.err), 0);
		rc = conf_check(&f.conf, &f.err);
		if (rc != (t->is_good ? 0 : -EINVAL))
			fail_msg("%s = %s: %d", t->setting, t->value, rc);
		assert_int_equal(f.err.n == 0, t->is_good);
		teardown(&f);
	}
}

/* Replicas can be waited for only where there are any, and only for so long. */
static void test_conf_check_wait_for_replicas(void **state)
{
	static const struct {
		const char *setting, *value, *words;
	} steps[] = {
		{"redis.wait", "1", "embedded"},
		{"redis.server", "10.0.0.1:6379", "redis.durability = redis"},
		{"redis.durability", "redis", NULL},
		{"redis.wait_timeout", "3s", "shorter than redis.call_timeout"},
		{"redis.call_timeout", "4s", NULL},
	};
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(conf_set(&f.conf, "global.upstream", "mp:80", &f.err), 0);
	assert_int_equal(conf_set(&f.conf, "redis.durability", "journal", &f.err), 0);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		strbuf_reset(&f.err);
		assert_int_equal(conf_set(&f.conf, steps[i].setting, steps[i].value, &f.err), 0);
		assert_int_equal(conf_check(&f.conf, &f.err), steps[i].words == NULL ? 0 : -EINVAL);
		if (steps[i].words != NULL)
			assert_true(says(&f, steps[i].words));
	}
	teardown(&f);
}

static const struct {
	const char *text, *host;
	uint16_t port;
} good_addresses[] = {
	{"127.0.0.1:80", "127.0.0.1", 80},
	{"mp1:65535", "mp1", 65535},
	{"[::1]:0", "::1", 0},
	{"[fe80::1%eth0]:8080", "fe80::1%eth0", 8080},
};

static const char *const bad_addresses[] = {
	"",	"80",	   ":80",     "mp1:",	 "mp1",	     "mp1:65536", "::1:80",  "[::1]",
	"[]:1", "[mp1]:1", "[::1:80", "mp 1:80", "a@mp1:80", "mp1:+1",	  "mp1:80 ",
};

static void test_conf_parse_address_table(void **state)
{
	char host[256], longest[300];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(good_addresses) / sizeof(good_addresses[0]); i++) {
		assert_int_equal(conf_parse_address(good_addresses[i].text, host, &port), 0);
		assert_string_equal(host, good_addresses[i].host);
		assert_int_equal(port, good_addresses[i].port);
	}
	for (size_t i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++)
		if (conf_parse_address(bad_addresses[i], host, &port) != -EINVAL)
			fail_msg("%s is taken", bad_addresses[i]);
	snprintf(longest, sizeof(longest), "%0255d:1", 0);
	assert_int_equal(conf_parse_address(longest, host, &port), 0);
	snprintf(longest, sizeof(longest), "%0256d:1", 0);
	assert_int_equal(conf_parse_address(longest, host, &port), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf_init_holds_defaults),
		cmocka_unit_test(test_conf_table_defaults_within_bounds),
		cmocka_unit_test(test_conf_set_table),
		cmocka_unit_test(test_conf_set_words_and_texts),
		cmocka_unit_test(test_conf_set_fault_says_what_is_allowed),
		cmocka_unit_test(test_conf_set_microseconds),
		cmocka_unit_test(test_conf_read_text_sets_and_comments),
		cmocka_unit_test(test_conf_read_text_every_fault_has_its_line),
		cmocka_unit_test(test_conf_read_text_long_line_and_nul_refused),
		cmocka_unit_test(test_conf_read_file_missing_and_unreadable),
		cmocka_unit_test(test_conf_print_reads_back_the_same),
		cmocka_unit_test(test_conf_print_manual_names_every_setting),
		cmocka_unit_test(test_conf_check_table),
		cmocka_unit_test(test_conf_check_wait_for_replicas),
		cmocka_unit_test(test_conf_parse_address_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
