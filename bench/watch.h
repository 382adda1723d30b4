/*
 * watch: did others disturb a slice? As in rounds.h, for verbs whose slices are
 * no rounds of subjects.
 *
 * One slice at a time; one process, one thread.
 */
#ifndef JT_BENCH_WATCH_H
#define JT_BENCH_WATCH_H

#include "bench/keep.h"
#include "bench/machine.h"
#include "bench/process.h"

#include <stdbool.h>

struct jt_watch {
	/* set by the caller */
	const struct jt_machine *machine;
	bool keep_all; /* every slice is as good as clean */
	/* results */
	unsigned n_slices, n_stolen, n_foreign; /* the latter: not clean */
	/* when the slice under way began */
	struct jt_machine_times times;
	uint64_t from_ns, own_ns, server_ns;
};

/* SERVER may not have been started yet. */
void jt_watch_begin(struct jt_watch *w, const struct jt_process *server);

/*
 * Who else had the cores? OTHER_NS: CPU time that was neither this process's
 * nor the server's (and its children's), but belongs to the slice.
 */
struct jt_had jt_watch_end(struct jt_watch *w, const struct jt_process *server,
			   uint64_t other_ns);

/* The share of one core that the host, and that strangers had. Pure. */
struct jt_watch_had {
	uint64_t wall_ns, idle_ns, stolen_ns, known_ns;
	unsigned cores;
};
void jt_watch_shares(const struct jt_watch_had *had, double *stolenp,
		     double *foreignp);

/* "3 of 20 slices not clean (1 stolen from, 2 with strangers)" */
void jt_watch_words(const struct jt_watch *w, char out[96]);

#endif
