/* report_findings: what a run has shown, for the page (findings.h). */
#include "bench/report.h"

#include "bench/findings.h"
#include "bench/memcached.h"
#include "bench/ratios.h"
#include "bench/redis.h"

#include <string.h>

static const char *const metric_keys[JT_METRICS] = {
	[JT_METRIC_RATE] = "requests_per_s",
	[JT_METRIC_P50_US] = "p50_us",
	[JT_METRIC_P99_US] = "p99_us",
	[JT_METRIC_CPU_NS] = "server_cpu_ns_per_request",
	[JT_METRIC_CLIENT_NS] = "client_cpu_ns_per_request",
	[JT_METRIC_BUSY] = "server_busy",
	[JT_METRIC_REPLY_BYTES] = "reply_bytes",
};

static void add_flags(const struct jt_rounds *r, const struct jt_open *o,
		      json_t *f)
{
	const struct jt_subjects *s = r->subjects;

	jt_findings_flag(f, "tokens", json_integer((json_int_t)s->n_tokens));
	jt_findings_flag(f, "seed", json_integer((json_int_t)s->seed));
	jt_findings_flag(f, "connections", json_integer(s->connections));
	jt_findings_flag(f, "rounds", json_integer(r->n_rounds));
	jt_findings_flag(f, "slice_ms", json_integer(r->slice_ms));
	jt_findings_flag(f, "warm_ms", json_integer(r->warm_ms));
	jt_findings_flag(f, "keep_all", json_boolean(r->keep_all));
	jt_findings_flag(f, "slices", json_integer(r->n_slices));
	jt_findings_flag(f, "taken_again",
			 json_integer(r->retakes.n + (o ? o->retakes.n : 0)));
	jt_findings_flag(f, "not_clean_stolen", json_integer(r->n_stolen));
	jt_findings_flag(f, "not_clean_foreign", json_integer(r->n_foreign));
	if (s->redis_version[0])
		jt_findings_flag(f, "redis",
				 json_sprintf("%s %s", s->redis_version,
					      JT_REDIS_FLAGS));
	if (s->memcached_version[0])
		jt_findings_flag(f, "memcached",
				 json_sprintf("%s %s", s->memcached_version,
					      JT_MEMCACHED_FLAGS));
}

static void add_pages(const struct jt_rounds *r, json_t *f)
{
	int jeton = jt_subjects_find(r->subjects, "jeton");
	uint64_t shared, own;

	if (jeton < 0)
		return;
	jt_process_large_pages(&r->subjects->list[jeton].process, &shared,
			       &own);
	jt_findings_flag(f, "jetond_2mb_pages",
			 json_sprintf("%.0f MB of shared memory, %.0f MB of a "
				      "worker's own",
				      (double)shared / 0x1p20,
				      (double)own / 0x1p20));
}

