/*
 * table_verb: the verb `table`: what a verification in process takes, against
 * the number of tokens and against what the machine can do at all.
 *
 * For each size a lender (lender.h) fills a table and libjeton attaches to it.
 * A round has one slice of each way: single calls in a loop, batches of 32, and
 * the floors of dram.h in the very same table; the order changes from round to
 * round, and ratios are made within a round. Tokens are made in chunks just
 * before they are asked for, as a request would have brought them, and their
 * making is not timed. Each token is asked for once before, so that no first
 * touch is measured.
 *
 * A slice is clean if the host stole little and this process had 98 % of its
 * core; which others count, and which are taken again: keep.h.
 */
#include "bench/options.h"

#include "bench/derived.h"
#include "bench/dram.h"
#include "bench/findings.h"
#include "bench/hot.h"
#include "bench/pairs.h"
#include "bench/random.h"
#include "bench/report.h"
#include "bench/scratch.h"
#include "shm/jeton.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZES_MAX 8u
#define CHUNK 1024u
#define BATCH 32u
#define FOREIGN_MAX 0.02

enum way {
	SINGLE,
	BATCHED,
	DEPENDENT,
	PREFETCHED,
	BLAKE2B,
	SIPHASH,
	WAYS,
};

static const char *const way_names[WAYS] = {
	"jeton_verify()",
	"jeton_verify_batch() of 32, each",
	"one dependent read of a line of the table",
	"one prefetched read, groups of 32",
	"one BLAKE2b-256 of 64 bytes",
	"one SipHash-2-4-128 of 64 bytes",
};

struct flags {
	unsigned n_sizes, sizes[SIZES_MAX];
	uint64_t rounds, slice_ms, seed, retake_s;
	bool keep_all;
	const char *json, *tmp;
};

/* Of one way: a figure a round, and who else had the cores. */
struct found {
	double figures[JT_SUMMARY_MAX];
	struct jt_had had[JT_SUMMARY_MAX];
};

/* What was found at one size. */
struct size {
	struct found ns[WAYS];
	double bytes_per_token, fill_s;
	uint64_t large_shared, large_own;
};

struct bench {
	const struct flags *flags;
	struct jt_machine machine;
	const char *dir;
	struct jt_lender lender;
	struct jt_maps maps;
	struct jeton *handle;
	uint64_t random;
	char values[CHUNK][JT_TOKEN_BYTES];
	struct jeton_token tokens[CHUNK];
	struct jeton_verdict verdicts[CHUNK];
	struct size sizes[SIZES_MAX];
	unsigned n_slices, n_disturbed;
	unsigned n_rounds; /* so far, of all sizes */
	struct jt_retakes retakes;
	struct jt_hot hot;
	struct found hot_per_s[JT_HOT_WAYS][2];
};

static const char usage[] =
	"usage: jeton-bench table [FLAGS]\n"
	"Measure libjeton against the number of tokens, and against memory and "
	"hashes\n"
	"alone; and one token that two processes ask for.\n\n"
	"  --sizes LIST      numbers of tokens, at most 8; 10^8 takes 25 GB\n"
	"                    (1000,10000,100000,1000000)\n"
	"  --rounds N        slices of each (4)\n"
	"  --slice-ms N      length of a slice (1000)\n"
	"  --retake-s N      for slices that others disturbed, in all (20)\n"
	"  --seed N          of tokens and their order (1)\n"
	"  --keep-all        count disturbed slices too (for smoke tests)\n"
	"  --json FILE       write everything measured; `jeton-bench page` "
	"shows it\n"
	"  --tmp DIR         sockets, logs; deleted at the end (/tmp)\n"
	"\nExit: 0 measured, 1 failed, 2 usage.\n";

