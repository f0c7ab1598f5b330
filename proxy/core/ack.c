#include "proxy/core/ack.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/core/ack_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define PATH_MAX_BYTES 128
#define TEXT_MAX_BYTES 64
#define RELEARN_MS     30000
#define SCAN_MS	       1000
/* Nobody waits for samples of a management point that slow. */
#define SLOW_MS 5000
/* Checks without an answer, one after the other, until the acknowledgement is given up. */
#define MAX_LOST_CHECKS 3
/* A client can invent keys: those that nobody uses make room. */
#define IDLE_MS	      60000
#define IDLE_VALID_MS 3600000
#define LONG_AGO      (INT64_MIN / 2)

/*
 *	LEARNING --> VALID
 *	  |  ^        |  the management point answers otherwise, or not any more
 *	  |  +--------+
 *	  v  |
 *	FAILED  for a while
 */
enum ack_state {
	ACK_LEARNING,
	ACK_VALID,
	ACK_FAILED
};

struct entry {
	struct ack_key key; /* its slices point into text */
	char text[PATH_MAX_BYTES + 2 * TEXT_MAX_BYTES];
	enum ack_state state;
	struct ack_template *t; /* LEARNING: of the first sample, or NULL; VALID: the template */
	unsigned n_equal;	/* LEARNING: equal replies so far */
	unsigned n_lost;	/* samples in a row that told nothing */
	unsigned n_out;		/* samples under way, whatever the state */
	int64_t used_ms, sampled_ms;
	int64_t checked_ms;   /* VALID: last time that the management point was seen to agree */
	int64_t retry_ms;     /* FAILED: until then */
	uint32_t file_crc;    /* of the file that holds t */
	uint32_t dropped_crc; /* of a file that must not come back */
	bool has_file, is_seen;
};

struct ack_set {
	const struct conf *conf;
	struct ack_dir dir;
	struct entry *v[ACK_MAX_KEYS];
	unsigned n;
	bool is_given; /* v[0] is the operator's, for every key */
	bool is_starting, must_scan;
	uint64_t generation;
	int64_t scan_ms, changed_ns;
};

static struct log_limit mismatch_limit, full_limit;

/* --- keys --- */

static bool is_key(const struct entry *e, const struct ack_key *key)
{
	return e->key.minor == key->minor && slice_ieq(e->key.path, key->path) &&
	       slice_eq(e->key.compression, key->compression) &&
	       slice_eq(e->key.schema, key->schema);
}

static struct entry *find(const struct ack_set *a, const struct ack_key *key)
{
	if (a->is_given)
		return a->v[0];
	for (unsigned i = 0; i < a->n; i++)
		if (is_key(a->v[i], key))
			return a->v[i];
	return NULL;
}

static void entry_free(struct entry *e)
{
	ack_template_free(e->t);
	free(e);
}

/* The one that was not used for the longest time, if it is long enough. */
static bool make_room(struct ack_set *a)
{
	int64_t now = clock_mono_ms(), oldest = INT64_MAX;
	unsigned at = 0;

	for (unsigned i = 0; i < a->n; i++) {
		const struct entry *e = a->v[i];
		int64_t idle_ms = e->state == ACK_VALID ? IDLE_VALID_MS : IDLE_MS;

		if (e->n_out > 0 || now - e->used_ms < idle_ms || e->used_ms >= oldest)
			continue;
		oldest = e->used_ms;
		at = i;
	}
	if (oldest == INT64_MAX)
		return false;
	if (a->v[at]->has_file)
		ack_file_remove(&a->dir, &a->v[at]->key);
	entry_free(a->v[at]);
	a->v[at] = a->v[--a->n];
	return true;
}

static struct slice keep(struct entry *e, size_t *at, struct slice s)
{
	struct slice kept = slice_make(e->text + *at, s.n);

	for (size_t i = 0; i < s.n; i++)
		e->text[*at + i] = s.p[i];
	*at += s.n;
	return kept;
}

static struct entry *add(struct ack_set *a, const struct ack_key *key)
{
	struct entry *e;
	size_t at = 0;

