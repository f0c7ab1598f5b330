/* One GET from the statistics listener, waited for. */
#ifndef STATWEIR_CTL_CTL_HTTP_H
#define STATWEIR_CTL_CTL_HTTP_H

#include "proxy/base/check.h"
#include "proxy/base/strbuf.h"

/*
 * GET path from address (ADDR:PORT). *body is the answer's body, *status its status.
 * 0, or -errno (-EINVAL: address, -EPROTO: no HTTP), after a line on standard error that
 * names the setting and the fix.
 */
int ctl_get(const char *address, const char *path, unsigned timeout_s, int *status,
	    struct strbuf *body) MUSTUSE;

#endif
