/*
 * crew: the keeper's worker processes: start, watch, restart, stop.
 *
 * A worker that ends unasked is started again: at once when it had served for
 * a second, else after a delay that doubles up to five seconds. Keeper only.
 */
#ifndef JT_SIDECAR_CREW_H
#define JT_SIDECAR_CREW_H

#include "sidecar/worker.h"
#include <stdbool.h>
#include <sys/types.h>

struct jt_hand {
	pid_t pid; /* 0: not running */
	uint64_t started_ns, start_at_ns;
	unsigned failures; /* short lives in a row */
};

struct jt_crew {
	struct jt_worker_args args; /* `number` apart */
	struct jt_maps *maps;
	struct jt_hand hands[JT_WORKERS_MAX];
	bool hopeless; /* a worker said that starting again will not help */
};

/* Opens the wake-up descriptors. ARGS: all but number and wakes. */
int jt_crew_init(struct jt_crew *crew, const struct jt_worker_args *args,
		 struct jt_maps *maps);

/* Take the dead off, start who is due. Returns ms until somebody is due. */
unsigned jt_crew_tend(struct jt_crew *crew, uint64_t now_ns);

/* Ask all to stop; after WAIT_MS kill who is left. */
void jt_crew_stop(struct jt_crew *crew, unsigned wait_ms);

#endif
