/*
 * ledger: see ledger.h.
 *
 * Two slots. A token's value has one, and since its last rotation the value
 * before has one too, flagged OLD_VALUE and ending at its deadline. The next
 * rotation drops that. Both bear the same meter line, so limits, uses and the
 * line's number outlive any rotation. Order at a rotation: the new value is
 * put, then the old one gets its end; a client never finds neither.
 *
 * Lines. A purged token's line rests until every worker has passed a round
 * since, or for REST_S when it has nothing to do: the last pass of a batch may
 * still count on it. Then it is zeroed and given to a new token.
 *
 * Pairs and blocks. Both are found through small open-addressing indexes, at
 * most half full; neither is ever freed: there are as many as combinations
 * were ever in use since the start.
 */
#include "sidecar/ledger.h"

#include "shm/scope.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define INDEX (2 * JT_PLANS_MAX)
#define NUMBER_LAST (JT_PLANS_MAX - 1)
#define REST_S 2u
#define NS_PER_S 1000000000ull

int jt_ledger_init(struct jt_ledger *l, struct jt_maps *maps)
{
	memset(l, 0, sizeof(*l));
	l->maps = maps;
	l->free_first = l->rest_first = l->rest_last = JT_LINE_NONE;
	l->lines = calloc(maps->identity->capacity, sizeof(*l->lines));
	l->past = calloc(JT_LEDGER_PAST, sizeof(*l->past));
	l->plans = calloc(JT_PLANS_MAX, sizeof(*l->plans));
	l->set_records = calloc(JT_SETS_MAX, sizeof(*l->set_records));
	l->pairs = calloc(JT_PLANS_MAX, sizeof(*l->pairs));
	l->blocks = calloc(JT_PLANS_MAX, sizeof(*l->blocks));
	l->pair_index = calloc(INDEX, sizeof(*l->pair_index));
	l->block_index = calloc(INDEX, sizeof(*l->block_index));
	if (l->lines && l->past && l->plans && l->set_records && l->pairs &&
	    l->blocks && l->pair_index && l->block_index &&
	    !jt_intern_init(&l->owners))
		return 0;
	jt_ledger_deinit(l);
	return -ENOMEM;
}

void jt_ledger_deinit(struct jt_ledger *l)
{
	if (l->owners.offsets)
		jt_intern_deinit(&l->owners);
	free(l->lines);
	free(l->past);
	free(l->plans);
	free(l->set_records);
	free(l->pairs);
	free(l->blocks);
	free(l->pair_index);
	free(l->block_index);
	memset(l, 0, sizeof(*l));
}

static uint32_t length(const char *text, size_t max)
{
	return (uint32_t)strnlen(text, max);
}

/* ---- plans ---- */

/* The place of a number in an index of 16-bit numbers, or a free one. */
static uint16_t *pair_place(const struct jt_ledger *l, uint16_t plan,
			    uint16_t own)
{
	uint64_t word = (uint64_t)plan << 16 | own;
	size_t at = XXH3_64bits(&word, sizeof(word)) & (INDEX - 1);

	for (; l->pair_index[at]; at = (at + 1) & (INDEX - 1)) {
		const struct jt_plan_pair *p = &l->pairs[l->pair_index[at]];

		if (p->plan == plan && p->own == own)
			break;
	}
	return &l->pair_index[at];
}

static uint16_t *block_place(const struct jt_ledger *l,
			     const struct jt_bounds *b)
{
	size_t at = XXH3_64bits(b, sizeof(*b)) & (INDEX - 1);

	while (l->block_index[at] &&
	       memcmp(&l->blocks[l->block_index[at]], b, sizeof(*b)) != 0)
		at = (at + 1) & (INDEX - 1);
	return &l->block_index[at];
}

/* The block that holds what PAIR means now, made when new; 0: no more. */
static uint16_t block_of(struct jt_ledger *l, const struct jt_plan_pair *pair)
{
	struct jt_limit limit = jt_limits_merge(&l->plans[pair->own].limit,
						&l->plans[pair->plan].limit);
	struct jt_bounds b = jt_limits_bounds(&limit);
	uint16_t *at = block_place(l, &b);

	if (*at || l->n_blocks == NUMBER_LAST)
		return *at;
	*at = ++l->n_blocks;
	l->blocks[*at] = b;
	jt_table_put_limits(l->maps, *at, &b);
	return *at;
}

