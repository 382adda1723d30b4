/*
 * worker: one process, one ring, many connections.
 *
 * Parses what strangers send and answers from the shared table. Maps identity
 * read-only and meters writable; opens no file. Runs until told to stop;
 * forked by the keeper before any ring exists.
 */
#ifndef JT_SIDECAR_WORKER_H
#define JT_SIDECAR_WORKER_H

#include "shm/segment.h"
#include "sidecar/loop.h"
#include "sidecar/sandbox.h"

/* What a worker inherits. All other descriptors are closed. */
struct jt_worker_args {
	unsigned number;     /* in its crew, 0.. */
	unsigned first_desk; /* its crew's; that of number 0 */
	unsigned n_workers;  /* at the RESP door, the first numbers */
	unsigned n_http;     /* at the HTTP door, the numbers behind those */
	unsigned connections_max;
	unsigned spin_us; /* before a worker sleeps */
	unsigned idle_s;  /* close who asks nothing; 0: never */
	enum jt_backend backend;
	int listener;	  /* of the RESP door */
	int http;	  /* of the HTTP door; -1: none */
	int http_tcp;	  /* the same on a loopback address; -1: none */
	int serving_lock; /* held as long as any worker lives */
	int crossing;	  /* its end, see crossing.h */
	struct jt_segment_fds segments;
	int wakes[JT_WORKERS_MAX]; /* eventfds, one a worker */
	bool log_refusals;
	uint64_t started_ns; /* boot clock, of the daemon */
	bool first_crew;     /* nobody has served yet */
	bool waits; /* another daemon's crew serves: accept nobody before our
		     * table does */
	int queue;  /* connections of that crew come here (usher.h); -1: none */
	const struct jt_sandbox *box; /* NULL: none */
};

/* Of a worker with N places for connections. */
struct jt_loop_size jt_worker_loop_size(unsigned n, unsigned spin_us);

/*
 * Places beside CONNECTIONS_MAX, for callers who have at most half of what is
 * open: one user cannot take all.
 */
static inline unsigned jt_worker_kept(unsigned connections_max)
{
	return (connections_max + 15) / 16;
}

/* Exit statuses that the keeper tells apart from a crash. */
#define JT_WORKER_STOPPED 0
#define JT_WORKER_NO_RING 75 /* it said why; starting again will not help */

int jt_worker_run(const struct jt_worker_args *args);

#endif
