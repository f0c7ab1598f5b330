/* What a flusher calls: lease, seal, outbox, settle, rotate, on a real Redis. */
#include "tests/unit/store/rig_rollup.h"

/* --- lease -------------------------------------------------------------------------- */

static void test_lease_one_holder_token_grows_with_holders(void **state)
{
	(void)state;
	assert_int_equal(number("lease p1 60000"), 1);
	assert_int_equal(number("lease p2 60000"), 0);
	assert_int_equal(number("lease p1 50"), 1);
	nap_ms(80);
	assert_int_equal(number("lease p2 60000"), 2);
	assert_int_equal(number("lease p1 60000"), 0);
}

static void test_release_by_holder_only(void **state)
{
	(void)state;
	assert_int_equal(number("release p1"), 0);
	assert_int_equal(number("lease p1 60000"), 1);
	assert_int_equal(number("release p2"), 0);
	assert_int_equal(number("release p1"), 1);
	assert_int_equal(number("release p1"), 0);
	assert_int_equal(number("lease p2 60000"), 2);
}

static void test_stale_token_is_fenced(void **state)
{
	(void)state;
	expect_error("seal 1 9 5000", "FENCED");
	number("absorb 5 5 1 X 1 R1");
	number("lease p1 20");
	expect_claim("seal 1 9 5000", "X", "1 5 5 1 x80 [] []");
	nap_ms(40);
	assert_int_equal(number("lease p2 60000"), 2);
	expect_error("seal 1 9 5000", "FENCED");
	expect_error("settle 1 X 1", "FENCED");
	expect_error("rotate 1 1", "FENCED");
	assert_int_equal(number("settle 2 X 1"), 1);
	expect_books_balance();
}

/* --- seal, outbox, settle ----------------------------------------------------------- */

static void test_seal_what_has_gathered(void **state)
{
	(void)state;
	number("absorb 10 10 4 X 1 R1 X 2 R2 X 3 R3 Y 4 R2");
	number("absorb 20 20 3 X 5 R2 X 6 R2 X 7 R3");
	number("lease p 60000");
	expect_claim("seal 1 9 5000", "X", "1 10 20 6 xe0 [1+2,2+1] []");
	expect_claim("outbox 9", "X", "1 10 20 6 xe0 [1+2,2+1] []");
	expect_claim("outbox 9", "Y", "1 10 10 1 x40 [] []");
	assert_string_equal(texts("audit"), "7 7 0 0 7 2 3 ");
	/* Retries are recognised after the seal too. */
	assert_int_equal(number("absorb 30 30 2 X 1 R1 Y 4 R2"), 0);
	assert_int_equal(number("count X"), 6);
}

static void test_seal_old_enough_clients_only(void **state)
{
	(void)state;
	number("absorb 1000 1000 1 X 1 R1");
	number("absorb 2000 2000 1 Y 1 R1");
	number("lease p 60000");
	assert_string_equal(texts("seal 1 9 1000"), "");
	expect_claim("seal 1 9 2000", "X", "1 1000 1000 1 x80 [] []");
	expect_claim("outbox 9", "Y", "none");
	expect_books_balance();
}

static void test_seal_at_most_max_oldest_first(void **state)
{
	(void)state;
	number("absorb 3 3 1 C 1 R");
	number("absorb 1 1 1 A 1 R");
	number("absorb 2 2 1 B 1 R");
	number("lease p 60000");
	expect_claim("seal 1 1 100", "A", "1 1 1 1 x80 [] []");
	expect_claim("seal 1 1 100", "B", "1 2 2 1 x80 [] []");
	expect_claim("seal 1 9 100", "C", "1 3 3 1 x80 [] []");
	assert_string_equal(texts("seal 1 9 100"), "");
}

static void test_seal_client_in_outbox_goes_on_adding_up(void **state)
{
	(void)state;
	number("absorb 10 10 1 X 1 R1");
	number("lease p 60000");
	expect_claim("seal 1 9 5000", "X", "1 10 10 1 x80 [] []");
	number("absorb 20 20 1 X 2 R2");
	number("absorb 30 30 1 X 3 R1");
	assert_string_equal(texts("seal 1 9 5000"), "");
	assert_string_equal(texts("audit"), "3 1 0 2 1 1 2 ");
	assert_int_equal(number("settle 1 X 1"), 1);
	expect_claim("seal 1 9 5000", "X", "2 20 30 2 xc0 [] []");
	assert_int_equal(number("count X"), 3);
	expect_books_balance();
}

