/* The admin listener over a store that answers when it is told to, and a client of it. */
#ifndef STATWEIR_TESTS_UNIT_CORE_ADMIN_TRY_H
#define STATWEIR_TESTS_UNIT_CORE_ADMIN_TRY_H

#include "proxy/core/admin.h"

#include "filters/filter.h"
#include "proxy/http/reason.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/sim/fake_clock.c"

void clock_touch(void)
{
}

void clock_end_turn(void)
{
}

const struct doubt_info doubt_table[DOUBT_COUNT] = {
#define DOUBT(name, word, text) {word, text},
#include "filters/doubt.def"
#undef DOUBT
};

/* --- a store that answers when it is told to --- */

struct store {
	bool is_ready;
	unsigned n_shards, n_calls;
	struct audit shard[4];
	store_audit_fn *done; /* of the call without an answer */
	void *arg;
	unsigned asked;
	/* A question without an answer. */
	void (*question)(void);
	void *question_arg;
	unsigned question_shard;
	char question_text[64];
	uint64_t question_cursor;
};

bool store_is_ready(const struct store *s)
{
	return s->is_ready;
}

const char *store_state(const struct store *s)
{
	return s->is_ready ? "ok" : "not <connected>";
}

unsigned store_n_shards(const struct store *s)
{
	return s->n_shards;
}

void store_audit(struct store *s, unsigned shard, store_audit_fn *done, void *arg)
{
	assert_null(s->done);
	s->done = done;
	s->arg = arg;
	s->asked = shard;
	s->n_calls++;
}

static inline void keep_question(struct store *s, void (*done)(void), void *arg, unsigned shard,
				 struct slice text)
{
	assert_null(s->question);
	s->question = done;
	s->question_arg = arg;
	s->question_shard = shard;
	snprintf(s->question_text, sizeof(s->question_text), "%.*s", SLICE_ARG(text));
}

unsigned store_shard_of(const struct store *s, struct slice client)
{
	return (unsigned)client.n % s->n_shards;
}

void store_history(struct store *s, unsigned shard, store_windows_fn *done, void *arg)
{
	keep_question(s, (void (*)(void))done, arg, shard, SLICE(""));
}

void store_client(struct store *s, struct slice client, store_client_fn *done, void *arg)
{
	keep_question(s, (void (*)(void))done, arg, 0, client);
}

void store_rules(struct store *s, unsigned shard, store_names_fn *done, void *arg)
{
	keep_question(s, (void (*)(void))done, arg, shard, SLICE(""));
}

void store_reports(struct store *s, unsigned shard, struct slice rule, uint64_t cursor,
		   store_reports_fn *done, void *arg)
{
	keep_question(s, (void (*)(void))done, arg, shard, rule);
	s->question_cursor = cursor;
}

/* The callback of the open question, which is open no more. */
#define TAKE_QUESTION(s, type) ((type *)take_question(s))
static inline void (*take_question(struct store *s))(void)
{
	void (*done)(void) = s->question;

	assert_non_null(done);
	s->question = NULL;
	return done;
}

static inline void answer_audit(struct store *s, enum store_rc rc)
{
	store_audit_fn *done = s->done;

	assert_non_null(done);
	s->done = NULL;
	done(s->arg, rc, rc == STORE_OK ? &s->shard[s->asked] : NULL);
}

static inline void answer_all(struct store *s)
{
	for (unsigned i = 0; i < s->n_shards; i++)
		answer_audit(s, STORE_OK);
}

/* --- the listener and its client --- */

struct fixture {
	struct conf conf;
	struct metrics *slots;
	struct store store;
	struct event_base *base;
	struct admin *a;
	const char *readiness;
	char *answer; /* of the last request, whole */
	size_t answer_bytes, answer_room;
};

static inline const char *readiness(void *arg)
{
	return ((struct fixture *)arg)->readiness;
}

static inline void open_admin(struct fixture *f)
{
	struct admin_env env = {.conf = &f->conf,
				.slots = f->slots,
				.n_slots = 2,
				.store = &f->store,
				.arg = f,
				.readiness = readiness};

	assert_int_equal(admin_open(&f->a, f->base, &env), 0);
}

