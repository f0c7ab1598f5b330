#include "tests/tools/ccm_read.h"

#include <stdio.h>

#define ROOM (1u << 20)

void ccm_reader_init(struct ccm_reader *r)
{
	*r = (struct ccm_reader){0};
	ccm_text_init(&r->inflated, ROOM);
	ccm_text_init(&r->envelope, ROOM);
	ccm_text_init(&r->payload, ROOM);
	CHECK(inflateInit2(&r->zip, 15) == Z_OK);
}

void ccm_reader_fini(struct ccm_reader *r)
{
	ccm_text_fini(&r->inflated);
	ccm_text_fini(&r->envelope);
	ccm_text_fini(&r->payload);
	inflateEnd(&r->zip);
}

static const char *find(struct slice in, const char *what)
{
	return in.n > 0 ? memmem(in.p, in.n, what, strlen(what)) : NULL;
}

struct slice ccm_between(struct slice in, const char *before, const char *after)
{
	const char *p = find(in, before);
	struct slice rest;
	const char *end;

	if (!p)
		return slice_make(NULL, 0);
	rest = slice_drop(in, (size_t)(p - in.p) + strlen(before));
	end = find(rest, after);
	return end ? slice_make(rest.p, (size_t)(end - rest.p)) : slice_make(NULL, 0);
}

/* UTF-16LE to bytes; what is not ASCII becomes a question mark. */
static struct slice narrow(struct ccm_text *t, struct slice wide)
{
	if (wide.n >= 2 && memcmp(wide.p, "\xff\xfe", 2) == 0)
		wide = slice_drop(wide, 2);
	if (wide.n / 2 > t->room)
		wide.n = t->room * 2;
	for (size_t i = 0; i < wide.n / 2; i++)
		t->p[i] = wide.p[2 * i + 1] == 0 && wide.p[2 * i] > 0 ? wide.p[2 * i] : '?';
	t->n = wide.n / 2;
	return slice_make(t->p, t->n);
}

/* The content of the next part, after its header lines; false when there is none. */
static bool next_part(struct slice *rest, const char *delimiter, struct slice *part)
{
	const char *p = find(*rest, delimiter);
	const char *end;
	struct slice s;

	if (!p)
		return false;
	s = slice_drop(*rest, (size_t)(p - rest->p) + strlen(delimiter));
	p = find(s, "\r\n\r\n");
	if (!p)
		return false;
	s = slice_drop(s, (size_t)(p - s.p) + 4);
	end = find(s, delimiter);
	if (!end || end - s.p < 2)
		return false;
	*part = slice_make(s.p, (size_t)(end - s.p) - 2);
	*rest = slice_make(end, (size_t)(s.p + s.n - end));
	return true;
}

static bool delimiter_of(struct slice content_type, char *out, size_t room)
{
	struct slice b = ccm_between(content_type, "boundary=\"", "\"");
	const char *p;

	if (!b.p) {
		p = find(content_type, "boundary=");
		if (!p)
			return false;
		b = slice_drop(content_type, (size_t)(p - content_type.p) + 9);
	}
	if (b.n == 0 || b.n + 3 > room)
		return false;
	snprintf(out, room, "--%.*s", SLICE_ARG(b));
	return true;
}

/* The payload as uncompressed bytes: it is a zlib stream if it inflates as one. */
static struct slice unpack(struct ccm_reader *r, struct slice in)
{
	z_stream *z = &r->zip;

	if (in.n < 2 || (in.p[0] & 0x0f) != 8)
		return in;
	inflateReset(z);
	z->next_in = (Bytef *)in.p;
	z->avail_in = (uInt)in.n;
	z->next_out = (Bytef *)r->inflated.p;
	z->avail_out = (uInt)r->inflated.room;
	if (inflate(z, Z_FINISH) != Z_STREAM_END)
		return in;
	return slice_make(r->inflated.p, r->inflated.room - z->avail_out);
}

static void read_envelope(struct slice e, struct ccm_view *v)
{
	v->id = ccm_between(e, "<ID>", "</ID>");
	v->client = ccm_between(e, "<SourceID>", "</SourceID>");
	v->endpoint = ccm_between(e, "<TargetEndpoint>", "</TargetEndpoint>");
	v->is_sync = slice_ieq(ccm_between(e, "<ReplyMode>", "</ReplyMode>"), SLICE("Sync"));
}

static struct slice property(struct slice in, const char *name)
{
	char before[64];

	snprintf(before, sizeof(before), "Name=\"%s\">", name);
	return ccm_between(in, before, "</");
}

static unsigned count(struct slice in, const char *what)
{
	unsigned n = 0;

	for (const char *p = find(in, what); p; p = find(in, what)) {
		n++;
		in = slice_drop(in, (size_t)(p - in.p) + 1);
	}
	return n;
}

static void read_status(struct slice s, struct ccm_view *v)
{
	static const char *const rules[] = {"Attribute407", "RuleID", "MeterRuleID"};
	struct slice number = property(s, "SMS_MessageID");
	uint64_t n;
	char name[32];

	v->n_status = count(s, "<Status ");
	v->type = ccm_between(s, "<Type>", "</Type>");
	if (number.p && slice_to_u64(number, &n) == 0)
		v->number = (long)(n & 0xffff);
	for (unsigned i = 0; i < 3 && !v->rule.p; i++)
		v->rule = property(s, rules[i]);
	v->category = property(s, "Attribute403");
	if (!v->category.p)
		return;
	v->subject = property(s, "Attribute408");
	for (unsigned i = 0; i < CCM_READ_STRINGS; i++) {
		snprintf(name, sizeof(name), "InsertionString%u", i + 1);
		v->string[i] = property(s, name);
	}
}

/* Offset and Length of the Body element, clipped to what is there. */
static struct slice body_range(struct slice envelope, struct slice payload)
{
	struct slice body = ccm_between(envelope, "<Body ", ">");
	uint64_t offset = 0, length = payload.n;

	if (slice_to_u64(ccm_between(body, "Offset=\"", "\""), &offset) < 0)
		offset = 0;
	if (slice_to_u64(ccm_between(body, "Length=\"", "\""), &length) < 0)
		length = payload.n;
	payload = slice_drop(payload, offset);
	return slice_make(payload.p, length < payload.n ? length : payload.n);
}

void ccm_read(struct ccm_reader *r, struct slice content_type, struct slice body,
	      struct ccm_view *v)
{
	struct slice msg, payload, envelope;
	char delimiter[80];

	*v = (struct ccm_view){.number = -1};
	if (!delimiter_of(content_type, delimiter, sizeof(delimiter)))
		return;
	if (!next_part(&body, delimiter, &msg) || !next_part(&body, delimiter, &payload))
		return;
	envelope = narrow(&r->envelope, msg);
	read_envelope(envelope, v);
	v->is_readable = v->endpoint.p != NULL;
	payload = body_range(envelope, unpack(r, payload));
	read_status(narrow(&r->payload, payload), v);
}
