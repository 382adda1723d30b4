/*
 * burn: a process that has nothing to do with anything and takes a given share
 * of a core: so much CPU time at the beginning of each period, arithmetic on
 * registers only, then sleep. What the core's others keep from it, it takes
 * later. It spoils no cache: as a neighbour it is as light as one can be that
 * takes as long.
 *
 * Errors: negative errno, said on stderr.
 */
#ifndef JT_BENCH_BURN_H
#define JT_BENCH_BURN_H

#include "bench/process.h"

struct jt_burn_shared;

struct jt_burn {
	/* set by the caller */
	const char *log;
	int cpu;
	double period_ns;
	double each_ns; /* of CPU time, in each period */
	struct jt_process process;
	struct jt_burn_shared *shared;
	/* results */
	uint64_t periods;
	uint64_t cpu_ns;
};

int jt_burn_start(struct jt_burn *b);
int jt_burn_stop(struct jt_burn *b);

#endif
