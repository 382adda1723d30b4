/* feed: what the journal says is in force; what it cannot say is not. */
#include "sidecar/feed.h"

#include "admin/compact.h"
#include "admin/format.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull

static struct help_table t;
static struct jt_feed feed;
static struct help_token token;

static void open_feed(struct jt_feed *f, struct help_table *table)
{
	struct jt_journal j;

	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &help_fault), 0,
		     "%s", help_fault.line);
	cr_assert_eq(jt_journal_sync(&j), 0);
	cr_assert_eq(jt_feed_init(f, HELP_DIR, &j, &table->maps), 0);
}

static void start(void)
{
	help_quiet();
	help_wall_ns = HELP_NOW_S * S;
	help_journal_new(0);
	help_table_new(&t, 64);
	open_feed(&feed, &t);
	help_token_make(&token, "live");
}

TestSuite(feed, .init = start);

static int append(struct jt_record *records, size_t n)
{
	struct jt_journal j;
	int rc = jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault);

	cr_assert_eq(rc, 0, "%s", help_fault.line);
	rc = jt_journal_append(&j, records, n, &help_fault);
	jt_journal_close(&j);
	return rc;
}

static void commit(struct jt_record *records, size_t n)
{
	cr_assert_eq(append(records, n), 0, "%s", help_fault.line);
}

static void step_all(struct jt_feed *f)
{
	unsigned n = 0;

	while (jt_feed_step(f))
		cr_assert_lt(++n, 1000);
}

/* One record more, looked for at once. */
static void commit_one(struct jt_record record)
{
	commit(&record, 1);
	step_all(&feed);
}

static struct jt_record create(const struct help_token *tk, uint16_t own,
			       const char *owner)
{
	struct jt_record r = help_create(tk);

	r.token.own = own;
	memcpy(r.token.owner, owner, strnlen(owner, JT_OWNER_MAX));
	return r;
}

static struct jt_record revoke(const struct help_token *tk)
{
	return help_as(help_create(tk), JT_REC_REVOKE);
}

static struct jt_record plan(uint16_t number, uint64_t rate, uint64_t burst)
{
	return help_plan_record(number, "", rate, burst);
}

static void expect_health(enum jt_health health)
{
	cr_assert_eq(feed.health, health, "%d: %s", feed.health, feed.why);
	cr_assert_eq(health == JT_HEALTH_OK, feed.why[0] == '\0');
}

static void expect_applied(uint64_t number)
{
	cr_assert_eq(feed.applied, number);
	cr_assert_eq(jt_load_seq(&t.reader.identity->applied), number);
}

Test(feed, empty_journal_is_in_force_at_once)
{
	cr_expect_not(jt_feed_step(&feed));
	expect_health(JT_HEALTH_OK);
	expect_applied(0);
}

Test(feed, create_comes_in_force)
{
	cr_expect_eq(help_word(&t, &token), JT_UNKNOWN);
	commit_one(create(&token, 0, ""));
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	expect_applied(1);
	cr_expect_eq(t.reader.identity->tokens, 1);
}

Test(feed, revoke_comes_in_force_and_stays)
{
	struct help_token other;

	help_token_make(&other, "live");
	commit_one(create(&token, 0, ""));
	commit_one(create(&other, 0, ""));
	commit_one(revoke(&token));
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
	cr_expect_eq(help_word(&t, &other), JT_VALID);
	expect_health(JT_HEALTH_OK);
	expect_applied(3);
}

/* No verb writes that, and `journal check` calls it damage. */
Test(feed, change_of_a_revoked_token_is_lost_and_changes_nothing)
{
	struct jt_record r = create(&token, 0, "");

	commit_one(r);
	commit_one(revoke(&token));
	commit_one(help_as(r, JT_REC_RESUME));
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
	expect_health(JT_HEALTH_LOST);
	expect_applied(2);
}

Test(feed, batch_comes_in_force_as_a_whole)
{
	struct jt_record records[3] = {plan(1, 5, 2), create(&token, 1, "bob"),
				       revoke(&token)};

	commit(records, 2);
	step_all(&feed);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	commit(records + 2, 1);
	step_all(&feed);
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
}

Test(feed, plan_limits_the_token_that_names_it)
{
	struct jt_ask ask = help_ask(&token);
	struct jt_verdict v;

	commit_one(plan(1, 100, 7));
	commit_one(plan(2, 3, 2));
	commit_one(create(&token, 2, ""));
	v = help_verify(&t, &ask, help_now());
	cr_expect_eq(v.limit, 2);
	cr_expect_eq(v.remaining, 1);
	cr_expect_eq(v.reset_ms, 334, "a third of a second, rounded up");
}

Test(feed, expiry_environment_and_owner_are_the_records)
{
	struct jt_ask ask = help_ask(&token);
	struct jt_record r = create(&token, 0, "somebody");
	struct jt_verdict v;

	r.token.expires_s = HELP_NOW_S + 5;
	commit_one(r);
	ask.env = jt_env_word("test", 4);
	v = help_verify(&t, &ask, help_now());
	cr_expect_eq(v.word, JT_WRONG_ENVIRONMENT);
	cr_expect_eq(v.expires_in_s, 5);
	cr_assert_eq(v.owner.bytes, 8);
	cr_expect_arr_eq(v.owner.at, "somebody", 8);
}

Test(feed, longest_owner_and_furthest_expiry_fit)
{
	static const char owner[JT_OWNER_MAX + 1] =
		"123456789012345678901234567890123456789012345678";
	struct jt_ask ask = help_ask(&token);
	struct jt_record r = create(&token, 0, owner);
	struct jt_verdict v;

	r.token.expires_s = UINT32_MAX;
	commit_one(r);
	v = help_verify(&t, &ask, help_now());
	cr_expect_eq(v.word, JT_VALID);
	cr_expect_eq(v.expires_in_s, UINT32_MAX - HELP_NOW_S);
	cr_assert_eq(v.owner.bytes, JT_OWNER_MAX);
	cr_expect_arr_eq(v.owner.at, owner, JT_OWNER_MAX);
}

