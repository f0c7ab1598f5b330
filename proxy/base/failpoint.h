/*
 * Places where a test can make this process fail (docs/FAULTS.md). Only in test builds
 * (-DSTATWEIR_DEBUG); in others the macros leave nothing behind.
 *
 *	STATWEIR_FAILPOINTS="name=kill@3;other=error:ENOSPC@1;third=sleep:50"
 *
 * kill, abort	end the process
 * sleep:MS	wait, which stops the whole event loop
 * error:NAME	FAILPOINT_ERROR() answers that negative errno
 * short:N	FAILPOINT_SHORT() answers N, if it is less
 * @N		at the Nth hit of this process only; @N+ from there on; without: at each
 *
 * A name that failpoint.def doesn't have ends the process at its start. May be hit from
 * any thread.
 */
#ifndef STATWEIR_BASE_FAILPOINT_H
#define STATWEIR_BASE_FAILPOINT_H

#include <stddef.h>

#ifdef STATWEIR_DEBUG
/* For the macros below. */
int failpoint_hit(const char *name);
size_t failpoint_short(const char *name, size_t n);

#define FAILPOINT(name)		 ((void)failpoint_hit(name))
#define FAILPOINT_ERROR(name)	 failpoint_hit(name)
#define FAILPOINT_SHORT(name, n) failpoint_short(name, n)
#else
#define FAILPOINT(name)		 ((void)0)
#define FAILPOINT_ERROR(name)	 0
#define FAILPOINT_SHORT(name, n) (n)
#endif

#endif
