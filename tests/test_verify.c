/* verify: every word, the order in which they are decided, what is written. */
#include "shm/verify.h"

#include "shm/meter.h"
#include "shm/scope.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define S 1000000000ull

static struct help_table t;
static struct help_token token;

static void start(void)
{
	help_table_new(&t, 256);
	help_rate(&t, 1, S, 5);
	help_issue(&t, &token);
}

TestSuite(verify, .init = start);

static struct jt_bytes bytes(const char *text)
{
	return (struct jt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct jt_verdict verify(const struct jt_ask *ask)
{
	return help_verify(&t, ask, help_now());
}

static struct jt_verdict verify_text(const char *text)
{
	const struct jt_ask ask = {.token = bytes(text), .cost = 1};

	return verify(&ask);
}

/* A new token from an entry that CHANGE has changed. */
static struct help_token issue(void (*change)(struct jt_entry *e))
{
	struct help_token made;
	struct jt_entry e;

	help_token_make(&made, "live");
	e = help_entry(&t, &made);
	change(&e);
	help_put(&t, &made, &e);
	return made;
}

static void limited(struct jt_entry *e)
{
	e->plan = 1;
}

static const struct jt_bounds quota_and_rate = {
	.interval_ns = S, .burst = 5, .quota = 3, .quota_unit = JT_QUOTA_DAY};

/* Its plan, number 2, must be given by the test. */
static void with_quota(struct jt_entry *e)
{
	e->plan = 2;
}

static void expect_unknown(const struct jt_verdict *v, enum jt_word word)
{
	cr_expect_eq(v->word, word, "%s", jt_word_name(v->word));
	cr_expect_null(v->id);
	cr_expect_eq(v->notes, 0);
	cr_expect_eq(v->expires_in_s, 0);
	cr_expect_eq(v->limit, -1);
	cr_expect_eq(v->remaining, -1);
	cr_expect_eq(v->reset_ms, 0);
	cr_expect_eq(v->retry_after_ms, 0);
	cr_expect_eq(v->owner.bytes, 0);
	cr_expect_eq(v->scope.bytes, 0);
}

Test(verify, words_have_their_names_and_statuses)
{
	cr_expect_str_eq(jt_word_name(JT_LOADING), "LOADING");
	cr_expect_str_eq(jt_word_name(JT_WRONG_ENVIRONMENT),
			 "WRONG_ENVIRONMENT");
	cr_expect_str_eq(jt_word_name(JT_VALID), "VALID");
	cr_expect_eq(jt_word_status(JT_LOADING), 503);
	cr_expect_eq(jt_word_status(JT_UNKNOWN), 401);
	cr_expect_eq(jt_word_status(JT_INSUFFICIENT_SCOPE), 403);
	cr_expect_eq(jt_word_status(JT_RATE_LIMITED), 429);
	cr_expect_eq(jt_word_status(JT_VALID), 200);
}

Test(verify, valid_one_is_described)
{
	struct jt_ask ask = help_ask(&token);
	struct jt_verdict v = verify(&ask);

	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(v.id, (const uint8_t *)token.text);
	cr_expect_eq(v.expires_in_s, HELP_LATER_S - HELP_NOW_S);
	cr_expect_eq(v.notes, 0);
	cr_expect_eq(v.limit, -1);
	cr_expect_eq(v.remaining, -1);
	cr_expect_eq(v.reset_ms, 0);
	cr_expect_eq(v.retry_after_ms, 0);
	cr_expect_eq(v.owner.bytes, 0);
	cr_expect_eq(help_meter(&t, &token)->uses, 1);
	cr_expect_eq(help_meter(&t, &token)->last_use_s, HELP_NOW_S);
}

static uint32_t owner_at;

static void owned(struct jt_entry *e)
{
	e->owner = owner_at;
}

Test(verify, owner_is_named)
{
	struct help_token mine;
	struct jt_verdict v;

	jt_table_put_owner(&t.maps, (const uint8_t *)"bob", 3, &owner_at);
	mine = issue(owned);
	v = verify_text(mine.text);
	cr_expect_eq(v.word, JT_VALID);
	cr_assert_eq(v.owner.bytes, 3);
	cr_expect_arr_eq(v.owner.at, "bob", 3);
}

/* ---- not ours ---- */

static void expect_text(const char *text, enum jt_word word)
{
	struct jt_verdict v = verify_text(text);

	expect_unknown(&v, word);
}

Test(verify, values_that_are_no_tokens_are_told_apart)
{
	char text[80];

	expect_text("", JT_MISSING);
	expect_text("hello", JT_MALFORMED);
	expect_text("0123456789012345678901234567890123456789"
		    "012345678901234567890123",
		    JT_MALFORMED);
	snprintf(text, sizeof(text), "%s\n", token.text);
	expect_text(text, JT_WHITESPACE);
	snprintf(text, sizeof(text), " %s", token.text);
	expect_text(text, JT_WHITESPACE);
	snprintf(text, sizeof(text), "%.63s", token.text);
	expect_text(text, JT_MALFORMED);
	snprintf(text, sizeof(text), "%sx", token.text);
	expect_text(text, JT_MALFORMED);
	strcpy(text, token.text);
	text[60] = text[60] == 'x' ? 'y' : 'x';
	expect_text(text, JT_MISTYPED);
}

Test(verify, value_that_was_never_issued_is_unknown)
{
	struct help_token other;

	for (unsigned i = 0; i < 100; i++) {
		help_token_make(&other, "live");
		expect_text(other.text, JT_UNKNOWN);
	}
}

/* Make the last six characters those that belong to the others. */
static void put_checksum(char text[JT_TOKEN_BYTES])
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz";
	uint32_t sum = XXH32(text, 58, 0);

	for (unsigned i = 63; i >= 58; i--, sum /= 62)
		text[i] = digits[sum % 62];
}

Test(verify, right_id_with_another_secret_is_unknown)
{
	struct help_token other;

	for (unsigned i = 0; i < 100; i++) {
		help_token_make(&other, "live");
		memcpy(other.text, token.text, JT_PUBLIC_BYTES);
		put_checksum(other.text);
		expect_text(other.text, JT_UNKNOWN);
		other.text[63] = other.text[63] == 'x' ? 'y' : 'x';
		expect_text(other.text, JT_MISTYPED);
	}
	cr_expect_eq(help_meter(&t, &token)->refusals, 0);
}

/* An imported value, say: found by its digest, so its checksum is no matter. */
Test(verify, checksum_matters_only_when_nothing_was_found)
{
	struct help_token odd;
	struct jt_entry e;

	help_token_make(&odd, "live");
	odd.text[63] = odd.text[63] == 'x' ? 'y' : 'x';
	e = help_entry(&t, &odd);
	help_put(&t, &odd, &e);
	cr_expect_eq(verify_text(odd.text).word, JT_VALID);
}

/* ---- states ---- */

Test(verify, revoked_and_suspended_are_told)
{
	help_state(&t, &token, JT_SLOT_SUSPENDED);
	cr_expect_eq(help_word(&t, &token), JT_SUSPENDED);
	help_state(&t, &token, JT_SLOT_ACTIVE);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	help_state(&t, &token, JT_SLOT_REVOKED);
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
	cr_expect_eq(help_meter(&t, &token)->refusals, 2);
	cr_expect_eq(help_meter(&t, &token)->uses, 1);
}

Test(verify, expiry_is_the_first_second_refused)
{
	struct jt_now now = {HELP_LATER_S - 1, HELP_BOOT_NS};
	struct jt_ask ask = help_ask(&token);
	struct jt_verdict v = help_verify(&t, &ask, now);

	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(v.expires_in_s, 1);
	now.wall_s++;
	v = help_verify(&t, &ask, now);
	cr_expect_eq(v.word, JT_EXPIRED);
	cr_expect_eq(v.expires_in_s, 0);
	cr_expect_eq(v.id, (const uint8_t *)token.text);
	now.wall_s = UINT64_MAX;
	cr_expect_eq(help_verify(&t, &ask, now).word, JT_EXPIRED);
	now.wall_s = 0;
	cr_expect_eq(help_verify(&t, &ask, now).word, JT_VALID);
}

Test(verify, last_seven_days_are_noted)
{
	struct jt_now now = {HELP_LATER_S - JT_EXPIRING_S - 1, HELP_BOOT_NS};
	struct jt_ask ask = help_ask(&token);

	cr_expect_eq(help_verify(&t, &ask, now).notes, 0);
	now.wall_s++;
	cr_expect_eq(help_verify(&t, &ask, now).notes, JT_NOTE_EXPIRING);
	now.wall_s = HELP_LATER_S - 1;
	cr_expect_eq(help_verify(&t, &ask, now).notes, JT_NOTE_EXPIRING);
	now.wall_s++;
	cr_expect_eq(help_verify(&t, &ask, now).notes, 0);
}

/* As a rotation leaves it: it ends so many seconds from now. */
static void make_old(const struct help_token *mine, uint64_t ends_s)
{
	jt_table_set_a(&t.maps, mine->slot, JT_SLOT_ACTIVE, JT_SLOT_OLD_VALUE,
		       (uint32_t)ends_s);
}

Test(verify, old_value_is_noted)
{
	make_old(&token, HELP_LATER_S);
	cr_expect_eq(verify_text(token.text).word, JT_VALID);
	cr_expect_eq(verify_text(token.text).notes, JT_NOTE_OLD_VALUE);
	help_state(&t, &token, JT_SLOT_REVOKED);
	cr_expect_eq(verify_text(token.text).word, JT_REVOKED);
	cr_expect_eq(verify_text(token.text).notes, JT_NOTE_OLD_VALUE);
	help_state(&t, &token, JT_SLOT_SUSPENDED);
	cr_expect_eq(verify_text(token.text).word, JT_SUSPENDED);
	cr_expect_eq(verify_text(token.text).notes, JT_NOTE_OLD_VALUE);
}

Test(verify, old_value_past_its_end_is_revoked_not_expired)
{
	struct jt_now now = {HELP_NOW_S + 9, HELP_BOOT_NS};
	struct jt_ask ask = help_ask(&token);
	struct jt_verdict v;

	make_old(&token, HELP_NOW_S + 10);
	v = help_verify(&t, &ask, now);
	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(v.expires_in_s, 1);
	cr_expect_eq(v.notes, JT_NOTE_OLD_VALUE, "not EXPIRING as well");
	now.wall_s++;
	v = help_verify(&t, &ask, now);
	cr_expect_eq(v.word, JT_REVOKED);
	cr_expect_eq(v.notes, JT_NOTE_OLD_VALUE);
	cr_expect_eq(v.expires_in_s, 0);
	help_state(&t, &token, JT_SLOT_SUSPENDED);
	cr_expect_eq(help_verify(&t, &ask, now).word, JT_REVOKED);
}

Test(verify, use_of_an_old_value_is_told_apart)
{
	struct jt_meter *meter = help_meter(&t, &token);
	struct jt_ask ask = help_ask(&token);

	verify(&ask);
	cr_expect_eq(meter->old_use_s, 0);
	make_old(&token, HELP_LATER_S);
	ask.cost = 0;
	verify(&ask);
	cr_expect_eq(meter->old_use_s, 0, "a look leaves no trace");
	ask.cost = 1;
	ask.env = jt_env_word("test", 4);
	verify(&ask);
	cr_expect_eq(meter->old_use_s, 0, "it was refused");
	ask.env = 0;
	verify(&ask);
	cr_expect_eq(meter->old_use_s, HELP_NOW_S);
	cr_expect_eq(meter->uses, 2);
}

Test(verify, user_of_an_old_value_is_kept_with_its_time)
{
	struct jt_meter *meter = help_meter(&t, &token);
	struct jt_ask ask = help_ask(&token);
	struct jt_now now = help_now();

	ask.by = 1002;
	verify(&ask);
	cr_expect_eq(meter->old_use_by, 0, "it was the newest then");
	make_old(&token, HELP_LATER_S);
	verify(&ask);
	cr_expect_eq(meter->old_use_by, 1002);
	ask.by = 1003;
	verify(&ask);
	cr_expect_eq(meter->old_use_by, 1002, "in the same second");
	now.wall_s++;
	ask.cost = 0;
	help_verify(&t, &ask, now);
	cr_expect_eq(meter->old_use_by, 1002, "a look leaves no trace");
	ask.cost = 1;
	help_verify(&t, &ask, now);
	cr_expect_eq(meter->old_use_by, 1003);
	now.wall_s++;
	ask.by = 0;
	help_verify(&t, &ask, now);
	cr_expect_eq(meter->old_use_by, 0, "never with another's time");
}

Test(verify, caller_is_confined_to_its_environments)
{
	const uint64_t two[] = {jt_env_word("test", 4), jt_env_word("live", 4)};
	struct jt_ask ask = help_ask(&token);

	ask.envs = two;
	ask.n_envs = 2;
	cr_expect_eq(verify(&ask).word, JT_VALID);
	ask.n_envs = 1;
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env = two[1];
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT,
		     "it is what was asked for, and may not be");
	ask.n_envs = 0;
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.envs = NULL;
	cr_expect_eq(verify(&ask).word, JT_VALID);
	cr_expect_eq(help_meter(&t, &token)->uses, 2, "and nothing was spent");
}

