/*
 * The peers of fuzz_conn.c: what each has sent and got, and what must not be seen there.
 */
#ifndef STATWEIR_TESTS_FUZZ_CONN_PEERS_H
#define STATWEIR_TESTS_FUZZ_CONN_PEERS_H

#include "proxy/core/conn.h"
#include "tests/fuzz/conn_canned.h"
#include "tests/fuzz/conn_fakes.h"
#include "tests/fuzz/conn_watch.h"

#include <arpa/inet.h>
#include <inttypes.h>

enum option {
	SLOW_CLIENTS = 1,   /* they read when they are told to */
	SLOW_UPSTREAMS = 2, /* and these */
	SMALL_BUFFERS = 4,
	STORE_READY = 8,
	THROTTLED = 16,
	ABRUPT = 32, /* at the end of the script everything is under way */
	/* Of the second byte; the first two are enum conf_mode. */
	ONE_UPSTREAM = 4 << 8,
	ONE_WAITING = 8 << 8,
	MANUAL = 16 << 8, /* several operations in a turn: '.' ends it */
	ONE_AT_A_TIME = 32 << 8,
};

#define SLOTS	    4
#define TRUSTED	    3 /* the client of this slot */
#define PEERS_MAX   160
#define LIST_MAX    256
#define TINY_BUFFER 2048

enum connecting {
	CONNECT_FINE,
	CONNECT_REFUSED,
	CONNECT_HANGS,
	CONNECT_RESETS
};

struct list {
	unsigned n, next; /* next: behind the last one that has been found on the other side */
	struct watched v[LIST_MAX];
};

struct peer {
	int fd, proxy_fd;
	bool was_reset; /* we have been */
	size_t junk;	/* bytes that only keep the connection from being ready */
	struct watch sent, got;
	/* Of a client */
	char addr[INET_ADDRSTRLEN];
	unsigned n_heads, n_finals;
	bool is_head[LIST_MAX];
	struct list asked, answers;
	/* Of an upstream */
	struct peer *client; /* whom it answers */
	bool may_be_learned; /* the answer: then others get it too */
	bool was_asked;
	bool is_surplus; /* has sent bytes behind a whole response */
};

static struct {
	struct worker w;
	struct event *stop;
	unsigned options;
	enum connecting connecting;
	struct peer *clients[PEERS_MAX], *upstreams[PEERS_MAX];
	unsigned n_clients, n_upstreams;
	struct peer *slot[SLOTS];
	bool is_blurred; /* who is answered with what can't be told any more */
	bool is_ending;
	uint64_t salt;
} world;

static const struct http_limits wide = {
	.request_line = 65536, .field_line = 65536, .head = 262144, .method = 64, .fields = 100};
static const struct http_body_limits wide_body = {.chunk_ext = 1 << 20, .trailers = 1 << 20};

static inline bool has(unsigned option)
{
	return (world.options & option) != 0;
}

/* --- what each side is seen to do --- */

static inline bool list_put(struct list *l, const struct watched *m)
{
	if (l->n == LIST_MAX) {
		world.is_blurred = true;
		return false;
	}
	l->v[l->n++] = *m;
	return true;
}

/* Is m in l, behind the last one that was found? */
static inline bool list_find(struct list *l, const struct watched *m)
{
	for (unsigned i = l->next; i < l->n; i++)
		if (watch_is_same(&l->v[i], m)) {
			l->next = i + 1;
			return true;
		}
	return false;
}

/* Take m out of l. */
static inline bool list_take(struct list *l, const struct watched *m)
{
	for (unsigned i = 0; i < l->n; i++)
		if (watch_is_same(&l->v[i], m)) {
			l->v[i] = l->v[--l->n];
			return true;
		}
	return false;
}

static inline bool never_head(void *arg)
{
	(void)arg;
	return false;
}

static inline void ignore_bad(void *arg, enum reason why)
{
	(void)arg;
	(void)why;
}

static inline void client_asks(void *arg, struct watch *w)
{
	struct peer *p = arg;

	if (p->n_heads == LIST_MAX)
		world.is_blurred = true;
	else
		p->is_head[p->n_heads++] = w->now.is_head;
}

static inline void client_asked(void *arg, const struct watched *m)
{
	(void)list_put(&((struct peer *)arg)->asked, m);
}

static const struct watch_calls client_sends = {never_head, client_asks, client_asked, ignore_bad};

/* Who has sent the request: the last address that it has come from. */
static inline struct peer *client_of(const struct http_head *h)
{
	struct slice last = {NULL, 0};

	for (unsigned i = 0; i < h->n_fields; i++)
		if (h->fields[i].id == FIELD_X_FORWARDED_FOR)
			last = h->fields[i].value;
	for (size_t i = last.n; i > 0; i--)
		if (last.p[i - 1] == ',') {
			last = slice_trim(slice_drop(last, i));
			break;
		}
	for (unsigned i = 0; i < world.n_clients; i++)
		if (slice_eq(last, slice_str(world.clients[i]->addr)))
			return world.clients[i];
	UNREACHABLE("a request of nobody");
}

