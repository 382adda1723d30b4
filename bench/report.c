/* report: see report.h. */
#include "bench/report.h"

#include "bench/jeton.h"
#include "bench/redis.h"
#include "bench/summary.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static const char *const metric_keys[JT_METRICS] = {
	[JT_METRIC_RATE] = "requests_per_s",
	[JT_METRIC_P50_US] = "p50_us",
	[JT_METRIC_P99_US] = "p99_us",
	[JT_METRIC_CPU_NS] = "server_cpu_ns_per_request",
	[JT_METRIC_BUSY] = "server_busy",
	[JT_METRIC_REPLY_BYTES] = "reply_bytes",
};

/* OVER / UNDER, within each round. */
static const struct ratio {
	const char *key;
	const char *words;
	enum jt_metric metric;
	const char *over, *under;
} ratios[] = {
	{"throughput_jeton_get", "throughput, jeton / Redis GET",
	 JT_METRIC_RATE, "jeton", "get"},
	{"throughput_jeton_eval", "throughput, jeton / Redis EVALSHA",
	 JT_METRIC_RATE, "jeton", "eval"},
	{"throughput_jeton_floor", "throughput, jeton / floor", JT_METRIC_RATE,
	 "jeton", "floor"},
	{"cpu_jeton_floor", "server CPU per request, jeton / floor",
	 JT_METRIC_CPU_NS, "jeton", "floor"},
	{"cpu_get_jeton", "server CPU per request, Redis GET / jeton",
	 JT_METRIC_CPU_NS, "get", "jeton"},
	{"cpu_eval_jeton", "server CPU per request, EVALSHA / jeton",
	 JT_METRIC_CPU_NS, "eval", "jeton"},
	{"cpu_http_bare", "server CPU per request, HTTP / bare library",
	 JT_METRIC_CPU_NS, "http", "bare"},
	{"throughput_http_bare", "throughput, HTTP / bare library",
	 JT_METRIC_RATE, "http", "bare"},
	{"p99_jeton_get", "99th percentile, jeton / Redis GET",
	 JT_METRIC_P99_US, "jeton", "get"},
	{"noise_throughput", "noise: throughput, twin / itself", JT_METRIC_RATE,
	 "twin", NULL},
	{"noise_cpu", "noise: server CPU per request, twin / itself",
	 JT_METRIC_CPU_NS, "twin", NULL},
};
#define RATIOS (sizeof(ratios) / sizeof(ratios[0]))

