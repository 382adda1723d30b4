/*
 * replay: all that was committed, verified on two cores, in order.
 *
 * The same records, refusals and words as jt_reader_next() gives, call after
 * call; why: top of replay.c. Between two calls no thread of it is there. For
 * a start, and for who replays a journal to write a snapshot: who follows
 * single commits has no use for it.
 */
#ifndef JT_SIDECAR_REPLAY_H
#define JT_SIDECAR_REPLAY_H

#include "admin/journal.h"
#include "sidecar/both.h"

#define JT_REPLAY_STRETCHES 8u /* in a step */
#define JT_REPLAY_RECORDS 2048u

/* Records that were read and verified by themselves. */
struct jt_stretch {
	struct jt_reader from, to;
	size_t n;
	int rc; /* of jt_reader_next() */
	struct jt_fault fault;
	struct jt_record *records;
};

struct jt_bank {
	unsigned n;
	struct jt_stretch stretches[JT_REPLAY_STRETCHES];
};

struct jt_replay {
	const struct jt_journal *journal;
	struct jt_bank banks[2];
	unsigned ready; /* of them: was verified */
	uint64_t ahead; /* in neither, from here on; counts as a reader does */
	struct jt_record *memory;
};

/* Behind R, whose journal stays where it is. 0 or -ENOMEM. */
int jt_replay_init(struct jt_replay *p, const struct jt_reader *r);
void jt_replay_deinit(struct jt_replay *p);

/*
 * Move R on by some 16,000 records: each that holds goes to APPLY, in order.
 * *MOREP: R is not at the commit yet. Not 0: what jt_reader_next() refuses, and
 * R stands before it.
 */
typedef void jt_replay_apply(void *ctx, struct jt_record *records, size_t n);
int jt_replay_step(struct jt_replay *p, struct jt_reader *r,
		   jt_replay_apply *apply, void *ctx, bool *morep,
		   struct jt_fault *faultp);

#endif
