/*
 * plans: see plans.h.
 *
 * Both kinds are found through open-addressing indexes of 16-bit numbers, at
 * most half full; an entry that goes is filled by those behind it that may
 * stand nearer to their home (Knuth vol. 3, 6.4, algorithm R).
 *
 * When a number may be given again. A worker that loaded a slot before the
 * keeper's store has its pair's number until its batch is over, and loads the
 * pair's word late in it; one that loaded that word before the keeper's store
 * reads the block's four words. Neither is kept from one round to the next
 * (round.c). So pair and block are written anew only after every worker has
 * passed a round since nothing names them: then nobody reads a word of them
 * but through what is stored later.
 *
 * A rest is for all that came back before it began; what comes back meanwhile
 * waits for the next one, so that many changes do not put off the first.
 */
#include "sidecar/plans.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define INDEX (2 * JT_PLANS_MAX)
#define INDEX_MASK (INDEX - 1)
#define NUMBER_LAST (JT_PLANS_MAX - 1)

int jt_plans_init(struct jt_plans *p, struct jt_maps *maps)
{
	memset(p, 0, sizeof(*p));
	p->maps = maps;
	p->of = calloc(JT_PLANS_MAX, sizeof(*p->of));
	p->pairs = calloc(JT_PLANS_MAX, sizeof(*p->pairs));
	p->blocks = calloc(JT_PLANS_MAX, sizeof(*p->blocks));
	p->pair_index = calloc(INDEX, sizeof(*p->pair_index));
	p->block_index = calloc(INDEX, sizeof(*p->block_index));
	p->pair_spares.ring = calloc(JT_PLANS_MAX, sizeof(uint16_t));
	p->block_spares.ring = calloc(JT_PLANS_MAX, sizeof(uint16_t));
	p->idle = calloc(JT_PLANS_MAX, sizeof(*p->idle));
	if (p->of && p->pairs && p->blocks && p->pair_index && p->block_index &&
	    p->pair_spares.ring && p->block_spares.ring && p->idle)
		return 0;
	jt_plans_deinit(p);
	return -ENOMEM;
}

void jt_plans_deinit(struct jt_plans *p)
{
	free(p->of);
	free(p->pairs);
	free(p->blocks);
	free(p->pair_index);
	free(p->block_index);
	free(p->pair_spares.ring);
	free(p->block_spares.ring);
	free(p->idle);
	memset(p, 0, sizeof(*p));
}

/* ---- numbers ---- */

static uint32_t spares_left(const struct jt_spares *s)
{
	return NUMBER_LAST - s->last + (s->free - s->given);
}

/* 0: there is none. */
static uint16_t take(struct jt_spares *s)
{
	if (s->given != s->free)
		return s->ring[s->given++ % JT_PLANS_MAX];
	return s->last < NUMBER_LAST ? (uint16_t)++s->last : 0;
}

static void give_back(struct jt_spares *s, uint16_t number)
{
	s->ring[s->back++ % JT_PLANS_MAX] = number;
}

static bool rests(const struct jt_plans *p)
{
	return p->pair_spares.free != p->pair_spares.rest ||
	       p->block_spares.free != p->block_spares.rest;
}

static bool came_back(const struct jt_plans *p)
{
	return p->pair_spares.rest != p->pair_spares.back ||
	       p->block_spares.rest != p->block_spares.back;
}

static void rest_over(struct jt_spares *s)
{
	s->free = s->rest;
	s->rest = s->back;
}

/* ---- indexes ---- */

static size_t pair_home(const struct jt_plans *p, uint16_t number)
{
	const struct jt_plan_pair *pair = &p->pairs[number];
	uint64_t word = (uint64_t)pair->plan << 16 | pair->own;

	return XXH3_64bits(&word, sizeof(word)) & INDEX_MASK;
}

static size_t block_home(const struct jt_plans *p, uint16_t number)
{
	return XXH3_64bits(&p->blocks[number].bounds,
			   sizeof(struct jt_bounds)) &
	       INDEX_MASK;
}

/* The place of a pair's number, or the free one where it belongs. */
static uint16_t *pair_place(const struct jt_plans *p, uint16_t plan,
			    uint16_t own)
{
	uint64_t word = (uint64_t)plan << 16 | own;
	size_t at = XXH3_64bits(&word, sizeof(word)) & INDEX_MASK;

	for (; p->pair_index[at]; at = (at + 1) & INDEX_MASK) {
		const struct jt_plan_pair *pair = &p->pairs[p->pair_index[at]];

		if (pair->plan == plan && pair->own == own)
			break;
	}
	return &p->pair_index[at];
}

