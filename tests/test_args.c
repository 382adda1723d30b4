/* args: options anywhere, and nothing taken that was not meant. */
#include "admin/args.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SECRET                                                                 \
	"jt_live_Zk3mQ0v9XyTb41Rwabcdefghijklmnopqrstuvwxyz0123456789ABCD"

static struct jt_args a;
static char why[JT_WHY_MAX];

#define PARSE(...) parse((const char *[]){"jeton", __VA_ARGS__, NULL})

static bool parse(const char *const *words)
{
	char copy[16][128], *argv[16];
	int argc = 0;

	for (; words[argc]; argc++) {
		snprintf(copy[argc], sizeof(copy[argc]), "%s", words[argc]);
		argv[argc] = copy[argc];
	}
	why[0] = '\0';
	/* results point into argv: compare before the copies go */
	memset(&a, 0, sizeof(a));
	bool ok = jt_args_parse(argc, argv, &a, why);

	static char kept[16][128];
	for (size_t i = 0; i < a.n_words; i++)
		a.words[i] = strcpy(kept[i], a.words[i]);
	if (a.env)
		a.env = strcpy(kept[14], a.env);
	if (a.data)
		a.data = strcpy(kept[15], a.data);
	return ok;
}

Test(args, options_stand_anywhere)
{
	cr_assert(PARSE("--data", "/d", "create", "--env", "e", "x"));
	cr_assert_eq(a.n_words, 2);
	cr_assert_str_eq(a.words[0], "create");
	cr_assert_str_eq(a.words[1], "x");
	cr_assert_str_eq(a.data, "/d");
	cr_assert_str_eq(a.env, "e");
	cr_assert_eq(a.given, JT_BIT(data) | JT_BIT(env));
}

Test(args, values_follow_or_are_joined)
{
	cr_assert(PARSE("--env=a=b"));
	cr_assert_str_eq(a.env, "a=b");
	cr_assert(PARSE("--env=--json"));
	cr_assert_str_eq(a.env, "--json");
	cr_assert_null(a.json);
	cr_assert(PARSE("--cost", "-1"));
	cr_assert_str_eq(a.cost, "-1");
}

Test(args, a_name_of_two_words_has_a_hyphen)
{
	cr_assert(PARSE("--passphrase-file=x"));
	cr_assert_eq(a.given, JT_BIT(passphrase_file));
	cr_assert_str_eq(jt_option_name(JT_OPT_passphrase_file),
			 "passphrase-file");
	cr_assert_not(PARSE("--passphrase_file=x"));
	cr_assert_not(PARSE("--passphrase", "x"));
	cr_assert_not(PARSE("--passphrase-file"));
}

Test(args, two_dashes_end_options)
{
	cr_assert(PARSE("create", "--", "--json", "--"));
	cr_assert_eq(a.n_words, 3);
	cr_assert_str_eq(a.words[1], "--json");
	cr_assert_eq(a.given, 0);
}

Test(args, a_single_dash_is_a_word)
{
	cr_assert(PARSE("-"));
	cr_assert_eq(a.n_words, 1);
	cr_assert(PARSE("-h"));
	cr_assert_eq(a.given, JT_BIT(help));
}

Test(args, refuses_what_is_unknown_or_short)
{
	cr_assert_not(PARSE("--nothing"));
	cr_assert_not_null(strstr(why, "--nothing"));
	cr_assert_not(PARSE("--dat", "/d"));
	cr_assert_not(PARSE("--datax", "/d"));
	cr_assert_not(PARSE("--=x"));
	cr_assert_not(PARSE("--JSON"));
}

Test(args, refuses_missing_empty_and_surplus_values)
{
	cr_assert_not(PARSE("--data"));
	cr_assert_not(PARSE("--data", ""));
	cr_assert_not(PARSE("--data="));
	cr_assert_not(PARSE("--json=yes"));
	cr_assert_not(PARSE("--env", "--json"));
	cr_assert_not_null(strstr(why, "--env needs a value"));
	cr_assert_not(PARSE("--env", "--"));
	cr_assert_not(PARSE("--env", "a", "--env", "b"));
	cr_assert_not(PARSE("--json", "--json"));
}

Test(args, scopes_add_up_to_a_bound)
{
	const char *words[2 * (JT_SCOPES_GIVEN_MAX + 1) + 2] = {"jeton"};
	char copy[sizeof(words) / sizeof(words[0])][8], *argv[40];
	int n = 1;

	for (size_t i = 0; i <= JT_SCOPES_GIVEN_MAX; i++) {
		words[n++] = "--scope";
		words[n++] = "s";
	}
	for (int i = 0; i < n; i++)
		argv[i] = strcpy(copy[i], words[i]);
	cr_assert(jt_args_parse(n - 2, argv, &a, why));
	cr_assert_eq(a.n_scopes, JT_SCOPES_GIVEN_MAX);
	cr_assert_not(jt_args_parse(n, argv, &a, why));
}

Test(args, bounds_words)
{
	static char word[] = "w";
	char *argv[JT_WORDS_GIVEN_MAX + 2] = {word};

	for (int n = 1; n < JT_WORDS_GIVEN_MAX + 2; n++)
		argv[n] = word;
	cr_assert(jt_args_parse(JT_WORDS_GIVEN_MAX + 1, argv, &a, why));
	cr_assert_eq(a.n_words, JT_WORDS_GIVEN_MAX);
	cr_assert_not(jt_args_parse(JT_WORDS_GIVEN_MAX + 2, argv, &a, why));
	cr_assert_not_null(strstr(why, "too many"));
}

Test(args, never_repeats_what_may_be_secret)
{
	cr_assert_not(PARSE("--" SECRET));
	cr_assert_null(strstr(why, "jt_live"));
	cr_assert_not(PARSE("--json=" SECRET));
	cr_assert_null(strstr(why, "jt_live"));
}

Test(args, knows_a_secret_when_it_sees_one)
{
	cr_assert(jt_looks_secret(SECRET));
	cr_assert(jt_looks_secret("--file=" SECRET));
	cr_assert(jt_looks_secret(" " SECRET "\n"));
	cr_assert(jt_looks_secret("jt_live_Zk3mQ0v9XyTb41Rwa"));
	cr_assert_not(jt_looks_secret("jt_live_Zk3mQ0v9XyTb41Rw"));
	cr_assert_not(jt_looks_secret("jt_live_Zk3mQ0v9XyTb41Rw****"));
	cr_assert_not(jt_looks_secret("Production API of the northern site"));
	cr_assert_not(jt_looks_secret("/var/lib/jeton/with/a/long/path/name"));
	cr_assert_not(jt_looks_secret(""));
	cr_assert_not(jt_looks_secret("1:fb9e905d2c4d164ba7c584f6e472dd5c"));
}
