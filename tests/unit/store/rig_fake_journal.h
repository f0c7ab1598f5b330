/* A store with a journal against the scripted Redis. */
#ifndef STATWEIR_TESTS_STORE_RIG_FAKE_JOURNAL_H
#define STATWEIR_TESTS_STORE_RIG_FAKE_JOURNAL_H

#include "tests/unit/store/rig_fake.h"

#define RUN_1  "run_id:1111111111111111111111111111111111111111\r\n"
#define RUN_2  "run_id:2222222222222222222222222222222222222222\r\n"
#define REPL_1 "master_replid:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
#define REPL_2 "master_replid:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"
#define AWAY   "-LOADING Redis is loading the dataset in memory\r\n"

static inline int64_t metric(enum metric m)
{
	return metrics_self->v[m];
}

static inline int journal_setup(void **state)
{
	fake_setup(state);
	memset(metrics_self, 0, sizeof(*metrics_self));
	memset(sent, 0, sizeof(sent));
	fake.info = HEALTHY RUN_1 REPL_1;
	fake.fcall = NULL;
	fake.at_ms = 0;
	rig_set(&rig.conf, "redis.durability", "journal");
	assert_int_equal(store_use_state(rig.s, 0), 0);
	return 0;
}

/* As a statweir that is started again on the same state directory. */
static inline void reopen(void)
{
	struct timeval period = {.tv_usec = 20000};

	if (rig.s != NULL)
		store_close(rig.s);
	event_free(rig.tick);
	assert_int_equal(store_open(&rig.s, rig.base, &rig.conf), 0);
	assert_int_equal(store_use_state(rig.s, 0), 0);
	rig.tick = event_new(rig.base, -1, EV_PERSIST, rig_on_tick, &rig);
	assert_int_equal(event_add(rig.tick, &period), 0);
}

static inline void wait_redis(void)
{
	rig_skip_ms(3000);
	RIG_UNTIL(&rig, store_is_redis_up(rig.s));
}

static inline void go_away(void)
{
	fake.info = AWAY;
	hang_up();
	RIG_UNTIL(&rig, !store_is_redis_up(rig.s));
}

static inline void come_back(const char *info)
{
	fake.info = info;
	rig_skip_ms(3000);
}

/* Digests from to to-1, each answered with rc. */
static inline void record_many(unsigned from, unsigned to, enum store_rc rc)
{
	for (unsigned i = from; i < to; i++)
		add(&sent[i], i);
	store_commit(rig.s);
	for (unsigned i = from; i < to; i++) {
		RIG_UNTIL(&rig, sent[i].n_answers > 0);
		if (sent[i].rc != rc || sent[i].n_answers != 1)
			fail_msg("%u: %s", i, store_rc_name(sent[i].rc));
	}
}

static inline void expect_all_replayed(unsigned n)
{
	RIG_UNTIL(&rig, fake.n_seen == n);
	RIG_UNTIL(&rig, metric(M_JOURNAL_UNAPPLIED) == 0);
}

static inline unsigned n_seen_twice(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_SENT; i++)
		n += fake.seen[i] > 1;
	return n;
}

#endif
