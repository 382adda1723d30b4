/* rest: what is waited for before something is given to others. */
#include "sidecar/rest.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>

static struct help_table t;
static struct jt_rest rest;

static void setup(void)
{
	help_table_new(&t, 8);
	jt_store_seq(&t.maps.board[3].state, JT_DESK_SERVING);
}

TestSuite(rest, .init = setup);

static void pass_a_round(void)
{
	jt_count(&t.maps.board[3].rounds, 1);
}

Test(rest, lasts_for_a_round_of_each_worker)
{
	jt_rest_begin(&rest, &t.maps);
	cr_expect_not(jt_rest_over(&rest, &t.maps));
	pass_a_round();
	cr_expect(jt_rest_over(&rest, &t.maps));
}

Test(rest, lasts_for_a_whole_second_once_there_are_guests)
{
	t.maps.guests = 1;
	jt_rest_begin(&rest, &t.maps);
	pass_a_round();
	cr_expect_not(jt_rest_over(&rest, &t.maps));
	t.maps.guests++;
	cr_expect_not(jt_rest_over(&rest, &t.maps));
	t.maps.guests++;
	cr_expect(jt_rest_over(&rest, &t.maps));
}

Test(rest, guests_who_come_later_are_not_waited_for)
{
	jt_rest_begin(&rest, &t.maps);
	pass_a_round();
	t.maps.guests = 1;
	cr_expect(jt_rest_over(&rest, &t.maps));
}

Test(rest, guests_do_not_stand_in_for_a_worker)
{
	t.maps.guests = 1;
	jt_rest_begin(&rest, &t.maps);
	t.maps.guests = 9;
	cr_expect_not(jt_rest_over(&rest, &t.maps));
}
