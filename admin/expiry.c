/*
 * expiry: see expiry.h.
 *
 * Text is matched against fixed shapes digit by digit, never with strptime(),
 * which takes blanks and signs where none belong. Seconds and days are
 * converted by timegm() and gmtime_r(), which know no time zone.
 */
#include "admin/expiry.h"
#include "shm/token.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_S 86400u
#define SPAN_MAX 1000000000u /* over 4 years in any unit; keeps sums small */

static struct tm utc(uint64_t time_s)
{
	time_t t = (time_t)time_s;
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	gmtime_r(&t, &tm);
	return tm;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30,
				   31, 31, 30, 31, 30, 31};

	return days[month] + (month == 1 && is_leap(year));
}

uint64_t jt_expiry_add_months(uint64_t from_s, unsigned months)
{
	struct tm tm = utc(from_s);
	unsigned month = (unsigned)tm.tm_mon + months;
	int last;

	tm.tm_year += (int)(month / 12);
	tm.tm_mon = (int)(month % 12);
	last = month_days(tm.tm_year + 1900, tm.tm_mon);
	if (tm.tm_mday > last)
		tm.tm_mday = last;
	return (uint64_t)timegm(&tm);
}

uint64_t jt_expiry_furthest_s(uint64_t now_s)
{
	return jt_expiry_add_months(now_s, 12 * JT_LIFETIME_YEARS);
}

/* N digits as a number; false when one of them is something else. */
static bool digits(const char *text, size_t n, int *valuep)
{
	int value = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*valuep = value;
	return true;
}

/* "YYYY-MM-DD" at TEXT. */
static int parse_day(const char *text, struct tm *tmp)
{
	int year, month, day;

	if (strnlen(text, 10) < 10 || text[4] != '-' || text[7] != '-' ||
	    !digits(text, 4, &year) || !digits(text + 5, 2, &month) ||
	    !digits(text + 8, 2, &day))
		return JT_EXPIRY_E_SYNTAX;
	memset(tmp, 0, sizeof(*tmp));
	if (year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > month_days(year, month - 1))
		return JT_EXPIRY_E_DATE;
	tmp->tm_year = year - 1900;
	tmp->tm_mon = month - 1;
	tmp->tm_mday = day;
	return 0;
}

/* "HH:MM:SS" at TEXT; a leap second is taken as the second after it. */
static int parse_clock(const char *text, struct tm *tm)
{
	if (strnlen(text, 8) < 8 || text[2] != ':' || text[5] != ':' ||
	    !digits(text, 2, &tm->tm_hour) ||
	    !digits(text + 3, 2, &tm->tm_min) ||
	    !digits(text + 6, 2, &tm->tm_sec))
		return JT_EXPIRY_E_SYNTAX;
	if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
		return JT_EXPIRY_E_DATE;
	return 0;
}

/* "Z" or "+HH:MM" and the end: seconds to take away for UTC. */
static int parse_zone(const char *text, int64_t *offset_sp)
{
	int hours, minutes;

	*offset_sp = 0;
	if ((text[0] == 'Z' || text[0] == 'z') && text[1] == '\0')
		return 0;
	if ((text[0] != '+' && text[0] != '-') || strlen(text) != 6 ||
	    text[3] != ':' || !digits(text + 1, 2, &hours) ||
	    !digits(text + 4, 2, &minutes))
		return JT_EXPIRY_E_SYNTAX;
	if (hours > 23 || minutes > 59)
		return JT_EXPIRY_E_DATE;
	*offset_sp = (text[0] == '-' ? -60 : 60) * (hours * 60 + minutes);
	return 0;
}

/* The rest of an RFC 3339 date-time, from the `T` on. */
static int parse_moment(const char *text, struct tm *tm, int64_t *whenp)
{
	int64_t offset_s;
	bool leap;
	int e;

	if (*text != 'T' && *text != 't')
		return JT_EXPIRY_E_SYNTAX;
	e = parse_clock(text + 1, tm);
	if (e)
		return e;
	text += 9;
	/* a fraction is dropped: rather a moment early than late */
	if (text[0] == '.' && text[1] >= '0' && text[1] <= '9')
		text += 1 + strspn(text + 1, "0123456789");
	e = parse_zone(text, &offset_s);
	if (e)
		return e;
	leap = tm->tm_sec == 60;
	*whenp = (int64_t)timegm(tm) - offset_s;
	/* leap seconds stand at the end of a UTC day and nowhere else */
	return leap && *whenp % DAY_S ? JT_EXPIRY_E_DATE : 0;
}

static int parse_date(const char *text, int64_t *whenp)
{
	struct tm tm;
	int e = parse_day(text, &tm);

	if (e)
		return e;
	if (text[10] != '\0')
		return parse_moment(text + 10, &tm, whenp);
	*whenp = (int64_t)timegm(&tm) + DAY_S;
	return 0;
}

static int add_months(uint64_t now_s, uint64_t months, int64_t *whenp)
{
	if (months > 12 * JT_LIFETIME_YEARS)
		return JT_EXPIRY_E_FAR;
	*whenp = (int64_t)jt_expiry_add_months(now_s, (unsigned)months);
	return 0;
}

