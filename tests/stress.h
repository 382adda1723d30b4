/*
 * stress: what the stress programs have in common.
 *
 * A program has hands: threads, or forked processes with --processes. What
 * they share lies in memory that stays shared over fork. A check that fails
 * says so in one line (the first few of them) and is counted; the closing line
 * counts all. Everything random comes from one seed, which is printed.
 *
 * ThreadSanitizer aborts Criterion, so these are plain programs. It knows
 * memory by its virtual address: of two maps of one segment it sees two
 * unrelated memories. So a hand that shall be watched uses the very map of the
 * writer, and one that shall run as in production a map of its own.
 */
#ifndef JT_TESTS_STRESS_H
#define JT_TESTS_STRESS_H

#include "shm/atomic.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STRESS_HANDS_MAX 16u
#define STRESS_LINES_MAX 10u
#define STRESS_NS_PER_S 1000000000ull

struct stress_score {
	_Atomic uint64_t checks, failures, stop;
};

struct stress {
	const char *name;
	uint64_t seed, seconds;
	uint64_t until_ns;
	bool processes;
	struct stress_score *score;
};

/* An option of one program: a number, or a flag when NUMBER is NULL. */
struct stress_option {
	const char *name;
	uint64_t *number;
	bool *flag;
};

struct stress_hand {
	struct stress *s;
	void *ctx;
	unsigned number;
	void (*run)(struct stress_hand *hand);
	pthread_t thread;
	pid_t pid;
};

static inline uint64_t stress_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * STRESS_NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline void stress_sleep_ns(uint64_t ns)
{
	const struct timespec t = {.tv_sec = (time_t)(ns / STRESS_NS_PER_S),
				   .tv_nsec = (long)(ns % STRESS_NS_PER_S)};

	nanosleep(&t, NULL);
}

/* splitmix64: of a number, another one that tells nothing about it. */
static inline uint64_t stress_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline uint64_t stress_random(uint64_t *state)
{
	return stress_mix((*state)++);
}

/* A number below N, evenly enough. */
static inline uint64_t stress_below(uint64_t *state, uint64_t n)
{
	return (uint64_t)((unsigned __int128)stress_random(state) * n >> 64);
}

static inline uint64_t stress_hand_seed(const struct stress_hand *hand)
{
	return stress_mix(hand->s->seed ^ stress_mix(hand->number));
}

/* A set-up that fails is no finding: say what and leave. */
static inline _Noreturn void stress_die(const char *what, int rc)
{
	fprintf(stderr, "stress: %s: %s\n", what,
		rc < 0 ? strerror(-rc) : "failed");
	exit(2);
}

/* Zeroed memory that stays shared over fork; touched pages alone cost. */
static inline void *stress_shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		stress_die("mmap", -errno);
	return p;
}

__attribute__((format(printf, 2, 3))) static inline void
stress_fail(struct stress *s, const char *fmt, ...)
{
	char line[512];
	va_list args;

	/* relaxed: counters, read when all hands have ended */
	if (jt_add_relaxed(&s->score->failures, 1) >= STRESS_LINES_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	fprintf(stderr, "%s: FAILED: %s (seed %" PRIu64 ")\n", s->name, line,
		s->seed);
}

static inline void stress_count(struct stress *s, uint64_t n)
{
	jt_add_relaxed(&s->score->checks, n); /* relaxed: a counter */
}

static inline bool stress_goes_on(const struct stress *s)
{
	/* relaxed: only asked to end soon */
	return !jt_load_relaxed(&s->score->stop) &&
	       stress_now_ns() < s->until_ns;
}

static inline void stress_stop(struct stress *s)
{
	jt_store_relaxed(&s->score->stop, 1); /* relaxed: only a hint */
}

static inline _Noreturn void stress_usage(const struct stress *s,
					  const struct stress_option *more)
{
	fprintf(stderr, "usage: %s [--seed N] [--seconds N] [--processes]",
		s->name);
	for (; more && more->name; more++)
		fprintf(stderr, " [%s%s]", more->name,
			more->number ? " N" : "");
	fprintf(stderr, "\n");
	exit(2);
}

static inline uint64_t stress_number(const struct stress *s, const char *text,
				     const struct stress_option *more)
{
	char *end;
	uint64_t n = text ? strtoull(text, &end, 10) : 0;

	if (!text || !*text || *end)
		stress_usage(s, more);
	return n;
}

/* MORE ends with a nameless one; NULL: none. */
static inline void stress_options(struct stress *s, int argc, char **argv,
				  const struct stress_option *more)
{
	const struct stress_option common[] = {
		{"--seed", &s->seed, NULL},
		{"--seconds", &s->seconds, NULL},
		{"--processes", NULL, &s->processes},
		{0},
	};

	for (int i = 1; i < argc; i++) {
		const struct stress_option *o = common;

		while (o->name && strcmp(o->name, argv[i]) != 0)
			o++;
		for (o = o->name ? o : more; o && o->name; o++)
			if (strcmp(o->name, argv[i]) == 0)
				break;
		if (!o || !o->name)
			stress_usage(s, more);
		if (o->number)
			*o->number = stress_number(s, argv[++i], more);
		else
			*o->flag = true;
	}
}

static inline void stress_begin(struct stress *s, const char *name,
				uint64_t seconds, int argc, char **argv,
				const struct stress_option *more)
{
	if (sodium_init() < 0)
		stress_die("sodium_init", -EIO);
	*s = (struct stress){.name = name, .seconds = seconds};
	randombytes_buf(&s->seed, sizeof(s->seed));
	s->seed >>= 32; /* short enough to be typed again */
	stress_options(s, argc, argv, more);
	s->score = stress_shared(sizeof(*s->score));
	s->until_ns = stress_now_ns() + s->seconds * STRESS_NS_PER_S;
	printf("%s: seed %" PRIu64 "\n", name, s->seed);
	fflush(stdout); /* or every forked hand would print it again */
}

static inline void *stress_thread(void *arg)
{
	struct stress_hand *hand = arg;

	hand->run(hand);
	return NULL;
}

/* A forked hand ends with its parent. */
static inline pid_t stress_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		stress_die("fork", -errno);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(2);
	}
	return pid;
}

static inline void stress_start(struct stress *s, struct stress_hand *hands,
				unsigned n, void *ctx,
				void (*run)(struct stress_hand *hand))
{
	for (unsigned i = 0; i < n; i++) {
		struct stress_hand *h = &hands[i];

		*h = (struct stress_hand){
			.s = s, .ctx = ctx, .number = i, .run = run};
		if (s->processes) {
			h->pid = stress_fork();
			if (h->pid == 0) {
				run(h);
				_exit(0);
			}
		} else if (pthread_create(&h->thread, NULL, stress_thread, h)) {
			stress_die("pthread_create", -EAGAIN);
		}
	}
}

static inline void stress_join(struct stress *s, struct stress_hand *hands,
			       unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int status = 0;

		if (!s->processes)
			pthread_join(hands[i].thread, NULL);
		else if (waitpid(hands[i].pid, &status, 0) < 0 || status)
			stress_fail(s, "hand %u ended with status 0x%x", i,
				    (unsigned)status);
	}
}

/* The closing line; the exit status. */
static inline int stress_end(const struct stress *s)
{
	uint64_t checks = jt_load_relaxed(&s->score->checks); /* all ended */
	uint64_t failures = jt_load_relaxed(&s->score->failures);

	printf("%s: %" PRIu64 " checks, %" PRIu64 " failures (seed %" PRIu64
	       ")\n",
	       s->name, checks, failures, s->seed);
	return failures || !checks;
}

#endif