static inline void set_conf(struct fixture *f, const char *key, const char *value)
{
	struct strbuf err;

	strbuf_init(&err, 1024);
	assert_int_equal(conf_set(&f->conf, key, value, &err), 0);
	strbuf_fini(&err);
}

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_wall_ms = 1795342272000;
	assert_int_equal(conf_init(&f->conf), 0);
	set_conf(f, "global.admin", "127.0.0.1:0");
	set_conf(f, "global.upstream", "mp1.example.test:80");
	f->slots = aligned_alloc(64, 2 * sizeof(struct metrics));
	assert_non_null(f->slots);
	memset(f->slots, 0, 2 * sizeof(struct metrics));
	f->store = (struct store){.is_ready = true, .n_shards = 3};
	for (unsigned i = 0; i < 3; i++)
		f->store.shard[i] = (struct audit){.absorbed = 100 + i,
						   .sealed = 90,
						   .settled = 80,
						   .pending_open = 10 + i,
						   .pending_outbox = 10,
						   .clients = 5,
						   .rules = 7};
	f->readiness = "ok";
	f->base = event_base_new();
	f->answer_room = 1 << 20;
	f->answer = malloc(f->answer_room);
	assert_non_null(f->answer);
	open_admin(f);
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->a != NULL)
		admin_close(f->a);
	if (f->store.done != NULL)
		answer_audit(&f->store, STORE_UNKNOWN);
	event_base_free(f->base);
	conf_fini(&f->conf);
	free(f->slots);
	free(f->answer);
	free(f);
	return 0;
}

static inline int client_open(const struct fixture *f, const char *request)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(admin_port(f->a)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	return fd;
}

/* Run the loop until what is on its way has arrived. */
static inline void settle(struct fixture *f)
{
	for (unsigned i = 0; i < 20; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static inline void client_read(struct fixture *f, int fd)
{
	ssize_t n;

	f->answer_bytes = 0;
	for (unsigned i = 0; i < 100000; i++) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		n = recv(fd, f->answer + f->answer_bytes, f->answer_room - f->answer_bytes - 1,
			 MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n > 0)
			f->answer_bytes += (size_t)n;
	}
	f->answer[f->answer_bytes] = '\0';
	close(fd);
}

static inline void request(struct fixture *f, const char *text)
{
	client_read(f, client_open(f, text));
}

static inline void get(struct fixture *f, const char *path)
{
	char text[256];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 path);
	request(f, text);
}

static inline const char *body_of(const struct fixture *f)
{
	const char *end = strstr(f->answer, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static inline void assert_status(const struct fixture *f, int status)
{
	assert_true(f->answer_bytes > 12);
	assert_int_equal(strtol(f->answer + 9, NULL, 10), status);
}

static inline void assert_has(const struct fixture *f, const char *text)
{
	if (strstr(f->answer, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, f->answer);
}

static inline void assert_lacks(const struct fixture *f, const char *text)
{
	if (strstr(f->answer, text) != NULL)
		fail_msg("\"%s\" is in: %s", text, f->answer);
}

static inline json_t *document(const struct fixture *f)
{
	json_error_t error;
	json_t *doc = json_loads(body_of(f), JSON_REJECT_DUPLICATES, &error);

	if (doc == NULL)
		fail_msg("%s at line %d of %s", error.text, error.line, f->answer);
	return doc;
}

/* The value at a path of names; -1 if it isn't there. */
static inline int64_t number_at(json_t *doc, const char *const *names)
{
	for (; doc != NULL && *names != NULL; names++)
		doc = json_object_get(doc, *names);
	return json_is_integer(doc) ? json_integer_value(doc) : -1;
}

#define NUMBER(doc, ...) number_at(doc, (const char *const[]){__VA_ARGS__, NULL})

/* Two workers; 30 = 10 + 8 + 4 + 3 + 3 + 2. */
static inline void fill_slots(struct fixture *f)
{
	int64_t *x = f->slots[0].v, *y = f->slots[1].v;

	x[M_RECEIVED] = 20;
	x[M_PASSED] = 5;
	x[M_ABSORBED_UNIQUE] = 8;
	x[M_ABSORBED_DUPLICATE] = 1;
	x[M_REFUSED] = 3;
	x[M_ABORTED] = 3;
	y[M_RECEIVED] = 10;
	y[M_PASSED] = 5;
	y[M_ABSORBED_DUPLICATE] = 3;
	y[M_IN_FLIGHT] = 2;
	x[M_SUM_DELIVERED] = 2;
	x[M_STORE_UP] = y[M_STORE_UP] = 1;
	x[M_ACK_TEMPLATES] = y[M_ACK_TEMPLATES] = 2;
	x[M_JOURNAL_OLDEST_MS] = 70;
	y[M_JOURNAL_OLDEST_MS] = 90;
	f->slots[0].doubt[DOUBT_MIXED] = 4;
	f->slots[1].doubt[DOUBT_MIXED] = 5;
	f->slots[0].reason[REASON_HOST_BAD] = 6;
	f->slots[1].reason[REASON_HOST_BAD] = 1;
}

static inline void recount(struct fixture *f)
{
	fake_clock_advance(10000);
	admin_tick(f->a);
	answer_all(&f->store);
}

static inline void assert_readiness(struct fixture *f, int status, const char *word)
{
	json_t *doc;

	get(f, "/readyz");
	assert_status(f, status);
	doc = document(f);
	assert_string_equal(json_string_value(json_object_get(doc, "status")), word);
	json_decref(doc);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
