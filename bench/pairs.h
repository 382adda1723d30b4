/*
 * pairs: several ways of doing a thing, in turn: in what order, and what to
 * make of it. Pure.
 *
 * In a round each way has one slice. Every other round runs backwards (A B,
 * B A), so that what drifts hits all alike, and ratios are made within a round.
 * Which slices and rounds count is told in keep.h; a figure that is not above 0
 * is none, and its round counts for no ratio with that way.
 */
#ifndef JT_BENCH_PAIRS_H
#define JT_BENCH_PAIRS_H

#include "bench/keep.h"

/* Which of N ways has the slice at PLACE (0 to N-1) of a round. */
unsigned jt_pairs_way(unsigned round, unsigned place, unsigned n);

/* What one way did: a figure a round, and who else had the cores meanwhile. */
struct jt_series {
	const double *figures;	  /* at most JT_SUMMARY_MAX */
	const struct jt_had *had; /* NULL: all are clean */
};

void jt_pairs_summary(struct jt_series of, size_t n_rounds, uint64_t seed,
		      struct jt_summary *out);
void jt_pairs_ratio(struct jt_series over, struct jt_series under,
		    size_t n_rounds, uint64_t seed, struct jt_summary *out);

/* The least figure that a share Q (0..1) does not exceed; 0: there is none. */
double jt_pairs_quantile(const double *figures, size_t n_rounds, double q);

#endif
