/* report: see report.h. */
#include "bench/report.h"

#include "bench/memcached.h"
#include "bench/ratios.h"
#include "bench/redis.h"

#include <errno.h>
#include <string.h>

/* 9123456.7 as "9,123,457" */
const char *jt_report_grouped(double x, char out[32])
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

static void print_machine(const struct jt_rounds *r, const struct jt_open *o,
			  FILE *to)
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
		jt_report_grouped((double)r->subjects->n_tokens, n),
		(unsigned long long)r->subjects->seed);
	fprintf(to,
		"load      %u connections over a Unix socket, closed loop\n",
		r->subjects->connections);
	fprintf(to,
		"slices    %u rounds of %u ms each after %u ms unmeasured; "
		"of %u slices\n",
		r->n_rounds, r->slice_ms, r->warm_ms, r->n_slices);
	fprintf(to,
		"          %u with over %.0f %% of a core stolen by the "
		"host,\n          %u with over %.0f %% of a core taken by "
		"other processes%s\n",
		r->n_stolen, 100 * JT_KEEP_STOLEN_MAX, r->n_foreign,
		100 * JT_KEEP_FOREIGN_MAX, r->keep_all ? "; all kept" : "");
	if (!r->keep_all)
		fprintf(to,
			"          %u were taken again; others stand where "
			"fewer than %u clean ones\n          are left, and it "
			"is said there\n",
			r->retakes.n + (o ? o->retakes.n : 0), JT_KEEP_LEAST);
	if (r->subjects->redis_version[0])
		fprintf(to, "rivals    redis %s %s\n",
			r->subjects->redis_version, JT_REDIS_FLAGS);
	if (r->subjects->memcached_version[0])
		fprintf(to, "          memcached %s %s\n",
			r->subjects->memcached_version, JT_MEMCACHED_FLAGS);
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
	for (unsigned i = 0; i < s->n; i++)
		fprintf(to, "  %-9s  %s (requests of %zu bytes)\n",
			s->list[i].name, s->list[i].what,
			s->list[i].load.requests.each_bytes);
	fprintf(to, "set-up   ");
	if (s->create_s > 0)
		fprintf(to, " jeton create %.1f s;", s->create_s);
	print_times(s, false, to);
	fprintf(to, "          then every token once:");
	print_times(s, true, to);
}

static void print_cell(const struct jt_rounds *r, unsigned i, FILE *to)
{
	struct jt_summary m[JT_METRICS];
	char rate[32], kept[64];

	for (unsigned k = 0; k < JT_METRICS; k++)
		jt_ratio_summary(r, i, (enum jt_metric)k, &m[k]);
	fprintf(to,
		"  %-9s %12s %8.0f %8.0f %10.0f %10.0f %6.0f %% %6.0f %6zu  "
		"%s\n",
		r->cells[i].name,
		jt_report_grouped(m[JT_METRIC_RATE].median, rate),
		m[JT_METRIC_P50_US].median, m[JT_METRIC_P99_US].median,
		m[JT_METRIC_CPU_NS].median, m[JT_METRIC_CLIENT_NS].median,
		100 * m[JT_METRIC_BUSY].median, m[JT_METRIC_REPLY_BYTES].median,
		m[JT_METRIC_RATE].n, jt_keep_words(&m[JT_METRIC_RATE], kept));
}

