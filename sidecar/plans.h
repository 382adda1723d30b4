/*
 * plans: which number the table has for which limits.
 *
 * A token has a named plan, limits of its own, or both, by the journal's
 * numbers. In the table it has one number, that of the pair (plan, own), and
 * the pair's word names the block with what both together mean. So a plan that
 * changes, changes for all its tokens by a store for each of its pairs.
 *
 * There are 65,535 numbers of each kind. A pair lasts while a token has it, a
 * block while a pair means it; then the number is given again, but not before
 * every worker has passed a round (rest.h). Keeper only.
 */
#ifndef JT_SIDECAR_PLANS_H
#define JT_SIDECAR_PLANS_H

#include "admin/limits.h"
#include "admin/record.h"
#include "shm/table.h"
#include "sidecar/rest.h"

/* What the journal says of a number. */
struct jt_plan {
	struct jt_limit limit;
	char name[JT_PLAN_MAX];
	uint64_t record;
	bool removed;
};

struct jt_plan_pair {
	uint32_t users; /* tokens */
	uint16_t plan, own, block;
	bool idle; /* among those that nobody may have any more */
};

struct jt_plan_block {
	struct jt_bounds bounds;
	uint32_t users; /* pairs */
};

/*
 * Numbers: which one is next. Those that came back stand in a ring, in their
 * order: free, then resting, then those that the next rest is for.
 */
struct jt_spares {
	uint16_t *ring;			  /* JT_PLANS_MAX */
	uint32_t given, free, rest, back; /* ends of these, rising */
	uint32_t last;			  /* the highest number given */
};

struct jt_plans {
	struct jt_maps *maps;
	struct jt_plan *of; /* by journal number */
	uint32_t n;	    /* highest journal number */
	struct jt_plan_pair *pairs;
	struct jt_plan_block *blocks;
	uint16_t *pair_index, *block_index;
	struct jt_spares pair_spares, block_spares;
	uint16_t *idle; /* pairs without a token, until the batch is over */
	uint32_t n_idle;
	struct jt_rest rest;
};

/* MAPS: new and empty. 0 or -ENOMEM. */
int jt_plans_init(struct jt_plans *p, struct jt_maps *maps);
void jt_plans_deinit(struct jt_plans *p);

/*
 * A PLAN record. *CHANGEDP: those who have it may have other limits now. 0;
 * JT_TABLE_E_FULL; -EINVAL: it does not fit what went before.
 */
int jt_plans_define(struct jt_plans *p, const struct jt_record *r,
		    bool *changedp);

/* Were both defined? 0 is. */
bool jt_plans_known(const struct jt_plans *p, uint16_t plan, uint16_t own);

/*
 * One more token has that pair, whose number is *NUMBERP; (0, 0) has 0.
 * JT_TABLE_E_FULL. Both are known.
 */
int jt_plans_hold(struct jt_plans *p, uint16_t plan, uint16_t own,
		  uint16_t *numberp);

/* One token fewer: no slot that is found names it any more. */
void jt_plans_let(struct jt_plans *p, uint16_t plan, uint16_t own);

/*
 * Between two batches: pairs that nobody has any more go, what has rested is
 * free. Within one they stay, for a pair that had a token when FIT was asked
 * may lose it and be wanted again.
 */
void jt_plans_tidy(struct jt_plans *p);

/* So many more pairs can be made, whatever they mean. */
uint64_t jt_plans_left(const struct jt_plans *p);
/* Does anything rest, or will? Then there is more room soon. */
bool jt_plans_resting(const struct jt_plans *p);

/* What the pair means; NULL: no token has it, or no limit holds. */
const struct jt_bounds *jt_plans_bounds(const struct jt_plans *p, uint16_t plan,
					uint16_t own);

/* Journal numbers, 0: none; *NEXTP the one that a new one gets, 0: no more. */
uint16_t jt_plans_limit(const struct jt_plans *p, const struct jt_limit *limit,
			uint16_t *nextp);
uint16_t jt_plans_named(const struct jt_plans *p, const char name[JT_PLAN_MAX],
			bool *removedp);

/* Has a token that pair? (0, 0) needs no number. */
bool jt_plans_pair(const struct jt_plans *p, uint16_t plan, uint16_t own);
/* Pairs with that named plan: so many words are stored when it changes. */
uint64_t jt_plans_pairs_of(const struct jt_plans *p, uint16_t plan);

#endif
