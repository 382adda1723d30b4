/* token: what is one, what is nearly one, and what each near miss is called. */
#include "shm/token.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* Made once; checksums agree with an XXH32 written down from its description,
 * digests are Python's hashlib.blake2b(t, digest_size=32,
 * person=b"jeton-token-v1"). */
static const struct {
	const char *text, *digest;
} known[] = {
	{"jt_live_YmvHx1Uq5HEp06Petc1WAiphflQU3imwohPobsVIke072sM5GH3QTEMa",
	 "f1549a531cce76ceda23b0524b0d9f5ed4b2462319d3a2097ac73bfcd7fcfa59"},
	{"abcd_abc123_ofnpxRX7QN4BWl0mnLUEo8AwOM0nRIIvjDaXgRq8RAYZAO489MFb",
	 "412af278e1b7db3776cd976422c80ec6b7b5344e668f41d14d0bc526ecfb844a"},
	{"jt_live_uVI4tmcmDhKmng9yMADrVC2BPTfSjjfT01WFKarv5V608AJRgH0T0GI8",
	 "6453085ddee8da79278005362082b28dc8d69c550b41acd55933bfd55bc9d1c6"},
};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz";

static enum jt_token_shape shape(const char *text)
{
	return jt_token_shape((const uint8_t *)text, strlen(text));
}

static void make(const char *prefix, const char *env, char out[65])
{
	cr_assert(sodium_init() >= 0);
	memset(out, '#', 65);
	jt_token_make(prefix, env, out);
	cr_assert_eq(out[64], '#', "written past 64 characters");
	out[64] = '\0';
}

static void expect_made(const char *prefix, const char *env)
{
	char text[65], head[16];
	const char *at;
	size_t bytes;

	make(prefix, env, text);
	snprintf(head, sizeof(head), "%s_%s_", prefix, env);
	cr_expect(!strncmp(text, head, strlen(head)), "%s", text);
	cr_expect_eq(strlen(text), 64);
	cr_expect_eq(strspn(text + strlen(head), digits), 64 - strlen(head));
	cr_expect_eq(shape(text), JT_SHAPE_NATIVE);
	cr_assert(jt_public_ok(text, &at, &bytes));
	cr_expect_eq(at, text + strlen(prefix) + 1);
	cr_expect_eq(bytes, strlen(env));
}

Test(token, make_gives_64_fitting_characters)
{
	static const char *const prefixes[] = {"jt", "abc", "zzzz"};
	static const char *const envs[] = {"a", "0", "live", "abc123"};

	for (unsigned p = 0; p < 3; p++)
		for (unsigned e = 0; e < 4; e++)
			for (unsigned i = 0; i < 50; i++)
				expect_made(prefixes[p], envs[e]);
}

Test(token, make_never_repeats_itself)
{
	static char texts[2000][65];

	for (unsigned i = 0; i < 2000; i++)
		make("jt", "live", texts[i]);
	qsort(texts, 2000, 65, (int (*)(const void *, const void *))strcmp);
	for (unsigned i = 1; i < 2000; i++)
		cr_assert_str_neq(texts[i - 1], texts[i]);
}

/* 61 degrees of freedom: 150 is 8 sigma up; a plain `% 62` would give 1300. */
Test(token, make_uses_every_digit_alike)
{
	static uint64_t seen[128];
	const double n = 4000 * 50, want = n / 62;
	double chi = 0;
	char text[65];

	for (unsigned i = 0; i < 4000; i++) {
		make("jt", "live", text);
		for (unsigned k = 8; k < 58; k++)
			seen[(unsigned char)text[k]]++;
	}
	for (const char *d = digits; *d; d++) {
		double off = (double)seen[(unsigned char)*d] - want;

		chi += off * off / want;
	}
	cr_expect_lt(chi, 150.0, "%f", chi);
	cr_expect_gt(chi, 15.0, "%f: too even to be random", chi);
}

Test(token, prefix_is_two_to_four_lower_case_letters)
{
	static const char *const bad[] = {"",	"j",	 "abcde", "Jt",
					  "j1", "j_",	 " jt",	  "jt ",
					  "jT", "j\xe4", "\n\n"};

	cr_expect(jt_prefix_ok("jt"));
	cr_expect(jt_prefix_ok("abc"));
	cr_expect(jt_prefix_ok("azaz"));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(jt_prefix_ok(bad[i]), "\"%s\"", bad[i]);
}

