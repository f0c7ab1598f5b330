#include "proxy/http/emit.h"

struct phrase {
	uint16_t status;
	const char *text;
};

static const struct phrase phrases[] = {
	{200, "OK"},
	{400, "Bad Request"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{417, "Expectation Failed"},
	{431, "Request Header Fields Too Large"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{508, "Loop Detected"},
};

static const char *phrase_of(unsigned status)
{
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].text;
	return "Refused";
}

/* Nothing of the request is repeated in it, and nothing of us. */
void emit_error(struct strbuf *out, enum reason reason, bool keep_alive, bool is_head,
		const char *date, unsigned retry_after_s)
{
	const struct reason_info *info = &reason_table[reason];
	size_t body_n;

	if (info->status == 0)
		return;
	body_n = strlen(info->word) + 2 + strlen(info->text) + 1;
	strbuf_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", (unsigned)info->status,
		      phrase_of(info->status), date);
	strbuf_printf(out, "Content-Type: text/plain\r\nContent-Length: %zu\r\n", body_n);
	/* RFC 9110 10.2.1 wants it with 405; methods are tokens to us, these are the usual ones. */
	if (info->status == 405)
		strbuf_put_str(out, "Allow: GET, HEAD, POST, OPTIONS, CCM_POST, BITS_POST\r\n");
	if (retry_after_s > 0)
		strbuf_printf(out, "Retry-After: %u\r\n", retry_after_s);
	strbuf_put_str(out, keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
	strbuf_put_str(out, "\r\n");
	if (!is_head)
		strbuf_printf(out, "%s: %s\n", info->word, info->text);
}
