/*
 * rest: has every worker passed a round since?
 *
 * What a slot named a moment ago a worker may still have in its hands until
 * its batch is over. What nothing names any more rests that long before it is
 * written anew: meter lines (ledger.c), numbers of plans and blocks (plans.c).
 *
 * A worker that has nothing to do passes four rounds a second, one that has
 * died has no batch; only one that stands still is waited for.
 *
 * Guests, who verify in processes of their own (shm/jeton.h), pass no rounds
 * that anybody could see. Once there may be some a rest lasts for a second at
 * least, which is a million times as long as a group of theirs takes. One that
 * was stopped in the middle of a group for longer than that may spend from the
 * meter that was its token's, or by limits that were: then another token is
 * refused for a while that has not had its due, or its own is. What is valid
 * does not depend on it. Keeper only.
 */
#ifndef JT_SIDECAR_REST_H
#define JT_SIDECAR_REST_H

#include "shm/segment.h"

struct jt_rest {
	_Atomic uint64_t begun; /* rests so far */
	uint64_t rounds[JT_WORKERS_MAX];
	uint64_t guests; /* jt_maps.guests when it began */
};

/* Once nothing in the table names it any more. */
void jt_rest_begin(struct jt_rest *r, const struct jt_maps *maps);

bool jt_rest_over(const struct jt_rest *r, const struct jt_maps *maps);

#endif