Test(verify, confined_caller_is_not_told_what_else_is_wrong)
{
	const uint64_t other = jt_env_word("test", 4);
	struct jt_ask ask = help_ask(&token);

	ask.envs = &other;
	ask.n_envs = 1;
	help_state(&t, &token, JT_SLOT_REVOKED);
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
}

Test(verify, environment_must_be_the_tokens_own)
{
	struct jt_ask ask = help_ask(&token);

	ask.env = jt_env_word("live", 4);
	cr_expect_eq(verify(&ask).word, JT_VALID);
	ask.env = jt_env_word("test", 4);
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env = jt_env_word("liv", 3);
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env = 0;
	ask.env_unknown = true;
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env_unknown = false;
	cr_expect_eq(verify(&ask).word, JT_VALID);
}

Test(verify, only_the_served_environment_is_served)
{
	struct jt_ask ask = help_ask(&token);

	jt_store_seq(&t.maps.identity_rw->env, jt_env_word("test", 4));
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env = jt_env_word("live", 4);
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env = jt_env_word("test", 4);
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	jt_store_seq(&t.maps.identity_rw->env, jt_env_word("live", 4));
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env = 0;
	cr_expect_eq(verify(&ask).word, JT_VALID);
	ask.env = jt_env_word("live", 4);
	cr_expect_eq(verify(&ask).word, JT_VALID);
	cr_expect_eq(help_meter(&t, &token)->refusals, 4);
}

