/*
 * rounds: the measuring: short slices of every subject, interleaved.
 *
 * A round has one slice of every series at every pipeline depth. From round to
 * round the order rotates, and every other round runs it backwards, so that
 * slow drifts of the machine hit all alike. Ratios are made within a round
 * (report.c). One series is measured twice in each round: how far the twins
 * differ is the noise of everything else.
 *
 * Dropped are slices in which the host stole more than 1 % of a core's time, or
 * in which processes that are neither this one nor the server took more than
 * 10 % (undisturbed, 2 to 4 % are interrupts and rounding). A single wrong
 * answer ends the run.
 *
 * Before the first round every subject is asked for every token once, so that
 * no first touch of memory is measured.
 */
#ifndef JT_BENCH_ROUNDS_H
#define JT_BENCH_ROUNDS_H

#include "bench/subjects.h"

#include <stdbool.h>

#define JT_ROUNDS_SERIES_MAX (JT_SUBJECTS_MAX + 1)
#define JT_ROUNDS_PIPELINES_MAX 8u
#define JT_ROUNDS_STOLEN_MAX 0.01
#define JT_ROUNDS_FOREIGN_MAX 0.10

enum jt_metric {
	JT_METRIC_RATE,	       /* replies per second */
	JT_METRIC_P50_US,      /* latency, median */
	JT_METRIC_P99_US,      /* latency, 99 of 100 are below */
	JT_METRIC_CPU_NS,      /* server's CPU time per request */
	JT_METRIC_BUSY,	       /* server's CPU time per time, 0..1 */
	JT_METRIC_REPLY_BYTES, /* per request */
	JT_METRICS,
};

struct jt_sample {
	bool kept;
	double stolen; /* of one core's time, from both cores */
	double foreign;
	double values[JT_METRICS];
};

struct jt_series {
	const char *name;
	const char *what;
	struct jt_subject *subject;
};

struct jt_rounds {
	/* set by the caller */
	struct jt_subjects *subjects;
	unsigned n_pipelines;
	unsigned pipelines[JT_ROUNDS_PIPELINES_MAX];
	unsigned n_rounds;
	unsigned slice_ms;
	unsigned warm_ms; /* before each slice, not counted */
	bool keep_all;	  /* disturbed slices too */
	uint64_t seed;
	/* results; the last series is the twin */
	unsigned n_series;
	unsigned twin_of;
	struct jt_series series[JT_ROUNDS_SERIES_MAX];
	struct jt_sample *samples;
	unsigned n_stolen; /* slices dropped for it */
	unsigned n_foreign;
};

/*
 * 0; -EPROTO after a wrong answer, -ENODATA if no slice of a series was kept,
 * -EINTR when the user wants to stop, other negative errno; said on stderr.
 */
int jt_rounds_run(struct jt_rounds *r);
void jt_rounds_free(struct jt_rounds *r);

/* Of round ROUND, pipeline number P, series number I. */
struct jt_sample *jt_rounds_sample(const struct jt_rounds *r, unsigned round,
				   unsigned p, unsigned i);

#endif
