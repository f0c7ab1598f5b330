/*
 * What must hold of a message that is absorbed, read off expat's tree: written down a
 * second time, without a line of the filters. Each check aborts where it does not hold.
 */
#ifndef STATWEIR_TESTS_FUZZ_FUZZ_ORACLE_H
#define STATWEIR_TESTS_FUZZ_FUZZ_ORACLE_H

#include "filters/envelope.h"
#include "filters/status.h"

#include "tests/fuzz/fuzz_filters.h"
#include "tests/fuzz/fuzz_tree.h"

static inline void oracle_check_text(struct tree *t, const char *name, struct slice ours)
{
	int element = tree_only(t, 0, name);

	if (element < 0) {
		CHECK(ours.n == 0);
		return;
	}
	CHECK(!tree_has_children(t, element));
	CHECK(tree_same(ours, tree_text(t, element)));
}

static inline void oracle_check_number(struct slice text, uint64_t ours)
{
	uint64_t n;

	CHECK(slice_to_u64(text, &n) == 0 && n == ours);
}

/* Hooks are known, and at most one of them compresses. */
static inline enum payload_hook oracle_hook(struct tree *t)
{
	enum payload_hook hook = HOOK_NONE;
	int hooks = tree_only(t, 0, "Hooks");

	for (int i = 0; hooks >= 0 && i < t->n_elements; i++) {
		struct slice name;

		if (t->elements[i].parent != hooks)
			continue;
		name = tree_attr(t, i, "Name", SLICE(""));
		if ((tree_is_named(t, i, "Hook2") && slice_ieq(name, SLICE("clientauth"))) ||
		    (tree_is_named(t, i, "Hook") && slice_ieq(name, SLICE("authenticate"))))
			continue;
		CHECK(hook == HOOK_NONE);
		if (tree_is_named(t, i, "Hook3") && slice_ieq(name, SLICE("zlib-compress")))
			hook = HOOK_ZLIB;
		else if (tree_is_named(t, i, "Hook") && slice_ieq(name, SLICE("compress")))
			hook = HOOK_FIRST_GENERATION;
		CHECK(hook != HOOK_NONE);
	}
	return hook;
}

/* bytes have no byte order mark; t is filled with them. */
static inline void oracle_check_envelope(struct tree *t, struct slice bytes,
					 const struct envelope *e)
{
	struct slice inline_ = SLICE("inline");
	int element;

	CHECK(tree_read(t, bytes));
	CHECK(tree_is_named(t, 0, "Msg"));
	CHECK(tree_same(e->schema_version, tree_attr(t, 0, "SchemaVersion", SLICE(""))));
	CHECK(tree_same(e->reply_compression, tree_attr(t, 0, "ReplyCompression", SLICE(""))));
	oracle_check_text(t, "ID", e->id);
	oracle_check_text(t, "SourceID", e->source_id);
	oracle_check_text(t, "SourceHost", e->source_host);
	element = tree_only(t, 0, "TargetEndpoint");
	CHECK(element >= 0 && slice_ieq(tree_text(t, element), SLICE("StatusReceiver")));
	element = tree_only(t, 0, "ReplyMode");
	CHECK(element >= 0 && slice_ieq(tree_text(t, element), SLICE("async")));
	CHECK(tree_only(t, 0, "Attachment") < 0);
	element = tree_only(t, 0, "Payload");
	CHECK(element < 0 || slice_ieq(tree_attr(t, element, "Type", inline_), inline_));
	element = tree_only(t, 0, "Body");
	CHECK(element >= 0);
	oracle_check_number(tree_attr(t, element, "Offset", SLICE("0")), e->offset);
	oracle_check_number(tree_attr(t, element, "Length", SLICE("")), e->length);
	CHECK(oracle_hook(t) == e->hook);
}

/* What a <Status> says, as expat reads it. */
struct oracle_status {
	struct slice type, client, rule;
	unsigned rule_rank;
	bool has_number, is_coalesced;
	unsigned number;
};

/* Kept beside the tree's own buffer. */
static inline struct slice oracle_keep(struct tree *t, struct slice s)
{
	return tree_keep(t, s.n > 0 ? s.p : "", s.n);
}

