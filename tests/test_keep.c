/* keep: which slices count is told by who had the cores, by nothing else. */
#include "bench/curve.h"
#include "bench/pairs.h"

#include <criterion/criterion.h>
#include <string.h>

#define ROUNDS 6u

static struct jt_had stolen(double share)
{
	return jt_had_of(share, 0.02, JT_KEEP_FOREIGN_MAX);
}

static void fill(struct jt_had had[ROUNDS], const double shares[ROUNDS])
{
	for (unsigned i = 0; i < ROUNDS; i++)
		had[i] = stolen(shares[i]);
}

/* ---- clean or not ---- */

Test(keep, one_tick_in_a_second_is_clean_two_are_not)
{
	struct jt_had one = stolen(0.01), two = stolen(0.02);

	cr_expect(jt_had_clean(&one));
	cr_expect_not(jt_had_clean(&two));
}

Test(keep, strangers_count_as_much_as_the_host)
{
	struct jt_had h = jt_had_of(0, 0.11, 0.10);

	cr_expect_not(jt_had_clean(&h));
	h = jt_had_of(0, 0.11, 0.20);
	cr_expect(jt_had_clean(&h));
}

Test(keep, a_slice_that_was_not_taken_is_neither_clean_nor_less_disturbed)
{
	struct jt_had none = {0}, bad = stolen(0.5);

	cr_expect_not(jt_had_clean(&none));
	cr_expect_not(jt_had_less(&none, &bad));
	cr_expect(jt_had_less(&bad, &none));
}

Test(keep, a_pair_is_as_disturbed_as_its_worse_half)
{
	struct jt_had a = stolen(0.03), b = stolen(0), none = {0}, both;

	both = jt_had_both(&b, &a);
	cr_expect_float_eq(both.stolen, 0.03, 1e-9);
	cr_expect_not(jt_had_clean(&both));
	both = jt_had_both(&b, &none);
	cr_expect_not(both.taken);
}

/* ---- taking again ---- */

Test(keep, a_disturbed_slice_is_taken_again_at_most_so_often)
{
	struct jt_retakes r = {.budget_ns = 1000, .n_rounds = 1};
	struct jt_had bad = stolen(0.05);
	unsigned tries = 0;

	while (jt_retakes_again(&r, 0, tries, &bad, 1))
		tries++;
	cr_expect_eq(tries, JT_KEEP_RETAKES_MAX);
	cr_expect_eq(r.n, JT_KEEP_RETAKES_MAX);
	cr_expect_eq(r.spent_ns, JT_KEEP_RETAKES_MAX);
}

Test(keep, a_clean_slice_is_never_taken_again)
{
	struct jt_retakes r = {.budget_ns = 1000, .n_rounds = 1};
	struct jt_had good = stolen(0);

	cr_expect_not(jt_retakes_again(&r, 0, 0, &good, 1));
	cr_expect_eq(r.n, 0);
}

Test(keep, taking_again_ends_with_the_budget)
{
	struct jt_retakes r = {.budget_ns = 100, .n_rounds = 1};
	struct jt_had bad = stolen(0.05);
	unsigned n = 0;

	while (jt_retakes_again(&r, 0, 0, &bad, 30))
		n++;
	cr_expect_eq(n, 3);
	cr_expect_leq(r.spent_ns, r.budget_ns);
	r = (struct jt_retakes){.n_rounds = 1};
	cr_expect_not(jt_retakes_again(&r, 0, 0, &bad, 1));
}

Test(keep, the_first_rounds_leave_their_share_to_the_last)
{
	struct jt_retakes r = {.budget_ns = 100, .n_rounds = 4};
	struct jt_had bad = stolen(0.05);

	for (unsigned round = 0; round < 4; round++) {
		cr_expect(jt_retakes_again(&r, round, 0, &bad, 20));
		cr_expect_not(jt_retakes_again(&r, round, 0, &bad, 26));
	}
}

/* ---- what counts ---- */

Test(keep, three_clean_slices_stand_alone)
{
	const double shares[ROUNDS] = {0, 0.5, 0.01, 0.02, 0, 0.9};
	const double figures[ROUNDS] = {10, 99, 10, 99, 10, 99};
	struct jt_had had[ROUNDS];
	struct jt_summary s;
	char words[64];

	fill(had, shares);
	jt_keep_summary(figures, had, ROUNDS, 1, &s);
	cr_expect_eq(s.n, 3);
	cr_expect_float_eq(s.high, 10, 1e-9);
	cr_expect_str_eq(jt_keep_words(&s, words), "");
}

