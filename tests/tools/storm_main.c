/*
 * storm: what a management point gets when many clients receive many metering rules.
 *
 * N clients send M rule messages each, mixed with other traffic, and retry as clients
 * do. Every answer is checked; whatever was acknowledged is in the journal first.
 */
#include "tests/tools/storm.h"
#include "tests/tools/tool_base.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
	"usage: storm --target ADDR:PORT [options]\n"
	"\n"
	"  --clients N         clients (500), each with at most one message in flight\n"
	"  --rules M           rules that each of them has received (500)\n"
	"  --connections C     connections shared by all clients (64)\n"
	"  --rate R            R messages per second, whatever the answers (open loop)\n"
	"  --other PERCENT     share of other traffic (10); --only-10907 is 0\n"
	"  --mix               all shapes of messages (default); --plain: one shape only\n"
	"  --variants MASK     shapes by number, bit 0 is the plain one\n"
	"  --duplicate PERCENT send this share again though it was acknowledged\n"
	"  --retry-scale MS    length of a minute on the retry ladder of 1, 5, 30, 60 (100)\n"
	"  --give-up S         give a message up after this many seconds (120)\n"
	"  --timeout MS        wait for an answer (60000)\n"
	"  --probe MS          fetch a policy this often on the side (100; 0: never)\n"
	"  --seed S            another seed, other clients and messages (1)\n"
	"  --host NAME         name of the management point (mp01.example.test)\n"
	"  --journal FILE      append what was acknowledged, before it counts\n"
	"  --resume            skip what the journal has\n"
	"  --report FILE       the final figures as JSON\n"
	"  --quiet             no progress, no report on the terminal\n"
	"\n"
	"Exit status: 0 if everything was acknowledged and nothing damaged, else 1.\n";

enum {
	OPT_TARGET = 1,
	OPT_CLIENTS,
	OPT_RULES,
	OPT_CONNECTIONS,
	OPT_RATE,
	OPT_OTHER,
	OPT_ONLY,
	OPT_MIX,
	OPT_PLAIN,
	OPT_VARIANTS,
	OPT_DUPLICATE,
	OPT_SCALE,
	OPT_GIVE_UP,
	OPT_TIMEOUT,
	OPT_PROBE,
	OPT_SEED,
	OPT_HOST,
	OPT_JOURNAL,
	OPT_RESUME,
	OPT_REPORT,
	OPT_QUIET,
	OPT_HELP,
};

static const struct option options[] = {
	{"target", required_argument, NULL, OPT_TARGET},
	{"clients", required_argument, NULL, OPT_CLIENTS},
	{"rules", required_argument, NULL, OPT_RULES},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"rate", required_argument, NULL, OPT_RATE},
	{"other", required_argument, NULL, OPT_OTHER},
	{"only-10907", no_argument, NULL, OPT_ONLY},
	{"mix", no_argument, NULL, OPT_MIX},
	{"plain", no_argument, NULL, OPT_PLAIN},
	{"variants", required_argument, NULL, OPT_VARIANTS},
	{"duplicate", required_argument, NULL, OPT_DUPLICATE},
	{"retry-scale", required_argument, NULL, OPT_SCALE},
	{"give-up", required_argument, NULL, OPT_GIVE_UP},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"probe", required_argument, NULL, OPT_PROBE},
	{"seed", required_argument, NULL, OPT_SEED},
	{"host", required_argument, NULL, OPT_HOST},
	{"journal", required_argument, NULL, OPT_JOURNAL},
	{"resume", no_argument, NULL, OPT_RESUME},
	{"report", required_argument, NULL, OPT_REPORT},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

_Noreturn static void fault(const char *what, const char *value)
{
	fprintf(stderr, "storm: %s: %s\n", what, value);
	exit(2);
}

static uint32_t number(const char *text, uint64_t min, uint64_t max)
{
	uint64_t n;

	if (slice_to_u64(slice_str(text), &n) < 0 || n < min || n > max)
		fault("not a number, or out of bounds", text);
	return (uint32_t)n;
}

static bool read_text(struct storm_options *o, int opt)
{
	switch (opt) {
	case OPT_TARGET:
		o->target = optarg;
		return true;
	case OPT_HOST:
		o->host = optarg;
		return true;
	case OPT_JOURNAL:
		o->journal = optarg;
		return true;
	case OPT_REPORT:
		o->report = optarg;
		return true;
	case OPT_RESUME:
		o->does_resume = true;
		return true;
	case OPT_QUIET:
		o->is_quiet = true;
		return true;
	case OPT_ONLY:
		o->other_percent = 0;
		return true;
	case OPT_MIX:
		o->variants = (1u << CCM_VARIANTS) - 1;
		return true;
	case OPT_PLAIN:
		o->variants = 1;
		return true;
	default:
		return false;
	}
}

