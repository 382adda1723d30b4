/* run: the verb `run`: set up, measure, report, leave nothing behind. */
#include "bench/options.h"

#include "bench/findings.h"
#include "bench/report.h"
#include "bench/scratch.h"
#include "bench/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flags {
	uint64_t rounds, open_rounds, slice_ms, warm_ms, tokens, connections;
	uint64_t seed, retake_s;
	unsigned n_pipelines, pipelines[JT_ROUNDS_PIPELINES_MAX];
	bool keep_all, valid_only, goals_only;
	const char *subjects;
	const char *json;
	const char *percentiles;
	const char *tmp;
};

static const char usage[] =
	"usage: jeton-bench run [FLAGS]\n"
	"Compare jetond with Redis and with the bare socket, in one run.\n\n"
	"  --subjects LIST   of floor,echo,get,eval,packed,memcached,jeton,"
	"http,bare\n"
	"                    (all; rivals need redis-server and memcached)\n"
	"  --rounds N        slices of each cell (4)\n"
	"  --open-rounds N   slices of each rate of the open loop; 0: none "
	"(4)\n"
	"  --slice-ms N      length of a slice (1000)\n"
	"  --warm-ms N       before each slice, unmeasured (50)\n"
	"  --retake-s N      for slices that others disturbed, in all (20)\n"
	"  --pipelines LIST  requests under way per connection (1,16,64)\n"
	"  --connections N   (50)\n"
	"  --tokens N        (1000000)\n"
	"  --seed N          of the order of requests (1)\n"
	"  --valid-only      not also unknown, mistyped, Zipf, one hot token\n"
	"  --goals-only      only what a goal stands on, and what tells the "
	"noise\n"
	"  --keep-all        count disturbed slices too (for smoke tests)\n"
	"  --json FILE       write everything measured; `jeton-bench page` "
	"shows it\n"
	"  --percentiles DIR write the open loop's curves for HdrHistogram's "
	"plotter\n"
	"  --tmp DIR         journal, sockets, logs; deleted at the end "
	"(/tmp)\n"
	"\nExit: 0 measured, 1 failed, 2 usage.\n";

