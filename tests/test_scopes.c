/* scopes: lists as people write them become one canonical text. */
#include "admin/scopes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void gives(const char *text, const char *want)
{
	char out[JT_SCOPES_TEXT];
	int e = jt_scopes_parse(text, out);

	cr_expect_eq(e, 0, "`%s`: %d", text, e);
	cr_expect_str_eq(out, want);
}

static void refused(const char *text, int want)
{
	char out[JT_SCOPES_TEXT];
	int e = jt_scopes_parse(text, out);

	cr_expect_eq(e, want, "`%s`: %d, not %d", text, e, want);
}

Test(scopes, order_blanks_commas_and_repetition_are_no_matter)
{
	gives("a", "a");
	gives("b,a", "a b");
	gives("b a", "a b");
	gives(" b , a ,, a b ", "a b");
	gives("orders:*,*,orders:read", "* orders:* orders:read");
	gives("B,a,A", "A B a");
	gives("none,a", "a none");
}

Test(scopes, nothing_and_none_are_no_scope)
{
	gives("", "");
	gives("none", "");
	gives(" , ", "");
}

Test(scopes, canonical_form_is_its_own)
{
	char once[JT_SCOPES_TEXT], twice[JT_SCOPES_TEXT];

	cr_assert_eq(jt_scopes_parse("z:y,a b:*,-", once), 0);
	cr_assert_eq(jt_scopes_parse(once, twice), 0);
	cr_expect_str_eq(once, twice);
}

Test(scopes, other_names_are_refused)
{
	static const char *const texts[] = {
		"a:",
		":a",
		"a::b",
		"a*",
		"*a",
		"a;b",
		"a\tb",
		"a\nb",
		"a\x1b[2J",
		"\xc3\xa4",
		"a/b",
		"**",
		"a:*:b",
		"a,b:",
		"\"a\"",
		/* 65 */
		("1234567890123456789012345678901234567890123456789012345678901"
		 "2"
		 "345"),
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refused(texts[i], JT_SCOPES_E_NAME);
}

Test(scopes, list_is_bounded)
{
	char text[JT_SCOPES_TEXT + 1];
	size_t n;

	for (n = 0; n < 2047; n++)
		text[n] = n % 8 == 7 ? ',' : (char)('a' + n / 8 % 26);
	text[n] = '\0';
	refused(text, 0);
	text[n++] = 'x';
	text[n] = '\0';
	refused(text, JT_SCOPES_E_LONG);
}

Test(scopes, as_many_names_as_there_are_numbers)
{
	char text[JT_SCOPES_TEXT] = "", out[JT_SCOPES_TEXT];
	const char *at = out;
	char name[JT_SCOPE_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < 256; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "s%u,", i);
	cr_assert_eq(jt_scopes_parse(text, out), 0);
	while (jt_scopes_next(&at, name))
		n++;
	cr_expect_eq(n, 256);
	strcat(text, "s0");
	refused(text, JT_SCOPES_E_LONG);
}

Test(scopes, next_steps_through_the_names)
{
	static const char list[] = "* a:b "
				   "1234567890123456789012345678901234567890123"
				   "456789012345678901234";
	const char *at = list;
	char name[JT_SCOPE_MAX];
	static const char zeros[JT_SCOPE_MAX];

	memset(name, '#', sizeof(name));
	cr_assert(jt_scopes_next(&at, name));
	cr_expect_eq(name[0], '*');
	cr_expect_arr_eq(name + 1, zeros, sizeof(name) - 1);
	cr_assert(jt_scopes_next(&at, name));
	cr_expect_str_eq(name, "a:b");
	cr_assert(jt_scopes_next(&at, name));
	cr_expect_arr_eq(name, list + 6, JT_SCOPE_MAX);
	cr_expect_not(jt_scopes_next(&at, name));
	cr_expect_not(jt_scopes_next(&at, name));
}

Test(scopes, next_stops_at_a_name_that_is_too_long)
{
	char text[100], name[JT_SCOPE_MAX];
	const char *at = text;

	memset(text, 'x', 65);
	text[65] = '\0';
	cr_expect_not(jt_scopes_next(&at, name));
}

Test(scopes, plans_have_their_own_names)
{
	static const char *const good[] = {"gold", "a", "0", "a.b_c-9",
					   "12345678901234567890123456789012"};
	static const char *const bad[] = {
		"",	    "Gold", "a b",
		"a:b",	    "*",    "g\n",
		"\xc3\xa4", "a,b",  "123456789012345678901234567890123"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(jt_plan_name_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(jt_plan_name_ok(bad[i]), "%s", bad[i]);
}

Test(scopes, each_refusal_says_why)
{
	cr_expect_not_null(strstr(jt_scopes_why(JT_SCOPES_E_NAME), "orders"));
	cr_expect_not_null(strstr(jt_scopes_why(JT_SCOPES_E_LONG), "2047"));
}
