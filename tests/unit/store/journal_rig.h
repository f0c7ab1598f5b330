/*
 * What the tests of the journal share: a directory, a clock that they turn, an event
 * loop, records that can be told from their digest, and what was reported as synced.
 */
#ifndef STATWEIR_TESTS_JOURNAL_RIG_H
#define STATWEIR_TESTS_JOURNAL_RIG_H

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/store/journal.h"
#include "proxy/store/journal_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

/* The clock: these stand in for proxy/base/clock.c. */
static int64_t rig_mono_ms = 1000000, rig_wall_ms = INT64_C(1800000000000);

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
	return rig_mono_ms;
}

int64_t clock_mono_us(void)
{
	return rig_mono_ms * 1000;
}

int64_t clock_wall_ms(void)
{
	return rig_wall_ms;
}

struct rig {
	char dir[64];
	struct event_base *base;
	struct journal_conf conf;
	struct journal *j;
	/* By number: 0 not reported, 1 synced, 2 failed. */
	uint8_t outcome[1 << 16];
	uint64_t last; /* appended */
	uint64_t reported;
	unsigned n_reports;
	bool may_fail;
	bool may_jump, has_jumped; /* numbers go on further up, behind damage */
};

static inline void rig_synced(void *arg, uint64_t upto, int rc)
{
	struct rig *g = arg;

	assert_true(upto > g->reported && upto <= g->last);
	assert_true(rc == 0 || (rc == -EIO && g->may_fail));
	while (g->reported < upto)
		g->outcome[++g->reported] = rc == 0 ? 1 : 2;
	g->n_reports++;
}

static inline int rig_try_open(struct rig *g)
{
	const struct journal_events ev = {rig_synced, g};

	g->reported = g->last;
	return journal_open(&g->j, g->base, &g->conf, &ev);
}

static inline void rig_open(struct rig *g)
{
	assert_int_equal(rig_try_open(g), 0);
}

static inline void rig_close(struct rig *g)
{
	journal_close(g->j);
	g->j = NULL;
}

static inline void rig_reopen(struct rig *g)
{
	rig_close(g);
	rig_open(g);
}

static inline struct journal_stats rig_stats(const struct rig *g)
{
	struct journal_stats st;

	journal_get_stats(g->j, &st);
	return st;
}

/* Errors are what many tests provoke: not into their output. */
static inline void rig_quiet(void)
{
	log_threshold = (enum log_level)0;
}

/* Small segments, no thread; in memory where that is offered, for the many syncs. */
static inline struct rig *rig_new(void)
{
	const char *under = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	rig_quiet();
	snprintf(g->dir, sizeof(g->dir), "%s/statweir-journal-XXXXXX", under);
	assert_non_null(mkdtemp(g->dir));
	g->base = event_base_new();
	assert_non_null(g->base);
	journal_conf_init(&g->conf, g->dir);
	g->conf.segment_bytes = 4096;
	g->conf.limit_bytes = 64 * 4096;
	g->conf.buffer_bytes = 65536;
	g->conf.is_inline = true;
	return g;
}

static inline void rig_empty_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

static inline void rig_free(struct rig *g)
{
	journal_close(g->j);
	event_base_free(g->base);
	rig_empty_dir(g->dir);
	(void)rmdir(g->dir);
	free(g);
}

/* Run the loop until nothing more happens (no thread), or until all is reported. */
static inline void rig_run(struct rig *g)
{
	if (g->conf.is_inline) {
		/* More turns than any chain of jobs here is long. */
		for (unsigned i = 0; i < 200; i++)
			event_base_loop(g->base, EVLOOP_NONBLOCK);
		return;
	}
	while (g->reported < g->last)
		event_base_loop(g->base, EVLOOP_ONCE);
}

/* Records follow from their number: any one read back can be checked. */
static inline uint64_t rig_digest(uint64_t k)
{
	return k * UINT64_C(0x9e3779b97f4a7c15);
}

