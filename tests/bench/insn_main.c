/*
 * What happens to every message, N times over, one function for each step: callgrind
 * counts the instructions of the op_ functions, and tests/bench/insn.py compares them
 * with the committed table. No sockets and no Redis, so the counts repeat exactly.
 *
 *	insn DIRECTORY ROUNDS	the directory is for the learned acknowledgement
 */
#include "filters/status_filter.h"
#include "proxy/base/clock.h"
#include "proxy/core/ack.h"
#include "proxy/http/body.h"
#include "proxy/http/emit.h"
#include "proxy/http/reader.h"
#include "proxy/store/resp.h"
#include "proxy/store/shard.h"
#include "proxy/store/store.h"
#include "tests/tools/ccm.h"

#include <stdio.h>
#include <stdlib.h>

/* Its own symbol with its own cost, whatever the optimiser thinks of it. */
#define OP __attribute__((noinline)) static void

#define GET_HEAD                                                                \
	"GET /sms_mp/.sms_pol?ABC00012-ABC00001-9A2C7BB9.1_00 HTTP/1.1\r\n"     \
	"Accept: */*\r\nUser-Agent: SMS CCM 5.0\r\nHost: mp01.example.test\r\n" \
	"Cache-Control: no-cache\r\nConnection: Keep-Alive\r\n"                 \
	"X-Pad: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n"
#define REPLY_HEAD                                                                   \
	"HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 183\r\n"       \
	"Content-Type: multipart/mixed; boundary=\"aAbBcCdDv1234567890VxXyYzZ\"\r\n" \
	"Server: Microsoft-IIS/6.0\r\nX-Powered-By: ASP.NET\r\n"                     \
	"Date: Sun, 22 Nov 2026 10:11:12 GMT\r\n\r\n"
#define REPLY_BODY                                                                     \
	"--aAbBcCdDv1234567890VxXyYzZ\r\ncontent-type: text/plain; charset=UTF-16\r\n" \
	"\r\n%s NoReply\r\n--aAbBcCdDv1234567890VxXyYzZ--"

struct sample {
	char *bytes; /* head and body; owned */
	size_t n;
	struct http_head head; /* of bytes */
	struct slice body;
	char id[40];
};

struct world {
	struct http_limits limits;
	struct http_body_limits body_limits;
	struct status_filter filter;
	struct arena scratch;
	struct strbuf out;
	struct sample rule, rule_plain, other; /* 10907 packed and not, another status message */
	struct http_head reply;
	char chunks[11 * 1024];
	size_t n_chunks;
	struct conf conf;
	struct ack_set *ack;
	struct ack_key key;
	struct verdict verdict; /* of rule */
	struct http_head scrap;
	uint64_t sink; /* what must not be optimised away */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "insn: %s went another way than planned\n", what);
	exit(1);
}

/* --- what is counted ---------------------------------------------------------------- */

static void read_request(struct world *w, struct slice in)
{
	struct http_reader r = {0};

	must(http_read_request(&r, in.p, in.n, &w->limits, &w->scrap) == HTTP_HEAD, "head");
}

OP op_read_post_head(struct world *w)
{
	read_request(w, slice_make(w->rule.bytes, w->rule.n));
}

OP op_read_get_head(struct world *w)
{
	read_request(w, SLICE(GET_HEAD));
}

static void read_reply(struct world *w, struct slice in)
{
	struct http_reader r = {0};

	must(http_read_response(&r, in.p, in.n, false, &w->limits, &w->scrap) == HTTP_HEAD,
	     "reply");
}

OP op_read_reply_head(struct world *w)
{
	read_reply(w, SLICE(REPLY_HEAD));
}

static void read_body(struct world *w, const struct http_head *head, struct slice in)
{
	struct http_body b;
	struct slice data;
	enum body_rc rc;
	size_t used;

	http_body_init(&b, head);
	do {
		rc = http_body_next(&b, &w->body_limits, in, &used, &data);
		in = slice_drop(in, used);
	} while (rc == BODY_DATA);
	must(rc == BODY_END, "body");
	w->sink += b.total;
}

