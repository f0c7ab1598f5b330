#include "filters/status_filter.h"

#include "filters/envelope.h"
#include "filters/inflate.h"
#include "filters/multipart.h"
#include "filters/status.h"
#include "filters/utf16.h"
#include "proxy/base/siphash.h"

#include <errno.h>
#include <stdio.h>

/* Names and values that inspection copies, beside the decompressed payload. */
#define SCRATCH_TEXTS (256 * 1024)

static int read_list(struct name_list *list, const char *text)
{
	struct slice rest = slice_str(text), item;

	list->n = 0;
	while (slice_next_item(&rest, &item)) {
		if (item.n == 0)
			continue;
		if (list->n == STATUS_MAX_NAMES)
			return -EINVAL;
		list->v[list->n++] = item;
	}
	return 0;
}

static int read_ids(struct status_filter *f, const char *text)
{
	struct name_list list;
	uint64_t id;

	if (read_list(&list, text) < 0)
		return -EINVAL;
	f->n_ids = 0;
	for (unsigned i = 0; i < list.n; i++) {
		if (slice_to_u64(list.v[i], &id) < 0 || id > UINT16_MAX)
			return -EINVAL;
		f->ids[f->n_ids++] = (uint16_t)id;
	}
	return 0;
}

int status_filter_init(struct status_filter *f, const struct status_filter_conf *conf)
{
	if (read_list(&f->paths, conf->paths) < 0 ||
	    read_list(&f->endpoints, conf->endpoints) < 0 ||
	    read_list(&f->types, conf->types) < 0 ||
	    read_list(&f->rule_properties, conf->rule_properties) < 0 ||
	    read_ids(f, conf->message_ids) < 0)
		return -EINVAL;
	f->match = conf->match;
	f->max_inspect = conf->max_inspect;
	f->max_inflated = conf->max_inflated;
	return 0;
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

size_t status_filter_scratch(const struct status_filter *f)
{
	/* The envelope and the payload narrowed, and the payload inflated. */
	return UTF16_ROOM(f->max_inspect) + UTF16_ROOM(max_size(f->max_inspect, f->max_inflated)) +
	       f->max_inflated + SCRATCH_TEXTS;
}

static bool is_listed(const struct name_list *list, struct slice name)
{
	for (unsigned i = 0; i < list->n; i++)
		if (slice_ieq(list->v[i], name))
			return true;
	return false;
}

static enum doubt status_interest(const void *self, const struct http_head *head)
{
	const struct status_filter *f = self;
	struct slice boundary;

	if (!slice_eq(head->method, SLICE("CCM_POST")) || head->framing != FRAMING_LENGTH ||
	    head->length > f->max_inspect || head->has_authorization ||
	    head->content_encoding.n > 0 || !is_listed(&f->paths, head->path))
		return DOUBT_NOT_MULTIPART;
	return multipart_boundary(head->content_type, &boundary) ? DOUBT_NONE : DOUBT_NOT_MULTIPART;
}

/* A terminator behind (or before) the body: not part of it, and not other content. */
static bool is_padding(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\0' && s.p[i] != '\r' && s.p[i] != '\n')
			return false;
	return true;
}

/* The payload's text: decompressed as the hooks say, cut to the declared range. */
static enum doubt open_payload(const struct status_filter *f, const struct envelope *e,
			       struct slice part, struct arena *scratch, struct slice *text)
{
	enum doubt doubt = DOUBT_NONE;
	struct slice whole = part;
	size_t n = 0;
	char *out;

	if (e->hook != HOOK_NONE) {
		out = arena_get(scratch, f->max_inflated);
		if (out == NULL)
			return DOUBT_NO_ROOM;
		if (e->hook == HOOK_ZLIB) {
			doubt = inflate_zlib(part, out, f->max_inflated, &n);
			whole = slice_make(out, n);
		} else {
			doubt = inflate_sniff(part, out, f->max_inflated, &whole);
		}
	}
	if (doubt != DOUBT_NONE)
		return doubt;
	if (e->offset > whole.n || e->length > whole.n - e->offset || e->length == 0)
		return DOUBT_BODY_RANGE;
	*text = slice_make(whole.p + e->offset, (size_t)e->length);
	if (e->offset != 0 || !is_padding(slice_drop(whole, (size_t)e->length)))
		return DOUBT_BODY_RANGE;
	/* A terminator of one UTF-16 unit may be counted in Length, line ends may follow it. */
	while (text->n >= 2 && text->p[text->n - 1] == '\0' &&
	       (text->p[text->n - 2] == '\0' || text->p[text->n - 2] == '\r' ||
		text->p[text->n - 2] == '\n' || text->p[text->n - 2] == ' '))
		text->n -= 2;
	return DOUBT_NONE;
}

static bool is_identity(struct slice s)
{
	if (s.n == 0 || s.n > FINDING_MAX_TEXT)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return true;
}

/* The same GUID may come in either case: one spelling. */
static struct slice upper_case(struct slice s, struct arena *scratch)
{
	char *p = arena_get(scratch, s.n);

	if (p == NULL)
		return slice_make("", 0);
	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] >= 'a' && s.p[i] <= 'z' ? (char)(s.p[i] - 0x20) : s.p[i];
	return slice_make(p, s.n);
}

