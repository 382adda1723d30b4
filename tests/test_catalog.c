/* catalog: folding records, finding ids, and records that cannot be. */
#include "admin/catalog.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct jt_catalog c;
static struct jt_fault fault;
static uint64_t number;

static void setup(void)
{
	number = 0;
	memset(&fault, 0, sizeof(fault));
	cr_assert_eq(jt_catalog_init(&c), 0);
}

static void teardown(void)
{
	jt_catalog_deinit(&c);
}

TestSuite(catalog, .init = setup, .fini = teardown);

static struct jt_record record(uint8_t type, const char *id, uint16_t own)
{
	struct jt_record r;

	memset(&r, 0, sizeof(r));
	r.type = type;
	r.number = ++number;
	r.time_ns = 1000000000ull * (100 + number);
	memcpy(r.env, "live", 4);
	memcpy(r.token.id, id, strlen(id));
	memcpy(r.token.name, "a name", 6);
	memcpy(r.token.owner, "an owner", 8);
	r.token.expires_s = 5000;
	r.token.own = own;
	return r;
}

static int apply(uint8_t type, const char *id, uint16_t own)
{
	struct jt_record r = record(type, id, own);

	return jt_catalog_apply(&c, &r, &fault);
}

static int apply_plan(uint16_t n, uint64_t rate, uint64_t burst)
{
	struct jt_record r;

	memset(&r, 0, sizeof(r));
	r.type = JT_REC_PLAN;
	r.number = ++number;
	r.plan.number = n;
	r.plan.rate = rate;
	r.plan.period_ns = 1000000000;
	r.plan.burst = burst;
	return jt_catalog_apply(&c, &r, &fault);
}

#define A "jt_live_AAAAAAAAAAAAAAAA"
#define B "jt_live_BBBBBBBBBBBBBBBB"

Test(catalog, starts_empty)
{
	cr_assert_null(jt_catalog_find(&c, A));
	cr_assert_eq(c.n_cards, 0);
}

Test(catalog, keeps_what_create_said)
{
	const struct jt_card *card;

	cr_assert_eq(apply(JT_REC_CREATE, A, 0), 0);
	card = jt_catalog_find(&c, A);
	cr_assert_not_null(card);
	cr_assert_eq(memcmp(card->id, A, 24), 0);
	cr_assert_eq(strncmp(card->name, "a name", JT_NAME_MAX), 0);
	cr_assert_eq(strncmp(card->owner, "an owner", JT_OWNER_MAX), 0);
	cr_assert_eq(card->first, 1);
	cr_assert_eq(card->last, 1);
	cr_assert_eq(card->created_s, 101);
	cr_assert_null(jt_catalog_find(&c, B));
}

Test(catalog, tells_status)
{
	cr_assert_eq(apply(JT_REC_CREATE, A, 0), 0);
	cr_assert_str_eq(jt_card_status(&c.cards[0], 4999), "Active");
	cr_assert_str_eq(jt_card_status(&c.cards[0], 5000), "Expired");
	cr_assert_eq(apply(JT_REC_REVOKE, A, 0), 0);
	cr_assert_str_eq(jt_card_status(&c.cards[0], 4999), "Revoked");
	cr_assert_str_eq(jt_card_status(&c.cards[0], 5000), "Revoked");
	cr_assert_eq(c.cards[0].first, 1);
	cr_assert_eq(c.cards[0].last, 2);
	cr_assert_eq(c.cards[0].created_s, 101);
	cr_assert_eq(c.cards[0].changed_s, 102);
}

Test(catalog, keeps_the_order_of_creation)
{
	cr_assert_eq(apply(JT_REC_CREATE, B, 0), 0);
	cr_assert_eq(apply(JT_REC_CREATE, A, 0), 0);
	cr_assert_eq(apply(JT_REC_REVOKE, B, 0), 0);
	cr_assert_eq(memcmp(c.cards[0].id, B, 24), 0);
	cr_assert_eq(memcmp(c.cards[1].id, A, 24), 0);
	cr_assert_eq(c.n_cards, 2);
}

Test(catalog, refuses_an_id_made_twice)
{
	cr_assert_eq(apply(JT_REC_CREATE, A, 0), 0);
	cr_assert_eq(apply(JT_REC_CREATE, A, 0), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(fault.number, 2);
	cr_assert_not_null(strstr(fault.line, "record 2"));
}

Test(catalog, refuses_changes_of_nothing)
{
	cr_assert_eq(apply(JT_REC_REVOKE, A, 0), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(fault.number, 1);
}

Test(catalog, refuses_changes_after_revoke)
{
	cr_assert_eq(apply(JT_REC_CREATE, A, 0), 0);
	cr_assert_eq(apply(JT_REC_REVOKE, A, 0), 0);
	cr_assert_eq(apply(JT_REC_REVOKE, A, 0), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(apply(JT_REC_CREATE, A, 0), JT_JOURNAL_E_DAMAGED);
}

Test(catalog, refuses_unknown_types)
{
	cr_assert_eq(apply(0, A, 0), JT_JOURNAL_E_VERSION);
	cr_assert_eq(apply(200, A, 0), JT_JOURNAL_E_VERSION);
}

Test(catalog, numbers_plans_in_turn)
{
	cr_assert_eq(apply_plan(2, 5, 5), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(apply_plan(0, 5, 5), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(apply_plan(1, 5, 5), 0);
	cr_assert_eq(apply_plan(1, 6, 5), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(apply_plan(2, 6, 5), 0);
	cr_assert_eq(apply_plan(3, 0, 5), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(apply_plan(3, 6, 0), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(c.n_plans, 2);
}

Test(catalog, finds_limits_without_a_name)
{
	struct jt_limit limit = {
		.rate = 6, .period_ns = 1000000000, .burst = 5};

	cr_assert_eq(jt_catalog_limit(&c, &limit), 0);
	cr_assert_eq(apply_plan(1, 5, 5), 0);
	cr_assert_eq(apply_plan(2, 6, 5), 0);
	cr_assert_eq(jt_catalog_limit(&c, &limit), 2);
	limit.burst = 6;
	cr_assert_eq(jt_catalog_limit(&c, &limit), 0);
}

Test(catalog, refuses_a_plan_that_is_not_there)
{
	cr_assert_eq(apply(JT_REC_CREATE, A, 1), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(apply_plan(1, 5, 5), 0);
	cr_assert_eq(apply(JT_REC_CREATE, A, 1), 0);
	cr_assert_eq(apply(JT_REC_CREATE, B, 2), JT_JOURNAL_E_DAMAGED);
}

Test(catalog, takes_the_last_plan_number_and_no_more)
{
	for (uint32_t i = 1; i <= JT_PLAN_LAST; i++)
		cr_assert_eq(apply_plan((uint16_t)i, 1 + i, 1), 0);
	cr_assert_eq(apply_plan(0, 99, 9), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(c.n_plans, JT_PLAN_LAST);
}

Test(catalog, finds_each_of_many)
{
	const size_t n = 20000;
	char id[32];

	for (size_t i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "jt_live_%016zu", i);
		cr_assert_eq(apply(JT_REC_CREATE, id, 0), 0);
	}
	for (size_t i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "jt_live_%016zu", i);
		cr_assert_eq(jt_catalog_find(&c, id), &c.cards[i]);
		snprintf(id, sizeof(id), "jt_test_%016zu", i);
		cr_assert_null(jt_catalog_find(&c, id));
	}
}
