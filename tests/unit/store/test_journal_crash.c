/*
 * Power failures, as in "All File Systems Are Not Created Equal": every file operation of a
 * journal at work is logged; then, for many moments, the disk is built as it may be found after
 * a crash at that moment: all that was synced, and of the rest any part, in sectors
 * of 512 bytes, directory operations one by one. A journal opened on it must find every record
 * that was reported as synced. What is found after one crash is where the next round begins.
 *
 * STATWEIR_SEED and STATWEIR_CRASHES in the environment give another run or a longer one.
 */
#include "tests/unit/store/journal_rig.h"

#include "proxy/store/journal_format.h"

enum {
	SEGMENT = 4096,
	SECTOR = 512,
	INODES = 256,
	EVENTS = 8192,
	ARENA = 4 << 20,
	RECORDS = 1 << 16,
	FILES = 128
};

enum kind {
	LINK,
	RENAME,
	UNLINK,
	WRITE,
	SIZE,
	SYNC,
	DIRSYNC,
	REPORT,
	APPLIED
};

struct entry {
	enum kind kind;
	int inode;
	char name[JOURNAL_NAME_BYTES]; /* RENAME: the new one */
	char from[JOURNAL_NAME_BYTES];
	size_t off, n, data; /* WRITE: data in arena; SIZE: n */
	unsigned record;     /* REPORT, APPLIED */
};

struct file {
	char name[JOURNAL_NAME_BYTES];
	int inode;
};

/* A directory: names to inodes. */
struct names {
	struct file v[FILES];
	unsigned n;
};

static struct {
	struct entry log[EVENTS];
	unsigned n;
	uint8_t arena[ARENA];
	size_t arena_n;
	struct names names;		/* now, as the journal sees it */
	uint8_t start[INODES][SEGMENT]; /* contents of the files that the round began with */
	size_t start_n[INODES];
	struct names start_names;
	int n_inodes;
	int fd_inode[1024];
	int dir_fd;
	uint64_t random;
	bool has_faults;
} sim;

static uint8_t disk[INODES][SEGMENT];
static size_t disk_n[INODES];

/* Of each record ever appended. */
static struct {
	bool is_kept[RECORDS];	/* must be found */
	bool was_kept[RECORDS]; /* at the beginning of the round */
	bool is_found[RECORDS];
	unsigned by_seq[RECORDS]; /* the record that was last given this number */
	unsigned last;
	uint64_t reported; /* number, of the journal at work */
	bool has_begun;
} book;

static uint64_t pick(uint64_t below)
{
	/* xorshift64*: enough, and the same everywhere */
	sim.random ^= sim.random >> 12;
	sim.random ^= sim.random << 25;
	sim.random ^= sim.random >> 27;
	return (sim.random * UINT64_C(0x2545f4914f6cdd1d) >> 33) % below;
}

static struct entry *note(enum kind kind, int inode)
{
	struct entry *e = &sim.log[sim.n++];

	assert_true(sim.n < EVENTS);
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->inode = inode;
	return e;
}

static void set_name(char out[JOURNAL_NAME_BYTES], const char *name)
{
	assert_true(strlen(name) < JOURNAL_NAME_BYTES);
	snprintf(out, JOURNAL_NAME_BYTES, "%s", name);
}

static int names_get(const struct names *d, const char *name)
{
	for (unsigned i = 0; i < d->n; i++)
		if (strcmp(d->v[i].name, name) == 0)
			return d->v[i].inode;
	return -1;
}

static void names_remove(struct names *d, const char *name)
{
	for (unsigned i = 0; i < d->n; i++)
		if (strcmp(d->v[i].name, name) == 0) {
			d->v[i] = d->v[--d->n];
			return;
		}
}

static void names_set(struct names *d, const char *name, int inode)
{
	names_remove(d, name);
	assert_true(d->n < FILES);
	set_name(d->v[d->n].name, name);
	d->v[d->n++].inode = inode;
}