/* A message without an ID of its own is known by what it says. */
static struct slice digest_id(struct slice client, struct slice text, struct arena *scratch)
{
	static const struct siphash_key keys[2] = {{0x6d73672d69642d31u, 0x7374617477656972u},
						   {0x6d73672d69642d32u, 0x7374617477656972u}};
	struct siphash_key key;
	char *p = arena_get(scratch, 40);

	if (p == NULL)
		return slice_make("", 0);
	p[0] = '#';
	for (unsigned i = 0; i < 2; i++) {
		key = keys[i];
		key.k1 ^= siphash(&keys[i], client);
		snprintf(p + 1 + 16 * i, 17, "%016llx", (unsigned long long)siphash(&key, text));
	}
	return slice_make(p, 33);
}

static enum doubt identify(const struct envelope *e, const struct status *s, struct slice text,
			   struct arena *scratch, struct finding *out)
{
	struct slice client = e->source_id;

	if (client.n == 0)
		client = s->client;
	if (client.n == 0)
		client = e->source_host;
	if (client.n > FINDING_MAX_TEXT || e->id.n > FINDING_MAX_TEXT)
		return DOUBT_IDENTITY;
	out->client = upper_case(client, scratch);
	out->rule = s->rule;
	out->message =
		e->id.n > 0 ? upper_case(e->id, scratch) : digest_id(out->client, text, scratch);
	if (!is_identity(out->client) || !is_identity(out->rule) || !is_identity(out->message))
		return DOUBT_IDENTITY;
	return DOUBT_NONE;
}

static enum doubt recognise(const struct status_filter *f, const struct http_head *head,
			    struct slice body, struct arena *scratch, struct verdict *v)
{
	struct slice boundary, parts[2], text;
	struct envelope e = {0};
	struct status s;
	enum doubt doubt;

	v->endpoint = v->sender = slice_make("", 0);
	if (!multipart_boundary(head->content_type, &boundary))
		return DOUBT_NOT_MULTIPART;
	doubt = multipart_split(body, boundary, parts);
	if (doubt == DOUBT_NONE)
		doubt = envelope_read(f, parts[0], scratch, &e);
	v->endpoint = e.endpoint;
	v->sender = e.source_id;
	if (doubt == DOUBT_NONE)
		doubt = open_payload(f, &e, parts[1], scratch, &text);
	if (doubt == DOUBT_NONE)
		doubt = status_read(f, text, scratch, &s);
	if (doubt == DOUBT_NONE)
		doubt = identify(&e, &s, text, scratch, &v->finding);
	if (doubt != DOUBT_NONE)
		return doubt;
	v->reply = (struct reply_key){.reply_compression = e.reply_compression,
				      .schema_version = e.schema_version,
				      .envelope_id = e.id};
	return DOUBT_NONE;
}

static void status_inspect(const void *self, const struct http_head *head, struct slice body,
			   struct arena *scratch, struct verdict *v)
{
	v->doubt = recognise(self, head, body, scratch, v);
	v->action = v->doubt == DOUBT_NONE ? FILTER_ABSORB : FILTER_PASS;
}

const struct filter status_filter_ops = {
	.name = "status",
	.interest = status_interest,
	.inspect = status_inspect,
};
