/* ratios: see ratios.h. */
#include "bench/ratios.h"

#include "bench/open.h"

#include <string.h>

const struct jt_ratio jt_ratios[] = {
	{"throughput, jeton / Redis GET",
	 JT_METRIC_RATE,
	 "jeton",
	 {"get", NULL},
	 "rate_p1_get",
	 "rate_p64_get"},
	{"throughput, jeton / Redis EVALSHA",
	 JT_METRIC_RATE,
	 "jeton",
	 {"eval", "packed"},
	 NULL,
	 "rate_p64_eval"},
	{"throughput, jeton / memcached get",
	 JT_METRIC_RATE,
	 "jeton",
	 {"memcached", NULL},
	 NULL,
	 NULL},
	{"throughput, jeton / floor",
	 JT_METRIC_RATE,
	 "jeton",
	 {"floor", "echo"},
	 NULL,
	 "rate_p64_floor"},
	{"server CPU per request, jeton / floor",
	 JT_METRIC_CPU_NS,
	 "jeton",
	 {"floor", "echo"},
	 "cpu_p1_floor",
	 NULL},
	{"server CPU per request, jeton / Redis GET",
	 JT_METRIC_CPU_NS,
	 "jeton",
	 {"get", NULL},
	 NULL,
	 NULL},
	{"server CPU per request, jeton / Redis EVALSHA",
	 JT_METRIC_CPU_NS,
	 "jeton",
	 {"eval", "packed"},
	 NULL,
	 NULL},
	{"server CPU per request, jeton / memcached get",
	 JT_METRIC_CPU_NS,
	 "jeton",
	 {"memcached", NULL},
	 NULL,
	 NULL},
	{"server CPU per request, HTTP / bare library",
	 JT_METRIC_CPU_NS,
	 "http",
	 {"bare", NULL},
	 NULL,
	 NULL},
	{"throughput, HTTP / bare library",
	 JT_METRIC_RATE,
	 "http",
	 {"bare", NULL},
	 NULL,
	 NULL},
	{"throughput, Zipf / uniform",
	 JT_METRIC_RATE,
	 "zipf",
	 {"jeton", NULL},
	 NULL,
	 NULL},
	{"throughput, unknown / valid",
	 JT_METRIC_RATE,
	 "unknown",
	 {"jeton", NULL},
	 NULL,
	 "rate_unknown_valid"},
	{"throughput, mistyped / valid",
	 JT_METRIC_RATE,
	 "mistyped",
	 {"jeton", NULL},
	 NULL,
	 NULL},
	{"throughput, one hot token / uniform",
	 JT_METRIC_RATE,
	 "hot",
	 {"jeton", NULL},
	 NULL,
	 NULL},
	{"throughput, one token over its limit / uniform",
	 JT_METRIC_RATE,
	 "limited",
	 {"jeton", NULL},
	 NULL,
	 NULL},
	{"noise: throughput, twin / itself",
	 JT_METRIC_RATE,
	 "twin",
	 {NULL, NULL},
	 NULL,
	 NULL},
	{"noise: server CPU per request, twin / itself",
	 JT_METRIC_CPU_NS,
	 "twin",
	 {NULL, NULL},
	 NULL,
	 NULL},
};
const size_t jt_n_ratios = sizeof(jt_ratios) / sizeof(jt_ratios[0]);

static const char *goal_at(const struct jt_ratio *q, unsigned pipeline)
{
	return pipeline == 1	? q->goal_at_1
	       : pipeline == 64 ? q->goal_at_64
				: NULL;
}

static bool is(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

bool jt_ratio_goal_needs(const char *name, unsigned pipeline)
{
	const struct jt_ratio *q = jt_ratios;

	/* what the open loop's rates are shares of */
	if (pipeline == JT_OPEN_PIPELINE && is("get", name))
		return true;
	for (; q < jt_ratios + jt_n_ratios; q++)
		if (goal_at(q, pipeline) &&
		    (is(q->over, name) || is(q->under[0], name) ||
		     is(q->under[1], name)))
			return true;
	return false;
}

/* One figure of a cell in each round. */
static struct jt_series series_of(const struct jt_rounds *r, unsigned cell,
				  enum jt_metric metric,
				  double figures[JT_SUMMARY_MAX],
				  struct jt_had had[JT_SUMMARY_MAX])
{
	const struct jt_sample *s;

	for (unsigned round = 0; round < r->n_rounds; round++) {
		s = jt_rounds_sample(r, round, cell);
		figures[round] = s->values[metric];
		had[round] = s->had;
	}
	return (struct jt_series){figures, had};
}

void jt_ratio_summary(const struct jt_rounds *r, unsigned cell,
		      enum jt_metric metric, struct jt_summary *out)
{
	static struct jt_had had[JT_SUMMARY_MAX];
	double figures[JT_SUMMARY_MAX];

	jt_pairs_summary(series_of(r, cell, metric, figures, had), r->n_rounds,
			 r->seed, out);
}

static double median_of(const struct jt_rounds *r, int cell,
			enum jt_metric metric)
{
	struct jt_summary s;

	jt_ratio_summary(r, (unsigned)cell, metric, &s);
	return s.median;
}

/* The better of the cells that the ratio may stand on, or -1. */
static int choose_under(const struct jt_rounds *r, unsigned pipeline,
			const struct jt_ratio *q)
{
	const char *first = q->under[0] ? q->under[0] : r->twin_of;
	int a = jt_rounds_find(r, first, pipeline);
	int b = q->under[1] ? jt_rounds_find(r, q->under[1], pipeline) : -1;
	double x, y;

	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	x = median_of(r, a, q->metric);
	y = median_of(r, b, q->metric);
	return (q->metric == JT_METRIC_RATE ? x >= y : x <= y) ? a : b;
}

bool jt_ratio_make(const struct jt_rounds *r, unsigned pipeline,
		   const struct jt_ratio *q, struct jt_summary *out,
		   const char **underp)
{
	int over = jt_rounds_find(r, q->over, pipeline);
	int under = choose_under(r, pipeline, q);
	static struct jt_had had[2][JT_SUMMARY_MAX];
	double figures[2][JT_SUMMARY_MAX];

	if (over < 0 || under < 0)
		return false;
	jt_pairs_ratio(
		series_of(r, (unsigned)over, q->metric, figures[0], had[0]),
		series_of(r, (unsigned)under, q->metric, figures[1], had[1]),
		r->n_rounds, r->seed, out);
	*underp = r->cells[under].name;
	return out->n > 0;
}
