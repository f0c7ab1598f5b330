#include "tests/tools/storm.h"

#include "tests/tools/sample_check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* The IDs of an earlier run's acknowledged messages: lines "A kind id ...". */
static void read_known(struct storm *s)
{
	FILE *f = fopen(s->opt.journal, "r");
	char line[512], id[64];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "A %*15s %63s", id) == 1)
			id_set_add(&s->known, slice_str(id));
	fclose(f);
}

int storm_journal_open(struct storm *s)
{
	strbuf_init(&s->lines, 16u << 20);
	s->journal = -1;
	if (!s->opt.journal)
		return 0;
	if (s->opt.does_resume)
		read_known(s);
	s->journal = open(s->opt.journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return s->journal < 0 ? -errno : 0;
}

void storm_journal_put(struct storm *s, char what, const struct storm_client *c, struct slice reply)
{
	if (s->journal < 0)
		return;
	strbuf_printf(&s->lines, "%c %s %s %s %s %u %zu %08X %08X\n", what,
		      ccm_kind_name(c->item.kind), c->request.id, c->request.client,
		      c->request.rule[0] ? c->request.rule : "-", c->sent, c->body_bytes,
		      c->body_crc, sample_crc(reply));
}

void storm_journal_flush(struct storm *s)
{
	CHECK(strbuf_ok(&s->lines));
	if (s->lines.n > 0) {
		ssize_t n = write(s->journal, s->lines.p, s->lines.n);

		CHECK(n == (ssize_t)s->lines.n);
		strbuf_reset(&s->lines);
	}
	for (unsigned k = 0; k < CCM_KINDS; k++) {
		s->count.acknowledged[k] += s->fresh[k];
		s->fresh[k] = 0;
	}
	s->count.twice += s->fresh_twice;
	s->fresh_twice = 0;
}

void storm_times_add(struct storm_times *t, int64_t us)
{
	uint64_t v = us > 0 ? (uint64_t)us : 0;
	unsigned shift = v < 16 ? 0 : 59u - (unsigned)__builtin_clzll(v);

	t->bucket[shift * 16 + (v >> shift)]++;
	t->n++;
	if (us > t->max_us)
		t->max_us = us;
}

/* Upper end of the bucket in which that share of all values has been reached. */
static double quantile_ms(const struct storm_times *t, double share)
{
	uint64_t want = (uint64_t)((double)t->n * share), seen = 0;

	for (size_t i = 0; i < sizeof(t->bucket) / sizeof(t->bucket[0]); i++) {
		uint64_t shift = i < 32 ? 0 : i / 16 - 1, v = i < 32 ? i : 16 + i % 16;

		seen += t->bucket[i];
		if (seen > want) {
			int64_t end = (int64_t)((v + 1) << shift);

			return (double)(end < t->max_us ? end : t->max_us) / 1000;
		}
	}
	return (double)t->max_us / 1000;
}

static uint64_t acknowledged(const struct storm *s)
{
	uint64_t n = 0;

	for (unsigned k = 0; k < CCM_PROBE; k++)
		n += s->count.acknowledged[k];
	return n;
}

static void put_bar(const struct storm *s, uint64_t done, uint64_t all)
{
	char bar[33];
	size_t filled = all > 0 ? (size_t)(done * 32 / all) : 32;

	for (size_t i = 0; i < 32; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[32] = '\0';
	fprintf(stderr, "%s[%s] ", s->has_bar ? "\r\033[K" : "", bar);
}

void storm_progress(struct storm *s, bool is_last)
{
	int64_t now = http_client_now_us();
	int64_t interval = s->has_bar ? 200000 : 1000000;
	uint64_t all = (uint64_t)s->opt.clients * s->opt.rules;
	uint64_t done = s->count.acknowledged[CCM_RULE], total = acknowledged(s);
	double seconds = (double)(now - (s->next_progress_us - interval)) / 1000000;

	if (s->opt.is_quiet || (now < s->next_progress_us && !is_last))
		return;
	if (s->known.n > 0)
		done += s->count.resumed;
	if (s->has_bar)
		put_bar(s, done, all);
	fprintf(stderr,
		"%" PRIu64 "/%" PRIu64 " rule messages acknowledged, %.0f/s in all, %" PRIu64
		" retried, slowest policy GET %.0f ms%s",
		done, all, seconds > 0 ? (double)(total - s->progress_acknowledged) / seconds : 0,
		s->count.retried, (double)s->policy_times.max_us / 1000,
		s->has_bar && !is_last ? "" : "\n");
	s->progress_acknowledged = total;
	s->next_progress_us = now + interval;
}

struct row {
	const char *name, *words;
	double value;
	int decimals;
};

static void put_rows(FILE *f, const struct row *rows, size_t n, bool is_json)
{
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];

		if (is_json)
			fprintf(f, "%s  \"%s\": %.*f", i > 0 ? ",\n" : "{\n", r->name, r->decimals,
				r->value);
		else
			fprintf(f, "  %-44s %12.*f\n", r->words, r->decimals, r->value);
	}
	if (is_json)
		fprintf(f, "\n}\n");
}

