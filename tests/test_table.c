/* table: what is found, what is not, and what hostile memory cannot do. */
#include "shm/table.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct help_table t;

static uint64_t key_of(const char *text)
{
	return jt_token_key((const uint8_t *)text, t.maps.identity->seed);
}

static unsigned count_found(const struct jt_maps *maps, uint64_t key)
{
	struct jt_view view;
	uint32_t cursor = 0;
	unsigned n = 0;

	while (jt_table_next(maps, key, &cursor, &view)) {
		cr_assert_lt(view.slot, maps->identity->slots);
		cr_assert_leq(++n, JT_REACH_MAX + 1, "no end");
	}
	return n;
}

Test(table, finds_what_was_put_with_all_its_fields)
{
	struct help_token token;
	struct jt_entry e;
	struct jt_view v;

	help_table_new(&t, 64);
	help_token_make(&token, "test");
	e = help_entry(&t, &token);
	e.plan = 65535;
	e.scope_set = 513;
	e.meter = 63;
	e.expires_s = UINT32_MAX;
	e.owner = 77;
	help_put(&t, &token, &e);
	cr_assert(help_find(&t.reader, &token, &v));
	cr_expect_eq(v.slot, token.slot);
	cr_expect_eq(jt_a_state(v.a), JT_SLOT_ACTIVE);
	cr_expect_eq(jt_a_expires_s(v.a), UINT32_MAX);
	cr_expect_eq(jt_a_flags(v.a), 0);
	cr_expect_eq(jt_b_plan(v.b), 65535);
	cr_expect_eq(jt_b_scope_set(v.b), 513);
	cr_expect_eq(jt_b_meter(v.b), 63);
	cr_expect_eq(v.owner, 77);
	cr_expect_eq(v.env, e.env);
	cr_expect_arr_eq(v.digest, e.digest, JT_VALUE_DIGEST);
}

Test(table, empty_one_finds_nothing)
{
	uint64_t seed = 1;

	help_table_new(&t, 64);
	for (unsigned i = 0; i < 1000; i++)
		cr_expect_eq(count_found(&t.reader, help_random(&seed)), 0);
	cr_expect_eq(count_found(&t.reader, 0), 0, "key 0 is no slot's key");
	cr_expect_eq(count_found(&t.reader, UINT64_MAX), 0);
}

Test(table, misses_what_was_never_put)
{
	struct help_token token;
	struct jt_view v;

	help_table_new(&t, 500);
	for (unsigned i = 0; i < 500; i++)
		help_issue(&t, &token);
	for (unsigned i = 0; i < 500; i++) {
		help_token_make(&token, "live");
		cr_expect_not(help_find(&t.reader, &token, &v));
	}
}

Test(table, find_tells_each_change_of_state)
{
	static const uint8_t states[] = {JT_SLOT_SUSPENDED, JT_SLOT_ACTIVE,
					 JT_SLOT_REVOKED};
	struct help_token token;
	struct jt_view before, v;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	cr_assert(help_find(&t.reader, &token, &before));
	for (unsigned i = 0; i < 3; i++) {
		help_state(&t, &token, states[i]);
		cr_assert(help_find(&t.reader, &token, &v));
		cr_expect_eq(jt_a_state(v.a), states[i]);
		cr_expect_eq(jt_a_expires_s(v.a), jt_a_expires_s(before.a));
		cr_expect_eq(jt_a_generation(v.a), jt_a_generation(before.a));
		cr_expect_eq(v.b, before.b);
	}
}

Test(table, change_of_one_leaves_the_others)
{
	static struct help_token tokens[300];
	struct jt_view v;

	help_table_new(&t, 300);
	for (unsigned i = 0; i < 300; i++)
		help_issue(&t, &tokens[i]);
	for (unsigned i = 0; i < 300; i += 3)
		help_state(&t, &tokens[i], JT_SLOT_REVOKED);
	for (unsigned i = 0; i < 300; i++) {
		cr_assert(help_find(&t.reader, &tokens[i], &v));
		cr_expect_eq(jt_a_state(v.a),
			     i % 3 ? JT_SLOT_ACTIVE : JT_SLOT_REVOKED);
	}
}

