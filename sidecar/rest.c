/*
 * rest: see rest.h.
 *
 * A worker counts a round at its end, then stores its beat (seq), then loads
 * slots for the next one. The keeper stores to the slots, then to `begun`
 * (seq), then loads the counts. One of the two sees the other: a worker that
 * loaded a slot before the keeper's store had counted the rounds before in
 * time for the keeper to see them, so that one more means it is through.
 */
#include "sidecar/rest.h"

void jt_rest_begin(struct jt_rest *r, const struct jt_maps *maps)
{
	/* relaxed: the keeper's own word */
	uint64_t begun = jt_load_relaxed(&r->begun);

	/* pairs with the store in jt_child_end_round(), see above */
	jt_store_seq(&r->begun, begun + 1);
	for (unsigned i = 0; i < JT_WORKERS_MAX; i++)
		r->rounds[i] = jt_load_seq(&maps->board[i].rounds);
	r->guests = maps->guests;
}

bool jt_rest_over(const struct jt_rest *r, const struct jt_maps *maps)
{
	/* two steps: of the first, part was over already. Who comes after the
	 * beginning finds nothing any more. */
	if (r->guests && maps->guests < r->guests + 2)
		return false;
	for (unsigned i = 0; i < JT_WORKERS_MAX; i++) {
		const struct jt_desk *d = &maps->board[i];

		/* a desk without a worker has no batch under way */
		if (jt_load_seq(&d->state) != JT_DESK_FREE &&
		    jt_load_seq(&d->rounds) == r->rounds[i])
			return false;
	}
	return true;
}
