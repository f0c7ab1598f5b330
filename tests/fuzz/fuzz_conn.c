/*
 * The whole connection machine between peers that do as a script says: clients and
 * management points that send anything in any order, close, reset or are slow, a store
 * that answers as it likes, and time.
 *
 * An input is two bytes of options (enum option of conn_peers.h, from ' ' on), then operations: a
 * letter and mostly a digit for which peer. s and S are followed by bytes up to RECORD. See
 * run_op().
 */
#include "proxy/base/log.h"
#include "proxy/core/pace.h"
#include "tests/fuzz/conn_peers.h"

#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD	   0x1e
#define OPS_MAX	   600
#define END_TURNS  64
#define SLOW_PIECE 700

static struct conf conf;
static int listen_fd = -1;

/* --- turns --- */

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	((struct worker *)arg)->is_stopping = true;
}

static void check_books(void)
{
	const int64_t *v = metrics_self->v;

	CHECK(v[M_RECEIVED] ==
	      v[M_PASSED] + v[M_ABSORBED_UNIQUE] + v[M_REFUSED] + v[M_ABORTED] + v[M_IN_FLIGHT]);
	CHECK(v[M_CONNS_OPEN] == world.w.n_conns && v[M_CONNS_OPEN] >= 0);
	CHECK(v[M_IN_FLIGHT] >= 0 && v[M_UP_WAITING] >= 0 && v[M_UP_OPEN] >= 0);
}

static void read_all(void)
{
	for (unsigned i = 0; i < world.n_upstreams && (!has(SLOW_UPSTREAMS) || world.is_ending);
	     i++)
		if (world.upstreams[i]->junk == 0 || world.is_ending)
			peer_read(world.upstreams[i], SIZE_MAX);
	for (unsigned i = 0; i < world.n_clients && (!has(SLOW_CLIENTS) || world.is_ending); i++)
		peer_read(world.clients[i], SIZE_MAX);
}

/* worker_run(), for one turn: an event is there already, and it ends it. */
static void turn(void)
{
	fake_now_us += 100;
	event_active(world.stop, EV_TIMEOUT, 1);
	worker_run(&world.w);
	world.w.is_stopping = false;
	read_all();
	check_books();
}

static void pass_ms(int64_t ms)
{
	fake_now_us += ms * 1000;
	turn();
}

/* --- the script --- */

static struct slice rest;

static unsigned next_byte(void)
{
	unsigned c = rest.n > 0 ? (unsigned char)rest.p[0] : '0';

	rest = slice_drop(rest, 1);
	return c;
}

static unsigned next_digit(void)
{
	return (next_byte() - '0') & 31;
}

static struct slice next_bytes(void)
{
	const char *end = rest.n > 0 ? memchr(rest.p, RECORD, rest.n) : NULL;
	struct slice s = slice_make(rest.p, end != NULL ? (size_t)(end - rest.p) : rest.n);

	rest = slice_drop(rest, s.n + 1);
	return s;
}

static struct peer *nth_upstream(unsigned n)
{
	unsigned open = 0, i;

	for (i = 0; i < world.n_upstreams; i++)
		open += world.upstreams[i]->fd >= 0;
	if (open == 0)
		return NULL;
	n %= open;
	for (i = 0; world.upstreams[i]->fd < 0 || n > 0; i++)
		n -= world.upstreams[i]->fd >= 0;
	return world.upstreams[i];
}

static void client_sends_bytes(unsigned slot, struct slice s)
{
	struct peer *p = world.slot[slot];

	if (p == NULL || p->fd < 0)
		connect_client(slot);
	p = world.slot[slot];
	if (p != NULL)
		peer_send(p, s);
}

static void client_sends_canned(unsigned slot, unsigned kind)
{
	struct strbuf out;

	strbuf_init(&out, 65536);
	if (kind < CANNED_REQUESTS)
		strbuf_put_str(&out, canned_requests[kind]);
	else if (kind == CANNED_REQUESTS)
		canned_long(&out, "POST /l HTTP/1.1\r\nHost: a\r\n", 20000);
	else
		canned_status(&out, kind);
	client_sends_bytes(slot, strbuf_slice(&out));
	strbuf_fini(&out);
}

