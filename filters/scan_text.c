#include "filters/scan_text.h"

void gather_begin(struct gather *g)
{
	g->n = 0;
	g->is_on = true;
	g->is_full = g->is_blind = false;
}

void gather_begin_blind(struct gather *g)
{
	gather_begin(g);
	g->is_blind = true;
}

void gather_add(struct gather *g, const struct scan *s)
{
	if (g->is_on && !g->is_blind &&
	    !text16_decode(s->text, s->is_raw, g->buf, &g->n, sizeof(g->buf)))
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
	char *p;

	s = trim(s);
	p = arena_get(scratch, s.n);
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
	return !g->is_full && keep(slice_make(g->buf, g->n), scratch, out);
}

/* The value into buf, of SCAN_TEXT_MAX bytes. */
static bool decode(const struct scan_attr *a, char *buf, struct slice *out)
{
	size_t n = 0;

	if (!text16_decode(a->value, false, buf, &n, SCAN_TEXT_MAX))
		return false;
	*out = trim(slice_make(buf, n));
	return true;
}

bool scan_attr_buf(const struct scan *s, const char *name, char *buf, struct slice *out)
{
	const struct scan_attr *a = scan_attr(s, name);

	*out = slice_make(buf, 0);
	return a == NULL || decode(a, buf, out);
}

bool scan_attr_text(const struct scan *s, const char *name, struct arena *scratch,
		    struct slice *out)
{
	NOT_CLEARED char buf[SCAN_TEXT_MAX];
	const struct scan_attr *a = scan_attr(s, name);
	struct slice text;

	return a == NULL || (decode(a, buf, &text) && keep(text, scratch, out));
}

bool utf16_body(struct slice *bytes)
{
	const unsigned char *p = (const unsigned char *)bytes->p;

	if (bytes->n < 4 || bytes->n % 2 != 0)
		return false;
	if (p[0] == 0xff && p[1] == 0xfe) {
		*bytes = slice_drop(*bytes, 2);
		p += 2;
	}
	return p[1] == 0 && p[0] < 0x80;
}
