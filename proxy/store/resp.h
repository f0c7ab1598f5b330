/* Requests to Redis as bytes: an array of bulk strings, written straight into a buffer. */
#ifndef STATWEIR_STORE_RESP_H
#define STATWEIR_STORE_RESP_H

#include "proxy/base/strbuf.h"

/* "*n": n bulk strings follow. */
void resp_array(struct strbuf *b, size_t n);
void resp_bulk(struct strbuf *b, struct slice s);
/* A bulk string of three parts, joined. */
void resp_bulk3(struct strbuf *b, struct slice x, struct slice y, struct slice z);
/* A bulk string of decimal digits, signed. */
void resp_number(struct strbuf *b, int64_t v);
/* A whole command from words separated by single spaces. */
void resp_words(struct strbuf *b, const char *words);

#endif