static uint16_t *block_place(const struct jt_plans *p,
			     const struct jt_bounds *b)
{
	size_t at = XXH3_64bits(b, sizeof(*b)) & INDEX_MASK;

	while (p->block_index[at] &&
	       memcmp(&p->blocks[p->block_index[at]].bounds, b, sizeof(*b)))
		at = (at + 1) & INDEX_MASK;
	return &p->block_index[at];
}

/* Empty PLACE; HOME still knows every number that is in the index. */
static void unindex(const struct jt_plans *p, uint16_t *index, uint16_t *place,
		    size_t (*home)(const struct jt_plans *, uint16_t))
{
	size_t gap = (size_t)(place - index);

	for (size_t at = (gap + 1) & INDEX_MASK; index[at];
	     at = (at + 1) & INDEX_MASK) {
		size_t far = (at - home(p, index[at])) & INDEX_MASK;

		if (far < ((at - gap) & INDEX_MASK))
			continue; /* it would stand in front of its home */
		index[gap] = index[at];
		gap = at;
	}
	index[gap] = 0;
}

/* ---- blocks ---- */

static void let_block(struct jt_plans *p, uint16_t number)
{
	struct jt_plan_block *b = &p->blocks[number];

	assert(b->users > 0);
	if (--b->users)
		return;
	unindex(p, p->block_index, block_place(p, &b->bounds), block_home);
	give_back(&p->block_spares, number);
}

/* For one more pair: the block with what it means now. 0: no more. */
static uint16_t hold_block(struct jt_plans *p, uint16_t plan, uint16_t own)
{
	struct jt_limit limit =
		jt_limits_merge(&p->of[own].limit, &p->of[plan].limit);
	struct jt_bounds b = jt_limits_bounds(&limit);
	uint16_t *at = block_place(p, &b);

	if (!*at) {
		uint16_t number = take(&p->block_spares);

		if (!number)
			return 0;
		*at = number;
		p->blocks[number] = (struct jt_plan_block){.bounds = b};
		jt_table_put_limits(p->maps, number, &b);
	}
	p->blocks[*at].users++;
	return *at;
}

/* ---- pairs ---- */

static void forget_pair(struct jt_plans *p, uint16_t number)
{
	struct jt_plan_pair *pair = &p->pairs[number];

	unindex(p, p->pair_index, pair_place(p, pair->plan, pair->own),
		pair_home);
	let_block(p, pair->block);
	*pair = (struct jt_plan_pair){0};
	give_back(&p->pair_spares, number);
}

void jt_plans_tidy(struct jt_plans *p)
{
	for (; p->n_idle; p->n_idle--) {
		uint16_t number = p->idle[p->n_idle - 1];

		p->pairs[number].idle = false;
		if (!p->pairs[number].users)
			forget_pair(p, number);
	}
	if (rests(p) && !jt_rest_over(&p->rest, p->maps))
		return;
	if (!rests(p) && !came_back(p))
		return;
	rest_over(&p->pair_spares);
	rest_over(&p->block_spares);
	if (rests(p))
		jt_rest_begin(&p->rest, p->maps);
}

static int make_pair(struct jt_plans *p, uint16_t plan, uint16_t own,
		     uint16_t *numberp)
{
	uint16_t block = hold_block(p, plan, own), number;

	if (!block)
		return JT_TABLE_E_FULL;
	number = take(&p->pair_spares);
	if (!number) {
		let_block(p, block);
		return JT_TABLE_E_FULL;
	}
	*pair_place(p, plan, own) = *numberp = number;
	p->pairs[number] =
		(struct jt_plan_pair){.plan = plan, .own = own, .block = block};
	jt_table_set_plan(p->maps, number, block);
	return 0;
}

bool jt_plans_known(const struct jt_plans *p, uint16_t plan, uint16_t own)
{
	return plan <= p->n && own <= p->n;
}

