#include "tests/unit/store/journal_rig.h"

#include "proxy/base/metrics.h"
#include "proxy/store/journal_format.h"

static struct journal_stats stats(const struct rig *g)
{
	struct journal_stats st;

	journal_get_stats(g->j, &st);
	return st;
}

static void reopen(struct rig *g)
{
	rig_close(g);
	rig_open(g);
}

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
	assert_int_equal(stats(g).unapplied, 800);
	assert_int_equal(rig_replay(g, seen, true), 800);
	for (unsigned k = 1; k <= 800; k++)
		assert_int_equal(seen[k], 1);
	assert_int_equal(stats(g).unapplied, 0);
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
	reopen(g);
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
	reopen(g);
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
	assert_true(stats(g).is_full);
	assert_string_equal(journal_state(g->j), "full: at the journal's limit");
	assert_int_equal(stats(g).bytes, 5 * 4096);
	assert_int_equal(g->reported, g->last);
	before = (unsigned)g->last;
	for (uint64_t k = 1; k <= g->last; k++)
		journal_applied(g->j, k);
	rig_tick(g, 9999);
	assert_int_equal(rig_append(g), -ENOSPC);
	rig_tick(g, 1);
	assert_int_equal(rig_append(g), 0);
	rig_write(g, before / 2, 1);
	assert_string_equal(journal_state(g->j), "ok");
	rig_free(g);
}

static void test_applied_segment_goes_after_grace_newest_stays(void **state)
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
	rig_tick(g, 9999);
	assert_true(rig_count_files(g, ".seg") >= 3);
	rig_tick(g, 1);
	rig_tick(g, 1);
	assert_int_equal(rig_count_files(g, ".seg"), 1);
	reopen(g);
	assert_int_equal(rig_append(g), 0);
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
	rig_tick(g, 60000);
	assert_int_equal(stats(g).unapplied, 1);
	assert_int_equal(stats(g).oldest_ms, 60000);
	journal_replay_begin(g->j, false);
	assert_int_equal(rig_replay(g, seen, true), 1);
	assert_int_equal(seen[1], 1);
	assert_int_equal(stats(g).unapplied, 0);
	assert_int_equal(stats(g).oldest_ms, 0);
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
	assert_int_equal(stats(g).unapplied, 0);
	journal_commit(g->j);
	rig_run(g);
	assert_int_equal(g->reported, 100);
	assert_int_equal(stats(g).unapplied, 0);
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
	assert_int_equal(stats(g).unapplied, 300);
	rig_tick(g, 60000);
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
	rig_tick(g, 20000);
	rig_tick(g, 1);
	assert_int_equal(rig_replay(g, NULL, true), 10);
	rig_free(g);
}

/* The last segment as it was at every moment of a torn write, in three ways. */
static void check_torn(struct rig *g, const char *path, const uint8_t *whole, size_t cut, int way)
{
	static uint8_t torn[4096];
	size_t n = way == 0 ? cut : 4096;
	uint8_t seen[64] = {0};
	unsigned got;

	memcpy(torn, whole, cut);
	memset(torn + cut, way == 1 ? 0 : 0xa5, sizeof(torn) - cut);
	rig_empty_dir(g->dir);
	rig_save(path, torn, n);
	rig_open(g);
	got = rig_replay(g, seen, false);
	for (unsigned k = 1; k <= got; k++)
		assert_int_equal(seen[k], 1);
	/* Whole records before the cut; padding counts only where the file ends. */
	for (size_t off = JOURNAL_HEADER_BYTES, k = 0; k < 20; k++) {
		size_t span = journal_record_span(whole + off);
		size_t need = way == 0 ? span : JOURNAL_FRAME_BYTES + (size_t)whole[off];

		assert_int_equal(k < got, off + need <= cut);
		off += span;
	}
	assert_int_equal(stats(g).quarantined, 0);
	g->reported = g->last = got;
	assert_int_equal(rig_append(g), 0);
	rig_close(g);
}

