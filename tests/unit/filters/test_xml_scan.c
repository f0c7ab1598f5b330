/* The scanner: what it accepts, what it tells, what it refuses. */
#include "filters/xml_scan.h"

#include "tests/unit/filters/try.h"

#define TRACE 4096
#define PADS  33 /* one more than is looked at together, in each direction */

struct trace {
	char text[TRACE];
	size_t n;
};

static void say(struct trace *t, const char *s, size_t n)
{
	assert_true(n < TRACE - t->n);
	memcpy(t->text + t->n, s, n);
	t->n += n;
	t->text[t->n] = '\0';
}

static void says(struct trace *t, const char *s)
{
	say(t, s, strlen(s));
}

static void say_text(struct trace *t, struct slice text, bool has_reference)
{
	char buf[TRACE];
	size_t n = 0;

	if (!has_reference) {
		say(t, text.p, text.n);
		return;
	}
	assert_true(scan_decode(text, buf, &n, sizeof(buf)));
	say(t, buf, n);
}

static void say_start(struct trace *t, const struct scan *s)
{
	says(t, "(");
	say(t, s->name.p, s->name.n);
	for (unsigned i = 0; i < s->n_attrs; i++) {
		says(t, " ");
		say(t, s->attrs[i].name.p, s->attrs[i].name.n);
		says(t, "=");
		say_text(t, s->attrs[i].value, s->attrs[i].has_reference);
	}
	says(t, ")");
}

static void trace_events(struct slice text, bool many_roots, struct trace *t)
{
	enum scan_event event;
	struct scan s;

	scan_init(&s, text, many_roots);
	do {
		event = scan_next(&s);
		switch (event) {
		case SCAN_START:
			say_start(t, &s);
			break;
		case SCAN_TEXT:
			say_text(t, s.text, s.has_reference);
			break;
		case SCAN_END:
			says(t, "(/");
			say(t, s.name.p, s.name.n);
			says(t, ")");
			break;
		case SCAN_DONE:
			says(t, ".");
			break;
		case SCAN_BAD:
			says(t, "!");
			break;
		case SCAN_DOCTYPE:
			says(t, "?");
			break;
		}
	} while (event == SCAN_START || event == SCAN_TEXT || event == SCAN_END);
}

/*
 * The events of a document: (name attr=value), text, (/name), "." at a good end, "!" where it
 * is bad, "?" at a DOCTYPE or an unknown reference. Pieces of text run together. A character
 * that may stand nowhere makes it "!" before it is scanned.
 */
static void trace(struct slice wide, bool many_roots, struct trace *t)
{
	struct try_narrow n;

	t->n = 0;
	t->text[0] = '\0';
	if (try_narrow(&n, wide))
		trace_events(n.text, many_roots, t);
	else
		says(t, "!");
	try_narrow_done(&n);
}

static void expect(const char *xml, bool many_roots, const char *want)
{
	struct try_bytes b;
	struct trace t;

	try_bytes_init(&b);
	try_put_wide(&b, xml);
	trace(try_slice(&b), many_roots, &t);
	if (strcmp(t.text, want) != 0)
		fail_msg("%s\n   read as %s\n   not as  %s", xml, t.text, want);
	try_bytes_fini(&b);
}

struct reading {
	const char *xml, *want;
};

static void expect_each(const struct reading *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(c[i].xml, false, c[i].want);
}

