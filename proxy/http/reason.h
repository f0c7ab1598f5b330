/* Why a message was refused or a connection closed: one table, see reason.def. */
#ifndef STATWEIR_HTTP_REASON_H
#define STATWEIR_HTTP_REASON_H

#include <stdint.h>

enum reason {
#define REASON(name, status, word, text) REASON_##name,
#include "proxy/http/reason.def"
#undef REASON
	REASON_COUNT
};

struct reason_info {
	uint16_t status; /* answer to the client, 0: none */
	const char *word, *text;
};
extern const struct reason_info reason_table[REASON_COUNT];

#endif