/* Whose name nobody knows, so it is not the one that is served. */
Test(verify, environment_without_a_number_is_not_served)
{
	help_slot(&t, token.slot)->env = JT_ENV_OTHER;
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	jt_store_seq(&t.maps.identity_rw->env, jt_env_word("live", 4));
	cr_expect_eq(help_word(&t, &token), JT_WRONG_ENVIRONMENT);
}

/* There are more environments than numbers for them. */
Test(verify, environment_without_a_number_equals_none_that_is_asked_for)
{
	struct help_token other;
	struct jt_entry e;
	struct jt_ask ask;
	char name[8];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		jt_table_env(&t.maps, jt_env_word(name, strlen(name)));
	}
	help_token_make(&other, "more");
	e = help_entry(&t, &other);
	help_put(&t, &other, &e);
	cr_expect_eq(help_word(&t, &other), JT_VALID);
	ask = help_ask(&other);
	ask.env = jt_env_word("more", 4);
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
	ask.env = jt_env_word("e1", 2);
	cr_expect_eq(verify(&ask).word, JT_WRONG_ENVIRONMENT);
}

Test(verify, scope_that_the_token_lacks_is_named)
{
	const struct jt_bytes scopes[2] = {bytes("read"), bytes("write")};
	struct jt_ask ask = help_ask(&token);
	struct jt_verdict v;

	ask.n_scopes = 2;
	ask.scopes = scopes;
	v = verify(&ask);
	cr_expect_eq(v.word, JT_INSUFFICIENT_SCOPE);
	cr_expect_eq(v.notes, JT_NOTE_SCOPE);
	cr_expect_eq(v.scope.at, scopes[0].at);
	cr_expect_eq(v.scope.bytes, 4);
}

/* "orders:*" and "billing" are scopes 1 and 2, set 1 has both, set 2 none. */
static void put_scopes(void)
{
	jt_scope_put(&t.maps, 1, help_scope_record(1, "orders:*").scope.name);
	jt_scope_put(&t.maps, 2, help_scope_record(2, "billing").scope.name);
	jt_table_put_set(&t.maps, 1, (const uint8_t[32]){3});
	jt_table_put_set(&t.maps, 2, (const uint8_t[32]){0});
}

static struct jt_verdict with_scopes(const struct help_token *mine,
				     const char *one, const char *two)
{
	struct jt_bytes scopes[2] = {bytes(one), bytes(two)};
	struct jt_ask ask = help_ask(mine);

	ask.n_scopes = 2;
	ask.scopes = scopes;
	return verify(&ask);
}

static void scoped(struct jt_entry *e)
{
	e->scope_set = 1;
}

Test(verify, all_scopes_that_are_asked_for_must_be_granted)
{
	static const char read[] = "orders:read", own[] = "orders:read:own";
	static const char billing[] = "billing", pay[] = "billing:pay";
	struct help_token mine;
	struct jt_verdict v;

	put_scopes();
	mine = issue(scoped);
	v = with_scopes(&mine, read, billing);
	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(v.notes, 0);
	cr_expect_eq(v.scopes, &t.reader.sets[1]);
	cr_expect_eq(with_scopes(&mine, own, own).word, JT_VALID);
	v = with_scopes(&mine, read, pay);
	cr_expect_eq(v.word, JT_INSUFFICIENT_SCOPE);
	cr_expect_eq(v.notes, JT_NOTE_SCOPE);
	cr_expect_eq(v.scope.at, (const uint8_t *)pay, "the missing one");
	cr_expect_eq(v.scope.bytes, sizeof(pay) - 1);
	v = with_scopes(&mine, "", read);
	cr_expect_eq(v.word, JT_INSUFFICIENT_SCOPE);
	cr_expect_eq(v.scope.bytes, 0);
	cr_expect_eq(with_scopes(&mine, "orders", read).word,
		     JT_INSUFFICIENT_SCOPE);
	cr_expect_eq(with_scopes(&mine, "*", read).word, JT_INSUFFICIENT_SCOPE);
}

Test(verify, set_that_is_empty_or_out_of_range_grants_nothing)
{
	static const uint16_t sets[] = {0, 2, 3, 8191, 8192, UINT16_MAX};
	struct help_token mine;

	put_scopes();
	mine = issue(scoped);
	for (unsigned i = 0; i < 6; i++) {
		jt_table_set_b(&t.maps, mine.slot, 0, sets[i]);
		cr_expect_eq(with_scopes(&mine, "billing", "billing").word,
			     JT_INSUFFICIENT_SCOPE, "set %u", sets[i]);
		cr_expect_eq(help_word(&t, &mine), JT_VALID, "none asked for");
	}
}

/* ---- limits ---- */

Test(verify, rate_is_taken_and_told)
{
	struct help_token mine = issue(limited);
	struct jt_verdict v;

	for (unsigned i = 0; i < 5; i++) {
		v = verify_text(mine.text);
		cr_expect_eq(v.word, JT_VALID);
		cr_expect_eq(v.limit, 5);
		cr_expect_eq(v.remaining, 4 - (int64_t)i);
		cr_expect_eq(v.reset_ms, 1000 * (i + 1));
		cr_expect_eq(v.retry_after_ms, 0);
	}
	v = verify_text(mine.text);
	cr_expect_eq(v.word, JT_RATE_LIMITED);
	cr_expect_eq(v.limit, 5);
	cr_expect_eq(v.remaining, 0);
	cr_expect_eq(v.reset_ms, 5000);
	cr_expect_eq(v.retry_after_ms, 1000);
	cr_expect_eq(v.notes, 0);
	cr_expect_eq(help_meter(&t, &mine)->uses, 5);
	cr_expect_eq(help_meter(&t, &mine)->refusals, 1);
}

Test(verify, cost_is_spent_at_once_or_not_at_all)
{
	struct help_token mine = issue(limited);
	struct jt_ask ask = help_ask(&mine);

	ask.cost = 3;
	cr_expect_eq(verify(&ask).remaining, 2);
	cr_expect_eq(verify(&ask).word, JT_RATE_LIMITED);
	cr_expect_eq(verify(&ask).retry_after_ms, 1000);
	ask.cost = 2;
	cr_expect_eq(verify(&ask).word, JT_VALID);
	cr_expect_eq(help_meter(&t, &mine)->uses, 5);
}

Test(verify, cost_0_looks_only)
{
	struct help_token mine = issue(limited);
	struct jt_ask ask = help_ask(&mine);
	struct jt_now later = {HELP_NOW_S + 1, HELP_BOOT_NS};
	struct jt_meter before;
	struct jt_verdict v;

	ask.cost = 5;
	verify(&ask);
	ask.cost = 0;
	memcpy(&before, help_meter(&t, &mine), sizeof(before));
	v = help_verify(&t, &ask, later);
	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(v.remaining, 0);
	cr_expect_eq(v.reset_ms, 5000);
	cr_expect_eq(v.retry_after_ms, 0);
	cr_expect_arr_eq(&before, help_meter(&t, &mine), sizeof(before));
}