Test(table, two_values_may_bear_one_key)
{
	struct help_token token, other;
	struct jt_entry e;
	struct jt_view v;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	other = token;
	other.text[40] = other.text[40] == 'x' ? 'y' : 'x';
	e = help_entry(&t, &other);
	help_put(&t, &other, &e);
	cr_expect_neq(token.slot, other.slot);
	cr_expect_eq(count_found(&t.reader, key_of(token.text)), 2);
	help_state(&t, &token, JT_SLOT_REVOKED);
	cr_assert(help_find(&t.reader, &token, &v));
	cr_expect_eq(jt_a_state(v.a), JT_SLOT_REVOKED);
	cr_assert(help_find(&t.reader, &other, &v));
	cr_expect_eq(jt_a_state(v.a), JT_SLOT_ACTIVE);
}

/* A token whose home is SLOT. */
static void at_home(struct help_token *token, uint64_t slot)
{
	do
		help_token_make(token, "live");
	while (jt_table_home(&t.maps, key_of(token->text)) != slot);
}

Test(table, end_of_the_slots_goes_on_at_their_beginning)
{
	uint64_t last;
	struct help_token tokens[4], miss;
	struct jt_entry e;
	struct jt_view v;

	help_table_new(&t, 64);
	last = t.maps.identity->slots - 1;
	for (unsigned i = 0; i < 4; i++) {
		at_home(&tokens[i], last);
		e = help_entry(&t, &tokens[i]);
		help_put(&t, &tokens[i], &e);
		cr_expect_eq(tokens[i].slot, i ? i - 1 : last);
	}
	for (unsigned i = 0; i < 4; i++)
		cr_expect(help_find(&t.reader, &tokens[i], &v));
	at_home(&miss, last);
	cr_expect_not(help_find(&t.reader, &miss, &v));
	at_home(&miss, 0);
	cr_expect_not(help_find(&t.reader, &miss, &v));
}

Test(table, home_is_a_slot_for_every_key)
{
	uint64_t seed = 3;

	help_table_new(&t, 65);
	for (unsigned i = 0; i < 10000; i++)
		cr_assert_lt(jt_table_home(&t.reader, help_random(&seed)),
			     t.reader.identity->slots);
	cr_expect_eq(jt_table_home(&t.reader, 0), 0);
	cr_expect_eq(jt_table_home(&t.reader, UINT64_MAX),
		     t.reader.identity->slots - 1);
}

static void expect_full_table(uint64_t capacity, double mean_max)
{
	struct help_token *tokens = calloc(capacity, sizeof(*tokens));
	uint64_t far = 0, sum = 0;
	struct jt_view v;

	help_table_new(&t, capacity);
	for (uint64_t i = 0; i < capacity; i++)
		help_issue(&t, &tokens[i]);
	cr_expect_eq(t.maps.identity->used, capacity);
	cr_expect_leq((double)capacity / (double)t.maps.identity->slots, 0.75);
	for (uint64_t i = 0; i < capacity; i++) {
		cr_assert(help_find(&t.reader, &tokens[i], &v));
		cr_assert_eq(v.slot, tokens[i].slot);
		cr_assert_eq(jt_b_meter(v.b), i);
	}
	for (uint64_t i = 0; i < t.maps.identity->slots; i++) {
		uint64_t reach = t.maps.slots[i].reach;

		far = reach > far ? reach : far;
		sum += reach;
	}
	cr_expect_lt(far, JT_REACH_MAX / 8);
	cr_expect_lt((double)sum / (double)t.maps.identity->slots, mean_max);
	free(tokens);
}

Test(table, full_one_finds_all_and_stops_early)
{
	expect_full_table(1, 1);
	expect_full_table(64, 4);
	expect_full_table(30000, 2);
}

Test(table, dropped_value_is_unknown_and_its_slot_serves_again)
{
	static struct help_token tokens[64];
	struct jt_view v;

	help_table_new(&t, 64);
	for (unsigned i = 0; i < 64; i++)
		help_issue(&t, &tokens[i]);
	for (unsigned i = 0; i < 64; i += 2)
		jt_table_drop(&t.maps, tokens[i].slot);
	cr_expect_eq(t.maps.identity->used, 32);
	for (unsigned i = 0; i < 64; i++)
		cr_expect_eq(help_find(&t.reader, &tokens[i], &v), i % 2);
	for (unsigned i = 0; i < 64; i += 2) {
		struct jt_entry e = help_entry(&t, &tokens[i]);
		uint32_t was = tokens[i].slot;

		e.meter = tokens[i].meter;
		cr_assert_eq(jt_table_put(&t.maps, &e, &tokens[i].slot), 0);
		cr_assert(help_find(&t.reader, &tokens[i], &v));
		if (v.slot == was)
			cr_expect_eq(jt_a_generation(v.a), 2);
	}
	cr_expect_eq(t.maps.identity->used, 64);
}

