/* pairs: what is compared was measured in the same round, in turn. */
#include "bench/pairs.h"

#include <criterion/criterion.h>

Test(pairs, every_other_round_runs_backwards)
{
	static const unsigned want[4][3] = {
		{0, 1, 2}, {2, 1, 0}, {0, 1, 2}, {2, 1, 0}};

	for (unsigned round = 0; round < 4; round++)
		for (unsigned place = 0; place < 3; place++)
			cr_expect_eq(jt_pairs_way(round, place, 3),
				     want[round][place]);
}

Test(pairs, each_way_stands_as_early_as_late)
{
	unsigned sums[4] = {0};

	for (unsigned round = 0; round < 6; round++)
		for (unsigned place = 0; place < 4; place++)
			sums[jt_pairs_way(round, place, 4)] += place;
	for (unsigned way = 0; way < 4; way++)
		cr_expect_eq(sums[way], 9);
}

Test(pairs, a_drift_that_hits_both_is_no_difference)
{
	double over[10], under[10];
	struct jt_summary s;

	for (unsigned i = 0; i < 10; i++) {
		under[i] = 100 * (i + 1);
		over[i] = 1.5 * under[i];
	}
	jt_pairs_ratio((struct jt_series){over, NULL},
		       (struct jt_series){under, NULL}, 10, 1, &s);
	cr_expect_eq(s.n, 10);
	cr_expect_float_eq(s.median, 1.5, 1e-9);
	cr_expect_float_eq(s.low, 1.5, 1e-9);
	cr_expect_float_eq(s.high, 1.5, 1e-9);
}

Test(pairs, what_has_no_figure_takes_its_round_along)
{
	const double over[] = {2, 0, 4, 99};
	const double under[] = {1, 1, 2, 0};
	struct jt_summary s;

	jt_pairs_ratio((struct jt_series){over, NULL},
		       (struct jt_series){under, NULL}, 4, 1, &s);
	cr_expect_eq(s.n, 2);
	cr_expect_float_eq(s.median, 2, 1e-9);
	jt_pairs_summary((struct jt_series){over, NULL}, 4, 1, &s);
	cr_expect_eq(s.n, 3);
	cr_expect_float_eq(s.median, 4, 1e-9);
}

Test(pairs, of_nothing_there_is_no_ratio)
{
	const double none[] = {0, 0};
	struct jt_summary s;

	jt_pairs_ratio((struct jt_series){none, NULL},
		       (struct jt_series){none, NULL}, 2, 1, &s);
	cr_expect_eq(s.n, 0);
	cr_expect_eq(jt_pairs_quantile(none, 2, 0.99), 0);
}

Test(pairs, quantiles_are_figures_that_were_measured)
{
	double figures[300];

	for (unsigned i = 0; i < 300; i++)
		figures[i] = (double)((i * 7) % 300 + 1);
	cr_expect_eq(jt_pairs_quantile(figures, 300, 0.5), 150);
	cr_expect_eq(jt_pairs_quantile(figures, 300, 0.99), 297);
	cr_expect_eq(jt_pairs_quantile(figures, 300, 1), 300);
	cr_expect_eq(jt_pairs_quantile(figures, 300, 0), 1);
	cr_expect_eq(jt_pairs_quantile(figures, 1, 0.99), 1);
}
