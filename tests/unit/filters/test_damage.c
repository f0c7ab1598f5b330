/*
 * Messages as clients send them, whole and damaged. Whole: the finding is what the builder
 * put in. Cut anywhere: never absorbed. One byte changed, lost or added anywhere: absorbed
 * only as what another reader (expat, zlib) finds in the very same bytes.
 */
#include "tests/tools/ccm.c"
#include "tests/tools/ccm_payload.c"
#undef ROOM
#include "tests/tools/ccm_text.c"

#include "tests/unit/filters/oracle.h"

#define SEED 7

struct fixture {
	struct status_filter f;
	struct arena scratch;
	struct ccm_builder builder;
	struct oracle oracle;
	char content_type[128], boundary[80];
	char *bytes; /* owned; the message of n bytes, as the builder gave it */
	size_t n;
	unsigned n_absorbed;
};

static int begin(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->f = try_filter();
	x->f.max_inflated = ORACLE_ROOM;
	assert_int_equal(arena_init(&x->scratch, status_filter_scratch(&x->f)), 0);
	*state = x;
	return 0;
}

static int end(void **state)
{
	struct fixture *x = *state;

	arena_fini(&x->scratch);
	free(x->bytes);
	free(x);
	return 0;
}

static struct verdict ask(struct fixture *x, struct slice body)
{
	struct http_head head = try_head(&x->f, x->content_type, body.n);
	char *bytes = try_exact(body);
	struct verdict v;

	arena_reset(&x->scratch);
	status_filter_ops.inspect(&x->f, &head, slice_make(bytes, body.n), &x->scratch, &v);
	free(bytes);
	return v;
}

/* Ask about these bytes; when absorbed, the other reader must agree. */
static void ask_both(struct fixture *x, struct slice body, const char *damage, size_t at)
{
	struct verdict v = ask(x, body);
	const char *objection;

	if (v.doubt != DOUBT_NONE)
		return;
	x->n_absorbed++;
	oracle_read(&x->oracle, body, x->boundary);
	objection = oracle_objection(&x->oracle, &v.finding);
	if (objection != NULL)
		fail_msg("%s at %zu: absorbed, but %s", damage, at, objection);
}

static void keep(struct fixture *x, const char *content_type, const char *boundary,
		 struct slice body)
{
	snprintf(x->content_type, sizeof(x->content_type), "%s", content_type);
	snprintf(x->boundary, sizeof(x->boundary), "%s", boundary);
	free(x->bytes);
	x->bytes = try_exact(body);
	x->n = body.n;
}

/* The message of one kind in one variant becomes x's. */
static struct ccm_request build(struct fixture *x, enum ccm_kind kind, unsigned variant,
				uint32_t client)
{
	struct ccm_item it = {
		.kind = kind, .client = client, .serial = client, .rule = 12, .token = ""};
	struct ccm_request r;
	char type[128], boundary[48];
	const char *from, *to;

	ccm_builder_init(&x->builder, SEED, 1u << variant, "mp01.example.test");
	ccm_build(&x->builder, &it, &r);
	from = memmem(r.head.p, r.head.n, "Content-Type: ", 14);
	assert_non_null(from);
	from += 14;
	to = memmem(from, (size_t)(r.head.p + r.head.n - from), "\r\n", 2);
	snprintf(type, sizeof(type), "%.*s", (int)(to - from), from);
	boundary_of(&it, (enum ccm_variant)variant, boundary);
	keep(x, type, boundary, r.body);
	ccm_builder_fini(&x->builder);
	return r;
}

static struct slice whole(const struct fixture *x)
{
	return slice_make(x->bytes, x->n);
}

static void test_inspect_rule_of_every_variant_absorbed(void **state)
{
	struct fixture *x = *state;

	for (unsigned variant = 0; variant < CCM_VARIANTS; variant++)
		for (uint32_t client = 0; client < 20; client++) {
			struct ccm_request r = build(x, CCM_RULE, variant, client);
			struct verdict v = ask(x, whole(x));

			try_expect_doubt(v.doubt, DOUBT_NONE, "variant");
			try_expect_text(v.finding.client, r.client, "client");
			try_expect_text(v.finding.rule, r.rule, "rule");
			try_expect_text(v.finding.message, r.id, "message");
			ask_both(x, whole(x), "nothing", 0);
		}
	assert_int_equal(x->n_absorbed, 20 * CCM_VARIANTS);
}

