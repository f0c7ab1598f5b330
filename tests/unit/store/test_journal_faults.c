/*
 * Every file operation of the journal fails at its nth call, n = 1, 2, 3 ..., until a run
 * passes without a failure: once, or from then on. The judge is what was reported.
 */
#include "tests/unit/store/journal_rig.h"

#include <stdatomic.h>

enum op {
	OP_OPENAT,
	OP_PREAD,
	OP_PWRITE,
	OP_FDATASYNC,
	OP_FSYNC,
	OP_FALLOCATE,
	OP_RENAMEAT,
	OP_UNLINKAT,
	OPS
};

static struct {
	enum op op;
	unsigned at;  /* the call of op that fails; 0: none */
	bool goes_on; /* and all after it */
	int error;
	bool is_short; /* pread and pwrite do a part only, now and then with -EINTR */
	unsigned calls[OPS];
	bool has_failed;
	atomic_bool is_held;	/* syncs wait */
	uint8_t poisoned[1024]; /* by descriptor: a write or sync of it failed */
} fault;

static bool fails(enum op op)
{
	unsigned n = ++fault.calls[op];

	if (fault.at == 0 || op != fault.op || n < fault.at || (n > fault.at && !fault.goes_on))
		return false;
	fault.has_failed = true;
	return true;
}

static int fault_openat(int dir, const char *name, int flags, mode_t mode)
{
	int fd;

	if (fails(OP_OPENAT))
		return -fault.error;
	fd = journal_io_system.openat(dir, name, flags, mode);
	if (fd >= 0 && fd < 1024)
		fault.poisoned[fd] = 0;
	return fd;
}

static ssize_t fault_pread(int fd, void *p, size_t n, off_t off)
{
	if (fails(OP_PREAD))
		return -fault.error;
	if (fault.is_short && fault.calls[OP_PREAD] % 3 == 0)
		return -EINTR;
	return journal_io_system.pread(fd, p, fault.is_short && n > 100 ? 100 : n, off);
}

static ssize_t fault_pwrite(int fd, const void *p, size_t n, off_t off)
{
	assert_false(fault.poisoned[fd]);
	if (fails(OP_PWRITE)) {
		fault.poisoned[fd] = 1;
		/* Half of it arrives: a torn record lies there. */
		(void)journal_io_system.pwrite(fd, p, n / 2, off);
		return -fault.error;
	}
	if (fault.is_short && fault.calls[OP_PWRITE] % 3 == 0)
		return -EINTR;
	return journal_io_system.pwrite(fd, p, fault.is_short && n > 7 ? 7 : n, off);
}

static int fault_fdatasync(int fd)
{
	while (atomic_load(&fault.is_held))
		usleep(1000);
	assert_false(fault.poisoned[fd]);
	if (fails(OP_FDATASYNC)) {
		fault.poisoned[fd] = 1;
		return -fault.error;
	}
	return 0; /* nothing here needs a real one */
}

static int fault_fsync(int fd)
{
	while (atomic_load(&fault.is_held))
		usleep(1000);
	if (!fails(OP_FSYNC))
		return 0;
	fault.poisoned[fd] = 1;
	return -fault.error;
}

static int fault_fallocate(int fd, off_t n)
{
	return fails(OP_FALLOCATE) ? -fault.error : journal_io_system.fallocate(fd, n);
}

static int fault_renameat(int dir, const char *from, const char *to)
{
	return fails(OP_RENAMEAT) ? -fault.error : journal_io_system.renameat(dir, from, to);
}

static int fault_unlinkat(int dir, const char *name)
{
	return fails(OP_UNLINKAT) ? -fault.error : journal_io_system.unlinkat(dir, name);
}

static int fault_close(int fd)
{
	return journal_io_system.close(fd);
}

static const struct journal_io fault_io = {
	.openat = fault_openat,
	.pread = fault_pread,
	.pwrite = fault_pwrite,
	.fdatasync = fault_fdatasync,
	.fsync = fault_fsync,
	.fallocate = fault_fallocate,
	.renameat = fault_renameat,
	.unlinkat = fault_unlinkat,
	.close = fault_close,
};

