/* limits: see limits.h. */
#include "admin/limits.h"

#include <inttypes.h>
#include <stdbool.h>
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

	if (!whole(text, &end, &limit->rate) || *end++ != '/')
		return JT_LIMITS_E_RATE;
	for (size_t i = 0; i < UNITS; i++) {
		if (strcmp(end, units[i].unit) == 0) {
			limit->period_ns = units[i].period_ns;
			return 0;
		}
	}
	return JT_LIMITS_E_RATE;
}

uint64_t jt_limits_interval_ns(const struct jt_limit *limit)
{
	if (limit->rate == 0)
		return 0;
	return limit->period_ns / limit->rate +
	       (limit->period_ns % limit->rate != 0);
}

int jt_limits_check(const struct jt_limit *limit)
{
	uint64_t interval_ns = jt_limits_interval_ns(limit);

	if (limit->rate == 0)
		return JT_LIMITS_E_RATE;
	if (interval_ns < INTERVAL_MIN_NS)
		return JT_LIMITS_E_FAST;
	if (limit->burst == 0)
		return JT_LIMITS_E_BURST;
	if (limit->burst > JT_LIMIT_SPAN / interval_ns)
		return JT_LIMITS_E_SPAN;
	return 0;
}

int jt_limits_parse(const char *rate, const char *burst,
		    struct jt_limit *limitp)
{
	bool has_burst = burst && *burst;
	const char *end;
	int e;

	memset(limitp, 0, sizeof(*limitp));
	if (!rate || !*rate)
		return has_burst ? JT_LIMITS_E_ALONE : 0;
	e = parse_rate(rate, limitp);
	if (e)
		return e;
	limitp->burst = limitp->rate;
	if (has_burst && (!whole(burst, &end, &limitp->burst) || *end))
		return JT_LIMITS_E_BURST;
	return jt_limits_check(limitp);
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

void jt_limits_format(const struct jt_limit *limit, char out[JT_LIMIT_TEXT])
{
	size_t n;

	if (limit->rate == 0) {
		snprintf(out, JT_LIMIT_TEXT, "none");
		return;
	}
	jt_limits_rate(limit, out);
	n = strlen(out);
	snprintf(out + n, JT_LIMIT_TEXT - n, " burst %" PRIu64, limit->burst);
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
	default:
		return "is given without a rate";
	}
}
