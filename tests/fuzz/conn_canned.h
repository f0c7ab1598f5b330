/* Whole messages that a script of fuzz_conn.c names by a letter. */
#ifndef STATWEIR_TESTS_FUZZ_CONN_CANNED_H
#define STATWEIR_TESTS_FUZZ_CONN_CANNED_H

#include "proxy/base/check.h"
#include "proxy/base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>

/* Stands for the mark of whoever is being answered, CANNED_MARK bytes. */
#define CANNED_TAG  0x1a
#define CANNED_MARK 20

#define STATUS_ENVELOPE                                                                        \
	"<Msg SchemaVersion=\"1.1\" ReplyCompression=\"zlib\"><ID>{3F2504E0-4F89-41D3-9A0C-"   \
	"0305E82C33%02X}</ID><SourceID>GUID:01234567-89AB-CDEF-0123-456789ABCDEF</SourceID>"   \
	"<SourceHost>PC7</SourceHost><TargetAddress>mp:StatusReceiver</TargetAddress>"         \
	"<Priority>0</Priority><Body Type=\"ByteRange\" Offset=\"0\" Length=\"%zu\"/><Hooks/>" \
	"<Payload Type=\"inline\"/><TargetEndpoint>StatusReceiver</TargetEndpoint>"            \
	"<ReplyMode>Async</ReplyMode><Protocol>http</Protocol></Msg>"
#define STATUS_PAYLOAD                                                            \
	"<Status SchemaVersion=\"1.0\" CodePage=\"437\" LocaleID=\"1033\">"       \
	"<Type>SWMtr_Status_Received_MeterRule</Type><Properties>"                \
	"<Property Name=\"Attribute407\">XYZ00042</Property>"                     \
	"<Property Name=\"Win32ErrorCode\">0</Property></Properties><Qualifiers>" \
	"<Qualifier Name=\"SMS_MessageID\">1073752731</Qualifier></Qualifiers></Status>"

#define CHUNKED_POST                                                        \
	"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" \
	"5;x=y\r\nhello\r\n0\r\nT: t\r\n\r\n"

static const char *const canned_requests[] = {
	"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
	CHUNKED_POST,
	"HEAD /d HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /e HTTP/1.0\r\n\r\n",
	"POST /f HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	"GET /g HTTP/1.1\r\nHost: a\r\nAuthorization: NTLM eA==\r\n\r\n",
	"GET /h HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
	"GET http://a/i?q HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
	"GET /j HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"hello",
};

static const char *const canned_responses[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n\x1a",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: \x1a\r\n\r\n14\r\n\x1a\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX: \x1a\r\n\r\n\x1a",
	"HTTP/1.1 204 No Content\r\nX: \x1a\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n",
	"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 20\r\n\r\n\x1a",
	"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 20\r\n\r\n\x1a",
	"HTTP/1.1 200 OK\r\nServer: mp\r\nContent-Length: 4\r\n\r\ndone",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 20\r\n\r\n\x1a",
	"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nX: \x1a\r\n\r\n",
	"HTTP/1.1 103 Early\r\nX: \x1a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n\x1a",
};

#define CANNED_REQUESTS	 (sizeof(canned_requests) / sizeof(canned_requests[0]))
#define CANNED_RESPONSES (sizeof(canned_responses) / sizeof(canned_responses[0]))

static inline void canned_wide(struct strbuf *out, const char *text)
{
	char wide[4096];
	size_t n = 0;

	CHECK(2 * strlen(text) <= sizeof(wide));
	for (; *text != '\0'; text++) {
		wide[n++] = *text;
		wide[n++] = '\0';
	}
	strbuf_put(out, slice_make(wide, n));
}

/* A status message that is absorbed where an acknowledgement is known; variant is in its ID. */
static inline void canned_status(struct strbuf *out, unsigned variant)
{
	static const char type[] = "content-type: text/plain; charset=UTF-16\r\n\r\n";
	char envelope[1024];
	struct strbuf body;

	snprintf(envelope, sizeof(envelope), STATUS_ENVELOPE, variant & 0xff,
		 2 * strlen(STATUS_PAYLOAD));
	strbuf_init(&body, 8192);
	strbuf_put_str(&body, "--b\r\n");
	strbuf_put_str(&body, type);
	canned_wide(&body, envelope);
	strbuf_put_str(&body, "\r\n--b\r\n");
	strbuf_put_str(&body, type);
	canned_wide(&body, STATUS_PAYLOAD);
	strbuf_put_str(&body, "\r\n--b--");
	CHECK(strbuf_ok(&body));
	strbuf_printf(out,
		      "CCM_POST /ccm_system/request HTTP/1.1\r\nHost: a\r\nContent-Type: "
		      "multipart/mixed; boundary=b\r\nContent-Length: %zu\r\n\r\n",
		      body.n);
	strbuf_put(out, strbuf_slice(&body));
	strbuf_fini(&body);
}

/* A message with a body of n bytes behind head, which ends in a %zu for it. */
static inline void canned_long(struct strbuf *out, const char *start, size_t n)
{
	static const char filling[] = "0123456789abcdef0123456789abcdef";

	strbuf_put_str(out, start);
	strbuf_printf(out, "Content-Length: %zu\r\n\r\n", n);
	for (; n >= 32; n -= 32)
		strbuf_put(out, slice_make(filling, 32));
	strbuf_put(out, slice_make(filling, n));
}

#endif
