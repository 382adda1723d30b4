/*
 * snapshot_load: the blocks of a snapshot into table and ledger.
 *
 * First all blocks but those of slots, in any order, by two cores; then those
 * of slots, likewise, each value held against its line: the line must name
 * this very slot. As many values as lines have of them, and no two values that
 * one line could name: so every line's slot is one that names the line. In
 * the same time one core puts the owners' names into their index.
 *
 * When the table is as large as the one that was saved, a slot is copied to
 * its place; if not, one core puts the values one by one where they belong
 * now. Where they are then is noted apart until all are put: were it told to
 * their lines at once, a second value could stand where the first has come to,
 * and pass for it. The hash's seed comes with the snapshot, so the keys stay
 * what they are.
 *
 * Nobody looks meanwhile: the segment is new, or its state is LOADING.
 */
#include "sidecar/snapshot.h"

#include "admin/format.h"
#include "sidecar/both.h"
#include "sidecar/wide.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 16u /* slots whose lines are on their way */

/* What one of the two threads has met. */
struct finds {
	const char *why; /* the first that is wrong; NULL: nothing */
	int rc;
	uint64_t lines, free, olds, values;
};

struct load {
	const struct jt_snapshot *s;
	struct jt_ledger *l;
	struct jt_slot *slots;
	bool straight;
	struct jt_seat *seats; /* else: where values are now, by line */
	uint64_t first;	       /* block of this phase */
	uint8_t *buffers[2];
	struct finds finds[2];
};

/* ---- definitions ---- */

static const char *take_plans(struct load *load, struct jt_snapshot_span span,
			      const void *bytes)
{
	const struct jt_snapshot_plan *from = bytes;
	struct jt_plans *p = &load->l->plans;

	for (uint64_t i = 0; i < span.count; i++, from++) {
		struct jt_plan *to = &p->of[span.first + i + 1];

		*to = (struct jt_plan){
			.limit = {.rate = from->rate,
				  .period_ns = from->period_ns,
				  .burst = from->burst,
				  .quota = from->quota,
				  .quota_unit = from->quota_unit,
				  .quota_minutes = from->quota_minutes},
			.record = from->record,
			.removed = from->removed,
		};
		memcpy(to->name, from->name, sizeof(to->name));
		if (from->quota_unit >= JT_QUOTA_UNITS ||
		    jt_limits_check(&to->limit) || from->removed > 1 ||
		    !from->record || from->record > load->s->h.number ||
		    !jt_all_zero(from->zeros, sizeof(from->zeros)))
			return "a plan has impossible values";
	}
	return NULL;
}

static const char *take_pasts(struct load *load, struct jt_snapshot_span span,
			      const void *bytes)
{
	const struct jt_snapshot_past *from = bytes;

	for (uint64_t i = 0; i < span.count; i++, from++) {
		struct jt_past *to = &load->l->past[span.first + i];

		if (from->line >= load->s->h.n_lines || from->zero)
			return "a past value has impossible values";
		*to = (struct jt_past){.first = from->first,
				       .line = from->line};
		memcpy(to->key, from->key, sizeof(to->key));
	}
	return NULL;
}

/* Scopes and sets have their words in the segment: as if they were records. */
static const char *take_scopes(struct load *load, struct jt_snapshot_span span,
			       const void *bytes)
{
	for (uint64_t i = 0; i < span.count; i++) {
		struct jt_record r = {0};

		r.scope.number = (uint16_t)(span.first + i + 1);
		memcpy(r.scope.name, (const char *)bytes + i * JT_SCOPE_BYTES,
		       JT_SCOPE_BYTES);
		if (jt_sets_scope(&load->l->sets, &r))
			return "a scope has impossible values";
	}
	return NULL;
}

static const char *take_sets(struct load *load, struct jt_snapshot_span span,
			     const void *bytes)
{
	for (uint64_t i = 0; i < span.count; i++) {
		struct jt_record r = {0};

		r.scopes.number = (uint16_t)(span.first + i + 1);
		memcpy(r.scopes.bits, (const char *)bytes + i * 32, 32);
		if (jt_sets_define(&load->l->sets, &r))
			return "a set of scopes has impossible values";
	}
	return NULL;
}

