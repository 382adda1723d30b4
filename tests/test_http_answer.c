/* http_answer: every word's status and header fields. */
#include "sidecar/http_answer.h"

#include "shm/scope.h"
#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define S 1000000000ull
#define MINUTE (60u * S)

static struct help_table t;
static struct jt_settings settings;
static struct jt_policy *policy;
static struct jt_bytes scopes[2];
static struct jt_told told;
static struct jt_ask ask;
static struct jt_verdict v;
static struct jt_http_answer a;

static void start(void)
{
	help_table_new(&t, 64);
	jt_settings_default(&settings);
	policy = &settings.policies[0];
	ask = (struct jt_ask){.scopes = scopes, .cost = 1, .told = &told};
	v = (struct jt_verdict){.limit = -1, .remaining = -1};
}

TestSuite(http_answer, .init = start);

static struct jt_bytes bytes(const char *text)
{
	return (struct jt_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static void answer(enum jt_word word)
{
	v.word = word;
	jt_http_answer(&a, &(struct jt_http_case){.maps = &t.reader,
						  .policy = policy,
						  .ask = &ask,
						  .verdict = &v,
						  .now = help_now()});
}

/* NULL: there is none of that name; two would be a mistake. */
static const char *value(const char *name)
{
	const char *found = NULL;

	for (uint32_t i = 0; i < a.n_fields; i++) {
		if (strcmp(a.fields[i].name, name) != 0)
			continue;
		cr_expect_null(found, "%s twice", name);
		found = a.fields[i].value;
	}
	return found;
}

static void expect(const char *name, const char *wanted)
{
	const char *have = value(name);

	if (wanted)
		cr_expect_str_eq(have ? have : "(none)", wanted, "%s", name);
	else
		cr_expect_null(have, "%s", name);
}

static void expect_start(const char *name, const char *wanted)
{
	cr_expect_eq(strncmp(value(name), wanted, strlen(wanted)), 0, "%s",
		     value(name));
}

/* A token that is in the table, asked for. */
static void verify(const struct jt_entry *change)
{
	static struct help_token token; /* ask and verdict point there */
	struct jt_entry e;

	help_token_make(&token, "live");
	e = help_entry(&t, &token);
	e.plan = change->plan;
	e.owner = change->owner;
	e.scope_set = change->scope_set;
	help_put(&t, &token, &e);
	ask.token = bytes(token.text);
	v = help_verify(&t, &ask, help_now());
}

Test(http_answer, every_word_has_its_status_and_is_named)
{
	for (unsigned w = 0; w < JT_WORDS_N; w++) {
		answer((enum jt_word)w);
		cr_expect_eq(a.status, jt_word_status((enum jt_word)w));
		expect("X-Jeton-Verdict", jt_word_name((enum jt_word)w));
	}
}

Test(http_answer, word_can_be_hidden)
{
	policy->hide_verdict = 1;
	answer(JT_REVOKED);
	expect("X-Jeton-Verdict", NULL);
	answer(JT_VALID);
	expect("X-Jeton-Verdict", NULL);
}

static const char *const identity[] = {
	"X-Jeton-Id",  "X-Jeton-Owner",	     "X-Jeton-Scopes",
	"X-Jeton-Env", "X-Jeton-Expires-In",
};

Test(http_answer, valid_has_every_identity_field_though_empty)
{
	answer(JT_VALID);
	for (size_t i = 0; i < 5; i++)
		cr_expect_not_null(value(identity[i]), "%s", identity[i]);
	expect("X-Jeton-Id", "");
	expect("X-Jeton-Owner", "");
	expect("X-Jeton-Scopes", "");
	expect("X-Jeton-Env", "");
	expect("WWW-Authenticate", NULL);
	expect("Retry-After", NULL);
}

Test(http_answer, refusals_tell_nobody_who_it_is)
{
	verify(&(struct jt_entry){0});
	for (unsigned w = 0; w < JT_VALID; w++) {
		answer((enum jt_word)w);
		for (size_t i = 0; i < 5; i++)
			expect(identity[i], NULL);
	}
}

Test(http_answer, identity_of_a_real_token)
{
	const char *const names[] = {"orders:read", "billing:*"};
	uint8_t bits[32] = {3};
	uint32_t owner;

	for (uint16_t i = 0; i < 2; i++) {
		char name[JT_SCOPE_BYTES] = "";

		strcpy(name, names[i]);
		jt_scope_put(&t.maps, (uint16_t)(i + 1), name);
	}
	jt_table_put_set(&t.maps, 1, bits);
	cr_assert_eq(jt_table_put_owner(&t.maps, (const uint8_t *)"team 7", 6,
					&owner),
		     0);
	verify(&(struct jt_entry){.owner = owner, .scope_set = 1});
	answer(JT_VALID);
	cr_expect_eq(memcmp(value("X-Jeton-Id"), ask.token.at, 24), 0);
	cr_expect_eq(strlen(value("X-Jeton-Id")), 24);
	expect("X-Jeton-Owner", "team 7");
	expect("X-Jeton-Scopes", "orders:read billing:*");
	expect("X-Jeton-Env", "live");
	expect("X-Jeton-Expires-In", "2592000");
	expect("RateLimit", NULL);
	expect("RateLimit-Policy", NULL);
}

Test(http_answer, no_value_breaks_out_of_its_line)
{
	v.owner = bytes("a\r\nX-Jeton-Owner: root\t\x7f\x01\xc3\xa9z");
	answer(JT_VALID);
	expect("X-Jeton-Owner", "aX-Jeton-Owner: rootz");
}

Test(http_answer, long_owner_is_cut)
{
	static char owner[5000];

	memset(owner, 'o', sizeof(owner) - 1);
	v.owner = bytes(owner);
	answer(JT_VALID);
	cr_expect_eq(strlen(value("X-Jeton-Owner")), 128);
	cr_expect_not_null(value("X-Jeton-Expires-In"));
}

Test(http_answer, all_scopes_there_can_be_are_cut_behind_a_whole_name)
{
	uint8_t bits[32];
	const char *text;

	memset(bits, 0xff, sizeof(bits));
	for (uint16_t i = 1; i <= JT_SCOPES_MAX; i++) {
		char name[JT_SCOPE_BYTES];

		memset(name, 'x', sizeof(name));
		snprintf(name, sizeof(name), "%060u", i);
		jt_scope_put(&t.maps, i, name);
	}
	jt_table_put_set(&t.maps, 1, bits);
	v.scopes = &t.reader.sets[0];
	for (unsigned i = 0; i < 2 && !jt_load_relaxed(&v.scopes->bits[0]); i++)
		v.scopes++;
	answer(JT_VALID);
	text = value("X-Jeton-Scopes");
	cr_expect_leq(strlen(text), 2048);
	cr_expect_eq((strlen(text) + 1) % 61, 0);
	cr_expect_not_null(value("X-Jeton-Expires-In"));
}

Test(http_answer, challenge_has_an_error_unless_there_was_no_token)
{
	answer(JT_MISSING);
	expect("WWW-Authenticate", "Bearer realm=\"jeton\"");
	for (unsigned w = JT_WHITESPACE; w <= JT_EXPIRED; w++) {
		answer((enum jt_word)w);
		expect("WWW-Authenticate",
		       "Bearer realm=\"jeton\", error=\"invalid_token\"");
	}
	answer(JT_RATE_LIMITED);
	expect("WWW-Authenticate", NULL);
	answer(JT_LOADING);
	expect("WWW-Authenticate", NULL);
}

Test(http_answer, insufficient_scope_names_what_is_needed)
{
	scopes[0] = bytes("a:b");
	scopes[1] = bytes("c\"\\\r\n:*");
	ask.n_scopes = 2;
	answer(JT_INSUFFICIENT_SCOPE);
	expect("WWW-Authenticate",
	       "Bearer realm=\"jeton\", error=\"insufficient_scope\", "
	       "scope=\"a:b c:*\"");
}

Test(http_answer, text_that_is_full_stays_within_itself)
{
	static char longest[2 * JT_HTTP_TEXT_MAX];

	memset(longest, 'x', sizeof(longest) - 1);
	scopes[0] = bytes(longest);
	ask.n_scopes = 1;
	told.bounds = (struct jt_bounds){.interval_ns = S, .burst = 1};
	answer(JT_INSUFFICIENT_SCOPE);
	cr_expect_eq(a.text_bytes, JT_HTTP_TEXT_MAX);
	cr_expect_eq(strlen(value("WWW-Authenticate")), JT_HTTP_TEXT_MAX - 1);
	expect("RateLimit", "");
}

Test(http_answer, retry_after_is_in_seconds_rounded_up)
{
	static const struct {
		int64_t ms;
		const char *s;
	} cases[] = {{1, "1"},	  {999, "1"},	 {1000, "1"},
		     {1001, "2"}, {60000, "60"}, {86400001, "86401"},
		     {-1, NULL}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v.retry_after_ms = cases[i].ms;
		answer(i % 2 ? JT_RATE_LIMITED : JT_QUOTA_EXCEEDED);
		expect("Retry-After", cases[i].s);
	}
	answer(JT_LOADING);
	expect("Retry-After", "1");
	v.retry_after_ms = 5000;
	answer(JT_REVOKED);
	expect("Retry-After", NULL);
}

Test(http_answer, one_limit_is_the_default)
{
	help_rate(&t, 1, S / 10, 100);
	verify(&(struct jt_entry){.plan = 1});
	answer(v.word);
	expect("RateLimit-Policy", "\"default\";q=100;w=10");
	expect("RateLimit", "\"default\";r=99;t=1");
}

Test(http_answer, quota_alone_is_the_default_and_its_window_the_day)
{
	help_limits(
		&t, 1,
		&(struct jt_bounds){.quota = 7, .quota_unit = JT_QUOTA_DAY});
	verify(&(struct jt_entry){.plan = 1});
	answer(v.word);
	expect("RateLimit-Policy", "\"default\";q=7;w=86400");
	expect_start("RateLimit", "\"default\";r=6;t=");
}

Test(http_answer, two_limits_are_both_named)
{
	help_limits(&t, 1,
		    &(struct jt_bounds){.interval_ns = MINUTE,
					.burst = 2,
					.quota = 7,
					.quota_unit = JT_QUOTA_MINUTES,
					.quota_minutes = 5});
	verify(&(struct jt_entry){.plan = 1});
	answer(v.word);
	expect("RateLimit-Policy", "\"rate\";q=2;w=120, \"quota\";q=7;w=300");
	expect_start("RateLimit", "\"rate\";r=1;t=60, \"quota\";r=6;t=");
}

Test(http_answer, limits_are_told_to_who_is_over_them)
{
	help_rate(&t, 1, MINUTE, 1);
	verify(&(struct jt_entry){.plan = 1});
	v = help_verify(&t, &ask, help_now());
	cr_assert_eq(v.word, JT_RATE_LIMITED);
	answer(v.word);
	expect("RateLimit", "\"default\";r=0;t=60");
	expect("Retry-After", "60");
}

Test(http_answer, fast_rate_has_a_window_of_a_second)
{
	help_rate(&t, 1, 1000, 5);
	verify(&(struct jt_entry){.plan = 1});
	answer(v.word);
	expect("RateLimit-Policy", "\"default\";q=5;w=1");
}

Test(http_answer, legacy_fields_only_where_asked_for)
{
	char epoch[24];

	help_rate(&t, 1, MINUTE, 4);
	verify(&(struct jt_entry){.plan = 1});
	answer(v.word);
	expect("X-RateLimit-Limit", NULL);
	policy->legacy = JT_LEGACY_DELTA;
	answer(v.word);
	expect("X-RateLimit-Limit", "4");
	expect("X-RateLimit-Remaining", "3");
	expect("X-RateLimit-Reset", "60");
	policy->legacy = JT_LEGACY_EPOCH;
	answer(v.word);
	snprintf(epoch, sizeof(epoch), "%llu", HELP_NOW_S + 60);
	expect("X-RateLimit-Reset", epoch);
}

Test(http_answer, legacy_fields_need_a_limit)
{
	policy->legacy = JT_LEGACY_DELTA;
	verify(&(struct jt_entry){0});
	answer(v.word);
	expect("X-RateLimit-Limit", NULL);
	expect("X-RateLimit-Reset", NULL);
}

Test(http_answer, told_is_left_alone_where_no_limit_was_asked)
{
	struct jt_told before;

	memset(&told, 0x5a, sizeof(told));
	before = told;
	help_rate(&t, 1, S, 4);
	ask.env = jt_env_word("prod", 4);
	verify(&(struct jt_entry){.plan = 1});
	cr_expect_eq(v.word, JT_WRONG_ENVIRONMENT);
	cr_expect_eq(memcmp(&told, &before, sizeof(told)), 0);
}
