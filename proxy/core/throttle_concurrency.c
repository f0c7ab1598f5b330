/*
 * The concurrency limit that follows the management point. Answers are gathered in short windows.
 * Slowdown is log2(latency / base), the mean over classes, each against a base of its own; latency
 * is the geometric mean, which of a log-normal distribution is the median, and which no single
 * straggler moves. The limit moves so that slowdown comes to rest at TARGET (gradient, as Netflix's
 * concurrency-limits): a little above 0, where the management point just begins to queue.
 *
 * The base is the weak point of every such method: when the work itself becomes slower,
 * a limit that goes on comparing with old times ends at its floor. So whenever the limit
 * has been lowered, the outcome is a test. Latency that falls with the number under way
 * was queueing; latency that stays is what the work takes now, and becomes the base.
 * Nothing is ever pinned to a minimum to measure.
 */
#include "proxy/core/throttle_priv.h"

#include <stdio.h>

#define TARGET 0.35 /* 1.27 times the base */
#define GAIN   0.5
/* Nearer than this to the target, half of it: there it is mostly noise. */
#define NEAR 0.3
/* At most, per window: log2. */
#define STEP_UP	  0.5
#define STEP_DOWN (-1.0)
/* Below this slowdown there is no queue at all. */
#define NO_QUEUE   0.15
#define SURE	   3  /* windows without a queue in a row: raise as fast as allowed */
#define FULL_TRUST 16 /* answers from which a window decides with its whole weight */

/* A change by more than this share needs time to show. */
#define SETTLE_CHANGE 0.15
#define SETTLE_MAX_US (2 * (int64_t)US_PER_S)

/* The test: judge when so much less (log2) is under way. */
#define TEST_DROP     0.75
#define WORSE	      0.5
#define DRIFT_DROP    0.4
#define DRIFT_WINDOWS 5
#define DRIFT_SHARE   0.3
#define SMOOTH	      0.15
#define LOOK_DROP     0.5
/* Fallen by less than this share of the drop: it is the work. */
#define TEST_SHARE 0.55
/* Back at this share of the limit it began with, a test is over. */
#define BACK	     0.95
#define LOOK_STEP    (-0.7)
#define LOOK_OFF     0.1
#define LOOK_SIGMA   1.2
#define LOOK_SURE    0.7 /* share of what was found by which the base moves */
#define LOOK_UNSURE  0.3
#define LOOK_US	     (5 * (int64_t)US_PER_S)
#define LOOKS_MAX    4 /* doublings of the time between looks */
#define LOOK_WINDOWS 2 /* then it is given up */
/* At the floor: try upwards after so long, then after twice as long and so on. */
#define UP_US	(US_PER_S / 2)
#define UPS_MAX 7
#define UP_STEP 1.0

/*
 * How fast the base follows: down slowly, or at once when it is further than chance, of
 * which a window of n answers has about 1/sqrt(n); up in lulls, and a little at the floor,
 * where nothing is left to be lowered.
 */
#define LEARN	   60 /* answers before a new base is held to */
#define BASE_DOWN  0.1
#define BASE_HOLD  0.5 /* for HOLD windows after a jump, in which nothing is raised */
#define HOLD	   3
#define BASE_FAR   0.2
#define BASE_SIGMA 3.0
#define BASE_UP	   0.05
#define BASE_FLOOR 0.01
#define IDLE_SLOW  1.0
#define LULL	   0.6 /* share of the limit in use */

/* How far the mean of n answers strays by chance. */
static double chance_of(unsigned n)
{
	return throttle_exp2(-0.5 * throttle_log2(n));
}

static double in_ms(double log2_us)
{
	return (throttle_exp2(log2_us) - LIMIT_GRAIN_US) / 1000;
}

/*
 * When answers tell of a new limit: as long as an answer takes and half of it more. All that
 * come then count, whenever they were asked for: those begun since are the quick ones first.
 */
static int64_t settled_at(const struct limiter *l, int64_t now_us)
{
	double most = 0;
	int64_t us;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
		if (l->w.n[c] > 0 && l->last[c] > most)
			most = l->last[c];
	us = (int64_t)(throttle_exp2(most) * 1.5);
	return now_us + (us < SETTLE_MAX_US ? us : SETTLE_MAX_US);
}

