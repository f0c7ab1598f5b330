#include "proxy/store/journal_format.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdio.h>

static const char magic[4] = {'S', 'W', 'J', 'L'};

enum {
	KIND_COUNT = 1,
	KIND_SEEN_ONLY = 2
};
enum {
	FLAG_GROUP_START = 1,
	FLAG_RAW = 2,
	FLAGS_KNOWN = 3
};

/* Offsets in a header and in a record. */
enum {
	H_VERSION = 4,
	H_FLAGS = 6,
	H_INSTANCE = 8,
	H_FIRST = 16,
	H_GENERATION = 24,
	H_CRC = 28
};
enum {
	R_LENGTH = 0,
	R_CRC = 4,
	R_KIND = 8,
	R_FLAGS = 9,
	R_CLIENT_N = 10,
	R_RULE_N = 12,
	R_ZERO = 14,
	R_AT = 16,
	R_DIGEST = 24,
	R_TEXT = 32,
};

_Static_assert(R_TEXT == JOURNAL_FRAME_BYTES + JOURNAL_BODY_MIN, "body begins after the frame");
_Static_assert(H_CRC + 4 == JOURNAL_HEADER_BYTES, "the CRC ends the header");

static void put16(uint8_t *p, size_t v)
{
	uint16_t le = htole16((uint16_t)v);

	memcpy(p, &le, sizeof(le));
}

