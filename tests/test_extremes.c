/*
 * extremes: limits, clocks and counts at the ends of their types.
 *
 * The same rules in 128 bits (oracle_meter.h), met where 64 bits, 37 and 27 are
 * just enough: debts of 2^62 ns at boot clocks about 2^63, quotas of 2^37 - 1,
 * windows about 2038, 2106 and 2225, and clocks that step back at any moment.
 * The wall clock goes through the mark as with a worker (jt_clock_s()), or
 * not, as with a mark that was lost. EXTREMES_SEED=N for other cases.
 */
#include "tests/help_table.h"
#include "tests/oracle_meter.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#define RUNS 10000u
#define CASES 120u /* a run: 1.2 million in all */
#define DEBT_MAX JT_METER_DEBT_MAX_NS
#define QUOTA_MAX JT_METER_QUOTA_MAX
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static struct oracle_run r;
static uint64_t mark_s;
/* of the window that the word names: what was admitted since it began */
static uint64_t window_min, admitted;

static uint64_t pick(const uint64_t *list, size_t n)
{
	return list[oracle_below(&r, n)];
}

static void draw_rate(void)
{
	static const uint64_t intervals[] = {
		1,	 2, 3, 999999, 1ull << 31, 1ull << 61, DEBT_MAX - 1,
		DEBT_MAX};
	uint64_t most;

	r.bounds.interval_ns = oracle_below(&r, 4)
				       ? pick(intervals, COUNT(intervals))
				       : oracle_size(&r, 61);
	most = DEBT_MAX / r.bounds.interval_ns;
	switch (oracle_below(&r, 4)) {
	case 0:
		r.bounds.burst = 1;
		break;
	case 1:
		r.bounds.burst = 1 + oracle_below(&r, most);
		break;
	default:
		r.bounds.burst = most - (most > 1 && oracle_below(&r, 2));
	}
}

static void draw_quota(void)
{
	static const uint64_t quotas[] = {1,
					  2,
					  1ull << 31,
					  1ull << 32,
					  1ull << 36,
					  QUOTA_MAX - 1,
					  QUOTA_MAX - 1,
					  QUOTA_MAX,
					  QUOTA_MAX,
					  QUOTA_MAX};
	static const uint64_t minutes[] = {1, 2, 1440, 1ull << 31, UINT32_MAX};

	r.bounds.quota = pick(quotas, COUNT(quotas));
	r.bounds.quota_unit = 1 + (uint32_t)oracle_below(&r, 4);
	if (r.bounds.quota_unit == JT_QUOTA_MINUTES)
		r.bounds.quota_minutes =
			(uint32_t)pick(minutes, COUNT(minutes));
}

static void draw_bounds(void)
{
	uint64_t which = oracle_below(&r, 3);

	r.bounds = (struct jt_bounds){0};
	if (which != 0)
		draw_rate();
	if (which != 1)
		draw_quota();
	cr_assert(jt_meter_bounds_ok(&r.bounds));
}

/* Near the whole, near what is left, and what no type holds. */
static uint64_t draw_cost(void)
{
	const struct jt_bounds *b = &r.bounds;
	uint64_t limit = b->quota;

	if (b->interval_ns && (!b->quota || oracle_below(&r, 2)))
		limit = b->burst;
	switch (oracle_below(&r, 12)) {
	case 0:
		return limit; /* exactly the whole */
	case 1:
		return limit + 1; /* and one more */
	case 2:
		return r.last.remaining; /* exactly what is left */
	case 3:
		return r.last.remaining + 1;
	case 4:
		return limit / 2 + 1;
	case 5:
		return UINT64_MAX >> oracle_below(&r, 40);
	case 6:
		return 0;
	case 7:
	case 8: /* some of what is left */
		return 1 + oracle_below(&r, r.last.remaining / 4 + 1);
	default:
		return 1;
	}
}

static void step_boot(void)
{
	static const uint64_t at[] = {0,
				      1,
				      DEBT_MAX - 1,
				      DEBT_MAX,
				      (1ull << 63) - 1,
				      1ull << 63,
				      3 * DEBT_MAX - 1};
	uint64_t full = r.bounds.interval_ns * r.bounds.burst;
	uint64_t tat = (uint64_t)r.oracle.tat, to = r.now.boot_ns;

	switch (oracle_below(&r, 8)) {
	case 0:
		to = pick(at, COUNT(at));
		break;
	case 1: /* back, by anything */
		to -= oracle_below(&r, to + 1);
		break;
	case 2: /* hours ahead, as after a suspend */
		to += 1 + oracle_below(&r, 100 * 3600) * 1000000000u;
		break;
	case 3: /* when one more has room, and the nanosecond before */
		to = tat - full + r.bounds.interval_ns - oracle_below(&r, 2);
		to = tat > full ? to : 0;
		break;
	case 4: /* when all of it is there again, and the one before */
		to = tat - (tat && oracle_below(&r, 2));
		break;
	case 5:
		to += oracle_below(&r, full + 1);
		break;
	default:
		return;
	}
	/* now and a whole debt fit: the clock has run for 438 years by then */
	r.now.boot_ns = to < 3 * DEBT_MAX ? to : 3 * DEBT_MAX - 1;
}

