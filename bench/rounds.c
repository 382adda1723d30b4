/* rounds: see rounds.h. */
#include "bench/rounds.h"

#include "bench/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOUCH_PIPELINE 64

struct jt_sample *jt_rounds_sample(const struct jt_rounds *r, unsigned round,
				   unsigned p, unsigned i)
{
	return &r->samples[(round * r->n_pipelines + p) * r->n_series + i];
}

static int set_up(struct jt_rounds *r)
{
	struct jt_subjects *s = r->subjects;
	int jeton = jt_subjects_find(s, "jeton");

	r->n_series = s->n + 1;
	for (unsigned i = 0; i < s->n; i++)
		r->series[i] = (struct jt_series){s->list[i].name,
						  s->list[i].what, &s->list[i]};
	r->twin_of = jeton < 0 ? 0 : (unsigned)jeton;
	r->series[s->n] = r->series[r->twin_of];
	r->series[s->n].name = "twin";
	r->series[s->n].what = "the one before once more";
	r->samples = calloc((size_t)r->n_rounds * r->n_pipelines * r->n_series,
			    sizeof(*r->samples));
	return r->samples ? 0 : -ENOMEM;
}

/* The series that runs K-th in ROUND: rotated, every other round mirrored. */
static unsigned series_at(const struct jt_rounds *r, unsigned round, unsigned k)
{
	unsigned n = r->n_series;

	if (round % 2)
		k = n - 1 - k;
	return (k + round / 2) % n;
}

static void say_progress(const struct jt_rounds *r, unsigned round, unsigned p,
			 const char *name)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rround %u of %u, pipeline %3u, %-8s",
			round + 1, r->n_rounds, r->pipelines[p], name);
	else if (p == 0 && strcmp(name, r->series[0].name) == 0)
		fprintf(stderr, "round %u of %u\n", round + 1, r->n_rounds);
}

static void say_failure(struct jt_subject *s, unsigned pipeline, int e,
			const struct jt_scan *scan)
{
	fprintf(stderr, "\njeton-bench: FAILED: %s at pipeline %u: ", s->name,
		pipeline);
	if (e != -EPROTO || scan->replies == scan->expected)
		fprintf(stderr, "%s\n", strerror(-e));
	else
		fprintf(stderr, "%llu of %llu answers wrong\n",
			(unsigned long long)(scan->replies - scan->expected),
			(unsigned long long)scan->replies);
	for (unsigned i = 0; i < scan->n_others; i++)
		fprintf(stderr, "  %10llu x %s\n",
			(unsigned long long)scan->others[i].n,
			scan->others[i].text);
	if (!jt_process_alive(&s->process))
		jt_process_show_log(&s->process);
}

/* What the clocks say at one moment. */
struct moment {
	struct jt_machine_times machine;
	uint64_t client_ns;
	uint64_t server_ns;
};

static void read_clocks(const struct jt_rounds *r,
			const struct jt_subject *subject, struct moment *at)
{
	jt_machine_times(r->subjects->machine, &at->machine);
	at->server_ns = jt_process_cpu_ns(&subject->process);
	at->client_ns = jt_machine_own_cpu_ns();
}

/* Who else had the cores between FROM and TO? */
static void judge(struct jt_rounds *r, const struct moment *from,
		  const struct moment *to, double wall_ns,
		  struct jt_sample *out)
{
	const struct jt_machine *m = r->subjects->machine;
	double cores = m->server_cpu == m->client_cpu ? 1 : 2, known_ns;

	known_ns = (double)(to->machine.idle_ns - from->machine.idle_ns +
			    to->machine.stolen_ns - from->machine.stolen_ns +
			    to->client_ns - from->client_ns + to->server_ns -
			    from->server_ns);
	out->foreign = cores - known_ns / wall_ns;
	out->stolen =
		(double)(to->machine.stolen_ns - from->machine.stolen_ns) /
		wall_ns;
	if (out->stolen > JT_ROUNDS_STOLEN_MAX)
		r->n_stolen++;
	else if (out->foreign > JT_ROUNDS_FOREIGN_MAX)
		r->n_foreign++;
	else
		out->kept = true;
	out->kept |= r->keep_all;
}

static void fill_sample(struct jt_sample *out,
			const struct jt_loadgen_result *got, double cpu_ns)
{
	double n = (double)got->scan.replies, wall_ns = (double)got->wall_ns;
	const struct jt_histogram *h = &got->latency;
	double *v = out->values;

	v[JT_METRIC_RATE] = n * 1e9 / wall_ns;
	v[JT_METRIC_P50_US] = (double)jt_histogram_quantile_ns(h, 0.5) / 1e3;
	v[JT_METRIC_P99_US] = (double)jt_histogram_quantile_ns(h, 0.99) / 1e3;
	v[JT_METRIC_CPU_NS] = cpu_ns / n;
	v[JT_METRIC_BUSY] = cpu_ns / wall_ns;
	v[JT_METRIC_REPLY_BYTES] = (double)got->scan.bytes / n;
}

