#include "proxy/store/store_mark.h"

#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/store/rollup.h"
#include "proxy/store/store_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#define DIR_NAME   "redis-mark"
#define FORMAT	   "statweir-mark 1 "
#define FILE_CAP   256
#define PATH_BYTES 512
#define ID_CHARS   "0123456789abcdef"

/* --- the file: NONCE ID FLOOR PREFIX -------------------------------------------------- */

static int path_of(const struct store *s, unsigned worker, char out[PATH_BYTES])
{
	int n = snprintf(out, PATH_BYTES, "%s/" DIR_NAME "/%u", s->conf->state, worker);

	return n < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static void say_failure(struct store *s, const char *path, int rc)
{
	log_limited(&s->log_errors, 3, LOG_WARN, "redis_mark_file",
		    "file=%s error=\"%s\" effect=\"the next start may not notice a Redis that has "
		    "lost acknowledged messages, and the journal keeps what Redis has\"",
		    path, strerror(-rc));
}

/* Up to the next space. */
static struct slice next_word(struct slice *rest)
{
	const char *sp = rest->n > 0 ? memchr(rest->p, ' ', rest->n) : NULL;
	size_t n = sp != NULL ? (size_t)(sp - rest->p) : rest->n;
	struct slice word = slice_make(rest->p, n);

	*rest = slice_drop(*rest, n + 1);
	return word;
}

static bool take_id(struct slice word, char *out, size_t room)
{
	if (word.n != room - 1)
		return false;
	for (size_t i = 0; i < word.n; i++)
		if (memchr(ID_CHARS, word.p[i], sizeof(ID_CHARS) - 1) == NULL)
			return false;
	memcpy(out, word.p, word.n);
	out[word.n] = '\0';
	return true;
}

struct mark_line {
	char nonce[33], id[MARK_ID_BYTES];
	uint64_t floor;
};

/* False, too, where it is of another prefix: other data was meant to be used from then on. */
static int parse_line(const struct store *s, struct slice text, struct mark_line *out)
{
	struct slice format = SLICE(FORMAT);

	if (text.n <= format.n || memcmp(text.p, format.p, format.n) != 0 ||
	    text.p[text.n - 1] != '\n')
		return -EBADMSG;
	text = slice_make(text.p + format.n, text.n - format.n - 1);
	if (!take_id(next_word(&text), out->nonce, sizeof(out->nonce)) ||
	    !take_id(next_word(&text), out->id, sizeof(out->id)) ||
	    slice_to_u64(next_word(&text), &out->floor) < 0 || out->floor > INT64_MAX)
		return -EBADMSG;
	return slice_eq(text, slice_str(s->conf->redis_prefix)) ? 0 : -ENOENT;
}

static bool read_file(struct store *s, unsigned worker, struct mark_line *out)
{
	char path[PATH_BYTES];
	struct strbuf text;
	int rc = path_of(s, worker, path);

	strbuf_init(&text, FILE_CAP);
	if (rc == 0)
		rc = file_read(path, &text);
	if (rc == 0)
		rc = parse_line(s, strbuf_slice(&text), out);
	strbuf_fini(&text);
	if (rc < 0 && rc != -ENOENT)
		say_failure(s, path, rc);
	return rc == 0;
}

static int write_file(struct store *s)
{
	const struct store_mark *m = &s->mark;
	char path[PATH_BYTES], line[FILE_CAP];
	struct slice v;
	int rc = snprintf(path, sizeof(path), "%s/" DIR_NAME, s->conf->state) < (int)sizeof(path)
			 ? 0
			 : -ENAMETOOLONG;

	if (rc == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	if (rc == 0)
		rc = path_of(s, m->worker, path);
	v = slice_make(line, (size_t)snprintf(line, sizeof(line), FORMAT "%s %s %" PRId64 " %s\n",
					      s->nonce, m->id, m->floor, s->conf->redis_prefix));
	CHECK(v.n < sizeof(line));
	if (rc == 0)
		rc = file_replace(path, &v, 1, FILE_LAZY);
	if (rc < 0)
		say_failure(s, path, rc);
	return rc;
}

void store_mark_read_nonce(struct store *s, unsigned worker)
{
	struct mark_line line;

	if (s->conf->durability == DURABLE_NONE || !read_file(s, worker, &line))
		return;
	memcpy(s->nonce, line.nonce, sizeof(s->nonce));
	s->is_known = true;
}

int store_mark_open(struct store *s, unsigned worker)
{
	unsigned char random[(MARK_ID_BYTES - 1) / 2];
	struct store_mark *m = &s->mark;
	struct mark_line line;

	*m = (struct store_mark){.worker = worker};
	if (s->conf->durability == DURABLE_NONE)
		return 0;
	m->is_on = true;
	if (read_file(s, worker, &line)) {
		memcpy(m->id, line.id, sizeof(m->id));
		m->floor = (int64_t)line.floor;
		return 0;
	}
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(m->id + 2 * i, 3, "%02x", random[i]);
	return 0;
}

/* --- Redis -------------------------------------------------------------------------- */

int store_mark_ask(struct store *s, link_reply_fn *reply)
{
	char text[256];

	snprintf(text, sizeof(text), "HGET %s:mark:%s n", s->conf->redis_prefix, s->mark.id);
	return store_send_words(s, reply, text);
}

bool store_mark_is_fit(struct store *s, const redisReply *reply, char *why, size_t room)
{
	struct store_mark *m = &s->mark;
	uint64_t got = 0;

	if (reply->type == REDIS_REPLY_STRING &&
	    slice_to_u64(slice_make(reply->str, reply->len), &got) < 0)
		got = 0;
	if ((int64_t)got < m->floor) {
		snprintf(why, room,
			 "Redis holds an older state of its data than before (mark %" PRIu64
			 ", not %" PRId64
			 ": a backup was loaded, or a replica that was behind is the "
			 "master): bring the newer data back; or, to go on without it, remove "
			 "%.100s/" DIR_NAME " and restart every statweir",
			 got, m->floor, s->conf->state);
		return false;
	}
	m->has_fallen = (int64_t)got < m->value;
	if (m->has_fallen)
		m->n_ages = 0;
	else
		m->value = (int64_t)got;
	return true;
}

int store_mark_write(struct store *s, link_reply_fn *reply)
{
	struct store_mark *m = &s->mark;
	char text[256];

	m->asked_ms = clock_mono_ms();
	snprintf(text, sizeof(text), "FCALL " ROLLUP_LIBRARY "_mark 1 %s:mark:%s %" PRId64,
		 s->conf->redis_prefix, m->id, m->value);
	return store_send_words(s, reply, text);
}

/* The youngest that is as old as the grace time becomes the floor. */
static void raise_floor(struct store *s)
{
	struct store_mark *m = &s->mark;
	int64_t latest = clock_mono_ms() - s->conf->journal_grace_ms;
	int64_t before = m->floor;
	unsigned n = 0;
	int rc;

	while (n < m->n_ages && m->ages[n].at_ms <= latest)
		n++;
	if (n == 0)
		return;
	m->floor = m->ages[n - 1].value;
	/*
	 * Before anything is let go: a start in between must not ask for less than is kept. Where
	 * the disk is full, what is let go makes room for the file.
	 */
	rc = write_file(s);
	if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT) {
		m->floor = before;
		return;
	}
	store_journal_release(s, m->ages[n - 1].at_ms);
	m->n_ages -= n;
	memmove(m->ages, m->ages + n, m->n_ages * sizeof(m->ages[0]));
}

static void add_age(struct store *s)
{
	struct store_mark *m = &s->mark;
	int64_t step = s->conf->journal_grace_ms / (MARK_AGES / 2);

	if (m->n_ages == MARK_AGES ||
	    (m->n_ages > 0 && m->asked_ms - m->ages[m->n_ages - 1].at_ms < step))
		return;
	m->ages[m->n_ages].value = m->value;
	m->ages[m->n_ages++].at_ms = m->asked_ms;
}

void store_mark_written(struct store *s)
{
	struct store_mark *m = &s->mark;

	m->value = m->asked;
	if (s->journal != NULL) {
		raise_floor(s);
		add_age(s);
	} else {
		/* Redis syncs before it answers, and replicas have confirmed: it never falls. */
		m->floor = m->value;
	}
	if (s->journal == NULL || !m->is_kept)
		m->is_kept = write_file(s) == 0;
}

int store_use_state(struct store *s, unsigned worker)
{
	int rc;

	OBJ_CHECK(s, STORE_MAGIC);
	store_mark_read_nonce(s, worker);
	rc = store_mark_open(s, worker);
	return rc < 0 ? rc : store_journal_open(s, worker);
}