Test(verify, cost_above_the_burst_will_never_do)
{
	struct help_token mine = issue(limited);
	struct jt_ask ask = help_ask(&mine);
	struct jt_verdict v;

	ask.cost = 6;
	v = verify(&ask);
	cr_expect_eq(v.word, JT_RATE_LIMITED);
	cr_expect_eq(v.notes, JT_NOTE_NEVER);
	cr_expect_eq(v.retry_after_ms, -1);
	cr_expect_eq(v.limit, 5);
	cr_expect_eq(v.remaining, 5);
	ask.cost = UINT32_MAX;
	cr_expect_eq(verify(&ask).notes, JT_NOTE_NEVER);
	cr_expect_eq(help_meter(&t, &mine)->rate, 0);
}

Test(verify, quota_is_taken_and_told)
{
	uint64_t left_ms = (86400 - HELP_NOW_S % 86400) * 1000;
	struct help_token mine;
	struct jt_verdict v;

	help_limits(&t, 2, &quota_and_rate);
	mine = issue(with_quota);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(verify_text(mine.text).word, JT_VALID);
	v = verify_text(mine.text);
	cr_expect_eq(v.word, JT_QUOTA_EXCEEDED);
	cr_expect_eq(v.limit, 3);
	cr_expect_eq(v.remaining, 0);
	cr_expect_eq(v.reset_ms, left_ms);
	cr_expect_eq(v.retry_after_ms, (int64_t)left_ms);
	cr_expect_eq(v.notes, 0);
	cr_expect_eq(help_meter(&t, &mine)->uses, 3);
	cr_expect_eq(help_meter(&t, &mine)->refusals, 1);
}

Test(verify, cost_above_the_quota_will_never_do)
{
	struct help_token mine;
	struct jt_verdict v;
	struct jt_ask ask;

	help_limits(&t, 2, &quota_and_rate);
	mine = issue(with_quota);
	ask = help_ask(&mine);
	ask.cost = 4;
	v = verify(&ask);
	cr_expect_eq(v.word, JT_QUOTA_EXCEEDED);
	cr_expect_eq(v.notes, JT_NOTE_NEVER);
	cr_expect_eq(v.retry_after_ms, -1);
	cr_expect_eq(v.limit, 3);
	cr_expect_eq(help_meter(&t, &mine)->rate, 0);
	cr_expect_eq(help_meter(&t, &mine)->quota, 0);
}

Test(verify, plan_means_what_its_number_means_now)
{
	struct help_token mine = issue(limited);

	cr_expect_eq(verify_text(mine.text).limit, 5);
	jt_table_put_limits(&t.maps, 7,
			    &(struct jt_bounds){.interval_ns = S, .burst = 8});
	jt_table_set_plan(&t.maps, 1, 7);
	cr_expect_eq(verify_text(mine.text).limit, 8);
	jt_table_set_b(&t.maps, mine.slot, 0, 0);
	cr_expect_eq(verify_text(mine.text).limit, -1);
}

Test(verify, block_out_of_range_denies)
{
	struct help_token mine = issue(limited);
	_Atomic uint32_t *plans = (void *)((char *)t.maps.identity_rw +
					   t.maps.identity->plans_off);

	plans[1] = 65536;
	cr_expect_eq(verify_text(mine.text).word, JT_RATE_LIMITED);
	plans[1] = UINT32_MAX;
	cr_expect_eq(verify_text(mine.text).word, JT_RATE_LIMITED);
	cr_expect_eq(verify_text(mine.text).notes, JT_NOTE_NEVER);
}

static void unplanned(struct jt_entry *e)
{
	e->plan = 9;
}

Test(verify, plan_without_limits_denies)
{
	struct help_token mine = issue(unplanned);
	struct jt_verdict v = verify_text(mine.text);

	cr_expect_eq(v.word, JT_RATE_LIMITED);
	cr_expect_eq(v.notes, JT_NOTE_NEVER);
	cr_expect_eq(v.retry_after_ms, -1);
	help_rate(&t, 9, UINT64_MAX, UINT64_MAX);
	cr_expect_eq(verify_text(mine.text).word, JT_RATE_LIMITED);
}

Test(verify, meter_line_out_of_range_denies)
{
	help_slot(&t, token.slot)->b = jt_word_b(256, 0, 0);
	cr_expect_neq(help_word(&t, &token), JT_VALID);
	help_slot(&t, token.slot)->b = jt_word_b(UINT32_MAX, 1, 0);
	cr_expect_neq(help_word(&t, &token), JT_VALID);
	help_slot(&t, token.slot)->b = jt_word_b(255, 0, 0);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
}

Test(verify, state_that_does_not_exist_denies)
{
	for (unsigned state = 0; state < 256; state++) {
		help_slot(&t, token.slot)->a =
			jt_word_a(1, (uint8_t)state, 0, (uint32_t)HELP_LATER_S);
		cr_expect_eq(help_word(&t, &token) == JT_VALID,
			     state == JT_SLOT_ACTIVE, "state %u", state);
	}
}

Test(verify, torn_slot_denies_and_is_counted)
{
	struct jt_ask ask = help_ask(&token);
	struct jt_tally tally = {0};
	struct jt_verdict v;

	help_slot(&t, token.slot)->a =
		jt_word_a(1, JT_SLOT_BUSY, 0, (uint32_t)HELP_LATER_S);
	jt_verify(&t.reader, NULL, &ask, &v, 1, help_now(), &tally);
	expect_unknown(&v, JT_UNKNOWN);
	cr_expect_eq(tally.torn, 1);
	cr_expect_eq(help_meter(&t, &token)->refusals, 0);
}

/* ---- the order ---- */

enum fault {
	WRONG_ENV,
	NOT_SERVED,
	REVOKED,
	SUSPENDED,
	EXPIRED,
	SCOPE,
	QUOTA,
	RATE,
	FAULTS,
};

/* OLD: of a value before the rotation, which has an end and no expiry. */
static enum jt_word first_of(unsigned faults, bool old)
{
	static const enum jt_word words[FAULTS] = {
		JT_WRONG_ENVIRONMENT, JT_WRONG_ENVIRONMENT,
		JT_REVOKED,	      JT_SUSPENDED,
		JT_EXPIRED,	      JT_INSUFFICIENT_SCOPE,
		JT_QUOTA_EXCEEDED,    JT_RATE_LIMITED};

	if (old && faults & 1u << EXPIRED)
		faults |= 1u << REVOKED;
	for (unsigned i = 0; i < FAULTS; i++)
		if (faults & 1u << i)
			return words[i];
	return JT_VALID;
}

/* A quota of 3 a day, all of them taken. */
static void use_up_quota(struct jt_meter *meter)
{
	struct jt_window w = jt_window_at(JT_QUOTA_DAY, 0, HELP_NOW_S);

	meter->quota = (uint64_t)w.start_min << 37 | 3;
}

