#include "proxy/http/framing.h"

#include "proxy/http/chars.h"
#include "proxy/http/names.h"
#include "proxy/http/target.h"

#include <errno.h>

/* A list that long is an attack on the search for the fields it names. */
#define CONNECTION_OPTIONS_MAX 64

_Static_assert(FIELD_ID_COUNT <= 32, "a set of ids fits 32 bits");

static uint32_t bit(enum field_id id)
{
	return 1u << id;
}

static uint32_t fields_present(const struct http_head *head)
{
	uint32_t set = 0;

	for (unsigned i = 0; i < head->n_fields; i++)
		set |= 1u << head->fields[i].id;
	return set;
}

static bool is_response(const struct http_head *head)
{
	return head->status != 0;
}

static enum reason take_length(struct http_head *head, struct slice value)
{
	if (head_find(head, FIELD_CONTENT_LENGTH) != NULL)
		return REASON_LENGTH_REPEATED;
	if (value.n > 0 && memchr(value.p, ',', value.n) != NULL)
		return REASON_LENGTH_REPEATED;
	switch (slice_to_u64(value, &head->length)) {
	case 0:
		return head->length > INT64_MAX ? REASON_LENGTH_RANGE : REASON_NONE;
	case -ERANGE:
		/* What comes behind the digits that were too many? */
		for (size_t i = 0; i < value.n; i++)
			if (value.p[i] < '0' || value.p[i] > '9')
				return REASON_LENGTH_BAD;
		return REASON_LENGTH_RANGE;
	default:
		return REASON_LENGTH_BAD;
	}
}

/* The only coding we take is chunked, once and alone (RFC 9112 6.1). */
static enum reason take_coding(const struct http_head *head, struct slice value)
{
	struct slice rest = value, item, last = {NULL, 0};
	unsigned n_chunked = 0;
	bool is_odd = false;

	if (head_find(head, FIELD_TRANSFER_ENCODING) != NULL)
		return REASON_TE_BAD;
	if (head->minor == 0)
		return REASON_TE_HTTP10;
	if (slice_ieq(value, SLICE("chunked")))
		return REASON_NONE;
	while (slice_next_item(&rest, &item)) {
		n_chunked += slice_ieq(item, SLICE("chunked"));
		is_odd |= item.n == 0 || !char_is(item.p[0], CHAR_TOKEN);
		last = item;
	}
	if (is_odd || n_chunked != 1 || !slice_ieq(last, SLICE("chunked")))
		return REASON_TE_BAD;
	return REASON_TE_UNSUPPORTED;
}

static bool is_bound_scheme(struct slice credentials)
{
	struct slice scheme = slice_make(credentials.p, char_span(credentials, CHAR_TOKEN));

	return slice_ieq(scheme, SLICE("NTLM")) || slice_ieq(scheme, SLICE("Negotiate"));
}

/* Challenges are a list; a parameter taken for a challenge errs to the safe side. */
static bool has_bound_challenge(struct slice value)
{
	struct slice item;

	while (slice_next_item(&value, &item))
		if (is_bound_scheme(item))
			return true;
	return false;
}

/* received-protocol RWS received-by [ RWS comment ] (RFC 9110 7.6.3). */
static void count_via(struct http_head *head, struct slice value, struct slice pseudonym)
{
	struct slice item;

	if (pseudonym.n == 0)
		return;
	while (slice_next_item(&value, &item)) {
		size_t n = 0;

		while (n < item.n && item.p[n] != ' ' && item.p[n] != '\t')
			n++;
		item = slice_trim(slice_drop(item, n));
		n = 0;
		while (n < item.n && item.p[n] != ' ' && item.p[n] != '\t')
			n++;
		if (slice_ieq(slice_make(item.p, n), pseudonym))
			head->via_count++;
	}
}

/* Two lines of these give two readings of a request (RFC 9110 5.3). */
static bool is_singleton(enum field_id id)
{
	switch (id) {
	case FIELD_HOST:
	case FIELD_CONTENT_TYPE:
	case FIELD_CONTENT_RANGE:
	case FIELD_EXPECT:
	case FIELD_AUTHORIZATION:
	case FIELD_MAX_FORWARDS:
		return true;
	default:
		return false;
	}
}

/*
 * Counts only where the method is OPTIONS (RFC 9110 7.6.2); TRACE doesn't come this far. A
 * number too large for us is as good as our largest.
 */
static enum reason take_max_forwards(struct http_head *head, struct slice value)
{
	const uint64_t most = (uint64_t)INT64_MAX + 1;

	if (!slice_eq(head->method, SLICE("OPTIONS")))
		return REASON_NONE;
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return REASON_MAX_FORWARDS_BAD;
	if (value.n == 0)
		return REASON_MAX_FORWARDS_BAD;
	if (slice_to_u64(value, &head->max_forwards) < 0 || head->max_forwards > most)
		head->max_forwards = most;
	head->counts_forwards = true;
	return REASON_NONE;
}

static enum reason take_request_field(struct http_head *head, struct field *f)
{
	enum field_id id = (enum field_id)f->id;

	if (is_singleton(id) && head_find(head, id) != NULL)
		return REASON_FIELD_REPEATED;
	switch (id) {
	case FIELD_HOST:
		return target_take_host(head, f->value);
	case FIELD_EXPECT:
		/* RFC 9110 10.1.1: an HTTP/1.0 client cannot mean it. */
		f->is_dropped = head->minor == 0;
		head->expects_continue = head->minor != 0;
		if (head->minor != 0 && !slice_ieq(f->value, SLICE("100-continue")))
			return REASON_EXPECT_BAD;
		break;
	case FIELD_AUTHORIZATION:
		head->has_authorization = true;
		head->has_bound_auth |= is_bound_scheme(f->value);
		break;
	case FIELD_UPGRADE:
		head->has_upgrade = head->minor != 0;
		break;
	case FIELD_MAX_FORWARDS:
		return take_max_forwards(head, f->value);
	default:
		break;
	}
	return REASON_NONE;
}

