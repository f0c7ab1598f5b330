/*
 * Text of a summary: strangers' bytes made printable, XML, UTF-16LE. For the
 * summary*.c files only.
 */
#ifndef STATWEIR_FLUSH_SUMMARY_TEXT_H
#define STATWEIR_FLUSH_SUMMARY_TEXT_H

#include "proxy/base/strbuf.h"

/*
 * Append s percent-encoded where it is not plain text: control characters, bytes that
 * are not UTF-8, "%" itself and every ASCII character of also. At most max_units UTF-16
 * units are appended, never a part of a character or of an escape. Returns how many.
 */
size_t text_put_clean(struct strbuf *out, struct slice s, const char *also, size_t max_units);

/* Append clean text with the five special characters of XML escaped. */
void text_put_xml(struct strbuf *out, struct slice s);

/* Append valid UTF-8 as UTF-16LE, without a byte order mark. */
void text_put_utf16(struct strbuf *out, struct slice utf8);

#endif