	if (key->path.n > PATH_MAX_BYTES || key->compression.n > TEXT_MAX_BYTES ||
	    key->schema.n > TEXT_MAX_BYTES || (a->n == ACK_MAX_KEYS && !make_room(a))) {
		log_limited(&full_limit, 1, LOG_WARN, "ack_keys",
			    "limit=%d error=\"too many kinds of clients, or one of an odd kind\" "
			    "effect=\"its messages are forwarded\"",
			    ACK_MAX_KEYS);
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->key.minor = key->minor;
	e->key.path = keep(e, &at, key->path);
	for (size_t i = 0; i < at; i++)
		e->text[i] = slice_lower(e->text[i]);
	e->key.compression = keep(e, &at, key->compression);
	e->key.schema = keep(e, &at, key->schema);
	e->used_ms = clock_mono_ms();
	a->v[a->n++] = e;
	return e;
}

/* --- states --- */

static void learn_anew(struct ack_set *a, struct entry *e)
{
	ack_template_free(e->t);
	e->t = NULL;
	e->state = ACK_LEARNING;
	e->n_equal = 0;
	e->n_lost = 0;
	a->generation++;
}

static int64_t shorter(int64_t x, int64_t y)
{
	return x < y ? x : y;
}

static void give_up(struct ack_set *a, struct entry *e, const char *why, const char *what)
{
	int64_t pause_ms = shorter(RELEARN_MS, a->conf->ack_revalidate_ms);
	char path[2 * PATH_MAX_BYTES];

	learn_anew(a, e);
	e->state = ACK_FAILED;
	e->retry_ms = clock_mono_ms() + pause_ms;
	log_line(LOG_ERROR, "ack_not_learned",
		 "path=%s why=\"%s: %s\" effect=\"messages are forwarded, nothing is absorbed\" "
		 "again_in_ms=%" PRId64 " hint=\"compare replies of the management point to "
		 "status messages; see that it is healthy and reached directly\"",
		 log_escape(e->key.path, path, sizeof(path)), why, what, pause_ms);
}

static void become_valid(struct ack_set *a, struct entry *e)
{
	char path[2 * PATH_MAX_BYTES];

	e->state = ACK_VALID;
	e->n_lost = 0;
	e->checked_ms = clock_mono_ms();
	a->generation++;
	e->has_file = ack_file_write(&a->dir, &e->key, e->t, &e->file_crc) == 0;
	log_line(LOG_INFO, "ack_learned", "path=%s http=1.%u samples=%u bytes=%zu ids=%u",
		 log_escape(e->key.path, path, sizeof(path)), e->key.minor, e->n_equal,
		 e->t->body.n, e->t->n_ids);
}

/* What holds for one kind of client holds for the others: check them too. */
static void check_all_soon(struct ack_set *a)
{
	for (unsigned i = 0; i < a->n; i++)
		a->v[i]->checked_ms = LONG_AGO;
}

static void drop(struct ack_set *a, struct entry *e)
{
	if (e->has_file) {
		e->dropped_crc = e->file_crc;
		ack_file_remove(&a->dir, &e->key);
	}
	e->has_file = false;
	learn_anew(a, e);
}

/* A sample told nothing. */
static void count_lost(struct ack_set *a, struct entry *e, const char *what)
{
	e->n_lost++;
	if (e->state == ACK_LEARNING) {
		a->generation++;
		if (e->n_lost >= 3 * (unsigned)a->conf->ack_samples)
			give_up(a, e, "no usable reply", what);
		return;
	}
	if (e->state != ACK_VALID || a->is_given || e->n_lost < MAX_LOST_CHECKS)
		return;
	log_line(LOG_ERROR, "ack_lost",
		 "lost=%u last=\"%s\" effect=\"nothing is absorbed until the management point "
		 "answers again\" hint=\"see whether it is up\"",
		 e->n_lost, what);
	drop(a, e);
}

static void learn(struct ack_set *a, struct entry *e, struct ack_template *t)
{
	char what[ACK_WHAT];

	e->n_lost = 0;
	if (e->t != NULL && !ack_template_is_same(e->t, t, what)) {
		ack_template_free(t);
		give_up(a, e, "replies to equal messages differ in", what);
		return;
	}
	if (e->t == NULL) {
		e->t = t;
	} else {
		ack_template_narrow(e->t, t);
		ack_template_free(t);
	}
	e->n_equal++;
	if (e->n_equal >= (unsigned)a->conf->ack_samples)
		become_valid(a, e);
}

static void mismatch(struct ack_set *a, struct entry *e, const struct ack_template *t,
		     const char *what)
{
	bool is_other_server = t != NULL && !slice_eq(t->server, e->t->server);
	char was[80], is[80];

	metric_add(M_ACK_MISMATCHES, 1);
	if (a->is_given) {
		e->checked_ms = clock_mono_ms();
		log_limited(&mismatch_limit, 1, LOG_WARN, "ack_mismatch",
			    "setting=ack.template differs=\"%s\" effect=\"the file is used all "
			    "the same\"",
			    what);
		return;
	}
	if (is_other_server)
		log_line(LOG_ERROR, "ack_other_server",
			 "was=\"%s\" is=\"%s\" effect=\"the acknowledgement is learned anew\" "
			 "hint=\"was the management point replaced or upgraded?\"",
			 log_escape(e->t->server, was, sizeof(was)),
			 log_escape(t->server, is, sizeof(is)));
	else
		log_line(LOG_ERROR, "ack_mismatch",
			 "differs=\"%s\" effect=\"nothing is absorbed until a new acknowledgement "
			 "was learned\" hint=\"see what changed at the management point\"",
			 what);
	check_all_soon(a);
	drop(a, e);
}

static void check(struct ack_set *a, struct entry *e, struct ack_template *t)
{
	char what[ACK_WHAT];

	if (!ack_template_is_same(e->t, t, what)) {
		mismatch(a, e, t, what);
		ack_template_free(t);
		return;
	}
	if (!a->is_given)
		ack_template_narrow(e->t, t);
	ack_template_free(t);
	e->n_lost = 0;
	e->checked_ms = clock_mono_ms();
	if (!e->has_file && !a->is_given)
		e->has_file = ack_file_write(&a->dir, &e->key, e->t, &e->file_crc) == 0;
}

/* --- the public functions --- */

static enum ack_choice choose_valid(struct ack_set *a, struct entry *e,
				    const struct ack_template **out)
{
	if (e->n_out == 0 && e->used_ms - e->checked_ms >= a->conf->ack_revalidate_ms) {
		e->n_out++;
		return ACK_SAMPLE;
	}
	*out = e->t;
	return ACK_REPLAY;
}

enum ack_choice ack_choose(struct ack_set *a, const struct ack_key *key,
			   const struct ack_template **out)
{
	struct entry *e = find(a, key);

	if (e == NULL)
		e = add(a, key);
	if (e == NULL)
		return ACK_FORWARD;
	e->used_ms = clock_mono_ms();
	if (e->state == ACK_VALID)
		return choose_valid(a, e, out);
	if (e->state == ACK_FAILED) {
		if (e->used_ms < e->retry_ms)
			return ACK_FORWARD;
		learn_anew(a, e);
	}
	if (e->n_equal + e->n_out < (unsigned)a->conf->ack_samples) {
		e->n_out++;
		e->sampled_ms = e->used_ms;
		return ACK_SAMPLE;
	}
	return e->used_ms - e->sampled_ms > SLOW_MS ? ACK_FORWARD : ACK_WAIT;
}

const struct ack_template *ack_valid(struct ack_set *a, const struct ack_key *key)
{
	struct entry *e = find(a, key);

	if (e == NULL || e->state != ACK_VALID)
		return NULL;
	e->used_ms = clock_mono_ms();
	return e->t;
}

void ack_observe(struct ack_set *a, const struct ack_key *key, const struct http_head *reply,
		 struct slice body, struct slice envelope_id)
{
	struct entry *e = find(a, key);
	struct ack_template *t;
	char what[ACK_WHAT] = "out of memory";
	int rc;