static void test_inspect_other_kinds_of_every_variant_passed(void **state)
{
	static const struct {
		enum ccm_kind kind;
		enum doubt doubts[4];
	} cases[] = {
		{CCM_STATUS,
		 {DOUBT_OTHER_STATUS, DOUBT_FAILURE_SIBLING, DOUBT_SEVERITY, DOUBT_CONFLICT}},
		{CCM_MIXED, {DOUBT_MIXED}},
		{CCM_CONFLICT, {DOUBT_CONFLICT}},
		{CCM_STATE, {DOUBT_ENDPOINT}},
		{CCM_INVENTORY, {DOUBT_ENDPOINT, DOUBT_ATTACHMENT}},
		{CCM_SYNC, {DOUBT_ENDPOINT, DOUBT_NOT_ASYNC}},
	};
	struct fixture *x = *state;

	for (size_t i = 0; i < COUNT(cases); i++)
		for (unsigned variant = 0; variant < CCM_VARIANTS; variant++)
			for (uint32_t client = 0; client < 12; client++) {
				struct verdict v;
				bool is_expected = false;

				build(x, cases[i].kind, variant, client);
				v = ask(x, whole(x));
				for (unsigned k = 0; k < 4; k++)
					is_expected |= v.doubt == cases[i].doubts[k];
				if (v.doubt == DOUBT_NONE || !is_expected)
					fail_msg("%s: %s", ccm_kind_name(cases[i].kind),
						 doubt_table[v.doubt].word);
			}
}

static void test_inspect_cut_anywhere_passed(void **state)
{
	struct fixture *x = *state;

	for (unsigned variant = 0; variant < CCM_VARIANTS; variant++) {
		build(x, CCM_RULE, variant, 3);
		for (size_t n = 0; n < x->n; n++)
			if (ask(x, slice_make(x->bytes, n)).doubt == DOUBT_NONE)
				fail_msg("variant %u: absorbed at %zu of %zu bytes", variant, n,
					 x->n);
		try_expect_doubt(ask(x, whole(x)).doubt, DOUBT_NONE, "whole");
	}
}

/* The message without bytes [from, to). */
static struct verdict ask_without(struct fixture *x, size_t from, size_t to)
{
	char *rest = malloc(x->n);
	struct verdict v;

	assert_non_null(rest);
	memcpy(rest, x->bytes, from);
	memcpy(rest + from, x->bytes + to, x->n - to);
	v = ask(x, slice_make(rest, x->n - (to - from)));
	free(rest);
	return v;
}

/* Cut inside a part while the boundaries stay: the parts themselves are not whole. */
static void test_inspect_part_cut_anywhere_passed(void **state)
{
	struct fixture *x = *state;

	for (unsigned variant = 0; variant < CCM_VARIANTS; variant++) {
		struct slice rest, part = {0};

		build(x, CCM_RULE, variant, 3);
		rest = whole(x);
		for (unsigned k = 0; k < 2; k++) {
			size_t at, to;

			assert_true(oracle_part(&rest, x->boundary, &part));
			at = (size_t)(part.p - x->bytes);
			to = at + part.n;
			for (size_t n = 0; n < part.n; n++)
				if (ask_without(x, at + n, to).doubt == DOUBT_NONE)
					fail_msg("variant %u: absorbed with %zu of %zu bytes in "
						 "part %u",
						 variant, n, part.n, k + 1);
		}
	}
}

/* Every byte of x's message changed by each of these patterns, one at a time. */
static void change_each_byte(struct fixture *x, const unsigned char *patterns, size_t n_patterns)
{
	for (size_t at = 0; at < x->n; at++)
		for (size_t i = 0; i < n_patterns; i++) {
			x->bytes[at] ^= (char)patterns[i];
			ask_both(x, whole(x), "changed byte", at);
			x->bytes[at] ^= (char)patterns[i];
		}
}

static void test_inspect_byte_changed_absorbed_as_read(void **state)
{
	static const unsigned char patterns[] = {0x01, 0x20, 0x80, 0xff};
	struct fixture *x = *state;

	for (unsigned variant = 0; variant < CCM_VARIANTS; variant++) {
		build(x, CCM_RULE, variant, 3);
		x->n_absorbed = 0;
		change_each_byte(x, patterns, COUNT(patterns));
		/* Much of an envelope says nothing that matters: it is not all refused. */
		assert_true(x->n_absorbed > 0);
	}
}