/* The table's number of a pair, made when new. */
static int pair_of(struct jt_ledger *l, uint16_t plan, uint16_t own,
		   uint16_t *numberp)
{
	struct jt_plan_pair pair = {.plan = plan, .own = own};
	uint16_t *at;

	*numberp = 0;
	if (!plan && !own)
		return 0;
	if (plan > l->n_plans || own > l->n_plans)
		return -EINVAL;
	at = pair_place(l, plan, own);
	if (!*at) {
		pair.block = block_of(l, &pair);
		if (!pair.block || l->n_pairs == NUMBER_LAST)
			return JT_TABLE_E_FULL;
		*at = ++l->n_pairs;
		l->pairs[*at] = pair;
		jt_table_set_plan(l->maps, *at, pair.block);
	}
	*numberp = *at;
	return 0;
}

/* While the journal is replayed no worker looks at a slot. */
static bool is_loading(const struct jt_ledger *l)
{
	/* relaxed: the keeper's own word */
	return jt_load_relaxed(&l->maps->identity->state) ==
	       JT_IDENTITY_LOADING;
}

/* A token's limits are another pair's now, or the pair's are others. */
static void clamp(struct jt_ledger *l, uint32_t line)
{
	const struct jt_line *have = &l->lines[line];
	const struct jt_plan_pair *p =
		&l->pairs[*pair_place(l, have->plan, have->own)];

	if (p->block)
		jt_meter_clamp(&l->maps->lines[line], &l->blocks[p->block],
			       l->now.boot_ns);
}

/* The named PLAN has other limits: so has everyone who has it. */
static int replan(struct jt_ledger *l, uint16_t plan)
{
	for (uint32_t i = 1; i <= l->n_pairs; i++) {
		struct jt_plan_pair *p = &l->pairs[i];
		uint16_t block;

		if (p->plan != plan)
			continue;
		block = block_of(l, p);
		if (!block)
			return JT_TABLE_E_FULL;
		p->block = block;
		jt_table_set_plan(l->maps, (uint16_t)i, block);
	}
	for (uint32_t i = 0; i < l->n_lines && !is_loading(l); i++)
		if (l->lines[i].last && l->lines[i].plan == plan)
			clamp(l, i);
	return 0;
}

static int apply_plan(struct jt_ledger *l, const struct jt_record *r)
{
	const struct jt_record_plan *p = &r->plan;
	struct jt_limit limit = jt_limits_of(p);
	struct jt_ledger_plan *mine = &l->plans[p->number];
	bool fresh = p->number == l->n_plans + 1;

	if (jt_limits_check(&limit) != 0)
		return -EINVAL;
	if (!fresh && (!p->number || p->number > l->n_plans || !mine->name[0] ||
		       memcmp(mine->name, p->name, sizeof(p->name)) != 0))
		return -EINVAL;
	mine->limit = limit;
	mine->record = r->number;
	mine->removed = p->removed;
	memcpy(mine->name, p->name, sizeof(mine->name));
	if (fresh)
		l->n_plans = p->number;
	/* nobody has a plan that was removed */
	return fresh || p->removed ? 0 : replan(l, p->number);
}

/* ---- scopes ---- */

static int apply_scope(struct jt_ledger *l, const struct jt_record *r)
{
	const char *name = r->scope.name;
	uint32_t bytes = length(name, JT_SCOPE_MAX);

	if (r->scope.number != l->n_scopes + 1 ||
	    l->n_scopes == JT_SCOPES_MAX || !jt_scope_ok(name, bytes) ||
	    jt_scope_number(l->maps, (const uint8_t *)name, bytes))
		return -EINVAL;
	jt_scope_put(l->maps, ++l->n_scopes, r->scope.name);
	return 0;
}

/* Does a set name only scopes that there are? */
static bool names_known(const struct jt_ledger *l, const uint8_t bits[32])
{
	for (unsigned i = l->n_scopes; i < JT_SCOPES_MAX; i++)
		if (bits[i / 8] >> i % 8 & 1)
			return false;
	return true;
}

static int apply_set(struct jt_ledger *l, const struct jt_record *r)
{
	if (r->scopes.number != l->n_sets + 1 || l->n_sets == JT_SETS_MAX - 1 ||
	    !names_known(l, r->scopes.bits))
		return -EINVAL;
	jt_table_put_set(l->maps, ++l->n_sets, r->scopes.bits);
	l->set_records[l->n_sets] = r->number;
	return 0;
}

