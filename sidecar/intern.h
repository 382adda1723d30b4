/*
 * intern: owners' names, each stored once in the shared pool.
 *
 * A private hash from name to pool offset; the names themselves stand in
 * shared memory, where verdicts point at them. Keeper only.
 */
#ifndef JT_SIDECAR_INTERN_H
#define JT_SIDECAR_INTERN_H

#include "shm/table.h"

struct jt_intern {
	uint32_t *offsets; /* open addressing; 0: free */
	uint64_t n_places; /* a power of two */
	uint64_t used;
};

int jt_intern_init(struct jt_intern *in);
void jt_intern_deinit(struct jt_intern *in);

/*
 * Offset of NAME in the pool, added when new; 0 for an empty name.
 * JT_TABLE_E_FULL: no pool room; -ENOMEM.
 */
int jt_intern(struct jt_intern *in, struct jt_maps *maps, const char *name,
	      uint32_t bytes, uint32_t *offsetp);

/*
 * Take up the name that stands at OFFSET in the pool already. -EEXIST: it is
 * known under another; -ENOMEM.
 */
int jt_intern_adopt(struct jt_intern *in, const struct jt_maps *maps,
		    uint32_t offset);

#endif