static inline void upstream_asked_head(void *arg, struct watch *w)
{
	struct peer *p = arg;

	p->client = client_of(&w->head);
	p->may_be_learned = slice_eq(w->head.method, SLICE("CCM_POST"));
	/* Whatever has not been asked for yet ends a connection (docs/HTTP.md R7). */
	CHECK(world.is_blurred || !p->is_surplus);
	CHECK(world.is_blurred || !p->was_asked || (!p->sent.is_body && p->sent.is_over));
	if (p->was_asked)
		watch_reset(&p->sent);
	p->was_asked = true;
}

/*
 * Unchanged, only whole ones, each once. An upstream that is slow may read what was given up
 * long ago behind what came later on another connection: in no order.
 */
static inline void upstream_asked(void *arg, const struct watched *m)
{
	struct peer *p = arg;

	CHECK(world.is_blurred || list_take(&p->client->asked, m));
}

static inline void upstream_bad(void *arg, enum reason why)
{
	(void)arg;
	fprintf(stderr, "a request that is none: %s\n", reason_table[why].word);
	abort();
}

static const struct watch_calls upstream_gets = {never_head, upstream_asked_head, upstream_asked,
						 upstream_bad};

static inline bool upstream_answers_head(void *arg)
{
	return ((struct peer *)arg)->got.now.is_head;
}

static inline void ignore_head(void *arg, struct watch *w)
{
	(void)arg;
	(void)w;
}

static inline void upstream_answered(void *arg, const struct watched *m)
{
	struct peer *p = arg;

	if (m->status < 200)
		return;
	if (m->is_dated)
		world.is_blurred =
			true; /* learned, it cannot be told from one that was passed on */
	(void)list_put(&p->client->answers, m);
	p->is_surplus = p->sent.in.n > 0;
	p->sent.is_over = true;
}

static const struct watch_calls upstream_sends = {upstream_answers_head, ignore_head,
						  upstream_answered, ignore_bad};

/* An answer to a head that is not whole: whether it has a body can't be told. */
static inline bool is_unclear(const struct peer *p)
{
	return p->n_finals >= p->n_heads;
}

static inline bool client_wants_head(void *arg)
{
	struct peer *p = arg;

	return !is_unclear(p) && p->is_head[p->n_finals];
}

static inline void client_answered_head(void *arg, struct watch *w)
{
	struct peer *p = arg;

	/* It is the last one, whatever follows. */
	if (w->now.status >= 200 && is_unclear(p)) {
		CHECK(world.is_blurred || w->now.status >= 400);
		w->is_over = true;
		w->is_body = false;
		w->in.n = w->head.head_bytes;
	}
}

/* One of those that statweir gives itself? */
static inline bool is_our_own(const struct watched *m)
{
	char text[256];

	for (unsigned r = 0; r < REASON_COUNT; r++) {
		struct slice s;

		if (reason_table[r].status != m->status)
			continue;
		snprintf(text, sizeof(text), "%s: %s\n", reason_table[r].word,
			 reason_table[r].text);
		s = slice_str(text);
		if (m->is_head ? m->body_n == 0 : m->body_n == s.n && m->body == watch_hash(0, s))
			return true;
	}
	return false;
}

/* An acknowledgement has the fields that were learned, and no more: no Date. */
static inline bool is_acknowledgement(const struct watched *m)
{
	if (m->status != 200 || m->is_dated || fake_store.n_acknowledged == 0)
		return false;
	fake_store.n_acknowledged--;
	return true;
}

/* A whole answer is one that a management point gave this client, or our own. */
static inline void client_answered(void *arg, const struct watched *m)
{
	struct peer *p = arg;

	if (m->status < 200)
		return;
	p->n_finals++;
	CHECK(world.is_blurred || is_acknowledgement(m) || list_find(&p->answers, m) ||
	      is_our_own(m));
}

static inline void client_bad(void *arg, enum reason why)
{
	(void)arg;
	fprintf(stderr, "a response that is none: %s\n", reason_table[why].word);
	abort();
}

static const struct watch_calls client_gets = {client_wants_head, client_answered_head,
					       client_answered, client_bad};

/* --- peers --- */

static inline struct peer *new_peer(bool is_client, int fd, int proxy_fd)
{
	struct peer *p = calloc(1, sizeof(*p));

	CHECK(p != NULL);
	p->fd = fd;
	p->proxy_fd = proxy_fd;
	watch_init(&p->sent, is_client, is_client ? &client_sends : &upstream_sends, p);
	watch_init(&p->got, !is_client, is_client ? &client_gets : &upstream_gets, p);
	p->sent.limits = is_client ? &world.w.request_limits : &wide;
	p->sent.body_limits = is_client ? &world.w.body_limits : &wide_body;
	p->got.limits = &wide;
	p->got.body_limits = &wide_body;
	return p;
}

