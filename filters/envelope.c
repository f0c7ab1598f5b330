#include "filters/envelope.h"

#include "filters/scan_text.h"
#include "filters/utf16.h"

#include <errno.h>

/* Elements of <Msg> that may stand once. */
enum element {
	EL_ID,
	EL_SOURCE_ID,
	EL_SOURCE_HOST,
	EL_ENDPOINT,
	EL_REPLY_MODE,
	EL_BODY,
	EL_HOOKS,
	EL_PAYLOAD,
	EL_COUNT,
	EL_ATTACHMENT,
	EL_OTHER
};

struct reading {
	const struct status_filter *f;
	struct arena *scratch;
	struct envelope *e;
	struct scan scan;
	struct gather text;
	unsigned seen; /* bit per element */
	enum element now;
	bool is_in_hooks;
};

static enum element element_of(struct slice name)
{
	static const struct slice names[EL_COUNT] = {
		[EL_ID] = {"ID", 2},
		[EL_SOURCE_ID] = {"SourceID", 8},
		[EL_SOURCE_HOST] = {"SourceHost", 10},
		[EL_ENDPOINT] = {"TargetEndpoint", 14},
		[EL_REPLY_MODE] = {"ReplyMode", 9},
		[EL_BODY] = {"Body", 4},
		[EL_HOOKS] = {"Hooks", 5},
		[EL_PAYLOAD] = {"Payload", 7},
	};

	for (unsigned i = 0; i < EL_COUNT; i++)
		if (slice_eq(name, names[i]))
			return (enum element)i;
	return slice_eq(name, SLICE("Attachment")) ? EL_ATTACHMENT : EL_OTHER;
}

static enum doubt read_body(struct reading *r)
{
	struct slice type = SLICE("ByteRange"), offset = SLICE("0"), length = SLICE("");

	if (!scan_attr_text(&r->scan, SLICE("Type"), r->scratch, &type) ||
	    !scan_attr_text(&r->scan, SLICE("Offset"), r->scratch, &offset) ||
	    !scan_attr_text(&r->scan, SLICE("Length"), r->scratch, &length))
		return DOUBT_NO_ROOM;
	if (!slice_ieq(type, SLICE("ByteRange")) || slice_to_u64(offset, &r->e->offset) < 0 ||
	    slice_to_u64(length, &r->e->length) < 0)
		return DOUBT_BODY_RANGE;
	return DOUBT_NONE;
}

static enum doubt read_payload(struct reading *r)
{
	struct slice type = SLICE("inline");

	if (!scan_attr_text(&r->scan, SLICE("Type"), r->scratch, &type))
		return DOUBT_NO_ROOM;
	return slice_ieq(type, SLICE("inline")) ? DOUBT_NONE : DOUBT_PAYLOAD_KIND;
}

/* The element name is the hook's generation: the same word means different things in two. */
static enum doubt read_hook(struct reading *r)
{
	static const struct {
		const char *element, *name;
		enum payload_hook effect;
	} known[] = {
		{"Hook3", "zlib-compress", HOOK_ZLIB},
		{"Hook2", "clientauth", HOOK_NONE},
		{"Hook", "authenticate", HOOK_NONE},
		{"Hook", "compress", HOOK_FIRST_GENERATION},
	};
	struct slice name = {0};

	if (!scan_attr_text(&r->scan, SLICE("Name"), r->scratch, &name))
		return DOUBT_NO_ROOM;
	if (slice_ieq(name, SLICE("encrypt")))
		return DOUBT_HOOK_ENCRYPT;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!slice_eq(r->scan.local, slice_str(known[i].element)) ||
		    !slice_ieq(name, slice_str(known[i].name)))
			continue;
		if (known[i].effect == HOOK_NONE)
			return DOUBT_NONE;
		if (r->e->hook != HOOK_NONE)
			return DOUBT_HOOK_UNKNOWN; /* compressed twice: in which order? */
		r->e->hook = known[i].effect;
		return DOUBT_NONE;
	}
	return DOUBT_HOOK_UNKNOWN;
}

static enum doubt root(struct reading *r)
{
	if (!slice_eq(r->scan.local, SLICE("Msg")))
		return DOUBT_ENVELOPE_ROOT;
	if (!scan_attr_text(&r->scan, SLICE("SchemaVersion"), r->scratch, &r->e->schema_version) ||
	    !scan_attr_text(&r->scan, SLICE("ReplyCompression"), r->scratch,
			    &r->e->reply_compression))
		return DOUBT_NO_ROOM;
	return DOUBT_NONE;
}

