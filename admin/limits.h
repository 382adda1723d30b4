/*
 * limits: `100/s`, `5/min`, `1000/h`, `10/day` as numbers.
 *
 * A limit admits RATE requests in each PERIOD_NS on average and BURST at once.
 * The meter works with one interval between requests, rounded up to whole
 * nanoseconds so that it never admits too much; the fastest rate taken has an
 * interval of 100 ns (10^7/s), where that rounding costs at most 1 %.
 * Pure functions, any process.
 */
#ifndef JT_ADMIN_LIMITS_H
#define JT_ADMIN_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define JT_LIMIT_TEXT 64
#define JT_LIMIT_SPAN (1ull << 62) /* interval x burst, ns, at most */

enum {
	JT_LIMITS_E_RATE = 1, /* not N/s, N/min, N/h or N/day */
	JT_LIMITS_E_FAST,     /* above 10^7/s */
	JT_LIMITS_E_BURST,    /* not a whole number from 1 on */
	JT_LIMITS_E_SPAN,  /* refilling the burst would take over 146 years */
	JT_LIMITS_E_ALONE, /* a burst without a rate */
};

struct jt_limit {
	uint64_t rate; /* 0: no limit */
	uint64_t period_ns;
	uint64_t burst;
};

/*
 * RATE and BURST: text, NULL or "" when not given. No rate gives no limit; no
 * burst gives that of the rate. 0 or JT_LIMITS_E_*.
 */
int jt_limits_parse(const char *rate, const char *burst,
		    struct jt_limit *limitp);

/* Are these numbers, from a journal, a limit that the parser could give? */
int jt_limits_check(const struct jt_limit *limit);

uint64_t jt_limits_interval_ns(const struct jt_limit *limit);

/* "100/s burst 10", or "none". */
void jt_limits_format(const struct jt_limit *limit, char out[JT_LIMIT_TEXT]);
/* "100/s" alone, or "". */
void jt_limits_rate(const struct jt_limit *limit, char out[JT_LIMIT_TEXT]);

/* What is wrong, after the name of the field: "is above ...". */
const char *jt_limits_why(int e);

#endif
