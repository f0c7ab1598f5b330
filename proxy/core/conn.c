#include "proxy/core/conn.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/base/siphash.h"
#include "proxy/core/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Strangers choose what is hashed: a keyed function. The key need only differ from run to run. */
static struct siphash_key table_key;
#define HASH_FUNCTION(keyptr, keylen, hashv) \
	((hashv) = (unsigned)siphash(&table_key, slice_make((const char *)(keyptr), keylen)))
/* Without memory for its table an element is not added, and hh.tbl is NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define CONN_MAGIC 0x636f6e6eu
/* After so many reads of a turn the store is asked for answers. */
#define READS_A_LOOK 32
/* Half of all connections may wait for their first byte, and never fewer than come in a turn. */
#define FRESH_SHARE 2
#define FRESH_MIN   128

struct addr_count {
	uint8_t key[16];
	int64_t n;
	UT_hash_handle hh;
};

static void conn_set_state(struct conn *c, enum conn_state to)
{
	if (c->state == CONN_FRESH)
		c->w->n_fresh--;
	TAILQ_REMOVE(&c->w->conns[c->state], c, link);
	c->state = to;
	c->since_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&c->w->conns[to], c, link);
}

static bool is_ipv4(const uint8_t key[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(key, mapped, sizeof(mapped)) == 0;
}

/* The /24 of an IPv4 address, the /64 of another. */
static uint64_t network_of(const struct address *from)
{
	uint8_t key[16];

	address_key(from, key);
	return siphash(&table_key, slice_make((const char *)key, is_ipv4(key) ? 15 : 8));
}

/* The entry of an address, counted up; NULL when its limit is reached (or no memory). */
static struct addr_count *count_address(struct worker *w, const struct address *from)
{
	struct addr_count *a;
	uint8_t key[16];

	if (table_key.k0 == 0)
		table_key =
			(struct siphash_key){(uint64_t)clock_mono_us() | 1, (uint64_t)(uintptr_t)w};
	address_key(from, key);
	HASH_FIND(hh, w->per_addr, key, sizeof(key), a);
	if (a == NULL) {
		a = calloc(1, sizeof(*a));
		if (a == NULL)
			return NULL;
		memcpy(a->key, key, sizeof(key));
		HASH_ADD(hh, w->per_addr, key, sizeof(a->key), a);
		if (a->hh.tbl == NULL) {
			free(a);
			return NULL;
		}
	}
	if (a->n >= w->conf->max_conns_per_addr)
		return NULL;
	a->n++;
	return a;
}

static void uncount_address(struct worker *w, struct addr_count *a)
{
	if (a == NULL || --a->n > 0)
		return;
	HASH_DELETE(hh, w->per_addr, a);
	free(a);
}

static void on_readable(void *arg);
static void on_writable(void *arg);

/* Neither in a request nor about to close. */
static bool is_between(const struct conn *c)
{
	return c->state == CONN_FRESH || c->state == CONN_IDLE;
}

/* Too many that say nothing: the oldest goes, unless its request has come in this turn. */
static void shed_fresh(struct worker *w)
{
	int64_t limit = w->conf->max_conns / FRESH_SHARE;
	struct conn *c;

	if (limit < FRESH_MIN)
		limit = FRESH_MIN;
	while (w->n_fresh >= limit) {
		c = TAILQ_FIRST(&w->conns[CONN_FRESH]);
		on_readable(c);
		if (c->state == CONN_FRESH)
			conn_kill(c, REASON_CONN_LIMIT);
	}
}

static void log_refused(const struct worker *w, const struct address *from)
{
	static struct log_limit lim;
	char peer[ADDRESS_TEXT];

	if (w->conf->access_log)
		log_limited(&lim, 20, LOG_INFO, "connection", "peer=%s fate=refused reason=%s",
			    address_host(from, peer), reason_table[REASON_CONN_LIMIT].word);
}

void conn_accept(struct worker *w, int fd, const struct address *from)
{
	struct addr_count *addr = NULL;
	bool is_trusted = networks_contain(&w->trusted, from);
	struct conn *c = NULL;

	shed_fresh(w);
	if (w->n_conns < w->conf->max_conns && !w->is_draining)
		c = calloc(1, sizeof(*c));
	if (c != NULL && !is_trusted) {
		addr = count_address(w, from);
		if (addr == NULL) {
			free(c);
			c = NULL;
		}
	}
	if (c == NULL) {
		metric_add(M_CONNS_REFUSED, 1);
		metrics_self->reason[REASON_CONN_LIMIT]++;
		log_refused(w, from);
		close(fd);
		return;
	}
	c->magic = CONN_MAGIC;
	c->w = w;
	c->addr = addr;
	c->is_trusted = is_trusted;
	c->since_ms = clock_mono_ms();
	address_host(from, c->peer);
	c->network = network_of(from);
	stream_init(&c->s, w->base, fd, on_readable, on_writable, c);
	TAILQ_INSERT_TAIL(&w->conns[CONN_FRESH], c, link);
	w->n_conns++;
	w->n_fresh++;
	metric_add(M_CONNS_TOTAL, 1);
	metric_add(M_CONNS_OPEN, 1);
	stream_want_read(&c->s, true);
}

static void die(struct conn *c, enum reason why, bool with_reset)
{
	struct exchange *x = c->x;

	if (c->state == CONN_DEAD)
		return;
	/* What is cut must not look whole: with 1.0 the end is all that ends a body. */
	if (stream_pending(&c->s) > 0 ||
	    (x != NULL && x->has_answer && x->client_framing == FRAMING_CLOSE))
		with_reset = true;
	metrics_self->reason[why]++;
	conn_set_state(c, CONN_DEAD);
	if (with_reset)
		stream_reset(&c->s);
	else
		stream_close(&c->s);
	c->x = NULL;
	/* Under way on the pinned connection: the exchange lets go of it. */
	if (x != NULL && x->uc == c->pinned)
		c->pinned = NULL;
	if (x != NULL)
		exch_abort(x, why);
	if (c->pinned != NULL)
		upconn_drop(c->pinned);
	c->pinned = NULL;
	uncount_address(c->w, c->addr);
	c->addr = NULL;
	c->w->n_conns--;
	metric_add(M_CONNS_OPEN, -1);
}

void conn_kill(struct conn *c, enum reason why)
{
	die(c, why, false);
}

void conn_reset(struct conn *c, enum reason why)
{
	die(c, why, true);
}

bool conn_send(struct conn *c, const struct slice *v, unsigned n)
{
	size_t total = 0;

	for (unsigned i = 0; i < n; i++)
		total += v[i].n;
	if (stream_send(&c->s, v, n) < 0) {
		conn_kill(c, REASON_CLIENT_GONE);
		return false;
	}
	metric_add(M_BYTES_OUT, (int64_t)total);
	return true;
}

/*
 * Everything has been written. Whatever the client still sends, be it an idle line end,
 * would be answered with a reset behind a close, and the answer lost (RFC 9112 9.6).
 */
static void finish_close(struct conn *c)
{
	shutdown(c->s.fd, SHUT_WR);
	if (c->s.has_eof) {
		conn_kill(c, REASON_LAST_REQUEST);
		return;
	}
	iobuf_release(&c->s.in);
	conn_set_state(c, CONN_LINGER);
	stream_want_read(&c->s, true);
}

void conn_exchange_ended(struct conn *c, bool keep_alive)
{
	c->x = NULL;
	if (c->state == CONN_DEAD)
		return;
	if (keep_alive && !c->w->is_draining) {
		conn_set_state(c, CONN_IDLE);
		if (iobuf_used(&c->s.in) == 0)
			iobuf_release(&c->s.in);
		stream_want_read(&c->s, true);
		if (!c->is_running && (iobuf_used(&c->s.in) > 0 || c->s.has_eof))
			conn_run(c);
		return;
	}
	conn_set_state(c, CONN_FLUSH);
	if (stream_pending(&c->s) == 0)
		finish_close(c);
	else
		stream_want_read(&c->s, false);
}

/* Between requests with bytes there (or the end): begin the next one. */
static bool begin_request(struct conn *c)
{
	if (iobuf_used(&c->s.in) == 0) {
		if (c->s.has_eof)
			conn_kill(c, REASON_PEER_CLOSED);
		return false;
	}
	/* One answer must be out before the next request is looked at: bounded memory. */
	if (stream_pending(&c->s) > IOBUF_BYTES / 2)
		return false;
	c->x = exch_new(c);
	if (c->x == NULL) {
		conn_kill(c, REASON_NO_MEMORY);
		return false;
	}
	iobuf_compact(&c->s.in);
	stream_want_read(&c->s, true);
	conn_set_state(c, CONN_BUSY);
	return true;
}

void conn_run(struct conn *c)
{
	struct exchange *x;

	c->is_running = true;
	while (is_between(c) && begin_request(c)) {
		exch_on_input(c->x);
		if (c->state == CONN_BUSY && c->x != NULL && c->s.has_eof) {
			x = c->x;
			exch_on_eof(x);
		}
	}
	c->is_running = false;
}

static void discard(struct conn *c)
{
	ssize_t n = stream_read(&c->s);

	if (n > 0)
		c->lingered += (uint64_t)n;
	iobuf_release(&c->s.in);
	if (n == -EAGAIN)
		return;
	if (n <= 0 || c->lingered >= (uint64_t)c->w->conf->linger_bytes)
		conn_kill(c, REASON_LAST_REQUEST);
}

static void read_some(struct conn *c)
{
	ssize_t n;

	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_LINGER) {
		discard(c);
		return;
	}
	n = stream_read(&c->s);
	if (n == -EAGAIN) {
		if (c->x == NULL && iobuf_used(&c->s.in) == 0)
			iobuf_release(&c->s.in);
		return;
	}
	if (n == -ENOBUFS) {
		/* Full: reading goes on when somebody has used some of it. */
		stream_want_read(&c->s, false);
		if (c->x != NULL)
			exch_on_input(c->x);
		return;
	}
	if (n < 0) {
		conn_kill(c, REASON_CLIENT_GONE);
		return;
	}
	metric_add(M_BYTES_IN, n);
	if (c->x == NULL) {
		conn_run(c);
		return;
	}
	c->is_running = true;
	if (n > 0)
		exch_on_input(c->x);
	else
		exch_on_eof(c->x);
	c->is_running = false;
	if (is_between(c))
		conn_run(c);
}

