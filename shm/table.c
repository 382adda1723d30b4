/*
 * table: lock-free lookup under one writer.
 *
 * Layout. `slots` lines of 64 bytes (layout.h); a key's home is
 * (key x slots) >> 64, so the number of slots need not be a power of two, and
 * values keep their order in a larger table; a value stands in the first slot
 * from its home on that was free. Next to its own value each slot keeps
 * `reach`: how many slots beyond this one the values whose *home* is here went.
 * A search looks at reach + 1 slots and stops. At the highest load, 0.75: a
 * miss looks at 1.9 lines, a hit at 2.5.
 *
 *     home h: reach 2
 *     | h: key of h | h+1: other home | h+2: key of h | h+3 ...
 *     `------------ searched for a key of h ---------'
 *
 * A value is never moved. A revoked one keeps its slot so that its verdict
 * stays REVOKED; a slot becomes free (state EMPTY) when its token is purged or
 * when the value before a rotation has long been over, and may then be put
 * again: the generation tells a reader who is in the middle of it (below), and
 * what a reader already has is a copy. What that names is not: meter line,
 * plan's number and block of limits are given to others only after every worker
 * has passed a round since nothing names them (ledger.c, plans.c).
 *
 * Writer (keeper, single thread), putting a value into a free slot:
 *   W1 a      := {generation + 1, BUSY}                 release
 *   W2 digest, b, owner, env, scheme, key               release each
 *   W3 a      := {generation + 1, state, expires}       release
 *   W4 home's reach raised                              release
 * and then `applied` (feed.c), also release: whoever reads applied >= n finds
 * what record n put. A change of state or expiry is one store of `a`.
 *
 * Reader, for each of the reach + 1 slots whose key matches:
 *   R1 a (acquire)  R2 digest, b, owner, env (acquire each)  R3 a again
 * Why it is enough: if R2 read a value stored by W2 of a later put, that
 * acquire pairs with the release of W2, W1 happened before it, so R3 sees W1's
 * generation or a newer one and differs from R1: the reader tries again, at
 * most TRIES times, then reports a torn slot, which is denied. If R3 equals
 * R1, R2 read values of one put. No stand-alone fence is used.
 *
 * Revoke: one store of `a` (release). Why a request sent after the
 * acknowledgement is refused: the store happens before the keeper's reply is
 * sent; a socket's send happens before its receive (the kernel's queue lock is
 * released and acquired between them), so also before the revoker's return,
 * before whatever he tells others to send, before the worker's receive of
 * that, and before R1, which is loaded after the receive and not kept
 * (verify.c). An edge of this chain that leaves the host is the user's.
 *
 * Two tables, while one grows into the next: every change goes to both before
 * it is acknowledged. RETIRED is stored (release) in the older one before the
 * first change made only in the newer; whoever begins to verify in the older
 * one after that was acknowledged finds it there, by the same chain as above,
 * and takes nothing from the table.
 *
 * Crash of the keeper anywhere: the segment dies with it and is rebuilt from
 * the journal; a slot left BUSY is denied meanwhile. Crash of a reader: it
 * wrote nothing here. Hostile readers: their map is read-only.
 *
 * Limits: reach at most JT_REACH_MAX (a put that would go further is refused;
 * at load 0.75 and a random seed the longest is about 200); bounded loops
 * throughout.
 *
 * References: Knuth vol. 3, 6.4 (linear probing, multiply-shift by a random
 * seed); Boehm, "Can seqlocks get along with programming language memory
 * models?" (MSPC 2012); background on reach: hopscotch's hop information,
 * reduced to a bound.
 */
#include "shm/table.h"

#include <assert.h>
#include <string.h>

#define TRIES 64u
#define BEHIND 4u /* slots worth asking for beyond the home */

uint64_t jt_table_home(const struct jt_maps *maps, uint64_t key)
{
	return (uint64_t)((unsigned __int128)key * maps->n_slots >> 64);
}

static uint64_t wrap(const struct jt_maps *maps, uint64_t slot)
{
	return slot < maps->n_slots ? slot : slot - maps->n_slots;
}

/* A search never meets a slot twice, however small the table. */
static uint32_t reach_max(const struct jt_maps *maps)
{
	uint64_t slots = maps->n_slots;

	return slots > JT_REACH_MAX ? JT_REACH_MAX : (uint32_t)slots - 1;
}

