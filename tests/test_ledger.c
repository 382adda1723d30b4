/* ledger: what each record means in the table, and which one means nothing. */
#include "sidecar/ledger.h"

#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define S 1000000000ull
#define DAY_S 86400u
#define OVERLAP_S (HELP_NOW_S + DAY_S)

static struct help_table t;
static struct jt_ledger l;
static uint64_t number;
/* one token, its values in their order and its newest record */
static struct help_token first, second, third;
static struct jt_record r;

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

static struct jt_record issue(struct help_token *token)
{
	struct jt_record made;

	help_token_make(token, "live");
	made = help_create(token);
	must(made);
	return made;
}

static void start(void)
{
	help_table_new(&t, 64);
	cr_assert_eq(jt_ledger_init(&l, &t.maps), 0);
	l.now = help_now();
	r = issue(&first);
}

static void stop(void)
{
	jt_ledger_deinit(&l);
}

TestSuite(ledger, .init = start, .fini = stop);

static void change(uint8_t type)
{
	r.type = type;
	must(r);
}

static void suspend(bool is)
{
	r.token.flags = is ? JT_TOKEN_SUSPENDED : 0;
	change(is ? JT_REC_SUSPEND : JT_REC_RESUME);
}

static void rotate(struct help_token *token, uint64_t old_until_s)
{
	help_rotate(&r, token, old_until_s);
	must(r);
}

/* A look at a time; it leaves no trace. */
static struct jt_verdict at(const struct help_token *token, uint64_t now_s)
{
	struct jt_ask ask = help_ask(token);

	ask.cost = 0;
	return help_verify(&t, &ask, (struct jt_now){now_s, HELP_BOOT_NS});
}

static void expect_at(const struct help_token *token, uint64_t now_s,
		      enum jt_word word, uint32_t notes)
{
	struct jt_verdict v = at(token, now_s);

	cr_expect_eq(v.word, word, "%s, not %s", jt_word_name(v.word),
		     jt_word_name(word));
	cr_expect_eq(v.notes & ~JT_NOTE_EXPIRING, notes);
}

static void expect(const struct help_token *token, enum jt_word word,
		   uint32_t notes)
{
	expect_at(token, HELP_NOW_S, word, notes);
}

/* What the token's value says now. */
static struct jt_view view(const struct help_token *token)
{
	struct jt_view v;

	cr_assert(help_find(&t.reader, token, &v));
	return v;
}

static const struct jt_limits *limits(const struct help_token *token)
{
	return jt_table_limits(&t.reader, view(token).b);
}

static uint64_t used(void)
{
	return t.maps.identity->used;
}

/* ---- rotation ---- */

Test(ledger, rotation_leaves_two_values_on_one_line)
{
	must(help_plan_record(1, "", 1, 5));
	r.token.own = 1;
	change(JT_REC_SET);
	rotate(&second, OVERLAP_S);
	cr_expect_eq(used(), 2);
	cr_expect_eq(t.maps.identity->tokens, 1);
	cr_expect_eq(jt_b_meter(view(&first).b), jt_b_meter(view(&second).b));
	expect(&first, JT_VALID, JT_NOTE_OLD_VALUE);
	expect(&second, JT_VALID, 0);
	for (unsigned i = 0; i < 5; i++)
		cr_expect_eq(help_word(&t, i % 2 ? &first : &second), JT_VALID);
	cr_expect_eq(help_word(&t, &first), JT_RATE_LIMITED);
	cr_expect_eq(help_word(&t, &second), JT_RATE_LIMITED);
}

