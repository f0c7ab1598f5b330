#include "tests/unit/core/admin_try.h"

static int ask(struct fixture *f, const char *path)
{
	char text[256];
	int fd;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 path);
	fd = client_open(f, text);
	settle(f);
	return fd;
}

static void answer_windows(struct fixture *f, enum store_rc rc, const struct window *v, unsigned n)
{
	TAKE_QUESTION(&f->store, store_windows_fn)(f->store.question_arg, rc, v, n);
}

static void answer_names(struct fixture *f, enum store_rc rc, const struct slice *v, unsigned n)
{
	TAKE_QUESTION(&f->store, store_names_fn)(f->store.question_arg, rc, v, n);
}

static void answer_client(struct fixture *f, enum store_rc rc, const struct client_sheet *c)
{
	TAKE_QUESTION(&f->store, store_client_fn)(f->store.question_arg, rc, c);
}

static void answer_reports(struct fixture *f, const struct reports *r)
{
	TAKE_QUESTION(&f->store, store_reports_fn)
	(f->store.question_arg, r != NULL ? STORE_OK : STORE_UNKNOWN, r);
}

static void test_admin_windows_of_all_shards_put_together(void **state)
{
	const struct window v[] = {{.number = 8, .began_ms = 2000, .ended_ms = 3000, .absorbed = 5},
				   {.number = 7,
				    .began_ms = 1000,
				    .ended_ms = 2000,
				    .absorbed = 10,
				    .settled = 4,
				    .pending = 6}};
	const struct window other = {.number = 7,
				     .began_ms = 900,
				     .ended_ms = 2500,
				     .absorbed = 1,
				     .pending = 2,
				     .off = -1};
	struct fixture *f = *state;
	int fd = ask(f, "/ledger/windows");
	json_t *doc, *list, *w;

	answer_windows(f, STORE_OK, v, 2);
	assert_int_equal(f->store.question_shard, 1);
	answer_windows(f, STORE_OK, NULL, 0);
	answer_windows(f, STORE_OK, &other, 1);
	client_read(f, fd);
	assert_status(f, 200);
	doc = document(f);
	list = json_object_get(doc, "windows");
	assert_int_equal(json_array_size(list), 2);
	w = json_array_get(list, 0);
	assert_int_equal(NUMBER(w, "number"), 7);
	assert_int_equal(NUMBER(w, "absorbed"), 11);
	assert_int_equal(NUMBER(w, "summarised"), 4);
	assert_int_equal(NUMBER(w, "pending_at_end"), 8);
	assert_int_equal(NUMBER(w, "ended_ms"), 2500);
	assert_true(json_is_false(json_object_get(w, "is_balanced")));
	assert_int_equal(NUMBER(json_array_get(list, 1), "number"), 8);
	json_decref(doc);
}

static void test_admin_question_without_an_answer_is_503(void **state)
{
	struct fixture *f = *state;
	int fd = ask(f, "/ledger/windows");

	answer_windows(f, STORE_UNKNOWN, NULL, 0);
	client_read(f, fd);
	assert_status(f, 503);
	fd = ask(f, "/rules/ABC00001");
	answer_reports(f, NULL);
	client_read(f, fd);
	assert_status(f, 503);
}

static void test_admin_client_with_the_names_of_its_rules(void **state)
{
	const struct client_sheet sheet = {.is_known = true,
					   .sealed = 4,
					   .open = 2,
					   .first_ms = 1795342270000,
					   .last_ms = 1795342271000,
					   .outbox = 3,
					   .n_summaries = 2,
					   .ever = SLICE("\x80"),
					   .now = SLICE("\x20")};
	const struct slice names[] = {SLICE("A1"), SLICE("A2"), SLICE("A3")};
	struct fixture *f = *state;
	int fd = ask(f, "/clients/GUID%3A1");
	json_t *doc;

	assert_string_equal(f->store.question_text, "GUID:1");
	answer_client(f, STORE_OK, &sheet);
	assert_int_equal(f->store.question_shard, store_shard_of(&f->store, SLICE("GUID:1")));
	answer_names(f, STORE_OK, names, 3);
	client_read(f, fd);
	assert_status(f, 200);
	doc = document(f);
	assert_int_equal(NUMBER(doc, "messages"), 6);
	assert_int_equal(NUMBER(doc, "messages_pending_open"), 2);
	assert_int_equal(NUMBER(doc, "messages_pending_outbox"), 3);
	assert_int_equal(NUMBER(doc, "summaries"), 2);
	assert_int_equal(NUMBER(doc, "n_rules"), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "rules"), 0)),
			    "A1");
	assert_string_equal(json_string_value(json_array_get(json_object_get(doc, "rules"), 1)),
			    "A3");
	json_decref(doc);
}

