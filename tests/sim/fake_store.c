#include "tests/sim/fake_store.h"

#include "proxy/base/clock.h"
#include "proxy/base/siphash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct fake_op {
	STAILQ_ENTRY(fake_op) link;
	enum fake_call call;
	enum fake_fault fault;
	int64_t answer_ms;
	unsigned shard, max;
	int64_t token, before_ms, ttl_ms;
	uint64_t seq;
	char owner[32], client[64];
	struct record *record;
	store_number_fn *on_number;
	store_claims_fn *on_claims;
	store_names_fn *on_names;
	void *arg;
};

struct store {
	struct fake_model *m;
	STAILQ_HEAD(, fake_op) ops;
	int64_t delay_ms;
	struct {
		enum fake_fault fault;
		unsigned times;
	} script[FAKE_CALLS];
	unsigned n_calls[FAKE_CALLS];
};

void fake_model_init(struct fake_model *m, unsigned n_shards)
{
	memset(m, 0, sizeof(*m));
	snprintf(m->nonce, sizeof(m->nonce), "%s", "00112233445566778899aabbccddeeff");
	m->n_shards = n_shards;
	m->clients = calloc(FAKE_CLIENTS, sizeof(*m->clients));
	CHECK(m->clients != NULL);
}

void fake_model_fini(struct fake_model *m)
{
	free(m->clients);
}

void fake_model_save(const struct fake_model *m, struct fake_model *out)
{
	*out = *m;
	out->clients = calloc(FAKE_CLIENTS, sizeof(*out->clients));
	CHECK(out->clients != NULL);
	memcpy(out->clients, m->clients, FAKE_CLIENTS * sizeof(*out->clients));
}

void fake_model_restore(struct fake_model *m, struct fake_model *saved)
{
	unsigned generation = m->generation + 1;

	fake_model_fini(m);
	*m = *saved;
	m->generation = generation;
}

static struct fake_client *client_get(struct fake_model *m, const char *name)
{
	static const struct siphash_key key = {1, 2};
	struct fake_client *c;

	for (unsigned i = 0; i < m->n_clients; i++)
		if (strcmp(m->clients[i].name, name) == 0)
			return &m->clients[i];
	CHECK(m->n_clients < FAKE_CLIENTS);
	c = &m->clients[m->n_clients++];
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->shard = (unsigned)(siphash(&key, slice_str(name)) % m->n_shards);
	return c;
}

static unsigned rule_get(struct fake_model *m, unsigned shard, const char *name)
{
	for (unsigned r = 0; r < m->n_rules[shard]; r++)
		if (strcmp(m->rules[shard][r], name) == 0)
			return r;
	CHECK(m->n_rules[shard] < FAKE_RULES);
	snprintf(m->rules[shard][m->n_rules[shard]], 16, "%s", name);
	return m->n_rules[shard]++;
}

void fake_model_add(struct fake_model *m, const char *client, const char *rule, const char *raw)
{
	struct fake_client *c = client_get(m, client);
	unsigned r = rule_get(m, c->shard, rule);
	struct fake_bucket *b = &c->open;
	unsigned char bit = (unsigned char)(0x80 >> r % 8);

	if (!c->is_dirty) {
		memset(b, 0, sizeof(*b));
		b->first_ms = clock_wall_ms();
	}
	c->is_dirty = true;
	b->last_ms = clock_wall_ms();
	b->count++;
	b->more[r] += b->bits[r / 8] & bit ? 1 : 0;
	b->bits[r / 8] = b->bits[r / 8] | bit;
	c->added++;
	if (raw != NULL)
		snprintf(c->raw, sizeof(c->raw), "%s", raw);
}

uint64_t fake_model_added(const struct fake_model *m)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < m->n_clients; i++)
		n += m->clients[i].added;
	return n;
}

uint64_t fake_model_settled(const struct fake_model *m)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < m->n_clients; i++)
		n += m->clients[i].settled;
	return n;
}

uint64_t fake_model_pending(const struct fake_model *m)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < m->n_clients; i++) {
		n += m->clients[i].is_dirty ? m->clients[i].open.count : 0;
		n += m->clients[i].is_sealed ? m->clients[i].sealed.count : 0;
	}
	return n;
}