static void upstream_sends_bytes(struct peer *p, struct slice s)
{
	char text[CANNED_MARK + 1];
	struct strbuf out;

	if (p == NULL)
		return;
	peer_read(p, SIZE_MAX);
	if (!p->got.is_body && p->got.in.n > 0)
		world.is_blurred = true; /* an answer to half a head */
	strbuf_init(&out, 1 << 20);
	while (s.n > 0) {
		const char *tag = memchr(s.p, CANNED_TAG, s.n);
		size_t n = tag != NULL ? (size_t)(tag - s.p) : s.n;

		strbuf_put(&out, slice_make(s.p, n));
		if (tag != NULL)
			strbuf_put_str(&out, tag_of(p->may_be_learned ? NULL : p->client, text));
		s = slice_drop(s, n + 1);
	}
	peer_send(p, strbuf_slice(&out));
	strbuf_fini(&out);
}

static void upstream_sends_canned(struct peer *p, unsigned kind)
{
	struct strbuf out;

	strbuf_init(&out, 65536);
	if (kind < CANNED_RESPONSES)
		strbuf_put_str(&out, canned_responses[kind]);
	else
		canned_long(&out, "HTTP/1.1 200 OK\r\n", 20000);
	upstream_sends_bytes(p, strbuf_slice(&out));
	strbuf_fini(&out);
}

static void client_op(unsigned op, unsigned slot)
{
	struct peer *p = world.slot[slot];

	if (op == 's')
		client_sends_bytes(slot, next_bytes());
	else if (op == 'm')
		client_sends_canned(slot, next_digit());
	else if (p == NULL)
		return;
	else if (op == 'r')
		peer_read(p, SLOW_PIECE);
	else
		peer_close(p, op == 'h');
}

static void upstream_op(unsigned op, struct peer *p)
{
	if (op == 'S')
		upstream_sends_bytes(p, next_bytes());
	else if (op == 'M')
		upstream_sends_canned(p, next_digit());
	else if (p == NULL)
		return;
	else if (op == 'R')
		peer_read(p, SLOW_PIECE);
	else
		peer_close(p, op == 'H');
}

/* A letter that is none does nothing. */
static void run_op(void)
{
	static const int64_t times[] = {1, 50, 100, 1000, 3000, 10000, 20000, 61000};
	unsigned op = next_byte();

	switch (op) {
	case 's': /* client: bytes, a canned message, its end, half of it, read a piece */
	case 'm':
	case 'c':
	case 'h':
	case 'r':
		client_op(op, next_digit() % SLOTS);
		break;
	case 'S': /* the same for upstreams */
	case 'M':
	case 'C':
	case 'H':
	case 'R':
		upstream_op(op, nth_upstream(next_digit()));
		break;
	case 't':
		fake_now_us += times[next_digit() % 8] * 1000;
		break;
	case 'K': /* what becomes of the next connections to an upstream */
		world.connecting = (enum connecting)(next_digit() % 4);
		return;
	case 'o': /* the store answers its oldest question, or all: OK, REFUSED, UNKNOWN */
	case 'O': {
		enum store_rc rc = (enum store_rc)(next_digit() % 3);

		while (fake_store_answer_one(rc) && op == 'O')
			;
		break;
	}
	case 'x':
		fake_store.is_ready = !fake_store.is_ready;
		return;
	case 'd':
		if (!world.w.is_draining)
			worker_drain(&world.w);
		break;
	case '.':
		turn();
		return;
	default:
		return;
	}
	/* Two turns: a request is there when its connection is. */
	for (unsigned i = 0; i < 2 && !has(MANUAL); i++)
		turn();
}

/* --- before and after --- */

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	CHECK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void set(const char *key, const char *value)
{
	struct strbuf err;

	strbuf_init(&err, 1024);
	CHECK(conf_set(&conf, key, value, &err) == 0);
	strbuf_fini(&err);
}

