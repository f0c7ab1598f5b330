/*
 * Another reading of a message, to hold the filter's against: parts by text search, zlib,
 * and expat for both documents. It judges nothing that the filter does not: it tells what
 * a careful reader finds.
 */
#ifndef STATWEIR_TESTS_UNIT_FILTERS_ORACLE_H
#define STATWEIR_TESTS_UNIT_FILTERS_ORACLE_H

#include "tests/unit/filters/try.h"

#include <ctype.h>
#include <expat.h>
#include <strings.h>

#define ORACLE_TEXT 2048
#define ORACLE_ROOM 65536

struct oracle_text {
	char s[ORACLE_TEXT];
	size_t n;
};

struct oracle {
	bool is_status; /* both documents are well-formed, one Status in the second */
	struct oracle_text id, source_id, source_host, endpoint, mode; /* of the envelope */
	struct oracle_text type, client, number, error;		       /* of the status */
	struct oracle_text rule[3]; /* Attribute407, RuleID, MeterRuleID */
	size_t length;
	bool is_encrypted;
	/* while reading */
	unsigned depth, n_roots;
	struct oracle_text *now;
	char plain[ORACLE_ROOM];
};

/* The name behind its prefix. */
static inline const char *oracle_local(const char *name)
{
	const char *colon = strchr(name, ':');

	return colon != NULL ? colon + 1 : name;
}

static inline const char *oracle_attr(const XML_Char **attrs, const char *name)
{
	for (; *attrs != NULL; attrs += 2)
		if (strcmp(attrs[0], name) == 0)
			return attrs[1];
	return "";
}

/* Does the value say word, but for case and white space around it? */
static inline bool oracle_says(const char *value, const char *word)
{
	size_t n;

	value += strspn(value, " \t\r\n");
	n = strlen(value);
	while (n > 0 && strchr(" \t\r\n", value[n - 1]) != NULL)
		n--;
	return n == strlen(word) && strncasecmp(value, word, n) == 0;
}

static inline void XMLCALL oracle_msg_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
	static const char *const names[] = {"ID", "SourceID", "SourceHost", "TargetEndpoint",
					    "ReplyMode"};
	struct oracle *o = arg;
	struct oracle_text *texts[] = {&o->id, &o->source_id, &o->source_host, &o->endpoint,
				       &o->mode};

	o->now = NULL;
	if (o->depth++ == 2 && oracle_says(oracle_attr(attrs, "Name"), "encrypt"))
		o->is_encrypted = true;
	if (o->depth != 2)
		return;
	for (size_t i = 0; i < COUNT(names); i++)
		if (strcmp(oracle_local(name), names[i]) == 0)
			o->now = texts[i];
	if (strcmp(oracle_local(name), "Body") == 0)
		o->length = strtoul(oracle_attr(attrs, "Length"), NULL, 10);
}

static inline void XMLCALL oracle_status_start(void *arg, const XML_Char *name,
					       const XML_Char **attrs)
{
	static const char *const names[] = {
		"ClientID",	"SMS_MessageID", "MessageID",	"Win32ErrorCode",
		"Attribute407", "RuleID",	 "MeterRuleID",
	};
	struct oracle *o = arg;
	struct oracle_text *texts[] = {&o->client,  &o->number,	 &o->number, &o->error,
				       &o->rule[0], &o->rule[1], &o->rule[2]};
	bool is_qualifier = strcmp(oracle_local(name), "Qualifier") == 0;

	o->now = NULL;
	if (o->depth++ == 0)
		o->n_roots += strcmp(oracle_local(name), "Status") == 0;
	if (o->depth == 2 && strcmp(oracle_local(name), "Type") == 0)
		o->now = &o->type;
	if (o->depth != 3 || (!is_qualifier && strcmp(oracle_local(name), "Property") != 0))
		return;
	for (size_t i = is_qualifier; i < (is_qualifier ? 3 : COUNT(names)); i++)
		if (oracle_says(oracle_attr(attrs, "Name"), names[i]))
			o->now = texts[i];
}

static inline void XMLCALL oracle_text_add(void *arg, const XML_Char *s, int n)
{
	struct oracle *o = arg;

	if (o->now == NULL)
		return;
	assert_true((size_t)n < ORACLE_TEXT - o->now->n);
	memcpy(o->now->s + o->now->n, s, (size_t)n);
	o->now->n += (size_t)n;
}

/* Upper case, as a name that is stored; without white space around it. */
static inline void oracle_trim(struct oracle_text *t)
{
	size_t from = 0;

	t->s[t->n] = '\0';
	from = strspn(t->s, " \t\r\n");
	memmove(t->s, t->s + from, t->n + 1 - from);
	t->n -= from;
	while (t->n > 0 && strchr(" \t\r\n", t->s[t->n - 1]) != NULL)
		t->s[--t->n] = '\0';
}

static inline void XMLCALL oracle_end(void *arg, const XML_Char *name)
{
	struct oracle *o = arg;

	(void)name;
	o->depth--;
	if (o->now != NULL)
		oracle_trim(o->now);
	o->now = NULL;
}

