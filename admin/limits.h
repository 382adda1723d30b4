/*
 * limits: `100/s`, `5/min`, `1000/h`, `10/day` as numbers, and quotas like
 * `5000/day`, `5000000/month`, `100/15min`.
 *
 * A rate admits RATE requests in each PERIOD_NS on average and BURST at once.
 * A quota admits QUOTA requests in a window: a day, a week (from Monday) or a
 * month of the UTC calendar, or any span of whole minutes counted from 1970.
 * The meter works with one interval between requests, rounded up to whole
 * nanoseconds so that it never admits too much; the fastest rate taken has an
 * interval of 100 ns (10^7/s), where that rounding costs at most 1 %.
 * Pure functions, any process.
 */
#ifndef JT_ADMIN_LIMITS_H
#define JT_ADMIN_LIMITS_H

#include "admin/record.h"
#include "shm/meter.h"
#include <stdbool.h>

#define JT_LIMIT_TEXT 128
#define JT_QUOTA_MOST ((1ull << 37) - 1)
#define JT_LIMIT_SPAN (1ull << 62) /* interval x burst, ns, at most */

enum {
	JT_LIMITS_E_RATE = 1, /* not N/s, N/min, N/h or N/day */
	JT_LIMITS_E_FAST,     /* above 10^7/s */
	JT_LIMITS_E_BURST,    /* not a whole number from 1 on */
	JT_LIMITS_E_SPAN,  /* refilling the burst would take over 146 years */
	JT_LIMITS_E_ALONE, /* a burst without a rate */
	JT_LIMITS_E_QUOTA, /* not N/day, N/week, N/month or N/SPAN */
	JT_LIMITS_E_MANY,  /* a quota above 2^37 - 1 */
	JT_LIMITS_E_NONE,  /* neither rate nor quota (check only) */
};

struct jt_limit {
	uint64_t rate; /* 0: no rate */
	uint64_t period_ns;
	uint64_t burst;
	uint64_t quota;		/* 0: no quota */
	uint32_t quota_unit;	/* enum jt_quota_unit */
	uint32_t quota_minutes; /* with JT_QUOTA_MINUTES */
};

/*
 * RATE, BURST and QUOTA: text, NULL or "" when not given, "none" for no such
 * limit. No burst gives that of the rate. 0 or JT_LIMITS_E_*.
 */
int jt_limits_parse(const char *rate, const char *burst, const char *quota,
		    struct jt_limit *limitp);

bool jt_limits_any(const struct jt_limit *limit);

/* What holds for a token: its own limits where it has some, else the plan's. */
struct jt_limit jt_limits_merge(const struct jt_limit *own,
				const struct jt_limit *plan);

/* To and from a record. */
struct jt_limit jt_limits_of(const struct jt_record_plan *plan);
void jt_limits_put(const struct jt_limit *limit, struct jt_record_plan *plan);

/* In the words of the meter. */
struct jt_bounds jt_limits_bounds(const struct jt_limit *limit);

/* Are these numbers, from a journal, a limit that the parser could give? */
int jt_limits_check(const struct jt_limit *limit);

/* "100/s burst 10, 5000/day", or "none". */
void jt_limits_format(const struct jt_limit *limit, char out[JT_LIMIT_TEXT]);
/* "100/s" alone, or "". */
void jt_limits_rate(const struct jt_limit *limit, char out[JT_LIMIT_TEXT]);
/* "5000/day" alone, or "". */
void jt_limits_quota(const struct jt_limit *limit, char out[JT_LIMIT_TEXT]);

/* What is wrong, after the name of the field: "is above ...". */
const char *jt_limits_why(int e);
/* Which option is wrong, without dashes: rate, burst or quota. */
const char *jt_limits_which(int e);

#endif
