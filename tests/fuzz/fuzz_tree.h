/*
 * A document as expat reads it: the second opinion about what the filters read. White
 * space is told apart as little as the filters need: a run of it is one space, at the
 * ends of a value it is nothing.
 */
#ifndef STATWEIR_TESTS_FUZZ_FUZZ_TREE_H
#define STATWEIR_TESTS_FUZZ_FUZZ_TREE_H

#include "proxy/base/check.h"
#include "proxy/base/slice.h"

#include <expat.h>

#define TREE_ITEMS 32768
#define TREE_BYTES (1u << 18)

struct tree_element {
	int parent; /* -1: of the root */
	unsigned depth;
	struct slice name;
	unsigned first_attr, n_attrs;
};

struct tree_attr {
	struct slice name, value;
};

struct tree_piece {
	int element;
	struct slice text;
};

struct tree {
	int n_elements;
	int open; /* -1: none */
	unsigned n_attrs, n_pieces;
	size_t n_pool, n_value;
	XML_Parser parser;
	struct tree_element elements[TREE_ITEMS];
	struct tree_attr attrs[TREE_ITEMS];
	struct tree_piece pieces[TREE_ITEMS];
	char pool[TREE_BYTES];
	char value[TREE_BYTES]; /* of the last tree_text() */
};

static inline struct slice tree_keep(struct tree *t, const char *p, size_t n)
{
	char *to = t->pool + t->n_pool;

	CHECK(n <= sizeof(t->pool) - t->n_pool);
	memcpy(to, p, n);
	t->n_pool += n;
	return slice_make(to, n);
}

static inline bool tree_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* In place: runs of white space are one space, at the ends none. */
static inline size_t tree_squeeze(char *p, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (!tree_is_space(p[i]))
			p[to++] = p[i];
		else if (to > 0 && p[to - 1] != ' ')
			p[to++] = ' ';
	}
	return to > 0 && p[to - 1] == ' ' ? to - 1 : to;
}

static inline void tree_on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
	struct tree *t = arg;
	struct tree_element *e = &t->elements[t->n_elements];

	CHECK(t->n_elements < TREE_ITEMS);
	*e = (struct tree_element){
		.parent = t->open,
		.depth = t->open < 0 ? 1 : t->elements[t->open].depth + 1,
		.name = tree_keep(t, name, strlen(name)),
		.first_attr = t->n_attrs,
	};
	for (; attrs[0] != NULL; attrs += 2, e->n_attrs++) {
		struct tree_attr *a = &t->attrs[t->n_attrs++];
		struct slice value = tree_keep(t, attrs[1], strlen(attrs[1]));

		CHECK(t->n_attrs < TREE_ITEMS);
		value.n = tree_squeeze((char *)(uintptr_t)value.p, value.n);
		*a = (struct tree_attr){tree_keep(t, attrs[0], strlen(attrs[0])), value};
	}
	t->open = t->n_elements++;
}

static inline void tree_on_end(void *arg, const XML_Char *name)
{
	struct tree *t = arg;

	(void)name;
	t->open = t->elements[t->open].parent;
}

static inline void tree_on_text(void *arg, const XML_Char *p, int n)
{
	struct tree *t = arg;

	CHECK(t->n_pieces < TREE_ITEMS);
	t->pieces[t->n_pieces++] = (struct tree_piece){t->open, tree_keep(t, p, (size_t)n)};
}

static inline void tree_on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
				   const XML_Char *public, int has_subset)
{
	struct tree *t = arg;

	(void)name;
	(void)system;
	(void)public;
	(void)has_subset;
	XML_StopParser(t->parser, XML_FALSE);
}

/* Read bytes (UTF-16LE); false: not well-formed, or with a DOCTYPE. */
static inline bool tree_read(struct tree *t, struct slice bytes)
{
	enum XML_Status rc;

	t->n_elements = 0;
	t->open = -1;
	t->n_attrs = t->n_pieces = 0;
	t->n_pool = t->n_value = 0;
	t->parser = XML_ParserCreate("UTF-16LE");
	CHECK(t->parser != NULL);
	XML_SetUserData(t->parser, t);
	XML_SetElementHandler(t->parser, tree_on_start, tree_on_end);
	XML_SetCharacterDataHandler(t->parser, tree_on_text);
	XML_SetStartDoctypeDeclHandler(t->parser, tree_on_doctype);
	rc = XML_Parse(t->parser, bytes.p, (int)bytes.n, XML_TRUE);
	XML_ParserFree(t->parser);
	t->parser = NULL;
	return rc == XML_STATUS_OK;
}

/* The text of an element without that of its children; valid until the next call. */
static inline struct slice tree_text(struct tree *t, int element)
{
	size_t n = 0;

	for (unsigned i = 0; i < t->n_pieces; i++) {
		struct slice text = t->pieces[i].text;

		if (t->pieces[i].element != element)
			continue;
		memcpy(t->value + n, text.p, text.n);
		n += text.n;
	}
	return slice_make(t->value, tree_squeeze(t->value, n));
}

/* An attribute's value; absent: what is given. */
static inline struct slice tree_attr(const struct tree *t, int element, const char *name,
				     struct slice absent)
{
	const struct tree_element *e = &t->elements[element];

	for (unsigned i = 0; i < e->n_attrs; i++)
		if (slice_eq(t->attrs[e->first_attr + i].name, slice_str(name)))
			return t->attrs[e->first_attr + i].value;
	return absent;
}

/* A name without its prefix. */
static inline struct slice tree_local(const struct tree *t, int element)
{
	struct slice name = t->elements[element].name;
	const char *colon = memchr(name.p, ':', name.n);

	return colon == NULL ? name : slice_drop(name, (size_t)(colon - name.p) + 1);
}

static inline bool tree_is_named(const struct tree *t, int element, const char *local)
{
	return slice_eq(tree_local(t, element), slice_str(local));
}

/* The only child of that name; -1: none. There must not be two. */
static inline int tree_only(const struct tree *t, int parent, const char *local)
{
	int found = -1;

	for (int i = 0; i < t->n_elements; i++)
		if (t->elements[i].parent == parent && tree_is_named(t, i, local)) {
			CHECK(found < 0);
			found = i;
		}
	return found;
}

static inline bool tree_has_children(const struct tree *t, int element)
{
	for (int i = 0; i < t->n_elements; i++)
		if (t->elements[i].parent == element)
			return true;
	return false;
}

/* Do the filters and expat read the same? ours is trimmed already. */
static inline bool tree_same(struct slice ours, struct slice theirs)
{
	static char buf[TREE_BYTES];

	CHECK(ours.n <= sizeof(buf));
	if (ours.n > 0)
		memcpy(buf, ours.p, ours.n);
	return slice_eq(slice_make(buf, tree_squeeze(buf, ours.n)), theirs);
}

#endif