static const struct option options[] = {
	{"subjects", required_argument, NULL, 's'},
	{"rounds", required_argument, NULL, 'r'},
	{"open-rounds", required_argument, NULL, 'o'},
	{"percentiles", required_argument, NULL, 'P'},
	{"valid-only", no_argument, NULL, 'v'},
	{"slice-ms", required_argument, NULL, 'm'},
	{"warm-ms", required_argument, NULL, 'w'},
	{"pipelines", required_argument, NULL, 'p'},
	{"connections", required_argument, NULL, 'c'},
	{"tokens", required_argument, NULL, 'n'},
	{"seed", required_argument, NULL, 'S'},
	{"retake-s", required_argument, NULL, 'R'},
	{"goals-only", no_argument, NULL, 'g'},
	{"keep-all", no_argument, NULL, 'k'},
	{"json", required_argument, NULL, 'j'},
	{"tmp", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool take_flag(void *flags, int c)
{
	struct flags *f = flags;

	switch (c) {
	case 's':
		f->subjects = optarg;
		return true;
	case 'r':
		return jt_options_number("rounds", optarg, 1, JT_SUMMARY_MAX,
					 &f->rounds);
	case 'o':
		return jt_options_number("open-rounds", optarg, 0,
					 JT_SUMMARY_MAX, &f->open_rounds);
	case 'P':
		f->percentiles = optarg;
		return true;
	case 'v':
		return f->valid_only = true;
	case 'm':
		return jt_options_number("slice-ms", optarg, 10, 60000,
					 &f->slice_ms);
	case 'w':
		return jt_options_number("warm-ms", optarg, 0, 60000,
					 &f->warm_ms);
	case 'p':
		return jt_options_list(
			"pipelines", optarg, JT_ROUNDS_PIPELINES_MAX,
			JT_LOADGEN_PIPELINE_MAX, f->pipelines, &f->n_pipelines);
	case 'c':
		return jt_options_number("connections", optarg, 1,
					 JT_LOADGEN_CONNECTIONS_MAX,
					 &f->connections);
	case 'n':
		return jt_options_number("tokens", optarg, 1, 100000000,
					 &f->tokens);
	case 'S':
		return jt_options_number("seed", optarg, 0, UINT64_MAX >> 1,
					 &f->seed);
	case 'R':
		return jt_options_number("retake-s", optarg, 0, 100000,
					 &f->retake_s);
	case 'g':
		return f->goals_only = true;
	case 'k':
		return f->keep_all = true;
	case 'j':
		f->json = optarg;
		return true;
	case 't':
		f->tmp = optarg;
		return true;
	default:
		return false;
	}
}

/* All that was found, to where it was asked for. */
static int write_out(const struct jt_rounds *r, const struct jt_open *o,
		     const struct flags *f)
{
	int e = 0;

	if (f->json)
		e = jt_findings_write(jt_report_findings(r, o), f->json);
	if (!e && f->percentiles)
		e = jt_report_write_percentiles(o, f->percentiles);
	return e;
}

static int measure(struct jt_subjects *s, const struct flags *f)
{
	static struct jt_rounds rounds;
	static struct jt_open open;
	int r;

	rounds = (struct jt_rounds){
		.subjects = s,
		.n_pipelines = f->n_pipelines,
		.n_rounds = (unsigned)f->rounds,
		.slice_ms = (unsigned)f->slice_ms,
		.warm_ms = (unsigned)f->warm_ms,
		.workloads = !f->valid_only,
		.keep_all = f->keep_all,
		.goals_only = f->goals_only,
		.seed = f->seed,
	};
	open.rounds = &rounds;
	open.n_rounds = (unsigned)f->open_rounds;
	/* the open loop has a quarter: its slices are fewer */
	rounds.retakes.budget_ns = f->retake_s * 750000000u;
	open.retakes.budget_ns = f->retake_s * 250000000u;
	memcpy(rounds.pipelines, f->pipelines, sizeof(f->pipelines));
	r = jt_subjects_start(s, f->subjects);
	if (!r)
		r = jt_rounds_run(&rounds);
	if (!r)
		r = jt_open_run(&open);
	if (!r)
		jt_report_print(&rounds, &open, stdout);
	if (!r)
		r = write_out(&rounds, &open, f);
	if (r == -EINTR)
		fprintf(stderr, "\njeton-bench: interrupted\n");
	jt_rounds_free(&rounds);
	jt_subjects_stop(s);
	return r;
}

static int run(const struct flags *f)
{
	char dir[64], bin_dir[PATH_MAX];
	struct jt_machine machine;
	struct jt_subjects *s;
	int r = jt_scratch_bin_dir(bin_dir);

	if (!r)
		r = jt_scratch_make(f->tmp, dir);
	if (r)
		return r;
	jt_process_catch_signals();
	jt_machine_read(&machine);
	jt_machine_pin(machine.client_cpu);
	s = calloc(1, sizeof(*s));
	r = s ? 0 : -ENOMEM;
	if (!r) {
		*s = (struct jt_subjects){
			.machine = &machine,
			.dir = dir,
			.bin_dir = bin_dir,
			.connections = (unsigned)f->connections,
			.n_tokens = f->tokens,
			.seed = f->seed,
		};
		r = measure(s, f);
	}
	free(s);
	jt_scratch_remove(dir);
	return r;
}

int jt_verb_run(int argc, char **argv)
{
	struct flags f = {
		.rounds = 4,
		.open_rounds = 4,
		.slice_ms = 1000,
		.warm_ms = 50,
		.retake_s = 20,
		.tokens = 1000000,
		.connections = 50,
		.seed = 1,
		.n_pipelines = 3,
		.pipelines = {1, 16, 64},
		.subjects = "floor,echo,get,eval,packed,memcached,jeton,http,"
			    "bare",
		.tmp = "/tmp",
	};
	int r;

	r = jt_options_read(argc, argv, options, usage, take_flag, &f);
	if (r >= 0)
		return r;
	r = run(&f);
	if (r == JT_SUBJECTS_E_NAME)
		return JT_EXIT_USAGE;
	return r ? JT_EXIT_FAILED : JT_EXIT_OK;
}
