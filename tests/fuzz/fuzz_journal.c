/*
 * Any bytes as a journal segment: what the reader hands out is exactly what a plain walk over
 * the bytes finds, and never a record whose CRC fails. The first byte says how: bit 0, lengths
 * are believed and their CRCs made right first, so that whole records occur; bits 1 and 2, reads
 * come short; bit 3, the second sector cannot be read; bit 4, two records are asked for
 * between moves of the window.
 */
#include "proxy/store/journal_reader.h"

#include <errno.h>
#include <libdeflate.h>

enum {
	INPUT_MAX = 24 * 1024, /* under the reader's limit of bytes whose CRC it tries */
	SECTOR = 4096,
	MODE_RIGHT_CRC = 1,
	MODE_SHORT = 6,
	MODE_BAD_SECTOR = 8,
	MODE_PAIRS = 16,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What lies on the disk, and what of it can be read. */
static struct bytes {
	uint8_t p[INPUT_MAX];
	size_t n;
	uint8_t mode;
	uint32_t seed;
} disk, file;

static int file_openat(int dir, const char *name, int flags, mode_t mode)
{
	(void)dir;
	(void)name;
	(void)flags;
	(void)mode;
	return 3;
}

static ssize_t file_pread(int fd, void *p, size_t n, off_t off)
{
	size_t at = (size_t)off;

	(void)fd;
	if (at >= disk.n)
		return 0;
	if (n > disk.n - at)
		n = disk.n - at;
	if ((disk.mode & MODE_SHORT) != 0 && n > (size_t)(disk.mode & MODE_SHORT) * 10)
		n = (size_t)(disk.mode & MODE_SHORT) * 10;
	if ((disk.mode & MODE_BAD_SECTOR) != 0 && at < 2 * SECTOR && at + n > SECTOR)
		return -EIO;
	memcpy(p, disk.p + at, n);
	return (ssize_t)n;
}

static int file_close(int fd)
{
	CHECK(fd == 3);
	return 0;
}

static const struct journal_io io = {
	.openat = file_openat,
	.pread = file_pread,
	.close = file_close,
};

static uint32_t number_at(size_t off)
{
	return (uint32_t)file.p[off] | (uint32_t)file.p[off + 1] << 8 |
	       (uint32_t)file.p[off + 2] << 16 | (uint32_t)file.p[off + 3] << 24;
}

static uint32_t crc_of(size_t off)
{
	return libdeflate_crc32(file.seed ^ (uint32_t)off, file.p + off + JOURNAL_FRAME_BYTES,
				number_at(off));
}

/* Written from the description of the format, not with the code under test: 0 or its bytes. */
static size_t span_at(size_t off)
{
	size_t length, texts;
	uint8_t flags;

	if (off + JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN > file.n)
		return 0;
	length = number_at(off);
	if (length < JOURNAL_BODY_MIN || length > file.n - off - JOURNAL_FRAME_BYTES)
		return 0;
	flags = file.p[off + 9];
	texts = (number_at(off + 10) & 0xffff) + (number_at(off + 10) >> 16);
	if (file.p[off + 8] < 1 || file.p[off + 8] > 2 || flags > 3 || file.p[off + 14] != 0 ||
	    file.p[off + 15] != 0)
		return 0;
	if ((number_at(off + 10) & 0xffff) > JOURNAL_TEXT_MAX ||
	    number_at(off + 10) >> 16 > JOURNAL_TEXT_MAX)
		return 0;
	if ((flags & 2) != 0 ? texts >= length - JOURNAL_BODY_MIN
			     : texts != length - JOURNAL_BODY_MIN)
		return 0;
	length = (JOURNAL_FRAME_BYTES + length + 7) / 8 * 8;
	return length <= file.n - off ? length : 0;
}

/* Where a record lies from off on: its offset, or the end of the file. */
static size_t find_record(size_t off)
{
	for (; off < file.n; off += JOURNAL_ALIGN)
		if (span_at(off) > 0 && crc_of(off) == number_at(off + 4))
			return off;
	return file.n;
}

static void make_crcs_right(void)
{
	size_t off = JOURNAL_HEADER_BYTES;

	while (off < file.n) {
		size_t span = span_at(off);
		uint32_t crc;

		if (span == 0) {
			off += JOURNAL_ALIGN;
			continue;
		}
		crc = crc_of(off);
		for (unsigned i = 0; i < 4; i++)
			file.p[off + 4 + i] = (uint8_t)(crc >> 8 * i);
		off += span;
	}
}

static void lose_sector(void)
{
	if (file.n > SECTOR)
		memset(file.p + SECTOR, 0, (file.n > 2 * SECTOR ? 2 * SECTOR : file.n) - SECTOR);
}

static void check_record(const struct journal_record *r, size_t off)
{
	const char *text = (const char *)file.p + off + JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN;
	size_t client_n = number_at(off + 10) & 0xffff, rule_n = number_at(off + 10) >> 16;
	size_t raw_n = number_at(off) - JOURNAL_BODY_MIN - client_n - rule_n;

	CHECK(slice_eq(r->client, slice_make(text, client_n)));
	CHECK(slice_eq(r->rule, slice_make(text + client_n, rule_n)));
	CHECK(slice_eq(r->raw, slice_make(text + client_n + rule_n, raw_n)));
	CHECK(r->is_seen_only == (file.p[off + 8] == 2));
}

static void read_all(struct journal_reader *rd)
{
	struct journal_record r;
	size_t off = JOURNAL_HEADER_BYTES;
	bool may_move = true;
	int rc;

	for (;;) {
		rc = journal_reader_next(rd, &r, may_move);
		if (rc == -EAGAIN) {
			CHECK(!may_move);
			may_move = true;
			continue;
		}
		off = find_record(off);
		if (rc == 0)
			break;
		CHECK(rc == 1 && off < file.n);
		check_record(&r, off);
		off += span_at(off);
		CHECK(rd->off == off);
		may_move = (file.mode & MODE_PAIRS) == 0 || !may_move;
	}
	CHECK(off == file.n);
}

/* A whole header is written again as the same; whole or not, it has a seed. */
static void check_header(const uint8_t *data)
{
	struct journal_header h, again;
	uint8_t out[JOURNAL_HEADER_BYTES];
	uint32_t seed;

	if (journal_header_get(&h, &file.seed, data) < 0)
		return;
	CHECK(journal_header_put(&h, out) == file.seed);
	CHECK(memcmp(out, data, sizeof(out)) == 0);
	CHECK(journal_header_get(&again, &seed, out) == 0 && seed == file.seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_reader rd;

	if (size < 1 + JOURNAL_HEADER_BYTES || size > sizeof(file.p))
		return 0;
	file.mode = data[0];
	file.n = size - 1;
	memcpy(file.p, data + 1, file.n);
	check_header(file.p);
	if ((file.mode & MODE_RIGHT_CRC) != 0)
		make_crcs_right();
	journal_reader_init(&rd, &io);
	CHECK(journal_reader_open(&rd, 0, "", file.seed, file.n) == 0);
	disk = file;
	if ((file.mode & MODE_BAD_SECTOR) != 0)
		lose_sector();
	read_all(&rd);
	journal_reader_fini(&rd);
	return 0;
}
