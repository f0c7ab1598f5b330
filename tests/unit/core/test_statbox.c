#include "proxy/core/statbox.h"

#include "proxy/base/metrics.h"
#include "tests/unit/store/rig_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96], fresh[96];
static char none[] = "";
static struct conf conf;

/* statbox_read() remembers when it last looked: each case starts a while later. */
static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/statweir-test-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/statbox", folder);
	snprintf(fresh, sizeof(fresh), "%s/.new-%ld", folder, (long)getpid());
	conf = (struct conf){.state = folder, .throttle_files_from = none};
	rig_skip_ms(120000);
	clock_refresh();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(fresh);
	return rmdir(folder);
}

static void age(const char *file, int64_t s)
{
	struct timespec t[2] = {{.tv_sec = clock_wall_ms() / 1000 - s}};

	t[1] = t[0];
	assert_int_equal(utimensat(AT_FDCWD, file, t, 0), 0);
}

static void put_file(const char *file, const char *text, size_t n, int64_t age_s)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
	age(file, age_s);
}

static void report(const char *text)
{
	put_file(path, text, strlen(text), 0);
}

/* A look a second after the last one. */
static bool look(uint64_t *files)
{
	rig_skip_ms(1000);
	clock_refresh();
	return statbox_read(&conf, files);
}

static void test_read_number_once_for_each_report(void **state)
{
	uint64_t files = 0;

	(void)state;
	assert_false(look(&files));
	report("1234\n");
	assert_true(look(&files));
	assert_int_equal(files, 1234);
	assert_int_equal(metrics_self->v[M_STATBOX_FILES], 1234);
	assert_false(look(&files));
	assert_int_equal(metrics_self->v[M_STATBOX_FILES], 1234);
	/* The same number again is news: it is as fresh as its file. */
	report("1234\n");
	assert_true(look(&files));
	report("0");
	assert_true(look(&files));
	assert_int_equal(files, 0);
}

static void test_read_two_reports_of_one_second_both_new(void **state)
{
	struct timespec t[2] = {{.tv_sec = clock_wall_ms() / 1000, .tv_nsec = 1000}};
	uint64_t files = 0;

	(void)state;
	put_file(path, "1", 1, 0);
	assert_true(look(&files));
	/* Of the same second as the first one. */
	put_file(path, "2", 1, 0);
	t[1] = t[0];
	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
	assert_true(look(&files));
	assert_int_equal(files, 2);
}

static void test_read_looks_once_a_second(void **state)
{
	uint64_t files = 0;

	(void)state;
	report("1");
	assert_true(look(&files));
	rig_skip_ms(500);
	clock_refresh();
	put_file(path, "2", 1, 5);
	assert_false(statbox_read(&conf, &files));
	assert_int_equal(files, 1);
	rig_skip_ms(500);
	clock_refresh();
	assert_true(statbox_read(&conf, &files));
	assert_int_equal(files, 2);
}

static void test_read_forms_of_a_number(void **state)
{
	static const struct {
		const char *text;
		uint64_t files;
	} t[] = {
		{"7", 7},
		{"7\r\n", 7},
		{"7 \t\r\n\n", 7},
		{"0007", 7},
		{"9223372036854775807\n", INT64_MAX},
	};
	uint64_t files;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		report(t[i].text);
		assert_true(look(&files));
		assert_true(files == t[i].files);
	}
}

static void test_read_garbage_no_report(void **state)
{
	static const struct slice t[] = {
		SLICE(""),
		SLICE("\n"),
		SLICE("many"),
		SLICE("12 files"),
		SLICE("-1"),
		SLICE("+1"),
		SLICE("0x10"),
		SLICE("1.5"),
		SLICE("1\n2\n"),
		SLICE("9223372036854775808"),
		SLICE("99999999999999999999999"),
		/* What a redirection of PowerShell writes. */
		SLICE("\xff\xfe"
		      "1\0"
		      "2\0\r\0\n\0"),
	};
	uint64_t files;

	(void)state;
	report("5");
	assert_true(look(&files));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		put_file(path, t[i].p, t[i].n, 0);
		assert_false(look(&files));
		assert_int_equal(metrics_self->v[M_STATBOX_FILES], 5);
	}
}