Test(feed, owner_of_many_tokens_is_stored_once)
{
	uint64_t used;

	commit_one(create(&token, 0, "bob"));
	used = t.maps.identity->pool_used;
	cr_expect_eq(used, 1 + 1 + 3);
	for (unsigned i = 0; i < 10; i++) {
		help_token_make(&token, "live");
		commit_one(create(&token, 0, "bob"));
	}
	cr_expect_eq(t.maps.identity->pool_used, used);
	help_token_make(&token, "live");
	commit_one(create(&token, 0, "bo"));
	cr_expect_eq(t.maps.identity->pool_used, used + 3);
}

/* ---- replay ---- */

#define HISTORY 6000u

/* A token as its records made it. */
struct life {
	struct jt_record newest;
	struct help_token values[3]; /* of which `at` is the newest */
	unsigned at, n_values;
	bool purged;
};

static struct jt_record history[HISTORY];
static struct life lives[HISTORY];
static unsigned n_lives, n_records;
static uint16_t n_plans, n_scopes, n_sets;
static bool is_named[HISTORY];

static struct jt_record *note(struct jt_record r)
{
	history[n_records] = r;
	return &history[n_records++];
}

static uint16_t below(uint64_t *seed, unsigned n)
{
	return (uint16_t)(help_random(seed) % n);
}

static void invent_plan(uint16_t n, uint64_t *seed)
{
	char name[16];

	snprintf(name, sizeof(name), "plan-%u", n);
	is_named[n] = true;
	note(help_plan_record(n, name, below(seed, 50) + 1u, 9));
}

/* Limits of tokens, named plans that change, scopes and sets. */
static void invent_definition(uint64_t *seed)
{
	uint16_t any = below(seed, n_plans + 1u);
	char name[16];

	switch (below(seed, 5)) {
	case 0:
		note(plan(++n_plans, below(seed, 999) + 1u, 5));
		break;
	case 1:
		invent_plan(++n_plans, seed);
		break;
	case 2:
		if (is_named[any])
			invent_plan(any, seed);
		break;
	case 3:
		snprintf(name, sizeof(name), "scope:%u", n_scopes + 1);
		note(help_scope_record(++n_scopes, name));
		break;
	default:
		if (n_scopes)
			note(help_set_record(++n_sets, 1,
					     below(seed, n_scopes) + 1u));
		break;
	}
}

static void invent_fields(struct jt_record *r, uint64_t *seed)
{
	memset(r->token.owner, 0, JT_OWNER_MAX);
	if (below(seed, 5))
		snprintf(r->token.owner, JT_OWNER_MAX, "owner %u",
			 below(seed, 300));
	r->token.plan = below(seed, n_plans + 1u);
	r->token.own = below(seed, n_plans + 1u);
	r->token.scope_set = below(seed, n_sets + 1u);
}

static void invent_token(uint64_t *seed)
{
	struct life *life = &lives[n_lives++];

	help_token_make(&life->values[0], below(seed, 3) ? "live" : "test");
	life->n_values = 1;
	life->newest = help_create(&life->values[0]);
	invent_fields(&life->newest, seed);
	note(life->newest);
}

static void invent_rotation(struct life *life, uint64_t *seed)
{
	life->at = (life->at + 1) % 3;
	life->n_values++;
	help_rotate(&life->newest, &life->values[life->at],
		    HELP_NOW_S - 100 + below(seed, 200));
}

static void invent_change(uint64_t *seed)
{
	struct life *life = &lives[below(seed, n_lives)];
	struct jt_record *r = &life->newest;

	if (life->purged)
		return;
	if (r->type == JT_REC_REVOKE) {
		life->purged = true;
		note(help_as(*r, JT_REC_PURGE));
		return;
	}
	switch (below(seed, 8)) {
	case 0:
	case 1:
		invent_rotation(life, seed);
		break;
	case 2:
		r->type = JT_REC_SET;
		invent_fields(r, seed);
		break;
	case 3:
		r->token.flags ^= JT_TOKEN_SUSPENDED;
		r->type = r->token.flags ? JT_REC_SUSPEND : JT_REC_RESUME;
		break;
	case 4:
		r->type = JT_REC_FINISH;
		r->token.old_until_s = (uint32_t)HELP_NOW_S;
		break;
	case 5:
		r->type = JT_REC_RENEW;
		r->token.expires_s = HELP_LATER_S + below(seed, 1000);
		break;
	case 6:
		r->type = JT_REC_RENAME;
		break;
	default:
		r->type = JT_REC_REVOKE;
		break;
	}
	note(*r);
}

/* All that can happen, at random; owners, limits and scopes recur. */
static void invent(uint64_t *seed)
{
	while (n_records < HISTORY - 4) {
		unsigned what = below(seed, 20);

		if (what == 0)
			invent_definition(seed);
		else if (what < 8 || !n_lives)
			invent_token(seed);
		else if (what == 8)
			note((struct jt_record){.type = JT_REC_REASON,
						.reason = "why not"});
		else
			invent_change(seed);
	}
	while (n_records < HISTORY)
		invent_token(seed);
}

static unsigned n_alive(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_lives; i++)
		n += !lives[i].purged;
	return n;
}

/* What a value of that token must be; OLD: the one before its newest. */
static enum jt_word word_of(const struct life *life, bool old)
{
	if (life->purged)
		return JT_UNKNOWN;
	if (life->newest.type == JT_REC_REVOKE ||
	    (old && HELP_NOW_S >= life->newest.token.old_until_s))
		return JT_REVOKED;
	return life->newest.token.flags & JT_TOKEN_SUSPENDED ? JT_SUSPENDED
							     : JT_VALID;
}

static void expect_value(const struct help_table *table,
			 const struct help_token *value, enum jt_word want)
{
	struct jt_ask ask = help_ask(value);
	struct jt_verdict v;

	ask.cost = 0;
	v = help_verify(table, &ask, help_now());
	cr_assert_eq(v.word, want, "%s, not %s", jt_word_name(v.word),
		     jt_word_name(want));
}

