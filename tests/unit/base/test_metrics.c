#include "proxy/base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool same_name(unsigned i, unsigned j)
{
	return strcmp(metric_table[i].name, metric_table[j].name) == 0;
}

static void fail_row(unsigned i, const char *what)
{
	fail_msg("%s{%s}: %s", metric_table[i].name, metric_table[i].labels, what);
}

/* The exposition writes HELP and TYPE where the name changes: a name may not come back. */
static void test_table_rows_of_one_name_stand_together(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		for (unsigned j = i + 1; j < METRIC_COUNT; j++)
			if (same_name(i, j) && !same_name(j - 1, j))
				fail_row(j, "apart from the others of its name");
}

static void test_table_name_with_labels_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		for (unsigned j = i + 1; j < METRIC_COUNT; j++)
			if (same_name(i, j) &&
			    strcmp(metric_table[i].labels, metric_table[j].labels) == 0)
				fail_row(j, "twice");
}

/* Only the first row's kind and help are shown; the rows differ by value of one label. */
static void test_table_rows_of_one_name_agree(void **state)
{
	(void)state;
	for (unsigned i = 1; i < METRIC_COUNT; i++) {
		const struct metric_info *a = &metric_table[i - 1], *b = &metric_table[i];
		size_t n = strcspn(a->labels, "=");

		if (!same_name(i - 1, i))
			continue;
		if (a->kind != b->kind)
			fail_row(i, "another kind than the row before");
		if (strcmp(a->help, b->help) != 0)
			fail_row(i, "another help than the row before");
		if (n == 0 || strncmp(a->labels, b->labels, n + 1) != 0)
			fail_row(i, "another label than the row before");
	}
}

#define SMALL "abcdefghijklmnopqrstuvwxyz"

static bool is_name(const char *s)
{
	return strncmp(s, "statweir_", 9) == 0 && s[strspn(s, SMALL "0123456789_")] == '\0' &&
	       strstr(s, "__") == NULL && s[strlen(s) - 1] != '_';
}

/* Nothing, or one NAME="WORD". */
static bool is_labels(const char *s)
{
	size_t name = strspn(s, SMALL "_"), word;

	if (s[0] == '\0')
		return true;
	if (name == 0 || strncmp(s + name, "=\"", 2) != 0)
		return false;
	s += name + 2;
	word = strspn(s, SMALL "0123456789_");
	return word > 0 && strcmp(s + word, "\"") == 0;
}

static void test_table_texts_fit_the_exposition_format(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric_info *m = &metric_table[i];

		if (!is_name(m->name))
			fail_row(i, "not a name");
		if (!is_labels(m->labels))
			fail_row(i, "not one label");
		/* They would have to be escaped. */
		if (m->help[0] == '\0' || strpbrk(m->help, "\\\n\"") != NULL)
			fail_row(i, "help empty or with a byte to escape");
	}
}

/* The suffix promises a counter, and rate() is right for nothing else. */
static void test_table_total_means_counter(void **state)
{
	(void)state;
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		size_t n = strlen(metric_table[i].name);
		bool is_total = n > 6 && strcmp(metric_table[i].name + n - 6, "_total") == 0;

		if (is_total != (metric_table[i].kind == COUNTER))
			fail_row(i, "_total is for counters, and for each");
	}
}

static void test_add_and_set_count_into_the_slot_in_use(void **state)
{
	struct metrics *before = metrics_self;
	static struct metrics one, two;

	(void)state;
	metrics_use(&one);
	metric_add(M_RECEIVED, 3);
	metric_add(M_RECEIVED, -1);
	metric_set(M_STORE_UP, 7);
	metric_set(M_STORE_UP, 1);
	metrics_use(&two);
	metric_add(M_RECEIVED, 5);
	metrics_use(before);
	assert_int_equal(one.v[M_RECEIVED], 2);
	assert_int_equal(one.v[M_STORE_UP], 1);
	assert_int_equal(two.v[M_RECEIVED], 5);
	assert_int_equal(before->v[M_RECEIVED], 0);
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		if (i != M_RECEIVED && i != M_STORE_UP)
			assert_int_equal(one.v[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_rows_of_one_name_stand_together),
		cmocka_unit_test(test_table_name_with_labels_once),
		cmocka_unit_test(test_table_rows_of_one_name_agree),
		cmocka_unit_test(test_table_texts_fit_the_exposition_format),
		cmocka_unit_test(test_table_total_means_counter),
		cmocka_unit_test(test_add_and_set_count_into_the_slot_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
