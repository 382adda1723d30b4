/*
 * segment: create, seal, map and check the two memfds.
 *
 * The keeper creates both and holds the only writable map of identity, which
 * is not inherited over fork (MADV_DONTFORK) and after which the memfd gets
 * the future-write seal: no process can make another writable map, and a
 * read-only one can not be turned. Pages are allocated before anybody is told
 * of what stands in them, so a later touch never fails. Errors: negative errno;
 * JT_SEGMENT_E_*.
 *
 * A table that grows (sidecar/growth.h) is a second identity segment beside the
 * same meters, made in steps: begin, allocate, begin again where the first one
 * is (jt_segment_succeed).
 */
#ifndef JT_SHM_SEGMENT_H
#define JT_SHM_SEGMENT_H

#include "shm/layout.h"

enum {
	JT_SEGMENT_E_MISMATCH =
		1,	     /* another build's or another kind's memory */
	JT_SEGMENT_E_SEAL,   /* its size or contents could be changed */
	JT_SEGMENT_E_MEMORY, /* not enough shared memory */
};

/*
 * What a process has mapped. `identity_rw` is NULL but in the keeper. How much
 * there is stands here once more, as it was checked: who made the memory could
 * change what its header says, and then nothing may be read beyond the maps.
 */
struct jt_maps {
	const struct jt_identity *identity;
	const struct jt_slot *slots;
	uint64_t n_slots, capacity, pool_bytes;
	uint64_t lines_max; /* of the meters; capacity never exceeds it */
	const _Atomic uint32_t *plans;
	const struct jt_limits *limits;
	const struct jt_scope_set *sets;
	const struct jt_scopes *scopes;
	const _Atomic uint64_t *settings; /* JT_SETTINGS_BYTES of them */
	const uint8_t *pool;
	struct jt_identity *identity_rw;
	struct jt_meters *meters;
	struct jt_desk *board;
	struct jt_peer *peers;
	struct jt_calls *calls; /* [JT_WORKERS_MAX][JT_PEERS_MAX] */
	struct jt_meter *lines;
	size_t identity_bytes, meters_bytes;
	/* keeper: of those, in large pages (pages.h) */
	size_t large_bytes, meters_large_bytes;
	/* keeper: the other table while there are two, which takes every
	 * change, too (table.h); NULL: there is one */
	struct jt_maps *twin;
	/* keeper: grows once a second while other processes may verify with
	 * this memory; 0: none ever could (sidecar/rest.h) */
	uint64_t guests;
};

struct jt_segment_fds {
	int identity;
	int meters;
};

/* How large: tokens, and bytes of owners' names. And for whom. */
struct jt_segment_size {
	uint64_t capacity;   /* 1 .. UINT32_MAX */
	uint64_t lines_max;  /* it may grow to; less than capacity: that */
	uint64_t pool_bytes; /* rounded up to pages; at most UINT32_MAX */
	char prefix[8];	     /* of native ids, zero-padded */
	uint64_t env;	     /* jt_env_word(): only tokens of it; 0: any */
};

/* Slots for that many tokens: load 0.75, 5 % kept for rotations. */
uint64_t jt_segment_slots(uint64_t capacity);
/* Values that those slots take: tokens and what rotations replaced. */
uint64_t jt_segment_values(uint64_t capacity);
/* Pool for that many tokens with owners as long as usual. */
uint64_t jt_segment_pool(uint64_t capacity);
/* Bytes that both segments together take, whatever they may grow to. */
uint64_t jt_segment_bytes(const struct jt_segment_size *size);

/* Create both, map them writable into *MAPSP, seal. Keeper only. */
int jt_segment_create(const struct jt_segment_size *size,
		      const uint8_t journal_id[16], struct jt_segment_fds *fdsp,
		      struct jt_maps *mapsp);

/*
 * The same for the successor of a daemon that serves: only identity is created,
 * with the SEED of the one before, so that a key is the same in both; METERS
 * are those of the one before, checked, and stay as they are. No more tokens
 * than those have lines for. JT_SEGMENT_E_MISMATCH: they are another build's.
 */
int jt_segment_create_beside(const struct jt_segment_size *size,
			     const uint8_t journal_id[16], uint64_t seed,
			     int meters, int *identityp, struct jt_maps *mapsp);

/*
 * Keeper: until jt_segment_uncover() what it writes into meter lines goes into
 * private memory, since others count in them. -ENOMEM.
 */
int jt_segment_cover(struct jt_maps *maps);
void jt_segment_uncover(struct jt_maps *maps);

/* Map what another process created: identity read-only. Checks everything. */
int jt_segment_map(const struct jt_segment_fds *fds, struct jt_maps *mapsp);

/* The same with meters read-only, too: for who only looks. */
int jt_segment_look(const struct jt_segment_fds *fds, struct jt_maps *mapsp);

void jt_segment_unmap(struct jt_maps *maps);

/* ---- a larger table beside this one ---- */

/*
 * Keeper: an empty identity segment of that size (`lines_max` is not looked at)
 * beside the meters of OLD, mapped writable into *MAPSP and sealed; nothing is
 * allocated yet. OLD's meters have lines enough.
 */
int jt_segment_begin(const struct jt_segment_size *size,
		     const struct jt_maps *old, int *fdp,
		     struct jt_maps *mapsp);

/*
 * Memory for these bytes of one of the segments, mapped writable at MAP; so
 * much of it is in large pages as *LARGEP becomes more. JT_SEGMENT_E_MEMORY:
 * there is not enough.
 */
int jt_segment_allocate(int fd, void *map, uint64_t from, uint64_t bytes,
			size_t *largep);

/* That memory is not wanted after all; nothing names it. */
void jt_segment_release(int fd, uint64_t from, uint64_t bytes);

/* Where the lines of that many tokens end, in bytes of the meter segment. */
uint64_t jt_segment_meters_end(uint64_t tokens);

/*
 * Keeper: what stands in OLD, but slots and pool, and what both have in common,
 * into NEW, all of which is allocated. The one after OLD by number.
 */
void jt_segment_succeed(struct jt_maps *new, const struct jt_maps *old);

/*
 * Worker: map the identity that came after that of OLD, read-only, beside the
 * same meters. Checks everything; -ESTALE: it is none that came after.
 */
int jt_segment_follow(int identity, const struct jt_maps *old,
		      struct jt_maps *mapsp);

/* Unmap that identity alone. */
void jt_segment_leave(struct jt_maps *maps);

/* What time it is for expiry, when the clock says WALL_S. */
static inline uint64_t jt_clock_s(const struct jt_maps *maps, uint64_t wall_s)
{
	/* relaxed: it only rises, and any value of it is one to go by */
	uint64_t mark_s = jt_load_relaxed(&maps->identity->clock_s);

	return mark_s > wall_s ? mark_s : wall_s;
}

#endif
