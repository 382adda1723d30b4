/* meter: exact against two oracles in 128 bits, and never generous. */
#include "shm/meter.h"

#include "tests/help_table.h"
#include "tests/oracle_meter.h"
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#define MS 1000000ull
#define S 1000000000ull
#define DAY_S 86400ull
#define MONDAY_S 1799625600ull /* 2027-01-11, a Monday in mid-month */
#define COUNT_BITS 37u

typedef unsigned __int128 wide;

/* The oracle: a bucket that holds burst x interval ns and fills 1 ns a ns. */
struct bucket {
	wide full, credit;
	uint64_t interval, now;
};

static struct jt_meter meter;
static struct jt_meter_state state;

static enum jt_meter_answer take(uint64_t interval, uint64_t burst,
				 uint64_t cost, uint64_t now)
{
	const struct jt_bounds b = {.interval_ns = interval, .burst = burst};

	return jt_meter_take(&meter, &b, cost, (struct jt_now){HELP_NOW_S, now},
			     &state);
}

static enum jt_meter_answer take_of(const struct jt_bounds *b, uint64_t cost,
				    uint64_t wall_s, uint64_t boot_ns)
{
	return jt_meter_take(&meter, b, cost, (struct jt_now){wall_s, boot_ns},
			     &state);
}

static bool is_rate_ok(uint64_t interval, uint64_t burst)
{
	return jt_meter_bounds_ok(
		&(struct jt_bounds){.interval_ns = interval, .burst = burst});
}

static wide up_ms(wide ns)
{
	return (ns + MS - 1) / MS;
}

static void pass(struct bucket *b, uint64_t ns)
{
	b->now += ns;
	b->credit = b->credit + ns < b->full ? b->credit + ns : b->full;
}

static void expect_state(const struct bucket *b, wide missing)
{
	cr_assert_eq(state.limit, (uint64_t)(b->full / b->interval));
	cr_assert_eq(state.remaining, (uint64_t)(b->credit / b->interval));
	cr_assert_eq(state.reset_ms, (uint64_t)up_ms(b->full - b->credit));
	if (state.retry_after_ms >= 0)
		cr_assert_eq(state.retry_after_ms, (int64_t)up_ms(missing));
}

/* Take COST in both worlds and compare every word of the answer. */
static void both_take(struct bucket *b, uint64_t cost)
{
	uint64_t before = meter.rate;
	wide want = (wide)cost * b->interval;
	uint64_t burst = (uint64_t)(b->full / b->interval);
	enum jt_meter_answer got = take(b->interval, burst, cost, b->now);

	cr_assert_eq(state.retry_after_ms<0, cost> burst);
	if (cost > burst) {
		cr_assert_eq(got, JT_METER_NO_RATE);
		expect_state(b, 0);
	} else if (want > b->credit) {
		cr_assert_eq(got, JT_METER_NO_RATE);
		expect_state(b, want - b->credit);
	} else {
		cr_assert_eq(got, JT_METER_ADMITTED);
		b->credit -= want;
		expect_state(b, 0);
	}
	if (!cost || got != JT_METER_ADMITTED)
		cr_assert_eq(meter.rate, before, "written, though not taken");
}

/* A number of at most BITS bits, of any size alike. */
static uint64_t some(uint64_t *seed, unsigned bits)
{
	uint64_t r = help_random(seed);

	return r >> (63 - (r & 63) % bits);
}

static struct bucket random_limit(uint64_t *seed)
{
	struct bucket b = {.interval = some(seed, 62) + 1};
	uint64_t burst = some(seed, 62) % (JT_METER_DEBT_MAX_NS / b.interval);

	b.full = b.credit = (wide)b.interval * (burst + 1);
	if ((uint64_t)b.full > JT_METER_DEBT_MAX_NS)
		b.full = b.credit = b.interval;
	b.now = some(seed, 61) + 1;
	cr_assert(is_rate_ok(b.interval, (uint64_t)(b.full / b.interval)));
	return b;
}

static void run_sequence(uint64_t *seed, unsigned steps)
{
	struct bucket b = random_limit(seed);
	uint64_t burst = (uint64_t)(b.full / b.interval);

	memset(&meter, 0, sizeof(meter));
	for (unsigned i = 0; i < steps; i++) {
		uint64_t r = help_random(seed);
		uint64_t far = some(seed, 55);

		/* around an exact multiple of the interval, or anywhere */
		if (r & 1)
			far = b.interval < 1ull << 55
				      ? b.interval + (r >> 9) % 3
				      : 1;
		pass(&b, r & 6 ? far : 0);
		both_take(&b, r & 8    ? (r >> 16) % 3
			      : r & 16 ? help_random(seed) % (burst / 2 + 1) + 1
				       : burst + (r >> 16) % 3 - 1);
	}
}

Test(meter, equals_a_token_bucket_in_128_bits)
{
	uint64_t seed = 10;

	for (unsigned i = 0; i < 10000; i++)
		run_sequence(&seed, 40);
}

