/*
 * ledger: see ledger.h.
 *
 * Two slots. A token's value has one, and since its last rotation the value
 * before has one too, flagged OLD_VALUE and ending at its deadline. The next
 * rotation drops that. Both bear the same meter line, so limits, uses and the
 * line's number outlive any rotation. Order at a rotation: the new value is
 * put, then the old one gets its end; a client never finds neither.
 *
 * Lines. A purged token's line rests (rest.h): the last pass of a batch may
 * still count on it, however long ago that batch began. Then it is zeroed and
 * given to a new token.
 *
 * Limits. A token holds its pair (plans.h) from its first record to its purge:
 * while it is revoked, too, for its slots name the pair and WHY tells what it
 * would allow. The new pair is held before the slots name it, the old one let
 * go when both slots do. During the replay nothing is held: an old record, kept
 * by a compaction, may name what nobody had at one time with the others. What
 * the tokens have in the end is settled when all is read.
 */
#include "sidecar/ledger.h"

#include "sidecar/wide.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull

int jt_ledger_init(struct jt_ledger *l, struct jt_maps *maps)
{
	memset(l, 0, sizeof(*l));
	l->maps = maps;
	l->free_first = l->rest_first = l->rest_last = JT_LINE_NONE;
	l->lines_end = UINT64_MAX;
	l->lines_room = maps->capacity;
	l->lines = jt_wide_new(l->lines_room, sizeof(*l->lines));
	l->past = calloc(JT_LEDGER_PAST, sizeof(*l->past));
	l->sets.maps = maps;
	if (l->lines && l->past && !jt_places_init(&l->places, maps) &&
	    !jt_plans_init(&l->plans, maps) && !jt_intern_init(&l->owners))
		return 0;
	jt_ledger_deinit(l);
	return -ENOMEM;
}

void jt_ledger_deinit(struct jt_ledger *l)
{
	if (l->owners.offsets)
		jt_intern_deinit(&l->owners);
	jt_places_deinit(&l->places);
	jt_wide_free(l->lines, l->lines_room, sizeof(*l->lines));
	free(l->past);
	jt_plans_deinit(&l->plans);
	memset(l, 0, sizeof(*l));
}

int jt_ledger_widen(struct jt_ledger *l, uint64_t capacity)
{
	struct jt_line *lines;

	if (capacity <= l->lines_room)
		return 0;
	lines = jt_wide_grow(l->lines, l->lines_room, capacity, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	l->lines = lines;
	l->lines_room = capacity;
	return 0;
}

static uint32_t length(const char *text, size_t max)
{
	return (uint32_t)strnlen(text, max);
}

/* ---- limits ---- */

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
	const struct jt_bounds *b = jt_plans_bounds(
		&l->plans, l->lines[line].plan, l->lines[line].own);

	if (b)
		jt_meter_clamp(&l->maps->lines[line], b, l->now.boot_ns);
}

static int apply_plan(struct jt_ledger *l, const struct jt_record *r)
{
	bool changed;
	int rc = jt_plans_define(&l->plans, r, &changed);

	if (rc || !changed || is_loading(l))
		return rc;
	for (uint32_t i = 0; i < l->n_lines; i++)
		if (l->lines[i].last && l->lines[i].plan == r->plan.number)
			clamp(l, i);
	return 0;
}

/* One more token has what T says. While loading none does yet. */
static int hold(struct jt_ledger *l, const struct jt_record_token *t,
		uint16_t *numberp)
{
	*numberp = 0;
	if (!jt_plans_known(&l->plans, t->plan, t->own))
		return -EINVAL;
	return is_loading(l)
		       ? 0
		       : jt_plans_hold(&l->plans, t->plan, t->own, numberp);
}

static void unhold(struct jt_ledger *l, const struct jt_record_token *t)
{
	if (!is_loading(l))
		jt_plans_let(&l->plans, t->plan, t->own);
}

static void let(struct jt_ledger *l, const struct jt_line *line)
{
	if (line->holds)
		jt_plans_let(&l->plans, line->plan, line->own);
}

