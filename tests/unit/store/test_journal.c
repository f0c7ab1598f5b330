/* Writing: what is synced when, what is refused, what goes away, opening and closing. */
#include "tests/unit/store/journal_rig.h"

#include "proxy/base/metrics.h"

static void test_append_with_thread_synced_in_order(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->conf.is_inline = false;
	rig_open(g);
	rig_write(g, 50, 7);
	assert_int_equal(g->reported, 350);
	assert_true(g->n_reports >= 50);
	for (uint64_t k = 1; k <= 350; k++)
		assert_int_equal(g->outcome[k], 1);
	rig_free(g);
}

static void test_commit_while_writing_gathers_the_next_group(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	rig_open(g);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(rig_append(g), 0);
		journal_commit(g->j);
	}
	rig_run(g);
	assert_int_equal(g->reported, 10);
	assert_int_equal(g->n_reports, 2); /* the first alone, the other nine together */
	rig_free(g);
}

/* A sync costs more than what it waits for: when to pay for one is not the writer's to say. */
static void test_append_after_the_last_commit_waits_for_the_next(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	rig_open(g);
	assert_int_equal(rig_append(g), 0);
	journal_commit(g->j);
	assert_int_equal(rig_append(g), 0);
	rig_run(g);
	rig_tick(g, 1000);
	assert_int_equal(g->reported, 1);
	journal_commit(g->j);
	assert_int_equal(rig_append(g), 0);
	rig_run(g);
	assert_int_equal(g->reported, 2);
	rig_free(g);
}

static void test_append_without_commit_nothing_on_disk(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	rig_open(g);
	assert_int_equal(rig_append(g), 0);
	rig_run(g);
	assert_int_equal(g->reported, 0);
	assert_int_equal(rig_count_files(g, ".seg"), 0);
	rig_free(g);
}

static void test_close_writes_what_is_buffered(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->conf.is_inline = false;
	rig_open(g);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(rig_append(g), 0);
	rig_close(g);
	assert_int_equal(g->reported, 300);
	rig_open(g);
	assert_int_equal(rig_replay(g, NULL, false), 300);
	rig_free(g);
}

static void test_append_too_long_refused(void **state)
{
	struct rig *g = rig_new();
	struct journal_record r = {.client = SLICE("c"), .rule = SLICE("r")};
	static char text[JOURNAL_RECORD_MAX];
	uint64_t seq;

	(void)state;
	rig_open(g);
	r.raw = slice_make(text, 4096);
	assert_int_equal(journal_append(g->j, &r, &seq), -EMSGSIZE);
	r.raw = slice_make(text, sizeof(text));
	assert_int_equal(journal_append(g->j, &r, &seq), -EMSGSIZE);
	r.raw.n = 0;
	r.client = slice_make(text, JOURNAL_TEXT_MAX + 1);
	assert_int_equal(journal_append(g->j, &r, &seq), -EMSGSIZE);
	r.client.n = 1;
	r.rule = slice_make(text, JOURNAL_TEXT_MAX + 1);
	assert_int_equal(journal_append(g->j, &r, &seq), -EMSGSIZE);
	rig_free(g);
}

static void test_append_writer_busy_buffer_full_refused_for_a_while(void **state)
{
	struct rig *g = rig_new();
	int rc;

	(void)state;
	g->conf.buffer_bytes = 4096;
	rig_open(g);
	assert_int_equal(rig_append(g), 0);
	journal_commit(g->j);
	while ((rc = rig_append(g)) == 0)
		journal_commit(g->j);
	assert_int_equal(rc, -EAGAIN);
	rig_run(g);
	assert_int_equal(g->reported, g->last);
	assert_int_equal(rig_append(g), 0);
	rig_free(g);
}

