/*
 * keep: which slices count, where others want the cores, too. Pure.
 *
 * A slice is clean if the host stole at most 1 % of a core's time meanwhile and
 * strangers had no more than the verb allows (undisturbed, 2 to 4 % are
 * interrupts and rounding). The rules, in their order:
 *
 *   1. A slice that is not clean is taken again at once, in its place in the
 *      round, a few times at most and within a budget of time that is shared
 *      out evenly over the rounds. Of the attempts the least disturbed stands.
 *   2. A figure stands on clean slices alone, a ratio on the rounds in which
 *      both of its slices are clean.
 *   3. If there are less than three of them, the least disturbed ones of the
 *      others fill up to three, and the summary says how much of a core others
 *      had in the worst of them. A ratio is as disturbed as the worse of its
 *      two slices: still made within a round, never of slices far apart.
 *
 * What is chosen by is who had the cores, never the figure that was measured.
 * Three is the least of which a median shuts out an outlier.
 */
#ifndef JT_BENCH_KEEP_H
#define JT_BENCH_KEEP_H

#include "bench/summary.h"

#include <stdbool.h>

#define JT_KEEP_STOLEN_MAX 0.01
#define JT_KEEP_FOREIGN_MAX 0.10
#define JT_KEEP_LEAST 3u
#define JT_KEEP_RETAKES_MAX 3u /* of one slice */

/* Who else had the cores; all zero: there was no slice. */
struct jt_had {
	bool taken;
	double stolen; /* shares of one core's time */
	double foreign;
	double excess; /* the greater of the two by what is allowed of it */
};

/* FOREIGN_MAX: what the verb allows strangers. */
struct jt_had jt_had_of(double stolen, double foreign, double foreign_max);
bool jt_had_clean(const struct jt_had *had);
/* Was a slice with A less disturbed than one with B? None is worse than any. */
bool jt_had_less(const struct jt_had *a, const struct jt_had *b);
/* Of what stands on two slices; not taken if one was not. */
struct jt_had jt_had_both(const struct jt_had *a, const struct jt_had *b);

struct jt_retakes {
	/* set by the caller */
	uint64_t budget_ns;
	unsigned n_rounds;
	/* results */
	uint64_t spent_ns;
	unsigned n;
};

/*
 * Take the slice of that round again, which took COST_NS and has been taken
 * again TRIES times? Counts it if so.
 */
bool jt_retakes_again(struct jt_retakes *r, unsigned round, unsigned tries,
		      const struct jt_had *had, uint64_t cost_ns);

/*
 * Summarise the figures that count. One that is not above 0, or whose slice was
 * not taken, is none. HAD NULL: all are clean.
 */
void jt_keep_summary(const double *figures, const struct jt_had *had, size_t n,
		     uint64_t seed, struct jt_summary *out);

/* "kept with 2.1 % stolen, 14 % others", of it what is there; "" if all slices
 * were clean. */
const char *jt_keep_words(const struct jt_summary *s, char out[64]);

#endif
