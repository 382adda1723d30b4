/*
 * stress_meter: one meter line, many hands, an oracle.
 *
 * oracle    One hand: random limits, costs and clocks (standing still and
 *           stepping back, too) against the same rule in 128-bit arithmetic.
 * simulated All hands take from one line under a shared clock that they push
 *           on themselves. Of the requests whose clock lay in a span of t at
 *           most burst + t / interval may be admitted; as demand never pauses,
 *           at least 99 % of that must be. Held for the whole run and for each
 *           of its cells.
 * boot      The same under the real boot clock.
 * hostile   One more hand writes anything into the words; no answer may leave
 *           its limits, and nothing may overflow (FLAVOUR=asan watches that).
 */
#include "tests/stress.h"

#include "shm/meter.h"

#define HANDS 4u
#define CASES 1000000u
#define CASES_A_RUN 1000u
#define CELLS 1024u
#define TURN 64u
#define START_NS 1000000000000ull
#define NS_PER_MS 1000000u

typedef unsigned __int128 wide;

/* One line under test and what was admitted from it. */
struct trial {
	const char *what;
	struct stress *s;
	struct jt_meter meter;
	uint64_t interval_ns, burst, cell_ns, until_ns;
	bool real; /* the boot clock, not `clock_ns` */
	_Atomic uint64_t clock_ns;
	_Atomic uint64_t first_ns; /* of all hands, boot clock */
	_Atomic uint64_t admitted, refused, hostile;
	_Atomic uint64_t cells[CELLS];
};

/* ---- oracle ---- */

struct oracle {
	wide tat;
};

static uint64_t ms_up(wide ns)
{
	return (uint64_t)((ns + NS_PER_MS - 1) / NS_PER_MS);
}

static enum jt_meter_answer ask_oracle(struct oracle *o, uint64_t interval_ns,
				       uint64_t burst, uint64_t cost,
				       uint64_t now_ns,
				       struct jt_meter_state *state)
{
	wide full = (wide)interval_ns * burst, want = (wide)interval_ns * cost;
	wide base = o->tat > now_ns ? o->tat : now_ns, debt;
	enum jt_meter_answer how = JT_METER_ADMITTED;

	*state = (struct jt_meter_state){0};
	if (cost > burst) {
		how = JT_METER_NEVER;
	} else if (cost && base + want > now_ns + full) {
		how = JT_METER_REFUSED;
		/* a debt beyond the whole limit counts as that */
		debt = base - now_ns < full ? base - now_ns : full;
		state->retry_after_ms = ms_up(debt + want - full);
	} else if (cost) {
		o->tat = base + want;
	}
	debt = o->tat > now_ns ? o->tat - now_ns : 0;
	debt = debt < full ? debt : full;
	state->remaining = (uint64_t)((full - debt) / interval_ns);
	state->reset_ms = ms_up(debt);
	return how;
}

static void draw_limits(uint64_t *random, uint64_t *interval_ns,
			uint64_t *burst)
{
	static const uint64_t periods_ns[] = {1000000000ull, 60000000000ull,
					      3600000000000ull,
					      86400000000000ull};
	uint64_t rate, most;

	rate = 1 + stress_below(random, 1ull << stress_below(random, 20));
	if (stress_below(random, 8) == 0)
		rate = 1000000;
	*interval_ns =
		jt_meter_interval_ns(rate, periods_ns[stress_below(random, 4)]);
	most = JT_METER_DEBT_MAX_NS / *interval_ns;
	*burst = 1 + stress_below(random, 1ull << stress_below(random, 22));
	if (stress_below(random, 16) == 0)
		*burst = most; /* the largest that is allowed */
	*burst = *burst < most ? *burst : most;
}

static uint64_t draw_cost(uint64_t *random, uint64_t burst)
{
	switch (stress_below(random, 8)) {
	case 0:
		return 0;
	case 1:
		return burst; /* exactly full */
	case 2:
		return burst + 1 + stress_below(random, burst);
	case 3:
		return 1 + stress_below(random, burst);
	case 4:
		return UINT64_MAX - stress_below(random, 2);
	default:
		return 1;
	}
}