/* The calculated limit comes into force once it differs enough: no flutter, no flood of reports. */
static void apply(struct throttle *t, int64_t now_us, const char *why)
{
	struct limiter *l = &t->limiter;
	struct throttle_change change = {.what = THROTTLE_CONCURRENCY, .from = l->applied};
	unsigned want;
	double off;

	l->limit = limit_bounded(l->limit, t->floor_n, t->ceiling_n);
	want = (unsigned)(l->limit + 0.5);
	off = l->limit > l->applied ? l->limit - l->applied : l->applied - l->limit;
	if (want == l->applied)
		return;
	if (want > t->floor_n && want < t->ceiling_n && (off < 0.75 || off < 0.1 * l->applied))
		return;
	if (off > SETTLE_CHANGE * l->applied)
		l->w.settled_us = settled_at(l, now_us);
	l->applied = want;
	change.to = want;
	throttle_changed(t, now_us, &change, "%s: %.0f -> %u at once", why, change.from, want);
}

void limit_set(struct throttle *t, int64_t now_us, double limit, const char *format, double a,
	       double b)
{
	char why[THROTTLE_REASON / 2];

	t->limiter.limit = limit;
	(void)snprintf(why, sizeof(why), format, a, b);
	apply(t, now_us, why);
}

/* How far, and how surely, the base of a class follows its mean of a window. */
static void move_base(struct throttle *t, unsigned c, double off, bool is_lull)
{
	struct limiter *l = &t->limiter;
	double trust = limit_bounded((double)l->w.n[c] / FULL_TRUST, 0, 1);
	double chance = BASE_SIGMA * chance_of(l->w.n[c]);

	if (l->learned[c] < LEARN) {
		l->learned[c] += l->w.n[c];
		l->base[c] += off * l->w.n[c] / l->learned[c];
	} else if (off < -BASE_FAR - chance) {
		l->base[c] += off;
		l->n_hold = HOLD;
	} else if (off < 0) {
		l->base[c] += off * trust * (l->n_hold > 0 ? BASE_HOLD : BASE_DOWN);
	} else if (is_lull) {
		l->base[c] += off * trust * BASE_UP;
	} else if (l->applied <= t->floor_n && t->mode == THROTTLE_AUTO && !t->is_observing) {
		l->base[c] += off * trust * BASE_FLOOR;
	}
}

/* Slowdown of this window; the bases of its classes follow. */
static double judge_latency(struct throttle *t, double busy)
{
	struct limiter *l = &t->limiter;
	bool is_lull = !l->w.was_full && busy < LULL * l->applied;
	double sum = 0;

	if (l->n_hold > 0)
		l->n_hold--;
	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		double mean, off;

		if (l->w.n[c] == 0)
			continue;
		mean = l->w.sum[c] / l->w.n[c];
		l->last[c] = mean;
		if (l->base[c] <= 0) {
			l->base[c] = mean;
			l->learned[c] = 0;
		}
		off = mean - l->base[c];
		sum += off * l->w.n[c];
		move_base(t, c, off, is_lull);
	}
	return sum / l->w.n_samples;
}

static void begin_test(struct limiter *l, double busy)
{
	l->test = TEST_LOWERED;
	l->ref_slowdown = l->slowdown;
	l->n_low = 0;
	l->low_slowdown = 0;
	l->low_drop = 0;
	l->ref_busy = busy;
	l->ref_limit = l->limit;
	l->n_windows = 0;
}

static void plan_look(struct limiter *l, unsigned n_looks, int64_t now_us)
{
	l->test = TEST_NONE;
	l->n_looks = n_looks < LOOKS_MAX ? n_looks : LOOKS_MAX;
	l->next_look_us = now_us + (LOOK_US << l->n_looks);
}

/* The work takes longer now: what was measured with less under way is the new base. */
static void raise_base(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	double from = 0, to = 0;
	unsigned most = 0;

	for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++) {
		double mean = l->w.n[c] > 0 ? l->w.sum[c] / l->w.n[c] : 0;

		if (l->w.n[c] > most) {
			most = l->w.n[c];
			from = l->base[c];
			to = mean;
		}
		l->base[c] = mean; /* 0: learned when it is seen */
	}
	l->slowdown = 0;
	l->smooth = 0;
	plan_look(l, 0, now_us);
	limit_set(t, now_us, l->ref_limit, "no faster with less under way, base %.0f -> %.0f ms",
		  in_ms(from), in_ms(to));
}