static const char *take_pool(struct load *load, struct jt_snapshot_span span,
			     const void *bytes)
{
	struct jt_identity *id = load->l->maps->identity_rw;

	memcpy((uint8_t *)id + id->pool_off + span.first, bytes, span.count);
	return NULL;
}

/* The names stand one after the other: each goes into the index. */
static const char *index_owners(struct load *load)
{
	const uint8_t *pool = load->l->maps->pool;
	uint64_t used = load->s->h.pool_used;

	if (pool[0])
		return "the pool of owners begins with a name";
	for (uint64_t at = 1; at < used; at += pool[at] + 1u) {
		int rc;

		if (!pool[at] || pool[at] > JT_OWNER_MAX ||
		    pool[at] >= used - at)
			return "an owner's name has an impossible length";
		rc = jt_intern_adopt(&load->l->owners, load->l->maps,
				     (uint32_t)at);
		if (rc)
			return rc == -ENOMEM ? "not enough memory"
					     : "an owner stands there twice";
	}
	return NULL;
}

/* ---- lines ---- */

static bool free_line_ok(const struct jt_snapshot_line *f, uint32_t n_lines)
{
	struct jt_snapshot_line zero = {.next = f->next};

	return memcmp(f, &zero, sizeof(zero)) == 0 &&
	       (f->next < n_lines || f->next == JT_LINE_NONE);
}

static bool used_line_ok(const struct jt_snapshot_line *f,
			 const struct jt_snapshot_header *h)
{
	uint64_t slots = jt_segment_slots(h->capacity);

	return f->first && f->first <= f->last && f->last <= h->number &&
	       f->slot < slots &&
	       (f->old_slot < slots || f->old_slot == JT_LINE_NONE) &&
	       !f->next && f->plan <= h->n_plans && f->own <= h->n_plans &&
	       f->set <= h->n_sets && f->state > JT_SLOT_BUSY &&
	       f->state < JT_SLOT_STATES &&
	       jt_all_zero(f->zeros, sizeof(f->zeros));
}

static const char *take_lines(struct load *load, struct jt_snapshot_span span,
			      const void *bytes, struct finds *finds)
{
	const struct jt_snapshot_header *h = &load->s->h;
	const struct jt_snapshot_line *f = bytes;

	for (uint64_t i = 0; i < span.count; i++, f++) {
		if (f->last ? !used_line_ok(f, h)
			    : !free_line_ok(f, h->n_lines))
			return "a token has impossible values";
		finds->lines += f->last != 0;
		finds->free += f->last == 0;
		finds->olds += f->last && f->old_slot != JT_LINE_NONE;
		if (f->last) /* slot + 1; of JT_LINE_NONE 0 */
			load->l->places.of[span.first + i] = (struct jt_seat){
				.slots = {f->slot + 1, f->old_slot + 1}};
		load->l->lines[span.first + i] = (struct jt_line){
			.first = f->first,
			.last = f->last,
			.old_until_s = f->old_until_s,
			.next = f->next,
			.expires_s = f->expires_s,
			.plan = f->plan,
			.own = f->own,
			.set = f->set,
			.state = f->state,
		};
	}
	return NULL;
}

/* From the first free line through all of them, and no further. */
static const char *walk_free(const struct load *load)
{
	const struct jt_snapshot_header *h = &load->s->h;
	uint32_t at = h->free_first;

	for (uint32_t i = 0; i < h->n_free; i++) {
		if (at >= h->n_lines || load->l->lines[at].last)
			return "the list of free lines is broken";
		at = load->l->lines[at].next;
	}
	/* a ring would have come here, too, but would not end */
	return at == JT_LINE_NONE ? NULL : "the list of free lines is broken";
}

/* ---- slots ---- */

static bool slot_ok(const struct jt_snapshot_slot *f,
		    const struct jt_snapshot_header *h)
{
	uint8_t state = jt_a_state(f->a);

	if (f->reach > JT_REACH_MAX)
		return false;
	if (state == JT_SLOT_EMPTY)
		return true;
	return state > JT_SLOT_BUSY && state < JT_SLOT_STATES &&
	       !(jt_a_flags(f->a) & ~JT_SLOT_OLD_VALUE) &&
	       jt_b_meter(f->b) < h->n_lines && !jt_b_plan(f->b) &&
	       jt_b_scope_set(f->b) <= h->n_sets && f->owner < h->pool_used &&
	       f->env && (f->env <= h->envs_used || f->env == JT_ENV_OTHER) &&
	       f->scheme < JT_VALUE_SCHEMES && h->schemes >> f->scheme & 1;
}

