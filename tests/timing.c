/*
 * timing: does the time that an answer takes tell where a wrong secret went
 * wrong? In the manner of dudect (Reparaz, Balasch, Verbauwhede 2017).
 *
 *   timing [--samples N] [--seed N]
 *
 * Two classes of requests, drawn at random one after the other, each timed by
 * the processor's own counter; then Welch's t of their means, of all times and
 * of those below some percentile, as the upper ones are the machine's. All get
 * one and the same answer, UNKNOWN, and differ in one thing only:
 *
 *   secret   the id is right; the first or the last character of the secret is
 *            not; the checksum fits
 *   digest   the value is right; the first or the last byte of the digest that
 *            is stored is not, so the comparison itself is what is timed
 *
 * with and without a memo, and four at once, which are hashed and compared side
 * by side. A comparison that stops at the first difference goes
 * along, whose t has to be beyond the threshold: else nothing would be seen
 * here at all. Between two answers of different words times may differ.
 *
 * Measured on a shared virtual machine of two processors, seed 20261128, 10^7
 * of each: largest |t| 2.34 (one at a time, with and without a memo); the
 * control's 4197. With a byte-wise early end planted in the comparison: 292 at
 * 300,000.
 *
 * Both classes do the same before each measurement, in the same memory, without
 * a branch on the class, which the processor would remember. For the same
 * reason there are many tokens: with one or a few hundred it learns by heart
 * how the branches over a value's characters go, and is wrong at a place of its
 * own for each class. That says something about what was asked, which the asker
 * knows, and nothing about what is stored.
 */
#include "shm/atomic.h"
#include "shm/table.h"
#include "shm/verify.h"

#include <math.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define THRESHOLD 4.5
#define CROPS 5u
#define BATCH 4u /* are hashed side by side */
#define N(list) (sizeof(list) / sizeof((list)[0]))
#define CALIBRATION 50000u
#define NOW_S 1800000000ull
#define SECRET JT_PUBLIC_BYTES
#define TOKENS 16384u /* more than a branch predictor learns by heart */
#define CHECKED (JT_TOKEN_BYTES - JT_CHECK_BYTES)

static const double percentiles[CROPS] = {1.0, 0.99, 0.9, 0.75, 0.5};
static const char digits[] =
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

struct moments {
	double n, mean, m2;
};

struct token {
	struct jt_slot *slot;
	char text[JT_TOKEN_BYTES];
	uint64_t digest[JT_VALUE_DIGEST / 8];
};

struct test {
	const char *name;
	struct jt_maps maps;
	struct jt_memo memo, *use;
	struct token tokens[TOKENS];
	const struct token *one;       /* whose turn it is */
	uint8_t value[JT_TOKEN_BYTES]; /* that is asked about */
	uint64_t random;
	uint64_t n_samples;
	size_t n_asks; /* at once */
};

