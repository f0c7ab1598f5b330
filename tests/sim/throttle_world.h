/*
 * The throttle between clients and the model of the management point, on a fake clock.
 * Each test brings the arrivals; the world brings answers, retries and figures.
 */
#include "tests/sim/mp_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Not every test needs everything. */
#define MAYBE_UNUSED __attribute__((unused))
#define MS	     1000 /* microseconds */
#define SECONDS	     1000000
#define SIM_SAMPLES  400000
#define SIM_GROUPS   4
#define SIM_SPAN_S   1200 /* seconds that series reach */
#define SIM_WHEEL    (1 << 15)
#define SIM_SLOT_US  (20 * MS)
#define SIM_TIMEOUT  (10 * SECONDS)

struct msg {
	struct throttle_item item;
	struct mp_job job;
	TAILQ_ENTRY(msg) link; /* in the wheel */
	int64_t born_us;       /* first try */
	int64_t tried_us;      /* this try */
	unsigned group;	       /* whose figures it goes into */
	unsigned tries;
	double work_us;
	bool must_succeed; /* comes back after a refusal or an error */
	bool is_polite;	   /* heeds Retry-After; the others know their ladder alone */
	int64_t cut_us;	   /* in the wheel until */
};
TAILQ_HEAD(msg_list, msg);

static struct {
	struct throttle *t;
	struct conf conf;
	struct mp mp;
	int64_t now_us, tick_us;
	struct msg_list wheel[SIM_WHEEL];
	unsigned n_waiting;
	int64_t ladder_us[4];
	int64_t outage_us; /* since when the management point is away */
	bool is_direct;	   /* no throttle at all */
	/* Figures. */
	int64_t *latency_us[SIM_GROUPS]; /* from submit to the answer */
	unsigned n[SIM_GROUPS];
	uint64_t n_ok, n_errors, n_timeouts, n_refused, n_changes, n_submitted;
	unsigned served_s[SIM_SPAN_S];	/* answers in each second */
	unsigned arrived_s[SIM_SPAN_S]; /* what reached the management point */
	unsigned tried_s[SIM_SPAN_S];	/* what reached the throttle */
	double limit_s[SIM_SPAN_S];	/* concurrency limit, mean of each second */
	unsigned limit_low, limit_high;
	double rate_low, rate_high;
	char files_reason[THROTTLE_REASON]; /* the last one that names STAT.BOX */
	bool is_loud;
} sim;

static void sim_answered(struct msg *m, enum throttle_outcome outcome);
static void sim_try(struct msg *m);

static unsigned sim_second(void)
{
	unsigned s = (unsigned)(sim.now_us / SECONDS);

	assert_true(s < SIM_SPAN_S);
	return s;
}

static struct msg *sim_msg_of(struct throttle_item *item)
{
	return (struct msg *)(void *)item;
}

static void sim_wait(struct msg *m, int64_t us)
{
	int64_t at = sim.now_us + us;

	assert_true(us < (int64_t)SIM_WHEEL * SIM_SLOT_US);
	m->cut_us = at;
	TAILQ_INSERT_TAIL(&sim.wheel[at / SIM_SLOT_US % SIM_WHEEL], m, link);
	sim.n_waiting++;
}

static void sim_again(struct msg *m, unsigned retry_after_s)
{
	int64_t us = sim.ladder_us[m->tries < 4 ? m->tries : 3];

	m->tries++;
	if (!m->must_succeed) {
		free(m);
		return;
	}
	if (m->is_polite && retry_after_s > 0)
		us = (int64_t)retry_after_s * SECONDS;
	sim_wait(m, us);
}

static void sim_go(void *arg, struct throttle_item *item, int64_t now_us)
{
	struct msg *m = sim_msg_of(item);

	(void)arg;
	(void)now_us;
	sim.arrived_s[sim_second()]++;
	if (!mp_start(&sim.mp, &m->job, m->work_us, item->cls == THROTTLE_STATUS, sim.now_us))
		sim_answered(m, sim.mp.is_down ? THROTTLE_UNREACHABLE : THROTTLE_ERROR);
}

static void sim_refuse(void *arg, struct throttle_item *item, unsigned retry_after_s,
		       int64_t now_us)
{
	(void)arg;
	(void)now_us;
	assert_true(retry_after_s >= 1);
	sim.n_refused++;
	sim_again(sim_msg_of(item), retry_after_s);
}

static void sim_changed(void *arg, const struct throttle_change *change)
{
	(void)arg;
	if (sim.is_loud)
		printf("%7.2f %s\n", (double)sim.now_us / SECONDS, change->reason);
	assert_true(change->from != change->to);
	sim.n_changes++;
	if (change->what == THROTTLE_STATUS_RATE)
		(void)snprintf(sim.files_reason, sizeof(sim.files_reason), "%s", change->reason);
}

