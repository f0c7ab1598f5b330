/*
 * Which messages are recorded, or may be: those that were sent to the store lately, by any
 * worker, also by one that has died since. While the store cannot be asked such a message
 * is neither acknowledged nor forwarded, which could count it twice; its client tries again.
 *
 * A table of fixed size in a file of the state directory, shared by all workers. It is a
 * memory, not a record: what is pushed out of it, or lost with the machine, is forwarded
 * as if it had never been seen. It holds some 110,000; of the 20,000 put last one in some
 * thousands may be missing.
 */
#ifndef STATWEIR_CORE_RECENT_H
#define STATWEIR_CORE_RECENT_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#include <stdint.h>

struct recent;

/* Opens or makes the file; where that fails, a table of this process alone, after a log line.
 * NULL without memory. */
struct recent *recent_open(const char *state_dir);
void recent_close(struct recent *r);

/* One number for a message of a client; never 0. */
uint64_t recent_key(struct slice client, uint64_t digest);

/* r may be NULL: then nothing is known. */
void recent_put(struct recent *r, uint64_t key);
/* It is certainly not recorded. */
void recent_drop(struct recent *r, uint64_t key);
bool recent_has(const struct recent *r, uint64_t key);

#endif
