#include "proxy/http/shadow.h"

#include <llhttp.h>

/* Stop at the end of the header section, flags and length still untouched. */
static int stop_there(llhttp_t *parser)
{
	(void)parser;
	return -1;
}

/*
 * The start line is one of our making: llhttp knows a closed set of methods and has
 * views of its own on targets, and neither frames a message.
 */
static enum llhttp_errno read_start_line(llhttp_t *parser, const struct http_head *head)
{
	static const llhttp_settings_t settings = {.on_headers_complete = stop_there};
	char request[] = "POST / HTTP/1.1\r\n", response[] = "HTTP/1.1 200 OK\r\n";

	request[14] = response[7] = head->minor == 0 ? '0' : '1';
	if (head->status != 0) {
		llhttp_init(parser, HTTP_RESPONSE, &settings);
		return llhttp_execute(parser, response, sizeof(response) - 1);
	}
	llhttp_init(parser, HTTP_REQUEST, &settings);
	return llhttp_execute(parser, request, sizeof(request) - 1);
}

/*
 * llhttp 8.1 refuses a tab behind the length, which RFC 9110 5.5 allows, so white
 * space behind the one framing field is left out.
 */
static enum llhttp_errno read_fields(llhttp_t *parser, const struct field *framing,
				     struct slice fields)
{
	enum llhttp_errno rc;
	size_t n;

	if (framing != NULL) {
		n = (size_t)(framing->value.p + framing->value.n - fields.p);
		rc = llhttp_execute(parser, fields.p, n);
		if (rc != HPE_OK)
			return rc;
		while (fields.p[n] == ' ' || fields.p[n] == '\t')
			n++;
		fields = slice_drop(fields, n);
	}
	return llhttp_execute(parser, fields.p, fields.n);
}

bool shadow_agrees(const struct http_head *head, struct slice fields)
{
	const struct field *length = head_find(head, FIELD_CONTENT_LENGTH);
	const struct field *coding = head_find(head, FIELD_TRANSFER_ENCODING);
	llhttp_t parser;

	if (read_start_line(&parser, head) != HPE_OK ||
	    read_fields(&parser, length != NULL ? length : coding, fields) !=
		    HPE_CB_HEADERS_COMPLETE ||
	    llhttp_get_error_pos(&parser) != fields.p + fields.n)
		return false;
	return !(parser.flags & F_CHUNKED) == (coding == NULL) &&
	       !(parser.flags & F_TRANSFER_ENCODING) == (coding == NULL) &&
	       !(parser.flags & F_CONTENT_LENGTH) == (length == NULL) &&
	       parser.content_length == (length != NULL ? head->length : 0);
}