/* ---- tokens ---- */

/* The line whose slot bears KEY; OTHERS: that of a value not of our form. */
static uint32_t line_at(const struct jt_ledger *l, uint64_t key, bool others)
{
	struct jt_view view;
	uint32_t cursor = 0;

	while (jt_table_next(l->maps, key, &cursor, &view))
		if ((view.scheme != JT_VALUE_NATIVE) == others)
			return jt_b_meter(view.b);
	return JT_LINE_NONE;
}

uint32_t jt_ledger_find(const struct jt_ledger *l, const char id[JT_ID_BYTES])
{
	uint64_t key =
		jt_token_key((const uint8_t *)id, l->maps->identity->seed);
	uint32_t line = line_at(l, key, false);

	if (line == JT_LINE_NONE && jt_token_other_key(id, &key))
		line = line_at(l, key, true);
	return line;
}

static uint64_t key_of(const struct jt_ledger *l, const struct jt_record *r)
{
	return jt_table_key(l->maps, r->token.scheme,
			    (const uint8_t *)r->token.id, r->token.digest);
}

void jt_ledger_prefetch(const struct jt_ledger *l, const struct jt_record *r)
{
	if (jt_record_is_token(r->type))
		jt_table_prefetch(l->maps, key_of(l, r));
}

static uint8_t state_of(const struct jt_record *r)
{
	if (r->type == JT_REC_REVOKE)
		return JT_SLOT_REVOKED;
	return r->token.flags & JT_TOKEN_SUSPENDED ? JT_SLOT_SUSPENDED
						   : JT_SLOT_ACTIVE;
}

/* Everything of a slot that the record and the books say. */
static int entry_of(struct jt_ledger *l, const struct jt_record *r,
		    uint32_t line, struct jt_entry *e)
{
	const struct jt_record_token *t = &r->token;
	int rc;

	*e = (struct jt_entry){
		.state = state_of(r),
		.scheme = t->scheme,
		.scope_set = t->scope_set,
		.expires_s = t->expires_s,
		.meter = line,
	};
	if (t->scope_set > l->n_sets)
		return -EINVAL;
	rc = pair_of(l, t->plan, t->own, &e->plan);
	if (rc)
		return rc;
	e->env = jt_table_env(l->maps, jt_env_word(r->env, length(r->env, 8)));
	if (!e->env)
		return -EINVAL;
	memcpy(e->id, t->id, sizeof(e->id));
	memcpy(e->digest, t->digest, sizeof(e->digest));
	return jt_intern(&l->owners, l->maps, t->owner,
			 length(t->owner, JT_OWNER_MAX), &e->owner);
}

static void learn_scheme(struct jt_ledger *l, uint8_t scheme)
{
	struct jt_identity *id = l->maps->identity_rw;

	/* relaxed: one writer; see find_others() in verify.c */
	jt_store_relaxed(&id->schemes,
			 jt_load_relaxed(&id->schemes) | 1ull << scheme);
}

static void note(struct jt_line *line, const struct jt_record *r)
{
	line->last = r->number;
	line->plan = r->token.plan;
	line->own = r->token.own;
	line->set = r->token.scope_set;
	line->state = state_of(r);
	line->old_until_s = r->token.old_until_s;
	line->expires_s = r->token.expires_s;
}

/* A line for a new token, zeroed. */
static uint32_t new_line(struct jt_ledger *l)
{
	uint32_t line = l->free_first;
	struct jt_meter *m;

	if (line == JT_LINE_NONE)
		return l->n_lines < l->maps->identity->capacity ? l->n_lines++
								: line;
	l->free_first = l->lines[line].next;
	l->n_free--;
	m = &l->maps->lines[line];
	/* relaxed: no worker has a slot that names it */
	jt_store_relaxed(&m->rate, 0);
	jt_store_relaxed(&m->quota, 0);
	jt_store_relaxed(&m->uses, 0);
	jt_store_relaxed(&m->refusals, 0);
	jt_store_relaxed(&m->last_use_s, 0);
	jt_store_relaxed(&m->old_use_s, 0);
	return line;
}

static void free_line(struct jt_ledger *l, uint32_t line)
{
	l->lines[line] = (struct jt_line){.next = l->free_first};
	l->free_first = line;
	l->n_free++;
}