/* "90d" and the like. */
static int parse_span(const char *text, uint64_t now_s, int64_t *whenp)
{
	static const struct {
		const char *unit;
		uint64_t seconds; /* 0: calendar */
		uint64_t months;
	} units[] = {
		{"s", 1, 0},	 {"min", 60, 0},      {"h", 3600, 0},
		{"d", DAY_S, 0}, {"w", 7 * DAY_S, 0}, {"m", 0, 1},
		{"y", 0, 12},
	};
	uint64_t n = 0;
	size_t len = strspn(text, "0123456789");

	if (len == 0)
		return JT_EXPIRY_E_SYNTAX;
	for (size_t i = 0; i < len; i++)
		if ((n = n * 10 + (uint64_t)(text[i] - '0')) > SPAN_MAX)
			n = SPAN_MAX;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + len, units[i].unit) != 0)
			continue;
		if (units[i].months)
			return add_months(now_s, n * units[i].months, whenp);
		*whenp = (int64_t)(now_s + n * units[i].seconds);
		return 0;
	}
	return JT_EXPIRY_E_SYNTAX;
}

int jt_expiry_parse(const char *text, uint64_t now_s, uint64_t *expires_sp)
{
	int64_t when = 0;
	int e = 0;

	if (strcmp(text, "never") == 0)
		when = (int64_t)jt_expiry_furthest_s(now_s);
	else if (strchr(text, '-'))
		e = parse_date(text, &when);
	else
		e = parse_span(text, now_s, &when);
	if (e)
		return e;
	if (when <= (int64_t)now_s)
		return JT_EXPIRY_E_PAST;
	if (when > (int64_t)jt_expiry_furthest_s(now_s))
		return JT_EXPIRY_E_FAR;
	*expires_sp = (uint64_t)when;
	return 0;
}

int jt_span_parse(const char *text, uint64_t now_s, uint64_t *span_sp)
{
	int64_t when = 0;
	int e;

	*span_sp = 0;
	if (strcmp(text, "0") == 0)
		return 0;
	e = parse_span(text, now_s, &when);
	if (e)
		return e;
	if (when > (int64_t)jt_expiry_furthest_s(now_s))
		return JT_EXPIRY_E_FAR;
	*span_sp = (uint64_t)when - now_s;
	return 0;
}

int jt_moment_parse(const char *text, uint64_t now_s, bool whole_day,
		    uint64_t *when_sp)
{
	int64_t when;
	int e;

	*when_sp = 0;
	if (strchr(text, '-')) {
		e = parse_date(text, &when);
		if (e == 0 && text[10] == '\0' && !whole_day)
			when -= DAY_S;
	} else {
		e = parse_span(text, now_s, &when);
		when = 2 * (int64_t)now_s - when;
	}
	if (e)
		return e;
	if (when < 0)
		return JT_EXPIRY_E_FAR;
	*when_sp = (uint64_t)when;
	return 0;
}

const char *jt_moment_why(int e)
{
	if (e == JT_EXPIRY_E_DATE)
		return "names a day or an hour that does not exist";
	if (e == JT_EXPIRY_E_FAR)
		return "is too long ago";
	return "is not like 24h, 30d, 2026-03-31 or 2026-03-31T12:00:00Z";
}

const char *jt_span_why(int e)
{
	return e == JT_EXPIRY_E_FAR ? "is more than 4 years"
				    : "is not like 24h, 30d, 2w, 6m or 1y";
}

const char *jt_expiry_why(int e)
{
	switch (e) {
	case JT_EXPIRY_E_SYNTAX:
		return "is not like 90d, 6m, 1y, never, 2027-03-31 or "
		       "2027-03-31T12:00:00Z";
	case JT_EXPIRY_E_DATE:
		return "names a day or an hour that does not exist";
	case JT_EXPIRY_E_PAST:
		return "is not in the future";
	default:
		return "is more than 4 years away";
	}
}

void jt_time_format(uint64_t time_s, char out[JT_TIME_TEXT])
{
	struct tm tm = utc(time_s);

	strftime(out, JT_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void jt_expiry_day(uint64_t expires_s, char out[JT_TIME_TEXT])
{
	struct tm tm = utc(expires_s ? expires_s - 1 : 0);

	strftime(out, JT_TIME_TEXT, "%Y-%m-%d", &tm);
}

void jt_time_distance(uint64_t time_s, uint64_t now_s, char out[JT_TIME_TEXT])
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} steps[] = {
		{"day", DAY_S}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
	bool past = time_s < now_s;
	uint64_t gap_s = past ? now_s - time_s : time_s - now_s, n;
	size_t i = 0;

	if (gap_s == 0) {
		snprintf(out, JT_TIME_TEXT, "now");
		return;
	}
	/* two whole units at least, so that "in 1 day" never hides 47 hours */
	while (i < 3 && gap_s < 2 * steps[i].seconds)
		i++;
	n = gap_s / steps[i].seconds;
	snprintf(out, JT_TIME_TEXT, "%s%" PRIu64 " %s%s%s", past ? "" : "in ",
		 n, steps[i].name, n == 1 ? "" : "s", past ? " ago" : "");
}