static int find_series(const struct jt_rounds *r, const char *name)
{
	if (!name)
		return (int)r->twin_of;
	for (unsigned i = 0; i < r->n_series; i++)
		if (strcmp(r->series[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void summarise(const struct jt_rounds *r, unsigned p, unsigned i,
		      enum jt_metric metric, struct jt_summary *out)
{
	double values[JT_SUMMARY_MAX];
	const struct jt_sample *s;
	size_t n = 0;

	for (unsigned round = 0; round < r->n_rounds; round++) {
		s = jt_rounds_sample(r, round, p, i);
		if (s->kept)
			values[n++] = s->values[metric];
	}
	jt_summary_make(values, n, r->seed, out);
}

/* False if one of the two took no part. */
static bool summarise_ratio(const struct jt_rounds *r, unsigned p,
			    const struct ratio *q, struct jt_summary *out)
{
	int over = find_series(r, q->over), under = find_series(r, q->under);
	const struct jt_sample *a, *b;
	double values[JT_SUMMARY_MAX];
	size_t n = 0;

	if (over < 0 || under < 0)
		return false;
	for (unsigned round = 0; round < r->n_rounds; round++) {
		a = jt_rounds_sample(r, round, p, (unsigned)over);
		b = jt_rounds_sample(r, round, p, (unsigned)under);
		if (a->kept && b->kept && b->values[q->metric] > 0)
			values[n++] =
				a->values[q->metric] / b->values[q->metric];
	}
	jt_summary_make(values, n, r->seed, out);
	return n > 0;
}

/* 9123456.7 as "9,123,457" */
static const char *grouped(double x, char out[32])
{
	char digits[32];
	int n = snprintf(digits, sizeof(digits), "%.0f", x), at = 0;

	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

static void print_machine(const struct jt_rounds *r, FILE *to)
{
	const struct jt_machine *m = r->subjects->machine;
	char n[32];

	fprintf(to, "machine   %s, %s, %u CPUs\n", m->kernel, m->cpu, m->cpus);
	fprintf(to, "          server on CPU %d, client on CPU %d%s\n",
		m->server_cpu, m->client_cpu,
		m->cpus < 2 ? " (ONE CORE FOR BOTH: compare nothing)" : "");
	fprintf(to, "          huge pages: shmem %s, else %s\n", m->thp_shmem,
		m->thp);
	fprintf(to, "tokens    %s, drawn evenly at random, seed %llu\n",
		grouped((double)r->subjects->n_tokens, n),
		(unsigned long long)r->subjects->seed);
	fprintf(to,
		"load      %u connections over a Unix socket, closed loop\n",
		r->subjects->connections);
	fprintf(to,
		"slices    %u rounds of %u ms each after %u ms unmeasured; "
		"%s:\n",
		r->n_rounds, r->slice_ms, r->warm_ms,
		r->keep_all ? "disturbed but kept" : "dropped");
	fprintf(to,
		"          %u with over %.0f %% of a core stolen by the "
		"host,\n          %u with over %.0f %% of a core taken by "
		"other processes\n",
		r->n_stolen, 100 * JT_ROUNDS_STOLEN_MAX, r->n_foreign,
		100 * JT_ROUNDS_FOREIGN_MAX);
	if (r->subjects->redis_version[0])
		fprintf(to, "rivals    redis %s %s\n",
			r->subjects->redis_version, JT_REDIS_FLAGS);
}

/* " floor 0.1 s, jeton 2.0 s": one of the times of every subject. */
static void print_times(const struct jt_subjects *s, bool touch, FILE *to)
{
	const struct jt_subject *one = s->list;

	for (unsigned i = 0; i < s->n; i++, one++)
		fprintf(to, " %s %.1f s%s", one->name,
			touch ? one->touch_s : one->setup_s,
			i + 1 < s->n ? "," : "\n");
}

static void print_subjects(const struct jt_rounds *r, FILE *to)
{
	const struct jt_subjects *s = r->subjects;

	fprintf(to, "subjects\n");
	for (unsigned i = 0; i < r->n_series; i++)
		fprintf(to, "  %-6s  %s (requests of %zu bytes)\n",
			r->series[i].name, r->series[i].what,
			r->series[i].subject->requests.each_bytes);
	fprintf(to, "set-up   ");
	if (s->create_s > 0)
		fprintf(to, " jeton create %.1f s;", s->create_s);
	print_times(s, false, to);
	fprintf(to, "          then every token once:");
	print_times(s, true, to);
}

static void print_series(const struct jt_rounds *r, unsigned p, unsigned i,
			 FILE *to)
{
	struct jt_summary m[JT_METRICS];
	char rate[32];

	for (unsigned k = 0; k < JT_METRICS; k++)
		summarise(r, p, i, (enum jt_metric)k, &m[k]);
	if (!m[JT_METRIC_RATE].n) {
		fprintf(to, "  %-6s  all slices dropped\n", r->series[i].name);
		return;
	}
	fprintf(to, "  %-6s %12s %9.0f %9.0f %12.0f %7.0f %% %7.0f %7zu\n",
		r->series[i].name, grouped(m[JT_METRIC_RATE].median, rate),
		m[JT_METRIC_P50_US].median, m[JT_METRIC_P99_US].median,
		m[JT_METRIC_CPU_NS].median, 100 * m[JT_METRIC_BUSY].median,
		m[JT_METRIC_REPLY_BYTES].median, m[JT_METRIC_RATE].n);
}

static void print_pipeline(const struct jt_rounds *r, unsigned p, FILE *to)
{
	struct jt_summary ratio;

	fprintf(to, "\npipeline %u\n", r->pipelines[p]);
	fprintf(to, "  %-6s %12s %9s %9s %12s %9s %7s %7s\n", "", "requests/s",
		"p50 us", "p99 us", "server CPU", "server", "reply", "slices");
	fprintf(to, "  %-6s %12s %9s %9s %12s %9s %7s %7s\n", "", "", "", "",
		"ns/request", "busy", "bytes", "kept");
	for (unsigned i = 0; i < r->n_series; i++)
		print_series(r, p, i, to);
	fprintf(to, "\n  %-48s %9s  %s\n", "ratio within a round", "median",
		"95 % interval");
	for (unsigned k = 0; k < RATIOS; k++)
		if (summarise_ratio(r, p, &ratios[k], &ratio))
			fprintf(to, "  %-48s %9.3f  %.3f to %.3f\n",
				ratios[k].words, ratio.median, ratio.low,
				ratio.high);
}

void jt_report_print(const struct jt_rounds *r, FILE *to)
{
	print_machine(r, to);
	print_subjects(r, to);
	for (unsigned p = 0; p < r->n_pipelines; p++)
		print_pipeline(r, p, to);
	fprintf(to,
		"\nA server that is busy less than 95 %% waited for the "
		"client: its rate is what\nthe client can do, and its CPU per "
		"request says more. p50 and p99 are those\nof a closed loop: "
		"at these rates they mostly say how many requests wait.\n");
}

static json_t *summary_json(const struct jt_summary *s)
{
	return json_pack("{s:f,s:f,s:f,s:i}", "median", s->median, "low",
			 s->low, "high", s->high, "n", (int)s->n);
}

static json_t *samples_json(const struct jt_rounds *r, unsigned p, unsigned i)
{
	json_t *list = json_array(), *one;
	const struct jt_sample *s;

	for (unsigned round = 0; round < r->n_rounds; round++) {
		s = jt_rounds_sample(r, round, p, i);
		one = json_pack("{s:b,s:f,s:f}", "kept", (int)s->kept, "stolen",
				s->stolen, "foreign", s->foreign);
		for (unsigned k = 0; k < JT_METRICS; k++)
			json_object_set_new(one, metric_keys[k],
					    json_real(s->values[k]));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *series_json(const struct jt_rounds *r, unsigned p, unsigned i)
{
	json_t *o = json_object();
	struct jt_summary s;

	for (unsigned k = 0; k < JT_METRICS; k++) {
		summarise(r, p, i, (enum jt_metric)k, &s);
		json_object_set_new(o, metric_keys[k], summary_json(&s));
	}
	json_object_set_new(o, "slices", samples_json(r, p, i));
	return o;
}

static json_t *pipeline_json(const struct jt_rounds *r, unsigned p)
{
	json_t *series = json_object(), *ratio = json_object();
	struct jt_summary s;

	for (unsigned i = 0; i < r->n_series; i++)
		json_object_set_new(series, r->series[i].name,
				    series_json(r, p, i));
	for (unsigned k = 0; k < RATIOS; k++)
		if (summarise_ratio(r, p, &ratios[k], &s))
			json_object_set_new(ratio, ratios[k].key,
					    summary_json(&s));
	return json_pack("{s:i,s:o,s:o}", "pipeline", (int)r->pipelines[p],
			 "series", series, "ratios", ratio);
}

static json_t *machine_json(const struct jt_machine *m)
{
	return json_pack("{s:s,s:s,s:i,s:i,s:i,s:s,s:s}", "kernel", m->kernel,
			 "cpu", m->cpu, "cpus", (int)m->cpus, "server_cpu",
			 m->server_cpu, "client_cpu", m->client_cpu,
			 "thp_shmem", m->thp_shmem, "thp", m->thp);
}

static json_t *flags_json(const struct jt_rounds *r)
{
	const struct jt_subjects *s = r->subjects;

	return json_pack("{s:I,s:I,s:i,s:i,s:i,s:i,s:b,s:s,s:s}", "tokens",
			 (json_int_t)s->n_tokens, "seed", (json_int_t)s->seed,
			 "connections", (int)s->connections, "rounds",
			 (int)r->n_rounds, "slice_ms", (int)r->slice_ms,
			 "warm_ms", (int)r->warm_ms, "keep_all",
			 (int)r->keep_all, "redis_flags", JT_REDIS_FLAGS,
			 "redis_version", s->redis_version);
}

static json_t *setup_json(const struct jt_subjects *s)
{
	json_t *o = json_pack("{s:f}", "jeton_create_s", s->create_s);
	char key[32];

	for (unsigned i = 0; i < s->n; i++) {
		snprintf(key, sizeof(key), "%s_s", s->list[i].name);
		json_object_set_new(o, key, json_real(s->list[i].setup_s));
		snprintf(key, sizeof(key), "%s_touch_s", s->list[i].name);
		json_object_set_new(o, key, json_real(s->list[i].touch_s));
	}
	return o;
}

int jt_report_write_json(const struct jt_rounds *r, const char *path)
{
	json_t *all = json_object(), *pipelines = json_array();
	int e;

	json_object_set_new(all, "version", json_string(JT_VERSION));
	json_object_set_new(all, "machine", machine_json(r->subjects->machine));
	json_object_set_new(all, "flags", flags_json(r));
	json_object_set_new(all, "setup", setup_json(r->subjects));
	json_object_set_new(all, "dropped",
			    json_pack("{s:i,s:i}", "stolen", (int)r->n_stolen,
				      "foreign", (int)r->n_foreign));
	json_object_set_new(all, "twin_of",
			    json_string(r->series[r->twin_of].name));
	for (unsigned p = 0; p < r->n_pipelines; p++)
		json_array_append_new(pipelines, pipeline_json(r, p));
	json_object_set_new(all, "pipelines", pipelines);
	errno = EIO;
	e = json_dump_file(all, path, JSON_INDENT(1)) ? -errno : 0;
	json_decref(all);
	return e;
}
