/*
 * in_force: what holds though the journal does not say so.
 *
 * Two things: revokes that wait for the journal (deny.h), and that expiry goes
 * by the highest time ever seen when the clock is behind it. A keeper knows
 * both, also revokes that are in its memory only; without one they are read
 * from the files `deny` and `anchor`, from which the next keeper has them.
 *
 * Read it before the journal: a revoke that is recorded in between is then
 * found twice and not missed.
 */
#ifndef JT_ADMIN_IN_FORCE_H
#define JT_ADMIN_IN_FORCE_H

#include "admin/control.h"
#include "admin/journal.h"

struct jt_in_force {
	uint64_t now_s; /* by which expiry goes */
	char (*ids)[JT_ID_BYTES];
	size_t n, n_max;
};

/*
 * C: may be not connected. What cannot be learned, also for want of memory, is
 * left out: the journal alone is then what is shown.
 */
void jt_in_force_read(struct jt_in_force *f, const struct jt_journal *j,
		      struct jt_control *c);
void jt_in_force_free(struct jt_in_force *f);
/* Is that token revoked, whatever the journal says? */
bool jt_in_force_denies(const struct jt_in_force *f,
			const char id[JT_ID_BYTES]);

#endif
