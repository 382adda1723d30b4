/* catalog: folding records, finding ids, and records that cannot be. */
#include "admin/catalog.h"

#include "tests/help_record.h"
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

Test(catalog, a_copy_changes_nothing)
{
	struct jt_record r = record(JT_REC_CREATE, A, 0);
	struct jt_card before;

	r.token.flags = JT_TOKEN_RECOVERABLE;
	cr_assert_eq(jt_catalog_apply(&c, &r, &fault), 0);
	before = *jt_catalog_find(&c, A);
	cr_assert(jt_card_recoverable(&before));
	cr_assert_eq(apply(JT_REC_COPY, A, 0), 0);
	cr_assert_arr_eq(jt_catalog_find(&c, A), &before, sizeof(before));
	cr_assert_eq(apply(JT_REC_REVOKE, A, 0), 0);
	cr_assert_not(jt_card_recoverable(jt_catalog_find(&c, A)));
}

Test(catalog, refuses_unknown_types)
{
	cr_assert_eq(apply(0, A, 0), JT_JOURNAL_E_VERSION);
	cr_assert_eq(apply(12, A, 0), JT_JOURNAL_E_VERSION);
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

/* ---- what a token becomes ---- */

static int fold(struct jt_record r)
{
	r.number = ++number;
	return jt_catalog_apply(&c, &r, &fault);
}

/* Refused, and told with the record's number. */
static void refused(struct jt_record r, const char *why)
{
	int e = fold(r);

	cr_assert_eq(e, JT_JOURNAL_E_DAMAGED, "%d", e);
	cr_assert_eq(fault.number, number);
	cr_assert_not_null(strstr(fault.line, why), "%s", fault.line);
}

static struct jt_record made(const char *id)
{
	struct jt_record r = record(JT_REC_CREATE, id, 0);

	number--;
	cr_assert_eq(fold(r), 0);
	return r;
}

Test(catalog, newest_record_is_what_the_token_is)
{
	struct jt_record r = made(A);
	const struct jt_card *card = jt_catalog_find(&c, A);

	cr_assert_eq(fold(help_plan_record(1, "gold", 5, 5)), 0);
	cr_assert_eq(fold(help_plan_record(2, "", 6, 6)), 0);
	cr_assert_eq(fold(help_scope_record(1, "a:b")), 0);
	cr_assert_eq(fold(help_set_record(1, 1, 1)), 0);
	r.type = JT_REC_SET;
	r.time_ns = 777000000000ull;
	r.token.plan = 1;
	r.token.own = 2;
	r.token.scope_set = 1;
	r.token.expires_s = 6000;
	r.token.old_until_s = 5500;
	r.token.scheme = JT_VALUE_SHA256;
	r.token.flags = JT_TOKEN_RECOVERABLE;
	memset(r.token.owner, 'o', JT_OWNER_MAX);
	memset(r.token.name, 'n', JT_NAME_MAX);
	cr_assert_eq(fold(r), 0);
	cr_assert_eq(card->first, 1);
	cr_assert_eq(card->last, 6);
	cr_assert_eq(card->created_s, 101);
	cr_assert_eq(card->changed_s, 777);
	cr_assert_eq(card->expires_s, 6000);
	cr_assert_eq(card->old_until_s, 5500);
	cr_assert_eq(card->plan, 1);
	cr_assert_eq(card->own, 2);
	cr_assert_eq(card->scope_set, 1);
	cr_assert_eq(card->type, JT_REC_SET);
	cr_assert_eq(card->flags, JT_TOKEN_RECOVERABLE);
	cr_assert_eq(card->scheme, JT_VALUE_SHA256);
	cr_assert_eq(memcmp(card->owner, r.token.owner, JT_OWNER_MAX), 0);
	cr_assert_eq(memcmp(card->name, r.token.name, JT_NAME_MAX), 0);
}

Test(catalog, suspended_comes_before_expired_and_after_revoked)
{
	struct jt_record r = made(A);

	r.token.flags = JT_TOKEN_SUSPENDED;
	cr_assert_eq(fold(help_as(r, JT_REC_SUSPEND)), 0);
	cr_assert_str_eq(jt_card_status(&c.cards[0], 4999), "Suspended");
	cr_assert_str_eq(jt_card_status(&c.cards[0], 5000), "Suspended");
	/* a renewal leaves it suspended: the flag is the state */
	cr_assert_eq(fold(help_as(r, JT_REC_RENEW)), 0);
	cr_assert_str_eq(jt_card_status(&c.cards[0], 4999), "Suspended");
	r.token.flags = 0;
	cr_assert_eq(fold(help_as(r, JT_REC_RESUME)), 0);
	cr_assert_str_eq(jt_card_status(&c.cards[0], 4999), "Active");
	r.token.flags = JT_TOKEN_SUSPENDED;
	cr_assert_eq(fold(help_as(r, JT_REC_REVOKE)), 0);
	cr_assert_str_eq(jt_card_status(&c.cards[0], 4999), "Revoked");
}

Test(catalog, purged_token_is_not_found_until_its_id_is_made_again)
{
	struct jt_record r = made(A);

	made(B);
	cr_assert_eq(fold(help_as(r, JT_REC_REVOKE)), 0);
	cr_assert_eq(fold(help_as(r, JT_REC_PURGE)), 0);
	cr_assert_null(jt_catalog_find(&c, A));
	cr_assert_not_null(jt_catalog_find(&c, B));
	cr_assert_not(jt_card_lives(&c.cards[0]));
	cr_assert(jt_card_lives(&c.cards[1]));
	refused(help_as(r, JT_REC_PURGE), "does not exist");
	refused(help_as(r, JT_REC_RENEW), "does not exist");
	cr_assert_eq(fold(help_as(r, JT_REC_CREATE)), 0);
	cr_assert_not_null(jt_catalog_find(&c, A));
	refused(help_as(r, JT_REC_CREATE), "makes an id that exists");
}

Test(catalog, expired_token_may_be_purged)
{
	struct jt_record r = made(A);

	cr_assert_eq(fold(help_as(r, JT_REC_PURGE)), 0);
	cr_assert_null(jt_catalog_find(&c, A));
}

Test(catalog, refuses_every_change_of_a_revoked_token_but_its_purge)
{
	struct jt_record r = made(A);

	cr_assert_eq(fold(help_as(r, JT_REC_REVOKE)), 0);
	for (uint8_t type = JT_REC_REVOKE; type < JT_REC_PURGE; type++)
		if (type != JT_REC_PLAN)
			refused(help_as(r, type), "changes a revoked token");
	cr_assert_eq(fold(help_as(r, JT_REC_PURGE)), 0);
}

Test(catalog, refuses_a_move_to_another_environment)
{
	struct jt_record r = made(A);

	memcpy(r.env, "test", 4);
	refused(help_as(r, JT_REC_SET), "another environment");
	refused(help_as(r, JT_REC_REVOKE), "another environment");
}

Test(catalog, refuses_what_is_not_defined)
{
	struct jt_record r = made(A);

	r.token.plan = 1;
	refused(help_as(r, JT_REC_SET), "plan that does not exist");
	r.token.plan = 0;
	r.token.own = 1;
	refused(help_as(r, JT_REC_SET), "plan that does not exist");
	r.token.own = 0;
	r.token.scope_set = 1;
	refused(help_as(r, JT_REC_SET), "scope set that does not exist");
	memcpy(r.token.id, B, 24);
	refused(help_as(r, JT_REC_CREATE), "scope set that does not exist");
	cr_assert_null(jt_catalog_find(&c, B));
}

/* ---- definitions ---- */

Test(catalog, named_plan_changes_and_keeps_number_and_name)
{
	struct jt_record gold = help_plan_record(1, "gold", 5, 5);

	cr_assert_eq(fold(gold), 0);
	cr_assert_eq(jt_catalog_plan(&c, gold.plan.name), 1);
	cr_assert_eq(c.plans[1].record, 1);
	gold.plan.rate = 9;
	gold.plan.removed = 1;
	cr_assert_eq(fold(gold), 0);
	cr_assert_eq(jt_catalog_plan(&c, gold.plan.name), 1);
	cr_assert_eq(c.plans[1].limit.rate, 9);
	cr_assert_eq(c.plans[1].record, 2);
	cr_assert(c.plans[1].removed);
	cr_assert_eq(c.n_plans, 1);
	refused(help_plan_record(1, "golden", 5, 5), "another name");
	refused(help_plan_record(1, "", 5, 5), "another name");
	cr_assert_eq(jt_catalog_plan(
			     &c, help_plan_record(1, "golden", 5, 5).plan.name),
		     0);
}

Test(catalog, limits_of_a_named_plan_are_nobodys_own)
{
	struct jt_limit limit;
	struct jt_record r = help_plan_record(1, "gold", 5, 5);

	cr_assert_eq(fold(r), 0);
	limit = jt_limits_of(&r.plan);
	cr_assert_eq(jt_catalog_limit(&c, &limit), 0);
	cr_assert_eq(fold(help_plan_record(2, "", 5, 5)), 0);
	cr_assert_eq(jt_catalog_limit(&c, &limit), 2);
	limit.quota = 1;
	limit.quota_unit = JT_QUOTA_DAY;
	cr_assert_eq(jt_catalog_limit(&c, &limit), 0);
}

Test(catalog, refuses_limits_that_are_none)
{
	struct jt_record r = help_plan_record(1, "", 0, 0);

	refused(r, "limits that are none");
	r.plan.period_ns = 0;
	refused(r, "limits that are none");
	r.plan.quota = 5;
	refused(r, "limits that are none");
	r.plan.quota_unit = JT_QUOTA_WEEK;
	cr_assert_eq(fold(r), 0);
}

Test(catalog, numbers_scopes_in_turn_each_name_once)
{
	refused(help_scope_record(2, "a"), "out of turn");
	refused(help_scope_record(0, "a"), "out of turn");
	refused(help_scope_record(1, ""), "a name that is none");
	refused(help_scope_record(1, "a::b"), "a name that is none");
	refused(help_scope_record(1, "a\x1b[2J"), "a name that is none");
	cr_assert_eq(fold(help_scope_record(1, "a")), 0);
	refused(help_scope_record(2, "a"), "twice");
	refused(help_scope_record(1, "b"), "out of turn");
	cr_assert_eq(fold(help_scope_record(2, "a:*")), 0);
	cr_assert_eq(
		jt_catalog_scope(&c, help_scope_record(0, "a:*").scope.name),
		2);
	cr_assert_eq(jt_catalog_scope(&c, help_scope_record(0, "b").scope.name),
		     0);
	cr_assert_eq(c.n_scopes, 2);
}

Test(catalog, takes_the_last_scope_number_and_no_more)
{
	char name[16];

	for (unsigned i = 1; i <= JT_SCOPES_N; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		cr_assert_eq(fold(help_scope_record((uint16_t)i, name)), 0);
	}
	refused(help_scope_record(JT_SCOPES_N + 1, "one-more"), "out of turn");
	cr_assert_eq(fold(help_set_record(1, 1, 256)), 0);
}

Test(catalog, numbers_sets_in_turn_of_scopes_that_exist)
{
	struct jt_record set = help_set_record(1, 1, 2);

	refused(set, "scope that does not exist");
	cr_assert_eq(fold(help_scope_record(1, "a")), 0);
	refused(set, "scope that does not exist");
	cr_assert_eq(fold(help_scope_record(2, "b")), 0);
	refused(help_set_record(2, 1, 2), "out of turn");
	refused(help_set_record(0, 1, 2), "out of turn");
	cr_assert_eq(jt_catalog_set(&c, set.scopes.bits), 0);
	cr_assert_eq(fold(set), 0);
	refused(set, "out of turn");
	cr_assert_eq(jt_catalog_set(&c, set.scopes.bits), 1);
	cr_assert_eq(jt_catalog_set(&c, help_set_record(0, 1, 1).scopes.bits),
		     0);
}

Test(catalog, takes_the_last_set_number_and_no_more)
{
	struct jt_record set = help_set_record(1, 1, 1);

	cr_assert_eq(fold(help_scope_record(1, "a")), 0);
	for (unsigned i = 1; i <= JT_SETS_N; i++) {
		set.scopes.number = (uint16_t)i;
		cr_assert_eq(fold(set), 0);
	}
	set.scopes.number = JT_SETS_N + 1;
	refused(set, "out of turn");
}

Test(catalog, newest_rules_hold)
{
	struct jt_record r = {.type = JT_REC_RULES};

	strcpy(r.rules.max_lifetime, "90d");
	cr_assert_eq(fold(r), 0);
	strcpy(r.rules.max_lifetime, "30d");
	cr_assert_eq(fold(r), 0);
	cr_assert_str_eq(c.rules.max_lifetime, "30d");
	cr_assert_eq(c.rules_record, 2);
}

Test(catalog, events_change_no_token)
{
	static const uint8_t types[] = {JT_REC_REASON, JT_REC_COPY,
					JT_REC_NOTICE};
	struct jt_record r = made(A);
	struct jt_card before = c.cards[0];

	r.token.expires_s = 1;
	for (size_t i = 0; i < sizeof(types); i++)
		cr_assert_eq(fold(help_as(r, types[i])), 0);
	cr_assert_eq(memcmp(&before, &c.cards[0], sizeof(before)), 0);
}
