#include "filters/status.h"

#include "filters/scan_text.h"
#include "filters/utf16.h"
#include "proxy/base/siphash.h"

#include <errno.h>
#include <stdio.h>

#define SEVERITY_INFO 1

/* What a property says. */
enum meaning {
	MEANS_NUMBER,	   /* the message's number */
	MEANS_CLIENT,	   /* the client */
	MEANS_WIN32_ERROR, /* whether something failed */
	MEANS_NOTHING,	   /* nothing about the rule: it differs from message to message */
	MEANS_CONTENT,	   /* whatever it is, it tells one rule from another */
};

/* What is known of the <Status> being read. */
struct one {
	struct slice type;
	bool has_number, has_severity, has_win32_error;
	bool has_unread; /* a number or an error code where none is expected: it was not read */
	unsigned number, severity;
	unsigned rule_rank; /* of the rule property found so far; STATUS_MAX_NAMES: none */
	struct slice rule, client;
	uint64_t digest; /* of the properties that are no base properties */
	unsigned n_digested;
};

struct reading {
	const struct status_filter *f;
	struct arena *scratch;
	struct scan scan;
	struct gather text;
	struct slice name; /* of the Property or Qualifier being read */
	enum meaning meaning;
	unsigned rule_rank; /* as a name of the rule; STATUS_MAX_NAMES: it is none */
	bool is_property, is_qualifier;
	bool is_digesting; /* the rule has no name: its properties are digested */
	struct one now;
	unsigned n_status, n_match;
	enum doubt first_doubt; /* of a <Status> that does not match */
};

static bool is_in(const struct name_list *list, struct slice name)
{
	for (unsigned i = 0; i < list->n; i++)
		if (slice_ieq(list->v[i], name))
			return true;
	return false;
}

/* Decimal of 32 bits; signed, perhaps: warnings and errors may be printed so. */
static bool to_u32(struct slice s, uint32_t *out)
{
	bool is_negative = s.n > 0 && s.p[0] == '-';
	uint64_t v;

	/* What is larger must not become a good number by being cut. */
	if (slice_to_u64(slice_drop(s, is_negative), &v) < 0 ||
	    v > (is_negative ? (uint64_t)INT32_MAX + 1 : UINT32_MAX))
		return false;
	*out = (uint32_t)(is_negative ? (uint64_t)0 - v : v);
	return true;
}

/* A message number, with its severity in the upper two bits. False: not a number. */
static bool take_number(struct one *o, struct slice value)
{
	uint32_t v;

	if (!to_u32(value, &v))
		return false;
	/* Given twice and not the same: whom to believe? */
	if (o->has_number && o->number != (v & 0xffff))
		return false;
	o->has_number = true;
	o->number = v & 0xffff;
	if (v >> 30 != 0) {
		if (o->has_severity && o->severity != v >> 30)
			return false;
		o->has_severity = true;
		o->severity = v >> 30;
	}
	return true;
}

static enum meaning meaning_of(struct slice name)
{
#define MEANING(text, meaning)                    \
	{                                         \
		{text, sizeof(text) - 1}, meaning \
	}
	static const struct {
		struct slice name;
		enum meaning meaning;
	} known[] = {
		MEANING("SMS_MessageID", MEANS_NUMBER),
		MEANING("MessageID", MEANS_NUMBER),
		MEANING("ClientID", MEANS_CLIENT),
		MEANING("Win32ErrorCode", MEANS_WIN32_ERROR),
		MEANING("DateTime", MEANS_NOTHING),
		MEANING("MachineName", MEANS_NOTHING),
		MEANING("ProcessID", MEANS_NOTHING),
		MEANING("ThreadID", MEANS_NOTHING),
		MEANING("SiteCode", MEANS_NOTHING),
		MEANING("TopLevelSiteCode", MEANS_NOTHING),
		MEANING("Severity", MEANS_NOTHING),
		MEANING("EventID", MEANS_NOTHING),
		MEANING("Attribute408", MEANS_NOTHING),
	};
#undef MEANING

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_ieq(name, known[i].name))
			return known[i].meaning;
	return MEANS_CONTENT;
}

static void digest_property(struct one *o, struct slice name, struct slice value)
{
	static const struct siphash_key names = {0x72756c652d6e616du, 0x6573000000000001u};
	static const struct siphash_key values = {0x72756c652d76616cu, 0x7565730000000001u};

	/* Chained, so that the order of the document counts. */
	o->digest = o->digest * 0x9e3779b97f4a7c15u + siphash(&names, name);
	o->digest = o->digest * 0x9e3779b97f4a7c15u + siphash(&values, value);
	o->n_digested++;
}

