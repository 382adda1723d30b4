/* summary, ratios, goals: from slices to what the report says. */
#include "bench/goals.h"
#include "bench/ratios.h"
#include "bench/summary.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Test(summary, of_nothing_is_nothing)
{
	struct jt_summary s;

	jt_summary_make(NULL, 0, 1, &s);
	cr_expect_eq(s.n, 0);
}

Test(summary, the_median_is_the_middle_one_or_between_the_two)
{
	double odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2};
	struct jt_summary s;

	jt_summary_make(odd, 3, 1, &s);
	cr_expect_eq(s.median, 5);
	jt_summary_make(even, 4, 1, &s);
	cr_expect_eq(s.median, 2.5);
	cr_expect(s.low >= 1 && s.low <= 2.5 && s.high <= 4 && s.high >= 2.5);
}

Test(summary, an_outlier_moves_neither_median_nor_interval)
{
	double calm[40], wild[40];
	struct jt_summary a, b;

	for (unsigned i = 0; i < 40; i++)
		calm[i] = wild[i] = 100 + i % 5;
	wild[7] = 1e9;
	jt_summary_make(calm, 40, 1, &a);
	jt_summary_make(wild, 40, 1, &b);
	cr_expect_eq(a.median, b.median);
	cr_expect_float_eq(a.high, b.high, 1.01);
}

Test(summary, the_interval_holds_the_true_median_nearly_always)
{
	uint64_t random = 5;
	unsigned held = 0;

	srand48(5);
	for (unsigned run = 0; run < 200; run++) {
		double values[25];
		struct jt_summary s;

		for (unsigned i = 0; i < 25; i++)
			values[i] = -log(1 - drand48()); /* median ln 2 */
		jt_summary_make(values, 25, ++random, &s);
		held += s.low <= log(2) && log(2) <= s.high;
	}
	cr_expect_geq(held, 175, "%u of 200", held);
}

/* ---- ratios ---- */

#define ROUNDS 5u
#define CELLS 5u

static struct jt_rounds rounds;
static struct jt_sample samples[ROUNDS * CELLS];

/* A machine that drifts to a third of its speed and back. */
static const double drift[ROUNDS] = {1, 0.6, 0.35, 0.5, 0.9};

static void put(unsigned round, unsigned cell, double rate, double cpu_ns)
{
	struct jt_sample *s = jt_rounds_sample(&rounds, round, cell);

	s->had = jt_had_of(0, 0.03, JT_KEEP_FOREIGN_MAX);
	s->values[JT_METRIC_RATE] = rate * drift[round];
	s->values[JT_METRIC_CPU_NS] = cpu_ns / drift[round];
}

static void start(void)
{
	static const char *const names[CELLS] = {"floor", "echo", "get",
						 "jeton", "twin"};
	static const double rates[CELLS] = {90, 100, 10, 40, 40};
	static const double costs[CELLS] = {5, 7, 50, 20, 20};

	memset(&rounds, 0, sizeof(rounds));
	memset(samples, 0, sizeof(samples));
	rounds.n_rounds = ROUNDS;
	rounds.n_cells = CELLS;
	rounds.samples = samples;
	rounds.seed = 1;
	rounds.twin_of = "jeton";
	for (unsigned i = 0; i < CELLS; i++) {
		strcpy(rounds.cells[i].name, names[i]);
		rounds.cells[i].pipeline = 64;
		for (unsigned k = 0; k < ROUNDS; k++)
			put(k, i, rates[i], costs[i]);
	}
}

TestSuite(ratios, .init = start);

static const struct jt_ratio *ratio(const char *words)
{
	for (size_t i = 0; i < jt_n_ratios; i++)
		if (strcmp(jt_ratios[i].words, words) == 0)
			return &jt_ratios[i];
	cr_assert_fail("no ratio '%s'", words);
	return NULL;
}

Test(ratios, a_drift_of_the_whole_machine_cancels_out)
{
	struct jt_summary s;
	const char *under;

	cr_assert(jt_ratio_make(&rounds, 64,
				ratio("throughput, jeton / Redis GET"), &s,
				&under));
	cr_expect_float_eq(s.median, 4, 1e-9);
	cr_expect_float_eq(s.low, 4, 1e-9);
	cr_expect_float_eq(s.high, 4, 1e-9);
	cr_expect_str_eq(under, "get");
}

Test(ratios, of_two_floors_the_better_one_counts)
{
	struct jt_summary s;
	const char *under;

	cr_assert(jt_ratio_make(&rounds, 64, ratio("throughput, jeton / floor"),
				&s, &under));
	cr_expect_str_eq(under, "echo");
	cr_expect_float_eq(s.median, 0.4, 1e-9);
	cr_assert(jt_ratio_make(&rounds, 64,
				ratio("server CPU per request, jeton / floor"),
				&s, &under));
	cr_expect_str_eq(under, "floor");
	cr_expect_float_eq(s.median, 4, 1e-9);
}

