/* The command line: options over the configuration file over the defaults. */
#ifndef STATWEIR_CORE_OPTIONS_H
#define STATWEIR_CORE_OPTIONS_H

#include "proxy/base/conf.h"

enum options_rc {
	OPTIONS_RUN,	/* start */
	OPTIONS_DONE,	/* all was said (help, version, -t): exit 0 */
	OPTIONS_USAGE,	/* said why on stderr: exit 64 */
	OPTIONS_CONF,	/* said why on stderr: exit 78 */
	OPTIONS_MEMORY, /* said so on stderr: exit 1 */
};

/* conf must be conf_init()ed. */
enum options_rc options_read(struct conf *conf, int argc, char **argv) MUSTUSE;

#endif
