#include "tests/tools/sample_check.h"
#include "tests/tools/storm.h"

#include <errno.h>
#include <stdlib.h>

#define SALT_MIX   0x6d6978u
#define SALT_TWICE 0x747769u

/* What the other traffic is made of, in percent. */
static const struct {
	enum ccm_kind kind;
	unsigned percent;
} mix[] = {
	{CCM_POLICY, 28}, {CCM_INFO, 8},     {CCM_STATE, 20}, {CCM_INVENTORY, 10}, {CCM_STATUS, 16},
	{CCM_MIXED, 3},	  {CCM_CONFLICT, 2}, {CCM_SYNC, 7},   {CCM_AUTH, 4},	   {CCM_BITS, 2},
};

static enum ccm_kind draw_other(uint64_t h)
{
	unsigned at = (unsigned)(h >> 32) % 100;
	size_t i = 0;

	while (at >= mix[i].percent)
		at -= mix[i++].percent;
	return mix[i].kind;
}

static void open_message(struct storm_client *c, enum ccm_kind kind, uint32_t rule)
{
	c->item.kind = kind;
	c->item.serial = c->next_serial++;
	c->item.rule = rule;
	c->item.step = 0;
	c->item.token = c->token;
	c->token[0] = '\0';
	c->sent = 0;
	c->is_open = true;
	c->is_twice = false;
}

/* The client's next message; false when it has said everything. */
static bool draw_message(struct storm *s, struct storm_client *c)
{
	uint64_t h;

	if (c->next_rule == s->opt.rules)
		return false;
	h = ccm_hash(s->opt.seed ^ SALT_MIX, c->item.client, c->next_serial);
	if (h % 100 < s->opt.other_percent)
		open_message(c, draw_other(h), 0);
	else
		open_message(c, CCM_RULE, c->next_rule++);
	return true;
}

static bool is_known(struct storm *s, struct storm_client *c)
{
	struct ccm_request r;

	if (s->known.n == 0)
		return false;
	ccm_build(&s->builder, &c->item, &r);
	return id_set_has(&s->known, slice_str(r.id));
}

static void make_ready(struct storm *s, struct storm_client *c)
{
	while (!c->is_open) {
		if (!draw_message(s, c)) {
			s->finished++;
			return;
		}
		if (is_known(s, c)) {
			c->is_open = false;
			s->count.resumed++;
		}
	}
	STAILQ_INSERT_TAIL(&s->ready, c, link);
}

static void note_sums(struct storm_client *c)
{
	struct http_msg m;

	c->body_bytes = c->request.body.n;
	c->body_crc = sample_crc(c->request.body);
	if (c->item.kind == CCM_RULE)
		return;
	http_msg_read(&m, (char *)c->request.head.p, c->request.head.n, false);
	c->head_crc = sample_head_crc(&m);
	if (c->item.kind != CCM_BITS)
		return;
	if (c->item.step == 0)
		c->upload_crc = 0;
	c->upload_crc = (uint32_t)crc32_z(c->upload_crc, (const Bytef *)c->request.body.p,
					  c->request.body.n);
}

static void send_message(struct storm *s, struct storm_conn *k, struct storm_client *c)
{
	ccm_build(&s->builder, &c->item, &c->request);
	note_sums(c);
	k->client = c;
	c->sent_us = http_client_now_us();
	if (c->item.step == 0) {
		c->sent++;
		s->count.sent++;
		s->count.retried += c->sent > 1 && !c->is_twice;
		if (c->sent == 1)
			c->first_us = c->sent_us;
	}
	s->count.bytes += c->request.head.n + c->request.body.n;
	http_client_send(k->http, c->request.head, c->request.body, s->opt.timeout_ms);
}

/* Minutes to wait after the first, second, third and any further failure. */
static int64_t ladder_us(const struct storm *s, uint32_t failures)
{
	static const int64_t minutes[] = {1, 5, 30, 60};

	return minutes[failures > 4 ? 3 : failures - 1] * s->opt.retry_minute_ms * 1000;
}