/* Rate, quota, both; limits that change; windows that roll (oracle_meter.h) */
Test(meter, equals_the_rules_in_128_bits_with_quota_and_changing_limits)
{
	static struct oracle_run r;

	oracle_begin(&r, help_random, 11);
	for (unsigned i = 0; i < 1200; i++) {
		oracle_restart(&r);
		for (unsigned k = 0; k < 250; k++)
			cr_assert(oracle_step(&r), "%s", r.text);
	}
	/* and all of them were met */
	cr_expect_gt(r.tally.looks, 10000);
	cr_expect_gt(r.tally.admitted, 10000);
	cr_expect_gt(r.tally.no_quota, 10000);
	cr_expect_gt(r.tally.no_rate, 10000);
	cr_expect_gt(r.tally.never, 10000);
	cr_expect_gt(r.tally.rolled, 1000);
	cr_expect_gt(r.tally.behind, 1000);
}

/* ---- many at once ---- */

#define AT_ONCE 32u

/* N costs: 0, small, all that is left, at a limit and above all. */
static void draw_costs(struct oracle_run *r, uint64_t *costs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		costs[i] = oracle_draw_cost(r);
		if (oracle_below(r, 4) == 0)
			costs[i] = oracle_below(r, 3);
	}
}

/* Twins of the oracle's line, one that N requests take from together. */
static void expect_same_at_once(struct oracle_run *r, size_t n)
{
	struct jt_meter_request requests[AT_ONCE + 1];
	struct jt_meter together = r->meter;
	uint64_t costs[AT_ONCE];

	draw_costs(r, costs, n);
	memset(requests, 0x5a, sizeof(requests));
	for (size_t i = 0; i < n; i++)
		requests[i].cost = costs[i];
	jt_meter_take_all(&together, &r->bounds, requests, n, r->now);
	for (size_t i = 0; i < n; i++) {
		enum jt_meter_answer a = jt_meter_take(
			&r->meter, &r->bounds, costs[i], r->now, &state);
		enum jt_meter_answer b = oracle_take(
			&r->oracle, &r->bounds, costs[i], r->now, &r->last);

		oracle_explain(r, costs[i], (int)requests[i].answer,
			       &requests[i].state, (int)b, &r->last);
		cr_assert_eq(a, b, "%s", r->text);
		cr_assert_eq(requests[i].answer, b, "%zu of %zu: %s", i, n,
			     r->text);
		cr_assert(
			!memcmp(&requests[i].state, &r->last, sizeof(r->last)),
			"%zu of %zu: %s", i, n, r->text);
		cr_assert_eq(requests[i].cost, costs[i]);
		oracle_count_case(r, costs[i], a, r->oracle.start_min);
	}
	cr_assert(oracle_is_line(r));
	cr_assert(!memcmp(&together, &r->meter, sizeof(together)),
		  "the lines differ");
	cr_assert_eq(requests[n].cost, 0x5a5a5a5a5a5a5a5a, "one too many");
}

Test(meter, many_at_once_get_what_one_after_the_other_gets)
{
	static struct oracle_run r;
	unsigned both = 0, rates = 0, quotas = 0;

	oracle_begin(&r, help_random, 13);
	for (unsigned i = 0; i < 4000; i++) {
		oracle_restart(&r);
		for (unsigned k = 0; k < 12; k++) {
			expect_same_at_once(&r, oracle_below(&r, AT_ONCE + 1));
			both += r.bounds.quota && r.bounds.interval_ns;
			quotas += r.bounds.quota && !r.bounds.interval_ns;
			rates += !r.bounds.quota;
			oracle_step_boot(&r);
			oracle_step_wall(&r);
			if (r.changing && oracle_below(&r, 8) == 0)
				oracle_draw_bounds(&r);
		}
	}
	/* and all of them were met */
	cr_expect_gt(both, 1000);
	cr_expect_gt(rates, 1000);
	cr_expect_gt(quotas, 1000);
	cr_expect_gt(r.tally.looks, 10000);
	cr_expect_gt(r.tally.admitted, 10000);
	cr_expect_gt(r.tally.no_quota, 10000);
	cr_expect_gt(r.tally.no_rate, 10000);
	cr_expect_gt(r.tally.never, 10000);
}

/* Statistics are the caller's. */
Test(meter, many_at_once_touch_the_two_words_only)
{
	const struct jt_bounds b = {.interval_ns = S,
				    .burst = 5,
				    .quota = 9,
				    .quota_unit = JT_QUOTA_DAY};
	struct jt_meter_request requests[3] = {
		{.cost = 2}, {.cost = 9}, {.cost = 1}};
	struct jt_meter want;

	memset(&meter, 0, sizeof(meter));
	meter.uses = 11;
	meter.refusals = 12;
	meter.last_use_s = 13;
	meter.old_use_s = 14;
	meter.old_use_by = 15;
	memcpy(&want, &meter, sizeof(want));
	jt_meter_take_all(&meter, &b, requests, 3,
			  (struct jt_now){MONDAY_S, S});
	want.rate = 4 * S;
	want.quota = MONDAY_S / 60 << COUNT_BITS | 3;
	cr_expect(!memcmp(&meter, &want, sizeof(want)));
	cr_expect_eq(requests[0].state.remaining, 3);
	cr_expect_eq(requests[1].answer, JT_METER_NO_RATE);
	cr_expect_eq(requests[1].state.retry_after_ms, -1);
	cr_expect_eq(requests[2].state.remaining, 2);
}