	if (e == NULL || e->n_out == 0)
		return;
	e->n_out--;
	if (e->state == ACK_FAILED)
		return;
	rc = ack_template_new(&t, reply, body, envelope_id, what);
	if (rc == 0 && e->state == ACK_VALID)
		check(a, e, t);
	else if (rc == 0)
		learn(a, e, t);
	else if (rc == -EINVAL && e->state == ACK_VALID)
		mismatch(a, e, NULL, what);
	else
		count_lost(a, e, what);
}

void ack_sample_lost(struct ack_set *a, const struct ack_key *key)
{
	struct entry *e = find(a, key);

	if (e == NULL || e->n_out == 0)
		return;
	e->n_out--;
	count_lost(a, e, "no whole reply");
}

bool ack_is_known(const struct ack_set *a, const struct http_head *reply, struct slice body,
		  struct slice envelope_id)
{
	struct ack_template *t;
	char what[ACK_WHAT];
	bool is_known = false;

	if (ack_template_new(&t, reply, body, envelope_id, what) < 0)
		return false;
	for (unsigned i = 0; i < a->n && !is_known; i++)
		is_known = a->v[i]->state == ACK_VALID && ack_template_is_same(a->v[i]->t, t, what);
	ack_template_free(t);
	return is_known;
}

unsigned ack_count(const struct ack_set *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < a->n; i++)
		n += a->v[i]->state == ACK_VALID;
	return n;
}