static int put_report(struct storm *s, const struct row *rows, size_t n)
{
	FILE *f;

	if (!s->opt.is_quiet) {
		printf("storm: %u clients, %u rules, %u connections to %s\n", s->opt.clients,
		       s->opt.rules, s->opt.connections, s->opt.target);
		put_rows(stdout, rows, n, false);
	}
	if (s->damage[0])
		printf("  first damage: %s\n", s->damage);
	if (!s->opt.report)
		return 0;
	f = fopen(s->opt.report, "w");
	if (!f)
		return -errno;
	put_rows(f, rows, n, true);
	return fclose(f) == 0 ? 0 : -errno;
}

int storm_report(struct storm *s)
{
	const struct storm_counts *c = &s->count;
	double seconds = (double)(s->last_us - s->start_us) / 1000000;
	uint64_t all = acknowledged(s), rules = c->acknowledged[CCM_RULE];
	double rate = seconds > 0 ? (double)(all + c->twice) / seconds : 0;
#define ROW(name, words, v, d)              \
	{                                   \
		name, words, (double)(v), d \
	}
	const struct row rows[] = {
		ROW("seconds", "seconds", seconds, 2),
		ROW("sent", "requests sent (retries and repeats included)", c->sent, 0),
		ROW("acknowledged_rule", "10907 messages acknowledged", rules, 0),
		ROW("acknowledged_other", "other messages answered by the MP itself", all - rules,
		    0),
		ROW("acknowledged_twice", "10907 sent again and acknowledged again", c->twice, 0),
		ROW("resumed", "acknowledged in an earlier run", c->resumed, 0),
		ROW("retried", "retries", c->retried, 0),
		ROW("gave_up", "given up", c->gave_up, 0),
		ROW("refused", "answers that are no acknowledgement", c->verdict[STORM_REFUSED], 0),
		ROW("damaged", "answers to something else", c->verdict[STORM_DAMAGED], 0),
		ROW("connections_refused", "connections refused", c->refused_connections, 0),
		ROW("connections_reset", "connections reset or closed", c->resets, 0),
		ROW("timeouts", "time-outs", c->timeouts, 0),
		ROW("protocol_errors", "protocol errors", c->protocol_errors, 0),
		ROW("mbytes", "megabytes sent", (double)c->bytes / 1e6, 1),
		ROW("rate", "messages per second", rate, 0),
		ROW("p50_ms", "latency, half (ms)", quantile_ms(&s->times, 0.5), 2),
		ROW("p99_ms", "latency, 99 percent (ms)", quantile_ms(&s->times, 0.99), 2),
		ROW("max_ms", "latency, slowest (ms)", (double)s->times.max_us / 1000, 2),
		ROW("policy_gets", "policy GETs", s->policy_times.n, 0),
		ROW("policy_p50_ms", "policy GET, half (ms)", quantile_ms(&s->policy_times, 0.5),
		    2),
		ROW("policy_max_ms", "policy GET, slowest (ms)",
		    (double)s->policy_times.max_us / 1000, 2),
	};

	return put_report(s, rows, sizeof(rows) / sizeof(rows[0]));
}