/* One limit alone leaves the other's word, whatever stands in it. */
Test(meter, many_at_once_leave_the_word_of_a_limit_they_are_not_under)
{
	const struct jt_bounds rate = {.interval_ns = S, .burst = 5};
	const struct jt_bounds quota = {.quota = 5, .quota_unit = JT_QUOTA_DAY};
	struct jt_meter_request requests[8];

	for (unsigned i = 0; i < 8; i++)
		requests[i].cost = 1;
	meter.rate = 0;
	meter.quota = UINT64_MAX;
	jt_meter_take_all(&meter, &rate, requests, 8,
			  (struct jt_now){MONDAY_S, S});
	cr_expect_eq(meter.rate, 6 * S);
	cr_expect_eq(meter.quota, UINT64_MAX);
	meter.rate = UINT64_MAX;
	meter.quota = 0;
	jt_meter_take_all(&meter, &quota, requests, 8,
			  (struct jt_now){MONDAY_S, S});
	cr_expect_eq(meter.rate, UINT64_MAX);
	cr_expect_eq(meter.quota, MONDAY_S / 60 << COUNT_BITS | 5);
}

Test(meter, looks_and_refusals_at_once_write_nothing)
{
	const struct jt_bounds b = {.interval_ns = S, .burst = 5};
	struct jt_meter_request requests[3] = {
		{.cost = 0}, {.cost = 6}, {.cost = UINT64_MAX}};
	const struct jt_meter zero = {0};
	/* read-only: any write, also one of the same words, is a fault */
	struct jt_meter *line =
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert(line != MAP_FAILED);
	jt_meter_take_all(line, &b, requests, 3, (struct jt_now){MONDAY_S, S});
	jt_meter_take_all(line, &b, requests, 0, (struct jt_now){MONDAY_S, S});
	cr_expect(!memcmp(line, &zero, sizeof(zero)));
	cr_expect_eq(requests[0].answer, JT_METER_ADMITTED);
	cr_expect_eq(requests[1].answer, JT_METER_NO_RATE);
	cr_expect_eq(requests[2].state.retry_after_ms, -1);
}

Test(meter, exactly_the_burst_at_once)
{
	for (unsigned i = 0; i < 10; i++) {
		cr_expect_eq(take(S, 10, 1, 5 * S), JT_METER_ADMITTED);
		cr_expect_eq(state.remaining, 9 - i);
		cr_expect_eq(state.reset_ms, 1000 * (i + 1));
		cr_expect_eq(state.retry_after_ms, 0);
	}
	cr_expect_eq(take(S, 10, 1, 5 * S), JT_METER_NO_RATE);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(state.retry_after_ms, 1000);
	cr_expect_eq(take(S, 10, 1, 6 * S - 1), JT_METER_NO_RATE);
	cr_expect_eq(state.retry_after_ms, 1, "1 ns is rounded up");
	cr_expect_eq(take(S, 10, 1, 6 * S), JT_METER_ADMITTED);
	cr_expect_eq(take(S, 10, 1, 6 * S), JT_METER_NO_RATE);
}

Test(meter, whole_burst_in_one_cost)
{
	cr_expect_eq(take(S, 10, 10, S), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(state.reset_ms, 10000);
	cr_expect_eq(take(S, 10, 10, 11 * S - 1), JT_METER_NO_RATE);
	cr_expect_eq(take(S, 10, 10, 11 * S), JT_METER_ADMITTED);
}

Test(meter, burst_of_one_is_a_plain_interval)
{
	cr_expect_eq(take(7, 1, 1, 100), JT_METER_ADMITTED);
	for (uint64_t now = 100; now < 107; now++)
		cr_expect_eq(take(7, 1, 1, now), JT_METER_NO_RATE);
	cr_expect_eq(take(7, 1, 1, 107), JT_METER_ADMITTED);
}

/* Whoever comes as often as he can gets burst + t / interval, no more. */
Test(meter, any_span_admits_at_most_burst_and_its_share)
{
	uint64_t n = 0;

	for (uint64_t now = 1000; now <= 1000 + 100000; now++)
		while (take(30, 5, 1, now) == JT_METER_ADMITTED)
			n++;
	cr_expect_eq(n, 5 + 100000 / 30);
}

Test(meter, idle_time_saves_up_to_the_burst_only)
{
	cr_expect_eq(take(S, 3, 3, S), JT_METER_ADMITTED);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(take(S, 3, 1, 900000 * S), JT_METER_ADMITTED);
	cr_expect_eq(take(S, 3, 1, 900000 * S), JT_METER_NO_RATE);
}

Test(meter, cost_0_looks_and_never_spends)
{
	cr_expect_eq(take(S, 2, 0, S), JT_METER_ADMITTED);
	cr_expect_eq(meter.rate, 0);
	cr_expect_eq(state.remaining, 2);
	cr_expect_eq(state.reset_ms, 0);
	take(S, 2, 2, S);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t rate = meter.rate;

		cr_expect_eq(take(S, 2, 0, S), JT_METER_ADMITTED);
		cr_expect_eq(state.remaining, 0);
		cr_expect_eq(state.reset_ms, 2000);
		cr_expect_eq(state.retry_after_ms, 0);
		cr_expect_eq(meter.rate, rate);
	}
}

