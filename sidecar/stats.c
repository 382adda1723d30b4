/* stats: see stats.h. All loads relaxed: each counter stands alone. */
#include "sidecar/stats.h"

void jt_stats_tell(struct jt_desk *desk, const struct jt_tally *tally,
		   uint64_t n_commands)
{
	for (unsigned i = 0; i < JT_WORDS_N; i++)
		if (tally->words[i])
			jt_count(&desk->words[i], tally->words[i]);
	jt_count(&desk->memo_hits, tally->memo_hits);
	jt_count(&desk->memo_misses, tally->memo_misses);
	jt_count(&desk->torn, tally->torn);
	jt_count(&desk->commands, n_commands);
}

static void add_desk(const struct jt_desk *d, struct jt_stats *s)
{
	s->connections += jt_load_relaxed(&d->connections);
	s->accepted += jt_load_relaxed(&d->accepted);
	s->commands += jt_load_relaxed(&d->commands);
	s->memo_hits += jt_load_relaxed(&d->memo_hits);
	s->memo_misses += jt_load_relaxed(&d->memo_misses);
	s->torn += jt_load_relaxed(&d->torn);
	s->workers += jt_load_relaxed(&d->state) == JT_DESK_SERVING &&
		      jt_load_relaxed(&d->kind) == JT_DESK_RESP;
	s->busy += jt_load_relaxed(&d->busy);
	s->slow_closed += jt_load_relaxed(&d->slow);
	s->protocol_errors += jt_load_relaxed(&d->broken);
	s->bytes_in += jt_load_relaxed(&d->bytes_in);
	s->bytes_out += jt_load_relaxed(&d->bytes_out);
	for (unsigned i = 0; i < JT_WORDS_N; i++)
		s->verdicts[i] += jt_load_relaxed(&d->words[i]);
}

void jt_stats_sum(const struct jt_maps *maps, uint64_t uptime_s,
		  struct jt_stats *stats)
{
	const struct jt_identity *id = maps->identity;

	*stats = (struct jt_stats){
		.uptime_s = uptime_s,
		.tokens = jt_load_relaxed(&id->tokens),
		.capacity = id->capacity,
		.slots = id->slots,
		.slots_used = jt_load_relaxed(&id->used),
		.applied_number = jt_load_relaxed(&id->applied),
	};
	for (unsigned i = 0; i < JT_WORKERS_MAX; i++)
		add_desk(&maps->board[i], stats);
}
