/*
 * meter: rate, quota and usage of one token, any process, lock-free.
 *
 * The rate is GCRA (generic cell rate algorithm, ITU-T I.371): one word holds
 * the theoretical arrival time (TAT) of the next request, nanoseconds of
 * CLOCK_BOOTTIME, 0 = idle. Exact across processes: one compare-and-swap admits
 * one request, and in any span t at most burst + t / interval are admitted.
 *
 * The quota is a count within a window of UTC (window.h): one word holds the
 * window's start in minutes (27 bits, until 2225) and the count (37 bits). It
 * is exact, too: the last one is admitted once.
 *
 * A token with both is admitted by both or by neither, in one compare-and-swap
 * of the two words. A refusal spends nothing and writes to neither. Time
 * that stands still or steps back denies, never grants, and so does all
 * rounding.
 *
 * Limits may change between two requests, and while requests are in flight; the
 * words stay as they are and the new limits take effect at once:
 *  - another rate: a debt above the new full burst counts as that burst; the
 *    keeper cuts the word itself, too (jt_meter_clamp), or it would deny until
 *    the old TAT has come as near as that.
 *  - another quota: the count is kept; at or above the quota it denies.
 *  - another unit: the count is kept if its window began no earlier than the
 *    new one (day to month: what was used today is used this month), because
 *    then all of it lies in the new window; else it starts at 0 (month to day:
 *    how much of the month's count is today's, nobody knows). For the same
 *    reason a window never goes back: a wall clock that steps back goes on
 *    counting in the later window until that one is over. But for one that
 *    begins more than JT_METER_AHEAD_MIN after now: a clock stood there that
 *    was not believed (sidecar/mark), and its count is that of the window in
 *    which it is next asked for. Or what was used up in that moment would be
 *    denied until that day came.
 *  - a rate or quota that is taken away and put back finds its word as it was
 *    left.
 *
 * Meter memory is written by every worker and so is not trusted: whatever the
 * words hold, no answer is out of range and no more than a burst or a quota is
 * admitted at once. A TAT further ahead than any debt denies until that time
 * has come; a window in the future with its count at the quota denies as long
 * as one a day ahead may.
 */
#ifndef JT_SHM_METER_H
#define JT_SHM_METER_H

#include "shm/layout.h"
#include "shm/window.h"

/* burst x interval may not exceed this (146 years): no sum can overflow. */
#define JT_METER_DEBT_MAX_NS (1ull << 62)
#define JT_METER_QUOTA_MAX ((1ull << 37) - 1)
/* No clock that is believed at once, and then later, is that far ahead. */
#define JT_METER_AHEAD_MIN (24u * 60u)

struct jt_now {
	uint64_t wall_s;
	uint64_t boot_ns;
};

struct jt_bounds {
	uint64_t interval_ns;		    /* between requests; 0: no rate */
	uint64_t burst;			    /* requests at once */
	uint64_t quota;			    /* requests in a window; 0: none */
	uint32_t quota_unit, quota_minutes; /* see jt_window_at() */
};

enum jt_meter_answer {
	JT_METER_ADMITTED,
	JT_METER_NO_QUOTA,
	JT_METER_NO_RATE,
};

/*
 * Of the limit that refused; else of the one of which the smaller share
 * remains, of the rate when the shares are equal.
 */
struct jt_meter_state {
	uint64_t limit;		/* burst or quota */
	uint64_t remaining;	/* requests left at once, after this one */
	uint64_t reset_ms;	/* until idle or the window's end, rounded up */
	int64_t retry_after_ms; /* until this cost fits, rounded up; 0: it was
				 * admitted; -1: waiting will not help */
};

/* Is there a limit, and are all ones that the arithmetic holds for? */
bool jt_meter_bounds_ok(const struct jt_bounds *bounds);

/* Rate N per span as time between requests, rounded up: rounding denies. */
uint64_t jt_meter_interval_ns(uint64_t rate, uint64_t period_ns);

/*
 * Take COST requests from all limits of BOUNDS, checked as above, or from none.
 *  - COST 0 looks only: it is always admitted and writes nothing.
 *  - COST above a limit is refused for good (-1), by the quota if it is above
 *    both, whatever else the limits would say now.
 *  - if both refuse, the quota is the one that is told. It says to come back at
 *    the end of its window.
 * The wall clock comes in whole seconds: a window's end is told up to a second
 * late.
 */
enum jt_meter_answer jt_meter_take(struct jt_meter *meter,
				   const struct jt_bounds *bounds,
				   uint64_t cost, struct jt_now now,
				   struct jt_meter_state *statep);

/*
 * The same for N requests one behind the other, with one compare-and-swap for
 * all of them: each finds what those before it left. A moment in which others
 * take between them is not lost, there is none.
 */
struct jt_meter_request {
	uint64_t cost;
	enum jt_meter_answer answer; /* set here */
	struct jt_meter_state state; /* set here */
};
void jt_meter_take_all(struct jt_meter *meter, const struct jt_bounds *bounds,
		       struct jt_meter_request *requests, size_t n,
		       struct jt_now now);

/* Count admitted requests of COST in all, or N refusals. */
void jt_meter_used(struct jt_meter *meter, uint64_t cost, uint64_t now_s);
void jt_meter_refused(struct jt_meter *meter, uint64_t n);
/*
 * The limits became BOUNDS: a debt beyond their full burst is cut to it, so
 * that a slow rate's debt does not lock a token out of a fast one. Keeper.
 */
void jt_meter_clamp(struct jt_meter *meter, const struct jt_bounds *bounds,
		    uint64_t now_ns);

/* What the quota word counts in the window that holds at WALL_S. */
uint64_t jt_meter_quota_used(uint64_t word, const struct jt_bounds *bounds,
			     uint64_t wall_s);

/*
 * The value before the rotation was used, by whom: uid + 1, 0: unknown. Of
 * several callers within a second the first one is kept.
 */
void jt_meter_used_old(struct jt_meter *meter, uint64_t by, uint64_t now_s);

#endif