Test(meter, cost_above_the_burst_is_never_admitted)
{
	static const uint64_t costs[] = {4, 5, 1ull << 32, UINT64_MAX / S + 2,
					 UINT64_MAX};

	for (unsigned i = 0; i < 5; i++) {
		cr_expect_eq(take(S, 3, costs[i], S), JT_METER_NO_RATE);
		cr_expect_eq(state.retry_after_ms, -1);
		cr_expect_eq(state.remaining, 3);
		cr_expect_eq(meter.rate, 0);
	}
	take(S, 3, 3, S);
	cr_expect_eq(take(S, 3, 4, S), JT_METER_NO_RATE);
	cr_expect_eq(state.retry_after_ms, -1);
	cr_expect_eq(state.reset_ms, 3000);
}

/* Come back when told: admitted; a millisecond earlier: still refused. */
Test(meter, retry_after_is_the_first_millisecond_that_works)
{
	uint64_t seed = 7;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t interval = help_random(&seed) % (3 * S) + 1;
		uint64_t burst = help_random(&seed) % 20 + 1;
		uint64_t cost = help_random(&seed) % burst + 1;
		uint64_t now = S + help_random(&seed) % S, wait;

		memset(&meter, 0, sizeof(meter));
		while (take(interval, burst, cost, now) == JT_METER_ADMITTED)
			now += help_random(&seed) % 1000;
		wait = (uint64_t)state.retry_after_ms * MS;
		cr_assert_gt(wait, 0);
		if (wait > MS)
			cr_assert_eq(
				take(interval, burst, cost, now + wait - MS),
				JT_METER_NO_RATE);
		cr_assert_eq(take(interval, burst, cost, now + wait),
			     JT_METER_ADMITTED);
	}
}

Test(meter, reset_is_when_the_whole_burst_is_there_again)
{
	take(1234567, 9, 5, S);
	cr_expect_eq(state.reset_ms, 7, "6.17 ms, rounded up");
	cr_expect_eq(take(1234567, 9, 9, S + 6 * MS), JT_METER_NO_RATE);
	cr_expect_eq(take(1234567, 9, 9, S + 7 * MS), JT_METER_ADMITTED);
}

Test(meter, clock_that_stands_or_goes_back_grants_nothing)
{
	uint64_t rate;

	take(S, 5, 5, 1000 * S);
	rate = meter.rate;
	for (uint64_t back = 0; back <= 1000; back += 50)
		cr_expect_eq(take(S, 5, 1, (1000 - back) * S),
			     JT_METER_NO_RATE);
	cr_expect_eq(meter.rate, rate);
	cr_expect_eq(take(S, 5, 1, 1001 * S), JT_METER_ADMITTED);
	cr_expect_eq(take(S, 5, 1, 1001 * S), JT_METER_NO_RATE);
}

Test(meter, clock_gone_back_after_a_part_of_the_burst_only_denies)
{
	take(S, 5, 1, 1000 * S);
	cr_expect_eq(take(S, 5, 1, 998 * S), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 1, "3 from before and this one");
	cr_expect_eq(take(S, 5, 1, 1 * S), JT_METER_NO_RATE);
	cr_expect_eq(state.remaining, 0);
	cr_expect_leq(state.reset_ms, 5000);
}

Test(meter, hostile_words_give_answers_of_some_history)
{
	static const uint64_t words[] = {0,
					 1,
					 1000 * S,
					 1000 * S + 1,
					 1005 * S,
					 1005 * S + 1,
					 1ull << 62,
					 1ull << 63,
					 UINT64_MAX - 1,
					 UINT64_MAX};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (uint64_t cost = 0; cost < 7; cost++) {
			meter.rate = words[i];
			take(S, 5, cost, 1000 * S);
			cr_expect_leq(state.remaining, 5);
			cr_expect_leq(state.reset_ms, 5000);
			cr_expect_leq(state.retry_after_ms, 5000);
			cr_expect(meter.rate == words[i] ||
				  meter.rate <= 1005 * S);
		}
	}
}

Test(meter, word_far_ahead_is_a_full_debt)
{
	meter.rate = UINT64_MAX;
	cr_expect_eq(take(S, 5, 1, 1000 * S), JT_METER_NO_RATE);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(state.reset_ms, 5000);
	cr_expect_eq(state.retry_after_ms, 1000);
	cr_expect_eq(meter.rate, UINT64_MAX);
}

