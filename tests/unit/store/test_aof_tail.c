#include "proxy/store/aof_tail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <errno.h>
#include <fcntl.h>

#include <cmocka.h>

#define SELECT "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
#define MULTI  "*1\r\n$5\r\nMULTI\r\n"
#define SET    "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n1\r\n2\r\n"
#define EXEC   "*1\r\n$4\r\nEXEC\r\n"
#define STAMP  "#TS:1700000000\r\n"

static const char whole[] = SELECT MULTI SET SET EXEC STAMP SET MULTI SET EXEC;
static const size_t first = sizeof(SELECT) - 1;
static const size_t first_end = sizeof(SELECT MULTI SET SET EXEC) - 1;
static const size_t second = sizeof(SELECT MULTI SET SET EXEC STAMP SET) - 1;

/* What is expected of the first n bytes. */
static int64_t expected(size_t n)
{
	size_t multi = sizeof(MULTI) - 1;

	if (n >= first + multi && n < first_end)
		return (int64_t)first;
	if (n >= second + multi && n < sizeof(whole) - 1)
		return (int64_t)second;
	return -1;
}

static void test_aof_open_transaction_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(whole); n++) {
		/* Of exact size, so that a byte too far is seen. */
		char *p = malloc(n + 1);

		memcpy(p, whole, n);
		p = realloc(p, n > 0 ? n : 1);
		assert_int_equal(aof_open_transaction(slice_make(p, n)), expected(n));
		free(p);
	}
}

static void test_aof_open_transaction_other_damage_is_left(void **state)
{
	static const char *const bad[] = {
		MULTI SET "rubbish", MULTI "*3\r\n$3\r\nSET\r\n:1\r\n",
		MULTI "*3\n$3\r\n",  MULTI "*99999999999999999999999\r\n",
		MULTI "*-1\r\n",     "REDIS0010",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(aof_open_transaction(slice_str(bad[i])), -1);
}

static void write_file(int dir, const char *name, const char *text, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

static void test_aof_mend_cuts_the_newest_file_alone(void **state)
{
	static const char manifest[] = "file appendonly.aof.1.base.rdb seq 1 type b\n"
				       "file appendonly.aof.1.incr.aof seq 1 type i\n"
				       "file appendonly.aof.2.incr.aof seq 2 type i\n";
	char folder[] = "/tmp/statweir-test-XXXXXX";
	struct stat st;
	int dir;

	(void)state;
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	assert_int_equal(aof_mend(dir), 0);
	assert_int_equal(mkdirat(dir, "appendonlydir", 0700), 0);
	assert_int_equal(aof_mend(dir), 0);
	write_file(dir, "appendonlydir/appendonly.aof.manifest", manifest, sizeof(manifest) - 1);
	assert_int_equal(aof_mend(dir), -ENOENT);
	write_file(dir, "appendonlydir/appendonly.aof.1.incr.aof", whole, second + 20);
	write_file(dir, "appendonlydir/appendonly.aof.2.incr.aof", whole, second + 20);
	assert_int_equal(aof_mend(dir), 20);
	assert_int_equal(aof_mend(dir), 0);
	assert_int_equal(fstatat(dir, "appendonlydir/appendonly.aof.2.incr.aof", &st, 0), 0);
	assert_int_equal(st.st_size, second);
	assert_int_equal(fstatat(dir, "appendonlydir/appendonly.aof.1.incr.aof", &st, 0), 0);
	assert_int_equal(st.st_size, second + 20);
	write_file(dir, "appendonlydir/appendonly.aof.2.incr.aof", "", 0);
	assert_int_equal(aof_mend(dir), 0);
	unlinkat(dir, "appendonlydir/appendonly.aof.1.incr.aof", 0);
	unlinkat(dir, "appendonlydir/appendonly.aof.2.incr.aof", 0);
	unlinkat(dir, "appendonlydir/appendonly.aof.manifest", 0);
	unlinkat(dir, "appendonlydir", AT_REMOVEDIR);
	close(dir);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aof_open_transaction_cut_at_every_byte),
		cmocka_unit_test(test_aof_open_transaction_other_damage_is_left),
		cmocka_unit_test(test_aof_mend_cuts_the_newest_file_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