static void expect_life(const struct help_table *table,
			const struct jt_ledger *ledger, const struct life *life)
{
	const struct jt_record_token *r = &life->newest.token;
	struct jt_look look;

	expect_value(table, &life->values[life->at], word_of(life, false));
	if (life->n_values > 1)
		expect_value(table, &life->values[(life->at + 2) % 3],
			     word_of(life, true));
	if (life->n_values > 2)
		expect_value(table, &life->values[(life->at + 1) % 3],
			     JT_UNKNOWN);
	cr_assert_eq(jt_ledger_look(ledger, r->id, &look), !life->purged);
	if (life->purged)
		return;
	cr_assert_eq(look.set, r->scope_set);
	cr_assert_eq(!look.plan, !r->plan);
	cr_assert_eq(!look.own, !r->own);
	cr_assert_eq(memcmp(history[look.last - 1].token.id, r->id, 24), 0);
	cr_assert_eq(memcmp(&history[look.last - 1].token, r, sizeof(*r)), 0);
	cr_assert_eq(history[look.first - 1].type, JT_REC_CREATE);
	if (look.plan)
		cr_assert_eq(history[look.plan - 1].plan.number, r->plan);
	if (look.own)
		cr_assert_eq(history[look.own - 1].plan.number, r->own);
}

static void new_world(struct help_table *table, struct jt_feed *f)
{
	help_table_new(table, HISTORY);
	table->maps.identity_rw->seed = 4711;
	jt_store_seq(&table->maps.identity_rw->state, JT_IDENTITY_LOADING);
	open_feed(f, table);
}

Test(feed, replay_is_the_same_however_the_chunks_fell, .timeout = 60)
{
	struct help_table live, late;
	struct jt_feed follower, replay;
	struct jt_feed_size size;
	uint64_t seed = 13;

	new_world(&live, &follower);
	invent(&seed);
	for (unsigned i = 0; i < HISTORY;) {
		size_t n = help_random(&seed) % 60 + 1;

		n = n < HISTORY - i ? n : HISTORY - i;
		commit(&history[i], n);
		i += (unsigned)n;
		if (help_random(&seed) % 3 == 0)
			step_all(&follower);
	}
	step_all(&follower);
	new_world(&late, &replay);
	step_all(&replay);
	cr_expect_eq(follower.health, JT_HEALTH_OK, "%s", follower.why);
	cr_expect_eq(replay.health, JT_HEALTH_OK, "%s", replay.why);
	cr_expect_eq(follower.applied, HISTORY);
	cr_expect_eq(replay.applied, HISTORY);
	cr_expect_eq(live.maps.identity->tokens, n_alive());
	cr_assert_eq(jt_feed_settle(&follower), 0);
	cr_assert_eq(jt_feed_settle(&replay), 0);
	cr_expect(!memcmp(live.maps.identity, late.maps.identity,
			  live.maps.identity_bytes));
	cr_assert_eq(jt_feed_measure(&replay.journal, HELP_NOW_S, &size,
				     &help_fault),
		     0);
	cr_expect_geq(size.tokens, n_alive());
	cr_expect_leq(size.tokens, n_lives);
	cr_expect_gt(size.rotated, 0);
	cr_expect_geq(size.owner_bytes, late.maps.identity->pool_used - 1);
}

/* What stands in the table is what the records say, last one first. */
Test(feed, replay_of_many_chunks_holds_every_record)
{
	struct help_table table;
	struct jt_feed f;
	uint64_t seed = 14;

	invent(&seed);
	commit(history, HISTORY);
	new_world(&table, &f);
	step_all(&f);
	cr_expect_eq(f.applied, HISTORY);
	cr_assert_eq(jt_feed_settle(&f), 0);
	jt_store_seq(&table.maps.identity_rw->state, JT_IDENTITY_SERVING);
	for (unsigned i = 0; i < n_lives; i++)
		expect_life(&table, &f.ledger, &lives[i]);
}

/* ---- what is refused ---- */

/* LOST, nothing promised; but a revoke of what is known still works. */
static void expect_lost(uint64_t applied)
{
	struct help_token late;

	expect_health(JT_HEALTH_LOST);
	expect_applied(applied);
	help_token_make(&late, "live");
	commit_one(create(&late, 0, ""));
	cr_expect_eq(help_word(&t, &late), JT_UNKNOWN);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	commit_one(revoke(&token));
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
	expect_health(JT_HEALTH_LOST);
	expect_applied(applied);
}

static void expect_record_lost(struct jt_record r)
{
	commit_one(create(&token, 0, ""));
	commit_one(r);
	expect_lost(1);
}

Test(feed, plan_number_out_of_turn_is_lost)
{
	expect_record_lost(plan(2, 5, 5));
}

Test(feed, plan_number_0_is_lost)
{
	expect_record_lost(plan(0, 5, 5));
}

Test(feed, plan_given_twice_is_lost)
{
	commit_one(create(&token, 0, ""));
	commit_one(plan(1, 5, 5));
	expect_health(JT_HEALTH_OK);
	commit_one(plan(1, 6, 6));
	expect_lost(2);
}

Test(feed, plan_without_a_rate_is_lost)
{
	expect_record_lost(plan(1, 0, 5));
}

Test(feed, plan_without_a_burst_is_lost)
{
	expect_record_lost(plan(1, 5, 0));
}

Test(feed, plan_beyond_the_arithmetic_is_lost)
{
	expect_record_lost(plan(1, 1, UINT64_MAX));
}

Test(feed, token_with_a_plan_that_is_not_there_is_lost)
{
	struct help_token other;

	help_token_make(&other, "live");
	expect_record_lost(create(&other, 1, ""));
}

Test(feed, revoke_of_nobody_is_lost)
{
	struct help_token other;

	help_token_make(&other, "live");
	expect_record_lost(revoke(&other));
}

Test(feed, token_without_an_environment_is_lost)
{
	struct help_token other;
	struct jt_record r;

	help_token_make(&other, "live");
	r = create(&other, 0, "");
	memset(r.env, 0, sizeof(r.env));
	expect_record_lost(r);
}

