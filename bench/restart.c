/*
 * restart: the verb `restart`: from the start of the program to its first
 * verdict, beside Redis with the same tokens.
 *
 * Ways: jetond from the journal alone (JETON_SNAPSHOT=0), jetond from its
 * snapshot, redis-server from an RDB file that holds a hash for each token with
 * the fields of bench/verify.lua. Both programs with their own defaults, on
 * whichever cores the kernel gives them, and what they read is in the page
 * cache: each file is read once before each start. Time runs from before the
 * fork to the first VALID, or to Redis' first PONG (it says -LOADING before).
 * A round has one start of each way; every other round runs backwards.
 */
#include "bench/options.h"

#include "bench/findings.h"
#include "bench/jeton.h"
#include "bench/machine.h"
#include "bench/pairs.h"
#include "bench/redis.h"
#include "bench/report.h"
#include "bench/scratch.h"
#include "bench/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOAL_TOKENS 10000000u
#define SNAPSHOT_PATIENCE_S 600u
#define SNAPSHOT_BEGINS_S 3u /* or it is not begun at all */
#define READ_BYTES (1u << 20)

enum way {
	JOURNAL,
	SNAPSHOT,
	REDIS,
	WAYS,
};

static const char *const way_words[WAYS] = {
	"jetond, from the journal",
	"jetond, from its snapshot",
	"redis-server, from its RDB file",
};

struct flags {
	uint64_t tokens, rounds, seed, retake_s;
	bool keep_all;
	const char *json, *tmp;
};

struct bench {
	const struct flags *flags;
	struct jt_machine machine;
	const char *dir;
	char bin_dir[PATH_MAX];
	char first[JT_TOKEN_BYTES];
	char redis_version[32];
	char files[WAYS][128]; /* what each of them reads */
	uint64_t file_bytes[WAYS];
	bool has_snapshot; /* this jetond wrote one */
	struct jt_watch watch;
	struct jt_retakes retakes;
	struct jt_had had[WAYS][JT_SUMMARY_MAX];
	double seconds[WAYS][JT_SUMMARY_MAX];
	double cpu_s[WAYS][JT_SUMMARY_MAX];
};

static const char usage[] =
	"usage: jeton-bench restart [FLAGS]\n"
	"Measure from a start to the first verdict: jetond from its journal, "
	"from its\n"
	"snapshot, and Redis with the same tokens from an RDB file. 10^7 "
	"tokens "
	"take\n"
	"7 GB of disk, 7 GB of memory and some minutes.\n\n"
	"  --tokens N        (1000000)\n"
	"  --rounds N        starts of each (7)\n"
	"  --retake-s N      for starts that others disturbed, in all (30)\n"
	"  --seed N          of the bootstrap (1)\n"
	"  --keep-all        count disturbed starts, too\n"
	"  --json FILE       write everything measured; `jeton-bench page` "
	"shows it\n"
	"  --tmp DIR         journal, RDB file, sockets, logs; deleted at the "
	"end (/tmp)\n"
	"\nExit: 0 measured, 1 failed, 2 usage.\n";

static const struct option options[] = {
	{"tokens", required_argument, NULL, 'n'},
	{"rounds", required_argument, NULL, 'r'},
	{"retake-s", required_argument, NULL, 'T'},
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
	case 'n':
		return jt_options_number("tokens", optarg, 1, 100000000,
					 &f->tokens);
	case 'r':
		return jt_options_number("rounds", optarg, 1, JT_SUMMARY_MAX,
					 &f->rounds);
	case 'T':
		return jt_options_number("retake-s", optarg, 0, 100000,
					 &f->retake_s);
	case 'S':
		return jt_options_number("seed", optarg, 0, UINT64_MAX >> 1,
					 &f->seed);
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
		return false;
	}
}

/* ---- what there is to read ---- */

static int make_redis_file(struct bench *b, const struct jt_tokens *tokens)
{
	struct jt_process p = {0};
	char socket[108];
	int r;

	fprintf(stderr, "Redis: %" PRIu64 " hashes, SAVE ...\n",
		b->flags->tokens);
	r = jt_redis_start(&p, -1, b->dir, "redis", socket);
	if (!r)
		jt_redis_version(socket, b->redis_version,
				 sizeof(b->redis_version));
	if (!r)
		r = jt_redis_fill_hashes(socket, tokens);
	if (!r)
		r = jt_redis_save(socket);
	jt_process_stop(&p);
	return r;
}