static void test_read_stale_file_no_report(void **state)
{
	uint64_t files = 0;

	(void)state;
	put_file(path, "3", 1, 3600);
	assert_false(look(&files));
	/* look() lets a second pass. */
	put_file(path, "4", 1, 59);
	assert_false(look(&files));
	put_file(path, "5", 1, 58);
	assert_true(look(&files));
	assert_int_equal(files, 5);
}

static void test_read_no_report_for_a_minute_shows_none(void **state)
{
	uint64_t files;

	(void)state;
	report("9");
	assert_true(look(&files));
	rig_skip_ms(57000);
	assert_false(look(&files));
	assert_int_equal(metrics_self->v[M_STATBOX_FILES], 9);
	assert_false(look(&files));
	assert_int_equal(metrics_self->v[M_STATBOX_FILES], 0);
}

/* A pipe would make the worker wait for its other end. */
static void test_read_pipe_neither_read_nor_waited_for(void **state)
{
	uint64_t files;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(look(&files));
	fd = open(path, O_RDWR | O_NONBLOCK);
	assert_int_equal(write(fd, "7\n", 2), 2);
	age(path, 0);
	assert_false(look(&files));
	close(fd);
}

static void test_read_file_of_the_configuration_wins(void **state)
{
	char other[96];
	uint64_t files = 0;

	(void)state;
	snprintf(other, sizeof(other), "%s/other", folder);
	conf.throttle_files_from = other;
	report("1");
	assert_false(look(&files));
	put_file(other, "2", 1, 0);
	assert_true(look(&files));
	assert_int_equal(files, 2);
	unlink(other);
}

static void test_write_is_read_back(void **state)
{
	uint64_t files = 0;
	struct stat st;

	(void)state;
	/* What a writer that died has left. */
	put_file(fresh, "123456789\n", 10, 0);
	assert_int_equal(statbox_write(&conf, SLICE("4711\r\n")), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(fresh, F_OK), -1);
	/* The file system's clock is not the one that the test puts forward. */
	age(path, 0);
	assert_true(look(&files));
	assert_int_equal(files, 4711);
	assert_int_equal(statbox_write(&conf, SLICE("0")), 0);
	age(path, 0);
	assert_true(look(&files));
	assert_int_equal(files, 0);
}

static void test_write_garbage_refused_and_old_report_kept(void **state)
{
	uint64_t files = 0;

	(void)state;
	assert_int_equal(statbox_write(&conf, SLICE("8")), 0);
	assert_int_equal(statbox_write(&conf, SLICE("")), -EINVAL);
	assert_int_equal(statbox_write(&conf, SLICE("-8")), -EINVAL);
	assert_int_equal(statbox_write(&conf, SLICE("8 files")), -EINVAL);
	assert_int_equal(statbox_write(&conf, SLICE("9223372036854775808")), -EINVAL);
	age(path, 0);
	assert_true(look(&files));
	assert_int_equal(files, 8);
}

static void test_write_where_it_cannot_says_why(void **state)
{
	struct stat st;

	(void)state;
	conf.state = (char[]){"/nonexistent/folder"};
	assert_int_equal(statbox_write(&conf, SLICE("1")), -ENOENT);
	conf.state = folder;
	/* Somebody's link is not written through. */
	assert_int_equal(symlink(path, fresh), 0);
	assert_int_equal(statbox_write(&conf, SLICE("1")), -ELOOP);
	assert_int_equal(stat(path, &st), -1);
}

#define IN_FOLDER(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_read_number_once_for_each_report),
		IN_FOLDER(test_read_two_reports_of_one_second_both_new),
		IN_FOLDER(test_read_looks_once_a_second),
		IN_FOLDER(test_read_forms_of_a_number),
		IN_FOLDER(test_read_garbage_no_report),
		IN_FOLDER(test_read_stale_file_no_report),
		IN_FOLDER(test_read_no_report_for_a_minute_shows_none),
		IN_FOLDER(test_read_pipe_neither_read_nor_waited_for),
		IN_FOLDER(test_read_file_of_the_configuration_wins),
		IN_FOLDER(test_write_is_read_back),
		IN_FOLDER(test_write_garbage_refused_and_old_report_kept),
		IN_FOLDER(test_write_where_it_cannot_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
