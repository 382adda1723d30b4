/* ranks: the most used and the most refused of many. */
#include "sidecar/ranks.h"

#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull
#define N 100u

static struct help_table t;
static struct jt_ledger l;
static struct jt_ranks r;
static uint64_t now = 1000 * S;

static void start(void)
{
	help_table_new(&t, 2 * N);
	cr_assert_eq(jt_ledger_init(&l, &t.maps), 0);
	l.now = help_now();
	for (uint64_t i = 1; i <= N; i++) {
		struct help_token token;
		struct jt_record made;

		help_token_make(&token, "live");
		made = help_create(&token);
		made.number = i;
		cr_assert_eq(jt_ledger_apply(&l, &made), 0);
	}
}

static void stop(void)
{
	jt_ranks_rest(&r);
	jt_ledger_deinit(&l);
}

TestSuite(ranks, .init = start, .fini = stop);

static struct jt_meter *line(uint64_t record)
{
	return &t.maps.lines[record - 1];
}

static void look(uint64_t later_ns)
{
	now += later_ns;
	cr_assert_eq(jt_ranks_look(&r, &l, now), 0);
}

Test(ranks, first_look_is_of_totals)
{
	line(7)->uses = 5;
	line(9)->uses = 50;
	line(9)->refusals = 1;
	look(0);
	cr_expect_eq(r.top.span_ms, 0);
	cr_expect_eq(r.top.n_used, 2);
	cr_expect_eq(r.top.used[0].last, 9);
	cr_expect_eq(r.top.used[0].uses, 50);
	cr_expect_eq(r.top.used[0].more_uses, 0);
	cr_expect_eq(r.top.used[1].last, 7);
	cr_expect_eq(r.top.n_refused, 1);
	cr_expect_eq(r.top.refused[0].refusals, 1);
}

Test(ranks, what_grew_most_is_first)
{
	line(7)->uses = 1000;
	line(8)->uses = 10;
	look(0);
	line(7)->uses += 1;
	line(8)->uses += 2;
	look(2 * S);
	cr_expect_eq(r.top.span_ms, 2000);
	cr_expect_eq(r.top.used[0].last, 8);
	cr_expect_eq(r.top.used[0].more_uses, 2);
	cr_expect_eq(r.top.used[1].last, 7);
	look(S);
	cr_expect_eq(r.top.used[0].last, 7, "quiet: what is largest");
}

Test(ranks, looks_that_come_together_are_one)
{
	look(0);
	line(3)->uses = 4;
	look(JT_RANKS_EVERY_NS - 1);
	cr_expect_eq(r.top.n_used, 0);
	look(1);
	cr_expect_eq(r.top.n_used, 1);
	cr_expect_eq(r.top.span_ms, JT_RANKS_EVERY_NS / 1000000);
}

Test(ranks, list_ends_where_it_must_and_is_in_order)
{
	uint64_t seed = 3;

	for (uint64_t i = 1; i <= N; i++) {
		line(i)->uses = 1 + help_random(&seed) % 1000;
		line(i)->refusals = i;
	}
	look(0);
	cr_expect_eq(r.top.n_used, JT_TOP_ROWS);
	cr_expect_eq(r.top.n_refused, JT_TOP_ROWS);
	for (uint64_t i = 0; i < JT_TOP_ROWS; i++) {
		uint64_t above = 0;

		cr_expect_eq(r.top.refused[i].last, N - i);
		for (uint64_t k = 1; k <= N; k++)
			above += line(k)->uses > r.top.used[i].uses;
		cr_expect_leq(above, i);
		cr_expect(i == 0 ||
			  r.top.used[i].uses <= r.top.used[i - 1].uses);
	}
}

Test(ranks, line_that_began_again_has_grown_from_0)
{
	line(5)->uses = 1000;
	look(0);
	line(5)->uses = 3;
	look(S);
	cr_expect_eq(r.top.used[0].more_uses, 3);
}

Test(ranks, any_word_is_only_a_number)
{
	line(1)->uses = UINT64_MAX;
	line(2)->uses = UINT64_MAX - 1;
	look(0);
	line(1)->uses = 0;
	line(3)->refusals = UINT64_MAX;
	look(S);
	cr_expect_eq(r.top.n_used, 1);
	cr_expect_eq(r.top.refused[0].more_refusals, UINT64_MAX);
}

Test(ranks, memory_goes_when_nobody_asks)
{
	look(0);
	jt_ranks_tend(&r, now + JT_RANKS_FORGET_NS);
	cr_expect_not_null(r.before);
	jt_ranks_tend(&r, now + JT_RANKS_FORGET_NS + 1);
	cr_expect_null(r.before);
	line(4)->uses = 9;
	look(2 * JT_RANKS_FORGET_NS);
	cr_expect_eq(r.top.span_ms, 0);
	cr_expect_eq(r.top.n_used, 1);
}