OP op_body_of_length(struct world *w)
{
	read_body(w, &w->rule.head, w->rule.body);
}

OP op_body_of_ten_chunks(struct world *w)
{
	struct http_head head = {.framing = FRAMING_CHUNKED};

	read_body(w, &head, slice_make(w->chunks, w->n_chunks));
}

static enum filter_action inspect(struct world *w, const struct sample *s, struct verdict *v)
{
	must(status_filter_ops.interest(&w->filter, &s->head) == DOUBT_NONE, "interest");
	arena_reset(&w->scratch);
	status_filter_ops.inspect(&w->filter, &s->head, s->body, &w->scratch, v);
	return v->action;
}

OP op_inspect_10907(struct world *w)
{
	struct verdict v = {0};

	must(inspect(w, &w->rule, &v) == FILTER_ABSORB, "10907");
}

OP op_inspect_10907_not_packed(struct world *w)
{
	struct verdict v = {0};

	must(inspect(w, &w->rule_plain, &v) == FILTER_ABSORB, "10907, not packed");
}

OP op_inspect_other_status(struct world *w)
{
	struct verdict v = {0};

	must(inspect(w, &w->other, &v) == FILTER_PASS, "other status");
}

OP op_emit_request(struct world *w)
{
	struct emit_request how = {.peer = SLICE("192.0.2.9"),
				   .default_host = SLICE("mp01.example.test"),
				   .pseudonym = SLICE("statweir"),
				   .max_forwards = -1};

	strbuf_reset(&w->out);
	emit_request_head(&w->out, &w->rule.head, &how);
}

OP op_emit_reply(struct world *w)
{
	struct emit_response how = {.minor = 1,
				    .keep_alive = true,
				    .pseudonym = SLICE("statweir"),
				    .date = clock_http_date()};

	strbuf_reset(&w->out);
	w->sink += emit_response_head(&w->out, &w->reply, &how);
}

/* What travels to Redis for one message. */
OP op_encode_record(struct world *w)
{
	const struct finding *f = &w->verdict.finding;

	strbuf_reset(&w->out);
	w->sink += shard_of_client(f->client, 16);
	resp_bulk(&w->out, f->client);
	resp_number(&w->out, (int64_t)record_digest(f->message));
	resp_bulk(&w->out, f->rule);
}

OP op_replay_acknowledgement(struct world *w)
{
	const struct ack_template *t;

	must(ack_choose(w->ack, &w->key, &t) == ACK_REPLAY, "acknowledgement");
	strbuf_reset(&w->out);
	ack_write(t, slice_str(w->rule.id), 1, true, clock_http_date(), &w->out);
}

static void (*const ops[])(struct world *w) = {
	op_read_post_head,
	op_read_get_head,
	op_read_reply_head,
	op_body_of_length,
	op_body_of_ten_chunks,
	op_inspect_10907,
	op_inspect_10907_not_packed,
	op_inspect_other_status,
	op_emit_request,
	op_emit_reply,
	op_encode_record,
	op_replay_acknowledgement,
};

/* --- what they work on -------------------------------------------------------------- */

static void make_sample(struct world *w, struct sample *s, enum ccm_kind kind,
			enum ccm_variant variant)
{
	struct ccm_item it = {.kind = kind, .client = 3, .serial = 7, .rule = 12, .token = ""};
	struct http_reader r = {0};
	struct ccm_builder b;
	struct ccm_request q;

	ccm_builder_init(&b, 1, 1u << variant, "mp01.example.test");
	ccm_build(&b, &it, &q);
	s->n = q.head.n + q.body.n;
	s->bytes = malloc(s->n);
	must(s->bytes != NULL, "memory");
	memcpy(s->bytes, q.head.p, q.head.n);
	memcpy(s->bytes + q.head.n, q.body.p, q.body.n);
	snprintf(s->id, sizeof(s->id), "%s", q.id);
	ccm_builder_fini(&b);
	must(http_read_request(&r, s->bytes, s->n, &w->limits, &s->head) == HTTP_HEAD, "sample");
	s->body = slice_make(s->bytes + s->head.head_bytes, s->n - s->head.head_bytes);
}

