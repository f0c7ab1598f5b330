#include "proxy/core/pace.h"

#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/metrics.h"
#include "proxy/base/siphash.h"
#include "proxy/core/statbox.h"

#include <errno.h>
#include <stdlib.h>

#define CLASSES_MAX 64

/* Clients are strangers: a keyed function, so that nobody shares a queue by choice. */
static const struct siphash_key client_key = {0x70616365636c6931u, 0x7374617477656972u};

static struct exchange *exchange_of(struct throttle_item *item)
{
	return (struct exchange *)((char *)item - offsetof(struct exchange, pace));
}

/* The timer runs only while somebody is held. */
static void set_timer(struct worker *w)
{
	int ms = throttle_next_ms(w->throttle, clock_mono_us());
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (ms < 0)
		return;
	if (ms == 0)
		tv.tv_usec = 1000;
	event_add(w->pace_timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	clock_touch();
	throttle_tick(w->throttle, clock_mono_us());
	set_timer(w);
}

/* --- what the throttle calls --- */

static void on_go(void *arg, struct throttle_item *item, int64_t now_us)
{
	(void)arg;
	(void)now_us;
	exch_send(exchange_of(item));
}

static void on_refuse(void *arg, struct throttle_item *item, unsigned retry_after_s, int64_t now_us)
{
	struct exchange *x = exchange_of(item);

	(void)arg;
	(void)now_us;
	x->retry_after_s = retry_after_s;
	exch_refuse(x, REASON_THROTTLED);
}

static void on_change(void *arg, const struct throttle_change *change)
{
	(void)arg;
	log_line(LOG_INFO, "throttle", "change=\"%s\"", change->reason);
}

/* --- which class --- */

/* One of throttle.classes. */
struct pace_class {
	struct slice name;
	enum throttle_class cls;
};

static bool read_class(struct slice item, struct pace_class *out)
{
	const char *equals = item.n == 0 ? NULL : memchr(item.p, '=', item.n);
	struct slice word;

	if (equals == NULL || equals == item.p)
		return false;
	out->name = slice_trim(slice_make(item.p, (size_t)(equals - item.p)));
	word = slice_trim(slice_drop(item, (size_t)(equals - item.p) + 1));
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		if (slice_eq(word, slice_str(throttle_class_name((enum throttle_class)c)))) {
			out->cls = (enum throttle_class)c;
			return true;
		}
	return false;
}

static int read_classes(struct worker *w)
{
	struct slice rest = slice_str(w->conf->throttle_classes), item;

	w->pace_classes = calloc(CLASSES_MAX, sizeof(*w->pace_classes));
	if (w->pace_classes == NULL)
		return -ENOMEM;
	while (slice_next_item(&rest, &item)) {
		if (item.n == 0)
			continue;
		if (w->n_pace_classes == CLASSES_MAX ||
		    !read_class(item, &w->pace_classes[w->n_pace_classes++])) {
			log_line(LOG_ERROR, "configuration",
				 "setting=throttle.classes value=\"%s\" error=\"not a list of at "
				 "most %d NAME=CLASS\"",
				 w->conf->throttle_classes, CLASSES_MAX);
			return -EINVAL;
		}
	}
	return 0;
}

static enum throttle_class class_of(const struct exchange *x, struct slice endpoint)
{
	const struct worker *w = x->w;

	if (x->is_recognised)
		return THROTTLE_STATUS;
	for (unsigned i = 0; i < w->n_pace_classes; i++) {
		const struct pace_class *k = &w->pace_classes[i];

		if (k->name.p[0] == '/' ? slice_istarts(x->head.path, k->name)
					: slice_ieq(endpoint, k->name))
			return k->cls;
	}
	return throttle_classify(x->head.method, x->head.target, endpoint);
}

int pace_open(struct worker *w)
{
	struct throttle_calls calls = {
		.go = on_go, .refuse = on_refuse, .change = on_change, .arg = w};
	int rc = read_classes(w);

	if (rc < 0)
		return rc;
	w->pace_timer = event_new(w->base, -1, 0, on_timer, w);
	if (w->pace_timer == NULL)
		return -ENOMEM;
	return throttle_new(&w->throttle, w->conf, &calls);
}

void pace_close(struct worker *w)
{
	throttle_free(w->throttle);
	w->throttle = NULL;
	if (w->pace_timer != NULL)
		event_free(w->pace_timer);
	w->pace_timer = NULL;
	free(w->pace_classes);
	w->pace_classes = NULL;
}

/* --- an exchange's way through --- */

static void describe(struct exchange *x, const struct verdict *v)
{
	struct throttle_item *item = &x->pace;
	struct conn *c = x->c;
	struct slice client = x->client;

	item->cls = class_of(x, v != NULL ? v->endpoint : slice_make("", 0));
	/* Known by its name where the message told it, else by where it comes from. */
	if (client.n == 0 && v != NULL)
		client = v->sender;
	item->client = siphash(&client_key, client.n > 0 ? client : slice_str(c->peer));
	item->network = c->network;
	item->bytes = iobuf_used(&c->s.in);
}

void pace_forward(struct exchange *x, const struct verdict *v)
{
	struct worker *w = x->w;
	unsigned retry_after_s = 0;

	if (w->conf->throttle_mode == CONF_THROTTLE_OFF) {
		exch_send(x);
		return;
	}
	describe(x, v);
	switch (throttle_submit(w->throttle, &x->pace, clock_mono_us(), &retry_after_s)) {
	case THROTTLE_GO:
		exch_send(x);
		return;
	case THROTTLE_HELD:
		x->state = EXCH_HELD;
		x->deadline_ms = INT64_MAX; /* the queue has an age of its own */
		set_timer(w);
		return;
	case THROTTLE_REFUSED:
		x->retry_after_s = retry_after_s;
		exch_refuse(x, REASON_THROTTLED);
		return;
	}
}

static enum throttle_outcome outcome_of(const struct exchange *x, enum fate fate, enum reason why)
{
	/* A reset of a connection that there was comes after something was sent. */
	if (x->sent_us == 0 && (why == REASON_UP_REFUSED || why == REASON_UP_CONNECT_TIMEOUT))
		return THROTTLE_UNREACHABLE;
	if (why == REASON_UP_TIMEOUT || why == REASON_UP_SILENT)
		return THROTTLE_TIMEOUT;
	if (fate == FATE_PASSED)
		return x->up_head.status >= 502 && x->up_head.status <= 504 ? THROTTLE_ERROR
									    : THROTTLE_OK;
	/* Errors of the client's own making say nothing about the management point. */
	if (fate == FATE_REFUSED && reason_table[why].status >= 502)
		return THROTTLE_ERROR;
	return THROTTLE_ABORTED;
}

void pace_ended(struct exchange *x, enum fate fate, enum reason why)
{
	struct worker *w = x->w;
	int64_t latency_us = x->answered_us - x->sent_us;

	switch (x->pace.state) {
	case THROTTLE_ITEM_HELD:
	case THROTTLE_ITEM_LEAVING:
		throttle_cancel(w->throttle, &x->pace);
		break;
	case THROTTLE_ITEM_GONE:
		if (x->sent_us == 0 || x->answered_us == 0 || latency_us < 0)
			latency_us = 0;
		throttle_done(w->throttle, &x->pace, clock_mono_us(), latency_us,
			      outcome_of(x, fate, why));
		set_timer(w);
		break;
	case THROTTLE_ITEM_IDLE:
		break;
	}
}

/* --- figures --- */

static void tell_class(struct worker *w, enum throttle_class c, enum metric first)
{
	struct throttle_figures f;
	int64_t *v = metrics_self->v + first;

	throttle_figures(w->throttle, c, clock_mono_us(), &f);
	v[0] = f.held;
	v[THROTTLE_N_CLASSES] = (int64_t)f.held_bytes;
	v[2 * THROTTLE_N_CLASSES] = f.in_flight;
	v[3 * THROTTLE_N_CLASSES] = (int64_t)f.rate;
	v[4 * THROTTLE_N_CLASSES] = (int64_t)f.rate_limit;
	v[5 * THROTTLE_N_CLASSES] = f.concurrency_limit;
	v[6 * THROTTLE_N_CLASSES] = f.queue_limit;
	v[7 * THROTTLE_N_CLASSES] = f.hold_p50_us / 1000;
	v[8 * THROTTLE_N_CLASSES] = f.hold_p99_us / 1000;
	v[9 * THROTTLE_N_CLASSES] = (int64_t)f.passed;
	v[10 * THROTTLE_N_CLASSES] = (int64_t)f.held_total;
	v[11 * THROTTLE_N_CLASSES] = (int64_t)f.refused_total;
	v[12 * THROTTLE_N_CLASSES] = (int64_t)f.aborted;
}

void pace_tick(struct worker *w)
{
	struct throttle_totals all;
	uint64_t files;

	if (w->conf->throttle_mode == CONF_THROTTLE_OFF)
		return;
	if (statbox_read(w->conf, &files))
		throttle_report_files(w->throttle, clock_mono_us(), files);
	throttle_tick(w->throttle, clock_mono_us());
	set_timer(w);
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		tell_class(w, (enum throttle_class)c, (enum metric)(M_THROTTLE_HELD_STATUS + c));
	throttle_totals(w->throttle, &all);
	metric_set(M_HELD, all.held);
	metric_set(M_THROTTLE_CONCURRENCY, all.concurrency_limit);
	metric_set(M_THROTTLE_RATE, (int64_t)all.rate_limit);
	metric_set(M_THROTTLE_STATUS_RATE, (int64_t)all.status_rate_limit);
	metric_set(M_THROTTLE_CHANGES, (int64_t)all.n_changes);
}

void pace_drain(struct worker *w, int64_t until_ms)
{
	/* Half of the time: what goes last must be answered as well. */
	int64_t now = clock_mono_us(), left = until_ms * 1000 - now;

	if (w->conf->throttle_mode == CONF_THROTTLE_OFF)
		return;
	throttle_drain(w->throttle, now, now + left / 2);
	set_timer(w);
}