/* A message in which nothing is hidden by compression, and every bit of it. */
static void test_inspect_bit_changed_absorbed_as_read(void **state)
{
	static const unsigned char bits[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80};
	static const struct try_msg messages[] = {
		{.prolog = "<?xml version='1.0' encoding='UTF-16'?><!-- c -->",
		 .hooks = "<Hooks><Hook2 Name='clientauth'/></Hooks>",
		 .status = TRY_STATUS_OF(TRY_IS_RULE TRY_PROPERTY("ClientID", TRY_CLIENT)
						 TRY_PROPERTY("Win32ErrorCode", "0") TRY_PROPERTY(
							 "Attribute408", "<![CDATA[x]]>&#65;"),
					 TRY_IS_NUMBER)},
		{.id = "",
		 .source_id = "",
		 .root = "<Msg>",
		 .status = TRY_STATUS_OF(TRY_PROPERTY("RuleID", "1") TRY_PROPERTY(
						 "MeterRuleID", "2") TRY_PROPERTY("ClientID", "a"),
					 TRY_IS_NUMBER)},
	};
	struct fixture *x = *state;
	struct try_bytes b;

	try_bytes_init(&b);
	for (size_t i = 0; i < COUNT(messages); i++) {
		b.n = 0;
		try_build(&b, &messages[i]);
		keep(x, TRY_MULTIPART, TRY_BOUNDARY, try_slice(&b));
		x->n_absorbed = 0;
		ask_both(x, whole(x), "nothing", 0);
		assert_int_equal(x->n_absorbed, 1);
		change_each_byte(x, bits, COUNT(bits));
	}
	try_bytes_fini(&b);
}

/* A whole unit of UTF-16 lost, doubled, or turned into markup. */
static void test_inspect_unit_changed_absorbed_as_read(void **state)
{
	static const char marks[] = "<>&\"'/=: \n-]![0";
	static const struct try_msg m = {0};
	struct fixture *x = *state;
	struct try_bytes b, c;

	try_bytes_init(&b);
	try_bytes_init(&c);
	try_build(&b, &m);
	keep(x, TRY_MULTIPART, TRY_BOUNDARY, try_slice(&b));
	for (size_t at = 0; at + 2 <= x->n; at++) {
		c.n = 0;
		try_put(&c, slice_make(x->bytes, at));
		try_put(&c, slice_make(x->bytes + at + 2, x->n - at - 2));
		ask_both(x, try_slice(&c), "lost unit", at);
		c.n = 0;
		try_put(&c, slice_make(x->bytes, at + 2));
		try_put(&c, slice_make(x->bytes + at, x->n - at));
		ask_both(x, try_slice(&c), "doubled unit", at);
		for (size_t i = 0; i < sizeof(marks) - 1; i++) {
			char was = x->bytes[at];

			x->bytes[at] = marks[i];
			ask_both(x, whole(x), "mark", at);
			x->bytes[at] = was;
		}
	}
	try_bytes_fini(&c);
	try_bytes_fini(&b);
}

static void test_inspect_byte_lost_or_added_absorbed_as_read(void **state)
{
	struct fixture *x = *state;
	struct try_bytes c;

	try_bytes_init(&c);
	for (unsigned variant = 0; variant < CCM_VARIANTS; variant++) {
		build(x, CCM_RULE, variant, 3);
		for (size_t at = 0; at < x->n; at++) {
			c.n = 0;
			try_put(&c, slice_make(x->bytes, at));
			try_put(&c, slice_make(x->bytes + at + 1, x->n - at - 1));
			ask_both(x, try_slice(&c), "lost byte", at);
			c.n = 0;
			try_put(&c, slice_make(x->bytes, at + 1));
			try_put(&c, slice_make(x->bytes + at, x->n - at));
			ask_both(x, try_slice(&c), "added byte", at);
		}
	}
	try_bytes_fini(&c);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_inspect_rule_of_every_variant_absorbed),
		WITH_FIXTURE(test_inspect_other_kinds_of_every_variant_passed),
		WITH_FIXTURE(test_inspect_cut_anywhere_passed),
		WITH_FIXTURE(test_inspect_part_cut_anywhere_passed),
		WITH_FIXTURE(test_inspect_byte_changed_absorbed_as_read),
		WITH_FIXTURE(test_inspect_bit_changed_absorbed_as_read),
		WITH_FIXTURE(test_inspect_unit_changed_absorbed_as_read),
		WITH_FIXTURE(test_inspect_byte_lost_or_added_absorbed_as_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
