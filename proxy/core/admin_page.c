/* What people read: the page without scripts, and the balance sheet as text. */
#include "proxy/core/admin_priv.h"

#include "filters/filter.h"
#include "proxy/base/clock.h"
#include "proxy/core/throttle.h"
#include "proxy/http/reason.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BYTES 32
#define LONG_VALUE   14 /* characters that fit a card in large type */

static const char style[] =
	":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f24;--dim:#5b6672;"
	"--line:#dfe3e8;--good:#1a7f4b;--bad:#c0392b;--note:#9a6700}"
	"@media(prefers-color-scheme:dark){:root{--bg:#12161b;--card:#1b2027;--ink:#e6e9ed;"
	"--dim:#96a1ad;--line:#2c333c;--good:#4cc38a;--bad:#ff7b6b;--note:#e2b340}}"
	"*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
	"font:16px/1.5 system-ui,sans-serif}"
	"main{max-width:72rem;margin:0 auto;padding:1.5rem}"
	"h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .6rem}"
	"header p{margin:.2rem 0 1.2rem;color:var(--dim)}"
	".cards{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr))}"
	".card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;"
	"padding:.9rem 1.1rem}"
	".card h3{margin:0;font-size:.85rem;font-weight:600;color:var(--dim)}"
	".card b{display:block;font-size:1.6rem;line-height:1.3;overflow-wrap:anywhere;"
	"font-variant-numeric:tabular-nums}"
	".card b.long{font-size:1.1rem;line-height:1.9}"
	".card p{margin:0;color:var(--dim);font-size:.9rem}"
	".good{color:var(--good)}.bad{color:var(--bad)}.note{color:var(--note)}"
	"ul.findings{margin:0 0 1.2rem;padding:.8rem 1.1rem .8rem 2rem;background:var(--card);"
	"border:1px solid var(--line);border-left:.3rem solid var(--note);border-radius:.6rem}"
	"table{width:100%;border-collapse:collapse;background:var(--card);"
	"border:1px solid var(--line);font-size:.92rem}"
	"th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid var(--line)}"
	"td.n,th.n{width:8rem;text-align:right;font-variant-numeric:tabular-nums;white-space:"
	"nowrap}"
	"td.w,th.w{width:16rem;overflow-wrap:anywhere}"
	"footer{margin:2rem 0;color:var(--dim)}a{color:inherit}";

/* Digits in groups of three. */
static const char *grouped(int64_t v, char out[NUMBER_BYTES])
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
	size_t at = 0;

	if (v < 0)
		out[at++] = '-';
	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

static void put_escaped(struct strbuf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '<':
			strbuf_put_str(out, "&lt;");
			break;
		case '>':
			strbuf_put_str(out, "&gt;");
			break;
		case '&':
			strbuf_put_str(out, "&amp;");
			break;
		case '"':
			strbuf_put_str(out, "&quot;");
			break;
		default:
			strbuf_put(out, slice_make(text, 1));
		}
	}
}

/* class may be empty; value is escaped here, note is words and numbers of ours. */
static void put_card(struct strbuf *out, const char *title, const char *class, const char *value,
		     const char *note)
{
	const char *size = strlen(value) > LONG_VALUE ? " long" : "";

	strbuf_printf(out, "<section class=card><h3>%s</h3><b class=\"%s%s\">", title, class, size);
	put_escaped(out, value);
	strbuf_printf(out, "</b><p>%s</p></section>\n", note);
}

static void put_number_card(struct strbuf *out, const char *title, int64_t v, const char *note)
{
	char number[NUMBER_BYTES];

	put_card(out, title, "", grouped(v, number), note);
}

static void put_mode_card(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	char note[200], share[64] = "";
	enum conf_mode mode = (enum conf_mode)a->env.conf->mode;

	if (mode == MODE_ENFORCE && a->env.conf->enforce_percent < 100)
		snprintf(share, sizeof(share), " for %" PRId64 "%% of the clients",
			 a->env.conf->enforce_percent);
	snprintf(note, sizeof(note), "%s%s; %s",
		 mode == MODE_ENFORCE	? "absorbing"
		 : mode == MODE_OBSERVE ? "forwarding everything, counting"
					: "looking at nothing",
		 share, f->is_ready ? "ready" : "not ready");
	put_card(out, "Mode", mode == MODE_ENFORCE ? "good" : "note", f->mode, note);
}

