/*
 * places: in which slots a token's values stand, in one table or in two.
 *
 * A token is its meter line here, and has one value or two: its newest, and the
 * one before while that is known. While the table grows there is a twin
 * (jt_maps.twin), where the same values have other slots; whatever is changed
 * here is changed in both. Keeper only.
 */
#ifndef JT_SIDECAR_PLACES_H
#define JT_SIDECAR_PLACES_H

#include "shm/table.h"

#define JT_PLACE_NONE UINT32_MAX

enum jt_which {
	JT_NEWEST = 0,
	JT_BEFORE,
	JT_VALUES_OF_ONE,
};

/* Slot + 1; 0: it has none, so zeroed memory is right. */
struct jt_seat {
	uint32_t slots[JT_VALUES_OF_ONE];
};

struct jt_places {
	struct jt_maps *maps;
	struct jt_seat *of; /* by line */
	uint64_t lines;	    /* as many as the table has room for */
	struct jt_seat *of_twin;
	uint64_t twin_lines;
};

/* MAPS: new and empty. 0 or -ENOMEM. */
int jt_places_init(struct jt_places *p, struct jt_maps *maps);
void jt_places_deinit(struct jt_places *p);

/* Slot of a value, in the table itself; JT_PLACE_NONE: there is none. */
static inline uint32_t jt_places_slot(const struct jt_places *p, uint32_t line,
				      enum jt_which which)
{
	return p->of[line].slots[which] - 1;
}

/* The first value of a line. JT_TABLE_E_FULL. */
int jt_places_put(struct jt_places *p, const struct jt_entry *e);

/*
 * A newer value of e->meter: the newest is the one before from now on, and the
 * one before that is dropped; *GONEP was its slot. JT_TABLE_E_FULL: nothing was
 * changed.
 */
int jt_places_put_newer(struct jt_places *p, const struct jt_entry *e,
			uint32_t *gonep);

/* As in table.h; the value is there. */
void jt_places_set_a(struct jt_places *p, uint32_t line, enum jt_which which,
		     uint8_t state, uint8_t flags, uint32_t expires_s);
void jt_places_set_b(struct jt_places *p, uint32_t line, enum jt_which which,
		     uint16_t plan, uint16_t scope_set);
void jt_places_set_owner(struct jt_places *p, uint32_t line,
			 enum jt_which which, uint32_t owner);
void jt_places_drop(struct jt_places *p, uint32_t line, enum jt_which which);

/* ---- growth ---- */

/*
 * TWIN, a larger table that has all but slots and pool of this one, takes all
 * changes from now on. 0 or -ENOMEM.
 */
int jt_places_pair(struct jt_places *p, struct jt_maps *twin);

/*
 * Copy the values of N slots from FROM on that the twin does not have yet.
 * Returns where to go on; as many as there are slots: all are there. Call it
 * only while there is a twin; there may be none afterwards (jt_table_part()).
 */
uint64_t jt_places_copy(struct jt_places *p, uint64_t from, uint64_t n);

/* The table and its twin change parts; *MAPS has changed likewise. */
void jt_places_swap(struct jt_places *p);

/* There is no twin any more. */
void jt_places_unpair(struct jt_places *p);

#endif
