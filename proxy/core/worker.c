#include "proxy/core/worker.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/base/reserve.h"
#include "proxy/core/pace.h"
#include "proxy/core/post.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define TICK_US		  100000
#define TICKS_OF_A_SECOND 10
/* Request head as we write it: the client's bound, and our own fields. */
#define OUT_CAP (128 * 1024)

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	clock_touch();
	(void)reserve_fill(); /* else at the next tick */
	conn_tick(w);
	upstream_tick(w->upstream);
	pace_tick(w);
	post_tick(w);
	store_tick(w->store);
	ack_tick(w->ack);
	flush_tick(w->flush);
	if (w->listener != NULL)
		listener_tick(w->listener);
	if (++w->n_ticks % TICKS_OF_A_SECOND == 0) {
		exch_trim(w);
		iobuf_pool_trim();
	}
	metric_set(M_ACK_TEMPLATES, ack_count(w->ack));
	metric_set(M_STORE_UP, store_is_redis_up(w->store));
}

static void on_accepted(void *arg, int fd, const struct address *from)
{
	conn_accept(arg, fd, from);
}

static int env_post(void *arg, struct slice request, const char *envelope_id, flush_posted_fn *done,
		    void *done_arg)
{
	return post_send(arg, request, envelope_id, done, done_arg);
}

/*
 * Without a configured identity ours is the deployment's nonce, which is only known once
 * the store has been reached: the same for every statweir on one Redis.
 */
