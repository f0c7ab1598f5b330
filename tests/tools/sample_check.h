/*
 * How the sample management point and the storm make sure that nothing was changed
 * between them: checksums in X-Sample- fields of the reply.
 */
#ifndef STATWEIR_TOOLS_SAMPLE_CHECK_H
#define STATWEIR_TOOLS_SAMPLE_CHECK_H

#include "tests/tools/http_msg.h"

#define SAMPLE_BODY_CRC	  "X-Sample-Body-CRC"	/* of the request's body */
#define SAMPLE_HEAD_CRC	  "X-Sample-Head-CRC"	/* of the request's head: sample_head_crc() */
#define SAMPLE_REPLY_CRC  "X-Sample-Reply-CRC"	/* of the reply's body */
#define SAMPLE_UPLOAD_CRC "X-Sample-Upload-CRC" /* of all fragments of an upload */

uint32_t sample_crc(struct slice s);

/* Of method, target and the fields that mean something to a management point, in order. */
uint32_t sample_head_crc(const struct http_msg *request);

#endif
