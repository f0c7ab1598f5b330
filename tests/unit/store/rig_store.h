/*
 * A store, messages that tell what became of them, and calls that wait for their answer,
 * against a private Redis. For the tests of the asynchronous interface.
 */
#ifndef STATWEIR_TESTS_STORE_RIG_STORE_H
#define STATWEIR_TESTS_STORE_RIG_STORE_H

#include "proxy/base/metrics.h"
#include "tests/unit/store/rig.h"
#include "tests/unit/store/rig_clock.h"

#include <hiredis/hiredis.h>
#include <signal.h>

static struct conf conf;
static struct embedded *redis;
static struct rig rig;
static unsigned n_prefixes;

/* --- a message that tells what became of it ----------------------------------------- */

struct message {
	struct record r; /* first: a record is its message */
	char client[32], rule[32];
	unsigned n_answers;
	enum store_rc rc;
};

static bool is_inside; /* of a call that must not answer */
static unsigned n_answered, n_ok, n_refused, n_unknown;

static inline void on_done(struct record *r, enum store_rc rc)
{
	struct message *m = (struct message *)r;

	assert_false(is_inside);
	m->n_answers++;
	m->rc = rc;
	n_answered++;
	n_ok += rc == STORE_OK;
	n_refused += rc == STORE_REFUSED;
	n_unknown += rc == STORE_UNKNOWN;
}

static inline void fill(struct message *m, unsigned client, unsigned rule, uint64_t id)
{
	*m = (struct message){0};
	snprintf(m->client, sizeof(m->client), "GUID:%06u", client);
	snprintf(m->rule, sizeof(m->rule), "RULE%04u", rule);
	m->r.client = slice_str(m->client);
	m->r.rule = slice_str(m->rule);
	m->r.digest = id;
	m->r.at_ms = clock_wall_ms();
	m->r.done = on_done;
}

static inline void add(struct message *m, unsigned client, unsigned rule, uint64_t id)
{
	fill(m, client, rule, id);
	is_inside = true;
	store_add(rig.s, &m->r);
	is_inside = false;
}

static inline void commit(void)
{
	is_inside = true;
	store_commit(rig.s);
	is_inside = false;
}

static inline enum store_rc record_one(unsigned client, unsigned rule, uint64_t id)
{
	static struct message m;

	add(&m, client, rule, id);
	commit();
	RIG_UNTIL(&rig, m.n_answers > 0);
	return m.rc;
}

/* --- answers of the other calls ----------------------------------------------------- */

static struct {
	bool has_come;
	enum store_rc rc;
	int64_t n;
	struct audit audit;
	int64_t sealed_ms; /* of the first claim */
	char text[4096];
} answer;

static inline void on_number(void *arg, enum store_rc rc, int64_t n)
{
	(void)arg;
	assert_false(is_inside);
	answer.has_come = true;
	answer.rc = rc;
	answer.n = n;
}

static inline void on_audit(void *arg, enum store_rc rc, const struct audit *a)
{
	on_number(arg, rc, 0);
	if (a != NULL)
		answer.audit = *a;
}

static inline void on_names(void *arg, enum store_rc rc, const struct slice *v, unsigned n)
{
	size_t at = 0;

	on_number(arg, rc, n);
	answer.text[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(answer.text + at, sizeof(answer.text) - at, "%.*s ",
				       SLICE_ARG(v[i]));
}

static inline void on_claims(void *arg, enum store_rc rc, const struct claim *v, unsigned n)
{
	size_t at = 0;

	on_number(arg, rc, n);
	answer.text[0] = '\0';
	if (n > 0)
		answer.sealed_ms = v[0].sealed_ms;
	for (unsigned i = 0; i < n && i < 20; i++)
		at += (size_t)snprintf(answer.text + at, sizeof(answer.text) - at,
				       "%.*s seq=%llu n=%llu extra=%.*s raw=%.8s bits=%zu ",
				       SLICE_ARG(v[i].client), (unsigned long long)v[i].seq,
				       (unsigned long long)v[i].count, SLICE_ARG(v[i].extra),
				       v[i].raw.p, v[i].bits.n);
}

/* Make a call, which must not answer from inside, and wait for its answer. */
#define ASK(call)                                 \
	do {                                      \
		answer.has_come = false;          \
		is_inside = true;                 \
		call;                             \
		is_inside = false;                \
		RIG_UNTIL(&rig, answer.has_come); \
	} while (0)

static inline struct audit audit_all(void)
{
	struct audit sum = {0};

	for (unsigned k = 0; k < store_n_shards(rig.s); k++) {
		ASK(store_audit(rig.s, k, on_audit, NULL));
		assert_int_equal(answer.rc, STORE_OK);
		sum.absorbed += answer.audit.absorbed;
		sum.sealed += answer.audit.sealed;
		sum.settled += answer.audit.settled;
		sum.pending_open += answer.audit.pending_open;
		sum.pending_outbox += answer.audit.pending_outbox;
		sum.clients += answer.audit.clients;
		sum.rules += answer.audit.rules;
	}
	return sum;
}

/* --- fixtures ----------------------------------------------------------------------- */

/* Redis's answer to a command that the test itself gives. */
static inline void command(const char *words)
{
	char path[300];
	redisContext *c;
	redisReply *r;

	embedded_socket_path(&conf, path, sizeof(path));
	c = redisConnectUnix(path);
	assert_int_equal(c->err, 0);
	r = redisCommand(c, words);
	if (r == NULL || r->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", words, r != NULL ? r->str : c->errstr);
	freeReplyObject(r);
	redisFree(c);
}

static inline int start(void **state)
{
	(void)state;
	rig_conf(&conf);
	rig_set(&conf, "redis.durability", "redis");
	log_threshold = LOG_ERROR;
	/* As statweir does: a broken connection is an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	redis = rig_redis(&conf);
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	embedded_stop(redis);
	rig_conf_fini(&conf);
	return 0;
}

/* A store with keys of its own, so that no test sees another's. */
static inline int setup(void **state)
{
	char prefix[32];

	(void)state;
	command("CONFIG SET maxmemory 0");
	command("FLUSHALL");
	snprintf(prefix, sizeof(prefix), "t%u", n_prefixes++);
	rig_set(&conf, "redis.prefix", prefix);
	rig_set(&conf, "redis.durability", "redis");
	rig_set(&conf, "redis.shards", "4");
	rig.conf = conf;
	n_answered = n_ok = n_refused = n_unknown = 0;
	rig_open_store(&rig);
	rig_wait_ready(&rig);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	rig_close_store(&rig);
	return 0;
}

static inline void reopen(void)
{
	rig_close_store(&rig);
	rig.conf = conf;
	rig_open_store(&rig);
}

static inline void expect_state(const char *words)
{
	RIG_UNTIL(&rig, strstr(store_state(rig.s), words) != NULL);
	assert_false(store_is_ready(rig.s));
}

#endif
