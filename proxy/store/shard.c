#include "proxy/store/shard.h"

#include "proxy/base/check.h"
#include "proxy/base/siphash.h"

#include <stdio.h>

#define N_SLOTS 16384u

uint16_t shard_crc16(struct slice s)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < s.n; i++) {
		crc ^= (uint32_t)(unsigned char)s.p[i] << 8;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
		crc &= 0xffff;
	}
	return (uint16_t)crc;
}

unsigned shard_of_client(struct slice client, unsigned n_shards)
{
	/* "statweir" and "client01" as big-endian numbers. */
	static const struct siphash_key key = {0x7374617477656972u, 0x636c69656e743031u};

	return (unsigned)(siphash(&key, client) % n_shards);
}

void shard_make_tags(unsigned n_shards, char tags[][SHARD_TAG_BYTES])
{
	unsigned missing = n_shards;

	CHECK(n_shards > 0 && n_shards <= SHARD_MAX);
	for (unsigned k = 0; k < n_shards; k++)
		tags[k][0] = '\0';
	for (unsigned number = 0; missing > 0; number++) {
		char text[SHARD_TAG_BYTES];
		unsigned slot, k;

		snprintf(text, sizeof(text), "%u", number % 10000000);
		slot = shard_crc16(slice_str(text)) % N_SLOTS;
		k = slot * n_shards / N_SLOTS;
		if (tags[k][0] != '\0')
			continue;
		memcpy(tags[k], text, sizeof(text));
		missing--;
	}
}