static int apply_create(struct jt_ledger *l, const struct jt_record *r)
{
	struct jt_entry e;
	uint32_t line;
	int rc;

	if (jt_ledger_find(l, r->token.id) != JT_LINE_NONE ||
	    (r->token.scheme != JT_VALUE_NATIVE &&
	     line_at(l, key_of(l, r), true) != JT_LINE_NONE))
		return -EEXIST;
	line = new_line(l);
	if (line == JT_LINE_NONE)
		return JT_TABLE_E_FULL;
	l->lines[line] =
		(struct jt_line){.first = r->number, .old_slot = JT_LINE_NONE};
	rc = entry_of(l, r, line, &e);
	if (rc == 0) {
		learn_scheme(l, e.scheme);
		rc = jt_table_put(l->maps, &e, &l->lines[line].slot);
	}
	if (rc) {
		free_line(l, line);
		return rc;
	}
	note(&l->lines[line], r);
	jt_count(&l->maps->identity_rw->tokens, 1);
	return 0;
}

static void remember(struct jt_ledger *l, const struct jt_line *line)
{
	const struct jt_slot *s = &l->maps->slots[line->old_slot];
	struct jt_past *p = &l->past[l->n_past++ % JT_LEDGER_PAST];
	/* relaxed: the keeper's own words */
	uint64_t words[2] = {jt_load_relaxed(&s->digest[0]),
			     jt_load_relaxed(&s->digest[1])};

	*p = (struct jt_past){.first = line->first,
			      .line = (uint32_t)(line - l->lines)};
	memcpy(p->key, words, sizeof(p->key));
}

static void drop_old(struct jt_ledger *l, struct jt_line *line)
{
	if (line->old_slot != JT_LINE_NONE) {
		remember(l, line);
		jt_table_drop(l->maps, line->old_slot);
	}
	line->old_slot = JT_LINE_NONE;
}

static bool has_digest(const struct jt_ledger *l, const struct jt_line *line,
		       const uint8_t digest[JT_DIGEST_BYTES])
{
	const struct jt_slot *s = &l->maps->slots[line->slot];
	uint64_t words[4];

	/* relaxed: the keeper's own words */
	for (unsigned i = 0; i < 4; i++)
		words[i] = jt_load_relaxed(&s->digest[i]);
	return memcmp(words, digest, sizeof(words)) == 0;
}

/* Revoked is final, and a token stays in its environment. */
static bool may_change(const struct jt_ledger *l, const struct jt_line *line,
		       const struct jt_entry *e)
{
	const struct jt_slot *s = &l->maps->slots[line->slot];

	/* relaxed: the keeper's own word */
	return line->state != JT_SLOT_REVOKED &&
	       jt_load_relaxed(&s->env) == e->env;
}

/* Make the slots say what the record says. */
static int apply_change(struct jt_ledger *l, const struct jt_record *r)
{
	uint32_t n = jt_ledger_find(l, r->token.id), ends_s, slot;
	struct jt_line *line = n == JT_LINE_NONE ? NULL : &l->lines[n];
	struct jt_entry e;
	int rc;

	if (!line)
		return -ENOENT;
	rc = entry_of(l, r, n, &e);
	if (!rc && !may_change(l, line, &e))
		rc = -EINVAL;
	if (rc)
		return rc;
	if (!has_digest(l, line, e.digest)) {
		rc = jt_table_put(l->maps, &e, &slot);
		if (rc)
			return rc;
		drop_old(l, line);
		line->old_slot = line->slot;
		line->slot = slot;
		/* relaxed: a statistic, of the value that is old now */
		jt_store_relaxed(&l->maps->lines[n].old_use_s, 0);
	}
	jt_table_set_b(l->maps, line->slot, e.plan, e.scope_set);
	jt_table_set_owner(l->maps, line->slot, e.owner);
	jt_table_set_a(l->maps, line->slot, e.state, 0, e.expires_s);
	if (line->plan != r->token.plan || line->own != r->token.own) {
		note(line, r);
		clamp(l, n);
	}
	note(line, r);
	if (line->old_slot == JT_LINE_NONE)
		return 0;
	if (line->old_until_s < l->tidy_from_s)
		l->tidy_from_s = line->old_until_s;
	ends_s = line->old_until_s < e.expires_s ? line->old_until_s
						 : e.expires_s;
	jt_table_set_b(l->maps, line->old_slot, e.plan, e.scope_set);
	jt_table_set_owner(l->maps, line->old_slot, e.owner);
	/* ended by a record: no clock that steps back revives it */
	if (ends_s <= r->time_ns / NS_PER_S)
		e.state = JT_SLOT_REVOKED;
	jt_table_set_a(l->maps, line->old_slot, e.state, JT_SLOT_OLD_VALUE,
		       ends_s);
	return 0;
}

