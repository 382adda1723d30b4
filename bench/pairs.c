/* pairs: see pairs.h. */
#include "bench/pairs.h"

#include <math.h>
#include <stdlib.h>

unsigned jt_pairs_way(unsigned round, unsigned place, unsigned n)
{
	return round % 2 ? n - 1 - place : place;
}

static size_t keep(const double *figures, size_t n, double *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (figures[i] > 0)
			out[kept++] = figures[i];
	return kept;
}

void jt_pairs_summary(const double *figures, size_t n_rounds, uint64_t seed,
		      struct jt_summary *out)
{
	double values[JT_SUMMARY_MAX];

	jt_summary_make(values, keep(figures, n_rounds, values), seed, out);
}

void jt_pairs_ratio(const double *over, const double *under, size_t n_rounds,
		    uint64_t seed, struct jt_summary *out)
{
	double values[JT_SUMMARY_MAX];
	size_t n = 0;

	for (size_t i = 0; i < n_rounds; i++)
		if (over[i] > 0 && under[i] > 0)
			values[n++] = over[i] / under[i];
	jt_summary_make(values, n, seed, out);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double jt_pairs_quantile(const double *figures, size_t n_rounds, double q)
{
	double values[JT_SUMMARY_MAX];
	size_t n = keep(figures, n_rounds, values);
	size_t rank = (size_t)ceil(q * (double)n);

	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), compare);
	return values[rank ? rank - 1 : 0];
}
