/*
 * A world for the flusher: up to three workers over one model of the store, and a
 * management point that acknowledges, loses, refuses or is not there. Included by tests.
 */
#include "tests/sim/fake_clock.c"
#include "tests/sim/fake_store.c"

#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/flush/flush_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum mp_mood {
	MP_ACKS,
	MP_LOSES,   /* takes it, the answer is lost */
	MP_WRONG,   /* takes it, the reply is not the one that was learned */
	MP_EMPTY,   /* 200 without a body: its way of saying no */
	MP_FAILS,   /* 500 */
	MP_IS_DOWN, /* nobody there */
};

struct sim_post {
	TAILQ_ENTRY(sim_post) link;
	unsigned node, life; /* who sent it, in which of its lives */
	char id[64];
	char *bytes;
	size_t n;
	int64_t due_ms;
	enum mp_mood mood;
	flush_posted_fn *done;
	void *done_arg;
};

struct sim_part {
	char id[64], window[39], client[64];
	unsigned part, n_parts, messages, n_seen, n_posted;
	uint64_t digest; /* of the bytes */
	bool has_number; /* a rule stands by its number for want of its name */
	int64_t first_post_ms;
};

struct node {
	struct store *store;
	struct flush *flush;
	struct flush_env env;
	unsigned number, life;
	bool is_frozen, may_post;
	char owner[32];
	unsigned n_posting, most_posting, most_claims;
};

enum {
	SIM_PARTS = 16384,
	SIM_NODES = 3
};

static struct sim {
	struct fake_model m;
	struct conf conf;
	struct summary_identity who;
	struct node node[SIM_NODES];
	TAILQ_HEAD(, sim_post) posts;
	enum mp_mood mood;
	unsigned mood_times; /* then MP_ACKS; 0: for ever */
	char only[64];	     /* the mood is for posts with this text alone */
	int64_t mp_delay_ms;
	unsigned deaf; /* one more than the node that the receiver is down for */
	struct sim_part *parts;
	unsigned n_parts, n_posts;
	int64_t post_ms[256]; /* when the first ones came */
	struct metrics metrics;
} w;

/* The bytes without their zeros: UTF-16LE of ASCII becomes ASCII. */
static void squeeze(const struct sim_post *p, char *out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n && n + 1 < room; i++)
		if (p->bytes[i] != '\0')
			out[n++] = p->bytes[i];
	out[n] = '\0';
}

static const char *after(const char *text, const char *mark)
{
	const char *at = strstr(text, mark);

	return at != NULL ? at + strlen(mark) : "";
}

static struct sim_part *part_get(const struct sim_post *p)
{
	static const struct siphash_key key = {5, 6};
	uint64_t digest = siphash(&key, slice_make(p->bytes, p->n));
	static char text[65536];
	struct sim_part *k;

	for (unsigned i = 0; i < w.n_parts; i++) {
		if (strcmp(w.parts[i].id, p->id) != 0)
			continue;
		/* One ID, one message: whoever sends it, however often. */
		assert_true(w.parts[i].digest == digest);
		return &w.parts[i];
	}
	assert_true(w.n_parts < SIM_PARTS);
	k = &w.parts[w.n_parts++];
	memset(k, 0, sizeof(*k));
	squeeze(p, text, sizeof(text));
	snprintf(k->id, sizeof(k->id), "%s", p->id);
	snprintf(k->window, sizeof(k->window), "%s", after(text, "InsertionString1\">"));
	(void)sscanf(after(text, "InsertionString1\">") + 38, " %u/%u", &k->part, &k->n_parts);
	(void)sscanf(after(text, "messages="), "%u", &k->messages);
	(void)sscanf(after(text, "Attribute408\">"), "%63[^<]", k->client);
	k->digest = digest;
	k->has_number = strstr(after(text, "InsertionString5\">"), "#") != NULL;
	k->first_post_ms = clock_mono_ms();
	return k;
}

static bool is_chosen(const struct sim_post *p)
{
	static char text[65536];

	if (w.only[0] == '\0')
		return true;
	squeeze(p, text, sizeof(text));
	return strstr(text, w.only) != NULL;
}

static int sim_post(void *arg, struct slice request, const char *id, flush_posted_fn *done,
		    void *done_arg)
{
	struct node *n = arg;
	struct sim_post *p = calloc(1, sizeof(*p));

	p->node = n->number;
	p->life = n->life;
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->bytes = malloc(request.n);
	memcpy(p->bytes, request.p, request.n);
	p->n = request.n;
	p->due_ms = clock_mono_ms() + w.mp_delay_ms;
	p->done = done;
	p->done_arg = done_arg;
	p->mood = n->number + 1 == w.deaf ? MP_IS_DOWN : is_chosen(p) ? w.mood : MP_ACKS;
	if (p->mood != MP_ACKS && w.mood_times > 0 && --w.mood_times == 0)
		w.mood = MP_ACKS;
	part_get(p)->n_posted++;
	if (w.n_posts < 256)
		w.post_ms[w.n_posts] = clock_mono_ms();
	w.n_posts++;
	if (++n->n_posting > n->most_posting)
		n->most_posting = n->n_posting;
	TAILQ_INSERT_TAIL(&w.posts, p, link);
	return 0;
}

static bool sim_may_post(void *arg)
{
	return ((struct node *)arg)->may_post;
}