Test(table, slot_is_taken_and_left_for_longer_than_generations_last)
{
	struct help_token token;
	struct jt_entry e;

	help_table_new(&t, 64);
	help_token_make(&token, "live");
	e = help_entry(&t, &token);
	for (unsigned i = 1; i < 70000; i++) {
		cr_assert_eq(jt_table_put(&t.maps, &e, &token.slot), 0);
		cr_assert_eq(jt_a_generation(help_slot(&t, token.slot)->a),
			     (uint16_t)i);
		jt_table_drop(&t.maps, token.slot);
	}
	cr_expect_eq(t.maps.identity->used, 0);
	cr_expect_eq(count_found(&t.reader, key_of(token.text)), 0);
}

Test(table, dropping_what_was_dropped_aborts, .signal = SIGABRT)
{
	struct help_token token;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	jt_table_drop(&t.maps, token.slot);
	jt_table_drop(&t.maps, token.slot);
}

Test(table, changes_in_place_keep_what_they_are_not_about)
{
	struct help_token token;
	struct jt_view before, v;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	cr_assert(help_find(&t.reader, &token, &before));
	jt_table_set_a(&t.maps, token.slot, JT_SLOT_ACTIVE, JT_SLOT_OLD_VALUE,
		       12345);
	jt_table_set_b(&t.maps, token.slot, 65535, 8191);
	jt_table_set_owner(&t.maps, token.slot, 77);
	cr_assert(help_find(&t.reader, &token, &v));
	cr_expect_eq(jt_a_state(v.a), JT_SLOT_ACTIVE);
	cr_expect_eq(jt_a_flags(v.a), JT_SLOT_OLD_VALUE);
	cr_expect_eq(jt_a_expires_s(v.a), 12345);
	cr_expect_eq(jt_a_generation(v.a), jt_a_generation(before.a));
	cr_expect_eq(jt_b_meter(v.b), jt_b_meter(before.b));
	cr_expect_eq(jt_b_plan(v.b), 65535);
	cr_expect_eq(jt_b_scope_set(v.b), 8191);
	cr_expect_eq(v.owner, 77);
	cr_expect_eq(v.slot, before.slot);
	cr_expect_eq(v.env, before.env);
	cr_expect_arr_eq(v.digest, before.digest, sizeof(v.digest));
}

Test(table, change_to_no_state_aborts, .signal = SIGABRT)
{
	struct help_token token;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	jt_table_set_a(&t.maps, token.slot, JT_SLOT_EMPTY, 0, 1);
}

Test(table, put_beyond_the_last_slot_is_refused)
{
	struct help_token token;
	struct jt_view v;
	uint64_t slots;

	help_table_new(&t, 64);
	slots = t.maps.identity->slots;
	for (uint64_t i = 0; i < slots + 3; i++) {
		struct jt_entry e;
		int rc;

		help_token_make(&token, "live");
		e = help_entry(&t, &token);
		e.meter = 0;
		rc = jt_table_put(&t.maps, &e, &token.slot);
		cr_assert_eq(rc, i < slots ? 0 : JT_TABLE_E_FULL, "%lu", i);
		cr_assert(rc || token.slot < slots, "slot %u", token.slot);
		cr_expect_eq(help_find(&t.reader, &token, &v), !rc);
	}
	cr_expect_eq(t.maps.identity->used, slots);
	for (unsigned i = 0; i < 64; i++)
		cr_expect_eq(t.maps.plans[i], 0, "plan %u", i);
}

