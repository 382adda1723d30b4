/* probe: a VALID that comes after the promise is seen, and only that. */
#include "bench/probe.h"

#include <criterion/criterion.h>

static struct jt_probe p;

static void fresh(void)
{
	jt_probe_init(&p);
}

TestSuite(probe, .init = fresh);

Test(probe, an_answer_under_way_at_the_return_is_not_late)
{
	jt_probe_add(&p, 100, 110, true);
	jt_probe_add(&p, 120, 150, true); /* the revoke returned at 130 */
	jt_probe_add(&p, 160, 170, false);
	cr_expect_eq(jt_probe_late(&p, 130), 0);
	cr_expect_eq(p.first_refused_ns, 170);
}

Test(probe, a_valid_asked_for_after_the_return_is_counted)
{
	jt_probe_add(&p, 100, 110, true);
	jt_probe_add(&p, 131, 140, true);
	jt_probe_add(&p, 150, 160, false);
	jt_probe_add(&p, 170, 180, true);
	cr_expect_eq(jt_probe_late(&p, 130), 2);
	/* and so is one that comes back */
	cr_expect_eq(jt_probe_late(&p, p.first_refused_ns), 1);
}

Test(probe, the_first_refusal_stays_the_first)
{
	cr_expect_eq(p.first_refused_ns, 0);
	jt_probe_add(&p, 10, 20, false);
	jt_probe_add(&p, 30, 40, false);
	cr_expect_eq(p.first_refused_ns, 20);
	cr_expect_eq(p.n_refused, 2);
}

Test(probe, the_latest_are_kept_of_more_than_there_is_room_for)
{
	for (uint64_t i = 1; i <= 3 * JT_PROBE_KEPT; i++)
		jt_probe_add(&p, i, i, true);
	cr_expect_eq(p.n_valid, 3 * JT_PROBE_KEPT);
	cr_expect_eq(jt_probe_late(&p, 3 * JT_PROBE_KEPT - 5), 5);
}

Test(probe, it_begins_anew)
{
	jt_probe_add(&p, 10, 20, true);
	jt_probe_add(&p, 30, 40, false);
	jt_probe_init(&p);
	cr_expect_eq(jt_probe_late(&p, 0), 0);
	cr_expect_eq(p.first_refused_ns, 0);
}
