/*
 * Any bytes as a configuration file: read, or refused with words. What is read is
 * printed and read again as the same.
 */
#include "proxy/base/conf_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_again(struct strbuf *first)
{
	struct strbuf second, err;
	struct conf again;

	strbuf_init(&second, 4u << 20);
	strbuf_init(&err, 65536);
	CHECK(conf_init(&again) == 0);
	CHECK(conf_read_text(&again, "again", strbuf_slice(first), &err) == 0);
	conf_print(&again, &second);
	/* "(default)" may come and go only with the value. */
	CHECK(slice_eq(strbuf_slice(first), strbuf_slice(&second)));
	conf_fini(&again);
	strbuf_fini(&err);
	strbuf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf err, out;
	struct conf c;
	int rc;

	strbuf_init(&err, 65536);
	strbuf_init(&out, 4u << 20);
	CHECK(conf_init(&c) == 0);
	rc = conf_read_text(&c, "fuzz", slice_make((const char *)data, size), &err);
	CHECK((rc == 0) == (err.n == 0 && strbuf_ok(&err)));
	if (rc == 0) {
		strbuf_reset(&err);
		rc = conf_check(&c, &err);
		CHECK((rc == 0) == (err.n == 0 && strbuf_ok(&err)));
		conf_print(&c, &out);
		CHECK(strbuf_ok(&out));
		print_again(&out);
	}
	conf_fini(&c);
	strbuf_fini(&err);
	strbuf_fini(&out);
	return 0;
}
