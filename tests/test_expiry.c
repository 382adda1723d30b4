/* expiry: every form, the calendar's corners, and what must be refused. */
#include "admin/expiry.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Seconds of a UTC moment. */
static uint64_t at(int year, int month, int day, int hour, int min, int sec)
{
	struct tm tm = {.tm_year = year - 1900,
			.tm_mon = month - 1,
			.tm_mday = day,
			.tm_hour = hour,
			.tm_min = min,
			.tm_sec = sec};

	return (uint64_t)timegm(&tm);
}

static void gives(const char *text, uint64_t now_s, uint64_t want_s)
{
	uint64_t got_s = 0;
	int e = jt_expiry_parse(text, now_s, &got_s);

	cr_assert_eq(e, 0, "%s: %s", text, jt_expiry_why(e));
	cr_assert_eq(got_s, want_s, "%s: %" PRIu64 ", not %" PRIu64, text,
		     got_s, want_s);
}

static void refused(const char *text, uint64_t now_s, int want)
{
	uint64_t got_s = 7;
	int e = jt_expiry_parse(text, now_s, &got_s);

	cr_assert_eq(e, want, "`%s`: %d, not %d", text, e, want);
	cr_assert_eq(got_s, 7, "`%s` wrote a result", text);
}

#define NOW at(2026, 11, 23, 12, 30, 15)

Test(expiry, takes_the_usual_choices)
{
	gives("30d", NOW, NOW + 30 * 86400);
	gives("90d", NOW, NOW + 90 * 86400);
	gives("6m", NOW, at(2027, 5, 23, 12, 30, 15));
	gives("1y", NOW, at(2027, 11, 23, 12, 30, 15));
	gives("never", NOW, at(2030, 11, 23, 12, 30, 15));
	gives(JT_EXPIRY_DEFAULT, NOW, NOW + 90 * 86400);
}

Test(expiry, takes_every_unit)
{
	gives("1s", NOW, NOW + 1);
	gives("45min", NOW, NOW + 45 * 60);
	gives("12h", NOW, NOW + 12 * 3600);
	gives("2w", NOW, NOW + 14 * 86400);
	gives("48m", NOW, at(2030, 11, 23, 12, 30, 15));
	gives("4y", NOW, at(2030, 11, 23, 12, 30, 15));
	gives("0007d", NOW, NOW + 7 * 86400);
	gives("1461d", NOW, at(2030, 11, 23, 12, 30, 15));
}

Test(expiry, clamps_to_the_end_of_the_month)
{
	gives("1m", at(2026, 1, 31, 1, 2, 3), at(2026, 2, 28, 1, 2, 3));
	gives("1m", at(2028, 1, 31, 1, 2, 3), at(2028, 2, 29, 1, 2, 3));
	gives("1m", at(2026, 3, 31, 0, 0, 0), at(2026, 4, 30, 0, 0, 0));
	gives("13m", at(2027, 1, 30, 0, 0, 0), at(2028, 2, 29, 0, 0, 0));
	gives("2m", at(2026, 12, 31, 23, 59, 59), at(2027, 2, 28, 23, 59, 59));
	gives("12m", at(2026, 12, 31, 0, 0, 0), at(2027, 12, 31, 0, 0, 0));
}

Test(expiry, knows_leap_years)
{
	gives("1y", at(2028, 2, 29, 5, 0, 0), at(2029, 2, 28, 5, 0, 0));
	gives("4y", at(2028, 2, 29, 5, 0, 0), at(2032, 2, 29, 5, 0, 0));
	gives("never", at(2096, 2, 29, 0, 0, 0), at(2100, 2, 28, 0, 0, 0));
	gives("2028-02-29", at(2027, 1, 1, 0, 0, 0), at(2028, 3, 1, 0, 0, 0));
	refused("2027-02-29", NOW, JT_EXPIRY_E_DATE);
	refused("2100-02-29", at(2099, 1, 1, 0, 0, 0), JT_EXPIRY_E_DATE);
}

