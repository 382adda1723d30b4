/* rounds: see rounds.h. */
#include "bench/rounds.h"

#include "bench/jeton.h"
#include "bench/random.h"
#include "bench/ratios.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOUCH_PIPELINE 64

struct jt_sample *jt_rounds_sample(const struct jt_rounds *r, unsigned round,
				   unsigned cell)
{
	return &r->samples[round * r->n_cells + cell];
}

int jt_rounds_find(const struct jt_rounds *r, const char *name,
		   unsigned pipeline)
{
	for (unsigned i = 0; i < r->n_cells; i++)
		if (r->cells[i].pipeline == pipeline &&
		    strcmp(r->cells[i].name, name) == 0)
			return (int)i;
	return -1;
}

static void add_cell(struct jt_rounds *r, const char *name, const char *what,
		     unsigned pipeline, struct jt_subject *subject,
		     const struct jt_load *load)
{
	struct jt_cell *c = &r->cells[r->n_cells++];

	assert(r->n_cells <= JT_ROUNDS_CELLS_MAX);
	*c = (struct jt_cell){
		.what = what,
		.pipeline = pipeline,
		.subject = subject,
		.load = load,
	};
	snprintf(c->name, sizeof(c->name), "%s", name);
}

static bool is_wanted(const struct jt_rounds *r, const char *name,
		      unsigned depth)
{
	return !r->goals_only || jt_ratio_goal_needs(name, depth);
}

/* A proxy sends one request at a time, so HTTP is asked like that alone. */
static bool takes_part(const struct jt_rounds *r, const struct jt_subject *s,
		       unsigned p)
{
	return (s->load.want_type != 'H' || p == 0) &&
	       is_wanted(r, s->name, r->pipelines[p]);
}

static int add_workloads(struct jt_rounds *r, struct jt_subject *jeton,
			 unsigned depth)
{
	const char *name;
	int e;

	for (unsigned k = 0; k < JT_WORKLOADS; k++) {
		name = jt_workload_names[k];
		/* what is admitted beyond the limit is a goal at any depth */
		if (!is_wanted(r, name, depth) && strcmp(name, "limited"))
			continue;
		e = jt_workload_make(r->subjects, jeton, k, &r->loads[k]);
		if (e)
			return e;
		add_cell(r, name, "jetond, other tokens", depth, jeton,
			 &r->loads[k]);
	}
	return 0;
}

static int add_cells(struct jt_rounds *r, unsigned p)
{
	struct jt_subjects *s = r->subjects;
	int jeton = jt_subjects_find(s, "jeton");
	struct jt_subject *twin = &s->list[jeton < 0 ? 0 : jeton];
	unsigned depth = r->pipelines[p];

	for (unsigned i = 0; i < s->n; i++)
		if (takes_part(r, &s->list[i], p))
			add_cell(r, s->list[i].name, s->list[i].what, depth,
				 &s->list[i], &s->list[i].load);
	r->twin_of = twin->name;
	if (takes_part(r, twin, p))
		add_cell(r, "twin", "the one before once more", depth, twin,
			 &twin->load);
	if (jeton < 0 || !r->workloads || p + 1 < r->n_pipelines)
		return 0;
	return add_workloads(r, twin, depth);
}

static int set_up(struct jt_rounds *r)
{
	int e = 0;

	for (unsigned p = 0; p < r->n_pipelines && !e; p++)
		e = add_cells(r, p);
	if (e)
		return e;
	r->retakes.n_rounds = r->n_rounds;
	r->samples =
		calloc((size_t)r->n_rounds * r->n_cells, sizeof(*r->samples));
	return r->samples ? 0 : -ENOMEM;
}

static void say_progress(const struct jt_rounds *r, unsigned round,
			 unsigned cell)
{
	const struct jt_cell *c = &r->cells[cell];
	unsigned all = r->n_rounds * r->n_cells;
	unsigned done = r->n_slices - r->retakes.n;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%3u %%  round %u of %u, pipeline %3u, %-10s",
			100 * done / all, round + 1, r->n_rounds, c->pipeline,
			c->name);
	else if (done % r->n_cells == 0)
		fprintf(stderr, "round %u of %u\n", round + 1, r->n_rounds);
}