Test(feed, table_that_is_full_is_lost)
{
	struct help_token other;

	commit_one(create(&token, 0, ""));
	for (unsigned i = 1; i < 64; i++) {
		help_token_make(&other, "live");
		commit_one(create(&other, 0, ""));
	}
	expect_health(JT_HEALTH_OK);
	help_token_make(&other, "live");
	commit_one(create(&other, 0, ""));
	cr_expect(strstr(feed.why, "--capacity"), "%s", feed.why);
	cr_expect(strstr(feed.why, "65"), "%s", feed.why);
	expect_lost(64);
}

/* While another daemon has the lines, too (estate.h). */
Test(feed, what_might_not_fit_waits_whole_until_the_table_is_ours_alone)
{
	struct help_token more[6];
	struct jt_record records[6];

	commit_one(create(&token, 0, ""));
	for (unsigned i = 0; i < 6; i++) {
		help_token_make(&more[i], "live");
		records[i] = create(&more[i], 0, "");
	}
	feed.yields = true;
	feed.ledger.lines_end = feed.ledger.n_lines + 5u;
	commit(records, 6);
	step_all(&feed);
	cr_expect(feed.outgrown && feed.stuck);
	expect_applied(1);
	expect_health(JT_HEALTH_OK);
	feed.yields = false;
	feed.ledger.lines_end = UINT64_MAX;
	step_all(&feed);
	cr_expect(!feed.outgrown && !feed.stuck);
	expect_applied(7);
}

Test(feed, what_surely_fits_is_put_although_another_daemon_has_the_lines)
{
	struct help_token more[5];

	feed.yields = true;
	feed.ledger.lines_end = feed.ledger.n_lines + 5u;
	for (unsigned i = 0; i < 5; i++) {
		help_token_make(&more[i], "live");
		commit_one(create(&more[i], 0, ""));
		cr_expect_not(feed.outgrown);
		expect_applied(i + 1);
	}
	commit_one(create(&token, 0, ""));
	cr_expect(feed.outgrown);
	expect_applied(5);
}

Test(feed, rest_of_a_batch_behind_a_refused_record_still_revokes)
{
	struct jt_record records[3] = {create(&token, 0, ""), plan(9, 1, 1),
				       revoke(&token)};

	commit(records, 3);
	step_all(&feed);
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
	expect_applied(0);
	expect_health(JT_HEALTH_LOST);
}

/* Give the last record another type, chain and slot made to fit. */
static void forge_type(uint8_t type)
{
	struct jt_slot_page page;
	struct jt_record record;
	struct jt_commit c;
	struct jt_journal j;
	uint8_t tag[JT_TAG_BYTES];
	uint64_t at;

	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &help_fault), 0);
	c = j.committed;
	cr_assert_eq(c.number, 1);
	cr_assert_eq(jt_journal_read(&j, 1, &record, 1, &help_fault), 0);
	record.type = type;
	memcpy(tag, j.base_tag, sizeof(tag));
	jt_chain_seal(&record, 1, tag);
	memcpy(c.tag, tag, sizeof(tag));
	at = jt_record_offset(0, 1);
	disk_poke(&help_disk, "journal", &record, sizeof(record), at);
	for (unsigned i = 0; i < 2; i++) {
		jt_slot_make(&page, j.id, i, &c);
		disk_poke(&help_disk, "journal", &page, sizeof(page),
			  4096u * (i + 1));
	}
	jt_journal_close(&j);
}

Test(feed, a_copy_changes_nothing_and_is_applied)
{
	struct help_token other;

	help_token_make(&other, "live");
	commit_one(create(&token, 0, "somebody"));
	commit_one(help_as(help_create(&token), JT_REC_COPY));
	/* nor does it need one */
	commit_one(help_as(help_create(&other), JT_REC_COPY));
	expect_health(JT_HEALTH_OK);
	expect_applied(3);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	cr_expect_eq(help_word(&t, &other), JT_UNKNOWN);
	commit_one(revoke(&token));
	expect_applied(4);
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
}

Test(feed, record_of_an_unknown_type_is_lost)
{
	struct jt_record r = create(&token, 0, "");

	commit(&r, 1);
	forge_type(JT_REC_LAST + 1);
	step_all(&feed);
	expect_health(JT_HEALTH_LOST);
	expect_applied(0);
	cr_expect_eq(help_word(&t, &token), JT_UNKNOWN);
}

Test(feed, damaged_record_is_lost_with_its_number)
{
	struct jt_record records[2] = {create(&token, 0, ""), plan(1, 1, 1)};

	commit(records, 2);
	disk_poke(&help_disk, "journal", "damaged!", 8, 12288 + 100);
	step_all(&feed);
	expect_health(JT_HEALTH_LOST);
	expect_applied(0);
	cr_expect(strstr(feed.why, "record 1"), "%s", feed.why);
	cr_expect_eq(help_word(&t, &token), JT_UNKNOWN);
}

/* ---- the disk ---- */

static void fail_next_flush(void)
{
	help_io_plan((struct help_plan){
		.fail_at = 1, .error = EIO, .kinds = 1u << CALL_DATASYNC});
}

Test(feed, commit_that_cannot_be_flushed_is_not_applied)
{
	struct help_token other;
	struct jt_record r;

	commit_one(create(&token, 0, ""));
	help_token_make(&other, "live");
	r = create(&other, 0, "");
	commit(&r, 1);
	fail_next_flush();
	step_all(&feed);
	help_io_plan((struct help_plan){0});
	cr_expect_eq(help_word(&t, &other), JT_UNKNOWN);
	expect_lost(1);
}

Test(feed, revoke_that_cannot_be_flushed_is_applied_all_the_same)
{
	struct jt_record r = revoke(&token);

	commit_one(create(&token, 0, ""));
	commit(&r, 1);
	fail_next_flush();
	step_all(&feed);
	cr_expect_eq(help_word(&t, &token), JT_REVOKED);
	expect_health(JT_HEALTH_LOST);
	expect_applied(1);
}

Test(feed, flush_that_failed_once_is_never_made_good)
{
	struct help_token other;
	struct jt_record r;

	commit_one(create(&token, 0, ""));
	help_token_make(&other, "live");
	r = create(&other, 0, "");
	commit(&r, 1);
	fail_next_flush();
	for (unsigned i = 0; i < 5; i++)
		step_all(&feed);
	cr_expect_eq(help_word(&t, &other), JT_UNKNOWN);
	expect_lost(1);
}

