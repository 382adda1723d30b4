/* seats: lives of a worker under made-up completions, from a seed. */
#include "tests/help_completions.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#define LIVES 2000u
#define LIFE_BYTES 2000u

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

Test(completions, any_order_and_result_leaks_and_mixes_up_nothing,
     .timeout = 60)
{
	struct help_completions done = {0};
	uint64_t x = 20261128;
	uint8_t bytes[LIFE_BYTES];

	for (unsigned life = 0; life < LIVES; life++) {
		for (size_t i = 0; i < LIFE_BYTES; i++)
			bytes[i] = (uint8_t)(next(&x) >> 32);
		help_completions_run(bytes, 1 + next(&x) % LIFE_BYTES, &done);
	}
	printf("completions: %u lives, %" PRIu64 " connections, %" PRIu64
	       " ends, %" PRIu64 " strays, %" PRIu64
	       " that came twice, %" PRIu64 " replies, %" PRIu64
	       " short sends\n",
	       LIVES, done.opened, done.ended, done.stale, done.twice,
	       done.replies, done.cut_short);
	/* or it would have shown little */
	cr_expect_gt(done.opened, 50000);
	cr_expect_gt(done.replies, 100000);
	cr_expect_gt(done.cut_short, 10000);
	cr_expect_gt(done.twice, 10000);
	cr_expect_gt(done.stale, 10000);
}
