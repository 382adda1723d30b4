/*
 * schedule: when an open loop means to send, whatever the server does. Pure.
 *
 * Poisson arrivals (exponential gaps, as of many callers who know nothing of
 * each other) or a fixed pace. Repeatable from a seed.
 */
#ifndef JT_BENCH_SCHEDULE_H
#define JT_BENCH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct jt_schedule {
	double gap_ns; /* mean */
	double at_ns;  /* of the one that is due next, since the start */
	bool fixed;    /* pace; else Poisson */
	uint64_t random;
};

/* PER_S arrivals a second, above 0. */
void jt_schedule_init(struct jt_schedule *s, double per_s, bool fixed,
		      uint64_t seed);

/* The next one is sent: go on to the one behind it. */
void jt_schedule_advance(struct jt_schedule *s);

#endif