static bool has_identity(struct worker *w)
{
	const char *n = store_nonce(w->store);

	if (w->source_id[0] == '\0' && strlen(n) >= 32)
		snprintf(w->source_id, sizeof(w->source_id), "GUID:%.8s-%.4s-%.4s-%.4s-%.12s", n,
			 n + 8, n + 12, n + 16, n + 20);
	for (char *p = w->source_id; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	return w->source_id[0] != '\0';
}

static bool env_may_post(void *arg)
{
	struct worker *w = arg;

	return has_identity(w) && ack_count(w->ack) > 0;
}

static void set_limits(struct worker *w)
{
	const struct conf *c = w->conf;

	w->request_limits = (struct http_limits){
		.request_line = (size_t)c->max_request_line,
		.field_line = (size_t)c->max_field_line,
		.head = (size_t)c->max_head,
		.method = (size_t)c->max_method,
		.fields = (unsigned)c->max_fields,
		.pseudonym = slice_str(c->pseudonym),
	};
	w->response_limits = w->request_limits;
	w->response_limits.head = (size_t)c->max_response_head;
	w->body_limits = (struct http_body_limits){
		.chunk_ext = (uint64_t)c->max_chunk_ext,
		.trailers = (uint64_t)c->max_trailers,
		.body = (uint64_t)c->max_body,
	};
}

/* Who we are in summaries: configured, or derived from the state directory's own nonce. */
static void set_identity(struct worker *w)
{
	const struct conf *c = w->conf;
	char host[64] = "STATWEIR";
	uint64_t unique = 0;
	uint16_t port;

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	for (char *p = host; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	snprintf(w->machine_name, sizeof(w->machine_name), "%s",
		 c->machine_name[0] != '\0' ? c->machine_name : host);
	snprintf(w->source_id, sizeof(w->source_id), "%s", c->identity);
	if (conf_parse_address(c->upstream, w->target_host, &port) < 0)
		w->target_host[0] = '\0';
	/* Host name and process ID are not unique among containers. */
	if (getrandom(&unique, sizeof(unique), 0) < 0)
		unique = (uint64_t)clock_mono_us();
	snprintf(w->owner, sizeof(w->owner), "%.40s-%016" PRIx64, host, unique);
	w->identity = (struct summary_identity){
		.nonce = store_nonce(w->store),
		.source_id = w->source_id,
		.machine_name = w->machine_name,
		.site_code = c->site_code,
		.target_host = w->target_host,
	};
}

static int open_filter(struct worker *w)
{
	const struct conf *c = w->conf;
	struct status_filter_conf fc = {
		.paths = c->absorb_paths,
		.endpoints = c->status_endpoints,
		.types = c->status_types,
		.message_ids = c->message_ids,
		.rule_properties = c->rule_properties,
		.match = (enum status_match)c->match,
		.max_inspect = (size_t)c->max_inspect,
		.max_inflated = (size_t)c->max_inflated,
	};

	if (status_filter_init(&w->filter, &fc) < 0) {
		log_line(LOG_ERROR, "configuration",
			 "section=recognise error=\"a list has more than %d items, or a message "
			 "number is not 0 to 65535\"",
			 STATUS_MAX_NAMES);
		return -EINVAL;
	}
	return arena_init(&w->scratch, status_filter_scratch(&w->filter));
}

static int open_parts(struct worker *w)
{
	static struct flush_env env;
	int rc;

	env = (struct flush_env){.arg = w, .post = env_post, .may_post = env_may_post};
	rc = open_filter(w);
	if (rc == 0)
		rc = upstream_open(&w->upstream, w->base, w->conf);
	if (rc == 0)
		rc = store_open(&w->store, w->base, w->conf);
	if (rc == 0)
		rc = store_use_state(w->store, w->number);
	if (rc == 0)
		rc = pace_open(w);
	if (rc == 0)
		rc = ack_open(&w->ack, w->conf);
	if (rc < 0)
		return rc;
	set_identity(w);
	return flush_open(&w->flush, w->store, w->conf, &w->identity, &env, w->owner);
}

int worker_open(struct worker *w, struct event_base *base, const struct conf *conf, unsigned number,
		int listen_fd)
{
	struct timeval period = {.tv_usec = TICK_US};
	int rc;

	*w = (struct worker){.conf = conf, .base = base, .number = number};
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->posts);
	strbuf_init(&w->out, OUT_CAP);
	set_limits(w);
	if (networks_parse(&w->trusted, conf->trusted) < 0) {
		log_line(LOG_ERROR, "configuration",
			 "setting=listen.trusted value=\"%s\" error=\"not a list of addresses or "
			 "networks\"",
			 conf->trusted);
		return -EINVAL;
	}
	w->conns = calloc(CONN_STATES, sizeof(*w->conns));
	if (w->conns == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < CONN_STATES; i++)
		TAILQ_INIT(&w->conns[i]);
	rc = open_parts(w);
	if (rc == 0)
		rc = listener_open(&w->listener, base, listen_fd, on_accepted, w);
	if (rc < 0)
		return rc;
	w->tick = event_new(base, -1, EV_PERSIST, on_tick, w);
	if (w->tick == NULL || event_add(w->tick, &period) < 0)
		return -ENOMEM;
	return 0;
}

/* Once per turn, after the callbacks of one poll. */
static void end_turn(struct worker *w)
{
	clock_touch();
	if (ack_generation(w->ack) != w->ack_seen)
		exch_wake_waiting(w);
	w->n_reads = 0;
	store_commit(w->store);
	post_finish(w);
	upstream_bury(w->upstream);
	conn_bury(w);
	clock_end_turn();
}

static bool has_work(const struct worker *w)
{
	return w->n_conns > 0 || !TAILQ_EMPTY(&w->posts) || !flush_is_idle(w->flush);
}

void worker_run(struct worker *w)
{
	while (!w->is_stopping) {
		if (event_base_loop(w->base, EVLOOP_ONCE) < 0)
			break;
		end_turn(w);
		if (!w->is_draining)
			continue;
		conn_close_idle(w, REASON_DRAIN);
		conn_bury(w);
		if (!has_work(w) || clock_mono_ms() >= w->drain_until_ms)
			w->is_stopping = true;
	}
}

void worker_drain(struct worker *w)
{
	if (w->is_draining) {
		w->is_stopping = true;
		return;
	}
	log_line(LOG_INFO, "drain", "connections=%lld limit_ms=%lld", (long long)w->n_conns,
		 (long long)w->conf->drain_ms);
	w->is_draining = true;
	w->drain_until_ms = clock_mono_ms() + w->conf->drain_ms;
	if (w->listener != NULL)
		listener_close(w->listener);
	w->listener = NULL;
	flush_stop(w->flush);
	pace_drain(w, w->drain_until_ms);
	conn_close_idle(w, REASON_DRAIN);
}

static struct conn *any_connection(const struct worker *w)
{
	for (unsigned i = 0; w->conns != NULL && i < CONN_DEAD; i++)
		if (!TAILQ_EMPTY(&w->conns[i]))
			return TAILQ_FIRST(&w->conns[i]);
	return NULL;
}

static void kill_connections(struct worker *w)
{
	struct conn *c;

	/* The end of one may answer another, which then is on a list that was empty before. */
	while ((c = any_connection(w)) != NULL)
		conn_kill(c, REASON_DRAIN);
}

void worker_close(struct worker *w)
{
	kill_connections(w);
	if (w->tick != NULL)
		event_free(w->tick);
	if (w->listener != NULL)
		listener_close(w->listener);
	if (w->upstream != NULL)
		post_fini(w);
	/* Answers what is still recorded, and so ends the last exchanges. */
	if (w->store != NULL)
		store_close(w->store);
	pace_close(w);
	if (w->flush != NULL)
		flush_close(w->flush);
	if (w->ack != NULL)
		ack_close(w->ack);
	if (w->upstream != NULL)
		upstream_close(w->upstream);
	if (w->conns != NULL)
		conn_bury(w);
	exch_fini(w);
	conn_fini(w);
	arena_fini(&w->scratch);
	strbuf_fini(&w->out);
	free(w->conns);
	iobuf_pool_fini();
}

const char *worker_readiness(const struct worker *w)
{
	if (w->is_draining)
		return "stopping";
	if (!upstream_is_up(w->upstream))
		return "management point cannot be reached";
	return "ok";
}
