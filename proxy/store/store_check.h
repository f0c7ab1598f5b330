/*
 * What the promise of an acknowledgement rests on, as Redis reports it, and whether it
 * is enough. Pure, so that every combination can be tested.
 */
#ifndef STATWEIR_STORE_STORE_CHECK_H
#define STATWEIR_STORE_STORE_CHECK_H

#include "proxy/base/conf.h"

#include <stddef.h>

/* Words as Redis writes them; empty where it did not say. */
struct redis_facts {
	char role[16];
	char loading[4];
	char aof_enabled[4]; /* of INFO: 0 or 1 */
	char aof_write[8];   /* aof_last_write_status */
	char aof_rewrites[8], aof_is_rewriting[4];
	char policy[24]; /* maxmemory-policy */
	/* Which process it is, and which history of data it has. */
	char run_id[48], replid[48];
	/* Of CONFIG GET, which an ACL may forbid. */
	char appendonly[4], appendfsync[12], no_fsync_on_rewrite[4], intset_entries[12];
};

/* Read "field:value" of an answer to INFO into out (truncated to room); "" if absent. */
void facts_of_info(struct redis_facts *f, const char *info);
void facts_of_config(struct redis_facts *f, const char *name, const char *value);

/* Is it enough? Else why names the setting of Redis and the remedy. */
bool facts_are_enough(const struct redis_facts *f, enum conf_durability wanted, char *why,
		      size_t room);

#endif
