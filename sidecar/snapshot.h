/*
 * snapshot: the file `snapshot`, what a replay came to. Format: snapshot.c.
 *
 * A start that finds one reads it in place of the records up to its number and
 * replays only those behind. It is made from the journal alone, never from the
 * memory of who serves, and it may be missing, old, damaged or removed at any
 * time: then the journal is replayed. What it says is held against the journal
 * afterwards, by jt_snapshot_recheck().
 *
 * Results: 0; negative errno; JT_SNAPSHOT_E_*, with a line in *FAULTP.
 */
#ifndef JT_SIDECAR_SNAPSHOT_H
#define JT_SIDECAR_SNAPSHOT_H

#include "sidecar/ledger.h"
#include "sidecar/snapshot_form.h"

#define JT_SNAPSHOT_NAME "snapshot"
#define JT_SNAPSHOT_NEW_NAME "snapshot.new" /* worthless */

enum {
	JT_SNAPSHOT_E_NONE = 1, /* there is none */
	JT_SNAPSHOT_E_UNFIT,	/* of another history or build: no damage */
	JT_SNAPSHOT_E_DAMAGED,	/* or unreadable, or not ours alone */
	JT_SNAPSHOT_E_FULL,	/* load: the memory is too small for it */
	JT_SNAPSHOT_E_MEMORY,	/* save: it would take too much */
	JT_SNAPSHOT_E_JOURNAL,	/* save, recheck: the journal is damaged */
	JT_SNAPSHOT_E_DIFFERS,	/* recheck: it says what no record says */
};

/* An open file whose header and table hold. */
struct jt_snapshot {
	const struct jt_io *io;
	int fd;
	struct jt_snapshot_header h;
	struct jt_snapshot_block *blocks;
	uint64_t *offsets; /* of each */
};

/*
 * The one in DIR_FD, if it belongs to what J says: same journal, same
 * generation, a number that is committed and bears the tag.
 */
int jt_snapshot_open(struct jt_snapshot *s, const struct jt_io *io, int dir_fd,
		     const struct jt_journal *j, struct jt_fault *faultp);
void jt_snapshot_close(struct jt_snapshot *s);

/*
 * Into L, new and empty, whose state is LOADING; on two cores. Not 0: L and
 * its maps hold rubbish and must be made anew.
 */
int jt_snapshot_load(const struct jt_snapshot *s, struct jt_ledger *l,
		     struct jt_fault *faultp);

/* How a snapshot is to be made. */
struct jt_snapshot_want {
	const char *data; /* directory */
	uint64_t capacity, pool_bytes, seed;
	bool rests; /* let others have the core half of the time */
};

/* Where the one that was written stands. */
struct jt_snapshot_at {
	uint64_t number, generation, written_s;
};

/*
 * Replay all that is committed into memory of our own and put it in the place
 * of the snapshot that is there. A crash at any step leaves the old one or the
 * new one; what is not 0, the old one.
 */
int jt_snapshot_save(const struct jt_io *io,
		     const struct jt_snapshot_want *want,
		     struct jt_snapshot_at *atp, struct jt_fault *faultp);

/*
 * Replay the records up to H->number and compare: are these the very bytes?
 * BLOCKS: the table of the file that was loaded. E_JOURNAL has number, offset
 * and words of `jeton journal check`; with E_MEMORY the records hold, and no
 * more is known; with E_UNFIT the file was compacted meanwhile, which has
 * verified them, and no more can be known. -ESTALE: it is not that journal now.
 */
int jt_snapshot_recheck(const struct jt_io *io, const char *data,
			const struct jt_snapshot_header *h,
			const struct jt_snapshot_block *blocks, bool rests,
			struct jt_fault *faultp);

#endif