/* Has the running jetond written one of all there is? -EAGAIN: not yet. */
static int look_for_snapshot(const struct bench *b, bool *beginsp)
{
	json_t *status = jt_jeton_status(b->bin_dir, b->dir);
	const json_t *s = json_object_get(status, "snapshot");
	const char *work = json_string_value(json_object_get(s, "work"));
	int r = -EAGAIN;

	*beginsp = work && *work;
	if (status && !s)
		r = -ENOENT;
	else if (status && json_integer_value(json_object_get(s, "number")) ==
				   json_integer_value(json_object_get(
					   status, "committed")))
		r = 0;
	json_decref(status);
	return r;
}

static int await_snapshot(const struct bench *b)
{
	const struct timespec pause = {0, 100000000};
	uint64_t start_ns = jt_machine_now_ns(), passed_s = 0;
	bool begins = false, now;
	int r = -EAGAIN;

	while (r == -EAGAIN && passed_s < SNAPSHOT_PATIENCE_S) {
		nanosleep(&pause, NULL);
		r = look_for_snapshot(b, &now);
		begins |= now;
		passed_s = (jt_machine_now_ns() - start_ns) / 1000000000u;
		if (r == -EAGAIN && !begins && passed_s >= SNAPSHOT_BEGINS_S)
			r = -ENOENT;
		if (jt_process_interrupted())
			r = -EINTR;
	}
	return r == -EAGAIN ? -ETIME : r;
}

/* By a jetond that serves all of it; none is written for few records. */
static int make_snapshot(struct bench *b)
{
	static const char *const more[] = {NULL};
	struct jt_process p = {0};
	char socket[108];
	int r;

	fprintf(stderr, "jetond: its snapshot ...\n");
	r = jt_jeton_exec(&p, -1, b->bin_dir, b->dir, more, socket);
	if (!r)
		r = jt_jeton_await(&p, socket, b->first);
	if (!r)
		r = await_snapshot(b);
	jt_process_stop(&p);
	b->has_snapshot = !r;
	if (r == -ENOENT)
		fprintf(stderr,
			"jetond writes no snapshot of this: left out\n");
	else if (r && r != -EINTR)
		fprintf(stderr, "jeton-bench: the snapshot: %s\n",
			strerror(-r));
	return r == -ENOENT ? 0 : r;
}

static int make_files(struct bench *b)
{
	static const char *const names[WAYS] = {"data/journal", "data/snapshot",
						"dump.rdb"};
	struct jt_tokens tokens;
	int r;

	fprintf(stderr, "jeton create: %" PRIu64 " tokens ...\n",
		b->flags->tokens);
	r = jt_jeton_create(b->bin_dir, b->dir, b->flags->tokens, &tokens);
	if (r)
		return r;
	memcpy(b->first, tokens.values[0], JT_TOKEN_BYTES);
	r = make_redis_file(b, &tokens);
	/* a large process would take its time to fork */
	jt_tokens_free(&tokens);
	if (!r)
		r = make_snapshot(b);
	sync(); /* or it would be written back under the first starts */
	for (unsigned way = 0; way < WAYS; way++)
		snprintf(b->files[way], sizeof(b->files[way]), "%.80s/%s",
			 b->dir, names[way]);
	return r;
}

/* ---- starts ---- */