Test(meter, limits_at_their_extremes_neither_wrap_nor_overflow)
{
	const uint64_t most = JT_METER_DEBT_MAX_NS;

	cr_expect_eq(take(most, 1, 1, most), JT_METER_ADMITTED);
	cr_expect_eq(take(most, 1, 1, 2 * most - 1), JT_METER_NO_RATE);
	cr_expect_eq(state.retry_after_ms, 1);
	cr_expect_eq(take(most, 1, 1, 2 * most), JT_METER_ADMITTED);
	meter.rate = 0;
	cr_expect_eq(take(1, most, most, 1), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(take(1, most, 1, 1), JT_METER_NO_RATE);
	cr_expect_eq(take(1, most, 1, 2), JT_METER_ADMITTED);
	cr_expect_eq(take(1, most, most + 1, 2), JT_METER_NO_RATE);
	cr_expect_eq(state.retry_after_ms, -1);
}

Test(meter, limits_that_the_arithmetic_cannot_hold_are_refused)
{
	const uint64_t most = JT_METER_DEBT_MAX_NS;

	cr_expect(is_rate_ok(1, 1));
	cr_expect(is_rate_ok(most, 1));
	cr_expect(is_rate_ok(1, most));
	cr_expect(is_rate_ok(1ull << 31, 1ull << 31));
	cr_expect_not(is_rate_ok(0, 1));
	cr_expect_not(is_rate_ok(1, 0));
	cr_expect_not(is_rate_ok(0, 0));
	cr_expect_not(is_rate_ok(most + 1, 1));
	cr_expect_not(is_rate_ok(1, most + 1));
	cr_expect_not(is_rate_ok(1ull << 31, (1ull << 31) + 1));
	cr_expect_not(is_rate_ok(1ull << 32, 1ull << 32));
	cr_expect_not(is_rate_ok(UINT64_MAX, UINT64_MAX));
}

Test(meter, interval_is_rounded_up_so_that_it_never_admits_too_much)
{
	uint64_t seed = 8;

	cr_expect_eq(jt_meter_interval_ns(1, S), S);
	cr_expect_eq(jt_meter_interval_ns(100, S), 10 * MS);
	cr_expect_eq(jt_meter_interval_ns(3, S), 333333334);
	cr_expect_eq(jt_meter_interval_ns(S, S), 1);
	cr_expect_eq(jt_meter_interval_ns(S + 1, S), 1);
	cr_expect_eq(jt_meter_interval_ns(UINT64_MAX, S), 1);
	cr_expect_eq(jt_meter_interval_ns(1, UINT64_MAX), UINT64_MAX);
	cr_expect_eq(jt_meter_interval_ns(2, UINT64_MAX), 1ull << 63);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t rate = some(&seed, 64) + 1, span = some(&seed, 64);
		uint64_t ns;

		if (!rate)
			continue;
		ns = jt_meter_interval_ns(rate, span);
		cr_assert((wide)ns * rate >= span);
		cr_assert(!ns || (wide)(ns - 1) * rate < span);
	}
}

/* ---- quota ---- */

static const struct jt_bounds day3 = {.quota = 3, .quota_unit = JT_QUOTA_DAY};
static const struct jt_bounds month3 = {.quota = 3,
					.quota_unit = JT_QUOTA_MONTH};

static uint64_t stored_start_min(void)
{
	return meter.quota >> COUNT_BITS;
}

static uint64_t stored_count(void)
{
	return meter.quota & JT_METER_QUOTA_MAX;
}

Test(meter, quota_is_admitted_to_the_last_one_and_not_beyond)
{
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(take_of(&day3, 1, MONDAY_S + i, 0),
			     JT_METER_ADMITTED);
		cr_expect_eq(state.limit, 3);
		cr_expect_eq(state.remaining, 2 - i);
		cr_expect_eq(state.reset_ms, (DAY_S - i) * 1000);
		cr_expect_eq(state.retry_after_ms, 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(take_of(&day3, 1, MONDAY_S + 9, 0),
			     JT_METER_NO_QUOTA);
		cr_expect_eq(state.remaining, 0);
		cr_expect_eq(state.retry_after_ms, (int64_t)(DAY_S - 9) * 1000);
	}
	cr_expect_eq(stored_count(), 3);
	cr_expect_eq(meter.rate, 0, "no rate, no rate word");
}

Test(meter, quota_begins_anew_with_the_first_second_of_its_window)
{
	take_of(&day3, 3, MONDAY_S, 0);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + DAY_S - 1, 0),
		     JT_METER_NO_QUOTA);
	cr_expect_eq(state.retry_after_ms, 1000);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + DAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 2);
	cr_expect_eq(take_of(&day3, 3, MONDAY_S + DAY_S, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&day3, 2, MONDAY_S + DAY_S, 0), JT_METER_ADMITTED);
}

Test(meter, quota_refused_part_of_a_cost_spends_none_of_it)
{
	take_of(&day3, 2, MONDAY_S, 0);
	cr_expect_eq(take_of(&day3, 2, MONDAY_S, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(state.remaining, 1);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S, 0), JT_METER_ADMITTED);
}