Test(table, owners_limits_scopes_and_lines_out_of_range_are_none)
{
	uint64_t pool;
	uint32_t bytes = 5, at;

	help_table_new(&t, 64);
	pool = t.maps.identity->pool_bytes;
	cr_assert_eq(
		jt_table_put_owner(&t.maps, (const uint8_t *)"bob", 3, &at), 0);
	cr_expect_arr_eq(jt_table_owner(&t.reader, at, &bytes), "bob", 3);
	cr_expect_eq(bytes, 3);
	cr_expect_null(jt_table_owner(&t.reader, 0, &bytes));
	cr_expect_eq(bytes, 0);
	cr_expect_null(jt_table_owner(&t.reader, (uint32_t)pool, &bytes));
	cr_expect_null(jt_table_owner(&t.reader, UINT32_MAX, &bytes));
	cr_expect_null(jt_table_limits(&t.reader, jt_word_b(3, 0, 9)));
	cr_expect_eq(jt_table_limits(&t.reader, jt_word_b(3, 65535, 9)),
		     &t.reader.limits[0], "a plan without a block");
	jt_table_set_plan(&t.maps, 65535, 65535);
	cr_expect_eq(jt_table_limits(&t.reader, jt_word_b(3, 65535, 9)),
		     &t.reader.limits[65535]);
	cr_expect_null(jt_table_scopes(&t.reader, jt_word_b(3, 9, 0)));
	cr_expect_eq(jt_table_scopes(&t.reader, jt_word_b(3, 9, 8191)),
		     &t.reader.sets[8191]);
	cr_expect_null(jt_table_scopes(&t.reader, jt_word_b(3, 9, 8192)));
	cr_expect_null(jt_table_scopes(&t.reader, jt_word_b(3, 9, 65535)));
	cr_expect_eq(jt_table_meter(&t.reader, jt_word_b(63, 0, 0)),
		     &t.reader.lines[63]);
	cr_expect_null(jt_table_meter(&t.reader, jt_word_b(64, 0, 0)));
	cr_expect_null(jt_table_meter(&t.reader, jt_word_b(UINT32_MAX, 0, 0)));
}

Test(table, owner_that_would_leave_the_pool_is_none)
{
	uint8_t *pool;
	uint64_t n;
	uint32_t bytes;

	help_table_new(&t, 64);
	n = t.maps.identity->pool_bytes;
	pool = (uint8_t *)t.maps.identity_rw + t.maps.identity->pool_off;
	pool[n - 1] = 1;
	cr_expect_null(jt_table_owner(&t.reader, (uint32_t)n - 1, &bytes));
	pool[n - 1] = 0;
	cr_expect_not_null(jt_table_owner(&t.reader, (uint32_t)n - 1, &bytes));
	pool[n - 11] = 10;
	cr_expect_not_null(jt_table_owner(&t.reader, (uint32_t)n - 11, &bytes));
	cr_expect_eq(bytes, 10);
	pool[n - 11] = 11;
	cr_expect_null(jt_table_owner(&t.reader, (uint32_t)n - 11, &bytes));
	cr_expect_eq(bytes, 0);
}

Test(table, pool_fills_to_its_last_byte_and_then_refuses)
{
	uint8_t name[255] = "x";
	uint32_t at = 0, last = 0, n = 0, bytes;

	help_table_new(&t, 64);
	while (!jt_table_put_owner(&t.maps, name, 255, &at)) {
		cr_assert_gt(at, last);
		last = at;
		n++;
	}
	cr_expect_eq(n, (65536 - 1) / 256);
	cr_expect_eq(jt_table_put_owner(&t.maps, name, 254, &at), 0);
	cr_expect_not_null(jt_table_owner(&t.reader, at, &bytes));
	cr_expect_eq(bytes, 254);
	cr_expect_eq(jt_table_put_owner(&t.maps, name, 0, &at),
		     JT_TABLE_E_FULL);
	cr_expect_eq(t.maps.identity->pool_used, 65536);
}

Test(table, no_pool_takes_no_owner)
{
	const struct jt_segment_size size = {.capacity = 64};
	struct jt_segment_fds fds;
	struct jt_maps maps;
	uint32_t at;

	if (jt_segment_create(&size, (const uint8_t[16]){0}, &fds, &maps))
		return; /* refusing such a size is as good */
	cr_expect_eq(jt_table_put_owner(&maps, (const uint8_t *)"bob", 3, &at),
		     JT_TABLE_E_FULL);
}

