#include "tests/unit/core/ack_try.h"

#include <libdeflate.h>

/* --- files --- */

static void test_ack_file_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char path[128];

	for (unsigned i = 0; i < 3; i++) {
		char body[256];

		assert_int_equal(choose(f), ACK_SAMPLE);
		snprintf(body, sizeof(body), "NoReply %s!", id_of(i));
		answer(f, HEAD, body, id_of(i));
	}
	snprintf(path, sizeof(path), "%s/ack", f->state);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(n_files(f), 1);
	fake_clock_advance(f->conf.ack_revalidate_ms - 1);
	reopen(f);
	assert_int_equal(ack_count(f->a), 1);
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_echo(f, id_of(6), "NoReply {00000006-AbCd-4000-8000-000000000006}!");
	/* Old when it is read: checked with the first message. */
	fake_clock_advance(1);
	assert_int_equal(choose(f), ACK_SAMPLE);
	reopen(f);
	assert_int_equal(choose(f), ACK_SAMPLE);
	assert_int_equal(choose(f), ACK_REPLAY);
}

static void test_ack_file_from_the_future_is_checked_first(void **state)
{
	struct fixture *f = *state;

	learn(f);
	fake_clock_set_wall(clock_wall_ms() - 3600000);
	reopen(f);
	assert_int_equal(choose(f), ACK_SAMPLE);
}

static size_t damage_at;

static void damage_file(const char *path)
{
	int fd = open(path, O_RDWR);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, (off_t)damage_at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, (off_t)damage_at), 1);
	close(fd);
}

static off_t file_bytes;

static void size_file(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	file_bytes = st.st_size;
}

static void cut_file(const char *path)
{
	assert_int_equal(truncate(path, (off_t)damage_at), 0);
}

static void test_ack_file_damaged_anywhere_is_ignored_and_kept(void **state)
{
	struct fixture *f = *state;

	log_threshold = LOG_ERROR;
	learn(f);
	each_file(f, size_file);
	assert_true(file_bytes > 300);
	for (damage_at = 0; damage_at < (size_t)file_bytes; damage_at++) {
		each_file(f, damage_file);
		reopen(f);
		assert_int_equal(ack_count(f->a), 0);
		assert_int_equal(n_files(f), 1);
		each_file(f, damage_file);
	}
	reopen(f);
	assert_int_equal(ack_count(f->a), 1);
	for (damage_at = (size_t)file_bytes; damage_at-- > 0;) {
		each_file(f, cut_file);
		reopen(f);
		assert_int_equal(ack_count(f->a), 0);
	}
	log_threshold = LOG_INFO;
}

static void test_ack_file_of_another_upstream_is_ignored(void **state)
{
	struct fixture *f = *state;

	learn(f);
	free(f->conf.upstream);
	snprintf(f->upstream, sizeof(f->upstream), "mp2.example.test:80");
	f->conf.upstream = f->upstream;
	reopen(f);
	assert_int_equal(ack_count(f->a), 0);
	learn(f);
	assert_int_equal(n_files(f), 1);
}

static void test_ack_file_learned_by_another_worker_is_used(void **state)
{
	struct fixture *f = *state;
	struct ack_set *second;
	const struct ack_template *t;
	uint64_t generation;

	assert_int_equal(ack_open(&second, &f->conf), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ack_choose(second, &key, &t), ACK_SAMPLE);
	assert_int_equal(ack_choose(second, &key, &t), ACK_WAIT);
	generation = ack_generation(second);
	learn(f);
	ack_tick(second);
	assert_int_equal(ack_count(second), 0);
	fake_clock_advance(1000);
	ack_tick(second);
	assert_int_equal(ack_count(second), 1);
	assert_true(ack_generation(second) > generation);
	assert_int_equal(ack_choose(second, &key, &t), ACK_REPLAY);
	ack_close(second);
}