static bool mp_run(void)
{
	struct sim_post *p, *next;
	bool did = false;

	for (p = TAILQ_FIRST(&w.posts); p != NULL; p = next) {
		struct node *n = &w.node[p->node];
		bool is_gone = p->life != n->life;

		next = TAILQ_NEXT(p, link);
		if (clock_mono_ms() < p->due_ms || (!is_gone && n->is_frozen))
			continue;
		TAILQ_REMOVE(&w.posts, p, link);
		if (p->mood <= MP_WRONG)
			part_get(p)->n_seen++;
		if (!is_gone) {
			n->n_posting--;
			p->done(p->done_arg, p->mood == MP_ACKS, "simulated");
		}
		free(p->bytes);
		free(p);
		did = true;
		next = TAILQ_FIRST(&w.posts);
	}
	return did;
}

static void node_start(unsigned number)
{
	struct node *n = &w.node[number];

	/* What is there at the start has been there for an interval: it is due. */
	if (w.node[0].life + w.node[1].life + w.node[2].life == 0)
		fake_clock_advance(w.conf.interval_ms + 1000);
	n->number = number;
	n->life++;
	n->is_frozen = false;
	n->may_post = true;
	n->n_posting = 0;
	snprintf(n->owner, sizeof(n->owner), "worker%u-%u", number, n->life);
	n->store = fake_store_new(&w.m);
	n->env = (struct flush_env){.arg = n, .post = sim_post, .may_post = sim_may_post};
	assert_int_equal(flush_open(&n->flush, n->store, &w.conf, &w.who, &n->env, n->owner), 0);
}

/* kill -9: nothing is answered any more; with is_done Redis still does what it was sent. */
static void node_kill(unsigned number, bool is_done)
{
	struct node *n = &w.node[number];

	fake_store_kill(n->store, is_done);
	flush_close(n->flush);
	n->store = NULL;
	n->flush = NULL;
	n->life++;
}

static void sim_setup(unsigned n_shards)
{
	memset(&w, 0, sizeof(w));
	metrics_use(&w.metrics);
	log_threshold = LOG_ERROR;
	fake_model_init(&w.m, n_shards);
	assert_int_equal(conf_init(&w.conf), 0);
	w.conf.settle_wait_ms = 0; /* its own tests set it */
	w.conf.interval_ms = 60000;
	w.who = (struct summary_identity){
		.nonce = "",
		.source_id = "GUID:11111111-2222-3333-4444-555555555555",
		.machine_name = "WEIR1",
		.site_code = "ABC",
		.target_host = "mp1",
	};
	w.mp_delay_ms = 20;
	w.parts = calloc(SIM_PARTS, sizeof(*w.parts));
	TAILQ_INIT(&w.posts);
}

static void sim_teardown(void)
{
	struct sim_post *p;

	for (unsigned i = 0; i < SIM_NODES; i++)
		if (w.node[i].flush != NULL)
			node_kill(i, false);
	while ((p = TAILQ_FIRST(&w.posts)) != NULL) {
		TAILQ_REMOVE(&w.posts, p, link);
		free(p->bytes);
		free(p);
	}
	conf_fini(&w.conf);
	fake_model_fini(&w.m);
	free(w.parts);
}

static void node_turn(struct node *n)
{
	if (n->flush == NULL || n->is_frozen)
		return;
	fake_store_run(n->store);
	if (n->flush->n_claims > n->most_claims)
		n->most_claims = n->flush->n_claims;
}

/* Let ms pass in steps: each a tick, with all answers that are due between two ticks. */
static void sim_run_by(int64_t ms, int64_t step_ms)
{
	for (int64_t t = 0; t < ms; t += step_ms) {
		for (int64_t inner = 0; inner < 5; inner++) {
			fake_clock_advance(step_ms / 5);
			for (unsigned pass = 0; pass < 8; pass++) {
				mp_run();
				for (unsigned i = 0; i < SIM_NODES; i++)
					node_turn(&w.node[i]);
			}
		}
		for (unsigned i = 0; i < SIM_NODES; i++)
			if (w.node[i].flush != NULL && !w.node[i].is_frozen)
				flush_tick(w.node[i].flush);
	}
}

static void sim_run(int64_t ms)
{
	sim_run_by(ms, 100);
}

static void sim_add(const char *client, unsigned first_rule, unsigned n_rules)
{
	char rule[16];

	/* Every other number: neighbours would be one range and take no room in a summary. */
	for (unsigned i = 0; i < n_rules; i++) {
		snprintf(rule, sizeof(rule), "ABC%05u", 2 * (first_rule + i));
		fake_model_add(&w.m, client, rule, NULL);
	}
}

/* n clients "C0".. with two messages each. */
static void sim_add_clients(unsigned n)
{
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "C%u", i);
		sim_add(name, i % 7, 2);
	}
}

/* Messages in summaries of which the receiver has every part, each window once. */
static uint64_t mp_counted(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w.n_parts; i++) {
		unsigned have = 0;

		if (w.parts[i].part != 1)
			continue;
		for (unsigned j = 0; j < w.n_parts; j++)
			have += w.parts[j].n_seen > 0 &&
				strcmp(w.parts[i].window, w.parts[j].window) == 0;
		n += have == w.parts[i].n_parts ? w.parts[i].messages : 0;
	}
	return n;
}

/* Whatever happened, now or earlier: no message is lost or in two summaries. */
static void assert_books(void)
{
	uint64_t added = fake_model_added(&w.m);

	assert_int_equal(added, fake_model_settled(&w.m) + fake_model_pending(&w.m));
	assert_true(mp_counted() >= fake_model_settled(&w.m));
	assert_true(mp_counted() <= added);
	/* What all of them together say that they settled. */
	assert_true((uint64_t)w.metrics.v[M_SUM_MESSAGES] <= fake_model_settled(&w.m));
}

/* All of it has arrived, once. */
static void assert_all_delivered(void)
{
	assert_books();
	assert_int_equal(fake_model_pending(&w.m), 0);
	assert_int_equal(mp_counted(), fake_model_added(&w.m));
}
