/* known, intake: digests of other systems, and what becomes of their rows. */
#include "admin/intake.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jt_intake in;
static uint8_t digest[JT_DIGEST_BYTES];
static char why[JT_WHY_MAX];

static void setup(void)
{
	cr_assert(sodium_init() >= 0);
	cr_assert_eq(jt_intake_init(&in, JT_INTAKE_HEX), 0);
	strcpy(in.issue.prefix, "jt");
	cr_assert_eq(jt_catalog_init(&in.fold.catalog), 0);
}

static void teardown(void)
{
	jt_intake_deinit(&in);
}

TestSuite(intake, .init = setup, .fini = teardown);

static bool parse(enum jt_intake_form form, const char *cell)
{
	return jt_intake_digest(form, "jt", cell, digest, why);
}

static void refused(enum jt_intake_form form, const char *cell,
		    const char *want)
{
	cr_assert_not(parse(form, cell), "%s", cell);
	cr_assert_not_null(strstr(why, want), "%s: %s", cell, why);
}

Test(intake, knows_three_schemes)
{
	enum jt_intake_form form;

	cr_assert(jt_intake_form_parse("sha256-hex", &form));
	cr_assert_eq(form, JT_INTAKE_HEX);
	cr_assert(jt_intake_form_parse("sha256-base64", &form));
	cr_assert_eq(form, JT_INTAKE_BASE64);
	cr_assert(jt_intake_form_parse("sha256-prefixed", &form));
	cr_assert_eq(form, JT_INTAKE_PREFIXED);
	cr_assert_not(jt_intake_form_parse("sha256", &form));
	cr_assert_not(jt_intake_form_parse("", &form));
}

/* SHA-256 of "abc", FIPS 180-2. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

Test(intake, takes_hex_in_both_cases)
{
	static const uint8_t first[] = {0xba, 0x78, 0x16, 0xbf};
	char upper[65] = ABC;

	cr_assert(parse(JT_INTAKE_HEX, ABC));
	cr_assert_eq(memcmp(digest, first, 4), 0);
	cr_assert_eq(digest[31], 0xad);
	for (char *c = upper; *c; c++)
		*c = *c >= 'a' ? (char)(*c - 32) : *c;
	memset(digest, 0, sizeof(digest));
	cr_assert(parse(JT_INTAKE_PREFIXED, upper));
	cr_assert_eq(digest[31], 0xad);
}

Test(intake, takes_base64_in_four_spellings)
{
	static const int variants[] = {
		sodium_base64_VARIANT_ORIGINAL,
		sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
		sodium_base64_VARIANT_URLSAFE,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING,
	};
	uint8_t want[JT_DIGEST_BYTES];
	char text[64];

	for (int round = 0; round < 1000; round++) {
		randombytes_buf(want, sizeof(want));
		for (int i = 0; i < 4; i++) {
			sodium_bin2base64(text, sizeof(text), want,
					  sizeof(want), variants[i]);
			cr_assert(parse(JT_INTAKE_BASE64, text), "%s: %s", text,
				  why);
			cr_assert_eq(memcmp(digest, want, 32), 0);
		}
	}
}

Test(intake, refuses_what_is_no_digest)
{
	refused(JT_INTAKE_HEX, "", "is empty");
	refused(JT_INTAKE_HEX, "abc", "has 3 characters");
	refused(JT_INTAKE_HEX, ABC "0", "has 65 characters");
	refused(JT_INTAKE_HEX,
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015"
		"a"
		"g",
		"character 64");
	refused(JT_INTAKE_BASE64, ABC, "has 64 characters");
	refused(JT_INTAKE_BASE64, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa1",
		"not base64");
	refused(JT_INTAKE_BASE64, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
		"not base64");
	refused(JT_INTAKE_BASE64,
		"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa==", "not base64");
	refused(JT_INTAKE_HEX,
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852"
		"b855",
		"empty value");
	refused(JT_INTAKE_BASE64,
		"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "empty value");
}

Test(intake, refuses_values_of_ours_whole_or_cut)
{
	char token[JT_TOKEN_BYTES + 1] = "";

	for (int round = 0; round < 200; round++) {
		jt_token_make("jt", "live", token);
		refused(JT_INTAKE_HEX, token, "token value");
		refused(JT_INTAKE_BASE64, token, "token value");
		token[43] = '\0'; /* every fourth is base64 of 32 bytes */
		refused(JT_INTAKE_BASE64, token, "token value");
	}
}

