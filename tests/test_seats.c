/*
 * seats: who gets the last places. What ends when is test_completions.c's.
 *
 * All connections are our own user's; that some are another's is written into
 * the count of ours.
 */
#include "sidecar/seats.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMON 8u
#define KEPT 3u

static struct help_table t;
static struct jt_peers peers;
static struct jt_desk desk;
static struct jt_loop loop;
static struct jt_seats seats;

static int hold(void *state, uint32_t place, int fd)
{
	return fd;
}

static const struct jt_loop_ops ops = {.hold = hold};

static void start(void)
{
	const struct jt_seats_want want = {.loop = &loop,
					   .peers = &peers,
					   .desk = &desk,
					   .common = COMMON,
					   .kept = KEPT};

	help_table_new(&t, 64);
	jt_peers_init(&peers, &t.reader, 0);
	jt_peers_follow(&peers);
	loop.ops = &ops;
	cr_assert_eq(jt_seats_init(&seats, &want), 0);
}

TestSuite(seats, .init = start);

static int come(void)
{
	int ends[2], rc;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	rc = jt_seats_open(&seats, ends[0], 1);
	if (rc)
		close(ends[0]);
	return rc;
}

static _Atomic uint64_t *ours(void)
{
	return &t.maps.calls[1].connections; /* the first who came */
}

static void fill(unsigned of_us)
{
	for (unsigned i = 0; i < COMMON; i++)
		cr_assert_eq(come(), 0, "%u", i);
	cr_assert_eq(jt_load_relaxed(ours()), COMMON);
	jt_store_relaxed(ours(), of_us);
}

Test(seats, who_has_more_than_half_gets_no_kept_place)
{
	fill(COMMON);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(come(), JT_SEATS_E_FULL);
	jt_store_relaxed(ours(), COMMON / 2 + 1);
	cr_expect_eq(come(), JT_SEATS_E_FULL);
	cr_expect_eq(seats.n_open, COMMON);
	cr_expect_eq(jt_load_relaxed(ours()), COMMON / 2 + 1,
		     "who was refused is not counted");
}

Test(seats, who_has_half_or_less_gets_them)
{
	fill(COMMON / 2);
	cr_expect_eq(come(), 0);
	jt_store_relaxed(ours(), 0);
	cr_expect_eq(come(), 0);
	cr_expect_eq(come(), 0);
	cr_expect_eq(seats.n_open, COMMON + KEPT);
	jt_store_relaxed(ours(), 0);
	cr_expect_eq(come(), JT_SEATS_E_FULL, "there are no more at all");
}

Test(seats, one_user_alone_gets_all_that_are_not_kept)
{
	unsigned n = 0;

	while (come() == 0)
		n++;
	cr_expect_eq(n, COMMON);
}
