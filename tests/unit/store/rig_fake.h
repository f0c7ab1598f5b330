/*
 * A store against a scripted Redis: every answer that a real one gives only on a bad day, and
 * messages that tell what became of them.
 */
#ifndef STATWEIR_TESTS_STORE_RIG_FAKE_H
#define STATWEIR_TESTS_STORE_RIG_FAKE_H

#include "proxy/base/metrics.h"
#include "tests/unit/store/rig.h"
#include "tests/unit/store/rig_clock.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/un.h>

#define NONCE	"00112233445566778899aabbccddeeff"
#define N_SENT	4000
#define HEALTHY "role:master\r\nloading:0\r\naof_enabled:1\r\naof_last_write_status:ok\r\n"

/* Answers are raw bytes; "" swallows the call. */
static struct fake {
	struct evconnlistener *listener;
	struct bufferevent *conn;
	redisReader *reader;
	const char *info, *config, *function, *meta;
	const char *fcall;	 /* NULL: as Redis would, of the digests that have come */
	const char *mark, *wait; /* to HINCRBY and WAIT */
	int64_t at_ms;		 /* of messages; 0: now */
	unsigned n_fcalls, n_loads, n_conns, n_waits, n_checks;
	bool is_waiting;
	unsigned missing;      /* so many calls find no function */
	char asked[32];	       /* by the last WAIT */
	unsigned seen[N_SENT]; /* how often each digest was recorded, by fcall NULL alone */
	unsigned n_seen;       /* digests */
	long long progress;    /* the store's mark of how far Redis has come; 0: none */
} fake;

static struct rig rig;

/* --- the scripted server ------------------------------------------------------------ */

static inline void say(const char *bytes)
{
	bufferevent_write(fake.conn, bytes, strlen(bytes));
}

static inline void say_bulk(const char *text)
{
	evbuffer_add_printf(bufferevent_get_output(fake.conn), "$%zu\r\n%s\r\n", strlen(text),
			    text);
}

static inline void remember_digest(const char *text, unsigned *n_new)
{
	unsigned long id = strtoul(text, NULL, 10);

	assert_true(id < N_SENT);
	*n_new += fake.seen[id]++ == 0;
}

/* FCALL name 1 key first last n, then client, digest, rule of each. */
static inline void answer_function(const redisReply *r)
{
	unsigned n, n_new = 0;

	if (fake.missing > 0) {
		fake.missing--;
		say("-ERR Function not found\r\n");
		return;
	}
	if (fake.fcall != NULL || strstr(r->element[1]->str, "absorb") == NULL) {
		say(fake.fcall != NULL ? fake.fcall : ":1\r\n");
		return;
	}
	n = (unsigned)strtoul(r->element[6]->str, NULL, 10);
	for (unsigned i = 0; i < n; i++)
		remember_digest(r->element[7 + 3 * i + 1]->str, &n_new);
	fake.n_seen += n_new;
	evbuffer_add_printf(bufferevent_get_output(fake.conn), ":%u\r\n", n_new);
}

static inline void answer_progress(void)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", fake.progress);
	if (fake.progress > 0)
		say_bulk(text);
	else
		say("$-1\r\n");
}

static inline void answer_command(const redisReply *r)
{
	const char *word = r->element[0]->str;

	if (strcmp(word, "INFO") == 0 && fake.info[0] != '-') {
		say_bulk(fake.info);
	} else if (strcmp(word, "INFO") == 0) {
		say(fake.info);
	} else if (strcmp(word, "CONFIG") == 0) {
		say(fake.config);
	} else if (strcmp(word, "FUNCTION") == 0) {
		fake.n_loads++;
		say(fake.function);
	} else if (strcmp(word, "HSETNX") == 0) {
		say(":0\r\n");
	} else if (strcmp(word, "HMGET") == 0) {
		fake.n_checks++;
		say(fake.meta);
	} else if (strcmp(word, "FCALL") == 0 && strstr(r->element[1]->str, "_mark") != NULL) {
		if (fake.progress < strtoll(r->element[4]->str, NULL, 10))
			fake.progress = strtoll(r->element[4]->str, NULL, 10);
		evbuffer_add_printf(bufferevent_get_output(fake.conn), ":%lld\r\n",
				    ++fake.progress);
	} else if (strcmp(word, "FCALL") == 0) {
		fake.n_fcalls++;
		answer_function(r);
	} else if (strcmp(word, "HGET") == 0) {
		answer_progress();
	} else if (strcmp(word, "HINCRBY") == 0) {
		say(fake.mark);
	} else if (strcmp(word, "WAIT") == 0) {
		fake.n_waits++;
		snprintf(fake.asked, sizeof(fake.asked), "%s %s", r->element[1]->str,
			 r->element[2]->str);
		say(fake.wait);
		fake.is_waiting = fake.wait[0] == '\0';
	} else {
		say("+OK\r\n");
	}
}