static void test_admin_client_that_is_not_known_is_404(void **state)
{
	const struct client_sheet sheet = {.is_known = false};
	struct fixture *f = *state;
	int fd = ask(f, "/clients/PC1");

	answer_client(f, STORE_OK, &sheet);
	client_read(f, fd);
	assert_status(f, 404);
	assert_has(f, "no message of this client");
}

static void test_admin_rules_are_sorted_and_once(void **state)
{
	const struct slice a[] = {SLICE("B"), SLICE("A")}, b[] = {SLICE("C"), SLICE("B")};
	struct fixture *f = *state;
	int fd = ask(f, "/rules");
	json_t *doc, *list;

	answer_names(f, STORE_OK, a, 2);
	answer_names(f, STORE_OK, b, 2);
	answer_names(f, STORE_OK, NULL, 0);
	client_read(f, fd);
	doc = document(f);
	list = json_object_get(doc, "rules");
	assert_int_equal(json_array_size(list), 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(json_string_value(json_array_get(list, i))[0], "ABC"[i]);
	json_decref(doc);
}

/* Pages within a shard, one shard after the other; the rule's messages count once a shard. */
static void answer_all_reports(struct fixture *f)
{
	const struct slice clients[] = {SLICE("C1"), SLICE("C2"), SLICE("C3")};
	const bool has[] = {true, false, false};
	const struct reports page = {
		.cursor = 77, .messages = 9, .n = 3, .clients = clients, .has = has};
	const struct reports last = {.messages = 9, .n = 1, .clients = clients, .has = has};

	answer_reports(f, &page);
	assert_int_equal(f->store.question_cursor, 77);
	assert_int_equal(f->store.question_shard, 0);
	answer_reports(f, &last);
	assert_int_equal(f->store.question_cursor, 0);
	assert_int_equal(f->store.question_shard, 1);
	answer_reports(f, &last);
	answer_reports(f, &last);
	assert_null(f->store.question);
}

static void test_admin_rule_counts(void **state)
{
	struct fixture *f = *state;
	int fd = ask(f, "/rules/ABC00001");
	json_t *doc;

	assert_string_equal(f->store.question_text, "ABC00001");
	answer_all_reports(f);
	client_read(f, fd);
	assert_status(f, 200);
	doc = document(f);
	assert_int_equal(NUMBER(doc, "messages"), 27);
	assert_int_equal(NUMBER(doc, "clients_reported"), 4);
	assert_int_equal(NUMBER(doc, "clients_missing"), 2);
	json_decref(doc);
}

static void test_admin_rule_missing_as_csv(void **state)
{
	struct fixture *f = *state;
	int fd = ask(f, "/rules/ABC00001/missing.csv");

	assert_string_equal(f->store.question_text, "ABC00001");
	answer_all_reports(f);
	client_read(f, fd);
	assert_status(f, 200);
	assert_has(f, "text/csv");
	assert_string_equal(body_of(f), "client\r\nC2\r\nC3\r\n");
}

static void test_admin_odd_ids_are_404(void **state)
{
	static const char *const paths[] = {"/clients/", "/rules//missing.csv", "/rules/A%2FB",
					    "/clients/A%00B", "/rules/"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		get(f, paths[i]);
		assert_status(f, 404);
	}
}

static void test_admin_close_with_open_questions(void **state)
{
	struct fixture *f = *state;
	int fd = ask(f, "/ledger/windows");

	admin_close(f->a);
	f->a = NULL;
	answer_windows(f, STORE_UNKNOWN, NULL, 0);
	close(fd);
}

static void test_admin_client_of_the_listener_leaves_before_the_answer(void **state)
{
	struct fixture *f = *state;
	int fd = ask(f, "/ledger/windows");

	close(fd);
	settle(f);
	answer_windows(f, STORE_UNKNOWN, NULL, 0);
	get(f, "/healthz");
	assert_status(f, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_admin_windows_of_all_shards_put_together),
		T(test_admin_question_without_an_answer_is_503),
		T(test_admin_client_with_the_names_of_its_rules),
		T(test_admin_client_that_is_not_known_is_404),
		T(test_admin_rules_are_sorted_and_once),
		T(test_admin_rule_counts),
		T(test_admin_rule_missing_as_csv),
		T(test_admin_odd_ids_are_404),
		T(test_admin_close_with_open_questions),
		T(test_admin_client_of_the_listener_leaves_before_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