uint64_t jt_table_key(const struct jt_maps *maps, uint8_t scheme,
		      const uint8_t id[JT_PUBLIC_BYTES],
		      const uint8_t digest[JT_VALUE_DIGEST])
{
	uint64_t key;

	if (scheme == JT_VALUE_NATIVE)
		return jt_token_key(id, maps->identity->seed);
	memcpy(&key, digest, sizeof(key));
	return key;
}

/* R1-R3. False: torn. */
static bool view_slot(const struct jt_slot *slot, struct jt_view *v)
{
	for (unsigned try = 0; try < TRIES; try++) {
		/* pairs with W1 and W3 in jt_table_put(), jt_table_set_*() */
		v->a = jt_load_acquire(&slot->a);
		if (jt_a_state(v->a) == JT_SLOT_BUSY)
			continue;
		for (unsigned i = 0; i < 4; i++) /* pairs with W2 */
			v->digest[i] = jt_load_acquire(&slot->digest[i]);
		v->b = jt_load_acquire(&slot->b);	    /* W2 */
		v->owner = jt_load_acquire(&slot->owner);   /* W2 */
		v->env = jt_load_acquire(&slot->env);	    /* W2 */
		v->scheme = jt_load_acquire(&slot->scheme); /* W2 */
		/* relaxed: the acquires above keep it behind them */
		if (jt_load_relaxed(&slot->a) == v->a)
			return true;
	}
	return false;
}

void jt_table_prefetch_behind(const struct jt_maps *maps, uint64_t key)
{
	uint64_t home = jt_table_home(maps, key);
	const struct jt_slot *slot = &maps->slots[home];
	/* relaxed: a guess at what jt_table_next() will read */
	uint32_t reach = jt_load_relaxed(&slot->reach);

	if (jt_load_relaxed(&slot->key) == key)
		return;
	for (uint32_t i = 1; i <= reach && i <= BEHIND; i++)
		__builtin_prefetch(&maps->slots[wrap(maps, home + i)]);
}

bool jt_table_next(const struct jt_maps *maps, uint64_t key, uint32_t *cursorp,
		   struct jt_view *viewp)
{
	uint64_t home = jt_table_home(maps, key);
	/* pairs with W4 in raise_reach() */
	uint32_t reach = jt_load_acquire(&maps->slots[home].reach);

	if (reach > reach_max(maps))
		reach = reach_max(maps);
	for (uint32_t i = *cursorp; i <= reach; i++) {
		uint64_t at = wrap(maps, home + i);
		const struct jt_slot *slot = &maps->slots[at];

		/* pairs with W2: a matching key means the slot was put */
		if (jt_load_acquire(&slot->key) != key)
			continue;
		viewp->slot = at;
		*cursorp = i + 1;
		if (!view_slot(slot, viewp))
			viewp->a = 0;
		else if (jt_a_state(viewp->a) == JT_SLOT_EMPTY)
			continue;
		return true;
	}
	return false;
}

bool jt_table_look(const struct jt_maps *maps, uint64_t slot,
		   struct jt_view *viewp)
{
	viewp->slot = slot;
	return slot < maps->n_slots && view_slot(&maps->slots[slot], viewp);
}

struct jt_meter *jt_table_meter(const struct jt_maps *maps, uint64_t b)
{
	uint32_t line = jt_b_meter(b);

	return line < maps->capacity ? &maps->lines[line] : NULL;
}

const struct jt_limits *jt_table_limits(const struct jt_maps *maps, uint64_t b)
{
	uint32_t block;

	if (!jt_b_plan(b))
		return NULL;
	/* pairs with jt_table_set_plan() */
	block = jt_load_acquire(&maps->plans[jt_b_plan(b)]);
	return &maps->limits[block < JT_PLANS_MAX ? block : 0];
}

const struct jt_scope_set *jt_table_scopes(const struct jt_maps *maps,
					   uint64_t b)
{
	uint16_t set = jt_b_scope_set(b);

	return set && set < JT_SETS_MAX ? &maps->sets[set] : NULL;
}

