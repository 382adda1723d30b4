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

void jt_pairs_summary(struct jt_series of, size_t n_rounds, uint64_t seed,
		      struct jt_summary *out)
{
	jt_keep_summary(of.figures, of.had, n_rounds, seed, out);
}

void jt_pairs_ratio(struct jt_series over, struct jt_series under,
		    size_t n_rounds, uint64_t seed, struct jt_summary *out)
{
	const struct jt_had clean = {.taken = true};
	static struct jt_had had[JT_SUMMARY_MAX];
	double values[JT_SUMMARY_MAX];

	for (size_t i = 0; i < n_rounds; i++) {
		had[i] = jt_had_both(over.had ? &over.had[i] : &clean,
				     under.had ? &under.had[i] : &clean);
		values[i] = 0;
		if (under.figures[i] > 0)
			values[i] = over.figures[i] / under.figures[i];
	}
	jt_keep_summary(values, had, n_rounds, seed, out);
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