static bool is_near(double slowdown)
{
	return slowdown > TARGET - NEAR && slowdown < TARGET + NEAR;
}

/* Looking makes sense where the limit has come to rest. */
static bool is_look_due(struct limiter *l, int64_t now_us)
{
	if (l->next_look_us == 0)
		plan_look(l, 0, now_us);
	return now_us >= l->next_look_us && l->n_hold == 0 && is_near(l->slowdown) &&
	       is_near(l->smooth);
}

static void begin_look(struct throttle *t, double busy, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	begin_test(l, busy);
	l->test = TEST_LOOK;
	limit_set(t, now_us, l->limit * throttle_exp2(LOOK_STEP),
		  "looking again at the base (%.0f under way, %.1f times)", busy,
		  throttle_exp2(l->slowdown));
}

/* With so much less under way there is no queue: what is measured now is the base. */
static void judge_look(struct throttle *t, double drop, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	double off = l->slowdown, chance = LOOK_OFF + LOOK_SIGMA * chance_of(l->w.n_samples);

	if (drop < LOOK_DROP && l->n_hold == 0 && ++l->n_windows < LOOK_WINDOWS)
		return;
	if (drop < LOOK_DROP || l->n_hold > 0) {
		/* Not lowered enough, or the base has just moved by itself. */
		plan_look(l, l->n_looks, now_us);
		off = 0;
	} else {
		bool is_sure = off > chance || off < -chance;

		for (unsigned c = 0; c < THROTTLE_N_CLASSES; c++)
			if (l->base[c] > 0)
				l->base[c] += off * (is_sure ? LOOK_SURE : LOOK_UNSURE);
		l->slowdown = 0;
		l->smooth = 0;
		plan_look(l, is_sure ? 0 : l->n_looks + 1, now_us);
	}
	/* It was too high: then the limit was as well. */
	if (off < -chance)
		return;
	limit_set(t, now_us, l->ref_limit, "has looked at the base (%.0f under way, %.1f times)",
		  l->ref_busy, throttle_exp2(off));
}

/* At the floor and slow: is that a queue, or only the work? More under way will tell. */
static void begin_up(struct throttle *t, double busy, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	begin_test(l, busy);
	l->test = TEST_UP;
	limit_set(t, now_us, l->limit * throttle_exp2(UP_STEP),
		  "%.1f times the base at the floor (%.0f under way), trying more",
		  throttle_exp2(l->slowdown), busy);
}

static void judge_up(struct throttle *t, double grown, double risen, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	if (grown < LOOK_DROP && ++l->n_windows < LOOK_WINDOWS)
		return;
	if (grown >= LOOK_DROP && risen < TEST_SHARE * grown) {
		l->ref_limit = l->limit;
		raise_base(t, now_us);
		return;
	}
	l->test = TEST_NONE;
	if (l->n_ups < UPS_MAX)
		l->n_ups++;
	l->next_up_us = now_us + (UP_US << l->n_ups);
	limit_set(t, now_us, l->ref_limit, "%.1f times the base with more under way (%.0f before)",
		  throttle_exp2(l->slowdown), l->ref_busy);
}

/* Is it time for a test from the floor? */
static bool is_stuck(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	if (l->applied > t->floor_n) {
		l->next_up_us = 0;
		l->n_ups = 0;
		return false;
	}
	if (l->slowdown <= TARGET || t->is_observing)
		return false;
	if (l->next_up_us == 0)
		l->next_up_us = now_us;
	return now_us >= l->next_up_us && l->w.was_full;
}

/* Slowly lowered, and for nothing? A small drop needs many windows to tell. */
static void judge_drift(struct throttle *t, double busy, double drop, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	l->n_low++;
	l->low_slowdown += l->slowdown;
	l->low_drop += drop;
	if (l->n_low < DRIFT_WINDOWS)
		return;
	if (l->ref_slowdown * l->n_low - l->low_slowdown < DRIFT_SHARE * l->low_drop)
		raise_base(t, now_us);
	else
		begin_test(l, busy);
}

