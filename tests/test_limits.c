/* limits: what is taken, what is refused, and that nothing overflows. */
#include "admin/limits.h"

#include <criterion/criterion.h>
#include <string.h>

static void gives(const char *rate, const char *burst, uint64_t n,
		  uint64_t period_ns, uint64_t b)
{
	struct jt_limit l;
	int e = jt_limits_parse(rate, burst, NULL, &l);

	cr_assert_eq(e, 0, "%s %s: %s", rate, burst ? burst : "-",
		     jt_limits_why(e));
	cr_assert_eq(l.rate, n);
	cr_assert_eq(l.period_ns, period_ns);
	cr_assert_eq(l.burst, b);
}

static void refused(const char *rate, const char *burst, int want)
{
	struct jt_limit l;
	int e = jt_limits_parse(rate, burst, NULL, &l);

	cr_assert_eq(e, want, "`%s` `%s`: %d, not %d", rate ? rate : "",
		     burst ? burst : "", e, want);
}

Test(limits, takes_every_unit)
{
	gives("100/s", NULL, 100, 1000000000ull, 100);
	gives("5/min", NULL, 5, 60000000000ull, 5);
	gives("1000/h", NULL, 1000, 3600000000000ull, 1000);
	gives("10/day", NULL, 10, 86400000000000ull, 10);
	gives("100/s", "10", 100, 1000000000ull, 10);
	gives("1/day", "500", 1, 86400000000000ull, 500);
	gives("0100/s", "010", 100, 1000000000ull, 10);
}

Test(limits, none_is_none)
{
	gives(NULL, NULL, 0, 0, 0);
	gives("", "", 0, 0, 0);
}

Test(limits, a_burst_needs_a_rate)
{
	refused(NULL, "10", JT_LIMITS_E_ALONE);
	refused("", "10", JT_LIMITS_E_ALONE);
}

Test(limits, refuses_what_is_no_rate)
{
	static const char *const texts[] = {
		"0/s",
		"/s",
		"100",
		"100/",
		"100s",
		"100/m",
		"100/sec",
		"100/S",
		" 100/s",
		"100 /s",
		"100/s ",
		"-1/s",
		"+1/s",
		"1.5/s",
		"1e3/s",
		"0x10/s",
		"100/10s",
		"100//s",
		"many/s",
		"100/d",
		"s/100",
		"99999999999999999999999/s",
		"4611686018427387904/day",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused(texts[i], NULL, JT_LIMITS_E_RATE);
}

Test(limits, refuses_what_is_no_burst)
{
	static const char *const texts[] = {
		"0",  "-1", "+1", "1.5", "ten",
		" 1", "1 ", "1x", "0x1", "99999999999999999999999",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused("100/s", texts[i], JT_LIMITS_E_BURST);
}

Test(limits, has_a_fastest_rate)
{
	gives("1000000/s", NULL, 1000000, 1000000000ull, 1000000);
	gives("10000000/s", NULL, 10000000, 1000000000ull, 10000000);
	/* ceil: 10^9 / 10100000 is 99.01, taken as 100 */
	gives("10100000/s", "1", 10100000, 1000000000ull, 1);
	refused("10200000/s", NULL, JT_LIMITS_E_FAST);
	refused("1000000000/s", NULL, JT_LIMITS_E_FAST);
	refused("2000000000/s", NULL, JT_LIMITS_E_FAST);
	gives("600000000/min", "1", 600000000, 60000000000ull, 1);
}

Test(limits, bounds_interval_times_burst)
{
	/* 1/s: interval 10^9, so 2^62 / 10^9 = 4611686018 */
	gives("1/s", "4611686018", 1, 1000000000ull, 4611686018ull);
	refused("1/s", "4611686019", JT_LIMITS_E_SPAN);
	refused("1/day", "4611686018427387903", JT_LIMITS_E_SPAN);
}

Test(limits, rounds_the_interval_up)
{
	struct jt_limit l = {.rate = 3, .period_ns = 1000000000ull, .burst = 1};

	cr_assert_eq(jt_limits_bounds(&l).interval_ns, 333333334);
	l.rate = 1000;
	cr_assert_eq(jt_limits_bounds(&l).interval_ns, 1000000);
	l.rate = 0;
	cr_assert_eq(jt_limits_bounds(&l).interval_ns, 0);
}

Test(limits, checks_numbers_of_a_journal)
{
	struct jt_limit l = {0};

	cr_assert_neq(jt_limits_check(&l), 0);
	l = (struct jt_limit){.rate = 1, .period_ns = 0, .burst = 1};
	cr_assert_neq(jt_limits_check(&l), 0);
	l = (struct jt_limit){.rate = UINT64_MAX,
			      .period_ns = UINT64_MAX,
			      .burst = UINT64_MAX};
	cr_assert_neq(jt_limits_check(&l), 0);
	l = (struct jt_limit){.rate = 1, .period_ns = UINT64_MAX, .burst = 1};
	cr_assert_neq(jt_limits_check(&l), 0);
	l = (struct jt_limit){.rate = 100, .period_ns = 1000000000, .burst = 0};
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_BURST);
}

Test(limits, reads_back_what_it_writes)
{
	static const char *const rates[] = {"100/s", "5/min", "1000/h",
					    "10/day"};
	char text[JT_LIMIT_TEXT];
	struct jt_limit l;

	for (size_t i = 0; i < 4; i++) {
		cr_assert_eq(jt_limits_parse(rates[i], "7", NULL, &l), 0);
		jt_limits_rate(&l, text);
		cr_assert_str_eq(text, rates[i]);
	}
	jt_limits_format(&l, text);
	cr_assert_str_eq(text, "10/day burst 7");
	memset(&l, 0, sizeof(l));
	jt_limits_format(&l, text);
	cr_assert_str_eq(text, "none");
	jt_limits_rate(&l, text);
	cr_assert_str_eq(text, "");
	l = (struct jt_limit){.rate = UINT64_MAX,
			      .period_ns = UINT64_MAX,
			      .burst = UINT64_MAX};
	jt_limits_format(&l, text);
	cr_assert(strlen(text) < sizeof(text));
}
