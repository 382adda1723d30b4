/*
 * window: the spans of UTC in which a quota counts.
 *
 * Pure: wall time is a parameter. Every window begins at a moment that all
 * processes name alike from the clock alone: midnight, Monday's midnight, the
 * first of a month, or a multiple of so many minutes since 1970. Leap seconds
 * do not exist here, as in any count of seconds since 1970.
 */
#ifndef JT_SHM_WINDOW_H
#define JT_SHM_WINDOW_H

#include <stdint.h>

enum jt_quota_unit {
	JT_QUOTA_NONE = 0,
	JT_QUOTA_DAY,
	JT_QUOTA_WEEK, /* from Monday */
	JT_QUOTA_MONTH,
	JT_QUOTA_MINUTES, /* any span of whole minutes, counted from 1970 */
	JT_QUOTA_UNITS,
};

/* Minutes since 1970 UTC, [start, end). */
struct jt_window {
	uint64_t start_min, end_min;
};

/*
 * The window in which WALL_S lies; MINUTES is the span of JT_QUOTA_MINUTES and
 * nothing to the others. Total: any WALL_S is in its window, and a unit that
 * there is not, or a span of 0 minutes, gives a window of one minute. The week
 * of 1970-01-01, a Thursday, begins with that day.
 */
struct jt_window jt_window_at(uint32_t unit, uint32_t minutes, uint64_t wall_s);

#endif
