/*
 * revoke: the verb `revoke`: how long it takes until a token is refused.
 *
 * `jeton revoke ID` is started as a user would start it, once for each token.
 * Its time runs from before the fork to the return of waitpid(); what of it the
 * program's start takes by itself is measured beside it (`jeton --version`).
 * All the while another process asks for that token without pause, over the
 * socket and in process (asker.h), and knows when the first refusal was there.
 *
 * Two places: the journal on a disk, with the flushes as shipped, and in
 * memory (tmpfs), where the same flushes are called and cost nothing. Each
 * without other load, and beside a client that asks without pause. A block is
 * some revokes of one place under one load; blocks take turns, and every other
 * round of them runs backwards. Nothing is pinned: the kernel places keeper,
 * worker, command and clients as it would anywhere.
 */
#include "bench/options.h"

#include "bench/asker.h"
#include "bench/crowd.h"
#include "bench/findings.h"
#include "bench/jeton.h"
#include "bench/machine.h"
#include "bench/pairs.h"
#include "bench/random.h"
#include "bench/scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 10u /* revokes */
#define PLACES 2u
#define LOADS 2u
#define CELLS (PLACES * LOADS)
#define SETTLE_NS 50000000
#define SPREAD_NS 1000000u /* before a revoke: not in step with anything */

enum figure {
	RETURNED,	   /* start to return of the command */
	REFUSED,	   /* to the first refusal at the socket */
	REFUSED_INPROCESS, /* to libjeton's */
	BARE,		   /* `jeton --version`, start to return */
	FIGURES,
};

static const char *const figure_words[FIGURES] = {
	"start to return",
	"start to first refusal, socket",
	"start to first refusal, in process",
	"of it the program's start (jeton --version)",
};

static const char *const cell_words[CELLS] = {
	"flushes as shipped, no load",
	"flushes as shipped, under load",
	"flushes that cost nothing, no load",
	"flushes that cost nothing, under load",
};

struct flags {
	uint64_t tokens, rounds, connections, pipeline, seed;
	const char *json, *tmp, *memory;
};

/* A journal with all that serves it. */
struct place {
	char dir[64], run[128], socket[108], log[128];
	bool made;
	struct jt_process daemon;
	struct jt_tokens tokens; /* those of the load, then those to revoke */
	struct jt_requests load;
	struct jt_asker asker;
	size_t next; /* to be revoked */
};

struct bench {
	const struct flags *flags;
	struct jt_machine machine;
	char bin_dir[PATH_MAX];
	struct place places[PLACES];
	bool disk_is_memory;
	uint64_t random;
	double ms[CELLS][FIGURES][JT_SUMMARY_MAX];
	uint64_t late[JT_ASKER_DOORS];	  /* VALID, asked after the return */
	uint64_t revived[JT_ASKER_DOORS]; /* or after a refusal */
	uint64_t asked;
	uint64_t by_socket; /* verdicts of libjeton that it had to ask for */
	uint64_t replies[PLACES], load_ns[PLACES];
	double stolen;
};

static const char usage[] =
	"usage: jeton-bench revoke [FLAGS]\n"
	"Measure how long `jeton revoke` takes, and how long until a client is "
	"refused;\n"
	"with and without the cost of the flushes, and show that no VALID came "
	"after the\n"
	"return.\n\n"
	"  --rounds N        revokes of each kind, at most 1000 (300)\n"
	"  --tokens N        that others ask for meanwhile (100000)\n"
	"  --connections N   of the load (50)\n"
	"  --pipeline N      of the load (1)\n"
	"  --seed N          of the order of requests (1)\n"
	"  --json FILE       write everything measured; `jeton-bench page` "
	"shows it\n"
	"  --tmp DIR         on a disk; what is there is deleted at the end "
	"(/tmp)\n"
	"  --memory DIR      likewise, in memory: a tmpfs (/dev/shm)\n"
	"\nExit: 0 measured and never VALID after the return, 1 failed, "
	"2 usage.\n";

static const struct option options[] = {
	{"rounds", required_argument, NULL, 'r'},
	{"tokens", required_argument, NULL, 'n'},
	{"connections", required_argument, NULL, 'c'},
	{"pipeline", required_argument, NULL, 'p'},
	{"seed", required_argument, NULL, 'S'},
	{"json", required_argument, NULL, 'j'},
	{"tmp", required_argument, NULL, 't'},
	{"memory", required_argument, NULL, 'M'},
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
	case 'n':
		return jt_options_number("tokens", optarg, 1000, 10000000,
					 &f->tokens);
	case 'c':
		return jt_options_number("connections", optarg, 1, 500,
					 &f->connections);
	case 'p':
		return jt_options_number("pipeline", optarg, 1,
					 JT_LOADGEN_PIPELINE_MAX, &f->pipeline);
	case 'S':
		return jt_options_number("seed", optarg, 0, UINT64_MAX >> 1,
					 &f->seed);
	case 'j':
		f->json = optarg;
		return true;
	case 't':
		f->tmp = optarg;
		return true;
	case 'M':
		f->memory = optarg;
		return true;
	default:
		return false;
	}
}

