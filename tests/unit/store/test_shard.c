#include "proxy/store/shard.h"
#include "proxy/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char tags[SHARD_MAX][SHARD_TAG_BYTES];

static unsigned slot_of(const char *tag)
{
	return shard_crc16(slice_str(tag)) % 16384;
}

/* The check value of CRC-16/XMODEM, and slots that CLUSTER KEYSLOT gives. */
static void test_shard_crc16_known_values(void **state)
{
	(void)state;
	assert_int_equal(shard_crc16(SLICE("123456789")), 0x31c3);
	assert_int_equal(shard_crc16(SLICE("")), 0);
	assert_int_equal(slot_of("foo"), 12182);
	assert_int_equal(slot_of("0"), 13907);
}

static void test_shard_make_tags_lie_in_their_slices(void **state)
{
	static const unsigned counts[] = {1, 2, 3, 7, 16, 48, 64, 1000, 1024};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned n = counts[i];

		shard_make_tags(n, tags);
		for (unsigned k = 0; k < n; k++) {
			assert_true(tags[k][0] != '\0');
			assert_int_equal(slot_of(tags[k]) * n / 16384, k);
		}
	}
}

static void test_shard_make_tags_are_the_smallest(void **state)
{
	(void)state;
	shard_make_tags(16, tags);
	for (unsigned k = 0; k < 16; k++)
		for (long number = 0; number < strtol(tags[k], NULL, 10); number++) {
			char text[24];

			snprintf(text, sizeof(text), "%ld", number);
			assert_int_not_equal(slot_of(text) * 16 / 16384, k);
		}
}

/* Three masters own thirds of the slots, six own sixths: 48 shards fall evenly on both. */
static void test_shard_make_tags_48_spread_evenly(void **state)
{
	unsigned on3[3] = {0}, on6[6] = {0};
	long largest = 0;

	(void)state;
	shard_make_tags(48, tags);
	for (unsigned k = 0; k < 48; k++) {
		on3[slot_of(tags[k]) * 3 / 16384]++;
		on6[slot_of(tags[k]) * 6 / 16384]++;
		if (strtol(tags[k], NULL, 10) > largest)
			largest = strtol(tags[k], NULL, 10);
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(on3[i], 16);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(on6[i], 8);
	assert_true(largest <= 263);
}

/* Part of the data: a change of any of these values loses what Redis holds. */
static void test_shard_of_client_and_digest_are_fixed(void **state)
{
	(void)state;
	assert_int_equal(shard_of_client(SLICE("GUID:1"), 16), 1);
	assert_true(record_digest(SLICE("{1}")) == 0xd9228e81309509bcu);
	assert_true(record_digest(SLICE("{1}")) != record_digest(SLICE("{2}")));
	shard_make_tags(16, tags);
	assert_string_equal(tags[0], "10");
	assert_string_equal(tags[15], "40");
}

static void test_shard_of_client_spreads(void **state)
{
	unsigned n[16] = {0};
	char text[64];

	(void)state;
	for (unsigned i = 0; i < 16000; i++) {
		snprintf(text, sizeof(text), "GUID:%08X-0000-0000-0000-000000000000", i);
		n[shard_of_client(slice_str(text), 16)]++;
	}
	for (unsigned k = 0; k < 16; k++)
		assert_in_range(n[k], 850, 1150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shard_crc16_known_values),
		cmocka_unit_test(test_shard_make_tags_lie_in_their_slices),
		cmocka_unit_test(test_shard_make_tags_are_the_smallest),
		cmocka_unit_test(test_shard_make_tags_48_spread_evenly),
		cmocka_unit_test(test_shard_of_client_and_digest_are_fixed),
		cmocka_unit_test(test_shard_of_client_spreads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
