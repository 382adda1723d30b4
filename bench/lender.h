/*
 * lender: a table of any size without a journal: a process that fills both
 * segments through the table's writer and lends them as a keeper does, so that
 * libjeton attaches to it and verifies as in earnest.
 *
 * Number 0 to N-1 are tokens of derived.h, shuffled by nature. They have the
 * rate that jeton.h gives to those of a run. Two more stand behind them:
 * number N is never refused, for a request each nanosecond is allowed; number
 * N + 1 may have JT_JETON_LIMITED_RATE a second. Errors: negative errno.
 */
#ifndef JT_BENCH_LENDER_H
#define JT_BENCH_LENDER_H

#include "bench/process.h"
#include "shm/segment.h"

#include <stddef.h>

#define JT_LENDER_EXTRA 2u

struct jt_lender {
	const char *dir; /* where jeton-attach.sock will be */
	uint64_t n, seed;
	struct jt_process process;
};

/* Start and wait until it lends. Said on stderr when it does not. */
int jt_lender_start(struct jt_lender *l, int cpu);
void jt_lender_stop(struct jt_lender *l);

/* The segments as another process maps them. */
int jt_lender_map(const struct jt_lender *l, struct jt_maps *maps);

#endif