Test(expiry, takes_dates_to_the_end_of_the_day)
{
	gives("2027-03-31", NOW, at(2027, 4, 1, 0, 0, 0));
	gives("2026-12-31", NOW, at(2027, 1, 1, 0, 0, 0));
	gives("2026-11-23", NOW, at(2026, 11, 24, 0, 0, 0));
	refused("2026-11-22", NOW, JT_EXPIRY_E_PAST);
	refused("1969-12-31", NOW, JT_EXPIRY_E_DATE);
	refused("1970-01-01", NOW, JT_EXPIRY_E_PAST);
}

Test(expiry, takes_moments)
{
	gives("2027-03-31T12:00:00Z", NOW, at(2027, 3, 31, 12, 0, 0));
	gives("2027-03-31t12:00:00z", NOW, at(2027, 3, 31, 12, 0, 0));
	gives("2027-03-31T12:00:00+02:00", NOW, at(2027, 3, 31, 10, 0, 0));
	gives("2027-03-31T12:00:00-05:30", NOW, at(2027, 3, 31, 17, 30, 0));
	gives("2027-01-01T00:30:00+01:00", NOW, at(2026, 12, 31, 23, 30, 0));
	gives("2027-03-31T12:00:00.999Z", NOW, at(2027, 3, 31, 12, 0, 0));
	gives("2026-12-31T23:59:60Z", NOW, at(2027, 1, 1, 0, 0, 0));
	gives("2027-01-01T00:59:60+01:00", NOW, at(2027, 1, 1, 0, 0, 0));
	gives("2026-11-23T12:30:16Z", NOW, NOW + 1);
	refused("2026-11-23T12:30:15Z", NOW, JT_EXPIRY_E_PAST);
}

