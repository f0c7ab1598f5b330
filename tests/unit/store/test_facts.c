#include "proxy/store/store_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct redis_facts good(void)
{
	struct redis_facts f = {0};

	facts_of_info(&f, "# Replication\r\nrole:master\r\n# Persistence\r\nloading:0\r\n"
			  "aof_enabled:1\r\naof_last_write_status:ok\r\n"
			  "maxmemory_policy:noeviction\r\n");
	facts_of_config(&f, "appendonly", "yes");
	facts_of_config(&f, "appendfsync", "always");
	facts_of_config(&f, "no-appendfsync-on-rewrite", "no");
	facts_of_config(&f, "set-max-intset-entries", "4096");
	return f;
}

static void expect_refused(const struct redis_facts *f, enum conf_durability d, const char *words)
{
	char why[320] = "";

	assert_false(facts_are_enough(f, d, why, sizeof(why)));
	if (strstr(why, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, why);
}

static void expect_enough(const struct redis_facts *f, enum conf_durability d)
{
	char why[320] = "";

	if (!facts_are_enough(f, d, why, sizeof(why)))
		fail_msg("%s", why);
}

static void test_facts_of_info_whole_names_only(void **state)
{
	struct redis_facts f = {0};

	(void)state;
	facts_of_info(&f, "async_loading:1\r\nxrole:slave\r\nloading:0\r\nrole:master\r\n");
	assert_string_equal(f.loading, "0");
	assert_string_equal(f.role, "master");
	assert_string_equal(f.aof_write, "");
}

static void test_facts_are_enough_good_server_for_all(void **state)
{
	struct redis_facts f = good();

	(void)state;
	expect_enough(&f, DURABLE_REDIS);
	expect_enough(&f, DURABLE_JOURNAL);
	expect_enough(&f, DURABLE_NONE);
}

static void test_facts_are_enough_everysec_for_journal_only(void **state)
{
	struct redis_facts f = good();

	(void)state;
	facts_of_config(&f, "appendfsync", "everysec");
	expect_enough(&f, DURABLE_JOURNAL);
	expect_refused(&f, DURABLE_REDIS,
		       "Redis appendfsync is everysec, redis.durability = redis needs always: "
		       "CONFIG SET appendfsync always");
	facts_of_config(&f, "appendfsync", "no");
	expect_refused(&f, DURABLE_JOURNAL, "CONFIG SET appendfsync everysec");
	expect_enough(&f, DURABLE_NONE);
}

static void test_facts_are_enough_each_fault_named(void **state)
{
	struct redis_facts f = good();

	(void)state;
	facts_of_config(&f, "appendonly", "no");
	expect_refused(&f, DURABLE_REDIS, "CONFIG SET appendonly yes");
	f = good();
	facts_of_config(&f, "no-appendfsync-on-rewrite", "yes");
	expect_refused(&f, DURABLE_REDIS, "CONFIG SET no-appendfsync-on-rewrite no");
	f = good();
	facts_of_info(&f, "role:master\r\naof_enabled:1\r\naof_last_write_status:err\r\n");
	expect_refused(&f, DURABLE_JOURNAL, "aof_last_write_status is err");
	f = good();
	snprintf(f.policy, sizeof(f.policy), "allkeys-lru");
	expect_refused(&f, DURABLE_JOURNAL, "CONFIG SET maxmemory-policy noeviction");
	f = good();
	snprintf(f.role, sizeof(f.role), "slave");
	expect_refused(&f, DURABLE_NONE, "replica");
	f = good();
	snprintf(f.loading, sizeof(f.loading), "1");
	expect_refused(&f, DURABLE_NONE, "loading");
	f = (struct redis_facts){0};
	expect_refused(&f, DURABLE_NONE, "without a role");
}

/* CONFIG forbidden: INFO tells whether there is a file at all. */
static void test_facts_are_enough_without_config(void **state)
{
	struct redis_facts f = good();

	(void)state;
	f.appendonly[0] = f.appendfsync[0] = f.no_fsync_on_rewrite[0] = '\0';
	expect_enough(&f, DURABLE_REDIS);
	snprintf(f.aof_enabled, sizeof(f.aof_enabled), "0");
	expect_refused(&f, DURABLE_REDIS, "appendonly");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts_of_info_whole_names_only),
		cmocka_unit_test(test_facts_are_enough_good_server_for_all),
		cmocka_unit_test(test_facts_are_enough_everysec_for_journal_only),
		cmocka_unit_test(test_facts_are_enough_each_fault_named),
		cmocka_unit_test(test_facts_are_enough_without_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
