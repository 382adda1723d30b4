/*
 * stress_meter: one meter line, many hands, an oracle.
 *
 * oracle    One hand: random limits (which change), costs and clocks (which
 *           stand still, step back and roll windows over) against the same
 *           rules in 128 bits (oracle_meter.h).
 * All that follow have many hands, which take one at a time or some at once.
 * simulated All hands take from one line under a shared clock that they push
 *           on themselves. Of the requests whose clock lay in a span of t at
 *           most burst + t / interval may be admitted; as demand never pauses,
 *           at least 99 % of that must be. Held for the whole run and for each
 *           of its cells.
 * both      The same with a quota beside the rate, until it is spent: it is
 *           admitted to the last one, and the rate was used to 99 % until then.
 * mixed     The same, but any request may come under the rate alone, the quota
 *           alone or both, as when limits change: swaps of 8 and of 16 bytes
 *           meet on one line, and each limit holds for those that it counts.
 * rolling   A quota whose window ends every few dozen requests: each window is
 *           spent to its last one.
 * boot      As simulated, under the real boot clock.
 * hostile   One more hand writes anything into the words; no answer may leave
 *           its limits, and nothing may overflow (FLAVOUR=asan watches that).
 */
#include "tests/oracle_meter.h"
#include "tests/stress.h"

#define HANDS 4u
/* a sanitizer takes ten times as long and looks for something else */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CASES 500000u
#else
#define CASES 10000000u
#endif
#define CASES_A_RUN 250u
#define CELLS 1024u
#define TURN 64u
#define AT_ONCE 8u
#define START_NS 1000000000000ull
#define WALL_S 1800000000ull /* a full minute in mid-month */
#define QUOTA 20000u	     /* of both and mixed */
#define ASKS_MAX (100u * QUOTA)
#define WINDOW_QUOTA 20u /* of rolling */
#define PARTS 9u	 /* of the seconds: six runs, and boot has three */

/* What a request may come under. */
enum {
	RATE,
	QUOTA_ALONE,
	BOTH,
	KINDS
};

/* One line under test and what was admitted from it. */
struct trial {
	const char *what;
	struct stress *s;
	struct jt_meter meter;
	struct jt_bounds bounds[KINDS];
	uint64_t interval_ns, burst, cell_ns, until_ns;
	uint64_t wall_ns; /* of the boot clock in a second of the wall's */
	bool real;	  /* the boot clock, not `clock_ns` */
	bool mixed;
	_Atomic uint64_t clock_ns;
	_Atomic uint64_t first_ns; /* of all hands, boot clock */
	_Atomic uint64_t last_ns;  /* the latest that any of them asked at */
	_Atomic uint64_t spent_ns; /* the last clock that had quota */
	_Atomic uint64_t by_rate, by_quota, refused, hostile;
	_Atomic uint64_t cells[CELLS];
};

/* ---- oracle ---- */

static void run_oracle(struct stress *s)
{
	static struct oracle_run r;
	const struct oracle_tally *t = &r.tally;
	bool ok = true;

	oracle_begin(&r, stress_random, s->seed);
	for (unsigned i = 0; i < CASES && ok; i += CASES_A_RUN) {
		oracle_restart(&r);
		if (!jt_meter_bounds_ok(&r.bounds))
			stress_fail(s, "good limits are refused");
		for (unsigned k = 0; k < CASES_A_RUN && ok; k++)
			ok = oracle_step(&r);
		stress_count(s, CASES_A_RUN);
	}
	if (!ok)
		stress_fail(s, "%s", r.text);
	printf("stress_meter: oracle: %" PRIu64 " admitted, %" PRIu64
	       " without quota, %" PRIu64 " without rate, %" PRIu64
	       " never, %" PRIu64 " looks; %" PRIu64 " windows, %" PRIu64
	       " clocks behind\n",
	       t->admitted, t->no_quota, t->no_rate, t->never, t->looks,
	       t->rolled, t->behind);
	fflush(stdout);
}