static void test_ack_file_dropped_by_another_worker_is_checked_at_once(void **state)
{
	struct fixture *f = *state;
	struct ack_set *second;
	const struct ack_template *t;
	struct parsed p;

	learn(f);
	assert_int_equal(ack_open(&second, &f->conf), 0);
	assert_int_equal(ack_choose(second, &key, &t), ACK_REPLAY);
	fake_clock_advance(1000);
	ack_tick(second);
	each_file(f, remove_file);
	fake_clock_advance(1000);
	ack_tick(second);
	assert_int_equal(ack_choose(second, &key, &t), ACK_SAMPLE);
	assert_int_equal(ack_choose(second, &key, &t), ACK_REPLAY);
	/* It still answers so: the file comes back. */
	parse(&p, HEAD, strlen(BODY));
	ack_observe(second, &key, &p.head, slice_str(BODY), SLICE(""));
	assert_int_equal(n_files(f), 1);
	ack_close(second);
}

static void test_ack_directory_that_cannot_be_made_is_done_without(void **state)
{
	struct fixture *f = *state;
	struct ack_set *a;
	char nowhere[] = "/proc/nowhere";

	f->conf.state = nowhere;
	assert_int_equal(ack_open(&a, &f->conf), 0);
	ack_tick(a);
	ack_close(a);
	f->conf.state = f->state;
}

static char saved[65536];
static ssize_t saved_bytes;
static char saved_path[512];

static void save_file(const char *path)
{
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	saved_bytes = read(fd, saved, sizeof(saved));
	assert_true(saved_bytes > 0 && saved_bytes < (ssize_t)sizeof(saved));
	close(fd);
	snprintf(saved_path, sizeof(saved_path), "%s", path);
}

static void restore_file(struct slice text)
{
	int fd = open(saved_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	close(fd);
}

static void test_ack_file_put_back_after_a_drop_is_not_used(void **state)
{
	struct fixture *f = *state;

	learn(f);
	each_file(f, save_file);
	fake_clock_advance(f->conf.ack_revalidate_ms);
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, "other", id_of(1));
	restore_file(slice_make(saved, (size_t)saved_bytes));
	fake_clock_advance(1000);
	ack_tick(f->a);
	assert_int_equal(ack_count(f->a), 0);
}

/* The file with from replaced by to (of the same length), and a checksum that is right. */
static void forge(const char *from, const char *to)
{
	char text[sizeof(saved)], crc[16];
	char *at;

	memcpy(text, saved, (size_t)saved_bytes);
	at = memmem(text, (size_t)saved_bytes, from, strlen(from));
	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
	snprintf(crc, sizeof(crc), "%08x",
		 (unsigned)libdeflate_crc32(0, text + 24, (size_t)saved_bytes - 24));
	memcpy(text + 15, crc, 8);
	restore_file(slice_make(text, (size_t)saved_bytes));
}

static void test_ack_file_of_faulty_content_is_ignored(void **state)
{
	static const char *const faults[][2] = {
		{"path 19 ", "path 99 "},
		{"path 19 ", "path x9 "},
		{"path 19 ", "path 18 "},
		{"path 19 ", "path_19 "},
		{"version 1 1", "version 1 2"},
		{"version 1 1", "version 1 x"},
		{"learned 13 1", "learned 13 x"},
		{"HTTP/1.1 200", "HTTP/1.1 500"},
		{"HTTP/1.1 200", "HTTP/1.1 20 "},
		{"Content-Length: 21", "Content-Length: 22"},
		{"Content-Length: 21", "Content-Length: 20"},
		{"X-Powered-By", "X-Powered By"},
		{"X-Powered-By: ASP.NET", "Set-Cookie  : ASP.NET"},
	};
	struct fixture *f = *state;

	log_threshold = LOG_ERROR;
	learn(f);
	each_file(f, save_file);
	forge("ASP.NET", "ASP_NET");
	reopen(f);
	assert_int_equal(ack_count(f->a), 1);
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		forge(faults[i][0], faults[i][1]);
		reopen(f);
		assert_int_equal(ack_count(f->a), 0);
		assert_int_equal(n_files(f), 1);
	}
	log_threshold = LOG_INFO;
}

static void test_ack_directory_gone_while_running_is_done_without(void **state)
{
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/ack", f->state);
	assert_int_equal(rmdir(path), 0);
	learn(f);
	fake_clock_advance(f->conf.ack_revalidate_ms);
	ack_tick(f->a);
	assert_int_equal(mkdir(path, 0700), 0);
	/* The next check writes it. */
	assert_int_equal(choose(f), ACK_SAMPLE);
	answer(f, HEAD, BODY, id_of(1));
	assert_int_equal(n_files(f), 1);
}

