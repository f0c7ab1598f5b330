/* Field names: which ones statweir knows, and what it does with them. */
#ifndef STATWEIR_HTTP_NAMES_H
#define STATWEIR_HTTP_NAMES_H

#include "proxy/http/message.h"

/* The id of a name made of token characters, FIELD_OTHER if it isn't one of ours. */
enum field_id name_id(struct slice name);

/*
 * The name is one of ours but for '_' in place of '-'. Servers that hand fields on
 * as environment variables cannot tell the two apart.
 */
bool name_is_twin(struct slice name);

/* Never forwarded, whoever names it (RFC 9110 7.6.1). */
bool name_is_hop_by_hop(enum field_id id);

/*
 * May not be named in Connection: it belongs to the message from end to end, or it
 * is one that we write ourselves (RFC 9110 7.6.1).
 */
bool name_is_end_to_end(struct slice name);

#endif
