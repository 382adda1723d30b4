/*
 * child: what all processes that the keeper forks for clients do alike.
 */
#ifndef JT_SIDECAR_CHILD_H
#define JT_SIDECAR_CHILD_H

#include "shm/meter.h"
#include "sidecar/sandbox.h"
#include "sidecar/self.h"
#include <stddef.h>

#define JT_CHILD_TICK_MS 250u

/* Both clocks, once a round. */
struct jt_now jt_child_now(void);
/* The same boot clock alone. */
uint64_t jt_child_boot_ns(void);

/* A round that began at NOW is over: nothing that it read is used any more. */
void jt_child_end_round(struct jt_desk *desk, struct jt_now now);

/*
 * Enter the sandbox, once it has all that it needs: a ring, its maps, its
 * listener; and say on its desk what that came to.
 */
void jt_child_shut_in(const struct jt_sandbox *box, enum jt_sandbox_kind kind,
		      struct jt_desk *desk);

/*
 * So many connections as the limit of open files allows, at most ASKED and
 * SPARE; less than ASKED is logged. The limit is raised as far as it goes.
 */
unsigned jt_child_cap_connections(unsigned asked, unsigned spare,
				  unsigned n_workers);

/* Zeroed private memory that takes room as it is touched; NULL: none. */
void *jt_child_reserve(size_t bytes);

/*
 * N verdicts took NS each: from the clock reading of their round to their
 * replies. Call it once a round; only if N.
 */
void jt_child_took(struct jt_desk *desk, uint64_t n, uint64_t ns);

/* This process's own figures, told on its desk every tick. */
struct jt_child_figures {
	struct jt_self self;
	uint64_t before_ns; /* CPU time of who sat there before */
	uint64_t due_ns;
};
void jt_child_figures_open(struct jt_child_figures *f,
			   const struct jt_desk *desk);
/* Once a round. */
void jt_child_figures_tell(struct jt_child_figures *f, struct jt_desk *desk,
			   uint64_t now_ns);

#endif
