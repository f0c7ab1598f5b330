/* Replay: which records a pass offers, in this run and the next, and which no more. */
#include "tests/unit/store/journal_rig.h"

static void test_reopen_replays_all_and_numbers_go_on(void **state)
{
	struct rig *g = rig_new();
	uint8_t seen[1000] = {0};

	(void)state;
	for (unsigned run = 0; run < 4; run++) {
		rig_open(g);
		assert_int_equal(rig_replay(g, NULL, false), run * 200);
		rig_write(g, 20, 10);
		rig_close(g);
	}
	rig_open(g);
	assert_int_equal(rig_stats(g).unapplied, 800);
	assert_int_equal(rig_replay(g, seen, true), 800);
	for (unsigned k = 1; k <= 800; k++)
		assert_int_equal(seen[k], 1);
	assert_int_equal(rig_stats(g).unapplied, 0);
	rig_free(g);
}

static void test_replay_in_batches_of_any_size(void **state)
{
	struct rig *g = rig_new();
	struct journal_record v[512];
	uint64_t next = 1;
	int n;

	(void)state;
	rig_open(g);
	rig_write(g, 100, 9);
	rig_reopen(g);
	for (unsigned max = 1; (n = journal_replay_next(g->j, v, max)) > 0; max = max % 512 + 1)
		for (int i = 0; i < n; i++, next++) {
			assert_int_equal(v[i].seq, next);
			rig_check_record(&v[i], next);
		}
	assert_int_equal(next, 901);
	rig_free(g);
}

static void test_replay_long_records_through_the_window(void **state)
{
	struct rig *g = rig_new();
	struct journal_record v[8], r = {.client = SLICE("c"), .at_ms = 1};
	size_t long_n = 1024 * 1024;
	char *text = malloc(long_n);
	unsigned total = 0;
	uint64_t seq;
	int n;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', long_n);
	g->conf.segment_bytes = 4 << 20;
	g->conf.limit_bytes = 64 << 20;
	g->conf.buffer_bytes = 4 << 20;
	rig_open(g);
	for (unsigned i = 0; i < 9; i++) {
		r.raw = slice_make(text, i % 3 == 0 ? long_n : 100000 * (i % 3));
		assert_int_equal(journal_append(g->j, &r, &seq), 0);
		g->last = seq;
		journal_commit(g->j);
		rig_run(g);
	}
	rig_reopen(g);
	while ((n = journal_replay_next(g->j, v, 8)) > 0)
		for (int i = 0; i < n; i++, total++) {
			size_t want = total % 3 == 0 ? long_n : 100000 * (total % 3);

			assert_int_equal(v[i].raw.n, want);
			assert_memory_equal(v[i].raw.p, text, want);
		}
	assert_int_equal(total, 9);
	free(text);
	rig_free(g);
}

static void test_unapplied_record_keeps_its_segment(void **state)
{
	struct rig *g = rig_new();
	uint8_t seen[201] = {0};

	(void)state;
	rig_open(g);
	rig_write(g, 200, 1);
	for (uint64_t k = 2; k <= 200; k++)
		journal_applied(g->j, k);
	rig_let_go(g);
	assert_int_equal(rig_stats(g).unapplied, 1);
	assert_int_equal(rig_stats(g).oldest_ms, 60000);
	journal_replay_begin(g->j, false);
	assert_int_equal(rig_replay(g, seen, true), 1);
	assert_int_equal(seen[1], 1);
	assert_int_equal(rig_stats(g).unapplied, 0);
	assert_int_equal(rig_stats(g).oldest_ms, 0);
	rig_free(g);
}

static void test_replay_begin_unapplied_offers_the_rest_once(void **state)
{
	struct rig *g = rig_new();
	uint8_t seen[301] = {0};

	(void)state;
	rig_open(g);
	rig_write(g, 30, 10);
	for (uint64_t k = 1; k <= 300; k += 3)
		journal_applied(g->j, k);
	journal_replay_begin(g->j, false);
	assert_int_equal(rig_replay(g, seen, false), 200);
	for (unsigned k = 1; k <= 300; k++)
		assert_int_equal(seen[k], k % 3 != 1);
	assert_int_equal(rig_replay(g, NULL, false), 0);
	journal_replay_begin(g->j, false); /* none was applied: again */
	assert_int_equal(rig_replay(g, NULL, true), 200);
	journal_replay_begin(g->j, false);
	assert_int_equal(rig_replay(g, NULL, true), 0);
	rig_free(g);
}

