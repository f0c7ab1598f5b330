/* What absorb and audit mean, on a real Redis. */
#include "tests/unit/store/rig_rollup.h"

/* --- absorb ------------------------------------------------------------------------- */

static void test_absorb_retry_counts_once(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 3 X 11 R1 X 12 R2 Y 13 R1"), 3);
	assert_int_equal(number("absorb 5 5 3 X 11 R1 X 12 R2 Y 13 R1"), 0);
	assert_int_equal(number("count X"), 2);
	expect_books_balance();
}

static void test_absorb_same_id_twice_in_a_call_counts_once(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 2 X 14 R2 X 14 R2"), 1);
	assert_int_equal(number("count X"), 1);
}

static void test_absorb_same_id_of_another_client_counts(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 2 X 11 R1 Z 11 R1"), 2);
}

static void test_absorb_same_id_with_another_rule_counts_once(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 2 X 11 R1 X 11 R2"), 1);
}

static void test_absorb_whole_range_of_digests(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 4 X 9223372036854775807 R X -9223372036854775808 R "
				"X 9223372036854775806 R X 0 R"),
			 4);
	assert_int_equal(number("absorb 5 5 2 X 9223372036854775807 R X -9223372036854775808 R"),
			 0);
}

/* A rule's counter stops at 32 bits, a client's and the books' go on beyond. */
static void test_X39_counters_at_their_ends(void **state)
{
	(void)state;
	number("absorb 5 5 2 X 1 R1 X 2 R1");
	number("lease p 60000");
	freeReplyObject(redisCommand(link_, "BITFIELD %s SET u32 #0 4294967294", shard_key("r")));
	freeReplyObject(redisCommand(link_, "HSET %s X 4294967295", shard_key("t")));
	freeReplyObject(redisCommand(link_,
				     "HSET %s abs 4294967297 sealed 4294967295 settled "
				     "4294967295",
				     shard_key("n")));
	expect_claim("seal 1 9 5000", "X", "1 5 5 2 x80 [0+1] []");
	assert_int_equal(number("settle 1 X 1"), 1);
	assert_int_equal(number("count X"), 4294967297);
	assert_string_equal(texts("audit"), "4294967297 4294967297 4294967297 0 0 1 1 ");
	assert_non_null(strstr(texts("reports R1 0 10"), "4294967295"));
}

static void test_absorb_rules_numbered_from_zero_in_order(void **state)
{
	(void)state;
	number("absorb 5 5 3 X 1 R1 X 2 R2 Y 3 R1");
	number("absorb 5 5 2 Z 4 R3 Z 5 R2");
	assert_string_equal(texts("rules"), "R1 R2 R3 ");
}

/* Rule names must not reach the fields in which the functions keep their own numbers. */
static void test_absorb_rule_names_like_own_fields_escaped(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 4 X 1 @w X 2 @n X 3 @ X 4 @@p"), 4);
	assert_int_equal(number("absorb 5 5 1 X 5 R"), 1);
	assert_string_equal(texts("rules"), "@w @n @ @@p R ");
	assert_int_equal(number("absorb 5 5 1 X 1 @w"), 0);
}

static void test_absorb_seen_only_counts_nothing_but_dedupes(void **state)
{
	(void)state;
	assert_int_equal(number("absorb 5 5 2 X 1 '' X 2 R1"), 1);
	assert_int_equal(number("absorb 6 6 1 X 1 R1"), 0);
	assert_int_equal(number("absorb 6 6 1 Q 9 ''"), 0);
	assert_int_equal(number("count X"), 1);
	assert_int_equal(number("count Q"), -1);
	assert_string_equal(texts("rules"), "R1 ");
	assert_string_equal(texts("audit"), "1 0 0 1 0 1 1 ");
}

static void test_absorb_times_first_is_earliest_last_is_latest(void **state)
{
	(void)state;
	number("absorb 1000 1005 1 X 1 R1");
	number("absorb 2000 2007 1 X 2 R1");
	number("absorb 900 901 1 X 3 R1");
	number("absorb 3000 3000 1 X 3 R1");
	number("lease p 60000");
	expect_claim("seal 1 9 5000", "X", "1 900 2007 3 x80 [0+2] []");
}

/* The function remembers numbers: not beyond the data that they are of. */
static void test_absorb_rule_numbers_after_flushall(void **state)
{
	(void)state;
	number("absorb 5 5 2 X 1 R1 X 2 R2");
	freeReplyObject(redisCommand(link_, "FLUSHALL"));
	number("absorb 5 5 1 X 1 R2");
	assert_string_equal(texts("rules"), "R2 ");
	number("absorb 5 5 2 X 2 R1 X 3 @n");
	assert_string_equal(texts("rules"), "R2 R1 @n ");
	/* As many as before, and others. */
	freeReplyObject(redisCommand(link_, "FLUSHALL"));
	freeReplyObject(redisCommand(link_, "HSET %s @n 1 R9 0", shard_key("i")));
	number("absorb 5 5 1 X 1 R1");
	assert_string_equal(texts("rules"), "R9 R1 ");
}

/* The last one comes rounded down to the second. */
static void test_absorb_times_last_is_never_before_first(void **state)
{
	(void)state;
	number("absorb 1300 1000 1 X 1 R1");
	number("lease p 60000");
	assert_string_equal(texts("client X"), "1 0 0 1300 1300  x80 1 0 ");
	expect_claim("seal 1 9 5000", "X", "1 1300 1300 1 x80 [] []");
}