Test(table, plan_is_the_block_that_its_word_names_now)
{
	const struct jt_bounds first = {10, 20, 30, 2, 0},
			       last = {40, 50, 60, 4, 15};
	uint64_t b = jt_word_b(0, 65535, 0);
	const struct jt_limits *l;

	help_table_new(&t, 64);
	jt_table_put_limits(&t.maps, 1, &first);
	jt_table_put_limits(&t.maps, 65535, &last);
	jt_table_set_plan(&t.maps, 65535, 1);
	l = jt_table_limits(&t.reader, b);
	cr_expect_eq(l->interval_ns, 10);
	cr_expect_eq(l->burst, 20);
	cr_expect_eq(l->quota, 30);
	cr_expect_eq(l->window, 2ull << 32);
	jt_table_set_plan(&t.maps, 65535, 65535);
	l = jt_table_limits(&t.reader, b);
	cr_expect_eq(l->interval_ns, 40);
	cr_expect_eq(l->window, 4ull << 32 | 15);
	cr_expect_eq(t.reader.limits[0].interval_ns, 0);
	cr_expect_eq(t.reader.limits[1].interval_ns, 10, "never rewritten");
	cr_expect_eq(t.reader.sets[0].bits[0], 0, "written behind the limits");
	cr_expect_eq(t.maps.identity->plans, 65535);
	cr_expect_eq(t.maps.identity->limits, 65535);
}

Test(table, block_0_is_no_limit_and_cannot_be_written, .signal = SIGABRT)
{
	help_table_new(&t, 64);
	jt_table_put_limits(&t.maps, 0, &(struct jt_bounds){1, 1, 0, 0, 0});
}

Test(table, plan_0_cannot_be_given, .signal = SIGABRT)
{
	help_table_new(&t, 64);
	jt_table_set_plan(&t.maps, 0, 1);
}

Test(table, set_stands_under_every_number_but_0)
{
	uint8_t bits[32] = {[0] = 1, [31] = 0x80};

	help_table_new(&t, 64);
	jt_table_put_set(&t.maps, 1, bits);
	jt_table_put_set(&t.maps, 8191, bits);
	cr_expect_arr_eq(&t.reader.sets[8191], bits, 32);
	cr_expect_arr_eq(&t.reader.sets[1], bits, 32);
	cr_expect_eq(t.reader.sets[2].bits[0], 0);
	cr_expect_eq(t.reader.scopes->names[0].name[0], 0, "written behind");
	cr_expect_eq(t.maps.identity->sets, 8191);
}

Test(table, set_0_cannot_be_given, .signal = SIGABRT)
{
	help_table_new(&t, 64);
	jt_table_put_set(&t.maps, 0, (const uint8_t[32]){0});
}

Test(table, set_beyond_the_last_cannot_be_given, .signal = SIGABRT)
{
	help_table_new(&t, 64);
	jt_table_put_set(&t.maps, 8192, (const uint8_t[32]){0});
}

Test(table, environments_beyond_the_last_number_share_one_that_fits_none)
{
	char name[8];

	help_table_new(&t, 64);
	cr_expect_eq(jt_table_env(&t.maps, 0), 0);
	for (unsigned i = 1; i < JT_ENV_OTHER; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		cr_assert_eq(
			jt_table_env(&t.maps, jt_env_word(name, strlen(name))),
			i);
	}
	cr_expect_eq(jt_table_env(&t.maps, jt_env_word("more", 4)),
		     JT_ENV_OTHER);
	cr_expect_eq(t.maps.identity->envs[JT_ENV_OTHER], 0);
	cr_expect_eq(jt_table_env(&t.maps, jt_env_word("e254", 4)), 254);
	cr_expect_eq(jt_table_env(&t.maps, jt_env_word("e1", 2)), 1);
	cr_expect_eq(jt_table_env(&t.maps, 0), 0);
}

/* ---- hostile memory ---- */

Test(table, slot_left_busy_reads_as_torn)
{
	struct help_token token;
	struct jt_view v = {.a = 1};
	uint32_t cursor = 0;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	help_slot(&t, token.slot)->a =
		jt_word_a(1, JT_SLOT_BUSY, 0, UINT32_MAX);
	cr_assert(jt_table_next(&t.reader, key_of(token.text), &cursor, &v));
	cr_expect_eq(v.a, 0);
	cr_expect_not(
		jt_table_next(&t.reader, key_of(token.text), &cursor, &v));
}

Test(table, slot_made_empty_is_not_there)
{
	struct help_token token;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	help_slot(&t, token.slot)->a =
		jt_word_a(9, JT_SLOT_EMPTY, 0, UINT32_MAX);
	cr_expect_eq(count_found(&t.reader, key_of(token.text)), 0);
}

