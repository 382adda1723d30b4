/*
 * sweep: what the meters say, written to the file `usage`.
 *
 * One round looks at every meter line once and writes those that have changed
 * since they were written last. In slices, so that the caller can rest, or
 * listen, in between. Memory of 16 bytes a line; no clock. One process, which
 * maps the segments read-only.
 */
#ifndef JT_SIDECAR_SWEEP_H
#define JT_SIDECAR_SWEEP_H

#include "admin/usage.h"
#include "shm/segment.h"

#define JT_SWEEP_SLICE 16384u /* lines */

struct jt_spot;
struct jt_sweep {
	const struct jt_maps *maps;
	const struct jt_io *io;
	int dir_fd;
	struct jt_spot *spots;	      /* by line */
	uint64_t capacity;	      /* so many of them */
	struct jt_usage_entry *chunk; /* of a slice */
	uint8_t *changed;	      /* of a slice */
	uint64_t *hashes;	      /* of what is being written */
	uint32_t lines;		      /* that a round looks at */
	uint32_t next;		      /* line of the next slice */
	unsigned passes;	      /* of this round */
	bool unsettled;	  /* some line of this pass was just changing hands */
	int short_rc;	  /* of this round: what found no room, or 0 */
	uint64_t applied; /* when spots' slots were found */
	bool mapped;
	struct jt_usage_file file; /* fd -1: none open */
	bool whole;  /* write a new file: of this one nothing is believed */
	bool staged; /* it is being written */
	bool dirty;  /* written, not flushed */
	uint64_t n_written; /* entries, in all */
};

/* 0 or -ENOMEM. */
int jt_sweep_init(struct jt_sweep *t, const struct jt_maps *maps,
		  const struct jt_io *io, int dir_fd);
void jt_sweep_deinit(struct jt_sweep *t);

/* Between two rounds: *MAPS is a larger table now. 0 or -ENOMEM. */
int jt_sweep_widen(struct jt_sweep *t);

/*
 * Has the table that it looks into been retired, for a larger one? Then what is
 * left of the round writes nothing.
 */
bool jt_sweep_is_stale(const struct jt_sweep *t);

/*
 * A round: begin once, slice until it is not 1, then end. 0, negative errno or
 * JT_USAGE_E_UNSAFE; after an error the round is over, nothing it should have
 * written counts as written, and the next one begins where that is made good.
 * Not before the identity serves: until then the file knows more.
 */
int jt_sweep_begin(struct jt_sweep *t);
int jt_sweep_slice(struct jt_sweep *t); /* 1: there is more */
int jt_sweep_end(struct jt_sweep *t);	/* 0: all of it is durable */

#endif