static uint64_t draw_now(uint64_t *random, uint64_t now_ns,
			 uint64_t interval_ns, uint64_t burst)
{
	uint64_t full = interval_ns * burst;

	switch (stress_below(random, 8)) {
	case 0:
		return now_ns; /* stands still */
	case 1: {
		uint64_t back = stress_below(random, full + 1);

		return back < now_ns ? now_ns - back : 0;
	}
	case 2: /* until the last nanosecond of the wait, or one before */
		return now_ns + interval_ns - stress_below(random, 2);
	case 3:
		return now_ns + stress_below(random, full + 1);
	default:
		return now_ns + stress_below(random, interval_ns + 1);
	}
}

static bool one_case(struct stress *s, struct jt_meter *m, struct oracle *o,
		     uint64_t interval_ns, uint64_t burst, uint64_t cost,
		     uint64_t now_ns)
{
	uint64_t before = jt_load_relaxed(&m->rate); /* one hand */
	struct jt_meter_state got, want;
	enum jt_meter_answer a, b;

	a = jt_meter_take(m, interval_ns, burst, cost, now_ns, &got);
	b = ask_oracle(o, interval_ns, burst, cost, now_ns, &want);
	if (a == b && memcmp(&got, &want, sizeof(got)) == 0 &&
	    ((a == JT_METER_ADMITTED && cost) ||
	     jt_load_relaxed(&m->rate) == before))
		return true;
	stress_fail(s,
		    "interval %" PRIu64 " burst %" PRIu64 " cost %" PRIu64
		    " now %" PRIu64 ": answer %d remaining %" PRIu64
		    " reset %" PRIu64 " retry %" PRIu64 ", wanted %d %" PRIu64
		    " %" PRIu64 " %" PRIu64 " (rate word %" PRIu64
		    " -> %" PRIu64 ")",
		    interval_ns, burst, cost, now_ns, (int)a, got.remaining,
		    got.reset_ms, got.retry_after_ms, (int)b, want.remaining,
		    want.reset_ms, want.retry_after_ms, before,
		    jt_load_relaxed(&m->rate));
	return false;
}

static void run_oracle(struct stress *s)
{
	uint64_t random = s->seed;

	for (unsigned i = 0; i < CASES; i += CASES_A_RUN) {
		struct jt_meter m = {0};
		struct oracle o = {0};
		uint64_t interval_ns, burst, now_ns;

		draw_limits(&random, &interval_ns, &burst);
		if (!jt_meter_limits_ok(interval_ns, burst) ||
		    jt_meter_limits_ok(interval_ns,
				       JT_METER_DEBT_MAX_NS / interval_ns + 1))
			stress_fail(s, "interval %" PRIu64 ": wrong limits",
				    interval_ns);
		/* years of uptime at most: the sum of all steps stays small */
		now_ns = stress_below(&random, START_NS);
		for (unsigned k = 0; k < CASES_A_RUN; k++) {
			if (now_ns >= 1ull << 63)
				now_ns = 0; /* steps back for good */
			if (!one_case(s, &m, &o, interval_ns, burst,
				      draw_cost(&random, burst), now_ns))
				break;
			now_ns = draw_now(&random, now_ns, interval_ns, burst);
		}
		stress_count(s, CASES_A_RUN);
	}
}

/* ---- many hands ---- */

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * STRESS_NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool is_within(const struct trial *t, enum jt_meter_answer how,
		      uint64_t cost, const struct jt_meter_state *state)
{
	uint64_t full_ms = ms_up((wide)t->interval_ns * t->burst);

	if (state->remaining > t->burst || state->reset_ms > full_ms ||
	    state->retry_after_ms > full_ms)
		return false;
	switch (how) {
	case JT_METER_ADMITTED:
		return state->retry_after_ms == 0 &&
		       state->remaining + cost <= t->burst;
	case JT_METER_REFUSED:
		return cost && state->retry_after_ms > 0;
	case JT_METER_NEVER:
		return cost > t->burst;
	}
	return false;
}

