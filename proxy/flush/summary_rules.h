/*
 * The rule list of a claim, cut into insertion strings. For the summary*.c files only.
 */
#ifndef STATWEIR_FLUSH_SUMMARY_RULES_H
#define STATWEIR_FLUSH_SUMMARY_RULES_H

#include "proxy/base/strbuf.h"
#include "proxy/store/store.h"

#define SUMMARY_STRING_UNITS 255 /* UTF-16 units that an insertion string may hold */
#define SUMMARY_RULE_STRINGS 6	 /* insertion strings 5 to 10 of a message */

/* How many rules a claim has. */
uint64_t rules_count(const struct claim *c);

/* Strings that the whole list needs; 0 for no rules. -ENOMEM. */
int64_t rules_strings(const struct claim *c, const struct slice *names, unsigned n_names) MUSTUSE;

/*
 * Write the strings from number first on, at most SUMMARY_RULE_STRINGS, each into its
 * own buffer. 0 or -ENOMEM.
 */
int rules_write(const struct claim *c, const struct slice *names, unsigned n_names, uint64_t first,
		struct strbuf out[SUMMARY_RULE_STRINGS]) MUSTUSE;

#endif
