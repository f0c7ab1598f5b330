/*
 * A model of the management point. Requests share its cores (processor sharing): up to
 * `cores` of them run at full speed, more of them slow each other down, and beyond
 * collapse_at the whole does less. Status messages become files in STAT.BOX, which a
 * dispatcher moves away; many files slow both the dispatcher and every request.
 * Time is the caller's, in steps of a millisecond. Included by tests.
 */
#include "proxy/core/throttle_priv.h"

#include <stdlib.h>

#define MP_WORK_US 31000 /* of a message, alone */
#define MP_CORES   9.3	 /* 300 messages a second */

struct mp_job {
	TAILQ_ENTRY(mp_job) mp_link;
	double left_us; /* work still to be done */
	int64_t started_us;
	bool is_status;
};
TAILQ_HEAD(mp_jobs, mp_job);

struct mp {
	double cores;
	double work; /* factor: each request takes so many times longer */
	double collapse_at, collapse;
	unsigned reject_above; /* 503 at once; 0: never */
	bool is_down;	       /* refuses connections */
	bool is_hung;	       /* answers nothing */
	/* STAT.BOX; mover 0: no folder at all */
	double files, mover, mover_half; /* files a second; half of it with so many files */
	double slow_half;		 /* requests take twice as long with so many files */
	struct mp_jobs jobs;
	unsigned n, most;
	uint64_t served;
	uint64_t rng;
};

static void mp_init(struct mp *m, uint64_t seed)
{
	*m = (struct mp){
		.cores = MP_CORES,
		.work = 1,
		.collapse_at = 14,
		.collapse = 0.05,
		.rng = seed * 0x9e3779b97f4a7c15u + 1,
	};
	TAILQ_INIT(&m->jobs);
}

/* xorshift64*; 0 to 1. */
static double mp_random(struct mp *m)
{
	m->rng ^= m->rng >> 12;
	m->rng ^= m->rng << 25;
	m->rng ^= m->rng >> 27;
	return (double)(m->rng * 0x2545f4914f6cdd1du >> 11) / 9007199254740992.0;
}

/* Exponential, mean 1. */
static double mp_exponential(struct mp *m)
{
	return -0.6931 * throttle_log2(1 - mp_random(m));
}

/* false: refused at once. */
static bool mp_start(struct mp *m, struct mp_job *j, double work_us, bool is_status, int64_t now_us)
{
	if (m->is_down || (m->reject_above > 0 && m->n >= m->reject_above))
		return false;
	j->left_us = work_us * (0.4 + 0.6 * mp_exponential(m));
	j->started_us = now_us;
	j->is_status = is_status;
	TAILQ_INSERT_TAIL(&m->jobs, j, mp_link);
	m->n++;
	if (m->n > m->most)
		m->most = m->n;
	return true;
}

static double mp_speed(const struct mp *m)
{
	double power = m->cores, speed;

	if (m->is_hung || m->n == 0)
		return 0;
	if (m->n > m->collapse_at)
		power /= 1 + m->collapse * (m->n - m->collapse_at);
	speed = power / m->n;
	if (speed > 1)
		speed = 1;
	speed /= m->work;
	return m->slow_half > 0 ? speed / (1 + m->files / m->slow_half) : speed;
}

static void mp_remove(struct mp *m, struct mp_job *j)
{
	TAILQ_REMOVE(&m->jobs, j, mp_link);
	m->n--;
}

/* One step; what is ready moves to done. */
static void mp_step(struct mp *m, double step_us, struct mp_jobs *done)
{
	double work_us = step_us * mp_speed(m);
	struct mp_job *j = TAILQ_FIRST(&m->jobs);

	if (m->mover > 0) {
		double rate = m->mover / (1 + m->files / m->mover_half);

		m->files -= rate * step_us / US_PER_S;
		if (m->files < 0)
			m->files = 0;
	}
	while (j != NULL) {
		struct mp_job *next = TAILQ_NEXT(j, mp_link);

		j->left_us -= work_us;
		if (j->left_us <= 0 && !m->is_hung) {
			mp_remove(m, j);
			m->served++;
			if (j->is_status && m->mover > 0)
				m->files += 1;
			TAILQ_INSERT_TAIL(done, j, mp_link);
		}
		j = next;
	}
}