Test(meter, cost_0_looks_at_a_quota_and_begins_no_window)
{
	take_of(&day3, 3, MONDAY_S, 0);
	cr_expect_eq(take_of(&day3, 0, MONDAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(state.retry_after_ms, 0);
	cr_expect_eq(take_of(&day3, 0, MONDAY_S + DAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 3);
	cr_expect_eq(stored_count(), 3, "the window of Monday still");
}

Test(meter, cost_above_the_quota_is_never_admitted)
{
	static const uint64_t costs[] = {4, JT_METER_QUOTA_MAX,
					 JT_METER_QUOTA_MAX + 1, 1ull << 63,
					 UINT64_MAX};

	for (unsigned i = 0; i < 5; i++) {
		cr_expect_eq(take_of(&day3, costs[i], MONDAY_S, 0),
			     JT_METER_NO_QUOTA);
		cr_expect_eq(state.retry_after_ms, -1);
		cr_expect_eq(state.remaining, 3);
		cr_expect_eq(meter.quota, 0);
	}
}

Test(meter, wall_clock_that_steps_back_grants_nothing)
{
	take_of(&day3, 3, MONDAY_S + DAY_S, 0);
	for (uint64_t back = 0; back < 40; back++)
		cr_expect_eq(take_of(&day3, 1, MONDAY_S - back * DAY_S, 0),
			     JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + 2 * DAY_S, 0),
		     JT_METER_ADMITTED);
}

Test(meter, quota_used_while_the_clock_stood_years_ahead_is_the_present_ones)
{
	const uint64_t far_s = MONDAY_S + 3650 * DAY_S;

	cr_expect_eq(take_of(&day3, 2, far_s, 0), JT_METER_ADMITTED);
	cr_expect_eq(take_of(&day3, 2, MONDAY_S, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(stored_start_min(), MONDAY_S / 60);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + DAY_S - 1, 0),
		     JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + DAY_S, 0), JT_METER_ADMITTED);
}

Test(meter, quota_used_up_while_the_clock_stood_years_ahead_is_back_in_time)
{
	take_of(&day3, 3, MONDAY_S + 3650 * DAY_S, 0);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + DAY_S, 0), JT_METER_ADMITTED);
}

Test(meter, wall_clock_behind_another_process_counts_in_the_later_window)
{
	take_of(&day3, 1, MONDAY_S + DAY_S, 0);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + DAY_S - 1, 0),
		     JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 1);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S + DAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
}

Test(meter, day_to_month_keeps_the_count_of_today)
{
	take_of(&day3, 2, MONDAY_S, 0);
	cr_expect_eq(take_of(&month3, 2, MONDAY_S, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&month3, 1, MONDAY_S + DAY_S, 0),
		     JT_METER_ADMITTED);
	cr_expect_eq(stored_count(), 3);
	cr_expect_eq(stored_start_min(), MONDAY_S / 60, "never goes back");
	cr_expect_eq(take_of(&month3, 1, MONDAY_S + 20 * DAY_S, 0),
		     JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&month3, 3, MONDAY_S + 21 * DAY_S, 0),
		     JT_METER_ADMITTED, "February 1st");
}

Test(meter, month_to_day_begins_anew_but_on_the_first_keeps_the_count)
{
	const uint64_t first_s = MONDAY_S + 21 * DAY_S;

	take_of(&month3, 3, MONDAY_S, 0);
	cr_expect_eq(take_of(&day3, 3, MONDAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S, 0), JT_METER_NO_QUOTA);
	take_of(&month3, 3, first_s, 0);
	cr_expect_eq(take_of(&day3, 1, first_s, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&day3, 1, first_s + DAY_S, 0), JT_METER_ADMITTED);
}