Test(keep, without_clean_slices_the_three_least_disturbed_stand_and_say_so)
{
	const double shares[ROUNDS] = {0.5, 0.02, 0.9, 0.021, 0.7, 0.015};
	const double figures[ROUNDS] = {99, 10, 99, 10, 99, 10};
	struct jt_had had[ROUNDS];
	struct jt_summary s;
	char words[64];

	fill(had, shares);
	jt_keep_summary(figures, had, ROUNDS, 1, &s);
	cr_expect_eq(s.n, 3);
	cr_expect_float_eq(s.median, 10, 1e-9);
	cr_expect_float_eq(s.high, 10, 1e-9);
	cr_expect_str_eq(jt_keep_words(&s, words),
			 "kept with 2.1 % stolen, 2 % others");
}

Test(keep, one_clean_slice_is_filled_up_and_says_so)
{
	const double shares[ROUNDS] = {0.5, 0.02, 0.9, 0.03, 0.7, 0};
	const double figures[ROUNDS] = {99, 11, 99, 12, 99, 10};
	struct jt_had had[ROUNDS];
	struct jt_summary s;

	fill(had, shares);
	jt_keep_summary(figures, had, ROUNDS, 1, &s);
	cr_expect_eq(s.n, 3);
	cr_expect_float_eq(s.median, 11, 1e-9);
	cr_expect_float_eq(s.stolen, 0.03, 1e-9);
}

Test(keep, what_is_chosen_does_not_hang_on_the_figures)
{
	const double shares[ROUNDS] = {0.02, 0.9, 0.03, 0.8, 0.04, 0.7};
	double figures[ROUNDS] = {5, 1, 6, 1, 7, 1};
	struct jt_had had[ROUNDS];
	struct jt_summary s;

	fill(had, shares);
	jt_keep_summary(figures, had, ROUNDS, 1, &s);
	cr_expect_float_eq(s.median, 6, 1e-9);
	for (unsigned i = 1; i < ROUNDS; i += 2)
		figures[i] = 1000;
	jt_keep_summary(figures, had, ROUNDS, 1, &s);
	cr_expect_float_eq(s.median, 6, 1e-9);
}

Test(keep, a_ratio_is_made_within_a_round_even_of_disturbed_ones)
{
	/* where the one is clean, the other never is */
	const double a_shares[ROUNDS] = {0, 0, 0, 0.9, 0.8, 0.7};
	const double b_shares[ROUNDS] = {0.02, 0.03, 0.04, 0, 0, 0};
	const double a[ROUNDS] = {4, 8, 12, 1, 1, 1};
	const double b[ROUNDS] = {2, 4, 6, 1, 1, 1};
	struct jt_had a_had[ROUNDS], b_had[ROUNDS];
	struct jt_summary s;

	fill(a_had, a_shares);
	fill(b_had, b_shares);
	jt_pairs_ratio((struct jt_series){a, a_had},
		       (struct jt_series){b, b_had}, ROUNDS, 1, &s);
	cr_expect_eq(s.n, 3);
	cr_expect_float_eq(s.low, 2, 1e-9);
	cr_expect_float_eq(s.high, 2, 1e-9);
	cr_expect_float_eq(s.stolen, 0.04, 1e-9);
}

Test(keep, what_was_never_taken_is_no_figure)
{
	const double figures[2] = {3, 4};
	struct jt_had had[2] = {{0}};
	struct jt_summary s;

	jt_keep_summary(figures, had, 2, 1, &s);
	cr_expect_eq(s.n, 0);
}

/* ---- curves ---- */

static struct jt_histogram at(uint64_t ns)
{
	struct jt_histogram h;

	jt_histogram_init(&h);
	jt_histogram_add(&h, ns, 100);
	return h;
}

Test(keep, a_curve_is_of_all_clean_slices_and_of_no_other)
{
	const double shares[ROUNDS] = {0.3, 0.2, 0, 0.5, 0, 0.02};
	struct jt_histogram h;
	struct jt_curve c;
	struct jt_had had;

	memset(&c, 0, sizeof(c));
	for (unsigned i = 0; i < ROUNDS; i++) {
		h = at(i + 1);
		had = stolen(shares[i]);
		jt_curve_add(&c, &h, &had);
		cr_expect_eq(c.all.n, i < 4 ? 100 : 200, "%u", i);
		if (i == 1) /* the less disturbed one so far */
			cr_expect_eq(jt_histogram_quantile_ns(&c.all, 1), 2);
	}
	cr_expect_eq(jt_histogram_quantile_ns(&c.all, 0.25), 3);
	cr_expect_eq(jt_histogram_quantile_ns(&c.all, 1), 5);
	cr_expect(jt_had_clean(&c.had));
}
