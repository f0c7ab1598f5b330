#include "proxy/base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[96], temp[96];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/statweir-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/one", dir);
	snprintf(temp, sizeof(temp), "%s/.new-%ld", dir, (long)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(temp);
	return rmdir(dir);
}

static int put(const char *text, enum file_sync sync)
{
	struct slice v[] = {SLICE("<"), slice_str(text), SLICE(">")};

	return file_replace(path, v, 3, sync);
}

static void expect(const char *text)
{
	struct strbuf b;

	strbuf_init(&b, 100);
	strbuf_put_str(&b, "=");
	assert_int_equal(file_read(path, &b), 0);
	assert_true(slice_eq(strbuf_slice(&b), slice_str(text)));
	strbuf_fini(&b);
}

static void test_replace_is_read_back_mode_0600_nothing_left(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(put("first", FILE_LAZY), 0);
	expect("=<first>");
	assert_int_equal(put("2", FILE_SYNCED), 0);
	expect("=<2>");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(temp, F_OK), -1);
}

static void test_replace_fails_what_was_there_stays(void **state)
{
	(void)state;
	assert_int_equal(put("old", FILE_LAZY), 0);
	/* Somebody's link is not written through. */
	assert_int_equal(symlink(path, temp), 0);
	assert_int_equal(put("new", FILE_LAZY), -ELOOP);
	expect("=<old>");
	assert_int_equal(file_replace("/nonexistent/one", NULL, 0, FILE_SYNCED), -ENOENT);
	assert_int_equal(file_sync_dir("/nonexistent"), -ENOENT);
}

static void test_read_missing_too_long_or_no_file(void **state)
{
	char text[200];
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 100);
	assert_int_equal(file_read(path, &b), -ENOENT);
	assert_int_equal(file_read(dir, &b), -EINVAL);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(put(text, FILE_LAZY), 0);
	assert_int_equal(file_read(path, &b), -EFBIG);
	unlink(path);
	/* It would wait for a writer. */
	assert_int_equal(mkfifo(path, 0600), 0);
	strbuf_reset(&b);
	assert_int_equal(file_read(path, &b), -EINVAL);
	strbuf_fini(&b);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_replace_is_read_back_mode_0600_nothing_left),
		CASE(test_replace_fails_what_was_there_stays),
		CASE(test_read_missing_too_long_or_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