/* ---- many hands ---- */

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * STRESS_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t window_ms(const struct jt_bounds *b)
{
	const uint64_t min = b->quota_unit == JT_QUOTA_MINUTES
				     ? b->quota_minutes
				     : 31 * 24 * 60;

	return min * 60 * 1000;
}

static bool is_within(const struct jt_bounds *b, enum jt_meter_answer how,
		      uint64_t cost, const struct jt_meter_state *state)
{
	bool quota = b->quota && state->limit == b->quota;
	uint64_t most_ms =
		quota ? window_ms(b)
		      : oracle_ms_up((oracle_wide)b->interval_ns * b->burst);

	if (!quota && (!b->interval_ns || state->limit != b->burst))
		return false;
	if (state->remaining > state->limit || state->reset_ms > most_ms ||
	    state->retry_after_ms > (int64_t)most_ms)
		return false;
	if (how == JT_METER_ADMITTED)
		return state->retry_after_ms == 0 &&
		       state->remaining + cost <= state->limit;
	if (quota != (how == JT_METER_NO_QUOTA) || cost == 0)
		return false;
	return cost > state->limit ? state->retry_after_ms == -1
				   : state->retry_after_ms > 0;
}

static struct jt_now now_of(const struct trial *t, uint64_t boot)
{
	return (struct jt_now){
		.wall_s = t->real ? WALL_S
				  : WALL_S + (boot - START_NS) / t->wall_ns,
		.boot_ns = boot,
	};
}

static void note_spent(struct trial *t, uint64_t now_ns)
{
	uint64_t spent_ns = jt_load_relaxed(&t->spent_ns); /* relaxed: sums */

	while (now_ns > spent_ns &&
	       !jt_swap_if(&t->spent_ns, &spent_ns, now_ns))
		;
}

static void count(struct trial *t, const struct jt_bounds *b, uint64_t now_ns,
		  const struct jt_meter_request *r)
{
	uint64_t cell = (now_ns - START_NS) / t->cell_ns;

	if (!is_within(b, r->answer, r->cost, &r->state))
		stress_fail(t->s,
			    "%s: answer %d to cost %" PRIu64
			    " with limit %" PRIu64 " remaining %" PRIu64
			    " reset %" PRIu64 " retry %" PRId64,
			    t->what, (int)r->answer, r->cost, r->state.limit,
			    r->state.remaining, r->state.reset_ms,
			    r->state.retry_after_ms);
	/* relaxed: sums, read when all hands have ended */
	if (r->answer != JT_METER_ADMITTED) {
		jt_add_relaxed(&t->refused, 1);
		return;
	}
	if (b->quota) {
		jt_add_relaxed(&t->by_quota, r->cost);
		note_spent(t, now_ns);
	}
	if (!b->interval_ns)
		return;
	jt_add_relaxed(&t->by_rate, r->cost);
	if (!t->real && cell < CELLS)
		jt_add_relaxed(&t->cells[cell], r->cost);
}

static enum jt_meter_answer take_once(struct trial *t,
				      const struct jt_bounds *b, uint64_t cost,
				      uint64_t now_ns)
{
	struct jt_meter_request r = {.cost = cost};

	r.answer =
		jt_meter_take(&t->meter, b, cost, now_of(t, now_ns), &r.state);
	count(t, b, now_ns, &r);
	return r.answer;
}

/* One, or up to AT_ONCE together, of a cost below COSTS. The last answer. */
static enum jt_meter_answer take_some(struct trial *t,
				      const struct jt_bounds *b, uint64_t costs,
				      uint64_t now_ns, uint64_t *random)
{
	uint64_t n = stress_below(random, AT_ONCE) + 1;
	struct jt_meter_request r[AT_ONCE];

	for (uint64_t i = 0; i < n; i++)
		r[i].cost = costs ? stress_below(random, costs) : 1;
	if (stress_below(random, 2))
		return take_once(t, b, r[0].cost, now_ns);
	jt_meter_take_all(&t->meter, b, r, n, now_of(t, now_ns));
	for (uint64_t i = 0; i < n; i++)
		count(t, b, now_ns, &r[i]);
	return r[n - 1].answer;
}