Test(token, env_is_one_to_six_of_lower_case_and_digits)
{
	static const char *const bad[] = {"Live",  "a-b", "a_b", "live ",
					  "a\xe4", "a.b", "/",	 ":"};

	cr_expect(jt_env_ok("a", 1));
	cr_expect(jt_env_ok("09az5t", 6));
	cr_expect_not(jt_env_ok("", 0));
	cr_expect_not(jt_env_ok("abcdefg", 7));
	cr_expect_not(jt_env_ok("a\0b", 3));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(jt_env_ok(bad[i], strlen(bad[i])), "%s", bad[i]);
}

Test(token, env_word_tells_names_apart_and_refuses_others)
{
	cr_expect_eq(jt_env_word("live", 4), 0x6576696cu);
	cr_expect_neq(jt_env_word("a", 1), jt_env_word("aa", 2));
	cr_expect_neq(jt_env_word("abcdef", 6), jt_env_word("abcde", 5));
	cr_expect_eq(jt_env_word("live!", 4), jt_env_word("live", 4));
	cr_expect_eq(jt_env_word("", 0), 0);
	cr_expect_eq(jt_env_word("LIVE", 4), 0);
	cr_expect_eq(jt_env_word("abcdefg", 7), 0);
	cr_expect_eq(jt_env_word("a\0", 2), 0);
}

Test(token, public_part_of_a_wrong_shape_is_refused)
{
	static const char *const bad[] = {
		"j_live_Zk3mQ0v9XyTb41Rw0",    /* prefix too short */
		"abcde_live_Zk3mQ0v9XyTb4",    /* too long */
		"Jt_live_Zk3mQ0v9XyTb41Rw",    /* capital */
		"jt__Zk3mQ0v9XyTb41Rw0123",    /* no environment */
		"jt_abcdefg_Zk3mQ0v9XyTb4",    /* a long one */
		"jt_Live_Zk3mQ0v9XyTb41Rw",    /* a wrong one */
		"jt_live_Zk3mQ0v9XyTb_1Rw",    /* a third underscore */
		"jt_live_Zk3mQ0v9XyTb41R-",    /* no base62 */
		"jt_liveZk3mQ0v9XyTb41Rw0",    /* no second underscore */
		"jtliveZk3mQ0v9XyTb41Rw00",    /* none at all */
		"________________________",    /* nothing else */
		"jt_live_Zk3mQ0v9XyTb41R\xff", /* beyond ASCII */
	};

	cr_expect(jt_public_ok("jt_live_Zk3mQ0v9XyTb41Rw", NULL, NULL));
	cr_expect(jt_public_ok("abcd_abc123_0123456789AB", NULL, NULL));
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(jt_public_ok(bad[i], NULL, NULL), "%s", bad[i]);
}

Test(token, every_change_of_one_character_is_noticed)
{
	char text[65];

	strcpy(text, known[0].text);
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned c = 0; c < 256; c++) {
			if ((char)c == known[0].text[i])
				continue;
			text[i] = (char)c;
			cr_assert_neq(jt_token_shape((uint8_t *)text, 64),
				      JT_SHAPE_NATIVE, "%u: %u", i, c);
		}
		text[i] = known[0].text[i];
	}
}

Test(token, neighbours_changing_places_are_noticed)
{
	char text[65];

	for (unsigned i = 8; i + 1 < 64; i++) {
		strcpy(text, known[0].text);
		if (text[i] == text[i + 1])
			continue;
		text[i] = known[0].text[i + 1];
		text[i + 1] = known[0].text[i];
		cr_expect_eq(shape(text), JT_SHAPE_MISTYPED, "%s", text);
	}
}

Test(token, known_tokens_are_native)
{
	for (unsigned i = 0; i < N_KNOWN; i++)
		cr_expect_eq(shape(known[i].text), JT_SHAPE_NATIVE);
}

Test(token, no_byte_is_missing)
{
	cr_expect_eq(jt_token_shape(NULL, 0), JT_SHAPE_MISSING);
	cr_expect_eq(shape(""), JT_SHAPE_MISSING);
}

