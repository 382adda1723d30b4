/* window: UTC windows in which a quota counts. */
#ifndef JT_SHM_WINDOW_H
#define JT_SHM_WINDOW_H

#include <stdint.h>

enum jt_quota_unit {
	JT_QUOTA_NONE = 0,
	JT_QUOTA_DAY,  /* UTC calendar */
	JT_QUOTA_WEEK, /* from Monday */
	JT_QUOTA_MONTH,
	JT_QUOTA_MINUTES, /* any span of whole minutes, counted from 1970 */
	JT_QUOTA_UNITS,
};

#endif
