/*
 * metrics: what both segments say, in Prometheus' text format 0.0.4. Pure; any
 * process that has mapped them.
 *
 * No label holds anything of a token, and none is unbounded: verdict words,
 * doors, states, spans, at most 32 callers' uids. What workers wrote is not
 * trusted: whatever their words hold, every line is whole and no series comes
 * twice.
 */
#ifndef JT_SIDECAR_METRICS_H
#define JT_SIDECAR_METRICS_H

#include "shm/segment.h"
#include "shm/verify.h"

#define JT_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define JT_METRICS_MAX 65536u /* more than it can be */

/*
 * Bytes written to BUF, at most MAX, no terminator. With less than
 * JT_METRICS_MAX it may end early, then behind a whole line.
 */
size_t jt_metrics_write(const struct jt_maps *maps, struct jt_now now,
			char *buf, size_t max);

#endif