Test(feed, every_commit_is_flushed_before_it_is_applied)
{
	commit_one(create(&token, 0, ""));
	for (unsigned i = 0; i < 5; i++) {
		struct jt_record r = plan((uint16_t)(i + 1), i + 1, 1);
		unsigned flushes = 0;

		commit(&r, 1);
		help_io_plan((struct help_plan){0});
		step_all(&feed);
		for (unsigned k = 0; k < help_n_trace; k++)
			flushes += help_trace[k].call == CALL_DATASYNC;
		cr_expect_eq(flushes, 1);
		step_all(&feed);
		expect_applied(i + 2);
	}
}

Test(feed, nothing_new_costs_no_flush_and_no_write)
{
	commit_one(create(&token, 0, ""));
	help_io_plan((struct help_plan){0});
	for (unsigned i = 0; i < 100; i++)
		cr_expect_not(jt_feed_step(&feed));
	cr_expect_eq(help_n_trace, 0);
}

Test(feed, read_errors_are_red_or_lost_but_never_ok)
{
	struct jt_record r = plan(1, 1, 1);

	commit_one(create(&token, 0, ""));
	for (uint64_t k = 1; k < 4; k++) {
		commit(&r, 1);
		r.plan.number++;
		help_io_plan((struct help_plan){.fail_at = k,
						.forever = true,
						.error = EIO,
						.kinds = 1u << CALL_READ});
		step_all(&feed);
		help_io_plan((struct help_plan){0});
		cr_expect_neq(feed.health, JT_HEALTH_OK);
		cr_expect_lt(feed.applied, k + 1);
		cr_expect_eq(help_word(&t, &token), JT_VALID);
		if (feed.health == JT_HEALTH_RED)
			step_all(&feed);
	}
}

/* ---- the file under another name ---- */

static int journal_file(void)
{
	return disk_find(&help_disk, "journal");
}

static void put(int file)
{
	disk_change(&help_disk, "", -1, "journal");
	if (file >= 0)
		disk_change(&help_disk, "journal", file, "");
}

static void expect_red_until(int right)
{
	struct help_token late;
	struct jt_record r;

	step_all(&feed);
	expect_health(JT_HEALTH_RED);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	put(right);
	step_all(&feed);
	expect_health(JT_HEALTH_OK);
	help_token_make(&late, "live");
	r = create(&late, 0, "");
	commit(&r, 1);
	step_all(&feed);
	cr_expect_eq(help_word(&t, &late), JT_VALID);
}

Test(feed, journal_unlinked_is_red_until_it_is_back)
{
	int right = journal_file();

	commit_one(create(&token, 0, ""));
	put(-1);
	expect_red_until(right);
}

Test(feed, another_journal_in_its_place_is_red)
{
	int right = journal_file();

	commit_one(create(&token, 0, ""));
	put(-1);
	cr_assert_eq(jt_journal_create(&help_io, HELP_DIR, "jt", &help_fault),
		     0, "%s", help_fault.line);
	step_all(&feed);
	expect_health(JT_HEALTH_RED);
	cr_expect(strstr(feed.why, "another"), "%s", feed.why);
	expect_red_until(right);
}

/* Nothing was applied yet, so no tag could tell. */
Test(feed, another_empty_journal_is_red_as_well)
{
	int right = journal_file();

	step_all(&feed);
	expect_health(JT_HEALTH_OK);
	put(-1);
	cr_assert_eq(jt_journal_create(&help_io, HELP_DIR, "jt", &help_fault),
		     0, "%s", help_fault.line);
	commit_one(create(&token, 0, ""));
	expect_health(JT_HEALTH_RED);
	cr_expect_eq(help_word(&t, &token), JT_UNKNOWN);
	put(right);
	step_all(&feed);
	expect_health(JT_HEALTH_OK);
}

/* A new file with the journal's bytes. */
static int copy_journal(void)
{
	static uint8_t bytes[8u << 20];
	int from = journal_file(), to;
	size_t n = disk_read(&help_disk, from, bytes, sizeof(bytes), 0, false);

	to = disk_make(&help_disk, "copy", help_disk.file[from].mode, 0);
	cr_assert_eq(disk_write(&help_disk, to, bytes, n, 0), n);
	disk_change(&help_disk, "", -1, "copy");
	return to;
}

Test(feed, older_copy_in_its_place_is_red)
{
	int right = journal_file(), old;
	struct help_token other;

	commit_one(create(&token, 0, ""));
	old = copy_journal();
	help_token_make(&other, "live");
	commit_one(create(&other, 0, ""));
	put(old);
	expect_red_until(right);
	cr_expect_eq(help_word(&t, &other), JT_VALID);
}

Test(feed, copy_that_went_another_way_is_red)
{
	int right = journal_file(), fork;
	struct help_token other;
	struct jt_record r;

	commit_one(create(&token, 0, ""));
	fork = copy_journal();
	help_token_make(&other, "live");
	commit_one(create(&other, 0, ""));
	put(fork);
	help_token_make(&other, "live");
	r = create(&other, 0, "");
	commit(&r, 1);
	commit(&r, 1);
	step_all(&feed);
	cr_expect_eq(help_word(&t, &other), JT_UNKNOWN);
	expect_red_until(right);
}

Test(feed, same_journal_in_a_new_file_is_followed)
{
	struct help_token other;

	commit_one(create(&token, 0, ""));
	put(copy_journal());
	step_all(&feed);
	expect_health(JT_HEALTH_OK);
	help_token_make(&other, "live");
	commit_one(create(&other, 0, ""));
	cr_expect_eq(help_word(&t, &other), JT_VALID);
	expect_applied(2);
}

Test(feed, file_that_was_cut_is_red)
{
	commit_one(create(&token, 0, ""));
	commit_one(plan(1, 1, 1));
	disk_cut(&help_disk, "journal", 12288 + 256);
	step_all(&feed);
	expect_health(JT_HEALTH_RED);
	expect_applied(2);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
}

