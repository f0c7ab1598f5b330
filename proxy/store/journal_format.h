/*
 * The bytes of a journal segment, version 1. All numbers little-endian.
 *
 *   header, 32 bytes        "SWJL" u16 version, u16 flags, u64 instance, u64 first
 *                           sequence number, u32 generation, u32 CRC-32 of the 28 before
 *   records, 8-byte aligned u32 length of the body, u32 CRC, body, zeros up to 8
 *   body, 24 bytes + texts  u8 kind, u8 flags, u16 client length, u16 rule length, u16 0,
 *                           s64 wall clock ms, u64 digest, client, rule, raw (the rest)
 *   zeros up to the end
 *
 * A record's number is the header's first plus its place. The CRC of a record begins with
 * the header's CRC xor the record's offset, so that bytes of another segment or from
 * within a message never pass for a record. Every version keeps the header's magic, version
 * and CRC where they are: damage and a newer version are told apart by them.
 */
#ifndef STATWEIR_STORE_JOURNAL_FORMAT_H
#define STATWEIR_STORE_JOURNAL_FORMAT_H

#include "proxy/store/journal.h"

enum {
	JOURNAL_VERSION = 1,
	JOURNAL_HEADER_BYTES = 32,
	JOURNAL_FRAME_BYTES = 8, /* length and CRC */
	JOURNAL_BODY_MIN = 24,
	JOURNAL_ALIGN = 8,
	JOURNAL_NAME_BYTES = 40,
};

/* Of a header: numbers between the segment before and this one may be missing. */
#define JOURNAL_AFTER_GAP 1u

struct journal_header {
	uint16_t version, flags;
	uint64_t instance, first;
	uint32_t generation; /* rises with every segment made: of two with one first, the later one
			      */
};

/* Returns the seed of the records' CRC. */
uint32_t journal_header_put(const struct journal_header *h, uint8_t out[JOURNAL_HEADER_BYTES]);
/* 0, -EBADMSG (damaged), or -ENOTSUP (whole, but of another version: h->version). */
int journal_header_get(struct journal_header *h, uint32_t *seed,
		       const uint8_t in[JOURNAL_HEADER_BYTES]) MUSTUSE;

/* Bytes that r takes in a segment, or 0 if it is too long. */
size_t journal_record_bytes(const struct journal_record *r);
/* Write r, not yet sealed, into journal_record_bytes() bytes. */
void journal_record_put(uint8_t *out, const struct journal_record *r);
/* Bytes of a record that journal_record_put() wrote, and its time. */
size_t journal_record_span(const uint8_t *p);
int64_t journal_record_at(const uint8_t *p);
/*
 * Seal the records in n bytes at p for offset off of the segment with this seed, the
 * first one as the start of a group: all before it were synced before it was written.
 */
void journal_seal_group(uint8_t *p, size_t n, uint32_t seed, uint64_t off);

/* Bytes of the record whose first 32 are at p, or 0 if no record begins like this. */
size_t journal_record_peek(const uint8_t *p);
/* Is the record of journal_record_peek() bytes whole? Then it is in r (but for seq), slices into p.
 */
bool journal_record_get(struct journal_record *r, bool *is_group_start, const uint8_t *p,
			uint32_t seed, uint64_t off);

enum journal_file {
	JOURNAL_FILE_OTHER,
	JOURNAL_FILE_LIVE, /* *.seg */
	JOURNAL_FILE_DONE, /* *.done: when the last run ended Redis had all its records */
};
void journal_name_put(char out[JOURNAL_NAME_BYTES], uint64_t first, uint32_t generation,
		      const char *suffix);
enum journal_file journal_name_get(const char *name, uint64_t *first, uint32_t *generation);

#endif
