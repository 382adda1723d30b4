/*
 * bulk: a process that makes tokens in batches, at a given rate: one `jeton
 * create --from` after the other, each when it is due (pace.h).
 *
 * Errors: negative errno, said on stderr; -ECHILD: one of them failed.
 */
#ifndef JT_BENCH_BULK_H
#define JT_BENCH_BULK_H

#include "bench/process.h"

struct jt_bulk_shared;

struct jt_bulk {
	/* set by the caller */
	const char *bin_dir, *dir; /* the journal is DIR/data */
	int cpu;
	double per_s; /* tokens */
	unsigned batch;
	struct jt_process process;
	struct jt_bulk_shared *shared;
	/* results */
	uint64_t batches;
	uint64_t cpu_ns; /* of the admin tool and of this process */
};

/* Write what every batch will be made from; once for each DIR. */
int jt_bulk_prepare(const struct jt_bulk *b);

int jt_bulk_start(struct jt_bulk *b);

/* Wait for the batch under way. */
int jt_bulk_stop(struct jt_bulk *b);

#endif