Test(ledger, old_value_ends_with_its_overlap)
{
	rotate(&second, OVERLAP_S);
	expect_at(&first, OVERLAP_S - 1, JT_VALID, JT_NOTE_OLD_VALUE);
	expect_at(&first, OVERLAP_S, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect_at(&second, OVERLAP_S, JT_VALID, 0);
	cr_expect_eq(at(&first, HELP_NOW_S).expires_in_s, DAY_S);
}

Test(ledger, rotation_without_overlap_ends_the_old_value_at_once)
{
	rotate(&second, HELP_NOW_S);
	expect(&first, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_VALID, 0);
}

Test(ledger, old_value_does_not_outlive_the_token)
{
	rotate(&second, UINT32_MAX);
	expect_at(&first, HELP_LATER_S - 1, JT_VALID, JT_NOTE_OLD_VALUE);
	expect_at(&first, HELP_LATER_S, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect_at(&second, HELP_LATER_S, JT_EXPIRED, 0);
}

Test(ledger, third_value_drops_the_first)
{
	rotate(&second, OVERLAP_S);
	rotate(&third, OVERLAP_S + 1);
	expect(&first, JT_UNKNOWN, 0);
	expect(&second, JT_VALID, JT_NOTE_OLD_VALUE);
	expect(&third, JT_VALID, 0);
	expect_at(&second, OVERLAP_S, JT_VALID, JT_NOTE_OLD_VALUE);
	expect_at(&second, OVERLAP_S + 1, JT_REVOKED, JT_NOTE_OLD_VALUE);
	cr_expect_eq(used(), 2);
}

Test(ledger, many_rotations_take_no_more_than_two_slots)
{
	struct help_token tokens[3] = {first};

	for (unsigned i = 1; i < 1000; i++) {
		rotate(&tokens[i % 3], OVERLAP_S);
		expect(&tokens[i % 3], JT_VALID, 0);
		expect(&tokens[(i + 2) % 3], JT_VALID, JT_NOTE_OLD_VALUE);
		if (i > 1)
			expect(&tokens[(i + 1) % 3], JT_UNKNOWN, 0);
		cr_assert_eq(used(), 2);
	}
	cr_expect_eq(jt_b_meter(view(&tokens[0]).b), 0, "the same line");
}

/* As the tool does when nobody could be given the new value. */
Test(ledger, rotation_taken_back_makes_the_old_value_the_tokens_again)
{
	struct jt_record before = r;

	rotate(&second, OVERLAP_S);
	r = before;
	change(JT_REC_ROTATE);
	expect(&first, JT_VALID, 0);
	expect(&second, JT_REVOKED, JT_NOTE_OLD_VALUE);
	cr_expect_eq(used(), 2);
	rotate(&third, OVERLAP_S);
	expect(&first, JT_VALID, JT_NOTE_OLD_VALUE);
	expect(&second, JT_UNKNOWN, 0);
	expect(&third, JT_VALID, 0);
}

Test(ledger, finish_ends_the_old_value_at_once)
{
	rotate(&second, OVERLAP_S);
	r.token.old_until_s = (uint32_t)HELP_NOW_S;
	change(JT_REC_FINISH);
	expect(&first, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_VALID, 0);
	rotate(&third, OVERLAP_S);
	expect(&first, JT_UNKNOWN, 0);
}

Test(ledger, finish_of_a_token_with_one_value_ends_nothing)
{
	r.token.old_until_s = (uint32_t)HELP_NOW_S;
	change(JT_REC_FINISH);
	expect(&first, JT_VALID, 0);
	cr_expect_eq(used(), 1);
}

Test(ledger, suspend_and_resume_are_for_both_values)
{
	rotate(&second, OVERLAP_S);
	suspend(true);
	expect(&first, JT_SUSPENDED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_SUSPENDED, 0);
	expect_at(&first, OVERLAP_S, JT_REVOKED, JT_NOTE_OLD_VALUE);
	suspend(false);
	expect(&first, JT_VALID, JT_NOTE_OLD_VALUE);
	expect(&second, JT_VALID, 0);
	expect_at(&first, OVERLAP_S, JT_REVOKED, JT_NOTE_OLD_VALUE);
}

Test(ledger, value_of_a_suspended_token_is_suspended_from_its_first_moment)
{
	suspend(true);
	rotate(&second, OVERLAP_S);
	expect(&first, JT_SUSPENDED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_SUSPENDED, 0);
}

Test(ledger, revoke_is_for_both_values)
{
	rotate(&second, OVERLAP_S);
	change(JT_REC_REVOKE);
	expect(&first, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_REVOKED, 0);
}

Test(ledger, renewal_moves_the_expiry_and_not_the_overlap)
{
	rotate(&second, OVERLAP_S);
	r.token.expires_s = HELP_LATER_S + 7;
	change(JT_REC_RENEW);
	expect_at(&second, HELP_LATER_S + 6, JT_VALID, 0);
	expect_at(&second, HELP_LATER_S + 7, JT_EXPIRED, 0);
	expect_at(&first, OVERLAP_S, JT_REVOKED, JT_NOTE_OLD_VALUE);
	r.token.expires_s = HELP_NOW_S + 10;
	change(JT_REC_RENEW);
	expect_at(&first, HELP_NOW_S + 9, JT_VALID, JT_NOTE_OLD_VALUE);
	expect_at(&first, HELP_NOW_S + 10, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect_at(&second, HELP_NOW_S + 10, JT_EXPIRED, 0);
}

Test(ledger, expired_token_is_renewed_in_place)
{
	uint64_t slot = view(&first).slot;

	r.token.expires_s = HELP_NOW_S - 1;
	change(JT_REC_RENEW);
	expect(&first, JT_EXPIRED, 0);
	r.token.expires_s = HELP_LATER_S;
	change(JT_REC_RENEW);
	expect(&first, JT_VALID, 0);
	cr_expect_eq(view(&first).slot, slot);
}

Test(ledger, owner_limits_and_scopes_change_for_both_values)
{
	const struct help_token *const both[] = {&first, &second};

	must(help_plan_record(1, "gold", 7, 7));
	must(help_scope_record(1, "a:b"));
	must(help_set_record(1, 1, 1));
	rotate(&second, OVERLAP_S);
	r.token.plan = 1;
	r.token.scope_set = 1;
	memcpy(r.token.owner, "bob", 3);
	change(JT_REC_SET);
	for (unsigned i = 0; i < 2; i++) {
		struct jt_verdict v = at(both[i], HELP_NOW_S);

		cr_expect_eq(v.limit, 7);
		cr_assert_eq(v.owner.bytes, 3);
		cr_expect_arr_eq(v.owner.at, "bob", 3);
		cr_expect_eq(v.scopes, &t.reader.sets[1]);
	}
	r.token.plan = r.token.scope_set = 0;
	memset(r.token.owner, 0, 3);
	change(JT_REC_SET);
	for (unsigned i = 0; i < 2; i++) {
		struct jt_verdict v = at(both[i], HELP_NOW_S);

		cr_expect_eq(v.limit, -1);
		cr_expect_null(v.owner.at);
		cr_expect_null(v.scopes);
	}
}

Test(ledger, name_changes_nothing_in_the_table)
{
	struct jt_view before = view(&first), after;

	memcpy(r.token.name, "another name", 12);
	change(JT_REC_RENAME);
	after = view(&first);
	cr_expect_arr_eq(&after, &before, sizeof(before));
}

static struct jt_look look(void)
{
	struct jt_look found;

	cr_assert(jt_ledger_look(&l, r.token.id, &found));
	return found;
}

Test(ledger, use_of_the_old_value_is_told_apart)
{
	struct jt_ask ask;

	rotate(&second, OVERLAP_S);
	help_word(&t, &second);
	cr_expect_eq(look().uses, 1);
	cr_expect_eq(look().old_use_s, 0);
	ask = help_ask(&first);
	ask.by = 1002;
	help_verify(&t, &ask, help_now());
	cr_expect_eq(look().uses, 2);
	cr_expect_eq(look().old_use_s, HELP_NOW_S);
	cr_expect_eq(look().old_use_by, 1002);
	rotate(&third, OVERLAP_S);
	cr_expect_eq(look().uses, 2, "of the token, not of a value");
	cr_expect_eq(look().old_use_s, 0, "of another value");
	cr_expect_eq(look().old_use_by, 0);
}

Test(ledger, look_tells_every_number)
{
	struct jt_look found;

	must(help_plan_record(1, "gold", 7, 7));
	must(help_plan_record(2, "", 8, 8));
	must(help_scope_record(1, "a"));
	must(help_set_record(1, 1, 1));
	r.token.plan = 1;
	r.token.own = 2;
	r.token.scope_set = 1;
	change(JT_REC_SET);
	must(help_plan_record(1, "gold", 9, 9));
	help_word(&t, &first);
	found = look();
	cr_expect_eq(found.first, 1);
	cr_expect_eq(found.last, 6);
	cr_expect_eq(found.plan, 7, "as it is now");
	cr_expect_eq(found.own, 3);
	cr_expect_eq(found.set, 1);
	cr_expect_eq(found.uses, 1);
	cr_expect_eq(found.last_use_s, HELP_NOW_S);
	help_token_make(&second, "live");
	cr_expect_not(jt_ledger_look(&l, second.text, &found));
}

Test(ledger, look_tells_the_old_values_digest)
{
	uint8_t digest[JT_VALUE_DIGEST];
	const uint64_t none[4] = {0};

	cr_expect_arr_eq(look().old_digest, none, sizeof(none));
	jt_token_digest((const uint8_t *)first.text, digest);
	rotate(&second, OVERLAP_S);
	cr_expect_arr_eq(look().old_digest, digest, sizeof(digest));
	jt_token_digest((const uint8_t *)second.text, digest);
	rotate(&third, OVERLAP_S);
	cr_expect_arr_eq(look().old_digest, digest, sizeof(digest));
}

/* By its time it was over when the record was written. */
Test(ledger, value_that_a_record_ended_stays_so_whatever_the_clock_does)
{
	rotate(&second, OVERLAP_S);
	r.time_ns = OVERLAP_S * S - 1;
	change(JT_REC_RENAME);
	expect(&first, JT_VALID, JT_NOTE_OLD_VALUE);
	r.time_ns = OVERLAP_S * S;
	change(JT_REC_RENAME);
	expect(&first, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect_at(&first, 0, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_VALID, 0);
}

Test(ledger, finish_is_for_good_when_the_clock_steps_back)
{
	rotate(&second, OVERLAP_S);
	r.token.old_until_s = (uint32_t)HELP_NOW_S;
	r.time_ns = HELP_NOW_S * S;
	change(JT_REC_FINISH);
	expect_at(&first, HELP_NOW_S - 1, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect_at(&second, HELP_NOW_S - 1, JT_VALID, 0);
}

/* ---- purge ---- */

static void purge(void)
{
	change(JT_REC_REVOKE);
	change(JT_REC_PURGE);
}

/* All 64 places are taken by others. */
static void fill_up(void)
{
	struct help_token other;

	while (t.maps.identity->tokens < 64)
		issue(&other);
}

static bool fits(uint64_t tokens, uint64_t values)
{
	const struct jt_room room = {.tokens = tokens, .values = values};
	struct jt_fault fault = {0};
	int rc = jt_ledger_fits(&l, &room, &fault);

	cr_assert(rc == 0 || rc == JT_TABLE_E_FULL);
	cr_assert_eq(rc != 0, fault.line[0] != '\0');
	return rc == 0;
}

/* Is there a line for one more, after tidying at that time? */
static bool line_is_free(uint64_t now_s)
{
	l.now.wall_s = now_s;
	jt_ledger_tidy(&l, 1);
	return fits(1, 1);
}

static void seat_worker(unsigned i, uint64_t rounds)
{
	jt_store_seq(&t.maps.board[i].state, JT_DESK_SERVING);
	jt_store_seq(&t.maps.board[i].rounds, rounds);
}

Test(ledger, purge_forgets_both_values_and_frees_their_slots)
{
	struct jt_look found;

	rotate(&second, OVERLAP_S);
	purge();
	expect(&first, JT_UNKNOWN, 0);
	expect(&second, JT_UNKNOWN, 0);
	cr_expect_eq(used(), 0);
	cr_expect_eq(t.maps.identity->tokens, 0);
	cr_expect_not(jt_ledger_look(&l, r.token.id, &found));
	cr_expect_eq(apply(help_as(r, JT_REC_REVOKE)), -ENOENT);
	cr_expect_eq(apply(help_as(r, JT_REC_PURGE)), -ENOENT);
}

Test(ledger, expired_token_may_be_purged)
{
	r.token.expires_s = 1;
	change(JT_REC_RENEW);
	change(JT_REC_PURGE);
	expect(&first, JT_UNKNOWN, 0);
}

Test(ledger, line_rests_until_every_worker_has_passed_a_round)
{
	fill_up();
	seat_worker(0, 5);
	seat_worker(62, 9);
	purge();
	cr_expect_not(fits(1, 1), "nobody was asked");
	cr_expect_not(line_is_free(HELP_NOW_S));
	jt_store_seq(&t.maps.board[0].rounds, 6);
	cr_expect_not(line_is_free(HELP_NOW_S), "one has not");
	jt_store_seq(&t.maps.board[62].rounds, 10);
	cr_expect(line_is_free(HELP_NOW_S));
	issue(&second);
	expect(&second, JT_VALID, 0);
	cr_expect_not(fits(1, 1));
}

Test(ledger, line_rests_as_long_as_a_worker_stands_still)
{
	fill_up();
	seat_worker(0, 5);
	purge();
	/* it may be stopped in the middle of a batch, whatever a clock says */
	cr_expect_not(line_is_free(HELP_NOW_S + 2));
	cr_expect_not(line_is_free(HELP_NOW_S + 1000000));
	jt_store_seq(&t.maps.board[0].rounds, 6);
	cr_expect(line_is_free(HELP_NOW_S));
}

Test(ledger, rounds_are_counted_from_the_last_purge)
{
	struct help_token other;
	struct jt_record mine = r;

	r = issue(&other);
	fill_up();
	seat_worker(0, 5);
	purge();
	jt_store_seq(&t.maps.board[0].rounds, 6);
	r = mine;
	purge();
	cr_expect_not(line_is_free(HELP_NOW_S));
	jt_store_seq(&t.maps.board[0].rounds, 7);
	cr_expect(line_is_free(HELP_NOW_S));
	cr_expect(fits(2, 2), "both");
}

Test(ledger, desk_without_a_worker_is_not_waited_for)
{
	fill_up();
	seat_worker(3, 5);
	jt_store_seq(&t.maps.board[3].state, JT_DESK_FREE);
	purge();
	cr_expect(line_is_free(HELP_NOW_S));
}

/* A journal needs no more lines than it ever had tokens at one time. */
Test(ledger, during_the_replay_no_line_rests)
{
	fill_up();
	seat_worker(0, 5);
	jt_store_seq(&t.maps.identity_rw->state, JT_IDENTITY_LOADING);
	purge();
	cr_expect(line_is_free(HELP_NOW_S));
}

Test(ledger, line_given_again_counts_from_nothing)
{
	struct help_token other;

	must(help_plan_record(1, "", 1, 1));
	r.token.own = 1;
	change(JT_REC_SET);
	rotate(&second, OVERLAP_S);
	help_word(&t, &first);
	help_word(&t, &first);
	fill_up();
	purge();
	cr_expect_eq(t.maps.lines[0].uses, 1, "still told");
	cr_assert(line_is_free(HELP_NOW_S));
	help_token_make(&other, "live");
	r = help_create(&other);
	r.token.own = 1;
	must(r);
	cr_expect_eq(jt_b_meter(view(&other).b), 0);
	cr_expect_eq(look().uses, 0);
	cr_expect_eq(look().refusals, 0);
	cr_expect_eq(look().last_use_s, 0);
	cr_expect_eq(look().old_use_s, 0);
	cr_expect_eq(look().first, number);
	cr_expect_eq(help_word(&t, &other), JT_VALID, "another's debt");
}

/* ---- plans ---- */

static void set_plan(uint16_t plan, uint16_t own)
{
	r.token.plan = plan;
	r.token.own = own;
	change(JT_REC_SET);
}

Test(ledger, plan_changes_for_all_its_tokens_at_once)
{
	struct help_token others[20], without;
	struct jt_record o;

	must(help_plan_record(1, "gold", 5, 5));
	must(help_plan_record(2, "", 9, 9));
	set_plan(1, 0);
	for (unsigned i = 0; i < 20; i++) {
		help_token_make(&others[i], "live");
		o = help_create(&others[i]);
		o.token.plan = 1;
		must(o);
	}
	help_token_make(&without, "live");
	o = help_create(&without);
	o.token.own = 2;
	must(o);
	must(help_plan_record(1, "gold", 8, 3));
	cr_expect_eq(at(&first, HELP_NOW_S).limit, 3);
	for (unsigned i = 0; i < 20; i++)
		cr_expect_eq(at(&others[i], HELP_NOW_S).limit, 3);
	cr_expect_eq(at(&without, HELP_NOW_S).limit, 9);
	must(help_plan_record(1, "gold", 5, 5));
	cr_expect_eq(at(&others[7], HELP_NOW_S).limit, 5);
}

/* 10/day, used up. */
static struct jt_record slow_plan(uint16_t n, const char *name)
{
	struct jt_record p = help_plan_record(n, name, 10, 10);

	p.plan.period_ns = DAY_S * S;
	return p;
}

static void use_up(void)
{
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(help_word(&t, &first), JT_VALID);
	cr_assert_eq(help_word(&t, &first), JT_RATE_LIMITED);
}

/* A full burst of 100/s is owed; a moment later one may be taken. */
static void expect_works_soon(void)
{
	struct jt_ask ask = help_ask(&first);
	struct jt_now soon = {HELP_NOW_S, HELP_BOOT_NS + S / 100};

	cr_expect_eq(help_verify(&t, &ask, soon).word, JT_VALID);
	cr_expect_eq(help_verify(&t, &ask, soon).word, JT_RATE_LIMITED);
}

Test(ledger, faster_plan_forgives_what_the_slow_one_was_owed)
{
	must(slow_plan(1, "gold"));
	set_plan(1, 0);
	use_up();
	must(help_plan_record(1, "gold", 100, 100));
	expect_works_soon();
}

Test(ledger, another_plan_forgives_as_well)
{
	must(slow_plan(1, "slow"));
	must(help_plan_record(2, "fast", 100, 100));
	set_plan(1, 0);
	use_up();
	set_plan(2, 0);
	expect_works_soon();
}

Test(ledger, limits_of_its_own_forgive_as_well)
{
	must(slow_plan(1, ""));
	must(help_plan_record(2, "", 100, 100));
	set_plan(0, 1);
	use_up();
	set_plan(0, 2);
	expect_works_soon();
}

Test(ledger, debt_is_never_raised_by_a_change)
{
	must(help_plan_record(1, "gold", 100, 100));
	set_plan(1, 0);
	for (unsigned i = 0; i < 50; i++)
		help_word(&t, &first);
	must(slow_plan(1, "gold"));
	cr_expect_eq(help_word(&t, &first), JT_VALID, "half a second is owed");
}

Test(ledger, own_limits_come_before_the_plans)
{
	struct jt_record gold = help_plan_record(1, "gold", 5, 50);

	gold.plan.quota = 1000;
	gold.plan.quota_unit = JT_QUOTA_MONTH;
	must(gold);
	must(help_plan_record(2, "", 1, 7));
	must((struct jt_record){
		.type = JT_REC_PLAN,
		.plan = {.number = 3, .quota = 9, .quota_unit = JT_QUOTA_DAY}});
	set_plan(1, 2);
	cr_expect_eq(limits(&first)->interval_ns, S);
	cr_expect_eq(limits(&first)->burst, 7);
	cr_expect_eq(limits(&first)->quota, 1000);
	cr_expect_eq(limits(&first)->window, (uint64_t)JT_QUOTA_MONTH << 32);
	set_plan(1, 3);
	cr_expect_eq(limits(&first)->interval_ns, S / 5);
	cr_expect_eq(limits(&first)->burst, 50);
	cr_expect_eq(limits(&first)->quota, 9);
	cr_expect_eq(limits(&first)->window, (uint64_t)JT_QUOTA_DAY << 32);
	/* the plan's rate reaches it, the plan's quota does not */
	gold.plan.burst = 60;
	gold.plan.quota = 2000;
	must(gold);
	cr_expect_eq(limits(&first)->burst, 60);
	cr_expect_eq(limits(&first)->quota, 9);
	set_plan(0, 3);
	cr_expect_eq(limits(&first)->interval_ns, 0);
	cr_expect_eq(limits(&first)->quota, 9);
	set_plan(0, 0);
	cr_expect_null(limits(&first));
}

static unsigned pairs_in_use(void)
{
	unsigned n = 0;

	for (unsigned i = 1; i < JT_PLANS_MAX; i++)
		n += l.plans.pairs[i].users > 0;
	return n;
}

static unsigned blocks_in_use(void)
{
	unsigned n = 0;

	for (unsigned i = 1; i < JT_PLANS_MAX; i++)
		n += l.plans.blocks[i].users > 0;
	return n;
}

Test(ledger, equal_pairs_share_a_number_and_equal_limits_a_block)
{
	struct jt_record o;

	must(help_plan_record(1, "gold", 5, 5));
	must(help_plan_record(2, "", 5, 5));
	must(help_plan_record(3, "silver", 6, 6));
	set_plan(1, 0);
	cr_expect(jt_plans_pair(&l.plans, 1, 0));
	cr_expect_not(jt_plans_pair(&l.plans, 1, 2));
	for (unsigned i = 0; i < 30; i++) {
		help_token_make(&second, "live");
		o = help_create(&second);
		o.token.plan = i % 2;
		o.token.own = i % 3 ? 2 : 0;
		must(o);
	}
	cr_expect(jt_plans_pair(&l.plans, 1, 2));
	cr_expect(jt_plans_pair(&l.plans, 0, 2));
	cr_expect_eq(pairs_in_use(), 3);
	cr_expect_eq(blocks_in_use(), 1, "all are 5/s burst 5");
	/* to and fro makes no more of them */
	for (unsigned i = 0; i < 100; i++)
		must(help_plan_record(1, "gold", 5 + i % 2, 5));
	cr_expect_eq(pairs_in_use(), 3);
	cr_expect_eq(blocks_in_use(), 2);
}

Test(ledger, users_of_a_plan_are_those_not_revoked)
{
	uint64_t pairs;

	must(help_plan_record(1, "gold", 5, 5));
	cr_expect_eq(jt_ledger_users(&l, 1, &pairs), 0);
	cr_expect_eq(pairs, 0);
	set_plan(1, 0);
	rotate(&second, OVERLAP_S);
	cr_expect_eq(jt_ledger_users(&l, 1, &pairs), 1, "two values, one user");
	cr_expect_eq(pairs, 1);
	suspend(true);
	cr_expect_eq(jt_ledger_users(&l, 1, &pairs), 1);
	change(JT_REC_REVOKE);
	cr_expect_eq(jt_ledger_users(&l, 1, &pairs), 0);
	change(JT_REC_PURGE);
	cr_expect_eq(jt_ledger_users(&l, 1, &pairs), 0);
	cr_expect_eq(jt_ledger_users(&l, 2, &pairs), 0);
}

Test(ledger, removed_plan_keeps_its_number_and_its_name)
{
	struct jt_record gold = help_plan_record(1, "gold", 5, 5);
	bool removed;

	must(gold);
	gold.plan.removed = 1;
	must(gold);
	cr_expect_eq(jt_plans_named(&l.plans, gold.plan.name, &removed), 1);
	cr_expect(removed);
	gold.plan.removed = 0;
	must(gold);
	cr_expect_eq(jt_plans_named(&l.plans, gold.plan.name, &removed), 1);
	cr_expect_not(removed);
	memset(gold.plan.name, 'g', JT_PLAN_MAX);
	cr_expect_eq(jt_plans_named(&l.plans, gold.plan.name, &removed), 0);
	cr_expect_not(removed);
}

/* ---- scopes ---- */

static enum jt_word with_scope(const struct help_token *token, const char *name)
{
	const struct jt_bytes scope = {(const uint8_t *)name,
				       (uint32_t)strlen(name)};
	struct jt_ask ask = help_ask(token);

	ask.scopes = &scope;
	ask.n_scopes = 1;
	return help_verify(&t, &ask, help_now()).word;
}

Test(ledger, scopes_of_a_token_are_those_of_its_set)
{
	must(help_scope_record(1, "orders:read"));
	must(help_scope_record(2, "billing:*"));
	must(help_set_record(1, 1, 1));
	must(help_set_record(2, 1, 2));
	cr_expect_eq(with_scope(&first, "orders:read"), JT_INSUFFICIENT_SCOPE);
	r.token.scope_set = 1;
	change(JT_REC_SET);
	cr_expect_eq(with_scope(&first, "orders:read"), JT_VALID);
	cr_expect_eq(with_scope(&first, "billing:pay"), JT_INSUFFICIENT_SCOPE);
	r.token.scope_set = 2;
	change(JT_REC_SET);
	cr_expect_eq(with_scope(&first, "billing:pay"), JT_VALID);
}

static struct jt_record scope_named(unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "scope:%u", i);
	return help_scope_record((uint16_t)i, name);
}

Test(ledger, scopes_have_256_numbers_and_then_no_more)
{
	uint16_t next;

	cr_expect_eq(jt_sets_find_scope(&l.sets, "scope:1", &next), 0);
	cr_expect_eq(next, 1);
	for (unsigned i = 1; i <= 256; i++)
		must(scope_named(i));
	cr_expect_eq(jt_sets_find_scope(&l.sets, "scope:256", &next), 256);
	cr_expect_eq(next, 0);
	cr_expect_eq(jt_sets_find_scope(&l.sets, "scope:257", &next), 0);
	cr_expect_eq(next, 0);
	cr_expect_eq(apply(scope_named(257)), -EINVAL);
	must(help_set_record(1, 256, 256));
	r.token.scope_set = 1;
	change(JT_REC_SET);
	cr_expect_eq(with_scope(&first, "scope:256"), JT_VALID);
	cr_expect_eq(with_scope(&first, "scope:255"), JT_INSUFFICIENT_SCOPE);
}

Test(ledger, sets_have_8191_numbers_and_then_no_more)
{
	struct jt_record set = help_set_record(1, 1, 1);
	uint16_t next;

	for (unsigned i = 1; i <= 13; i++)
		must(scope_named(i));
	cr_expect_eq(jt_sets_find(&l.sets, set.scopes.bits, &next), 0);
	cr_expect_eq(next, 1);
	for (unsigned i = 1; i <= 8191; i++) {
		set.scopes.number = (uint16_t)i;
		set.scopes.bits[0] = (uint8_t)i;
		set.scopes.bits[1] = (uint8_t)(i >> 8);
		must(set);
	}
	cr_expect_eq(jt_sets_find(&l.sets, set.scopes.bits, &next), 8191);
	cr_expect_eq(next, 0);
	set.scopes.number = 8192;
	cr_expect_eq(apply(set), -EINVAL);
	r.token.scope_set = 8191;
	change(JT_REC_SET);
	cr_expect_eq(with_scope(&first, "scope:13"), JT_VALID);
	r.token.scope_set = 8192;
	cr_expect_eq(apply(r), -EINVAL);
}

Test(ledger, names_of_a_set_fit_or_are_not_told)
{
	char out[16];

	must(help_scope_record(1, "a:b"));
	must(help_scope_record(2, "c"));
	must(help_set_record(1, 1, 2));
	must(help_set_record(2, 1, 0));
	cr_expect(jt_sets_names(&l.sets, 1, out, sizeof(out)));
	cr_expect_str_eq(out, "a:b c");
	cr_expect(jt_sets_names(&l.sets, 2, out, sizeof(out)));
	cr_expect_str_eq(out, "");
	cr_expect_not(jt_sets_names(&l.sets, 1, out, 5));
	cr_expect_not(jt_sets_names(&l.sets, 0, out, sizeof(out)));
	cr_expect_not(jt_sets_names(&l.sets, 3, out, sizeof(out)));
}

/* ---- values of other systems ---- */

static enum jt_word word_of(const char *value)
{
	const struct jt_ask ask = {
		.token = {(const uint8_t *)value, (uint32_t)strlen(value)},
		.cost = 1,
	};

	return help_verify(&t, &ask, help_now()).word;
}

static void expect_import(const char *value, uint8_t scheme)
{
	r = help_import(value, scheme);
	cr_expect_eq(word_of(value), JT_MALFORMED);
	must(r);
	cr_expect_eq(word_of(value), JT_VALID);
	cr_expect_eq(look().first, number);
	cr_expect_eq(look().uses, 1);
	suspend(true);
	cr_expect_eq(word_of(value), JT_SUSPENDED);
	suspend(false);
	change(JT_REC_REVOKE);
	cr_expect_eq(word_of(value), JT_REVOKED);
	change(JT_REC_PURGE);
	cr_expect_eq(word_of(value), JT_MALFORMED);
}

Test(ledger, import_is_found_by_its_value_and_by_its_id)
{
	expect_import("ghp_16C7e42F292c6912E7710c838347Ae178B4a",
		      JT_VALUE_SHA256);
	expect_import("sk_live_short_longSecretPart", JT_VALUE_PREFIXED);
	expect_import("x", JT_VALUE_SHA256);
}

Test(ledger, rotated_import_gets_a_native_value_under_its_id)
{
	static const char value[] = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
	struct jt_ask ask;

	r = help_import(value, JT_VALUE_SHA256);
	must(r);
	rotate(&second, OVERLAP_S);
	cr_expect_eq(word_of(value), JT_VALID);
	cr_expect_eq(look().old_use_s, HELP_NOW_S);
	ask = help_ask(&second);
	cr_expect_eq(help_verify(&t, &ask, help_now()).word, JT_VALID);
	cr_expect_arr_eq(second.text, r.token.id, JT_ID_BYTES);
	cr_expect_eq(look().uses, 2, "one line");
	cr_expect_eq(t.maps.identity->tokens, 2);
	suspend(true);
	cr_expect_eq(word_of(value), JT_SUSPENDED);
	expect(&second, JT_SUSPENDED, 0);
	suspend(false);
	rotate(&third, OVERLAP_S);
	cr_expect_eq(word_of(value), JT_MALFORMED);
	expect(&second, JT_VALID, JT_NOTE_OLD_VALUE);
	change(JT_REC_REVOKE);
	expect(&second, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect(&third, JT_REVOKED, 0);
}

Test(ledger, import_rotated_and_taken_back_is_itself_again)
{
	static const char value[] = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
	struct jt_record before;

	r = before = help_import(value, JT_VALUE_SHA256);
	must(r);
	rotate(&second, OVERLAP_S);
	r = before;
	change(JT_REC_ROTATE);
	cr_expect_eq(word_of(value), JT_VALID);
	expect(&second, JT_REVOKED, JT_NOTE_OLD_VALUE);
	change(JT_REC_REVOKE);
	cr_expect_eq(word_of(value), JT_REVOKED);
}

/* ---- room ---- */

Test(ledger, fit_counts_values_beside_tokens)
{
	fill_up();
	cr_expect_eq(used(), 64);
	cr_expect_not(fits(1, 0));
	cr_expect(fits(0, 4), "5 %% for rotations");
	cr_expect_not(fits(0, 5));
	rotate(&second, OVERLAP_S);
	cr_expect(fits(0, 3));
	cr_expect_not(fits(0, 4));
	rotate(&third, OVERLAP_S);
	cr_expect(fits(0, 3), "the first made room");
	purge();
	cr_expect(fits(0, 5));
}

static struct help_token olds[4];
static struct jt_record rotated[4];

/* Four old values that end one after another; no place is left. */
static void fill_with_old_values(void)
{
	struct help_token now;

	for (unsigned i = 0; i < 4; i++)
		rotated[i] = issue(&olds[i]);
	fill_up();
	for (unsigned i = 0; i < 4; i++) {
		help_rotate(&rotated[i], &now, HELP_NOW_S + 100 * (4 - i));
		must(rotated[i]);
	}
	cr_assert_not(fits(0, 1));
}

static unsigned olds_known(void)
{
	struct jt_view v;
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++)
		n += help_find(&t.reader, &olds[i], &v);
	return n;
}

Test(ledger, full_table_forgets_values_that_are_over)
{
	fill_with_old_values();
	l.now.wall_s = HELP_NOW_S + 201;
	jt_ledger_tidy(&l, 1);
	cr_expect(fits(0, 2), "all that are over go at once");
	cr_expect_not(fits(0, 3), "two are not over");
	jt_ledger_tidy(&l, 4);
	cr_expect_not(fits(0, 3), "nor now");
	cr_expect_eq(olds_known(), 2);
	expect(&olds[0], JT_VALID, JT_NOTE_OLD_VALUE);
	expect(&olds[1], JT_VALID, JT_NOTE_OLD_VALUE);
	expect(&olds[3], JT_UNKNOWN, 0);
	l.now.wall_s = HELP_NOW_S + 1000;
	jt_ledger_tidy(&l, 4);
	cr_expect(fits(0, 4));
	cr_expect_eq(olds_known(), 0);
	jt_ledger_tidy(&l, UINT64_MAX);
	cr_expect_eq(used(), 64, "values of tokens stay");
}

Test(ledger, values_that_are_not_over_are_never_forgotten)
{
	fill_with_old_values();
	l.now.wall_s = HELP_NOW_S + 99;
	jt_ledger_tidy(&l, UINT64_MAX);
	cr_expect_eq(olds_known(), 4);
	jt_ledger_tidy(&l, 0);
	cr_expect_eq(olds_known(), 4);
}

Test(ledger, table_with_room_forgets_nothing)
{
	rotate(&second, HELP_NOW_S + 1);
	l.now.wall_s = HELP_NOW_S + 1000;
	jt_ledger_tidy(&l, 4);
	expect_at(&first, HELP_NOW_S + 1000, JT_REVOKED, JT_NOTE_OLD_VALUE);
}

/* It looks through all lines only when something can be over. */
Test(ledger, tidying_in_vain_does_not_hide_what_is_over_sooner)
{
	struct help_token other, now;
	struct jt_record o;

	fill_with_old_values();
	jt_ledger_tidy(&l, 1);
	cr_expect_eq(l.tidy_from_s, HELP_NOW_S + 100);
	cr_expect_eq(olds_known(), 4);
	o = r;
	other = first;
	help_rotate(&o, &now, HELP_NOW_S + 10);
	must(o);
	l.now.wall_s = HELP_NOW_S + 10;
	jt_ledger_tidy(&l, 1);
	cr_expect_eq(olds_known(), 4);
	expect(&other, JT_UNKNOWN, 0);
}

Test(ledger, token_rotated_after_its_old_value_was_forgotten_has_two_again)
{
	fill_with_old_values();
	l.now.wall_s = HELP_NOW_S + 1000;
	jt_ledger_tidy(&l, 4);
	help_rotate(&rotated[0], &second, HELP_NOW_S + 2000);
	must(rotated[0]);
	cr_expect(fits(0, 3));
	rotated[0].token.flags = JT_TOKEN_SUSPENDED;
	must(help_as(rotated[0], JT_REC_SUSPEND));
	expect(&second, JT_SUSPENDED, 0);
}

Test(ledger, full_table_takes_no_token_and_every_change)
{
	struct help_token other;

	fill_up();
	help_token_make(&other, "live");
	cr_expect_eq(apply(help_create(&other)), JT_TABLE_E_FULL);
	expect(&other, JT_UNKNOWN, 0);
	cr_expect_eq(t.maps.identity->tokens, 64);
	suspend(true);
	suspend(false);
	change(JT_REC_REVOKE);
	expect(&first, JT_REVOKED, 0);
}

/* ---- when only denials may come in force ---- */

static void deny(uint8_t type)
{
	struct jt_record denial = help_as(r, type);

	denial.number = ++number;
	cr_expect_eq(jt_ledger_deny(&l, &denial), 0);
}

Test(ledger, deny_takes_away_and_gives_nothing)
{
	static const uint8_t idle[] = {
		JT_REC_RENEW,  JT_REC_RENAME, JT_REC_SET,    JT_REC_RESUME,
		JT_REC_PURGE,  JT_REC_PLAN,   JT_REC_REASON, JT_REC_COPY,
		JT_REC_NOTICE, JT_REC_CREATE};

	rotate(&second, OVERLAP_S);
	for (unsigned i = 0; i < sizeof(idle); i++) {
		deny(idle[i]);
		expect(&first, JT_VALID, JT_NOTE_OLD_VALUE);
		expect(&second, JT_VALID, 0);
	}
	deny(JT_REC_FINISH);
	expect(&first, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_VALID, 0);
	deny(JT_REC_SUSPEND);
	expect(&second, JT_SUSPENDED, 0);
	deny(JT_REC_RESUME);
	expect(&second, JT_SUSPENDED, 0);
	deny(JT_REC_REVOKE);
	expect(&first, JT_REVOKED, JT_NOTE_OLD_VALUE);
	expect(&second, JT_REVOKED, 0);
	cr_expect_eq(look().last, number);
}

Test(ledger, revoke_stays_whatever_is_denied_later)
{
	deny(JT_REC_REVOKE);
	deny(JT_REC_SUSPEND);
	expect(&first, JT_REVOKED, 0);
}

Test(ledger, finish_denies_nothing_to_a_token_with_one_value)
{
	deny(JT_REC_FINISH);
	expect(&first, JT_VALID, 0);
}

Test(ledger, deny_of_a_token_that_was_left_out_is_no_fault)
{
	help_token_make(&second, "live");
	r = help_create(&second);
	deny(JT_REC_REVOKE);
	expect(&first, JT_VALID, 0);
}

/* ---- what does not fit what went before ---- */

static void refuse(struct jt_record record, int want)
{
	uint64_t slots = used(), tokens = t.maps.identity->tokens;
	int rc = apply(record);

	cr_expect_eq(rc, want, "%d, not %d", rc, want);
	cr_expect_eq(used(), slots);
	cr_expect_eq(t.maps.identity->tokens, tokens);
}

Test(ledger, change_of_nobody_is_refused)
{
	help_token_make(&second, "live");
	for (uint8_t type = JT_REC_CREATE + 1; type <= JT_REC_PURGE; type++)
		if (type != JT_REC_PLAN)
			refuse(help_as(help_create(&second), type), -ENOENT);
	expect(&second, JT_UNKNOWN, 0);
}

Test(ledger, id_made_twice_is_refused)
{
	struct jt_record again;

	refuse(r, -EEXIST);
	again = r;
	help_rotate(&again, &second, 0);
	refuse(help_as(again, JT_REC_CREATE), -EEXIST);
	expect(&first, JT_VALID, 0);
	expect(&second, JT_UNKNOWN, 0);
	must(help_import("another system's", JT_VALUE_SHA256));
	refuse(help_import("another system's", JT_VALUE_SHA256), -EEXIST);
}

/* Its id would be another, its value the same. */
Test(ledger, value_of_another_system_is_taken_once)
{
	struct jt_record import = help_import("a value", JT_VALUE_SHA256);

	must(import);
	memcpy(import.env, "test", 4);
	jt_token_other_id("jt", "test", import.token.digest, import.token.id);
	refuse(import, -EEXIST);
}

/* Of such a value the id is the same again. */
Test(ledger, purged_import_may_be_taken_again)
{
	r = help_import("a value", JT_VALUE_SHA256);
	must(r);
	purge();
	r.type = JT_REC_CREATE;
	must(r);
	cr_expect_eq(look().first, number);
}

Test(ledger, revoked_token_changes_no_more)
{
	change(JT_REC_REVOKE);
	for (uint8_t type = JT_REC_REVOKE; type < JT_REC_PURGE; type++)
		if (type != JT_REC_PLAN)
			refuse(help_as(r, type), -EINVAL);
	help_rotate(&r, &second, OVERLAP_S);
	refuse(r, -EINVAL);
	expect(&first, JT_REVOKED, 0);
	expect(&second, JT_UNKNOWN, 0);
}

Test(ledger, token_does_not_move_to_another_environment)
{
	struct jt_record moved = help_as(r, JT_REC_SET);

	memcpy(moved.env, "test", 4);
	refuse(moved, -EINVAL);
	memset(moved.env, 0, sizeof(moved.env));
	refuse(moved, -EINVAL);
	expect(&first, JT_VALID, 0);
}

Test(ledger, token_with_what_is_not_defined_is_refused)
{
	struct jt_record made;

	must(help_plan_record(1, "", 1, 1));
	for (unsigned i = 0; i < 6; i++) {
		help_token_make(&second, "live");
		made = i < 3 ? help_create(&second) : help_as(r, JT_REC_SET);
		if (i % 3 == 0)
			made.token.plan = 2;
		else if (i % 3 == 1)
			made.token.own = 2;
		else
			made.token.scope_set = 1;
		refuse(made, -EINVAL);
		expect(&second, JT_UNKNOWN, 0);
	}
	expect(&first, JT_VALID, 0);
	cr_expect_null(limits(&first));
}

Test(ledger, plan_out_of_turn_is_refused)
{
	refuse(help_plan_record(0, "", 1, 1), -EINVAL);
	refuse(help_plan_record(2, "", 1, 1), -EINVAL);
	refuse(help_plan_record(65535, "gold", 1, 1), -EINVAL);
	must(help_plan_record(1, "", 1, 1));
	refuse(help_plan_record(1, "", 1, 1), -EINVAL);
	refuse(help_plan_record(1, "gold", 1, 1), -EINVAL);
	must(help_plan_record(2, "gold", 1, 1));
	must(help_plan_record(2, "gold", 2, 1));
	refuse(help_plan_record(2, "golden", 1, 1), -EINVAL);
	refuse(help_plan_record(2, "", 1, 1), -EINVAL);
	cr_expect_eq(l.plans.n, 2);
}

Test(ledger, limits_that_are_none_are_refused)
{
	struct jt_record p = help_plan_record(1, "", 0, 0);

	p.plan.period_ns = 0;
	refuse(p, -EINVAL);
	refuse(help_plan_record(1, "", 0, 1), -EINVAL);
	refuse(help_plan_record(1, "", 1, 0), -EINVAL);
	refuse(help_plan_record(1, "", 1, UINT64_MAX), -EINVAL);
	refuse(help_plan_record(1, "", UINT64_MAX, 1), -EINVAL);
	p.plan.quota = 5;
	refuse(p, -EINVAL);
	p.plan.quota_unit = JT_QUOTA_MINUTES;
	refuse(p, -EINVAL);
	p.plan.quota_unit = JT_QUOTA_DAY;
	p.plan.quota_minutes = 5;
	refuse(p, -EINVAL);
	p.plan.quota_minutes = 0;
	must(p);
}

/* What a named plan was stays when another is refused. */
Test(ledger, plan_that_is_refused_changes_nothing)
{
	must(help_plan_record(1, "gold", 5, 5));
	set_plan(1, 0);
	refuse(help_plan_record(1, "gold", 0, 0), -EINVAL);
	cr_expect_eq(at(&first, HELP_NOW_S).limit, 5);
}

Test(ledger, scope_out_of_turn_twice_or_no_name_is_refused)
{
	refuse(help_scope_record(0, "a"), -EINVAL);
	refuse(help_scope_record(2, "a"), -EINVAL);
	refuse(help_scope_record(1, ""), -EINVAL);
	refuse(help_scope_record(1, "a b"), -EINVAL);
	must(help_scope_record(1, "a"));
	refuse(help_scope_record(1, "b"), -EINVAL);
	refuse(help_scope_record(2, "a"), -EINVAL);
	must(help_scope_record(2, "b"));
}

Test(ledger, set_out_of_turn_or_of_no_scopes_is_refused)
{
	must(help_scope_record(1, "a"));
	refuse(help_set_record(0, 1, 1), -EINVAL);
	refuse(help_set_record(2, 1, 1), -EINVAL);
	refuse(help_set_record(1, 2, 2), -EINVAL);
	refuse(help_set_record(1, 1, 256), -EINVAL);
	must(help_set_record(1, 1, 1));
	refuse(help_set_record(1, 1, 1), -EINVAL);
}

Test(ledger, type_that_is_unknown_is_refused)
{
	refuse(help_as(r, 0), -EPROTO);
	refuse(help_as(r, 12), -EPROTO);
	refuse(help_as(r, JT_REC_LAST + 1), -EPROTO);
	refuse(help_as(r, UINT8_MAX), -EPROTO);
	expect(&first, JT_VALID, 0);
}

Test(ledger, records_that_are_no_tokens_change_no_slot)
{
	static const uint8_t types[] = {JT_REC_RULES, JT_REC_REASON,
					JT_REC_COPY, JT_REC_NOTICE};
	struct jt_view before = view(&first), after;

	for (unsigned i = 0; i < sizeof(types); i++) {
		jt_ledger_prefetch(&l, &(struct jt_record){.type = types[i]});
		must((struct jt_record){.type = types[i]});
	}
	after = view(&first);
	cr_expect_arr_eq(&after, &before, sizeof(before));
	cr_expect_eq(used(), 1);
}

Test(ledger, counts_what_expires)
{
	static const uint64_t spans[] = {1,	     DAY_S,	 7 * DAY_S,
					 14 * DAY_S, 30 * DAY_S, 60 * DAY_S};
	struct help_token token;
	struct jt_expiring e;

	r.token.expires_s = HELP_NOW_S + 61 * DAY_S;
	change(JT_REC_RENEW);
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		struct jt_record made;

		help_token_make(&token, "live");
		made = help_create(&token);
		made.token.expires_s = (uint32_t)(HELP_NOW_S + spans[i]);
		must(made);
	}
	jt_ledger_expiring(&l, HELP_NOW_S, &e);
	cr_assert_eq(e.over, 0);
	for (size_t i = 0; i < JT_EXPIRING_N; i++)
		cr_assert_eq(e.within[i], i + 2);
	jt_ledger_expiring(&l, HELP_NOW_S + DAY_S, &e);
	cr_assert_eq(e.over, 2);
	cr_assert_eq(e.within[0], 0);
	cr_assert_eq(e.within[1], 1);
	cr_assert_eq(e.within[4], 5);
	/* suspended: still; rotated: once; revoked, purged: no more */
	suspend(true);
	suspend(false);
	rotate(&second, OVERLAP_S);
	jt_ledger_expiring(&l, HELP_NOW_S + 2 * DAY_S, &e);
	cr_assert_eq(e.within[4], 5);
	change(JT_REC_REVOKE);
	jt_ledger_expiring(&l, HELP_NOW_S + 2 * DAY_S, &e);
	cr_assert_eq(e.within[4], 4);
	jt_ledger_expiring(&l, HELP_NOW_S + 100 * DAY_S, &e);
	cr_assert_eq(e.over, 6);
	change(JT_REC_PURGE);
	jt_ledger_expiring(&l, HELP_NOW_S + 100 * DAY_S, &e);
	cr_assert_eq(e.over, 6);
}