static int apply_purge(struct jt_ledger *l, const struct jt_record *r)
{
	struct jt_identity *id = l->maps->identity_rw;
	uint32_t n = jt_ledger_find(l, r->token.id);
	struct jt_line *line;

	if (n == JT_LINE_NONE)
		return -ENOENT;
	line = &l->lines[n];
	drop_old(l, line);
	jt_table_drop(l->maps, line->slot);
	/* relaxed: the keeper's own word */
	jt_store_relaxed(&id->tokens, jt_load_relaxed(&id->tokens) - 1);
	if (is_loading(l)) {
		free_line(l, n);
		return 0;
	}
	*line = (struct jt_line){.next = JT_LINE_NONE};
	if (l->rest_last != JT_LINE_NONE)
		l->lines[l->rest_last].next = n;
	else
		l->rest_first = n;
	l->rest_last = n;
	for (unsigned i = 0; i < JT_WORKERS_MAX; i++)
		l->rest_rounds[i] = jt_load_seq(&l->maps->board[i].rounds);
	l->rest_since_s = 0;
	return 0;
}

int jt_ledger_apply(struct jt_ledger *l, const struct jt_record *r)
{
	switch ((enum jt_record_type)r->type) {
	case JT_REC_CREATE:
		return apply_create(l, r);
	case JT_REC_PURGE:
		return apply_purge(l, r);
	case JT_REC_PLAN:
		return apply_plan(l, r);
	case JT_REC_SCOPE:
		return apply_scope(l, r);
	case JT_REC_SCOPES:
		return apply_set(l, r);
	case JT_REC_OLD:
		return apply_change(l, r);
	case JT_REC_RULES:
	case JT_REC_REASON:
	case JT_REC_COPY:
	case JT_REC_NOTICE:
		return 0; /* nothing that a verdict depends on */
	default:
		return jt_record_is_token(r->type) ? apply_change(l, r)
						   : -EPROTO;
	}
}

static void deny_slot(struct jt_ledger *l, uint32_t slot, uint8_t state)
{
	uint64_t a;

	if (slot == JT_LINE_NONE)
		return;
	a = jt_load_relaxed(&l->maps->slots[slot].a); /* relaxed: ours */
	if (jt_a_state(a) == JT_SLOT_REVOKED)
		return; /* for good */
	jt_table_set_a(l->maps, slot, state, jt_a_flags(a), jt_a_expires_s(a));
}

int jt_ledger_deny(struct jt_ledger *l, const struct jt_record *r)
{
	uint8_t state =
		r->type == JT_REC_SUSPEND ? JT_SLOT_SUSPENDED : JT_SLOT_REVOKED;
	struct jt_line *line;
	uint32_t n;

	if (r->type != JT_REC_REVOKE && r->type != JT_REC_SUSPEND &&
	    r->type != JT_REC_FINISH)
		return 0;
	n = jt_ledger_find(l, r->token.id);
	if (n == JT_LINE_NONE)
		return 0; /* its creation was left out, too */
	line = &l->lines[n];
	if (r->type != JT_REC_FINISH)
		deny_slot(l, line->slot, state);
	deny_slot(l, line->old_slot, state);
	line->last = r->number;
	return 0;
}

/* ---- room ---- */

static bool all_passed(const struct jt_ledger *l)
{
	for (unsigned i = 0; i < JT_WORKERS_MAX; i++) {
		const struct jt_desk *d = &l->maps->board[i];

		/* a desk without a worker has no batch under way */
		if (jt_load_seq(&d->state) != JT_DESK_FREE &&
		    jt_load_seq(&d->rounds) == l->rest_rounds[i])
			return false;
	}
	return true;
}

