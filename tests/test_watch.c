/* watch: who had the cores is told from what is known of them. */
#include "bench/watch.h"

#include <criterion/criterion.h>

static void expect(const struct jt_watch_had *had, double stolen,
		   double foreign)
{
	double s, f;

	jt_watch_shares(had, &s, &f);
	cr_expect_float_eq(s, stolen, 1e-6);
	cr_expect_float_eq(f, foreign, 1e-6);
}

Test(watch, idle_and_known_time_is_nobody_elses)
{
	expect(&(struct jt_watch_had){1000000000, 500000000, 0, 1500000000, 2},
	       0, 0);
	expect(&(struct jt_watch_had){1000000000, 0, 0, 1000000000, 1}, 0, 0);
}

Test(watch, what_nobody_accounts_for_is_strangers)
{
	expect(&(struct jt_watch_had){1000000000, 500000000, 0, 1100000000, 2},
	       0, 0.4);
}

Test(watch, what_the_host_took_is_not_strangers)
{
	expect(&(struct jt_watch_had){1000000000, 0, 300000000, 1700000000, 2},
	       0.3, 0);
}
