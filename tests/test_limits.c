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

/* ---- quotas ---- */

static struct jt_limit quota(const char *text)
{
	struct jt_limit l;
	int e = jt_limits_parse(NULL, NULL, text, &l);

	cr_assert_eq(e, 0, "%s: %s", text, jt_limits_why(e));
	return l;
}

static void quota_gives(const char *text, uint64_t n, uint32_t unit,
			uint32_t minutes)
{
	struct jt_limit l = quota(text);

	cr_assert_eq(l.quota, n, "%s", text);
	cr_assert_eq(l.quota_unit, unit, "%s", text);
	cr_assert_eq(l.quota_minutes, minutes, "%s", text);
	cr_assert_eq(l.rate, 0);
	cr_assert_eq(jt_limits_check(&l), 0);
}

static void quota_refused(const char *text, int want)
{
	struct jt_limit l;
	int e = jt_limits_parse(NULL, NULL, text, &l);

	cr_assert_eq(e, want, "`%s`: %d, not %d", text, e, want);
}

Test(limits, takes_every_span_of_a_quota)
{
	quota_gives("5000/day", 5000, JT_QUOTA_DAY, 0);
	quota_gives("20000/week", 20000, JT_QUOTA_WEEK, 0);
	quota_gives("5000000/month", 5000000, JT_QUOTA_MONTH, 0);
	quota_gives("100/15min", 100, JT_QUOTA_MINUTES, 15);
	quota_gives("500/36h", 500, JT_QUOTA_MINUTES, 36 * 60);
	quota_gives("700/10d", 700, JT_QUOTA_MINUTES, 10 * 1440);
	quota_gives("1/2w", 1, JT_QUOTA_MINUTES, 2 * 10080);
	quota_gives("1/1min", 1, JT_QUOTA_MINUTES, 1);
	quota_gives("0005/01d", 5, JT_QUOTA_MINUTES, 1440);
	quota_gives("137438953471/day", JT_QUOTA_MOST, JT_QUOTA_DAY, 0);
	quota_gives("1/400000min", 1, JT_QUOTA_MINUTES, 400000);
}

Test(limits, refuses_what_is_no_quota)
{
	static const char *const texts[] = {
		"0/day",
		"/day",
		"5",
		"5/",
		"5day",
		"5/days",
		"5/Day",
		"5/min",
		"5/h",
		"5/0min",
		"5/ day",
		" 5/day",
		"5/day ",
		"-5/day",
		"+5/day",
		"5.5/day",
		"5/1.5h",
		"5/15m",
		"5/15",
		"5/min15",
		"5//day",
		"day/5",
		"5/400001min",
		"5/40w",
		"5/year",
		"5/s",
		"5/1month",
		"5/99999999999999999999999min",
		"99999999999999999999999/day",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		quota_refused(texts[i], JT_LIMITS_E_QUOTA);
	quota_refused("137438953472/day", JT_LIMITS_E_MANY);
}

Test(limits, no_quota_is_none)
{
	struct jt_limit l = quota("none");

	cr_assert_not(jt_limits_any(&l));
	l = quota("");
	cr_assert_not(jt_limits_any(&l));
}

Test(limits, none_is_no_rate_either)
{
	struct jt_limit l;

	cr_assert_eq(jt_limits_parse("none", NULL, "5/day", &l), 0);
	cr_assert_eq(l.rate, 0);
	cr_assert_eq(l.burst, 0);
	cr_assert_eq(jt_limits_parse("none", "5", "5/day", &l),
		     JT_LIMITS_E_ALONE);
	cr_assert_eq(jt_limits_parse("5/s", "none", NULL, &l),
		     JT_LIMITS_E_BURST);
}

Test(limits, reads_back_every_quota_that_it_writes)
{
	static const char *const same[] = {
		"5000/day",	 "20000/week",
		"5000000/month", "100/15min",
		"500/36h",	 "700/10d",
		"1/2w",		 "1/90min",
		"1/399999min",	 "137438953471/month"};
	static const char *const shorter[][2] = {{"1/60min", "1/1h"},
						 {"1/24h", "1/1d"},
						 {"1/7d", "1/1w"},
						 {"1/1440min", "1/1d"},
						 {"1/120min", "1/2h"}};
	char text[JT_LIMIT_TEXT];
	struct jt_limit l, again;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		l = quota(same[i]);
		jt_limits_quota(&l, text);
		cr_assert_str_eq(text, same[i]);
	}
	for (size_t i = 0; i < sizeof(shorter) / sizeof(shorter[0]); i++) {
		l = quota(shorter[i][0]);
		jt_limits_quota(&l, text);
		cr_assert_str_eq(text, shorter[i][1]);
		again = quota(text);
		cr_assert_eq(memcmp(&l, &again, sizeof(l)), 0);
	}
}

