/* schedule and zipf: what is drawn has the distribution that is claimed. */
#include "bench/random.h"
#include "bench/schedule.h"
#include "bench/zipf.h"

#include <criterion/criterion.h>
#include <math.h>

Test(schedule, a_fixed_pace_is_even)
{
	struct jt_schedule s;

	jt_schedule_init(&s, 1000, true, 1);
	for (unsigned i = 1; i <= 100; i++) {
		cr_assert_float_eq(s.at_ns, i * 1e6, 1);
		jt_schedule_advance(&s);
	}
}

Test(schedule, poisson_gaps_have_mean_and_deviation_of_an_exponential)
{
	double before = 0, sum = 0, squares = 0, gap, mean;
	const unsigned n = 200000;
	struct jt_schedule s;
	unsigned longer = 0;

	jt_schedule_init(&s, 1e6, false, 7);
	for (unsigned i = 0; i < n; i++) {
		gap = s.at_ns - before;
		before = s.at_ns;
		cr_assert(gap >= 0 && isfinite(gap));
		sum += gap;
		squares += gap * gap;
		longer += gap > 2000;
		jt_schedule_advance(&s);
	}
	mean = sum / n;
	cr_expect_float_eq(mean, 1000, 10);
	cr_expect_float_eq(sqrt(squares / n - mean * mean), 1000, 20);
	/* e^-2 of them */
	cr_expect_float_eq((double)longer / n, exp(-2), 0.005);
}

Test(schedule, the_same_seed_gives_the_same_times)
{
	struct jt_schedule a, b, c;

	jt_schedule_init(&a, 5000, false, 3);
	jt_schedule_init(&b, 5000, false, 3);
	jt_schedule_init(&c, 5000, false, 4);
	cr_expect_neq(a.at_ns, c.at_ns);
	for (unsigned i = 0; i < 100; i++) {
		cr_expect_eq(a.at_ns, b.at_ns);
		jt_schedule_advance(&a);
		jt_schedule_advance(&b);
	}
}

static void expect_zipf(double s, uint64_t n)
{
	enum {
		DRAWS = 1000000,
		LOOKED = 20
	};
	uint64_t random = 11, seen[LOOKED + 1] = {0}, k;
	struct jt_zipf z;
	double all = 0, want;

	for (uint64_t i = 1; i <= n; i++)
		all += pow((double)i, -s);
	jt_zipf_init(&z, n, s);
	for (unsigned i = 0; i < DRAWS; i++) {
		k = jt_zipf_next(&z, &random);
		cr_assert(k >= 1 && k <= n);
		if (k <= LOOKED)
			seen[k]++;
	}
	for (uint64_t i = 1; i <= LOOKED && i <= n; i++) {
		want = DRAWS * pow((double)i, -s) / all;
		/* five standard deviations */
		cr_expect_float_eq((double)seen[i], want, 5 * sqrt(want),
				   "s %.2f, n %llu, rank %llu: %llu, not %.0f",
				   s, (unsigned long long)n,
				   (unsigned long long)i,
				   (unsigned long long)seen[i], want);
	}
}

Test(zipf, ranks_come_as_often_as_the_law_says)
{
	expect_zipf(0.99, 1000);
	expect_zipf(0.99, 1000000);
	expect_zipf(1.0, 10000);
	expect_zipf(1.5, 30);
	expect_zipf(0.5, 20);
}

Test(zipf, of_one_there_is_one)
{
	uint64_t random = 1;
	struct jt_zipf z;

	jt_zipf_init(&z, 1, 0.99);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(jt_zipf_next(&z, &random), 1);
}
