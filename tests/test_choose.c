/* choose: which tokens fit what was asked, and which options are none. */
#include "admin/choose.h"

#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define NOW UINT64_C(1800000000)
#define DAY 86400u

static struct jt_catalog c;
static struct jt_cmd cmd;
static struct jt_choice choice;
static uint64_t number;

static void start(void)
{
	help_quiet();
	number = 0;
	memset(&cmd, 0, sizeof(cmd));
	cr_assert_eq(jt_catalog_init(&c), 0);
}

static void stop(void)
{
	jt_catalog_deinit(&c);
}

TestSuite(choose, .init = start, .fini = stop);

static void fold(struct jt_record r)
{
	struct jt_fault fault;

	r.number = ++number;
	r.time_ns = (NOW - 10 * DAY + number) * 1000000000u;
	cr_assert_eq(jt_catalog_apply(&c, &r, &fault), 0, "%s", fault.line);
}

/* A token in the catalog; its record. */
static struct jt_record made(const char *name, const char *owner,
			     const char *env, uint64_t expires_s)
{
	struct help_token token;
	struct jt_record r;

	help_token_make(&token, env);
	r = help_create(&token);
	memset(r.token.name, 0, JT_NAME_MAX);
	memcpy(r.token.name, name, strnlen(name, JT_NAME_MAX));
	memcpy(r.token.owner, owner, strnlen(owner, JT_OWNER_MAX));
	r.token.expires_s = (uint32_t)expires_s;
	fold(r);
	return r;
}

#define ANY (JT_CHOICE | JT_BIT(dead_for))

/* Options by name, each with its value; NULL ends them. */
static int read_options(const char *const *options, uint64_t mask)
{
	static char kept[32][80] = {"jeton"};
	char *argv[33] = {kept[0]}, why[JT_WHY_MAX];
	int n = 1;

	for (; options[n - 1]; n++) {
		snprintf(kept[n], sizeof(kept[n]), "%s%s", n % 2 ? "--" : "",
			 options[n - 1]);
		argv[n] = kept[n];
	}
	cr_assert(jt_args_parse(n, argv, &cmd.args, why), "%s", why);
	return jt_choice_read(&cmd, mask, NOW, &choice);
}

#define READ(...) read_options((const char *[]){__VA_ARGS__, NULL}, ANY)

/* Numbers of the cards that fit, as letters: the first is `a`. */
static const char *fitting(void)
{
	static char out[32];
	char *to = out;

	for (size_t i = 0; i < c.n_cards; i++)
		if (jt_choice_fits(&choice, &c, &c.cards[i]))
			*to++ = (char)('a' + i);
	*to = '\0';
	return out;
}

static void expect(const char *want)
{
	cr_expect_str_eq(fitting(), want);
}

Test(choose, nothing_asked_for_is_no_choice)
{
	made("x", "", "live", NOW + DAY);
	cr_assert_eq(read_options((const char *[]){NULL}, ANY), 0);
	cr_expect_not(choice.any);
	expect("a");
}

Test(choose, options_outside_the_mask_choose_nothing)
{
	cr_assert_eq(read_options((const char *[]){"owner", "web", "env",
						   "live", NULL},
				  JT_BIT(env)),
		     0);
	cr_expect(choice.any);
	cr_expect_null(choice.owner);
	cr_expect_str_eq(choice.env, "live");
	cr_assert_eq(read_options((const char *[]){"owner", "web", NULL},
				  JT_BIT(env)),
		     0);
	cr_expect_not(choice.any);
	/* nor is their value looked at */
	cr_assert_eq(read_options((const char *[]){"status", "dead", NULL},
				  JT_BIT(env)),
		     0);
}

Test(choose, owner_and_environment_are_compared_whole)
{
	made("1", "web", "live", NOW + DAY);
	made("2", "we", "test", NOW + DAY);
	made("3", "webs", "live", NOW + DAY);
	made("4", "", "liv", NOW + DAY);
	made("5", "Web", "stage2", NOW + DAY);
	cr_assert_eq(READ("owner", "web"), 0);
	expect("a");
	cr_assert_eq(READ("env", "live"), 0);
	expect("ac");
	cr_assert_eq(READ("env", "stage2"), 0);
	expect("e");
	cr_assert_eq(READ("env", "stage2x"), 0);
	expect("");
	cr_assert_eq(READ("owner", "web", "env", "test"), 0);
	expect("");
}

Test(choose, longest_owner_is_compared_to_its_last_byte)
{
	char owner[JT_OWNER_MAX + 2];

	memset(owner, 'o', sizeof(owner));
	owner[JT_OWNER_MAX] = '\0';
	made("1", owner, "live", NOW + DAY);
	cr_assert_eq(READ("owner", owner), 0);
	expect("a");
	owner[JT_OWNER_MAX] = 'o';
	owner[JT_OWNER_MAX + 1] = '\0';
	cr_assert_eq(READ("owner", owner), 0);
	expect("");
	owner[JT_OWNER_MAX - 1] = '\0';
	cr_assert_eq(READ("owner", owner), 0);
	expect("");
}

Test(choose, name_is_a_pattern)
{
	char longest[JT_NAME_MAX + 1];

	memset(longest, 'n', JT_NAME_MAX);
	longest[JT_NAME_MAX] = '\0';
	made("CI one", "", "live", NOW + DAY);
	made("CI two", "", "live", NOW + DAY);
	made("ci one", "", "live", NOW + DAY);
	made("a*b", "", "live", NOW + DAY);
	made(longest, "", "live", NOW + DAY);
	cr_assert_eq(READ("name", "CI *"), 0);
	expect("ab");
	cr_assert_eq(READ("name", "CI"), 0);
	expect("");
	cr_assert_eq(READ("name", "[Cc][Ii] one"), 0);
	expect("ac");
	cr_assert_eq(READ("name", "a\\*b"), 0);
	expect("d");
	cr_assert_eq(READ("name", longest), 0);
	expect("e");
	cr_assert_eq(READ("name", "*"), 0);
	expect("abcde");
	cr_assert_eq(READ("name", "["), 0);
	expect("");
}