static void test_torn_end_at_every_byte_is_end_of_log(void **state)
{
	struct rig *g = rig_new();
	static uint8_t whole[4096];
	char path[160];
	size_t used = JOURNAL_HEADER_BYTES;

	(void)state;
	rig_open(g);
	rig_write(g, 1, 20);
	rig_close(g);
	rig_find_file(g, ".seg", path, sizeof(path));
	assert_int_equal(rig_load(path, whole, sizeof(whole)), 4096);
	for (unsigned k = 0; k < 20; k++)
		used += journal_record_span(whole + used);
	for (size_t cut = JOURNAL_HEADER_BYTES; cut < used; cut++)
		for (int way = 0; way < 3; way++)
			check_torn(g, path, whole, cut, way);
	rig_free(g);
}

static void test_flipped_bit_before_a_later_group_quarantined_rest_replayed(void **state)
{
	struct rig *g = rig_new();
	static uint8_t bytes[4096];
	char path[160];
	size_t from = JOURNAL_HEADER_BYTES, to;

	(void)state;
	rig_open(g);
	rig_write(g, 10, 2);
	rig_close(g);
	rig_find_file(g, ".seg", path, sizeof(path));
	assert_int_equal(rig_load(path, bytes, sizeof(bytes)), 4096);
	for (unsigned k = 1; k < 8; k++)
		from += journal_record_span(bytes + from);
	to = from + bytes[from] + 8; /* record 8 */
	for (size_t at = from; at < to; at++) {
		uint8_t seen[32] = {0};

		rig_empty_dir(g->dir);
		bytes[at] ^= (uint8_t)(1 << (at % 8));
		rig_save(path, bytes, sizeof(bytes));
		bytes[at] ^= (uint8_t)(1 << (at % 8));
		g->last = 20;
		rig_open(g);
		assert_int_equal(rig_replay(g, seen, true), 19);
		assert_int_equal(seen[8], 0);
		assert_int_equal(stats(g).quarantined, 1);
		assert_int_equal(stats(g).unapplied, 0);
		g->reported = g->last = 19;
		g->may_jump = true;
		rig_write(g, 1, 1);
		rig_tick(g, 60000);
		assert_int_equal(rig_count_files(g, ".bad"), 1);
		assert_int_equal(rig_count_files(g, ".seg"), 1);
		rig_close(g);
	}
	rig_free(g);
}

static void test_flipped_bit_in_the_last_group_rest_of_it_replayed(void **state)
{
	struct rig *g = rig_new();
	static uint8_t bytes[4096];
	char path[160];
	uint8_t seen[32] = {0};

	(void)state;
	rig_open(g);
	rig_write(g, 1, 20);
	rig_close(g);
	rig_find_file(g, ".seg", path, sizeof(path));
	assert_int_equal(rig_load(path, bytes, sizeof(bytes)), 4096);
	bytes[JOURNAL_HEADER_BYTES + 20] ^= 4;
	rig_save(path, bytes, sizeof(bytes));
	rig_open(g);
	assert_int_equal(rig_replay(g, seen, true), 19);
	assert_int_equal(seen[1], 0);
	rig_free(g);
}

static void test_flipped_bit_read_in_the_running_journal_reported(void **state)
{
	struct rig *g = rig_new();
	static uint8_t bytes[4096];
	char path[160];
	uint8_t seen[301] = {0};

	(void)state;
	rig_open(g);
	rig_write(g, 300, 1);
	rig_find_file(g, ".seg", path, sizeof(path));
	assert_int_equal(rig_load(path, bytes, sizeof(bytes)), 4096);
	bytes[JOURNAL_HEADER_BYTES + 20] ^= 4;
	rig_save(path, bytes, sizeof(bytes));
	for (uint64_t k = 1; k <= 300; k += 2)
		journal_applied(g->j, k);
	journal_replay_begin(g->j, false);
	rig_replay(g, seen, true);
	assert_int_equal(stats(g).quarantined, 1);
	for (unsigned k = 2; k <= 300; k += 2)
		assert_int_equal(seen[k], 1);
	assert_int_equal(stats(g).unapplied, 0);
	rig_tick(g, 60000);
	rig_tick(g, 1);
	assert_int_equal(rig_count_files(g, ".bad"), 1);
	rig_free(g);
}