const uint8_t *jt_table_owner(const struct jt_maps *maps, uint32_t owner,
			      uint32_t *bytesp)
{
	uint64_t pool = maps->pool_bytes;
	uint8_t bytes;

	*bytesp = 0;
	if (!owner || owner >= pool)
		return NULL;
	/* once: relaxed, the name was written before any slot's owner word */
	bytes = jt_load_relaxed((const _Atomic uint8_t *)&maps->pool[owner]);
	if (bytes >= pool - owner)
		return NULL;
	*bytesp = bytes;
	return maps->pool + owner + 1;
}

/* What stands OFF bytes into the writable map. */
static void *at(struct jt_identity *id, uint64_t off)
{
	return (char *)id + off;
}

static struct jt_slot *slot_rw(const struct jt_maps *maps, uint32_t slot)
{
	struct jt_identity *id = maps->identity_rw;

	assert(slot < id->slots);
	return (struct jt_slot *)at(id, id->slots_off) + slot;
}

/* W4. Raised before `applied`, never lowered. */
static void raise_reach(struct jt_slot *home, uint32_t distance)
{
	/* relaxed: one writer */
	if (jt_load_relaxed(&home->reach) < distance)
		jt_store_release(&home->reach, (uint16_t)distance);
}

/* What is put: the words of a slot, but for its generation. */
struct words {
	uint64_t key, digest[4], b;
	uint32_t owner, expires_s;
	uint8_t env, scheme, state, flags;
};

/* W1-W3. */
static void fill(struct jt_slot *slot, const struct words *w)
{
	/* relaxed: one writer reads its own word */
	uint16_t generation =
		(uint16_t)(jt_a_generation(jt_load_relaxed(&slot->a)) + 1);

	/* each pairs with the acquire of the same word in view_slot() */
	jt_store_release(&slot->a, jt_word_a(generation, JT_SLOT_BUSY, 0, 0));
	for (unsigned i = 0; i < 4; i++)
		jt_store_release(&slot->digest[i], w->digest[i]);
	jt_store_release(&slot->b, w->b);
	jt_store_release(&slot->owner, w->owner);
	jt_store_release(&slot->env, w->env);
	jt_store_release(&slot->scheme, w->scheme);
	jt_store_release(&slot->key, w->key);
	jt_store_release(&slot->a, jt_word_a(generation, w->state, w->flags,
					     w->expires_s));
}

void jt_table_prefetch(const struct jt_maps *maps, uint64_t key)
{
	__builtin_prefetch(&maps->slots[jt_table_home(maps, key)], 1);
}

static int put(struct jt_maps *maps, const struct words *w, uint32_t *slotp)
{
	struct jt_slot *slots = slot_rw(maps, 0);
	uint64_t home = jt_table_home(maps, w->key);

	assert(w->state > JT_SLOT_BUSY && w->state < JT_SLOT_STATES);
	assert(jt_b_meter(w->b) < maps->capacity);
	for (uint32_t i = 0; i <= reach_max(maps); i++) {
		struct jt_slot *slot = &slots[wrap(maps, home + i)];

		/* relaxed: one writer reads its own word */
		if (jt_a_state(jt_load_relaxed(&slot->a)) != JT_SLOT_EMPTY)
			continue;
		fill(slot, w);
		raise_reach(&slots[home], i);
		jt_count(&maps->identity_rw->used, 1);
		*slotp = (uint32_t)(slot - slots);
		return 0;
	}
	return JT_TABLE_E_FULL;
}

int jt_table_put(struct jt_maps *maps, const struct jt_entry *entry,
		 uint32_t *slotp)
{
	struct words w = {
		.key = jt_table_key(maps, entry->scheme, entry->id,
				    entry->digest),
		.b = jt_word_b(entry->meter, entry->plan, entry->scope_set),
		.owner = entry->owner,
		.expires_s = entry->expires_s,
		.env = entry->env,
		.scheme = entry->scheme,
		.state = entry->state,
		.flags = entry->flags,
	};

	memcpy(w.digest, entry->digest, sizeof(w.digest));
	return put(maps, &w, slotp);
}

int jt_table_put_copy(struct jt_maps *maps, const struct jt_slot *from,
		      uint32_t *slotp)
{
	/* relaxed, all: one writer reads its own words */
	uint64_t a = jt_load_relaxed(&from->a);
	struct words w = {
		.key = jt_load_relaxed(&from->key),
		.b = jt_load_relaxed(&from->b),
		.owner = jt_load_relaxed(&from->owner),
		.expires_s = jt_a_expires_s(a),
		.env = jt_load_relaxed(&from->env),
		.scheme = jt_load_relaxed(&from->scheme),
		.state = jt_a_state(a),
		.flags = jt_a_flags(a),
	};

	for (unsigned i = 0; i < 4; i++)
		w.digest[i] = jt_load_relaxed(&from->digest[i]);
	return put(maps, &w, slotp);
}