static bool has_old(const struct jt_ledger *l, uint32_t line)
{
	return jt_places_slot(&l->places, line, JT_BEFORE) != JT_PLACE_NONE;
}

int jt_ledger_settle(struct jt_ledger *l)
{
	for (uint32_t i = 0; i < l->n_lines; i++) {
		struct jt_line *line = &l->lines[i];
		uint16_t number;
		int rc;

		if (!line->last || line->holds)
			continue;
		rc = jt_plans_hold(&l->plans, line->plan, line->own, &number);
		if (rc)
			return rc;
		line->holds = true;
		if (!number)
			continue; /* as it was put */
		jt_places_set_b(&l->places, i, JT_NEWEST, number, line->set);
		if (has_old(l, i))
			jt_places_set_b(&l->places, i, JT_BEFORE, number,
					line->set);
	}
	return 0;
}

/* ---- tokens ---- */

uint32_t jt_ledger_line_at(const struct jt_ledger *l, uint64_t key, bool others)
{
	struct jt_view view;
	uint32_t cursor = 0;

	while (jt_table_next(l->maps, key, &cursor, &view))
		if ((view.scheme != JT_VALUE_NATIVE) == others)
			return jt_b_meter(view.b);
	return JT_LINE_NONE;
}

/* Is there any value not of our form? */
static bool has_others(const struct jt_ledger *l)
{
	/* relaxed: the keeper's own word */
	return jt_load_relaxed(&l->maps->identity->schemes) &
	       ~(UINT64_C(1) << JT_VALUE_NATIVE);
}

uint32_t jt_ledger_find(const struct jt_ledger *l, const char id[JT_ID_BYTES])
{
	uint64_t key =
		jt_token_key((const uint8_t *)id, l->maps->identity->seed);
	uint32_t line = jt_ledger_line_at(l, key, false);

	if (line == JT_LINE_NONE && has_others(l) &&
	    jt_token_other_key(id, &key))
		line = jt_ledger_line_at(l, key, true);
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

/* Everything of a slot that the record and the books say, but the plan. */
static int entry_of(struct jt_ledger *l, const struct jt_record *r,
		    uint32_t line, struct jt_entry *e)
{
	const struct jt_record_token *t = &r->token;

	*e = (struct jt_entry){
		.state = state_of(r),
		.scheme = t->scheme,
		.scope_set = t->scope_set,
		.expires_s = t->expires_s,
		.meter = line,
	};
	if (t->scope_set > l->sets.n)
		return -EINVAL;
	e->env = jt_table_env(l->maps, jt_env_word(r->env, length(r->env, 8)));
	if (!e->env)
		return -EINVAL;
	memcpy(e->id, t->id, sizeof(e->id));
	memcpy(e->digest, t->digest, sizeof(e->digest));
	return jt_intern(&l->owners, l->maps, t->owner,
			 length(t->owner, JT_OWNER_MAX), &e->owner);
}

static void note(const struct jt_ledger *l, struct jt_line *line,
		 const struct jt_record *r)
{
	line->last = r->number;
	line->plan = r->token.plan;
	line->own = r->token.own;
	line->set = r->token.scope_set;
	line->holds = !is_loading(l);
	line->state = state_of(r);
	line->old_until_s = r->token.old_until_s;
	line->expires_s = r->token.expires_s;
}

void jt_ledger_zero(const struct jt_ledger *l, uint32_t line)
{
	struct jt_meter *m = &l->maps->lines[line];

	/* relaxed: no worker has a slot that names it */
	jt_store_relaxed(&m->rate, 0);
	jt_store_relaxed(&m->quota, 0);
	jt_store_relaxed(&m->uses, 0);
	jt_store_relaxed(&m->refusals, 0);
	jt_store_relaxed(&m->last_use_s, 0);
	jt_store_relaxed(&m->old_use_s, 0);
	jt_store_relaxed(&m->old_use_by, 0);
}

/* A line for a new token, zeroed. */
static uint32_t new_line(struct jt_ledger *l)
{
	uint32_t line = l->free_first;
	bool used = line != JT_LINE_NONE || l->used_beyond;

	if (line != JT_LINE_NONE) {
		l->free_first = l->lines[line].next;
		l->n_free--;
	} else if (l->n_lines < l->maps->capacity &&
		   l->n_lines < l->lines_end) {
		line = l->n_lines++;
	}
	if (used && line != JT_LINE_NONE)
		jt_ledger_zero(l, line);
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
	     jt_ledger_line_at(l, key_of(l, r), true) != JT_LINE_NONE))
		return -EEXIST;
	line = new_line(l);
	if (line == JT_LINE_NONE)
		return JT_TABLE_E_FULL;
	l->lines[line] = (struct jt_line){.first = r->number};
	rc = entry_of(l, r, line, &e);
	if (rc == 0)
		rc = hold(l, &r->token, &e.plan);
	if (rc == 0) {
		jt_table_add_scheme(l->maps, e.scheme);
		rc = jt_places_put(&l->places, &e);
		if (rc)
			unhold(l, &r->token);
	}
	if (rc) {
		free_line(l, line);
		return rc;
	}
	note(l, &l->lines[line], r);
	jt_table_count_tokens(l->maps, 1);
	return 0;
}