static void test_zeroed_end_of_an_earlier_segment_quarantined(void **state)
{
	struct rig *g = rig_new();
	static uint8_t bytes[4096];
	char path[160];
	unsigned got;

	(void)state;
	rig_open(g);
	rig_write(g, 300, 1);
	rig_close(g);
	rig_find_file(g, ".seg", path, sizeof(path));
	assert_int_equal(rig_load(path, bytes, sizeof(bytes)), 4096);
	memset(bytes + 2048, 0, 2048);
	rig_save(path, bytes, sizeof(bytes));
	rig_open(g);
	got = rig_replay(g, NULL, true);
	assert_true(got > 250 && got < 300);
	assert_int_equal(stats(g).quarantined, 1);
	assert_int_equal(stats(g).unapplied, 0);
	rig_free(g);
}

static void test_damaged_header_set_aside_others_replayed(void **state)
{
	struct rig *g = rig_new();
	static uint8_t bytes[4096];
	char path[160];

	(void)state;
	for (size_t at = 0; at < JOURNAL_HEADER_BYTES; at++) {
		rig_empty_dir(g->dir);
		g->last = 0;
		rig_open(g);
		rig_write(g, 300, 1);
		rig_close(g);
		rig_find_file(g, ".seg", path, sizeof(path));
		assert_int_equal(rig_load(path, bytes, sizeof(bytes)), 4096);
		bytes[at] ^= 1;
		rig_save(path, bytes, sizeof(bytes));
		rig_open(g);
		assert_true(rig_replay(g, NULL, true) > 200);
		assert_int_equal(stats(g).quarantined, 1);
		assert_int_equal(rig_count_files(g, ".bad"), 1);
		rig_close(g);
	}
	rig_free(g);
}

static void test_empty_file_under_a_segment_name_set_aside(void **state)
{
	struct rig *g = rig_new();
	char path[160];

	(void)state;
	snprintf(path, sizeof(path), "%s/%016x-%08x.seg", g->dir, 7, 7);
	rig_save(path, NULL, 0);
	rig_open(g);
	assert_int_equal(rig_count_files(g, ".bad"), 1);
	rig_write(g, 1, 1);
	rig_free(g);
}

