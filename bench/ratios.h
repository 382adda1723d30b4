/*
 * ratios: what a run says of two cells, made within each round.
 *
 * Where there are two ways to the same (two floors, two scripts), the ratio is
 * to the better of them: the one of the higher median rate, or of the lower
 * median cost, in this very run.
 */
#ifndef JT_BENCH_RATIOS_H
#define JT_BENCH_RATIOS_H

#include "bench/pairs.h"
#include "bench/rounds.h"

struct jt_ratio {
	const char *words;
	enum jt_metric metric;
	const char *over;
	const char *under[2]; /* the better of them; the second may be NULL */
	/* keys in goals.h, by pipeline depth; NULL: none */
	const char *goal_at_1, *goal_at_64;
};

extern const struct jt_ratio jt_ratios[];
extern const size_t jt_n_ratios;

/* False if one of the two took no part. *UNDERP: the name chosen. */
bool jt_ratio_make(const struct jt_rounds *r, unsigned pipeline,
		   const struct jt_ratio *q, struct jt_summary *out,
		   const char **underp);

/* Is there a goal for which NAME must be measured at that depth? */
bool jt_ratio_goal_needs(const char *name, unsigned pipeline);

/* Of one cell, over the slices that count. */
void jt_ratio_summary(const struct jt_rounds *r, unsigned cell,
		      enum jt_metric metric, struct jt_summary *out);

#endif