static void take_once(struct trial *t, uint64_t cost, uint64_t now_ns)
{
	struct jt_meter_state state;
	enum jt_meter_answer how = jt_meter_take(
		&t->meter, t->interval_ns, t->burst, cost, now_ns, &state);
	uint64_t cell = (now_ns - START_NS) / t->cell_ns;

	if (!is_within(t, how, cost, &state))
		stress_fail(t->s,
			    "%s: answer %d to cost %" PRIu64
			    " with remaining %" PRIu64 " reset %" PRIu64
			    " retry %" PRIu64,
			    t->what, (int)how, cost, state.remaining,
			    state.reset_ms, state.retry_after_ms);
	/* relaxed: sums, read when all hands have ended */
	if (how != JT_METER_ADMITTED) {
		jt_add_relaxed(&t->refused, 1);
		return;
	}
	jt_add_relaxed(&t->admitted, cost);
	if (!t->real && cell < CELLS)
		jt_add_relaxed(&t->cells[cell], cost);
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

static void taker(struct stress_hand *hand)
{
	struct trial *t = hand->ctx;
	uint64_t random = stress_hand_seed(hand), now_ns = boot_ns();

	note_first(t, now_ns);
	while (now_ns < t->until_ns) {
		for (unsigned i = 0; i < TURN && now_ns < t->until_ns; i++) {
			take_once(t, 1,
				  t->real ? now_ns : push_clock(t, &random));
			now_ns = boot_ns();
		}
		stress_count(t->s, TURN);
	}
}

static void prepare(struct trial *t, struct stress *s, const char *what,
		    uint64_t interval_ns, uint64_t burst, uint64_t part)
{
	memset(t, 0, sizeof(*t));
	t->what = what;
	t->s = s;
	t->interval_ns = interval_ns;
	t->burst = burst;
	t->cell_ns = interval_ns * burst * 4;
	t->clock_ns = START_NS;
	t->first_ns = UINT64_MAX;
	t->until_ns = boot_ns() + s->seconds * STRESS_NS_PER_S / part;
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

static void report(const struct trial *t, uint64_t t_ns)
{
	printf("stress_meter: %s: %" PRIu64 " admitted of %" PRIu64
	       " allowed, %" PRIu64 " refused\n",
	       t->what, t->admitted, t->burst + t_ns / t->interval_ns,
	       t->refused);
	fflush(stdout);
}

static void run_simulated(struct stress *s, struct trial *t, uint64_t burst)
{
	struct stress_hand hands[HANDS];
	uint64_t t_ns;

	prepare(t, s, burst == 1 ? "simulated, burst 1" : "simulated", 1000,
		burst, 6);
	stress_start(s, hands, HANDS, t, taker);
	stress_join(s, hands, HANDS);
	t_ns = t->clock_ns - START_NS;
	/* a burst of one saves nothing up between two asks */
	judge(t, "the run", t->admitted, t_ns, burst > 1);
	for (unsigned i = 0; i < CELLS; i++)
		judge(t, "a cell", t->cells[i], t->cell_ns, false);
	report(t, t_ns);
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
	t_ns = t->until_ns - t->first_ns;
	judge(t, "the run", t->admitted, t_ns, true);
	report(t, t_ns);
}

/* Costs and clocks that the other runs leave out; answers only. */
static void abused(struct stress_hand *hand)
{
	struct trial *t = hand->ctx;
	uint64_t random = stress_hand_seed(hand);

	while (boot_ns() < t->until_ns) {
		for (unsigned i = 0; i < TURN; i++) {
			uint64_t cost = stress_below(&random, t->burst + 2);

			take_once(t, cost,
				  START_NS + stress_below(&random, START_NS));
		}
		stress_count(t->s, TURN);
	}
}

static void run_hostile(struct stress *s, struct trial *t)
{
	struct stress_hand hands[HANDS - 1];
	uint64_t random = s->seed;

	prepare(t, s, "hostile", JT_METER_DEBT_MAX_NS / 7, 7, 3);
	stress_start(s, hands, HANDS - 1, t, abused);
	while (boot_ns() < t->until_ns) {
		uint64_t word = stress_random(&random);

		if (word % 4 == 0)
			word = UINT64_MAX - word % 3;
		else if (word % 4 == 1)
			word = START_NS + word % START_NS;
		/* relaxed: any order will do for an enemy */
		jt_store_relaxed(&t->meter.rate, word);
		jt_store_relaxed(&t->meter.quota, word);
		jt_add_relaxed(&t->hostile, 1);
	}
	stress_join(s, hands, HANDS - 1);
	printf("stress_meter: hostile: %" PRIu64 " writes between %" PRIu64
	       " admitted and %" PRIu64 " refused\n",
	       t->hostile, t->admitted, t->refused);
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
	run_boot(&s, t);
	run_hostile(&s, t);
	return stress_end(&s);
}