static struct jt_verdict with_faults(unsigned faults, bool old)
{
	static const struct jt_bytes scope = {(const uint8_t *)"x", 1};
	uint8_t state = faults & 1u << REVOKED	   ? JT_SLOT_REVOKED
			: faults & 1u << SUSPENDED ? JT_SLOT_SUSPENDED
						   : JT_SLOT_ACTIVE;
	struct help_token mine = issue(with_quota);
	struct jt_ask ask = help_ask(&mine);
	struct jt_now now = help_now();

	if (faults & 1u << WRONG_ENV)
		ask.env = jt_env_word("test", 4);
	jt_store_seq(&t.maps.identity_rw->env,
		     faults & 1u << NOT_SERVED ? jt_env_word("prod", 4) : 0);
	jt_table_set_a(&t.maps, mine.slot, state, old ? JT_SLOT_OLD_VALUE : 0,
		       faults & 1u << EXPIRED ? (uint32_t)HELP_NOW_S
					      : (uint32_t)HELP_LATER_S);
	if (faults & 1u << SCOPE) {
		ask.scopes = &scope;
		ask.n_scopes = 1;
	}
	if (faults & 1u << QUOTA)
		use_up_quota(help_meter(&t, &mine));
	if (faults & 1u << RATE)
		help_meter(&t, &mine)->rate = UINT64_MAX;
	return help_verify(&t, &ask, now);
}

static void expect_first_word(unsigned faults, bool old)
{
	struct jt_verdict v = with_faults(faults, old);
	enum jt_word want = first_of(faults, old);

	cr_expect_eq(v.word, want, "%x: %s, not %s", faults,
		     jt_word_name(v.word), jt_word_name(want));
	cr_expect_eq(!!(v.notes & JT_NOTE_SCOPE),
		     v.word == JT_INSUFFICIENT_SCOPE);
	cr_expect_eq(!!(v.notes & JT_NOTE_OLD_VALUE), old);
	cr_expect_eq(v.limit >= 0,
		     v.word == JT_VALID || v.word == JT_RATE_LIMITED ||
			     v.word == JT_QUOTA_EXCEEDED,
		     "only a limit that was asked is told");
}

Test(verify, first_word_that_applies_is_the_answer)
{
	for (unsigned faults = 0; faults < 1u << FAULTS; faults++) {
		if (faults % 128 == 0) {
			help_table_new(&t, 256);
			help_limits(&t, 2, &quota_and_rate);
		}
		expect_first_word(faults, false);
		expect_first_word(faults, true);
	}
}

Test(verify, loading_comes_before_everything)
{
	static const uint64_t states[] = {JT_IDENTITY_LOADING,
					  JT_IDENTITY_RETIRED, 0, UINT64_MAX};

	for (unsigned i = 0; i < 4; i++) {
		jt_store_seq(&t.maps.identity_rw->state, states[i]);
		expect_text(token.text, JT_LOADING);
		expect_text("", JT_LOADING);
		expect_text("rubbish", JT_LOADING);
	}
	cr_expect_eq(help_meter(&t, &token)->refusals, 0);
	jt_store_seq(&t.maps.identity_rw->state, JT_IDENTITY_SERVING);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
}

/* ---- what is written ---- */

static void verify_strangers(void)
{
	struct help_token other;
	char text[80];

	for (unsigned i = 0; i < 200; i++) {
		help_token_make(&other, "live");
		help_word(&t, &other);
		memcpy(other.text, token.text, JT_PUBLIC_BYTES);
		help_word(&t, &other);
		snprintf(text, sizeof(text), "%s ", token.text);
		verify_text(text);
		verify_text("");
		verify_text("x");
	}
}

Test(verify, values_not_ours_write_nothing_shared)
{
	size_t bytes_n = t.maps.meters_bytes;
	char *before = malloc(bytes_n);

	help_word(&t, &token);
	memcpy(before, t.maps.meters, bytes_n);
	verify_strangers();
	cr_expect(!memcmp(before, t.maps.meters, bytes_n));
	free(before);
}

Test(verify, refusal_of_ours_writes_one_counter)
{
	struct help_token mine = issue(limited);
	struct jt_meter before, *meter = help_meter(&t, &mine);
	struct jt_ask ask = help_ask(&mine);

	ask.cost = 5;
	verify(&ask);
	memcpy(&before, meter, sizeof(before));
	for (unsigned i = 1; i <= 3; i++) {
		cr_expect_eq(verify(&ask).word, JT_RATE_LIMITED);
		cr_expect_eq(meter->refusals, before.refusals + i);
		cr_expect_eq(meter->rate, before.rate);
		cr_expect_eq(meter->quota, before.quota);
		cr_expect_eq(meter->uses, before.uses);
		cr_expect_eq(meter->last_use_s, before.last_use_s);
	}
}

Test(verify, one_token_does_not_touch_anothers_line)
{
	struct help_token others[3];
	struct jt_meter zero = {0};

	for (unsigned i = 0; i < 3; i++)
		others[i] = issue(limited);
	for (unsigned i = 0; i < 10; i++)
		help_word(&t, &others[1]);
	cr_expect_arr_eq(help_meter(&t, &others[0]), &zero, sizeof(zero));
	cr_expect_arr_eq(help_meter(&t, &others[2]), &zero, sizeof(zero));
	cr_expect_eq(help_meter(&t, &others[1])->uses, 5);
	cr_expect_eq(help_meter(&t, &others[1])->refusals, 5);
}

/* ---- memo ---- */

static _Alignas(64) struct jt_memo_line memory[64];

Test(verify, memo_spares_the_hash_and_changes_no_answer)
{
	struct jt_ask ask = help_ask(&token);
	struct jt_tally tally = {0};
	struct jt_memo memo;
	struct jt_verdict v;

	jt_memo_init(&memo, memory, sizeof(memory));
	for (unsigned i = 0; i < 10; i++) {
		jt_verify(&t.reader, &memo, &ask, &v, 1, help_now(), &tally);
		cr_expect_eq(v.word, JT_VALID);
	}
	cr_expect_eq(tally.memo_misses, 1);
	cr_expect_eq(tally.memo_hits, 9);
	help_state(&t, &token, JT_SLOT_REVOKED);
	jt_verify(&t.reader, &memo, &ask, &v, 1, help_now(), &tally);
	cr_expect_eq(v.word, JT_REVOKED, "state is never remembered");
	cr_expect_eq(tally.memo_hits, 10);
}

/* Of many requests, with so many tokens that its lines are in no cache. */
Test(verify, far_memo_is_not_asked_for_many_at_once)
{
	struct jt_tally tally = {0};
	struct jt_verdict v[8];
	struct jt_ask asks[8];
	struct jt_memo memo;

	if (!jt_token_digests_are_fast())
		return; /* then always */
	jt_memo_init(&memo, memory, sizeof(memory));
	memo.near = false;
	for (unsigned i = 0; i < 8; i++)
		asks[i] = help_ask(&token);
	jt_verify(&t.reader, &memo, asks, v, 8, help_now(), &tally);
	cr_expect_eq(tally.words[JT_VALID], 8);
	cr_expect_eq(tally.memo_hits + tally.memo_misses, 0);
	cr_expect(sodium_is_zero((uint8_t *)memory, sizeof(memory)));
	jt_verify(&t.reader, &memo, asks, v, 7, help_now(), &tally);
	cr_expect_eq(tally.memo_hits + tally.memo_misses, 7);
	memo.near = true;
	jt_verify(&t.reader, &memo, asks, v, 8, help_now(), &tally);
	cr_expect_eq(tally.memo_hits, 14);
}