/*
 * With thousands of connections that are readable at once a turn is long. Their messages would
 * all be under way at its end, each with sockets and buffers that have left the caches by the
 * time it is answered: a tenth of the CPU of 5,000 connections.
 */
static void on_readable(void *arg)
{
	struct worker *w = ((struct conn *)arg)->w;

	read_some(arg);
	if (++w->n_reads < READS_A_LOOK)
		return;
	w->n_reads = 0;
	store_poll(w->store);
}

static void on_writable(void *arg)
{
	struct conn *c = arg;

	OBJ_CHECK(c, CONN_MAGIC);
	if (stream_flush(&c->s) < 0) {
		conn_kill(c, REASON_CLIENT_GONE);
		return;
	}
	if (c->state == CONN_FLUSH && stream_pending(&c->s) == 0)
		finish_close(c);
	else if (c->x != NULL)
		exch_on_writable(c->x);
	else if (is_between(c))
		conn_run(c);
}

/* The pinned upstream connection says something between requests: its end, or nonsense. */
static void on_pinned_readable(void *arg)
{
	struct conn *c = arg;

	OBJ_CHECK(c, CONN_MAGIC);
	conn_kill(c, REASON_LAST_REQUEST);
}

void conn_pin(struct conn *c, struct upconn *uc)
{
	c->pinned = uc;
	upconn_own(uc, c, on_pinned_readable, NULL);
	iobuf_release(&uc->s.in);
	stream_want_read(&uc->s, true);
}

