/* From a whole held message to its fate: filters, acknowledgement, store. */
#include "proxy/base/clock.h"
#include "proxy/base/failpoint.h"
#include "proxy/base/metrics.h"
#include "proxy/base/siphash.h"
#include "proxy/core/exchange.h"
#include "proxy/core/recent.h"

#include <stdlib.h>

/* Longest wait for an acknowledgement that is being learned from others' replies. */
#define ACK_WAIT_MS 5000

bool exch_is_candidate(const struct exchange *x)
{
	const struct worker *w = x->w;

	if (w->conf->mode == MODE_BYPASS || x->c->is_bound || x->c->pinned != NULL)
		return false;
	return status_filter_ops.interest(&w->filter, &x->head) == DOUBT_NONE;
}

static struct slice keep_text(struct exchange *x, size_t *at, struct slice s)
{
	struct slice kept = slice_make(x->text + *at, s.n);

	CHECK(s.n <= sizeof(x->text) - *at);
	if (s.n > 0)
		memcpy(x->text + *at, s.p, s.n);
	*at += s.n;
	return kept;
}

/* The scratch arena is the next message's: what outlives the inspection is copied. */
static bool keep_finding(struct exchange *x, const struct verdict *v)
{
	size_t at = 0;

	if (v->reply.reply_compression.n > 64 || v->reply.schema_version.n > 64 ||
	    v->reply.envelope_id.n > FINDING_MAX_TEXT || x->head.path.n > FINDING_MAX_TEXT)
		return false;
	x->client = keep_text(x, &at, v->finding.client);
	x->rule = keep_text(x, &at, v->finding.rule);
	x->record.digest = record_digest(v->finding.message);
	x->envelope_id = keep_text(x, &at, v->reply.envelope_id);
	x->ack_key = (struct ack_key){
		.path = keep_text(x, &at, x->head.path),
		.minor = x->head.minor,
		.compression = keep_text(x, &at, v->reply.reply_compression),
		.schema = keep_text(x, &at, v->reply.schema_version),
	};
	return true;
}

/* Is this client among those whose messages are absorbed? Stable for a client. */
static bool is_enforced(const struct exchange *x)
{
	static const struct siphash_key key = {0x656e666f72636531u, 0x7374617477656972u};
	const struct conf *conf = x->w->conf;

	if (conf->mode != MODE_ENFORCE)
		return false;
	return (int64_t)(siphash(&key, x->client) % 100) < conf->enforce_percent;
}

/* Opened with the first message, so after any fork. */
static struct recent *recent(const struct exchange *x)
{
	static struct recent *r;

	if (r == NULL)
		r = recent_open(x->w->conf->state);
	return r;
}

/*
 * Put beside the key of a message when another try of it goes to the store: what becomes of
 * the first then says nothing of the second.
 */
static uint64_t key_again(uint64_t key)
{
	return key ^ 0x616761696e303031u;
}

/* The store has certainly not recorded this try. Nor any other? */
static bool is_refused_for_good(struct exchange *x)
{
	uint64_t key = recent_key(x->client, x->record.digest);

	if (x->was_recent || recent_has(recent(x), key_again(key)))
		return false;
	recent_drop(recent(x), key);
	return true;
}

/* Answer from the store: the one place where an absorbed message is acknowledged. */
static void on_recorded(struct record *r, enum store_rc rc)
{
	struct exchange *x = (struct exchange *)((char *)r - offsetof(struct exchange, record));
	struct slice answer;
	bool may_forward = rc == STORE_REFUSED && is_refused_for_good(x);

	if (rc == STORE_OK) {
		FAILPOINT("ack_send");
		answer = strbuf_slice(&x->reply);
		answer.n = FAILPOINT_SHORT("ack_short", answer.n);
		x->state = EXCH_HOLD;
		if (x->c != NULL) {
			struct conn *c = x->c;

			exch_consume(x);
			/* On failure the connection dies and x would be counted as aborted. */
			x->c = NULL;
			c->x = NULL;
			if (conn_send(c, &answer, 1)) {
				x->c = c;
				c->x = x;
			}
		}
		FAILPOINT("ack_sent");
		exch_end(x, FATE_ABSORBED, REASON_NONE);
		return;
	}
	x->state = EXCH_HOLD;
	if (x->c == NULL) {
		exch_end(x, FATE_ABORTED, REASON_CLIENT_GONE);
		return;
	}
	if (!may_forward) {
		/* Perhaps recorded, now or before: forwarding it as well could count it twice. */
		exch_refuse(x, REASON_IN_DOUBT);
		return;
	}
	metric_add(M_STORE_FORWARDED, 1);
	exch_forward(x, NULL);
}

