#include "proxy/store/resp.h"

static void put_length(struct strbuf *b, char kind, size_t n)
{
	char text[24];
	size_t at = sizeof(text);

	text[--at] = '\n';
	text[--at] = '\r';
	do {
		text[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	text[--at] = kind;
	strbuf_put(b, slice_make(text + at, sizeof(text) - at));
}

void resp_array(struct strbuf *b, size_t n)
{
	put_length(b, '*', n);
}

void resp_bulk(struct strbuf *b, struct slice s)
{
	put_length(b, '$', s.n);
	strbuf_put(b, s);
	strbuf_put(b, SLICE("\r\n"));
}

void resp_bulk3(struct strbuf *b, struct slice x, struct slice y, struct slice z)
{
	put_length(b, '$', x.n + y.n + z.n);
	strbuf_put(b, x);
	strbuf_put(b, y);
	strbuf_put(b, z);
	strbuf_put(b, SLICE("\r\n"));
}

void resp_number(struct strbuf *b, int64_t v)
{
	/* The magnitude as unsigned: -INT64_MIN does not exist. */
	uint64_t n = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	if (v < 0)
		text[--at] = '-';
	resp_bulk(b, slice_make(text + at, sizeof(text) - at));
}

void resp_words(struct strbuf *b, const char *words)
{
	const char *p = words;
	size_t n = 1;

	for (const char *q = words; *q != '\0'; q++)
		n += *q == ' ';
	resp_array(b, n);
	for (size_t i = 0; i < n; i++) {
		const char *end = strchrnul(p, ' ');

		resp_bulk(b, slice_make(p, (size_t)(end - p)));
		p = end + (*end == ' ');
	}
}