/* Warm up, then measure one slice of SUBJECT into GOT[0] and *OUT. */
static int measure(struct jt_rounds *r, struct jt_subject *subject,
		   struct jt_loadgen_result got[2], struct jt_sample *out)
{
	struct jt_loadgen *lg = subject->loadgen;
	struct moment from, to;
	int e;

	e = jt_loadgen_spin(lg, r->warm_ms * 1000000ull, &got[1]);
	if (e)
		return e;
	read_clocks(r, subject, &from);
	e = jt_loadgen_spin(lg, r->slice_ms * 1000000ull, &got[0]);
	if (e)
		return e;
	read_clocks(r, subject, &to);
	e = jt_loadgen_stop(lg, &got[1]);
	if (e)
		return e;
	if (got[0].scan.expected != got[0].scan.replies ||
	    got[1].scan.expected != got[1].scan.replies)
		return -EPROTO;
	if (!got[0].scan.replies)
		return -ETIME;
	judge(r, &from, &to, (double)got[0].wall_ns, out);
	fill_sample(out, &got[0], (double)(to.server_ns - from.server_ns));
	return 0;
}

static int run_slice(struct jt_rounds *r, unsigned round, unsigned p,
		     unsigned i, struct jt_loadgen_result got[2])
{
	struct jt_subject *s = r->series[i].subject;
	struct jt_sample *out = jt_rounds_sample(r, round, p, i);
	int e;

	if (jt_process_interrupted())
		return -EINTR;
	say_progress(r, round, p, r->series[i].name);
	memset(got, 0, 2 * sizeof(*got));
	jt_scan_init(&got[0].scan, s->want_type, s->want);
	jt_scan_init(&got[1].scan, s->want_type, s->want);
	jt_loadgen_start(s->loadgen, &s->requests, r->pipelines[p],
			 JT_ORDER_RANDOM, jt_random_next(&r->seed));
	e = measure(r, s, got, out);
	if (e)
		say_failure(s, r->pipelines[p], e,
			    got[0].scan.n_others ? &got[0].scan : &got[1].scan);
	return e;
}

/* Every token once; its time tells what the first touch costs. */
static int touch(struct jt_subject *s, struct jt_loadgen_result *got)
{
	int e;

	if (jt_process_interrupted())
		return -EINTR;
	fprintf(stderr, "asking %s for every token once ...\n", s->name);
	memset(got, 0, sizeof(*got));
	jt_scan_init(&got->scan, s->want_type, s->want);
	jt_loadgen_start(s->loadgen, &s->requests, TOUCH_PIPELINE,
			 JT_ORDER_ONCE, 0);
	e = jt_loadgen_spin(s->loadgen, UINT64_MAX, got);
	if (!e && got->scan.expected != s->requests.n)
		e = -EPROTO;
	if (e)
		say_failure(s, TOUCH_PIPELINE, e, &got->scan);
	s->touch_s = (double)got->wall_ns / 1e9;
	return e;
}

static int check_kept(const struct jt_rounds *r)
{
	unsigned kept;

	for (unsigned p = 0; p < r->n_pipelines; p++) {
		for (unsigned i = 0; i < r->n_series; i++) {
			kept = 0;
			for (unsigned k = 0; k < r->n_rounds; k++)
				kept += jt_rounds_sample(r, k, p, i)->kept;
			if (kept)
				continue;
			fprintf(stderr,
				"jeton-bench: NOT MEASURED: the machine was "
				"too busy (%u slices disturbed)\n",
				r->n_stolen + r->n_foreign);
			return -ENODATA;
		}
	}
	return 0;
}

int jt_rounds_run(struct jt_rounds *r)
{
	struct jt_subjects *s = r->subjects;
	struct jt_loadgen_result *got = calloc(2, sizeof(*got));
	int e = got ? set_up(r) : -ENOMEM;

	for (unsigned i = 0; !e && i < s->n; i++) {
		e = jt_subjects_connect(s, &s->list[i]);
		if (!e)
			e = touch(&s->list[i], got);
	}
	for (unsigned round = 0; !e && round < r->n_rounds; round++)
		for (unsigned p = 0; !e && p < r->n_pipelines; p++)
			for (unsigned k = 0; !e && k < r->n_series; k++)
				e = run_slice(r, round, p,
					      series_at(r, round, k), got);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
	free(got);
	return e ? e : check_kept(r);
}

void jt_rounds_free(struct jt_rounds *r)
{
	free(r->samples);
	r->samples = NULL;
}