enum reason framing_take_field(struct http_head *head, struct field *f,
			       const struct http_limits *lim)
{
	switch (f->id) {
	case FIELD_OTHER:
		f->is_dropped = !is_response(head) && name_is_twin(f->name);
		return REASON_NONE;
	case FIELD_CONTENT_LENGTH:
		return take_length(head, f->value);
	case FIELD_TRANSFER_ENCODING:
		return take_coding(head, f->value);
	case FIELD_CONTENT_ENCODING:
		/* Several lines are no coding that anyone decodes here. */
		head->content_encoding =
			head->content_encoding.p == NULL ? f->value : SLICE("several");
		return REASON_NONE;
	case FIELD_VIA:
		count_via(head, f->value, lim->pseudonym);
		return REASON_NONE;
	case FIELD_DATE:
		head->has_date = true;
		return REASON_NONE;
	case FIELD_WWW_AUTHENTICATE:
		head->has_bound_auth |= is_response(head) && has_bound_challenge(f->value);
		return REASON_NONE;
	case FIELD_CONTENT_TYPE:
		if (head->content_type.p == NULL)
			head->content_type = f->value;
		break;
	default:
		break;
	}
	return is_response(head) ? REASON_NONE : take_request_field(head, f);
}

/* Fields of that name go no further (RFC 9110 7.6.1). */
static void drop_fields(struct http_head *head, struct slice name)
{
	for (unsigned i = 0; i < head->n_fields; i++)
		if (slice_ieq(head->fields[i].name, name))
			head->fields[i].is_dropped = true;
}

struct options {
	bool has_close, has_keep_alive, has_upgrade;
	unsigned n;
};

static enum reason read_options(struct http_head *head, struct slice value, struct options *o)
{
	struct slice name;

	while (slice_next_item(&value, &name)) {
		if (++o->n > CONNECTION_OPTIONS_MAX || !char_all(name, CHAR_TOKEN))
			return REASON_CONNECTION_NAMES;
		if (slice_ieq(name, SLICE("close")))
			o->has_close = true;
		else if (slice_ieq(name, SLICE("keep-alive")))
			o->has_keep_alive = true;
		else if (slice_ieq(name, SLICE("upgrade")))
			o->has_upgrade = true;
		else if (name.n > 0 && name_is_end_to_end(name))
			return REASON_CONNECTION_NAMES;
		else if (name.n > 0)
			drop_fields(head, name);
	}
	return REASON_NONE;
}

static enum reason end_connection(struct http_head *head, uint32_t present)
{
	struct options o = {0};
	enum reason why;

	for (unsigned i = 0; (present & bit(FIELD_CONNECTION)) && i < head->n_fields; i++) {
		if (head->fields[i].id != FIELD_CONNECTION)
			continue;
		why = read_options(head, head->fields[i].value, &o);
		if (why != REASON_NONE)
			return why;
	}
	/* RFC 9112 9.3. */
	head->keep_alive = !o.has_close && (head->minor != 0 || o.has_keep_alive);
	head->has_upgrade = head->has_upgrade && o.has_upgrade;
	return REASON_NONE;
}

/* RFC 9112 6.3. Returns the framing that the fields ask for. */
static enum reason end_framing(struct http_head *head, uint32_t present)
{
	bool has_length = (present & bit(FIELD_CONTENT_LENGTH)) != 0;
	bool is_chunked = (present & bit(FIELD_TRANSFER_ENCODING)) != 0;

	if (has_length && is_chunked)
		return REASON_TE_AND_LENGTH;
	if (is_chunked)
		head->framing = FRAMING_CHUNKED;
	else if (has_length && head->length > 0)
		head->framing = FRAMING_LENGTH;
	else
		head->framing = FRAMING_NONE;
	return REASON_NONE;
}

enum reason framing_end_request(struct http_head *head)
{
	uint32_t present = fields_present(head);
	enum reason why;

	why = end_framing(head, present);
	if (why != REASON_NONE)
		return why;
	if (head->minor != 0 && !(present & bit(FIELD_HOST)))
		return REASON_HOST_MISSING;
	why = end_connection(head, present);
	if (why != REASON_NONE)
		return why;
	/* Nobody waits for leave to send nothing (RFC 9110 10.1.1). */
	if (head->framing == FRAMING_NONE && head->expects_continue) {
		head->expects_continue = false;
		drop_fields(head, SLICE("expect"));
	}
	return REASON_NONE;
}

enum reason framing_end_response(struct http_head *head, bool is_head)
{
	uint32_t present = fields_present(head);
	unsigned status = head->status;
	enum reason why;

	head->has_upgrade = (present & bit(FIELD_UPGRADE)) != 0;
	why = end_framing(head, present);
	if (why != REASON_NONE)
		return why;
	why = end_connection(head, present);
	if (why != REASON_NONE)
		return why;
	head->has_upgrade |= status == 101;
	/* RFC 9110 8.6 forbids it to speak of a body: perhaps one follows (R7). */
	if (status == 204 && head->framing != FRAMING_NONE)
		head->keep_alive = false;
	if (is_head || status < 200 || status == 204 || status == 304) {
		head->framing = FRAMING_NONE;
	} else if (!(present & (bit(FIELD_CONTENT_LENGTH) | bit(FIELD_TRANSFER_ENCODING)))) {
		head->framing = FRAMING_CLOSE;
		head->keep_alive = false;
	}
	return REASON_NONE;
}
