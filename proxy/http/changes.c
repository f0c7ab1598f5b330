#include "proxy/http/changes.h"

static void put_name(struct changes *c, enum change what, struct slice name)
{
	struct slice word = slice_str(change_table[what].word);
	size_t need = name.n + 1 + word.n + (c->n > 0);

	if (need > sizeof(c->names) - c->n) {
		c->has_more = true;
		return;
	}
	if (c->n > 0)
		c->names[c->n++] = ',';
	memcpy(c->names + c->n, name.p, name.n);
	c->names[c->n + name.n] = ':';
	memcpy(c->names + c->n + name.n + 1, word.p, word.n);
	c->n = (uint8_t)(c->n + name.n + 1 + word.n);
}

void changes_note(struct changes *c, enum change what, struct slice name)
{
	if (c == NULL)
		return;
	c->set |= 1u << what;
	if (c->wants_names && name.n > 0)
		put_name(c, what, name);
}

/* Is the word said with the names already? Bodies have none. */
static bool is_named(const struct changes *c, unsigned what)
{
	return c->n > 0 && what != CHANGE_CHUNK_EXT && what != CHANGE_TRAILERS;
}

static void put_kind(const struct changes *c, enum change_kind kind, struct strbuf *out)
{
	bool has_names = kind == CHANGE_DROPPED && c->n > 0;
	const char *before = has_names ? "," : "=";
	bool is_begun = false;

	for (unsigned i = 0; i < CHANGE_COUNT; i++) {
		if (!(c->set & 1u << i) || change_table[i].kind != kind)
			continue;
		if (!is_begun)
			strbuf_printf(out, " %s", change_kind_words[kind]);
		if (!is_begun && has_names)
			strbuf_printf(out, "=%.*s%s", (int)c->n, c->names,
				      c->has_more ? ",..." : "");
		is_begun = true;
		if (kind == CHANGE_DROPPED && is_named(c, i))
			continue;
		strbuf_printf(out, "%s%s", before, change_table[i].word);
		before = ",";
	}
}

void changes_put(const struct changes *c, struct strbuf *out)
{
	for (unsigned kind = 0; kind < CHANGE_KINDS; kind++)
		put_kind(c, (enum change_kind)kind, out);
}