static void expect_around(const char *before, const char *token,
			  const char *after, enum jt_token_shape want)
{
	char text[256];

	snprintf(text, sizeof(text), "%s%s%s", before, token, after);
	cr_expect_eq(shape(text), want, "\"%s\": %d", text, shape(text));
}

Test(token, blanks_around_a_token_are_named)
{
	static const char *const blanks[] = {" ",  "\t", "\n",	 "\r",
					     "\v", "\f", "\r\n", " \t \n "};
	const char *t = known[0].text;

	for (unsigned i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
		expect_around(blanks[i], t, "", JT_SHAPE_WHITESPACE);
		expect_around("", t, blanks[i], JT_SHAPE_WHITESPACE);
		expect_around(blanks[i], t, blanks[i], JT_SHAPE_WHITESPACE);
	}
}

Test(token, blanks_alone_or_inside_are_malformed)
{
	char text[80];

	expect_around(" ", "", "", JT_SHAPE_MALFORMED);
	expect_around("\r\n\t ", "", "", JT_SHAPE_MALFORMED);
	for (unsigned i = 1; i < 64; i++) {
		snprintf(text, sizeof(text), "%.*s %s", (int)i, known[0].text,
			 known[0].text + i);
		cr_expect_eq(shape(text), JT_SHAPE_MALFORMED, "%s", text);
		text[i] = '\0'; /* the first half, and a blank in 64 bytes */
		expect_around("", text, " ", JT_SHAPE_MALFORMED);
	}
}

Test(token, blanks_around_a_mistyped_token_are_malformed)
{
	char text[65];

	strcpy(text, known[0].text);
	text[30] = text[30] == 'x' ? 'y' : 'x';
	cr_expect_eq(shape(text), JT_SHAPE_MISTYPED);
	expect_around(" ", text, "\n", JT_SHAPE_MALFORMED);
}

Test(token, every_cut_and_every_addition_is_malformed)
{
	const char *t = known[0].text;

	for (size_t n = 1; n < 64; n++) {
		cr_expect_eq(jt_token_shape((const uint8_t *)t, n),
			     JT_SHAPE_MALFORMED, "%zu", n);
		cr_expect_eq(shape(t + n), JT_SHAPE_MALFORMED, "%zu", n);
	}
	expect_around("", t, "a", JT_SHAPE_MALFORMED);
	expect_around("a", t, "", JT_SHAPE_MALFORMED);
	expect_around("", t, t, JT_SHAPE_MALFORMED);
	expect_around("Bearer ", t, "", JT_SHAPE_MALFORMED);
	expect_around("\"", t, "\"", JT_SHAPE_MALFORMED);
	cr_expect_eq(jt_token_shape((const uint8_t *)t, 65), JT_SHAPE_MALFORMED,
		     "a zero byte behind it");
}

Test(token, wrong_alphabet_is_malformed_and_wrong_digit_mistyped)
{
	static const char odd[] = "_-+/=.~ \x01\x7f\x80\xff";
	char text[65];

	for (unsigned i = 24; i < 64; i++) {
		strcpy(text, known[0].text);
		for (const char *c = odd; *c; c++) {
			if (i == 63 && *c == ' ')
				continue;
			text[i] = *c;
			cr_expect_eq(shape(text), JT_SHAPE_MALFORMED, "%s",
				     text);
		}
		text[i] = known[0].text[i] == '0' ? '1' : '0';
		cr_expect_eq(shape(text), JT_SHAPE_MISTYPED, "%s", text);
	}
}

Test(token, digest_is_blake2b_256_with_our_personalisation)
{
	static const uint8_t personal[16] = "jeton-token-v1";
	uint8_t got[JT_VALUE_DIGEST], want[JT_VALUE_DIGEST];
	char hex[65];

	for (unsigned i = 0; i < N_KNOWN; i++) {
		const uint8_t *t = (const uint8_t *)known[i].text;

		jt_token_digest(t, got);
		sodium_bin2hex(hex, sizeof(hex), got, sizeof(got));
		cr_expect_str_eq(hex, known[i].digest);
		crypto_generichash_blake2b_salt_personal(want, 32, t, 64, NULL,
							 0, NULL, personal);
		cr_expect_arr_eq(got, want, 32);
		crypto_generichash_blake2b(want, 32, t, 64, NULL, 0);
		cr_expect_arr_neq(got, want, 32);
	}
}

