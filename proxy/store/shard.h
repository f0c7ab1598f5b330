/*
 * Which shard a client belongs to, and what the shard is called. Both are part of the
 * data in Redis: the keys of the hash and the way tags are chosen never change.
 */
#ifndef STATWEIR_STORE_SHARD_H
#define STATWEIR_STORE_SHARD_H

#include "proxy/base/slice.h"

#define SHARD_MAX	1024
#define SHARD_TAG_BYTES 8

/* CRC-16/XMODEM (polynomial 0x1021, initial value 0), as Redis Cluster uses it. */
uint16_t shard_crc16(struct slice s);

/* 0 to n_shards - 1. */
unsigned shard_of_client(struct slice client, unsigned n_shards);

/*
 * Tags of n_shards (at most SHARD_MAX) shards: shard k is called by the smallest decimal
 * number whose slot in a Redis Cluster (CRC-16 mod 16384) lies in the k-th of n_shards
 * equal slices, so any number of masters gets its even share.
 */
void shard_make_tags(unsigned n_shards, char tags[][SHARD_TAG_BYTES]);

#endif
