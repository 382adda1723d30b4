/*
 * clerk: the process that makes snapshots and holds them against the journal.
 *
 * A child of the keeper, there only while there is something to do, one at a
 * time, with the lowest priority that there is. It inherits no descriptor, no
 * map of identity or meters and no lock: it opens the journal by its path and
 * tells by a pipe what came of it. It dies with the keeper. Keeper only.
 */
#ifndef JT_SIDECAR_CLERK_H
#define JT_SIDECAR_CLERK_H

#include "sidecar/feed.h"
#include "sidecar/sandbox.h"
#include "sidecar/snapshot.h"

/* A start replays fewer records than this without being slow. */
#define JT_CLERK_RECORDS 100000u

enum jt_clerk_job {
	JT_CLERK_IDLE = 0,
	JT_CLERK_SAVE,
	JT_CLERK_CHECK,
};

/* The snapshot that this start was made from. */
enum jt_clerk_checked {
	JT_CLERK_UNCHECKED = 0,
	JT_CLERK_RECORDS_HOLD, /* no more than their chain could be seen */
	JT_CLERK_SAME,	       /* it says what they say */
	JT_CLERK_BAD,	       /* clerk->why; health is red */
};

struct jt_clerk {
	const struct jt_io *io;
	const char *data;
	bool on;		 /* write snapshots */
	bool from;		 /* this start was made from one, BASE */
	struct jt_snapshot base; /* its header; its table until it is checked */
	enum jt_clerk_checked checked;
	char why[sizeof(((struct jt_fault *)0)->line)];
	/* the newest that was written or loaded; number 0: none of use */
	uint64_t number, generation, written_s;
	enum jt_clerk_job job;
	pid_t pid; /* of its process; the crew may have reaped it */
	int link;
	int expendable; /* see clerk.c; -1: it is as precious as any */
	const struct jt_sandbox *box; /* NULL: none */
	uint32_t layers;	      /* of its last process */
	uint64_t due_ns, backoff_ns;
	bool told; /* that it cannot be written */
};

void jt_clerk_init(struct jt_clerk *c, const struct jt_io *io, const char *data,
		   bool on);
/* The ledger was made from S, which belongs to the clerk now. */
void jt_clerk_took(struct jt_clerk *c, struct jt_snapshot *s);
/* Once a turn, while serving: hear what came, begin what is due. */
void jt_clerk_tend(struct jt_clerk *c, const struct jt_feed *feed,
		   uint64_t now_ns);
void jt_clerk_deinit(struct jt_clerk *c);
/* Whatever it does it is not to end it: another daemon's writes from now on. */
void jt_clerk_stop(struct jt_clerk *c);

/* Would a start replay so much that it is worth a snapshot? */
bool jt_clerk_wants(const struct jt_clerk *c, const struct jt_journal *j,
		    uint64_t tokens);

/* "no", "records", "yes", "damaged". */
const char *jt_clerk_word(const struct jt_clerk *c);

#endif