Test(meter, another_quota_keeps_the_count_and_counts_at_once)
{
	struct jt_bounds b = day3;

	take_of(&b, 3, MONDAY_S, 0);
	b.quota = 5;
	cr_expect_eq(take_of(&b, 2, MONDAY_S, 0), JT_METER_ADMITTED);
	b.quota = 4;
	cr_expect_eq(take_of(&b, 1, MONDAY_S, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(state.limit, 4);
	cr_expect_eq(state.remaining, 0, "5 counted, and not below 0");
	b.quota = 6;
	cr_expect_eq(take_of(&b, 1, MONDAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(take_of(&b, 1, MONDAY_S, 0), JT_METER_NO_QUOTA);
}

Test(meter, quota_at_its_maximum_neither_wraps_nor_touches_the_window)
{
	const struct jt_bounds b = {.quota = JT_METER_QUOTA_MAX,
				    .quota_unit = JT_QUOTA_DAY};

	cr_expect_eq(take_of(&b, JT_METER_QUOTA_MAX, MONDAY_S, 0),
		     JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(stored_start_min(), MONDAY_S / 60);
	cr_expect_eq(take_of(&b, 1, MONDAY_S, 0), JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&b, JT_METER_QUOTA_MAX, MONDAY_S, 0),
		     JT_METER_NO_QUOTA);
	cr_expect_eq(stored_count(), JT_METER_QUOTA_MAX);
}

Test(meter, start_beyond_its_27_bits_only_denies)
{
	const uint64_t end_s = (1ull << 27) * 60;

	cr_expect_eq(take_of(&day3, 3, end_s - 2 * DAY_S, 0),
		     JT_METER_ADMITTED);
	cr_expect_eq(take_of(&day3, 3, end_s + DAY_S, 0), JT_METER_ADMITTED);
	cr_expect_eq(stored_start_min(), (1u << 27) - 1);
	for (uint64_t day = 1; day < 100; day++)
		cr_expect_eq(take_of(&day3, 1, end_s + day * DAY_S, 0),
			     JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&day3, 1, UINT64_MAX, 0), JT_METER_NO_QUOTA);
}

/* ---- both ---- */

/* 2 at once and one a second, 4 a day. */
static const struct jt_bounds both = {
	.interval_ns = S, .burst = 2, .quota = 4, .quota_unit = JT_QUOTA_DAY};

Test(meter, refusal_by_the_rate_spends_no_quota)
{
	take_of(&both, 2, MONDAY_S, 100 * S);
	for (unsigned i = 0; i < 10; i++) {
		cr_expect_eq(take_of(&both, 1, MONDAY_S, 100 * S),
			     JT_METER_NO_RATE);
		cr_expect_eq(state.limit, 2);
		cr_expect_eq(state.remaining, 0);
		cr_expect_eq(state.reset_ms, 2000);
		cr_expect_eq(state.retry_after_ms, 1000);
	}
	cr_expect_eq(stored_count(), 2);
	cr_expect_eq(meter.rate, 102 * S);
}

Test(meter, refusal_by_the_quota_spends_no_rate)
{
	take_of(&both, 2, MONDAY_S, 100 * S);
	take_of(&both, 2, MONDAY_S, 102 * S);
	for (unsigned i = 0; i < 10; i++) {
		cr_expect_eq(take_of(&both, 1, MONDAY_S, 200 * S),
			     JT_METER_NO_QUOTA);
		cr_expect_eq(state.limit, 4);
		cr_expect_eq(state.retry_after_ms, (int64_t)DAY_S * 1000);
	}
	cr_expect_eq(stored_count(), 4);
	cr_expect_eq(meter.rate, 104 * S);
}

Test(meter, quota_is_told_when_both_refuse)
{
	take_of(&both, 2, MONDAY_S, 100 * S);
	take_of(&both, 2, MONDAY_S, 102 * S);
	cr_expect_eq(take_of(&both, 1, MONDAY_S, 102 * S), JT_METER_NO_QUOTA);
	cr_expect_eq(take_of(&both, 1, MONDAY_S + DAY_S, 102 * S),
		     JT_METER_NO_RATE);
	cr_expect_eq(take_of(&both, 5, MONDAY_S, 102 * S), JT_METER_NO_QUOTA);
	cr_expect_eq(state.retry_after_ms, -1, "above both");
	cr_expect_eq(take_of(&both, 3, MONDAY_S, 102 * S), JT_METER_NO_RATE);
	cr_expect_eq(state.retry_after_ms, -1, "above the burst: for good");
	cr_expect_eq(state.limit, 2);
}

Test(meter, smaller_remaining_share_is_told_and_the_rate_at_a_tie)
{
	cr_expect_eq(take_of(&both, 0, MONDAY_S, 100 * S), JT_METER_ADMITTED);
	cr_expect_eq(state.limit, 2, "full, both: a tie");
	take_of(&both, 1, MONDAY_S, 100 * S);
	cr_expect_eq(state.limit, 2, "1/2 against 3/4");
	cr_expect_eq(state.remaining, 1);
	take_of(&both, 0, MONDAY_S, 200 * S);
	cr_expect_eq(state.limit, 4, "2/2 against 3/4");
	cr_expect_eq(state.remaining, 3);
	cr_expect_eq(state.reset_ms, DAY_S * 1000);
	take_of(&both, 1, MONDAY_S, 200 * S);
	cr_expect_eq(state.limit, 2, "1/2 against 2/4: a tie");
}

Test(meter, shares_are_compared_without_overflow)
{
	const struct jt_bounds b = {.interval_ns = 1,
				    .burst = JT_METER_DEBT_MAX_NS,
				    .quota = JT_METER_QUOTA_MAX,
				    .quota_unit = JT_QUOTA_MONTH};

	take_of(&b, 0, MONDAY_S, 1);
	cr_expect_eq(state.limit, b.burst, "a tie");
	take_of(&b, 1, MONDAY_S, 1);
	cr_expect_eq(state.limit, b.quota, "one less of fewer is more");
	cr_expect_eq(state.remaining, b.quota - 1);
}

Test(meter, limits_taken_away_and_put_back_find_their_words)
{
	const struct jt_bounds rate = {.interval_ns = S, .burst = 2};

	take_of(&both, 2, MONDAY_S, 100 * S);
	cr_expect_eq(take_of(&day3, 1, MONDAY_S, 100 * S), JT_METER_ADMITTED);
	cr_expect_eq(meter.rate, 102 * S);
	cr_expect_eq(take_of(&rate, 1, MONDAY_S, 101 * S), JT_METER_ADMITTED);
	cr_expect_eq(stored_count(), 3);
	cr_expect_eq(take_of(&both, 1, MONDAY_S, 101 * S), JT_METER_NO_RATE);
	cr_expect_eq(take_of(&both, 1, MONDAY_S, 102 * S), JT_METER_ADMITTED);
	cr_expect_eq(take_of(&both, 1, MONDAY_S, 103 * S), JT_METER_NO_QUOTA);
}

Test(meter, hostile_pairs_give_answers_of_some_history)
{
	uint64_t seed = 12;

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t rate = some(&seed, 63), quota = some(&seed, 63);
		uint64_t cost = help_random(&seed) % 7;
		enum jt_meter_answer got;

		meter.rate = i & 1 ? UINT64_MAX - rate : rate;
		meter.quota = i & 2 ? UINT64_MAX - quota : quota;
		quota = meter.quota;
		got = take_of(&both, cost, MONDAY_S, 100 * S);
		cr_assert(state.limit == 2 || state.limit == 4);
		cr_assert_leq(state.remaining, state.limit);
		cr_assert_leq(state.reset_ms, DAY_S * 1000);
		cr_assert_geq(state.retry_after_ms, -1);
		cr_assert_leq(state.retry_after_ms, (int64_t)DAY_S * 1000);
		if (got == JT_METER_ADMITTED && cost)
			cr_assert_leq(stored_count(), both.quota);
		else /* nothing is spent, but a day far ahead may end */
			cr_assert_eq(stored_count(),
				     quota & JT_METER_QUOTA_MAX);
	}
}

Test(meter, quotas_that_the_arithmetic_cannot_hold_are_refused)
{
	const struct jt_bounds good = {.quota = 1, .quota_unit = JT_QUOTA_DAY};
	struct jt_bounds b = good;

	cr_expect(jt_meter_bounds_ok(&b));
	b.quota = JT_METER_QUOTA_MAX;
	cr_expect(jt_meter_bounds_ok(&b));
	b.quota = JT_METER_QUOTA_MAX + 1;
	cr_expect_not(jt_meter_bounds_ok(&b));
	b.quota = UINT64_MAX;
	cr_expect_not(jt_meter_bounds_ok(&b));
	b = (struct jt_bounds){0};
	cr_expect_not(jt_meter_bounds_ok(&b), "no limit at all");
	b = good;
	b.burst = 1;
	cr_expect_not(jt_meter_bounds_ok(&b), "a burst of no rate");
	b.interval_ns = 1;
	cr_expect(jt_meter_bounds_ok(&b));
	b.interval_ns = UINT64_MAX;
	cr_expect_not(jt_meter_bounds_ok(&b));
}

Test(meter, quota_units_that_there_are_not_are_refused)
{
	struct jt_bounds b = {.quota = 1};

	cr_expect_not(jt_meter_bounds_ok(&b), "a quota of no window");
	for (uint32_t unit = JT_QUOTA_DAY; unit < JT_QUOTA_UNITS; unit++) {
		bool minutes = unit == JT_QUOTA_MINUTES;

		b.quota_unit = unit;
		b.quota_minutes = 0;
		cr_expect_eq(jt_meter_bounds_ok(&b), !minutes);
		b.quota_minutes = 1;
		cr_expect_eq(jt_meter_bounds_ok(&b), minutes);
		b.quota_minutes = UINT32_MAX;
		cr_expect_eq(jt_meter_bounds_ok(&b), minutes);
	}
	b.quota_minutes = 0;
	b.quota_unit = JT_QUOTA_UNITS;
	cr_expect_not(jt_meter_bounds_ok(&b));
	b.quota_unit = UINT32_MAX;
	cr_expect_not(jt_meter_bounds_ok(&b));
	b = (struct jt_bounds){.interval_ns = 1, .burst = 1};
	cr_expect(jt_meter_bounds_ok(&b));
	b.quota_unit = JT_QUOTA_DAY;
	cr_expect_not(jt_meter_bounds_ok(&b), "a window of no quota");
	b.quota_unit = JT_QUOTA_NONE;
	b.quota_minutes = 1;
	cr_expect_not(jt_meter_bounds_ok(&b));
}

Test(meter, used_counts_cost_and_the_last_second)
{
	jt_meter_used(&meter, 3, 100);
	jt_meter_used(&meter, 1ull << 32, 101);
	cr_expect_eq(meter.uses, 3 + (1ull << 32));
	cr_expect_eq(meter.last_use_s, 101);
	cr_expect_eq(meter.refusals, 0);
	jt_meter_refused(&meter, 1);
	cr_expect_eq(meter.refusals, 1);
	cr_expect_eq(meter.last_use_s, 101);
	cr_expect_eq(meter.rate, 0);
	cr_expect_eq(meter.quota, 0);
}