static void sim_answered(struct msg *m, enum throttle_outcome outcome)
{
	if (!sim.is_direct)
		throttle_done(sim.t, &m->item, sim.now_us, sim.now_us - m->job.started_us, outcome);
	if (outcome != THROTTLE_OK) {
		sim.n_errors += outcome == THROTTLE_ERROR || outcome == THROTTLE_UNREACHABLE;
		sim.n_timeouts += outcome == THROTTLE_TIMEOUT;
		sim_again(m, 0);
		return;
	}
	sim.n_ok++;
	sim.served_s[sim_second()]++;
	assert_true(sim.n[m->group] < SIM_SAMPLES);
	sim.latency_us[m->group][sim.n[m->group]++] = sim.now_us - m->born_us;
	free(m);
}

static void sim_try(struct msg *m)
{
	unsigned retry_after_s = 0;

	m->tried_us = sim.now_us;
	sim.n_submitted++;
	sim.tried_s[sim_second()]++;
	if (sim.is_direct) {
		sim_go(NULL, &m->item, sim.now_us);
		return;
	}
	switch (throttle_submit(sim.t, &m->item, sim.now_us, &retry_after_s)) {
	case THROTTLE_GO:
		sim_go(NULL, &m->item, sim.now_us);
		break;
	case THROTTLE_HELD:
		break;
	case THROTTLE_REFUSED:
		sim_refuse(NULL, &m->item, retry_after_s, sim.now_us);
		break;
	}
}

/* A keyed hash of a client's number. */
static uint64_t sim_hash(uint64_t v)
{
	v = (v + 1) * 0x9e3779b97f4a7c15u;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
	v = (v ^ v >> 27) * 0x94d049bb133111ebu;
	return v ^ v >> 31;
}

static struct msg *sim_msg(enum throttle_class cls, unsigned client, unsigned group)
{
	struct msg *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->item.cls = cls;
	m->item.client = sim_hash(client);
	m->item.bytes = 3000;
	m->born_us = sim.now_us;
	m->group = group;
	m->work_us = cls == THROTTLE_POLICY ? 10000 : MP_WORK_US;
	m->is_polite = true;
	return m;
}

MAYBE_UNUSED static void sim_send(enum throttle_class cls, unsigned client, unsigned group)
{
	sim_try(sim_msg(cls, client, group));
}

/* How many of a Poisson stream of rate a second come in this millisecond. */
static unsigned sim_arrivals(double rate)
{
	unsigned n = 0;
	double left = rate / 1000 - mp_exponential(&sim.mp);

	for (; left > 0; left -= mp_exponential(&sim.mp))
		n++;
	return n;
}

static void sim_start(uint64_t seed)
{
	const struct throttle_calls calls = {sim_go, sim_refuse, sim_changed, NULL};

	memset(&sim, 0, sizeof(sim));
	assert_int_equal(conf_init(&sim.conf), 0);
	sim.conf.throttle_status_queue = 30000;
	sim.conf.throttle_status_queue_age_ms = 300000;
	sim.conf.throttle_retry_max_ms = 300000;
	sim.now_us = SECONDS;
	mp_init(&sim.mp, seed);
	for (unsigned i = 0; i < SIM_WHEEL; i++)
		TAILQ_INIT(&sim.wheel[i]);
	for (unsigned g = 0; g < SIM_GROUPS; g++)
		sim.latency_us[g] = calloc(SIM_SAMPLES, sizeof(int64_t));
	for (unsigned i = 0; i < 4; i++)
		sim.ladder_us[i] = 5 * SECONDS;
	sim.is_loud = getenv("SIM_LOUD") != NULL;
	assert_int_equal(throttle_new(&sim.t, &sim.conf, &calls), 0);
	sim.limit_low = UINT32_MAX;
}

/* After settings were changed. */
MAYBE_UNUSED static void sim_configure(void)
{
	assert_int_equal(throttle_set_conf(sim.t, &sim.conf, sim.now_us), 0);
}

static void sim_stop(void)
{
	struct mp_job *j;

	while ((j = TAILQ_FIRST(&sim.mp.jobs)) != NULL) {
		mp_remove(&sim.mp, j);
		free((char *)j - offsetof(struct msg, job));
	}
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		struct queue *q = &sim.t->kinds[c].queue;
		struct throttle_item *item;

		while ((item = TAILQ_FIRST(&q->by_age)) != NULL) {
			throttle_cancel(sim.t, item);
			if (!item->is_shadow)
				free(sim_msg_of(item));
		}
	}
	for (unsigned i = 0; i < SIM_WHEEL; i++) {
		struct msg *m;

		while ((m = TAILQ_FIRST(&sim.wheel[i])) != NULL) {
			TAILQ_REMOVE(&sim.wheel[i], m, link);
			free(m);
		}
	}
	for (unsigned g = 0; g < SIM_GROUPS; g++)
		free(sim.latency_us[g]);
	throttle_free(sim.t);
	conf_fini(&sim.conf);
}

