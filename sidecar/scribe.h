/*
 * scribe: the process that keeps the use counts on the disk.
 *
 * A child of the keeper like a worker, but it talks to nobody else: it maps
 * both segments read-only, holds the data directory, and every few seconds
 * writes what the meters say (sweep.h). Flushing blocks it alone. It ends when
 * its end of the link is closed; signals that stop a daemon it leaves to the
 * keeper, who wants one more round of it.
 */
#ifndef JT_SIDECAR_SCRIBE_H
#define JT_SIDECAR_SCRIBE_H

#include "admin/io.h"
#include "shm/segment.h"
#include "sidecar/sandbox.h"
#include "sidecar/self.h"

/*
 * The link is a pair of sockets that keeps message borders. The keeper sends
 * a ticket, 8 bytes, each higher than the one before; the scribe answers when
 * a round is over that began after the ticket came. It tells of every round,
 * asked or not.
 */
struct jt_scribe_word {
	uint64_t ticket; /* the highest that is answered */
	int32_t rc;	 /* what the last round came to, see sweep.h */
	uint32_t layers; /* sandbox.h */
	struct jt_figures figures; /* its own */
};

/* What a scribe inherits. All other descriptors are closed. */
struct jt_scribe_args {
	const struct jt_io *io;
	int dir_fd;
	int link;
	int crossing;	  /* its end, see crossing.h */
	int serving_lock; /* held as long as it lives */
	struct jt_segment_fds segments;
	const struct jt_sandbox *box; /* NULL: none */
};

/* Exit status. */
int jt_scribe_run(const struct jt_scribe_args *args);

#endif