Test(choose, plan_is_the_named_one)
{
	struct jt_record r;

	fold(help_plan_record(1, "gold", 5, 5));
	fold(help_plan_record(2, "", 6, 6));
	r = made("1", "", "live", NOW + DAY);
	r.token.plan = 1;
	fold(help_as(r, JT_REC_SET));
	r = made("2", "", "live", NOW + DAY);
	r.token.own = 2;
	fold(help_as(r, JT_REC_SET));
	made("3", "", "live", NOW + DAY);
	cr_assert_eq(READ("plan", "gold"), 0);
	expect("a");
	cr_assert_eq(READ("plan", "gol"), 0);
	expect("");
	cr_assert_eq(READ("plan", "golden"), 0);
	expect("");
}

/* a: active, b: expired, c: suspended, d: revoked, e: purged */
static void one_of_each(void)
{
	struct jt_record r;

	made("1", "", "live", NOW + 1);
	made("2", "", "live", NOW);
	r = made("3", "", "live", NOW - DAY);
	r.token.flags = JT_TOKEN_SUSPENDED;
	fold(help_as(r, JT_REC_SUSPEND));
	r = made("4", "", "live", NOW - DAY);
	fold(help_as(r, JT_REC_REVOKE));
	r = made("5", "", "live", NOW - DAY);
	fold(help_as(r, JT_REC_REVOKE));
	fold(help_as(r, JT_REC_PURGE));
}

Test(choose, status_is_one_of_four)
{
	one_of_each();
	cr_assert_eq(READ("status", "active"), 0);
	expect("a");
	cr_assert_eq(READ("status", "expired"), 0);
	expect("b");
	cr_assert_eq(READ("status", "suspended"), 0);
	expect("c");
	cr_assert_eq(READ("status", "revoked"), 0);
	expect("d");
	choice.not_revoked = true;
	expect("");
	cr_expect_eq(READ("status", "Active"), JT_EXIT_USAGE);
	cr_expect_eq(READ("status", "purged"), JT_EXIT_USAGE);
	cr_expect_eq(READ("status", "dead"), JT_EXIT_USAGE);
}

Test(choose, purged_is_never_chosen)
{
	one_of_each();
	cr_assert_eq(READ("name", "*"), 0);
	expect("abcd");
	choice.not_revoked = true;
	expect("abc");
}

Test(choose, expiring_within_is_from_now_to_then)
{
	struct jt_record r;

	made("1", "", "live", NOW);
	made("2", "", "live", NOW + 1);
	made("3", "", "live", NOW + 30 * DAY);
	made("4", "", "live", NOW + 30 * DAY + 1);
	r = made("5", "", "live", NOW + DAY);
	fold(help_as(r, JT_REC_REVOKE));
	r = made("6", "", "live", NOW + DAY);
	r.token.flags = JT_TOKEN_SUSPENDED;
	fold(help_as(r, JT_REC_SUSPEND));
	cr_assert_eq(READ("expiring-within", "30d"), 0);
	expect("bcf");
	cr_assert_eq(READ("expiring-within", "30d", "status", "active"), 0);
	expect("bc");
}

Test(choose, dead_for_is_revoked_or_expired_so_long_ago)
{
	struct jt_record r;

	made("1", "", "live", NOW - 30 * DAY);
	made("2", "", "live", NOW - 30 * DAY + 1);
	made("3", "", "live", NOW + DAY);
	/* revoked ten days ago, whenever it would have expired */
	r = made("4", "", "live", NOW - 300 * DAY);
	fold(help_as(r, JT_REC_REVOKE));
	r = made("5", "", "live", NOW + DAY);
	fold(help_as(r, JT_REC_REVOKE));
	cr_assert_eq(READ("dead-for", "30d"), 0);
	expect("a");
	cr_assert_eq(READ("dead-for", "9d"), 0);
	expect("abde");
	cr_assert_eq(READ("dead-for", "11d"), 0);
	expect("ab");
}

Test(choose, spans_that_are_none_are_refused)
{
	static const char *const bad[] = {"30",	  "d",	  "soon", "-1d",
					  "0x1d", "1.5d", "30 d", "99999999d"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(READ("expiring-within", bad[i]), JT_EXIT_USAGE,
			     "%s", bad[i]);
		cr_expect_eq(READ("dead-for", bad[i]), JT_EXIT_USAGE, "%s",
			     bad[i]);
	}
}

Test(choose, death_is_the_revoke_or_the_expiry)
{
	struct jt_record r;

	made("1", "", "live", NOW - 7);
	cr_expect_eq(jt_card_died_s(&c.cards[0], NOW), NOW - 7);
	cr_expect_eq(jt_card_died_s(&c.cards[0], NOW - 7), NOW - 7);
	cr_expect_eq(jt_card_died_s(&c.cards[0], NOW - 8), 0);
	r = made("2", "", "live", NOW + DAY);
	cr_expect_eq(jt_card_died_s(&c.cards[1], NOW), 0);
	fold(help_as(r, JT_REC_REVOKE));
	cr_expect_eq(jt_card_died_s(&c.cards[1], NOW), NOW - 10 * DAY + number);
}
