#include "tests/unit/core/admin_try.h"

static void test_admin_off_listens_nowhere(void **state)
{
	struct fixture *f = *state;

	admin_close(f->a);
	set_conf(f, "global.admin", "off");
	open_admin(f);
	assert_int_equal(admin_port(f->a), 0);
	assert_int_equal(admin_port(NULL), 0);
	admin_tick(f->a);
	assert_int_equal(f->store.n_calls, 0);
}

static void test_admin_open_port_in_use_fails(void **state)
{
	struct fixture *f = *state;
	struct admin_env env = {.conf = &f->conf,
				.slots = f->slots,
				.n_slots = 1,
				.store = &f->store,
				.arg = f,
				.readiness = readiness};
	struct admin *second = NULL;
	char address[64];

	snprintf(address, sizeof(address), "127.0.0.1:%u", admin_port(f->a));
	set_conf(f, "global.admin", address);
	assert_int_equal(admin_open(&second, f->base, &env), -EADDRINUSE);
	assert_null(second);
}

static void test_admin_unknown_path_is_404_and_names_the_others(void **state)
{
	struct fixture *f = *state;

	get(f, "/nothing");
	assert_status(f, 404);
	assert_has(f, "/stats.json");
	get(f, "/stats.json/");
	assert_status(f, 404);
}

static void test_admin_other_methods_are_405(void **state)
{
	static const char *const methods[] = {"POST",  "PUT",	"DELETE", "OPTIONS",
					      "TRACE", "PATCH", "CONNECT"};
	struct fixture *f = *state;
	char text[128];

	for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		snprintf(text, sizeof(text),
			 "%s /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			 "Content-Length: 0\r\n\r\n",
			 methods[i]);
		request(f, text);
		assert_status(f, 405);
		assert_has(f, "Allow: GET, HEAD\r\n");
	}
}

static void test_admin_head_has_the_length_and_no_body(void **state)
{
	static const char *const paths[] = {"/", "/metrics", "/stats.json", "/nothing"};
	struct fixture *f = *state;
	char text[128];

	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(text, sizeof(text),
			 "HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", paths[i]);
		request(f, text);
		assert_status(f, i < 3 ? 200 : 404);
		assert_has(f, "Content-Length: ");
		assert_lacks(f, "Content-Length: 0\r\n");
		assert_string_equal(body_of(f), "");
	}
}

static void test_admin_answers_are_not_stored_and_not_framed(void **state)
{
	struct fixture *f = *state;

	get(f, "/");
	assert_has(f, "Cache-Control: no-store\r\n");
	assert_has(f, "X-Content-Type-Options: nosniff\r\n");
	assert_has(f, "default-src 'none'");
}

static void test_admin_health_never_asks_anybody(void **state)
{
	struct fixture *f = *state;

	f->readiness = "stopping";
	f->store.is_ready = false;
	get(f, "/healthz");
	assert_status(f, 200);
	assert_string_equal(body_of(f), "ok\n");
}

static void test_admin_readiness_follows_traffic_and_shows_redis(void **state)
{
	struct fixture *f = *state;

	assert_readiness(f, 200, "ready");
	f->store.is_ready = false;
	assert_readiness(f, 200, "degraded");
	assert_has(f, "not <connected>");
	f->readiness = "stopping";
	assert_readiness(f, 503, "not_ready");
	assert_has(f, "stopping");
}

/* A small reader of the exposition format: families in one piece, HELP and TYPE first. */
static void check_exposition(const char *text)
{
	char family[128] = "", name[128], seen[16384] = "", needle[140];
	const char *line = text, *end;
	bool has_type = false;

	for (; *line != '\0'; line = end + 1) {
		size_t n;

		end = strchr(line, '\n');
		assert_non_null(end);
		if (strncmp(line, "# HELP ", 7) == 0) {
			n = strcspn(line + 7, " ");
			snprintf(family, sizeof(family), "%.*s", (int)n, line + 7);
			assert_true(end > line + 7 + n + 1);
			snprintf(needle, sizeof(needle), " %s ", family);
			if (strstr(seen, needle) != NULL)
				fail_msg("family %s twice", family);
			assert_true(strlen(seen) + strlen(needle) < sizeof(seen));
			strncat(seen, needle, sizeof(seen) - strlen(seen) - 1);
			has_type = false;
			continue;
		}
		if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_memory_equal(line + 7, family, strlen(family));
			has_type = true;
			continue;
		}
		n = strcspn(line, "{ ");
		snprintf(name, sizeof(name), "%.*s", (int)n, line);
		assert_string_equal(name, family);
		assert_true(has_type);
		if (line[n] == '{') {
			const char *close = memchr(line, '}', (size_t)(end - line));

			assert_non_null(close);
			assert_true(close[-1] == '"' && close[1] == ' ');
			n = (size_t)(close + 1 - line);
		}
		assert_true(strspn(line + n + 1, "0123456789.-") == (size_t)(end - line) - n - 1);
	}
}

