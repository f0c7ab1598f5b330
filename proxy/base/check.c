#include "proxy/base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "<0>check_failed expr=\"%s\" at=%s:%d\n", expr, file, line);
	fflush(stderr);
	abort();
}
