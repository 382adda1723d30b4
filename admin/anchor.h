/*
 * anchor: what was last known to be committed, kept beside the journal.
 *
 * File `anchor`: two slots of 512 bytes at 0 and 4096, written alternately,
 * each {magic, journal id, number, tag, clock high-water mark, sequence,
 * checksum}. An older copy of the journal put back lacks the anchor's number
 * with its tag and is refused. Written by the keeper within a second of a
 * change and at stop, by the admin tool when no sidecar runs.
 *
 * What it cannot show: changes of that last second, and an old journal put
 * back together with its old anchor (keep a receipt elsewhere for that).
 */
#ifndef JT_ADMIN_ANCHOR_H
#define JT_ADMIN_ANCHOR_H

#include "admin/journal.h"

#define JT_ANCHOR_NAME "anchor"

enum {
	JT_ANCHOR_E_NONE = 1, /* no anchor yet */
	JT_ANCHOR_E_DAMAGED,  /* neither slot verifies */
	JT_ANCHOR_E_UNSAFE,   /* the file is not ours alone */
};

struct jt_anchor {
	uint8_t journal_id[16];
	uint64_t number;
	uint8_t tag[JT_TAG_BYTES];
	uint64_t clock_s; /* highest wall clock seen */
	uint64_t sequence;
};

int jt_anchor_read(const struct jt_io *io, int dir_fd, struct jt_anchor *ap);

/* Writes over the older slot, then fdatasync. Sequence is set here. */
int jt_anchor_write(const struct jt_io *io, int dir_fd,
		    const struct jt_anchor *a);

/*
 * Does the journal's history contain the anchor? 0, or JT_JOURNAL_E_OLD with a
 * line that names both numbers; another journal's anchor is also E_OLD.
 */
int jt_anchor_check(const struct jt_journal *j, const struct jt_anchor *a,
		    struct jt_fault *faultp);

#endif
