/*
 * hostile keeper: who has mapped the segments reads within them, whatever the
 * one who can write identity makes of it later.
 */
#include "shm/table.h"
#include "shm/verify.h"
#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

static struct help_table t;
static struct help_token token;

static void setup(void)
{
	help_table_new(&t, 64);
	help_issue(&t, &token);
}

TestSuite(hostile_keeper, .init = setup);

/* A header that speaks of far more than there is. */
static void boast(void)
{
	struct jt_identity *id = t.maps.identity_rw;

	id->slots = id->capacity = id->pool_bytes = UINT64_MAX / 2;
	id->size_bytes = UINT64_MAX / 2;
	id->slots_off = id->plans_off = id->limits_off = UINT64_MAX / 2;
	id->sets_off = id->scopes_off = id->pool_off = UINT64_MAX / 2;
}

Test(hostile_keeper, header_changed_under_a_reader_changes_no_bound)
{
	uint32_t bytes;
	struct jt_view v;

	boast();
	cr_expect(help_find(&t.reader, &token, &v));
	cr_expect_lt(jt_table_home(&t.reader, UINT64_MAX),
		     jt_segment_slots(64));
	cr_expect_not(jt_table_look(&t.reader, jt_segment_slots(64), &v));
	cr_expect_null(jt_table_meter(&t.reader, jt_word_b(64, 0, 0)));
	cr_expect_null(jt_table_owner(&t.reader, 65536, &bytes));
	cr_expect_eq(bytes, 0);
}

Test(hostile_keeper, token_is_still_decided_right)
{
	struct help_token gone;
	struct jt_ask good = help_ask(&token), bad;

	help_issue(&t, &gone);
	help_state(&t, &gone, JT_SLOT_REVOKED);
	bad = help_ask(&gone);
	boast();
	cr_expect_eq(help_verify(&t, &good, help_now()).word, JT_VALID);
	cr_expect_eq(help_verify(&t, &bad, help_now()).word, JT_REVOKED);
}

/* A value of another system, whose id is made from prefix and environment. */
static struct jt_verdict ask_other(const char *value)
{
	struct jt_ask ask = {
		.token = {(const uint8_t *)value, (uint32_t)strlen(value)},
		.cost = 1};

	return help_verify(&t, &ask, help_now());
}

Test(hostile_keeper, names_that_are_none_make_an_id_all_the_same)
{
	static const char value[] = "what another system gave out";
	struct jt_entry e = help_entry(&t, &token);
	struct jt_verdict v;

	e.scheme = JT_VALUE_SHA256;
	crypto_hash_sha256(e.digest, (const uint8_t *)value, strlen(value));
	help_put(&t, &token, &e);
	jt_store_seq(&t.maps.identity_rw->schemes, 3);
	memset(t.maps.identity_rw->prefix, 0xff, 8);
	jt_store_seq(&t.maps.identity_rw->envs[e.env], UINT64_MAX);
	v = ask_other(value);
	cr_expect_eq(v.word, JT_VALID);
	cr_assert_not_null(v.id);
	/* v.id points into the verdict that this one is a copy of */
	cr_expect_eq(memcmp(v.made, "jt_other_", 9), 0);
}