/* Clients whose summaries cannot be delivered are the oldest: the others still get theirs. */
static void test_seal_clients_in_outbox_do_not_starve_others(void **state)
{
	char words[128];

	(void)state;
	number("lease p 60000");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(words, sizeof(words), "absorb 10 10 1 S%u 1 R", i);
		number(words);
	}
	texts("seal 1 100 5000");
	texts("seal 1 100 5000");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(words, sizeof(words), "absorb 20 20 1 S%u 2 R", i);
		number(words);
	}
	number("absorb 30 30 1 Late 1 R");
	expect_claim("seal 1 1 5000", "Late", "1 30 30 1 x80 [] []");
	expect_books_balance();
}

static void test_settle_once_and_only_this_summary(void **state)
{
	(void)state;
	number("absorb 10 10 2 X 1 R1 Y 1 R1");
	number("lease p 60000");
	texts("seal 1 9 5000");
	assert_int_equal(number("settle 1 X 9"), 0);
	assert_int_equal(number("settle 1 Q 1"), 0);
	/* Sealed anew after Redis had forgotten: what was posted is not what is here. */
	assert_int_equal(number("settle 1 X 1 12345"), 0);
	assert_int_equal(number("settle 1 X 1"), 1);
	assert_int_equal(number("settle 1 X 1"), 0);
	assert_string_equal(texts("audit"), "2 2 1 0 1 2 1 ");
}

static void test_outbox_at_most_max(void **state)
{
	redisReply *r;

	(void)state;
	number("absorb 10 10 3 X 1 R Y 1 R Z 1 R");
	number("lease p 60000");
	assert_string_equal(texts("outbox 9"), "");
	texts("seal 1 9 5000");
	r = ask("outbox 2");
	assert_int_equal(r->elements, 18);
	freeReplyObject(r);
}

static void test_seal_leaves_coverage_for_ever(void **state)
{
	(void)state;
	number("absorb 10 10 1 X 1 R1");
	number("lease p 60000");
	texts("seal 1 9 5000");
	number("settle 1 X 1");
	number("absorb 20 20 1 X 2 R2");
	texts("seal 1 9 5000");
	assert_int_equal(command_number("BITCOUNT %sX", shard_key("b")), 2);
}

/* --- exemplars ---------------------------------------------------------------------- */

static void test_exemplar_newest_travels_with_the_summary(void **state)
{
	(void)state;
	number("absorb 10 10 2 X 1 R1 Y 1 R1 X first Y other");
	number("absorb 20 20 2 X 2 R1 X 3 R1 X second X third");
	number("lease p 60000");
	expect_claim("seal 1 9 5000", "X", "1 10 20 3 x80 [0+2] [third]");
	number("absorb 30 30 1 X 4 R1 X fourth");
	expect_claim("outbox 9", "X", "1 10 20 3 x80 [0+2] [third]");
	assert_int_equal(number("settle 1 X 1"), 1);
	expect_claim("seal 1 9 5000", "X", "2 30 30 1 x80 [] [fourth]");
	assert_int_equal(number("settle 1 X 2"), 1);
	assert_int_equal(number("settle 1 Y 1"), 1);
	assert_int_equal(command_number("EXISTS %s", shard_key("e")), 0);
	assert_int_equal(command_number("EXISTS %s", shard_key("f")), 0);
}

static void test_exemplar_of_a_retry_is_not_kept(void **state)
{
	(void)state;
	number("absorb 10 10 1 X 1 R1 X first");
	number("absorb 20 20 1 X 1 R1 X again");
	number("lease p 60000");
	expect_claim("seal 1 9 5000", "X", "1 10 10 1 x80 [] [first]");
}

/* --- windows ------------------------------------------------------------------------ */

static void test_rotate_by_age_of_the_window(void **state)
{
	(void)state;
	number("lease p 60000");
	assert_int_equal(number("rotate 1 50"), 0);
	assert_int_equal(number("rotate 1 50"), 0);
	nap_ms(60);
	assert_int_equal(number("rotate 1 50"), 1);
	assert_int_equal(number("rotate 1 50"), 1);
	assert_int_equal(number("rotate 1 3600000"), 1);
}

static void rotate_now(int64_t expected)
{
	nap_ms(5);
	assert_int_equal(number("rotate 1 2"), expected);
}