Test(expiry, refuses_what_does_not_exist)
{
	static const char *const texts[] = {
		"2027-00-10",
		"2027-13-10",
		"2027-04-31",
		"2027-04-00",
		"2027-03-31T24:00:00Z",
		"2027-03-31T12:60:00Z",
		"2027-03-31T12:00:61Z",
		"2027-03-31T12:00:60Z",
		"2027-03-31T12:00:00+24:00",
		"2027-03-31T12:00:00+01:60",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused(texts[i], NOW, JT_EXPIRY_E_DATE);
}

Test(expiry, refuses_what_has_no_form)
{
	static const char *const texts[] = {
		"",
		" ",
		"d",
		"90",
		"90 d",
		" 90d",
		"90d ",
		"90D",
		"+90d",
		"-90d",
		"1.5y",
		"90days",
		"6mo",
		"1y6m",
		"Never",
		"none",
		"forever",
		"0x10d",
		"2027-3-31",
		"27-03-31",
		"2027-03-31T",
		"2027-03-31 12:00:00Z",
		"2027-03-31T12:00Z",
		"2027-03-31T12:00:00",
		"2027-03-31T12:00:00ZZ",
		"2027-03-31T12:00:00.Z",
		"2027-03-31T12:00:00+0100",
		"2027-03-31T12:00:00+01:00x",
		"2027-03-31x",
		"2027/03/31",
		"2027-03-",
		"-",
		"٣d",
		"90d\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused(texts[i], NOW, JT_EXPIRY_E_SYNTAX);
}

Test(expiry, refuses_zero_and_beyond_four_years)
{
	refused("0s", NOW, JT_EXPIRY_E_PAST);
	refused("0d", NOW, JT_EXPIRY_E_PAST);
	refused("0m", NOW, JT_EXPIRY_E_PAST);
	refused("5y", NOW, JT_EXPIRY_E_FAR);
	refused("49m", NOW, JT_EXPIRY_E_FAR);
	refused("1462d", NOW, JT_EXPIRY_E_FAR);
	refused("2030-11-23", NOW, JT_EXPIRY_E_FAR);
	gives("2030-11-22", NOW, at(2030, 11, 23, 0, 0, 0));
	refused("2030-11-23T12:30:16Z", NOW, JT_EXPIRY_E_FAR);
	gives("2030-11-23T12:30:15Z", NOW, at(2030, 11, 23, 12, 30, 15));
	refused("9999-12-31", NOW, JT_EXPIRY_E_FAR);
}

Test(expiry, does_not_overflow)
{
	static const char *const units[] = {"s", "min", "h", "d",
					    "w", "m",	"y"};
	char text[64];

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		snprintf(text, sizeof(text), "18446744073709551617%s",
			 units[i]);
		refused(text, NOW, JT_EXPIRY_E_FAR);
		snprintf(text, sizeof(text), "4294967297%s", units[i]);
		refused(text, NOW, JT_EXPIRY_E_FAR);
	}
}

Test(expiry, agrees_with_the_calendar_on_every_day)
{
	/* a month later is never more than 31 and never less than 28 days */
	for (uint64_t day = at(2026, 1, 1, 0, 0, 0);
	     day < at(2034, 1, 1, 0, 0, 0); day += 86400) {
		uint64_t next = jt_expiry_add_months(day, 1);
		uint64_t days = (next - day) / 86400;

		cr_assert_eq((next - day) % 86400, 0);
		cr_assert(days >= 28 && days <= 31);
	}
}

Test(expiry, formats)
{
	char text[JT_TIME_TEXT];

	jt_time_format(at(2027, 3, 1, 4, 5, 6), text);
	cr_assert_str_eq(text, "2027-03-01T04:05:06Z");
	/* a date given is the date shown */
	jt_expiry_day(at(2027, 4, 1, 0, 0, 0), text);
	cr_assert_str_eq(text, "2027-03-31");
	jt_expiry_day(at(2027, 4, 1, 0, 0, 1), text);
	cr_assert_str_eq(text, "2027-04-01");
	jt_expiry_day(0, text);
	cr_assert_str_eq(text, "1970-01-01");
}

Test(expiry, says_distances)
{
	static const struct {
		int64_t gap_s;
		const char *text;
	} cases[] = {
		{0, "now"},
		{1, "in 1 second"},
		{119, "in 119 seconds"},
		{120, "in 2 minutes"},
		{7199, "in 119 minutes"},
		{7200, "in 2 hours"},
		{172799, "in 47 hours"},
		{172800, "in 2 days"},
		{90 * 86400, "in 90 days"},
		{-1, "1 second ago"},
		{-10800, "3 hours ago"},
		{-400 * 86400, "400 days ago"},
	};
	char text[JT_TIME_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		jt_time_distance((uint64_t)((int64_t)NOW + cases[i].gap_s), NOW,
				 text);
		cr_assert_str_eq(text, cases[i].text);
	}
}

Test(expiry, survives_absurd_times)
{
	char text[JT_TIME_TEXT];

	jt_time_format(UINT64_MAX, text);
	jt_expiry_day(UINT64_MAX, text);
	jt_time_distance(UINT64_MAX, 0, text);
	cr_assert(strlen(text) < sizeof(text));
}

static uint64_t moment(const char *text, bool whole_day)
{
	uint64_t when_s;

	cr_assert_eq(jt_moment_parse(text, NOW, whole_day, &when_s), 0, "%s",
		     text);
	return when_s;
}

Test(expiry, moments_are_spans_back_dates_and_times)
{
	cr_assert_eq(moment("24h", false), NOW - 86400);
	cr_assert_eq(moment("90s", true), NOW - 90);
	cr_assert_eq(moment("0s", false), NOW);
	cr_assert_eq(moment("1970-01-01", false), 0);
	cr_assert_eq(moment("1970-01-01", true), 86400);
	cr_assert_eq(moment("2020-02-29T12:00:00Z", false), 1582977600);
	cr_assert_eq(moment("2020-02-29T12:00:00Z", true), 1582977600);
	cr_assert_eq(moment("2020-02-29T12:00:00+02:00", false), 1582970400);
	cr_assert_eq(moment("2999-01-01", false), 32472144000);
}

Test(expiry, moments_that_are_none)
{
	static const char *const bad[] = {
		"",	"x",	      "24",	     "h",
		"-1d",	"30d ago",    "2020-02-30",  "2020-2-3",
		"5y",	"1969-12-31", "2020-01-01T", "2020-01-01T25:00:00Z",
		" 24h", "24h ",
	};
	uint64_t when_s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int e = jt_moment_parse(bad[i], NOW, false, &when_s);

		cr_assert_gt(e, 0, "%s", bad[i]);
		cr_assert_gt(strlen(jt_moment_why(e)), 5);
	}
	cr_assert_eq(jt_moment_parse("1970-01-01T00:00:00+01:00", NOW, false,
				     &when_s),
		     JT_EXPIRY_E_FAR);
}
