/*
 * mark: the clock's high-water mark, so that setting it back revives nothing.
 *
 * Expiry is judged by the later of the wall clock and this mark, by every
 * process (jt_clock_s()). The keeper raises it with the clock and keeps it in
 * the anchor. Pure: time is a parameter. Keeper only.
 *
 * A clock that stood in the far future for a moment must not end all tokens
 * for good: more than a day ahead is believed only after the clock has gone
 * with the boot clock for ten minutes. Until then it still counts as the clock
 * that it is.
 */
#ifndef JT_SIDECAR_MARK_H
#define JT_SIDECAR_MARK_H

#include <stdbool.h>
#include <stdint.h>

#define JT_MARK_AHEAD_S 86400u /* believed at once up to here */
#define JT_MARK_STEADY_S 600u  /* beyond it after so long */
#define JT_MARK_BEHIND_S 5u    /* more than that is told */
#define JT_MARK_KEEP_S 60u     /* how much of it a crash may lose */

struct jt_mark {
	uint64_t mark_s;   /* 0: none yet */
	uint64_t steady_s; /* boot clock, since when no step was seen */
	uint64_t offset_s; /* wall less boot, modulo 2^64 */
	char why[400];	   /* the clock is behind; "": it is not */
};

/* MARK_S: as it was kept; 0: it was not. */
void jt_mark_init(struct jt_mark *m, uint64_t mark_s);

/* What time it is; m->mark_s is then the mark. True: the clock fell behind
 * just now, log m->why. */
bool jt_mark_tend(struct jt_mark *m, uint64_t wall_s, uint64_t boot_s);

#endif
