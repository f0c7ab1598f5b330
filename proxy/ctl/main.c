/* statweirctl: asks a running statweir through its statistics listener. */
#include "proxy/ctl/ctl_http.h"
#include "proxy/ctl/ctl_ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_ADMIN "127.0.0.1:9180"

static const char usage[] =
	"usage: statweirctl [--admin ADDR:PORT] COMMAND\n"
	"\n"
	"  ledger                     the balance sheet, recounted now\n"
	"  ledger verify              do the books balance, now and at the end of each window?\n"
	"      [--since WHEN]         only windows that ended after it: 2026-11-23,\n"
	"                             2026-11-23T04:00:00Z, or an age: 36h, 7d\n"
	"  client ID                  what is known of one client (GUID:..., or a host name)\n"
	"  rule ID                    how often a rule was reported, and by how many clients\n"
	"  missing ID                 the clients that have not reported a rule, as CSV\n"
	"  status                     the statistics as JSON\n"
	"\n"
	"--admin is statweir's setting global.admin (default " DEFAULT_ADMIN ").\n"
	"Exit status: 0 good, 1 the books do not balance, 2 no answer, 64 wrong usage.\n";

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Prefix, the ID with everything but letters, digits and -._~ percent-encoded, suffix. */
static void put_path(struct strbuf *out, const char *prefix, const char *id, const char *suffix)
{
	strbuf_put_str(out, prefix);
	for (; *id != '\0'; id++) {
		unsigned char c = (unsigned char)*id;
		bool is_plain = (c >= '0' && c <= '9') ||
				((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
				strchr("-._~", c) != NULL;

		if (is_plain)
			strbuf_put(out, slice_make(id, 1));
		else
			strbuf_printf(out, "%%%02X", c);
	}
	strbuf_put_str(out, suffix);
	strbuf_put(out, slice_make("", 1));
}

static enum ctl_exit print(const char *address, const char *prefix, const char *id,
			   const char *suffix)
{
	struct strbuf path, body;
	int status = 0, rc;

	strbuf_init(&path, 4096);
	strbuf_init(&body, 64 << 20);
	put_path(&path, prefix, id, suffix);
	rc = strbuf_ok(&path) ? ctl_get(address, path.p, 60, &status, &body) : -1;
	if (rc == 0)
		fputs(body.p, status == 200 ? stdout : stderr);
	strbuf_fini(&path);
	strbuf_fini(&body);
	return rc == 0 && status == 200 ? CTL_BALANCED : CTL_UNKNOWN;
}

static enum ctl_exit fail(const char *what)
{
	fprintf(stderr, "statweirctl: %s\n%s", what, usage);
	return CTL_USAGE;
}

static enum ctl_exit ledger(const char *address, int argc, char **argv)
{
	int64_t since = 0;

	if (argc == 0)
		return ctl_ledger_show(address);
	if (strcmp(argv[0], "verify") != 0)
		return fail("ledger verify, or ledger alone");
	if (argc == 3 && strcmp(argv[1], "--since") == 0) {
		if (ctl_parse_since(argv[2], now_ms(), &since) < 0)
			return fail("--since takes 2026-11-23, 2026-11-23T04:00:00Z or 36h");
	} else if (argc != 1) {
		return fail("ledger verify takes --since WHEN and nothing else");
	}
	return ctl_ledger_verify(address, since);
}

static enum ctl_exit run(int argc, char **argv)
{
	const char *address = DEFAULT_ADMIN, *command;

	argc--;
	argv++;
	if (argc >= 2 && strcmp(argv[0], "--admin") == 0) {
		address = argv[1];
		argc -= 2;
		argv += 2;
	}
	if (argc == 1 && strcmp(argv[0], "--help") == 0) {
		fputs(usage, stdout);
		return CTL_BALANCED;
	}
	if (argc == 0)
		return fail("which command?");
	command = argv[0];
	if (strcmp(command, "ledger") == 0)
		return ledger(address, argc - 1, argv + 1);
	if (argc == 1 && strcmp(command, "status") == 0)
		return print(address, "/stats.json", "", "");
	if (argc == 2 && strcmp(command, "client") == 0)
		return print(address, "/clients/", argv[1], "");
	if (argc == 2 && strcmp(command, "rule") == 0)
		return print(address, "/rules/", argv[1], "");
	if (argc == 2 && strcmp(command, "missing") == 0)
		return print(address, "/rules/", argv[1], "/missing.csv");
	return fail("no such command, or it lacks its ID");
}

int main(int argc, char **argv)
{
	return (int)run(argc, argv);
}
