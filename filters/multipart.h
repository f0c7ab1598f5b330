/*
 * multipart/mixed as the clients write it: parts between the declared boundary, no
 * preamble, nothing behind the end (RFC 2046 5.1; docs/PROTOCOL.md, "Body").
 */
#ifndef STATWEIR_FILTERS_MULTIPART_H
#define STATWEIR_FILTERS_MULTIPART_H

#include "filters/filter.h"

#define MULTIPART_BOUNDARY 70	/* bytes, RFC 2046 5.1.1 */
#define MULTIPART_HEAD	   4096 /* bytes of one part's header section */

/* The boundary of a Content-Type value, quoted or not; false: not multipart/mixed, or unusable. */
bool multipart_boundary(struct slice content_type, struct slice *boundary);

/* Cut body into exactly two parts; what they hold, without their header sections. */
enum doubt multipart_split(struct slice body, struct slice boundary, struct slice parts[2]);

#endif