/* Up to a WAIT without an answer: behind it a connection stands still. */
static inline void answer_commands(void)
{
	struct bufferevent *bev = fake.conn;
	redisReply *r = NULL;

	while (fake.conn == bev && !fake.is_waiting &&
	       redisReaderGetReply(fake.reader, (void **)&r) == REDIS_OK && r != NULL) {
		answer_command(r);
		freeReplyObject(r);
		r = NULL;
	}
}

static inline void on_bytes(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in);

	(void)arg;
	redisReaderFeed(fake.reader, (const char *)evbuffer_pullup(in, -1), n);
	evbuffer_drain(in, n);
	if (fake.conn == bev)
		answer_commands();
}

/* The replicas have spoken: the answer to the WAIT that stands. */
static inline void end_wait(const char *bytes)
{
	say(bytes);
	fake.is_waiting = false;
	answer_commands();
}

static inline void hang_up(void)
{
	if (fake.conn == NULL)
		return;
	bufferevent_free(fake.conn);
	redisReaderFree(fake.reader);
	fake.conn = NULL;
	fake.reader = NULL;
	fake.is_waiting = false;
}

static inline void on_end(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	if (fake.conn == bev)
		hang_up();
}

static inline void on_conn(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int n,
			   void *arg)
{
	(void)sa;
	(void)n;
	(void)arg;
	hang_up();
	fake.n_conns++;
	fake.reader = redisReaderCreate();
	fake.conn = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(fake.conn, on_bytes, NULL, on_end, NULL);
	bufferevent_enable(fake.conn, EV_READ | EV_WRITE);
}

static inline int fake_setup(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char server[300];

	(void)state;
	log_threshold = LOG_ERROR;
	rig = (struct rig){0};
	rig_conf(&rig.conf);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.80s/fake.sock", rig.conf.state);
	snprintf(server, sizeof(server), "unix:%s", addr.sun_path);
	rig_set(&rig.conf, "redis.server", server);
	rig_set(&rig.conf, "redis.shards", "16");
	rig_set(&rig.conf, "redis.durability", "redis");
	fake = (struct fake){
		.info = HEALTHY,
		.config = "*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$11\r\nappendfsync\r\n$"
			  "6\r\nalways\r\n",
		.function = "+statweir3\r\n",
		.meta = "*3\r\n$1\r\n2\r\n$2\r\n16\r\n$32\r\n" NONCE "\r\n",
		.fcall = ":1\r\n",
		.mark = ":1\r\n",
		.wait = ":0\r\n",
		.at_ms = 1700000000000,
	};
	rig_open_store(&rig);
	fake.listener = evconnlistener_new_bind(rig.base, on_conn, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
						(struct sockaddr *)&addr, sizeof(addr));
	assert_non_null(fake.listener);
	return 0;
}

static inline int fake_teardown(void **state)
{
	(void)state;
	hang_up();
	evconnlistener_free(fake.listener);
	rig_close_store(&rig);
	rig_conf_fini(&rig.conf);
	return 0;
}

/* --- messages ----------------------------------------------------------------------- */

static struct message {
	struct record r;
	unsigned n_answers;
	enum store_rc rc;
} sent[N_SENT];

static inline void on_done(struct record *r, enum store_rc rc)
{
	struct message *m = (struct message *)r;

	m->n_answers++;
	m->rc = rc;
}

static inline void fill(struct message *m, uint64_t id)
{
	*m = (struct message){.r = {.client = SLICE("GUID:1"),
				    .rule = SLICE("R1"),
				    .digest = id,
				    .at_ms = fake.at_ms != 0 ? fake.at_ms : clock_wall_ms(),
				    .done = on_done}};
}

static inline void add(struct message *m, uint64_t id)
{
	fill(m, id);
	store_add(rig.s, &m->r);
}

static inline enum store_rc record_one(void)
{
	add(&sent[0], 1);
	store_commit(rig.s);
	RIG_UNTIL(&rig, sent[0].n_answers > 0);
	return sent[0].rc;
}

#endif
