/*
 * restore: the use counts of the file `usage` back into the meters.
 *
 * Once, after the journal was replayed and before anybody serves, so that no
 * worker counts yet. Never a reason not to serve. Keeper only.
 */
#ifndef JT_SIDECAR_RESTORE_H
#define JT_SIDECAR_RESTORE_H

#include "admin/usage.h"
#include "sidecar/ledger.h"

struct jt_restored {
	uint64_t n_restored;  /* tokens */
	uint64_t n_damaged;   /* entries that do not verify */
	uint64_t n_strangers; /* entries of values that nobody has */
};

/*
 * LATEST_S: no use can have been later; later ones are cut to that. 0,
 * JT_USAGE_E_* or negative errno (jt_usage_why()): counts not set so far begin
 * at 0.
 */
int jt_restore(struct jt_ledger *l, const struct jt_io *io, int dir_fd,
	       const uint8_t journal_id[16], uint64_t latest_s,
	       struct jt_restored *restoredp);

#endif