static void take_back_lines(struct jt_ledger *l, uint64_t now_s)
{
	if (l->rest_first == JT_LINE_NONE)
		return;
	if (!l->rest_since_s || now_s < l->rest_since_s)
		l->rest_since_s = now_s;
	if (now_s - l->rest_since_s < REST_S && !all_passed(l))
		return;
	while (l->rest_first != JT_LINE_NONE) {
		uint32_t line = l->rest_first;

		l->rest_first = l->lines[line].next;
		free_line(l, line);
	}
	l->rest_last = JT_LINE_NONE;
}

static uint64_t values_left(const struct jt_ledger *l)
{
	const struct jt_identity *id = l->maps->identity;
	uint64_t most = jt_segment_values(id->capacity);
	uint64_t used = jt_load_relaxed(&id->used); /* relaxed: ours */

	return used < most ? most - used : 0;
}

void jt_ledger_tidy(struct jt_ledger *l, uint64_t values)
{
	uint64_t next_s = UINT64_MAX;

	take_back_lines(l, l->now.wall_s);
	if (values_left(l) >= values || l->now.wall_s < l->tidy_from_s)
		return;
	/* all of them at once: the next time is a twentieth of them away */
	for (uint32_t i = 0; i < l->n_lines; i++) {
		struct jt_line *line = &l->lines[i];

		if (!line->last || line->old_slot == JT_LINE_NONE)
			continue;
		if (line->old_until_s <= l->now.wall_s)
			drop_old(l, line);
		else if (line->old_until_s < next_s)
			next_s = line->old_until_s;
	}
	l->tidy_from_s = next_s;
}

int jt_ledger_fits(const struct jt_ledger *l, const struct jt_room *want,
		   struct jt_fault *faultp)
{
	const struct jt_identity *id = l->maps->identity;
	/* relaxed: the keeper reads its own words */
	uint64_t pool_left = id->pool_bytes - jt_load_relaxed(&id->pool_used);
	uint64_t tokens = jt_load_relaxed(&id->tokens);
	uint64_t plans_left =
		NUMBER_LAST -
		(l->n_pairs > l->n_blocks ? l->n_pairs : l->n_blocks);
	const struct {
		uint64_t want, left;
		const char *what;
	} rooms[] = {
		{want->tokens, id->capacity - l->n_lines + l->n_free, "tokens"},
		{want->values, values_left(l), "values"},
		{want->owner_bytes, pool_left, "bytes of owners' names"},
		{want->plans, plans_left, "different limits"},
	};

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		if (rooms[i].want <= rooms[i].left)
			continue;
		snprintf(faultp->line, sizeof(faultp->line),
			 "the table is full: no room for %llu more %s, only "
			 "for %llu (%llu of %llu tokens in use); %s",
			 (unsigned long long)rooms[i].want, rooms[i].what,
			 (unsigned long long)rooms[i].left,
			 (unsigned long long)tokens,
			 (unsigned long long)id->capacity,
			 i == 3 ? "use limits that other tokens have"
				: "restart jetond with a larger --capacity");
		return JT_TABLE_E_FULL;
	}
	return 0;
}

/* ---- questions ---- */

uint16_t jt_ledger_limit(const struct jt_ledger *l,
			 const struct jt_limit *limit, uint16_t *nextp)
{
	*nextp = l->n_plans < NUMBER_LAST ? (uint16_t)(l->n_plans + 1) : 0;
	for (uint32_t i = 1; i <= l->n_plans; i++)
		if (!l->plans[i].name[0] &&
		    memcmp(&l->plans[i].limit, limit, sizeof(*limit)) == 0)
			return (uint16_t)i;
	return 0;
}

uint16_t jt_ledger_plan(const struct jt_ledger *l, const char name[JT_PLAN_MAX],
			bool *removedp)
{
	*removedp = false;
	for (uint32_t i = 1; i <= l->n_plans; i++) {
		if (memcmp(l->plans[i].name, name, JT_PLAN_MAX) != 0)
			continue;
		*removedp = l->plans[i].removed;
		return (uint16_t)i;
	}
	return 0;
}

uint16_t jt_ledger_scope(const struct jt_ledger *l, const char *name,
			 uint16_t *nextp)
{
	*nextp = l->n_scopes < JT_SCOPES_MAX ? (uint16_t)(l->n_scopes + 1) : 0;
	return jt_scope_number(l->maps, (const uint8_t *)name, strlen(name));
}

