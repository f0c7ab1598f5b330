#include "tests/tools/sample_check.h"
#include "tests/tools/sample_mp.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

static const char *const kind_names[MP_KINDS] = {
	"rule",	  "summary", "status", "state", "inventory", "sync",
	"policy", "info",    "auth",   "bits",	"other",
};

const char *mp_kind_name(enum mp_kind kind)
{
	return kind_names[kind];
}

static bool path_has(const struct http_msg *m, const char *part)
{
	struct slice want = slice_str(part);

	for (size_t i = 0; i + want.n <= m->target.n; i++)
		if (slice_ieq(slice_make(m->target.p + i, want.n), want))
			return true;
	return false;
}

static enum mp_kind kind_of_ccm(const struct http_msg *m, const struct ccm_view *v)
{
	if (path_has(m, "windowsauth"))
		return MP_AUTH;
	if (v->is_sync)
		return MP_SYNC;
	if (slice_ieq(v->endpoint, SLICE("MP_RelayEndpoint")))
		return MP_STATE;
	if (slice_ieq(v->endpoint, SLICE("MP_HinvEndpoint")))
		return MP_INVENTORY;
	if (!slice_ieq(v->endpoint, SLICE("StatusReceiver")))
		return MP_OTHER;
	if (slice_eq(v->category, SLICE(CCM_SUMMARY_MARK)))
		return MP_SUMMARY;
	if (v->n_status == 1 && slice_eq(v->type, SLICE("SWMtr_Status_Received_MeterRule")) &&
	    (v->number == 10907 || v->number == -1))
		return MP_RULE;
	return MP_STATUS;
}

static enum mp_kind kind_of(struct mp *mp, const struct http_msg *m, struct ccm_view *v)
{
	*v = (struct ccm_view){.number = -1};
	if (slice_eq(m->method, SLICE("BITS_POST")))
		return MP_BITS;
	if (slice_eq(m->method, SLICE("GET")) && path_has(m, ".sms_pol"))
		return MP_POLICY;
	if (slice_eq(m->method, SLICE("GET")) && path_has(m, ".sms_aut"))
		return MP_INFO;
	if (!slice_eq(m->method, SLICE("CCM_POST")))
		return MP_OTHER;
	ccm_read(&mp->reader, http_msg_field(m, "Content-Type"), m->body, v);
	if (!v->is_readable) {
		mp->damaged++;
		return MP_OTHER;
	}
	return kind_of_ccm(m, v);
}

/* A value of the journal: one word of printable characters, "-" when there is none. */
static void put_value(struct strbuf *b, const char *name, struct slice v)
{
	strbuf_put_str(b, name);
	if (v.n == 0)
		strbuf_put(b, SLICE("-"));
	for (size_t i = 0; i < v.n && i < 200; i++) {
		char c = v.p[i] > ' ' && v.p[i] <= '~' ? v.p[i] : '?';

		strbuf_put(b, slice_make(&c, 1));
	}
}

/* InsertionString5 and on: "RULE,RULE*n,...", which rules and how many messages of each. */
static void put_rules(struct strbuf *b, const struct ccm_view *v)
{
	const char *sep = " rules=";

	for (unsigned i = 4; i < CCM_READ_STRINGS; i++) {
		if (v->string[i].n == 0 || memchr(v->string[i].p, ' ', v->string[i].n))
			continue;
		strbuf_put_str(b, sep);
		strbuf_put(b, v->string[i]);
		sep = ",";
	}
}

static int64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* InsertionString1 is "WINDOW PART/PARTS", InsertionString2 begins with "messages=N". */
static void put_summary(struct mp *mp, struct strbuf *b, const struct ccm_view *v, bool is_new)
{
	struct slice first = v->string[0];
	const char *sp = first.n > 0 ? memchr(first.p, ' ', first.n) : NULL;
	struct slice window = sp ? slice_make(first.p, (size_t)(sp - first.p)) : first;
	struct slice part = slice_trim(slice_drop(first, window.n));
	struct slice counts = v->string[1];
	struct slice messages = ccm_between(counts, "messages=", " ");
	uint64_t n = 0;

	if (!messages.p && slice_istarts(counts, SLICE("messages=")))
		messages = slice_drop(counts, 9);
	put_value(b, " window=", window);
	put_value(b, " part=", part);
	put_value(b, " messages=", messages);
	put_value(b, " subject=", v->subject);
	put_rules(b, v);
	if (is_new && slice_istarts(part, SLICE("1/")) && slice_to_u64(messages, &n) == 0)
		mp->summarised += n;
}