static void test_replay_begin_all_offers_everything_again(void **state)
{
	struct rig *g = rig_new();
	uint8_t seen[301] = {0};

	(void)state;
	rig_open(g);
	rig_write(g, 30, 10);
	for (uint64_t k = 1; k <= 300; k++)
		journal_applied(g->j, k);
	journal_replay_begin(g->j, true);
	assert_int_equal(rig_stats(g).unapplied, 300);
	rig_let_go(g);
	assert_int_equal(rig_replay(g, seen, true), 300);
	for (unsigned k = 1; k <= 300; k++)
		assert_int_equal(seen[k], 1);
	rig_free(g);
}

static void test_replay_pass_excludes_what_came_after_its_start(void **state)
{
	struct rig *g = rig_new();
	struct journal_record v[5];

	(void)state;
	rig_open(g);
	rig_write(g, 1, 10);
	assert_int_equal(rig_append(g), 0); /* not synced */
	journal_replay_begin(g->j, false);
	assert_int_equal(journal_replay_next(g->j, v, 5), 5);
	rig_write(g, 5, 10);
	assert_int_equal(rig_replay(g, NULL, false), 5);
	rig_free(g);
}

static void test_segment_dropped_under_an_idle_pass(void **state)
{
	struct rig *g = rig_new();
	struct journal_record v[3];

	(void)state;
	rig_open(g);
	rig_write(g, 200, 1);
	journal_replay_begin(g->j, false);
	assert_int_equal(journal_replay_next(g->j, v, 3), 3);
	for (uint64_t k = 1; k <= 190; k++)
		journal_applied(g->j, k);
	rig_let_go(g);
	assert_int_equal(rig_replay(g, NULL, true), 10);
	rig_free(g);
}

static void test_expired_of_earlier_run_not_replayed_file_kept(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->conf.window_ms = 86400000;
	rig_open(g);
	rig_write(g, 10, 1);
	rig_wall_ms += 86400001;
	journal_replay_begin(g->j, false); /* in the same run age does not matter */
	assert_int_equal(rig_replay(g, NULL, false), 10);
	rig_reopen(g);
	assert_int_equal(rig_replay(g, NULL, false), 0);
	assert_int_equal(rig_stats(g).expired, 10);
	assert_int_equal(rig_stats(g).unapplied, 0);
	journal_replay_begin(g->j, true);
	assert_int_equal(rig_replay(g, NULL, false), 0);
	assert_int_equal(rig_stats(g).expired, 10);
	rig_write(g, 1, 1);
	rig_let_go(g);
	assert_int_equal(rig_count_files(g, ".old"), 1);
	assert_int_equal(rig_count_files(g, ".seg"), 1);
	rig_free(g);
}

static void test_expired_but_known_as_applied_dropped_silently(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->conf.window_ms = 86400000;
	rig_open(g);
	rig_write(g, 10, 1);
	for (uint64_t k = 1; k <= 10; k++)
		journal_applied(g->j, k);
	rig_close(g);
	assert_int_equal(rig_count_files(g, ".done"), 1);
	rig_open(g);
	assert_int_equal(rig_replay(g, NULL, false), 10); /* Redis may have lost its last second */
	rig_close(g);
	rig_wall_ms += 86400001;
	rig_open(g);
	assert_int_equal(rig_replay(g, NULL, false), 0);
	assert_int_equal(rig_stats(g).expired, 0);
	rig_write(g, 1, 1);
	rig_let_go(g);
	assert_int_equal(rig_count_files(g, ".old"), 0);
	assert_int_equal(rig_count_files(g, ".done"), 0);
	rig_free(g);
}

static void test_segment_size_changed_between_runs(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	rig_open(g);
	rig_write(g, 100, 1);
	rig_close(g);
	g->conf.segment_bytes = 65536;
	rig_open(g);
	rig_write(g, 100, 1);
	rig_close(g);
	g->conf.segment_bytes = 8192;
	rig_open(g);
	rig_write(g, 100, 1);
	rig_close(g);
	rig_open(g);
	assert_int_equal(rig_replay(g, NULL, true), 300);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reopen_replays_all_and_numbers_go_on),
		cmocka_unit_test(test_replay_in_batches_of_any_size),
		cmocka_unit_test(test_replay_long_records_through_the_window),
		cmocka_unit_test(test_unapplied_record_keeps_its_segment),
		cmocka_unit_test(test_replay_begin_unapplied_offers_the_rest_once),
		cmocka_unit_test(test_replay_begin_all_offers_everything_again),
		cmocka_unit_test(test_replay_pass_excludes_what_came_after_its_start),
		cmocka_unit_test(test_segment_dropped_under_an_idle_pass),
		cmocka_unit_test(test_expired_of_earlier_run_not_replayed_file_kept),
		cmocka_unit_test(test_expired_but_known_as_applied_dropped_silently),
		cmocka_unit_test(test_segment_size_changed_between_runs),
	};

	return cmocka_run_group_tests_name("journal_replay", tests, NULL, NULL);
}
