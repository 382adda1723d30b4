/*
 * summary: see summary.h.
 *
 * Percentile bootstrap (Efron): the median of many samples drawn from the
 * values with replacement; the middle 95 % of those medians is the interval.
 * It assumes nothing about the noise, which on a shared machine is anything
 * but normal.
 */
#include "bench/summary.h"

#include "bench/random.h"

#include <assert.h>
#include <stdlib.h>

#define DRAWS 2000u

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

void jt_summary_make(double *values, size_t n, uint64_t seed,
		     struct jt_summary *out)
{
	static double drawn[JT_SUMMARY_MAX], medians[DRAWS];

	assert(n <= JT_SUMMARY_MAX);
	*out = (struct jt_summary){.n = n};
	if (!n)
		return;
	out->median = median_of(values, n);
	for (size_t d = 0; d < DRAWS; d++) {
		for (size_t i = 0; i < n; i++)
			drawn[i] = values[jt_random_below(&seed, n)];
		medians[d] = median_of(drawn, n);
	}
	qsort(medians, DRAWS, sizeof(*medians), compare);
	out->low = medians[DRAWS / 40];
	out->high = medians[DRAWS - 1 - DRAWS / 40];
}
