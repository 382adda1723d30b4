/* limits: see limits.h. */
#include "admin/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INTERVAL_MIN_NS 100u
#define SECOND_NS 1000000000ull

static const struct {
	const char *unit;
	uint64_t period_ns;
} units[] = {
	{"s", SECOND_NS},
	{"min", 60 * SECOND_NS},
	{"h", 3600 * SECOND_NS},
	{"day", 86400 * SECOND_NS},
};

#define UNITS (sizeof(units) / sizeof(units[0]))

/* Spans of a quota, the longest last. */
static const struct {
	const char *unit;
	uint32_t minutes;
} spans[] = {
	{"min", 1},
	{"h", 60},
	{"d", 1440},
	{"w", 10080},
};

#define SPANS (sizeof(spans) / sizeof(spans[0]))
#define SPAN_MAX_MIN 400000u /* 39 weeks; times 10080 fits 32 bits */

/* Digits only, 1 or more, below 2^62; *ENDP is what follows. */
static bool whole(const char *text, const char **endp, uint64_t *np)
{
	uint64_t n = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		n = n * 10 + (uint64_t)(*text - '0');
		if (n >= JT_LIMIT_SPAN)
			return false;
	}
	*endp = text;
	*np = n;
	return n > 0;
}

static int parse_rate(const char *text, struct jt_limit *limit)
{
	const char *end;

	if (!whole(text, &end, &limit->rate) || *end++ != '/') {
		limit->rate = 0;
		return JT_LIMITS_E_RATE;
	}
	for (size_t i = 0; i < UNITS; i++) {
		if (strcmp(end, units[i].unit) == 0) {
			limit->period_ns = units[i].period_ns;
			return 0;
		}
	}
	return JT_LIMITS_E_RATE;
}

/* What stands behind `N/` in a quota. */
static bool parse_window(const char *text, struct jt_limit *limit)
{
	static const struct {
		const char *word;
		uint32_t unit;
	} calendar[] = {
		{"day", JT_QUOTA_DAY},
		{"week", JT_QUOTA_WEEK},
		{"month", JT_QUOTA_MONTH},
	};
	uint64_t n;

	for (size_t i = 0; i < sizeof(calendar) / sizeof(calendar[0]); i++) {
		if (strcmp(text, calendar[i].word) != 0)
			continue;
		limit->quota_unit = calendar[i].unit;
		return true;
	}
	if (!whole(text, &text, &n) || n > SPAN_MAX_MIN)
		return false;
	for (size_t i = 0; i < SPANS; i++) {
		if (strcmp(text, spans[i].unit) != 0)
			continue;
		limit->quota_unit = JT_QUOTA_MINUTES;
		limit->quota_minutes = (uint32_t)n * spans[i].minutes;
		return limit->quota_minutes <= SPAN_MAX_MIN;
	}
	return false;
}

static int parse_quota(const char *text, struct jt_limit *limit)
{
	const char *end;

	if (!whole(text, &end, &limit->quota) || *end++ != '/' ||
	    !parse_window(end, limit))
		return JT_LIMITS_E_QUOTA;
	return 0;
}

bool jt_limits_any(const struct jt_limit *limit)
{
	return limit->rate || limit->quota;
}

struct jt_limit jt_limits_merge(const struct jt_limit *own,
				const struct jt_limit *plan)
{
	struct jt_limit l = *plan;

	if (own->rate) {
		l.rate = own->rate;
		l.period_ns = own->period_ns;
		l.burst = own->burst;
	}
	if (own->quota) {
		l.quota = own->quota;
		l.quota_unit = own->quota_unit;
		l.quota_minutes = own->quota_minutes;
	}
	return l;
}

struct jt_limit jt_limits_of(const struct jt_record_plan *plan)
{
	return (struct jt_limit){
		.rate = plan->rate,
		.period_ns = plan->period_ns,
		.burst = plan->burst,
		.quota = plan->quota,
		.quota_unit = plan->quota_unit,
		.quota_minutes = plan->quota_minutes,
	};
}

void jt_limits_put(const struct jt_limit *limit, struct jt_record_plan *plan)
{
	plan->rate = limit->rate;
	plan->period_ns = limit->period_ns;
	plan->burst = limit->burst;
	plan->quota = limit->quota;
	plan->quota_unit = limit->quota_unit;
	plan->quota_minutes = limit->quota_minutes;
}

struct jt_bounds jt_limits_bounds(const struct jt_limit *limit)
{
	struct jt_bounds b = {
		.quota = limit->quota,
		.quota_unit = limit->quota_unit,
		.quota_minutes = limit->quota_minutes,
	};

	if (limit->rate) {
		b.interval_ns =
			jt_meter_interval_ns(limit->rate, limit->period_ns);
		b.burst = limit->burst;
	}
	return b;
}

static int check_rate(const struct jt_limit *limit)
{
	uint64_t interval_ns;

	if (limit->rate == 0)
		return limit->period_ns || limit->burst ? JT_LIMITS_E_RATE : 0;
	interval_ns = jt_meter_interval_ns(limit->rate, limit->period_ns);
	if (interval_ns < INTERVAL_MIN_NS)
		return JT_LIMITS_E_FAST;
	if (limit->burst == 0)
		return JT_LIMITS_E_BURST;
	if (limit->burst > JT_LIMIT_SPAN / interval_ns)
		return JT_LIMITS_E_SPAN;
	return 0;
}