static enum doubt take_property(struct reading *r, struct slice value)
{
	struct one *o = &r->now;
	uint32_t error;

	if (r->rule_rank < o->rule_rank) {
		o->rule_rank = r->rule_rank;
		o->rule = value;
	} else if (r->rule_rank == o->rule_rank && o->rule_rank < STATUS_MAX_NAMES &&
		   !slice_eq(o->rule, value)) {
		return DOUBT_IDENTITY; /* named twice: which is it? */
	}
	switch (r->meaning) {
	case MEANS_NUMBER:
		return take_number(o, value) ? DOUBT_NONE : DOUBT_CONFLICT;
	case MEANS_CLIENT:
		if (o->client.n > 0 && !slice_ieq(o->client, value))
			return DOUBT_IDENTITY;
		o->client = value;
		break;
	case MEANS_WIN32_ERROR:
		if (!to_u32(value, &error) || error != 0)
			o->has_win32_error = true;
		break;
	case MEANS_NOTHING:
		break;
	case MEANS_CONTENT:
		if (r->is_digesting)
			digest_property(o, r->name, value);
		break;
	}
	return DOUBT_NONE;
}

static enum doubt take_value(struct reading *r)
{
	struct slice value = {0};

	if (!gather_end(&r->text, r->scratch, &value))
		return DOUBT_NO_ROOM;
	if (r->is_property)
		return take_property(r, value);
	if (!r->is_qualifier) {
		if (r->now.type.n > 0)
			return DOUBT_CONFLICT;
		r->now.type = value;
		return DOUBT_NONE;
	}
	if (r->meaning == MEANS_NUMBER && !take_number(&r->now, value))
		return DOUBT_CONFLICT;
	return DOUBT_NONE;
}

/* The three failure messages of the same family: never absorbed, whatever is configured. */
static bool is_failure(struct slice type)
{
	return slice_ieq(type, SLICE("SWMtr_Status_Send_UsageReport_Failed")) ||
	       slice_ieq(type, SLICE("SWMtr_Status_Create_UsageReport_Failed")) ||
	       slice_ieq(type, SLICE("SWMtr_Status_WMIFailure"));
}

static bool is_coalesced_number(const struct status_filter *f, unsigned number)
{
	for (unsigned i = 0; i < f->n_ids; i++)
		if (f->ids[i] == number)
			return true;
	return false;
}

/* Does this <Status> belong to a coalesced kind, and does nothing speak against it? */
static enum doubt judge(const struct status_filter *f, const struct one *o)
{
	bool has_type = o->type.n > 0;
	bool by_type = has_type && is_in(&f->types, o->type);
	bool by_number = o->has_number && is_coalesced_number(f, o->number);
	bool is_match;

	if (is_failure(o->type))
		return DOUBT_FAILURE_SIBLING;
	if (has_type && o->has_number && by_type != by_number)
		return DOUBT_CONFLICT;
	switch (f->match) {
	case STATUS_BOTH:
		is_match = by_type && by_number;
		break;
	case STATUS_TYPE:
		is_match = by_type;
		break;
	case STATUS_ID:
		is_match = by_number;
		break;
	default:
		is_match = by_type || by_number;
		break;
	}
	if (!is_match)
		return DOUBT_OTHER_STATUS;
	if (o->has_severity && o->severity != SEVERITY_INFO)
		return DOUBT_SEVERITY;
	if (o->has_win32_error)
		return DOUBT_WIN32_ERROR;
	return o->has_unread ? DOUBT_STATUS_XML : DOUBT_NONE;
}

static enum doubt begin_status(struct reading *r)
{
	if (!slice_eq(r->scan.local, SLICE("Status")))
		return DOUBT_STATUS_ROOT;
	r->now = (struct one){.rule_rank = STATUS_MAX_NAMES};
	r->n_status++;
	return DOUBT_NONE;
}

static enum doubt end_status(struct reading *r)
{
	enum doubt doubt = judge(r->f, &r->now);

	if (doubt == DOUBT_NONE)
		r->n_match++;
	else if (r->first_doubt == DOUBT_NONE)
		r->first_doubt = doubt;
	return DOUBT_NONE;
}

/* A Property or Qualifier begins: what does it mean, and is its value of use? */
static enum doubt begin_value(struct reading *r)
{
	bool is_wanted;

