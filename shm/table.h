/*
 * table: the identity table. Any process finds; the keeper alone writes.
 *
 * Open addressing over slots of 64 bytes, one token value each; algorithm and
 * proof at the top of table.c. Writers' calls need maps->identity_rw.
 */
#ifndef JT_SHM_TABLE_H
#define JT_SHM_TABLE_H

#include "shm/segment.h"
#include "shm/token.h"

enum {
	JT_TABLE_E_FULL = 1, /* no slot, meter line, plan or pool room */
	JT_TABLE_E_TORN,     /* the slot stayed inconsistent: deny */
};

#define JT_TABLE_NONE UINT64_MAX

/* One consistent view of a slot. */
struct jt_view {
	uint64_t slot; /* its number */
	uint64_t digest[4];
	uint64_t a, b;
	uint32_t owner;
	uint8_t env;
};

/* ---- any process ---- */

/* Where a key's search begins. Prefetch this slot before calling next. */
uint64_t jt_table_home(const struct jt_maps *maps, uint64_t key);

/*
 * Next slot bearing KEY. Start with *CURSORP = 0; false: no more. A torn slot
 * gives true with viewp->a == 0 (no state): the caller denies.
 */
bool jt_table_next(const struct jt_maps *maps, uint64_t key, uint32_t *cursorp,
		   struct jt_view *viewp);

/* Meter line, plan, owner of a view; out of range reads as NULL / none. */
struct jt_meter *jt_table_meter(const struct jt_maps *maps, uint64_t b);
const struct jt_plan *jt_table_plan(const struct jt_maps *maps, uint64_t b);
const uint8_t *jt_table_owner(const struct jt_maps *maps, uint32_t owner,
			      uint32_t *bytesp);

/* ---- the keeper ---- */

struct jt_entry {
	uint8_t id[JT_PUBLIC_BYTES];
	uint8_t digest[JT_VALUE_DIGEST];
	uint8_t state; /* enum jt_slot_state */
	uint8_t env;
	uint16_t plan, scope_set;
	uint32_t expires_s;
	uint32_t owner;
	uint32_t meter;
};

/* Ask for the line where this id's search begins, some puts ahead. */
void jt_table_prefetch(const struct jt_maps *maps,
		       const uint8_t id[JT_PUBLIC_BYTES]);

/* Put a new value; *SLOTP receives its slot. It is in force on return. */
int jt_table_put(struct jt_maps *maps, const struct jt_entry *entry,
		 uint64_t *slotp);

/* Change state in place: one atomic store, in force on return. */
void jt_table_set_state(struct jt_maps *maps, uint64_t slot, uint8_t state);

/* Room for N more values / meter lines? */
bool jt_table_fits(const struct jt_maps *maps, uint64_t n);

/* Store limits under a number, before any slot names it. */
int jt_table_put_plan(struct jt_maps *maps, uint16_t number,
		      uint64_t interval_ns, uint64_t burst);

/*
 * Number of an environment, added when new; 0 for no name. When there is no
 * number left: JT_ENV_OTHER, which no ENV that is asked for is equal to.
 */
uint8_t jt_table_env(struct jt_maps *maps, uint64_t env_word);

/* Append an owner to the pool; *OFFSETP is what jt_entry.owner takes. */
int jt_table_put_owner(struct jt_maps *maps, const uint8_t *owner,
		       uint32_t bytes, uint32_t *offsetp);

#endif