Test(token, digests_of_several_are_those_of_each)
{
	uint64_t got[JT_TOKEN_DIGESTS][JT_VALUE_DIGEST / 8];
	const uint8_t *values[JT_TOKEN_DIGESTS];
	uint8_t want[JT_VALUE_DIGEST];

	for (unsigned n = 1; n <= JT_TOKEN_DIGESTS; n++) {
		memset(got, 0xee, sizeof(got));
		for (unsigned i = 0; i < n; i++)
			values[i] = (const uint8_t *)known[i % N_KNOWN].text;
		jt_token_digests(values, n, got);
		for (unsigned i = 0; i < n; i++) {
			jt_token_digest(values[i], want);
			cr_expect_arr_eq(got[i], want, sizeof(want));
		}
		for (unsigned i = n; i < JT_TOKEN_DIGESTS; i++)
			cr_expect_eq(got[i][0], 0xeeeeeeeeeeeeeeee);
	}
}

Test(token, key_depends_on_seed_and_on_every_public_character)
{
	uint8_t id[JT_PUBLIC_BYTES];
	uint64_t key;

	memcpy(id, known[0].text, sizeof(id));
	key = jt_token_key(id, 1);
	cr_expect_eq(jt_token_key(id, 1), key);
	cr_expect_neq(jt_token_key(id, 2), key);
	cr_expect_neq(jt_token_key(id, 1ull << 63), key);
	for (unsigned i = 0; i < sizeof(id); i++) {
		id[i] ^= 1;
		cr_expect_neq(jt_token_key(id, 1), key, "%u", i);
		id[i] ^= 1;
	}
}

/* ---- another value for the same id ---- */

Test(token, remake_keeps_the_id_and_nothing_else)
{
	char before[65], after[65];
	unsigned same = 0;

	make("jt", "live", before);
	for (unsigned i = 0; i < 1000; i++) {
		memset(after, '#', sizeof(after));
		jt_token_remake(before, after);
		cr_assert_eq(after[64], '#', "written past 64 characters");
		after[64] = '\0';
		cr_assert_arr_eq(after, before, JT_PUBLIC_BYTES);
		cr_assert_eq(shape(after), JT_SHAPE_NATIVE);
		for (unsigned k = JT_PUBLIC_BYTES; k < 58; k++)
			same += before[k] == after[k];
		memcpy(before, after, sizeof(before));
	}
	/* 34,000 characters, one in 62: 548, six standard deviations 140 */
	cr_expect_lt(same, 690);
}

Test(token, native_is_what_has_our_form_and_that_prefix)
{
	static const char jt[8] = "jt", abcd[8] = "abcd", j[8] = "j";
	char text[65], *c = &text[60];

	make("jt", "live", text);
	cr_expect(jt_token_is_native((uint8_t *)text, 64, jt));
	cr_expect_not(jt_token_is_native((uint8_t *)text, 64, abcd));
	cr_expect_not(jt_token_is_native((uint8_t *)text, 64, j));
	cr_expect_not(jt_token_is_native((uint8_t *)text, 63, jt));
	*c = *c == 'x' ? 'y' : 'x';
	cr_expect(jt_token_is_native((uint8_t *)text, 64, jt),
		  "checksum aside");
	*c = '-';
	cr_expect_not(jt_token_is_native((uint8_t *)text, 64, jt));
	make("abcd", "live", text);
	cr_expect(jt_token_is_native((uint8_t *)text, 64, abcd));
	cr_expect_not(jt_token_is_native((uint8_t *)text, 64, jt));
	memset(text, '_', 64);
	cr_expect_not(jt_token_is_native((uint8_t *)text, 64, jt));
}

/* ---- values of other systems ---- */

