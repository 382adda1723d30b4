/* meter: exact against a token bucket in 128 bits, and never generous. */
#include "shm/meter.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <string.h>

#define MS 1000000ull
#define S 1000000000ull

typedef unsigned __int128 wide;

/* The oracle: a bucket that holds burst x interval ns and fills 1 ns a ns. */
struct bucket {
	wide full, credit;
	uint64_t interval, now;
};

static struct jt_meter meter;
static struct jt_meter_state state;

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
	cr_assert_eq(state.remaining, (uint64_t)(b->credit / b->interval));
	cr_assert_eq(state.reset_ms, (uint64_t)up_ms(b->full - b->credit));
	cr_assert_eq(state.retry_after_ms, (uint64_t)up_ms(missing));
}

/* Take COST in both worlds and compare every word of the answer. */
static void both_take(struct bucket *b, uint64_t cost)
{
	uint64_t before = meter.rate;
	wide want = (wide)cost * b->interval;
	uint64_t burst = (uint64_t)(b->full / b->interval);
	enum jt_meter_answer got =
		jt_meter_take(&meter, b->interval, burst, cost, b->now, &state);

	if (cost > burst) {
		cr_assert_eq(got, JT_METER_NEVER);
		expect_state(b, 0);
	} else if (want > b->credit) {
		cr_assert_eq(got, JT_METER_REFUSED);
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
	cr_assert(jt_meter_limits_ok(b.interval,
				     (uint64_t)(b.full / b.interval)));
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

static enum jt_meter_answer take(uint64_t interval, uint64_t burst,
				 uint64_t cost, uint64_t now)
{
	return jt_meter_take(&meter, interval, burst, cost, now, &state);
}

Test(meter, exactly_the_burst_at_once)
{
	for (unsigned i = 0; i < 10; i++) {
		cr_expect_eq(take(S, 10, 1, 5 * S), JT_METER_ADMITTED);
		cr_expect_eq(state.remaining, 9 - i);
		cr_expect_eq(state.reset_ms, 1000 * (i + 1));
		cr_expect_eq(state.retry_after_ms, 0);
	}
	cr_expect_eq(take(S, 10, 1, 5 * S), JT_METER_REFUSED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(state.retry_after_ms, 1000);
	cr_expect_eq(take(S, 10, 1, 6 * S - 1), JT_METER_REFUSED);
	cr_expect_eq(state.retry_after_ms, 1, "1 ns is rounded up");
	cr_expect_eq(take(S, 10, 1, 6 * S), JT_METER_ADMITTED);
	cr_expect_eq(take(S, 10, 1, 6 * S), JT_METER_REFUSED);
}

Test(meter, whole_burst_in_one_cost)
{
	cr_expect_eq(take(S, 10, 10, S), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(state.reset_ms, 10000);
	cr_expect_eq(take(S, 10, 10, 11 * S - 1), JT_METER_REFUSED);
	cr_expect_eq(take(S, 10, 10, 11 * S), JT_METER_ADMITTED);
}

Test(meter, burst_of_one_is_a_plain_interval)
{
	cr_expect_eq(take(7, 1, 1, 100), JT_METER_ADMITTED);
	for (uint64_t now = 100; now < 107; now++)
		cr_expect_eq(take(7, 1, 1, now), JT_METER_REFUSED);
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
	cr_expect_eq(take(S, 3, 1, 900000 * S), JT_METER_REFUSED);
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
		cr_expect_eq(take(S, 3, costs[i], S), JT_METER_NEVER);
		cr_expect_eq(state.remaining, 3);
		cr_expect_eq(meter.rate, 0);
	}
	take(S, 3, 3, S);
	cr_expect_eq(take(S, 3, 4, S), JT_METER_NEVER);
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
		wait = state.retry_after_ms * MS;
		cr_assert_gt(wait, 0);
		if (wait > MS)
			cr_assert_eq(
				take(interval, burst, cost, now + wait - MS),
				JT_METER_REFUSED);
		cr_assert_eq(take(interval, burst, cost, now + wait),
			     JT_METER_ADMITTED);
	}
}

Test(meter, reset_is_when_the_whole_burst_is_there_again)
{
	take(1234567, 9, 5, S);
	cr_expect_eq(state.reset_ms, 7, "6.17 ms, rounded up");
	cr_expect_eq(take(1234567, 9, 9, S + 6 * MS), JT_METER_REFUSED);
	cr_expect_eq(take(1234567, 9, 9, S + 7 * MS), JT_METER_ADMITTED);
}

Test(meter, clock_that_stands_or_goes_back_grants_nothing)
{
	uint64_t rate;

	take(S, 5, 5, 1000 * S);
	rate = meter.rate;
	for (uint64_t back = 0; back <= 1000; back += 50)
		cr_expect_eq(take(S, 5, 1, (1000 - back) * S),
			     JT_METER_REFUSED);
	cr_expect_eq(meter.rate, rate);
	cr_expect_eq(take(S, 5, 1, 1001 * S), JT_METER_ADMITTED);
	cr_expect_eq(take(S, 5, 1, 1001 * S), JT_METER_REFUSED);
}

Test(meter, clock_gone_back_after_a_part_of_the_burst_only_denies)
{
	take(S, 5, 1, 1000 * S);
	cr_expect_eq(take(S, 5, 1, 998 * S), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 1, "3 from before and this one");
	cr_expect_eq(take(S, 5, 1, 1 * S), JT_METER_REFUSED);
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
	cr_expect_eq(take(S, 5, 1, 1000 * S), JT_METER_REFUSED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(state.reset_ms, 5000);
	cr_expect_eq(state.retry_after_ms, 1000);
	cr_expect_eq(meter.rate, UINT64_MAX);
}

Test(meter, limits_at_their_extremes_neither_wrap_nor_overflow)
{
	const uint64_t most = JT_METER_DEBT_MAX_NS;

	cr_expect_eq(take(most, 1, 1, most), JT_METER_ADMITTED);
	cr_expect_eq(take(most, 1, 1, 2 * most - 1), JT_METER_REFUSED);
	cr_expect_eq(state.retry_after_ms, 1);
	cr_expect_eq(take(most, 1, 1, 2 * most), JT_METER_ADMITTED);
	meter.rate = 0;
	cr_expect_eq(take(1, most, most, 1), JT_METER_ADMITTED);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(take(1, most, 1, 1), JT_METER_REFUSED);
	cr_expect_eq(take(1, most, 1, 2), JT_METER_ADMITTED);
	cr_expect_eq(take(1, most, most + 1, 2), JT_METER_NEVER);
}

Test(meter, limits_that_the_arithmetic_cannot_hold_are_refused)
{
	const uint64_t most = JT_METER_DEBT_MAX_NS;

	cr_expect(jt_meter_limits_ok(1, 1));
	cr_expect(jt_meter_limits_ok(most, 1));
	cr_expect(jt_meter_limits_ok(1, most));
	cr_expect(jt_meter_limits_ok(1ull << 31, 1ull << 31));
	cr_expect_not(jt_meter_limits_ok(0, 1));
	cr_expect_not(jt_meter_limits_ok(1, 0));
	cr_expect_not(jt_meter_limits_ok(0, 0));
	cr_expect_not(jt_meter_limits_ok(most + 1, 1));
	cr_expect_not(jt_meter_limits_ok(1, most + 1));
	cr_expect_not(jt_meter_limits_ok(1ull << 31, (1ull << 31) + 1));
	cr_expect_not(jt_meter_limits_ok(1ull << 32, 1ull << 32));
	cr_expect_not(jt_meter_limits_ok(UINT64_MAX, UINT64_MAX));
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

Test(meter, used_counts_cost_and_the_last_second)
{
	jt_meter_used(&meter, 3, 100);
	jt_meter_used(&meter, 1ull << 32, 101);
	cr_expect_eq(meter.uses, 3 + (1ull << 32));
	cr_expect_eq(meter.last_use_s, 101);
	cr_expect_eq(meter.refusals, 0);
	jt_meter_refused(&meter);
	cr_expect_eq(meter.refusals, 1);
	cr_expect_eq(meter.last_use_s, 101);
	cr_expect_eq(meter.rate, 0);
	cr_expect_eq(meter.quota, 0);
}
