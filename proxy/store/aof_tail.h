/*
 * The end of an append-only file that the embedded Redis was writing when the machine failed.
 *
 * A file that ends inside of a command which is itself inside of MULTI and EXEC is cut by
 * Redis 7.0 behind the last whole command, so the beginning of the transaction stays in it.
 * The next transaction is appended, and at the start after that one the two are executed
 * together: what was never acknowledged, and has been sent again since, counts twice.
 */
#ifndef STATWEIR_STORE_AOF_TAIL_H
#define STATWEIR_STORE_AOF_TAIL_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#include <stdint.h>
#include <sys/types.h>

/* Where the transaction begins that s ends in the middle of; -1: s does not, or is no such
 * file. */
int64_t aof_open_transaction(struct slice s);

/*
 * Cut that transaction off the newest file of appendonlydir in dir_fd, before Redis is
 * started on it. Whatever else may be wrong with the file is left to Redis. Bytes removed,
 * or -errno. Logs both.
 */
int64_t aof_mend(int dir_fd);

#endif
