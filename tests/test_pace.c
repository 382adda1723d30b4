/* pace: the rate on average is the rate that was asked for. */
#include "bench/pace.h"

#include <criterion/criterion.h>

#define SECOND 1000000000ull

Test(pace, pieces_times_size_is_the_rate)
{
	struct jt_pace p;

	jt_pace_init(&p, 7, 100000, 10000);
	cr_expect_eq(jt_pace_due(&p, 6), 0);
	cr_expect_eq(jt_pace_due(&p, 7), 1);
	cr_expect_eq(jt_pace_due(&p, 7 + SECOND / 10 - 1), 1);
	cr_expect_eq(jt_pace_due(&p, 7 + SECOND / 10), 2);
	cr_expect_eq(jt_pace_due(&p, 7 + 60 * SECOND), 601);
}

Test(pace, who_waits_as_told_never_begins_too_early)
{
	uint64_t now = 1000, wait;
	struct jt_pace p;

	jt_pace_init(&p, now, 30000, 7);
	for (uint64_t done = 0; done < 100000; done++) {
		wait = jt_pace_wait_ns(&p, done, now);
		now += wait;
		/* a nanosecond of rounding */
		cr_assert_geq(jt_pace_due(&p, now + 1), done + 1);
		cr_assert_leq(jt_pace_due(&p, now), done + 1);
	}
	cr_expect_float_eq((double)(now - 1000), 99999.0 * 7 / 30000 * 1e9,
			   1e3);
}

Test(pace, one_that_is_late_moves_none_behind_it)
{
	struct jt_pace p;

	jt_pace_init(&p, 0, 10, 1);
	/* the first took as long as five should have taken together */
	cr_expect_eq(jt_pace_due(&p, SECOND / 2), 6);
	for (uint64_t done = 1; done < 6; done++)
		cr_expect_eq(jt_pace_wait_ns(&p, done, SECOND / 2), 0);
	cr_expect_eq(jt_pace_wait_ns(&p, 6, SECOND / 2), SECOND / 10);
}

Test(pace, nothing_is_due_before_the_start)
{
	struct jt_pace p;

	jt_pace_init(&p, SECOND, 1000, 1);
	cr_expect_eq(jt_pace_due(&p, 0), 0);
	cr_expect_eq(jt_pace_wait_ns(&p, 0, 0), SECOND);
}