uint16_t jt_ledger_set(const struct jt_ledger *l, const uint8_t bits[32],
		       uint16_t *nextp)
{
	*nextp = l->n_sets < JT_SETS_MAX - 1 ? (uint16_t)(l->n_sets + 1) : 0;
	/* the keeper wrote them; nobody else may */
	for (uint32_t i = 1; i <= l->n_sets; i++)
		if (memcmp(&l->maps->sets[i], bits, 32) == 0)
			return (uint16_t)i;
	return 0;
}

bool jt_ledger_pair(const struct jt_ledger *l, uint16_t plan, uint16_t own)
{
	return (!plan && !own) || *pair_place(l, plan, own) != 0;
}

uint64_t jt_ledger_users(const struct jt_ledger *l, uint16_t plan,
			 uint64_t *pairsp)
{
	uint64_t n = 0;

	*pairsp = 0;
	for (uint32_t i = 1; i <= l->n_pairs; i++)
		*pairsp += l->pairs[i].plan == plan;

	for (uint32_t i = 0; i < l->n_lines; i++)
		n += l->lines[i].last && l->lines[i].plan == plan &&
		     l->lines[i].state != JT_SLOT_REVOKED;
	return n;
}

const uint32_t jt_expiring_days[JT_EXPIRING_N] = {1, 7, 14, 30, 60};

void jt_ledger_expiring(const struct jt_ledger *l, uint64_t now_s,
			struct jt_expiring *expiringp)
{
	/* token by shortest span: 0 over, then the days, then those later */
	uint64_t n[JT_EXPIRING_N + 2] = {0};

	for (uint32_t i = 0; i < l->n_lines; i++) {
		const struct jt_line *line = &l->lines[i];
		uint64_t left_s =
			line->expires_s > now_s ? line->expires_s - now_s : 0;
		unsigned at = left_s > 0;

		if (!line->last || line->state == JT_SLOT_REVOKED)
			continue;
		for (unsigned d = 0; d < JT_EXPIRING_N; d++)
			at += left_s > jt_expiring_days[d] * UINT64_C(86400);
		n[at]++;
	}
	expiringp->over = n[0];
	for (unsigned d = 0; d < JT_EXPIRING_N; d++)
		expiringp->within[d] =
			n[d + 1] + (d ? expiringp->within[d - 1] : 0);
}

bool jt_ledger_look(const struct jt_ledger *l, const char id[JT_ID_BYTES],
		    struct jt_look *lookp)
{
	uint32_t n = jt_ledger_find(l, id);
	const struct jt_line *line;
	const struct jt_meter *m;

	if (n == JT_LINE_NONE)
		return false;
	line = &l->lines[n];
	m = &l->maps->lines[n];
	/* relaxed: statistics */
	*lookp = (struct jt_look){
		.first = line->first,
		.last = line->last,
		.plan = l->plans[line->plan].record,
		.own = l->plans[line->own].record,
		.set = line->set,
		.uses = jt_load_relaxed(&m->uses),
		.refusals = jt_load_relaxed(&m->refusals),
		.last_use_s = jt_load_relaxed(&m->last_use_s),
		.old_use_s = jt_load_relaxed(&m->old_use_s),
		.quota = jt_load_relaxed(&m->quota),
	};
	/* relaxed: the keeper's own words */
	for (unsigned i = 0; i < 4 && line->old_slot != JT_LINE_NONE; i++)
		lookp->old_digest[i] = jt_load_relaxed(
			&l->maps->slots[line->old_slot].digest[i]);
	return true;
}

bool jt_ledger_names(const struct jt_ledger *l, uint16_t set, char *out,
		     size_t max)
{
	size_t n = 0;

	out[0] = '\0';
	if (set == 0 || set > l->n_sets)
		return false;
	for (unsigned i = 0; i < l->n_scopes; i++) {
		const uint8_t *name = l->maps->scopes->names[i].name;
		uint32_t bytes = length((const char *)name, JT_SCOPE_BYTES);

		/* relaxed: the keeper's own words */
		if (!(jt_load_relaxed(&l->maps->sets[set].bits[i / 64]) >>
			      i % 64 &
		      1))
			continue;
		if (n + bytes + 2 > max)
			return false;
		n += (size_t)snprintf(out + n, max - n, "%s%.*s", n ? " " : "",
				      (int)bytes, name);
	}
	return true;
}