static uint64_t draw(struct test *t)
{
	/* splitmix64 */
	uint64_t z = t->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t ticks(void)
{
#if defined(__x86_64__)
	uint64_t now;

	/* what was written before is not on its way any more: a byte just
	 * stored would hold up whoever reads the word around it */
	_mm_mfence();
	_mm_lfence();
	now = __rdtsc();
	_mm_lfence();
	return now;
#else
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

/* ---- the classes ---- */

static void put_checksum(uint8_t value[JT_TOKEN_BYTES])
{
	uint32_t sum = XXH32(value, CHECKED, 0);

	for (unsigned i = JT_TOKEN_BYTES; i-- > CHECKED; sum /= 62)
		value[i] = (uint8_t)digits[sum % 62];
}

/* All of it is written anew. */
static void wrong_secret(struct test *t, bool last)
{
	unsigned at = SECRET + (unsigned)last * (CHECKED - 1 - SECRET);
	uint8_t right = (uint8_t)t->one->text[at], wrong;

	do
		wrong = (uint8_t)digits[draw(t) % 62];
	while (wrong == right);
	memcpy(t->value, t->one->text, sizeof(t->value));
	t->value[at] = wrong;
	put_checksum(t->value);
}

static void wrong_digest(struct test *t, bool last)
{
	uint8_t digest[JT_VALUE_DIGEST];
	uint64_t words[JT_VALUE_DIGEST / 8];
	uint8_t flip = (uint8_t)(draw(t) % 255 + 1);

	memcpy(digest, t->one->digest, sizeof(digest));
	digest[(unsigned)last * (JT_VALUE_DIGEST - 1)] ^= flip;
	memcpy(words, digest, sizeof(words));
	memcpy(t->value, t->one->text, sizeof(t->value));
	for (unsigned i = 0; i < JT_VALUE_DIGEST / 8; i++)
		/* relaxed: nobody else is there */
		jt_store_relaxed(&t->one->slot->digest[i], words[i]);
}

/* ---- what is timed ---- */

static uint64_t time_verify(struct test *t)
{
	const struct jt_ask ask = {.token = {t->value, JT_TOKEN_BYTES},
				   .cost = 1};
	const struct jt_ask asks[BATCH] = {ask, ask, ask, ask};
	struct jt_verdict v[BATCH];
	struct jt_tally tally = {0};
	uint64_t began = ticks(), ended;

	jt_verify(&t->maps, t->use, asks, v, t->n_asks,
		  (struct jt_now){.wall_s = NOW_S, .boot_ns = 1}, &tally);
	ended = ticks();
	if (v[0].word != JT_UNKNOWN) {
		fprintf(stderr, "timing: %s: the answer is %s\n", t->name,
			jt_word_name(v[0].word));
		exit(2);
	}
	return ended - began;
}

/* What may never be written: it ends where two values differ. */
__attribute__((noinline)) static unsigned differs_at(const uint8_t *a,
						     const char *b)
{
	unsigned i = 0;

	while (i < JT_TOKEN_BYTES && a[i] == (uint8_t)b[i])
		i++;
	return i;
}

static uint64_t time_control(struct test *t)
{
	uint64_t began = ticks(), ended;
	unsigned at = differs_at(t->value, t->one->text);

	__asm__ __volatile__("" : : "r"(at));
	ended = ticks();
	return ended - began;
}

/* ---- statistics ---- */

static void take(struct moments *m, double x)
{
	double d = x - m->mean;

	m->n++;
	m->mean += d / m->n;
	m->m2 += d * (x - m->mean);
}

static double welch(const struct moments m[2])
{
	double a, b;

	if (m[0].n < 2 || m[1].n < 2)
		return 0;
	a = m[0].m2 / (m[0].n - 1) / m[0].n;
	b = m[1].m2 / (m[1].n - 1) / m[1].n;
	return a + b > 0 ? (m[0].mean - m[1].mean) / sqrt(a + b) : 0;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

typedef void prepare(struct test *, bool last);
typedef uint64_t timed(struct test *);

static uint64_t sample(struct test *t, prepare *prepare_it, timed *time_it,
		       bool *lastp)
{
	*lastp = draw(t) & 1;
	t->one = &t->tokens[draw(t) % TOKENS];
	prepare_it(t, *lastp);
	return time_it(t);
}

static void calibrate(struct test *t, prepare *prepare_it, timed *time_it,
		      uint64_t limits[CROPS])
{
	static uint64_t seen[CALIBRATION];
	bool last;

	for (unsigned i = 0; i < CALIBRATION; i++)
		seen[i] = sample(t, prepare_it, time_it, &last);
	qsort(seen, CALIBRATION, sizeof(seen[0]), ascending);
	for (unsigned c = 0; c < CROPS; c++)
		limits[c] =
			percentiles[c] < 1.0
				? seen[(size_t)(percentiles[c] * CALIBRATION)]
				: UINT64_MAX;
}

/* The largest |t|. */
static double run(struct test *t, const char *name, prepare *prepare_it,
		  timed *time_it)
{
	struct moments m[CROPS][2] = {0};
	uint64_t limits[CROPS];
	double worst = 0;

	t->name = name;
	calibrate(t, prepare_it, time_it, limits);
	for (uint64_t i = 0; i < t->n_samples; i++) {
		bool last;
		uint64_t x = sample(t, prepare_it, time_it, &last);

		for (unsigned c = 0; c < CROPS; c++)
			if (x <= limits[c])
				take(&m[c][last], (double)x);
	}
	printf("timing: %-22s mean %.1f and %.1f ticks, t", name, m[0][0].mean,
	       m[0][1].mean);
	for (unsigned c = 0; c < CROPS; c++) {
		double v = welch(m[c]);

		printf(" %+.2f", v);
		worst = fabs(v) > worst ? fabs(v) : worst;
	}
	printf(", largest %.2f\n", worst);
	return worst;
}

/* ---- set-up ---- */

static void fail(const char *what)
{
	fprintf(stderr, "timing: cannot %s\n", what);
	exit(2);
}

static void put_token(struct test *t, struct token *token)
{
	struct jt_entry e = {.state = JT_SLOT_ACTIVE,
			     .expires_s = (uint32_t)NOW_S + 86400};
	uint32_t slot;

	jt_token_make("jt", "live", token->text);
	e.env = jt_table_env(&t->maps, jt_env_word("live", 4));
	memcpy(e.id, token->text, sizeof(e.id));
	jt_token_digest((const uint8_t *)token->text, e.digest);
	memcpy(token->digest, e.digest, sizeof(token->digest));
	if (jt_table_put(&t->maps, &e, &slot))
		fail("put a token");
	token->slot = (struct jt_slot *)(void *)((char *)t->maps.identity_rw +
						 t->maps.identity->slots_off) +
		      slot;
}

static void set_up(struct test *t)
{
	const struct jt_segment_size size = {
		.capacity = TOKENS * 2, .pool_bytes = 4096, .prefix = "jt"};
	const uint8_t journal_id[16] = "timing";
	struct jt_segment_fds fds;
	size_t bytes = jt_memo_bytes(size.capacity);
	void *memory = aligned_alloc(64, bytes);

	if (sodium_init() < 0 || !memory ||
	    jt_segment_create(&size, journal_id, &fds, &t->maps))
		fail("make a table");
	memset(memory, 0, bytes);
	jt_memo_init(&t->memo, memory, bytes);
	for (unsigned i = 0; i < TOKENS; i++)
		put_token(t, &t->tokens[i]);
	jt_store_seq(&t->maps.identity_rw->state, JT_IDENTITY_SERVING);
}

static void restore(struct test *t)
{
	for (unsigned k = 0; k < TOKENS; k++)
		for (unsigned i = 0; i < JT_VALUE_DIGEST / 8; i++)
			/* relaxed: nobody else is there */
			jt_store_relaxed(&t->tokens[k].slot->digest[i],
					 t->tokens[k].digest[i]);
}

static void stay(void)
{
	cpu_set_t one;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &one);
	/* moved about, counters may differ: only more noise */
	if (sched_setaffinity(0, sizeof(one), &one))
		fprintf(stderr, "timing: not bound to a processor\n");
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end)
		fail("understand that number");
	return n;
}

static const struct {
	const char *secret, *digest;
	bool memo;
	size_t n_asks;
} ways[] = {
	{"secret, no memo", "digest, no memo", false, 1},
	{"secret, memo", "digest, memo", true, 1},
	{"secret, four at once", "digest, four at once", false, BATCH},
};

int main(int argc, char **argv)
{
	static struct test t = {.n_samples = 200000};
	double worst = 0, control;
	uint64_t seed = (uint64_t)time(NULL);

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			fail("do without a number behind the flag");
		if (strcmp(argv[i], "--samples") == 0)
			t.n_samples = number(argv[i + 1]);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = number(argv[i + 1]);
		else
			fail("understand a flag: --samples N, --seed N");
	}
	set_up(&t);
	stay();
	t.random = seed;
	printf("timing: seed %llu, %llu samples each, classes: wrong at the "
	       "first or at the last place; t of all, and below 99, 90, 75, "
	       "50 %%\n",
	       (unsigned long long)seed, (unsigned long long)t.n_samples);
	control = run(&t, "control (leaks)", wrong_secret, time_control);
	for (size_t i = 0; i < N(ways); i++) {
		t.use = ways[i].memo ? &t.memo : NULL;
		t.n_asks = ways[i].n_asks;
		restore(&t);
		worst = fmax(worst, run(&t, ways[i].secret, wrong_secret,
					time_verify));
		worst = fmax(worst, run(&t, ways[i].digest, wrong_digest,
					time_verify));
	}
	printf("timing: largest |t| %.2f, threshold %.1f: %s; control %.2f: "
	       "%s\n",
	       worst, THRESHOLD, worst < THRESHOLD ? "ok" : "TIMES DIFFER",
	       control, control > THRESHOLD ? "seen" : "NOT SEEN");
	return worst < THRESHOLD && control > THRESHOLD ? 0 : 1;
}