void jt_table_set_a(struct jt_maps *maps, uint32_t slot, uint8_t state,
		    uint8_t flags, uint32_t expires_s)
{
	struct jt_slot *s = slot_rw(maps, slot);
	uint64_t a = jt_load_relaxed(&s->a); /* relaxed: one writer */

	assert(state > JT_SLOT_BUSY && state < JT_SLOT_STATES);
	/* pairs with R1 in view_slot() */
	jt_store_release(
		&s->a, jt_word_a(jt_a_generation(a), state, flags, expires_s));
}

void jt_table_set_b(struct jt_maps *maps, uint32_t slot, uint16_t plan,
		    uint16_t scope_set)
{
	struct jt_slot *s = slot_rw(maps, slot);
	uint64_t b = jt_load_relaxed(&s->b); /* relaxed: one writer */

	/* pairs with R2 in view_slot(): plan and set were written before */
	jt_store_release(&s->b, jt_word_b(jt_b_meter(b), plan, scope_set));
}

void jt_table_set_meter(struct jt_maps *maps, uint32_t slot, uint32_t line)
{
	struct jt_slot *s = slot_rw(maps, slot);
	/* relaxed: one writer, and no reader yet */
	uint64_t b = jt_load_relaxed(&s->b);

	jt_store_relaxed(&s->b,
			 jt_word_b(line, jt_b_plan(b), jt_b_scope_set(b)));
}

void jt_table_set_owner(struct jt_maps *maps, uint32_t slot, uint32_t owner)
{
	/* pairs with R2 in view_slot(): the name was written before */
	jt_store_release(&slot_rw(maps, slot)->owner, owner);
}

void jt_table_drop(struct jt_maps *maps, uint32_t slot)
{
	struct jt_slot *s = slot_rw(maps, slot);
	uint64_t a = jt_load_relaxed(&s->a); /* relaxed: one writer */

	assert(jt_a_state(a) > JT_SLOT_BUSY);
	/* pairs with R1 in view_slot() */
	jt_store_release(&s->a,
			 jt_word_a(jt_a_generation(a), JT_SLOT_EMPTY, 0, 0));
	/* relaxed: the keeper's own word */
	jt_store_relaxed(&maps->identity_rw->used,
			 jt_load_relaxed(&maps->identity_rw->used) - 1);
}

/* ---- what has a number ---- */

void jt_table_part(struct jt_maps *maps)
{
	struct jt_maps *twin = maps->twin;

	maps->twin = NULL;
	/* pairs with the loads in jt_verify(), believes() and crossing.c:
	 * before the first change made only in the other */
	jt_store_release(&twin->identity_rw->state, JT_IDENTITY_RETIRED);
}

static void put_limits(struct jt_identity *id, uint16_t block,
		       const struct jt_bounds *bounds)
{
	struct jt_limits *l = at(id, id->limits_off);

	l += block;
	/* relaxed: pairs through the plan's word, stored with release later */
	jt_store_relaxed(&l->interval_ns, bounds->interval_ns);
	jt_store_relaxed(&l->burst, bounds->burst);
	jt_store_relaxed(&l->quota, bounds->quota);
	jt_store_relaxed(&l->window, (uint64_t)bounds->quota_unit << 32 |
					     bounds->quota_minutes);
	if (jt_load_relaxed(&id->limits) < block)
		jt_store_relaxed(&id->limits, block);
}

void jt_table_put_limits(struct jt_maps *maps, uint16_t block,
			 const struct jt_bounds *bounds)
{
	assert(block > 0);
	for (struct jt_maps *m = maps; m; m = m->twin)
		put_limits(m->identity_rw, block, bounds);
}

static void set_plan(struct jt_identity *id, uint16_t plan, uint16_t block)
{
	_Atomic uint32_t *plans = at(id, id->plans_off);

	/* pairs with jt_table_limits(): the block was written before */
	jt_store_release(&plans[plan], block);
	if (jt_load_relaxed(&id->plans) < plan)
		jt_store_relaxed(&id->plans, plan);
}