void jt_rounds_say_failure(struct jt_subject *s, unsigned pipeline, int e,
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

void jt_rounds_clocks(const struct jt_rounds *r,
		      const struct jt_subject *subject, struct jt_moment *at)
{
	jt_machine_times(r->subjects->machine, &at->machine);
	at->server_ns = jt_process_cpu_ns(&subject->process);
	at->client_ns = jt_machine_own_cpu_ns();
}

void jt_rounds_judge(struct jt_rounds *r, const struct jt_moment *from,
		     const struct jt_moment *to, double wall_ns,
		     struct jt_had *out)
{
	const struct jt_machine *m = r->subjects->machine;
	double cores = m->server_cpu == m->client_cpu ? 1 : 2, known_ns;
	double stolen_ns =
		(double)(to->machine.stolen_ns - from->machine.stolen_ns);

	known_ns = (double)(to->machine.idle_ns - from->machine.idle_ns +
			    to->client_ns - from->client_ns + to->server_ns -
			    from->server_ns) +
		   stolen_ns;
	*out = jt_had_of(stolen_ns / wall_ns, cores - known_ns / wall_ns,
			 JT_KEEP_FOREIGN_MAX);
	if (out->stolen > JT_KEEP_STOLEN_MAX)
		r->n_stolen++;
	else if (out->foreign > JT_KEEP_FOREIGN_MAX)
		r->n_foreign++;
	if (r->keep_all)
		out->excess = 0;
}

bool jt_rounds_answered(const struct jt_load *load, const struct jt_scan *scan)
{
	uint64_t right = scan->expected;

	if (load->tolerated)
		right += jt_scan_others(scan, load->tolerated);
	return right == scan->replies;
}

static void fill_sample(struct jt_sample *out,
			const struct jt_loadgen_result *got,
			const struct jt_moment *from,
			const struct jt_moment *to)
{
	double n = (double)got->scan.replies, wall_ns = (double)got->wall_ns;
	double cpu_ns = (double)(to->server_ns - from->server_ns);
	const struct jt_histogram *h = &got->latency;
	double *v = out->values;

	v[JT_METRIC_RATE] = n * 1e9 / wall_ns;
	v[JT_METRIC_P50_US] = (double)jt_histogram_quantile_ns(h, 0.5) / 1e3;
	v[JT_METRIC_P99_US] = (double)jt_histogram_quantile_ns(h, 0.99) / 1e3;
	v[JT_METRIC_CPU_NS] = cpu_ns / n;
	v[JT_METRIC_CLIENT_NS] = (double)(to->client_ns - from->client_ns) / n;
	v[JT_METRIC_BUSY] = cpu_ns / wall_ns;
	v[JT_METRIC_REPLY_BYTES] = (double)got->scan.bytes / n;
}

/* Warm up, then measure one slice of CELL into GOT[0] and *OUT. */
static int measure(struct jt_rounds *r, const struct jt_cell *cell,
		   struct jt_loadgen_result got[2], struct jt_sample *out)
{
	struct jt_loadgen *lg = cell->subject->loadgen;
	struct jt_moment from, to;
	int e;

	e = jt_loadgen_spin(lg, r->warm_ms * 1000000ull, &got[1]);
	if (e)
		return e;
	jt_rounds_clocks(r, cell->subject, &from);
	e = jt_loadgen_spin(lg, r->slice_ms * 1000000ull, &got[0]);
	if (e)
		return e;
	jt_rounds_clocks(r, cell->subject, &to);
	e = jt_loadgen_stop(lg, &got[1]);
	if (e)
		return e;
	if (!jt_rounds_answered(cell->load, &got[0].scan) ||
	    !jt_rounds_answered(cell->load, &got[1].scan))
		return -EPROTO;
	if (!got[0].scan.replies)
		return -ETIME;
	jt_rounds_judge(r, &from, &to, (double)got[0].wall_ns, &out->had);
	fill_sample(out, &got[0], &from, &to);
	return 0;
}

/*
 * GCRA: from its first request to now at most the burst, and one more for each
 * interval, and one for the interval under way.
 */
static int count_limited(struct jt_rounds *r,
			 const struct jt_loadgen_result got[2])
{
	uint64_t passed_ns = jt_machine_now_ns() - r->limited_first_ns;
	uint64_t allowed =
		JT_JETON_BURST + 1 + passed_ns / (1000000000u / JT_JETON_RATE);

	for (unsigned k = 0; k < 2; k++) {
		r->limited_admitted += got[k].scan.expected;
		r->limited_refused +=
			got[k].scan.replies - got[k].scan.expected;
	}
	if (r->limited_admitted <= allowed)
		return 0;
	r->limited_beyond = r->limited_admitted - allowed;
	fprintf(stderr,
		"\njeton-bench: FAILED: one token was admitted %llu times, "
		"%llu times more than its limit allows\n",
		(unsigned long long)r->limited_admitted,
		(unsigned long long)r->limited_beyond);
	return -EPROTO;
}

static int take_slice(struct jt_rounds *r, unsigned i,
		      struct jt_loadgen_result got[2], struct jt_sample *out)
{
	const struct jt_cell *c = &r->cells[i];
	const struct jt_load *load = c->load;
	bool limited = strcmp(load->name, "limited") == 0;
	int e;

	if (jt_process_interrupted())
		return -EINTR;
	memset(got, 0, 2 * sizeof(*got));
	jt_scan_init(&got[0].scan, load->want_type, load->want);
	jt_scan_init(&got[1].scan, load->want_type, load->want);
	if (limited && !r->limited_first_ns)
		r->limited_first_ns = jt_machine_now_ns();
	jt_loadgen_start(c->subject->loadgen, &load->requests, c->pipeline,
			 JT_ORDER_RANDOM, jt_random_next(&r->seed));
	e = measure(r, c, got, out);
	r->n_slices++;
	if (e)
		jt_rounds_say_failure(c->subject, c->pipeline, e,
				      got[0].scan.n_others ? &got[0].scan
							   : &got[1].scan);
	return !e && limited ? count_limited(r, got) : e;
}

/* A slice of cell I: of all attempts the least disturbed. */
static int run_slice(struct jt_rounds *r, unsigned round, unsigned i,
		     struct jt_loadgen_result got[2])
{
	struct jt_sample *kept = jt_rounds_sample(r, round, i), one;
	uint64_t from_ns, cost_ns;
	unsigned tries = 0;
	int e;

	say_progress(r, round, i);
	do {
		from_ns = jt_machine_now_ns();
		e = take_slice(r, i, got, &one);
		if (e)
			return e;
		cost_ns = jt_machine_now_ns() - from_ns;
		if (jt_had_less(&one.had, &kept->had))
			*kept = one;
	} while (jt_retakes_again(&r->retakes, round, tries++, &kept->had,
				  cost_ns));
	return 0;
}

/* The cells FROM..FROM+N-1 once each: rotated, every other round mirrored. */
static int run_depth(struct jt_rounds *r, unsigned round, unsigned from,
		     unsigned n, struct jt_loadgen_result *got)
{
	unsigned k;
	int e = 0;

	for (unsigned i = 0; i < n && !e; i++) {
		k = round % 2 ? n - 1 - i : i;
		e = run_slice(r, round, from + (k + round / 2) % n, got);
	}
	return e;
}

static int run_round(struct jt_rounds *r, unsigned round,
		     struct jt_loadgen_result *got)
{
	unsigned from = 0, n;
	int e = 0;

	for (; from < r->n_cells && !e; from += n) {
		for (n = 1;
		     from + n < r->n_cells &&
		     r->cells[from + n].pipeline == r->cells[from].pipeline;)
			n++;
		e = run_depth(r, round, from, n, got);
	}
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
	jt_scan_init(&got->scan, s->load.want_type, s->load.want);
	jt_loadgen_start(s->loadgen, &s->load.requests, TOUCH_PIPELINE,
			 JT_ORDER_ONCE, 0);
	e = jt_loadgen_spin(s->loadgen, UINT64_MAX, got);
	if (!e && got->scan.expected != s->load.requests.n)
		e = -EPROTO;
	if (e)
		jt_rounds_say_failure(s, TOUCH_PIPELINE, e, &got->scan);
	s->touch_s = (double)got->wall_ns / 1e9;
	return e;
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
		e = run_round(r, round, got);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%70s\r", "");
	free(got);
	return e;
}

void jt_rounds_free(struct jt_rounds *r)
{
	for (unsigned k = 0; k < JT_WORKLOADS; k++)
		jt_tokens_free_requests(&r->loads[k].requests);
	free(r->samples);
	r->samples = NULL;
}
