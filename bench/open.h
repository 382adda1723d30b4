/*
 * open: latency at an offered rate that does not depend on the server.
 *
 * The rates are shares of what Redis GET does at most with as deep a pipeline,
 * so every subject is offered the same. Batches leave by a schedule of Poisson
 * arrivals, latency counts from the time at which a batch was meant to leave
 * (loadgen.h). Slices are interleaved, and taken again, as in rounds.h; ratios
 * are made within a round. If only goals are asked for, the highest rate alone.
 */
#ifndef JT_BENCH_OPEN_H
#define JT_BENCH_OPEN_H

#include "bench/curve.h"
#include "bench/rounds.h"

#define JT_OPEN_PIPELINE 16u
#define JT_OPEN_SHARES 3u
#define JT_OPEN_SUBJECTS 3u

enum jt_open_quantile {
	JT_OPEN_P50,
	JT_OPEN_P90,
	JT_OPEN_P99,
	JT_OPEN_P999,
	JT_OPEN_QUANTILES,
};

struct jt_open_cell {
	struct jt_subject *subject;
	struct jt_curve curve;
	struct jt_had had[JT_SUMMARY_MAX];
	double us[JT_OPEN_QUANTILES][JT_SUMMARY_MAX];
};

struct jt_open {
	/* set by the caller; they have run */
	struct jt_rounds *rounds;
	unsigned n_rounds;
	struct jt_retakes retakes; /* its rounds are set here */
	/* results */
	unsigned first_share; /* those before it have no slices */
	double saturation;    /* requests per second */
	double rates[JT_OPEN_SHARES];
	unsigned n_subjects;
	struct jt_open_cell cells[JT_OPEN_SHARES][JT_OPEN_SUBJECTS];
};

extern const unsigned jt_open_percent[JT_OPEN_SHARES];
extern const char *const jt_open_quantile_names[JT_OPEN_QUANTILES];

/* 0; errors as of jt_rounds_run(). Nothing to do without Redis at that depth:
 * n_subjects is 0 then. */
int jt_open_run(struct jt_open *o);

/* Over the rounds in which both were kept; out->n is 0 if there is none. */
void jt_open_ratio(const struct jt_open *o, unsigned share,
		   enum jt_open_quantile q, const char *over, const char *under,
		   struct jt_summary *out);
void jt_open_summary(const struct jt_open *o, unsigned share, unsigned subject,
		     enum jt_open_quantile q, struct jt_summary *out);

#endif