/* The next ask's clock: about four asks for each that may be admitted. */
static uint64_t push_clock(struct trial *t, uint64_t *random)
{
	uint64_t step = stress_below(random, t->interval_ns / 2 + 1);

	/* relaxed: hands may read it late; late is only refused more */
	return jt_add_relaxed(&t->clock_ns, step);
}

static void note_first(struct trial *t, uint64_t now_ns)
{
	uint64_t first_ns = jt_load_relaxed(&t->first_ns); /* relaxed: sums */

	while (now_ns < first_ns &&
	       !jt_swap_if(&t->first_ns, &first_ns, now_ns))
		;
}

static const struct jt_bounds *draw_kind(const struct trial *t,
					 uint64_t *random)
{
	if (t->mixed)
		return &t->bounds[stress_below(random, KINDS)];
	return &t->bounds[t->bounds[BOTH].quota ? BOTH : RATE];
}

static void note_last(struct trial *t, uint64_t now_ns)
{
	uint64_t last_ns = jt_load_relaxed(&t->last_ns); /* relaxed: sums */

	while (now_ns > last_ns && !jt_swap_if(&t->last_ns, &last_ns, now_ns))
		;
}

static void taker(struct stress_hand *hand)
{
	struct trial *t = hand->ctx;
	uint64_t random = stress_hand_seed(hand), now_ns = boot_ns();
	uint64_t asked_ns = now_ns;

	note_first(t, now_ns);
	while (now_ns < t->until_ns) {
		for (unsigned i = 0; i < TURN && now_ns < t->until_ns; i++) {
			take_some(t, draw_kind(t, &random), 0,
				  t->real ? now_ns : push_clock(t, &random),
				  &random);
			asked_ns = now_ns;
			now_ns = boot_ns();
		}
		stress_count(t->s, TURN);
	}
	note_last(t, asked_ns);
}

/* Take until the quota is spent. */
static void spender(struct stress_hand *hand)
{
	struct trial *t = hand->ctx;
	uint64_t random = stress_hand_seed(hand);

	for (uint64_t i = 0; i < ASKS_MAX; i++) {
		const struct jt_bounds *b = draw_kind(t, &random);
		uint64_t now_ns = push_clock(t, &random);

		if (take_some(t, b, 0, now_ns, &random) != JT_METER_NO_QUOTA)
			continue;
		stress_count(t->s, i);
		return;
	}
	stress_fail(t->s, "%s: the quota never ends", t->what);
}

static void prepare(struct trial *t, struct stress *s, const char *what,
		    uint64_t interval_ns, uint64_t burst, uint64_t parts)
{
	memset(t, 0, sizeof(*t));
	t->what = what;
	t->s = s;
	t->interval_ns = interval_ns;
	t->burst = burst;
	t->bounds[RATE].interval_ns = interval_ns;
	t->bounds[RATE].burst = burst;
	t->bounds[BOTH] = t->bounds[RATE];
	t->cell_ns = interval_ns * burst * 4;
	t->wall_ns = STRESS_NS_PER_S;
	t->clock_ns = START_NS;
	t->first_ns = UINT64_MAX;
	t->spent_ns = START_NS;
	t->until_ns = boot_ns() + s->seconds * STRESS_NS_PER_S * parts / PARTS;
}

static void add_quota(struct trial *t, uint64_t quota, uint32_t unit,
		      uint32_t minutes)
{
	struct jt_bounds *b = t->bounds;

	b[BOTH].quota = b[QUOTA_ALONE].quota = quota;
	b[BOTH].quota_unit = b[QUOTA_ALONE].quota_unit = unit;
	b[BOTH].quota_minutes = b[QUOTA_ALONE].quota_minutes = minutes;
}

/* BURST + t / INTERVAL at most; with LEAST at least 99 % of it. */
static void judge(struct trial *t, const char *span, uint64_t admitted,
		  uint64_t t_ns, bool least)
{
	uint64_t most = t->burst + t_ns / t->interval_ns;

	stress_count(t->s, 1);
	if (admitted > most)
		stress_fail(t->s,
			    "%s: %" PRIu64 " admitted in %s of %" PRIu64
			    " ns, at most %" PRIu64,
			    t->what, admitted, span, t_ns, most);
	if (least && admitted < most - most / 100)
		stress_fail(t->s,
			    "%s: only %" PRIu64 " admitted in %s of %" PRIu64
			    " ns, out of %" PRIu64,
			    t->what, admitted, span, t_ns, most);
}

