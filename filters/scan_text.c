#include "filters/scan_text.h"

void gather_begin(struct gather *g)
{
	g->n = g->only.n = 0;
	g->is_on = true;
	g->is_full = g->is_blind = false;
}

void gather_begin_blind(struct gather *g)
{
	gather_begin(g);
	g->is_blind = true;
}

static bool append(struct gather *g, struct slice text, bool has_reference)
{
	if (has_reference)
		return scan_decode(text, g->buf, &g->n, sizeof(g->buf));
	if (text.n > sizeof(g->buf) - g->n)
		return false;
	memcpy(g->buf + g->n, text.p, text.n);
	g->n += text.n;
	return true;
}

void gather_add(struct gather *g, const struct scan *s)
{
	struct slice first = g->only;

	if (!g->is_on || g->is_blind || s->text.n == 0)
		return;
	if (g->n == 0 && first.n == 0 && !s->has_reference) {
		g->only = s->text;
		g->is_full = s->text.n > SCAN_TEXT_MAX;
		return;
	}
	g->only.n = 0;
	if ((first.n > 0 && !append(g, first, false)) || !append(g, s->text, s->has_reference))
		g->is_full = true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim(struct slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = slice_drop(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

static bool keep(struct slice s, struct arena *scratch, struct slice *out)
{
	char *p = arena_get(scratch, s.n);

	if (p == NULL)
		return false;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	*out = slice_make(p, s.n);
	return true;
}

bool gather_end(struct gather *g, struct arena *scratch, struct slice *out)
{
	g->is_on = false;
	if (g->is_full)
		return false;
	if (g->n > 0)
		return keep(trim(slice_make(g->buf, g->n)), scratch, out);
	*out = g->only.n > 0 ? trim(g->only) : SLICE("");
	return true;
}

bool scan_attr_text(const struct scan *s, struct slice name, struct arena *scratch,
		    struct slice *out)
{
	NOT_CLEARED char buf[SCAN_TEXT_MAX];
	const struct scan_attr *a = scan_attr(s, name);
	size_t n = 0;

	if (a == NULL)
		return true;
	if (a->has_reference)
		return scan_decode(a->value, buf, &n, sizeof(buf)) &&
		       keep(trim(slice_make(buf, n)), scratch, out);
	*out = trim(a->value);
	return a->value.n <= SCAN_TEXT_MAX;
}