static void test_scan_next_well_formed_told(void **state)
{
	static const struct reading cases[] = {
		{"<a/>", "(a)(/a)."},
		{"<a />", "(a)(/a)."},
		{"<a></a>", "(a)(/a)."},
		{"<a\t\r\n ></a\t\r\n >", "(a)(/a)."},
		{" \t\r\n<a/>\r\n", "(a)(/a)."},
		{"<a>b</a>", "(a)b(/a)."},
		{"<a><b>c</b><d/>e</a>", "(a)(b)c(/b)(d)(/d)e(/a)."},
		{"<a><a><a/></a></a>", "(a)(a)(a)(/a)(/a)(/a)."},
		{"<_a-b.c:d9/>", "(_a-b.c:d9)(/_a-b.c:d9)."},
		{"<:/>", "(:)(/:)."},
		{"<m:a xmlns:m='urn:x'/>", "(m:a xmlns:m=urn:x)(/m:a)."},
		{"<a b='c'/>", "(a b=c)(/a)."},
		{"<a b=\"c\" d='e'/>", "(a b=c d=e)(/a)."},
		{"<a b = \"c\"\n d\t=\t'e' />", "(a b=c d=e)(/a)."},
		{"<a b=\"it's\" c='\"'/>", "(a b=it's c=\")(/a)."},
		{"<a b='>]]>'/>", "(a b=>]]>)(/a)."},
		{"<a b=''/>", "(a b=)(/a)."},
		{"<a b='&lt;&amp;&gt;&quot;&apos;'/>", "(a b=<&>\"')(/a)."},
		{"<a>&lt;&amp;&gt;&quot;&apos;</a>", "(a)<&>\"'(/a)."},
		{"<a>&#65;&#x42;&#x0043;&#9;</a>", "(a)ABC\t(/a)."},
		{"<a>&#10;&#13;&#x20;</a>", "(a)\n\r (/a)."},
		{"<a>&#xafAF;&#xFfFd;</a>", "(a)\uafaf\ufffd(/a)."},
		{"<a>&amp;lt;</a>", "(a)&lt;(/a)."},
		{"<a>&#38;lt;</a>", "(a)&lt;(/a)."},
		{"<a>&#xE4;&#x20AC;&#x1F600;&#x10FFFF;</a>",
		 "(a)\u00e4\u20ac\U0001f600\U0010ffff(/a)."},
		{"<a>\u00e4\u20ac\U0001f600\ud7ff\ue000\ufffd</a>",
		 "(a)\u00e4\u20ac\U0001f600\ud7ff\ue000\ufffd(/a)."},
		{"<a b='\u00e4\U0001f600'/>", "(a b=\u00e4\U0001f600)(/a)."},
		{"<a>]] ]>\x7f</a>", "(a)]] ]>\x7f(/a)."},
		{"<a>]]</a>", "(a)]](/a)."},
		{"<a><![CDATA[<b>&amp;]] >]]></a>", "(a)<b>&amp;]] >(/a)."},
		{"<a><![CDATA[]]></a>", "(a)(/a)."},
		{"<a>b<![CDATA[c]]>d</a>", "(a)bcd(/a)."},
		{"<a><!-- <b>&x; \u00e4 - --></a>", "(a)(/a)."},
		{"<!----><a/><!-- c -->", "(a)(/a)."},
		{"<!--\t\r\n--><a><![CDATA[\t\r\n]]></a><?p\t\r\n?>", "(a)\t\r\n(/a)."},
		{"<a>b<!--c-->d</a>", "(a)bd(/a)."},
		{"<?p?><a><?p q?b?><?p-2 ?></a><?p?>", "(a)(/a)."},
		{"<a>b<?p?>c</a>", "(a)bc(/a)."},
	};

	(void)state;
	expect_each(cases, COUNT(cases));
}

static void test_scan_next_malformed_refused(void **state)
{
	static const struct reading cases[] = {
		{"", "!"},
		{" ", "!"},
		{"a", "!"},
		{"<", "!"},
		{"<a", "!"},
		{"<a>", "(a)!"},
		{"<a/", "!"},
		{"<a/ >", "!"},
		{"<a//>", "!"},
		{"< a/>", "!"},
		{"<1a/>", "!"},
		{"<-a/>", "!"},
		{"<a!/>", "!"},
		{"<\u00e4/>", "!"},
		{"<a\u00e4/>", "!"},
		{"<a></b>", "(a)!"},
		{"<a></A>", "(a)!"},
		{"<a></aa>", "(a)!"},
		{"<aa></a>", "(aa)!"},
		{"<a></ a>", "(a)!"},
		{"<a></a", "(a)!"},
		{"<a></a b='c'>", "(a)!"},
		{"<a></a/>", "(a)!"},
		{"</a>", "!"},
		{"<a/></a>", "(a)(/a)!"},
		{"<a/><b/>", "(a)(/a)!"},
		{"<a/>b", "(a)(/a)!"},
		{"<a/>&#32;", "(a)(/a)!"},
		{"<a/><![CDATA[ ]]>", "(a)(/a)!"},
		{"b<a/>", "!"},
		{"<a b/>", "!"},
		{"<a b=/>", "!"},
		{"<a b=c/>", "!"},
		{"<a b='c\"/>", "!"},
		{"<a b='c'd='e'/>", "!"},
		{"<a b='c' b='d'/>", "!"},
		{"<a b='c' bb='d' b=\"c\"/>", "!"},
		{"<a ='c'/>", "!"},
		{"<a b='<'/>", "!"},
		{"<a b='", "!"},
		{"<a b='c'", "!"},
		{"<a>]]></a>", "(a)!"},
		{"<a>\x01</a>", "!"},
		{"<a>\x1f</a>", "!"},
		{"<a b='\x0b'/>", "!"},
		{"<a>\ufffe</a>", "!"},
		{"<a>\uffff</a>", "!"},
		{"<a b='\uffff'/>", "!"},
		{"<!-- -- --><a/>", "!"},
		{"<!-- --", "!"},
		{"<!--->", "!"},
		{"<!---><a/>", "!"},
		{"<!-- \x02 --><a/>", "!"},
		{"<a><!-</a>", "(a)?"},
		{"<a><![CDATA[]]</a>", "(a)!"},
		{"<a><![CDATA[\x03]]></a>", "!"},
		{"<?p", "!"},
		{"<?p ?", "!"},
		{"<?p!?><a/>", "!"},
		{"<? p?><a/>", "!"},
		{"<?p \x04?><a/>", "!"},
	};

	(void)state;
	expect_each(cases, COUNT(cases));
}