static void names_apply(struct names *d, const struct entry *e)
{
	if (e->kind == LINK) {
		names_set(d, e->name, e->inode);
	} else if (e->kind == RENAME) {
		if (names_get(d, e->from) == e->inode)
			names_remove(d, e->from);
		names_set(d, e->name, e->inode);
	} else if (names_get(d, e->name) == e->inode) {
		names_remove(d, e->name);
	}
}

static bool is_refused(void)
{
	return sim.has_faults && pick(150) == 0;
}

static int sim_openat(int dir, const char *name, int flags, mode_t mode)
{
	int fd = journal_io_system.openat(dir, name, flags, mode);
	struct entry *e;

	if (fd < 0)
		return fd;
	assert_true(fd < 1024);
	if ((flags & O_DIRECTORY) != 0) {
		sim.dir_fd = fd;
		return fd;
	}
	if ((flags & O_CREAT) != 0) {
		assert_true(sim.n_inodes < INODES);
		e = note(LINK, sim.n_inodes++);
		set_name(e->name, name);
		names_apply(&sim.names, e);
	}
	sim.fd_inode[fd] = names_get(&sim.names, name);
	return fd;
}

static ssize_t sim_pwrite(int fd, const void *p, size_t n, off_t off)
{
	bool is_bad = is_refused();
	struct entry *e;

	if (is_bad)
		n = (size_t)pick(n + 1);
	e = note(WRITE, sim.fd_inode[fd]);
	e->off = (size_t)off;
	e->n = n;
	e->data = sim.arena_n;
	assert_true(sim.arena_n + n <= ARENA && e->off + n <= SEGMENT);
	memcpy(sim.arena + sim.arena_n, p, n);
	sim.arena_n += n;
	(void)journal_io_system.pwrite(fd, p, n, off);
	return is_bad ? -EIO : (ssize_t)n;
}

static int sim_sync(int fd)
{
	if (is_refused())
		return -EIO;
	if (fd == sim.dir_fd)
		note(DIRSYNC, 0);
	else
		note(SYNC, sim.fd_inode[fd]);
	return 0;
}

static int sim_fallocate(int fd, off_t n)
{
	if (is_refused())
		return -ENOSPC;
	note(SIZE, sim.fd_inode[fd])->n = (size_t)n;
	return journal_io_system.fallocate(fd, n);
}

static int sim_renameat(int dir, const char *from, const char *to)
{
	struct entry *e;
	int rc = journal_io_system.renameat(dir, from, to);

	if (rc < 0)
		return rc;
	e = note(RENAME, names_get(&sim.names, from));
	set_name(e->name, to);
	set_name(e->from, from);
	names_apply(&sim.names, e);
	return 0;
}

static int sim_unlinkat(int dir, const char *name)
{
	struct entry *e;
	int rc = journal_io_system.unlinkat(dir, name);

	if (rc < 0)
		return rc;
	e = note(UNLINK, names_get(&sim.names, name));
	set_name(e->name, name);
	names_apply(&sim.names, e);
	return 0;
}

static ssize_t sim_pread(int fd, void *p, size_t n, off_t off)
{
	return journal_io_system.pread(fd, p, n, off);
}

static int sim_close(int fd)
{
	return journal_io_system.close(fd);
}

static const struct journal_io sim_io = {
	.openat = sim_openat,
	.pread = sim_pread,
	.pwrite = sim_pwrite,
	.fdatasync = sim_sync,
	.fsync = sim_sync,
	.fallocate = sim_fallocate,
	.renameat = sim_renameat,
	.unlinkat = sim_unlinkat,
	.close = sim_close,
};

/* Put what a disk holds into a real directory. */
static void build_dir(const char *dir, const struct names *d, uint8_t data[][SEGMENT],
		      const size_t *n)
{
	char path[160];

	rig_empty_dir(dir);
	for (unsigned i = 0; i < d->n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, d->v[i].name);
		rig_save(path, data[d->v[i].inode], n[d->v[i].inode]);
	}
}

