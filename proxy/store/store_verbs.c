/* The calls of the flusher, the audit and the questions: one function each, one answer. */
#include "proxy/store/resp.h"
#include "proxy/store/store_impl.h"

#include <errno.h>
#include <stdlib.h>

#define CLAIM_FIELDS 9

struct call *verb_begin(struct store *s, call_finish_fn *finish, void (*done)(void), void *arg)
{
	struct call *c;

	OBJ_CHECK(s, STORE_MAGIC);
	c = call_new_reserved(s, finish);
	/*
	 * Every call is answered, and without this it could be answered only from inside itself.
	 * The reserve is enough for as many allocations in a row that fail.
	 */
	CHECK(c != NULL);
	c->done = done;
	c->arg = arg;
	return c;
}

void verb_commit(struct call *c, enum need need)
{
	struct store *s = c->s;

	if (s->is_ours && (need == NEED_DATA || store_may_absorb(s))) {
		call_send(c);
		return;
	}
	STAILQ_INSERT_TAIL(&s->dead, c, entry);
	store_kick(s);
}

struct shard *verb_shard(struct store *s, unsigned shard)
{
	CHECK(shard < s->n_shards);
	return &s->shards[shard];
}

static bool is_array(const redisReply *r, size_t multiple)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements % multiple == 0;
}

static struct slice text_of(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? slice_make(r->str, r->len) : SLICE("");
}

/* --- answers as values -------------------------------------------------------------- */

static void finish_number(struct call *c, enum store_rc rc, const redisReply *reply)
{
	store_number_fn *done = (store_number_fn *)c->done;
	void *arg = c->arg;
	int64_t n = 0;

	if (rc == STORE_OK && reply->type != REDIS_REPLY_INTEGER)
		rc = STORE_UNKNOWN;
	if (rc == STORE_OK)
		n = reply->integer;
	call_free(c);
	done(arg, rc, n);
}

static bool read_u64(const redisReply *r, uint64_t *out)
{
	return slice_to_u64(text_of(r), out) == 0;
}

static bool read_ms(const redisReply *r, int64_t *out)
{
	uint64_t v;

	/* A wall clock before 1970 is a fault, but must not keep a summary back for ever. */
	if (!read_u64(r, &v) || v > INT64_MAX)
		v = 0;
	*out = (int64_t)v;
	return r->type == REDIS_REPLY_STRING;
}

static bool read_claim(redisReply *const *v, struct claim *c)
{
	c->client = text_of(v[0]);
	c->bits = text_of(v[6]);
	c->extra = text_of(v[7]);
	c->raw = text_of(v[8]);
	return read_u64(v[1], &c->seq) && read_ms(v[2], &c->first_ms) &&
	       read_ms(v[3], &c->last_ms) && read_ms(v[4], &c->sealed_ms) &&
	       read_u64(v[5], &c->count);
}

static void finish_claims(struct call *c, enum store_rc rc, const redisReply *reply)
{
	store_claims_fn *done = (store_claims_fn *)c->done;
	void *arg = c->arg;
	struct claim *v = NULL;
	size_t n = 0;

	call_free(c);
	if (rc == STORE_OK && !is_array(reply, CLAIM_FIELDS))
		rc = STORE_UNKNOWN;
	if (rc == STORE_OK && reply->elements > 0) {
		n = reply->elements / CLAIM_FIELDS;
		v = calloc(n, sizeof(*v));
	}
	for (size_t i = 0; v != NULL && i < n; i++)
		if (!read_claim(reply->element + i * CLAIM_FIELDS, &v[i]))
			rc = STORE_UNKNOWN;
	if (v == NULL && n > 0)
		rc = STORE_UNKNOWN;
	done(arg, rc, rc == STORE_OK ? v : NULL, rc == STORE_OK ? (unsigned)n : 0);
	free(v);
}

static void finish_names(struct call *c, enum store_rc rc, const redisReply *reply)
{
	store_names_fn *done = (store_names_fn *)c->done;
	void *arg = c->arg;
	struct slice *v = NULL;
	size_t n = 0;

	call_free(c);
	if (rc == STORE_OK && !is_array(reply, 1))
		rc = STORE_UNKNOWN;
	if (rc == STORE_OK && reply->elements > 0) {
		n = reply->elements;
		v = calloc(n, sizeof(*v));
		if (v == NULL)
			rc = STORE_UNKNOWN;
	}
	for (size_t i = 0; v != NULL && i < n; i++)
		v[i] = text_of(reply->element[i]);
	done(arg, rc, v, v != NULL ? (unsigned)n : 0);
	free(v);
}

