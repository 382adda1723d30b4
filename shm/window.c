/*
 * window: see window.h.
 *
 * Months by Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
 * civil_from_days: years begin with March, so that the leap day is the last of
 * its year and a month's first day is a straight line through the others, (153
 * m + 2) / 5; eras of 400 years (146097 days) repeat exactly. Only days from
 * 1970 on come in here, so nothing is negative.
 */
#include "shm/window.h"

#include <stdbool.h>

#define S_PER_MIN 60u
#define MIN_PER_DAY 1440u
#define DAYS_PER_WEEK 7u
#define DAYS_PER_ERA 146097u
#define ERA_TO_1970 719468u /* days from 0000-03-01 to 1970-01-01 */
#define FEBRUARY 11u	    /* months are counted from March */

static struct jt_window days(uint64_t first, uint64_t end)
{
	return (struct jt_window){first * MIN_PER_DAY, end * MIN_PER_DAY};
}

/* Day 0 is a Thursday; the Monday before it lies before 1970. */
static struct jt_window week_of(uint64_t day)
{
	uint64_t since_monday = (day + 3) % DAYS_PER_WEEK;
	uint64_t end = day + DAYS_PER_WEEK - since_monday;

	return days(since_monday < day ? day - since_monday : 0, end);
}

/* Days from March 1st to the first of month M after March. */
static uint32_t first_of(uint32_t m)
{
	return (153 * m + 2) / 5;
}

/* Of the 400 years of an era; the leap day ends the year before YEAR. */
static bool is_leap(uint32_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year == 400);
}

static struct jt_window month_of(uint64_t day)
{
	uint64_t since = day + ERA_TO_1970;
	uint32_t doe = (uint32_t)(since % DAYS_PER_ERA);
	uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint32_t month = (5 * doy + 2) / 153;
	uint32_t length = first_of(month + 1) - first_of(month);
	uint64_t first = day - (doy - first_of(month));

	if (month == FEBRUARY)
		length = is_leap(yoe + 1) ? 29 : 28;
	return days(first, first + length);
}

struct jt_window jt_window_at(uint32_t unit, uint32_t minutes, uint64_t wall_s)
{
	uint64_t now_min = wall_s / S_PER_MIN, day = now_min / MIN_PER_DAY;

	switch (unit) {
	case JT_QUOTA_DAY:
		return days(day, day + 1);
	case JT_QUOTA_WEEK:
		return week_of(day);
	case JT_QUOTA_MONTH:
		return month_of(day);
	case JT_QUOTA_MINUTES:
		break;
	default:
		minutes = 1;
	}
	if (minutes == 0)
		minutes = 1;
	now_min -= now_min % minutes;
	return (struct jt_window){now_min, now_min + minutes};
}
