/*
 * plans: numbers of limits come back, and nobody who still has one in his hands
 * reads another's.
 *
 * Every own rate with every named quota makes more pairs than there are
 * numbers, out of few of the journal's.
 */
#include "sidecar/ledger.h"

#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIDE 450u /* quotas, and rates: 202,500 pairs */
#define NUMBERS 65535u

static struct help_table t;
static struct jt_ledger l;
static uint64_t number;
static struct help_token first, second;
static struct jt_record r, other; /* newest records of these */

static int apply(struct jt_record record)
{
	record.number = ++number;
	return jt_ledger_apply(&l, &record);
}

static void must(struct jt_record record)
{
	int rc = apply(record);

	cr_assert_eq(rc, 0, "record %lu: %d", number, rc);
}

/* Named plan I: a quota of I. */
static struct jt_record quota(unsigned i, uint64_t requests)
{
	struct jt_record p = {.type = JT_REC_PLAN,
			      .plan = {.number = (uint16_t)i,
				       .quota = requests,
				       .quota_unit = JT_QUOTA_DAY}};

	snprintf(p.plan.name, sizeof(p.plan.name), "plan%u", i);
	return p;
}

/* The first SIDE numbers are quotas, the next SIDE bursts of 1, 2, ... */
static void define(void)
{
	for (unsigned i = 1; i <= SIDE; i++)
		must(quota(i, i));
	for (unsigned i = 1; i <= SIDE; i++)
		must(help_plan_record((uint16_t)(SIDE + i), "", 1, i));
}

static void start(void)
{
	help_table_new(&t, 64);
	cr_assert_eq(jt_ledger_init(&l, &t.maps), 0);
	l.now = help_now();
	define();
	help_token_make(&first, "live");
	help_token_make(&second, "live");
	r = help_create(&first);
	other = help_create(&second);
	must(r);
	other.token.plan = 7;
	other.token.own = SIDE + 9;
	must(other);
	jt_store_seq(&t.maps.board[5].state, JT_DESK_SERVING);
}

static void stop(void)
{
	jt_ledger_deinit(&l);
}

TestSuite(plans, .init = start, .fini = stop);

static void pass_a_round(void)
{
	jt_count(&t.maps.board[5].rounds, 1);
}

/* Pair I of the first token; all are different. */
static int set(unsigned i)
{
	r.type = JT_REC_SET;
	r.token.plan = (uint16_t)(1 + i / SIDE);
	r.token.own = (uint16_t)(SIDE + 1 + i % SIDE);
	return apply(r);
}

static uint64_t word_b(const struct help_token *token)
{
	struct jt_view v;

	cr_assert(help_find(&t.reader, token, &v));
	return v.b;
}

static void expect_limits(const struct jt_limits *have, uint64_t of_quota,
			  uint64_t burst)
{
	cr_assert_eq(have->quota, of_quota);
	cr_assert_eq(have->burst, burst);
}

static void expect_pair(uint64_t b, unsigned i)
{
	expect_limits(jt_table_limits(&t.reader, b), 1 + i / SIDE,
		      1 + i % SIDE);
}

static void expect_second_unharmed(void)
{
	expect_limits(jt_table_limits(&t.reader, word_b(&second)), 7, 9);
}

static bool fits(uint64_t plans, struct jt_fault *faultp)
{
	const struct jt_room room = {.plans = plans};

	jt_plans_tidy(&l.plans);
	return jt_ledger_fits(&l, &room, faultp) == 0;
}

/* As many as there are; the first one that is refused. */
static unsigned set_until_full(void)
{
	unsigned i = 0;
	int rc;

	while ((rc = set(i)) == 0)
		i++;
	cr_assert_eq(rc, JT_TABLE_E_FULL);
	return i;
}

/* ---- given again ---- */

Test(plans, two_hundred_thousand_limits_one_after_the_other, .timeout = 60)
{
	for (unsigned i = 0; i < 200000; i++) {
		cr_assert_eq(set(i), 0, "limits %u", i);
		expect_pair(word_b(&first), i);
		expect_second_unharmed();
		if (i % 1000 == 0)
			pass_a_round();
	}
	cr_expect_lt(t.maps.identity->plans, 5000, "numbers come back soon");
}

