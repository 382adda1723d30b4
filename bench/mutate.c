/*
 * mutate: the verb `mutate`: what a caller notices of bulk changes.
 *
 * An open loop asks at a moderate fixed rate, from a core of its own; latency
 * counts from when a batch was meant to leave (loadgen.h). jetond with all its
 * processes is on the other core, and with it, in turn:
 *
 *   mutate  `jeton create --from` of a batch of tokens after the other, at so
 *           many tokens a second on average
 *   burn    one process that has nothing to do with jetond and takes as much
 *           CPU in each such period as a batch has cost: the admin tool's and
 *           what the keeper took more than without batches
 *   alone   nothing
 *
 * What a batch costs is measured in a first slice that does not count and in
 * every slice of `mutate` behind it. A round has a slice of each; every other
 * round runs backwards; ratios are made within a round. How much was applied
 * stands in jetond's own status, read before and behind each slice.
 */
#include "bench/options.h"

#include "bench/bulk.h"
#include "bench/burn.h"
#include "bench/curve.h"
#include "bench/findings.h"
#include "bench/jeton.h"
#include "bench/machine.h"
#include "bench/pairs.h"
#include "bench/random.h"
#include "bench/report.h"
#include "bench/scratch.h"
#include "bench/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#define RECORD_BYTES 256u
#define SPARE_BYTES (1ull << 30) /* of the disk, for everybody else */
#define SPARE_S 1.0		 /* a slice may take that much longer */
#define GOAL_RATE 100000u
#define REACHED 0.95 /* of the rate, or the goal's condition was not met */
#define TOUCH_PIPELINE 64u
#define PAGE_BYTES ((size_t)4096)
#define MS 1000000ull

enum way {
	MUTATE,
	BURN,
	ALONE,
	WAYS,
};

static const char *const way_words[WAYS] = {
	"during bulk creates",
	"beside a process that burns as much",
	"alone",
};

enum quantile {
	P50,
	P99,
	P999,
	QUANTILES,
};

static const double quantiles[QUANTILES] = {0.5, 0.99, 0.999};
static const char *const quantile_words[QUANTILES] = {"p50", "p99", "p99.9"};

struct flags {
	uint64_t rate, batch, load, pipeline, connections, tokens;
	uint64_t rounds, slice_ms, warm_ms, seed, retake_s;
	bool keep_all;
	const char *json, *tmp;
};

struct bench {
	const struct flags *flags;
	struct jt_machine machine;
	const char *dir;
	char bin_dir[PATH_MAX], log[128];
	struct jt_process daemon;
	struct jt_tokens tokens;
	struct jt_requests requests;
	struct jt_loadgen *loadgen;
	struct jt_bulk bulk;
	struct jt_burn burner;
	uint64_t random;
	struct jt_loadgen_result slice;
	struct jt_curve curves[WAYS];
	struct jt_had had[WAYS][JT_SUMMARY_MAX];
	struct jt_retakes retakes;
	double us[WAYS][QUANTILES][JT_SUMMARY_MAX];
	double applied_per_s[JT_SUMMARY_MAX];
	double used_s[2][JT_SUMMARY_MAX]; /* CPU per second: MUTATE, BURN */
	/* of all slices of `mutate` so far */
	double admin_ns, keeper_ns;
	uint64_t batches;
	double keeper_alone; /* its share of a core without changes */
	struct jt_watch watch;
};

/* What one slice gave beside its latencies. */
struct gain {
	struct jt_had had;
	double applied_per_s;
	double used_s;
};

static const char usage[] =
	"usage: jeton-bench mutate [FLAGS]\n"
	"Measure latency under a fixed load while tokens are created in bulk, "
	"beside an\n"
	"unrelated process that takes as much CPU, and alone.\n\n"
	"  --rate N          tokens created a second (100000)\n"
	"  --batch N         by one `jeton create --from` (10000)\n"
	"  --load N          requests a second (100000)\n"
	"  --pipeline N      (16)\n"
	"  --connections N   (50)\n"
	"  --tokens N        that are asked for (1000000)\n"
	"  --rounds N        slices of each (12)\n"
	"  --slice-ms N      length of a slice (2500)\n"
	"  --warm-ms N       before each slice, not counted (300)\n"
	"  --retake-s N      for slices that others disturbed, in all (30)\n"
	"  --seed N          of the order of requests (1)\n"
	"  --keep-all        count disturbed slices, too\n"
	"  --json FILE       write everything measured; `jeton-bench page` "
	"shows it\n"
	"  --tmp DIR         journal, sockets, logs; deleted at the end "
	"(/tmp)\n"
	"\nThe journal grows by 256 bytes a token: 1 GB with these defaults.\n"
	"Exit: 0 measured, 1 failed, 2 usage.\n";

