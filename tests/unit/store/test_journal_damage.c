/* Bytes that are not what was written: the torn end, flipped bits, other versions. */
#include "tests/unit/store/journal_rig.h"

#include "proxy/store/journal_format.h"

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
	assert_int_equal(rig_stats(g).quarantined, 0);
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
		assert_int_equal(rig_stats(g).quarantined, 1);
		assert_int_equal(rig_stats(g).unapplied, 0);
		g->reported = g->last = 19;
		g->may_jump = true;
		rig_write(g, 1, 1);
		rig_let_go(g);
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
	assert_int_equal(rig_stats(g).quarantined, 1);
	for (unsigned k = 2; k <= 300; k += 2)
		assert_int_equal(seen[k], 1);
	assert_int_equal(rig_stats(g).unapplied, 0);
	rig_let_go(g);
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
	assert_int_equal(rig_stats(g).quarantined, 1);
	assert_int_equal(rig_stats(g).unapplied, 0);
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
		assert_int_equal(rig_stats(g).quarantined, 1);
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
	assert_int_equal(rig_stats(g).quarantined, 0);
	g->reported = g->last = 35;
	assert_int_equal(rig_append(g), 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn_end_at_every_byte_is_end_of_log),
		cmocka_unit_test(test_flipped_bit_before_a_later_group_quarantined_rest_replayed),
		cmocka_unit_test(test_flipped_bit_in_the_last_group_rest_of_it_replayed),
		cmocka_unit_test(test_flipped_bit_read_in_the_running_journal_reported),
		cmocka_unit_test(test_zeroed_end_of_an_earlier_segment_quarantined),
		cmocka_unit_test(test_damaged_header_set_aside_others_replayed),
		cmocka_unit_test(test_empty_file_under_a_segment_name_set_aside),
		cmocka_unit_test(test_unknown_version_start_refused_nothing_touched),
		cmocka_unit_test(test_golden_version_1_readable),
	};

	return cmocka_run_group_tests_name("journal_damage", tests, NULL, NULL);
}