static void judge_cells(struct trial *t)
{
	for (unsigned i = 0; i < CELLS; i++)
		judge(t, "a cell", t->cells[i], t->cell_ns, false);
}

/* Exactly QUOTA in each of so many windows. */
static void judge_quota(struct trial *t, uint64_t quota, uint64_t windows)
{
	stress_count(t->s, windows);
	if (t->by_quota != quota * windows)
		stress_fail(t->s,
			    "%s: %" PRIu64 " admitted by a quota of %" PRIu64
			    " in %" PRIu64 " windows",
			    t->what, t->by_quota, quota, windows);
}

static void report(const struct trial *t, uint64_t t_ns)
{
	printf("stress_meter: %s: %" PRIu64 " admitted of %" PRIu64
	       " allowed, %" PRIu64 " refused\n",
	       t->what, t->by_rate, t->burst + t_ns / t->interval_ns,
	       t->refused);
	fflush(stdout);
}

static void run_simulated(struct stress *s, struct trial *t, uint64_t burst)
{
	struct stress_hand hands[HANDS];
	uint64_t t_ns;

	prepare(t, s, burst == 1 ? "simulated, burst 1" : "simulated", 1000,
		burst, 1);
	stress_start(s, hands, HANDS, t, taker);
	stress_join(s, hands, HANDS);
	t_ns = t->clock_ns - START_NS;
	/* a burst of one saves nothing up between two asks */
	judge(t, "the run", t->by_rate, t_ns, burst > 1);
	judge_cells(t);
	report(t, t_ns);
}

/* What the rate allows until the last of the quota is spent. */
static uint64_t allowed_until_spent(const struct trial *t)
{
	uint64_t ns = t->spent_ns - START_NS;

	return t->burst + ns / t->interval_ns;
}

static void spend_once(struct stress *s, struct trial *t, bool mixed)
{
	struct stress_hand hands[HANDS];
	uint64_t least;

	prepare(t, s, mixed ? "mixed" : "both", 1000, 50, 0);
	add_quota(t, QUOTA, JT_QUOTA_MONTH, 0);
	t->mixed = mixed;
	stress_start(s, hands, HANDS, t, spender);
	stress_join(s, hands, HANDS);
	judge_quota(t, QUOTA, 1);
	judge_cells(t);
	judge(t, "the run", t->by_rate, t->clock_ns - START_NS, false);
	least = allowed_until_spent(t) / 100 * 99;
	if (t->by_rate < least)
		stress_fail(s,
			    "%s: %" PRIu64 " admitted by the rate until the "
			    "quota was spent, at least %" PRIu64,
			    t->what, t->by_rate, least);
}

static void run_spent(struct stress *s, struct trial *t, bool mixed)
{
	uint64_t until_ns = boot_ns() + s->seconds * STRESS_NS_PER_S / PARTS;
	unsigned times = 0;

	for (; times == 0 || boot_ns() < until_ns; times++)
		spend_once(s, t, mixed);
	printf("stress_meter: %s: %u quotas of %u spent, the last with %" PRIu64
	       " of %" PRIu64 " allowed by the rate\n",
	       t->what, times, QUOTA, t->by_rate, allowed_until_spent(t));
	fflush(stdout);
}

/*
 * A window is a minute of 60 intervals, about 240 asks: more than enough to
 * spend its quota. A hand that is late counts in a later window, which says no
 * the sooner for it. The last window is spent by the judge.
 */