struct store *fake_store_new(struct fake_model *m)
{
	struct store *s = calloc(1, sizeof(*s));

	CHECK(s != NULL);
	s->m = m;
	STAILQ_INIT(&s->ops);
	return s;
}

void fake_store_fault(struct store *s, enum fake_call call, enum fake_fault fault, unsigned times)
{
	s->script[call].fault = fault;
	s->script[call].times = times;
}

void fake_store_delay(struct store *s, int64_t ms)
{
	s->delay_ms = ms;
}

unsigned fake_store_calls(const struct store *s, enum fake_call call)
{
	return s->n_calls[call];
}

bool fake_store_has(const struct store *s, enum fake_call call)
{
	const struct fake_op *op;

	STAILQ_FOREACH (op, &s->ops, link)
		if (op->call == call)
			return true;
	return false;
}

static struct fake_op *issue(struct store *s, enum fake_call call, unsigned shard, void *arg)
{
	struct fake_op *op = calloc(1, sizeof(*op));

	CHECK(op != NULL && shard < s->m->n_shards);
	op->call = call;
	op->shard = shard;
	op->arg = arg;
	op->answer_ms = clock_mono_ms() + s->delay_ms;
	if (s->script[call].times > 0) {
		s->script[call].times--;
		op->fault = s->script[call].fault;
	}
	s->n_calls[call]++;
	STAILQ_INSERT_TAIL(&s->ops, op, link);
	return op;
}

static int64_t do_lease(struct fake_model *m, const struct fake_op *op)
{
	int64_t now = clock_mono_ms();
	bool is_ours = strcmp(m->lease[op->shard].owner, op->owner) == 0;

	if (now < m->lease[op->shard].until_ms && !is_ours)
		return 0;
	if (!is_ours || now >= m->lease[op->shard].until_ms)
		m->lease[op->shard].token++;
	snprintf(m->lease[op->shard].owner, 32, "%s", op->owner);
	m->lease[op->shard].until_ms = now + op->ttl_ms;
	return m->lease[op->shard].token;
}

static int64_t do_release(struct fake_model *m, const struct fake_op *op)
{
	if (strcmp(m->lease[op->shard].owner, op->owner) != 0)
		return 0;
	m->lease[op->shard].owner[0] = '\0';
	m->lease[op->shard].until_ms = 0;
	return 1;
}

static bool is_fenced(struct fake_model *m, const struct fake_op *op)
{
	if (m->lease[op->shard].token == op->token)
		return false;
	m->n_fenced++;
	return true;
}

static void write_extra(struct fake_bucket *b)
{
	size_t at = 0;

	b->extra[0] = '\0';
	for (unsigned r = 0; r < FAKE_RULES; r++)
		if (b->more[r] > 0 && at + 32 < sizeof(b->extra))
			at += (size_t)snprintf(b->extra + at, 32, "%s%u+%" PRIu32,
					       at > 0 ? "," : "", r, b->more[r]);
}

static struct claim claim_of(const struct fake_client *c)
{
	const struct fake_bucket *b = &c->sealed;
	size_t n = sizeof(b->bits);

	while (n > 0 && b->bits[n - 1] == 0)
		n--;
	return (struct claim){
		.client = slice_str(c->name),
		.seq = b->seq,
		.first_ms = b->first_ms,
		.last_ms = b->last_ms,
		.sealed_ms = b->sealed_ms,
		.count = b->count,
		.bits = slice_make((const char *)b->bits, n),
		.extra = slice_str(b->extra),
		.raw = slice_str(c->raw),
	};
}

static unsigned do_seal(struct fake_model *m, const struct fake_op *op, struct claim *v)
{
	unsigned n = 0;

	m->n_seals[op->shard]++;
	for (unsigned i = 0; i < m->n_clients && n < op->max; i++) {
		struct fake_client *c = &m->clients[i];

		if (c->shard != op->shard || !c->is_dirty || c->is_sealed ||
		    c->open.first_ms >= op->before_ms)
			continue;
		c->sealed = c->open;
		c->sealed.seq = ++c->seq;
		c->sealed.sealed_ms = clock_wall_ms();
		write_extra(&c->sealed);
		c->is_sealed = true;
		c->is_dirty = false;
		v[n++] = claim_of(c);
	}
	return n;
}

