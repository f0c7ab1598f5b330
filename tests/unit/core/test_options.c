#include "proxy/core/options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 24
#define RUNS_MAX 64

/*
 * Every case names its file with -f, an empty one if it needs none: what lies in /etc is
 * none of the test's business.
 */
struct fixture {
	char folder[40], file[64], out[64], err[64];
	struct conf conf;
	char said[65536]; /* on standard output or error, as asked for */
};

static void write_file(const struct fixture *f, const char *text)
{
	FILE *to = fopen(f->file, "w");

	assert_non_null(to);
	assert_true(fputs(text, to) >= 0);
	assert_int_equal(fclose(to), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->folder, sizeof(f->folder), "/tmp/statweir-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->file, sizeof(f->file), "%s/conf", f->folder);
	snprintf(f->out, sizeof(f->out), "%s/out", f->folder);
	snprintf(f->err, sizeof(f->err), "%s/err", f->folder);
	write_file(f, "");
	assert_int_equal(conf_init(&f->conf), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	conf_fini(&f->conf);
	unlink(f->file);
	unlink(f->out);
	unlink(f->err);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

/* Send fd into a file; returns what puts it back. */
static int divert(int fd, const char *path)
{
	int kept = dup(fd), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(kept >= 0 && to >= 0);
	dup2(to, fd);
	close(to);
	return kept;
}

static void restore(int fd, int kept)
{
	dup2(kept, fd);
	close(kept);
}

/* args are separated by single spaces. */
static enum options_rc run(struct fixture *f, const char *args)
{
	/* getopt() keeps a pointer into the last arguments it saw: they all stay. */
	static char lines[RUNS_MAX][1024];
	static unsigned n_lines;
	char *rest = lines[n_lines], *word, *argv[ARGS_MAX] = {"statweir"};
	int argc = 1, out, err;
	enum options_rc rc;

	assert_true(n_lines < RUNS_MAX);
	snprintf(lines[n_lines++], sizeof(lines[0]), "%s", args);
	while ((word = strsep(&rest, " ")) != NULL && argc < ARGS_MAX - 1)
		argv[argc++] = word;
	fflush(stdout);
	out = divert(STDOUT_FILENO, f->out);
	err = divert(STDERR_FILENO, f->err);
	rc = options_read(&f->conf, argc, argv);
	fflush(stdout);
	restore(STDOUT_FILENO, out);
	restore(STDERR_FILENO, err);
	return rc;
}

/* The same behind -f and the case's file. */
static enum options_rc run_with_file(struct fixture *f, const char *args)
{
	char line[1024];

	snprintf(line, sizeof(line), "-f %s%s%s", f->file, args[0] != '\0' ? " " : "", args);
	return run(f, line);
}

static const char *said(struct fixture *f, const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, f->said, sizeof(f->said) - 1);

	assert_true(n >= 0);
	close(fd);
	f->said[n] = '\0';
	return f->said;
}

static void assert_says(struct fixture *f, const char *path, const char *words)
{
	if (strstr(said(f, path), words) == NULL)
		fail_msg("no \"%s\" in: %s", words, f->said);
}

static void assert_silent(struct fixture *f)
{
	assert_string_equal(said(f, f->out), "");
	assert_string_equal(said(f, f->err), "");
}

static void test_flags_short_set_their_settings(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "-u mp:80 -l 127.0.0.1:81 -a 127.0.0.1:82 -s /tmp/state"),
			 OPTIONS_RUN);
	assert_string_equal(f->conf.upstream, "mp:80");
	assert_string_equal(f->conf.listen, "127.0.0.1:81");
	assert_string_equal(f->conf.admin, "127.0.0.1:82");
	assert_string_equal(f->conf.state, "/tmp/state");
	assert_silent(f);
}

