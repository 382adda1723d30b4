/*
 * crossing: how a process that was forked by the keeper comes by the next table
 * when the one that it looks into has grown.
 *
 * The keeper announces it in the identity segment and sends its descriptor over
 * a pair of sockets that was made before the fork. Worker and scribe call this
 * between two drains; it never blocks, and takes at most JT_CROSSING_NS at a
 * time unless the old table is retired already.
 */
#ifndef JT_SIDECAR_CROSSING_H
#define JT_SIDECAR_CROSSING_H

#include "shm/segment.h"

#define JT_CROSSING_NS 100000ull
#define JT_CROSSING_OLD 4u /* tables that are not unmapped yet */

/* What the keeper sends, with one descriptor. */
struct jt_crossing_word {
	uint64_t number; /* jt_identity.number; JT_OFFERED_LEAVE: the
			  * descriptor is the way out (usher.h) */
};

struct jt_crossing {
	int link;
	struct jt_maps *maps; /* changed in place */
	struct jt_desk *desk; /* where to say so; NULL: nowhere */
	int way_out;	      /* -1: there is none yet */
	struct jt_maps next;  /* identity NULL: there is none */
	uint64_t ready_bytes; /* of it are at hand */
	struct {
		char *at;
		size_t bytes;
	} old[JT_CROSSING_OLD];
	unsigned n_old;
};

/* MAPS and DESK outlive it. */
void jt_crossing_init(struct jt_crossing *c, int link, struct jt_maps *maps,
		      struct jt_desk *desk);

/* Between two drains. True: it has gone over, and *MAPS is the newer table. */
bool jt_crossing_look(struct jt_crossing *c);

/*
 * After what is answered now was received, before a slot is looked at: the
 * same, but only if the table is retired, so that there is no time.
 */
void jt_crossing_hurry(struct jt_crossing *c);

/*
 * Behind a look: the table is retired, and the one that was offered instead did
 * not come or cannot be mapped. There is no verdict any more here; whoever the
 * keeper starts in its place is born with the newest.
 */
bool jt_crossing_is_lost(const struct jt_crossing *c);

/* Does the next daemon serve, so that this process is to end? */
static inline bool jt_crossing_leaves(const struct jt_crossing *c)
{
	/* pairs with the stores in keeper_upgrade.c */
	return jt_load_acquire(&c->maps->identity->offered) >= JT_OFFERED_HURRY;
}

/* And soon: does the next one need what this daemon has? */
static inline bool jt_crossing_hurries(const struct jt_crossing *c)
{
	/* pairs with the store in hurry(), keeper_upgrade.c */
	return jt_load_acquire(&c->maps->identity->offered) == JT_OFFERED_HURRY;
}

/* It is not to leave after all: the way out leads nowhere. */
void jt_crossing_stay(struct jt_crossing *c);

/* Is there more to do soon, though nobody asks anything? */
static inline bool jt_crossing_busy(const struct jt_crossing *c)
{
	return c->next.identity || c->n_old;
}

/*
 * The keeper's end. -EPIPE, -ECONNRESET: nobody is there; other negative errno:
 * not now, try again.
 */
int jt_crossing_send(int link, int identity, uint64_t number);

#endif
