/* Questions that Redis answers: /ledger/windows, /clients/ID, /rules, /rules/ID and its
 * missing.csv. */
#include "proxy/core/admin_priv.h"

#include "proxy/base/clock.h"

#include <event2/http.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define CSV_CAP	     (32 << 20)
#define DOCUMENT_CAP (8 << 20)

enum question_kind {
	ASK_WINDOWS,
	ASK_CLIENT,
	ASK_RULES,
	ASK_RULE,
	ASK_MISSING
};

/* A request that waits for answers of the store, one call after the other. */
struct question {
	LIST_ENTRY(question) link;
	struct admin *a; /* NULL: the listener has gone, and req with it */
	struct evhttp_request *req;
	enum question_kind kind;
	char id[256];
	unsigned shard;
	uint64_t cursor;
	/* What has come so far. */
	json_t *doc;
	struct strbuf csv;
	struct window *windows;
	unsigned n_windows;
	int64_t messages;
	uint64_t n_reported, n_missing;
	char *names; /* of the rules, each with its NUL */
	size_t names_bytes;
	/* A client's bits of rules, until their names are there. */
	struct strbuf ever, now;
};

static void free_question(struct question *q)
{
	json_decref(q->doc);
	strbuf_fini(&q->csv);
	strbuf_fini(&q->ever);
	strbuf_fini(&q->now);
	free(q->windows);
	free(q->names);
	free(q);
}

static void end_question(struct question *q, int status, const char *type, struct strbuf *out)
{
	struct admin *a = q->a;

	LIST_REMOVE(q, link);
	a->n_questions--;
	admin_answer(q->req, status, type, out);
	free_question(q);
}

static void end_json(struct question *q, int status, json_t *doc)
{
	struct strbuf out;

	strbuf_init(&out, DOCUMENT_CAP);
	admin_put_json(doc, &out);
	end_question(q, status, "application/json", &out);
	strbuf_fini(&out);
}

static void end_failed(struct question *q)
{
	end_json(q, HTTP_SERVUNAVAIL,
		 json_pack("{s:s, s:s}", "error", "Redis did not answer", "redis",
			   store_state(q->a->env.store)));
}

/* The listener may have gone while the store was asked. */
static bool is_open(struct question *q)
{
	clock_touch();
	if (q->a != NULL)
		return true;
	free_question(q);
	return false;
}

static bool is_last_shard(const struct question *q)
{
	return q->shard + 1 >= store_n_shards(q->a->env.store);
}

/* --- windows --- */

static int by_number(const void *x, const void *y)
{
	const struct window *a = x, *b = y;

	return a->number < b->number ? -1 : a->number > b->number;
}

/* Shards are turned over by themselves: windows of the same number are put together. */
static bool add_windows(struct question *q, const struct window *v, unsigned n)
{
	struct window *all = realloc(q->windows, (q->n_windows + n + 1) * sizeof(*all));

	if (all == NULL)
		return false;
	q->windows = all;
	for (unsigned i = 0; i < n; i++) {
		struct window *w = NULL;

		for (unsigned k = 0; k < q->n_windows && w == NULL; k++)
			if (all[k].number == v[i].number)
				w = &all[k];
		if (w == NULL) {
			all[q->n_windows++] = v[i];
			continue;
		}
		w->began_ms = v[i].began_ms < w->began_ms ? v[i].began_ms : w->began_ms;
		w->ended_ms = v[i].ended_ms > w->ended_ms ? v[i].ended_ms : w->ended_ms;
		w->absorbed += v[i].absorbed;
		w->settled += v[i].settled;
		w->pending += v[i].pending;
		w->off += v[i].off;
	}
	return true;
}

static json_t *windows_document(const struct question *q)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < q->n_windows; i++) {
		const struct window *w = &q->windows[i];

		json_array_append_new(
			list,
			json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:b}", "number",
				  (json_int_t)w->number, "began_at", admin_utc(w->began_ms),
				  "ended_at", admin_utc(w->ended_ms), "ended_ms",
				  (json_int_t)w->ended_ms, "absorbed", (json_int_t)w->absorbed,
				  "summarised", (json_int_t)w->settled, "pending_at_end",
				  (json_int_t)w->pending, "imbalance_at_end", (json_int_t)w->off,
				  "is_balanced", w->off == 0));
	}
	return json_pack("{s:i, s:s, s:o}", "schema_version", ADMIN_SCHEMA_VERSION, "identity",
			 "pending_at_end = pending_before + absorbed - summarised", "windows",
			 list);
}

