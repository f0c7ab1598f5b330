#include "proxy/store/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

static void expect(const struct strbuf *b, const char *text)
{
	assert_true(strbuf_ok(b));
	assert_int_equal(b->n, strlen(text));
	assert_memory_equal(b->p, text, b->n);
}

static void test_resp_words_one_command(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 1000);
	resp_words(&b, "CONFIG GET appendonly");
	expect(&b, "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$10\r\nappendonly\r\n");
	strbuf_fini(&b);
}

static void test_resp_number_at_its_limits(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 1000);
	resp_number(&b, 0);
	resp_number(&b, -7);
	resp_number(&b, INT64_MAX);
	resp_number(&b, INT64_MIN);
	expect(&b, "$1\r\n0\r\n$2\r\n-7\r\n$19\r\n9223372036854775807\r\n"
		   "$20\r\n-9223372036854775808\r\n");
	strbuf_fini(&b);
}

static void test_resp_bulk3_joined(void **state)
{
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 1000);
	resp_bulk3(&b, SLICE("ab"), SLICE(""), SLICE("c"));
	resp_bulk(&b, SLICE(""));
	expect(&b, "$3\r\nabc\r\n$0\r\n\r\n");
	strbuf_fini(&b);
}

/* Arguments are arbitrary bytes; the other side reads back what was put. */
static void test_resp_bulk_read_back_by_a_parser(void **state)
{
	static const char odd[] = "a\r\n$5\r\n\0\xff";
	struct slice arg = slice_make(odd, sizeof(odd) - 1);
	redisReader *reader = redisReaderCreate();
	redisReply *r = NULL;
	struct strbuf b;

	(void)state;
	strbuf_init(&b, 1 << 20);
	resp_array(&b, 1001);
	for (unsigned i = 0; i < 1001; i++)
		resp_bulk(&b, arg);
	assert_true(strbuf_ok(&b));
	assert_int_equal(redisReaderFeed(reader, b.p, b.n), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, (void **)&r), REDIS_OK);
	assert_non_null(r);
	assert_int_equal(r->elements, 1001);
	for (size_t i = 0; i < r->elements; i++)
		assert_true(slice_eq(slice_make(r->element[i]->str, r->element[i]->len), arg));
	freeReplyObject(r);
	redisReaderFree(reader);
	strbuf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resp_words_one_command),
		cmocka_unit_test(test_resp_number_at_its_limits),
		cmocka_unit_test(test_resp_bulk3_joined),
		cmocka_unit_test(test_resp_bulk_read_back_by_a_parser),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
