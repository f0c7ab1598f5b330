/*
 * Reads a segment's records through a window of bounded size, over damage: behind bytes
 * that are no record it looks for the next one that is.
 *
 * What a power failure tears is the last group only, for a group is begun when the one
 * before is on disk. So bytes that are no record, with the start of a group somewhere behind
 * them, are damage to what was acknowledged; without one they are the torn end.
 * Whole records behind them are handed out in both cases.
 */
#ifndef STATWEIR_STORE_JOURNAL_READER_H
#define STATWEIR_STORE_JOURNAL_READER_H

#include "proxy/store/journal_format.h"
#include "proxy/store/journal_io.h"

struct journal_reader {
	const struct journal_io *io;
	int fd; /* owned; -1: closed */
	uint32_t seed;
	uint64_t off, size; /* of the next record; of the file */
	uint64_t place;	    /* of the next record: how many were handed out */
	uint8_t *window;    /* owned, kept from segment to segment */
	size_t window_n, window_room;
	uint64_t window_off;
	uint64_t search_bytes; /* whose CRC may still be computed to find a record behind damage */
	bool has_skipped;      /* bytes that are no record */
	bool is_damaged;       /* and they were synced, or cannot be read */
};

/* No allocation. */
void journal_reader_init(struct journal_reader *rd, const struct journal_io *io);
void journal_reader_fini(struct journal_reader *rd);

/* Start at the first record of a file. 0 or -errno; -ENOMEM. */
int journal_reader_open(struct journal_reader *rd, int dir, const char *name, uint32_t seed,
			uint64_t size) MUSTUSE;
void journal_reader_close(struct journal_reader *rd);

/*
 * The next record (but for seq): 1; 0 at the end of the log; -EAGAIN if the window would
 * have to move, which would end the life of earlier records' slices, and may_move is
 * false; -ENOMEM.
 */
int journal_reader_next(struct journal_reader *rd, struct journal_record *r, bool may_move) MUSTUSE;

#endif