static void on_windows(void *arg, enum store_rc rc, const struct window *v, unsigned n)
{
	struct question *q = arg;

	if (!is_open(q))
		return;
	if (rc != STORE_OK || !add_windows(q, v, n)) {
		end_failed(q);
		return;
	}
	if (!is_last_shard(q)) {
		store_history(q->a->env.store, ++q->shard, on_windows, q);
		return;
	}
	if (q->n_windows > 0)
		qsort(q->windows, q->n_windows, sizeof(*q->windows), by_number);
	end_json(q, HTTP_OK, windows_document(q));
}

/* --- a client --- */

static bool has_bit(const struct strbuf *bits, unsigned r)
{
	return r / 8 < bits->n && ((unsigned char)bits->p[r / 8] >> (7 - r % 8) & 1) != 0;
}

static void on_client_rules(void *arg, enum store_rc rc, const struct slice *names, unsigned n)
{
	struct question *q = arg;
	json_t *list, *doc;

	if (!is_open(q))
		return;
	if (rc != STORE_OK) {
		end_failed(q);
		return;
	}
	list = json_array();
	for (unsigned r = 0; r < n; r++)
		if (has_bit(&q->ever, r) || has_bit(&q->now, r))
			json_array_append_new(list, json_stringn(names[r].p, names[r].n));
	doc = q->doc;
	q->doc = NULL;
	json_object_set_new(doc, "n_rules", json_integer((json_int_t)json_array_size(list)));
	json_object_set_new(doc, "rules", list);
	end_json(q, HTTP_OK, doc);
}

static json_t *time_or_null(int64_t ms)
{
	return ms > 0 ? admin_utc(ms) : json_null();
}

static void on_client(void *arg, enum store_rc rc, const struct client_sheet *c)
{
	struct question *q = arg;
	struct store *s;

	if (!is_open(q))
		return;
	s = q->a->env.store;
	if (rc != STORE_OK) {
		end_failed(q);
		return;
	}
	if (!c->is_known) {
		end_json(q, HTTP_NOTFOUND,
			 json_pack("{s:s, s:s}", "error", "no message of this client was absorbed",
				   "client", q->id));
		return;
	}
	q->doc = json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "schema_version",
			   ADMIN_SCHEMA_VERSION, "client", q->id, "messages",
			   (json_int_t)(c->sealed + c->open), "messages_pending_open",
			   (json_int_t)c->open, "messages_pending_outbox", (json_int_t)c->outbox,
			   "summaries", (json_int_t)c->n_summaries, "first_open_at",
			   time_or_null(c->first_ms), "last_open_at", time_or_null(c->last_ms));
	strbuf_put(&q->ever, c->ever);
	strbuf_put(&q->now, c->now);
	store_rules(s, store_shard_of(s, slice_str(q->id)), on_client_rules, q);
}

/* --- all rules --- */

static int by_name(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static json_t *rules_document(const struct question *q)
{
	json_t *list = json_array();
	size_t n = 0, at = 0, i = 0;
	const char **v;

	for (size_t k = 0; k < q->names_bytes; k++)
		n += q->names[k] == '\0';
	v = calloc(n + 1, sizeof(*v));
	if (v == NULL) {
		json_decref(list);
		return NULL;
	}
	for (; i < n; i++, at += strlen(q->names + at) + 1)
		v[i] = q->names + at;
	qsort(v, n, sizeof(*v), by_name);
	for (i = 0; i < n; i++)
		if (i == 0 || strcmp(v[i], v[i - 1]) != 0)
			json_array_append_new(list, json_string(v[i]));
	free(v);
	return json_pack("{s:i, s:I, s:o}", "schema_version", ADMIN_SCHEMA_VERSION, "n_rules",
			 (json_int_t)json_array_size(list), "rules", list);
}

static bool add_names(struct question *q, const struct slice *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char *more = realloc(q->names, q->names_bytes + names[i].n + 1);

		if (more == NULL)
			return false;
		q->names = more;
		if (names[i].n == 0)
			continue;
		memcpy(more + q->names_bytes, names[i].p, names[i].n);
		q->names_bytes += names[i].n;
		more[q->names_bytes++] = '\0';
	}
	return true;
}

static void on_rules(void *arg, enum store_rc rc, const struct slice *names, unsigned n)
{
	struct question *q = arg;

	if (!is_open(q))
		return;
	if (rc != STORE_OK || !add_names(q, names, n))
		end_failed(q);
	else if (!is_last_shard(q))
		store_rules(q->a->env.store, ++q->shard, on_rules, q);
	else
		end_json(q, HTTP_OK, rules_document(q));
}

/* --- a rule --- */