/* Of a value before: what apply_change() in ledger.c has made of it. */
static bool old_agrees(const struct jt_line *line,
		       const struct jt_snapshot_slot *f)
{
	uint32_t ends_s = line->old_until_s < line->expires_s
				  ? line->old_until_s
				  : line->expires_s;
	uint8_t state = jt_a_state(f->a);

	return jt_a_expires_s(f->a) == ends_s &&
	       (state == line->state || state == JT_SLOT_REVOKED);
}

/* Does the value's line say the same of it? */
static bool line_agrees(const struct jt_ledger *l,
			const struct jt_snapshot_slot *f, uint64_t at)
{
	uint32_t n = jt_b_meter(f->b);
	const struct jt_line *line = &l->lines[n];

	if (!line->last || line->set != jt_b_scope_set(f->b))
		return false;
	if (jt_a_flags(f->a) & JT_SLOT_OLD_VALUE)
		return jt_places_slot(&l->places, n, JT_BEFORE) == at &&
		       old_agrees(line, f);
	return jt_places_slot(&l->places, n, JT_NEWEST) == at &&
	       line->state == jt_a_state(f->a) &&
	       line->expires_s == jt_a_expires_s(f->a);
}

/* relaxed, all: nobody looks; the store of SERVING publishes them */
static void copy(struct jt_slot *to, const struct jt_snapshot_slot *f)
{
	jt_store_relaxed(&to->key, f->key);
	for (unsigned i = 0; i < 4; i++)
		jt_store_relaxed(&to->digest[i], f->digest[i]);
	jt_store_relaxed(&to->a, f->a);
	jt_store_relaxed(&to->b, f->b);
	jt_store_relaxed(&to->owner, f->owner);
	jt_store_relaxed(&to->env, f->env);
	jt_store_relaxed(&to->scheme, f->scheme);
}

/* As jt_table_put(), but the key is known and the id is not. */
static bool put(struct load *load, const struct jt_snapshot_slot *f)
{
	struct jt_ledger *l = load->l;
	uint64_t n = l->maps->n_slots;
	uint64_t home = jt_table_home(l->maps, f->key);
	struct jt_seat *seat = &load->seats[jt_b_meter(f->b)];

	for (uint32_t i = 0; i <= JT_REACH_MAX && i < n; i++) {
		uint64_t at = home + i < n ? home + i : home + i - n;
		struct jt_slot *to = &load->slots[at];

		if (jt_a_state(jt_load_relaxed(&to->a)) != JT_SLOT_EMPTY)
			continue;
		copy(to, f);
		if (jt_load_relaxed(&load->slots[home].reach) < i)
			jt_store_relaxed(&load->slots[home].reach, (uint16_t)i);
		seat->slots[jt_a_flags(f->a) & JT_SLOT_OLD_VALUE ? JT_BEFORE
								 : JT_NEWEST] =
			(uint32_t)at + 1;
		return true;
	}
	return false;
}

static void prefetch(const struct load *load, const struct jt_snapshot_slot *f)
{
	uint32_t line = jt_b_meter(f->b);

	if (line < load->s->h.n_lines)
		__builtin_prefetch(&load->l->lines[line]);
	if (line < load->s->h.n_lines)
		__builtin_prefetch(&load->l->places.of[line]);
	if (load->straight)
		return;
	if (line < load->s->h.n_lines)
		__builtin_prefetch(&load->seats[line], 1);
	__builtin_prefetch(&load->slots[jt_table_home(load->l->maps, f->key)],
			   1);
}

static const char *take_slot(struct load *load,
			     const struct jt_snapshot_slot *f, uint64_t at,
			     struct finds *finds)
{
	bool live = jt_a_state(f->a) != JT_SLOT_EMPTY;

