/*
 * What fuzz_conn.c links in place of the outside world: a clock that the script turns, a
 * store that answers as the script says, no flusher, no files, and a connect() that ends
 * at a peer in this process. Included once; the archive's own are then never linked.
 */
#ifndef STATWEIR_TESTS_FUZZ_CONN_FAKES_H
#define STATWEIR_TESTS_FUZZ_CONN_FAKES_H

#include "proxy/base/clock.h"
#include "proxy/base/metrics.h"
#include "proxy/base/siphash.h"
#include "proxy/core/recent.h"
#include "proxy/flush/flush.h"
#include "proxy/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- the clock; libevent's timers follow it too --- */

#define FAKE_START_US  1000000
#define FAKE_START_MS  1795342272000 /* 2026-11-22T10:11:12Z */
#define STORE_LIMIT_MS 3000

static bool fake_is_inside; /* in an execution: the fuzzer itself measures real time */
static int64_t fake_now_us = FAKE_START_US;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	bool is_mono = id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE;

	if (!fake_is_inside || !is_mono)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = (time_t)(fake_now_us / 1000000);
	ts->tv_nsec = (long)(fake_now_us % 1000000 * 1000);
	return 0;
}

void clock_refresh(void)
{
}

void clock_touch(void)
{
}

void clock_end_turn(void)
{
}

int64_t clock_mono_ms(void)
{
	return fake_now_us / 1000;
}

int64_t clock_mono_us(void)
{
	return fake_now_us;
}

int64_t clock_wall_ms(void)
{
	return FAKE_START_MS + fake_now_us / 1000;
}

const char *clock_http_date(void)
{
	return "Sun, 22 Nov 2026 10:11:12 GMT";
}

void clock_format_utc(int64_t at_ms, char *out, size_t room)
{
	snprintf(out, room, "%lld", (long long)at_ms);
}

/* --- the store --- */

STAILQ_HEAD(fake_records, record);

struct store {
	struct fake_records added, sent;
	bool is_ready;
	unsigned n_acknowledged; /* answers of ours that nobody has claimed yet */
	int64_t since_ms;	 /* of the oldest sent one */
};

static struct store fake_store;

static inline bool fake_store_answer_one(enum store_rc rc)
{
	struct record *r = STAILQ_FIRST(&fake_store.sent);

	if (r == NULL)
		return false;
	STAILQ_REMOVE_HEAD(&fake_store.sent, link);
	if (rc == STORE_OK && !r->is_seen_only) {
		metric_add(M_ABSORBED_UNIQUE, 1);
		fake_store.n_acknowledged++;
	}
	r->done(r, rc);
	return true;
}

int store_open(struct store **out, struct event_base *base, const struct conf *conf)
{
	(void)base;
	(void)conf;
	STAILQ_INIT(&fake_store.added);
	STAILQ_INIT(&fake_store.sent);
	fake_store.n_acknowledged = 0;
	*out = &fake_store;
	return 0;
}

int store_use_state(struct store *s, unsigned worker)
{
	(void)s;
	(void)worker;
	return 0;
}

bool store_is_ready(const struct store *s)
{
	return s->is_ready;
}

bool store_is_redis_up(const struct store *s)
{
	return s->is_ready;
}

const char *store_nonce(const struct store *s)
{
	(void)s;
	return "00112233445566778899aabbccddeeff";
}

uint64_t record_digest(struct slice message_id)
{
	static const struct siphash_key key = {1, 2};

	return siphash(&key, message_id);
}

void store_add(struct store *s, struct record *r)
{
	CHECK(s->is_ready);
	STAILQ_INSERT_TAIL(&s->added, r, link);
}

void store_commit(struct store *s)
{
	if (STAILQ_EMPTY(&s->sent))
		s->since_ms = clock_mono_ms();
	STAILQ_CONCAT(&s->sent, &s->added);
}

void store_poll(struct store *s)
{
	(void)s;
}

void store_tick(struct store *s)
{
	if (clock_mono_ms() - s->since_ms >= STORE_LIMIT_MS)
		while (fake_store_answer_one(STORE_UNKNOWN))
			;
}

void store_close(struct store *s)
{
	s->is_ready = false;
	store_commit(s);
	while (fake_store_answer_one(STORE_UNKNOWN))
		;
}

/* --- what is not there --- */

int flush_open(struct flush **out, struct store *store, const struct conf *conf,
	       const struct summary_identity *who, const struct flush_env *env, const char *owner)
{
	(void)store;
	(void)conf;
	(void)who;
	(void)env;
	(void)owner;
	*out = NULL;
	return 0;
}

void flush_close(struct flush *f)
{
	(void)f;
}

void flush_tick(struct flush *f)
{
	(void)f;
}

void flush_stop(struct flush *f)
{
	(void)f;
}

bool flush_is_idle(const struct flush *f)
{
	(void)f;
	return true;
}

/* --- what was sent to the store lately, of this execution alone --- */

#define FAKE_RECENT 16

struct recent {
	uint64_t keys[FAKE_RECENT];
};

static struct recent fake_recent;

struct recent *recent_open(const char *state_dir)
{
	(void)state_dir;
	return &fake_recent;
}

uint64_t recent_key(struct slice client, uint64_t digest)
{
	return record_digest(client) ^ digest;
}

void recent_put(struct recent *r, uint64_t key)
{
	r->keys[key % FAKE_RECENT] = key;
}

void recent_drop(struct recent *r, uint64_t key)
{
	if (r->keys[key % FAKE_RECENT] == key)
		r->keys[key % FAKE_RECENT] = 0;
}

bool recent_has(const struct recent *r, uint64_t key)
{
	return r->keys[key % FAKE_RECENT] == key;
}

/* --- sockets --- */

/* The other side's part; both are in fuzz_conn.c. */
int fake_connect(int fd);
void fake_resets(int fd);

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (fake_is_inside)
		return fake_connect(fd);
	return (int)syscall(SYS_connect, fd, addr, len);
}

/* A pair of local sockets knows no reset: whoever asks for one is remembered. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (fake_is_inside && level == SOL_SOCKET && name == SO_LINGER)
		fake_resets(fd);
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

#endif