/* A connection's time is over: does it live on all the same? */
static bool has_excuse(struct conn *c)
{
	int64_t since = c->since_ms;

	/* A request that is there already wins (RFC 9112 9.5). */
	if (is_between(c))
		read_some(c);
	if (c->since_ms != since)
		return true;
	if (stream_pending(&c->s) == 0 || !stream_has_moved(&c->s))
		return false;
	conn_set_state(c, c->state); /* slow, but reading */
	return true;
}

/* Close those of a list that have been in their state for too long; the list is in that order. */
static void expire(struct worker *w, enum conn_state state, int64_t limit_ms, enum reason why)
{
	int64_t now = clock_mono_ms();
	struct conn *c;

	while ((c = TAILQ_FIRST(&w->conns[state])) != NULL && now - c->since_ms >= limit_ms)
		if (!has_excuse(c))
			conn_kill(c, stream_pending(&c->s) > 0 ? REASON_CLIENT_SLOW : why);
}

void conn_tick(struct worker *w)
{
	int64_t now = clock_mono_ms();
	struct conn *c, *next;

	expire(w, CONN_FRESH, w->conf->idle_timeout_ms, REASON_IDLE);
	expire(w, CONN_IDLE, w->conf->idle_timeout_ms, REASON_IDLE);
	expire(w, CONN_LINGER, w->conf->linger_ms, REASON_LAST_REQUEST);
	expire(w, CONN_FLUSH, w->conf->up_between_ms, REASON_CLIENT_SLOW);
	for (c = TAILQ_FIRST(&w->conns[CONN_BUSY]); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->x != NULL && now >= c->x->deadline_ms)
			exch_on_deadline(c->x, now);
	}
}

void conn_bury(struct worker *w)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&w->conns[CONN_DEAD])) != NULL) {
		TAILQ_REMOVE(&w->conns[CONN_DEAD], c, link);
		c->magic = 0;
		free(c);
	}
}

void conn_close_idle(struct worker *w, enum reason why)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&w->conns[CONN_FRESH])) != NULL ||
	       (c = TAILQ_FIRST(&w->conns[CONN_IDLE])) != NULL)
		conn_kill(c, why);
}

void conn_fini(struct worker *w)
{
	struct addr_count *a, *next;

	HASH_ITER (hh, w->per_addr, a, next) {
		HASH_DELETE(hh, w->per_addr, a);
		free(a);
	}
}
