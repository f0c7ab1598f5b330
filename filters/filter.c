#include "filters/filter.h"

const struct doubt_info doubt_table[DOUBT_COUNT] = {
#define DOUBT(name, word, text) {word, text},
#include "filters/doubt.def"
#undef DOUBT
};