/* ---- compactions ---- */

static void compact(void)
{
	struct jt_compacted done;

	cr_assert_eq(jt_journal_compact(&help_io, HELP_DIR, &done, &help_fault),
		     0, "%s", help_fault.line);
}

/* As commit_one(), but the feed does not look. */
static struct help_token commit_unseen(void)
{
	struct help_token tk;
	struct jt_record r;

	help_token_make(&tk, "live");
	r = create(&tk, 0, "");
	commit(&r, 1);
	return tk;
}

static void expect_valid(const struct help_token *tokens, unsigned n)
{
	expect_health(JT_HEALTH_OK);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(help_word(&t, &tokens[i]), JT_VALID, "%u", i);
	cr_assert_eq(t.maps.identity->tokens, n);
}

Test(feed, compaction_is_followed_at_its_base)
{
	struct help_token tokens[2] = {token};

	commit_one(create(&token, 0, ""));
	compact();
	step_all(&feed);
	expect_health(JT_HEALTH_OK);
	expect_applied(1);
	cr_expect_eq(feed.journal.generation, 2);
	cr_expect_eq(feed.files, 1);
	tokens[1] = commit_unseen();
	step_all(&feed);
	expect_valid(tokens, 2);
	expect_applied(2);
}

Test(feed, compaction_is_followed_from_behind_its_base)
{
	struct help_token tokens[4] = {token};

	commit_one(create(&token, 0, ""));
	tokens[1] = commit_unseen();
	tokens[2] = commit_unseen();
	compact();
	tokens[3] = commit_unseen();
	step_all(&feed);
	/* first what leads there, then, at the next look, the new file */
	expect_health(JT_HEALTH_OK);
	step_all(&feed);
	expect_valid(tokens, 4);
	expect_applied(4);
	cr_expect_eq(feed.journal.generation, 2);
}

Test(feed, compactions_that_went_by_are_followed_through_archives)
{
	struct help_token tokens[9] = {token};

	commit_one(create(&token, 0, ""));
	for (unsigned i = 1; i < 9; i++) {
		tokens[i] = commit_unseen();
		if (i % 2)
			compact();
	}
	for (unsigned i = 0; i < 9; i++)
		step_all(&feed);
	expect_valid(tokens, 9);
	expect_applied(9);
	cr_expect_eq(feed.journal.generation, 5);
	jt_feed_deinit(&feed);
	cr_expect_eq(help_io_open_fds(), 0);
}

Test(feed, one_archive_less_is_made_good_by_the_open_file)
{
	struct help_token tokens[3] = {token};

	commit_one(create(&token, 0, ""));
	tokens[1] = commit_unseen();
	compact();
	disk_change(&help_disk, "", -1, "journal.000001");
	tokens[2] = commit_unseen();
	step_all(&feed);
	step_all(&feed);
	expect_valid(tokens, 3);
}

Test(feed, archive_that_is_needed_and_missing_is_red_until_it_is_back)
{
	struct help_token tokens[4] = {token};
	int file;

	commit_one(create(&token, 0, ""));
	tokens[1] = commit_unseen();
	compact();
	tokens[2] = commit_unseen();
	compact();
	tokens[3] = commit_unseen();
	file = disk_find(&help_disk, "journal.000002");
	disk_change(&help_disk, "", -1, "journal.000002");
	step_all(&feed);
	expect_health(JT_HEALTH_RED);
	cr_expect(strstr(feed.why, "journal.000002"), "%s", feed.why);
	expect_applied(1);
	disk_change(&help_disk, "journal.000002", file, "");
	for (unsigned i = 0; i < 3; i++)
		step_all(&feed);
	expect_valid(tokens, 4);
}

/* The file that is open leads elsewhere than the compacted one. */
static void expect_fork_red(unsigned unseen)
{
	int right = journal_file(), fork;
	struct help_token other;

	commit_one(create(&token, 0, ""));
	fork = copy_journal();
	for (unsigned i = 0; i < 3; i++)
		other = commit_unseen();
	if (unseen == 0)
		step_all(&feed);
	put(fork);
	for (unsigned i = 0; i < 3; i++)
		commit_unseen();
	compact();
	step_all(&feed);
	step_all(&feed);
	expect_health(JT_HEALTH_RED);
	cr_expect_eq(help_word(&t, &other), unseen ? JT_UNKNOWN : JT_VALID);
	expect_applied(unseen ? 1 : 4);
	put(right);
	step_all(&feed);
	expect_health(JT_HEALTH_OK);
	cr_expect_eq(help_word(&t, &other), JT_VALID);
}

Test(feed, compaction_of_another_history_is_red_at_its_base)
{
	expect_fork_red(0);
}

Test(feed, compaction_of_another_history_is_red_before_its_base)
{
	expect_fork_red(3);
}

/* What was asked of the disk: where the state records stand, nothing. */
Test(feed, state_records_are_not_read_by_who_knows_them)
{
	commit_one(create(&token, 0, ""));
	compact();
	disk_poke(&help_disk, "journal", "damaged!", 8, 12288 + 100);
	step_all(&feed);
	expect_health(JT_HEALTH_OK);
	commit_one(plan(1, 5, 5));
	expect_applied(2);
	cr_expect_eq(help_word(&t, &token), JT_VALID);
}