static void put_line(struct mp *mp, const struct http_msg *m, const struct ccm_view *v,
		     const struct mp_answer *a, bool is_taken)
{
	struct strbuf *b = &mp->line;
	bool is_repeat =
		is_taken && v->id.n > 0 && a->kind != MP_AUTH && id_set_add(&mp->seen, v->id);

	strbuf_reset(b);
	strbuf_printf(b, "kind=%s taken=%d repeat=%d", mp_kind_name(a->kind), is_taken, is_repeat);
	put_value(b, " id=", v->id);
	put_value(b, " client=", v->client);
	put_value(b, " rule=", v->rule);
	strbuf_printf(b, " number=%ld statuses=%u", v->number, v->n_status);
	put_value(b, " type=", v->type);
	strbuf_printf(b, " crc=%08X bytes=%zu at=%" PRId64, sample_crc(m->body), m->body.n,
		      wall_ms());
	put_value(b, " method=", m->method);
	put_value(b, " path=", m->target);
	if (a->kind == MP_SUMMARY)
		put_summary(mp, b, v, is_taken && !is_repeat);
	strbuf_put_str(b, "\n");
	mp->repeated += is_repeat;
}

/* In the journal before anything is answered: what was acknowledged can be looked up. */
static void record(struct mp *mp, const struct http_msg *m, const struct ccm_view *v,
		   const struct mp_answer *a, bool is_taken)
{
	struct slice line;

	put_line(mp, m, v, a, is_taken);
	line = strbuf_slice(&mp->line);
	if (mp->log >= 0)
		CHECK(write(mp->log, line.p, line.n) == (ssize_t)line.n);
	if (!is_taken) {
		mp->untaken++;
		return;
	}
	mp->taken[a->kind]++;
	if (a->kind <= MP_STATUS)
		mp_box_put(mp, line);
}

static void put_error(struct strbuf *out, const struct http_msg *m)
{
	mp_reply_put(out, m,
		     &(struct mp_reply){.status = 500,
					.type = "text/html",
					.body = SLICE("<html><body>The server has encountered an "
						      "error.</body></html>"),
					.is_unmarked = true});
}

static bool is_ccm(enum mp_kind k)
{
	return k <= MP_SYNC;
}

/* The answer of a management point in good health. */
static void put_answer(struct mp *mp, const struct http_msg *m, const struct ccm_view *v,
		       uint64_t nonce, struct mp_answer *a)
{
	switch (a->kind) {
	case MP_RULE:
	case MP_SUMMARY:
		mp_reply_async(mp, a->out, m, v, true, false);
		break;
	case MP_STATUS:
	case MP_STATE:
	case MP_INVENTORY:
		mp_reply_async(mp, a->out, m, v, false, false);
		break;
	case MP_SYNC:
		mp_reply_sync(a->out, m, v);
		break;
	case MP_POLICY:
	case MP_INFO:
		mp_reply_get(a->out, m, a->kind == MP_POLICY);
		break;
	case MP_AUTH:
		mp_reply_auth(a->out, m, v, nonce);
		break;
	case MP_BITS:
		mp_reply_bits(mp, a->out, m);
		break;
	default:
		mp_reply_put(a->out, m, &(struct mp_reply){.status = 404});
		break;
	}
}

void mp_answer(struct mp *mp, const struct http_msg *m, uint64_t conn_nonce, struct mp_answer *a)
{
	struct ccm_view v;

	a->kind = kind_of(mp, m, &v);
	a->mode = mp->mode_kinds & 1u << a->kind ? mp->mode : MODE_MP_OK;
	if (!is_ccm(a->kind) && (a->mode == MODE_MP_WRONG || a->mode == MODE_MP_EMPTY))
		a->mode = MODE_MP_OK;
	record(mp, m, &v, a,
	       a->mode == MODE_MP_OK || a->mode == MODE_MP_SLOW || a->mode == MODE_MP_CLOSE);
	if (a->mode == MODE_MP_500)
		put_error(a->out, m);
	else if (a->mode == MODE_MP_EMPTY)
		mp_reply_put(a->out, m, &(struct mp_reply){.status = 200, .is_unmarked = true});
	else if (a->mode == MODE_MP_WRONG)
		mp_reply_async(mp, a->out, m, &v, true, true);
	else if (a->mode != MODE_MP_RESET && a->mode != MODE_MP_CLOSE)
		put_answer(mp, m, &v, conn_nonce, a);
}