/* Also when they are hashed side by side. */
Test(verify, every_word_of_a_digest_is_compared)
{
	struct jt_tally tally = {0};
	struct jt_verdict v[2];
	struct jt_ask asks[2] = {help_ask(&token), help_ask(&token)};

	for (unsigned i = 0; i < JT_VALUE_DIGEST / 8; i++) {
		_Atomic uint64_t *word = &help_slot(&t, token.slot)->digest[i];

		for (unsigned bit = 0; bit < 64; bit++) {
			*word ^= 1ull << bit;
			jt_verify(&t.reader, NULL, asks, v, 2, help_now(),
				  &tally);
			cr_expect_eq(v[0].word, JT_UNKNOWN);
			cr_expect_eq(v[1].word, JT_UNKNOWN);
			*word ^= 1ull << bit;
		}
	}
	jt_verify(&t.reader, NULL, asks, v, 2, help_now(), &tally);
	cr_expect_eq(tally.words[JT_VALID], 2);
}

Test(verify, memo_is_far_when_it_is_larger_than_caches)
{
	const size_t megabytes = 8u << 20;
	struct jt_memo memo;

	jt_memo_init(&memo, memory, sizeof(memory));
	cr_expect(memo.near);
	/* not touched before something is learned */
	jt_memo_init(&memo, memory, megabytes + 64);
	cr_expect_not(memo.near);
}

Test(verify, memo_does_not_learn_a_wrong_value)
{
	struct help_token other = token;
	struct jt_ask ask = help_ask(&other);
	struct jt_tally tally = {0};
	struct jt_memo memo;
	struct jt_verdict v;

	jt_memo_init(&memo, memory, sizeof(memory));
	help_token_make(&other, "live");
	memcpy(other.text, token.text, JT_PUBLIC_BYTES);
	for (unsigned i = 0; i < 10; i++) {
		jt_verify(&t.reader, &memo, &ask, &v, 1, help_now(), &tally);
		cr_expect_neq(v.word, JT_VALID);
	}
	cr_expect_eq(tally.memo_hits, 0);
	cr_expect_eq(tally.memo_misses, 10);
	cr_expect(sodium_is_zero((uint8_t *)memory, sizeof(memory)));
}

Test(verify, memo_of_a_digest_that_changed_is_worth_nothing)
{
	struct jt_ask ask = help_ask(&token);
	struct jt_tally tally = {0};
	struct jt_memo memo;
	struct jt_verdict v;

	jt_memo_init(&memo, memory, sizeof(memory));
	jt_verify(&t.reader, &memo, &ask, &v, 1, help_now(), &tally);
	help_slot(&t, token.slot)->digest[1] ^= 1;
	jt_verify(&t.reader, &memo, &ask, &v, 1, help_now(), &tally);
	cr_expect_eq(v.word, JT_UNKNOWN);
}

/* After a rotation a memo still knows the old value for what it was. */
Test(verify, memo_does_not_prolong_an_old_value)
{
	struct jt_now now = help_now();
	struct jt_ask ask = help_ask(&token);
	struct jt_tally tally = {0};
	struct jt_memo memo;
	struct jt_verdict v;

	jt_memo_init(&memo, memory, sizeof(memory));
	jt_verify(&t.reader, &memo, &ask, &v, 1, now, &tally);
	make_old(&token, HELP_NOW_S + 1);
	jt_verify(&t.reader, &memo, &ask, &v, 1, now, &tally);
	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(v.notes, JT_NOTE_OLD_VALUE);
	now.wall_s++;
	jt_verify(&t.reader, &memo, &ask, &v, 1, now, &tally);
	cr_expect_eq(v.word, JT_REVOKED);
	cr_expect_eq(tally.memo_hits, 2);
	jt_table_drop(&t.maps, token.slot);
	jt_verify(&t.reader, &memo, &ask, &v, 1, now, &tally);
	cr_expect_eq(v.word, JT_UNKNOWN);
}

Test(verify, memo_of_a_slot_that_was_given_away_is_worth_nothing)
{
	struct help_token other = token;
	struct jt_ask ask = help_ask(&token), others = help_ask(&other);
	struct jt_tally tally = {0};
	struct jt_memo memo;
	struct jt_verdict v;
	struct jt_entry e;

	jt_memo_init(&memo, memory, sizeof(memory));
	jt_verify(&t.reader, &memo, &ask, &v, 1, help_now(), &tally);
	jt_table_drop(&t.maps, token.slot);
	/* another value of the same id, in the same slot */
	jt_token_remake(token.text, other.text);
	e = help_entry(&t, &other);
	help_put(&t, &other, &e);
	cr_assert_eq(other.slot, token.slot);
	jt_verify(&t.reader, &memo, &ask, &v, 1, help_now(), &tally);
	cr_expect_eq(v.word, JT_UNKNOWN);
	jt_verify(&t.reader, &memo, &others, &v, 1, help_now(), &tally);
	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(tally.memo_hits, 0);
}

/* ---- values of other systems ---- */

static void take_scheme(uint8_t scheme)
{
	t.maps.identity_rw->schemes |= 1ull << scheme;
}

/* Put VALUE under SCHEME; returns the id that it gets. */
static const char *put_import(const char *value, uint8_t scheme,
			      const char *env)
{
	static char id[JT_PUBLIC_BYTES + 1];
	struct jt_entry e = {
		.state = JT_SLOT_ACTIVE,
		.scheme = scheme,
		.env = jt_table_env(&t.maps, jt_env_word(env, strlen(env))),
		.expires_s = (uint32_t)HELP_LATER_S,
		.meter = t.meters,
	};
	struct help_token made;

	cr_assert(jt_token_digest_other((const uint8_t *)value, strlen(value),
					scheme == JT_VALUE_PREFIXED, e.digest));
	jt_token_other_id("jt", env, e.digest, id);
	help_put(&t, &made, &e);
	return id;
}

static void expect_import(const char *value, enum jt_word word)
{
	struct jt_verdict v = verify_text(value);

	cr_expect_eq(v.word, word, "%s is %s, not %s", value,
		     jt_word_name(v.word), jt_word_name(word));
	cr_expect_eq(!v.id, word != JT_VALID);
}

Test(verify, import_is_found_by_its_whole_value)
{
	static const char value[] = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

	expect_import(value, JT_MALFORMED);
	put_import(value, JT_VALUE_SHA256, "live");
	take_scheme(JT_VALUE_SHA256);
	expect_import(value, JT_VALID);
	expect_import("ghp_16C7e42F292c6912E7710c838347Ae178B4b", JT_MALFORMED);
	expect_import("ghp_16C7e42F292c6912E7710c838347Ae178B4a\n",
		      JT_MALFORMED);
	expect_import(" ghp_16C7e42F292c6912E7710c838347Ae178B4a",
		      JT_MALFORMED);
	expect_import("16C7e42F292c6912E7710c838347Ae178B4a", JT_MALFORMED);
	expect_import("", JT_MISSING);
}