static enum doubt child(struct reading *r)
{
	r->now = element_of(r->scan.local);
	if (r->now == EL_ATTACHMENT)
		return DOUBT_ATTACHMENT;
	if (r->now == EL_OTHER)
		return DOUBT_NONE;
	if (r->seen & (1u << r->now))
		return DOUBT_ENVELOPE_TWICE;
	r->seen |= 1u << r->now;
	r->is_in_hooks = r->now == EL_HOOKS;
	switch (r->now) {
	case EL_BODY:
		return read_body(r);
	case EL_PAYLOAD:
		return read_payload(r);
	case EL_HOOKS:
		return DOUBT_NONE;
	default:
		gather_begin(&r->text);
		return DOUBT_NONE;
	}
}

static enum doubt on_start(struct reading *r)
{
	switch (r->scan.depth) {
	case 1:
		return root(r);
	case 2:
		return child(r);
	case 3:
		if (r->is_in_hooks)
			return read_hook(r);
		/* Markup inside a value that we use is not understood. */
		return r->text.is_on ? DOUBT_ENVELOPE_XML : DOUBT_NONE;
	default:
		return DOUBT_NONE;
	}
}

static bool is_in_list(const struct name_list *list, struct slice name)
{
	for (unsigned i = 0; i < list->n; i++)
		if (slice_ieq(list->v[i], name))
			return true;
	return false;
}

/* The end of a child of the root: its text is whole. */
static enum doubt on_end(struct reading *r)
{
	struct envelope *e = r->e;
	struct slice text = {0};

	if (r->scan.depth != 1)
		return DOUBT_NONE;
	r->is_in_hooks = false;
	if (!r->text.is_on)
		return DOUBT_NONE;
	if (!gather_end(&r->text, r->scratch, &text))
		return DOUBT_NO_ROOM;
	switch (r->now) {
	case EL_ID:
		e->id = text;
		return DOUBT_NONE;
	case EL_SOURCE_ID:
		e->source_id = text;
		return DOUBT_NONE;
	case EL_SOURCE_HOST:
		e->source_host = text;
		return DOUBT_NONE;
	case EL_ENDPOINT:
		e->endpoint = text;
		return is_in_list(&r->f->endpoints, text) ? DOUBT_NONE : DOUBT_ENDPOINT;
	case EL_REPLY_MODE:
		return slice_ieq(text, SLICE("Async")) ? DOUBT_NONE : DOUBT_NOT_ASYNC;
	default:
		return DOUBT_NONE;
	}
}

static enum doubt read_all(struct reading *r)
{
	for (;;) {
		enum doubt doubt = DOUBT_NONE;

		switch (scan_next(&r->scan)) {
		case SCAN_START:
			doubt = on_start(r);
			break;
		case SCAN_TEXT:
			gather_add(&r->text, &r->scan);
			break;
		case SCAN_END:
			doubt = on_end(r);
			break;
		case SCAN_DONE:
			return DOUBT_NONE;
		case SCAN_BAD:
			return DOUBT_ENVELOPE_XML;
		case SCAN_DOCTYPE:
			return DOUBT_DOCTYPE;
		}
		if (doubt != DOUBT_NONE)
			return doubt;
	}
}

enum doubt envelope_read(const struct status_filter *f, struct slice bytes, struct arena *scratch,
			 struct envelope *e)
{
	NOT_CLEARED struct reading r;
	struct slice text;
	enum doubt doubt;
	int rc;

	*e = (struct envelope){0};
	if (!utf16_body(&bytes))
		return DOUBT_ENVELOPE_ENCODING;
	rc = utf16_narrow(bytes, scratch, &text);
	if (rc < 0)
		return rc == -ENOMEM ? DOUBT_NO_ROOM : DOUBT_ENVELOPE_XML;
	r.f = f;
	r.scratch = scratch;
	r.e = e;
	r.seen = 0;
	r.now = EL_OTHER;
	r.is_in_hooks = false;
	r.text.is_on = false;
	scan_init(&r.scan, text, false);
	doubt = read_all(&r);
	if (doubt != DOUBT_NONE)
		return doubt;
	if (!(r.seen & 1u << EL_ENDPOINT))
		return DOUBT_ENDPOINT;
	if (!(r.seen & 1u << EL_REPLY_MODE))
		return DOUBT_NOT_ASYNC;
	if (!(r.seen & 1u << EL_BODY))
		return DOUBT_BODY_RANGE;
	return DOUBT_NONE;
}