static void finish_audit(struct call *c, enum store_rc rc, const redisReply *reply)
{
	store_audit_fn *done = (store_audit_fn *)c->done;
	void *arg = c->arg;
	struct audit a = {0};
	int64_t *const fields[] = {&a.absorbed,	      &a.sealed,  &a.settled, &a.pending_open,
				   &a.pending_outbox, &a.clients, &a.rules};
	size_t n = sizeof(fields) / sizeof(fields[0]);

	call_free(c);
	if (rc == STORE_OK && (!is_array(reply, n) || reply->elements != n))
		rc = STORE_UNKNOWN;
	for (size_t i = 0; rc == STORE_OK && i < n; i++) {
		if (reply->element[i]->type != REDIS_REPLY_INTEGER)
			rc = STORE_UNKNOWN;
		*fields[i] = reply->element[i]->integer;
	}
	done(arg, rc, rc == STORE_OK ? &a : NULL);
}

/* --- verbs -------------------------------------------------------------------------- */

void store_lease(struct store *s, unsigned shard, const char *owner, int64_t ttl_ms,
		 store_number_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_number, (void (*)(void))done, arg);

	call_begin(c, "lease", verb_shard(s, shard), 2);
	resp_bulk(&c->cmd, slice_str(owner));
	resp_number(&c->cmd, ttl_ms);
	verb_commit(c, NEED_DURABLE);
}

void store_release(struct store *s, unsigned shard, const char *owner, store_number_fn *done,
		   void *arg)
{
	struct call *c = verb_begin(s, finish_number, (void (*)(void))done, arg);

	call_begin(c, "release", verb_shard(s, shard), 1);
	resp_bulk(&c->cmd, slice_str(owner));
	verb_commit(c, NEED_DATA);
}

void store_seal(struct store *s, unsigned shard, int64_t token, unsigned max, int64_t before_ms,
		store_claims_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_claims, (void (*)(void))done, arg);

	call_begin(c, "seal", verb_shard(s, shard), 3);
	resp_number(&c->cmd, token);
	resp_number(&c->cmd, max);
	resp_number(&c->cmd, before_ms);
	verb_commit(c, NEED_DURABLE);
}

void store_outbox(struct store *s, unsigned shard, unsigned max, store_claims_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_claims, (void (*)(void))done, arg);

	call_begin(c, "outbox", verb_shard(s, shard), 1);
	resp_number(&c->cmd, max);
	verb_commit(c, NEED_DATA);
}

void store_settle(struct store *s, unsigned shard, int64_t token, struct slice client, uint64_t seq,
		  int64_t sealed_ms, store_number_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_number, (void (*)(void))done, arg);

	call_begin(c, "settle", verb_shard(s, shard), 4);
	resp_number(&c->cmd, token);
	resp_bulk(&c->cmd, client);
	resp_number(&c->cmd, (int64_t)seq);
	resp_number(&c->cmd, sealed_ms);
	verb_commit(c, NEED_DATA);
}

void store_rotate(struct store *s, unsigned shard, int64_t token, store_number_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_number, (void (*)(void))done, arg);

	call_begin(c, "rotate", verb_shard(s, shard), 2);
	resp_number(&c->cmd, token);
	resp_number(&c->cmd, s->conf->window_ms);
	verb_commit(c, NEED_DURABLE);
}

void store_rules(struct store *s, unsigned shard, store_names_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_names, (void (*)(void))done, arg);

	call_begin(c, "rules", verb_shard(s, shard), 0);
	verb_commit(c, NEED_DATA);
}

void store_audit(struct store *s, unsigned shard, store_audit_fn *done, void *arg)
{
	struct call *c = verb_begin(s, finish_audit, (void (*)(void))done, arg);

	call_begin(c, "audit", verb_shard(s, shard), 0);
	verb_commit(c, NEED_DATA);
}

void store_client_count(struct store *s, struct slice client, store_number_fn *done, void *arg)
{
	unsigned k = shard_of_client(client, s->n_shards);
	struct call *c = verb_begin(s, finish_number, (void (*)(void))done, arg);

	call_begin(c, "count", verb_shard(s, k), 1);
	resp_bulk(&c->cmd, client);
	verb_commit(c, NEED_DATA);
}