/* In a small table the longest reach goes round more than once. */
Test(table, hostile_reach_stays_within_the_slots)
{
	struct help_token token;
	uint64_t key, *behind;

	help_table_new(&t, 64);
	help_issue(&t, &token);
	key = key_of(token.text);
	/* what lies behind the slots looks like slots with that key */
	behind = (uint64_t *)((char *)t.maps.identity_rw +
			      t.maps.identity->plans_off);
	for (unsigned i = 0; i < 65536; i++)
		behind[i] = key;
	for (uint64_t i = 0; i < t.maps.identity->slots; i++)
		help_slot(&t, i)->reach = UINT16_MAX;
	cr_expect_eq(count_found(&t.reader, key), 1);
	cr_expect_eq(count_found(&t.reader, ~key), 0);
}

static void expect_never_valid(struct help_token *tokens, unsigned n)
{
	struct help_token forged;

	for (unsigned i = 0; i < n; i++) {
		help_word(&t, &tokens[i]); /* any word, but a word */
		forged = tokens[i];
		forged.text[30] = forged.text[30] == 'a' ? 'b' : 'a';
		cr_assert_neq(help_word(&t, &forged), JT_VALID);
	}
}

/* Set a random field of a slot to a random or an extreme value. */
static void spoil(struct jt_slot *slot, uint64_t *seed)
{
	static const uint64_t odd[] = {0,
				       1,
				       UINT64_MAX,
				       1ull << 63,
				       0xffffffffull,
				       0xffff000000000000ull};
	uint64_t r = help_random(seed);
	uint64_t v = r & 8 ? odd[(r >> 8) % 6] : help_random(seed);

	switch (r & 7) {
	case 0:
		slot->a = v;
		break;
	case 1:
		slot->b = v;
		break;
	case 2:
		slot->owner = (uint32_t)v;
		break;
	case 3:
		slot->env = (uint8_t)v;
		break;
	case 4:
		slot->reach = (uint16_t)v;
		break;
	case 5:
		slot->scheme = (uint8_t)v;
		break;
	case 6:
		slot->key = v;
		break;
	case 7:
		slot->digest[r >> 4 & 3] = v;
		break;
	}
}

Test(table, hostile_slots_never_make_a_forged_value_valid)
{
	static struct help_token tokens[200];
	uint64_t seed = 4;

	help_table_new(&t, 3000);
	for (unsigned i = 0; i < 200; i++)
		help_issue(&t, &tokens[i]);
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 100; i++)
			spoil(help_slot(&t,
					tokens[help_random(&seed) % 200].slot),
			      &seed);
		expect_never_valid(tokens, 200);
	}
}

Test(table, hostile_numbers_never_leave_the_segment)
{
	static const struct jt_bytes scope = {(const uint8_t *)"a:b", 3};
	static struct help_token tokens[64];
	uint64_t seed = 5, n, *words;
	uint8_t *pool;

	help_table_new(&t, 64);
	pool = (uint8_t *)t.maps.identity_rw + t.maps.identity->pool_off;
	memset(pool, 0xff, t.maps.identity->pool_bytes);
	words = (uint64_t *)((char *)t.maps.identity_rw +
			     t.maps.identity->plans_off);
	n = (t.maps.identity->pool_off - t.maps.identity->plans_off) / 8;
	for (uint64_t i = 0; i < n; i++)
		words[i] = help_random(&seed);
	for (unsigned i = 0; i < 64; i++)
		help_issue(&t, &tokens[i]);
	for (unsigned round = 0; round < 1000; round++) {
		unsigned i = (unsigned)(help_random(&seed) % 64);
		struct jt_slot *slot = help_slot(&t, tokens[i].slot);
		struct jt_ask ask = help_ask(&tokens[i]);
		struct jt_verdict v;

		ask.scopes = &scope;
		ask.n_scopes = i % 2;
		slot->b = help_random(&seed);
		slot->owner = (uint32_t)(t.maps.identity->pool_bytes -
					 help_random(&seed) % 300);
		v = help_verify(&t, &ask, help_now());
		cr_assert(!v.owner.at ||
			  v.owner.at + v.owner.bytes <=
				  t.reader.pool + t.maps.identity->pool_bytes);
	}
}