static inline struct journal_record rig_record(uint64_t k, char text[64])
{
	size_t client_n = 20 + k % 17, rule_n = k % 9;

	memset(text, 'a' + (int)(k % 26), 64);
	return (struct journal_record){
		.client = slice_make(text, client_n),
		.rule = slice_make(text + client_n, rule_n),
		.raw = slice_make(text, k % 5 == 0 ? 13 : 0),
		.digest = rig_digest(k),
		.at_ms = rig_wall_ms,
		.is_seen_only = k % 7 == 0,
	};
}

/* Append the record that its number decides: 0 or the refusal. */
static inline int rig_append(struct rig *g)
{
	char text[64];
	struct journal_record r = rig_record(g->last + 1, text);
	uint64_t seq = 0;
	int rc = journal_append(g->j, &r, &seq);

	if (rc < 0)
		return rc;
	if (seq != g->last + 1) {
		assert_true(g->may_jump && seq > g->last);
		g->has_jumped = true;
		g->reported = seq - 1;
	}
	g->last = seq;
	return 0;
}

static inline void rig_write(struct rig *g, unsigned groups, unsigned per_group)
{
	for (unsigned i = 0; i < groups; i++) {
		for (unsigned k = 0; k < per_group; k++)
			assert_int_equal(rig_append(g), 0);
		journal_commit(g->j);
		rig_run(g);
	}
}

static inline void rig_check_record(const struct journal_record *r, uint64_t k)
{
	char text[64];
	struct journal_record want = rig_record(k, text);

	assert_true(r->digest == want.digest);
	assert_true(slice_eq(r->client, want.client) && slice_eq(r->rule, want.rule));
	assert_true(slice_eq(r->raw, want.raw));
	assert_int_equal(r->is_seen_only, want.is_seen_only);
}

/*
 * The rest of the pass: every record's digest tells which one it is; seen[k] counts it. Marks
 * them applied if is_applied. Returns how many.
 */
static inline unsigned rig_replay(struct rig *g, uint8_t *seen, bool is_applied)
{
	struct journal_record v[37];
	unsigned total = 0;
	int n;

	while ((n = journal_replay_next(g->j, v, 37)) > 0 || n == -EAGAIN) {
		for (int i = 0; i < n; i++) {
			/* The multiplier is odd: its inverse undoes rig_digest(). */
			uint64_t k = v[i].digest * UINT64_C(0xf1de83e19937733d);

			assert_true(k >= 1 && k <= UINT16_MAX);
			rig_check_record(&v[i], k);
			if (seen != NULL)
				seen[k]++;
			if (is_applied)
				journal_applied(g->j, v[i].seq);
		}
		total += n > 0 ? (unsigned)n : 0;
	}
	assert_int_equal(n, 0);
	return total;
}

static inline void rig_tick(struct rig *g, int64_t ms)
{
	rig_mono_ms += ms;
	rig_wall_ms += ms;
	journal_tick(g->j);
	rig_run(g);
}

/* Much later, and Redis keeps for certain what it had. */
static inline void rig_let_go(struct rig *g)
{
	rig_tick(g, 59998);
	journal_release(g->j, rig_mono_ms);
	rig_tick(g, 1);
	rig_tick(g, 1);
}

static inline unsigned rig_count_files(const struct rig *g, const char *suffix)
{
	DIR *d = opendir(g->dir);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		const char *dot = strrchr(e->d_name, '.');

		if (dot != NULL && strcmp(dot, suffix) == 0)
			n++;
	}
	closedir(d);
	return n;
}

/* The first file with this suffix, by name. */
static inline void rig_find_file(const struct rig *g, const char *suffix, char *path, size_t room)
{
	DIR *d = opendir(g->dir);
	char best[64] = "~";
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		const char *dot = strrchr(e->d_name, '.');

		if (dot != NULL && strcmp(dot, suffix) == 0 && strcmp(e->d_name, best) < 0)
			snprintf(best, sizeof(best), "%.63s", e->d_name);
	}
	closedir(d);
	assert_string_not_equal(best, "~");
	snprintf(path, room, "%s/%s", g->dir, best);
}

static inline size_t rig_load(const char *path, uint8_t *p, size_t room)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, p, room);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static inline void rig_save(const char *path, const uint8_t *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

#endif
