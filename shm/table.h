/*
 * table: the identity table. Any process finds; the keeper alone writes.
 *
 * Open addressing over slots of 64 bytes, one token value each; algorithm and
 * proof at the top of table.c. Writers' calls need maps->identity_rw.
 */
#ifndef JT_SHM_TABLE_H
#define JT_SHM_TABLE_H

#include "shm/meter.h"
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
	uint8_t env, scheme;
};

/* ---- any process ---- */

/* The index key of a value: from its id when it is native, else its digest. */
uint64_t jt_table_key(const struct jt_maps *maps, uint8_t scheme,
		      const uint8_t id[JT_PUBLIC_BYTES],
		      const uint8_t digest[JT_VALUE_DIGEST]);

/* Where a key's search begins. Prefetch this slot before calling next. */
uint64_t jt_table_home(const struct jt_maps *maps, uint64_t key);

/*
 * The home has come: if the key is not there, ask for what lies behind it. Some
 * keys before calling next, for one in three goes on to a second slot.
 */
void jt_table_prefetch_behind(const struct jt_maps *maps, uint64_t key);

/*
 * Next slot bearing KEY. Start with *CURSORP = 0; false: no more. A torn slot
 * gives true with viewp->a == 0 (no state): the caller denies.
 */
bool jt_table_next(const struct jt_maps *maps, uint64_t key, uint32_t *cursorp,
		   struct jt_view *viewp);

/*
 * What stands in slot number SLOT, which may be free (state EMPTY) or being
 * written. False: torn, *VIEWP is not to be used.
 */
bool jt_table_look(const struct jt_maps *maps, uint64_t slot,
		   struct jt_view *viewp);

/*
 * Meter line, limits, scopes, owner of a view; out of range reads as NULL or
 * none. A plan without a block reads as block 0, which is no limit that holds.
 */
struct jt_meter *jt_table_meter(const struct jt_maps *maps, uint64_t b);
const struct jt_limits *jt_table_limits(const struct jt_maps *maps, uint64_t b);
const struct jt_scope_set *jt_table_scopes(const struct jt_maps *maps,
					   uint64_t b);
const uint8_t *jt_table_owner(const struct jt_maps *maps, uint32_t owner,
			      uint32_t *bytesp);

/* ---- the keeper ---- */

/*
 * While there are two tables (maps->twin) what has a number, the same in both,
 * is stored in both: limits, plans, sets, environments, owners. Slots have not;
 * those of the twin are the caller's (sidecar/places.h).
 */

/*
 * The twin cannot take a change that this table takes, or is no longer wanted:
 * it is retired, before that change is made, and no longer the twin.
 */
void jt_table_part(struct jt_maps *maps);

struct jt_entry {
	uint8_t id[JT_PUBLIC_BYTES];
	uint8_t digest[JT_VALUE_DIGEST];
	uint8_t state; /* enum jt_slot_state */
	uint8_t flags; /* JT_SLOT_* */
	uint8_t env;
	uint8_t scheme; /* enum jt_value_scheme */
	uint16_t plan, scope_set;
	uint32_t expires_s;
	uint32_t owner;
	uint32_t meter;
};

/* Ask for the line where this key's search begins, some puts ahead. */
void jt_table_prefetch(const struct jt_maps *maps, uint64_t key);

/* Put a new value; *SLOTP receives its slot. It is in force on return. */
int jt_table_put(struct jt_maps *maps, const struct jt_entry *entry,
		 uint32_t *slotp);

/* Put what stands in a slot of another table of the same seed. */
int jt_table_put_copy(struct jt_maps *maps, const struct jt_slot *from,
		      uint32_t *slotp);

/* Change in place, one atomic store each, in force on return. */
void jt_table_set_a(struct jt_maps *maps, uint32_t slot, uint8_t state,
		    uint8_t flags, uint32_t expires_s);
void jt_table_set_b(struct jt_maps *maps, uint32_t slot, uint16_t plan,
		    uint16_t scope_set);
void jt_table_set_owner(struct jt_maps *maps, uint32_t slot, uint32_t owner);
/* Before anybody looks at this table. */
void jt_table_set_meter(struct jt_maps *maps, uint32_t slot, uint32_t line);

/* The value is no longer known; its slot may be put again. */
void jt_table_drop(struct jt_maps *maps, uint32_t slot);

/*
 * Store a block of limits (1..65535), before any plan names it: a new one, or
 * one that no plan has named while every worker passed a round.
 */
void jt_table_put_limits(struct jt_maps *maps, uint16_t block,
			 const struct jt_bounds *bounds);
/*
 * Let a plan's number (1..65535) mean that block from now on. For other tokens
 * than before only after no slot named it while every worker passed a round.
 */
void jt_table_set_plan(struct jt_maps *maps, uint16_t plan, uint16_t block);

/* Store a set (1..8191) before any slot names it. */
void jt_table_put_set(struct jt_maps *maps, uint16_t number,
		      const uint8_t bits[32]);

/*
 * Number of an environment, added when new; 0 for no name. When there is no
 * number left: JT_ENV_OTHER, which no ENV that is asked for is equal to.
 */
uint8_t jt_table_env(struct jt_maps *maps, uint64_t env_word);

/* Values of that scheme may be found from now on. */
void jt_table_add_scheme(struct jt_maps *maps, uint8_t scheme);
/* So many tokens more, or fewer. */
void jt_table_count_tokens(struct jt_maps *maps, int n);
/* The journal's number that is in force. */
void jt_table_set_applied(struct jt_maps *maps, uint64_t number);

/* Append an owner to the pool; *OFFSETP is what jt_entry.owner takes. */
int jt_table_put_owner(struct jt_maps *maps, const uint8_t *owner,
		       uint32_t bytes, uint32_t *offsetp);

#endif