static void record(struct exchange *x)
{
	struct record *r = &x->record;
	uint64_t key = recent_key(x->client, r->digest);

	r->client = x->client;
	r->rule = x->rule;
	r->at_ms = clock_wall_ms();
	r->done = on_recorded;
	if (x->w->conf->summary_form == FORM_EXEMPLAR)
		r->raw = slice_make(iobuf_slice(&x->c->s.in).p,
				    x->head.head_bytes + (size_t)x->head.length);
	x->state = EXCH_RECORD;
	FAILPOINT("message_whole");
	/* The store has its own deadline; this one is never reached. */
	x->deadline_ms = INT64_MAX;
	recent_put(recent(x), key);
	if (x->was_recent)
		recent_put(recent(x), key_again(key));
	store_add(x->w->store, r);
}

/* A record that outlives its exchange. */
struct memory {
	struct record record;
	char client[FINDING_MAX_TEXT];
};

static void on_remembered(struct record *r, enum store_rc rc)
{
	(void)rc; /* not remembered: a retry would be counted, as if it had come first */
	free((struct memory *)((char *)r - offsetof(struct memory, record)));
}

void exch_remember(const struct exchange *x)
{
	struct memory *m;

	if (!x->must_remember || !store_is_ready(x->w->store))
		return;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return;
	memcpy(m->client, x->client.p, x->client.n);
	m->record = (struct record){.client = slice_make(m->client, x->client.n),
				    .rule = slice_make(m->client, 0),
				    .digest = x->record.digest,
				    .at_ms = clock_wall_ms(),
				    .is_seen_only = true,
				    .done = on_remembered};
	store_add(x->w->store, &m->record);
}

static bool write_answer(struct exchange *x, const struct ack_template *template)
{
	strbuf_reset(&x->reply);
	ack_write(template, x->envelope_id, x->head.minor, x->keep_alive, clock_http_date(),
		  &x->reply);
	return strbuf_ok(&x->reply);
}

/*
 * Perhaps recorded: it never reaches the management point, which would have it beside a
 * summary, neither as a sample nor because there is nothing to acknowledge it with.
 */
static void act_on_recent(struct exchange *x)
{
	const struct ack_template *template = NULL;

	if (store_is_ready(x->w->store))
		template = ack_valid(x->w->ack, &x->ack_key);
	if (template != NULL && write_answer(x, template))
		record(x);
	else
		exch_refuse(x, REASON_IN_DOUBT);
}

static void act_on(struct exchange *x)
{
	const struct ack_template *template = NULL;
	bool may_absorb = is_enforced(x);

	x->must_remember = may_absorb;
	x->was_recent =
		may_absorb && recent_has(recent(x), recent_key(x->client, x->record.digest));
	if (x->was_recent) {
		act_on_recent(x);
		return;
	}
	switch (ack_choose(x->w->ack, &x->ack_key, &template)) {
	case ACK_REPLAY:
		if (!may_absorb) {
			metric_add(M_WOULD_ABSORB, 1);
			break;
		}
		if (!store_is_ready(x->w->store)) {
			metric_add(M_STORE_FORWARDED, 1);
			break;
		}
		if (!write_answer(x, template))
			break;
		record(x);
		return;
	case ACK_SAMPLE:
		metric_add(M_LEARN_FORWARDED, 1);
		x->is_sample = true;
		break;
	case ACK_WAIT:
		if (!may_absorb || x->w->is_draining)
			break;
		x->state = EXCH_ACKWAIT;
		if (x->deadline_ms > clock_mono_ms() + ACK_WAIT_MS)
			x->deadline_ms = clock_mono_ms() + ACK_WAIT_MS;
		TAILQ_INSERT_TAIL(&x->w->waiting, x, link);
		return;
	case ACK_FORWARD:
		break;
	}
	exch_forward(x, NULL);
}

void exch_inspect(struct exchange *x)
{
	struct worker *w = x->w;
	struct slice in = iobuf_slice(&x->c->s.in);
	struct slice body = slice_make(in.p + x->head.head_bytes, (size_t)x->head.length);
	struct verdict v = {0};

	arena_reset(&w->scratch);
	status_filter_ops.inspect(&w->filter, &x->head, body, &w->scratch, &v);
	if (v.action == FILTER_PASS || !keep_finding(x, &v)) {
		metrics_self->doubt[v.action == FILTER_PASS ? v.doubt : DOUBT_IDENTITY]++;
		exch_forward(x, &v);
		return;
	}
	if (!x->is_recognised) {
		x->is_recognised = true;
		metric_add(M_RECOGNISED, 1);
	}
	act_on(x);
}