static bool read_number(struct storm_options *o, int opt)
{
	switch (opt) {
	case OPT_CLIENTS:
		o->clients = number(optarg, 1, 1000000);
		return true;
	case OPT_RULES:
		o->rules = number(optarg, 1, 99999);
		return true;
	case OPT_CONNECTIONS:
		o->connections = number(optarg, 1, 50000);
		return true;
	case OPT_RATE:
		o->rate = number(optarg, 0, 1000000);
		return true;
	case OPT_OTHER:
		o->other_percent = number(optarg, 0, 90);
		return true;
	case OPT_VARIANTS:
		o->variants = number(optarg, 1, (1u << CCM_VARIANTS) - 1);
		return true;
	case OPT_DUPLICATE:
		o->twice_percent = number(optarg, 0, 100);
		return true;
	case OPT_SCALE:
		o->retry_minute_ms = number(optarg, 1, 60000);
		return true;
	case OPT_GIVE_UP:
		o->give_up_ms = (int64_t)number(optarg, 0, 1000000) * 1000;
		return true;
	case OPT_TIMEOUT:
		o->timeout_ms = number(optarg, 1, 3600000);
		return true;
	case OPT_PROBE:
		o->probe_ms = number(optarg, 0, 3600000);
		return true;
	case OPT_SEED:
		o->seed = number(optarg, 0, UINT32_MAX);
		return true;
	default:
		return false;
	}
}

static void read_options(struct storm_options *o, int argc, char **argv)
{
	int opt;

	*o = (struct storm_options){
		.host = "mp01.example.test",
		.clients = 500,
		.rules = 500,
		.connections = 64,
		.variants = (1u << CCM_VARIANTS) - 1,
		.other_percent = 10,
		.retry_minute_ms = 100,
		.give_up_ms = 120000,
		.timeout_ms = 60000,
		.probe_ms = 100,
		.seed = 1,
	};
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != OPT_HELP && (read_text(o, opt) || read_number(o, opt)))
			continue;
		fputs(usage, opt == OPT_HELP ? stdout : stderr);
		exit(opt == OPT_HELP ? 0 : 2);
	}
	if (!o->target || optind < argc) {
		fputs(usage, stderr);
		exit(2);
	}
	if (o->does_resume && !o->journal)
		fault("--resume needs", "--journal FILE");
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct storm *s = arg;

	(void)fd;
	(void)what;
	s->is_stopped = true;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct storm *s = arg;

	(void)fd;
	(void)what;
	storm_tick(s);
}

static void on_rate(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	storm_pump(arg);
}

static void run(struct storm *s)
{
	struct timeval tick = {0, 20000}, ms = {0, 1000};
	struct event *timer = event_new(s->base, -1, EV_PERSIST, on_tick, s);
	struct event *rate = event_new(s->base, -1, EV_PERSIST, on_rate, s);
	struct event *term = evsignal_new(s->base, SIGTERM, on_signal, s);
	struct event *intr = evsignal_new(s->base, SIGINT, on_signal, s);

	CHECK(timer && rate && term && intr);
	event_add(timer, &tick);
	event_add(term, NULL);
	event_add(intr, NULL);
	if (s->opt.rate > 0)
		event_add(rate, &ms);
	storm_pump(s);
	while (!s->is_stopped && s->finished < s->opt.clients) {
		event_base_loop(s->base, EVLOOP_ONCE);
		storm_journal_flush(s);
		storm_progress(s, false);
	}
	event_free(timer);
	event_free(rate);
	event_free(term);
	event_free(intr);
}

int main(int argc, char **argv)
{
	static struct storm s;
	bool is_whole;

	read_options(&s.opt, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (tool_address_read(&s.target, s.opt.target) < 0)
		fault("not ADDR:PORT", s.opt.target);
	if (storm_journal_open(&s) < 0)
		fault("cannot write", s.opt.journal);
	s.base = tool_base_new();
	s.has_bar = isatty(STDERR_FILENO);
	ccm_builder_init(&s.builder, s.opt.seed, s.opt.variants, s.opt.host);
	storm_clients_start(&s);
	run(&s);
	is_whole = s.finished == s.opt.clients;
	storm_clients_stop(&s);
	storm_progress(&s, true);
	if (storm_report(&s) < 0)
		fault("cannot write", s.opt.report);
	ccm_builder_fini(&s.builder);
	id_set_fini(&s.known);
	strbuf_fini(&s.lines);
	event_base_free(s.base);
	return is_whole && s.count.gave_up == 0 && s.count.verdict[STORM_DAMAGED] == 0 ? 0 : 1;
}