static void sim_answers(void)
{
	struct mp_jobs done = TAILQ_HEAD_INITIALIZER(done);
	struct mp_job *j;

	mp_step(&sim.mp, MS, &done);
	while ((j = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, j, mp_link);
		sim_answered((struct msg *)(void *)((char *)j - offsetof(struct msg, job)),
			     THROTTLE_OK);
	}
	/* In order of their beginning, but for the rare late one. */
	while ((j = TAILQ_FIRST(&sim.mp.jobs)) != NULL &&
	       sim.now_us - j->started_us >= SIM_TIMEOUT) {
		mp_remove(&sim.mp, j);
		sim_answered((struct msg *)(void *)((char *)j - offsetof(struct msg, job)),
			     THROTTLE_TIMEOUT);
	}
}

static void sim_returns(void)
{
	struct msg_list *slot = &sim.wheel[sim.now_us / SIM_SLOT_US % SIM_WHEEL];
	struct msg *m = TAILQ_FIRST(slot);

	while (m != NULL) {
		struct msg *next = TAILQ_NEXT(m, link);

		if (m->cut_us <= sim.now_us) {
			TAILQ_REMOVE(slot, m, link);
			sim.n_waiting--;
			sim_try(m);
		}
		m = next;
	}
}

static void sim_watch(void)
{
	struct throttle_totals totals;

	throttle_totals(sim.t, &totals);
	if (totals.concurrency_limit < sim.limit_low)
		sim.limit_low = totals.concurrency_limit;
	if (totals.concurrency_limit > sim.limit_high)
		sim.limit_high = totals.concurrency_limit;
	if (sim.rate_high == 0 || totals.rate_limit < sim.rate_low)
		sim.rate_low = totals.rate_limit;
	if (totals.rate_limit > sim.rate_high)
		sim.rate_high = totals.rate_limit;
}

/* From now on lows and highs count anew. */
MAYBE_UNUSED static void sim_watch_anew(void)
{
	sim.limit_low = UINT32_MAX;
	sim.limit_high = 0;
	sim.rate_high = 0;
	sim.n_changes = 0;
}

/* Turn the clock; each(arg) brings what arrives in one millisecond. */
static void sim_run(double seconds, void (*each)(void *arg), void *arg)
{
	int64_t end_us = sim.now_us + (int64_t)(seconds * SECONDS);

	while (sim.now_us < end_us) {
		int wait_ms;

		if (each != NULL)
			each(arg);
		sim_returns();
		sim_answers();
		sim.limit_s[sim_second()] += sim.t->limiter.applied / 1000.0;
		sim.now_us += MS;
		wait_ms = sim.is_direct ? 100 : throttle_next_ms(sim.t, sim.now_us);
		if (wait_ms >= 0 && sim.now_us + (int64_t)wait_ms * MS < sim.tick_us)
			sim.tick_us = sim.now_us + (int64_t)wait_ms * MS;
		if (sim.now_us >= sim.tick_us) {
			throttle_tick(sim.t, sim.now_us);
			wait_ms = throttle_next_ms(sim.t, sim.now_us);
			sim.tick_us = sim.now_us + (wait_ms < 0 ? 1000 : wait_ms) * MS;
			sim_watch();
		}
	}
}

MAYBE_UNUSED static int sim_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Percentile of a group's latencies in ms. Sorts them. */
MAYBE_UNUSED static double sim_percentile(unsigned group, double share)
{
	unsigned n = sim.n[group];

	assert_true(n > 0);
	qsort(sim.latency_us[group], n, sizeof(int64_t), sim_compare);
	return (double)sim.latency_us[group][(unsigned)(share * (n - 1))] / MS;
}

MAYBE_UNUSED static void sim_forget_latencies(void)
{
	memset(sim.n, 0, sizeof(sim.n));
}

/* Answers a second from one second to before another. */
MAYBE_UNUSED static double sim_mean(const unsigned *series, unsigned from, unsigned to)
{
	double sum = 0;

	for (unsigned s = from; s < to; s++)
		sum += series[s];
	return sum / (to - from);
}

MAYBE_UNUSED static unsigned sim_peak(const unsigned *series, unsigned from, unsigned to)
{
	unsigned most = 0;

	for (unsigned s = from; s < to; s++)
		if (series[s] > most)
			most = series[s];
	return most;
}

/* Whole seconds so far. */
MAYBE_UNUSED static unsigned sim_seconds(void)
{
	return (unsigned)(sim.now_us / SECONDS);
}

MAYBE_UNUSED static struct throttle_figures sim_figures(enum throttle_class c)
{
	struct throttle_figures f;

	throttle_figures(sim.t, c, sim.now_us, &f);
	return f;
}

/* An endless stream: rate a second of one class from so many clients. */
struct stream_of {
	double rate;
	enum throttle_class cls;
	unsigned clients, group;
	bool must_succeed;
};

MAYBE_UNUSED static void sim_stream(void *arg)
{
	const struct stream_of *s = arg;

	for (unsigned n = sim_arrivals(s->rate); n > 0; n--) {
		struct msg *m =
			sim_msg(s->cls, (unsigned)(mp_random(&sim.mp) * s->clients), s->group);

		m->must_succeed = s->must_succeed;
		sim_try(m);
	}
}
