#include "proxy/base/log.h"

#include "proxy/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char text[65536];
static int saved_stderr = -1;
static FILE *captured;
/* A variable and an argument: gcc warns of "" and of a format that is alone. */
static const char *none = "";

static void capture(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

/* What was written to standard error since capture(). */
static const char *release(void)
{
	size_t n;

	assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
	close(saved_stderr);
	rewind(captured);
	n = fread(text, 1, sizeof(text) - 1, captured);
	text[n] = '\0';
	fclose(captured);
	return text;
}

static void test_log_line_has_priority_event_and_process(void **state)
{
	(void)state;
	log_set_name("worker3");
	capture();
	log_line(LOG_WARN, "store_refused", "shard=%u rc=%s", 7, "unknown");
	log_line(LOG_ERROR, "out_of_memory", none, 0);
	assert_string_equal(release(), "<4>store_refused proc=worker3 shard=7 rc=unknown\n"
				       "<3>out_of_memory proc=worker3\n");
	log_set_name("main");
}

static void test_log_line_above_threshold_not_written(void **state)
{
	(void)state;
	capture();
	log_line(LOG_DEBUG, "request", none, 0);
	log_threshold = LOG_ERROR;
	log_line(LOG_WARN, "degraded", none, 0);
	log_threshold = LOG_DEBUG;
	log_line(LOG_DEBUG, "request", none, 0);
	log_threshold = LOG_INFO;
	assert_string_equal(release(), "<7>request proc=main\n");
}

static void test_log_line_too_long_cut_and_ended(void **state)
{
	const char *got;

	(void)state;
	capture();
	log_line(LOG_INFO, "long", "v=%05000d", 1);
	log_line(LOG_INFO, "next", none, 0);
	got = release();
	assert_non_null(strstr(got, "\n<6>next proc=main\n"));
	assert_in_range(strcspn(got, "\n"), 1000, 1024);
}

static void test_log_limited_suppresses_and_says_so(void **state)
{
	struct log_limit lim = {0};
	const char *got;

	(void)state;
	clock_refresh();
	capture();
	for (unsigned i = 0; i < 5; i++)
		log_limited(&lim, 2, LOG_WARN, "again", "i=%u", i);
	lim.window_ms -= 10000; /* ten seconds later */
	log_limited(&lim, 2, LOG_WARN, "again", "i=%u", 5);
	log_limited(&lim, 2, LOG_WARN, "again", "i=%u", 6);
	got = release();
	assert_string_equal(got, "<4>again proc=main i=0\n<4>again proc=main i=1\n"
				 "<4>again proc=main i=5 suppressed=3\n<4>again proc=main i=6\n");
}

static void test_log_escape_table(void **state)
{
	static const struct {
		struct slice in;
		const char *want;
	} t[] = {
		{SLICE("plain"), "plain"},	   {SLICE("a b"), "a\\x20b"},
		{SLICE("\"\\"), "\\x22\\x5c"},	   {SLICE("a\nb\0c"), "a\\x0ab\\x00c"},
		{SLICE("\x7f\xff"), "\\x7f\\xff"}, {SLICE(""), ""},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_ptr_equal(log_escape(t[i].in, out, sizeof(out)), out);
		assert_string_equal(out, t[i].want);
	}
}

static void test_log_escape_cut_at_room(void **state)
{
	char out[9];

	(void)state;
	memset(out, '!', sizeof(out));
	log_escape(SLICE("abcdefgh"), out, 4);
	assert_string_equal(out, "abc");
	assert_int_equal(out[4], '!');
	/* Never half an escape. */
	log_escape(SLICE("ab\n\n"), out, 7);
	assert_string_equal(out, "ab\\x0a");
	log_escape(SLICE("ab\n"), out, 6);
	assert_string_equal(out, "ab");
	log_escape(SLICE("x"), out, 1);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_line_has_priority_event_and_process),
		cmocka_unit_test(test_log_line_above_threshold_not_written),
		cmocka_unit_test(test_log_line_too_long_cut_and_ended),
		cmocka_unit_test(test_log_limited_suppresses_and_says_so),
		cmocka_unit_test(test_log_escape_table),
		cmocka_unit_test(test_log_escape_cut_at_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