static void fail_message(struct storm *s, struct storm_client *c)
{
	int64_t now = http_client_now_us();

	c->item.step = 0;
	if (s->is_stopped)
		return;
	if (now - c->first_us > s->opt.give_up_ms * 1000) {
		s->count.gave_up++;
		storm_journal_put(s, c->is_twice ? 'V' : 'U', c, slice_make(NULL, 0));
		c->is_open = false;
		make_ready(s, c);
		return;
	}
	/* A few percent apart, as clients are, or all would come back at once. */
	c->due_us = now + ladder_us(s, c->sent) * (int64_t)(95 + c->item.client % 11) / 100;
	STAILQ_INSERT_TAIL(&s->waiting, c, link);
}

static void finish_message(struct storm *s, struct storm_client *c, struct slice reply)
{
	uint64_t h = ccm_hash(s->opt.seed ^ SALT_TWICE, c->item.client, c->item.serial);

	storm_journal_put(s, c->is_twice ? 'D' : 'A', c, reply);
	if (c->is_twice)
		s->fresh_twice++;
	else
		s->fresh[c->item.kind]++;
	if (c->item.kind == CCM_RULE && !c->is_twice && h % 100 < s->opt.twice_percent) {
		c->is_twice = true;
		STAILQ_INSERT_TAIL(&s->ready, c, link);
		return;
	}
	c->is_open = false;
	make_ready(s, c);
}

static void count_error(struct storm *s, int rc)
{
	switch (rc) {
	case -ECONNREFUSED:
		s->count.refused_connections++;
		break;
	case -ETIMEDOUT:
		s->count.timeouts++;
		break;
	case -EPROTO:
		s->count.protocol_errors++;
		break;
	default:
		s->count.resets++;
		break;
	}
}

static void note_damage(struct storm *s, const struct storm_client *c, const char *why)
{
	if (s->damage[0] == '\0')
		snprintf(s->damage, sizeof(s->damage), "%s %s: %s", ccm_kind_name(c->item.kind),
			 c->request.id, why);
}

static enum storm_verdict judge(struct storm *s, struct storm_client *c, int rc,
				const struct http_msg *reply)
{
	enum storm_verdict v;
	const char *why;

	if (rc < 0) {
		count_error(s, rc);
		return STORM_REFUSED;
	}
	v = storm_check(c, reply, &why);
	s->count.verdict[v]++;
	if (v == STORM_DAMAGED)
		note_damage(s, c, why);
	return v;
}

static void on_reply(struct http_client *h, void *arg, int rc, struct http_msg *reply)
{
	struct storm_conn *k = arg;
	struct storm *s = k->storm;
	struct storm_client *c = k->client;
	enum ccm_kind kind = c->item.kind;
	enum storm_verdict v = judge(s, c, rc, reply);
	int64_t now = http_client_now_us();

	s->last_us = now;
	if (v == STORM_NEXT_STEP) {
		c->item.step++;
		send_message(s, k, c);
		return;
	}
	if (v == STORM_DONE) {
		storm_times_add(kind == CCM_POLICY ? &s->policy_times : &s->times,
				now - (c->sent == 1 ? c->arrival_us : c->sent_us));
		finish_message(s, c, reply->body);
	} else {
		fail_message(s, c);
	}
	/* What was logged on belongs to that client alone. */
	if (kind == CCM_AUTH)
		http_client_drop(h);
	k->client = NULL;
	SLIST_INSERT_HEAD(&s->idle, k, link);
	storm_pump(s);
}

/* May another message be sent now, and when was it due? */
static bool next_arrival(struct storm *s, int64_t now, int64_t *arrival)
{
	*arrival = now;
	if (s->opt.rate == 0)
		return true;
	*arrival = s->start_us + (int64_t)(s->arrivals * 1000000 / s->opt.rate);
	return *arrival <= now;
}

