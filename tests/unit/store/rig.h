/* What the tests of the store share: a state directory, a private Redis, an event loop. */
#ifndef STATWEIR_TESTS_STORE_RIG_H
#define STATWEIR_TESTS_STORE_RIG_H

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/store/embedded.h"
#include "proxy/store/store.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

static inline int rig_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void rig_set(struct conf *conf, const char *setting, const char *value)
{
	struct strbuf err;

	strbuf_init(&err, 4096);
	if (conf_set(conf, setting, value, &err) < 0)
		fail_msg("%.*s", (int)err.n, err.p);
	strbuf_fini(&err);
}

/* Defaults, with a new state directory. */
static inline void rig_conf(struct conf *conf)
{
	char dir[] = "/tmp/statweir-test-XXXXXX";

	clock_refresh();
	assert_int_equal(conf_init(conf), 0);
	assert_non_null(mkdtemp(dir));
	rig_set(conf, "global.state", dir);
}

static inline void rig_conf_fini(struct conf *conf)
{
	nftw(conf->state, rig_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	conf_fini(conf);
}

static inline struct embedded *rig_redis(const struct conf *conf)
{
	struct embedded *e = NULL;
	struct strbuf err;

	strbuf_init(&err, 4096);
	if (embedded_start(&e, conf, &err) < 0)
		fail_msg("%.*s", (int)err.n, err.p);
	strbuf_fini(&err);
	return e;
}

/* A store in an event loop that ticks; the loop is the caller's to turn. */
struct rig {
	struct conf conf;
	struct embedded *redis;
	struct event_base *base;
	struct event *tick;
	struct store *s;
};

static inline void rig_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct rig *r = arg;

	(void)fd;
	(void)what;
	clock_touch();
	store_tick(r->s);
	if (r->redis != NULL)
		embedded_tick(r->redis);
}

static inline void rig_open_store(struct rig *r)
{
	struct timeval period = {.tv_usec = 20000};

	r->base = event_base_new();
	assert_non_null(r->base);
	assert_int_equal(store_open(&r->s, r->base, &r->conf), 0);
	r->tick = event_new(r->base, -1, EV_PERSIST, rig_on_tick, r);
	assert_int_equal(event_add(r->tick, &period), 0);
}

static inline void rig_turn(struct rig *r)
{
	assert_true(event_base_loop(r->base, EVLOOP_ONCE) >= 0);
	clock_touch();
	if (r->s != NULL)
		store_commit(r->s);
	clock_end_turn();
}

/* The real clock, whatever a test makes of the other. */
static inline int64_t rig_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Turn the loop until the condition holds; fails the test after 20 s. */
#define RIG_UNTIL(r, condition)                                                            \
	do {                                                                               \
		int64_t until_ = rig_now_ms() + 20000;                                     \
		while (!(condition)) {                                                     \
			if (rig_now_ms() > until_)                                         \
				fail_msg("never: %s (store: %s)", #condition,              \
					 (r)->s != NULL ? store_state((r)->s) : "closed"); \
			rig_turn(r);                                                       \
		}                                                                          \
	} while (0)

static inline void rig_wait_ready(struct rig *r)
{
	RIG_UNTIL(r, store_is_ready(r->s));
}

/* Turn the loop for so long. */
static inline void rig_run(struct rig *r, int64_t ms)
{
	int64_t until = rig_now_ms() + ms;

	while (rig_now_ms() < until)
		rig_turn(r);
}

static inline void rig_close_store(struct rig *r)
{
	if (r->s != NULL)
		store_close(r->s);
	r->s = NULL;
	event_free(r->tick);
	event_base_free(r->base);
}

#endif
