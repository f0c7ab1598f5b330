/* Prometheus text format 0.0.4, and the same rows as CSV. */
#include "proxy/core/admin_priv.h"

#include "filters/filter.h"
#include "proxy/http/reason.h"

#include <event2/event.h>
#include <inttypes.h>

_Static_assert((int)DOUBT_COUNT <= (int)METRICS_DOUBTS, "a slot for each doubt");
_Static_assert((int)REASON_COUNT <= (int)METRICS_REASONS, "a slot for each reason");
_Static_assert((int)CHANGE_COUNT <= (int)METRICS_CHANGES, "a slot for each change");

static void put_family(struct strbuf *out, const char *name, const char *type, const char *help)
{
	strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_sample(struct strbuf *out, const char *name, const char *labels, int64_t v)
{
	if (labels[0] != '\0')
		strbuf_printf(out, "%s{%s} %" PRId64 "\n", name, labels, v);
	else
		strbuf_printf(out, "%s %" PRId64 "\n", name, v);
}

static void put_gauge(struct strbuf *out, const char *name, const char *help, int64_t v)
{
	put_family(out, name, "gauge", help);
	put_sample(out, name, "", v);
}

static void put_table(const struct figures *f, struct strbuf *out)
{
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric_info *m = &metric_table[i];

		if (!figures_has(f, (enum metric)i))
			continue;
		if (i == 0 || strcmp(m->name, metric_table[i - 1].name) != 0)
			put_family(out, m->name, m->kind == COUNTER ? "counter" : "gauge", m->help);
		put_sample(out, m->name, m->labels, figures_value(f, (enum metric)i));
	}
}

static void put_words(const struct figures *f, struct strbuf *out)
{
	put_family(out, "statweir_recognition_doubtful_total", "counter",
		   "Candidates that were forwarded because they are not plainly a coalesced "
		   "message");
	for (unsigned i = 1; i < DOUBT_COUNT; i++)
		strbuf_printf(out,
			      "statweir_recognition_doubtful_total{reason=\"%s\"} %" PRId64 "\n",
			      doubt_table[i].word, f->sum.doubt[i]);
	put_family(out, "statweir_closed_total", "counter",
		   "Requests refused and connections closed");
	for (unsigned i = 1; i < REASON_COUNT; i++)
		strbuf_printf(out, "statweir_closed_total{reason=\"%s\"} %" PRId64 "\n",
			      reason_table[i].word, f->sum.reason[i]);
	put_family(out, "statweir_changed_total", "counter",
		   "Messages that went on with something dropped, added or rewritten");
	for (unsigned i = 0; i < CHANGE_COUNT; i++)
		strbuf_printf(out, "statweir_changed_total{reason=\"%s\"} %" PRId64 "\n",
			      change_table[i].word, f->sum.change[i]);
}

static void put_mode(const struct figures *f, struct strbuf *out)
{
	static const char *const modes[] = {"enforce", "observe", "bypass"};

	put_family(out, "statweir_mode", "gauge", "1 for the mode that statweir works in");
	for (unsigned i = 0; i < 3; i++)
		strbuf_printf(out, "statweir_mode{mode=\"%s\"} %d\n", modes[i],
			      strcmp(modes[i], f->mode) == 0);
}

static void put_process(const struct figures *f, struct strbuf *out)
{
	if (f->resident_bytes >= 0)
		put_gauge(out, "process_resident_memory_bytes", "Resident memory of this process",
			  f->resident_bytes);
	if (f->open_fds >= 0)
		put_gauge(out, "process_open_fds", "File descriptors open in this process",
			  f->open_fds);
	put_family(out, "process_cpu_seconds_total", "counter",
		   "User and system CPU time of this process");
	strbuf_printf(out, "process_cpu_seconds_total %.3f\n", f->cpu_s);
}

static double seconds(int64_t ms)
{
	return (double)ms / 1000.0;
}

void admin_put_metrics(const struct figures *f, struct strbuf *out)
{
	put_family(out, "statweir_build_info", "gauge", "1, with what was built as labels");
	strbuf_printf(out, "statweir_build_info{version=\"%s\",libevent=\"%s\"} 1\n",
		      STATWEIR_VERSION, event_get_version());
	put_family(out, "statweir_start_time_seconds", "gauge",
		   "When counting began, in seconds since 1970");
	strbuf_printf(out, "statweir_start_time_seconds %.3f\n", seconds(f->now_ms - f->uptime_ms));
	put_mode(f, out);
	put_gauge(out, "statweir_ready", "1 while statweir is ready for traffic", f->is_ready);
	put_table(f, out);
	put_gauge(out, "statweir_ledger_imbalance_messages",
		  "Received requests without exactly one fate; must be 0", f->imbalance);
	/* Also before the first recount, as 0: an alert needs a series to look at. */
	put_gauge(out, "statweir_ledger_store_imbalance_messages",
		  "Recorded messages neither summarised nor pending; must be 0",
		  f->store_imbalance);
	if (f->has_ledger) {
		put_family(out, "statweir_ledger_last_verified_timestamp_seconds", "gauge",
			   "When the store was last recounted, in seconds since 1970");
		strbuf_printf(out, "statweir_ledger_last_verified_timestamp_seconds %.3f\n",
			      seconds(f->ledger_at_ms));
	}
	put_words(f, out);
	put_process(f, out);
}

static void put_row(struct strbuf *out, const char *name, const char *label, const char *value,
		    int64_t v)
{
	strbuf_printf(out, "%s,%s,%s,%" PRId64 "\n", name, label, value, v);
}

/* outcome="passed" as two cells: names and words hold no comma and no quote. */
static void put_labelled_row(struct strbuf *out, const struct metric_info *m, int64_t v)
{
	const char *eq = strchr(m->labels, '=');

	if (eq == NULL)
		put_row(out, m->name, "", "", v);
	else
		strbuf_printf(out, "%s,%.*s,%.*s,%" PRId64 "\n", m->name, (int)(eq - m->labels),
			      m->labels, (int)strlen(eq) - 3, eq + 2, v);
}

void admin_put_csv(const struct figures *f, struct strbuf *out)
{
	strbuf_put_str(out, "# metric,label,label_value,value\n");
	put_row(out, "generated_at_seconds", "", "", f->now_ms / 1000);
	put_row(out, "statweir_start_time_seconds", "", "", (f->now_ms - f->uptime_ms) / 1000);
	for (unsigned i = 0; i < METRIC_COUNT; i++)
		if (figures_has(f, (enum metric)i))
			put_labelled_row(out, &metric_table[i], figures_value(f, (enum metric)i));
	put_row(out, "statweir_mode", "mode", f->mode, 1);
	put_row(out, "statweir_ready", "", "", f->is_ready);
	put_row(out, "statweir_ledger_imbalance_messages", "", "", f->imbalance);
	put_row(out, "statweir_ledger_store_imbalance_messages", "", "", f->store_imbalance);
	for (unsigned i = 1; i < DOUBT_COUNT; i++)
		put_row(out, "statweir_recognition_doubtful_total", "reason", doubt_table[i].word,
			f->sum.doubt[i]);
	for (unsigned i = 1; i < REASON_COUNT; i++)
		put_row(out, "statweir_closed_total", "reason", reason_table[i].word,
			f->sum.reason[i]);
	for (unsigned i = 0; i < CHANGE_COUNT; i++)
		put_row(out, "statweir_changed_total", "reason", change_table[i].word,
			f->sum.change[i]);
}
