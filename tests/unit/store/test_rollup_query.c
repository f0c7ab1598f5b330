/* What people ask, on a real Redis: windows that ended, one client, who reported a rule. */
#include "tests/unit/store/rig_rollup.h"

static void rotate_now(int64_t expected)
{
	nap_ms(5);
	assert_int_equal(number("rotate 1 2"), expected);
}

/* The rows of history without their times, which are Redis's: "number absorbed settled pending
 * off". */
static const char *windows(void)
{
	static char out[512];
	redisReply *r = ask("history");
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < r->elements; i++) {
		char *save = NULL, *v[7] = {0};

		for (unsigned k = 0; k < 7; k++)
			v[k] = strtok_r(k == 0 ? r->element[i]->str : NULL, " ", &save);
		assert_non_null(v[6]);
		assert_true(strtoll(v[1], NULL, 10) > 1600000000000);
		assert_true(strtoll(v[2], NULL, 10) >= strtoll(v[1], NULL, 10));
		at += (size_t)snprintf(out + at, sizeof(out) - at, "[%s %s %s %s %s]", v[0], v[3],
				       v[4], v[5], v[6]);
	}
	freeReplyObject(r);
	return out;
}

static void test_history_a_row_for_each_window(void **state)
{
	(void)state;
	number("lease p 60000");
	assert_string_equal(windows(), "");
	number("rotate 1 1");
	assert_string_equal(windows(), "");
	number("absorb 5 5 3 X 1 R1 Y 2 R2 X 3 R2");
	rotate_now(1);
	assert_string_equal(windows(), "[0 3 0 3 0]");
	texts("seal 1 9 5000");
	number("settle 1 X 1");
	rotate_now(2);
	number("absorb 6 6 1 Y 9 R1");
	rotate_now(3);
	assert_string_equal(windows(), "[0 3 0 3 0][1 0 2 1 0][2 1 0 2 0]");
}

/* A window's row says by how much its books were off, and so since when they are. */
static void test_history_remembers_what_did_not_balance(void **state)
{
	(void)state;
	number("lease p 60000");
	number("rotate 1 1");
	number("absorb 5 5 2 X 1 R1 X 2 R1");
	rotate_now(1);
	freeReplyObject(redisCommand(link_, "DEL %sX", shard_key("x")));
	rotate_now(2);
	assert_string_equal(windows(), "[0 2 0 2 0][1 0 0 1 1]");
}

static void test_history_keeps_400_windows(void **state)
{
	redisReply *r;

	(void)state;
	number("lease p 60000");
	freeReplyObject(redisCommand(link_, "HSET %s @w 700 @t 5", shard_key("i")));
	for (unsigned w = 250; w < 700; w++)
		freeReplyObject(redisCommand(link_, "HSET %s %u 0", shard_key("h"), w));
	rotate_now(701);
	r = redisCommand(link_, "HMGET %s 300 301 700", shard_key("h"));
	assert_int_equal(r->element[0]->type, REDIS_REPLY_NIL);
	assert_int_equal(r->element[1]->type, REDIS_REPLY_STRING);
	assert_int_equal(r->element[2]->type, REDIS_REPLY_STRING);
	freeReplyObject(r);
}

static void test_client_unknown_open_sealed_on_its_way(void **state)
{
	(void)state;
	number("lease p 60000");
	assert_string_equal(texts("client X"), "0 0 0 0 0   0 0 ");
	number("absorb 5 8 3 X 1 R1 X 2 R3 X 3 R1");
	assert_string_equal(texts("client X"), "1 0 0 5 8  xc0 3 0 ");
	texts("seal 1 9 5000");
	number("absorb 9 9 1 X 4 R2");
	assert_string_equal(texts("client X"), "1 3 1 9 9 xc0 x20 1 3 ");
	number("settle 1 X 1");
	assert_string_equal(texts("client X"), "1 3 1 9 9 xc0 x20 1 0 ");
}

static void test_reports_who_has_and_who_has_not(void **state)
{
	(void)state;
	number("lease p 60000");
	assert_string_equal(texts("reports R1 0 100"), "0 0 ");
	number("absorb 5 5 3 X 1 R1 Y 2 R2 X 3 R1");
	texts("seal 1 9 5000");
	number("absorb 9 9 2 Z 4 R1 W 5 R2");
	assert_string_equal(texts("reports R1 0 100"), "0 3 W 0 Z 1 X 1 Y 0 ");
	/* A rule that nobody ever reported: everybody is missing. */
	assert_string_equal(texts("reports R9 0 100"), "0 0 W 0 Z 0 X 0 Y 0 ");
}

/* Messages of each rule, by hand, while some are sealed and others are not. */
static void test_reports_messages_sealed_and_open(void **state)
{
	unsigned wanted[40] = {0};
	char words[64];

	(void)state;
	number("lease p 60000");
	for (unsigned i = 0, id = 0; i < 1200; i++) {
		unsigned r = i * 7 % 11 * 3 + i % 3; /* 0 to 32: whole bytes and parts of one */

		for (unsigned k = 0; k <= (i % 50 == 0); k++) {
			snprintf(words, sizeof(words), "absorb 5 5 1 C%u %u R%02u", i % 30, ++id,
				 r);
			number(words);
			wanted[r]++;
		}
		if (i == 400 || i == 900)
			texts("seal 1 20 5000");
	}
	for (unsigned r = 0; r < 34; r++) {
		redisReply *a;

		snprintf(words, sizeof(words), "reports R%02u 0 1", r);
		a = ask(words);
		assert_int_equal(strtoul(a->element[1]->str, NULL, 10), wanted[r]);
		freeReplyObject(a);
	}
}

/* Any page size, every client: those with a summary and those without. */
static void test_reports_in_pages_each_client_is_there(void **state)
{
	bool seen[300] = {false};
	char words[64], cursor[24] = "0";
	unsigned n = 0;

	(void)state;
	number("lease p 60000");
	for (unsigned i = 0; i < 300; i++) {
		snprintf(words, sizeof(words), "absorb 5 5 1 C%u %u R%u", i, i, i % 2);
		number(words);
		if (i == 199)
			while (texts("seal 1 64 5000")[0] != '\0')
				;
	}
	do {
		redisReply *r;

		snprintf(words, sizeof(words), "reports R1 %s 20", cursor);
		r = ask(words);
		snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
		assert_string_equal(r->element[1]->str, n == 0 ? "150" : "0");
		for (size_t i = 2; i < r->elements; i += 2) {
			unsigned long c = strtoul(r->element[i]->str + 1, NULL, 10);

			assert_in_range(c, 0, 299);
			assert_string_equal(r->element[i + 1]->str, c % 2 ? "1" : "0");
			n += !seen[c];
			seen[c] = true;
		}
		freeReplyObject(r);
	} while (strcmp(cursor, "0") != 0);
	assert_int_equal(n, 300);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup(f, new_shard)
	const struct CMUnitTest tests[] = {
		CASE(test_history_a_row_for_each_window),
		CASE(test_history_remembers_what_did_not_balance),
		CASE(test_history_keeps_400_windows),
		CASE(test_client_unknown_open_sealed_on_its_way),
		CASE(test_reports_who_has_and_who_has_not),
		CASE(test_reports_messages_sealed_and_open),
		CASE(test_reports_in_pages_each_client_is_there),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
