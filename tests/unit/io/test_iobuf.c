#include "proxy/io/iobuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* More blocks than the pool keeps for ever. */
#define MANY 300

static struct iobuf filled(const char *text)
{
	struct iobuf b = {0};

	assert_int_equal(iobuf_need(&b), 0);
	b.end = strlen(text);
	memcpy(b.p, text, b.end);
	return b;
}

static int empty_pool(void **state)
{
	(void)state;
	iobuf_pool_fini();
	return 0;
}

static void test_need_gives_one_empty_block(void **state)
{
	struct iobuf b = {0};
	char *p;

	(void)state;
	assert_int_equal(iobuf_used(&b), 0);
	assert_int_equal(iobuf_room(&b), 0);
	assert_int_equal(iobuf_need(&b), 0);
	p = b.p;
	assert_non_null(p);
	assert_int_equal(iobuf_used(&b), 0);
	assert_int_equal(iobuf_room(&b), IOBUF_BYTES);
	/* All of it may be written to; the sanitizer looks. */
	memset(b.p, 'x', IOBUF_BYTES);
	b.end = 3;
	assert_int_equal(iobuf_need(&b), 0);
	assert_ptr_equal(b.p, p);
	assert_int_equal(iobuf_used(&b), 3);
	iobuf_release(&b);
}

static void test_release_leaves_nothing_and_block_is_used_again(void **state)
{
	struct iobuf a = filled("secret"), b = {0};
	char *p = a.p;

	(void)state;
	iobuf_release(&a);
	assert_null(a.p);
	assert_int_equal(a.cap, 0);
	assert_int_equal(iobuf_used(&a), 0);
	iobuf_release(&a);
	assert_int_equal(iobuf_need(&b), 0);
	assert_ptr_equal(b.p, p);
	assert_int_equal(iobuf_used(&b), 0);
	iobuf_release(&b);
}

static void test_no_block_is_given_twice(void **state)
{
	static struct iobuf b[MANY];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			assert_int_equal(iobuf_need(&b[i]), 0);
			b[i].p[0] = b[i].p[IOBUF_BYTES - 1] = (char)i;
		}
		/* No block is anybody else's. */
		for (unsigned i = 0; i < MANY; i++) {
			assert_int_equal(b[i].p[0], (char)i);
			assert_int_equal(b[i].p[IOBUF_BYTES - 1], (char)i);
		}
		for (unsigned i = 0; i < MANY; i++)
			iobuf_release(&b[i]);
	}
}

static void test_block_begins_a_page(void **state)
{
	struct iobuf b = {0};

	(void)state;
	assert_int_equal(iobuf_need(&b), 0);
	assert_int_equal((uintptr_t)b.p % 4096, 0);
	iobuf_release(&b);
}

static void test_consume_part_keeps_bytes_where_they_are(void **state)
{
	struct iobuf b = filled("abcdef");

	(void)state;
	iobuf_consume(&b, 2);
	assert_true(slice_eq(iobuf_slice(&b), SLICE("cdef")));
	assert_ptr_equal(iobuf_slice(&b).p, b.p + 2);
	assert_int_equal(iobuf_used(&b), 4);
	/* What is used up is room again only after iobuf_compact(). */
	assert_int_equal(iobuf_room(&b), IOBUF_BYTES - 6);
	iobuf_consume(&b, 0);
	assert_int_equal(iobuf_used(&b), 4);
	iobuf_consume(&b, 4);
	assert_int_equal(b.start, 0);
	assert_int_equal(b.end, 0);
	iobuf_release(&b);
}