static void make_chunks(struct world *w)
{
	size_t n = 0;

	for (int i = 0; i < 10; i++) {
		n += (size_t)snprintf(w->chunks + n, sizeof(w->chunks) - n, "400\r\n");
		memset(w->chunks + n, 'x', 1024);
		n += 1024;
		n += (size_t)snprintf(w->chunks + n, sizeof(w->chunks) - n, "\r\n");
	}
	n += (size_t)snprintf(w->chunks + n, sizeof(w->chunks) - n, "0\r\n\r\n");
	w->n_chunks = n;
}

static void learn(struct world *w, const char *directory)
{
	const struct ack_template *t;
	char body[256];
	size_t n = (size_t)snprintf(body, sizeof(body), REPLY_BODY, w->rule.id);

	must(conf_init(&w->conf) == 0, "configuration");
	free(w->conf.state);
	w->conf.state = strdup(directory);
	w->conf.ack_samples = 1;
	must(ack_open(&w->ack, &w->conf) == 0, "acknowledgements");
	w->key = (struct ack_key){.path = w->rule.head.path,
				  .minor = 1,
				  .compression = w->verdict.reply.reply_compression,
				  .schema = w->verdict.reply.schema_version};
	must(ack_choose(w->ack, &w->key, &t) == ACK_SAMPLE, "sample of a reply");
	ack_observe(w->ack, &w->key, &w->reply, slice_make(body, n), slice_str(w->rule.id));
}

static void make_world(struct world *w)
{
	const struct status_filter_conf fc = {.paths = "/ccm_system/request",
					      .endpoints = "StatusReceiver",
					      .types = "SWMtr_Status_Received_MeterRule",
					      .message_ids = "10907",
					      .rule_properties = "Attribute407,RuleID,MeterRuleID",
					      .match = STATUS_EITHER,
					      .max_inspect = 65536,
					      .max_inflated = 262144};

	clock_refresh();
	w->limits = (struct http_limits){8192, 8192, 32768, 32, 100, SLICE("statweir")};
	w->body_limits = (struct http_body_limits){.chunk_ext = 4096, .trailers = 8192};
	must(status_filter_init(&w->filter, &fc) == 0, "filter");
	must(arena_init(&w->scratch, status_filter_scratch(&w->filter)) == 0, "arena");
	strbuf_init(&w->out, 65536);
	make_sample(w, &w->rule, CCM_RULE, CCM_V_PLAIN);
	make_sample(w, &w->rule_plain, CCM_RULE, CCM_V_RAW);
	make_sample(w, &w->other, CCM_STATUS, CCM_V_PLAIN);
	make_chunks(w);
	read_reply(w, SLICE(REPLY_HEAD));
	w->reply = w->scrap;
}

static struct slice copy(struct slice s)
{
	char *p = malloc(s.n + 1);

	must(p != NULL, "memory");
	memcpy(p, s.p, s.n);
	return slice_make(p, s.n);
}

/* The finding stands in the arena, which belongs to the next message. */
static void keep_verdict(struct world *w)
{
	struct verdict *v = &w->verdict;

	must(inspect(w, &w->rule, v) == FILTER_ABSORB, "10907");
	v->finding.client = copy(v->finding.client);
	v->finding.rule = copy(v->finding.rule);
	v->finding.message = copy(v->finding.message);
	v->reply.reply_compression = copy(v->reply.reply_compression);
	v->reply.schema_version = copy(v->reply.schema_version);
}

int main(int argc, char **argv)
{
	static struct world w;
	long rounds = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (rounds <= 0) {
		fprintf(stderr, "insn DIRECTORY ROUNDS\n");
		return 64;
	}
	make_world(&w);
	keep_verdict(&w);
	learn(&w, argv[1]);
	for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++)
		for (long i = 0; i < rounds; i++)
			ops[k](&w);
	must(strbuf_ok(&w.out), "output");
	return 0;
}
