/*
 * Why a message was refused or a connection closed, and what was changed in a message that
 * went on: one table, see reason.def.
 */
#ifndef STATWEIR_HTTP_REASON_H
#define STATWEIR_HTTP_REASON_H

#include <stdint.h>

enum reason {
#define REASON(name, status, word, text) REASON_##name,
#include "proxy/http/reason.def"
	REASON_COUNT
};

struct reason_info {
	uint16_t status; /* answer to the client, 0: none */
	const char *word, *text;
};
extern const struct reason_info reason_table[REASON_COUNT];

enum change {
#define CHANGE(name, kind, word, text) CHANGE_##name,
#include "proxy/http/reason.def"
	CHANGE_COUNT
};

enum change_kind {
	CHANGE_DROPPED,
	CHANGE_ADDED,
	CHANGE_REWRITTEN,
	CHANGE_KINDS
};

struct change_info {
	enum change_kind kind;
	const char *word, *text;
};
extern const struct change_info change_table[CHANGE_COUNT];
extern const char *const change_kind_words[CHANGE_KINDS];

#endif
