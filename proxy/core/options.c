#include "proxy/core/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef STATWEIR_VERSION
#define STATWEIR_VERSION "0.1"
#endif
#define DEFAULT_FILE "/etc/statweir/statweir.conf"
#define ERR_CAP	     65536

enum {
	OPT_SET = 256,
	OPT_MANUAL
};

static const struct option long_options[] = {
	{"file", required_argument, NULL, 'f'},	    {"listen", required_argument, NULL, 'l'},
	{"upstream", required_argument, NULL, 'u'}, {"admin", required_argument, NULL, 'a'},
	{"state", required_argument, NULL, 's'},    {"set", required_argument, NULL, OPT_SET},
	{"test", no_argument, NULL, 't'},	    {"print", no_argument, NULL, 'T'},
	{"version", no_argument, NULL, 'v'},	    {"help", no_argument, NULL, 'h'},
	{"manual", no_argument, NULL, OPT_MANUAL},  {NULL, 0, NULL, 0},
};

static void print_help(FILE *to)
{
	fputs("usage: statweir [-f FILE] --upstream HOST:PORT [options]\n"
	      "\n"
	      "A reverse proxy in front of a management point that absorbs floods of status "
	      "messages.\n"
	      "\n"
	      "  -u, --upstream HOST:PORT  the management point\n"
	      "  -l, --listen ADDR:PORT    where clients connect (127.0.0.1:8080)\n"
	      "  -a, --admin ADDR:PORT     where statistics are served (127.0.0.1:9180)\n"
	      "  -s, --state DIR           state directory (/var/lib/statweir)\n"
	      "      --set SECTION.KEY=VALUE  any other setting; docs/CONFIG.md has them all\n"
	      "  -f, --file FILE           configuration file (" DEFAULT_FILE ", if it is there)\n"
	      "  -t, --test                check the configuration and exit\n"
	      "  -T, --print               print the effective configuration and exit\n"
	      "      --manual              print the manual of all settings and exit\n"
	      "  -v, --version             print the version and exit\n"
	      "\n"
	      "Options win over the file. Signals: TERM or INT drains and stops, a second one "
	      "stops at once.\n",
	      to);
}

/* Only -f is looked at: the file comes before the options, wherever it stands. */
static const char *find_file(int argc, char **argv)
{
	const char *file = NULL;
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "f:l:u:a:s:tTvh", long_options, NULL)) != -1)
		if (c == 'f')
			file = optarg;
	opterr = 1;
	optind = 1;
	return file;
}

static int set_pair(struct conf *conf, char *pair, struct strbuf *err)
{
	char *eq = strchr(pair, '=');

	if (eq == NULL) {
		strbuf_printf(err, "--set %s: expected SECTION.KEY=VALUE\n", pair);
		return -EINVAL;
	}
	*eq = '\0';
	return conf_set(conf, pair, eq + 1, err);
}

enum action {
	ACT_RUN,
	ACT_TEST,
	ACT_PRINT,
	ACT_MANUAL,
	ACT_VERSION,
	ACT_HELP,
	ACT_USAGE
};

/* Apply one option; ACT_RUN for a setting. */
static enum action apply(struct conf *conf, int c, struct strbuf *err)
{
	static const struct {
		int c;
		const char *key;
	} shorts[] = {{'l', "global.listen"},
		      {'u', "global.upstream"},
		      {'a', "global.admin"},
		      {'s', "global.state"}};

	for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++)
		if (c == shorts[i].c) {
			(void)!conf_set(conf, shorts[i].key, optarg, err);
			return ACT_RUN;
		}
	switch (c) {
	case OPT_SET:
		(void)!set_pair(conf, optarg, err);
		return ACT_RUN;
	case 'f':
		return ACT_RUN;
	case 't':
		return ACT_TEST;
	case 'T':
		return ACT_PRINT;
	case OPT_MANUAL:
		return ACT_MANUAL;
	case 'v':
		return ACT_VERSION;
	case 'h':
		return ACT_HELP;
	default:
		return ACT_USAGE;
	}
}

/* Values stand in err without control characters: none of them can end a line. */
static bool is_for_memory(const struct strbuf *err)
{
	static const char words[] = ": out of memory\n";

	if (err->n == 0)
		return !strbuf_ok(err);
	return memmem(err->p, err->n, words, sizeof(words) - 1) != NULL;
}

static enum options_rc finish(const struct conf *conf, enum action what, struct strbuf *err)
{
	struct strbuf text;

	if (what != ACT_MANUAL)
		(void)!conf_check(conf, err);
	if (err->n > 0)
		fprintf(stderr, "%.*s", (int)err->n, err->p);
	if (is_for_memory(err)) {
		fputs("statweir: out of memory\n", stderr);
		return OPTIONS_MEMORY;
	}
	if (err->n > 0)
		return OPTIONS_CONF;
	if (what == ACT_RUN)
		return OPTIONS_RUN;
	if (what == ACT_TEST) {
		fputs("configuration is valid\n", stderr);
		return OPTIONS_DONE;
	}
	strbuf_init(&text, 1 << 20);
	if (what == ACT_PRINT)
		conf_print(conf, &text);
	else
		conf_print_manual(&text);
	printf("%.*s", (int)text.n, text.p);
	strbuf_fini(&text);
	return OPTIONS_DONE;
}

static enum options_rc read_all(struct conf *conf, int argc, char **argv, struct strbuf *err)
{
	const char *file = find_file(argc, argv);
	enum action what = ACT_RUN, one;
	int c, rc;

	rc = conf_read_file(conf, file != NULL ? file : DEFAULT_FILE, err);
	if (rc == -ENOENT && file != NULL) {
		strbuf_printf(err, "%s: no such file (option -f)\n", file);
		what = ACT_TEST;
	}
	while ((c = getopt_long(argc, argv, "f:l:u:a:s:tTvh", long_options, NULL)) != -1) {
		one = apply(conf, c, err);
		what = one == ACT_RUN ? what : one;
		if (what == ACT_USAGE)
			break;
	}
	if (what == ACT_HELP) {
		print_help(stdout);
		return OPTIONS_DONE;
	}
	if (what == ACT_VERSION) {
		puts("statweir " STATWEIR_VERSION);
		return OPTIONS_DONE;
	}
	if (what == ACT_USAGE || optind < argc) {
		if (optind < argc && what != ACT_USAGE)
			fprintf(stderr, "statweir: unexpected argument \"%s\"\n", argv[optind]);
		print_help(stderr);
		return OPTIONS_USAGE;
	}
	return finish(conf, what, err);
}

enum options_rc options_read(struct conf *conf, int argc, char **argv)
{
	struct strbuf err;
	enum options_rc rc;

	strbuf_init(&err, ERR_CAP);
	rc = read_all(conf, argc, argv, &err);
	strbuf_fini(&err);
	return rc;
}
