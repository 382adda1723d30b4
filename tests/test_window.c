/* window: the calendar, against the C library's. */
#include "shm/window.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <time.h>

#define MIN_PER_DAY 1440ull
#define S_PER_MIN 60ull
#define S_PER_DAY 86400ull
#define LAST_DAY 200000u /* in 2517 */

static struct jt_window at(uint32_t unit, uint64_t wall_s)
{
	return jt_window_at(unit, 0, wall_s);
}

static struct jt_window minutes_at(uint32_t minutes, uint64_t wall_s)
{
	return jt_window_at(JT_QUOTA_MINUTES, minutes, wall_s);
}

static uint64_t date_s(int year, int month, int day)
{
	struct tm tm = {
		.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};

	return (uint64_t)timegm(&tm);
}

static uint64_t date_min(int year, int month, int day)
{
	return date_s(year, month, day) / S_PER_MIN;
}

static void expect_window(struct jt_window w, uint64_t start, uint64_t end)
{
	cr_assert_eq(w.start_min, start);
	cr_assert_eq(w.end_min, end);
}

/* The first and the last second of every day, and one within. */
static void expect_on_day(uint32_t unit, uint64_t day, uint64_t start,
			  uint64_t end)
{
	uint64_t s = day * S_PER_DAY;

	expect_window(at(unit, s), start, end);
	expect_window(at(unit, s + day % S_PER_DAY), start, end);
	expect_window(at(unit, s + S_PER_DAY - 1), start, end);
}

Test(window, days_end_at_midnight_utc)
{
	for (uint64_t day = 0; day < LAST_DAY; day++)
		expect_on_day(JT_QUOTA_DAY, day, day * MIN_PER_DAY,
			      (day + 1) * MIN_PER_DAY);
}

Test(window, months_are_those_of_the_c_library_on_every_day)
{
	for (uint64_t day = 0; day < LAST_DAY; day++) {
		time_t s = (time_t)(day * S_PER_DAY);
		struct tm tm;

		gmtime_r(&s, &tm);
		expect_on_day(JT_QUOTA_MONTH, day,
			      date_min(tm.tm_year + 1900, tm.tm_mon + 1, 1),
			      date_min(tm.tm_year + 1900, tm.tm_mon + 2, 1));
	}
}

Test(window, weeks_begin_on_the_monday_of_the_c_library)
{
	for (uint64_t day = 4; day < LAST_DAY; day++) {
		time_t s = (time_t)(day * S_PER_DAY);
		uint64_t monday;
		struct tm tm;

		gmtime_r(&s, &tm);
		monday = day - ((uint64_t)tm.tm_wday + 6) % 7;
		expect_on_day(JT_QUOTA_WEEK, day, monday * MIN_PER_DAY,
			      (monday + 7) * MIN_PER_DAY);
	}
}

Test(window, first_week_begins_with_1970_and_ends_on_its_sunday)
{
	for (uint64_t day = 0; day < 4; day++)
		expect_on_day(JT_QUOTA_WEEK, day, 0, 4 * MIN_PER_DAY);
	expect_on_day(JT_QUOTA_WEEK, 4, 4 * MIN_PER_DAY, 11 * MIN_PER_DAY);
}

Test(window, february_has_29_days_in_leap_years_only)
{
	static const struct {
		int year;
		uint64_t days;
	} cases[] = {{2023, 28}, {2024, 29}, {2100, 28}, {2200, 28},
		     {2300, 28}, {2400, 29}, {2000, 29}, {1972, 29}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t start_s = date_s(cases[i].year, 2, 1);
		uint64_t start = start_s / S_PER_MIN;
		uint64_t end = start + cases[i].days * MIN_PER_DAY;

		expect_window(at(JT_QUOTA_MONTH, start_s), start, end);
		expect_window(at(JT_QUOTA_MONTH, end * S_PER_MIN - 1), start,
			      end);
		expect_window(at(JT_QUOTA_MONTH, end * S_PER_MIN), end,
			      end + 31 * MIN_PER_DAY);
		expect_window(at(JT_QUOTA_MONTH, start_s - 1),
			      start - 31 * MIN_PER_DAY, start);
	}
}

Test(window, minutes_are_counted_from_1970)
{
	expect_window(minutes_at(1, 59), 0, 1);
	expect_window(minutes_at(1, 60), 1, 2);
	expect_window(minutes_at(90, 90 * 60 - 1), 0, 90);
	expect_window(minutes_at(90, 90 * 60), 90, 180);
	expect_window(minutes_at(UINT32_MAX, HELP_NOW_S), 0, UINT32_MAX);
	expect_window(minutes_at(1440, HELP_NOW_S),
		      at(JT_QUOTA_DAY, HELP_NOW_S).start_min,
		      at(JT_QUOTA_DAY, HELP_NOW_S).end_min);
}

Test(window, minutes_mean_nothing_to_the_other_units)
{
	for (uint32_t unit = JT_QUOTA_DAY; unit < JT_QUOTA_MINUTES; unit++)
		for (uint32_t m = 1; m < 100000; m += 777)
			expect_window(jt_window_at(unit, m, HELP_NOW_S),
				      at(unit, HELP_NOW_S).start_min,
				      at(unit, HELP_NOW_S).end_min);
}

Test(window, hostile_units_and_spans_give_one_minute)
{
	static const uint32_t units[] = {JT_QUOTA_NONE, JT_QUOTA_UNITS, 6, 255,
					 1u << 31,	UINT32_MAX};
	const uint64_t now = HELP_NOW_S / S_PER_MIN;

	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		expect_window(jt_window_at(units[i], 0, HELP_NOW_S), now,
			      now + 1);
		expect_window(jt_window_at(units[i], UINT32_MAX, HELP_NOW_S),
			      now, now + 1);
	}
	expect_window(minutes_at(0, HELP_NOW_S), now, now + 1);
}

/* Whatever comes in: the moment lies in its window, and windows touch. */
Test(window, any_moment_is_in_its_window_and_windows_touch)
{
	uint64_t seed = 31;

	for (unsigned i = 0; i < 1000000; i++) {
		uint64_t wall_s = help_random(&seed) >> i % 40;
		uint32_t unit = (uint32_t)(help_random(&seed) % 7);
		uint32_t minutes = (uint32_t)help_random(&seed) >> i % 31;
		uint64_t now_min = wall_s / S_PER_MIN;
		struct jt_window w = jt_window_at(unit, minutes, wall_s), v;

		cr_assert_leq(w.start_min, now_min);
		cr_assert_gt(w.end_min, now_min);
		if (w.end_min > UINT64_MAX / S_PER_MIN)
			continue;
		v = jt_window_at(unit, minutes, w.end_min * S_PER_MIN - 1);
		expect_window(v, w.start_min, w.end_min);
		v = jt_window_at(unit, minutes, w.end_min * S_PER_MIN);
		cr_assert_eq(v.start_min, w.end_min);
	}
}