static void test_flags_long_set_their_settings(void **state)
{
	struct fixture *f = *state;
	char line[256];

	snprintf(line, sizeof(line),
		 "--upstream mp:80 --listen=127.0.0.1:81 --admin off --state=/tmp/state --file=%s",
		 f->file);
	assert_int_equal(run(f, line), OPTIONS_RUN);
	assert_string_equal(f->conf.upstream, "mp:80");
	assert_string_equal(f->conf.listen, "127.0.0.1:81");
	assert_string_equal(f->conf.admin, "off");
	assert_string_equal(f->conf.state, "/tmp/state");
}

static void test_set_any_setting_the_last_wins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "-u mp:80 --set global.mode=observe "
					  "--set rollup.interval=5m --set=rollup.interval=10s "
					  "--set global.listen=127.0.0.1:81 -l 127.0.0.1:82"),
			 OPTIONS_RUN);
	assert_int_equal(f->conf.mode, MODE_OBSERVE);
	assert_int_equal(f->conf.interval_ms, 10000);
	assert_string_equal(f->conf.listen, "127.0.0.1:82");
}

/* Only the first equals sign divides. */
static void test_set_value_with_equals_sign_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "-u mp:80 --set global.state=/tmp/a=b"), OPTIONS_RUN);
	assert_string_equal(f->conf.state, "/tmp/a=b");
}

static void test_set_faults_all_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "-u mp:80 --set global.mode --set rollup.intervall=5m "
					  "--set rollup.interval=soon"),
			 OPTIONS_CONF);
	assert_says(f, f->err, "--set global.mode: expected SECTION.KEY=VALUE\n");
	assert_says(f, f->err, "nearest is rollup.interval\n");
	assert_says(f, f->err, "soon");
	assert_string_equal(said(f, f->out), "");
}

static void test_flag_with_bad_value_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "-u mp:80 -l nowhere"), OPTIONS_CONF);
	assert_says(f, f->err, "global.listen = nowhere");
}

static void test_file_is_read_over_the_defaults(void **state)
{
	struct fixture *f = *state;

	write_file(f, "[global]\nupstream = mp:80\nmode = bypass\n[rollup]\ninterval = 7s\n");
	assert_int_equal(run_with_file(f, ""), OPTIONS_RUN);
	assert_string_equal(f->conf.upstream, "mp:80");
	assert_int_equal(f->conf.mode, MODE_BYPASS);
	assert_int_equal(f->conf.interval_ms, 7000);
	assert_string_equal(f->conf.listen, "127.0.0.1:8080");
	assert_silent(f);
}

static void test_flags_win_over_the_file_wherever_it_stands(void **state)
{
	struct fixture *f = *state;
	char line[256];

	write_file(f, "[global]\nupstream = mp:80\nlisten = 127.0.0.1:1\nmode = bypass\n");
	snprintf(line, sizeof(line), "-l 127.0.0.1:2 --set global.mode=observe -f %s", f->file);
	assert_int_equal(run(f, line), OPTIONS_RUN);
	assert_string_equal(f->conf.listen, "127.0.0.1:2");
	assert_int_equal(f->conf.mode, MODE_OBSERVE);
	assert_string_equal(f->conf.upstream, "mp:80");
}

static void test_file_with_faults_told_with_its_lines(void **state)
{
	struct fixture *f = *state;
	char where[96];

	write_file(f, "[global]\nupstream = mp:80\nmode = never\ncolour = red\n");
	assert_int_equal(run_with_file(f, ""), OPTIONS_CONF);
	snprintf(where, sizeof(where), "%s:3: ", f->file);
	assert_says(f, f->err, where);
	snprintf(where, sizeof(where), "%s:4: ", f->file);
	assert_says(f, f->err, where);
}

static void test_file_asked_for_but_missing_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "-u mp:80 -f /nonexistent/statweir.conf"), OPTIONS_CONF);
	assert_says(f, f->err, "/nonexistent/statweir.conf: no such file (option -f)\n");
}

static void test_upstream_missing_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, ""), OPTIONS_CONF);
	assert_says(f, f->err, "global.upstream is required");
}