static void test_scan_next_declaration_only_first(void **state)
{
	static const struct reading cases[] = {
		{"<?xml version=\"1.0\"?><a/>", "(a)(/a)."},
		{"<?xml version='1.0' encoding='UTF-16'?><a/>", "(a)(/a)."},
		{"<?xml version='1.0' encoding='utf-16' ?><a/>", "(a)(/a)."},
		{"<?xml\tversion = '1.0'\nencoding = 'Utf-16' standalone = 'yes' ?><a/>",
		 "(a)(/a)."},
		{"<?xml version='1.0' standalone='no'?><a/>", "(a)(/a)."},
		{" <?xml version='1.0'?><a/>", "!"},
		{"<!-- --><?xml version='1.0'?><a/>", "!"},
		{"<a/><?xml version='1.0'?>", "(a)(/a)!"},
		{"<a><?xml version='1.0'?></a>", "(a)!"},
		{"<?XML version='1.0'?><a/>", "!"},
		{"<a><?xMl?></a>", "(a)!"},
		{"<?xml?><a/>", "!"},
		{"<?xml ?><a/>", "!"},
		{"<?xml version='1.1'?><a/>", "!"},
		{"<?xml version='1.0?><a/>", "!"},
		{"<?xml version?><a/>", "!"},
		{"<?xml version '1.0'?><a/>", "!"},
		{"<?xml version='&#49;.0'?><a/>", "!"},
		{"<?xml encoding='UTF-16'?><a/>", "!"},
		{"<?xml version='1.0'encoding='UTF-16'?><a/>", "!"},
		{"<?xml version='1.0' encoding='UTF-8'?><a/>", "!"},
		{"<?xml version='1.0' encoding='\u00fcTF-16'?><a/>", "!"},
		{"<?xml version='1.0' encoding?><a/>", "!"},
		{"<?xml version='1.0' encoding='UTF-16'standalone='yes'?><a/>", "!"},
		{"<?xml version='1.0' standalone='maybe'?><a/>", "!"},
		{"<?xml version='1.0' standalone?><a/>", "!"},
		{"<?xml version='1.0' standalone='no' encoding='UTF-16'?><a/>", "!"},
		{"<?xml version='1.0'>", "!"},
		{"<?xml-stylesheet href='x'?><a/>", "(a)(/a)."},
	};

	(void)state;
	expect_each(cases, COUNT(cases));
}

