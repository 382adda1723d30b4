/*
 * stats: the board of desks, summed. Keeper and workers.
 */
#ifndef JT_SIDECAR_STATS_H
#define JT_SIDECAR_STATS_H

#include "sidecar/command.h"

void jt_stats_sum(const struct jt_maps *maps, uint64_t uptime_s,
		  struct jt_stats *stats);

#endif