static void fault_set(enum op op, unsigned at, bool goes_on, int error)
{
	memset(&fault, 0, sizeof(fault));
	fault.op = op;
	fault.at = at;
	fault.goes_on = goes_on;
	fault.error = error;
}

/* Some groups, some replay, some applied, time goes by. Appending may be refused. */
static void work(struct rig *g, uint8_t *applied)
{
	struct journal_record v[16];

	for (unsigned i = 0; i < 40; i++) {
		for (unsigned k = 0; k < 5; k++)
			(void)rig_append(g);
		journal_commit(g->j);
		rig_run(g);
		if (i == 20)
			journal_replay_begin(g->j, false);
		assert_true(journal_replay_next(g->j, v, 16) <= 16);
		for (uint64_t k = 1; i == 30 && k < 60; k++) {
			journal_applied(g->j, k);
			applied[k] = 1;
		}
		rig_tick(g, 1000);
	}
}

static void check_kept(struct rig *g, const uint8_t *applied)
{
	static uint8_t seen[1 << 16];
	uint64_t last = g->last;
	/* What could not be read for long was set aside whole. */
	bool is_aside = fault.op == OP_PREAD && (g->has_jumped || rig_count_files(g, ".bad") > 0);

	memset(seen, 0, sizeof(seen));
	fault.at = 0;
	rig_open(g);
	rig_replay(g, seen, true);
	for (uint64_t k = 1; k <= last; k++) {
		assert_true(g->outcome[k] != 0 || is_aside);
		assert_true(seen[k] <= 1);
		if (g->outcome[k] == 1 && !applied[k] && !is_aside)
			assert_int_equal(seen[k], 1);
	}
	rig_close(g);
}

/* False when the run had fewer calls than at. */
static bool run_one(enum op op, unsigned at, bool goes_on, int error)
{
	struct rig *g = rig_new();
	static uint8_t applied[1 << 16];

	memset(applied, 0, sizeof(applied));
	rig_open(g);
	rig_write(g, 30, 4);
	rig_close(g);
	g->may_fail = true;
	g->may_jump = op == OP_PREAD;
	g->conf.io = &fault_io;
	fault_set(op, at, goes_on, error);
	if (rig_try_open(g) < 0) {
		assert_null(g->j);
		rig_free(g);
		return fault.has_failed;
	}
	work(g, applied);
	if (!goes_on) {
		/* One failure is overcome, at the latest by the next try. */
		rig_tick(g, 10000);
		assert_string_equal(journal_state(g->j), "ok");
		rig_write(g, 2, 2);
		assert_int_equal(g->outcome[g->last], 1);
	}
	rig_close(g);
	assert_int_equal(g->reported, g->last);
	check_kept(g, applied);
	rig_free(g);
	return fault.has_failed;
}

static void run_op(enum op op, int error)
{
	unsigned at;

	for (int goes_on = 0; goes_on < 2; goes_on++) {
		for (at = 1; run_one(op, at, goes_on != 0, error); at++)
			assert_true(at < 5000);
		assert_true(at > 1 || goes_on);
	}
}

static void test_openat_nth_fails(void **state)
{
	(void)state;
	run_op(OP_OPENAT, EMFILE);
}

static void test_pread_nth_fails(void **state)
{
	(void)state;
	run_op(OP_PREAD, EIO);
}

static void test_pwrite_nth_fails(void **state)
{
	(void)state;
	run_op(OP_PWRITE, ENOSPC);
	run_op(OP_PWRITE, EIO);
}

static void test_fdatasync_nth_fails_never_retried(void **state)
{
	(void)state;
	run_op(OP_FDATASYNC, EIO);
}

static void test_fsync_nth_fails(void **state)
{
	(void)state;
	run_op(OP_FSYNC, EIO);
}

static void test_fallocate_nth_fails(void **state)
{
	(void)state;
	run_op(OP_FALLOCATE, ENOSPC);
}

static void test_renameat_nth_fails(void **state)
{
	(void)state;
	run_op(OP_RENAMEAT, EIO);
}

static void test_unlinkat_nth_fails(void **state)
{
	(void)state;
	run_op(OP_UNLINKAT, EACCES);
}