static void judge_lowered(struct throttle *t, double busy, double drop, double fallen,
			  int64_t now_us)
{
	struct limiter *l = &t->limiter;

	if (l->slowdown <= TARGET && l->limit >= BACK * l->ref_limit) {
		l->test = TEST_NONE;
	} else if (fallen < -WORSE || drop < 0) {
		/* It was still getting slower when the test began. */
		l->ref_slowdown = l->slowdown;
		l->ref_busy = busy;
	} else if (drop >= TEST_DROP) {
		if (fallen < TEST_SHARE * drop)
			raise_base(t, now_us);
		else
			begin_test(l, busy);
	} else if (drop >= DRIFT_DROP) {
		judge_drift(t, busy, drop, now_us);
	}
}

/* true: nothing more is to be changed in this window. */
static bool judge_test(struct throttle *t, double busy, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	double drop, fallen, limit = l->limit, slowdown = l->slowdown;

	if (l->test == TEST_NONE)
		return false;
	if (busy <= 0 || l->w.n_samples < LIMIT_FEW)
		return l->test != TEST_LOWERED;
	drop = throttle_log2(l->ref_busy / busy);
	fallen = l->ref_slowdown - l->slowdown;
	if (l->test == TEST_LOOK)
		judge_look(t, drop, now_us);
	else if (l->test == TEST_UP)
		judge_up(t, -drop, -fallen, now_us);
	else
		judge_lowered(t, busy, drop, fallen, now_us);
	/* A limit or base that has just been set must not be judged by the old figures. */
	return l->limit != limit || l->slowdown != slowdown || l->test == TEST_LOOK ||
	       l->test == TEST_UP;
}

static void lower(struct throttle *t, double busy, double step, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	double from = l->limit;

	/* Hardly in use: a few answers have been slow, and lowering would change nothing now. */
	if (!l->w.was_full && busy < LULL * l->limit && l->slowdown < IDLE_SLOW)
		return;
	if (l->test == TEST_NONE)
		begin_test(l, busy);
	/* Only what is in use can be lowered. */
	if (!l->w.was_full && busy < from)
		from = busy;
	limit_set(t, now_us, from * throttle_exp2(step),
		  "latency %.1f times its base, %.0f under way", throttle_exp2(l->slowdown), busy);
}

static void lift(struct throttle *t, double step, int64_t now_us)
{
	struct limiter *l = &t->limiter;

	/* One good window may be luck. */
	if (l->n_good >= SURE)
		step = STEP_UP;
	else if (l->n_good == SURE - 1)
		step *= 2;
	if (step > STEP_UP)
		step = STEP_UP;
	limit_set(t, now_us, l->limit * throttle_exp2(step),
		  "latency %.1f times its base, more is waiting (%.0f answers)",
		  throttle_exp2(l->slowdown), l->w.n_samples);
}

void limit_adapt_concurrency(struct throttle *t, int64_t now_us)
{
	struct limiter *l = &t->limiter;
	int64_t span_us = now_us - l->busy_start_us;
	double busy, off, step, trust = limit_bounded((double)l->w.n_samples / FULL_TRUST, 0, 1);

	limit_count_busy(l, now_us);
	busy = span_us > 0 ? l->busy_area / (double)span_us : l->busy;
	l->slowdown = judge_latency(t, busy);
	l->smooth += (l->slowdown - l->smooth) * SMOOTH;
	if (t->mode != THROTTLE_AUTO)
		return;
	l->n_good = l->slowdown < NO_QUEUE ? l->n_good + 1 : 0;
	if (judge_test(t, busy, now_us))
		return;
	off = TARGET - l->slowdown;
	step = off * GAIN * trust * (off > -NEAR && off < NEAR ? 0.5 : 1);
	if (is_stuck(t, now_us))
		begin_up(t, busy, now_us);
	else if (l->w.was_full && is_look_due(l, now_us))
		begin_look(t, busy, now_us);
	else if (step < 0)
		lower(t, busy, step < STEP_DOWN ? STEP_DOWN : step, now_us);
	else if (l->w.was_full && l->n_hold == 0)
		lift(t, step, now_us);
}
