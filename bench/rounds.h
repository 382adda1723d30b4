/*
 * rounds: the measuring: short slices of every cell, interleaved.
 *
 * A cell is one subject under one load at one pipeline depth. A round has one
 * slice of every cell, those of one depth together. From round to round their
 * order rotates, and every other round runs it backwards (A B, B A), so that
 * slow drifts of the machine hit all alike. Ratios are made within a round
 * (report.c). At each depth one cell is measured twice in each round: how far
 * these twins differ is the noise of everything else.
 *
 * Which slices count, which are taken again: keep.h; strangers are processes
 * that are neither this one nor the server. A single wrong answer ends the run,
 * and so does one admission of the limited token too many.
 *
 * Before the first round every subject is asked for every token once, so that
 * no first touch of memory is measured.
 */
#ifndef JT_BENCH_ROUNDS_H
#define JT_BENCH_ROUNDS_H

#include "bench/keep.h"
#include "bench/workloads.h"

#include <stdbool.h>

#define JT_ROUNDS_CELLS_MAX 96u
#define JT_ROUNDS_PIPELINES_MAX 8u

enum jt_metric {
	JT_METRIC_RATE,	       /* replies per second */
	JT_METRIC_P50_US,      /* latency, median */
	JT_METRIC_P99_US,      /* latency, 99 of 100 are below */
	JT_METRIC_CPU_NS,      /* server's CPU time per request */
	JT_METRIC_CLIENT_NS,   /* client's likewise */
	JT_METRIC_BUSY,	       /* server's CPU time per time, 0..1 */
	JT_METRIC_REPLY_BYTES, /* per request */
	JT_METRICS,
};

struct jt_sample {
	struct jt_had had;
	double values[JT_METRICS];
};

struct jt_cell {
	char name[32]; /* the subject's; or of jeton's workload; or `twin` */
	const char *what;
	unsigned pipeline;
	struct jt_subject *subject;
	const struct jt_load *load;
};

struct jt_rounds {
	/* set by the caller */
	struct jt_subjects *subjects;
	unsigned n_pipelines;
	unsigned pipelines[JT_ROUNDS_PIPELINES_MAX];
	unsigned n_rounds;
	unsigned slice_ms;
	unsigned warm_ms; /* before each slice, not counted */
	bool workloads;	  /* of jeton, at the deepest pipeline */
	bool keep_all;	  /* every slice is as good as clean */
	bool goals_only;  /* cells on which a goal stands, and the twins */
	struct jt_retakes retakes; /* its rounds are set here */
	uint64_t seed;
	/* results */
	unsigned n_cells;
	struct jt_cell cells[JT_ROUNDS_CELLS_MAX];
	struct jt_load loads[JT_WORKLOADS];
	struct jt_sample *samples;
	unsigned n_slices;
	unsigned n_stolen; /* slices that were not clean, by cause */
	unsigned n_foreign;
	const char *twin_of;
	/* the limited token, all its slices together */
	uint64_t limited_first_ns; /* its first request left */
	uint64_t limited_admitted;
	uint64_t limited_refused;
	uint64_t limited_beyond; /* admitted more than its limit allows */
};

/*
 * 0; -EPROTO after a wrong answer, -EINTR when the user wants to stop, other
 * negative errno; said on stderr.
 */
int jt_rounds_run(struct jt_rounds *r);
void jt_rounds_free(struct jt_rounds *r);

struct jt_sample *jt_rounds_sample(const struct jt_rounds *r, unsigned round,
				   unsigned cell);

/* The place of that cell, or -1. */
int jt_rounds_find(const struct jt_rounds *r, const char *name,
		   unsigned pipeline);

/* ---- for whoever measures slices of another kind (open.c) ---- */

/* What the clocks say at one moment. */
struct jt_moment {
	struct jt_machine_times machine;
	uint64_t client_ns;
	uint64_t server_ns;
};
void jt_rounds_clocks(const struct jt_rounds *r,
		      const struct jt_subject *subject, struct jt_moment *at);

/* Who else had the cores between FROM and TO? Counts. */
void jt_rounds_judge(struct jt_rounds *r, const struct jt_moment *from,
		     const struct jt_moment *to, double wall_ns,
		     struct jt_had *out);

/* Are all answers what they must be? */
bool jt_rounds_answered(const struct jt_load *load, const struct jt_scan *scan);

/* Say on stderr what went wrong. */
void jt_rounds_say_failure(struct jt_subject *s, unsigned pipeline, int e,
			   const struct jt_scan *scan);

#endif
