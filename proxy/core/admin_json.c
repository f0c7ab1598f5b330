#include "proxy/core/admin_priv.h"

#include "filters/filter.h"
#include "proxy/base/clock.h"
#include "proxy/http/reason.h"

#include <jansson.h>
#include <stdlib.h>

/* jansson takes NULL for what could not be made, and the document is then NULL in the end. */
void admin_put_json(json_t *doc, struct strbuf *out)
{
	char *text = json_dumps(doc, JSON_INDENT(2) | JSON_REAL_PRECISION(12));

	json_decref(doc);
	if (text == NULL) {
		out->has_failed = true;
		return;
	}
	strbuf_put_str(out, text);
	strbuf_put_str(out, "\n");
	free(text);
}

json_t *admin_utc(int64_t wall_ms)
{
	char text[32];

	clock_format_utc(wall_ms, text, sizeof(text));
	return json_string(text);
}

/* What every document begins with. */
static json_t *new_document(const struct admin *a, const struct figures *f)
{
	return json_pack("{s:i, s:o, s:o, s:s, s:s}", "schema_version", ADMIN_SCHEMA_VERSION,
			 "generated_at", admin_utc(f->now_ms), "counters_since",
			 admin_utc(a->since_ms), "instance", a->instance, "version",
			 STATWEIR_VERSION);
}

static json_t *traffic(const struct figures *f)
{
	const int64_t *v = f->sum.v;

	return json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "identity",
		"received = passed + absorbed_unique + absorbed_duplicate + absorbed_journal + "
		"refused + aborted + in_flight",
		"received", (json_int_t)v[M_RECEIVED], "passed", (json_int_t)v[M_PASSED],
		"absorbed_unique", (json_int_t)v[M_ABSORBED_UNIQUE], "absorbed_duplicate",
		(json_int_t)v[M_ABSORBED_DUPLICATE], "absorbed_journal",
		(json_int_t)v[M_ABSORBED_JOURNAL], "refused", (json_int_t)v[M_REFUSED], "aborted",
		(json_int_t)v[M_ABORTED], "in_flight", (json_int_t)v[M_IN_FLIGHT], "imbalance",
		(json_int_t)f->imbalance, "is_balanced", f->imbalance == 0);
}

static json_t *store(const struct admin *a, const struct figures *f)
{
	const struct audit *v = &f->ledger;

	if (!f->has_ledger)
		return json_pack("{s:s, s:n, s:b}", "state", f->store_state, "counted_at",
				 "last_recount_failed", a->audit.has_failed);
	return json_pack("{s:s, s:s, s:o, s:b, s:I, s:I, s:I, s:{s:I, s:I}, s:I, s:I, s:I, s:b}",
			 "identity", "absorbed = summarised + pending", "state", f->store_state,
			 "counted_at", admin_utc(f->ledger_at_ms), "last_recount_failed",
			 a->audit.has_failed, "absorbed", (json_int_t)v->absorbed, "summarised",
			 (json_int_t)v->settled, "pending", (json_int_t)f->pending, "pending_parts",
			 "open", (json_int_t)v->pending_open, "outbox",
			 (json_int_t)v->pending_outbox, "clients_pending", (json_int_t)v->clients,
			 "rules", (json_int_t)v->rules, "imbalance", (json_int_t)f->store_imbalance,
			 "is_balanced", f->store_imbalance == 0);
}

static json_t *ledger(const struct admin *a, const struct figures *f)
{
	bool is_balanced = f->imbalance == 0 && (!f->has_ledger || f->store_imbalance == 0);

	return json_pack("{s:b, s:o, s:o}", "is_balanced", is_balanced, "traffic", traffic(f),
			 "store", store(a, f));
}

/* statweir_x_total{outcome="y"} as metrics.x_total.y: the table makes the tree. */
static json_t *metrics(const struct figures *f)
{
	json_t *tree = json_object();

	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		const struct metric_info *m = &metric_table[i];
		const char *name = m->name + strlen("statweir_"), *eq = strchr(m->labels, '=');
		json_t *v = json_integer((json_int_t)figures_value(f, (enum metric)i)), *node;
		char label[64];

		if (!figures_has(f, (enum metric)i)) {
			json_decref(v);
			continue;
		}
		if (eq == NULL) {
			json_object_set_new(tree, name, v);
			continue;
		}
		node = json_object_get(tree, name);
		if (node == NULL) {
			node = json_object();
			json_object_set_new(tree, name, node);
		}
		snprintf(label, sizeof(label), "%.*s", (int)strlen(eq) - 3, eq + 2);
		json_object_set_new(node, label, v);
	}
	return tree;
}

