/* mark: no clock that is set back revives what had expired. */
#include "sidecar/mark.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <string.h>

#define NOW HELP_NOW_S
#define YEARS_10 (10u * 365u * 86400u)

static struct jt_mark m;

static void start(void)
{
	jt_mark_init(&m, 0);
	cr_assert_not(jt_mark_tend(&m, NOW, 1000));
}

TestSuite(mark, .init = start);

Test(mark, goes_with_the_clock_and_never_back)
{
	static const uint64_t back[] = {1, 5, 6, 3600, 86400, YEARS_10, NOW};
	uint64_t boot = 1000;

	cr_expect_eq(m.mark_s, NOW);
	for (size_t i = 0; i < sizeof(back) / sizeof(*back); i++) {
		bool told = jt_mark_tend(&m, NOW - back[i], ++boot);

		cr_expect_eq(m.mark_s, NOW);
		cr_expect_eq(m.why[0] != '\0', back[i] > 5, "%lu", back[i]);
		cr_expect_eq(told, back[i] == 6, "once");
	}
	jt_mark_tend(&m, NOW + 1, ++boot);
	cr_expect_eq(m.mark_s, NOW + 1);
	cr_expect_eq(m.why[0], '\0');
}

Test(mark, far_future_is_believed_only_when_it_stays)
{
	jt_mark_tend(&m, NOW + YEARS_10, 1001);
	cr_expect_eq(m.mark_s, NOW);
	jt_mark_tend(&m, NOW + YEARS_10 + 599, 1600);
	cr_expect_eq(m.mark_s, NOW);
	/* set right again: nothing stuck */
	jt_mark_tend(&m, NOW + 600, 1601);
	cr_expect_eq(m.mark_s, NOW + 600);
	/* it stays: the machine was off for long */
	for (uint64_t s = 0; s <= 600; s++)
		jt_mark_tend(&m, NOW + YEARS_10 + s, 1602 + s);
	cr_expect_eq(m.mark_s, NOW + YEARS_10 + 600);
}

Test(mark, steps_in_the_future_begin_the_wait_anew)
{
	for (uint64_t s = 0; s < 5000; s += 500)
		jt_mark_tend(&m, NOW + YEARS_10 + 7 * s, 1001 + s);
	cr_expect_eq(m.mark_s, NOW);
}

Test(mark, leap_seconds_2038_and_2106_are_times_like_others)
{
	static const uint64_t at[] = {1483228800, 0x7fffffff, 0x80000000,
				      0xffffffff, 0x100000000};

	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		jt_mark_init(&m, at[i] - 1);
		cr_expect_not(jt_mark_tend(&m, at[i], 5));
		cr_expect_eq(m.mark_s, at[i]);
		/* a leap second is told twice */
		cr_expect_not(jt_mark_tend(&m, at[i] - 1, 6));
		cr_expect_eq(m.mark_s, at[i]);
		cr_expect_eq(m.why[0], '\0');
	}
}

/* Whoever was away for hours finds both clocks further on by as much. */
Test(mark, suspend_for_hours_or_weeks_is_no_step)
{
	static const uint64_t away[] = {3600, 86400, 30u * 86400u, YEARS_10};
	uint64_t wall = NOW, boot = 1000;

	for (unsigned i = 0; i < 700; i++)
		jt_mark_tend(&m, ++wall, ++boot);
	for (size_t i = 0; i < sizeof(away) / sizeof(*away); i++) {
		wall += away[i];
		boot += away[i];
		cr_expect_not(jt_mark_tend(&m, wall, boot));
		cr_expect_eq(m.mark_s, wall, "%lu", away[i]);
	}
}

/* The boot clock alone jumps: nothing that it does makes a time believed. */
Test(mark, boot_clock_that_jumps_hours_ahead_moves_no_wall_clock)
{
	jt_mark_tend(&m, NOW + YEARS_10, 1001);
	cr_expect_eq(m.mark_s, NOW);
	jt_mark_tend(&m, NOW + YEARS_10, 1001 + 36000);
	cr_expect_eq(m.mark_s, NOW);
	jt_mark_tend(&m, NOW + 1, 1002 + 36000);
	cr_expect_eq(m.mark_s, NOW + 1);
}

Test(mark, sweep_of_a_second_to_ten_years_is_told_as_what_it_is)
{
	uint64_t seed = 53, boot = 1000, top = NOW;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t span = 1ull << (help_random(&seed) % 29 + 1);
		uint64_t by = help_random(&seed) % span;
		uint64_t wall = help_random(&seed) & 1 ? NOW + by : NOW - by;

		boot += help_random(&seed) % 3;
		jt_mark_tend(&m, wall, boot);
		cr_assert_geq(m.mark_s, top, "never back");
		cr_assert_leq(m.mark_s, top + JT_MARK_AHEAD_S, "no leap");
		top = m.mark_s;
		cr_assert_eq(m.why[0] != '\0',
			     wall + JT_MARK_BEHIND_S < m.mark_s);
		cr_assert_null(strstr(m.why, " is -"));
	}
}

/* The same in a table: what a worker says at WALL_S. */
static enum jt_word word_at(const struct help_table *t,
			    const struct help_token *token, uint64_t wall_s)
{
	struct jt_now now = {.wall_s = wall_s, .boot_ns = HELP_BOOT_NS};
	struct jt_ask ask = help_ask(token);

	return (enum jt_word)help_verify(t, &ask, now).word;
}

Test(mark, expired_stays_expired_wherever_the_clock_goes)
{
	static const int64_t steps[] = {
		-(int64_t)YEARS_10, -86400, -3600, -1, 0, 1, YEARS_10};
	struct help_token token;
	struct help_table t;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	cr_expect_eq(word_at(&t, &token, HELP_LATER_S - 1), JT_VALID);
	jt_store_relaxed(&t.maps.identity_rw->clock_s, HELP_LATER_S - 1);
	cr_expect_eq(word_at(&t, &token, HELP_NOW_S), JT_VALID);
	jt_store_relaxed(&t.maps.identity_rw->clock_s, HELP_LATER_S);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		cr_expect_eq(
			word_at(&t, &token,
				(uint64_t)((int64_t)HELP_LATER_S + steps[i])),
			JT_EXPIRED, "%ld", steps[i]);
	cr_expect_eq(word_at(&t, &token, 0), JT_EXPIRED);
}