/* UTF-16LE, perhaps with a byte order mark, to the end of what is no terminator. */
static inline bool oracle_parse(struct oracle *o, struct slice s, XML_StartElementHandler start)
{
	XML_Parser p = XML_ParserCreate("UTF-16LE");
	bool is_good;

	assert_non_null(p);
	if (s.n >= 2 && memcmp(s.p, "\xff\xfe", 2) == 0)
		s = slice_drop(s, 2);
	while (s.n >= 2 && s.p[s.n - 1] == '\0' && memchr("\0\r\n ", s.p[s.n - 2], 4) != NULL)
		s.n -= 2;
	o->depth = 0;
	o->now = NULL;
	XML_SetUserData(p, o);
	XML_SetElementHandler(p, start, oracle_end);
	XML_SetCharacterDataHandler(p, oracle_text_add);
	is_good = XML_Parse(p, s.p, (int)s.n, 1) == XML_STATUS_OK;
	XML_ParserFree(p);
	return is_good;
}

/* What stands between a delimiter's header section and the next delimiter. */
static inline bool oracle_part(struct slice *rest, const char *boundary, struct slice *part)
{
	char delimiter[128];
	const char *p, *end;
	int n = snprintf(delimiter, sizeof(delimiter), "--%s", boundary);

	p = memmem(rest->p, rest->n, delimiter, (size_t)n);
	if (p == NULL)
		return false;
	*rest = slice_drop(*rest, (size_t)(p - rest->p));
	p = memmem(rest->p, rest->n, "\r\n\r\n", 4);
	if (p == NULL)
		return false;
	*rest = slice_drop(*rest, (size_t)(p - rest->p) + 4);
	n = snprintf(delimiter, sizeof(delimiter), "\r\n--%s", boundary);
	end = memmem(rest->p, rest->n, delimiter, (size_t)n);
	if (end == NULL)
		return false;
	*part = slice_make(rest->p, (size_t)(end - rest->p));
	*rest = slice_drop(*rest, part->n + 2);
	return true;
}

/* Inflated, if it is a stream of any kind; else as it is. */
static inline struct slice oracle_unpack(struct oracle *o, struct slice in)
{
	static const int window_bits[] = {15, 31, -15};

	for (size_t i = 0; i < COUNT(window_bits); i++) {
		z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p,
			      .avail_in = (uInt)in.n,
			      .next_out = (Bytef *)o->plain,
			      .avail_out = sizeof(o->plain)};
		int rc;

		assert_int_equal(inflateInit2(&z, window_bits[i]), Z_OK);
		rc = inflate(&z, Z_FINISH);
		inflateEnd(&z);
		if (rc == Z_STREAM_END && z.avail_in == 0)
			return slice_make(o->plain, sizeof(o->plain) - z.avail_out);
	}
	return in;
}

static inline void oracle_read(struct oracle *o, struct slice body, const char *boundary)
{
	struct slice parts[2], text;

	memset(o, 0, offsetof(struct oracle, plain));
	if (!oracle_part(&body, boundary, &parts[0]) || !oracle_part(&body, boundary, &parts[1]))
		return;
	if (!oracle_parse(o, parts[0], oracle_msg_start))
		return;
	text = oracle_unpack(o, parts[1]);
	if (o->length > text.n)
		return;
	o->is_status = oracle_parse(o, slice_make(text.p, o->length), oracle_status_start) &&
		       o->n_roots == 1;
}

static inline bool oracle_same(struct slice got, const struct oracle_text *want, bool is_upper)
{
	if (got.n != want->n)
		return false;
	for (size_t i = 0; i < got.n; i++)
		if (got.p[i] != (is_upper ? (char)toupper((unsigned char)want->s[i]) : want->s[i]))
			return false;
	return true;
}

/* Is it a message that may be absorbed, and is the finding the one read here? */
static inline const char *oracle_objection(const struct oracle *o, const struct finding *f)
{
	const struct oracle_text *client = &o->source_id, *rule = NULL;
	bool is_type = oracle_says(o->type.s, TRY_TYPE);

	if (!o->is_status || o->is_encrypted)
		return "no status message";
	if (!oracle_says(o->endpoint.s, "StatusReceiver") || !oracle_says(o->mode.s, "Async"))
		return "another endpoint or mode";
	if (o->number.n > 0 && (strtoll(o->number.s, NULL, 10) & 0xffff) != 10907)
		return "another number";
	if (o->number.n > 0 && (uint32_t)strtoll(o->number.s, NULL, 10) >> 30 > 1)
		return "another severity";
	if (o->type.n > 0 ? !is_type : o->number.n == 0)
		return "another type";
	if (o->error.n > 0 && strtoll(o->error.s, NULL, 10) != 0)
		return "an error";
	if (client->n == 0)
		client = &o->client;
	if (client->n == 0)
		client = &o->source_host;
	if (!oracle_same(f->client, client, true))
		return "another client";
	for (size_t i = COUNT(o->rule); i-- > 0;)
		if (o->rule[i].n > 0)
			rule = &o->rule[i];
	if (rule != NULL ? !oracle_same(f->rule, rule, false) : f->rule.p[0] != '#')
		return "another rule";
	if (o->id.n > 0 ? !oracle_same(f->message, &o->id, true) : f->message.p[0] != '#')
		return "another message";
	return NULL;
}

#endif
