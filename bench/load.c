/* load: the verb `load`: one server, one load, a summary of its verdicts. */
#include "bench/options.h"

#include "bench/machine.h"
#include "bench/process.h"
#include "bench/tokens.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_NS 100000000ull /* between looks for ^C */

struct flags {
	const char *socket;
	const char *tokens;
	uint64_t connections, pipeline, seconds, seed;
};

static const char usage[] =
	"usage: jeton-bench load --socket PATH --tokens FILE [FLAGS]\n"
	"Ask for the tokens in FILE, at random and without pause, and count "
	"the\n"
	"verdicts. FILE may be what `jeton create --out` wrote.\n\n"
	"  --connections N   (50)\n"
	"  --pipeline N      requests under way per connection (1)\n"
	"  --seconds N       (10)\n"
	"  --seed N          of the order of requests (1)\n"
	"\nExit: 0 every request got a verdict, 1 not so, 2 usage.\n";

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"tokens", required_argument, NULL, 't'},
	{"connections", required_argument, NULL, 'c'},
	{"pipeline", required_argument, NULL, 'p'},
	{"seconds", required_argument, NULL, 'n'},
	{"seed", required_argument, NULL, 'S'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool take_flag(void *flags, int c)
{
	struct flags *f = flags;

	switch (c) {
	case 's':
		f->socket = optarg;
		return true;
	case 't':
		f->tokens = optarg;
		return true;
	case 'c':
		return jt_options_number("connections", optarg, 1,
					 JT_LOADGEN_CONNECTIONS_MAX,
					 &f->connections);
	case 'p':
		return jt_options_number("pipeline", optarg, 1,
					 JT_LOADGEN_PIPELINE_MAX, &f->pipeline);
	case 'n':
		return jt_options_number("seconds", optarg, 1, 1000000,
					 &f->seconds);
	case 'S':
		return jt_options_number("seed", optarg, 0, UINT64_MAX >> 1,
					 &f->seed);
	default:
		return false;
	}
}

static void print_result(const struct jt_loadgen_result *got)
{
	const struct jt_histogram *h = &got->latency;
	const struct jt_scan *scan = &got->scan;
	double wall_s = (double)got->wall_ns / 1e9;

	printf("requests    %" PRIu64 " in %.2f s, %.0f/s\n", scan->replies,
	       wall_s, (double)scan->replies / wall_s);
	printf("latency us  p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
	       (double)jt_histogram_quantile_ns(h, 0.5) / 1e3,
	       (double)jt_histogram_quantile_ns(h, 0.99) / 1e3,
	       (double)jt_histogram_quantile_ns(h, 0.999) / 1e3,
	       (double)h->max_ns / 1e3);
	printf("verdicts\n");
	printf("  %12" PRIu64 "  VALID\n", scan->expected);
	for (unsigned i = 0; i < scan->n_others; i++)
		printf("  %12" PRIu64 "  %s\n", scan->others[i].n,
		       scan->others[i].text);
}

static int drive(const struct flags *f, const struct jt_requests *q,
		 struct jt_loadgen_result *got)
{
	uint64_t end_ns = jt_machine_now_ns() + f->seconds * 1000000000ull;
	struct jt_loadgen *lg;
	int r;

	r = jt_loadgen_open(f->socket, (unsigned)f->connections, &lg);
	if (r) {
		fprintf(stderr, "jeton-bench: %s: %s\n", f->socket,
			strerror(-r));
		return r;
	}
	jt_scan_init(&got->scan, '$', "VALID");
	jt_loadgen_start(lg, q, (unsigned)f->pipeline, JT_ORDER_RANDOM,
			 f->seed);
	while (!r && jt_machine_now_ns() < end_ns && !jt_process_interrupted())
		r = jt_loadgen_spin(lg, STEP_NS, got);
	if (!r)
		r = jt_loadgen_stop(lg, got);
	jt_loadgen_close(lg);
	if (r)
		fprintf(stderr, "jeton-bench: FAILED: %s\n", strerror(-r));
	print_result(got);
	return r;
}

static int load(const struct flags *f)
{
	struct jt_loadgen_result *got = calloc(1, sizeof(*got));
	struct jt_requests q = {0};
	struct jt_tokens tokens;
	int r = got ? jt_tokens_read(&tokens, f->tokens) : -ENOMEM;

	if (!r) {
		jt_tokens_shuffle(&tokens, f->seed);
		r = jt_tokens_render(&tokens, JT_VERIFY_BEFORE, JT_VERIFY_AFTER,
				     &q);
		jt_tokens_free(&tokens);
	}
	if (r) {
		fprintf(stderr, "jeton-bench: %s: %s\n", f->tokens,
			r == -ENODATA ? "no token in it" : strerror(-r));
		goto out;
	}
	jt_process_catch_signals();
	r = drive(f, &q, got);
	if (!r && got->scan.errors)
		r = -EPROTO;
out:
	jt_tokens_free_requests(&q);
	free(got);
	return r;
}

int jt_verb_load(int argc, char **argv)
{
	struct flags f = {
		.connections = 50,
		.pipeline = 1,
		.seconds = 10,
		.seed = 1,
	};
	int r;

	r = jt_options_read(argc, argv, options, usage, take_flag, &f);
	if (r >= 0)
		return r;
	if (!f.socket || !f.tokens) {
		fputs(usage, stderr);
		return JT_EXIT_USAGE;
	}
	return load(&f) ? JT_EXIT_FAILED : JT_EXIT_OK;
}