/* ---- two places ---- */

static bool is_memory(const char *path)
{
	struct statfs s;

	return statfs(path, &s) == 0 && s.f_type == TMPFS_MAGIC;
}

static int start_asker(struct place *at)
{
	snprintf(at->run, sizeof(at->run), "%.60s/run", at->dir);
	snprintf(at->log, sizeof(at->log), "%.60s/clients.log", at->dir);
	at->asker = (struct jt_asker){
		.run = at->run,
		.socket = at->socket,
		.log = at->log,
		.tokens = &at->tokens,
	};
	return jt_asker_start(&at->asker);
}

static int set_up_place(struct bench *b, struct place *at, const char *tmp)
{
	static const char *const more[] = {NULL};
	struct jt_tokens others;
	int r = jt_scratch_make(tmp, at->dir);

	if (r)
		return r;
	at->made = true;
	r = jt_jeton_create(b->bin_dir, at->dir,
			    b->flags->tokens + LOADS * b->flags->rounds,
			    &at->tokens);
	if (!r)
		r = jt_jeton_exec(&at->daemon, -1, b->bin_dir, at->dir, more,
				  at->socket);
	if (!r)
		r = jt_jeton_await(&at->daemon, at->socket,
				   at->tokens.values[0]);
	if (r)
		return r;
	others = (struct jt_tokens){at->tokens.values, b->flags->tokens};
	at->next = others.n;
	jt_tokens_shuffle(&others, b->flags->seed);
	r = jt_tokens_render(&others, JT_VERIFY_BEFORE, JT_VERIFY_AFTER,
			     &at->load);
	return r ? r : start_asker(at);
}

static int set_up(struct bench *b)
{
	int r;

	if (!is_memory(b->flags->memory)) {
		fprintf(stderr,
			"jeton-bench: %s is no tmpfs: flushes would cost "
			"something there; name one with --memory\n",
			b->flags->memory);
		return -EINVAL;
	}
	b->disk_is_memory = is_memory(b->flags->tmp);
	if (b->disk_is_memory)
		fprintf(stderr,
			"jeton-bench: %s is in memory: flushes cost nothing "
			"there either; name a disk with --tmp\n",
			b->flags->tmp);
	r = set_up_place(b, &b->places[0], b->flags->tmp);
	return r ? r : set_up_place(b, &b->places[1], b->flags->memory);
}

static void clean_up(struct bench *b)
{
	for (unsigned i = 0; i < PLACES; i++) {
		struct place *at = &b->places[i];

		jt_asker_stop(&at->asker);
		jt_process_stop(&at->daemon);
		jt_tokens_free_requests(&at->load);
		jt_tokens_free(&at->tokens);
		if (at->made)
			jt_scratch_remove(at->dir);
	}
}

/* ---- revokes ---- */

static void rest(uint64_t ns)
{
	const struct timespec pause = {0, (long)ns};

	nanosleep(&pause, NULL);
}

