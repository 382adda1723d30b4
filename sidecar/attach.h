/*
 * attach: the keeper's end of shm/attach.h: hand out the segments, and say for
 * how long they may be believed.
 *
 * Nothing is ever read from who connects: who that is comes from the kernel,
 * and what it may from the settings, at that moment; to take a right away from
 * a process that is attached, stop it. Nothing here blocks. Keeper only.
 */
#ifndef JT_SIDECAR_ATTACH_H
#define JT_SIDECAR_ATTACH_H

#include "shm/attach.h"
#include "sidecar/doors.h"
#include "sidecar/settings.h"

struct jt_attaches {
	struct jt_doors *doors;
	struct jt_maps *maps;
	const struct jt_settings *settings;
	int identity, look, spend; /* opened for reading but the last */
	uint64_t hold_until_ns;
	bool handed_out; /* to anybody, since the start */
	bool closed;	 /* another daemon answers at the door */
	bool no_room;	 /* for one more descriptor: do not poll the door */
	uint64_t step_due_ns; /* of maps->guests */
};

/*
 * FDS stay the caller's. NOW_NS: a moment after the serving lock was taken.
 * Negative errno.
 */
int jt_attaches_init(struct jt_attaches *a, struct jt_doors *doors,
		     struct jt_maps *maps, const struct jt_segment_fds *fds,
		     const struct jt_settings *settings, uint64_t now_ns);

/* Hand out this identity from now on; the descriptor is theirs. */
void jt_attaches_change(struct jt_attaches *a, int identity);

/*
 * The same memory, in a descriptor that cannot be mapped writable. Negative
 * errno.
 */
int jt_attaches_reopen(int fd);

/*
 * Once a turn: renew the lease, answer who has come, some at a time, count the
 * seconds since there may be guests (rest.h). IN_FORCE:
 * the daemon serves, and a revoke that is committed now would be applied.
 */
void jt_attaches_run(struct jt_attaches *a, uint64_t now_ns, bool in_force);

/*
 * Nothing may be promised before this: who attached to a predecessor that was
 * killed may still believe what that one knew. 0: nobody can.
 */
uint64_t jt_attaches_hold_until_ns(const struct jt_attaches *a);

/*
 * Another daemon answers at the door, so nobody is to believe this memory any
 * more; and back again, from when on a promise counts.
 */
void jt_attaches_yield(struct jt_attaches *a);
void jt_attaches_resume(struct jt_attaches *a, uint64_t hold_until_ns);

/* For good: whoever has the segments attaches anew or hears nobody. */
void jt_attaches_retire(struct jt_attaches *a, uint64_t now_ns);

#endif
