/* Where is a Redis server binary? */
#ifndef STATWEIR_STORE_EMBEDDED_FIND_H
#define STATWEIR_STORE_EMBEDDED_FIND_H

#include "proxy/base/check.h"
#include "proxy/base/strbuf.h"

/*
 * configured, or with "" the first of: redis-server, valkey-server, redis-check-rdb,
 * redis-check-aof, valkey-check-rdb in search (as PATH is written; NULL: none), /usr/bin,
 * /usr/local/bin. The check tools are the server itself under another name: it acts by
 * the name it is run under. 0, or -ENOENT with what to install or set in err.
 */
int embedded_find(const char *configured, const char *search, char *out, size_t room,
		  struct strbuf *err) MUSTUSE;

#endif
