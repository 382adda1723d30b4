/*
 * torture: breaks a journal in every way and counts what was lost or came
 * back. See torture.h.
 *
 *   torture [--seed N] [--seconds N] [--percent N] [--hands N] [--only N]
 *
 * PERCENT of each exhaustive phase is done (100: all), then chains of crashes
 * until SECONDS are over. One line for each count; exit 1 when anything was
 * lost, came back or was wrong. A failure names step, place and seed: the same
 * numbers do the same again.
 */
#include "tests/torture.h"

#include <malloc.h>

struct torture t;

struct phase {
	const char *name;
	void (*run)(void);
};

static const struct phase phases[] = {
	{"crashes", torture_crashes},	  {"errors", torture_errors},
	{"followers", torture_followers}, {"damages", torture_damages},
	{"snapshots", torture_snapshots}, {"chains", torture_chains},
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))

static uint64_t only; /* that phase, from 1; 0: all */

void torture_failed(const char *fmt, ...)
{
	char line[300];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	stress_fail(t.s, "%s at %" PRIu64 " (hand %u of %u, %" PRIu64 "%%): %s",
		    t.step, t.at, t.hand, t.hands, t.percent, line);
}

bool torture_mine(uint64_t n)
{
	return n % t.hands == t.hand &&
	       stress_mix(n ^ t.s->seed) % 100 < t.percent;
}

/* What libsodium calls random is the program's: values, ids, operations. */
static uint64_t drawn;

static const char *seeded_name(void)
{
	return "seeded";
}

static uint32_t seeded_random(void)
{
	return (uint32_t)stress_random(&drawn);
}

static void seeded_buf(void *out, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)out)[i] = (uint8_t)seeded_random();
}

static struct randombytes_implementation seeded = {
	.implementation_name = seeded_name,
	.random = seeded_random,
	.buf = seeded_buf,
};

static void run_hand(struct stress_hand *hand)
{
	t.hand = hand->number;
	/* thousands of ledgers: keep their memory between them */
	mallopt(M_MMAP_THRESHOLD, 1 << 26);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	torture_order_init();
	torture_world_init(); /* the keeper's map is not inherited */
	for (unsigned i = 0; i < PHASES; i++) {
		uint64_t start_ns = stress_now_ns();

		if (only && only != i + 1)
			continue;
		/* all hands live through the same worlds */
		t.random = stress_mix(t.s->seed);
		t.step = phases[i].name;
		phases[i].run();
		if (t.hand == 0)
			fprintf(stderr, "torture: %s: %.1f s\n", phases[i].name,
				(double)(stress_now_ns() - start_ns) / 1e9);
	}
	stress_count(t.s, 1);
}

static void print_counts(uint64_t start_ns)
{
	/* relaxed: all hands have ended */
#define X(name) uint64_t name = jt_load_relaxed(&t.score->name);
	T_COUNTS(X)
#undef X
	printf("torture: %" PRIu64 " points, %" PRIu64 " images (%" PRIu64
	       " kills, %" PRIu64 " power cuts by 512 bytes, %" PRIu64
	       " by 4096), %" PRIu64 " chains of crashes, %" PRIu64
	       " single errors, %" PRIu64 " looks of a follower\n",
	       points, images, kills, cuts512, cuts4096, chains, errors, looks);
	printf("torture: %" PRIu64 " bits flipped, %" PRIu64
	       " bytes set, %" PRIu64 " truncations, %" PRIu64
	       " other damages; %" PRIu64 " refused, %" PRIu64
	       " adopted, %" PRIu64 " recovered, %" PRIu64
	       " snapshots ignored\n",
	       flips, values, truncations, damages, refused, adopted, recovered,
	       ignored);
	printf("torture: order held %" PRIu64 " times\n", ordered);
	printf("torture: lost %" PRIu64 " of %" PRIu64 ", resurrected %" PRIu64
	       " of %" PRIu64 ", otherwise wrong %" PRIu64 "; seed %" PRIu64
	       ", %" PRIu64 "%%, %u hands, %.1f s\n",
	       lost, verdicts, resurrected, verdicts, wrong, t.s->seed,
	       t.percent, t.hands, (double)(stress_now_ns() - start_ns) / 1e9);
}

int main(int argc, char **argv)
{
	uint64_t start_ns = stress_now_ns(), hands = 2, percent = 100;
	const struct stress_option options[] = {
		{"--percent", &percent, NULL},
		{"--hands", &hands, NULL},
		{"--only", &only, NULL},
		{0},
	};
	struct stress_hand all[STRESS_HANDS_MAX];
	struct stress s;

	stress_begin(&s, "torture", 240, argc, argv, options);
	if (hands == 0 || hands > STRESS_HANDS_MAX || percent > 100)
		stress_usage(&s, options);
	s.processes = true;
	drawn = stress_mix(s.seed);
	randombytes_set_implementation(&seeded);
	t.s = &s;
	t.hands = (unsigned)hands;
	t.percent = percent;
	t.score = stress_shared(sizeof(*t.score));
	t.random = stress_mix(s.seed);
	stress_start(&s, all, t.hands, NULL, run_hand);
	stress_join(&s, all, t.hands);
	print_counts(start_ns);
	return stress_end(&s);
}
