/* ratios: see ratios.h. */
#include "bench/ratios.h"

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

void jt_ratio_summary(const struct jt_rounds *r, unsigned cell,
		      enum jt_metric metric, struct jt_summary *out)
{
	double values[JT_SUMMARY_MAX];
	const struct jt_sample *s;
	size_t n = 0;

	for (unsigned round = 0; round < r->n_rounds; round++) {
		s = jt_rounds_sample(r, round, cell);
		if (s->kept)
			values[n++] = s->values[metric];
	}
	jt_summary_make(values, n, r->seed, out);
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
	const struct jt_sample *a, *b;
	double values[JT_SUMMARY_MAX];
	size_t n = 0;

	if (over < 0 || under < 0)
		return false;
	for (unsigned round = 0; round < r->n_rounds; round++) {
		a = jt_rounds_sample(r, round, (unsigned)over);
		b = jt_rounds_sample(r, round, (unsigned)under);
		if (a->kept && b->kept && b->values[q->metric] > 0)
			values[n++] =
				a->values[q->metric] / b->values[q->metric];
	}
	jt_summary_make(values, n, r->seed, out);
	*underp = r->cells[under].name;
	return n > 0;
}