static void test_append_at_limit_refused_until_applied(void **state)
{
	struct rig *g = rig_new();
	unsigned before = 0;
	int rc;

	(void)state;
	g->conf.limit_bytes = (uint64_t)5 * 4096;
	rig_open(g);
	while ((rc = rig_append(g)) == 0) {
		journal_commit(g->j);
		rig_run(g);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_true(rig_stats(g).is_full);
	assert_string_equal(journal_state(g->j), "full: at the journal's limit");
	assert_int_equal(rig_stats(g).bytes, 5 * 4096);
	assert_int_equal(g->reported, g->last);
	before = (unsigned)g->last;
	for (uint64_t k = 1; k <= g->last; k++)
		journal_applied(g->j, k);
	rig_tick(g, 60000);
	assert_int_equal(rig_append(g), -ENOSPC);
	rig_let_go(g);
	assert_int_equal(rig_append(g), 0);
	rig_write(g, before / 2, 1);
	assert_string_equal(journal_state(g->j), "ok");
	rig_free(g);
}

static void test_applied_segment_goes_when_released_newest_stays(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	rig_open(g);
	rig_write(g, 200, 1);
	assert_true(rig_count_files(g, ".seg") >= 3);
	for (uint64_t k = 200; k >= 1; k--) /* any order */
		journal_applied(g->j, k);
	journal_applied(g->j, 200); /* and twice */
	journal_applied(g->j, 0);
	journal_applied(g->j, 999);
	journal_release(g->j, clock_mono_ms()); /* in the same moment: which was first? */
	rig_tick(g, 86400000);
	assert_true(rig_count_files(g, ".seg") >= 3);
	rig_let_go(g);
	assert_int_equal(rig_count_files(g, ".seg"), 1);
	rig_reopen(g);
	assert_int_equal(rig_append(g), 0);
	rig_free(g);
}

static void test_applied_before_synced_remembered(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	rig_open(g);
	for (unsigned k = 1; k <= 100; k++) {
		assert_int_equal(rig_append(g), 0);
		journal_applied(g->j, k);
	}
	assert_int_equal(rig_stats(g).unapplied, 0);
	journal_commit(g->j);
	rig_run(g);
	assert_int_equal(g->reported, 100);
	assert_int_equal(rig_stats(g).unapplied, 0);
	rig_free(g);
}

static void test_open_second_user_refused(void **state)
{
	struct rig *g = rig_new();
	struct journal *other = NULL;
	const struct journal_events ev = {rig_synced, g};

	(void)state;
	rig_open(g);
	assert_int_equal(journal_open(&other, g->base, &g->conf, &ev), -EBUSY);
	assert_null(other);
	rig_write(g, 1, 1);
	rig_free(g);
}

static void test_open_bad_conf_or_directory_refused(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->conf.segment_bytes = 4095;
	assert_int_equal(rig_try_open(g), -EINVAL);
	g->conf.segment_bytes = 4096;
	g->conf.limit_bytes = 4096;
	assert_int_equal(rig_try_open(g), -EINVAL);
	g->conf.limit_bytes = 65536;
	g->conf.dir = "/nonexistent/journal";
	assert_int_equal(rig_try_open(g), -ENOENT);
	g->conf.dir = "/dev/null";
	assert_int_equal(rig_try_open(g), -ENOTDIR);
	rig_free(g);
}

static void test_open_makes_its_directory(void **state)
{
	struct rig *g = rig_new();
	char dir[100];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/0", g->dir);
	g->conf.dir = dir;
	rig_open(g);
	rig_write(g, 1, 3);
	rig_close(g);
	rig_empty_dir(dir);
	assert_int_equal(rmdir(dir), 0);
	rig_free(g);
}

static void test_tick_sets_metrics(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	rig_open(g);
	rig_write(g, 10, 1);
	rig_tick(g, 500);
	assert_int_equal(metrics_self->v[M_JOURNAL_UNAPPLIED], 10);
	assert_int_equal(metrics_self->v[M_JOURNAL_OLDEST_MS], 500);
	assert_int_equal(metrics_self->v[M_JOURNAL_BYTES], 2 * 4096); /* with the spare */
	assert_true(metrics_self->v[M_JOURNAL_RECORDS] >= 10);
	assert_true(metrics_self->v[M_JOURNAL_SYNCS] >= 10);
	rig_free(g);
}

static struct rig *commits_again;

static void synced_appends(void *arg, uint64_t upto, int rc)
{
	rig_synced(arg, upto, rc);
	if (commits_again->last < 100) {
		assert_int_equal(rig_append(commits_again), 0);
		journal_commit(commits_again->j);
	}
}

static void test_append_and_commit_from_synced(void **state)
{
	struct rig *g = rig_new();
	const struct journal_events ev = {synced_appends, g};

	(void)state;
	commits_again = g;
	assert_int_equal(journal_open(&g->j, g->base, &g->conf, &ev), 0);
	rig_write(g, 1, 1);
	rig_run(g);
	assert_int_equal(g->reported, 100);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_with_thread_synced_in_order),
		cmocka_unit_test(test_commit_while_writing_gathers_the_next_group),
		cmocka_unit_test(test_append_after_the_last_commit_waits_for_the_next),
		cmocka_unit_test(test_append_without_commit_nothing_on_disk),
		cmocka_unit_test(test_close_writes_what_is_buffered),
		cmocka_unit_test(test_append_too_long_refused),
		cmocka_unit_test(test_append_writer_busy_buffer_full_refused_for_a_while),
		cmocka_unit_test(test_append_at_limit_refused_until_applied),
		cmocka_unit_test(test_applied_segment_goes_when_released_newest_stays),
		cmocka_unit_test(test_applied_before_synced_remembered),
		cmocka_unit_test(test_open_second_user_refused),
		cmocka_unit_test(test_open_bad_conf_or_directory_refused),
		cmocka_unit_test(test_open_makes_its_directory),
		cmocka_unit_test(test_tick_sets_metrics),
		cmocka_unit_test(test_append_and_commit_from_synced),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