static void put32(uint8_t *p, size_t v)
{
	uint32_t le = htole32((uint32_t)v);

	memcpy(p, &le, sizeof(le));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

uint32_t journal_header_put(const struct journal_header *h, uint8_t out[JOURNAL_HEADER_BYTES])
{
	uint32_t crc;

	memcpy(out, magic, sizeof(magic));
	put16(out + H_VERSION, h->version);
	put16(out + H_FLAGS, h->flags);
	put64(out + H_INSTANCE, h->instance);
	put64(out + H_FIRST, h->first);
	put32(out + H_GENERATION, h->generation);
	crc = libdeflate_crc32(0, out, H_CRC);
	put32(out + H_CRC, crc);
	return crc;
}

int journal_header_get(struct journal_header *h, uint32_t *seed,
		       const uint8_t in[JOURNAL_HEADER_BYTES])
{
	*seed = get32(in + H_CRC);
	if (memcmp(in, magic, sizeof(magic)) != 0 || *seed != libdeflate_crc32(0, in, H_CRC))
		return -EBADMSG;
	h->version = get16(in + H_VERSION);
	if (h->version != JOURNAL_VERSION)
		return -ENOTSUP;
	h->flags = get16(in + H_FLAGS);
	h->instance = get64(in + H_INSTANCE);
	h->first = get64(in + H_FIRST);
	h->generation = get32(in + H_GENERATION);
	return 0;
}

static size_t span_of(size_t length)
{
	return (JOURNAL_FRAME_BYTES + length + JOURNAL_ALIGN - 1) & ~(size_t)(JOURNAL_ALIGN - 1);
}

size_t journal_record_bytes(const struct journal_record *r)
{
	if (r->client.n > JOURNAL_TEXT_MAX || r->rule.n > JOURNAL_TEXT_MAX ||
	    r->raw.n > JOURNAL_RECORD_MAX - 4096)
		return 0;
	return span_of(JOURNAL_BODY_MIN + r->client.n + r->rule.n + r->raw.n);
}

static uint8_t *put_text(uint8_t *p, struct slice s)
{
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

void journal_record_put(uint8_t *out, const struct journal_record *r)
{
	size_t length = JOURNAL_BODY_MIN + r->client.n + r->rule.n + r->raw.n;
	uint8_t *p = out + R_TEXT;

	/* Before the texts, which then overwrite what is not padding. */
	memset(out + span_of(length) - JOURNAL_ALIGN, 0, JOURNAL_ALIGN);
	put32(out + R_LENGTH, length);
	out[R_KIND] = r->is_seen_only ? KIND_SEEN_ONLY : KIND_COUNT;
	out[R_FLAGS] = r->raw.n > 0 ? FLAG_RAW : 0;
	put16(out + R_CLIENT_N, r->client.n);
	put16(out + R_RULE_N, r->rule.n);
	put16(out + R_ZERO, 0);
	put64(out + R_AT, (uint64_t)r->at_ms);
	put64(out + R_DIGEST, r->digest);
	p = put_text(p, r->client);
	p = put_text(p, r->rule);
	put_text(p, r->raw);
}

size_t journal_record_span(const uint8_t *p)
{
	return span_of(get32(p + R_LENGTH));
}

int64_t journal_record_at(const uint8_t *p)
{
	return (int64_t)get64(p + R_AT);
}

static uint32_t record_crc(const uint8_t *p, uint32_t seed, uint64_t off)
{
	return libdeflate_crc32(seed ^ (uint32_t)off, p + R_KIND, get32(p + R_LENGTH));
}

void journal_seal_group(uint8_t *p, size_t n, uint32_t seed, uint64_t off)
{
	uint8_t *end = p + n;

	for (bool is_first = true; p < end; is_first = false) {
		size_t span = journal_record_span(p);

		/* Cleared too: a group that failed elsewhere may follow another one now. */
		p[R_FLAGS] = (uint8_t)((p[R_FLAGS] & FLAG_RAW) | (is_first ? FLAG_GROUP_START : 0));
		put32(p + R_CRC, record_crc(p, seed, off));
		p += span;
		off += span;
	}
}

size_t journal_record_peek(const uint8_t *p)
{
	size_t length = get32(p + R_LENGTH);
	size_t texts = (size_t)get16(p + R_CLIENT_N) + get16(p + R_RULE_N);

	if (length < JOURNAL_BODY_MIN || length > JOURNAL_RECORD_MAX - JOURNAL_FRAME_BYTES)
		return 0;
	if (p[R_KIND] != KIND_COUNT && p[R_KIND] != KIND_SEEN_ONLY)
		return 0;
	if ((p[R_FLAGS] & ~FLAGS_KNOWN) != 0 || get16(p + R_ZERO) != 0)
		return 0;
	if (get16(p + R_CLIENT_N) > JOURNAL_TEXT_MAX || get16(p + R_RULE_N) > JOURNAL_TEXT_MAX)
		return 0;
	if ((p[R_FLAGS] & FLAG_RAW) ? texts >= length - JOURNAL_BODY_MIN
				    : texts != length - JOURNAL_BODY_MIN)
		return 0;
	return span_of(length);
}

bool journal_record_get(struct journal_record *r, bool *is_group_start, const uint8_t *p,
			uint32_t seed, uint64_t off)
{
	size_t texts_n = get32(p + R_LENGTH) - JOURNAL_BODY_MIN;
	struct slice texts = slice_make((const char *)p + R_TEXT, texts_n);

	if (get32(p + R_CRC) != record_crc(p, seed, off))
		return false;
	r->client = slice_make(texts.p, get16(p + R_CLIENT_N));
	texts = slice_drop(texts, r->client.n);
	r->rule = slice_make(texts.p, get16(p + R_RULE_N));
	r->raw = slice_drop(texts, r->rule.n);
	r->at_ms = journal_record_at(p);
	r->digest = get64(p + R_DIGEST);
	r->is_seen_only = p[R_KIND] == KIND_SEEN_ONLY;
	*is_group_start = (p[R_FLAGS] & FLAG_GROUP_START) != 0;
	return true;
}

void journal_name_put(char out[JOURNAL_NAME_BYTES], uint64_t first, uint32_t generation,
		      const char *suffix)
{
	snprintf(out, JOURNAL_NAME_BYTES, "%016" PRIx64 "-%08" PRIx32 ".%s", first, generation,
		 suffix);
}

static const char *get_hex(const char *p, unsigned digits, uint64_t *v)
{
	*v = 0;
	for (; digits > 0; digits--, p++) {
		if (*p >= '0' && *p <= '9')
			*v = *v * 16 + (uint64_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			*v = *v * 16 + (uint64_t)(*p - 'a' + 10);
		else
			return NULL;
	}
	return p;
}

enum journal_file journal_name_get(const char *name, uint64_t *first, uint32_t *generation)
{
	uint64_t v;
	const char *p = get_hex(name, 16, first);

	if (p == NULL || *p != '-')
		return JOURNAL_FILE_OTHER;
	p = get_hex(p + 1, 8, &v);
	if (p == NULL)
		return JOURNAL_FILE_OTHER;
	*generation = (uint32_t)v;
	if (strcmp(p, ".seg") == 0)
		return JOURNAL_FILE_LIVE;
	return strcmp(p, ".done") == 0 ? JOURNAL_FILE_DONE : JOURNAL_FILE_OTHER;
}
