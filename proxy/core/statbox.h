/*
 * How many files lie in the management point's STAT.BOX, as a script there counts them
 * and puts into a file: throttle.files_from, or what POST /statbox has left in the state
 * directory. docs/THROTTLE.md
 */
#ifndef STATWEIR_CORE_STATBOX_H
#define STATWEIR_CORE_STATBOX_H

#include "proxy/base/conf.h"
#include "proxy/base/slice.h"

/* Looks at most once a second. True for each new report: its number is in *files. */
bool statbox_read(const struct conf *conf, uint64_t *files);
/* Leave a report for all workers. 0, -EINVAL (not a number), or -errno. */
int statbox_write(const struct conf *conf, struct slice text) MUSTUSE;

#endif