/* ---- known ---- */

Test(intake, known_finds_by_eight_bytes)
{
	struct jt_known k;
	uint8_t d[JT_DIGEST_BYTES] = {0};

	cr_assert_eq(jt_known_init(&k), 0);
	for (uint32_t i = 0; i < 10000; i++) {
		memcpy(d, &i, sizeof(i));
		cr_assert_null(jt_known_find(&k, d));
		cr_assert_eq(jt_known_put(&k, d, JT_VALUE_SHA256, i), 0);
	}
	for (uint32_t i = 0; i < 10000; i++) {
		memcpy(d, &i, sizeof(i));
		d[31] = 7; /* not of the key */
		cr_assert_eq(jt_known_find(&k, d)->at, i);
	}
	d[7] = 1;
	cr_assert_null(jt_known_find(&k, d));
	jt_known_deinit(&k);
}

/* ---- rows ---- */

static int row(uint64_t line, const char *cell)
{
	struct jt_draft d = {.name = "n", .env = "live", .expires_s = 9};
	const char *column;
	int e = jt_intake_row(&in, line, &d, cell, &column, why);

	return e == JT_BULK_BAD ? jt_intake_bad(&in, line, column, why) : e;
}

static void is_row(size_t i, enum jt_intake_result result, const char *text)
{
	char id[JT_ID_BYTES + 1];

	cr_assert_eq(in.rows[i].result, result);
	jt_intake_tell(&in, &in.rows[i], 5, id, why);
	cr_assert_not_null(strstr(why, text), "%s", why);
	cr_assert_eq(strlen(id),
		     result == JT_INTAKE_DUPLICATE || result == JT_INTAKE_BAD
			     ? 0u
			     : JT_ID_BYTES);
}

/* The journal has that token now. */
static void commit(const uint8_t value[JT_DIGEST_BYTES], uint8_t type,
		   uint8_t scheme)
{
	static uint64_t number;
	struct jt_record r = {.type = type, .number = ++number, .env = "live"};
	struct jt_fault fault;

	memcpy(r.token.digest, value, JT_DIGEST_BYTES);
	jt_token_other_id("jt", "live", value, r.token.id);
	r.token.scheme = scheme;
	r.token.expires_s = 9;
	cr_assert_eq(jt_catalog_apply(&in.fold.catalog, &r, &fault), 0);
	cr_assert_eq(in.fold.each(in.fold.ctx, &in.fold.catalog, &r), 0);
}

static const char *cell(int i)
{
	static char text[65];

	memset(text, '0', 64);
	snprintf(text + 1, 7, "%06d", i);
	text[7] = '0';
	return text;
}

Test(intake, rows_become_records_or_are_told)
{
	cr_assert_eq(row(2, cell(1)), 0);
	cr_assert_eq(row(3, cell(2)), 0);
	cr_assert_eq(row(5, cell(1)), 0);
	cr_assert_eq(row(6, "no digest"), 0);
	cr_assert_eq(in.issue.n, 2);
	is_row(0, JT_INTAKE_READY, "");
	is_row(2, JT_INTAKE_DUPLICATE, "duplicate of line 2");
	is_row(3, JT_INTAKE_BAD, "digest has 9 characters");
	cr_assert_eq(in.counts[JT_INTAKE_READY], 2);
	cr_assert_eq(in.issue.records[1].token.scheme, JT_VALUE_SHA256);
	jt_intake_imported(&in);
	is_row(1, JT_INTAKE_IMPORTED, "");
	cr_assert_eq(in.counts[JT_INTAKE_READY], 0);
}