static void on_reports(void *arg, enum store_rc rc, const struct reports *r)
{
	struct question *q = arg;

	if (!is_open(q))
		return;
	if (rc != STORE_OK) {
		end_failed(q);
		return;
	}
	for (unsigned i = 0; i < r->n; i++) {
		q->n_reported += r->has[i];
		q->n_missing += !r->has[i];
		/* Names were checked when they came: printable ASCII. Excel is told that it is
		 * text. */
		if (q->kind == ASK_MISSING && !r->has[i]) {
			strbuf_put(&q->csv, r->clients[i]);
			strbuf_put_str(&q->csv, "\r\n");
		}
	}
	if (q->cursor == 0)
		q->messages += r->messages;
	q->cursor = r->cursor;
	if (q->cursor == 0 && is_last_shard(q)) {
		if (q->kind == ASK_MISSING)
			end_question(q, HTTP_OK, "text/csv; charset=utf-8", &q->csv);
		else
			end_json(q, HTTP_OK,
				 json_pack("{s:i, s:s, s:I, s:I, s:I}", "schema_version",
					   ADMIN_SCHEMA_VERSION, "rule", q->id, "messages",
					   (json_int_t)q->messages, "clients_reported",
					   (json_int_t)q->n_reported, "clients_missing",
					   (json_int_t)q->n_missing));
		return;
	}
	if (q->cursor == 0)
		q->shard++;
	store_reports(q->a->env.store, q->shard, slice_str(q->id), q->cursor, on_reports, q);
}

/* --- asking --- */

static void ask(struct question *q)
{
	struct store *s = q->a->env.store;

	switch (q->kind) {
	case ASK_WINDOWS:
		store_history(s, 0, on_windows, q);
		break;
	case ASK_CLIENT:
		store_client(s, slice_str(q->id), on_client, q);
		break;
	case ASK_RULES:
		store_rules(s, 0, on_rules, q);
		break;
	case ASK_MISSING:
		strbuf_put_str(&q->csv, "client\r\n");
		store_reports(s, 0, slice_str(q->id), 0, on_reports, q);
		break;
	case ASK_RULE:
		store_reports(s, 0, slice_str(q->id), 0, on_reports, q);
		break;
	}
}

/* The ID between prefix and suffix, percent-decoded. */
static bool take_id(const char *path, const char *prefix, const char *suffix, char *out,
		    size_t room)
{
	size_t n = strlen(path), n_prefix = strlen(prefix), n_suffix = strlen(suffix), bytes = 0;
	char *copy, *id;
	bool is_good;

	if (n <= n_prefix + n_suffix || strncmp(path, prefix, n_prefix) != 0 ||
	    strcmp(path + n - n_suffix, suffix) != 0)
		return false;
	copy = strndup(path + n_prefix, n - n_prefix - n_suffix);
	id = copy == NULL ? NULL : evhttp_uridecode(copy, 0, &bytes);
	is_good = id != NULL && bytes > 0 && bytes < room && strlen(id) == bytes &&
		  strchr(id, '/') == NULL;
	if (is_good)
		memcpy(out, id, bytes + 1);
	free(copy);
	free(id);
	return is_good;
}

static bool read_question(const char *path, enum question_kind *kind, char *id, size_t room)
{
	id[0] = '\0';
	if (strcmp(path, "/ledger/windows") == 0)
		*kind = ASK_WINDOWS;
	else if (strcmp(path, "/rules") == 0)
		*kind = ASK_RULES;
	else if (take_id(path, "/rules/", "/missing.csv", id, room))
		*kind = ASK_MISSING;
	else if (take_id(path, "/rules/", "", id, room))
		*kind = ASK_RULE;
	else if (take_id(path, "/clients/", "", id, room))
		*kind = ASK_CLIENT;
	else
		return false;
	return true;
}

bool admin_query(struct admin *a, struct evhttp_request *req, const char *path)
{
	enum question_kind kind;
	struct question *q;
	char id[sizeof(q->id)];

	if (!read_question(path, &kind, id, sizeof(id)))
		return false;
	q = a->n_questions < ADMIN_MAX_WAITING ? calloc(1, sizeof(*q)) : NULL;
	if (q == NULL) {
		admin_answer_words(req, HTTP_SERVUNAVAIL,
				   "Too many questions at a time: try again.\n");
		return true;
	}
	q->a = a;
	q->req = req;
	q->kind = kind;
	memcpy(q->id, id, sizeof(id));
	strbuf_init(&q->csv, CSV_CAP);
	strbuf_init(&q->ever, DOCUMENT_CAP);
	strbuf_init(&q->now, DOCUMENT_CAP);
	LIST_INSERT_HEAD(&a->questions, q, link);
	a->n_questions++;
	ask(q);
	return true;
}

void admin_query_close(struct admin *a)
{
	struct question *q;

	/* The store still has them: what it answers only frees them. */
	while ((q = LIST_FIRST(&a->questions)) != NULL) {
		LIST_REMOVE(q, link);
		admin_answer_words(q->req, HTTP_SERVUNAVAIL, "statweir is stopping.\n");
		q->req = NULL;
		q->a = NULL;
	}
	a->n_questions = 0;
}