static void put_ledger_card(const struct figures *f, struct strbuf *out)
{
	char note[200], value[80], number[NUMBER_BYTES];
	int64_t off = f->imbalance != 0 ? f->imbalance : f->has_ledger ? f->store_imbalance : 0;

	if (f->has_ledger)
		snprintf(note, sizeof(note),
			 "store recounted %" PRId64 " s ago; <a href=/ledger?format=text>balance "
			 "sheet</a>",
			 (f->now_ms - f->ledger_at_ms) / 1000);
	else
		snprintf(note, sizeof(note),
			 "store not recounted yet; "
			 "<a href=/ledger?format=text>balance sheet</a>");
	snprintf(value, sizeof(value), "off by %s", grouped(off, number));
	put_card(out, "Ledger", off == 0 ? "good" : "bad", off == 0 ? "balanced" : value, note);
}

static void put_absorbed_card(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	const int64_t *v = f->sum.v;
	char note[200], x[NUMBER_BYTES], y[NUMBER_BYTES];

	if (a->env.conf->mode == MODE_OBSERVE) {
		put_number_card(out, "Would be absorbed", v[M_WOULD_ABSORB],
				"in enforce mode; now they are passed on");
		return;
	}
	snprintf(note, sizeof(note), "%s counted, %s repeats", grouped(v[M_ABSORBED_UNIQUE], x),
		 grouped(v[M_ABSORBED_DUPLICATE], y));
	put_number_card(out, "Messages absorbed", f->absorbed, note);
}

static void put_message_cards(const struct figures *f, struct strbuf *out)
{
	const int64_t *v = f->sum.v;
	char note[200], x[NUMBER_BYTES], y[NUMBER_BYTES];

	snprintf(note, sizeof(note), "of %s received; %s in flight", grouped(v[M_RECEIVED], x),
		 grouped(v[M_IN_FLIGHT], y));
	put_number_card(out, "Passed on", v[M_PASSED], note);
	snprintf(note, sizeof(note), "%s aborted; %s malformed, not counted here",
		 grouped(v[M_ABORTED], x), grouped(v[M_PROTOCOL_ERRORS], y));
	put_number_card(out, "Refused", v[M_REFUSED], note);
	put_number_card(out, "Files avoided", f->avoided,
			"in the management point's STAT.BOX: absorbed messages less summaries");
}

static void put_summary_card(const struct figures *f, struct strbuf *out)
{
	const int64_t *v = f->sum.v;
	char note[200], x[NUMBER_BYTES], y[NUMBER_BYTES];

	if (f->has_ledger)
		snprintf(note, sizeof(note), "for %s messages; %s messages pending",
			 grouped(v[M_SUM_MESSAGES], x), grouped(f->pending, y));
	else
		snprintf(note, sizeof(note), "for %s messages", grouped(v[M_SUM_MESSAGES], x));
	put_number_card(out, "Summaries delivered", v[M_SUM_DELIVERED], note);
}

static void put_link_cards(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	const int64_t *v = f->sum.v;
	char note[200], x[NUMBER_BYTES], y[NUMBER_BYTES];

	snprintf(note, sizeof(note), "%s messages recorded; %s calls failed",
		 grouped(v[M_STORE_RECORDS], x), grouped(v[M_STORE_ERRORS], y));
	put_card(out, "Redis", f->is_store_ready ? "good" : "bad",
		 f->is_store_ready ? "recording" : f->store_state, note);
	snprintf(note, sizeof(note), "%" PRId64 " connections, %" PRId64 " waiting; %s errors",
		 v[M_UP_OPEN], v[M_UP_WAITING], grouped(v[M_UP_ERRORS], x));
	put_card(out, "Management point", "", a->env.conf->upstream, note);
	snprintf(note, sizeof(note), "%s messages forwarded to learn or check it; %s mismatches",
		 grouped(v[M_LEARN_FORWARDED], x), grouped(v[M_ACK_MISMATCHES], y));
	put_card(out, "Acknowledgement", v[M_ACK_TEMPLATES] > 0 ? "good" : "note",
		 v[M_ACK_TEMPLATES] > 0 ? "learned" : "not learned yet", note);
}