static json_t *doubts(const struct figures *f)
{
	json_t *o = json_object();

	for (unsigned i = 1; i < DOUBT_COUNT; i++)
		json_object_set_new(o, doubt_table[i].word,
				    json_integer((json_int_t)f->sum.doubt[i]));
	return o;
}

static json_t *reasons(const struct figures *f)
{
	json_t *o = json_object();

	for (unsigned i = 1; i < REASON_COUNT; i++)
		json_object_set_new(o, reason_table[i].word,
				    json_integer((json_int_t)f->sum.reason[i]));
	return o;
}

static json_t *changes(const struct figures *f)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < CHANGE_COUNT; i++)
		json_object_set_new(o, change_table[i].word,
				    json_integer((json_int_t)f->sum.change[i]));
	return o;
}

static json_t *findings(const struct admin *a, const struct figures *f)
{
	json_t *list = json_array();
	struct findings found;

	figures_judge(a, f, &found);
	for (unsigned i = 0; i < found.n; i++)
		json_array_append_new(list, json_string(found.v[i]));
	return list;
}

static json_t *process(const struct figures *f)
{
	return json_pack("{s:I, s:I, s:f}", "resident_bytes", (json_int_t)f->resident_bytes,
			 "open_fds", (json_int_t)f->open_fds, "cpu_seconds", f->cpu_s);
}

void admin_put_stats(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	const struct conf *c = a->env.conf;
	json_t *doc = new_document(a, f);

	json_object_set_new(doc, "uptime_seconds", json_integer((json_int_t)(f->uptime_ms / 1000)));
	json_object_set_new(doc, "mode", json_string(f->mode));
	json_object_set_new(doc, "enforce_percent", json_integer((json_int_t)c->enforce_percent));
	json_object_set_new(doc, "workers", json_integer(a->env.n_slots));
	json_object_set_new(doc, "is_ready", json_boolean(f->is_ready));
	json_object_set_new(doc, "readiness", json_string(f->readiness));
	json_object_set_new(doc, "redis", json_string(f->store_state));
	json_object_set_new(doc, "upstream", json_string(c->upstream));
	json_object_set_new(doc, "absorbed", json_integer((json_int_t)f->absorbed));
	json_object_set_new(doc, "files_avoided", json_integer((json_int_t)f->avoided));
	json_object_set_new(doc, "findings", findings(a, f));
	json_object_set_new(doc, "ledger", ledger(a, f));
	json_object_set_new(doc, "metrics", metrics(f));
	json_object_set_new(doc, "doubts", doubts(f));
	json_object_set_new(doc, "closed", reasons(f));
	json_object_set_new(doc, "changed", changes(f));
	json_object_set_new(doc, "process", process(f));
	admin_put_json(doc, out);
}

void admin_put_ledger(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	json_t *doc = new_document(a, f), *sheet = ledger(a, f);

	json_object_update(doc, sheet);
	json_decref(sheet);
	admin_put_json(doc, out);
}

static json_t *one_check(const char *name, bool is_good, bool is_needed, const char *detail)
{
	const char *word = is_good ? "ok" : is_needed ? "failed" : "degraded";

	return json_pack("{s:s, s:s, s:s}", "name", name, "status", word, "detail", detail);
}

void admin_put_readiness(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	bool is_balanced = f->imbalance == 0 && (!f->has_ledger || f->store_imbalance == 0);
	bool has_ack = f->sum.v[M_ACK_TEMPLATES] > 0;
	bool is_whole = f->is_store_ready && is_balanced;
	const char *word = !f->is_ready ? "not_ready" : is_whole ? "ready" : "degraded";
	json_t *doc = new_document(a, f), *checks = json_array();

	json_object_set_new(doc, "status", json_string(word));
	json_array_append_new(checks, one_check("traffic", f->is_ready, true, f->readiness));
	json_array_append_new(checks, one_check("redis", f->is_store_ready, false, f->store_state));
	json_array_append_new(checks, one_check("acknowledgement", has_ack, false,
						has_ack ? "known" : "not learned yet"));
	json_array_append_new(checks, one_check("ledger", is_balanced, false,
						is_balanced ? "balanced" : "see /ledger"));
	json_object_set_new(doc, "checks", checks);
	admin_put_json(doc, out);
}