static bool is_dir_entry(enum kind k)
{
	return k == LINK || k == RENAME || k == UNLINK;
}

/* Is entry i on disk for certain, at a crash before entry end? */
static bool is_synced(unsigned i, unsigned end)
{
	const struct entry *e = &sim.log[i];

	for (i++; i < end; i++) {
		if (is_dir_entry(e->kind) ? sim.log[i].kind == DIRSYNC
					  : sim.log[i].kind == SYNC && sim.log[i].inode == e->inode)
			return true;
	}
	return false;
}

static void grow(int inode, size_t n)
{
	if (disk_n[inode] < n)
		disk_n[inode] = n;
}

/* percent: how likely each unsynced sector is there. */
static void write_sectors(const struct entry *e, uint64_t percent)
{
	size_t at = e->off, end = e->off + e->n, next;

	for (; at < end; at = next) {
		next = (at / SECTOR + 1) * SECTOR;
		if (next > end)
			next = end;
		if (pick(100) >= percent)
			continue;
		memcpy(disk[e->inode] + at, sim.arena + e->data + (at - e->off), next - at);
		grow(e->inode, next);
	}
}

/* The disk after a crash before entry end, into disk and d. */
static void crash(unsigned end, struct names *d)
{
	static const uint64_t percents[] = {0, 100, 50, 10, 90};
	uint64_t percent = percents[pick(5)];

	memcpy(disk, sim.start, sizeof(disk));
	memcpy(disk_n, sim.start_n, sizeof(disk_n));
	*d = sim.start_names;
	for (unsigned i = 0; i < end; i++) {
		const struct entry *e = &sim.log[i];
		uint64_t likely = is_synced(i, end) ? 100 : percent;

		if (e->kind == WRITE)
			write_sectors(e, likely);
		else if (is_dir_entry(e->kind) && pick(100) < likely)
			names_apply(d, e);
		else if (e->kind == SIZE && pick(100) < likely)
			grow(e->inode, e->n);
	}
}

static void on_synced(void *arg, uint64_t upto, int rc)
{
	(void)arg;
	while (book.reported < upto) {
		unsigned record = book.by_seq[++book.reported];

		if (rc == 0)
			note(REPORT, 0)->record = record;
	}
}

static unsigned record_of(const struct journal_record *r)
{
	uint64_t k = r->digest * UINT64_C(0xf1de83e19937733d);

	assert_true(k >= 1 && k <= book.last);
	rig_check_record(r, k);
	return (unsigned)k;
}

static void append_some(struct journal *j)
{
	char text[64];
	uint64_t seq;

	for (uint64_t n = pick(30); n > 0; n--) {
		struct journal_record r = rig_record(book.last + 1, text);

		if (journal_append(j, &r, &seq) < 0)
			return;
		assert_true(seq < RECORDS);
		if (!book.has_begun)
			book.reported = seq - 1;
		book.has_begun = true;
		book.by_seq[seq] = ++book.last;
	}
}

static void apply(struct journal *j, uint64_t seq)
{
	note(APPLIED, 0)->record = book.by_seq[seq];
	journal_applied(j, seq);
}

static void replay_some(struct journal *j)
{
	struct journal_record v[8];
	int n = journal_replay_next(j, v, 8);

	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		book.by_seq[v[i].seq] = record_of(&v[i]);
		if (pick(4) != 0)
			apply(j, v[i].seq);
	}
	if (n == 0 && pick(10) == 0)
		journal_replay_begin(j, false);
}

/* A journal at work on the directory g->dir, which is what sim.start says. */
static void work(struct rig *g)
{
	const struct journal_events ev = {on_synced, g};

	sim.n = 0;
	sim.arena_n = 0;
	g->conf.io = &sim_io;
	sim.has_faults = false;
	assert_int_equal(journal_open(&g->j, g->base, &g->conf, &ev), 0);
	sim.has_faults = pick(2) == 0;
	book.has_begun = false;
	for (unsigned i = 0; i < 40; i++) {
		append_some(g->j);
		journal_commit(g->j);
		for (unsigned turn = 0; turn < 1 + pick(6); turn++)
			event_base_loop(g->base, EVLOOP_NONBLOCK);
		replay_some(g->j);
		rig_mono_ms += (int64_t)pick(4000);
		journal_tick(g->j);
	}
	rig_close(g);
}

