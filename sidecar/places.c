/*
 * places: see places.h.
 *
 * Two tables. Each change is made in both by one call, so the caller does not
 * see that there are two. A value that is not in the twin yet is one that
 * jt_places_copy() has not come to; it will find the value as it is then. New
 * values go to both at once, and the copy passes over those. So there is no
 * moment at which the twin lacks a change that was made after it was paired,
 * but for values that it lacks as a whole; and when the copy has passed all
 * slots it lacks none.
 *
 * Which first? A reader of the older table must not miss what was made only in
 * the newer one: so a value goes to the older one first, and if that cannot
 * take it, it is retired before the newer one gets it. Where the newer one,
 * not yet shown to anybody, cannot take a value (its keys are crowded as they
 * hardly ever are), it is given up, and growth.c begins anew.
 */
#include "sidecar/places.h"

#include "sidecar/wide.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

static uint32_t *place(struct jt_seat *of, uint32_t line, enum jt_which which)
{
	return &of[line].slots[which];
}

int jt_places_init(struct jt_places *p, struct jt_maps *maps)
{
	*p = (struct jt_places){.maps = maps, .lines = maps->capacity};
	p->of = jt_wide_new(p->lines, sizeof(*p->of));
	return p->of ? 0 : -ENOMEM;
}

void jt_places_deinit(struct jt_places *p)
{
	jt_wide_free(p->of, p->lines, sizeof(*p->of));
	jt_wide_free(p->of_twin, p->twin_lines, sizeof(*p->of_twin));
	memset(p, 0, sizeof(*p));
}

static bool is_older(const struct jt_maps *maps, const struct jt_maps *other)
{
	return maps->identity->number < other->identity->number;
}

/* Slot + 1 in the twin; 0: there is no twin, or it does not have it. */
static uint32_t twin_slot(const struct jt_places *p, uint32_t line,
			  enum jt_which which)
{
	return p->maps->twin && line < p->twin_lines
		       ? p->of_twin[line].slots[which]
		       : 0;
}

/* ---- new values ---- */

/* Would it be crowded, or has it no line of that number? */
static bool takes(const struct jt_maps *maps, uint32_t line)
{
	/* relaxed: the keeper's own word */
	return line < maps->capacity &&
	       jt_load_relaxed(&maps->identity->used) <
		       jt_segment_values(maps->capacity);
}

/* Into the twin, which is parted from when it takes no more; 0 then. */
static uint32_t put_twin(struct jt_places *p, const struct jt_entry *e)
{
	struct jt_maps *twin = p->maps->twin;
	uint32_t slot;

	if (takes(twin, e->meter) && !jt_table_put(twin, e, &slot))
		return slot + 1;
	jt_table_part(p->maps);
	return 0;
}

/* Into both, the older one first. */
static int put(struct jt_places *p, const struct jt_entry *e, uint32_t slots[2])
{
	struct jt_maps *twin = p->maps->twin;
	bool first = twin && is_older(twin, p->maps);
	uint32_t slot;
	int rc;

	slots[1] = first ? put_twin(p, e) : 0;
	rc = jt_table_put(p->maps, e, &slot);
	if (rc) {
		if (slots[1])
			jt_table_drop(twin, slots[1] - 1);
		return rc;
	}
	slots[0] = slot + 1;
	if (twin && !first)
		slots[1] = put_twin(p, e);
	return 0;
}

static void note(struct jt_places *p, uint32_t line, enum jt_which which,
		 const uint32_t slots[2])
{
	*place(p->of, line, which) = slots[0];
	if (p->of_twin && line < p->twin_lines)
		*place(p->of_twin, line, which) = slots[1];
}

int jt_places_put(struct jt_places *p, const struct jt_entry *e)
{
	uint32_t slots[2];
	int rc = put(p, e, slots);

	if (!rc)
		note(p, e->meter, JT_NEWEST, slots);
	return rc;
}

