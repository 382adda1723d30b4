/* child: what each process at a door tells on its desk. */
#include "sidecar/child.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define MS 1000000ull

static struct jt_desk desk;

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