/* What must be found after a crash before entry end. */
static void keep_until(unsigned end)
{
	memcpy(book.is_kept, book.was_kept, sizeof(book.is_kept));
	for (unsigned i = 0; i < end; i++) {
		if (sim.log[i].kind == REPORT)
			book.is_kept[sim.log[i].record] = true;
		/* May be gone or not. */
		if (sim.log[i].kind == APPLIED)
			book.is_kept[sim.log[i].record] = false;
	}
}

static void recover(struct rig *h)
{
	const struct journal_events ev = {on_synced, h};
	struct journal_stats st;
	struct journal_record v[64];
	int n;

	memset(book.is_found, 0, sizeof(book.is_found));
	assert_int_equal(journal_open(&h->j, h->base, &h->conf, &ev), 0);
	while ((n = journal_replay_next(h->j, v, 64)) > 0)
		for (int i = 0; i < n; i++) {
			unsigned k = record_of(&v[i]);

			assert_false(book.is_found[k]);
			book.is_found[k] = true;
		}
	assert_int_equal(n, 0);
	journal_get_stats(h->j, &st);
	assert_int_equal(st.quarantined, 0);
	rig_close(h);
	for (unsigned k = 1; k <= book.last; k++)
		assert_true(book.is_found[k] || !book.is_kept[k]);
}

/* The crashed disk is where the next round begins; inodes are numbered anew. */
static void begin_round(const struct names *d)
{
	static uint8_t data[INODES][SEGMENT];
	static size_t n[INODES];

	memset(data, 0, sizeof(data));
	memset(n, 0, sizeof(n));
	sim.start_names.n = 0;
	sim.n_inodes = 0;
	for (unsigned i = 0; i < d->n; i++) {
		memcpy(data[sim.n_inodes], disk[d->v[i].inode], SEGMENT);
		n[sim.n_inodes] = disk_n[d->v[i].inode];
		names_set(&sim.start_names, d->v[i].name, sim.n_inodes++);
	}
	memcpy(sim.start, data, sizeof(data));
	memcpy(sim.start_n, n, sizeof(n));
	sim.names = sim.start_names;
	memcpy(book.was_kept, book.is_found, sizeof(book.was_kept));
}

static void begin_afresh(void)
{
	static const struct names none;

	memset(&book, 0, sizeof(book));
	begin_round(&none);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static void test_X24_power_loss_anywhere_synced_records_found(void **state)
{
	struct rig *g = rig_new(), *h = rig_new();
	uint64_t crashes = from_env("STATWEIR_CRASHES", 3000), seed = from_env("STATWEIR_SEED", 1);
	unsigned found = 0;
	struct names d = {.n = 0};

	(void)state;
	print_message("seed %" PRIu64 ", %" PRIu64 " crashes\n", seed, crashes);
	sim.random = seed * 2 + 1;
	begin_afresh();
	for (uint64_t i = 0; i < crashes; i++) {
		if (i % 25 == 0) {
			if (book.last > RECORDS - 4000)
				begin_afresh();
			build_dir(g->dir, &sim.start_names, sim.start, sim.start_n);
			work(g);
		}
		unsigned end = (unsigned)pick(sim.n + 1);

		crash(end, &d);
		build_dir(h->dir, &d, disk, disk_n);
		keep_until(end);
		recover(h);
		for (unsigned k = 1; k <= book.last; k++)
			found += book.is_found[k];
		if (i % 25 == 24)
			begin_round(&d);
	}
	print_message("%u records found\n", found);
	rig_free(g);
	rig_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_X24_power_loss_anywhere_synced_records_found),
	};

	return cmocka_run_group_tests_name("journal crashes", tests, NULL, NULL);
}