int jt_places_put_newer(struct jt_places *p, const struct jt_entry *e,
			uint32_t *gonep)
{
	uint32_t line = e->meter, slots[2], newest[2];
	int rc = put(p, e, slots);

	if (rc)
		return rc;
	*gonep = jt_places_slot(p, line, JT_BEFORE);
	if (*gonep != JT_PLACE_NONE)
		jt_places_drop(p, line, JT_BEFORE);
	newest[0] = *place(p->of, line, JT_NEWEST);
	newest[1] = twin_slot(p, line, JT_NEWEST);
	note(p, line, JT_BEFORE, newest);
	note(p, line, JT_NEWEST, slots);
	return 0;
}

/* ---- changes ---- */

void jt_places_set_a(struct jt_places *p, uint32_t line, enum jt_which which,
		     uint8_t state, uint8_t flags, uint32_t expires_s)
{
	uint32_t other = twin_slot(p, line, which);

	jt_table_set_a(p->maps, jt_places_slot(p, line, which), state, flags,
		       expires_s);
	if (other)
		jt_table_set_a(p->maps->twin, other - 1, state, flags,
			       expires_s);
}

void jt_places_set_b(struct jt_places *p, uint32_t line, enum jt_which which,
		     uint16_t plan, uint16_t scope_set)
{
	uint32_t other = twin_slot(p, line, which);

	jt_table_set_b(p->maps, jt_places_slot(p, line, which), plan,
		       scope_set);
	if (other)
		jt_table_set_b(p->maps->twin, other - 1, plan, scope_set);
}

void jt_places_set_owner(struct jt_places *p, uint32_t line,
			 enum jt_which which, uint32_t owner)
{
	uint32_t other = twin_slot(p, line, which);

	jt_table_set_owner(p->maps, jt_places_slot(p, line, which), owner);
	if (other)
		jt_table_set_owner(p->maps->twin, other - 1, owner);
}

void jt_places_drop(struct jt_places *p, uint32_t line, enum jt_which which)
{
	static const uint32_t none[2];
	uint32_t other = twin_slot(p, line, which);

	jt_table_drop(p->maps, jt_places_slot(p, line, which));
	if (other)
		jt_table_drop(p->maps->twin, other - 1);
	note(p, line, which, none);
}

/* ---- growth ---- */

int jt_places_pair(struct jt_places *p, struct jt_maps *twin)
{
	assert(!p->maps->twin && !p->of_twin);
	p->of_twin = jt_wide_new(twin->capacity, sizeof(*p->of_twin));
	if (!p->of_twin)
		return -ENOMEM;
	p->twin_lines = twin->capacity;
	p->maps->twin = twin;
	return 0;
}

/* False: the twin does not take it. */
static bool copy_slot(struct jt_places *p, uint32_t slot)
{
	const struct jt_slot *s = &p->maps->slots[slot];
	/* relaxed, both: the keeper's own words */
	uint64_t a = jt_load_relaxed(&s->a);
	uint32_t line = jt_b_meter(jt_load_relaxed(&s->b)), *at;
	enum jt_which which;

	if (jt_a_state(a) == JT_SLOT_EMPTY)
		return true;
	which = jt_places_slot(p, line, JT_NEWEST) == slot ? JT_NEWEST
							   : JT_BEFORE;
	assert(jt_places_slot(p, line, which) == slot);
	at = place(p->of_twin, line, which);
	if (*at)
		return true;
	if (jt_table_put_copy(p->maps->twin, s, at))
		return false;
	++*at;
	return true;
}

uint64_t jt_places_copy(struct jt_places *p, uint64_t from, uint64_t n)
{
	uint64_t left = p->maps->n_slots - from;
	uint64_t end = from + (n < left ? n : left);

	for (; from < end; from++)
		if (!copy_slot(p, (uint32_t)from)) {
			jt_table_part(p->maps);
			break;
		}
	return from;
}

void jt_places_swap(struct jt_places *p)
{
	struct jt_seat *of = p->of;
	uint64_t lines = p->lines;

	p->of = p->of_twin;
	p->lines = p->twin_lines;
	p->of_twin = of;
	p->twin_lines = lines;
}

void jt_places_unpair(struct jt_places *p)
{
	jt_wide_free(p->of_twin, p->twin_lines, sizeof(*p->of_twin));
	p->of_twin = NULL;
	p->twin_lines = 0;
}