/* The words of a slot's digest: the keeper's own. */
static void digest_at(const struct jt_ledger *l, uint32_t slot,
		      uint64_t words[4])
{
	for (unsigned i = 0; i < 4; i++) /* relaxed: one writer */
		words[i] = jt_load_relaxed(&l->maps->slots[slot].digest[i]);
}

/* SLOT, of the table itself, was dropped just now. */
static void remember(struct jt_ledger *l, uint32_t line, uint32_t slot)
{
	struct jt_past *p = &l->past[l->n_past++ % JT_LEDGER_PAST];
	uint64_t words[4];

	digest_at(l, slot, words);
	*p = (struct jt_past){.first = l->lines[line].first, .line = line};
	memcpy(p->key, words, sizeof(p->key));
}

static void drop_old(struct jt_ledger *l, uint32_t line)
{
	uint32_t slot = jt_places_slot(&l->places, line, JT_BEFORE);

	if (slot == JT_PLACE_NONE)
		return;
	jt_places_drop(&l->places, line, JT_BEFORE);
	remember(l, line, slot);
}

static bool has_digest(const struct jt_ledger *l, uint32_t line,
		       const uint8_t digest[JT_DIGEST_BYTES])
{
	uint64_t words[4];

	digest_at(l, jt_places_slot(&l->places, line, JT_NEWEST), words);
	return memcmp(words, digest, sizeof(words)) == 0;
}

/* Revoked is final, and a token stays in its environment. */
static bool may_change(const struct jt_ledger *l, uint32_t line,
		       const struct jt_entry *e)
{
	uint32_t slot = jt_places_slot(&l->places, line, JT_NEWEST);

	/* relaxed: the keeper's own word */
	return l->lines[line].state != JT_SLOT_REVOKED &&
	       jt_load_relaxed(&l->maps->slots[slot].env) == e->env;
}

/* Another value: the one that the token has is its old one now. */
static int change_value(struct jt_ledger *l, uint32_t n,
			const struct jt_entry *e)
{
	uint32_t gone;
	int rc = jt_places_put_newer(&l->places, e, &gone);

	if (rc)
		return rc;
	if (gone != JT_PLACE_NONE)
		remember(l, n, gone);
	/* relaxed: statistics, of the value that is old now */
	jt_store_relaxed(&l->maps->lines[n].old_use_s, 0);
	jt_store_relaxed(&l->maps->lines[n].old_use_by, 0);
	return 0;
}