static void test_short_and_interrupted_calls_change_nothing(void **state)
{
	struct rig *g = rig_new();
	static uint8_t applied[1 << 16];

	(void)state;
	g->conf.io = &fault_io;
	fault_set(OP_OPENAT, 0, false, 0);
	fault.is_short = true;
	rig_open(g);
	work(g, applied);
	rig_close(g);
	assert_int_equal(g->reported, 200);
	assert_int_equal(g->last, 200);
	check_kept(g, applied);
	rig_free(g);
}

/* Disk full at the start: what is there is replayed, nothing more is taken, until there is room. */
static void test_full_disk_at_start_replays_and_refuses(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->conf.io = &fault_io;
	fault_set(OP_OPENAT, 0, false, 0);
	rig_open(g);
	rig_write(g, 10, 10);
	rig_close(g);
	fault_set(OP_FALLOCATE, 1, true, ENOSPC);
	rig_open(g);
	assert_int_equal(rig_append(g), -ENOSPC);
	assert_string_equal(journal_state(g->j), "full: no space on the file system");
	assert_int_equal(rig_replay(g, NULL, true), 100);
	fault.at = 0;
	assert_int_equal(rig_append(g), -ENOSPC);
	rig_tick(g, 10000);
	assert_int_equal(rig_append(g), 0);
	rig_free(g);
}

static void test_failed_journal_refuses_reports_and_mends(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->may_fail = true;
	g->conf.io = &fault_io;
	fault_set(OP_OPENAT, 0, false, 0);
	rig_open(g);
	rig_write(g, 2, 10);
	fault_set(OP_PWRITE, 1, true, EIO);
	rig_write(g, 1, 10);
	assert_int_equal(g->outcome[20], 1);
	for (unsigned k = 21; k <= 30; k++)
		assert_int_equal(g->outcome[k], 2);
	assert_int_equal(rig_append(g), -EIO);
	assert_string_equal(journal_state(g->j), "failed: the disk refuses writes");
	rig_tick(g, 10000); /* tried in vain */
	assert_int_equal(rig_append(g), -EIO);
	fault.at = 0;
	rig_tick(g, 9999);
	assert_int_equal(rig_append(g), -EIO);
	rig_tick(g, 1);
	rig_write(g, 1, 10);
	assert_int_equal(g->last, 40);
	assert_int_equal(g->outcome[40], 1);
	rig_close(g);
	rig_open(g);
	assert_true(rig_replay(g, NULL, true) >= 30);
	rig_free(g);
}

static void test_slow_sync_blocks_nobody_and_refuses_in_time(void **state)
{
	struct rig *g = rig_new();
	int rc;

	(void)state;
	g->conf.io = &fault_io;
	g->conf.is_inline = false;
	g->conf.buffer_bytes = 8192;
	fault_set(OP_OPENAT, 0, false, 0);
	rig_open(g);
	rig_write(g, 1, 1);
	atomic_store(&fault.is_held, true);
	while ((rc = rig_append(g)) == 0) {
		journal_commit(g->j);
		event_base_loop(g->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(g->reported, 1);
	atomic_store(&fault.is_held, false);
	rig_run(g);
	assert_int_equal(g->reported, g->last);
	assert_int_equal(rig_append(g), 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openat_nth_fails),
		cmocka_unit_test(test_pread_nth_fails),
		cmocka_unit_test(test_pwrite_nth_fails),
		cmocka_unit_test(test_fdatasync_nth_fails_never_retried),
		cmocka_unit_test(test_fsync_nth_fails),
		cmocka_unit_test(test_fallocate_nth_fails),
		cmocka_unit_test(test_renameat_nth_fails),
		cmocka_unit_test(test_unlinkat_nth_fails),
		cmocka_unit_test(test_short_and_interrupted_calls_change_nothing),
		cmocka_unit_test(test_full_disk_at_start_replays_and_refuses),
		cmocka_unit_test(test_failed_journal_refuses_reports_and_mends),
		cmocka_unit_test(test_slow_sync_blocks_nobody_and_refuses_in_time),
	};

	return cmocka_run_group_tests_name("journal faults", tests, NULL, NULL);
}
