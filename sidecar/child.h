/*
 * child: what all processes that the keeper forks for clients begin with.
 */
#ifndef JT_SIDECAR_CHILD_H
#define JT_SIDECAR_CHILD_H

#include "shm/meter.h"
#include <stddef.h>

/* Both clocks, once a round. */
struct jt_now jt_child_now(void);

/* A round that began at NOW is over: nothing that it read is used any more. */
void jt_child_end_round(struct jt_desk *desk, struct jt_now now);

/*
 * No capability, no way to get any. Once it has all that it needs: a ring, its
 * maps, its listener.
 */
void jt_child_give_up_rights(void);

/*
 * So many connections as the limit of open files allows, at most ASKED; less is
 * logged. The limit is raised as far as it goes.
 */
unsigned jt_child_cap_connections(unsigned asked, unsigned n_workers);

/* Zeroed private memory that takes room as it is touched; NULL: none. */
void *jt_child_reserve(size_t bytes);

#endif