/* A day of the calendar is not 24 hours counted from 1970, though here both
 * begin at midnight UTC: the words are kept. */
Test(limits, a_day_of_the_calendar_is_not_1d)
{
	struct jt_limit day = quota("1/day"), one = quota("1/1d");

	cr_assert_neq(memcmp(&day, &one, sizeof(day)), 0);
}

Test(limits, every_number_of_minutes_reads_back)
{
	char text[JT_LIMIT_TEXT];
	struct jt_limit l = {.quota = 1, .quota_unit = JT_QUOTA_MINUTES}, again;

	for (l.quota_minutes = 1; l.quota_minutes <= 400000;
	     l.quota_minutes++) {
		jt_limits_quota(&l, text);
		cr_assert_eq(jt_limits_parse(NULL, NULL, text, &again), 0, "%s",
			     text);
		cr_assert_eq(memcmp(&l, &again, sizeof(l)), 0, "%s", text);
	}
}

Test(limits, both_are_written_together)
{
	char text[JT_LIMIT_TEXT];
	struct jt_limit l;

	cr_assert_eq(jt_limits_parse("100/s", "10", "5000/day", &l), 0);
	jt_limits_format(&l, text);
	cr_assert_str_eq(text, "100/s burst 10, 5000/day");
	l = quota("5000/day");
	jt_limits_format(&l, text);
	cr_assert_str_eq(text, "5000/day");
	jt_limits_rate(&l, text);
	cr_assert_str_eq(text, "");
}

Test(limits, checks_quotas_of_a_journal)
{
	struct jt_limit good = quota("5/day"), l = good;

	l.quota_unit = JT_QUOTA_NONE;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_QUOTA);
	l.quota_unit = JT_QUOTA_UNITS;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_QUOTA);
	l.quota_unit = JT_QUOTA_MINUTES;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_QUOTA);
	l.quota_minutes = 400001;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_QUOTA);
	l = good;
	l.quota_minutes = 5;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_QUOTA);
	l = good;
	l.quota = JT_QUOTA_MOST + 1;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_MANY);
	l = good;
	l.quota = 0;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_QUOTA);
	l = good;
	l.burst = 5;
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_RATE);
	l = (struct jt_limit){0};
	cr_assert_eq(jt_limits_check(&l), JT_LIMITS_E_NONE);
}

Test(limits, own_ones_come_before_the_plans_each_kind_for_itself)
{
	struct jt_limit plan, own, none = {0}, l;

	cr_assert_eq(jt_limits_parse("5/s", "50", "1000/month", &plan), 0);
	l = jt_limits_merge(&none, &plan);
	cr_assert_eq(memcmp(&l, &plan, sizeof(l)), 0);
	l = jt_limits_merge(&plan, &none);
	cr_assert_eq(memcmp(&l, &plan, sizeof(l)), 0);
	cr_assert_eq(jt_limits_parse("1/min", NULL, NULL, &own), 0);
	l = jt_limits_merge(&own, &plan);
	cr_assert_eq(l.rate, 1);
	cr_assert_eq(l.period_ns, 60000000000ull);
	cr_assert_eq(l.burst, 1, "the burst belongs to the rate");
	cr_assert_eq(l.quota, 1000);
	own = quota("9/15min");
	l = jt_limits_merge(&own, &plan);
	cr_assert_eq(l.rate, 5);
	cr_assert_eq(l.burst, 50);
	cr_assert_eq(l.quota, 9);
	cr_assert_eq(l.quota_unit, JT_QUOTA_MINUTES);
	cr_assert_eq(l.quota_minutes, 15);
}

Test(limits, records_and_meters_get_the_same_numbers)
{
	struct jt_record_plan p = {0};
	struct jt_limit l, back;
	struct jt_bounds b;

	cr_assert_eq(jt_limits_parse("3/s", "7", "9/36h", &l), 0);
	jt_limits_put(&l, &p);
	back = jt_limits_of(&p);
	cr_assert_eq(memcmp(&l, &back, sizeof(l)), 0);
	b = jt_limits_bounds(&l);
	cr_assert_eq(b.interval_ns, 333333334);
	cr_assert_eq(b.burst, 7);
	cr_assert_eq(b.quota, 9);
	cr_assert_eq(b.quota_unit, JT_QUOTA_MINUTES);
	cr_assert_eq(b.quota_minutes, 36 * 60);
	cr_assert(jt_meter_bounds_ok(&b));
	l = quota("5/day");
	b = jt_limits_bounds(&l);
	cr_assert_eq(b.interval_ns, 0);
	cr_assert_eq(b.burst, 0);
	cr_assert(jt_meter_bounds_ok(&b));
}
