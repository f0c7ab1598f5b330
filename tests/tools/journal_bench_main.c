/*
 * How fast is the journal here? build/dev/journal_bench [DIR [SECONDS]]: one line per group
 * size, with each group appended when the one before is on disk; then the cost of
 * appending alone. Records are those of a usual client: 36 + 8 bytes of names.
 */
#include "proxy/base/clock.h"
#include "proxy/store/journal.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct bench {
	struct event_base *base;
	struct journal *j;
	uint64_t appended, synced;
	double worst_s;
	int rc;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_synced(void *arg, uint64_t upto, int rc)
{
	struct bench *b = arg;

	b->synced = upto;
	b->rc = rc;
}

static int append(struct bench *b)
{
	struct journal_record r = {
		.client = SLICE("GUID:01234567-89AB-CDEF-0123-456789A"),
		.rule = SLICE("ABC00123"),
		.digest = b->appended * UINT64_C(0x9e3779b97f4a7c15),
		.at_ms = clock_wall_ms(),
	};

	return journal_append(b->j, &r, &b->appended);
}

static void forget(struct bench *b, uint64_t from)
{
	for (; from <= b->synced; from++)
		journal_applied(b->j, from);
}

static int run_groups(struct bench *b, unsigned group, double seconds)
{
	double start = now_s(), end = start + seconds, began = start, now = start;
	uint64_t first = b->appended, before;

	b->worst_s = 0;
	while (now < end) {
		began = now;
		before = b->synced + 1;
		for (unsigned i = 0; i < group; i++)
			if (append(b) < 0)
				return -1;
		journal_commit(b->j);
		while (b->synced < b->appended && b->rc == 0)
			event_base_loop(b->base, EVLOOP_ONCE);
		if (b->rc < 0)
			return -1;
		forget(b, before);
		clock_refresh();
		journal_tick(b->j);
		now = now_s();
		if (now - began > b->worst_s)
			b->worst_s = now - began;
	}
	printf("group %5u: %9.0f records/s, %8.1f us a group, worst %6.2f ms\n", group,
	       (double)(b->appended - first) / (now - start),
	       (now - start) / (double)(b->appended - first) * group * 1e6, b->worst_s * 1e3);
	return 0;
}

static int run_append(struct bench *b)
{
	enum {
		ROUNDS = 200,
		PER_ROUND = 20000
	};
	double spent = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t before = b->synced + 1;
		double start = now_s();

		for (unsigned i = 0; i < PER_ROUND; i++)
			if (append(b) < 0)
				return -1;
		spent += now_s() - start;
		journal_commit(b->j);
		while (b->synced < b->appended && b->rc == 0)
			event_base_loop(b->base, EVLOOP_ONCE);
		forget(b, before);
		clock_refresh();
		journal_tick(b->j);
	}
	printf("append: %.1f ns\n", spent / ROUNDS / PER_ROUND * 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	static const unsigned groups[] = {1, 16, 64, 256, 1024};
	struct bench b = {.base = event_base_new()};
	const struct journal_events ev = {on_synced, &b};
	struct journal_conf conf;
	int rc;

	clock_refresh();
	journal_conf_init(&conf, argc > 1 ? argv[1] : "/tmp/statweir-journal-bench");
	conf.grace_ms = 1000;
	if (b.base == NULL || journal_open(&b.j, b.base, &conf, &ev) < 0)
		return 1;
	rc = append(&b); /* the directory may have numbers already */
	b.synced = b.appended - 1;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]) && rc == 0; i++)
		rc = run_groups(&b, groups[i], argc > 2 ? atof(argv[2]) : 2);
	if (rc == 0)
		rc = run_append(&b);
	if (rc < 0)
		fprintf(stderr, "journal: %s\n", journal_state(b.j));
	journal_close(b.j);
	event_base_free(b.base);
	return rc < 0;
}