/* --- the operator's file --- */

static void give_template(struct fixture *f, const char *text)
{
	int fd;

	if (f->a != NULL)
		ack_close(f->a);
	f->a = NULL;
	if (f->template[0] == '\0')
		free(f->conf.ack_template);
	snprintf(f->template, sizeof(f->template), "%s/template", f->state);
	f->conf.ack_template = f->template;
	fd = open(f->template, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_ack_given_template_serves_every_key_and_is_never_dropped(void **state)
{
	struct fixture *f = *state;
	struct ack_key other = {.path = SLICE("/other"), .minor = 0};

	give_template(f, HEAD "Content-Length: 21\r\nConnection: close\r\n\r\n" BODY);
	assert_int_equal(ack_open(&f->a, &f->conf), 0);
	assert_int_equal(ack_count(f->a), 1);
	assert_int_equal(ack_choose(f->a, &other, &f->t), ACK_REPLAY);
	assert_int_equal(choose(f), ACK_REPLAY);
	assert_written(f, "", 1, true,
		       "HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nDate: " DATE "\r\n"
		       "Content-Type: multipart/mixed\r\nX-Powered-By: ASP.NET\r\n"
		       "Content-Length: 21\r\n\r\n" BODY);
	for (int64_t i = 1; i < 4; i++) {
		fake_clock_advance(f->conf.ack_revalidate_ms);
		assert_int_equal(choose(f), ACK_SAMPLE);
		answer(f, HEAD, i == 2 ? "" : "other", id_of(1));
		assert_int_equal(metrics_self->v[M_ACK_MISMATCHES], f->mismatches + i);
		assert_int_equal(choose(f), ACK_REPLAY);
	}
	fake_clock_advance(f->conf.ack_revalidate_ms);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(choose(f), ACK_SAMPLE);
		assert_int_equal(choose(f), ACK_REPLAY);
		ack_sample_lost(f->a, &key);
	}
	ack_tick(f->a);
	assert_int_equal(ack_count(f->a), 1);
	assert_int_equal(n_files(f), 0);
}

static void test_ack_given_template_chunked_or_until_the_end_is_read(void **state)
{
	static const char *const good[] = {
		"HTTP/1.1 200 OK\r\nServer: X\r\n\r\nNoReply",
		"HTTP/1.1 200 OK\r\nServer: X\r\nTransfer-Encoding: chunked\r\n\r\n"
		"2\r\nNo\r\n5\r\nReply\r\n0\r\n\r\n",
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		give_template(f, good[i]);
		assert_int_equal(ack_open(&f->a, &f->conf), 0);
		assert_int_equal(choose(f), ACK_REPLAY);
		assert_written(f, "", 1, true,
			       "HTTP/1.1 200 OK\r\nServer: X\r\nContent-Length: 7\r\n\r\nNoReply");
	}
}

static void test_ack_given_template_faulty_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"hello",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
	};
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		give_template(f, bad[i]);
		assert_int_equal(ack_open(&f->a, &f->conf), -EINVAL);
	}
	memset(saved, 'x', ACK_MAX_BODY + 100);
	memcpy(saved, "HTTP/1.1 200 OK\r\n\r\n", 19);
	saved[ACK_MAX_BODY + 100] = '\0';
	give_template(f, saved);
	assert_int_equal(ack_open(&f->a, &f->conf), -EINVAL);
	unlink(f->template);
	assert_int_equal(ack_open(&f->a, &f->conf), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ack_file_survives_a_restart),
		T(test_ack_file_from_the_future_is_checked_first),
		T(test_ack_file_damaged_anywhere_is_ignored_and_kept),
		T(test_ack_file_of_another_upstream_is_ignored),
		T(test_ack_file_learned_by_another_worker_is_used),
		T(test_ack_file_dropped_by_another_worker_is_checked_at_once),
		T(test_ack_directory_that_cannot_be_made_is_done_without),
		T(test_ack_file_put_back_after_a_drop_is_not_used),
		T(test_ack_file_of_faulty_content_is_ignored),
		T(test_ack_directory_gone_while_running_is_done_without),
		T(test_ack_given_template_serves_every_key_and_is_never_dropped),
		T(test_ack_given_template_chunked_or_until_the_end_is_read),
		T(test_ack_given_template_faulty_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