	r->name = SLICE("");
	if (!scan_attr_text(&r->scan, SLICE("Name"), r->scratch, &r->name))
		return DOUBT_NO_ROOM;
	r->meaning = meaning_of(r->name);
	r->rule_rank = STATUS_MAX_NAMES;
	if (r->is_property)
		for (unsigned i = r->f->rule_properties.n; i-- > 0;)
			if (slice_ieq(r->f->rule_properties.v[i], r->name))
				r->rule_rank = i;
	is_wanted = (r->rule_rank < STATUS_MAX_NAMES && r->rule_rank <= r->now.rule_rank) ||
		    r->meaning < MEANS_NOTHING || (r->meaning == MEANS_CONTENT && r->is_digesting);
	if (is_wanted)
		gather_begin(&r->text);
	else
		gather_begin_blind(&r->text);
	return DOUBT_NONE;
}

/* A Property or Qualifier at another depth is not read: might it have forbidden something? */
static enum doubt skip_value(struct reading *r)
{
	enum meaning meaning;

	r->name = SLICE("");
	if (!scan_attr_text(&r->scan, SLICE("Name"), r->scratch, &r->name))
		return DOUBT_NO_ROOM;
	meaning = meaning_of(r->name);
	if (meaning == MEANS_NUMBER || meaning == MEANS_WIN32_ERROR)
		r->now.has_unread = true;
	return DOUBT_NONE;
}

static enum doubt on_start(struct reading *r)
{
	struct slice name = r->scan.local;

	if (r->text.is_on)
		return DOUBT_STATUS_XML; /* markup inside a value that we use */
	if (r->scan.depth == 1)
		return begin_status(r);
	r->is_property = slice_eq(name, SLICE("Property"));
	r->is_qualifier = slice_eq(name, SLICE("Qualifier"));
	if (r->is_property || r->is_qualifier)
		return r->scan.depth == 3 ? begin_value(r) : skip_value(r);
	if (r->scan.depth == 2 && slice_eq(name, SLICE("Type")))
		gather_begin(&r->text);
	return DOUBT_NONE;
}

static enum doubt on_end(struct reading *r)
{
	if (r->text.is_on)
		return take_value(r);
	return r->scan.depth == 0 ? end_status(r) : DOUBT_NONE;
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
			return DOUBT_STATUS_XML;
		case SCAN_DOCTYPE:
			return DOUBT_DOCTYPE;
		}
		if (doubt != DOUBT_NONE)
			return doubt;
	}
}

static enum doubt read_from_start(struct reading *r, struct slice text, bool is_digesting)
{
	r->text.is_on = false;
	r->is_property = r->is_qualifier = false;
	r->n_status = r->n_match = 0;
	r->first_doubt = DOUBT_NONE;
	r->is_digesting = is_digesting;
	scan_init(&r->scan, text, true);
	return read_all(r);
}

/* Without a property that names it, a rule is known by what else the message says. */
static enum doubt name_rule(struct reading *r, struct slice text, struct slice *rule)
{
	enum doubt doubt;
	char *p;

	*rule = r->now.rule;
	if (rule->n > 0)
		return DOUBT_NONE;
	/* Rare: the whole message once more, for the properties that were not looked at. */
	doubt = read_from_start(r, text, true);
	if (doubt != DOUBT_NONE)
		return doubt;
	if (r->now.n_digested == 0)
		return DOUBT_IDENTITY;
	p = arena_get(r->scratch, 24);
	if (p == NULL)
		return DOUBT_NO_ROOM;
	snprintf(p, 24, "#%016llx", (unsigned long long)r->now.digest);
	*rule = slice_make(p, 17);
	return DOUBT_NONE;
}

enum doubt status_read(const struct status_filter *f, struct slice bytes, struct arena *scratch,
		       struct status *out)
{
	NOT_CLEARED struct reading r;
	struct slice text;
	enum doubt doubt;
	int rc;

	*out = (struct status){0};
	if (!utf16_body(&bytes))
		return DOUBT_STATUS_ENCODING;
	rc = utf16_narrow(bytes, scratch, &text);
	if (rc < 0)
		return rc == -ENOMEM ? DOUBT_NO_ROOM : DOUBT_STATUS_XML;
	r.f = f;
	r.scratch = scratch;
	doubt = read_from_start(&r, text, false);
	if (doubt != DOUBT_NONE)
		return doubt;
	if (r.first_doubt != DOUBT_NONE)
		return r.n_match > 0 ? DOUBT_MIXED : r.first_doubt;
	if (r.n_status > 1)
		return DOUBT_SEVERAL;
	out->client = r.now.client;
	return name_rule(&r, text, &out->rule);
}