/* Of `prefix_short_long` only the long part was ever stored. */
Test(verify, prefixed_import_is_found_by_what_is_behind_its_last_mark)
{
	put_import("mycorp_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG",
		   JT_VALUE_PREFIXED, "live");
	take_scheme(JT_VALUE_PREFIXED);
	expect_import("mycorp_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG", JT_VALID);
	expect_import("other_51FwqftsmMDHHbJAMEXXHCgG", JT_VALID);
	expect_import("51FwqftsmMDHHbJAMEXXHCgG", JT_MALFORMED);
	expect_import("mycorp_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgH", JT_MALFORMED);
	expect_import("mycorp_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG_",
		      JT_MALFORMED);
	expect_import("_", JT_MALFORMED);
}

/* The same digest under the other scheme is another value. */
Test(verify, schemes_are_kept_apart)
{
	put_import("x_secret", JT_VALUE_PREFIXED, "live");
	take_scheme(JT_VALUE_PREFIXED);
	take_scheme(JT_VALUE_SHA256);
	expect_import("x_secret", JT_VALID);
	expect_import("secret", JT_MALFORMED);
	put_import("whole", JT_VALUE_SHA256, "live");
	expect_import("whole", JT_VALID);
	expect_import("x_whole", JT_MALFORMED);
}

Test(verify, scheme_that_was_never_taken_is_not_looked_for)
{
	put_import("a-value", JT_VALUE_SHA256, "live");
	expect_import("a-value", JT_MALFORMED);
	take_scheme(JT_VALUE_NATIVE);
	expect_import("a-value", JT_MALFORMED);
	take_scheme(JT_VALUE_PREFIXED);
	expect_import("a-value", JT_MALFORMED);
	take_scheme(JT_VALUE_SHA256);
	expect_import("a-value", JT_VALID);
}

Test(verify, import_that_looks_native_with_another_prefix_is_found)
{
	char value[JT_TOKEN_BYTES + 1] = "";

	jt_token_make("sk", "live", value);
	put_import(value, JT_VALUE_SHA256, "live");
	take_scheme(JT_VALUE_SHA256);
	expect_import(value, JT_VALID);
	value[63] = value[63] == 'x' ? 'y' : 'x';
	expect_import(value, JT_MISTYPED);
	put_import(value, JT_VALUE_SHA256, "live");
	expect_import(value, JT_VALID);
}

/* What has our own prefix is ours, or nobody's. */
Test(verify, value_of_our_form_is_never_an_import)
{
	struct help_token other;

	help_token_make(&other, "live");
	put_import(other.text, JT_VALUE_SHA256, "live");
	take_scheme(JT_VALUE_SHA256);
	expect_import(other.text, JT_UNKNOWN);
	other.text[63] = other.text[63] == 'x' ? 'y' : 'x';
	put_import(other.text, JT_VALUE_SHA256, "live");
	expect_import(other.text, JT_MISTYPED);
}

/* The look-up comes before the judgement of the shape. */
Test(verify, import_may_look_like_a_native_one_with_blanks)
{
	char value[80];

	snprintf(value, sizeof(value), "%s\n", token.text);
	take_scheme(JT_VALUE_SHA256);
	expect_import(value, JT_WHITESPACE);
	put_import(value, JT_VALUE_SHA256, "live");
	expect_import(value, JT_VALID);
}

Test(verify, import_has_an_id_made_of_its_digest)
{
	char id[JT_PUBLIC_BYTES + 1];
	struct jt_verdict v;

	take_scheme(JT_VALUE_SHA256);
	strcpy(id, put_import("a-value", JT_VALUE_SHA256, "stage2"));
	cr_expect(!strncmp(id, "jt_stage2_0", 11), "%s", id);
	v = verify_text("a-value");
	cr_assert_not_null(v.id);
	cr_expect_arr_eq(v.made, id, JT_PUBLIC_BYTES);
	cr_expect_eq(v.expires_in_s, HELP_LATER_S - HELP_NOW_S);
}

Test(verify, import_of_an_environment_without_a_number_has_an_id)
{
	struct jt_verdict v;
	char name[8];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		jt_table_env(&t.maps, jt_env_word(name, strlen(name)));
	}
	take_scheme(JT_VALUE_SHA256);
	put_import("a-value", JT_VALUE_SHA256, "more");
	v = verify_text("a-value");
	cr_expect_eq(v.word, JT_VALID);
	cr_expect_arr_eq(v.made, "jt_other_0", 10);
}

Test(verify, imports_in_a_batch_have_their_own_ids)
{
	struct jt_verdict v[40];
	struct jt_ask asks[40];
	struct jt_tally tally = {0};
	char values[40][16], ids[40][JT_PUBLIC_BYTES + 1];
	struct jt_memo memo;

	take_scheme(JT_VALUE_SHA256);
	jt_memo_init(&memo, memory, sizeof(memory));
	for (unsigned i = 0; i < 40; i++) {
		snprintf(values[i], sizeof(values[i]), "value-%u", i);
		strcpy(ids[i], put_import(values[i], JT_VALUE_SHA256, "live"));
		asks[i] = (struct jt_ask){.token = bytes(values[i]), .cost = 1};
	}
	jt_verify(&t.reader, &memo, asks, v, 40, help_now(), &tally);
	for (unsigned i = 0; i < 40; i++) {
		cr_expect_eq(v[i].word, JT_VALID);
		cr_expect_arr_eq(v[i].id, ids[i], JT_PUBLIC_BYTES);
	}
	cr_expect_eq(tally.memo_hits + tally.memo_misses, 0);
	cr_expect(sodium_is_zero((uint8_t *)memory, sizeof(memory)));
}

/* N characters, of which no two lengths have the same digest behind `_`. */
static char *long_value(size_t n)
{
	static char value[JT_OTHER_BYTES_MAX + 2];

	memset(value, 'v', n);
	value[n / 3] = '_';
	value[n] = '\0';
	return value;
}

static void expect_long_imports(uint8_t scheme)
{
	static const size_t lengths[] = {255,  256,  257,
					 1229, 4095, JT_OTHER_BYTES_MAX};
	size_t n = sizeof(lengths) / sizeof(lengths[0]);

	for (size_t i = 0; i < n; i++) {
		expect_import(long_value(lengths[i]), JT_MALFORMED);
		put_import(long_value(lengths[i]), scheme, "live");
	}
	for (size_t i = 0; i < n; i++) {
		char *value = long_value(lengths[i]);

		expect_import(value, JT_VALID);
		value[lengths[i] - 1] = 'w';
		expect_import(value, JT_MALFORMED);
	}
}

Test(verify, import_is_found_however_long_it_is)
{
	take_scheme(JT_VALUE_SHA256);
	expect_long_imports(JT_VALUE_SHA256);
}

Test(verify, prefixed_import_is_found_however_long_it_is)
{
	take_scheme(JT_VALUE_PREFIXED);
	expect_long_imports(JT_VALUE_PREFIXED);
}

Test(verify, value_above_the_longest_is_not_looked_up)
{
	const char *value = long_value(JT_OTHER_BYTES_MAX + 1);

	take_scheme(JT_VALUE_SHA256);
	take_scheme(JT_VALUE_PREFIXED);
	put_import(value, JT_VALUE_SHA256, "live");
	put_import(value, JT_VALUE_PREFIXED, "live");
	expect_import(value, JT_MALFORMED);
}