static void test_compact_moves_contents_to_the_front(void **state)
{
	struct iobuf b = {0};

	(void)state;
	assert_int_equal(iobuf_need(&b), 0);
	for (size_t i = 0; i < IOBUF_BYTES; i++)
		b.p[i] = (char)(i % 251);
	b.end = IOBUF_BYTES;
	/* The old place and the new one overlap. */
	iobuf_consume(&b, 10);
	assert_int_equal(iobuf_room(&b), 0);
	iobuf_compact(&b);
	assert_int_equal(b.start, 0);
	assert_int_equal(iobuf_used(&b), IOBUF_BYTES - 10);
	assert_int_equal(iobuf_room(&b), 10);
	for (size_t i = 0; i < iobuf_used(&b); i++)
		assert_int_equal(b.p[i], (char)((i + 10) % 251));
	iobuf_compact(&b);
	assert_int_equal(iobuf_used(&b), IOBUF_BYTES - 10);
	iobuf_release(&b);
}

static void test_compact_without_block_harmless(void **state)
{
	struct iobuf b = {0};

	(void)state;
	iobuf_compact(&b);
	assert_null(b.p);
	assert_int_equal(iobuf_used(&b), 0);
}

static void test_enlarge_keeps_what_is_left(void **state)
{
	struct iobuf b = filled("abcdef");

	(void)state;
	iobuf_consume(&b, 2);
	assert_int_equal(iobuf_enlarge(&b, IOBUF_BYTES + 1), 0);
	assert_int_equal(b.start, 0);
	assert_true(slice_eq(iobuf_slice(&b), SLICE("cdef")));
	assert_int_equal(iobuf_room(&b), IOBUF_BYTES + 1 - 4);
	memset(b.p + b.end, 'x', iobuf_room(&b));
	iobuf_release(&b);
}

static void test_enlarge_to_less_keeps_the_block(void **state)
{
	struct iobuf b = filled("abc");
	char *p = b.p;

	(void)state;
	assert_int_equal(iobuf_enlarge(&b, IOBUF_BYTES), 0);
	assert_int_equal(iobuf_enlarge(&b, 1), 0);
	assert_ptr_equal(b.p, p);
	assert_int_equal(b.cap, IOBUF_BYTES);
	assert_true(slice_eq(iobuf_slice(&b), SLICE("abc")));
	iobuf_release(&b);
}

static void test_enlarge_without_block_gives_an_empty_one(void **state)
{
	struct iobuf b = {0};

	(void)state;
	assert_int_equal(iobuf_enlarge(&b, 2 * IOBUF_BYTES), 0);
	assert_int_equal(iobuf_used(&b), 0);
	assert_int_equal(iobuf_room(&b), 2 * IOBUF_BYTES);
	iobuf_release(&b);
}

/* A larger block in the pool would be leaked memory; a smaller one, an overrun. */
static void test_release_enlarged_block_not_pooled(void **state)
{
	struct iobuf b = {0};

	(void)state;
	assert_int_equal(iobuf_enlarge(&b, 2 * IOBUF_BYTES), 0);
	iobuf_release(&b);
	assert_int_equal(iobuf_enlarge(&b, 100), 0);
	iobuf_release(&b);
	assert_int_equal(iobuf_need(&b), 0);
	assert_int_equal(b.cap, IOBUF_BYTES);
	memset(b.p, 'x', IOBUF_BYTES);
	iobuf_release(&b);
}

#define ON_EMPTY_POOL(t) cmocka_unit_test_setup_teardown(t, empty_pool, empty_pool)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EMPTY_POOL(test_need_gives_one_empty_block),
		ON_EMPTY_POOL(test_release_leaves_nothing_and_block_is_used_again),
		ON_EMPTY_POOL(test_no_block_is_given_twice),
		ON_EMPTY_POOL(test_block_begins_a_page),
		ON_EMPTY_POOL(test_consume_part_keeps_bytes_where_they_are),
		ON_EMPTY_POOL(test_compact_moves_contents_to_the_front),
		ON_EMPTY_POOL(test_compact_without_block_harmless),
		ON_EMPTY_POOL(test_enlarge_keeps_what_is_left),
		ON_EMPTY_POOL(test_enlarge_to_less_keeps_the_block),
		ON_EMPTY_POOL(test_enlarge_without_block_gives_an_empty_one),
		ON_EMPTY_POOL(test_release_enlarged_block_not_pooled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
