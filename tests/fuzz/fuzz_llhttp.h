/* llhttp beside proxy/http/reader.h: both name something HTTP_HEAD. */
#ifndef STATWEIR_TESTS_FUZZ_FUZZ_LLHTTP_H
#define STATWEIR_TESTS_FUZZ_FUZZ_LLHTTP_H

#define HTTP_HEAD LLHTTP_METHOD_HEAD
#include <llhttp.h>
#undef HTTP_HEAD

#endif
