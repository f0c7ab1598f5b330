#include "tests/unit/core/admin_try.h"

static void test_admin_imbalance_is_shown_everywhere(void **state)
{
	struct fixture *f = *state;

	f->slots[1].v[M_RECEIVED] = 2;
	f->store.shard[1].absorbed = 108;
	recount(f);
	get(f, "/metrics");
	assert_has(f, "\nstatweir_ledger_imbalance_messages 2\n");
	assert_has(f, "\nstatweir_ledger_store_imbalance_messages 7\n");
	get(f, "/ledger");
	assert_has(f, "\"is_balanced\": false");
	get(f, "/ledger?format=text");
	assert_has(f, "NOT BALANCED");
	get(f, "/");
	assert_has(f, "off by 2");
	assert_has(f, "The store ledger is off by 7 messages.");
	assert_readiness(f, 200, "degraded");
}

static void test_admin_stats_json_is_a_tree(void **state)
{
	struct fixture *f = *state;
	json_t *doc;

	fill_slots(f);
	get(f, "/stats.json");
	assert_status(f, 200);
	assert_has(f, "Content-Type: application/json\r\n");
	doc = document(f);
	assert_int_equal(NUMBER(doc, "schema_version"), 1);
	assert_true(json_is_null(json_object_get(
		json_object_get(json_object_get(doc, "ledger"), "store"), "counted_at")));
	json_decref(doc);
	recount(f);
	get(f, "/stats.json");
	doc = document(f);
	assert_int_equal(NUMBER(doc, "metrics", "messages_outcome_total", "passed"), 10);
	assert_int_equal(NUMBER(doc, "metrics", "messages_received_total"), 30);
	assert_int_equal(NUMBER(doc, "metrics", "summaries_total", "delivered"), 2);
	assert_int_equal(NUMBER(doc, "doubts", "mixed"), 9);
	assert_int_equal(NUMBER(doc, "closed", "host_bad"), 7);
	assert_int_equal(NUMBER(doc, "absorbed"), 12);
	assert_int_equal(NUMBER(doc, "files_avoided"), 10);
	assert_int_equal(NUMBER(doc, "ledger", "traffic", "imbalance"), 0);
	assert_int_equal(NUMBER(doc, "ledger", "store", "absorbed"), 303);
	assert_int_equal(NUMBER(doc, "ledger", "store", "pending_parts", "outbox"), 30);
	assert_int_equal(NUMBER(doc, "ledger", "store", "imbalance"), 0);
	assert_string_equal(json_string_value(json_object_get(doc, "mode")), "enforce");
	assert_string_equal(json_string_value(json_object_get(doc, "generated_at")),
			    "2026-11-22T10:11:22Z");
	assert_string_equal(json_string_value(json_object_get(doc, "counters_since")),
			    "2026-11-22T10:11:12Z");
	json_decref(doc);
}

static void test_admin_csv_has_the_same_figures(void **state)
{
	struct fixture *f = *state;
	const char *line;

	fill_slots(f);
	recount(f);
	get(f, "/stats.csv");
	assert_status(f, 200);
	assert_int_equal(strncmp(body_of(f), "# metric,label,label_value,value\n", 33), 0);
	for (line = body_of(f); *line != '\0'; line = strchr(line, '\n') + 1) {
		unsigned commas = 0;

		for (const char *p = line; *p != '\n'; p++)
			commas += *p == ',';
		assert_int_equal(commas, 3);
	}
	assert_has(f, "\nstatweir_messages_received_total,,,30\n");
	assert_has(f, "\nstatweir_messages_outcome_total,outcome,absorbed_unique,8\n");
	assert_has(f, "\nstatweir_recognition_doubtful_total,reason,mixed,9\n");
	assert_has(f, "\nstatweir_ledger_absorbed_messages,,,303\n");
}

