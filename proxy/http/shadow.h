/*
 * The second opinion: llhttp in strict mode reads the same header section and must
 * come to the same framing. Two independent readers that agree leave less room for
 * a message that means one thing here and another behind us.
 */
#ifndef STATWEIR_HTTP_SHADOW_H
#define STATWEIR_HTTP_SHADOW_H

#include "proxy/http/message.h"

/*
 * fields: the bytes from the first field line to the end of the empty line, from
 * which head was filled. False if llhttp refuses them, ends elsewhere, or reads
 * another framing.
 */
bool shadow_agrees(const struct http_head *head, struct slice fields);

#endif