Test(plans, plan_that_changes_two_hundred_thousand_times, .timeout = 60)
{
	cr_assert_eq(set(0), 0);
	for (unsigned i = 0; i < 200000; i++) {
		must(quota(1, 1000 + i));
		expect_limits(jt_table_limits(&t.reader, word_b(&first)),
			      1000 + i, 1);
		expect_second_unharmed();
		if (i % 1000 == 0)
			pass_a_round();
	}
	cr_expect_lt(t.maps.identity->limits, 5000);
}

Test(plans, limits_are_refused_while_a_worker_stands_still, .timeout = 60)
{
	struct jt_fault fault = {0};
	unsigned refused = set_until_full();

	cr_expect_eq(refused, NUMBERS, "one was the second token's");
	cr_expect_not(fits(1, &fault));
	cr_expect_not_null(strstr(fault.line, "every worker has passed a "
					      "round"));
	l.now.wall_s += 1000;
	cr_expect_not(fits(1, &fault), "however long it stands");
	expect_pair(word_b(&first), refused - 1);
	expect_second_unharmed();
	pass_a_round();
	cr_expect(fits(1, &fault));
	cr_expect_eq(set(refused), 0);
	expect_pair(word_b(&first), refused);
	expect_second_unharmed();
}

Test(plans, worker_that_ended_is_not_waited_for, .timeout = 60)
{
	unsigned refused = set_until_full();

	jt_store_seq(&t.maps.board[5].state, JT_DESK_FREE);
	cr_expect_eq(set(refused), 0);
	expect_pair(word_b(&first), refused);
}

/* Numbers that came back while others rested have a rest of their own. */
Test(plans, round_frees_what_came_back_before_it_began, .timeout = 60)
{
	struct jt_fault fault;
	uint64_t b, left;

	cr_assert_eq(set(0), 0);
	cr_assert_eq(set(1), 0);
	jt_plans_tidy(&l.plans); /* a rest begins: for pair 0 */
	b = word_b(&first);
	cr_assert_eq(set(2), 0);
	left = jt_plans_left(&l.plans);
	pass_a_round();
	cr_expect(fits(left + 1, &fault));
	cr_expect_not(fits(left + 2, &fault), "pair 1 came back later");
	expect_pair(b, 1);
	pass_a_round();
	cr_expect(fits(left + 2, &fault));
}

/* ---- in a worker's hands ---- */

Test(plans, pairs_number_in_a_workers_hands_keeps_its_limits, .timeout = 60)
{
	uint64_t b;

	cr_assert_eq(set(202000), 0);
	b = word_b(&first);
	for (unsigned i = 0; set(i) == 0; i++)
		expect_pair(b, 202000);
	expect_pair(b, 202000);
}

Test(plans, block_in_a_workers_hands_keeps_its_limits, .timeout = 60)
{
	const struct jt_limits *held;

	cr_assert_eq(set(0), 0);
	held = jt_table_limits(&t.reader, word_b(&first));
	for (unsigned i = 0; apply(quota(1, 1000 + i)) == 0; i++)
		expect_limits(held, 1, 1);
	expect_limits(held, 1, 1);
}

/* ---- who has a pair ---- */

static bool has(const struct jt_record *of)
{
	jt_plans_tidy(&l.plans);
	return jt_plans_pair(&l.plans, of->token.plan, of->token.own);
}

Test(plans, pair_lasts_until_its_last_token_is_purged)
{
	r = help_as(r, JT_REC_SET);
	r.token.plan = other.token.plan;
	r.token.own = other.token.own;
	must(r);
	must(help_as(r, JT_REC_REVOKE));
	must(help_as(r, JT_REC_PURGE));
	cr_expect(has(&other), "the second has it");
	must(help_as(other, JT_REC_REVOKE));
	cr_expect(has(&other), "its slot names it");
	expect_second_unharmed();
	must(help_as(other, JT_REC_PURGE));
	cr_expect_not(has(&other));
}

Test(plans, both_values_of_a_token_name_its_pair)
{
	struct help_token newer;

	help_rotate(&other, &newer, HELP_NOW_S + 100);
	must(other);
	expect_limits(jt_table_limits(&t.reader, word_b(&newer)), 7, 9);
	expect_second_unharmed();
	other.type = JT_REC_SET;
	other.token.plan = 8;
	must(other);
	expect_limits(jt_table_limits(&t.reader, word_b(&newer)), 8, 9);
	expect_limits(jt_table_limits(&t.reader, word_b(&second)), 8, 9);
}

