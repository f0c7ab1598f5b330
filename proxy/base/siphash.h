/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012), 64-bit result: shard of a client,
 * digest of a message ID, keys of hash tables that strangers fill.
 */
#ifndef STATWEIR_BASE_SIPHASH_H
#define STATWEIR_BASE_SIPHASH_H

#include "proxy/base/slice.h"

struct siphash_key {
	uint64_t k0, k1;
};

uint64_t siphash(const struct siphash_key *key, struct slice data);

#endif
