/*
 * curve: the latencies of all slices that count, as one histogram (keep.h): of
 * the clean ones together, or of the least disturbed one while there is none.
 */
#ifndef JT_BENCH_CURVE_H
#define JT_BENCH_CURVE_H

#include "bench/histogram.h"
#include "bench/keep.h"

struct jt_curve {
	struct jt_histogram all;
	struct jt_had had; /* of the worst slice in it */
};

void jt_curve_add(struct jt_curve *c, const struct jt_histogram *slice,
		  const struct jt_had *had);

#endif