	if (!slot_ok(f, &load->s->h) || (live && !line_agrees(load->l, f, at)))
		return "a value has impossible values";
	finds->values += live;
	if (load->straight) {
		copy(&load->slots[at], f);
		jt_store_relaxed(&load->slots[at].reach, f->reach);
		return NULL;
	}
	return !live || put(load, f) ? NULL : "a value finds no place";
}

static const char *take_slots(struct load *load, struct jt_snapshot_span span,
			      const uint8_t *bytes, uint64_t n,
			      struct finds *finds)
{
	uint64_t fixed = jt_snapshot_fixed(JT_SNAPSHOT_SLOTS, span.count);
	const struct jt_snapshot_slot *f = (const void *)(bytes + fixed);
	const struct jt_snapshot_slot *end = f + (n - fixed) / sizeof(*f);
	const char *why = NULL;

	for (uint64_t word = 0; !why && word < fixed / 8; word++) {
		uint64_t bits;

		memcpy(&bits, bytes + word * 8, sizeof(bits));
		for (; !why && bits; bits &= bits - 1, f++) {
			uint64_t i =
				word * 64 + (unsigned)__builtin_ctzll(bits);

			if (f == end || i >= span.count)
				return "a block has other slots than it says";
			if (f + AHEAD < end)
				prefetch(load, f + AHEAD);
			why = take_slot(load, f, span.first + i, finds);
		}
	}
	if (!why && f != end)
		why = "a block has other slots than it says";
	return why;
}

/* ---- blocks ---- */

static const char *take(struct load *load, uint64_t i, const uint8_t *bytes,
			struct finds *finds)
{
	struct jt_snapshot_span span = jt_snapshot_span(&load->s->h, i);

	switch ((enum jt_snapshot_kind)span.kind) {
	case JT_SNAPSHOT_PLANS:
		return take_plans(load, span, bytes);
	case JT_SNAPSHOT_PASTS:
		return take_pasts(load, span, bytes);
	case JT_SNAPSHOT_SCOPES:
		return take_scopes(load, span, bytes);
	case JT_SNAPSHOT_SETS:
		return take_sets(load, span, bytes);
	case JT_SNAPSHOT_POOL:
		return take_pool(load, span, bytes);
	case JT_SNAPSHOT_LINES:
		return take_lines(load, span, bytes, finds);
	default:
		return take_slots(load, span, bytes, load->s->blocks[i].bytes,
				  finds);
	}
}

/* Read block I, check its sum, take it. */
static void take_block(struct load *load, uint64_t i, unsigned who)
{
	const struct jt_snapshot *s = load->s;
	const struct jt_snapshot_block *b = &s->blocks[i];
	struct finds *finds = &load->finds[who];
	uint8_t sum[16];

	if (finds->why)
		return;
	finds->rc = jt_io_read_at(s->io, s->fd, load->buffers[who], b->bytes,
				  s->offsets[i]);
	if (finds->rc) {
		finds->why = "it cannot be read";
		return;
	}
	jt_snapshot_block_sum(sum, load->buffers[who], b->bytes);
	if (memcmp(sum, b->sum, sizeof(sum)))
		finds->why = "the sum of a block is wrong";
	else
		finds->why = take(load, i, load->buffers[who], finds);
}

/* Blocks from LOAD->first on: what they define, in any order. */
static void do_block(void *ctx, uint64_t i, unsigned who)
{
	struct load *load = ctx;

	take_block(load, load->first + i, who);
}

/* Job 0 is the owners' index. */
static void do_slots(void *ctx, uint64_t i, unsigned who)
{
	struct load *load = ctx;

	if (i)
		take_block(load, load->first + i - 1, who);
	else if (!load->finds[who].why)
		load->finds[who].why = index_owners(load);
}

static const char *wrong(const struct load *load)
{
	return load->finds[0].why ? load->finds[0].why : load->finds[1].why;
}

/* Blocks FROM up to TO, by both or by one alone. */
static void phase(struct load *load, jt_both_job *job, uint64_t from,
		  uint64_t n, bool alone)
{
	struct jt_both both;

	load->first = from;
	if (alone) {
		for (uint64_t i = 0; i < n; i++)
			job(load, i, 0);
		return;
	}
	jt_both_begin(&both, job, load, n);
	jt_both_end(&both);
}