static inline void oracle_number(struct oracle_status *o, struct slice value)
{
	bool is_negative = value.n > 0 && value.p[0] == '-';
	uint64_t n;
	uint32_t bits;

	CHECK(slice_to_u64(slice_drop(value, is_negative), &n) == 0);
	CHECK(n <= (is_negative ? (uint64_t)1 << 31 : UINT32_MAX));
	bits = (uint32_t)(is_negative ? 0 - n : n);
	/* All say the same, and none says warning or error. */
	CHECK(bits >> 30 <= 1);
	CHECK(!o->has_number || o->number == (bits & 0xffff));
	o->has_number = true;
	o->number = bits & 0xffff;
	o->is_coalesced = o->number == 10907 || o->number == 10908;
}

static inline void oracle_property(struct tree *t, struct oracle_status *o, struct slice name,
				   struct slice value)
{
	static const char *const rules[] = {"Attribute407", "RuleID", "MeterRuleID"};

	for (unsigned i = 0; i < 3; i++) {
		if (!slice_ieq(name, slice_str(rules[i])))
			continue;
		/* One message is about one rule. */
		CHECK(o->rule_rank != i || slice_eq(o->rule, value));
		if (i < o->rule_rank) {
			o->rule_rank = i;
			o->rule = oracle_keep(t, value);
		}
	}
	if (slice_ieq(name, SLICE("ClientID"))) {
		CHECK(o->client.n == 0 || slice_ieq(o->client, value));
		o->client = oracle_keep(t, value);
	}
	if (slice_ieq(name, SLICE("Win32ErrorCode"))) {
		uint64_t n;

		value = slice_drop(value, value.n > 0 && value.p[0] == '-');
		CHECK(slice_to_u64(value, &n) == 0 && n == 0);
	}
}

/* A Property or Qualifier: in another place it must not be one that might forbid. */
static inline void oracle_value(struct tree *t, struct oracle_status *o, int element,
				bool is_property)
{
	struct slice name = tree_attr(t, element, "Name", SLICE(""));
	struct slice value = tree_text(t, element);
	bool is_number =
		slice_ieq(name, SLICE("SMS_MessageID")) || slice_ieq(name, SLICE("MessageID"));

	if (t->elements[element].depth != 3) {
		CHECK(!is_number && !slice_ieq(name, SLICE("Win32ErrorCode")));
		return;
	}
	CHECK(!tree_has_children(t, element));
	if (is_number)
		oracle_number(o, value);
	if (is_property)
		oracle_property(t, o, name, value);
}

/* There may be an empty one as well. */
static inline void oracle_type(struct tree *t, struct oracle_status *o, int element)
{
	CHECK(!tree_has_children(t, element));
	CHECK(o->type.n == 0);
	o->type = oracle_keep(t, tree_text(t, element));
}

static inline void oracle_check_kind(const struct oracle_status *o)
{
	bool by_type = slice_ieq(o->type, SLICE("SWMtr_Status_Received_MeterRule"));

	CHECK(by_type || o->is_coalesced);
	CHECK(o->type.n == 0 || by_type);
	CHECK(!o->has_number || o->is_coalesced);
}

/* bytes have no byte order mark; t is filled with them. */
static inline void oracle_check_status(struct tree *t, struct slice bytes, const struct status *s)
{
	struct oracle_status o = {.rule_rank = 3};

	CHECK(tree_read(t, bytes));
	CHECK(tree_is_named(t, 0, "Status"));
	for (int i = 0; i < t->n_elements; i++) {
		if (tree_is_named(t, i, "Property"))
			oracle_value(t, &o, i, true);
		else if (tree_is_named(t, i, "Qualifier"))
			oracle_value(t, &o, i, false);
		else if (t->elements[i].depth == 2 && tree_is_named(t, i, "Type"))
			oracle_type(t, &o, i);
	}
	oracle_check_kind(&o);
	CHECK(tree_same(s->client, o.client));
	if (o.rule.n > 0)
		CHECK(tree_same(s->rule, o.rule));
	else
		CHECK(s->rule.n == 17 && s->rule.p[0] == '#');
}

#endif