static const struct option options[] = {
	{"rate", required_argument, NULL, 'R'},
	{"batch", required_argument, NULL, 'b'},
	{"load", required_argument, NULL, 'l'},
	{"pipeline", required_argument, NULL, 'p'},
	{"connections", required_argument, NULL, 'c'},
	{"tokens", required_argument, NULL, 'n'},
	{"rounds", required_argument, NULL, 'r'},
	{"slice-ms", required_argument, NULL, 'm'},
	{"warm-ms", required_argument, NULL, 'w'},
	{"retake-s", required_argument, NULL, 'T'},
	{"seed", required_argument, NULL, 'S'},
	{"keep-all", no_argument, NULL, 'k'},
	{"json", required_argument, NULL, 'j'},
	{"tmp", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool take_number(struct flags *f, int c)
{
	static const struct {
		int c;
		const char *name;
		uint64_t low, high;
		size_t at;
	} numbers[] = {
#define AT(field) offsetof(struct flags, field)
		{'R', "rate", 1, 10000000, AT(rate)},
		{'b', "batch", 1, 1000000, AT(batch)},
		{'l', "load", 1, 100000000, AT(load)},
		{'p', "pipeline", 1, JT_LOADGEN_PIPELINE_MAX, AT(pipeline)},
		{'c', "connections", 1, 500, AT(connections)},
		{'n', "tokens", 1, 100000000, AT(tokens)},
		{'r', "rounds", 1, JT_SUMMARY_MAX, AT(rounds)},
		{'m', "slice-ms", 10, 60000, AT(slice_ms)},
		{'w', "warm-ms", 1, 60000, AT(warm_ms)},
		{'T', "retake-s", 0, 100000, AT(retake_s)},
		{'S', "seed", 0, UINT64_MAX >> 1, AT(seed)},
#undef AT
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].c == c)
			return jt_options_number(
				numbers[i].name, optarg, numbers[i].low,
				numbers[i].high,
				(uint64_t *)((char *)f + numbers[i].at));
	return false;
}

static bool take_flag(void *flags, int c)
{
	struct flags *f = flags;

	switch (c) {
	case 'k':
		f->keep_all = true;
		return true;
	case 'j':
		f->json = optarg;
		return true;
	case 't':
		f->tmp = optarg;
		return true;
	default:
		return take_number(f, c);
	}
}

/* ---- set up ---- */

/* Tokens that the slices of `mutate` can make at the most. */
static uint64_t made_max(const struct flags *f)
{
	double slice_s = (double)(f->warm_ms + f->slice_ms) / 1e3 + SPARE_S;

	double slices = (double)(f->rounds + 1) +
			(f->keep_all ? 0 : (double)f->retake_s / slice_s);

	return (uint64_t)(slices * slice_s * (double)f->rate) +
	       (uint64_t)slices * f->batch;
}

static int check_room(const struct flags *f)
{
	uint64_t need = (made_max(f) + f->tokens) * RECORD_BYTES + SPARE_BYTES;
	struct statvfs s;
	uint64_t have;

	if (statvfs(f->tmp, &s)) {
		fprintf(stderr, "jeton-bench: %s: %s\n", f->tmp,
			strerror(errno));
		return -errno;
	}
	have = s.f_bavail * s.f_frsize;
	if (have >= need)
		return 0;
	fprintf(stderr,
		"jeton-bench: %s has %" PRIu64 " MB, this may take %" PRIu64
		": fewer --rounds, a smaller --rate, or another --tmp\n",
		f->tmp, have >> 20, need >> 20);
	return -ENOSPC;
}

/* With so much room that the table need not grow. */
static int start_daemon(struct bench *b, char socket[108])
{
	uint64_t all = b->flags->tokens + made_max(b->flags);
	char capacity[24];
	const char *const more[] = {
		"--workers", "1", "--capacity", capacity, NULL,
	};
	int r;

	snprintf(capacity, sizeof(capacity), "%" PRIu64, all + all / 2 + 64);
	r = jt_jeton_exec(&b->daemon, b->machine.server_cpu, b->bin_dir, b->dir,
			  more, socket);
	return r ? r : jt_jeton_await(&b->daemon, socket, b->tokens.values[0]);
}

static int set_up(struct bench *b)
{
	char socket[108];
	int r;

	fprintf(stderr, "jeton create: %" PRIu64 " tokens ...\n",
		b->flags->tokens);
	r = jt_jeton_create(b->bin_dir, b->dir, b->flags->tokens, &b->tokens);
	if (!r)
		r = start_daemon(b, socket);
	if (r)
		return r;
	b->tokens.n -= JT_JETON_EXTRA;
	jt_tokens_shuffle(&b->tokens, b->flags->seed);
	r = jt_tokens_render(&b->tokens, JT_VERIFY_BEFORE, JT_VERIFY_AFTER,
			     &b->requests);
	/* with little memory: creates are forked from a copy of this process */
	jt_tokens_free(&b->tokens);
	if (!r)
		madvise(b->requests.bytes,
			b->requests.n * b->requests.each_bytes & -PAGE_BYTES,
			MADV_DONTFORK);
	if (!r)
		r = jt_loadgen_open(socket, (unsigned)b->flags->connections,
				    &b->loadgen);
	if (!r)
		r = jt_bulk_prepare(&b->bulk);
	if (r)
		fprintf(stderr, "jeton-bench: %s: %s\n", socket, strerror(-r));
	return r;
}

/* ---- slices ---- */

static int wrong(const struct bench *b, int r)
{
	if (!r && b->slice.scan.expected != b->slice.scan.replies)
		r = -EPROTO;
	if (r && r != -EINTR)
		fprintf(stderr, "jeton-bench: under load: %s; it said: %s\n",
			strerror(-r), b->slice.scan.others[0].text);
	return r;
}

/* Every token once: no first touch of memory is measured. */
static int touch(struct bench *b)
{
	memset(&b->slice, 0, sizeof(b->slice));
	jt_scan_init(&b->slice.scan, '$', "VALID");
	jt_loadgen_start(b->loadgen, &b->requests, TOUCH_PIPELINE,
			 JT_ORDER_ONCE, 0);
	return wrong(b,
		     jt_loadgen_spin(b->loadgen, UINT64_MAX >> 1, &b->slice));
}

static int pace(struct bench *b, uint64_t ms)
{
	double per_s = (double)b->flags->load / (double)b->flags->pipeline;
	struct jt_schedule schedule;
	int r;

	memset(&b->slice, 0, sizeof(b->slice));
	jt_scan_init(&b->slice.scan, '$', "VALID");
	jt_schedule_init(&schedule, per_s, false, jt_random_next(&b->random));
	r = jt_loadgen_pace(b->loadgen, &b->requests,
			    (unsigned)b->flags->pipeline, &schedule, ms * MS,
			    jt_random_next(&b->random), &b->slice);
	return wrong(b, r);
}

/* `applied` of jetond's status, and when it was. */
static int read_applied(const struct bench *b, double *appliedp, uint64_t *nsp)
{
	json_t *status = jt_jeton_status(b->bin_dir, b->dir);
	const json_t *applied = json_object_get(status, "applied");
	int r = json_is_integer(applied) ? 0 : -EPROTO;

	*nsp = jt_machine_now_ns();
	*appliedp = (double)json_integer_value(applied);
	json_decref(status);
	if (r)
		fprintf(stderr, "jeton-bench: jeton status --json tells no "
				"number\n");
	return r;
}

/* CPU time that a batch costs, as far as is known. */
static double batch_ns(const struct bench *b)
{
	return b->batches ? (b->admin_ns + b->keeper_ns) / (double)b->batches
			  : 0;
}

static double period_ns(const struct bench *b)
{
	return (double)b->flags->batch * 1e9 / (double)b->flags->rate;
}

static int start_other(struct bench *b, enum way way)
{
	if (way == MUTATE)
		return jt_bulk_start(&b->bulk);
	if (way == ALONE)
		return 0;
	b->burner.period_ns = period_ns(b);
	b->burner.each_ns = batch_ns(b);
	return jt_burn_start(&b->burner);
}

/* Stop it and take into account what it, and the keeper meanwhile, has had. */
static int stop_other(struct bench *b, enum way way, uint64_t from_ns,
		      uint64_t keeper_from_ns, double *used_sp)
{
	double keeper_ns, wall_ns;
	int r = way == MUTATE ? jt_bulk_stop(&b->bulk)
			      : jt_burn_stop(&b->burner);

	if (r)
		return r;
	wall_ns = (double)(jt_machine_now_ns() - from_ns);
	keeper_ns =
		(double)(jt_process_alone_cpu_ns(&b->daemon) - keeper_from_ns);
	if (way == ALONE)
		b->keeper_alone = keeper_ns / wall_ns;
	if (way == BURN)
		*used_sp = (double)b->burner.cpu_ns /
			   ((double)b->burner.periods * period_ns(b));
	if (way != MUTATE)
		return 0;
	keeper_ns -= b->keeper_alone * wall_ns;
	keeper_ns = keeper_ns > 0 ? keeper_ns : 0;
	b->admin_ns += (double)b->bulk.cpu_ns;
	b->keeper_ns += keeper_ns;
	b->batches += b->bulk.batches;
	*used_sp = ((double)b->bulk.cpu_ns + keeper_ns) /
		   ((double)b->bulk.batches * period_ns(b));
	return 0;
}

/* One slice, its latencies into b->slice. */
static int take_slice(struct bench *b, enum way way, struct gain *out)
{
	uint64_t keeper_ns, from_ns, to_ns;
	double before, after = 0;
	int r, e;

	*out = (struct gain){0};
	b->bulk.cpu_ns = b->burner.cpu_ns = 0;
	r = read_applied(b, &before, &from_ns);
	keeper_ns = jt_process_alone_cpu_ns(&b->daemon);
	jt_watch_begin(&b->watch, &b->daemon);
	if (!r)
		r = start_other(b, way);
	if (!r)
		r = pace(b, b->flags->warm_ms);
	if (!r)
		r = pace(b, b->flags->slice_ms);
	if (!r)
		r = read_applied(b, &after, &to_ns);
	e = stop_other(b, way, from_ns, keeper_ns, &out->used_s);
	out->had = jt_watch_end(&b->watch, &b->daemon,
				b->bulk.cpu_ns + b->burner.cpu_ns);
	if (!r && way == MUTATE)
		out->applied_per_s =
			(after - before) * 1e9 / (double)(to_ns - from_ns);
	if (!r && way != MUTATE && after != before)
		r = -EPROTO; /* somebody else changes this journal */
	return r ? r : e;
}

static void keep(struct bench *b, enum way way, unsigned round,
		 const struct gain *gain)
{
	const struct jt_histogram *h = &b->slice.latency;

	jt_curve_add(&b->curves[way], h, &gain->had);
	if (!jt_had_less(&gain->had, &b->had[way][round]))
		return;
	b->had[way][round] = gain->had;
	for (unsigned q = 0; q < QUANTILES; q++)
		b->us[way][q][round] =
			(double)jt_histogram_quantile_ns(h, quantiles[q]) / 1e3;
	if (way != ALONE)
		b->used_s[way][round] = gain->used_s;
	if (way == MUTATE)
		b->applied_per_s[round] = gain->applied_per_s;
}

/* One slice: of all attempts the least disturbed. */
static int run_slice(struct bench *b, enum way way, unsigned round)
{
	uint64_t from_ns, cost_ns;
	unsigned tries = 0;
	struct gain gain;
	int r;

	do {
		from_ns = jt_machine_now_ns();
		r = take_slice(b, way, &gain);
		if (!r && jt_process_interrupted())
			r = -EINTR;
		if (r)
			return r;
		keep(b, way, round, &gain);
		cost_ns = jt_machine_now_ns() - from_ns;
	} while (jt_retakes_again(&b->retakes, round, tries++, &gain.had,
				  cost_ns));
	return 0;
}

/* What a batch costs is known before the first slice that burns as much. */
static int calibrate(struct bench *b)
{
	struct gain gain;
	int r = take_slice(b, ALONE, &gain);

	return r ? r : take_slice(b, MUTATE, &gain);
}

static int run_rounds(struct bench *b)
{
	unsigned way;
	int r = touch(b);

	if (!r)
		r = calibrate(b);
	for (unsigned round = 0; round < b->flags->rounds && !r; round++) {
		fprintf(stderr, "round %u of %" PRIu64 "\n", round + 1,
			b->flags->rounds);
		for (unsigned k = 0; k < WAYS && !r; k++) {
			way = jt_pairs_way(round, k, WAYS);
			r = run_slice(b, (enum way)way, round);
		}
	}
	return r;
}

/* ---- what was found ---- */

/* HAD: of the slices that the figures are of. */
static void summarise(const struct bench *b, const double *figures,
		      const struct jt_had *had, struct jt_summary *out)
{
	jt_pairs_summary((struct jt_series){figures, had}, b->flags->rounds,
			 b->flags->seed, out);
}

static void ratio(const struct bench *b, enum way over, enum way under,
		  enum quantile q, struct jt_summary *out)
{
	jt_pairs_ratio((struct jt_series){b->us[over][q], b->had[over]},
		       (struct jt_series){b->us[under][q], b->had[under]},
		       b->flags->rounds, b->flags->seed, out);
}

static bool rate_reached(const struct bench *b)
{
	struct jt_summary s;

	summarise(b, b->applied_per_s, b->had[MUTATE], &s);
	return s.median >= REACHED * (double)b->flags->rate;
}

static const struct {
	enum way over, under;
	enum quantile q;
	const char *words;
} compared[] = {
	{MUTATE, BURN, P50, "p50, bulk creates / burning as much"},
	{MUTATE, BURN, P99, "p99, bulk creates / burning as much"},
	{MUTATE, BURN, P999, "p99.9, bulk creates / burning as much"},
	{BURN, ALONE, P99, "p99, burning as much / alone"},
	{MUTATE, ALONE, P99, "p99, bulk creates / alone"},
};
#define COMPARED (sizeof(compared) / sizeof(compared[0]))

static void print_result(const struct bench *b)
{
	struct jt_summary s, used, burnt;
	char x[32], watched[96], kept[64];

	jt_watch_words(&b->watch, watched);
	printf("%s, %s; %" PRIu64 " requests/s, pipeline %" PRIu64 ", %" PRIu64
	       " connections, open loop; %" PRIu64 " rounds of %" PRIu64
	       " ms, %s\n",
	       b->machine.cpu, b->machine.kernel, b->flags->load,
	       b->flags->pipeline, b->flags->connections, b->flags->rounds,
	       b->flags->slice_ms, watched);
	summarise(b, b->applied_per_s, b->had[MUTATE], &s);
	summarise(b, b->used_s[MUTATE], b->had[MUTATE], &used);
	summarise(b, b->used_s[BURN], b->had[BURN], &burnt);
	printf("%s tokens applied per second (%.0f-%.0f), in batches of "
	       "%" PRIu64
	       "; CPU %.3f of a core, of it the keeper %.3f; burnt %.3f\n",
	       jt_report_grouped(s.median, x), s.low, s.high, b->flags->batch,
	       used.median,
	       b->keeper_ns / (b->admin_ns + b->keeper_ns + 1) * used.median,
	       burnt.median);
	for (unsigned way = 0; way < WAYS; way++) {
		printf("  %-36s", way_words[way]);
		for (unsigned q = 0; q < QUANTILES; q++) {
			summarise(b, b->us[way][q], b->had[way], &s);
			printf("  %s %.0f us", quantile_words[q], s.median);
		}
		printf("\n");
	}
	for (unsigned i = 0; i < COMPARED; i++) {
		ratio(b, compared[i].over, compared[i].under, compared[i].q,
		      &s);
		printf("  %-40s %6.2f  %.2f to %.2f  %s\n", compared[i].words,
		       s.median, s.low, s.high, jt_keep_words(&s, kept));
	}
	if (!rate_reached(b))
		printf("  the rate was not reached: this is no figure for "
		       "it\n");
}

static void add_table(const struct bench *b, json_t *f)
{
	json_t *t =
		jt_findings_table(f, "Latency while tokens are created, us",
				  "|p50|p99|p99.9|CPU, of a core|applied/s");
	struct jt_summary s, us[QUANTILES];
	char applied[32];

	for (unsigned way = 0; way < WAYS; way++) {
		for (unsigned q = 0; q < QUANTILES; q++)
			summarise(b, b->us[way][q], b->had[way], &us[q]);
		summarise(b, b->applied_per_s, b->had[MUTATE], &s);
		jt_report_grouped(way == MUTATE ? s.median : 0, applied);
		s = (struct jt_summary){0};
		if (way != ALONE)
			summarise(b, b->used_s[way], b->had[way], &s);
		jt_findings_row(t, "%s|%.0f|%.0f|%.0f|%.3f|%s", way_words[way],
				us[P50].median, us[P99].median, us[P999].median,
				s.median, applied);
	}
}

static void add_curves(const struct bench *b, json_t *f)
{
	json_t *p = jt_findings_plot(
		f, "percentiles", "Latency while tokens are created",
		"percentile", "microseconds",
		"Open loop. The process that burns takes as much CPU time in "
		"each period as a batch has cost, on the same core.");

	for (unsigned way = 0; way < WAYS; way++) {
		json_t *line = jt_plot_series(p, way_words[way]);
		struct jt_histogram_step step = {0};

		while (jt_histogram_next(&b->curves[way].all, &step))
			if (step.share < 1)
				jt_plot_point(line, 1 / (1 - step.share),
					      (double)step.ns / 1e3, 0, 0);
	}
}

static json_t *make_findings(const struct bench *b)
{
	json_t *f = jt_findings_new("mutate", &b->machine);
	struct jt_summary s;
	char words[128];

	jt_findings_flag(f, "rate", json_integer((json_int_t)b->flags->rate));
	jt_findings_flag(f, "batch", json_integer((json_int_t)b->flags->batch));
	jt_findings_flag(f, "load", json_integer((json_int_t)b->flags->load));
	jt_findings_flag(f, "pipeline",
			 json_integer((json_int_t)b->flags->pipeline));
	jt_findings_flag(f, "rounds",
			 json_integer((json_int_t)b->flags->rounds));
	jt_findings_flag(f, "slice_ms",
			 json_integer((json_int_t)b->flags->slice_ms));
	jt_findings_flag(f, "taken_again", json_integer(b->retakes.n));
	jt_findings_flag(f, "batch_cpu_ms", json_real(batch_ns(b) / 1e6));
	summarise(b, b->applied_per_s, b->had[MUTATE], &s);
	jt_findings_flag(f, "applied_per_s", json_real(s.median));
	for (unsigned i = 0; i < COMPARED; i++) {
		ratio(b, compared[i].over, compared[i].under, compared[i].q,
		      &s);
		snprintf(words, sizeof(words),
			 "pipeline %" PRIu64 ", %" PRIu64 " created/s: %s",
			 b->flags->pipeline, b->flags->rate, compared[i].words);
		jt_findings_ratio(f, words, &s);
		if (i == P99 && b->flags->rate >= GOAL_RATE && rate_reached(b))
			jt_findings_goal(f, "p99_mutations", &s);
	}
	add_table(b, f);
	add_curves(b, f);
	return f;
}

static int run(struct bench *b)
{
	char dir[64];
	int r = jt_scratch_bin_dir(b->bin_dir);

	if (!r)
		r = check_room(b->flags);
	if (!r)
		r = jt_scratch_make(b->flags->tmp, dir);
	if (r)
		return r;
	b->dir = dir;
	jt_process_catch_signals();
	jt_machine_read(&b->machine);
	jt_machine_pin(b->machine.client_cpu);
	b->watch.machine = &b->machine;
	b->watch.keep_all = b->flags->keep_all;
	b->retakes.budget_ns = b->flags->retake_s * 1000 * MS;
	b->retakes.n_rounds = (unsigned)b->flags->rounds;
	snprintf(b->log, sizeof(b->log), "%s/burn.log", dir);
	b->bulk = (struct jt_bulk){
		.bin_dir = b->bin_dir,
		.dir = dir,
		.cpu = b->machine.server_cpu,
		.per_s = (double)b->flags->rate,
		.batch = (unsigned)b->flags->batch,
	};
	b->burner = (struct jt_burn){
		.log = b->log,
		.cpu = b->machine.server_cpu,
	};
	r = set_up(b);
	if (!r)
		r = run_rounds(b);
	if (!r)
		print_result(b);
	if (!r && b->flags->json)
		r = jt_findings_write(make_findings(b), b->flags->json);
	jt_loadgen_close(b->loadgen);
	jt_process_stop(&b->daemon);
	jt_tokens_free_requests(&b->requests);
	jt_tokens_free(&b->tokens);
	jt_scratch_remove(dir);
	return r;
}

int jt_verb_mutate(int argc, char **argv)
{
	struct flags f = {
		.rate = 100000,
		.batch = 10000,
		.load = 100000,
		.pipeline = 16,
		.connections = 50,
		.tokens = 1000000,
		.rounds = 12,
		.slice_ms = 2500,
		.warm_ms = 300,
		.seed = 1,
		.retake_s = 30,
		.tmp = "/tmp",
	};
	struct bench *b;
	int r;

	r = jt_options_read(argc, argv, options, usage, take_flag, &f);
	if (r >= 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return JT_EXIT_FAILED;
	b->flags = &f;
	b->random = f.seed;
	r = run(b);
	free(b);
	return r ? JT_EXIT_FAILED : JT_EXIT_OK;
}
