/* What people ask: how windows ended, what a client has reported, who reported a rule. */
#include "proxy/store/resp.h"
#include "proxy/store/store_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define SHEET_FIELDS   9
#define REPORTS_HEAD   2
#define REPORTS_A_CALL 500 /* clients: about half a millisecond of Redis */

static bool read_number(struct slice text, int64_t *out)
{
	bool is_negative = text.n > 0 && text.p[0] == '-';
	uint64_t v;

	if (slice_to_u64(slice_drop(text, is_negative), &v) < 0 || v > INT64_MAX)
		return false;
	*out = is_negative ? -(int64_t)v : (int64_t)v;
	return true;
}

static struct slice text_at(const redisReply *array, size_t i)
{
	const redisReply *r = array->element[i];

	return r->type == REDIS_REPLY_STRING ? slice_make(r->str, r->len) : SLICE("");
}

static bool number_at(const redisReply *array, size_t i, int64_t *out)
{
	return read_number(text_at(array, i), out);
}

/* --- windows --- */

/* "number began ended absorbed settled pending off" */
static bool read_window(struct slice row, struct window *w)
{
	int64_t v[7];
	unsigned n = 0;

	for (; n < 7; n++) {
		const char *space = row.n == 0 ? NULL : memchr(row.p, ' ', row.n);
		size_t len = space == NULL ? row.n : (size_t)(space - row.p);

		if (!read_number(slice_make(row.p, len), &v[n]))
			return false;
		row = slice_drop(row, space == NULL ? len : len + 1);
	}
	*w = (struct window){.number = (uint64_t)v[0],
			     .began_ms = v[1],
			     .ended_ms = v[2],
			     .absorbed = v[3],
			     .settled = v[4],
			     .pending = v[5],
			     .off = v[6]};
	return row.n == 0;
}

static void finish_windows(struct call *c, enum store_rc rc, const redisReply *reply)
{
	store_windows_fn *done = (store_windows_fn *)c->done;
	void *arg = c->arg;
	struct window *v = NULL;
	size_t n = 0;

	call_free(c);
	if (rc == STORE_OK && reply->type != REDIS_REPLY_ARRAY)
		rc = STORE_UNKNOWN;
	if (rc == STORE_OK && reply->elements > 0) {
		n = reply->elements;
		v = calloc(n, sizeof(*v));
		if (v == NULL)
			rc = STORE_UNKNOWN;
	}
	for (size_t i = 0; rc == STORE_OK && i < n; i++)
		if (!read_window(text_at(reply, i), &v[i]))
			rc = STORE_UNKNOWN;
	done(arg, rc, v, rc == STORE_OK ? (unsigned)n : 0);
	free(v);
}

void store_history(struct store *s, unsigned shard, store_windows_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_windows, (void (*)(void))done, arg);

	call_begin(c, "history", verb_shard(s, shard), 0);
	verb_commit(c, NEED_DATA);
}

/* --- one client --- */

static bool read_sheet(const redisReply *r, struct client_sheet *c)
{
	int64_t n_summaries;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != SHEET_FIELDS)
		return false;
	c->is_known = slice_eq(text_at(r, 0), SLICE("1"));
	c->ever = text_at(r, 5);
	c->now = text_at(r, 6);
	if (!number_at(r, 1, &c->sealed) || !number_at(r, 2, &n_summaries) ||
	    !number_at(r, 3, &c->first_ms) || !number_at(r, 4, &c->last_ms) ||
	    !number_at(r, 7, &c->open) || !number_at(r, 8, &c->outbox))
		return false;
	c->n_summaries = (uint64_t)n_summaries;
	return true;
}

static void finish_client(struct call *c, enum store_rc rc, const redisReply *reply)
{
	store_client_fn *done = (store_client_fn *)c->done;
	void *arg = c->arg;
	struct client_sheet sheet = {0};

	call_free(c);
	if (rc == STORE_OK && !read_sheet(reply, &sheet))
		rc = STORE_UNKNOWN;
	done(arg, rc, rc == STORE_OK ? &sheet : NULL);
}

unsigned store_shard_of(const struct store *s, struct slice client)
{
	return shard_of_client(client, s->n_shards);
}

void store_client(struct store *s, struct slice client, store_client_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_client, (void (*)(void))done, arg);

	call_begin(c, "client", verb_shard(s, store_shard_of(s, client)), 1);
	resp_bulk(&c->cmd, client);
	verb_commit(c, NEED_DATA);
}

/* --- who has reported a rule --- */

static bool read_reports(const redisReply *r, struct reports *out, struct slice **clients,
			 bool **has)
{
	size_t n;

	if (r->type != REDIS_REPLY_ARRAY || r->elements < REPORTS_HEAD || r->elements % 2 != 0 ||
	    slice_to_u64(text_at(r, 0), &out->cursor) < 0 || !number_at(r, 1, &out->messages))
		return false;
	n = (r->elements - REPORTS_HEAD) / 2;
	*clients = calloc(n + 1, sizeof(**clients));
	*has = calloc(n + 1, sizeof(**has));
	if (*clients == NULL || *has == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		(*clients)[i] = text_at(r, REPORTS_HEAD + 2 * i);
		(*has)[i] = slice_eq(text_at(r, REPORTS_HEAD + 2 * i + 1), SLICE("1"));
	}
	out->n = (unsigned)n;
	out->clients = *clients;
	out->has = *has;
	return true;
}

static void finish_reports(struct call *c, enum store_rc rc, const redisReply *reply)
{
	store_reports_fn *done = (store_reports_fn *)c->done;
	void *arg = c->arg;
	struct reports r = {0};
	struct slice *clients = NULL;
	bool *has = NULL;

	call_free(c);
	if (rc == STORE_OK && !read_reports(reply, &r, &clients, &has))
		rc = STORE_UNKNOWN;
	done(arg, rc, rc == STORE_OK ? &r : NULL);
	free(clients);
	free(has);
}

void store_reports(struct store *s, unsigned shard, struct slice rule, uint64_t cursor,
		   store_reports_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_reports, (void (*)(void))done, arg);
	char text[24];

	call_begin(c, "reports", verb_shard(s, shard), 3);
	resp_bulk(&c->cmd, rule);
	/* A cursor may have all 64 bits. */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)cursor);
	resp_bulk(&c->cmd, slice_str(text));
	resp_number(&c->cmd, REPORTS_A_CALL);
	verb_commit(c, NEED_DATA);
}
