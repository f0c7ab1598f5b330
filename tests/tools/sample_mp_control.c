/*
 * The control port: one command a line, one line back.
 *
 *	mode ok|slow MS|wrong|empty|500|vanish|reset|close [only KIND,KIND]
 *	rate N		requests per second from now on, 0: no limit
 *	stats
 *	quit
 */
#include "tests/tools/sample_mp.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const mode_names[MP_MODES] = {
	"ok", "slow", "wrong", "empty", "500", "vanish", "reset", "close",
};

const char *mp_mode_name(enum mp_mode mode)
{
	return mode_names[mode];
}

static struct slice next_word(struct slice *rest)
{
	const char *sp;
	struct slice word;

	*rest = slice_trim(*rest);
	sp = rest->n > 0 ? memchr(rest->p, ' ', rest->n) : NULL;
	word = sp ? slice_make(rest->p, (size_t)(sp - rest->p)) : *rest;
	*rest = slice_drop(*rest, word.n);
	return word;
}

/* "rule,summary" as a mask; 0 when a name is unknown. */
static unsigned read_kinds(struct slice list)
{
	unsigned mask = 0;
	struct slice item;

	while (slice_next_item(&list, &item)) {
		unsigned k = 0;

		while (k < MP_KINDS && !slice_eq(item, slice_str(mp_kind_name((enum mp_kind)k))))
			k++;
		if (k == MP_KINDS)
			return 0;
		mask |= 1u << k;
	}
	return mask;
}

static bool set_mode(struct mp *mp, struct slice rest)
{
	struct slice word = next_word(&rest);
	unsigned mode = 0, kinds = ~0u;
	uint64_t ms = 0;

	while (mode < MP_MODES && !slice_eq(word, slice_str(mode_names[mode])))
		mode++;
	if (mode == MP_MODES)
		return false;
	if (mode == MODE_MP_SLOW && slice_to_u64(next_word(&rest), &ms) < 0)
		return false;
	word = next_word(&rest);
	if (slice_eq(word, SLICE("only")))
		kinds = read_kinds(next_word(&rest));
	else if (word.n > 0)
		return false;
	if (kinds == 0)
		return false;
	mp->mode = (enum mp_mode)mode;
	mp->mode_ms = (int64_t)ms;
	mp->mode_kinds = kinds;
	if (mode == MODE_MP_VANISH)
		mp_vanish(mp);
	else if (mp->fd < 0 && mp_listen(mp) < 0)
		return false;
	return true;
}

static bool set_rate(struct mp *mp, struct slice rest)
{
	uint64_t n;

	if (slice_to_u64(next_word(&rest), &n) < 0 || n > 1000000)
		return false;
	mp->opt.max_rate = (unsigned)n;
	return true;
}

static void put_stats(const struct mp *mp, struct evbuffer *out)
{
	evbuffer_add_printf(out, "{\"mode\": \"%s\", \"taken\": {", mode_names[mp->mode]);
	for (unsigned k = 0; k < MP_KINDS; k++)
		evbuffer_add_printf(out, "%s\"%s\": %" PRIu64, k ? ", " : "",
				    mp_kind_name((enum mp_kind)k), mp->taken[k]);
	evbuffer_add_printf(out,
			    "}, \"untaken\": %" PRIu64 ", \"repeated\": %" PRIu64
			    ", \"damaged\": %" PRIu64 ", \"summarised_messages\": %" PRIu64,
			    mp->untaken, mp->repeated, mp->damaged, mp->summarised);
	evbuffer_add_printf(out,
			    ", \"box_files\": %" PRIu64 ", \"box_written\": %" PRIu64
			    ", \"box_moved\": %" PRIu64 ", \"passes\": %" PRIu64,
			    mp_box_files(mp), mp->box.written, mp->box.moved, mp->box.passes);
	evbuffer_add_printf(out,
			    ", \"last_pass_ms\": %.1f, \"slowest_pass_ms\": %.1f"
			    ", \"slowest_policy_ms\": %.1f}\n",
			    (double)mp->box.last_pass_us / 1000,
			    (double)mp->box.slowest_pass_us / 1000,
			    (double)mp->slowest_policy_us / 1000);
}

static void run(struct mp *mp, struct slice line, struct evbuffer *out)
{
	struct slice word = next_word(&line);

	if (slice_eq(word, SLICE("stats"))) {
		put_stats(mp, out);
	} else if (slice_eq(word, SLICE("mode"))) {
		evbuffer_add_printf(out, set_mode(mp, line) ? "ok\n" : "error: what mode?\n");
	} else if (slice_eq(word, SLICE("rate"))) {
		evbuffer_add_printf(out, set_rate(mp, line) ? "ok\n" : "error: which rate?\n");
	} else if (slice_eq(word, SLICE("quit"))) {
		evbuffer_add_printf(out, "ok\n");
		mp->is_done = true;
	} else {
		evbuffer_add_printf(out, "error: mode, rate, stats or quit\n");
	}
}

static void on_line(struct bufferevent *bev, void *arg)
{
	size_t n;
	char *line;

	while ((line = evbuffer_readln(bufferevent_get_input(bev), &n, EVBUFFER_EOL_CRLF))) {
		run(arg, slice_make(line, n), bufferevent_get_output(bev));
		free(line);
	}
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(bev);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int n,
		      void *arg)
{
	struct mp *mp = arg;
	struct bufferevent *bev = bufferevent_socket_new(mp->base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)l;
	(void)addr;
	(void)n;
	CHECK(bev);
	bufferevent_setcb(bev, on_line, NULL, on_end, mp);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int mp_control_open(struct mp *mp)
{
	struct evconnlistener *l;
	struct tool_address addr;
	char text[80];

	if (!mp->opt.control)
		return 0;
	if (tool_address_read(&addr, mp->opt.control) < 0)
		return -EINVAL;
	l = evconnlistener_new_bind(mp->base, on_accept, mp,
				    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE |
					    LEV_OPT_CLOSE_ON_EXEC,
				    -1, (struct sockaddr *)&addr.ss, (int)addr.len);
	if (!l)
		return -errno;
	tool_address_of(&addr, evconnlistener_get_fd(l));
	printf("control %s\n", tool_address_text(&addr, text, sizeof(text)));
	return 0;
}