void storm_pump(struct storm *s)
{
	struct storm_client *c;
	struct storm_conn *k;
	int64_t now = http_client_now_us(), arrival;

	while (!s->is_stopped && !SLIST_EMPTY(&s->idle) && !STAILQ_EMPTY(&s->ready)) {
		if (!next_arrival(s, now, &arrival))
			return;
		s->arrivals++;
		c = STAILQ_FIRST(&s->ready);
		STAILQ_REMOVE_HEAD(&s->ready, link);
		k = SLIST_FIRST(&s->idle);
		SLIST_REMOVE_HEAD(&s->idle, link);
		c->arrival_us = arrival;
		send_message(s, k, c);
	}
}

static void on_probe(struct http_client *h, void *arg, int rc, struct http_msg *reply)
{
	struct storm_conn *k = arg;
	int64_t now = http_client_now_us();

	(void)h;
	if (judge(k->storm, k->client, rc, reply) == STORM_DONE)
		k->storm->fresh[CCM_PROBE]++;
	/* One that failed has kept somebody waiting as well. */
	storm_times_add(&k->storm->policy_times, now - k->client->sent_us);
}

static void probe(struct storm *s, int64_t now)
{
	struct storm_client *c = &s->probe_client;

	if (s->opt.probe_ms == 0 || !http_client_is_idle(s->probe.http) ||
	    now < c->sent_us + s->opt.probe_ms * 1000)
		return;
	open_message(c, CCM_PROBE, 0);
	send_message(s, &s->probe, c);
}

void storm_tick(struct storm *s)
{
	int64_t now = http_client_now_us();
	struct storm_queue due = STAILQ_HEAD_INITIALIZER(due);
	struct storm_client *c;

	STAILQ_CONCAT(&due, &s->waiting);
	while ((c = STAILQ_FIRST(&due))) {
		STAILQ_REMOVE_HEAD(&due, link);
		if (c->due_us <= now)
			STAILQ_INSERT_TAIL(&s->ready, c, link);
		else
			STAILQ_INSERT_TAIL(&s->waiting, c, link);
	}
	for (uint32_t i = 0; i < s->opt.connections; i++)
		http_client_tick(s->conns[i].http);
	http_client_tick(s->probe.http);
	probe(s, now);
	storm_pump(s);
}

static void open_connection(struct storm *s, struct storm_conn *k, http_client_fn *done)
{
	k->storm = s;
	k->http =
		http_client_new(s->base, (struct sockaddr *)&s->target.ss, s->target.len, done, k);
	CHECK(k->http);
}

void storm_clients_start(struct storm *s)
{
	s->clients = calloc(s->opt.clients, sizeof(*s->clients));
	s->conns = calloc(s->opt.connections, sizeof(*s->conns));
	CHECK(s->clients && s->conns);
	STAILQ_INIT(&s->ready);
	STAILQ_INIT(&s->waiting);
	SLIST_INIT(&s->idle);
	s->start_us = s->last_us = http_client_now_us();
	s->next_progress_us = s->start_us + 1000000;
	for (uint32_t i = 0; i < s->opt.connections; i++) {
		open_connection(s, &s->conns[i], on_reply);
		SLIST_INSERT_HEAD(&s->idle, &s->conns[i], link);
	}
	open_connection(s, &s->probe, on_probe);
	s->probe.client = &s->probe_client;
	s->probe_client.item.client = s->opt.clients;
	for (uint32_t i = 0; i < s->opt.clients; i++) {
		s->clients[i].item.client = i;
		make_ready(s, &s->clients[i]);
	}
}

/* What was sent and never acknowledged goes into the journal too. */
void storm_clients_stop(struct storm *s)
{
	s->is_stopped = true;
	for (uint32_t i = 0; i < s->opt.clients; i++) {
		struct storm_client *c = &s->clients[i];

		if (c->is_open && c->sent > 0)
			storm_journal_put(s, c->is_twice ? 'V' : 'U', c, slice_make(NULL, 0));
	}
	storm_journal_flush(s);
	for (uint32_t i = 0; i < s->opt.connections; i++)
		http_client_free(s->conns[i].http);
	http_client_free(s->probe.http);
	free(s->conns);
	free(s->clients);
}