Test(feed, replay_of_a_compacted_journal_is_the_same_state, .timeout = 60)
{
	struct help_table live, late;
	struct jt_feed follower, replay;
	struct jt_feed_size size;
	uint64_t seed = 21, at = HISTORY / 4;
	struct jt_look a;

	new_world(&live, &follower);
	invent(&seed);
	for (unsigned i = 0; i < HISTORY;) {
		size_t n = help_random(&seed) % 60 + 1;

		n = n < HISTORY - i ? n : HISTORY - i;
		commit(&history[i], n);
		i += (unsigned)n;
		if (help_random(&seed) % 3 == 0)
			step_all(&follower);
		if (i > at) {
			compact();
			at += HISTORY / 4;
		}
	}
	for (unsigned i = 0; i < 9; i++)
		step_all(&follower);
	new_world(&late, &replay);
	cr_expect_eq(replay.applied, 0, "not before the state is in");
	step_all(&replay);
	cr_expect_eq(follower.health, JT_HEALTH_OK, "%s", follower.why);
	cr_expect_eq(replay.health, JT_HEALTH_OK, "%s", replay.why);
	cr_expect_gt(replay.journal.generation, 1);
	cr_expect_eq(follower.applied, HISTORY);
	cr_expect_eq(replay.applied, HISTORY);
	cr_assert_eq(jt_feed_measure(&replay.journal, HELP_NOW_S, &size,
				     &help_fault),
		     0);
	cr_expect_geq(size.tokens, n_alive());
	cr_expect_geq(size.owner_bytes, late.maps.identity->pool_used - 1);
	cr_assert_eq(jt_feed_settle(&follower), 0);
	cr_assert_eq(jt_feed_settle(&replay), 0);
	jt_store_seq(&live.maps.identity_rw->state, JT_IDENTITY_SERVING);
	jt_store_seq(&late.maps.identity_rw->state, JT_IDENTITY_SERVING);
	for (unsigned i = 0; i < n_lives; i++) {
		struct jt_record r;

		expect_life(&live, &follower.ledger, &lives[i]);
		expect_life(&late, &replay.ledger, &lives[i]);
		/* and what LOOK names can be read */
		if (!jt_ledger_look(&replay.ledger, lives[i].newest.token.id,
				    &a))
			continue;
		cr_assert_eq(jt_journal_read(&replay.journal, a.first, &r, 1,
					     &help_fault),
			     0);
		cr_assert_eq(jt_journal_read(&replay.journal, a.last, &r, 1,
					     &help_fault),
			     0);
		cr_assert(!a.plan || jt_journal_read(&replay.journal, a.plan,
						     &r, 1, &help_fault) == 0);
	}
}

Test(feed, compacted_state_that_is_damaged_stops_the_replay)
{
	commit_one(create(&token, 0, ""));
	compact();
	disk_poke(&help_disk, "journal", "damaged!", 8, 12288 + 100);
	help_table_new(&t, 64);
	open_feed(&feed, &t);
	step_all(&feed);
	expect_health(JT_HEALTH_LOST);
	expect_applied(0);
}

/* ---- what only the keeper can answer ---- */

static bool fits(uint64_t tokens, uint64_t plans, uint64_t owner_bytes)
{
	const struct jt_room room = {.tokens = tokens,
				     .values = tokens,
				     .plans = plans,
				     .owner_bytes = owner_bytes};
	struct jt_fault fault = {0};
	int rc = jt_ledger_fits(&feed.ledger, &room, &fault);

	cr_expect(rc == 0 || rc == JT_TABLE_E_FULL);
	cr_expect_eq(rc != 0, fault.line[0] != '\0');
	return rc == 0;
}

Test(feed, fits_says_exactly_what_fits)
{
	uint64_t left;

	commit_one(create(&token, 0, "bob"));
	left = t.maps.identity->pool_bytes - t.maps.identity->pool_used;
	cr_expect(fits(0, 0, 0));
	cr_expect(fits(63, 65535, left));
	cr_expect_not(fits(64, 0, 0));
	cr_expect_not(fits(UINT64_MAX, 0, 0));
	cr_expect_not(fits(0, 65536, 0));
	cr_expect_not(fits(0, UINT64_MAX, 0));
	cr_expect_not(fits(0, 0, left + 1));
	cr_expect_not(fits(0, 0, UINT64_MAX));
	commit_one(plan(1, 1, 1));
	cr_expect(fits(63, 65535, left), "nobody has it");
	help_token_make(&token, "live");
	commit_one(create(&token, 1, "bob"));
	cr_expect(fits(62, 65534, left));
	cr_expect_not(fits(62, 65535, left));
	cr_expect_not(fits(63, 65534, left));
}

Test(feed, what_fits_can_be_put)
{
	char owner[48];

	for (unsigned i = 0; fits(1, 0, 48); i++) {
		help_token_make(&token, "live");
		snprintf(owner, sizeof(owner), "%047u", i);
		commit_one(create(&token, 0, owner));
		expect_health(JT_HEALTH_OK);
	}
	cr_expect_eq(t.maps.identity->tokens, 64);
}

static uint16_t number_of(uint64_t rate, uint64_t period_ns, uint64_t burst,
			  uint16_t *nextp)
{
	const struct jt_limit limit = {
		.rate = rate, .period_ns = period_ns, .burst = burst};

	return jt_plans_limit(&feed.ledger.plans, &limit, nextp);
}

Test(feed, limits_are_found_by_what_they_are)
{
	uint16_t next;

	cr_expect_eq(number_of(5, S, 7, &next), 0);
	cr_expect_eq(next, 1);
	commit_one(plan(1, 5, 7));
	commit_one(plan(2, 6, 7));
	cr_expect_eq(number_of(5, S, 7, &next), 1);
	cr_expect_eq(next, 3);
	cr_expect_eq(number_of(6, S, 7, &next), 2);
	cr_expect_eq(number_of(5, S, 8, &next), 0);
	cr_expect_eq(number_of(5, 2 * S, 7, &next), 0);
	cr_expect_eq(number_of(0, 0, 0, &next), 0);
}

Test(feed, all_plan_numbers_are_used_and_then_none_is_left)
{
	static struct jt_record records[13107];
	uint16_t next;

	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < 13107; i++)
			records[i] = plan((uint16_t)(k * 13107 + i + 1),
					  k * 13107 + i + 1, 1);
		commit(records, 13107);
		step_all(&feed);
		expect_health(JT_HEALTH_OK);
	}
	cr_expect_eq(feed.ledger.plans.n, 26214);
	feed.ledger.plans.n = 65534; /* the rest would only take time */
	cr_expect_eq(number_of(UINT64_MAX, 1, 1, &next), 0);
	cr_expect_eq(next, 65535);
	feed.ledger.plans.n = 65535;
	cr_expect_eq(number_of(UINT64_MAX, 1, 1, &next), 0);
	cr_expect_eq(next, 0);
	feed.ledger.plans.pair_spares.last = 65535;
	cr_expect_not(fits(0, 1, 0));
	cr_expect(fits(0, 0, 0));
	feed.ledger.plans.pair_spares.last = 0;
	feed.ledger.plans.block_spares.last = 65535;
	cr_expect_not(fits(0, 1, 0));
}