static void put_findings(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	struct findings found;

	figures_judge(a, f, &found);
	if (found.n == 0)
		return;
	strbuf_put_str(out, "<ul class=findings>\n");
	for (unsigned i = 0; i < found.n; i++) {
		strbuf_put_str(out, "<li>");
		put_escaped(out, found.v[i]);
		strbuf_put_str(out, "</li>\n");
	}
	strbuf_put_str(out, "</ul>\n");
}

static void put_row(struct strbuf *out, int64_t v, const char *word, const char *text)
{
	char number[NUMBER_BYTES];

	strbuf_printf(out, "<tr><td class=n>%s</td><td class=w>%s</td><td>", grouped(v, number),
		      word);
	put_escaped(out, text);
	strbuf_put_str(out, "</td></tr>\n");
}

static void begin_table(struct strbuf *out, const char *title)
{
	strbuf_printf(out,
		      "<h2>%s</h2>\n<table><thead><tr><th class=n>Count</th><th class=w>Word</th>"
		      "<th>Meaning</th></tr></thead><tbody>\n",
		      title);
}

static void end_table(struct strbuf *out, unsigned n)
{
	if (n == 0)
		strbuf_put_str(out, "<tr><td class=n>0</td><td></td><td>none so far</td></tr>\n");
	strbuf_put_str(out, "</tbody></table>\n");
}

/* "12 of 40", or the value alone where there is no limit. */
static void put_of(struct strbuf *out, int64_t v, int64_t limit)
{
	char x[NUMBER_BYTES], y[NUMBER_BYTES];

	if (limit > 0)
		strbuf_printf(out, "<td class=n>%s of %s</td>", grouped(v, x), grouped(limit, y));
	else
		strbuf_printf(out, "<td class=n>%s</td>", grouped(v, x));
}

/* Each class with what it has and what it may have. */
static void put_throttle(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	const struct conf *c = a->env.conf;
	char x[NUMBER_BYTES];

	if (c->throttle_mode == CONF_THROTTLE_OFF)
		return;
	strbuf_printf(out,
		      "<h2>Throttle%s</h2>\n<table><thead><tr><th class=w>Class</th>"
		      "<th class=n>Held now</th><th class=n>Under way</th><th class=n>A second</th>"
		      "<th class=n>p99 held, ms</th><th class=n>Passed</th><th class=n>Refused</th>"
		      "</tr></thead><tbody>\n",
		      c->throttle_observe ? ", observing: nothing is held" : "");
	for (unsigned k = 0; k < THROTTLE_N_CLASSES; k++) {
		const int64_t *v = f->sum.v + k;

		strbuf_printf(out, "<tr><td>%s</td>", throttle_class_name((enum throttle_class)k));
		put_of(out, v[M_THROTTLE_HELD_STATUS], v[M_THROTTLE_QUEUE_LIMIT_STATUS]);
		put_of(out, v[M_THROTTLE_IN_FLIGHT_STATUS],
		       v[M_THROTTLE_CLASS_CONCURRENCY_LIMIT_STATUS]);
		put_of(out, v[M_THROTTLE_CLASS_RATE_STATUS], v[M_THROTTLE_CLASS_RATE_LIMIT_STATUS]);
		strbuf_printf(out, "<td class=n>%s</td>",
			      grouped(v[M_THROTTLE_HOLD_P99_MS_STATUS], x));
		strbuf_printf(out, "<td class=n>%s</td>", grouped(v[M_THROTTLE_PASSED_STATUS], x));
		strbuf_printf(out, "<td class=n>%s</td></tr>\n",
			      grouped(v[M_THROTTLE_REFUSED_STATUS], x));
	}
	strbuf_put_str(out, "</tbody></table>\n");
}

static void put_tables(const struct figures *f, struct strbuf *out)
{
	unsigned n = 0;

	begin_table(out, "Looked at and passed on, in doubt");
	for (unsigned i = 1; i < DOUBT_COUNT; i++)
		if (f->sum.doubt[i] != 0 && ++n > 0)
			put_row(out, f->sum.doubt[i], doubt_table[i].word, doubt_table[i].text);
	end_table(out, n);
	n = 0;
	begin_table(out, "Requests refused, connections closed");
	for (unsigned i = 1; i < REASON_COUNT; i++)
		if (f->sum.reason[i] != 0 && ++n > 0)
			put_row(out, f->sum.reason[i], reason_table[i].word, reason_table[i].text);
	end_table(out, n);
	n = 0;
	begin_table(out, "Messages that went on with something dropped, added or rewritten");
	for (unsigned i = 0; i < CHANGE_COUNT; i++)
		if (f->sum.change[i] != 0 && ++n > 0)
			put_row(out, f->sum.change[i], change_table[i].word, change_table[i].text);
	end_table(out, n);
}