static void expect_other(const char *value, bool prefixed, const char *want)
{
	uint8_t digest[JT_VALUE_DIGEST] = {0};
	char hex[2 * JT_VALUE_DIGEST + 1];

	cr_expect_eq(jt_token_digest_other((const uint8_t *)value,
					   strlen(value), prefixed, digest),
		     want[0] != '\0', "`%s`", value);
	if (!want[0])
		return;
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	cr_expect_str_eq(hex, want);
}

/* printf %s secret | sha256sum */
#define OF_SECRET                                                              \
	"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
Test(token, other_digest_is_sha256_of_the_value_or_of_its_end)
{
	expect_other("secret", false, OF_SECRET);
	expect_other("a_secret", true, OF_SECRET);
	expect_other("a_b_secret", true, OF_SECRET);
	expect_other("_secret", true, OF_SECRET);
	expect_other("", false, "");
	expect_other("", true, "");
	expect_other("secret", true, "");
	expect_other("secret_", true, "");
	expect_other("_", true, "");
	expect_other("_", false,
		     "d2e2adf7177b7a8afddbc12d1634cf23ea1a71020f6a1308070a16400"
		     "fb68fde");
}

/* { printf a_b_; head -c 1229 /dev/zero | tr '\0' v; } | sha256sum */
#define OF_LONG                                                                \
	"b7ea1c9811b779d503970bc1034c31bf373eb660cf2bdae55fc96e7099a2a8e1"
/* head -c 1229 /dev/zero | tr '\0' v | sha256sum */
#define OF_ITS_END                                                             \
	"75c837b3520f3c1876bb715ed6e7706cb2f5bf0d03bde1d05679076c6630ca14"
Test(token, other_digest_is_of_every_byte_of_a_long_value)
{
	char value[4 + 1229 + 1] = "a_b_";

	memset(value + 4, 'v', 1229);
	expect_other(value, false, OF_LONG);
	expect_other(value, true, OF_ITS_END);
	expect_other(value + 4, false, OF_ITS_END);
	expect_other(value + 4, true, "");
}

Test(token, other_id_shows_the_digests_first_bytes_and_gives_them_back)
{
	static const char *const prefixes[] = {"jt", "abc", "abcd"};
	static const char *const envs[] = {"a", "live", "stage2"};
	uint8_t digest[JT_VALUE_DIGEST];
	char id[JT_PUBLIC_BYTES + 1];
	uint64_t seed = 3, key, back;

	for (unsigned i = 0; i < 9000; i++) {
		const char *env = envs[i % 3], *at;
		size_t bytes;

		key = i < 9 ? 0 : i < 18 ? UINT64_MAX : help_random(&seed);
		memset(digest, (int)i, sizeof(digest));
		memcpy(digest, &key, 8);
		id[JT_PUBLIC_BYTES] = '#';
		jt_token_other_id(prefixes[i / 3 % 3], env, digest, id);
		cr_assert_eq(id[JT_PUBLIC_BYTES], '#', "written past it");
		cr_assert(jt_public_ok(id, &at, &bytes));
		cr_assert_eq(bytes, strlen(env));
		cr_assert_arr_eq(at, env, bytes);
		cr_assert(jt_token_other_key(id, &back));
		cr_assert_eq(back, key);
	}
}

Test(token, id_that_cannot_be_of_another_systems_value_has_no_key)
{
	uint64_t key = 77;

	/* 2^64 - 1 and the number after it, in base62 */
	cr_expect(jt_token_other_key("jt_live_00000LygHa16AHYF", &key));
	cr_expect_eq(key, UINT64_MAX);
	cr_expect_not(jt_token_other_key("jt_live_00000LygHa16AHYG", &key));
	cr_expect_not(jt_token_other_key("jt_live_zzzzzzzzzzzzzzzz", &key));
	cr_expect_not(jt_token_other_key("jt_live_00001000000000000", &key));
	cr_expect_not(jt_token_other_key("jt_live_0000000000000-00", &key));
	cr_expect_not(jt_token_other_key("________________________", &key));
	cr_expect_not(jt_token_other_key("jt_stagingx_000000000000", &key));
}

Test(token, ids_made_at_random_are_hardly_ever_such)
{
	char text[65];
	uint64_t key;

	for (unsigned i = 0; i < 10000; i++) {
		make("jt", "live", text);
		cr_expect_not(jt_token_other_key(text, &key));
	}
}