static int check_quota(const struct jt_limit *limit)
{
	bool span = limit->quota_unit == JT_QUOTA_MINUTES;

	if (limit->quota == 0)
		return limit->quota_unit || limit->quota_minutes
			       ? JT_LIMITS_E_QUOTA
			       : 0;
	if (limit->quota > JT_QUOTA_MOST)
		return JT_LIMITS_E_MANY;
	if (limit->quota_unit == JT_QUOTA_NONE ||
	    limit->quota_unit >= JT_QUOTA_UNITS ||
	    span != (limit->quota_minutes > 0) ||
	    limit->quota_minutes > SPAN_MAX_MIN)
		return JT_LIMITS_E_QUOTA;
	return 0;
}

int jt_limits_check(const struct jt_limit *limit)
{
	int e = check_rate(limit);

	if (e == 0)
		e = check_quota(limit);
	return e == 0 && !jt_limits_any(limit) ? JT_LIMITS_E_NONE : e;
}

/* Is there such a limit at all? */
static bool given(const char *text)
{
	return text && *text && strcmp(text, "none") != 0;
}

int jt_limits_parse(const char *rate, const char *burst, const char *quota,
		    struct jt_limit *limitp)
{
	bool has_burst = burst && *burst;
	const char *end;
	int e = 0;

	memset(limitp, 0, sizeof(*limitp));
	if (given(rate))
		e = parse_rate(rate, limitp);
	else if (has_burst)
		e = JT_LIMITS_E_ALONE;
	limitp->burst = limitp->rate;
	if (e == 0 && has_burst &&
	    (!whole(burst, &end, &limitp->burst) || *end))
		e = JT_LIMITS_E_BURST;
	if (e == 0)
		e = check_rate(limitp);
	if (e == 0 && given(quota))
		e = parse_quota(quota, limitp);
	return e ? e : check_quota(limitp);
}

void jt_limits_rate(const struct jt_limit *limit, char out[JT_LIMIT_TEXT])
{
	out[0] = '\0';
	if (limit->rate == 0)
		return;
	for (size_t i = 0; i < UNITS; i++) {
		if (limit->period_ns == units[i].period_ns) {
			snprintf(out, JT_LIMIT_TEXT, "%" PRIu64 "/%s",
				 limit->rate, units[i].unit);
			return;
		}
	}
	snprintf(out, JT_LIMIT_TEXT, "%" PRIu64 "/%" PRIu64 "ns", limit->rate,
		 limit->period_ns);
}

void jt_limits_quota(const struct jt_limit *limit, char out[JT_LIMIT_TEXT])
{
	static const char *const words[] = {"", "day", "week", "month"};
	uint32_t minutes = limit->quota_minutes;
	size_t i = SPANS - 1;

	out[0] = '\0';
	if (limit->quota == 0)
		return;
	if (limit->quota_unit < JT_QUOTA_MINUTES) {
		snprintf(out, JT_LIMIT_TEXT, "%" PRIu64 "/%s", limit->quota,
			 words[limit->quota_unit]);
		return;
	}
	while (i > 0 && minutes % spans[i].minutes)
		i--;
	snprintf(out, JT_LIMIT_TEXT, "%" PRIu64 "/%" PRIu32 "%s", limit->quota,
		 minutes / spans[i].minutes, spans[i].unit);
}

void jt_limits_format(const struct jt_limit *limit, char out[JT_LIMIT_TEXT])
{
	char quota[JT_LIMIT_TEXT];
	size_t n;

	if (!jt_limits_any(limit)) {
		snprintf(out, JT_LIMIT_TEXT, "none");
		return;
	}
	jt_limits_rate(limit, out);
	jt_limits_quota(limit, quota);
	n = strlen(out);
	if (limit->rate)
		snprintf(out + n, JT_LIMIT_TEXT - n, " burst %" PRIu64 "%s",
			 limit->burst, limit->quota ? ", " : "");
	n = strlen(out);
	snprintf(out + n, JT_LIMIT_TEXT - n, "%s", quota);
}

const char *jt_limits_why(int e)
{
	switch (e) {
	case JT_LIMITS_E_RATE:
		return "is not like 100/s, 5/min, 1000/h or 10/day";
	case JT_LIMITS_E_FAST:
		return "is above 10000000/s";
	case JT_LIMITS_E_BURST:
		return "is not a whole number from 1 on";
	case JT_LIMITS_E_SPAN:
		return "is so large that the rate could never refill it";
	case JT_LIMITS_E_QUOTA:
		return "is not like 5000/day, 20000/week, 5000000/month, "
		       "100/15min, 500/36h or 700/10d";
	case JT_LIMITS_E_MANY:
		return "is above 137438953471";
	case JT_LIMITS_E_NONE:
		return "is neither a rate nor a quota";
	default:
		return "is given without a rate";
	}
}

const char *jt_limits_which(int e)
{
	switch (e) {
	case JT_LIMITS_E_RATE:
	case JT_LIMITS_E_FAST:
		return "rate";
	case JT_LIMITS_E_QUOTA:
	case JT_LIMITS_E_MANY:
		return "quota";
	default:
		return "burst";
	}
}
