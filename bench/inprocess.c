/*
 * inprocess: the verb `inprocess`: what one verification takes where it is
 * needed, by libjeton and over the socket.
 *
 * One daemon, the same tokens, drawn at random; one connection with one request
 * under way, and one handle. Slices of both are interleaved, the order changes
 * from round to round, and the ratio of the two medians is made within a round.
 * A single call of the library is timed by reading the clock around it; what
 * that costs by itself is measured in every round, too, and taken off. Which
 * slices count, and which are taken again: keep.h.
 */
#include "bench/options.h"

#include "bench/findings.h"
#include "bench/jeton.h"
#include "bench/machine.h"
#include "bench/pairs.h"
#include "bench/random.h"
#include "bench/scratch.h"
#include "bench/watch.h"
#include "shm/jeton.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64u

struct flags {
	uint64_t rounds, slice_ms, tokens, seed, retake_s;
	bool keep_all;
	const char *json, *tmp;
};

enum {
	SOCKET,
	SINGLE,
	BATCHED,
	CLOCK,
	WAYS,
};

struct bench {
	const struct flags *flags;
	struct jt_machine machine;
	struct jt_process daemon;
	struct jt_tokens tokens;
	struct jt_requests requests;
	struct jt_loadgen *loadgen;
	struct jeton *handle;
	uint64_t random;
	struct jt_loadgen_result slice;
	struct jt_watch watch;
	struct jt_retakes retakes;
	struct jt_had had[WAYS][JT_SUMMARY_MAX];
	double p50_ns[WAYS][JT_SUMMARY_MAX];
	double p99_ns[WAYS][JT_SUMMARY_MAX];
};

static const char usage[] =
	"usage: jeton-bench inprocess [FLAGS]\n"
	"Compare libjeton with the socket, one request at a time, in one run.\n"
	"\n"
	"  --rounds N        slices of each (4)\n"
	"  --slice-ms N      length of a slice (1000)\n"
	"  --retake-s N      for slices that others disturbed, in all (10)\n"
	"  --tokens N        (1000000)\n"
	"  --seed N          of the order of requests (1)\n"
	"  --keep-all        count disturbed slices too (for smoke tests)\n"
	"  --json FILE       write everything measured; `jeton-bench page` "
	"shows it\n"
	"  --tmp DIR         journal, sockets, logs; deleted at the end "
	"(/tmp)\n"
	"\nExit: 0 measured, 1 failed, 2 usage.\n";