Test(intake, what_is_in_the_journal_stays_as_it_is)
{
	for (int i = 0; i < 3; i++) {
		cr_assert(parse(JT_INTAKE_HEX, cell(i)));
		commit(digest, JT_REC_CREATE, JT_VALUE_SHA256);
	}
	cr_assert(parse(JT_INTAKE_HEX, cell(1)));
	commit(digest, JT_REC_REVOKE, JT_VALUE_SHA256);
	cr_assert(parse(JT_INTAKE_HEX, cell(2)));
	commit(digest, JT_REC_REVOKE, JT_VALUE_SHA256);
	commit(digest, JT_REC_PURGE, JT_VALUE_SHA256);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(row(2, cell(i)), 0);
	is_row(0, JT_INTAKE_EXISTS, "active");
	is_row(1, JT_INTAKE_EXISTS, "revoked");
	is_row(2, JT_INTAKE_READY, "");
	cr_assert_eq(in.issue.n, 1);
	/* and once more, in another place of the catalog or not */
	cr_assert(parse(JT_INTAKE_HEX, cell(2)));
	commit(digest, JT_REC_CREATE, JT_VALUE_SHA256);
	in.fold.reader.next++;
	cr_assert_eq(jt_intake_again(&in), 0);
	is_row(2, JT_INTAKE_EXISTS, "active");
	cr_assert_eq(in.issue.n, 0);
}

Test(intake, what_came_meanwhile_is_not_imported_again)
{
	uint8_t alike[JT_DIGEST_BYTES];

	for (int i = 0; i < 5; i++)
		cr_assert_eq(row(2, cell(i)), 0);
	cr_assert_eq(jt_intake_again(&in), 0);
	cr_assert_eq(in.issue.n, 5);
	cr_assert(parse(JT_INTAKE_HEX, cell(1)));
	commit(digest, JT_REC_CREATE, JT_VALUE_SHA256);
	cr_assert(parse(JT_INTAKE_HEX, cell(3)));
	memcpy(alike, digest, sizeof(alike));
	alike[31] ^= 1;
	commit(alike, JT_REC_CREATE, JT_VALUE_SHA256);
	in.fold.reader.next++;
	cr_assert_eq(jt_intake_again(&in), 0);
	is_row(0, JT_INTAKE_READY, "");
	is_row(1, JT_INTAKE_EXISTS, "active");
	is_row(2, JT_INTAKE_READY, "");
	is_row(3, JT_INTAKE_BAD, "8 bytes");
	is_row(4, JT_INTAKE_READY, "");
	cr_assert_eq(in.issue.n, 3);
	for (int i = 0, k = 0; i < 5; i++) {
		if (in.rows[i].result != JT_INTAKE_READY)
			continue;
		cr_assert_eq(in.rows[i].at, (uint32_t)k);
		cr_assert(parse(JT_INTAKE_HEX, cell(i)));
		cr_assert_eq(
			memcmp(in.issue.records[k++].token.digest, digest, 32),
			0);
	}
}

Test(intake, one_digest_has_one_scheme)
{
	cr_assert(parse(JT_INTAKE_HEX, cell(1)));
	commit(digest, JT_REC_CREATE, JT_VALUE_PREFIXED);
	cr_assert_eq(row(2, cell(1)), 0);
	is_row(0, JT_INTAKE_BAD, "--scheme");
}

/* The value that a rotation has replaced is still that of a token. */
Test(intake, a_value_before_a_rotation_is_known)
{
	struct jt_record r = {
		.type = JT_REC_ROTATE, .number = 100, .env = "live"};
	struct jt_fault fault;

	cr_assert(parse(JT_INTAKE_HEX, cell(1)));
	commit(digest, JT_REC_CREATE, JT_VALUE_SHA256);
	jt_token_other_id("jt", "live", digest, r.token.id);
	r.token.digest[0] = 0xff;
	r.token.expires_s = 9;
	cr_assert_eq(jt_catalog_apply(&in.fold.catalog, &r, &fault), 0);
	cr_assert_eq(in.fold.each(in.fold.ctx, &in.fold.catalog, &r), 0);
	cr_assert_eq(in.known.n, 1);
	cr_assert_eq(row(2, cell(1)), 0);
	is_row(0, JT_INTAKE_EXISTS, "active");
}
