/*
 * expiry: when a token stops working, from what people write.
 *
 *   30d 90d 6m 1y never       the usual choices; never = 4 calendar years
 *   Ns Nmin Nh Nd Nw Nm Ny    any span; m and y are calendar months and years
 *   2027-03-31                to the end of that day, UTC
 *   2027-03-31T12:00:00+02:00 RFC 3339
 *
 * Everything is UTC. Calendar spans keep the day of the month where there is
 * one and else take the month's last day: Jan 31 + 1m = Feb 28 or 29. The
 * result is the first second that is refused. Pure functions, any process.
 */
#ifndef JT_ADMIN_EXPIRY_H
#define JT_ADMIN_EXPIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JT_EXPIRY_DEFAULT "90d"
#define JT_TIME_TEXT 32

enum {
	JT_EXPIRY_E_SYNTAX = 1,
	JT_EXPIRY_E_DATE, /* the form is right, the day or hour is not */
	JT_EXPIRY_E_PAST, /* not after now; also zero spans */
	JT_EXPIRY_E_FAR,  /* more than 4 calendar years away */
};

int jt_expiry_parse(const char *text, uint64_t now_s, uint64_t *expires_sp);

/*
 * A span alone: 30d, 12h, 90s, 2w, 6m, 1y, 0 with any unit or none; at most 4
 * years. Months and years are those that follow on NOW_S.
 */
int jt_span_parse(const char *text, uint64_t now_s, uint64_t *span_sp);
const char *jt_span_why(int e);

/*
 * A moment that is not in the future: so long ago (24h, 30d), a date, a time.
 * Of a date the beginning, or with WHOLE_DAY the end. JT_EXPIRY_E_SYNTAX, _DATE
 * or _FAR: before 1970.
 */
int jt_moment_parse(const char *text, uint64_t now_s, bool whole_day,
		    uint64_t *when_sp);
const char *jt_moment_why(int e);

/* The furthest moment that a token made now may have. */
uint64_t jt_expiry_furthest_s(uint64_t now_s);

/* Calendar months added in UTC, the day clamped to the month. */
uint64_t jt_expiry_add_months(uint64_t from_s, unsigned months);

/* What is wrong, after the name of the field: "is not ...". */
const char *jt_expiry_why(int e);

/* "2027-03-31T12:00:00Z" */
void jt_time_format(uint64_t time_s, char out[JT_TIME_TEXT]);
/* "2027-03-31": the last day on which the token works. */
void jt_expiry_day(uint64_t expires_s, char out[JT_TIME_TEXT]);
/* "in 12 days", "3 hours ago", "now" */
void jt_time_distance(uint64_t time_s, uint64_t now_s, char out[JT_TIME_TEXT]);

#endif