static void print_pipeline(const struct jt_rounds *r, unsigned pipeline,
			   FILE *to)
{
	struct jt_summary ratio;
	const char *under;
	char kept[64];

	fprintf(to, "\npipeline %u\n", pipeline);
	fprintf(to, "  %-9s %12s %8s %8s %10s %10s %8s %6s %6s\n", "",
		"requests/s", "p50 us", "p99 us", "server CPU", "client CPU",
		"server", "reply", "slices");
	fprintf(to, "  %-9s %12s %8s %8s %10s %10s %8s %6s %6s\n", "", "", "",
		"", "ns/request", "ns/request", "busy", "bytes", "used");
	for (unsigned i = 0; i < r->n_cells; i++)
		if (r->cells[i].pipeline == pipeline)
			print_cell(r, i, to);
	fprintf(to, "\n  %-48s %9s  %s\n", "ratio within a round", "median",
		"95 % interval");
	for (size_t k = 0; k < jt_n_ratios; k++)
		if (jt_ratio_make(r, pipeline, &jt_ratios[k], &ratio, &under))
			fprintf(to, "  %-48s %9.3f  %.3f to %.3f%s%s  %s\n",
				jt_ratios[k].words, ratio.median, ratio.low,
				ratio.high,
				jt_ratios[k].under[1] ? "  to " : "",
				jt_ratios[k].under[1] ? under : "",
				jt_keep_words(&ratio, kept));
}

static void print_share(const struct jt_open *o, unsigned share, FILE *to)
{
	struct jt_summary s;
	char rate[32], kept[64];

	fprintf(to, "  at %u %%, %s/s\n", jt_open_percent[share],
		jt_report_grouped(o->rates[share], rate));
	for (unsigned i = 0; i < o->n_subjects; i++) {
		fprintf(to, "    %-9s", o->cells[share][i].subject->name);
		for (unsigned q = 0; q < JT_OPEN_QUANTILES; q++) {
			jt_open_summary(o, share, i, (enum jt_open_quantile)q,
					&s);
			fprintf(to, "  %s %8.1f us", jt_open_quantile_names[q],
				s.median);
		}
		fprintf(to, "\n");
	}
	jt_open_ratio(o, share, JT_OPEN_P99, "jeton", "get", &s);
	if (s.n)
		fprintf(to,
			"    99th percentile, jeton / Redis GET: %.3f  %.3f to "
			"%.3f  %s\n",
			s.median, s.low, s.high, jt_keep_words(&s, kept));
}

static void print_open(const struct jt_open *o, FILE *to)
{
	char rate[32];

	if (!o || !o->n_subjects)
		return;
	fprintf(to,
		"\nopen loop, pipeline %u, Poisson arrivals; shares of Redis "
		"GET's %s/s\n",
		JT_OPEN_PIPELINE, jt_report_grouped(o->saturation, rate));
	for (unsigned share = o->first_share; share < JT_OPEN_SHARES; share++)
		print_share(o, share, to);
}

void jt_report_print(const struct jt_rounds *r, const struct jt_open *o,
		     FILE *to)
{
	print_machine(r, o, to);
	print_subjects(r, to);
	for (unsigned p = 0; p < r->n_pipelines; p++)
		print_pipeline(r, r->pipelines[p], to);
	print_open(o, to);
	if (r->limited_first_ns)
		fprintf(to,
			"\nthe limited token: admitted %llu times, refused "
			"%llu "
			"times; beyond its limit: %llu\n",
			(unsigned long long)r->limited_admitted,
			(unsigned long long)r->limited_refused,
			(unsigned long long)r->limited_beyond);
	fprintf(to,
		"\nA server that is busy less than 95 %% waited for the "
		"client: its rate is what\nthe client can do, and its CPU per "
		"request says more. p50 and p99 of the closed\nloop mostly "
		"say how many requests wait; those of the open loop are "
		"latencies.\n");
}

int jt_report_write_percentiles(const struct jt_open *o, const char *dir)
{
	char path[512];
	FILE *f;

	for (unsigned k = o->first_share * o->n_subjects;
	     k < JT_OPEN_SHARES * o->n_subjects; k++) {
		const struct jt_open_cell *c =
			&o->cells[k / o->n_subjects][k % o->n_subjects];

		snprintf(path, sizeof(path), "%s/%s-%u.hgrm", dir,
			 c->subject->name, jt_open_percent[k / o->n_subjects]);
		f = fopen(path, "we");
		if (f)
			jt_histogram_print(&c->curve.all, f);
		if (!f || fclose(f)) {
			fprintf(stderr, "jeton-bench: %s: %s\n", path,
				strerror(errno));
			return -errno;
		}
	}
	return 0;
}
