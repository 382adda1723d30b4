/* workloads and derived: tokens are what their names say. */
#include "bench/derived.h"
#include "bench/workloads.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static enum jt_token_shape shape(const char *value)
{
	return jt_token_shape((const uint8_t *)value, JT_TOKEN_BYTES);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, JT_TOKEN_BYTES);
}

Test(derived, tokens_are_well_formed_and_all_different)
{
	enum {
		N = 20000
	};
	char(*all)[JT_TOKEN_BYTES] = malloc((size_t)N * JT_TOKEN_BYTES);

	for (uint64_t i = 0; i < N; i++) {
		jt_derived_token(7, i, all[i]);
		cr_assert_eq(shape(all[i]), JT_SHAPE_NATIVE);
		cr_assert(jt_public_ok(all[i], NULL, NULL));
	}
	qsort(all, N, JT_TOKEN_BYTES, compare);
	for (unsigned i = 1; i < N; i++)
		cr_assert_neq(memcmp(all[i - 1], all[i], JT_PUBLIC_BYTES), 0);
	free(all);
}

Test(derived, number_and_seed_decide)
{
	char a[JT_TOKEN_BYTES], b[JT_TOKEN_BYTES];

	jt_derived_token(1, 5, a);
	jt_derived_token(1, 5, b);
	cr_expect_arr_eq(a, b, sizeof(a));
	jt_derived_token(2, 5, b);
	cr_expect_arr_neq(a, b, sizeof(a));
}

/* ---- workloads ---- */

static struct jt_subjects subjects;
static char own[2][JT_TOKEN_BYTES];

static void start(void)
{
	memset(&subjects, 0, sizeof(subjects));
	cr_assert_eq(jt_tokens_make(&subjects.tokens, 1000), 0);
	jt_derived_token(1, 0, own[0]);
	jt_derived_token(1, 1, own[1]);
	subjects.hot = (struct jt_tokens){&own[0], 1};
	subjects.limited = (struct jt_tokens){&own[1], 1};
	subjects.seed = 3;
}

TestSuite(workloads, .init = start);

static void make(const char *name, struct jt_tokens *out)
{
	for (unsigned k = 0; k < JT_WORKLOADS; k++) {
		if (strcmp(jt_workload_names[k], name) != 0)
			continue;
		cr_assert_eq(jt_workload_tokens(&subjects, k, out), 0);
		return;
	}
	cr_assert_fail("no workload %s", name);
}

/* Which of the valid ones this is; -1: none. */
static int number_of(const char *value)
{
	for (size_t i = 0; i < subjects.tokens.n; i++)
		if (!memcmp(subjects.tokens.values[i], value, JT_TOKEN_BYTES))
			return (int)i;
	return -1;
}

Test(workloads, zipf_asks_for_valid_ones_the_first_one_most)
{
	unsigned seen[1000] = {0};
	struct jt_tokens t;

	make("zipf", &t);
	cr_assert_geq(t.n, 100000);
	for (size_t i = 0; i < 20000; i++) {
		int k = number_of(t.values[i]);

		cr_assert_geq(k, 0);
		seen[k]++;
	}
	/* 1 / H(1000, 0.99) = 13 %, and half of that for the second */
	cr_expect_float_eq(seen[0] / 20000.0, 0.130, 0.012);
	cr_expect_float_eq(seen[1] / 20000.0, 0.065, 0.009);
	jt_tokens_free(&t);
}

Test(workloads, unknown_ones_are_well_formed_and_not_stored)
{
	struct jt_tokens t;

	make("unknown", &t);
	cr_assert_eq(t.n, subjects.tokens.n);
	for (size_t i = 0; i < t.n; i++) {
		cr_expect_eq(shape(t.values[i]), JT_SHAPE_NATIVE);
		cr_expect_eq(number_of(t.values[i]), -1);
	}
	jt_tokens_free(&t);
}

Test(workloads, mistyped_ones_are_stored_ones_with_a_wrong_checksum)
{
	struct jt_tokens t;

	make("mistyped", &t);
	for (size_t i = 0; i < t.n; i++) {
		cr_expect_eq(shape(t.values[i]), JT_SHAPE_MISTYPED);
		cr_expect_arr_eq(t.values[i], subjects.tokens.values[i],
				 JT_TOKEN_BYTES - 1);
	}
	jt_tokens_free(&t);
}

Test(workloads,
     hot_and_limited_are_one_token_each_that_is_asked_for_nowhere_else)
{
	struct jt_tokens hot, limited;

	make("hot", &hot);
	make("limited", &limited);
	for (size_t i = 0; i < hot.n; i++)
		cr_expect_arr_eq(hot.values[i], own[0], JT_TOKEN_BYTES);
	for (size_t i = 0; i < limited.n; i++)
		cr_expect_arr_eq(limited.values[i], own[1], JT_TOKEN_BYTES);
	jt_tokens_free(&hot);
	jt_tokens_free(&limited);
}
