/*
 * user: who the processes are when root started the daemon (--user).
 *
 * Workers become that user once they have all that they need; without a user
 * of the name `jeton`, and without another being named, they stay root. The
 * keeper becomes it before it opens anything, if the data directory is that
 * user's and the run directory is, or can be made so; else it stays root, and
 * gives what it makes to the data directory's owner, as it always does.
 *
 * Keeper's process alone, at start.
 */
#ifndef JT_SIDECAR_USER_H
#define JT_SIDECAR_USER_H

#include "admin/journal.h"
#include "sidecar/config.h"
#include "sidecar/sandbox.h"

/*
 * Who workers are to become, into BOX; and the keeper becomes it. What stays
 * root is told in one line. 1: *FAULTP says why not; negative errno likewise.
 */
int jt_user_take(const struct jt_config *config, struct jt_sandbox *box,
		 struct jt_fault *faultp);

#endif
