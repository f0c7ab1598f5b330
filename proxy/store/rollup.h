/*
 * The function library that Redis runs (docs/STORE.md). Its name and the names of its
 * functions carry a version: whoever changes what they do, raises it, so that two
 * versions of statweir can share a Redis.
 */
#ifndef STATWEIR_STORE_ROLLUP_H
#define STATWEIR_STORE_ROLLUP_H

#define ROLLUP_LIBRARY "statweir3"
/* Of the keys; changes only with their meaning. */
#define ROLLUP_FORMAT "2"

extern const char rollup_lua[];

#endif
