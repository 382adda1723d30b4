/* child: what each process at a door tells on its desk. */
#include "sidecar/child.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define MS 1000000ull

static struct jt_desk desk;

static uint64_t took(unsigned bucket)
{
	return jt_load_relaxed(&desk.took[bucket]);
}

Test(child, a_time_counts_in_the_first_bucket_that_reaches_it)
{
	static const struct {
		uint64_t ns;
		unsigned bucket;
	} times[] = {
		{0, 0},
		{1, 0},
		{1000, 0},
		{1001, 1},
		{2000, 1},
		{2001, 2},
		{4000, 2},
		{4001, 3},
		{1024000, 10},
		{1024001, 11},
		{(1ull << 22) * 1000, 22},
		{(1ull << 22) * 1000 + 1, 23},
		{(1ull << 23) * 1000 + 1, 23},
		{UINT64_MAX, 23},
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		uint64_t before = took(times[i].bucket);

		jt_child_took(&desk, 3, times[i].ns);
		cr_expect_eq(took(times[i].bucket), before + 3, "%lu ns",
			     times[i].ns);
	}
}

Test(child, every_verdict_of_a_round_counts_with_its_time)
{
	jt_child_took(&desk, 64, 5000);
	jt_child_took(&desk, 1, 100);
	cr_expect_eq(took(3), 64);
	cr_expect_eq(took(0), 1);
	cr_expect_eq(jt_load_relaxed(&desk.took_ns), 64 * 5000 + 100);
}

Test(child, cpu_time_goes_on_where_the_one_before_ended)
{
	struct jt_child_figures f;

	jt_store_relaxed(&desk.cpu_ns, 1ull << 60);
	jt_child_figures_open(&f, &desk);
	jt_child_figures_tell(&f, &desk, 1);
	cr_expect_geq(jt_load_relaxed(&desk.cpu_ns), 1ull << 60);
	cr_expect_lt(jt_load_relaxed(&desk.cpu_ns), (1ull << 60) + 60000 * MS);
	cr_expect_gt(jt_load_relaxed(&desk.resident), 0);
	cr_expect_gt(jt_load_relaxed(&desk.open_fds), 0);
}

Test(child, looks_at_itself_once_a_tick)
{
	struct jt_child_figures f;

	jt_child_figures_open(&f, &desk);
	jt_child_figures_tell(&f, &desk, MS);
	jt_store_relaxed(&desk.resident, 7);
	jt_child_figures_tell(&f, &desk, JT_CHILD_TICK_MS * MS);
	cr_expect_eq(jt_load_relaxed(&desk.resident), 7);
	jt_child_figures_tell(&f, &desk, (JT_CHILD_TICK_MS + 1) * MS);
	cr_expect_gt(jt_load_relaxed(&desk.resident), 7);
}

Test(child, both_readings_are_of_one_clock)
{
	uint64_t before = jt_child_boot_ns();
	uint64_t between = jt_child_now().boot_ns;

	cr_expect_leq(before, between);
	cr_expect_leq(between, jt_child_boot_ns());
}
