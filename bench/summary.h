/*
 * summary: medians, and how sure they are. Pure.
 */
#ifndef JT_BENCH_SUMMARY_H
#define JT_BENCH_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#define JT_SUMMARY_MAX 1000u /* values of one summary */

struct jt_summary {
	size_t n;      /* 0: nothing was left to summarise */
	double median; /* of the values */
	double low;    /* of the median, 95 % bootstrap interval */
	double high;
	/* shares of a core that others had in the worst slice beneath it, if
	 * not all were clean (keep.h) */
	double stolen;
	double foreign;
};

/* Sorts VALUES. The same values and SEED give the same interval. */
void jt_summary_make(double *values, size_t n, uint64_t seed,
		     struct jt_summary *out);

#endif
