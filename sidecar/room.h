/*
 * room: how large the first table is made, and how far it may grow.
 *
 * As --capacity says, and larger for what is stored: from then on growth.h.
 * Keeper only, at start.
 */
#ifndef JT_SIDECAR_ROOM_H
#define JT_SIDECAR_ROOM_H

#include "admin/journal.h"
#include "shm/segment.h"
#include "sidecar/config.h"
#include "sidecar/snapshot_form.h"

/* Tokens at most. */
uint64_t jt_room_max(const struct jt_config *config);

/* What the daemon before hands over (handover.h). */
struct jt_inherited {
	int meters; /* its descriptor */
	uint64_t seed, capacity;
	bool shared; /* OUT: these meters are ours, too */
};

/*
 * Segments for at least 1.25 x what stands in JOURNAL, up to H->number as that
 * snapshot says, which is NULL when there is none; 1.125 x is enough when it
 * fits into its place then. INHERITED, if there is such: no smaller than that
 * one, beside its meters if this build can use them, which are covered then.
 * Not 0: *FAULTP says why, if it is not empty.
 */
int jt_room_make(const struct jt_config *config,
		 const struct jt_journal *journal,
		 const struct jt_snapshot_header *h,
		 struct jt_inherited *inherited, struct jt_segment_fds *fdsp,
		 struct jt_maps *mapsp, struct jt_fault *faultp);

#endif