uint64_t ack_generation(const struct ack_set *a)
{
	return a->generation;
}

/* --- files --- */

/* Due at once, unless it was learned a short while ago. */
static int64_t checked_at(const struct ack_set *a, const struct ack_loaded *l)
{
	int64_t age_ms = clock_wall_ms() - l->learned_ms;

	if (!a->is_starting)
		return clock_mono_ms();
	if (age_ms < 0 || age_ms >= a->conf->ack_revalidate_ms)
		return LONG_AGO;
	return clock_mono_ms() - age_ms;
}

static void adopt(void *arg, struct ack_loaded *l)
{
	struct ack_set *a = arg;
	struct entry *e = find(a, &l->key);
	char what[ACK_WHAT];

	if (e == NULL)
		e = add(a, &l->key);
	if (e == NULL || l->crc == e->dropped_crc) {
		ack_template_free(l->template);
		return;
	}
	e->is_seen = true;
	e->has_file = true;
	e->file_crc = l->crc;
	if (e->state == ACK_VALID && ack_template_is_same(e->t, l->template, what)) {
		ack_template_free(l->template);
		return;
	}
	learn_anew(a, e);
	e->t = l->template;
	e->state = ACK_VALID;
	e->checked_ms = checked_at(a, l);
	log_line(LOG_INFO, "ack_loaded", "bytes=%zu ids=%u", e->t->body.n, e->t->n_ids);
}

static void scan(struct ack_set *a)
{
	int64_t changed_ns = ack_dir_changed_ns(&a->dir);

	/* Once more after each change: time stamps are coarser than changes. */
	if (changed_ns == a->changed_ns && !a->must_scan)
		return;
	a->must_scan = changed_ns != a->changed_ns;
	a->changed_ns = changed_ns;
	for (unsigned i = 0; i < a->n; i++)
		a->v[i]->is_seen = false;
	ack_dir_read(&a->dir, adopt, a);
	for (unsigned i = 0; i < a->n; i++) {
		struct entry *e = a->v[i];

		if (e->state != ACK_VALID || !e->has_file || e->is_seen)
			continue;
		/* Another worker does not believe in it any more. */
		e->has_file = false;
		e->checked_ms = LONG_AGO;
	}
}

static int open_given(struct ack_set *a)
{
	static const struct ack_key any = {.path = {"*", 1}};
	struct ack_template *t;
	struct entry *e;
	int rc = ack_file_read_response(&a->dir, a->conf->ack_template, &t);

	if (rc < 0)
		return rc;
	e = add(a, &any);
	if (e == NULL) {
		ack_template_free(t);
		return -ENOMEM;
	}
	e->t = t;
	e->state = ACK_VALID;
	e->checked_ms = clock_mono_ms();
	a->is_given = true;
	return 0;
}

int ack_open(struct ack_set **out, const struct conf *conf)
{
	struct ack_set *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	a->conf = conf;
	a->scan_ms = clock_mono_ms();
	rc = ack_dir_open(&a->dir, conf);
	if (rc == 0 && conf->ack_template[0] != '\0')
		rc = open_given(a);
	if (rc < 0) {
		ack_close(a);
		return rc;
	}
	if (!a->is_given) {
		a->is_starting = true;
		a->must_scan = true;
		scan(a);
		a->is_starting = false;
	}
	*out = a;
	return 0;
}

void ack_close(struct ack_set *a)
{
	for (unsigned i = 0; i < a->n; i++)
		entry_free(a->v[i]);
	ack_dir_close(&a->dir);
	free(a);
}

void ack_tick(struct ack_set *a)
{
	if (a->is_given || clock_mono_ms() - a->scan_ms < SCAN_MS)
		return;
	a->scan_ms = clock_mono_ms();
	scan(a);
}