Test(feed, look_tells_records_and_use)
{
	struct help_token other;
	struct jt_look l;

	help_token_make(&other, "live");
	cr_expect_not(jt_ledger_look(&feed.ledger, token.text, &l));
	commit_one(plan(1, 5, 7));
	commit_one(create(&other, 0, ""));
	commit_one(create(&token, 1, ""));
	help_word(&t, &token);
	help_word(&t, &token);
	cr_assert(jt_ledger_look(&feed.ledger, token.text, &l));
	cr_expect_eq(l.first, 3);
	cr_expect_eq(l.last, 3);
	cr_expect_eq(l.plan, 0);
	cr_expect_eq(l.own, 1);
	cr_expect_eq(l.set, 0);
	cr_expect_eq(l.uses, 2);
	cr_expect_eq(l.refusals, 0);
	cr_expect_eq(l.last_use_s, HELP_NOW_S);
	commit_one(revoke(&token));
	help_word(&t, &token);
	cr_assert(jt_ledger_look(&feed.ledger, token.text, &l));
	cr_expect_eq(l.first, 3);
	cr_expect_eq(l.last, 4);
	cr_expect_eq(l.refusals, 1);
	cr_assert(jt_ledger_look(&feed.ledger, other.text, &l));
	cr_expect_eq(l.first, 2);
	cr_expect_eq(l.plan, 0);
	cr_expect_eq(l.own, 0);
}

Test(feed, measure_of_an_empty_journal_is_nothing)
{
	struct jt_feed_size size = {9, 9, 9};

	cr_expect_eq(
		jt_feed_measure(&feed.journal, HELP_NOW_S, &size, &help_fault),
		0);
	cr_expect_eq(size.tokens, 0);
	cr_expect_eq(size.rotated, 0);
	cr_expect_eq(size.owner_bytes, 0);
}

static struct jt_feed_size measured(void)
{
	struct jt_feed_size size;

	cr_assert_eq(
		jt_feed_measure(&feed.journal, HELP_NOW_S, &size, &help_fault),
		0);
	return size;
}

Test(feed, measure_is_of_the_most_tokens_at_one_time)
{
	struct jt_record r[5];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 5; i++) {
			help_token_make(&token, "live");
			r[i] = create(&token, 0, "bob");
			commit_one(r[i]);
		}
		for (unsigned i = 0; i < 5; i++) {
			commit_one(help_as(r[i], JT_REC_REVOKE));
			commit_one(help_as(r[i], JT_REC_PURGE));
		}
	}
	expect_health(JT_HEALTH_OK);
	cr_expect_eq(measured().tokens, 5);
	cr_expect_eq(measured().owner_bytes, 4);
}

Test(feed, measure_counts_rotations_whose_overlap_goes_on)
{
	struct jt_record r = create(&token, 0, "");

	commit_one(r);
	help_rotate(&r, &token, HELP_NOW_S);
	commit_one(r);
	cr_expect_eq(measured().rotated, 0);
	help_rotate(&r, &token, HELP_NOW_S + 1);
	commit_one(r);
	cr_expect_eq(measured().rotated, 1);
	cr_expect_eq(measured().tokens, 1);
}

/* At start, with workers there that have nothing to do. */
Test(feed, replay_needs_no_more_lines_than_tokens_at_one_time)
{
	static struct jt_record many[3 * 3 * 64];
	struct help_table late;
	struct jt_feed f;
	unsigned n = 0;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 64; i++) {
			help_token_make(&token, "live");
			many[n++] = create(&token, 0, "");
		}
		for (unsigned i = 0; i < 64; i++) {
			many[n] = help_as(many[n - 64], JT_REC_REVOKE);
			n++;
		}
		for (unsigned i = 0; i < 64; i++) {
			many[n] = help_as(many[n - 64], JT_REC_PURGE);
			n++;
		}
	}
	commit(many, n - 128);
	help_table_new(&late, 64);
	jt_store_seq(&late.maps.identity_rw->state, JT_IDENTITY_LOADING);
	jt_store_seq(&late.maps.board[0].state, JT_DESK_SERVING);
	open_feed(&f, &late);
	step_all(&f);
	cr_expect_eq(f.health, JT_HEALTH_OK, "%s", f.why);
	cr_expect_eq(f.applied, n - 128);
	cr_expect_eq(late.maps.identity->tokens, 64);
}

/* While it serves, a full table makes room for a rotation by itself. */
Test(feed, value_long_over_gives_its_place_to_a_rotation)
{
	struct help_token olds[5], now;
	struct jt_record r[64];

	for (unsigned i = 0; i < 64; i++) {
		help_token_make(&token, "live");
		if (i < 5)
			olds[i] = token;
		r[i] = create(&token, 0, "");
		commit_one(r[i]);
	}
	for (unsigned i = 0; i < 5; i++) {
		if (i == 4)
			help_wall_ns += 100 * S;
		help_rotate(&r[i], &now, HELP_NOW_S + 10);
		commit_one(r[i]);
	}
	expect_health(JT_HEALTH_OK);
	cr_expect_eq(help_word(&t, &now), JT_VALID);
	cr_expect_eq(help_word(&t, &olds[0]), JT_UNKNOWN);
	cr_expect_eq(t.maps.identity->used, 65, "four were over");
}

Test(feed, more_environments_than_numbers_are_no_trouble)
{
	struct help_token other;
	char env[8];

	help_table_new(&t, 400);
	open_feed(&feed, &t);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(env, sizeof(env), "e%u", i);
		help_token_make(&other, env);
		commit_one(create(&other, 0, ""));
		cr_expect_eq(help_word(&t, &other), JT_VALID);
	}
	expect_health(JT_HEALTH_OK);
	commit_one(revoke(&other));
	cr_expect_eq(help_word(&t, &other), JT_REVOKED);
}
