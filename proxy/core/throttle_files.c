/*
 * STAT.BOX: the folder in which the management point keeps status messages until its file
 * dispatcher has moved them. The number of files is counted there and reported here; what
 * went in is known, so what is moved a second follows, and the rate of status messages is
 * set so that the folder comes back to half of throttle.files_high.
 */
#include "proxy/core/throttle_priv.h"

#include <stdio.h>

/* The way back is planned over this time, or three reports if that is longer. */
#define HORIZON_US   (60 * (int64_t)US_PER_S)
#define HORIZON_GAPS 3
/* Reports closer together than this are ignored: the slope would be noise. */
#define GAP_MIN_US (2 * (int64_t)US_PER_S)
/* No report for so long: the limit goes. */
#define SILENCE_US (180 * (int64_t)US_PER_S)
/* Bounds of the rate as parts of what is moved. */
#define LEAST 0.5
#define MOST  1.5

/* 41,200. out has room for 32 bytes. */
static const char *with_commas(uint64_t v, char *out)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)v), o = 0;

	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = '\0';
	return out;
}

static void set_cap(struct throttle *t, int64_t now_us, double cap, double sent, const char *why)
{
	struct files *f = &t->files;
	struct throttle_change change = {.what = THROTTLE_STATUS_RATE, .from = f->cap, .to = cap};
	double from = f->cap > 0 ? f->cap : sent;

	f->cap = cap;
	if (change.from == change.to)
		return;
	throttle_apply_rates(t);
	if (cap > 0)
		throttle_changed(t, now_us, &change, "%s: %.0f -> %.0f msg/s", why, from, cap);
	else
		throttle_changed(t, now_us, &change, "%s: no limit by files", why);
}

static void adapt(struct throttle *t, int64_t now_us, double sent, double slope, const char *why)
{
	struct files *f = &t->files;
	double target = (double)t->files_high / 2;
	int64_t horizon_us = HORIZON_GAPS * f->gap_us;
	double cap, moved;

	if (horizon_us < HORIZON_US)
		horizon_us = HORIZON_US;
	moved = sent - slope > 0 ? sent - slope : 0;
	f->moved = f->moved > 0 ? (f->moved + moved) / 2 : moved;
	if (f->cap <= 0 && (double)f->count < target)
		return;
	cap = f->moved + (target - (double)f->count) * US_PER_S / (double)horizon_us;
	if (cap < LEAST * f->moved)
		cap = LEAST * f->moved;
	if (cap > MOST * f->moved)
		cap = MOST * f->moved;
	/* Hardly a file left: what is moved is no measure of what could be. */
	if ((double)f->count < target / 2 && cap < f->cap * MOST)
		cap = f->cap * MOST;
	cap /= t->workers;
	if (cap < t->floor)
		cap = t->floor;
	if (cap >= t->ceiling)
		cap = 0;
	set_cap(t, now_us, cap, sent / t->workers, why);
}

void throttle_report_files(struct throttle *t, int64_t now_us, uint64_t count)
{
	struct files *f = &t->files;
	uint64_t passed = t->kinds[THROTTLE_STATUS].passed;
	char number[32], why[THROTTLE_REASON / 2];
	double sent, slope;

	if (t->files_high == 0 || (f->at_us != 0 && now_us - f->at_us < GAP_MIN_US))
		return;
	f->gap_us = f->at_us == 0 ? 0 : now_us - f->at_us;
	if (f->gap_us > 0) {
		/* Each worker has an equal part of the traffic and hears of the whole folder. */
		sent = (double)(passed - f->passed) * US_PER_S / (double)f->gap_us * t->workers;
		slope = ((double)count - (double)f->count) * US_PER_S / (double)f->gap_us;
		f->count = count;
		(void)snprintf(why, sizeof(why), "STAT.BOX %s files, %+.0f/min",
			       with_commas(count, number), slope * 60);
		if (t->mode == THROTTLE_AUTO)
			adapt(t, now_us, sent, slope, why);
	}
	f->at_us = now_us;
	f->count = count;
	f->passed = passed;
}

void files_tick(struct throttle *t, int64_t now_us)
{
	struct files *f = &t->files;
	int64_t silence_us = HORIZON_GAPS * f->gap_us;

	if (f->at_us == 0)
		return;
	if (silence_us < SILENCE_US)
		silence_us = SILENCE_US;
	if (now_us - f->at_us < silence_us)
		return;
	*f = (struct files){.cap = f->cap};
	set_cap(t, now_us, 0, 0, "STAT.BOX is reported no more");
}