Test(plans, change_that_is_refused_holds_nothing)
{
	struct jt_record bad = help_as(other, JT_REC_SET);
	uint64_t left = jt_plans_left(&l.plans);

	bad.token.plan = 11;
	memcpy(bad.env, "test", 4);
	cr_expect_eq(apply(bad), -EINVAL);
	cr_expect_not(has(&bad));
	bad = help_create(&first);
	bad.token.plan = 11;
	cr_expect_eq(apply(bad), -EEXIST);
	cr_expect_not(has(&bad));
	cr_expect_eq(jt_plans_left(&l.plans), left);
}

/* Every number but those of the two tokens is somebody's. */
static void fill(void)
{
	uint16_t unused;

	for (unsigned i = 0; jt_plans_left(&l.plans); i++)
		cr_assert_eq(jt_plans_hold(&l.plans, (uint16_t)(11 + i / SIDE),
					   (uint16_t)(SIDE + 1 + i % SIDE),
					   &unused),
			     0);
}

/* FIT was told of no new pair: both are some token's. */
Test(plans, pair_that_a_batch_gives_from_one_token_to_another_lasts)
{
	struct jt_record a, b;

	cr_assert_eq(set(0), 0);
	fill();
	a = help_as(r, JT_REC_SET);
	b = help_as(other, JT_REC_SET);
	a.token.plan = other.token.plan;
	a.token.own = other.token.own;
	b.token.plan = r.token.plan;
	b.token.own = r.token.own;
	a.part = 1;
	b.part = 2;
	a.parts = b.parts = 2;
	must(a);
	cr_assert_eq(apply(b), 0, "nobody had it for a moment");
	expect_limits(jt_table_limits(&t.reader, word_b(&first)), 7, 9);
	expect_pair(word_b(&second), 0);
}

/* Any order of coming and going, against a plain count. */
Test(plans, index_finds_what_is_there_and_nothing_else, .timeout = 60)
{
	static uint16_t users[SIDE * SIDE];
	uint64_t seed = 17;
	uint16_t n;

	for (unsigned i = 0; i < 2000000; i++) {
		uint64_t x = help_random(&seed);
		unsigned at = (unsigned)(x >> 8) % 120000;
		uint16_t plan = (uint16_t)(11 + at / SIDE);
		uint16_t own = (uint16_t)(SIDE + 1 + at % SIDE);

		cr_assert_eq(jt_plans_pair(&l.plans, plan, own), users[at] > 0);
		if (users[at] && (x & 15)) {
			jt_plans_let(&l.plans, plan, own);
			users[at]--;
		} else if (jt_plans_left(&l.plans)) {
			cr_assert_eq(jt_plans_hold(&l.plans, plan, own, &n), 0);
			users[at]++;
			expect_limits(
				jt_table_limits(&t.reader, jt_word_b(0, n, 0)),
				plan, own - SIDE);
		}
		if (i % 64 == 0)
			jt_plans_tidy(&l.plans);
		if (i % 128 == 0)
			pass_a_round();
	}
	for (unsigned at = 0; at < 120000; at++)
		cr_assert_eq(jt_plans_pair(&l.plans, (uint16_t)(11 + at / SIDE),
					   (uint16_t)(SIDE + 1 + at % SIDE)),
			     users[at] > 0);
	expect_second_unharmed();
}

/* ---- replay ---- */

static void set_state(enum jt_identity_state state)
{
	jt_store_seq(&t.maps.identity_rw->state, state);
}

Test(plans, replay_needs_room_for_its_end_alone, .timeout = 60)
{
	struct help_token newer;

	set_state(JT_IDENTITY_LOADING);
	help_rotate(&r, &newer, HELP_NOW_S + 100);
	must(r);
	for (unsigned i = 0; i < 100000; i++)
		cr_assert_eq(set(i), 0);
	cr_expect_geq(jt_plans_left(&l.plans), NUMBERS - 1);
	cr_assert_eq(jt_ledger_settle(&l), 0);
	set_state(JT_IDENTITY_SERVING);
	expect_pair(word_b(&first), 99999);
	expect_pair(word_b(&newer), 99999);
	expect_second_unharmed();
	cr_expect(has(&r));
	cr_expect_eq(set(7), 0);
	expect_pair(word_b(&newer), 7);
}

Test(plans, too_many_limits_in_the_end_are_not_settled)
{
	set_state(JT_IDENTITY_LOADING);
	cr_assert_eq(set(0), 0);
	fill();
	cr_expect_eq(jt_ledger_settle(&l), JT_TABLE_E_FULL);
}