static void start(void)
{
	log_threshold = (enum log_level)0;
	CHECK(conf_init(&conf) == 0);
	set("global.upstream", "127.0.0.1:9");
	set("global.state", "/proc/statweir");
	set("listen.trusted", "10.9.0.0/16");
	set("listen.request_timeout", "60s");
	set("listen.max_requests", "200");
	set("limits.fields", "90");
	listen_fd = listen_socket("127.0.0.1:0", 1, "listen");
	CHECK(listen_fd >= 0);
}

static void choose(unsigned options)
{
	unsigned mode = options >> 8 & 3;

	conf.mode = mode == 3 ? MODE_ENFORCE : (int)mode;
	conf.ack_samples = mode == 3 ? 1 : 2;
	conf.throttle_mode = options & ONE_AT_A_TIME ? CONF_THROTTLE_FIXED
			     : options & THROTTLED   ? CONF_THROTTLE_AUTO
						     : CONF_THROTTLE_OFF;
	conf.throttle_other_concurrency = options & ONE_AT_A_TIME ? 1 : 0;
	conf.throttle_other_queue = options & ONE_WAITING ? 1 : 1000;
	conf.up_max_conns = options & ONE_UPSTREAM ? 1 : 8;
	conf.up_max_waiting = options & ONE_WAITING ? 1 : 100;
}

static void open_world(struct event_base *base, unsigned options)
{
	memset(metrics_self, 0, sizeof(*metrics_self));
	memset(&world, 0, sizeof(world));
	memset(&fake_recent, 0, sizeof(fake_recent));
	fake_now_us = FAKE_START_US;
	world.options = options;
	choose(options);
	fake_store.is_ready = has(STORE_READY);
	CHECK(worker_open(&world.w, base, &conf, 0, listen_fd) == 0);
	world.stop = event_new(base, -1, 0, on_stop, &world.w);
	CHECK(world.stop != NULL);
}

/* Nobody does anything any more: everything must come to its end by itself. */
static void wind_down(void)
{
	struct throttle_totals t;
	unsigned limit = END_TURNS;

	world.is_ending = true;
	for (unsigned i = 0; i < world.n_clients; i++)
		limit += 8 * world.clients[i]->n_heads;
	for (unsigned i = 0; i < world.n_upstreams; i++)
		peer_close(world.upstreams[i], false);
	while (world.w.n_conns > 0 && limit-- > 0)
		pass_ms(limit % 2 == 0 ? 100 : 20000);
	pass_ms(20000);
	CHECK(world.w.n_conns == 0 && metrics_self->v[M_IN_FLIGHT] == 0);
	CHECK(metrics_self->v[M_UP_WAITING] == 0 && metrics_self->v[M_UP_OPEN] == 0);
	throttle_totals(world.w.throttle, &t);
	CHECK(t.held == 0 && t.in_flight == 0);
}

static void close_world(void)
{
	world.is_ending = true;
	event_free(world.stop);
	worker_close(&world.w);
	check_books();
	CHECK(metrics_self->v[M_IN_FLIGHT] == 0 && metrics_self->v[M_UP_OPEN] == 0);
	read_all();
	for (unsigned i = 0; i < world.n_clients; i++)
		free_peer(world.clients[i]);
	for (unsigned i = 0; i < world.n_upstreams; i++)
		free_peer(world.upstreams[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_base *base;
	unsigned n_fds, options;

	if (listen_fd < 0)
		start();
	n_fds = count_fds();
	fake_is_inside = true;
	rest = slice_make((const char *)data, size);
	options = (next_byte() - ' ') & 63;
	options |= ((next_byte() - ' ') & 63) << 8;
	base = event_base_new();
	CHECK(base != NULL);
	open_world(base, options);
	world.salt = watch_hash(size, rest);
	for (unsigned i = 0; i < OPS_MAX && rest.n > 0; i++)
		run_op();
	if (!has(ABRUPT))
		wind_down();
	close_world();
	event_base_free(base);
	fake_is_inside = false;
	CHECK(count_fds() == n_fds);
	return 0;
}