static const struct option options[] = {
	{"sizes", required_argument, NULL, 's'},
	{"rounds", required_argument, NULL, 'r'},
	{"slice-ms", required_argument, NULL, 'm'},
	{"retake-s", required_argument, NULL, 'R'},
	{"seed", required_argument, NULL, 'S'},
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
		return jt_options_list("sizes", optarg, SIZES_MAX, 400000000,
				       f->sizes, &f->n_sizes);
	case 'r':
		return jt_options_number("rounds", optarg, 1, JT_SUMMARY_MAX,
					 &f->rounds);
	case 'm':
		return jt_options_number("slice-ms", optarg, 5, 60000,
					 &f->slice_ms);
	case 'R':
		return jt_options_number("retake-s", optarg, 0, 100000,
					 &f->retake_s);
	case 'S':
		return jt_options_number("seed", optarg, 0, UINT64_MAX >> 1,
					 &f->seed);
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

/* ---- slices ---- */

/* CHUNK tokens at random; with FIRST not NONE those from there on. */
#define NONE UINT64_MAX
static void make_chunk(struct bench *b, uint64_t first)
{
	uint64_t n = b->lender.n, i;

	for (unsigned k = 0; k < CHUNK; k++) {
		i = first == NONE ? jt_random_below(&b->random, n)
				  : (first + k) % n;
		jt_derived_token(b->lender.seed, i, b->values[k]);
	}
}

/* All of the chunk, as one way does it; its time. */
static int ask_chunk(struct bench *b, enum way way, uint64_t *nsp)
{
	uint64_t start_ns = jt_machine_now_ns();
	int rc = 0;

	for (unsigned k = 0; k < CHUNK && !rc && way == SINGLE; k++)
		rc = jeton_verify(b->handle, b->values[k], JT_TOKEN_BYTES, NULL,
				  &b->verdicts[k]);
	for (unsigned k = 0; k < CHUNK && !rc && way != SINGLE; k += BATCH)
		rc = jeton_verify_batch(b->handle, BATCH, &b->tokens[k], NULL,
					&b->verdicts[k]);
	*nsp += jt_machine_now_ns() - start_ns;
	for (unsigned k = 0; k < CHUNK && !rc; k++)
		if (b->verdicts[k].word != JETON_VALID || b->verdicts[k].flags)
			rc = -EPROTO;
	if (rc)
		fprintf(stderr, "jeton-bench: libjeton says %s\n",
			rc == -EPROTO ? jeton_word(b->verdicts[0].word)
				      : jeton_strerror(rc));
	return rc;
}

static double measure_floor(struct bench *b, enum way way)
{
	switch (way) {
	case DEPENDENT:
		return jt_dram_dependent_ns(&b->maps, CHUNK, &b->random);
	case PREFETCHED:
		return jt_dram_prefetched_ns(&b->maps, CHUNK, &b->random);
	case BLAKE2B:
		return jt_dram_blake2b_ns(CHUNK);
	default:
		return jt_dram_siphash_ns(CHUNK);
	}
}

/* Who else had the cores, if of WALL_NS these OWN_NS were CPU time? */
static struct jt_had judge(struct bench *b, double own_ns, double wall_ns,
			   const struct jt_machine_times *before)
{
	struct jt_machine_times now;
	double stolen_ns;
	struct jt_had had;

	jt_machine_times(&b->machine, &now);
	stolen_ns = (double)(now.stolen_ns - before->stolen_ns);
	had = jt_had_of(stolen_ns / wall_ns, 1 - own_ns / wall_ns, FOREIGN_MAX);
	b->n_slices++;
	b->n_disturbed += !jt_had_clean(&had);
	if (b->flags->keep_all)
		had.excess = 0;
	return had;
}

static int take_slice(struct bench *b, enum way way, double *nsp,
		      struct jt_had *hadp)
{
	uint64_t start_ns = jt_machine_now_ns();
	uint64_t end_ns = start_ns + b->flags->slice_ms * 1000000u;
	uint64_t chunks = 0, spent_ns = 0, own_ns = jt_machine_own_cpu_ns();
	struct jt_machine_times before;
	double floor_ns = 0;
	int rc = 0;

	jt_machine_times(&b->machine, &before);

	do {
		if (way > BATCHED) {
			floor_ns += measure_floor(b, way);
		} else {
			make_chunk(b, NONE);
			rc = ask_chunk(b, way, &spent_ns);
		}
		chunks++;
	} while (!rc && jt_machine_now_ns() < end_ns);
	*nsp = way > BATCHED ? floor_ns / (double)chunks
			     : (double)spent_ns / ((double)chunks * CHUNK);
	*hadp = judge(b, (double)(jt_machine_own_cpu_ns() - own_ns),
		      (double)(jt_machine_now_ns() - start_ns), &before);
	return rc;
}

static int take_hot_slice(struct bench *b, unsigned at, double *per_sp,
			  struct jt_had *hadp)
{
	struct jt_machine_times before;
	int rc;

	jt_machine_times(&b->machine, &before);
	rc = jt_hot_slice(&b->hot, (enum jt_hot_way)(at / 2), at % 2 + 1,
			  per_sp);
	if (!rc)
		*hadp = judge(b, b->hot.own_ns, b->hot.wall_ns, &before);
	return rc;
}

/* Way AT, or of the hot token's those behind them, as often as keep.h says. */
static int run_slice(struct bench *b, unsigned at, unsigned round,
		     struct found *to)
{
	uint64_t from_ns, cost_ns;
	unsigned tries = 0;
	struct jt_had had;
	double figure;
	int rc;

	do {
		from_ns = jt_machine_now_ns();
		rc = at < WAYS ? take_slice(b, (enum way)at, &figure, &had)
			       : take_hot_slice(b, at - WAYS, &figure, &had);
		if (!rc && jt_process_interrupted())
			rc = -EINTR;
		if (rc)
			return rc;
		if (jt_had_less(&had, &to->had[round])) {
			to->had[round] = had;
			to->figures[round] = figure;
		}
		cost_ns = jt_machine_now_ns() - from_ns;
	} while (jt_retakes_again(&b->retakes, b->n_rounds, tries++, &had,
				  cost_ns));
	return 0;
}

static int touch(struct bench *b)
{
	uint64_t ns = 0;
	int rc = 0;

	for (uint64_t i = 0; i < b->lender.n && !rc; i += CHUNK) {
		make_chunk(b, i);
		rc = ask_chunk(b, BATCHED, &ns);
		if (jt_process_interrupted())
			rc = -EINTR;
	}
	return rc;
}

static int run_rounds(struct bench *b, struct size *size)
{
	unsigned k;
	int rc = touch(b);

	for (unsigned round = 0; round < b->flags->rounds && !rc;
	     round++, b->n_rounds++) {
		for (unsigned i = 0; i < WAYS && !rc; i++) {
			k = round % 2 ? WAYS - 1 - i : i;
			k = (k + round / 2) % WAYS;
			rc = run_slice(b, k, round, &size->ns[k]);
		}
	}
	return rc;
}

/* ---- one hot token ---- */

static int run_hot(struct bench *b)
{
	int rc = 0;

	b->hot.lender = &b->lender;
	b->hot.machine = &b->machine;
	b->hot.slice_ms = (unsigned)b->flags->slice_ms;
	for (unsigned round = 0; round < b->flags->rounds && !rc;
	     round++, b->n_rounds++) {
		for (unsigned k = 0; k < 2 * JT_HOT_WAYS && !rc; k++) {
			unsigned at = round % 2 ? 2 * JT_HOT_WAYS - 1 - k : k;

			rc = run_slice(b, WAYS + at, round,
				       &b->hot_per_s[at / 2][at % 2]);
		}
	}
	if (b->hot.beyond)
		fprintf(stderr,
			"jeton-bench: FAILED: %llu admitted beyond the limit\n",
			(unsigned long long)b->hot.beyond);
	return rc;
}

/* ---- a size after the other ---- */

static int attach(struct bench *b)
{
	int rc = jt_lender_map(&b->lender, &b->maps);

	if (!rc)
		rc = jeton_attach(b->dir, 0, &b->handle);
	if (rc)
		fprintf(stderr, "jeton-bench: %s: %s\n", b->dir,
			jeton_strerror(rc));
	return rc;
}

static int run_size(struct bench *b, unsigned i)
{
	uint64_t start_ns = jt_machine_now_ns(), n = b->flags->sizes[i];
	struct size *size = &b->sizes[i];
	char words[32];
	int rc;

	fprintf(stderr, "%u of %u: %s tokens ...\n", i + 1, b->flags->n_sizes,
		jt_report_grouped((double)n, words));
	b->lender = (struct jt_lender){
		.dir = b->dir,
		.n = n,
		.seed = b->flags->seed,
	};
	rc = jt_lender_start(&b->lender, b->machine.server_cpu);
	size->fill_s = (double)(jt_machine_now_ns() - start_ns) / 1e9;
	if (!rc)
		rc = attach(b);
	if (!rc)
		rc = run_rounds(b, size);
	if (!rc) {
		size->bytes_per_token = (double)(b->maps.identity_bytes +
						 b->maps.meters_bytes) /
					(double)n;
		jt_process_large_pages_of(getpid(), &size->large_shared,
					  &size->large_own);
	}
	if (!rc && i == 0)
		rc = run_hot(b);
	jeton_detach(b->handle);
	b->handle = NULL;
	if (b->maps.identity)
		jt_segment_unmap(&b->maps);
	jt_lender_stop(&b->lender);
	return rc;
}

/* ---- what was found ---- */

static struct jt_series series_of(const struct found *of)
{
	return (struct jt_series){of->figures, of->had};
}

static void summarise(const struct bench *b, const struct found *of,
		      struct jt_summary *out)
{
	jt_pairs_summary(series_of(of), b->flags->rounds, b->flags->seed, out);
}

static void ratio(const struct bench *b, const struct found *over,
		  const struct found *under, struct jt_summary *out)
{
	jt_pairs_ratio(series_of(over), series_of(under), b->flags->rounds,
		       b->flags->seed, out);
}

/* A single call beside one SipHash and one dependent read together. */
static void ratio_to_least(const struct bench *b, const struct size *s,
			   struct jt_summary *out)
{
	const struct found *hash = &s->ns[SIPHASH], *read = &s->ns[DEPENDENT];
	static struct found both;

	for (unsigned i = 0; i < b->flags->rounds; i++) {
		both.figures[i] = hash->figures[i] + read->figures[i];
		both.had[i] = jt_had_both(&hash->had[i], &read->had[i]);
	}
	ratio(b, &s->ns[SINGLE], &both, out);
}

static int find_size(const struct bench *b, unsigned n)
{
	for (unsigned i = 0; i < b->flags->n_sizes; i++)
		if (b->flags->sizes[i] == n)
			return (int)i;
	return -1;
}

static void add_size(const struct bench *b, unsigned i, json_t *f)
{
	const struct size *s = &b->sizes[i];
	unsigned n = b->flags->sizes[i];
	struct jt_summary r;
	char words[128];

	ratio_to_least(b, s, &r);
	snprintf(words, sizeof(words),
		 "%u tokens: single / (one SipHash + one dependent read)", n);
	jt_findings_ratio(f, words, &r);
	if (n == 1000000)
		jt_findings_goal(f, "single_dram", &r);
	ratio(b, &s->ns[SINGLE], &s->ns[BATCHED], &r);
	snprintf(words, sizeof(words), "%u tokens: batch of 32 / single, rate",
		 n);
	jt_findings_ratio(f, words, &r);
	if (n == 10000000)
		jt_findings_goal(f, "batch_single", &r);
}

static void add_curves(const struct bench *b, json_t *f)
{
	static const char *const names[] = {
		"single", "batch of 32", "dependent read", "prefetched read"};
	json_t *p = jt_findings_plot(
		f, "lines", "Cost in process against the number of tokens",
		"tokens", "nanoseconds each",
		"Random tokens, each with its rate limit. The reads are of "
		"single lines of the same table, in the same pages: what a "
		"look-up cannot do without.");
	struct jt_summary s;
	json_t *line;

	for (unsigned k = 0; k < 4; k++) {
		line = jt_plot_series(p, names[k]);
		for (unsigned i = 0; i < b->flags->n_sizes; i++) {
			summarise(b, &b->sizes[i].ns[k], &s);
			jt_plot_point(line, b->flags->sizes[i], s.median, s.low,
				      s.high);
		}
	}
}

static void add_costs(const struct bench *b, json_t *f)
{
	json_t *t = jt_findings_table(
		f, "In process, ns each",
		"tokens|single|batch of 32|dependent read|prefetched read|"
		"BLAKE2b|SipHash|bytes/token|2 MB pages: table, own MB|fill s");
	struct jt_summary m[WAYS];

	for (unsigned i = 0; i < b->flags->n_sizes; i++) {
		const struct size *s = &b->sizes[i];
		char n[32];

		for (unsigned k = 0; k < WAYS; k++)
			summarise(b, &s->ns[k], &m[k]);
		jt_findings_row(
			t,
			"%s|%.1f|%.1f|%.1f|%.1f|%.1f|%.1f|%.1f|%.0f, %.0f|%.1f",
			jt_report_grouped(b->flags->sizes[i], n),
			m[SINGLE].median, m[BATCHED].median,
			m[DEPENDENT].median, m[PREFETCHED].median,
			m[BLAKE2B].median, m[SIPHASH].median,
			s->bytes_per_token, (double)s->large_shared / 0x1p20,
			(double)s->large_own / 0x1p20, s->fill_s);
	}
}

static const char *const hot_words[JT_HOT_WAYS] = {
	"one hot token, single calls: two processes / one",
	"one hot token, batches of 32: two processes / one",
	"one token over its limit, single calls: two processes / one",
};

static void add_hot(const struct bench *b, json_t *f)
{
	json_t *p = jt_findings_plot(
		f, "bars", "One hot token in process", "",
		"calls per second, all processes together",
		"Each process on a core of its own; every admission is one "
		"compare-and-swap of the same line.");
	json_t *one = jt_plot_series(p, "one process");
	json_t *two = jt_plot_series(p, "two processes");
	struct jt_summary s;

	jt_plot_group(p, "single calls");
	jt_plot_group(p, "batches of 32");
	jt_plot_group(p, "over its limit");
	for (unsigned way = 0; way < JT_HOT_WAYS; way++) {
		summarise(b, &b->hot_per_s[way][0], &s);
		jt_plot_point(one, way, s.median, s.low, s.high);
		summarise(b, &b->hot_per_s[way][1], &s);
		jt_plot_point(two, way, s.median, s.low, s.high);
		ratio(b, &b->hot_per_s[way][1], &b->hot_per_s[way][0], &s);
		jt_findings_ratio(f, hot_words[way], &s);
		if (way == JT_HOT_SINGLE)
			jt_findings_goal(f, "hot_two", &s);
	}
	jt_findings_figure(f, "admitted_beyond", (double)b->hot.beyond);
	jt_findings_flag(f, "limited_token",
			 json_sprintf("admitted %llu, refused %llu, beyond its "
				      "limit %llu",
				      (unsigned long long)b->hot.admitted,
				      (unsigned long long)b->hot.refused,
				      (unsigned long long)b->hot.beyond));
}

static json_t *make_findings(const struct bench *b)
{
	json_t *f = jt_findings_new("table", &b->machine);
	int small = find_size(b, 100000), large = find_size(b, 100000000);
	unsigned last = b->flags->n_sizes - 1;
	struct jt_summary s;

	jt_findings_flag(f, "seed", json_integer((json_int_t)b->flags->seed));
	jt_findings_flag(f, "rounds",
			 json_integer((json_int_t)b->flags->rounds));
	jt_findings_flag(f, "slice_ms",
			 json_integer((json_int_t)b->flags->slice_ms));
	jt_findings_flag(f, "slices", json_integer(b->n_slices));
	jt_findings_flag(f, "not_clean", json_integer(b->n_disturbed));
	jt_findings_flag(f, "taken_again", json_integer(b->retakes.n));
	for (unsigned i = 0; i < b->flags->n_sizes; i++)
		add_size(b, i, f);
	if (small >= 0 && large >= 0) {
		ratio(b, &b->sizes[large].ns[BATCHED],
		      &b->sizes[small].ns[BATCHED], &s);
		jt_findings_goal(f, "batched_1e8_1e5", &s);
	}
	/* of few tokens what is there for all of them would be the most */
	if (b->flags->sizes[last] >= 1000000)
		jt_findings_figure(f, "bytes_per_token",
				   b->sizes[last].bytes_per_token);
	add_curves(b, f);
	add_costs(b, f);
	add_hot(b, f);
	return f;
}

static void print_size(const struct bench *b, unsigned i)
{
	const struct size *s = &b->sizes[i];
	struct jt_summary m;
	char n[32], kept[64];

	printf("%s tokens, %.1f bytes of shared memory each; filled in %.1f s; "
	       "2 MB pages: %.0f MB of the table's, %.0f MB of its own\n",
	       jt_report_grouped(b->flags->sizes[i], n), s->bytes_per_token,
	       s->fill_s, (double)s->large_shared / 0x1p20,
	       (double)s->large_own / 0x1p20);
	for (unsigned k = 0; k < WAYS; k++) {
		summarise(b, &s->ns[k], &m);
		printf("  %-44s %8.1f ns  %.1f to %.1f  %s\n", way_names[k],
		       m.median, m.low, m.high, jt_keep_words(&m, kept));
	}
	ratio_to_least(b, s, &m);
	printf("  %-44s %8.2f     %.2f to %.2f  %s\n",
	       "single / (SipHash + dependent read)", m.median, m.low, m.high,
	       jt_keep_words(&m, kept));
	ratio(b, &s->ns[SINGLE], &s->ns[BATCHED], &m);
	printf("  %-44s %8.2f     %.2f to %.2f  %s\n", "single / batched",
	       m.median, m.low, m.high, jt_keep_words(&m, kept));
}

static void print_hot(const struct bench *b)
{
	struct jt_summary one, two, r;
	char x[32], y[32], kept[64];

	for (unsigned way = 0; way < JT_HOT_WAYS; way++) {
		summarise(b, &b->hot_per_s[way][0], &one);
		summarise(b, &b->hot_per_s[way][1], &two);
		ratio(b, &b->hot_per_s[way][1], &b->hot_per_s[way][0], &r);
		printf("%s: %.2f  %.2f to %.2f  (%s/s, %s/s) %s\n",
		       hot_words[way], r.median, r.low, r.high,
		       jt_report_grouped(two.median, x),
		       jt_report_grouped(one.median, y),
		       jt_keep_words(&r, kept));
	}
	printf("limited token: admitted %llu, refused %llu, beyond its limit "
	       "%llu\n",
	       (unsigned long long)b->hot.admitted,
	       (unsigned long long)b->hot.refused,
	       (unsigned long long)b->hot.beyond);
}

static int run(struct bench *b)
{
	char dir[64];
	int rc = sodium_init() < 0 ? -EIO : jt_scratch_make(b->flags->tmp, dir);

	if (rc)
		return rc;
	b->dir = dir;
	jt_process_catch_signals();
	jt_machine_read(&b->machine);
	jt_machine_pin(b->machine.client_cpu);
	b->retakes.budget_ns = b->flags->retake_s * 1000000000u;
	b->retakes.n_rounds =
		(unsigned)b->flags->rounds * (b->flags->n_sizes + 1);
	for (unsigned k = 0; k < CHUNK; k++)
		b->tokens[k] =
			(struct jeton_token){b->values[k], JT_TOKEN_BYTES};
	for (unsigned i = 0; i < b->flags->n_sizes && !rc; i++)
		rc = run_size(b, i);
	for (unsigned i = 0; i < b->flags->n_sizes && !rc; i++)
		print_size(b, i);
	if (!rc)
		print_hot(b);
	if (!rc && b->n_disturbed)
		printf("%u of %u slices were not clean; %u were taken again\n",
		       b->n_disturbed, b->n_slices, b->retakes.n);
	if (!rc && b->flags->json)
		rc = jt_findings_write(make_findings(b), b->flags->json);
	jt_scratch_remove(dir);
	return rc;
}

int jt_verb_table(int argc, char **argv)
{
	struct flags f = {
		.n_sizes = 4,
		.sizes = {1000, 10000, 100000, 1000000},
		.rounds = 4,
		.slice_ms = 1000,
		.retake_s = 20,
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
