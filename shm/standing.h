/*
 * standing: what a verdict (verify.c) and its explanation (trace.c) both ask of
 * a slot. Inside shm/ only; here for the sake of the hot path, which calls
 * nothing for it.
 */
#ifndef JT_SHM_STANDING_H
#define JT_SHM_STANDING_H

#include "shm/table.h"
#include "shm/verify.h"

/* Is it one of those that the caller is confined to? */
bool jt_standing_may_ask(const struct jt_ask *ask, uint64_t env);

/*
 * Is the token of an environment that is served here, that was asked for, and
 * that the caller may ask about?
 */
static inline bool jt_standing_env_fits(const struct jt_maps *maps,
					const struct jt_ask *ask,
					const struct jt_view *v)
{
	/* relaxed: written before any slot named the number, and at start */
	uint64_t env = jt_load_relaxed(&maps->identity->envs[v->env]);
	uint64_t served = jt_load_relaxed(&maps->identity->env);

	return !ask->env_unknown && (!ask->env || ask->env == env) &&
	       (!served || served == env) &&
	       (!ask->envs || jt_standing_may_ask(ask, env));
}

/* False: there is no limit. */
static inline bool jt_standing_bounds(const struct jt_maps *maps, uint64_t b,
				      struct jt_bounds *bounds)
{
	const struct jt_limits *l = jt_table_limits(maps, b);
	uint64_t window;

	if (!l)
		return false;
	/* relaxed: written before the plan's word named the block, and not
	 * again before this round is over (layout.h) */
	window = jt_load_relaxed(&l->window);
	*bounds = (struct jt_bounds){
		.interval_ns = jt_load_relaxed(&l->interval_ns),
		.burst = jt_load_relaxed(&l->burst),
		.quota = jt_load_relaxed(&l->quota),
		.quota_unit = (uint32_t)(window >> 32),
		.quota_minutes = (uint32_t)window,
	};
	return true;
}

/* The id of a value that does not show it. */
void jt_standing_id(const struct jt_maps *maps, const struct jt_view *view,
		    uint8_t id[JT_PUBLIC_BYTES]);

#endif