static void set_front(struct load *load)
{
	const struct jt_snapshot_header *h = &load->s->h;
	struct jt_identity *id = load->l->maps->identity_rw;

	id->seed = h->seed;
	/* relaxed, all: nobody looks */
	jt_store_relaxed(&id->pool_used, h->pool_used);
	jt_store_relaxed(&id->schemes, h->schemes);
	jt_store_relaxed(&id->envs_used, h->envs_used);
	for (unsigned i = 0; i < JT_ENVS_MAX; i++)
		jt_store_relaxed(&id->envs[i], h->envs[i]);
	jt_store_relaxed(&id->used, h->values);
	jt_store_relaxed(&id->tokens, h->tokens);
	load->l->n_lines = h->n_lines;
	load->l->free_first = h->free_first;
	load->l->n_free = h->n_free;
	load->l->tidy_from_s = h->tidy_from_s;
	load->l->n_past = h->n_past;
	load->l->plans.n = h->n_plans;
}

static const char *check_sum_of_all(const struct load *load)
{
	const struct jt_snapshot_header *h = &load->s->h;
	const struct finds *a = &load->finds[0], *b = &load->finds[1];

	if (a->lines + b->lines != h->tokens || a->free + b->free != h->n_free)
		return "it has other tokens than its header says";
	if (a->values + b->values != h->values ||
	    h->values != h->tokens + a->olds + b->olds)
		return "it has other values than its header says";
	return walk_free(load);
}

/* Lines are told where their values are now. */
static void take_seats(struct load *load)
{
	struct jt_places *p = &load->l->places;
	struct jt_seat *before = p->of;

	if (load->straight)
		return;
	p->of = load->seats;
	load->seats = before;
}

static uint64_t first_block(const struct jt_snapshot_header *h, uint32_t kind)
{
	uint64_t i = 0;

	while (i < h->n_blocks && jt_snapshot_span(h, i).kind < kind)
		i++;
	return i;
}

static const char *run(struct load *load)
{
	const struct jt_snapshot_header *h = &load->s->h;
	uint64_t lines = first_block(h, JT_SNAPSHOT_LINES);
	uint64_t slots = first_block(h, JT_SNAPSHOT_SLOTS);

	set_front(load);
	/* definitions build on each other; there are few blocks of them */
	phase(load, do_block, 0, lines, true);
	if (!wrong(load))
		phase(load, do_block, lines, slots - lines, false);
	if (!wrong(load))
		phase(load, do_slots, slots, h->n_blocks - slots + 1,
		      !load->straight);
	return wrong(load) ? wrong(load) : check_sum_of_all(load);
}

int jt_snapshot_load(const struct jt_snapshot *s, struct jt_ledger *l,
		     struct jt_fault *faultp)
{
	struct jt_identity *id = l->maps->identity_rw;
	struct load load = {
		.s = s,
		.l = l,
		.slots = (void *)((char *)id + id->slots_off),
		.straight = s->h.capacity == l->maps->capacity,
		.buffers = {malloc(JT_SNAPSHOT_BLOCK_MAX),
			    malloc(JT_SNAPSHOT_BLOCK_MAX)},
	};
	uint64_t lines = l->places.lines;
	const char *why = "not enough memory";
	int rc = JT_SNAPSHOT_E_DAMAGED;

	if (!load.straight)
		load.seats = jt_wide_new(lines, sizeof(*load.seats));

	if (s->h.n_lines > l->maps->capacity ||
	    s->h.values > jt_segment_values(l->maps->capacity) ||
	    s->h.pool_used > l->maps->pool_bytes) {
		why = "the table is too small for it";
		rc = JT_SNAPSHOT_E_FULL;
	} else if (load.buffers[0] && load.buffers[1] &&
		   (load.straight || load.seats)) {
		why = run(&load);
	}
	if (!why)
		take_seats(&load);
	jt_wide_free(load.seats, lines, sizeof(*load.seats));
	free(load.buffers[0]);
	free(load.buffers[1]);
	return why ? jt_fault_set(faultp, rc, 0, 0, "%s", why) : 0;
}