static unsigned do_outbox(struct fake_model *m, const struct fake_op *op, struct claim *v)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n_clients && n < op->max; i++)
		if (m->clients[i].shard == op->shard && m->clients[i].is_sealed)
			v[n++] = claim_of(&m->clients[i]);
	return n;
}

static int64_t do_settle(struct fake_model *m, const struct fake_op *op)
{
	struct fake_client *c = client_get(m, op->client);

	if (!c->is_sealed || c->sealed.seq != op->seq)
		return 0;
	c->is_sealed = false;
	c->settled += c->sealed.count;
	return 1;
}

/* Do it; rc may become STORE_FENCED where the token is stale. */
static void perform(struct fake_model *m, const struct fake_op *op, enum store_rc *rc, int64_t *n,
		    struct claim *v)
{
	bool needs_token =
		op->call == FAKE_SEAL || op->call == FAKE_SETTLE || op->call == FAKE_ROTATE;

	if (needs_token && is_fenced(m, op)) {
		*rc = STORE_FENCED;
		return;
	}
	if (op->call == FAKE_LEASE)
		*n = do_lease(m, op);
	else if (op->call == FAKE_RELEASE)
		*n = do_release(m, op);
	else if (op->call == FAKE_SEAL)
		*n = do_seal(m, op, v);
	else if (op->call == FAKE_OUTBOX)
		*n = do_outbox(m, op, v);
	else if (op->call == FAKE_SETTLE)
		*n = do_settle(m, op);
	else if (op->call == FAKE_ROTATE)
		*n = ++m->n_rotations;
}

static void answer(struct fake_model *m, struct fake_op *op)
{
	static struct claim v[64];
	static struct slice names[FAKE_RULES];
	enum store_rc rc = STORE_OK;
	int64_t n = 0;

	CHECK(op->max <= 64);
	if (op->fault == FAKE_FINE || op->fault == FAKE_UNKNOWN_DONE)
		perform(m, op, &rc, &n, v);
	if (op->fault != FAKE_FINE) {
		rc = op->fault == FAKE_REFUSED ? STORE_REFUSED : STORE_UNKNOWN;
		n = 0;
	}
	if (op->on_number != NULL)
		op->on_number(op->arg, rc, n);
	if (op->on_claims != NULL)
		op->on_claims(op->arg, rc, v, (unsigned)n);
	if (op->on_names != NULL) {
		unsigned n_names = rc == STORE_OK ? m->n_rules[op->shard] : 0;

		for (unsigned r = 0; r < n_names; r++)
			names[r] = slice_str(m->rules[op->shard][r]);
		op->on_names(op->arg, rc, names, n_names);
	}
	/* What lived in the callback only is now gone. */
	memset(v, 0xa5, sizeof(v));
	memset(names, 0xa5, sizeof(names));
	if (op->record != NULL)
		op->record->done(op->record, rc);
}

bool fake_store_run(struct store *s)
{
	bool did = false;

	while (!STAILQ_EMPTY(&s->ops) && STAILQ_FIRST(&s->ops)->answer_ms <= clock_mono_ms()) {
		struct fake_op *op = STAILQ_FIRST(&s->ops);

		STAILQ_REMOVE_HEAD(&s->ops, link);
		answer(s->m, op);
		free(op);
		did = true;
	}
	return did;
}

void fake_store_kill(struct store *s, bool is_done)
{
	static struct claim v[64];

	while (!STAILQ_EMPTY(&s->ops)) {
		struct fake_op *op = STAILQ_FIRST(&s->ops);
		enum store_rc rc = STORE_OK;
		int64_t n;

		STAILQ_REMOVE_HEAD(&s->ops, link);
		if (is_done)
			perform(s->m, op, &rc, &n, v);
		free(op);
	}
	free(s);
}

