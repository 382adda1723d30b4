/* scope: what is a name, which number it has, and what a set of them grants. */
#include "shm/scope.h"

#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct help_table t;

static void start(void)
{
	help_table_new(&t, 64);
}

TestSuite(scope, .init = start);

static void put(uint16_t number, const char *name)
{
	jt_scope_put(&t.maps, number,
		     help_scope_record(number, name).scope.name);
}

static uint16_t number_of(const char *name)
{
	return jt_scope_number(&t.reader, (const uint8_t *)name, strlen(name));
}

/* A set with those numbers, which end with 0. */
static const struct jt_scope_set *set_of(const uint16_t *numbers)
{
	static struct jt_scope_set set;

	memset(&set, 0, sizeof(set));
	for (; *numbers; numbers++)
		set.bits[(*numbers - 1) / 64] |= 1ull << (*numbers - 1) % 64;
	return &set;
}

#define SET(...) set_of((const uint16_t[]){__VA_ARGS__, 0})

static bool granted(const struct jt_scope_set *set, const char *name)
{
	return jt_scope_granted(&t.reader, set, (const uint8_t *)name,
				strlen(name));
}

#define LONGEST                                                                \
	"1234567890123456789012345678901234567890123456789012345678901234"

/* ---- names ---- */

Test(scope, names_have_parts_with_colons_between)
{
	static const char *const good[] = {
		"a",	    "A.b_c-9", "orders:read", "a:b:c:d", "*",
		"orders:*", "a:*",     "-",	      "a:b:*",	 LONGEST,
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(jt_scope_ok(good[i], strlen(good[i])), "%s", good[i]);
}

Test(scope, other_names_are_refused)
{
	static const char *const bad[] = {
		"",	    ":",    "a:",    ":a",	  "a::b", "a*",
		"*a",	    "*:a",  "a:*:b", "**",	  "a:**", "a b",
		" a",	    "a ",   "a,b",   "a/b",	  "a\n",  "a\x1b",
		"\xc3\xa4", "a:b*", "a\"b",  LONGEST "5",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(jt_scope_ok(bad[i], strlen(bad[i])), "`%s`",
			      bad[i]);
	cr_expect_not(jt_scope_ok("a\0b", 3));
	cr_expect_not(jt_scope_ok("a\0", 2));
}

/* ---- numbers ---- */

Test(scope, name_has_the_number_under_which_it_was_put)
{
	cr_expect_eq(number_of("a"), 0);
	put(1, "a");
	put(2, "a:b");
	put(3, LONGEST);
	cr_expect_eq(number_of("a"), 1);
	cr_expect_eq(number_of("a:b"), 2);
	cr_expect_eq(number_of(LONGEST), 3);
	cr_expect_eq(t.reader.identity->scopes, 3);
}

Test(scope, name_that_is_nearly_one_has_no_number)
{
	put(1, "orders");
	put(2, LONGEST);
	cr_expect_eq(number_of(""), 0);
	cr_expect_eq(number_of("order"), 0);
	cr_expect_eq(number_of("orderss"), 0);
	cr_expect_eq(number_of("Orders"), 0);
	cr_expect_eq(jt_scope_number(&t.reader, (const uint8_t *)"orders\0", 7),
		     0);
	cr_expect_eq(number_of(LONGEST "5"), 0);
	cr_expect_eq(jt_scope_number(&t.reader, (const uint8_t *)LONGEST, 63),
		     0);
}

Test(scope, each_of_256_is_found)
{
	char name[16];

	for (unsigned i = 1; i <= JT_SCOPES_MAX; i++) {
		snprintf(name, sizeof(name), "part%u:%u", i % 7, i);
		put((uint16_t)i, name);
	}
	for (unsigned i = 1; i <= JT_SCOPES_MAX; i++) {
		snprintf(name, sizeof(name), "part%u:%u", i % 7, i);
		cr_expect_eq(number_of(name), i);
		for (unsigned k = 1; k <= JT_SCOPES_MAX; k++)
			cr_assert_eq(granted(SET((uint16_t)k), name), k == i);
	}
	for (unsigned i = 1; i < 10000; i++) {
		snprintf(name, sizeof(name), "no%u", i);
		cr_assert_eq(number_of(name), 0);
	}
}

/* ---- grants ---- */

Test(scope, set_grants_the_names_in_it_and_no_others)
{
	put(1, "orders:read");
	put(2, "orders:write");
	put(3, "orders");
	cr_expect(granted(SET(1, 3), "orders:read"));
	cr_expect(granted(SET(1, 3), "orders"));
	cr_expect_not(granted(SET(1, 3), "orders:write"));
	cr_expect_not(granted(SET(1, 3), "orders:read:own"));
	cr_expect_not(granted(SET(3), "orders:read"));
	cr_expect_not(granted(SET(1), "orders"));
	cr_expect_not(granted(SET(1, 2, 3), "billing"));
}

Test(scope, no_set_grants_nothing)
{
	put(1, "*");
	cr_expect_not(granted(NULL, "a"));
	cr_expect_not(granted(SET(0), "a"));
}

Test(scope, star_at_the_end_grants_all_below_and_not_the_part_itself)
{
	put(1, "orders:*");
	put(2, "orders:read:*");
	cr_expect(granted(SET(1), "orders:read"));
	cr_expect(granted(SET(1), "orders:read:own"));
	cr_expect(granted(SET(1), "orders:unheard-of"));
	cr_expect(granted(SET(1), "orders:*"));
	cr_expect(granted(SET(1), "orders:read:*"));
	cr_expect_not(granted(SET(1), "orders"));
	cr_expect_not(granted(SET(1), "orders:"));
	cr_expect_not(granted(SET(1), "ordersx:read"));
	cr_expect_not(granted(SET(1), "order:read"));
	cr_expect_not(granted(SET(1), "x:orders:read"));
	cr_expect_not(granted(SET(1), "*"));
	cr_expect(granted(SET(2), "orders:read:own"));
	cr_expect_not(granted(SET(2), "orders:read"));
	cr_expect_not(granted(SET(2), "orders:write:own"));
	cr_expect_not(granted(SET(2), "orders:*"));
}

Test(scope, star_alone_grants_every_name)
{
	put(1, "*");
	cr_expect(granted(SET(1), "a"));
	cr_expect(granted(SET(1), "a:b:c"));
	cr_expect(granted(SET(1), "*"));
	cr_expect(granted(SET(1), "a:*"));
	cr_expect(granted(SET(1), LONGEST));
	cr_expect_not(granted(SET(1), ""));
	cr_expect_not(granted(SET(1), LONGEST "5"));
}

Test(scope, longest_name_below_a_star_is_granted)
{
	char name[JT_SCOPE_BYTES + 2];

	memset(name, 'x', sizeof(name));
	name[1] = ':';
	name[JT_SCOPE_BYTES] = '\0';
	put(1, "x:*");
	cr_expect(granted(SET(1), name));
	name[JT_SCOPE_BYTES] = 'x';
	name[JT_SCOPE_BYTES + 1] = '\0';
	cr_expect_not(granted(SET(1), name));
	/* colons only: each a place for a star */
	memset(name, ':', JT_SCOPE_BYTES);
	name[JT_SCOPE_BYTES] = '\0';
	cr_expect_not(granted(SET(1), name));
}

Test(scope, any_bytes_may_be_asked_for)
{
	uint64_t seed = 6;
	uint8_t name[80];

	put(1, "orders:*");
	put(2, "a");
	for (unsigned i = 0; i < 100000; i++) {
		size_t n = help_random(&seed) % sizeof(name);

		for (size_t k = 0; k < n; k++)
			name[k] = "a:*\0r\xff"[help_random(&seed) % 6];
		if (n == 1 && name[0] == 'a')
			continue;
		cr_assert_not(jt_scope_granted(&t.reader, SET(1, 2), name, n));
	}
}

/* ---- hostile memory ---- */

static void fill_places(uint16_t number)
{
	struct jt_scopes *scopes =
		(struct jt_scopes *)((char *)t.maps.identity_rw +
				     t.maps.identity->scopes_off);

	for (unsigned i = 0; i < JT_SCOPE_PLACES; i++)
		scopes->places[i] = number;
}

Test(scope, number_out_of_range_is_none)
{
	put(1, "a");
	fill_places(257);
	cr_expect_eq(number_of("a"), 0);
	fill_places(UINT16_MAX);
	cr_expect_eq(number_of("a"), 0);
}

Test(scope, index_without_a_free_place_ends_the_search, .timeout = 5)
{
	put(1, "a");
	fill_places(1);
	cr_expect_eq(number_of("b"), 0);
	cr_expect_eq(number_of("a"), 1);
}
