/* open: see open.h. */
#include "bench/open.h"

#include "bench/random.h"

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
	double values[JT_SUMMARY_MAX];
	struct jt_summary s;
	size_t n = 0;

	for (unsigned k = 0; get >= 0 && k < r->n_rounds; k++) {
		const struct jt_sample *one =
			jt_rounds_sample(r, k, (unsigned)get);

		if (one->kept)
			values[n++] = one->values[JT_METRIC_RATE];
	}
	jt_summary_make(values, n, r->seed, &s);
	return s.median;
}

static void set_up(struct jt_open *o)
{
	struct jt_subjects *s = o->rounds->subjects;
	int i;

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

static int run_slice(struct jt_open *o, unsigned round, unsigned share,
		     unsigned subject, struct jt_loadgen_result *got)
{
	struct jt_open_cell *c = &o->cells[share][subject];
	struct jt_rounds *r = o->rounds;
	struct jt_moment from, to;
	struct jt_sample judged = {0};
	int e;

	if (jt_process_interrupted())
		return -EINTR;
	e = pace(o, c->subject, o->rates[share], r->warm_ms + 1, got);
	if (e)
		return e;
	jt_rounds_clocks(r, c->subject, &from);
	e = pace(o, c->subject, o->rates[share], r->slice_ms, got);
	if (e)
		return e;
	jt_rounds_clocks(r, c->subject, &to);
	jt_rounds_judge(r, &from, &to, (double)got->wall_ns, &judged);
	r->n_slices++;
	c->kept[round] = judged.kept && got->latency.n;
	if (!c->kept[round])
		return 0;
	jt_histogram_merge(&c->all, &got->latency);
	for (unsigned q = 0; q < JT_OPEN_QUANTILES; q++)
		c->us[q][round] = (double)jt_histogram_quantile_ns(
					  &got->latency, quantiles[q]) /
				  1e3;
	return 0;
}

static int run_round(struct jt_open *o, unsigned round,
		     struct jt_loadgen_result *got)
{
	unsigned n = JT_OPEN_SHARES * o->n_subjects, k;
	int e = 0;

	if (!isatty(STDERR_FILENO) || round == 0)
		fprintf(stderr, "open loop, round %u of %u\n", round + 1,
			o->n_rounds);
	for (unsigned i = 0; i < n && !e; i++) {
		k = round % 2 ? n - 1 - i : i;
		e = run_slice(o, round, k / o->n_subjects, k % o->n_subjects,
			      got);
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

void jt_open_ratio(const struct jt_open *o, unsigned share,
		   enum jt_open_quantile q, const char *over, const char *under,
		   struct jt_summary *out)
{
	int a = find(o, over), b = find(o, under);
	const struct jt_open_cell *x, *y;
	double values[JT_SUMMARY_MAX];
	size_t n = 0;

	for (unsigned i = 0; a >= 0 && b >= 0 && i < o->n_rounds; i++) {
		x = &o->cells[share][a];
		y = &o->cells[share][b];
		if (x->kept[i] && y->kept[i] && y->us[q][i] > 0)
			values[n++] = x->us[q][i] / y->us[q][i];
	}
	jt_summary_make(values, n, o->rounds->seed, out);
}

void jt_open_summary(const struct jt_open *o, unsigned share, unsigned subject,
		     enum jt_open_quantile q, struct jt_summary *out)
{
	const struct jt_open_cell *c = &o->cells[share][subject];
	double values[JT_SUMMARY_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < o->n_rounds; i++)
		if (c->kept[i])
			values[n++] = c->us[q][i];
	jt_summary_make(values, n, o->rounds->seed, out);
}
