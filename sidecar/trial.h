/*
 * trial: which backend workers get, before there are any. Keeper only.
 *
 * All workers have the same one, so one line in the log says what they have.
 */
#ifndef JT_SIDECAR_TRIAL_H
#define JT_SIDECAR_TRIAL_H

#include "sidecar/loop.h"

/* Before other children are started. Logs it if AUTO finds no ring. */
enum jt_backend jt_trial_choose(enum jt_backend wanted,
				const struct jt_loop_size *size);

#endif
