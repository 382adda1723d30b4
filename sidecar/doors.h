/*
 * doors: locks and sockets of one daemon: who may serve, and where.
 *
 * Keeper only, at start and stop.
 */
#ifndef JT_SIDECAR_DOORS_H
#define JT_SIDECAR_DOORS_H

#include "admin/control.h"
#include "admin/paths.h"

#define JT_RUN_LOCK_NAME "jetond.lock"

struct jt_doors {
	struct jt_paths paths;
	int serving_lock; /* in the data directory: one daemon a journal */
	int run_lock;	  /* in the run directory: one daemon a socket */
	int resp;
	int control;
};

/*
 * Take both locks, waiting a little for a predecessor's workers to be gone,
 * and open the sockets. faultp: one line. Negative errno, or 1: taken.
 */
int jt_doors_open(struct jt_doors *doors, const struct jt_paths *paths,
		  struct jt_fault *faultp);

/* Does the serving lock's path still name the file that we hold? */
bool jt_doors_ours(const struct jt_doors *doors);

/* Remove the sockets, leave the locks. */
void jt_doors_close(struct jt_doors *doors);

#endif