static const struct option options[] = {
	{"rounds", required_argument, NULL, 'r'},
	{"slice-ms", required_argument, NULL, 'm'},
	{"tokens", required_argument, NULL, 'n'},
	{"retake-s", required_argument, NULL, 'R'},
	{"keep-all", no_argument, NULL, 'k'},
	{"seed", required_argument, NULL, 'S'},
	{"json", required_argument, NULL, 'j'},
	{"tmp", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool take_flag(void *flags, int c)
{
	struct flags *f = flags;

	switch (c) {
	case 'r':
		return jt_options_number("rounds", optarg, 1, JT_SUMMARY_MAX,
					 &f->rounds);
	case 'm':
		return jt_options_number("slice-ms", optarg, 10, 60000,
					 &f->slice_ms);
	case 'n':
		/* fewer would meet their rate limit */
		return jt_options_number("tokens", optarg, 10000, 100000000,
					 &f->tokens);
	case 'R':
		return jt_options_number("retake-s", optarg, 0, 100000,
					 &f->retake_s);
	case 'k':
		return f->keep_all = true;
	case 'S':
		return jt_options_number("seed", optarg, 0, UINT64_MAX >> 1,
					 &f->seed);
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

/* As a request would bring it: just written. */
static void any_token(struct bench *b, char out[JT_TOKEN_BYTES])
{
	memcpy(out, b->tokens.values[jt_random_below(&b->random, b->tokens.n)],
	       JT_TOKEN_BYTES);
}

static int wrong(int rc, uint32_t word)
{
	fprintf(stderr, "jeton-bench: libjeton says %s%s%s\n", jeton_word(word),
		rc ? ": " : "", rc ? jeton_strerror(rc) : "");
	return rc ? rc : -EPROTO;
}

static int run_single(struct bench *b, uint64_t end_ns)
{
	uint64_t before_ns, after_ns = 0;
	struct jeton_verdict v;

	do {
		char token[JT_TOKEN_BYTES];
		int rc;

		any_token(b, token);
		before_ns = jt_machine_now_ns();
		rc = jeton_verify(b->handle, token, JT_TOKEN_BYTES, NULL, &v);
		after_ns = jt_machine_now_ns();
		if (rc || v.word != JETON_VALID || v.flags)
			return wrong(rc, v.word);
		jt_histogram_add(&b->slice.latency, after_ns - before_ns, 1);
	} while (after_ns < end_ns);
	return 0;
}

static int run_batched(struct bench *b, uint64_t end_ns)
{
	char values[BATCH][JT_TOKEN_BYTES];
	struct jeton_token tokens[BATCH];
	struct jeton_verdict v[BATCH];
	uint64_t before_ns, after_ns = 0;

	do {
		int rc;

		for (unsigned i = 0; i < BATCH; i++) {
			any_token(b, values[i]);
			tokens[i] =
				(struct jeton_token){values[i], JT_TOKEN_BYTES};
		}
		before_ns = jt_machine_now_ns();
		rc = jeton_verify_batch(b->handle, BATCH, tokens, NULL, v);
		after_ns = jt_machine_now_ns();
		for (unsigned i = 0; i < BATCH; i++)
			if (rc || v[i].word != JETON_VALID)
				return wrong(rc, v[i].word);
		jt_histogram_add(&b->slice.latency,
				 (after_ns - before_ns) / BATCH, BATCH);
	} while (after_ns < end_ns);
	return 0;
}

static int run_clock(struct bench *b, uint64_t end_ns)
{
	uint64_t before_ns, after_ns;

	do {
		before_ns = jt_machine_now_ns();
		after_ns = jt_machine_now_ns();
		jt_histogram_add(&b->slice.latency, after_ns - before_ns, 1);
	} while (after_ns < end_ns);
	return 0;
}

static int run_socket(struct bench *b, enum jt_loadgen_order order,
		      unsigned pipeline, uint64_t time_ns)
{
	int rc;

	jt_scan_init(&b->slice.scan, '$', "VALID");
	jt_loadgen_start(b->loadgen, &b->requests, pipeline, order,
			 jt_random_next(&b->random));
	rc = jt_loadgen_spin(b->loadgen, time_ns, &b->slice);
	if (!rc)
		rc = jt_loadgen_stop(b->loadgen, &b->slice);
	if (!rc && b->slice.scan.expected != b->slice.scan.replies)
		rc = -EPROTO;
	if (rc)
		fprintf(stderr, "jeton-bench: at the socket: %s\n",
			strerror(-rc));
	return rc;
}

static int take_slice(struct bench *b, unsigned way, struct jt_had *hadp)
{
	uint64_t time_ns = b->flags->slice_ms * 1000000u;
	uint64_t end_ns = jt_machine_now_ns() + time_ns;
	int rc;

	jt_histogram_init(&b->slice.latency);
	jt_watch_begin(&b->watch, &b->daemon);
	if (way == SOCKET)
		rc = run_socket(b, JT_ORDER_RANDOM, 1, time_ns);
	else if (way == SINGLE)
		rc = run_single(b, end_ns);
	else if (way == BATCHED)
		rc = run_batched(b, end_ns);
	else
		rc = run_clock(b, end_ns);
	*hadp = jt_watch_end(&b->watch, &b->daemon, 0);
	return !rc && jt_process_interrupted() ? -EINTR : rc;
}

/* One slice: of all attempts the least disturbed. */
static int run_slice(struct bench *b, unsigned way, unsigned round)
{
	const struct jt_histogram *h = &b->slice.latency;
	struct jt_had had, *kept = &b->had[way][round];
	uint64_t from_ns, cost_ns;
	unsigned tries = 0;
	int rc;

	do {
		from_ns = jt_machine_now_ns();
		rc = take_slice(b, way, &had);
		if (rc)
			return rc;
		cost_ns = jt_machine_now_ns() - from_ns;
		if (!jt_had_less(&had, kept))
			continue;
		*kept = had;
		b->p50_ns[way][round] =
			(double)jt_histogram_quantile_ns(h, 0.5);
		b->p99_ns[way][round] =
			(double)jt_histogram_quantile_ns(h, 0.99);
	} while (jt_retakes_again(&b->retakes, round, tries++, &had, cost_ns));
	return 0;
}

/* Every token once, both ways: no first touch of memory is measured. */
static int touch(struct bench *b)
{
	struct jeton_verdict v = {.word = JETON_VALID};
	int rc = run_socket(b, JT_ORDER_ONCE, 64, UINT64_MAX >> 1);

	for (size_t i = 0; i < b->tokens.n && !rc; i++) {
		rc = jeton_verify(b->handle, b->tokens.values[i],
				  JT_TOKEN_BYTES, NULL, &v);
		if (rc || v.word != JETON_VALID)
			return wrong(rc, v.word);
	}
	return rc;
}

static int run_rounds(struct bench *b)
{
	int rc = touch(b);

	for (unsigned i = 0; i < b->flags->rounds && !rc; i++) {
		for (unsigned k = 0; k < WAYS && !rc; k++)
			rc = run_slice(b, (i + k) % WAYS, i);
		b->p50_ns[SINGLE][i] -= b->p50_ns[CLOCK][i];
		b->had[SINGLE][i] =
			jt_had_both(&b->had[SINGLE][i], &b->had[CLOCK][i]);
	}
	return rc;
}

static const char *const way_words[WAYS] = {
	[SOCKET] = "VERIFY over the socket, 1 connection",
	[SINGLE] = "jeton_verify()",
	[BATCHED] = "jeton_verify_batch() of 64, each",
	[CLOCK] = "the clock alone, already taken off",
};

static void summarise(const struct bench *b, const double *figures,
		      unsigned way, struct jt_summary *out)
{
	jt_pairs_summary((struct jt_series){figures, b->had[way]},
			 b->flags->rounds, b->flags->seed, out);
}

static void ratio_of_medians(const struct bench *b, struct jt_summary *out)
{
	jt_pairs_ratio((struct jt_series){b->p50_ns[SOCKET], b->had[SOCKET]},
		       (struct jt_series){b->p50_ns[SINGLE], b->had[SINGLE]},
		       b->flags->rounds, b->flags->seed, out);
}

static void print_result(const struct bench *b)
{
	struct jt_summary p50, p99, ratio;
	char watched[96], kept[64];

	jt_watch_words(&b->watch, watched);
	printf("%s, %s; %zu tokens at random, %" PRIu64 " rounds of %" PRIu64
	       " ms, %s\n",
	       b->machine.cpu, b->machine.kernel, b->tokens.n, b->flags->rounds,
	       b->flags->slice_ms, watched);
	for (unsigned way = 0; way < WAYS; way++) {
		summarise(b, b->p50_ns[way], way, &p50);
		summarise(b, b->p99_ns[way], way, &p99);
		printf("  %-38s p50 %8.0f ns (%.0f-%.0f)   p99 %8.0f ns\n",
		       way_words[way], p50.median, p50.low, p50.high,
		       p99.median);
	}
	ratio_of_medians(b, &ratio);
	printf("  ratio of the medians, socket / jeton_verify(): %.1f "
	       "(%.1f-%.1f)  %s\n",
	       ratio.median, ratio.low, ratio.high,
	       jt_keep_words(&ratio, kept));
}

static json_t *make_findings(const struct bench *b)
{
	json_t *f = jt_findings_new("inprocess", &b->machine), *t;
	struct jt_summary p50, p99, ratio;

	jt_findings_flag(f, "tokens", json_integer((json_int_t)b->tokens.n));
	jt_findings_flag(f, "seed", json_integer((json_int_t)b->flags->seed));
	jt_findings_flag(f, "rounds",
			 json_integer((json_int_t)b->flags->rounds));
	jt_findings_flag(f, "slice_ms",
			 json_integer((json_int_t)b->flags->slice_ms));
	jt_findings_flag(f, "not_clean",
			 json_integer(b->watch.n_stolen + b->watch.n_foreign));
	jt_findings_flag(f, "taken_again", json_integer(b->retakes.n));
	ratio_of_medians(b, &ratio);
	jt_findings_goal(f, "socket_inprocess", &ratio);
	t = jt_findings_table(f, "In process beside the socket, ns",
			      "|p50|p99");
	for (unsigned way = 0; way < WAYS; way++) {
		summarise(b, b->p50_ns[way], way, &p50);
		summarise(b, b->p99_ns[way], way, &p99);
		jt_findings_row(t, "%s|%.0f|%.0f", way_words[way], p50.median,
				p99.median);
	}
	return f;
}

static int set_up(struct bench *b, const char *bin_dir, const char *dir)
{
	char socket[108], run[128];
	int rc = jt_jeton_create(bin_dir, dir, b->flags->tokens, &b->tokens);

	if (!rc)
		rc = jt_jeton_start(&b->daemon, b->machine.server_cpu, bin_dir,
				    dir, &b->tokens, socket);
	if (rc)
		return rc;
	b->tokens.n -= JT_JETON_EXTRA;
	jt_tokens_shuffle(&b->tokens, b->flags->seed);
	rc = jt_tokens_render(&b->tokens, JT_VERIFY_BEFORE, JT_VERIFY_AFTER,
			      &b->requests);
	if (!rc)
		rc = jt_loadgen_open(socket, 1, &b->loadgen);
	snprintf(run, sizeof(run), "%.90s/run", dir);
	if (!rc)
		rc = jeton_attach(run, 0, &b->handle);
	if (rc)
		fprintf(stderr, "jeton-bench: %s: %s\n", run,
			jeton_strerror(rc));
	return rc;
}

static int run(struct bench *b)
{
	char dir[64], bin_dir[PATH_MAX];
	int rc = jt_scratch_bin_dir(bin_dir);

	if (!rc)
		rc = jt_scratch_make(b->flags->tmp, dir);
	if (rc)
		return rc;
	jt_process_catch_signals();
	jt_machine_read(&b->machine);
	jt_machine_pin(b->machine.client_cpu);
	b->watch.machine = &b->machine;
	b->watch.keep_all = b->flags->keep_all;
	b->retakes.budget_ns = b->flags->retake_s * 1000000000u;
	b->retakes.n_rounds = (unsigned)b->flags->rounds;
	rc = set_up(b, bin_dir, dir);
	if (!rc)
		rc = run_rounds(b);
	if (!rc)
		print_result(b);
	if (!rc && b->flags->json)
		rc = jt_findings_write(make_findings(b), b->flags->json);
	jeton_detach(b->handle);
	jt_loadgen_close(b->loadgen);
	jt_process_stop(&b->daemon);
	jt_tokens_free_requests(&b->requests);
	jt_tokens_free(&b->tokens);
	jt_scratch_remove(dir);
	return rc;
}

int jt_verb_inprocess(int argc, char **argv)
{
	struct flags f = {
		.rounds = 4,
		.slice_ms = 1000,
		.retake_s = 10,
		.tokens = 1000000,
		.seed = 1,
		.tmp = "/tmp",
	};
	struct bench *b;
	int rc;

	rc = jt_options_read(argc, argv, options, usage, take_flag, &f);
	if (rc >= 0)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b)
		return JT_EXIT_FAILED;
	b->flags = &f;
	b->random = f.seed;
	rc = run(b);
	free(b);
	return rc ? JT_EXIT_FAILED : JT_EXIT_OK;
}
