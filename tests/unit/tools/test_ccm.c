/* The test tools read what they write, and write the same for the same seed. */
#include "tests/tools/ccm.c"
#include "tests/tools/ccm_payload.c"
#undef ROOM
#include "tests/tools/ccm_text.c"

#include "tests/tools/ccm_read.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct slice content_type(struct slice head)
{
	return ccm_between(head, "Content-Type: ", "\r\n");
}

static struct ccm_item item(enum ccm_kind kind, uint32_t client)
{
	return (struct ccm_item){
		.kind = kind, .client = client, .serial = 7, .rule = 12, .token = ""};
}

static void test_ccm_build_every_variant_read_back(void **state)
{
	(void)state;
	for (unsigned v = 0; v < CCM_VARIANTS; v++) {
		struct ccm_item it = item(CCM_RULE, 3);
		struct ccm_builder b;
		struct ccm_reader r;
		struct ccm_request out;
		struct ccm_view view;

		ccm_builder_init(&b, 1, 1u << v, "mp");
		ccm_reader_init(&r);
		ccm_build(&b, &it, &out);
		ccm_read(&r, content_type(out.head), out.body, &view);
		assert_true(view.is_readable);
		assert_false(view.is_sync);
		assert_true(slice_eq(view.id, slice_str(out.id)));
		assert_true(slice_eq(view.client, slice_str(out.client)));
		assert_true(slice_eq(view.rule, SLICE("ABC00012")));
		assert_int_equal(view.number, v == CCM_V_TYPE_ONLY ? -1 : 10907);
		assert_int_equal(view.n_status, 1);
		ccm_reader_fini(&r);
		ccm_builder_fini(&b);
	}
}

static void test_ccm_build_same_seed_same_bytes(void **state)
{
	struct ccm_item it = item(CCM_RULE, 5), other = item(CCM_INVENTORY, 9);
	struct ccm_builder a, b;
	struct ccm_request x, y;

	(void)state;
	ccm_builder_init(&a, 4, 255, "mp");
	ccm_builder_init(&b, 4, 255, "mp");
	ccm_build(&a, &other, &x);
	ccm_build(&a, &it, &x);
	ccm_build(&b, &it, &y);
	assert_true(slice_eq(x.head, y.head));
	assert_true(slice_eq(x.body, y.body));
	ccm_builder_fini(&a);
	ccm_builder_fini(&b);
}

static void test_ccm_build_mixed_has_two_statuses(void **state)
{
	struct ccm_item it = item(CCM_MIXED, 2);
	struct ccm_builder b;
	struct ccm_reader r;
	struct ccm_request out;
	struct ccm_view view;

	(void)state;
	ccm_builder_init(&b, 1, 255, "mp");
	ccm_reader_init(&r);
	ccm_build(&b, &it, &out);
	ccm_read(&r, content_type(out.head), out.body, &view);
	assert_int_equal(view.n_status, 2);
	ccm_reader_fini(&r);
	ccm_builder_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ccm_build_every_variant_read_back),
		cmocka_unit_test(test_ccm_build_same_seed_same_bytes),
		cmocka_unit_test(test_ccm_build_mixed_has_two_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