static void test_test_says_valid_or_what_is_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "-u mp:80 -t"), OPTIONS_DONE);
	assert_string_equal(said(f, f->err), "configuration is valid\n");
	assert_string_equal(said(f, f->out), "");
	/* Settings behind -t count as well. */
	assert_int_equal(run_with_file(f, "--test --set rollup.interval=soon"), OPTIONS_CONF);
	assert_says(f, f->err, "rollup.interval");
	assert_null(strstr(f->said, "valid\n"));
}

static void test_print_shows_what_is_in_force(void **state)
{
	struct fixture *f = *state;

	write_file(f, "[rollup]\ninterval = 7s\n");
	assert_int_equal(run_with_file(f, "-T -u mp:80"), OPTIONS_DONE);
	assert_says(f, f->out, "\nupstream = mp:80\n");
	assert_says(f, f->out, "\ninterval = 7s\n");
	assert_says(f, f->out, "\nlisten = 127.0.0.1:8080\n");
	assert_string_equal(said(f, f->err), "");
}

/* What -T prints is a configuration file, and the same one. */
static void test_print_can_be_read_again(void **state)
{
	struct fixture *f = *state;
	char *first;

	assert_int_equal(run_with_file(f, "-T -u mp:80 --set rollup.interval=7s"), OPTIONS_DONE);
	first = strdup(said(f, f->out));
	assert_non_null(first);
	write_file(f, first);
	conf_fini(&f->conf);
	assert_int_equal(conf_init(&f->conf), 0);
	assert_int_equal(run_with_file(f, "-T"), OPTIONS_DONE);
	assert_string_equal(said(f, f->out), first);
	free(first);
}

static void test_unknown_flag_usage(void **state)
{
	static const char *const t[] = {"--colour=red", "-x", "-u mp:80 -f", "--set", "--test=yes"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(run(f, t[i]), OPTIONS_USAGE);
		assert_says(f, f->err, "usage: statweir");
		assert_string_equal(said(f, f->out), "");
	}
}

static void test_unexpected_argument_usage(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "-u mp:80 start"), OPTIONS_USAGE);
	assert_says(f, f->err, "unexpected argument \"start\"\nusage: ");
}

static void test_help_and_version_need_no_configuration(void **state)
{
	struct fixture *f = *state;

	write_file(f, "[global]\nmode = never\n");
	assert_int_equal(run_with_file(f, "--help"), OPTIONS_DONE);
	assert_says(f, f->out, "usage: statweir");
	assert_string_equal(said(f, f->err), "");
	assert_int_equal(run_with_file(f, "-v"), OPTIONS_DONE);
	assert_int_equal(strncmp(said(f, f->out), "statweir ", 9), 0);
	assert_string_equal(said(f, f->err), "");
}

static void test_manual_needs_no_upstream(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run_with_file(f, "--manual"), OPTIONS_DONE);
	assert_says(f, f->out, "`upstream`");
	assert_says(f, f->out, "`interval`");
	assert_string_equal(said(f, f->err), "");
}

#define IN_FOLDER(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_flags_short_set_their_settings),
		IN_FOLDER(test_flags_long_set_their_settings),
		IN_FOLDER(test_set_any_setting_the_last_wins),
		IN_FOLDER(test_set_value_with_equals_sign_kept),
		IN_FOLDER(test_set_faults_all_told),
		IN_FOLDER(test_flag_with_bad_value_told),
		IN_FOLDER(test_file_is_read_over_the_defaults),
		IN_FOLDER(test_flags_win_over_the_file_wherever_it_stands),
		IN_FOLDER(test_file_with_faults_told_with_its_lines),
		IN_FOLDER(test_file_asked_for_but_missing_told),
		IN_FOLDER(test_upstream_missing_told),
		IN_FOLDER(test_test_says_valid_or_what_is_not),
		IN_FOLDER(test_print_shows_what_is_in_force),
		IN_FOLDER(test_print_can_be_read_again),
		IN_FOLDER(test_unknown_flag_usage),
		IN_FOLDER(test_unexpected_argument_usage),
		IN_FOLDER(test_help_and_version_need_no_configuration),
		IN_FOLDER(test_manual_needs_no_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