void admin_put_page(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	char now[32], since[32];

	clock_format_utc(f->now_ms, now, sizeof(now));
	clock_format_utc(a->since_ms, since, sizeof(since));
	strbuf_printf(out,
		      "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
		      "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
		      "<meta http-equiv=refresh content=5><title>statweir: %s</title><style>%s"
		      "</style></head>\n<body><main>\n<header><h1>statweir</h1><p>",
		      f->is_ready ? f->mode : "not ready", style);
	put_escaped(out, a->instance);
	strbuf_printf(out,
		      " &middot; version %s &middot; %s &middot; counting since %s</p></header>\n",
		      STATWEIR_VERSION, now, since);
	put_findings(a, f, out);
	strbuf_put_str(out, "<div class=cards>\n");
	put_mode_card(a, f, out);
	put_ledger_card(f, out);
	put_absorbed_card(a, f, out);
	put_message_cards(f, out);
	put_summary_card(f, out);
	put_link_cards(a, f, out);
	strbuf_put_str(out, "</div>\n");
	put_throttle(a, f, out);
	put_tables(f, out);
	strbuf_put_str(out,
		       "<footer><a href=/stats.json>stats.json</a> &middot; "
		       "<a href=/stats.csv>stats.csv</a> &middot; <a href=/metrics>metrics</a> "
		       "&middot; <a href=/ledger>ledger</a> &middot; <a href=/config>config</a> "
		       "&middot; <a href=/readyz>readyz</a></footer>\n</main></body></html>\n");
}

/* --- the balance sheet --- */

static void put_line(struct strbuf *out, const char *sign, const char *name, int64_t v)
{
	char number[NUMBER_BYTES];

	strbuf_printf(out, "  %1s %-20s %24s\n", sign, name, grouped(v, number));
}

static void put_verdict(struct strbuf *out, int64_t off)
{
	strbuf_printf(out, "  %-22s %24s\n", "", "------------------------");
	put_line(out, "=", off == 0 ? "balanced" : "NOT BALANCED", off);
}

void admin_put_ledger_text(const struct admin *a, const struct figures *f, struct strbuf *out)
{
	const int64_t *v = f->sum.v;
	char text[32];

	clock_format_utc(f->now_ms, text, sizeof(text));
	strbuf_printf(out, "Balance sheet of %s at %s\n\n", a->instance, text);
	clock_format_utc(a->since_ms, text, sizeof(text));
	strbuf_printf(out, "Requests since %s\n", text);
	put_line(out, "", "received", v[M_RECEIVED]);
	put_line(out, "-", "passed", v[M_PASSED]);
	put_line(out, "-", "absorbed, unique", v[M_ABSORBED_UNIQUE]);
	put_line(out, "-", "absorbed, duplicate", v[M_ABSORBED_DUPLICATE]);
	put_line(out, "-", "absorbed, journal alone", v[M_ABSORBED_JOURNAL]);
	put_line(out, "-", "refused", v[M_REFUSED]);
	put_line(out, "-", "aborted", v[M_ABORTED]);
	put_line(out, "-", "in flight", v[M_IN_FLIGHT]);
	put_verdict(out, f->imbalance);
	strbuf_printf(out, "\nMessages recorded in Redis (%s)\n", f->store_state);
	if (!f->has_ledger) {
		strbuf_put_str(out, "  not recounted yet\n");
		return;
	}
	put_line(out, "", "absorbed, unique", f->ledger.absorbed);
	put_line(out, "-", "summarised", f->ledger.settled);
	put_line(out, "-", "pending, open", f->ledger.pending_open);
	put_line(out, "-", "pending, sealed", f->ledger.pending_outbox);
	put_verdict(out, f->store_imbalance);
	clock_format_utc(f->ledger_at_ms, text, sizeof(text));
	strbuf_printf(out, "\nRecounted at %s%s\n", text,
		      a->audit.has_failed ? "; a later recount failed" : "");
}
