/*
 * sample_mp: a management point to test against.
 *
 * It answers as docs/PROTOCOL.md says, writes one file per status message into a
 * STAT.BOX folder, and with --dispatch reads that folder every second on the thread
 * that also answers. The control port makes it slow, wrong, empty, broken or gone.
 */
#include "tests/tools/sample_mp.h"
#include "tests/tools/tool_base.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
	"usage: sample_mp [--listen ADDR:PORT] [--control ADDR:PORT] [--box DIR] [--log FILE]\n"
	"                 [--dispatch] [--drain N] [--ack-with-id] [--max-rate N]\n"
	"                 [--servers N]\n"
	"\n"
	"  --listen ADDR:PORT   serve here (default 127.0.0.1:0); \"listening ADDR:PORT\" is "
	"printed\n"
	"  --control ADDR:PORT  one command a line: mode ok|slow MS|wrong|empty|500|vanish|reset|\n"
	"                       close [only KIND,KIND], stats, quit; \"control ADDR:PORT\" is "
	"printed\n"
	"  --box DIR            write one file per status message into this folder\n"
	"  --dispatch           enumerate the folder every second while nobody is served\n"
	"  --drain N            files that a pass moves away at most (default 500)\n"
	"  --log FILE           append one line per message\n"
	"  --ack-with-id        write the message's ID into the acknowledgement\n"
	"  --max-rate N         serve N requests per second, and fewer when pushed further\n"
	"  --servers N          so many of them side by side, each taking N times as long (default "
	"1,\n"
	"                       at most 64)\n";

enum {
	OPT_LISTEN,
	OPT_CONTROL,
	OPT_BOX,
	OPT_LOG,
	OPT_DISPATCH,
	OPT_DRAIN,
	OPT_ID,
	OPT_RATE,
	OPT_SERVERS,
	OPT_HELP
};

static const struct option options[] = {
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"box", required_argument, NULL, OPT_BOX},
	{"log", required_argument, NULL, OPT_LOG},
	{"dispatch", no_argument, NULL, OPT_DISPATCH},
	{"drain", required_argument, NULL, OPT_DRAIN},
	{"ack-with-id", no_argument, NULL, OPT_ID},
	{"max-rate", required_argument, NULL, OPT_RATE},
	{"servers", required_argument, NULL, OPT_SERVERS},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static unsigned number(const char *text)
{
	uint64_t n;

	if (slice_to_u64(slice_str(text), &n) < 0 || n > 1000000000) {
		fprintf(stderr, "sample_mp: not a number: %s\n", text);
		exit(2);
	}
	return (unsigned)n;
}

static void read_options(struct mp_options *o, int argc, char **argv)
{
	int opt;

	*o = (struct mp_options){.listen = "127.0.0.1:0", .drain = 500};
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case OPT_LISTEN:
			o->listen = optarg;
			break;
		case OPT_CONTROL:
			o->control = optarg;
			break;
		case OPT_BOX:
			o->box = optarg;
			break;
		case OPT_LOG:
			o->log = optarg;
			break;
		case OPT_DISPATCH:
			o->does_dispatch = true;
			break;
		case OPT_DRAIN:
			o->drain = number(optarg);
			break;
		case OPT_ID:
			o->has_ack_id = true;
			break;
		case OPT_RATE:
			o->max_rate = number(optarg);
			break;
		case OPT_SERVERS:
			o->servers = number(optarg);
			break;
		default:
			fputs(usage, opt == OPT_HELP ? stdout : stderr);
			exit(opt == OPT_HELP ? 0 : 2);
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		exit(2);
	}
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct mp *mp = arg;

	(void)fd;
	(void)what;
	mp->is_done = true;
}

static int watch_signals(struct mp *mp)
{
	struct event *term = evsignal_new(mp->base, SIGTERM, on_signal, mp);
	struct event *intr = evsignal_new(mp->base, SIGINT, on_signal, mp);

	if (!term || !intr || event_add(term, NULL) < 0 || event_add(intr, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int open_all(struct mp *mp)
{
	int rc;

	if (tool_address_read(&mp->addr, mp->opt.listen) < 0)
		return -EINVAL;
	if (mp->opt.log) {
		mp->log = open(mp->opt.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (mp->log < 0)
			return -errno;
	}
	rc = mp_box_open(mp);
	if (rc == 0)
		rc = mp_listen(mp);
	if (rc == 0)
		rc = watch_signals(mp);
	if (rc == 0)
		rc = mp_control_open(mp);
	return rc;
}

static void run(struct mp *mp)
{
	int64_t blocked;

	while (!mp->is_done) {
		blocked = mp->blocked_us;
		event_base_loop(mp->base, EVLOOP_ONCE);
		/* It counts for one turn: the one in which those who waited are served. */
		if (mp->blocked_us == blocked)
			mp->blocked_us = 0;
	}
}

int main(int argc, char **argv)
{
	static struct mp mp;
	char text[80];
	int rc;

	read_options(&mp.opt, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	mp.log = mp.fd = mp.box.dir = -1;
	mp.base = tool_base_new();
	LIST_INIT(&mp.conns);
	ccm_reader_init(&mp.reader);
	strbuf_init(&mp.line, 65536);
	rc = open_all(&mp);
	if (rc < 0) {
		fprintf(stderr, "sample_mp: %s\n", strerror(-rc));
		return 1;
	}
	printf("listening %s\n", tool_address_text(&mp.addr, text, sizeof(text)));
	fflush(stdout);
	run(&mp);
	mp_vanish(&mp);
	strbuf_fini(&mp.line);
	ccm_reader_fini(&mp.reader);
	id_set_fini(&mp.seen);
	return 0;
}