static void test_unknown_version_start_refused_nothing_touched(void **state)
{
	struct rig *g = rig_new();
	struct journal_header h = {.version = 2, .instance = 5, .first = 1, .generation = 1};
	static uint8_t bytes[4096], after[4096];
	char name[JOURNAL_NAME_BYTES], path[160];

	(void)state;
	rig_open(g);
	rig_write(g, 1, 10);
	rig_close(g);
	journal_header_put(&h, bytes);
	journal_name_put(name, 12, 9, "seg");
	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	rig_save(path, bytes, sizeof(bytes));
	assert_int_equal(rig_try_open(g), -ENOTSUP);
	assert_int_equal(rig_load(path, after, sizeof(after)), 4096);
	assert_memory_equal(bytes, after, 4096);
	assert_int_equal(rig_count_files(g, ".seg"), 2);
	assert_int_equal(unlink(path), 0);
	rig_open(g);
	assert_int_equal(rig_replay(g, NULL, false), 10);
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
	reopen(g);
	assert_int_equal(rig_replay(g, NULL, false), 0);
	assert_int_equal(stats(g).expired, 10);
	assert_int_equal(stats(g).unapplied, 0);
	journal_replay_begin(g->j, true);
	assert_int_equal(rig_replay(g, NULL, false), 0);
	assert_int_equal(stats(g).expired, 10);
	rig_write(g, 1, 1);
	rig_tick(g, 60000);
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
	assert_int_equal(stats(g).expired, 0);
	rig_write(g, 1, 1);
	rig_tick(g, 60000);
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

/*
 * A segment as version 1 wrote it, with every kind of record. It must stay readable: never
 * make it anew, add one of the next version beside it.
 */
static void test_golden_version_1_readable(void **state)
{
	struct rig *g = rig_new();
	static uint8_t bytes[65536];
	const char *golden = "tests/unit/store/golden/journal-v1.seg";
	char name[JOURNAL_NAME_BYTES], path[160];
	uint8_t seen[64] = {0};
	size_t n;

	(void)state;
	if (access(golden, R_OK) < 0)
		skip(); /* not run from the top of the tree */
	n = rig_load(golden, bytes, sizeof(bytes));
	assert_int_equal(n, 4096);
	journal_name_put(name, 1, 1, "seg");
	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	rig_save(path, bytes, n);
	rig_open(g);
	assert_int_equal(rig_replay(g, seen, true), 35);
	for (unsigned k = 1; k <= 35; k++)
		assert_int_equal(seen[k], 1);
	assert_int_equal(stats(g).quarantined, 0);
	g->reported = g->last = 35;
	assert_int_equal(rig_append(g), 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_with_thread_synced_in_order),
		cmocka_unit_test(test_commit_while_writing_gathers_the_next_group),
		cmocka_unit_test(test_append_without_commit_nothing_on_disk),
		cmocka_unit_test(test_close_writes_what_is_buffered),
		cmocka_unit_test(test_reopen_replays_all_and_numbers_go_on),
		cmocka_unit_test(test_replay_in_batches_of_any_size),
		cmocka_unit_test(test_replay_long_records_through_the_window),
		cmocka_unit_test(test_append_too_long_refused),
		cmocka_unit_test(test_append_writer_busy_buffer_full_refused_for_a_while),
		cmocka_unit_test(test_append_at_limit_refused_until_applied),
		cmocka_unit_test(test_applied_segment_goes_after_grace_newest_stays),
		cmocka_unit_test(test_unapplied_record_keeps_its_segment),
		cmocka_unit_test(test_applied_before_synced_remembered),
		cmocka_unit_test(test_replay_begin_unapplied_offers_the_rest_once),
		cmocka_unit_test(test_replay_begin_all_offers_everything_again),
		cmocka_unit_test(test_replay_pass_excludes_what_came_after_its_start),
		cmocka_unit_test(test_segment_dropped_under_an_idle_pass),
		cmocka_unit_test(test_torn_end_at_every_byte_is_end_of_log),
		cmocka_unit_test(test_flipped_bit_before_a_later_group_quarantined_rest_replayed),
		cmocka_unit_test(test_flipped_bit_in_the_last_group_rest_of_it_replayed),
		cmocka_unit_test(test_flipped_bit_read_in_the_running_journal_reported),
		cmocka_unit_test(test_zeroed_end_of_an_earlier_segment_quarantined),
		cmocka_unit_test(test_damaged_header_set_aside_others_replayed),
		cmocka_unit_test(test_empty_file_under_a_segment_name_set_aside),
		cmocka_unit_test(test_unknown_version_start_refused_nothing_touched),
		cmocka_unit_test(test_open_second_user_refused),
		cmocka_unit_test(test_open_bad_conf_or_directory_refused),
		cmocka_unit_test(test_open_makes_its_directory),
		cmocka_unit_test(test_expired_of_earlier_run_not_replayed_file_kept),
		cmocka_unit_test(test_expired_but_known_as_applied_dropped_silently),
		cmocka_unit_test(test_segment_size_changed_between_runs),
		cmocka_unit_test(test_tick_sets_metrics),
		cmocka_unit_test(test_append_and_commit_from_synced),
		cmocka_unit_test(test_golden_version_1_readable),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