static void change_old(struct jt_ledger *l, uint32_t n,
		       const struct jt_record *r, const struct jt_entry *e)
{
	uint32_t until_s = l->lines[n].old_until_s;
	uint32_t ends_s = until_s < e->expires_s ? until_s : e->expires_s;
	/* ended by a record: no clock that steps back revives it */
	bool over = ends_s <= r->time_ns / NS_PER_S;

	if (until_s < l->tidy_from_s)
		l->tidy_from_s = until_s;
	jt_places_set_b(&l->places, n, JT_BEFORE, e->plan, e->scope_set);
	jt_places_set_owner(&l->places, n, JT_BEFORE, e->owner);
	jt_places_set_a(&l->places, n, JT_BEFORE,
			over ? JT_SLOT_REVOKED : e->state, JT_SLOT_OLD_VALUE,
			ends_s);
}

/* Make the slots say what the record says. */
static int apply_change(struct jt_ledger *l, const struct jt_record *r)
{
	uint32_t n = jt_ledger_find(l, r->token.id);
	struct jt_line *line = n == JT_LINE_NONE ? NULL : &l->lines[n], before;
	struct jt_entry e;
	int rc;

	if (!line)
		return -ENOENT;
	rc = entry_of(l, r, n, &e);
	if (!rc && !may_change(l, n, &e))
		rc = -EINVAL;
	if (!rc)
		rc = hold(l, &r->token, &e.plan);
	if (rc)
		return rc;
	if (line->denied)
		e.state = JT_SLOT_REVOKED; /* no record revives it */
	before = *line;
	if (!has_digest(l, n, e.digest))
		rc = change_value(l, n, &e);
	if (rc) {
		unhold(l, &r->token);
		return rc;
	}
	jt_places_set_b(&l->places, n, JT_NEWEST, e.plan, e.scope_set);
	jt_places_set_owner(&l->places, n, JT_NEWEST, e.owner);
	jt_places_set_a(&l->places, n, JT_NEWEST, e.state, 0, e.expires_s);
	note(l, line, r);
	if (before.plan != line->plan || before.own != line->own)
		clamp(l, n);
	if (has_old(l, n))
		change_old(l, n, r, &e);
	let(l, &before);
	return 0;
}

static int apply_purge(struct jt_ledger *l, const struct jt_record *r)
{
	uint32_t n = jt_ledger_find(l, r->token.id);
	struct jt_line *line;

	if (n == JT_LINE_NONE)
		return -ENOENT;
	line = &l->lines[n];
	drop_old(l, n);
	jt_places_drop(&l->places, n, JT_NEWEST);
	let(l, line);
	jt_table_count_tokens(l->maps, -1);
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
	jt_rest_begin(&l->rest, l->maps);
	return 0;
}

