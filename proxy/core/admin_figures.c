#include "proxy/core/admin_priv.h"

#include "proxy/base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Another process writes its slot while we read it, and between the store's answer to a
 * batch and the last of its messages the books are open: read again until they balance,
 * at most so often, with a pause after the first few. Real faults stay.
 */
#define READS_MAX   200
#define READS_QUICK 50
#define PAUSE_US    100

static void copy(const int64_t *from, int64_t *to, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static int64_t imbalance_of(const struct metrics *m)
{
	return m->v[M_RECEIVED] -
	       (m->v[M_PASSED] + m->v[M_ABSORBED_UNIQUE] + m->v[M_ABSORBED_DUPLICATE] +
		m->v[M_ABSORBED_JOURNAL] + m->v[M_REFUSED] + m->v[M_ABORTED] + m->v[M_IN_FLIGHT]);
}

static void read_slot(const struct metrics *from, struct metrics *to, unsigned n_reads)
{
	unsigned n = 0;

	do {
		copy(from->v, to->v, METRIC_COUNT);
		copy(from->doubt, to->doubt, METRICS_DOUBTS);
		copy(from->reason, to->reason, METRICS_REASONS);
		copy(from->change, to->change, METRICS_CHANGES);
		if (imbalance_of(to) == 0)
			return;
		if (n > READS_QUICK)
			usleep(PAUSE_US);
	} while (++n < n_reads);
}

/* Most rows are sums. Workers that share a file or a server all report the same thing. */
static int64_t join(enum metric m, int64_t x, int64_t y)
{
	switch (m) {
	case M_STORE_UP:
		return x < y ? x : y;
	case M_ACK_TEMPLATES:
	case M_JOURNAL_OLDEST_MS:
	case M_STATBOX_FILES:
		return x > y ? x : y;
	default:
		break;
	}
	/* Times that requests were held: those of the worker where it was worst. */
	if (m >= M_THROTTLE_HOLD_P50_MS_STATUS && m <= M_THROTTLE_HOLD_P99_MS_OTHER)
		return x > y ? x : y;
	return x + y;
}

static void read_slots(const struct admin_env *env, struct metrics *sum)
{
	/* One slot is our own: nobody writes while we read. */
	unsigned n_reads = env->n_slots > 1 ? READS_MAX : 1;
	struct metrics one;

	read_slot(&env->slots[0], sum, n_reads);
	for (unsigned i = 1; i < env->n_slots; i++) {
		read_slot(&env->slots[i], &one, n_reads);
		for (unsigned m = 0; m < METRIC_COUNT; m++)
			sum->v[m] = join((enum metric)m, sum->v[m], one.v[m]);
		for (unsigned d = 0; d < METRICS_DOUBTS; d++)
			sum->doubt[d] += one.doubt[d];
		for (unsigned r = 0; r < METRICS_REASONS; r++)
			sum->reason[r] += one.reason[r];
		for (unsigned c = 0; c < METRICS_CHANGES; c++)
			sum->change[c] += one.change[c];
	}
}

static int64_t resident_bytes(void)
{
	char text[128], *end;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	long pages;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	strtol(text, &end, 10); /* size; resident comes second */
	pages = strtol(end, NULL, 10);
	return pages * sysconf(_SC_PAGESIZE);
}

static int64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = -3; /* ".", "..", and the one we count with */

	if (dir == NULL)
		return -1;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static double cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void figures_read(const struct admin *a, struct figures *f)
{
	static const char *const modes[] = {"enforce", "observe", "bypass"};

	*f = (struct figures){.now_ms = clock_wall_ms(),
			      .uptime_ms = clock_mono_ms() - a->since_mono_ms,
			      .resident_bytes = resident_bytes(),
			      .open_fds = open_fds(),
			      .cpu_s = cpu_seconds(),
			      .mode = modes[a->env.conf->mode],
			      .readiness = a->env.readiness(a->env.arg),
			      .store_state = store_state(a->env.store),
			      .is_store_ready = store_is_ready(a->env.store)};
	f->is_ready = strcmp(f->readiness, "ok") == 0;
	read_slots(&a->env, &f->sum);
	f->imbalance = imbalance_of(&f->sum);
	f->absorbed = f->sum.v[M_ABSORBED_UNIQUE] + f->sum.v[M_ABSORBED_DUPLICATE] +
		      f->sum.v[M_ABSORBED_JOURNAL];
	/* Each summary that arrived has cost a file. */
	f->avoided = f->absorbed - f->sum.v[M_SUM_DELIVERED];
	if (f->avoided < 0)
		f->avoided = 0;
	f->has_ledger = a->audit.has_total;
	f->ledger = a->audit.total;
	f->ledger_at_ms = a->audit.total_at_ms;
	f->pending = f->ledger.pending_open + f->ledger.pending_outbox;
	f->store_imbalance = f->ledger.absorbed - (f->ledger.settled + f->pending);
}

static bool is_of_ledger(enum metric m)
{
	return m == M_LEDGER_ABSORBED || m == M_LEDGER_SUMMARISED || m == M_LEDGER_PENDING;
}

bool figures_has(const struct figures *f, enum metric m)
{
	return f->has_ledger || !is_of_ledger(m);
}

int64_t figures_value(const struct figures *f, enum metric m)
{
	switch (m) {
	case M_LEDGER_ABSORBED:
		return f->ledger.absorbed;
	case M_LEDGER_SUMMARISED:
		return f->ledger.settled;
	case M_LEDGER_PENDING:
		return f->pending;
	default:
		return f->sum.v[m];
	}
}

/* --- findings --- */

static void add(struct findings *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add(struct findings *out, const char *fmt, ...)
{
	va_list ap;

	if (out->n == FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(out->v[out->n++], FINDINGS_BYTES, fmt, ap);
	va_end(ap);
}

static void judge_store(const struct admin *a, const struct figures *f, struct findings *out)
{
	const int64_t *v = f->sum.v;

	if (!f->is_store_ready)
		add(out, "Redis can't be recorded to, so messages are forwarded: %s.",
		    f->store_state);
	else if (v[M_STORE_UP] == 0 && a->env.conf->durability == DURABLE_JOURNAL)
		add(out, "Redis is away; messages are acknowledged from the journal: %s.",
		    f->store_state);
	else if (v[M_STORE_UP] == 0)
		add(out, "A worker can't record to Redis; it forwards its messages.");
	if (a->audit.has_failed)
		add(out, "The last recount of the ledger failed; its figures are older.");
	if (v[M_JOURNAL_QUARANTINED] > 0)
		add(out, "%" PRId64 " damaged journal segments were set aside.",
		    v[M_JOURNAL_QUARANTINED]);
}

void figures_judge(const struct admin *a, const struct figures *f, struct findings *out)
{
	const int64_t *v = f->sum.v;
	enum conf_mode mode = (enum conf_mode)a->env.conf->mode;

	out->n = 0;
	if (f->imbalance != 0)
		add(out, "The traffic ledger is off by %" PRId64 " messages.", f->imbalance);
	if (f->has_ledger && f->store_imbalance != 0)
		add(out, "The store ledger is off by %" PRId64 " messages.", f->store_imbalance);
	if (!f->is_ready)
		add(out, "Not ready: %s.", f->readiness);
	if (mode == MODE_OBSERVE)
		add(out, "Observe mode: everything is forwarded, nothing is absorbed.");
	if (mode == MODE_BYPASS)
		add(out, "Bypass mode: nothing is looked at.");
	judge_store(a, f, out);
	if (mode != MODE_BYPASS && v[M_RECOGNISED] > 0 && v[M_ACK_TEMPLATES] == 0)
		add(out, "No acknowledgement is known, so nothing is absorbed; the log says why.");
	if (v[M_ACK_MISMATCHES] > 0)
		add(out,
		    "The management point has answered otherwise than learned %" PRId64 " times.",
		    v[M_ACK_MISMATCHES]);
	if (v[M_UP_WAITING] > 0)
		add(out, "%" PRId64 " requests wait for a connection to the management point.",
		    v[M_UP_WAITING]);
}