static void test_admin_page_answers_the_first_questions(void **state)
{
	struct fixture *f = *state;

	fill_slots(f);
	f->slots[0].v[M_RECEIVED] += 1234567;
	f->slots[0].v[M_PASSED] += 1234567;
	f->slots[0].v[M_RECOGNISED] = 3;
	recount(f);
	get(f, "/");
	assert_status(f, 200);
	assert_has(f, "Content-Type: text/html; charset=utf-8\r\n");
	assert_has(f, "http-equiv=refresh content=5");
	assert_has(f, "prefers-color-scheme");
	assert_has(f, "<title>statweir: enforce</title>");
	assert_has(f, ">balanced</b>");
	assert_has(f, ">1,234,577</b>");
	assert_has(f, "of 1,234,597 received; 2 in flight");
	assert_has(f, ">recording</b>");
	assert_has(f, ">mp1.example.test:80</b>");
	assert_has(f, "<td class=w>mixed</td>");
	assert_has(f, "<td class=w>host_bad</td>");
	assert_lacks(f, "<script");
	assert_lacks(f, "class=findings");
}

static void test_admin_page_names_what_needs_attention(void **state)
{
	struct fixture *f = *state;

	f->store.is_ready = false;
	f->readiness = "management point cannot be reached";
	f->conf.mode = MODE_OBSERVE;
	f->slots[0].v[M_RECOGNISED] = 3;
	f->slots[0].v[M_ACK_MISMATCHES] = 1;
	f->slots[0].v[M_UP_WAITING] = 17;
	f->slots[0].v[M_WOULD_ABSORB] = 4321;
	f->slots[0].v[M_JOURNAL_QUARANTINED] = 1;
	get(f, "/");
	assert_has(f, "Not ready: management point cannot be reached.");
	assert_has(f, "Observe mode");
	assert_has(f, "Would be absorbed</h3><b class=\"\">4,321</b>");
	assert_has(f, "forwarded: not &lt;connected&gt;.");
	assert_has(f, "No acknowledgement is known");
	assert_has(f, "answered otherwise than learned 1 times");
	assert_has(f, "17 requests wait");
	assert_has(f, "1 damaged journal segments");
	assert_lacks(f, "<connected>");
	f->conf.mode = MODE_BYPASS;
	f->store.is_ready = true;
	get(f, "/");
	assert_has(f, "Bypass mode");
	assert_has(f, "Redis is away; messages are acknowledged from the journal");
}

static void test_admin_page_shows_the_throttle_beside_its_limits(void **state)
{
	struct fixture *f = *state;

	f->slots[0].v[M_THROTTLE_HELD_STATUS] = 1200;
	f->slots[0].v[M_THROTTLE_QUEUE_LIMIT_STATUS] = 5000;
	f->slots[0].v[M_THROTTLE_CLASS_RATE_STATE] = 12;
	f->slots[0].v[M_THROTTLE_CLASS_RATE_LIMIT_STATE] = 40;
	f->slots[1].v[M_THROTTLE_REFUSED_HEALTH] = 7;
	get(f, "/");
	assert_has(f, "<td>status</td><td class=n>1,200 of 5,000</td>");
	assert_has(f, "<td class=n>12 of 40</td>");
	assert_has(f, "<td class=n>7</td></tr>");
	set_conf(f, "throttle.mode", "off");
	get(f, "/");
	assert_lacks(f, "<h2>Throttle");
}

static void test_admin_page_says_the_enforced_share(void **state)
{
	struct fixture *f = *state;

	f->conf.enforce_percent = 25;
	get(f, "/");
	assert_has(f, "absorbing for 25% of the clients; ready");
}

static void test_admin_ledger_text_is_a_balance_sheet(void **state)
{
	struct fixture *f = *state;

	fill_slots(f);
	get(f, "/ledger?format=text");
	assert_status(f, 200);
	assert_has(f, "not recounted yet");
	recount(f);
	get(f, "/ledger?format=text");
	assert_has(f, "Content-Type: text/plain");
	assert_has(f, "    received                                   30\n");
	assert_has(f, "  - summarised                                240\n");
	assert_has(f, "  = balanced                                    0\n");
	assert_lacks(f, "NOT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_admin_imbalance_is_shown_everywhere),
		T(test_admin_stats_json_is_a_tree),
		T(test_admin_csv_has_the_same_figures),
		T(test_admin_page_answers_the_first_questions),
		T(test_admin_page_names_what_needs_attention),
		T(test_admin_page_shows_the_throttle_beside_its_limits),
		T(test_admin_page_says_the_enforced_share),
		T(test_admin_ledger_text_is_a_balance_sheet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
