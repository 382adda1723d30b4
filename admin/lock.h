/*
 * lock: one writer at a time, and the mark that a flush failed.
 *
 * The lock is flock(2) on a file of its own, so that the journal may be
 * replaced under it; it ends with the descriptor, whatever becomes of its
 * holder. The file holds `poisoned BOOT_ID` from a failed flush until a rescue
 * or a reboot. For the files of admin/ alone.
 */
#ifndef JT_ADMIN_LOCK_H
#define JT_ADMIN_LOCK_H

#include "admin/place.h"

/* JT_JOURNAL_E_BUSY after WAIT_MS. Close *FDP to unlock. */
int jt_lock_take(const struct jt_place *p, unsigned wait_ms, int *fdp,
		 struct jt_fault *faultp);

/* 0, JT_JOURNAL_E_POISONED or negative errno. */
int jt_lock_check(const struct jt_io *io, int lock_fd, struct jt_fault *faultp);

/* Forbid writing until rescue or reboot; as good as a failing disk allows. */
void jt_lock_poison(const struct jt_io *io, int lock_fd);

/* Take the mark back, durably. */
int jt_lock_clear(const struct jt_io *io, int lock_fd);

#endif
