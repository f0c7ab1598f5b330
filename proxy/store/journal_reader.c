#include "proxy/store/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum {
	WINDOW_BYTES = 256 * 1024,
	SECTOR_BYTES = 4096, /* what is given up where reading fails */
};

/* A segment made to cost time has many beginnings of long records in it. */
static const uint64_t search_bytes_max = 256u * 1024 * 1024;

void journal_reader_init(struct journal_reader *rd, const struct journal_io *io)
{
	*rd = (struct journal_reader){.io = io, .fd = -1};
}

void journal_reader_fini(struct journal_reader *rd)
{
	journal_reader_close(rd);
	free(rd->window);
	rd->window = NULL;
}

void journal_reader_close(struct journal_reader *rd)
{
	if (rd->fd >= 0)
		(void)rd->io->close(rd->fd);
	rd->fd = -1;
}

int journal_reader_open(struct journal_reader *rd, int dir, const char *name, uint32_t seed,
			uint64_t size)
{
	journal_reader_close(rd);
	rd->fd = rd->io->openat(dir, name, O_RDONLY, 0);
	if (rd->fd < 0)
		return rd->fd;
	rd->seed = seed;
	rd->size = size;
	rd->off = JOURNAL_HEADER_BYTES;
	rd->place = 0;
	rd->window_n = 0;
	rd->window_off = 0;
	rd->search_bytes = search_bytes_max;
	rd->has_skipped = false;
	rd->is_damaged = false;
	return 0;
}

/* Bytes that the disk does not give are zeros to us, and damage. */
static void read_rough(struct journal_reader *rd, size_t want)
{
	size_t done = 0;

	while (done < want) {
		uint64_t at = rd->window_off + done;
		size_t part = SECTOR_BYTES - (size_t)(at % SECTOR_BYTES);
		ssize_t got;

		if (part > want - done)
			part = want - done;
		got = journal_io_read(rd->io, rd->fd, rd->window + done, part, at);
		if (got < 0) {
			memset(rd->window + done, 0, part);
			rd->has_skipped = true;
			rd->is_damaged = true;
			got = (ssize_t)part;
		}
		done += (size_t)got;
		if ((size_t)got < part)
			break;
	}
	rd->window_n = done;
}

static bool is_in_window(const struct journal_reader *rd, uint64_t off, size_t need)
{
	return off >= rd->window_off && off + need <= rd->window_off + rd->window_n;
}

/* Have need bytes at off in the window: 1, or 0 beyond the file, -EAGAIN, -ENOMEM. */
static int have(struct journal_reader *rd, uint64_t off, size_t need, bool may_move)
{
	size_t want = need > WINDOW_BYTES ? need : WINDOW_BYTES;
	uint8_t *more;
	ssize_t got;

	if (is_in_window(rd, off, need))
		return 1;
	if (off + need > rd->size)
		return 0;
	if (!may_move)
		return -EAGAIN;
	if (want > rd->window_room) {
		more = realloc(rd->window, want);
		if (more == NULL)
			return -ENOMEM;
		rd->window = more;
		rd->window_room = want;
	}
	if (want > rd->size - off)
		want = (size_t)(rd->size - off);
	rd->window_off = off;
	got = journal_io_read(rd->io, rd->fd, rd->window, want, off);
	if (got < 0)
		read_rough(rd, want);
	else
		rd->window_n = (size_t)got;
	return is_in_window(rd, off, need) ? 1 : 0;
}

/* Is there a record at rd->off? Its bytes in *span: 1; 0 no record; -ENODATA end of file; -EAGAIN,
 * -ENOMEM. */
static int read_here(struct journal_reader *rd, struct journal_record *r, bool may_move,
		     size_t *span, bool *is_group_start)
{
	const size_t fixed = JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN;
	int rc = have(rd, rd->off, fixed, may_move);

	if (rc <= 0)
		return rc < 0 ? rc : -ENODATA;
	*span = journal_record_peek(rd->window + (rd->off - rd->window_off));
	if (*span == 0 || *span > rd->size - rd->off)
		return 0;
	rc = have(rd, rd->off, *span, may_move);
	if (rc <= 0)
		return rc;
	if (*span > rd->search_bytes) {
		rd->is_damaged = true; /* given up: there may be more, so keep the file */
		return 0;
	}
	if (journal_record_get(r, is_group_start, rd->window + (rd->off - rd->window_off), rd->seed,
			       rd->off))
		return 1;
	rd->search_bytes -= *span;
	return 0;
}

int journal_reader_next(struct journal_reader *rd, struct journal_record *r, bool may_move)
{
	bool is_group_start = false;
	size_t span = 0;
	int rc;

	for (;;) {
		rc = read_here(rd, r, may_move, &span, &is_group_start);
		if (rc != 0)
			break;
		/*
		 * Until a record is found the bytes passed over may just as well be the
		 * zeros at the end; what follows decides.
		 */
		rd->has_skipped = true;
		rd->off += JOURNAL_ALIGN;
	}
	if (rc < 0)
		return rc == -ENODATA ? 0 : rc;
	rd->off += span;
	rd->place++;
	if (rd->has_skipped && is_group_start)
		rd->is_damaged = true;
	return 1;
}