static void test_admin_metrics_are_a_sound_exposition_of_summed_slots(void **state)
{
	struct fixture *f = *state;

	fill_slots(f);
	get(f, "/metrics");
	assert_status(f, 200);
	assert_has(f, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	check_exposition(body_of(f));
	assert_has(f, "\nstatweir_messages_received_total 30\n");
	assert_has(f, "\nstatweir_messages_outcome_total{outcome=\"absorbed_duplicate\"} 4\n");
	assert_has(f, "\nstatweir_ledger_imbalance_messages 0\n");
	assert_has(f, "\nstatweir_recognition_doubtful_total{reason=\"mixed\"} 9\n");
	assert_has(f, "\nstatweir_closed_total{reason=\"host_bad\"} 7\n");
	assert_has(f, "\nstatweir_mode{mode=\"enforce\"} 1\n");
	assert_has(f, "\nstatweir_mode{mode=\"bypass\"} 0\n");
	assert_has(f, "\nprocess_resident_memory_bytes ");
	assert_has(f, "\nprocess_open_fds ");
	assert_has(f, "\nprocess_cpu_seconds_total ");
	assert_has(f, "\nstatweir_build_info{version=\"");
	/* Not a sum. */
	assert_has(f, "\nstatweir_redis_up 1\n");
	assert_has(f, "\nstatweir_acknowledgement_templates 2\n");
	assert_has(f, "\nstatweir_journal_oldest_milliseconds 90\n");
	f->slots[1].v[M_STORE_UP] = 0;
	get(f, "/metrics");
	assert_has(f, "\nstatweir_redis_up 0\n");
}

static void test_admin_metrics_show_the_ledger_only_when_recounted(void **state)
{
	struct fixture *f = *state;

	f->slots[0].v[M_LEDGER_ABSORBED] = 12345;
	get(f, "/metrics");
	assert_lacks(f, "statweir_ledger_absorbed_messages");
	assert_lacks(f, "statweir_ledger_last_verified");
	assert_has(f, "\nstatweir_ledger_store_imbalance_messages 0\n");
	recount(f);
	get(f, "/metrics");
	check_exposition(body_of(f));
	assert_has(f, "\nstatweir_ledger_absorbed_messages 303\n");
	assert_has(f, "\nstatweir_ledger_summarised_messages 240\n");
	assert_has(f, "\nstatweir_ledger_pending_messages 63\n");
	assert_has(f, "\nstatweir_ledger_store_imbalance_messages 0\n");
}

static void test_admin_metrics_are_fewer_than_400_series(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	recount(f);
	get(f, "/metrics");
	for (const char *p = body_of(f); (p = strchr(p, '\n')) != NULL; p++)
		n += p[1] != '#' && p[1] != '\0';
	assert_in_range(n, 50, 399);
}

static void test_admin_config_is_what_is_in_force(void **state)
{
	struct fixture *f = *state;

	get(f, "/config");
	assert_status(f, 200);
	assert_has(f, "[global]\n");
	assert_has(f, "upstream = mp1.example.test:80\n");
	assert_has(f, "samples = 3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_admin_off_listens_nowhere),
		T(test_admin_open_port_in_use_fails),
		T(test_admin_unknown_path_is_404_and_names_the_others),
		T(test_admin_other_methods_are_405),
		T(test_admin_head_has_the_length_and_no_body),
		T(test_admin_answers_are_not_stored_and_not_framed),
		T(test_admin_health_never_asks_anybody),
		T(test_admin_readiness_follows_traffic_and_shows_redis),
		T(test_admin_metrics_are_a_sound_exposition_of_summed_slots),
		T(test_admin_metrics_show_the_ledger_only_when_recounted),
		T(test_admin_metrics_are_fewer_than_400_series),
		T(test_admin_config_is_what_is_in_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