Test(ratios, a_disturbed_slice_takes_its_pair_with_it)
{
	struct jt_summary s;
	const char *under;

	jt_rounds_sample(&rounds, 2, 2)->had =
		jt_had_of(0.02, 0, JT_KEEP_FOREIGN_MAX);
	jt_rounds_sample(&rounds, 2, 2)->values[JT_METRIC_RATE] = 1e9;
	cr_assert(jt_ratio_make(&rounds, 64,
				ratio("throughput, jeton / Redis GET"), &s,
				&under));
	cr_expect_eq(s.n, ROUNDS - 1);
	cr_expect_float_eq(s.high, 4, 1e-9);
}

Test(ratios, each_cell_that_a_goal_of_this_verb_stands_on_is_needed)
{
	static const char *const at_1[] = {"floor", "echo", "get", "jeton"};
	static const char *const at_64[] = {
		"floor", "echo", "get", "jeton", "eval", "packed", "unknown"};

	for (unsigned i = 0; i < 4; i++)
		cr_expect(jt_ratio_goal_needs(at_1[i], 1), "%s", at_1[i]);
	for (unsigned i = 0; i < 7; i++)
		cr_expect(jt_ratio_goal_needs(at_64[i], 64), "%s", at_64[i]);
	/* the open loop's rates are shares of what it can */
	cr_expect(jt_ratio_goal_needs("get", 16));
}

Test(ratios, what_no_goal_stands_on_is_not_needed)
{
	cr_expect_not(jt_ratio_goal_needs("memcached", 64));
	cr_expect_not(jt_ratio_goal_needs("eval", 1));
	cr_expect_not(jt_ratio_goal_needs("jeton", 16));
	cr_expect_not(jt_ratio_goal_needs("zipf", 64));
}

Test(ratios, of_disturbed_rounds_the_least_disturbed_count_and_it_is_said)
{
	struct jt_summary s;
	const char *under;

	/* Redis is disturbed in each round, most in those of wrong figures */
	for (unsigned k = 0; k < ROUNDS; k++)
		jt_rounds_sample(&rounds, k, 2)->had = jt_had_of(
			k < 2 ? 0.9 : 0.01 * (k + 1), 0, JT_KEEP_FOREIGN_MAX);
	jt_rounds_sample(&rounds, 0, 2)->values[JT_METRIC_RATE] = 1e9;
	jt_rounds_sample(&rounds, 1, 2)->values[JT_METRIC_RATE] = 1e9;
	cr_assert(jt_ratio_make(&rounds, 64,
				ratio("throughput, jeton / Redis GET"), &s,
				&under));
	cr_expect_eq(s.n, 3);
	cr_expect_float_eq(s.low, 4, 1e-9);
	cr_expect_float_eq(s.high, 4, 1e-9);
	cr_expect_float_eq(s.stolen, 0.05, 1e-9);
}

Test(ratios, who_took_no_part_has_none)
{
	struct jt_summary s;
	const char *under;

	cr_expect_not(jt_ratio_make(&rounds, 64,
				    ratio("throughput, jeton / Redis EVALSHA"),
				    &s, &under));
	cr_expect_not(jt_ratio_make(&rounds, 1,
				    ratio("throughput, jeton / Redis GET"), &s,
				    &under));
}

Test(ratios, goals_that_ratios_name_do_exist)
{
	for (size_t i = 0; i < jt_n_ratios; i++) {
		const char *one = jt_ratios[i].goal_at_1;
		const char *deep = jt_ratios[i].goal_at_64;

		cr_expect(!one || jt_goal_find(one), "%s", one);
		cr_expect(!deep || jt_goal_find(deep), "%s", deep);
	}
}

/* ---- goals ---- */

Test(goals, are_judged_in_their_own_direction)
{
	const struct jt_goal *least = jt_goal_find("cpu_p1_floor");
	const struct jt_goal *most = jt_goal_find("rate_p64_get");

	cr_expect_str_eq(jt_goal_judge(least, 1.31), "NOT reached");
	cr_expect_str_eq(jt_goal_judge(least, 1.30), "reached");
	cr_expect_str_eq(jt_goal_judge(least, 1.12), "aim reached");
	cr_expect_str_eq(jt_goal_judge(most, 3.99), "NOT reached");
	cr_expect_str_eq(jt_goal_judge(most, 4), "reached");
	cr_expect_str_eq(jt_goal_judge(most, 6), "aim reached");
	cr_expect_null(jt_goal_find("nothing"));
}

Test(goals, one_admission_too_many_misses_its_goal)
{
	const struct jt_goal *g = jt_goal_find("admitted_beyond");

	cr_expect_str_eq(jt_goal_judge(g, 0), "aim reached");
	cr_expect_str_eq(jt_goal_judge(g, 1), "NOT reached");
}

Test(goals, an_aim_is_no_easier_than_what_must_be)
{
	for (size_t i = 0; i < jt_n_goals; i++)
		cr_expect(jt_goals[i].least
				  ? jt_goals[i].aim <= jt_goals[i].must
				  : jt_goals[i].aim >= jt_goals[i].must,
			  "%s", jt_goals[i].key);
}