/* Read all of it, so that the next reader finds it in the page cache. */
static int read_through(const char *path, uint64_t *bytesp)
{
	static char buffer[READ_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	*bytesp = 0;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		*bytesp += (uint64_t)n;
	if (n < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Did jetond start from what it was to start from? */
static int check_origin(const struct bench *b, enum way way)
{
	const char *want = way == SNAPSHOT ? "snapshot" : "journal", *got;
	json_t *status = jt_jeton_status(b->bin_dir, b->dir);
	int r = status ? 0 : -EPROTO;

	got = json_string_value(
		json_object_get(json_object_get(status, "snapshot"), "start"));
	/* without a word it is of a version that has no snapshots */
	if (!r && (got ? strcmp(got, want) != 0 : way == SNAPSHOT))
		r = -EPROTO;
	if (r)
		fprintf(stderr,
			"jeton-bench: jetond started from the %s, not "
			"from the %s\n",
			got ? got : "(no answer)", want);
	json_decref(status);
	return r;
}

static int start_way(struct bench *b, enum way way, struct jt_process *p)
{
	static const char *const more[] = {NULL};
	char socket[108];
	int r;

	if (way == REDIS) {
		r = jt_redis_exec(p, -1, b->dir, "redis", socket);
		return r ? r : jt_redis_await(p, socket);
	}
	/* a setting like any other; where it is unknown, nobody reads it */
	setenv("JETON_SNAPSHOT", way == SNAPSHOT ? "1" : "0", 1);
	r = jt_jeton_exec(p, -1, b->bin_dir, b->dir, more, socket);
	unsetenv("JETON_SNAPSHOT");
	return r ? r : jt_jeton_await(p, socket, b->first);
}

static int take_start(struct bench *b, enum way way, double *secondsp,
		      double *cpu_sp, struct jt_had *hadp)
{
	struct jt_process p = {0};
	int r = read_through(b->files[way], &b->file_bytes[way]);
	uint64_t start_ns;

	if (r) {
		fprintf(stderr, "jeton-bench: %s: %s\n", b->files[way],
			strerror(-r));
		return r;
	}
	jt_watch_begin(&b->watch, &p);
	start_ns = jt_machine_now_ns();
	r = start_way(b, way, &p);
	if (!r) {
		*secondsp = (double)(jt_machine_now_ns() - start_ns) / 1e9;
		*cpu_sp = (double)jt_process_cpu_ns(&p) / 1e9;
		*hadp = jt_watch_end(&b->watch, &p, 0);
	}
	if (!r && way != REDIS)
		r = check_origin(b, way);
	jt_process_stop(&p);
	return r;
}

/* One start: of all attempts the least disturbed. */
static int run_start(struct bench *b, enum way way, unsigned round)
{
	struct jt_had had, *kept = &b->had[way][round];
	uint64_t from_ns, cost_ns;
	double seconds, cpu_s;
	unsigned tries = 0;
	int r;

	do {
		from_ns = jt_machine_now_ns();
		r = take_start(b, way, &seconds, &cpu_s, &had);
		if (!r && jt_process_interrupted())
			r = -EINTR;
		if (r)
			return r;
		if (jt_had_less(&had, kept)) {
			*kept = had;
			b->seconds[way][round] = seconds;
			b->cpu_s[way][round] = cpu_s;
		}
		cost_ns = jt_machine_now_ns() - from_ns;
	} while (jt_retakes_again(&b->retakes, round, tries++, &had, cost_ns));
	return 0;
}

static int run_rounds(struct bench *b)
{
	int r = 0;

	for (unsigned round = 0; round < b->flags->rounds && !r; round++) {
		fprintf(stderr, "round %u of %" PRIu64 "\n", round + 1,
			b->flags->rounds);
		for (unsigned k = 0; k < WAYS && !r; k++) {
			unsigned way = jt_pairs_way(round, k, WAYS);

			if (way != SNAPSHOT || b->has_snapshot)
				r = run_start(b, (enum way)way, round);
		}
	}
	return r;
}

/* ---- what was found ---- */

static struct jt_series series_of(const struct bench *b, enum way way)
{
	return (struct jt_series){b->seconds[way], b->had[way]};
}

static void ratio(const struct bench *b, enum way over, enum way under,
		  struct jt_summary *out)
{
	jt_pairs_ratio(series_of(b, over), series_of(b, under),
		       b->flags->rounds, b->flags->seed, out);
}

static void summarise(const struct bench *b, enum way way,
		      struct jt_summary *out)
{
	jt_pairs_summary(series_of(b, way), b->flags->rounds, b->flags->seed,
			 out);
}

static void summarise_cpu(const struct bench *b, enum way way,
			  struct jt_summary *out)
{
	jt_pairs_summary((struct jt_series){b->cpu_s[way], b->had[way]},
			 b->flags->rounds, b->flags->seed, out);
}

static const struct {
	enum way over, under;
	const char *words;
} compared[] = {
	{JOURNAL, REDIS, "from the journal / Redis from RDB"},
	{SNAPSHOT, REDIS, "from the snapshot / Redis from RDB"},
	{SNAPSHOT, JOURNAL, "from the snapshot / from the journal"},
};
#define COMPARED (sizeof(compared) / sizeof(compared[0]))

static void print_result(const struct bench *b)
{
	struct jt_summary s, cpu;
	char words[32], watched[96], kept[64];

	jt_watch_words(&b->watch, watched);
	printf("%s, %s; Redis %s; %s tokens, %" PRIu64 " starts of each, "
	       "%s; files in the page cache\n",
	       b->machine.cpu, b->machine.kernel, b->redis_version,
	       jt_report_grouped((double)b->flags->tokens, words),
	       b->flags->rounds, watched);
	for (unsigned way = 0; way < WAYS; way++) {
		summarise(b, (enum way)way, &s);
		summarise_cpu(b, (enum way)way, &cpu);
		if (s.n)
			printf("  %-36s %7.3f s  %.3f to %.3f   CPU %.3f s, "
			       "%.0f MB read\n",
			       way_words[way], s.median, s.low, s.high,
			       cpu.median, (double)b->file_bytes[way] / 1e6);
	}
	for (unsigned i = 0; i < COMPARED; i++) {
		ratio(b, compared[i].over, compared[i].under, &s);
		if (s.n)
			printf("  %-36s %7.2f    %.2f to %.2f  %s\n",
			       compared[i].words, s.median, s.low, s.high,
			       jt_keep_words(&s, kept));
	}
}

static void add_table(const struct bench *b, json_t *f)
{
	json_t *t = jt_findings_table(f, "Start to first verdict",
				      "|tokens|s|from|to|CPU s|MB read");
	struct jt_summary s, cpu;
	char words[32];

	for (unsigned way = 0; way < WAYS; way++) {
		summarise(b, (enum way)way, &s);
		summarise_cpu(b, (enum way)way, &cpu);
		if (s.n)
			jt_findings_row(
				t, "%s|%s|%.3f|%.3f|%.3f|%.3f|%.0f",
				way_words[way],
				jt_report_grouped((double)b->flags->tokens,
						  words),
				s.median, s.low, s.high, cpu.median,
				(double)b->file_bytes[way] / 1e6);
	}
}

static void add_bars(const struct bench *b, json_t *f)
{
	json_t *p = jt_findings_plot(
		f, "bars", "Start to first verdict", "", "seconds",
		"What is read is in the page cache. Redis loads a hash for "
		"each token, with its own defaults.");
	struct jt_summary s;

	jt_plot_group(p, "");
	for (unsigned way = 0; way < WAYS; way++) {
		summarise(b, (enum way)way, &s);
		if (s.n)
			jt_plot_point(jt_plot_series(p, way_words[way]), 0,
				      s.median, s.low, s.high);
	}
}

static json_t *make_findings(const struct bench *b)
{
	json_t *f = jt_findings_new("restart", &b->machine);
	struct jt_summary s;
	char words[96];

	jt_findings_flag(f, "tokens",
			 json_integer((json_int_t)b->flags->tokens));
	jt_findings_flag(f, "rounds",
			 json_integer((json_int_t)b->flags->rounds));
	jt_findings_flag(f, "redis", json_string(b->redis_version));
	jt_findings_flag(f, "taken_again", json_integer(b->retakes.n));
	jt_findings_flag(f, "not_clean",
			 json_integer((json_int_t)(b->watch.n_stolen +
						   b->watch.n_foreign)));
	for (unsigned i = 0; i < COMPARED; i++) {
		ratio(b, compared[i].over, compared[i].under, &s);
		snprintf(words, sizeof(words), "%" PRIu64 " tokens: restart %s",
			 b->flags->tokens, compared[i].words);
		jt_findings_ratio(f, words, &s);
	}
	if (b->flags->tokens == GOAL_TOKENS) {
		ratio(b, JOURNAL, REDIS, &s);
		jt_findings_goal(f, "restart_journal", &s);
		summarise(b, SNAPSHOT, &s);
		jt_findings_goal(f, "restart_snapshot_s", &s);
	}
	add_table(b, f);
	add_bars(b, f);
	return f;
}

static int run(struct bench *b)
{
	char dir[64];
	int r = jt_scratch_bin_dir(b->bin_dir);

	if (!r)
		r = jt_scratch_make(b->flags->tmp, dir);
	if (r)
		return r;
	b->dir = dir;
	jt_process_catch_signals();
	jt_machine_read(&b->machine);
	b->watch.machine = &b->machine;
	b->watch.keep_all = b->flags->keep_all;
	b->retakes.budget_ns = b->flags->retake_s * 1000000000u;
	b->retakes.n_rounds = (unsigned)b->flags->rounds;
	r = make_files(b);
	if (!r)
		r = run_rounds(b);
	if (!r)
		print_result(b);
	if (!r && b->flags->json)
		r = jt_findings_write(make_findings(b), b->flags->json);
	jt_scratch_remove(dir);
	return r;
}

int jt_verb_restart(int argc, char **argv)
{
	struct flags f = {
		.tokens = 1000000,
		.rounds = 7,
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
	r = run(b);
	free(b);
	return r ? JT_EXIT_FAILED : JT_EXIT_OK;
}