/* ---- batches ---- */

#define POOL 60

struct world {
	struct help_table table;
	struct help_token tokens[POOL];
};

static struct world one, many;

/* Two tables with the same tokens, each in some state. */
static void build(void)
{
	help_table_new(&one.table, POOL);
	help_table_new(&many.table, POOL);
	for (uint16_t plan = 1; plan < 4; plan++) {
		struct jt_bounds b = {0};

		if (plan & 1)
			b = (struct jt_bounds){.interval_ns = S, .burst = 5};
		if (plan & 2) {
			b.quota = 20;
			b.quota_unit = JT_QUOTA_DAY;
		}
		help_limits(&one.table, plan, &b);
		help_limits(&many.table, plan, &b);
	}
	for (unsigned i = 0; i < POOL; i++) {
		struct help_token made;
		struct jt_entry e;

		help_token_make(&made, i % 5 ? "live" : "test");
		e = help_entry(&one.table, &made);
		e.plan = i % 4;
		e.state = i % 7 == 1   ? JT_SLOT_REVOKED
			  : i % 7 == 2 ? JT_SLOT_SUSPENDED
				       : JT_SLOT_ACTIVE;
		e.expires_s = (uint32_t)(HELP_NOW_S + i % 4 * 400000);
		one.tokens[i] = many.tokens[i] = made;
		help_put(&one.table, &one.tokens[i], &e);
		e.env = help_entry(&many.table, &made).env;
		help_put(&many.table, &many.tokens[i], &e);
	}
}

static struct jt_ask random_ask(uint64_t *seed)
{
	static const char *const odd[] = {"", "x", " ", "not a token"};
	static const struct jt_bytes scope = {(const uint8_t *)"s", 1};
	uint64_t r = help_random(seed);
	/* some of them hot: many requests for one in a batch */
	uint64_t which = r % 2 ? r % POOL : r % 8;
	struct jt_ask ask = help_ask(&one.tokens[which]);

	r >>= 16;
	if (r % 8 == 0)
		ask.token = bytes(odd[(r >> 8) % 4]);
	ask.cost = (r >> 12) % 4;
	ask.env = (r >> 16) % 4 ? 0 : jt_env_word("live", 4);
	ask.env_unknown = (r >> 20) % 16 == 0;
	ask.scopes = &scope;
	ask.n_scopes = (r >> 24) % 8 == 0;
	return ask;
}

static void expect_alike(const struct jt_verdict *a, const struct jt_verdict *b)
{
	cr_assert_eq(a->word, b->word, "%s / %s", jt_word_name(a->word),
		     jt_word_name(b->word));
	cr_assert_eq(a->notes, b->notes);
	cr_assert_eq(a->id, b->id);
	cr_assert_eq(a->expires_in_s, b->expires_in_s);
	cr_assert_eq(a->limit, b->limit);
	cr_assert_eq(a->remaining, b->remaining);
	cr_assert_eq(a->reset_ms, b->reset_ms);
	cr_assert_eq(a->retry_after_ms, b->retry_after_ms);
	cr_assert_eq(a->scope.bytes, b->scope.bytes);
}

static void expect_batch_alike(struct jt_memo *memo, size_t n, uint64_t *seed,
			       struct jt_now now)
{
	static struct jt_ask asks[100];
	struct jt_verdict verdicts[101], single;
	struct jt_tally tally = {0}, tallies = {0};

	memset(verdicts, 0xee, sizeof(verdicts));
	for (size_t i = 0; i < n; i++)
		asks[i] = random_ask(seed);
	jt_verify(&many.table.reader, memo, asks, verdicts, n, now, &tally);
	for (size_t i = 0; i < n; i++) {
		jt_verify(&one.table.reader, NULL, &asks[i], &single, 1, now,
			  &tallies);
		expect_alike(&single, &verdicts[i]);
	}
	cr_assert_arr_eq(tally.words, tallies.words, sizeof(tally.words));
	cr_assert_eq((unsigned)verdicts[n].word, 0xeeeeeeee, "one too many");
}

Test(verify, batch_gives_what_single_requests_give)
{
	struct jt_now now = help_now();
	struct jt_memo memo;
	uint64_t seed = 9;

	build();
	jt_memo_init(&memo, memory, sizeof(memory));
	for (unsigned round = 0; round < 20; round++) {
		memo.near = round & 2;
		for (size_t n = 1; n <= 100; n++) {
			expect_batch_alike(round & 1 ? &memo : NULL, n, &seed,
					   now);
			now.boot_ns += help_random(&seed) % (2 * S);
			now.wall_s += help_random(&seed) % 2;
		}
		now.wall_s += 50000;
	}
	cr_expect(!memcmp(one.table.maps.lines, many.table.maps.lines,
			  POOL * sizeof(struct jt_meter)));
}

Test(verify, empty_batch_writes_nothing)
{
	struct jt_tally tally = {0}, zero = {0};

	jt_verify(&t.reader, NULL, NULL, NULL, 0, help_now(), &tally);
	cr_expect_arr_eq(&tally, &zero, sizeof(zero));
}

Test(verify, one_token_many_times_in_a_batch_spends_in_order)
{
	struct help_token mine = issue(limited);
	struct jt_verdict v[100];
	struct jt_ask asks[100];
	struct jt_tally tally = {0};

	for (unsigned i = 0; i < 100; i++)
		asks[i] = help_ask(&mine);
	jt_verify(&t.reader, NULL, asks, v, 100, help_now(), &tally);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(v[i].word, i < 5 ? JT_VALID : JT_RATE_LIMITED);
	cr_expect_eq(tally.words[JT_VALID], 5);
	cr_expect_eq(tally.words[JT_RATE_LIMITED], 95);
}

static _Atomic bool stop;

/* What its number means comes and goes all the time. */
static void *replan(void *plan)
{
	_Atomic uint32_t *block = plan;

	while (!stop) {
		*block = 1;
		*block = UINT32_MAX;
	}
	return NULL;
}

/* Each request by itself, or any of them would be taken under no limits. */
Test(verify, limits_that_come_and_go_are_checked_for_all_requests_of_a_token)
{
	struct help_token mine = issue(limited);
	_Atomic uint32_t *plans = (void *)((char *)t.maps.identity_rw +
					   t.maps.identity->plans_off);
	unsigned never = 0, other = 0;
	struct jt_verdict v[32];
	struct jt_ask asks[32];
	struct jt_tally tally = {0};
	pthread_t thread;

	for (unsigned i = 0; i < 32; i++)
		asks[i] = help_ask(&mine);
	cr_assert_eq(pthread_create(&thread, NULL, replan, &plans[1]), 0);
	for (unsigned i = 0; i < 1000 || !never || !other; i++) {
		jt_verify(&t.reader, NULL, asks, v, 32, help_now(), &tally);
		for (unsigned k = 0; k < 32; k++) {
			if (v[k].notes & JT_NOTE_NEVER)
				never++;
			else
				other++;
			cr_assert(v[k].notes & JT_NOTE_NEVER ? v[k].limit == -1
							     : v[k].limit == 5);
		}
	}
	stop = true;
	pthread_join(thread, NULL);
	cr_expect_eq(tally.words[JT_VALID], 5);
}