static void test_scan_next_doctype_and_unknown_references_told(void **state)
{
	static const struct reading cases[] = {
		{"<!DOCTYPE a><a/>", "?"},
		{"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "?"},
		{"<!doctype a><a/>", "?"},
		{"<a><!ELEMENT b ANY></a>", "(a)?"},
		{"<a>&b;</a>", "(a)?"},
		{"<a b='&c;'/>", "?"},
		{"<a>&</a>", "(a)?"},
		{"<a>& </a>", "(a)?"},
		{"<a>&amp</a>", "(a)?"},
		{"<a>&AMP;</a>", "(a)?"},
		{"<a>&#;</a>", "(a)?"},
		{"<a>&#x;</a>", "(a)?"},
		{"<a>&#X41;</a>", "(a)?"},
		{"<a>&#4A;</a>", "(a)?"},
		{"<a>&#x4G;</a>", "(a)?"},
		{"<a>&#x4g;</a>", "(a)?"},
		{"<a>&#x4`;</a>", "(a)?"},
		{"<a>&#x4@;</a>", "(a)?"},
		{"<a>&#4/;</a>", "(a)?"},
		{"<a>&#4:;</a>", "(a)?"},
		{"<a>&#65</a>", "(a)?"},
		{"<a>&#0;</a>", "(a)?"},
		{"<a>&#8;</a>", "(a)?"},
		{"<a>&#x1F;</a>", "(a)?"},
		{"<a>&#xD800;</a>", "(a)?"},
		{"<a>&#xDFFF;</a>", "(a)?"},
		{"<a>&#xFFFE;</a>", "(a)?"},
		{"<a>&#x110000;</a>", "(a)?"},
		{"<a>&#xFFFFFFFF;</a>", "(a)?"},
		{"<a>&#x000000041;</a>", "(a)?"}, /* nine digits */
		{"<a>&#x00000041;</a>", "(a)A(/a)."},
		{"<a>&#99999999;</a>", "(a)?"},
		{"<a>&#6", "(a)?"},
		{"<a>&", "(a)?"},
	};

	(void)state;
	expect_each(cases, COUNT(cases));
}

static void test_scan_next_many_roots_where_asked(void **state)
{
	(void)state;
	expect("<a/><b>c</b>", true, "(a)(/a)(b)c(/b).");
	expect("<?xml version='1.0'?> <a/>\r\n<!-- --> <b/>\n", true, "(a)(/a)(b)(/b).");
	expect("<a/>x<b/>", true, "(a)(/a)!");
	expect("<a/></b>", true, "(a)(/a)!");
	expect("<a/><?xml version='1.0'?><b/>", true, "(a)(/a)!");
	expect("", true, "!");
}

/* The scanner looks at several units together: each construct at each place among them. */
static void test_scan_next_any_alignment_same_reading(void **state)
{
	static const char pad[] = "pppppppppppppppppppppppppppppppp";
	static const char *const middles[] = {
		"&amp;", "&#x1F600;", "\u00e4", "\U0001f600", "]", "\t", "\x7f", "\"", "'",
	};
	static const char *const plain[] = {
		"&", "\U0001f600", "\u00e4", "\U0001f600", "]", "\t", "\x7f", "\"", "'",
	};
	char xml[512], want[512];

	(void)state;
	for (size_t m = 0; m < COUNT(middles); m++)
		for (int before = 0; before < PADS; before++)
			for (int after = 0; after < PADS; after++) {
				const char *quote = middles[m][0] == '\'' ? "\"" : "'";

				snprintf(xml, sizeof(xml),
					 "<%.*sn a=%s%.*s%s%.*s%s>%.*s%s%.*s</%.*sn>", before, pad,
					 quote, before, pad, middles[m], after, pad, quote, before,
					 pad, middles[m], after, pad, before, pad);
				snprintf(want, sizeof(want),
					 "(%.*sn a=%.*s%s%.*s)%.*s%s%.*s(/%.*sn).", before, pad,
					 before, pad, plain[m], after, pad, before, pad, plain[m],
					 after, pad, before, pad);
				expect(xml, false, want);
			}
}

static void test_scan_next_any_alignment_control_refused(void **state)
{
	static const char pad[] = "pppppppppppppppppppppppppppppppp";
	static const char *const bad[] = {"\x01", "\x1f", "<", "\uffff"};
	char xml[128];
	struct try_bytes b;
	struct trace t;

	(void)state;
	try_bytes_init(&b);
	for (size_t m = 0; m < COUNT(bad); m++)
		for (int before = 0; before < PADS; before++)
			for (int after = 0; after < PADS; after++) {
				snprintf(xml, sizeof(xml), "<n a='%.*s%s%.*s'/>", before, pad,
					 bad[m], after, pad);
				expect(xml, false, "!");
				if (bad[m][0] == '<')
					continue;
				snprintf(xml, sizeof(xml), "<n>%.*s%s%.*s</n>", before, pad, bad[m],
					 after, pad);
				expect(xml, false, "!");
			}
	/* The same letter from another plane is no name character: U+0141 ends in that of 'A'. */
	for (int before = 0; before < PADS; before++) {
		snprintf(xml, sizeof(xml), "<n%.*s\u0141%s/>", before, pad, pad);
		b.n = 0;
		try_put_wide(&b, xml);
		trace(try_slice(&b), false, &t);
		assert_string_equal(t.text, "!");
	}
	try_bytes_fini(&b);
}

/* Which letters of ASCII a name may have, at each place among the sixteen. */
static void test_scan_next_any_alignment_name_letters(void **state)
{
	static const char pad[] = "pppppppppppppppppppppppp"; /* twice fits into a name */
	char xml[128], want[256];

	(void)state;
	for (int c = 0x21; c < 0x7f; c++) {
		bool is_name = (c >= '0' && c <= ':') || (c >= 'A' && c <= 'Z') ||
			       (c >= 'a' && c <= 'z') || c == '_' || c == '-' || c == '.';

		if (c == '/' || c == '>')
			continue; /* there the element ends */
		for (int before = 0; before < (int)sizeof(pad); before++) {
			snprintf(xml, sizeof(xml), "<n%.*s%c%s/>", before, pad, c, pad);
			snprintf(want, sizeof(want), "(n%.*s%c%s)(/n%.*s%c%s).", before, pad, c,
				 pad, before, pad, c, pad);
			expect(xml, false, is_name ? want : "!");
		}
	}
}

static void repeat(struct try_bytes *b, const char *text, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		try_put_wide(b, text);
}

static enum scan_event last_event(struct slice wide)
{
	enum scan_event event;
	struct try_narrow n;
	struct scan s;

	assert_true(try_narrow(&n, wide));
	scan_init(&s, n.text, false);
	do
		event = scan_next(&s);
	while (event == SCAN_START || event == SCAN_TEXT || event == SCAN_END);
	try_narrow_done(&n);
	return event;
}

static void test_scan_next_depth_at_its_limit(void **state)
{
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	for (unsigned depth = SCAN_DEPTH - 1; depth <= SCAN_DEPTH + 1; depth++) {
		b.n = 0;
		repeat(&b, "<a>", depth);
		repeat(&b, "</a>", depth);
		assert_int_equal(last_event(try_slice(&b)),
				 depth <= SCAN_DEPTH ? SCAN_DONE : SCAN_BAD);
	}
	try_bytes_fini(&b);
}

static void test_scan_next_attributes_at_their_limit(void **state)
{
	struct try_bytes b;
	char attr[16];

	(void)state;
	try_bytes_init(&b);
	for (unsigned n = SCAN_ATTRS - 1; n <= SCAN_ATTRS + 1; n++) {
		b.n = 0;
		try_put_wide(&b, "<a");
		for (unsigned i = 0; i < n; i++) {
			snprintf(attr, sizeof(attr), " n%u=''", i);
			try_put_wide(&b, attr);
		}
		try_put_wide(&b, "/>");
		assert_int_equal(last_event(try_slice(&b)), n <= SCAN_ATTRS ? SCAN_DONE : SCAN_BAD);
	}
	try_bytes_fini(&b);
}

static void test_scan_next_names_at_their_limit(void **state)
{
	static const char *const around[][2] = {{"<", "/>"}, {"<a ", "=''/>"}, {"<?", "?><a/>"}};
	struct try_bytes b;

	(void)state;
	try_bytes_init(&b);
	for (size_t k = 0; k < COUNT(around); k++)
		for (unsigned n = SCAN_NAME - 1; n <= SCAN_NAME + 1; n++) {
			b.n = 0;
			try_put_wide(&b, around[k][0]);
			repeat(&b, "n", n);
			try_put_wide(&b, around[k][1]);
			assert_int_equal(last_event(try_slice(&b)),
					 n <= SCAN_NAME ? SCAN_DONE : SCAN_BAD);
		}
	try_bytes_fini(&b);
}

/* No beginning of a document is a document, wherever it is cut. */
static void test_scan_next_cut_anywhere_refused(void **state)
{
	static const char xml[] = "<?xml version='1.0' encoding='UTF-16'?><!--c--><a b='&lt;' "
				  "c=\"d\"><?p q?>\U0001f600<![CDATA[e]]>f<g/></a>";
	struct try_bytes b;
	struct trace t;

	(void)state;
	try_bytes_init(&b);
	try_put_wide(&b, xml);
	for (size_t n = 0; n < b.n; n += 2) {
		trace(slice_make(b.p, n), false, &t);
		assert_int_not_equal(t.text[t.n - 1], '.');
	}
	trace(try_slice(&b), false, &t);
	assert_string_equal(t.text, "(a b=< c=d)\U0001f600ef(g)(/g)(/a).");
	try_bytes_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_next_well_formed_told),
		cmocka_unit_test(test_scan_next_malformed_refused),
		cmocka_unit_test(test_scan_next_declaration_only_first),
		cmocka_unit_test(test_scan_next_doctype_and_unknown_references_told),
		cmocka_unit_test(test_scan_next_many_roots_where_asked),
		cmocka_unit_test(test_scan_next_any_alignment_same_reading),
		cmocka_unit_test(test_scan_next_any_alignment_control_refused),
		cmocka_unit_test(test_scan_next_any_alignment_name_letters),
		cmocka_unit_test(test_scan_next_depth_at_its_limit),
		cmocka_unit_test(test_scan_next_attributes_at_their_limit),
		cmocka_unit_test(test_scan_next_names_at_their_limit),
		cmocka_unit_test(test_scan_next_cut_anywhere_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
