#include "proxy/http/reason.h"

const struct reason_info reason_table[REASON_COUNT] = {
#define REASON(name, status, word, text) {status, word, text},
#include "proxy/http/reason.def"
};

const struct change_info change_table[CHANGE_COUNT] = {
#define CHANGE(name, kind, word, text) {CHANGE_##kind, word, text},
#include "proxy/http/reason.def"
};

const char *const change_kind_words[CHANGE_KINDS] = {"dropped", "added", "rewritten"};