static inline void free_peer(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	strbuf_fini(&p->sent.in);
	strbuf_fini(&p->got.in);
	free(p);
}

static inline void make_pair(int sv[2])
{
	int n = TINY_BUFFER;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) == 0);
	for (unsigned i = 0; i < 2 && has(SMALL_BUFFERS); i++)
		setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &n, sizeof(n));
}

/* Only clients are reset; descriptors are used again, so the latest is meant. */
void fake_resets(int fd)
{
	for (unsigned i = world.n_clients; i > 0; i--)
		if (world.clients[i - 1]->proxy_fd == fd) {
			world.clients[i - 1]->was_reset = true;
			return;
		}
}

int fake_connect(int fd)
{
	static const char junk[4096];
	struct peer *p;
	int sv[2];
	ssize_t n;

	if (world.is_ending || world.connecting == CONNECT_REFUSED ||
	    world.n_upstreams == PEERS_MAX) {
		errno = ECONNREFUSED;
		return -1;
	}
	make_pair(sv);
	CHECK(dup2(sv[0], fd) == fd);
	close(sv[0]);
	p = new_peer(false, sv[1], fd);
	world.upstreams[world.n_upstreams++] = p;
	if (world.connecting == CONNECT_RESETS) {
		close(p->fd);
		p->fd = -1;
	}
	while (world.connecting == CONNECT_HANGS &&
	       (n = send(fd, junk, sizeof(junk), MSG_NOSIGNAL)) > 0)
		p->junk += (size_t)n;
	errno = EINPROGRESS;
	return -1;
}

static inline void connect_client(unsigned slot)
{
	unsigned n = world.n_clients;
	struct sockaddr_in *in;
	struct address from = {.len = sizeof(*in)};
	struct peer *p;
	int sv[2];

	if (n == PEERS_MAX)
		return;
	make_pair(sv);
	p = new_peer(true, sv[1], sv[0]);
	world.clients[world.n_clients++] = p;
	world.slot[slot] = p;
	in = (struct sockaddr_in *)&from.ss;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl((slot == TRUSTED ? 0x0a090000u : 0x0a080000u) + n + 1);
	CHECK(inet_ntop(AF_INET, &in->sin_addr, p->addr, sizeof(p->addr)) != NULL);
	conn_accept(&world.w, sv[0], &from);
}

/* A mark that only this client may see. */
static inline const char *tag_of(const struct peer *client, char text[CANNED_MARK + 1])
{
	uint64_t h = client == NULL ? 0 : watch_hash(world.salt, slice_str(client->addr));

	snprintf(text, CANNED_MARK + 1, "tag=%016" PRIx64, h);
	return text;
}

static inline void check_tags(const struct peer *p, struct slice s)
{
	char text[CANNED_MARK + 1];

	if (memmem(s.p, s.n, "tag=", 4) == NULL)
		return;
	for (unsigned i = 0; i < world.n_clients; i++)
		CHECK(world.clients[i] == p || world.is_blurred ||
		      memmem(s.p, s.n, tag_of(world.clients[i], text), CANNED_MARK) == NULL);
}

static inline void take_bytes(struct peer *p, const char *bytes, size_t n)
{
	size_t skip = n < p->junk ? n : p->junk;

	p->junk -= skip;
	if (p->got.calls == &client_gets)
		check_tags(p, slice_make(bytes, n));
	if (n > skip)
		watch_feed(&p->got, slice_make(bytes + skip, n - skip));
}

/* Read at most limit bytes. */
static inline void peer_read(struct peer *p, size_t limit)
{
	static char bytes[65536];
	ssize_t n = 1;

	while (p->fd >= 0 && limit > 0 && n > 0) {
		n = recv(p->fd, bytes, limit < sizeof(bytes) ? limit : sizeof(bytes), 0);
		if (n > 0) {
			take_bytes(p, bytes, (size_t)n);
			limit -= (size_t)n;
		}
	}
	if (n == 0 && !p->was_reset)
		watch_close(&p->got);
	else if (n == 0)
		p->got.is_over = true;
}

static inline void peer_send(struct peer *p, struct slice s)
{
	ssize_t n;

	if (p->fd < 0)
		return;
	n = send(p->fd, s.p, s.n, MSG_NOSIGNAL);
	if (n > 0)
		s.n = (size_t)n;
	else
		return;
	if (p->sent.calls == &client_sends || (p->was_asked && !p->sent.is_over))
		watch_feed(&p->sent, s);
	else if (p->was_asked)
		p->is_surplus = true;
	else
		world.is_blurred =
			true; /* an answer before the question is whoever's comes first */
}

static inline void peer_close(struct peer *p, bool is_half)
{
	if (p->fd < 0)
		return;
	if (p->was_asked)
		watch_close(&p->sent);
	shutdown(p->fd, SHUT_WR);
	if (is_half)
		return;
	close(p->fd);
	p->fd = -1;
}

#endif