void jt_table_set_plan(struct jt_maps *maps, uint16_t plan, uint16_t block)
{
	assert(plan > 0);
	for (struct jt_maps *m = maps; m; m = m->twin)
		set_plan(m->identity_rw, plan, block);
}

static void put_set(struct jt_identity *id, uint16_t number,
		    const uint8_t bits[32])
{
	struct jt_scope_set *set = at(id, id->sets_off);
	uint64_t words[4];

	memcpy(words, bits, sizeof(words));
	/* relaxed: pairs through the slot's b, stored with release later */
	for (unsigned i = 0; i < 4; i++)
		jt_store_relaxed(&set[number].bits[i], words[i]);
	if (jt_load_relaxed(&id->sets) < number)
		jt_store_relaxed(&id->sets, number);
}

void jt_table_put_set(struct jt_maps *maps, uint16_t number,
		      const uint8_t bits[32])
{
	assert(number > 0 && number < JT_SETS_MAX);
	for (struct jt_maps *m = maps; m; m = m->twin)
		put_set(m->identity_rw, number, bits);
}

static void add_env(struct jt_identity *id, uint64_t number, uint64_t env_word)
{
	/* relaxed: one writer; readers meet a number through a slot's env */
	jt_store_relaxed(&id->envs[number], env_word);
	jt_store_relaxed(&id->envs_used, number);
}

uint8_t jt_table_env(struct jt_maps *maps, uint64_t env_word)
{
	struct jt_identity *id = maps->identity_rw;
	/* relaxed: one writer */
	uint64_t used = jt_load_relaxed(&id->envs_used);

	for (uint64_t i = 1; i <= used; i++)
		if (jt_load_relaxed(&id->envs[i]) == env_word)
			return (uint8_t)i;
	if (env_word == 0)
		return 0;
	if (used + 1 >= JT_ENV_OTHER)
		return JT_ENV_OTHER;
	for (struct jt_maps *m = maps; m; m = m->twin)
		add_env(m->identity_rw, used + 1, env_word);
	return (uint8_t)(used + 1);
}

void jt_table_add_scheme(struct jt_maps *maps, uint8_t scheme)
{
	for (struct jt_maps *m = maps; m; m = m->twin) {
		_Atomic uint64_t *schemes = &m->identity_rw->schemes;

		/* relaxed: one writer; see find_others() in verify.c */
		jt_store_relaxed(schemes,
				 jt_load_relaxed(schemes) | 1ull << scheme);
	}
}

void jt_table_count_tokens(struct jt_maps *maps, int n)
{
	for (struct jt_maps *m = maps; m; m = m->twin)
		jt_count(&m->identity_rw->tokens, (uint64_t)(int64_t)n);
}

void jt_table_set_applied(struct jt_maps *maps, uint64_t number)
{
	/* pairs with readers of `applied` in verdicts: what it counts is in */
	for (struct jt_maps *m = maps; m; m = m->twin)
		jt_store_release(&m->identity_rw->applied, number);
}

static bool pool_takes(const struct jt_maps *maps, uint64_t used,
		       uint32_t bytes)
{
	return used + bytes + 1 <= maps->pool_bytes;
}

static void put_owner(struct jt_identity *id, const uint8_t *owner,
		      uint32_t bytes, uint64_t offset)
{
	uint8_t *pool = at(id, id->pool_off);

	/* plain bytes, never rewritten: published by the slot's owner word */
	pool[offset] = (uint8_t)bytes;
	memcpy(pool + offset + 1, owner, bytes);
	jt_store_relaxed(&id->pool_used, offset + bytes + 1); /* ours */
}

int jt_table_put_owner(struct jt_maps *maps, const uint8_t *owner,
		       uint32_t bytes, uint32_t *offsetp)
{
	/* relaxed: ours */
	uint64_t used = jt_load_relaxed(&maps->identity_rw->pool_used);

	assert(bytes <= UINT8_MAX);
	if (!pool_takes(maps, used, bytes))
		return JT_TABLE_E_FULL;
	if (maps->twin && !pool_takes(maps->twin, used, bytes))
		jt_table_part(maps);
	for (struct jt_maps *m = maps; m; m = m->twin)
		put_owner(m->identity_rw, owner, bytes, used);
	*offsetp = (uint32_t)used;
	return 0;
}
