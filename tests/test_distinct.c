/* distinct: each string once, under the number that it got first. */
#include "admin/distinct.h"

#include "tests/help_journal.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jt_distinct d;

static void stop(void)
{
	jt_distinct_deinit(&d);
}

TestSuite(distinct, .fini = stop);

static uint32_t put(const void *bytes, size_t n)
{
	uint32_t number = 0;

	cr_assert_eq(jt_distinct_put(&d, bytes, n, &number), 0);
	return number;
}

Test(distinct, numbers_go_up_from_1_as_strings_come)
{
	size_t n;

	cr_assert_eq(jt_distinct_init(&d, 10), 0);
	cr_expect_eq(d.n, 0);
	cr_expect_eq(put("a", 1), 1);
	cr_expect_eq(put("b", 1), 2);
	cr_expect_eq(put("a", 1), 1);
	cr_expect_eq(put("ab", 2), 3);
	cr_expect_eq(put("b", 1), 2);
	cr_expect_eq(d.n, 3);
	cr_expect_arr_eq(jt_distinct_get(&d, 3, &n), "ab", 2);
	cr_expect_eq(n, 2);
	cr_expect_arr_eq(jt_distinct_get(&d, 1, &n), "a", 1);
	cr_expect_eq(n, 1);
}

Test(distinct, strings_that_are_nearly_alike_are_told_apart)
{
	cr_assert_eq(jt_distinct_init(&d, 10), 0);
	cr_expect_eq(put("a", 1), 1);
	cr_expect_eq(put("a\0", 2), 2);
	cr_expect_eq(put("\0a", 2), 3);
	cr_expect_eq(put("A", 1), 4);
	cr_expect_eq(put("", 0), 5, "nothing is a string, too");
	cr_expect_eq(put("", 0), 5);
}

Test(distinct, one_too_many_is_refused_and_those_known_are_not)
{
	uint32_t number = 77;

	cr_assert_eq(jt_distinct_init(&d, 2), 0);
	put("a", 1);
	put("b", 1);
	cr_expect_eq(jt_distinct_put(&d, "c", 1, &number), JT_DISTINCT_E_MANY);
	cr_expect_eq(d.n, 2);
	cr_expect_eq(put("a", 1), 1);
	cr_expect_eq(put("b", 1), 2);
	cr_expect_eq(jt_distinct_put(&d, "c", 1, &number), JT_DISTINCT_E_MANY);
}

Test(distinct, table_for_none_takes_none)
{
	uint32_t number;

	cr_assert_eq(jt_distinct_init(&d, 0), 0);
	cr_expect_eq(jt_distinct_put(&d, "a", 1, &number), JT_DISTINCT_E_MANY);
}

Test(distinct, many_of_all_lengths_keep_their_numbers)
{
	static char text[70000];
	uint64_t seed = 8;
	size_t n;

	cr_assert_eq(jt_distinct_init(&d, 65535), 0);
	for (uint32_t i = 1; i <= 65535; i++) {
		char s[32];

		cr_assert_eq(put(s, (size_t)snprintf(s, sizeof(s), "%u", i)),
			     i);
	}
	cr_expect_eq(d.n, 65535);
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t k = (uint32_t)(help_random(&seed) % 65535) + 1;
		char s[32];
		size_t want = (size_t)snprintf(s, sizeof(s), "%u", k);

		cr_assert_eq(put(s, want), k);
		cr_assert_eq(memcmp(jt_distinct_get(&d, k, &n), s, want), 0);
		cr_assert_eq(n, want);
	}
	jt_distinct_deinit(&d);
	/* one that is longer than all the room so far */
	cr_assert_eq(jt_distinct_init(&d, 3), 0);
	memset(text, 'x', sizeof(text));
	cr_expect_eq(put("a", 1), 1);
	cr_expect_eq(put(text, sizeof(text)), 2);
	cr_expect_eq(put(text, sizeof(text) - 1), 3);
	cr_expect_arr_eq(jt_distinct_get(&d, 2, &n), text, sizeof(text));
	cr_expect_eq(n, sizeof(text));
}

Test(distinct, number_that_was_never_given_aborts, .signal = SIGABRT)
{
	size_t n;

	cr_assert_eq(jt_distinct_init(&d, 10), 0);
	put("a", 1);
	jt_distinct_get(&d, 2, &n);
}

Test(distinct, number_0_is_nobodys, .signal = SIGABRT)
{
	size_t n;

	cr_assert_eq(jt_distinct_init(&d, 10), 0);
	jt_distinct_get(&d, 0, &n);
}

Test(distinct, deinit_may_come_twice)
{
	cr_assert_eq(jt_distinct_init(&d, 10), 0);
	jt_distinct_deinit(&d);
	jt_distinct_deinit(&d);
}