/* proxy/store/store.h, all of it: nothing of the archive's store may be linked. */

const char *store_rc_name(enum store_rc rc)
{
	static const char *const names[] = {"ok", "refused", "unknown", "fenced"};

	return names[rc];
}

uint64_t record_digest(struct slice message_id)
{
	static const struct siphash_key key = {3, 4};

	return siphash(&key, message_id);
}

int store_open(struct store **out, struct event_base *base, const struct conf *conf)
{
	(void)base;
	(void)conf;
	*out = NULL;
	return -1; /* simulations use fake_store_new() */
}

void store_close(struct store *s)
{
	fake_store_kill(s, false);
}

bool store_is_ready(const struct store *s)
{
	return s != NULL;
}

const char *store_state(const struct store *s)
{
	(void)s;
	return "ok";
}

void store_add(struct store *s, struct record *r)
{
	char client[64], rule[16];

	snprintf(client, sizeof(client), "%.*s", SLICE_ARG(r->client));
	snprintf(rule, sizeof(rule), "%.*s", SLICE_ARG(r->rule));
	fake_model_add(s->m, client, rule, NULL);
	issue(s, FAKE_ADD, 0, NULL)->record = r;
}

void store_commit(struct store *s)
{
	(void)s;
}

void store_poll(struct store *s)
{
	(void)s;
}

void store_tick(struct store *s)
{
	(void)s;
}

unsigned store_n_shards(const struct store *s)
{
	return s->m->n_shards;
}

unsigned store_generation(const struct store *s)
{
	return s->m->generation;
}

const char *store_nonce(const struct store *s)
{
	return s->m->nonce;
}

void store_lease(struct store *s, unsigned shard, const char *owner, int64_t ttl_ms,
		 store_number_fn *done, void *arg)
{
	struct fake_op *op = issue(s, FAKE_LEASE, shard, arg);

	snprintf(op->owner, sizeof(op->owner), "%s", owner);
	op->ttl_ms = ttl_ms;
	op->on_number = done;
}

void store_release(struct store *s, unsigned shard, const char *owner, store_number_fn *done,
		   void *arg)
{
	struct fake_op *op = issue(s, FAKE_RELEASE, shard, arg);

	snprintf(op->owner, sizeof(op->owner), "%s", owner);
	op->on_number = done;
}

void store_seal(struct store *s, unsigned shard, int64_t token, unsigned max, int64_t before_ms,
		store_claims_fn *done, void *arg)
{
	struct fake_op *op = issue(s, FAKE_SEAL, shard, arg);

	op->token = token;
	op->max = max;
	op->before_ms = before_ms;
	op->on_claims = done;
}

void store_outbox(struct store *s, unsigned shard, unsigned max, store_claims_fn *done, void *arg)
{
	struct fake_op *op = issue(s, FAKE_OUTBOX, shard, arg);

	op->max = max;
	op->on_claims = done;
}

void store_settle(struct store *s, unsigned shard, int64_t token, struct slice client, uint64_t seq,
		  int64_t sealed_ms, store_number_fn *done, void *arg)
{
	struct fake_op *op = issue(s, FAKE_SETTLE, shard, arg);

	(void)sealed_ms;
	op->token = token;
	op->seq = seq;
	snprintf(op->client, sizeof(op->client), "%.*s", SLICE_ARG(client));
	op->on_number = done;
}

void store_rotate(struct store *s, unsigned shard, int64_t token, store_number_fn *done, void *arg)
{
	struct fake_op *op = issue(s, FAKE_ROTATE, shard, arg);

	op->token = token;
	op->on_number = done;
}

void store_rules(struct store *s, unsigned shard, store_names_fn *done, void *arg)
{
	issue(s, FAKE_NAMES, shard, arg)->on_names = done;
}

void store_audit(struct store *s, unsigned shard, store_audit_fn *done, void *arg)
{
	(void)s;
	(void)shard;
	(void)done;
	(void)arg;
}

void store_client_count(struct store *s, struct slice client, store_number_fn *done, void *arg)
{
	(void)s;
	(void)client;
	(void)done;
	(void)arg;
}