/* The calendar of the oracle ends with 2269, the word's 27 bits with 2225. */
static uint64_t draw_wall(void)
{
	static const uint64_t at[] = {
		0,
		1483228799, /* the second that came twice */
		1483228800,
		1700000000,
		(1ull << 31) - 1,
		1ull << 31,
		4102444800, /* 2100, no leap year */
		UINT32_MAX,
		1ull << 32,
		60 * ORACLE_START_MAX,
		60 * ORACLE_START_MAX + 59,
		60 * (ORACLE_START_MAX + 1ull),
		9400000000};
	uint64_t wall_s = pick(at, COUNT(at));

	switch (oracle_below(&r, 4)) {
	case 0:
		return wall_s + oracle_below(&r, 3000000);
	case 1:
		return wall_s - oracle_below(&r, wall_s + 1);
	default:
		return wall_s;
	}
}

static void step_wall(void)
{
	struct jt_window w = oracle_window(&r.oracle, &r.bounds, r.now.wall_s);
	uint64_t to = r.now.wall_s;

	switch (oracle_below(&r, 16)) {
	case 0:
		to = draw_wall();
		break;
	case 1: /* the last second of the window, or the first of the next */
		to = w.end_min * 60 - oracle_below(&r, 2);
		break;
	case 2:
		to -= oracle_below(&r, to + 1);
		break;
	case 3:
		to += to > 0 ? -1 : 1;
		break;
	default:
		break;
	}
	if (to >= 9460000000) /* or a window would pass the calendar's end */
		to = draw_wall();
	/* as verify.c: the later of clock and mark; now and then it is lost */
	if (oracle_below(&r, 4096) == 0)
		mark_s = 0;
	mark_s = to > mark_s ? to : mark_s;
	r.now.wall_s = r.changing ? to : mark_s;
}

static void restart(void)
{
	oracle_restart(&r);
	mark_s = 0;
	r.now.wall_s = draw_wall();
	window_min = admitted = 0;
	draw_bounds();
}

/*
 * Whatever the clock does: no earlier window but from one a day ahead and more,
 * and then with its count; and never more than the quota.
 */
static void expect_window(uint64_t cost, enum jt_meter_answer how)
{
	/* relaxed: one hand */
	uint64_t word = jt_load_relaxed(&r.meter.quota);
	uint64_t start_min = word >> ORACLE_COUNT_BITS;

	if (window_min <= r.now.wall_s / 60 + 24 * 60)
		cr_assert_geq(start_min, window_min, "%s", r.text);
	if (start_min > window_min)
		admitted = 0;
	window_min = start_min;
	if (!r.bounds.quota || how != JT_METER_ADMITTED)
		return;
	admitted += cost;
	cr_assert_leq(admitted, r.bounds.quota);
}

static void one_case(void)
{
	uint64_t cost = draw_cost();
	oracle_wide start_before = r.oracle.start_min;
	struct jt_meter_state got;
	enum jt_meter_answer a, b;

	a = jt_meter_take(&r.meter, &r.bounds, cost, r.now, &got);
	b = oracle_take(&r.oracle, &r.bounds, cost, r.now, &r.last);
	if (a != b || memcmp(&got, &r.last, sizeof(got)) != 0 ||
	    !oracle_is_line(&r)) {
		oracle_explain(&r, cost, (int)a, &got, (int)b, &r.last);
		cr_assert_fail("%s", r.text);
	}
	cr_assert_leq(got.remaining, got.limit);
	cr_assert_geq(got.retry_after_ms, -1);
	expect_window(cost, a);
	oracle_count_case(&r, cost, a, start_before);
}

static uint64_t seed(void)
{
	const char *text = getenv("EXTREMES_SEED");

	return text ? strtoull(text, NULL, 10) : 55;
}

Test(extremes, a_million_cases_at_the_ends_of_the_types_equal_128_bits)
{
	const struct oracle_tally *t = &r.tally;

	oracle_begin(&r, help_random, seed());
	for (unsigned run = 0; run < RUNS; run++) {
		restart();
		for (unsigned i = 0; i < CASES; i++) {
			one_case();
			step_boot();
			step_wall();
		}
	}
	/* and all of it was met */
	cr_expect_gt(t->admitted, 100000);
	cr_expect_gt(t->no_quota, 50000);
	cr_expect_gt(t->no_rate, 50000);
	cr_expect_gt(t->never, 100000);
	cr_expect_gt(t->looks, 100000);
	cr_expect_gt(t->rolled, 10000);
	cr_expect_gt(t->behind, 10000);
}