static json_t *slices_json(const struct jt_rounds *r, unsigned cell)
{
	json_t *list = json_array(), *one;
	const struct jt_sample *s;

	for (unsigned round = 0; round < r->n_rounds; round++) {
		s = jt_rounds_sample(r, round, cell);
		one = json_pack("{s:b,s:f,s:f}", "clean",
				(int)jt_had_clean(&s->had), "stolen",
				s->had.stolen, "foreign", s->had.foreign);
		for (unsigned k = 0; k < JT_METRICS; k++)
			json_object_set_new(one, metric_keys[k],
					    json_real(s->values[k]));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *cells_json(const struct jt_rounds *r)
{
	json_t *list = json_array(), *one;
	struct jt_summary s;

	for (unsigned i = 0; i < r->n_cells; i++) {
		one = json_pack("{s:s,s:i}", "name", r->cells[i].name,
				"pipeline", (int)r->cells[i].pipeline);
		for (unsigned k = 0; k < JT_METRICS; k++) {
			jt_ratio_summary(r, i, (enum jt_metric)k, &s);
			json_object_set_new(one, metric_keys[k],
					    jt_summary_json(&s));
		}
		json_object_set_new(one, "slices", slices_json(r, i));
		json_array_append_new(list, one);
	}
	return list;
}

static void add_ratio(const struct jt_rounds *r, unsigned pipeline,
		      const struct jt_ratio *q, json_t *f)
{
	const char *goal = pipeline == 1    ? q->goal_at_1
			   : pipeline == 64 ? q->goal_at_64
					    : NULL;
	struct jt_summary s;
	const char *under;
	char words[160];

	if (!jt_ratio_make(r, pipeline, q, &s, &under))
		return;
	snprintf(words, sizeof(words), "pipeline %u: %s%s%s%s", pipeline,
		 q->words, q->under[1] ? " (" : "", q->under[1] ? under : "",
		 q->under[1] ? ")" : "");
	jt_findings_ratio(f, words, &s);
	if (goal)
		jt_findings_goal(f, goal, &s);
}

static void add_table(const struct jt_rounds *r, unsigned pipeline, json_t *f)
{
	struct jt_summary m[JT_METRICS];
	char title[64], rate[32], kept[64];
	json_t *t;

	snprintf(title, sizeof(title), "Pipeline %u", pipeline);
	t = jt_findings_table(f, title,
			      "|requests/s|p50 us|p99 us|server CPU ns/request|"
			      "client CPU ns/request|server busy|slices|");
	for (unsigned i = 0; i < r->n_cells; i++) {
		if (r->cells[i].pipeline != pipeline)
			continue;
		for (unsigned k = 0; k < JT_METRICS; k++)
			jt_ratio_summary(r, i, (enum jt_metric)k, &m[k]);
		jt_findings_row(
			t, "%s|%s|%.0f|%.0f|%.0f|%.0f|%.0f %%|%zu|%s",
			r->cells[i].name,
			jt_report_grouped(m[JT_METRIC_RATE].median, rate),
			m[JT_METRIC_P50_US].median, m[JT_METRIC_P99_US].median,
			m[JT_METRIC_CPU_NS].median,
			m[JT_METRIC_CLIENT_NS].median,
			100 * m[JT_METRIC_BUSY].median, m[JT_METRIC_RATE].n,
			jt_keep_words(&m[JT_METRIC_RATE], kept));
	}
}

/* Groups are depths, bars the servers; workloads have a plot of their own. */
static void add_bars(const struct jt_rounds *r, enum jt_metric metric,
		     const char *title, const char *y, const char *note,
		     json_t *f)
{
	json_t *p = jt_findings_plot(f, "bars", title, "", y, note), *bars;
	const struct jt_subjects *s = r->subjects;
	struct jt_summary one;
	char group[32];
	int cell;

	for (unsigned k = 0; k < r->n_pipelines; k++) {
		snprintf(group, sizeof(group), "pipeline %u", r->pipelines[k]);
		jt_plot_group(p, group);
	}
	for (unsigned i = 0; i < s->n; i++) {
		bars = jt_plot_series(p, s->list[i].name);
		for (unsigned k = 0; k < r->n_pipelines; k++) {
			cell = jt_rounds_find(r, s->list[i].name,
					      r->pipelines[k]);
			if (cell < 0)
				continue;
			jt_ratio_summary(r, (unsigned)cell, metric, &one);
			jt_plot_point(bars, k, one.median, one.low, one.high);
		}
	}
}

static void add_workloads(const struct jt_rounds *r, json_t *f)
{
	unsigned deepest = r->pipelines[r->n_pipelines - 1];
	static const char *const names[] = {"jeton",	"zipf", "unknown",
					    "mistyped", "hot",	"limited"};
	static const char *const words[] = {
		"valid, uniform", "valid, Zipf 0.99", "unknown",
		"mistyped",	  "one hot token",    "one, over its limit"};
	json_t *p, *bars;
	struct jt_summary s;
	char title[96];
	int cell;

	if (jt_rounds_find(r, "unknown", deepest) < 0)
		return;
	snprintf(title, sizeof(title),
		 "What is asked: jeton's throughput at pipeline %u", deepest);
	p = jt_findings_plot(f, "bars", title, "", "requests per second",
			     "All from one run, interleaved with the servers "
			     "above.");
	jt_plot_group(p, "");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cell = jt_rounds_find(r, names[i], deepest);
		if (cell < 0)
			continue;
		bars = jt_plot_series(p, words[i]);
		jt_ratio_summary(r, (unsigned)cell, JT_METRIC_RATE, &s);
		jt_plot_point(bars, 0, s.median, s.low, s.high);
	}
}

static void add_curve(json_t *p, const struct jt_open_cell *c)
{
	json_t *line = jt_plot_series(p, c->subject->name);
	struct jt_histogram_step step = {0};

	while (jt_histogram_next(&c->curve.all, &step)) {
		double x = step.share < 1 ? 1 / (1 - step.share)
					  : (double)c->curve.all.n;
		double us = (double)step.ns / 1e3;

		jt_plot_point(line, x, us, us, us);
	}
}

static void add_open(const struct jt_open *o, json_t *f)
{
	char title[128], rate[32], words[96];
	struct jt_summary s;
	json_t *p;

	for (unsigned k = o->first_share; k < JT_OPEN_SHARES; k++) {
		snprintf(title, sizeof(title),
			 "Latency at %u %% of Redis GET's saturation "
			 "(%s requests/s), open loop, pipeline %u",
			 jt_open_percent[k],
			 jt_report_grouped(o->rates[k], rate),
			 JT_OPEN_PIPELINE);
		p = jt_findings_plot(f, "percentiles", title, "percentile",
				     "microseconds",
				     "Counted from the time at which a batch "
				     "was meant to leave; Poisson arrivals, "
				     "the same rate for all.");
		for (unsigned i = 0; i < o->n_subjects; i++)
			add_curve(p, &o->cells[k][i]);
		for (unsigned q = 0; q < JT_OPEN_QUANTILES; q++) {
			jt_open_ratio(o, k, (enum jt_open_quantile)q, "jeton",
				      "get", &s);
			snprintf(words, sizeof(words),
				 "open loop at %u %%: %s, jeton / Redis GET",
				 jt_open_percent[k], jt_open_quantile_names[q]);
			jt_findings_ratio(f, words, &s);
			if (jt_open_percent[k] == 70 && q == JT_OPEN_P99)
				jt_findings_goal(f, "open_p99_get", &s);
		}
	}
}

static void add_open_table(const struct jt_open *o, json_t *f)
{
	json_t *t = jt_findings_table(f, "Open loop, pipeline 16, us",
				      "|share|p50|p90|p99|p99.9|requests");
	double m[JT_OPEN_QUANTILES];
	struct jt_summary s;
	char n[32];

	for (unsigned k = o->first_share; k < JT_OPEN_SHARES; k++) {
		for (unsigned i = 0; i < o->n_subjects; i++) {
			for (unsigned q = 0; q < JT_OPEN_QUANTILES; q++) {
				jt_open_summary(o, k, i,
						(enum jt_open_quantile)q, &s);
				m[q] = s.median;
			}
			jt_findings_row(
				t, "%s|%u %%|%.1f|%.1f|%.1f|%.1f|%s",
				o->cells[k][i].subject->name,
				jt_open_percent[k], m[JT_OPEN_P50],
				m[JT_OPEN_P90], m[JT_OPEN_P99], m[JT_OPEN_P999],
				jt_report_grouped(
					(double)o->cells[k][i].curve.all.n, n));
		}
	}
}

json_t *jt_report_findings(const struct jt_rounds *r, const struct jt_open *o)
{
	json_t *f = jt_findings_new("run", r->subjects->machine);

	add_flags(r, o, f);
	add_pages(r, f);
	for (unsigned k = 0; k < r->n_pipelines; k++) {
		for (size_t i = 0; i < jt_n_ratios; i++)
			add_ratio(r, r->pipelines[k], &jt_ratios[i], f);
		add_table(r, r->pipelines[k], f);
	}
	if (r->limited_first_ns)
		jt_findings_figure(f, "admitted_beyond",
				   (double)r->limited_beyond);
	add_bars(r, JT_METRIC_RATE, "Throughput", "requests per second",
		 "Server on one core, client on the other, closed loop. A "
		 "server that is busy less than 95 % waited for the client.",
		 f);
	add_bars(r, JT_METRIC_CPU_NS, "Server CPU per request",
		 "nanoseconds of CPU time",
		 "From the kernel's clock of the server's processes: a slow "
		 "client does not change it.",
		 f);
	add_workloads(r, f);
	if (o && o->n_subjects) {
		add_open(o, f);
		add_open_table(o, f);
	}
	json_object_set_new(f, "cells", cells_json(r));
	return f;
}