/* The function remembers whom it told of a second: not beyond a seal, nor the second. */
static void test_absorb_times_told_again(void **state)
{
	(void)state;
	number("absorb 3100 3000 1 X 1 R1");
	number("absorb 3200 3000 1 X 2 R2");
	number("lease p 60000");
	expect_claim("seal 1 9 5000", "X", "1 3100 3100 2 xc0 [] []");
	number("settle 1 X 1");
	number("absorb 3900 3000 1 X 3 R1");
	expect_claim("seal 1 9 5000", "X", "2 3900 3900 1 x80 [] []");
	number("settle 1 X 2");
	number("absorb 3950 3000 1 X 4 R1");
	number("absorb 4050 4000 1 X 5 R2");
	expect_claim("seal 1 9 5000", "X", "3 3950 4000 2 xc0 [] []");
}

static void test_absorb_older_first_in_one_second(void **state)
{
	(void)state;
	number("absorb 3500 3000 2 X 1 R1 Y 1 R1");
	number("absorb 3100 3000 1 X 2 R2");
	number("absorb 3300 3000 1 X 3 R3");
	number("lease p 60000");
	expect_claim("seal 1 1 5000", "X", "1 3100 3100 3 xe0 [] []");
}

/*
 * Another server was the master for a moment, sealed, and its data came back without the
 * functions being loaded again: what the function remembers must not hide a client.
 */
static void test_absorb_sealed_by_another_server(void **state)
{
	(void)state;
	number("absorb 3100 3000 1 X 1 R1");
	freeReplyObject(redisCommand(link_, "ZREM %s X", shard_key("dirty")));
	freeReplyObject(redisCommand(link_, "HINCRBY %s @s 1", shard_key("i")));
	number("absorb 3200 3000 1 X 2 R2");
	assert_int_equal(command_number("ZCARD %s", shard_key("dirty")), 1);
}

static void test_absorb_rule_counters_in_redis(void **state)
{
	redisReply *r;

	(void)state;
	number("absorb 5 5 4 X 1 R1 X 2 R2 Y 3 R2 X 4 R2");
	number("lease p 60000");
	texts("seal 1 9 5000");
	r = redisCommand(link_, "BITFIELD_RO %s GET u32 #0 GET u32 #1", shard_key("r"));
	assert_int_equal(r->element[0]->integer, 1);
	assert_int_equal(r->element[1]->integer, 3);
	freeReplyObject(r);
}

/* --- audit -------------------------------------------------------------------------- */

/* 20,000 random steps; a model in C keeps what every number must be. */
static void test_audit_random_steps_books_balance(void **state)
{
	int64_t absorbed = 0;
	char words[160];

	(void)state;
	srand(20261122);
	number("lease p 600000");
	for (int i = 0; i < 20000; i++) {
		int what = rand() % 100;

		if (what < 80) {
			snprintf(words, sizeof(words), "absorb %d %d 2 C%d %d R%d C%d %d R%d", i, i,
				 rand() % 20, rand() % 2000, rand() % 30, rand() % 20,
				 rand() % 2000, rand() % 30);
			absorbed += number(words);
		} else if (what < 88) {
			snprintf(words, sizeof(words), "seal 1 %d %d", rand() % 5, i - 20);
			freeReplyObject(ask(words));
		} else if (what < 99) {
			snprintf(words, sizeof(words), "settle 1 C%d %d", rand() % 20,
				 1 + rand() % (1 + i / 400));
			number(words);
		} else {
			expect_books_balance();
		}
	}
	snprintf(words, sizeof(words), "%lld ", (long long)absorbed);
	assert_memory_equal(texts("audit"), words, strlen(words));
	expect_books_balance();
}

static void test_audit_finds_what_the_totals_do_not(void **state)
{
	(void)state;
	number("absorb 5 5 2 X 1 R1 X 2 R1");
	freeReplyObject(redisCommand(link_, "DEL %sX", shard_key("x")));
	assert_string_equal(texts("audit"), "2 0 0 1 0 1 1 ");
}

/* The key that stands for the shard in a call must never come to be. */
static void test_keys_bare_tag_never_exists(void **state)
{
	(void)state;
	number("absorb 5 5 1 X 1 R1 X raw");
	number("lease p 60000");
	number("rotate 1 1");
	texts("seal 1 9 5000");
	assert_int_equal(command_number("EXISTS %s", key), 0);
	assert_int_equal(key_count("test:*") - key_count("test:*{*"), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, new_shard)
	const struct CMUnitTest tests[] = {
		CASE(test_absorb_retry_counts_once),
		CASE(test_absorb_same_id_twice_in_a_call_counts_once),
		CASE(test_absorb_same_id_of_another_client_counts),
		CASE(test_absorb_same_id_with_another_rule_counts_once),
		CASE(test_absorb_whole_range_of_digests),
		CASE(test_X39_counters_at_their_ends),
		CASE(test_absorb_rules_numbered_from_zero_in_order),
		CASE(test_absorb_rule_names_like_own_fields_escaped),
		CASE(test_absorb_seen_only_counts_nothing_but_dedupes),
		CASE(test_absorb_times_first_is_earliest_last_is_latest),
		CASE(test_absorb_times_last_is_never_before_first),
		CASE(test_absorb_rule_numbers_after_flushall),
		CASE(test_absorb_times_told_again),
		CASE(test_absorb_older_first_in_one_second),
		CASE(test_absorb_sealed_by_another_server),
		CASE(test_absorb_rule_counters_in_redis),
		CASE(test_audit_random_steps_books_balance),
		CASE(test_audit_finds_what_the_totals_do_not),
		CASE(test_keys_bare_tag_never_exists),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