static void test_rotate_retry_across_the_edge_is_recognised(void **state)
{
	(void)state;
	number("lease p 60000");
	number("rotate 1 1");
	assert_int_equal(number("absorb 5 5 2 X 1 R1 Y 1 R1"), 2);
	rotate_now(1);
	assert_int_equal(number("absorb 6 6 2 X 1 R1 X 2 R1"), 1);
	rotate_now(2);
	/* X was heard of again in the window before, Y was not. */
	assert_int_equal(number("absorb 7 7 1 X 1 R1"), 0);
	assert_int_equal(number("absorb 7 7 1 Y 1 R1"), 1);
	expect_books_balance();
}

/* Keys of a dedupe set and what else there is of a window; none of them has a time to live. */
static int64_t sets_of(unsigned window)
{
	redisReply *r;
	char pattern[64];
	int64_t n;

	snprintf(pattern, sizeof(pattern), "test:[dk]%u%s*", window, strchr(key, '{'));
	r = redisCommand(link_, "KEYS %s", pattern);
	n = (int64_t)r->elements;
	for (size_t i = 0; i < r->elements; i++)
		assert_int_equal(command_number("TTL %s", r->element[i]->str), -1);
	freeReplyObject(r);
	return n;
}

/* Whatever a set was made by, it stays while it is asked for, and goes then. */
static void test_rotate_every_dedupe_set_goes(void **state)
{
	(void)state;
	number("lease p 60000");
	number("rotate 1 1");
	number("absorb 5 5 3 Sealed 1 R Dirty 1 R Both 1 ''");
	number("absorb 1 1 1 Sealed 2 R");
	texts("seal 1 1 3");
	number("absorb 5 5 1 Seen 1 ''");
	assert_int_equal(sets_of(0), 5);
	rotate_now(1);
	assert_int_equal(sets_of(0), 5);
	/* Known from the window before: nothing is counted, and nothing will seal it. */
	number("absorb 6 6 3 Sealed 1 R Seen 1 R Both 1 R");
	number("absorb 6 6 1 New 1 R");
	assert_int_equal(sets_of(1), 5);
	rotate_now(2);
	assert_int_equal(sets_of(0), 0);
	assert_int_equal(sets_of(1), 5);
	number("absorb 6 6 1 Dirty 7 R");
	rotate_now(3);
	assert_int_equal(sets_of(1), 0);
	assert_int_equal(sets_of(2), 1);
	rotate_now(4);
	assert_int_equal(sets_of(2), 0);
	expect_books_balance();
}

/* More than one command takes. */
static void test_rotate_sets_of_many_clients_go(void **state)
{
	char words[64];

	(void)state;
	number("lease p 60000");
	number("rotate 1 1");
	for (unsigned i = 0; i < 2500; i++) {
		snprintf(words, sizeof(words), "absorb 5 5 1 C%u 1 R", i);
		number(words);
	}
	rotate_now(1);
	assert_int_equal(sets_of(0), 2500);
	rotate_now(2);
	assert_int_equal(sets_of(0), 0);
}

static void test_rotate_clock_that_went_back_begins_anew(void **state)
{
	(void)state;
	number("lease p 60000");
	freeReplyObject(redisCommand(link_, "HSET %s @t 99999999999999", shard_key("i")));
	assert_int_equal(number("rotate 1 1"), 0);
	rotate_now(1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, new_shard)
	const struct CMUnitTest tests[] = {
		CASE(test_lease_one_holder_token_grows_with_holders),
		CASE(test_release_by_holder_only),
		CASE(test_stale_token_is_fenced),
		CASE(test_seal_what_has_gathered),
		CASE(test_seal_old_enough_clients_only),
		CASE(test_seal_at_most_max_oldest_first),
		CASE(test_seal_client_in_outbox_goes_on_adding_up),
		CASE(test_seal_clients_in_outbox_do_not_starve_others),
		CASE(test_settle_once_and_only_this_summary),
		CASE(test_outbox_at_most_max),
		CASE(test_seal_leaves_coverage_for_ever),
		CASE(test_exemplar_newest_travels_with_the_summary),
		CASE(test_exemplar_of_a_retry_is_not_kept),
		CASE(test_rotate_by_age_of_the_window),
		CASE(test_rotate_retry_across_the_edge_is_recognised),
		CASE(test_rotate_every_dedupe_set_goes),
		CASE(test_rotate_sets_of_many_clients_go),
		CASE(test_rotate_clock_that_went_back_begins_anew),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
