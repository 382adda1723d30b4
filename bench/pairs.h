/*
 * pairs: several ways of doing a thing, in turn: in what order, and what to
 * make of it. Pure.
 *
 * In a round each way has one slice. Every other round runs backwards (A B,
 * B A), so that what drifts hits all alike, and ratios are made within a round.
 * A figure that is not above 0 stands for a slice that was dropped: its round
 * counts for no ratio with that way.
 */
#ifndef JT_BENCH_PAIRS_H
#define JT_BENCH_PAIRS_H

#include "bench/summary.h"

/* Which of N ways has the slice at PLACE (0 to N-1) of a round. */
unsigned jt_pairs_way(unsigned round, unsigned place, unsigned n);

/* Of each: a figure a round, N_ROUNDS of them (at most JT_SUMMARY_MAX). */
void jt_pairs_summary(const double *figures, size_t n_rounds, uint64_t seed,
		      struct jt_summary *out);
void jt_pairs_ratio(const double *over, const double *under, size_t n_rounds,
		    uint64_t seed, struct jt_summary *out);

/* The least figure that a share Q (0..1) does not exceed; 0: there is none. */
double jt_pairs_quantile(const double *figures, size_t n_rounds, double q);

#endif
