/*
 * stats: a worker's desk written, the board of desks summed.
 */
#ifndef JT_SIDECAR_STATS_H
#define JT_SIDECAR_STATS_H

#include "sidecar/command.h"

/* Worker: what came of one round's commands, on its own desk. */
void jt_stats_tell(struct jt_desk *desk, const struct jt_tally *tally,
		   uint64_t n_commands);

/* Any process. */
void jt_stats_sum(const struct jt_maps *maps, uint64_t uptime_s,
		  struct jt_stats *stats);

#endif