/* Run `jeton VERB...`: when it started and when it had returned. */
static int run_command(struct bench *b, struct place *at,
		       const char *const verb[], uint64_t *startp,
		       uint64_t *endp)
{
	struct jt_process p = {0};
	int status = 0, r;
	pid_t pid;

	*startp = jt_machine_now_ns();
	r = jt_jeton_admin_exec(&p, b->bin_dir, at->dir, verb);
	if (r)
		return r;
	/* in one piece: jt_process_wait() looks each 5 ms only */
	do
		pid = waitpid(p.pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	*endp = jt_machine_now_ns();
	if (pid >= 0 && status == 0)
		return 0;
	fprintf(stderr, "jeton-bench: jeton %s: status %#x\n", verb[0],
		(unsigned)status);
	jt_process_show_log(&p);
	return -ECHILD;
}

static double ms_since(uint64_t start_ns, uint64_t ns)
{
	return ns > start_ns ? (double)(ns - start_ns) / 1e6 : 0;
}

static int revoke_one(struct bench *b, struct place *at, unsigned cell,
		      unsigned round)
{
	static const char *const bare[] = {"--version", NULL};
	char id[JT_PUBLIC_BYTES + 1] = "";
	const char *const verb[] = {"revoke", id, NULL};
	double(*ms)[JT_SUMMARY_MAX] = b->ms[cell];
	uint64_t start_ns, end_ns;
	const struct jt_probe *p;
	size_t token = at->next++;
	int r = jt_asker_follow(&at->asker, token);

	memcpy(id, at->tokens.values[token], JT_PUBLIC_BYTES);
	rest(jt_random_below(&b->random, SPREAD_NS));
	if (!r)
		r = run_command(b, at, verb, &start_ns, &end_ns);
	if (!r)
		r = jt_asker_finish(&at->asker, end_ns);
	if (r)
		return r;
	ms[RETURNED][round] = ms_since(start_ns, end_ns);
	for (unsigned door = 0; door < JT_ASKER_DOORS; door++) {
		p = jt_asker_probe(&at->asker, (enum jt_asker_door)door);
		ms[REFUSED + door][round] =
			ms_since(start_ns, p->first_refused_ns);
		b->late[door] += jt_probe_late(p, end_ns);
		b->revived[door] += jt_probe_late(p, p->first_refused_ns);
		b->asked += p->n_valid + p->n_refused;
	}
	r = run_command(b, at, bare, &start_ns, &end_ns);
	ms[BARE][round] = ms_since(start_ns, end_ns);
	return jt_process_interrupted() ? -EINTR : r;
}

static int run_block(struct bench *b, unsigned cell, unsigned from)
{
	unsigned place = cell / LOADS, to = from + BLOCK;
	struct place *at = &b->places[place];
	struct jt_crowd crowd = {
		.socket = at->socket,
		.log = at->log,
		.requests = &at->load,
		.connections = (unsigned)b->flags->connections,
		.pipeline = (unsigned)b->flags->pipeline,
		.seed = jt_random_next(&b->random),
	};
	int r = 0, e;

	if (cell % LOADS)
		r = jt_crowd_start(&crowd);
	rest(SETTLE_NS);
	for (unsigned i = from; i < to && i < b->flags->rounds && !r; i++)
		r = revoke_one(b, at, cell, i);
	e = jt_crowd_stop(&crowd, &b->replies[place], &b->load_ns[place]);
	return r ? r : e;
}

static int run_rounds(struct bench *b)
{
	struct jt_machine_times from;
	uint64_t start_ns = jt_machine_now_ns();
	unsigned n = (unsigned)b->flags->rounds;
	int r = 0;

	jt_machine_times(&b->machine, &from);
	for (unsigned i = 0; i < n && !r; i += BLOCK) {
		fprintf(stderr, "revokes %u to %u of %u, each of %u ways\n",
			i + 1, i + BLOCK < n ? i + BLOCK : n, n, CELLS);
		for (unsigned k = 0; k < CELLS && !r; k++)
			r = run_block(b, jt_pairs_way(i / BLOCK, k, CELLS), i);
	}
	b->stolen = jt_machine_stolen(&b->machine, &from, start_ns);
	for (unsigned i = 0; i < PLACES; i++)
		b->by_socket += jt_asker_by_socket(&b->places[i].asker);
	return r;
}

/* ---- what was found ---- */

static double load_per_s(const struct bench *b, unsigned place)
{
	return b->load_ns[place] ? (double)b->replies[place] * 1e9 /
					   (double)b->load_ns[place]
				 : 0;
}

static void summarise(const struct bench *b, unsigned cell, unsigned figure,
		      struct jt_summary *p50, double *p99p)
{
	const double *ms = b->ms[cell][figure];

	jt_pairs_summary((struct jt_series){ms, NULL}, b->flags->rounds,
			 b->flags->seed, p50);
	*p99p = jt_pairs_quantile(ms, b->flags->rounds, 0.99);
}

static const char note_memory[] =
	"without the flushes: a journal in tmpfs, where the same calls cost "
	"nothing";

static void print_result(const struct bench *b)
{
	struct jt_summary s;
	double p99;

	printf("%s, %s; %" PRIu64 " revokes of each kind, %.1f %% stolen; ms\n",
	       b->machine.cpu, b->machine.kernel, b->flags->rounds,
	       100 * b->stolen);
	printf("%s%s\n", note_memory,
	       b->disk_is_memory ? "; BOTH PLACES ARE IN MEMORY" : "");
	for (unsigned cell = 0; cell < CELLS; cell++) {
		printf("%s", cell_words[cell]);
		if (cell % LOADS)
			printf(" (%" PRIu64 " connections, pipeline %" PRIu64
			       ": %.0f/s)",
			       b->flags->connections, b->flags->pipeline,
			       load_per_s(b, cell / LOADS));
		printf("\n");
		for (unsigned k = 0; k < FIGURES; k++) {
			summarise(b, cell, k, &s, &p99);
			printf("  %-44s p50 %7.2f (%.2f-%.2f)   p99 %7.2f\n",
			       figure_words[k], s.median, s.low, s.high, p99);
		}
	}
	printf("asked %" PRIu64
	       " times; VALID after the return: socket %" PRIu64
	       ", in process %" PRIu64 "; after a refusal: %" PRIu64
	       ", %" PRIu64 "\n",
	       b->asked, b->late[JT_ASKER_SOCKET], b->late[JT_ASKER_INPROCESS],
	       b->revived[JT_ASKER_SOCKET], b->revived[JT_ASKER_INPROCESS]);
	if (b->by_socket)
		printf("in process, %" PRIu64 " of the answers came by the "
		       "socket: the table had grown, or the keeper was late\n",
		       b->by_socket);
}

static void add_table(const struct bench *b, json_t *f)
{
	json_t *t =
		jt_findings_table(f, "Revoke latency, ms", "||p50|from|to|p99");
	struct jt_summary s;
	double p99;

	for (unsigned cell = 0; cell < CELLS; cell++)
		for (unsigned k = 0; k < FIGURES; k++) {
			summarise(b, cell, k, &s, &p99);
			jt_findings_row(t, "%s|%s|%.2f|%.2f|%.2f|%.2f",
					cell_words[cell], figure_words[k],
					s.median, s.low, s.high, p99);
		}
}

static void add_bars(const struct bench *b, json_t *f)
{
	char note[256];
	struct jt_summary s;
	json_t *p, *one;
	double p99;

	snprintf(note, sizeof(note), "Medians; %s.", note_memory);
	p = jt_findings_plot(f, "bars", "Revoke latency", "", "milliseconds",
			     note);
	jt_plot_group(p, "to return");
	jt_plot_group(p, "to refusal, socket");
	jt_plot_group(p, "to refusal, in process");
	for (unsigned cell = 0; cell < CELLS; cell++) {
		one = jt_plot_series(p, cell_words[cell]);
		for (unsigned k = 0; k < BARE; k++) {
			summarise(b, cell, k, &s, &p99);
			jt_plot_point(one, k, s.median, s.low, s.high);
		}
	}
}

static void add_ratios(const struct bench *b, json_t *f)
{
	static const struct {
		unsigned over, under;
		const char *words;
	} compared[] = {
		{0, 2, "revoke, start to return: flushes as shipped / free"},
		{1, 3,
		 "revoke under load, start to return: flushes as shipped / "
		 "free"},
		{1, 0, "revoke, start to return: under load / without"},
	};
	struct jt_summary s;

	for (unsigned i = 0; i < sizeof(compared) / sizeof(compared[0]); i++) {
		jt_pairs_ratio(
			(struct jt_series){b->ms[compared[i].over][RETURNED],
					   NULL},
			(struct jt_series){b->ms[compared[i].under][RETURNED],
					   NULL},
			b->flags->rounds, b->flags->seed, &s);
		jt_findings_ratio(f, compared[i].words, &s);
	}
}

static uint64_t wrong(const struct bench *b)
{
	uint64_t n = 0;

	for (unsigned door = 0; door < JT_ASKER_DOORS; door++)
		n += b->late[door] + b->revived[door];
	return n;
}

static json_t *make_findings(const struct bench *b)
{
	json_t *f = jt_findings_new("revoke", &b->machine);

	jt_findings_flag(f, "rounds",
			 json_integer((json_int_t)b->flags->rounds));
	jt_findings_flag(
		f, "load_per_s",
		json_pack("[f,f]", load_per_s(b, 0), load_per_s(b, 1)));
	jt_findings_flag(f, "stolen", json_real(b->stolen));
	jt_findings_flag(f, "asked", json_integer((json_int_t)b->asked));
	jt_findings_flag(f, "valid_after_return_or_refusal",
			 json_integer((json_int_t)wrong(b)));
	jt_findings_flag(f, "inprocess_by_socket",
			 json_integer((json_int_t)b->by_socket));
	if (b->disk_is_memory)
		jt_findings_flag(f, "caution",
				 json_string("both places are in memory"));
	add_ratios(b, f);
	add_table(b, f);
	add_bars(b, f);
	return f;
}

static int run(struct bench *b)
{
	int r = jt_scratch_bin_dir(b->bin_dir);

	if (r)
		return r;
	jt_process_catch_signals();
	jt_machine_read(&b->machine);
	r = set_up(b);
	if (!r)
		r = run_rounds(b);
	if (!r)
		print_result(b);
	if (!r && b->flags->json)
		r = jt_findings_write(make_findings(b), b->flags->json);
	if (!r && wrong(b)) {
		fprintf(stderr, "jeton-bench: FAILED: a revoked token was "
				"VALID\n");
		r = -EPROTO;
	}
	clean_up(b);
	return r;
}

int jt_verb_revoke(int argc, char **argv)
{
	struct flags f = {
		.tokens = 100000,
		.rounds = 300,
		.connections = 50,
		.pipeline = 1,
		.seed = 1,
		.tmp = "/tmp",
		.memory = "/dev/shm",
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