int jt_ledger_apply(struct jt_ledger *l, const struct jt_record *r)
{
	if (r->part <= 1) /* a batch begins */
		jt_plans_tidy(&l->plans);
	switch ((enum jt_record_type)r->type) {
	case JT_REC_CREATE:
		return apply_create(l, r);
	case JT_REC_PURGE:
		return apply_purge(l, r);
	case JT_REC_PLAN:
		return apply_plan(l, r);
	case JT_REC_SCOPE:
		return jt_sets_scope(&l->sets, r);
	case JT_REC_SCOPES:
		return jt_sets_define(&l->sets, r);
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

static void deny_value(struct jt_ledger *l, uint32_t line, enum jt_which which,
		       uint8_t state)
{
	uint32_t slot = jt_places_slot(&l->places, line, which);
	uint64_t a;

	if (slot == JT_PLACE_NONE)
		return;
	a = jt_load_relaxed(&l->maps->slots[slot].a); /* relaxed: ours */
	if (jt_a_state(a) == JT_SLOT_REVOKED)
		return; /* for good */
	jt_places_set_a(&l->places, line, which, state, jt_a_flags(a),
			jt_a_expires_s(a));
}

int jt_ledger_deny(struct jt_ledger *l, const struct jt_record *r)
{
	uint8_t state =
		r->type == JT_REC_SUSPEND ? JT_SLOT_SUSPENDED : JT_SLOT_REVOKED;
	uint32_t n;

	if (r->type != JT_REC_REVOKE && r->type != JT_REC_SUSPEND &&
	    r->type != JT_REC_FINISH)
		return 0;
	n = jt_ledger_find(l, r->token.id);
	if (n == JT_LINE_NONE)
		return 0; /* its creation was left out, too */
	if (r->type != JT_REC_FINISH)
		deny_value(l, n, JT_NEWEST, state);
	deny_value(l, n, JT_BEFORE, state);
	l->lines[n].last = r->number;
	return 0;
}

enum jt_denied jt_ledger_deny_id(struct jt_ledger *l,
				 const char id[JT_ID_BYTES])
{
	uint32_t n = jt_ledger_find(l, id);
	struct jt_line *line = n == JT_LINE_NONE ? NULL : &l->lines[n];

	if (!line)
		return JT_DENIED_NOBODY;
	if (line->state == JT_SLOT_REVOKED)
		return JT_DENIED_RECORDED;
	if (line->denied)
		return JT_DENIED_BEFORE;
	deny_value(l, n, JT_NEWEST, JT_SLOT_REVOKED);
	deny_value(l, n, JT_BEFORE, JT_SLOT_REVOKED);
	line->denied = true;
	return JT_DENIED_NOW;
}

/* ---- room ---- */

static void take_back_lines(struct jt_ledger *l)
{
	if (l->shared || l->rest_first == JT_LINE_NONE ||
	    !jt_rest_over(&l->rest, l->maps))
		return;
	while (l->rest_first != JT_LINE_NONE) {
		uint32_t line = l->rest_first;

		l->rest_first = l->lines[line].next;
		free_line(l, line);
	}
	l->rest_last = JT_LINE_NONE;
}

/* Of both tables the one that takes less. */
static uint64_t values_left(const struct jt_ledger *l)
{
	uint64_t least = UINT64_MAX;

	for (const struct jt_maps *m = l->maps; m; m = m->twin) {
		uint64_t most = jt_segment_values(m->capacity);
		/* relaxed: ours. A twin that is being filled has fewer */
		uint64_t used = jt_load_relaxed(&l->maps->identity->used);
		uint64_t left = used < most ? most - used : 0;

		least = left < least ? left : least;
	}
	return least;
}

static uint64_t least_capacity(const struct jt_ledger *l)
{
	const struct jt_maps *twin = l->maps->twin;

	return twin && twin->capacity < l->maps->capacity ? twin->capacity
							  : l->maps->capacity;
}

static uint64_t lines_left(const struct jt_ledger *l)
{
	uint64_t lines = least_capacity(l);

	if (l->lines_end < lines)
		lines = l->lines_end;
	return (l->n_lines < lines ? lines - l->n_lines : 0) + l->n_free;
}

static uint64_t pool_left(const struct jt_ledger *l)
{
	const struct jt_maps *twin = l->maps->twin;
	uint64_t bytes = l->maps->pool_bytes;
	/* relaxed: ours; both have the same */
	uint64_t used = jt_load_relaxed(&l->maps->identity->pool_used);

	if (twin && twin->pool_bytes < bytes)
		bytes = twin->pool_bytes;
	return used < bytes ? bytes - used : 0;
}

void jt_ledger_tidy(struct jt_ledger *l, uint64_t values)
{
	uint64_t next_s = UINT64_MAX;

	take_back_lines(l);
	if (values_left(l) >= values || l->now.wall_s < l->tidy_from_s)
		return;
	/* all of them at once: the next time is a twentieth of them away */
	for (uint32_t i = 0; i < l->n_lines; i++) {
		struct jt_line *line = &l->lines[i];

		if (!line->last || !has_old(l, i))
			continue;
		if (line->old_until_s <= l->now.wall_s)
			drop_old(l, i);
		else if (line->old_until_s < next_s)
			next_s = line->old_until_s;
	}
	l->tidy_from_s = next_s;
}

int jt_ledger_fits(const struct jt_ledger *l, const struct jt_room *want,
		   struct jt_fault *faultp)
{
	/* relaxed: the keeper's own word */
	uint64_t tokens = jt_load_relaxed(&l->maps->identity->tokens);
	const struct {
		uint64_t want, left;
		const char *what;
	} rooms[] = {
		{want->tokens, lines_left(l), "tokens"},
		{want->values, values_left(l), "values"},
		{want->owner_bytes, pool_left(l), "bytes of owners' names"},
		{want->plans, jt_plans_left(&l->plans), "different limits"},
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
			 (unsigned long long)least_capacity(l),
			 i < 3 ? "restart jetond with a larger --capacity"
			 : jt_plans_resting(&l->plans)
				 ? "try again when every worker has passed a "
				   "round (see `jeton status`)"
				 : "use limits that other tokens have");
		return JT_TABLE_E_FULL;
	}
	return 0;
}

/* ---- questions ---- */

uint64_t jt_ledger_users(const struct jt_ledger *l, uint16_t plan,
			 uint64_t *pairsp)
{
	uint64_t n = 0;

	*pairsp = jt_plans_pairs_of(&l->plans, plan);
	for (uint32_t i = 0; i < l->n_lines; i++)
		n += l->lines[i].last && l->lines[i].plan == plan &&
		     l->lines[i].state != JT_SLOT_REVOKED;
	return n;
}

const uint32_t jt_expiring_days[JT_EXPIRING_N] = {1, 7, 14, 30, 60};

uint32_t jt_ledger_expiring_slice(const struct jt_ledger *l, uint32_t from,
				  uint32_t n, uint64_t now_s,
				  struct jt_expiring *expiringp)
{
	/* token by shortest span: 0 over, then the days, then those later */
	uint64_t spans[JT_EXPIRING_N + 2] = {0};
	uint64_t states[JT_SLOT_STATES] = {0}; /* 0: active, but over */
	uint64_t sum = 0;
	uint32_t end = n < l->n_lines - from ? from + n : l->n_lines;

	for (uint32_t i = from; i < end; i++) {
		const struct jt_line *line = &l->lines[i];
		uint64_t left_s =
			line->expires_s > now_s ? line->expires_s - now_s : 0;
		unsigned at = left_s > 0;

		if (!line->last)
			continue;
		states[line->state == JT_SLOT_ACTIVE && !at ? 0
							    : line->state]++;
		if (line->state == JT_SLOT_REVOKED)
			continue;
		for (unsigned d = 0; d < JT_EXPIRING_N; d++)
			at += left_s > jt_expiring_days[d] * UINT64_C(86400);
		spans[at]++;
	}
	expiringp->over += spans[0];
	for (unsigned d = 0; d < JT_EXPIRING_N; d++) {
		sum += spans[d + 1];
		expiringp->within[d] += sum;
	}
	expiringp->expired += states[0];
	expiringp->active += states[JT_SLOT_ACTIVE];
	expiringp->suspended += states[JT_SLOT_SUSPENDED];
	expiringp->revoked += states[JT_SLOT_REVOKED];
	return end < l->n_lines ? end : 0;
}

void jt_ledger_expiring(const struct jt_ledger *l, uint64_t now_s,
			struct jt_expiring *expiringp)
{
	memset(expiringp, 0, sizeof(*expiringp));
	jt_ledger_expiring_slice(l, 0, l->n_lines, now_s, expiringp);
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
		.plan = l->plans.of[line->plan].record,
		.own = l->plans.of[line->own].record,
		.set = line->set,
		.uses = jt_load_relaxed(&m->uses),
		.refusals = jt_load_relaxed(&m->refusals),
		.last_use_s = jt_load_relaxed(&m->last_use_s),
		.old_use_s = jt_load_relaxed(&m->old_use_s),
		.old_use_by = jt_load_relaxed(&m->old_use_by),
		.quota = jt_load_relaxed(&m->quota),
	};
	if (has_old(l, n))
		digest_at(l, jt_places_slot(&l->places, n, JT_BEFORE),
			  lookp->old_digest);
	return true;
}
