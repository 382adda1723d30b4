/* open: see open.h. */
#include "bench/open.h"

#include "bench/pairs.h"
#include "bench/random.h"
#include "bench/ratios.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const unsigned jt_open_percent[JT_OPEN_SHARES] = {25, 50, 70};

const char *const jt_open_quantile_names[JT_OPEN_QUANTILES] = {"p50", "p90",
							       "p99", "p99.9"};
static const double quantiles[JT_OPEN_QUANTILES] = {0.5, 0.9, 0.99, 0.999};

static const char *const wishes[JT_OPEN_SUBJECTS] = {"jeton", "get", "floor"};

/* The median rate of Redis GET in the closed loop. */
static double saturation_of(const struct jt_rounds *r)
{
	int get = jt_rounds_find(r, "get", JT_OPEN_PIPELINE);
	struct jt_summary s = {0};

	if (get >= 0)
		jt_ratio_summary(r, (unsigned)get, JT_METRIC_RATE, &s);
	return s.median;
}

static void set_up(struct jt_open *o)
{
	struct jt_subjects *s = o->rounds->subjects;
	int i;

	o->first_share = o->rounds->goals_only ? JT_OPEN_SHARES - 1 : 0;
	o->retakes.n_rounds = o->n_rounds;
	o->saturation = saturation_of(o->rounds);
	if (o->saturation <= 0)
		return;
	for (unsigned k = 0; k < JT_OPEN_SUBJECTS; k++) {
		i = jt_subjects_find(s, wishes[k]);
		if (i < 0)
			continue;
		for (unsigned share = 0; share < JT_OPEN_SHARES; share++)
			o->cells[share][o->n_subjects].subject = &s->list[i];
		o->n_subjects++;
	}
	for (unsigned share = 0; share < JT_OPEN_SHARES; share++)
		o->rates[share] = o->saturation * jt_open_percent[share] / 100;
}

/* One paced stretch into *GOT. */
static int pace(struct jt_open *o, struct jt_subject *s, double rate,
		unsigned ms, struct jt_loadgen_result *got)
{
	uint64_t seed = jt_random_next(&o->rounds->seed);
	struct jt_schedule schedule;
	int e;

	memset(got, 0, sizeof(*got));
	jt_scan_init(&got->scan, s->load.want_type, s->load.want);
	jt_schedule_init(&schedule, rate / JT_OPEN_PIPELINE, false, seed);
	e = jt_loadgen_pace(s->loadgen, &s->load.requests, JT_OPEN_PIPELINE,
			    &schedule, ms * 1000000ull, ~seed, got);
	if (!e && !jt_rounds_answered(&s->load, &got->scan))
		e = -EPROTO;
	if (e)
		jt_rounds_say_failure(s, JT_OPEN_PIPELINE, e, &got->scan);
	return e;
}

static void keep(struct jt_open_cell *c, unsigned round,
		 const struct jt_histogram *h, const struct jt_had *had)
{
	jt_curve_add(&c->curve, h, had);
	if (!jt_had_less(had, &c->had[round]))
		return;
	c->had[round] = *had;
	for (unsigned q = 0; q < JT_OPEN_QUANTILES; q++)
		c->us[q][round] =
			(double)jt_histogram_quantile_ns(h, quantiles[q]) / 1e3;
}

static int take_slice(struct jt_open *o, unsigned share, struct jt_subject *s,
		      struct jt_loadgen_result *got, struct jt_had *hadp)
{
	struct jt_rounds *r = o->rounds;
	struct jt_moment from, to;
	int e;

	if (jt_process_interrupted())
		return -EINTR;
	e = pace(o, s, o->rates[share], r->warm_ms + 1, got);
	if (e)
		return e;
	jt_rounds_clocks(r, s, &from);
	e = pace(o, s, o->rates[share], r->slice_ms, got);
	if (e)
		return e;
	jt_rounds_clocks(r, s, &to);
	jt_rounds_judge(r, &from, &to, (double)got->wall_ns, hadp);
	hadp->taken = got->latency.n > 0;
	r->n_slices++;
	return 0;
}

/* One slice: of all attempts the least disturbed. */
static int run_slice(struct jt_open *o, unsigned round, unsigned share,
		     unsigned subject, struct jt_loadgen_result *got)
{
	struct jt_open_cell *c = &o->cells[share][subject];
	uint64_t from_ns, cost_ns;
	struct jt_had had;
	unsigned tries = 0;
	int e;

	do {
		from_ns = jt_machine_now_ns();
		e = take_slice(o, share, c->subject, got, &had);
		if (e)
			return e;
		cost_ns = jt_machine_now_ns() - from_ns;
		keep(c, round, &got->latency, &had);
	} while (jt_retakes_again(&o->retakes, round, tries++, &had, cost_ns));
	return 0;
}

static int run_round(struct jt_open *o, unsigned round,
		     struct jt_loadgen_result *got)
{
	unsigned n = (JT_OPEN_SHARES - o->first_share) * o->n_subjects, k;
	int e = 0;

	if (!isatty(STDERR_FILENO) || round == 0)
		fprintf(stderr, "open loop, round %u of %u\n", round + 1,
			o->n_rounds);
	for (unsigned i = 0; i < n && !e; i++) {
		k = round % 2 ? n - 1 - i : i;
		e = run_slice(o, round, o->first_share + k / o->n_subjects,
			      k % o->n_subjects, got);
	}
	return e;
}

int jt_open_run(struct jt_open *o)
{
	struct jt_loadgen_result *got = calloc(1, sizeof(*got));
	int e = got ? 0 : -ENOMEM;

	if (o->n_rounds)
		set_up(o);
	for (unsigned round = 0; round < o->n_rounds && o->n_subjects && !e;
	     round++)
		e = run_round(o, round, got);
	free(got);
	return e;
}

static int find(const struct jt_open *o, const char *name)
{
	for (unsigned i = 0; i < o->n_subjects; i++)
		if (strcmp(o->cells[0][i].subject->name, name) == 0)
			return (int)i;
	return -1;
}

static struct jt_series series_of(const struct jt_open_cell *c,
				  enum jt_open_quantile q)
{
	return (struct jt_series){c->us[q], c->had};
}

void jt_open_ratio(const struct jt_open *o, unsigned share,
		   enum jt_open_quantile q, const char *over, const char *under,
		   struct jt_summary *out)
{
	int a = find(o, over), b = find(o, under);

	*out = (struct jt_summary){0};
	if (a >= 0 && b >= 0)
		jt_pairs_ratio(series_of(&o->cells[share][a], q),
			       series_of(&o->cells[share][b], q), o->n_rounds,
			       o->rounds->seed, out);
}

void jt_open_summary(const struct jt_open *o, unsigned share, unsigned subject,
		     enum jt_open_quantile q, struct jt_summary *out)
{
	jt_pairs_summary(series_of(&o->cells[share][subject], q), o->n_rounds,
			 o->rounds->seed, out);
}
