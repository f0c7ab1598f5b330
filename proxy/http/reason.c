#include "proxy/http/reason.h"

const struct reason_info reason_table[REASON_COUNT] = {
#define REASON(name, status, word, text) {status, word, text},
#include "proxy/http/reason.def"
#undef REASON
};