static void run_rolling(struct stress *s, struct trial *t)
{
	struct stress_hand hands[HANDS];
	uint64_t windows;

	prepare(t, s, "rolling", 1000, 5, 1);
	add_quota(t, WINDOW_QUOTA, JT_QUOTA_MINUTES, 1);
	t->wall_ns = t->interval_ns;
	stress_start(s, hands, HANDS, t, taker);
	stress_join(s, hands, HANDS);
	while (take_once(t, &t->bounds[QUOTA_ALONE], 1, t->clock_ns) ==
	       JT_METER_ADMITTED)
		;
	windows = (t->clock_ns - START_NS) / (60 * t->wall_ns) + 1;
	judge_quota(t, WINDOW_QUOTA, windows);
	judge(t, "the run", t->by_rate, t->clock_ns - START_NS, false);
	judge_cells(t);
	printf("stress_meter: rolling: %" PRIu64 " windows spent, %" PRIu64
	       " refused\n",
	       windows, t->refused);
	fflush(stdout);
}

static void run_boot(struct stress *s, struct trial *t)
{
	struct stress_hand hands[HANDS];
	uint64_t t_ns;

	/* the burst outlasts pauses in which no hand gets a processor */
	prepare(t, s, "boot clock", 5000, 100000, 3);
	t->real = true;
	stress_start(s, hands, HANDS, t, taker);
	stress_join(s, hands, HANDS);
	/* what comes due while no hand has a processor at the end nobody asks
	 * for */
	t_ns = t->last_ns - t->first_ns;
	judge(t, "the run", t->by_rate, t_ns, true);
	report(t, t_ns);
}

/* Costs and clocks that the other runs leave out; answers only. */
static void abused(struct stress_hand *hand)
{
	struct trial *t = hand->ctx;
	uint64_t random = stress_hand_seed(hand);

	while (boot_ns() < t->until_ns) {
		for (unsigned i = 0; i < TURN; i++) {
			take_some(t, draw_kind(t, &random), t->burst + 6,
				  START_NS + stress_below(&random, START_NS),
				  &random);
		}
		stress_count(t->s, TURN);
	}
}

static uint64_t enemy_rate(uint64_t word)
{
	if (word % 4 == 0)
		return UINT64_MAX - word % 3;
	return word % 4 == 1 ? START_NS + word % START_NS : word;
}

/* Any window and count; or one near the current, and a count near the quota. */
static uint64_t enemy_quota(uint64_t word)
{
	uint64_t start_min = WALL_S / 60 - 90 + word / 8 % 180;

	if (word % 4 == 0)
		return UINT64_MAX - word % 3;
	return word % 4 == 1 ? word
			     : start_min << ORACLE_COUNT_BITS | word >> 61;
}

static void run_hostile(struct stress *s, struct trial *t)
{
	struct stress_hand hands[HANDS - 1];
	uint64_t random = s->seed;

	prepare(t, s, "hostile", JT_METER_DEBT_MAX_NS / 7, 7, 1);
	add_quota(t, 9, JT_QUOTA_MINUTES, 90);
	t->mixed = true;
	stress_start(s, hands, HANDS - 1, t, abused);
	while (boot_ns() < t->until_ns) {
		/* relaxed: any order will do for an enemy */
		jt_store_relaxed(&t->meter.rate,
				 enemy_rate(stress_random(&random)));
		jt_store_relaxed(&t->meter.quota,
				 enemy_quota(stress_random(&random)));
		jt_add_relaxed(&t->hostile, 1);
	}
	stress_join(s, hands, HANDS - 1);
	printf("stress_meter: hostile: %" PRIu64 " writes between %" PRIu64
	       " admitted by a rate, %" PRIu64 " by a quota and %" PRIu64
	       " refused\n",
	       t->hostile, t->by_rate, t->by_quota, t->refused);
}

int main(int argc, char **argv)
{
	struct stress s;
	struct trial *t;

	stress_begin(&s, "stress_meter", 3, argc, argv, NULL);
	t = stress_shared(sizeof(*t));
	run_oracle(&s);
	run_simulated(&s, t, 1);
	run_simulated(&s, t, 50);
	run_spent(&s, t, false);
	run_spent(&s, t, true);
	run_rolling(&s, t);
	run_boot(&s, t);
	run_hostile(&s, t);
	return stress_end(&s);
}