int jt_plans_hold(struct jt_plans *p, uint16_t plan, uint16_t own,
		  uint16_t *numberp)
{
	int rc = 0;

	assert(jt_plans_known(p, plan, own));
	*numberp = 0;
	if (!plan && !own)
		return 0;
	*numberp = *pair_place(p, plan, own);
	if (!*numberp)
		rc = make_pair(p, plan, own, numberp);
	if (!rc)
		p->pairs[*numberp].users++;
	return rc;
}

void jt_plans_let(struct jt_plans *p, uint16_t plan, uint16_t own)
{
	uint16_t number = *pair_place(p, plan, own);
	struct jt_plan_pair *pair = &p->pairs[number];

	if (!plan && !own)
		return;
	assert(number && pair->users > 0);
	if (--pair->users)
		return;
	if (!pair->idle)
		p->idle[p->n_idle++] = number;
	pair->idle = true;
}

/* The named PLAN has other limits: so has every pair with it. */
static int replan(struct jt_plans *p, uint16_t plan)
{
	for (uint32_t i = 1; i <= p->pair_spares.last; i++) {
		struct jt_plan_pair *pair = &p->pairs[i];
		uint16_t before = pair->block;

		if (pair->plan != plan)
			continue;
		pair->block = hold_block(p, plan, pair->own);
		if (!pair->block) {
			pair->block = before;
			return JT_TABLE_E_FULL;
		}
		jt_table_set_plan(p->maps, (uint16_t)i, pair->block);
		let_block(p, before);
	}
	return 0;
}

int jt_plans_define(struct jt_plans *p, const struct jt_record *r,
		    bool *changedp)
{
	const struct jt_record_plan *said = &r->plan;
	struct jt_limit limit = jt_limits_of(said);
	struct jt_plan *mine = &p->of[said->number];
	bool fresh = said->number == p->n + 1;

	*changedp = false;
	if (jt_limits_check(&limit) != 0)
		return -EINVAL;
	if (!fresh && (!said->number || said->number > p->n || !mine->name[0] ||
		       memcmp(mine->name, said->name, sizeof(said->name)) != 0))
		return -EINVAL;
	mine->limit = limit;
	mine->record = r->number;
	mine->removed = said->removed;
	memcpy(mine->name, said->name, sizeof(mine->name));
	if (fresh)
		p->n = said->number;
	/* nobody has a plan that was removed */
	if (fresh || said->removed)
		return 0;
	*changedp = true;
	return replan(p, said->number);
}

/* ---- questions ---- */

uint64_t jt_plans_left(const struct jt_plans *p)
{
	uint32_t pairs = spares_left(&p->pair_spares);
	uint32_t blocks = spares_left(&p->block_spares);

	return pairs < blocks ? pairs : blocks;
}

bool jt_plans_resting(const struct jt_plans *p)
{
	return rests(p) || came_back(p);
}

const struct jt_bounds *jt_plans_bounds(const struct jt_plans *p, uint16_t plan,
					uint16_t own)
{
	uint16_t number = *pair_place(p, plan, own);

	return number ? &p->blocks[p->pairs[number].block].bounds : NULL;
}

uint16_t jt_plans_limit(const struct jt_plans *p, const struct jt_limit *limit,
			uint16_t *nextp)
{
	*nextp = p->n < NUMBER_LAST ? (uint16_t)(p->n + 1) : 0;
	for (uint32_t i = 1; i <= p->n; i++)
		if (!p->of[i].name[0] &&
		    memcmp(&p->of[i].limit, limit, sizeof(*limit)) == 0)
			return (uint16_t)i;
	return 0;
}

uint16_t jt_plans_named(const struct jt_plans *p, const char name[JT_PLAN_MAX],
			bool *removedp)
{
	*removedp = false;
	for (uint32_t i = 1; i <= p->n; i++) {
		if (memcmp(p->of[i].name, name, JT_PLAN_MAX) != 0)
			continue;
		*removedp = p->of[i].removed;
		return (uint16_t)i;
	}
	return 0;
}

bool jt_plans_pair(const struct jt_plans *p, uint16_t plan, uint16_t own)
{
	return (!plan && !own) || p->pairs[*pair_place(p, plan, own)].users;
}

uint64_t jt_plans_pairs_of(const struct jt_plans *p, uint16_t plan)
{
	uint64_t n = 0;

	for (uint32_t i = 1; plan && i <= p->pair_spares.last; i++)
		n += p->pairs[i].plan == plan;
	return n;
}
