/* What statweirctl says of the books. */
#ifndef STATWEIR_CTL_CTL_LEDGER_H
#define STATWEIR_CTL_CTL_LEDGER_H

#include "proxy/base/check.h"

#include <stdint.h>

/* Exit statuses of every command. */
enum ctl_exit {
	CTL_BALANCED = 0,
	CTL_IMBALANCE = 1,
	CTL_UNKNOWN = 2, /* nobody to ask, or no answer */
	CTL_USAGE = 64,
};

/*
 * A moment: "2026-11-23", "2026-11-23T04:00:00Z", or an age: "36h", "7d", "90m", "30s"
 * before now_ms. Wall clock in ms. 0 or -EINVAL.
 */
int ctl_parse_since(const char *text, int64_t now_ms, int64_t *out) MUSTUSE;

/* Print the balance sheet as statweir writes it. */
enum ctl_exit ctl_ledger_show(const char *address);
/*
 * Have it recounted now, print the verdict and each window that ended after since_ms.
 * CTL_IMBALANCE when anything is off, now or at the end of one of these windows.
 */
enum ctl_exit ctl_ledger_verify(const char *address, int64_t since_ms);

#endif
