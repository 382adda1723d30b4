/*
 * test_vault: what was put is read again, by the passphrase and by nothing
 * else; nothing is lost or believed that should not be.
 */
#include "admin/vault.h"
#include "tests/help_journal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define ENTRY 256u
#define VALUES_MAX 300u
#define PASS "correct horse battery"

struct value {
	char text[JT_TOKEN_BYTES + 1];
	uint8_t digest[JT_DIGEST_BYTES];
	uint64_t number; /* of its record, once committed */
};

static const struct jt_vault_cost cheap = {1, 8192};
static struct value values[VALUES_MAX];
static struct jt_vault_key key;
static struct jt_fault fault;
static struct disk before, stopped;

static void open_journal(struct jt_journal *j, bool write)
{
	int rc = write ? jt_journal_open_write(j, &help_io, HELP_DIR, 0, &fault)
		       : jt_journal_open(j, &help_io, HELP_DIR, &fault);

	cr_assert_eq(rc, 0, "%s", fault.line);
}

static int init_vault(void)
{
	struct jt_journal j;
	int rc;

	open_journal(&j, true);
	rc = jt_vault_init(&j, HELP_DIR, &key, &fault);
	jt_journal_close(&j);
	return rc;
}

static void start_without(void)
{
	cr_assert_geq(sodium_init(), 0);
	help_journal_new(0);
	cr_assert_eq(jt_vault_key_make(&key, PASS, strlen(PASS), &cheap), 0);
	for (unsigned i = 0; i < VALUES_MAX; i++) {
		jt_token_make("jt", "live", values[i].text);
		jt_token_digest((uint8_t *)values[i].text, values[i].digest);
	}
}

static void start(void)
{
	start_without();
	cr_assert_eq(init_vault(), 0, "%s", fault.line);
}

TestSuite(vault, .init = start);

static struct jt_record record_of(const struct value *v, uint8_t type)
{
	struct jt_record r = {.type = type};

	memcpy(r.env, "live", 4);
	memcpy(r.token.id, v->text, JT_ID_BYTES);
	memcpy(r.token.digest, v->digest, JT_DIGEST_BYTES);
	r.token.expires_s = 1800000000u;
	r.token.flags = JT_TOKEN_RECOVERABLE;
	return r;
}

/* Put N values in one batch of TYPE, and append it if COMMIT. */
static int store_as(struct value *v, size_t n, uint8_t type, bool commit)
{
	uint8_t(*sealed)[JT_VAULT_SEALED_BYTES] = calloc(n, sizeof(*sealed));
	struct jt_record *r = calloc(n, sizeof(*r));
	struct jt_vault vault;
	struct jt_journal j;
	int rc;

	cr_assert(sealed && r);
	for (size_t i = 0; i < n; i++) {
		r[i] = record_of(&v[i], type);
		jt_vault_seal(key.public_key, v[i].text, sealed[i]);
	}
	rc = jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault);
	if (rc != 0)
		goto out;
	rc = jt_vault_open(&vault, &j, HELP_DIR, &fault);
	if (rc == 0) {
		rc = jt_vault_put(
			&vault, &j, r, n,
			(const uint8_t(*)[JT_VAULT_SEALED_BYTES])sealed,
			&fault);
		jt_vault_close(&vault);
	}
	if (rc == 0 && commit)
		rc = jt_journal_append(&j, r, n, &fault);
	for (size_t i = 0; rc == 0 && i < n; i++)
		v[i].number = r[i].number;
	jt_journal_close(&j);
out:
	free(sealed);
	free(r);
	return rc;
}

static void store(unsigned from, size_t n)
{
	cr_assert_eq(store_as(&values[from], n, JT_REC_CREATE, true), 0, "%s",
		     fault.line);
}

static int get_with(const struct value *v, const char *passphrase,
		    char out[JT_TOKEN_BYTES])
{
	struct jt_vault vault;
	struct jt_journal j;
	int rc;

	open_journal(&j, false);
	rc = jt_vault_open(&vault, &j, HELP_DIR, &fault);
	jt_journal_close(&j);
	if (rc != 0)
		return rc;
	rc = jt_vault_get(&vault, v->text, v->digest, passphrase,
			  strlen(passphrase), out, &fault);
	jt_vault_close(&vault);
	return rc;
}

static int get(const struct value *v)
{
	char out[JT_TOKEN_BYTES];
	int rc = get_with(v, PASS, out);

	if (rc == 0)
		cr_assert_arr_eq(out, v->text, JT_TOKEN_BYTES);
	return rc;
}

/* Without the passphrase, so fast; the vault can be opened. */
static int has(const struct value *v)
{
	struct jt_vault vault;
	struct jt_journal j;
	int rc;

	open_journal(&j, false);
	rc = jt_vault_open(&vault, &j, HELP_DIR, &fault);
	jt_journal_close(&j);
	if (rc != 0)
		return rc;
	rc = jt_vault_has(&vault, v->text, v->digest, &fault);
	jt_vault_close(&vault);
	return rc;
}

static void expect_all(unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		cr_assert_eq(has(&values[i]), 0, "%u: %s", i, fault.line);
}

static int wipe(const struct jt_record *records, size_t n, size_t *wipedp)
{
	struct jt_vault vault;
	struct jt_journal j;
	int rc;

	rc = jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault);
	if (rc != 0)
		return rc;
	rc = jt_vault_open(&vault, &j, HELP_DIR, &fault);
	if (rc == 0) {
		rc = jt_vault_wipe(&vault, &j, records, n, wipedp, &fault);
		jt_vault_close(&vault);
	}
	jt_journal_close(&j);
	return rc;
}

static int wipe_one(const struct value *v)
{
	struct jt_record r = record_of(v, JT_REC_REVOKE);

	return wipe(&r, 1, NULL);
}

static uint64_t file_bytes(void)
{
	return help_disk.file[disk_find(&help_disk, "vault")].size;
}

/* All of the file; the caller frees. */
static uint8_t *file_copy(void)
{
	uint8_t *bytes = malloc(file_bytes());

	cr_assert_not_null(bytes);
	disk_read(&help_disk, disk_find(&help_disk, "vault"), bytes,
		  file_bytes(), 0, false);
	return bytes;
}

static bool file_holds(const void *needle, size_t n)
{
	uint8_t *bytes = file_copy();
	bool found = memmem(bytes, file_bytes(), needle, n) != NULL;

	free(bytes);
	return found;
}

/* ---- reading again ---- */

Test(vault, gives_back_what_was_put)
{
	store(0, 1);
	store(1, 64);
	store(65, 65);
	store(130, 170);
	cr_assert_eq(file_bytes(), PAGE + ENTRY * 300);
	for (unsigned i = 0; i < 300; i += 23)
		cr_assert_eq(get(&values[i]), 0, "%s", fault.line);
	expect_all(0, 300);
	help_io_power_cut(NULL);
	expect_all(0, 300);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(vault, holds_neither_value_nor_passphrase_in_clear)
{
	store(0, 5);
	for (unsigned i = 0; i < 5; i++)
		for (unsigned at = JT_PUBLIC_BYTES; at + 8 <= 64; at += 8)
			cr_assert_not(file_holds(values[i].text + at, 8));
	cr_assert_not(file_holds(PASS, 8));
}

Test(vault, opens_to_its_passphrase_only)
{
	const char *wrong[] = {"", PASS " ", "correct horse batter",
			       "Correct "
			       "horse "
			       "battery"};
	char out[JT_TOKEN_BYTES] = "untouched";

	store(0, 1);
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(get_with(&values[0], wrong[i], out),
			     JT_VAULT_E_PASSPHRASE);
		cr_assert_str_eq(out, "untouched");
		cr_assert_not_null(strstr(fault.line, "passphrase"));
	}
}

Test(vault, says_when_it_has_no_entry)
{
	struct value other;

	cr_assert_eq(get(&values[0]), JT_VAULT_E_MISSING);
	store(0, 2);
	cr_assert_eq(get(&values[2]), JT_VAULT_E_MISSING);
	other = values[0];
	other.digest[31] ^= 1;
	cr_assert_eq(get(&other), JT_VAULT_E_MISSING);
	other = values[0];
	other.text[23] ^= 1;
	cr_assert_eq(get(&other), JT_VAULT_E_MISSING);
}

Test(vault, is_absent_until_made, .init = start_without)
{
	cr_assert_eq(has(&values[0]), JT_JOURNAL_E_NONE);
	cr_assert_eq(init_vault(), 0);
	cr_assert_eq(disk_find(&help_disk, "vault.new"), -1);
	cr_assert_eq(help_disk.file[disk_find(&help_disk, "vault")].mode & 0777,
		     0600);
	help_io_power_cut(NULL);
	cr_assert_eq(has(&values[0]), JT_VAULT_E_MISSING);
}

Test(vault, is_never_made_twice)
{
	uint8_t *bytes = file_copy();

	cr_assert_eq(jt_vault_key_make(&key, "another one", 11, &cheap), 0);
	cr_assert_eq(init_vault(), JT_JOURNAL_E_EXISTS);
	cr_assert(file_holds(bytes, PAGE));
	free(bytes);
}

Test(vault, of_another_journal_is_refused)
{
	uint8_t *bytes;

	store(0, 1);
	bytes = file_copy();
	help_journal_new(0);
	disk_make(&help_disk, "vault", S_IFREG | 0600, 0);
	disk_poke(&help_disk, "vault", bytes, PAGE + ENTRY, 0);
	free(bytes);
	cr_assert_eq(get(&values[0]), JT_VAULT_E_FOREIGN);
	cr_assert_eq(store_as(&values[1], 1, JT_REC_CREATE, true),
		     JT_VAULT_E_FOREIGN);
	cr_assert_not_null(strstr(fault.line, "another journal"));
}

Test(vault, that_others_may_change_is_refused)
{
	int file = disk_find(&help_disk, "vault");

	store(0, 1);
	help_disk.file[file].mode = S_IFREG | 0620;
	cr_assert_eq(get(&values[0]), JT_JOURNAL_E_UNSAFE);
	help_disk.file[file].mode = S_IFLNK | 0777;
	cr_assert_eq(get(&values[0]), JT_JOURNAL_E_UNSAFE);
	help_disk.file[file].mode = S_IFREG | 0600;
	help_disk.file[file].uid = 7;
	cr_assert_eq(get(&values[0]), JT_JOURNAL_E_UNSAFE);
	cr_assert_eq(help_io_open_fds(), 0);
}

/* ---- damage ---- */

static void flip(unsigned at, unsigned bit)
{
	uint8_t byte;

	disk_read(&help_disk, disk_find(&help_disk, "vault"), &byte, 1, at,
		  false);
	byte ^= (uint8_t)(1u << bit);
	disk_poke(&help_disk, "vault", &byte, 1, at);
}

Test(vault, every_bit_of_page_0_is_noticed)
{
	struct jt_vault vault;
	struct jt_journal j;

	store(0, 1);
	open_journal(&j, false);
	for (unsigned at = 0; at < PAGE; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			int rc;

			flip(at, bit);
			rc = jt_vault_open(&vault, &j, HELP_DIR, &fault);
			cr_assert(rc == JT_JOURNAL_E_DAMAGED ||
				  (rc == JT_JOURNAL_E_VERSION && at / 4 == 2));
			flip(at, bit);
		}
	}
	jt_journal_close(&j);
	cr_assert_eq(get(&values[0]), 0);
}

Test(vault, every_bit_of_an_entry_is_noticed)
{
	store(0, 3);
	for (unsigned at = PAGE + ENTRY; at < PAGE + 2 * ENTRY; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			flip(at, bit);
			cr_assert_eq(has(&values[1]), JT_JOURNAL_E_DAMAGED);
			cr_assert_eq(fault.offset, PAGE + ENTRY);
			cr_assert_not_null(strstr(fault.line, "byte 4352"));
			cr_assert_eq(has(&values[0]), 0);
			cr_assert_eq(has(&values[2]), 0);
			flip(at, bit);
		}
	}
}

Test(vault, a_damaged_place_is_never_written_over)
{
	store(0, 3);
	flip(PAGE + 100, 3);
	flip(PAGE + ENTRY + 8 + 5, 7); /* a number beyond the commit */
	store(3, 1);
	cr_assert_eq(file_bytes(), PAGE + 4 * ENTRY);
	flip(PAGE + 100, 3);
	flip(PAGE + ENTRY + 8 + 5, 7);
	expect_all(0, 4);
}

Test(vault, a_cut_file_never_passes_for_a_whole_one)
{
	store(0, 2);
	for (unsigned at = PAGE + 2 * ENTRY; at-- > 0;) {
		int rc;

		disk_cut(&help_disk, "vault", at);
		rc = has(&values[1]);
		cr_assert_eq(rc, at == PAGE || at == PAGE + ENTRY
					 ? JT_VAULT_E_MISSING
					 : JT_JOURNAL_E_DAMAGED);
		if (rc == JT_JOURNAL_E_DAMAGED)
			cr_assert_leq(fault.offset, at);
		if (at >= PAGE + ENTRY)
			cr_assert_eq(has(&values[0]), 0);
	}
}

static void write_checksum(uint64_t at, size_t n, const uint8_t *salt,
			   const char *domain)
{
	uint8_t bytes[PAGE], sum[16], personal[16] = "";

	strcpy((char *)personal, domain);
	disk_read(&help_disk, disk_find(&help_disk, "vault"), bytes, n, at,
		  false);
	crypto_generichash_blake2b_salt_personal(sum, 16, bytes, n, NULL, 0,
						 salt, personal);
	disk_poke(&help_disk, "vault", sum, 16, at + n);
}

/* Page 0 with other bytes at AT, and with the checksum that fits them. */
static void forge_page(const void *bytes, size_t n, unsigned at)
{
	disk_poke(&help_disk, "vault", bytes, n, at);
	write_checksum(0, PAGE - 16, NULL, "jeton vault");
}

static void forge_entry(unsigned place, const void *bytes, size_t n,
			unsigned at)
{
	uint64_t from = PAGE + ENTRY * place;

	disk_poke(&help_disk, "vault", bytes, n, from + at);
	write_checksum(from, ENTRY - 16, key.public_key, "jeton value");
}

Test(vault, what_argon2_would_cost_is_bounded_before_it_is_paid)
{
	const uint64_t memory[] = {0, 8191, (UINT64_C(1) << 30) + 1,
				   UINT64_C(1) << 31, UINT64_MAX};
	const uint64_t passes[] = {0, 9, UINT32_MAX, UINT64_MAX};
	const uint32_t algorithms[] = {0, 1, 3, UINT32_MAX};

	store(0, 1);
	for (unsigned i = 0; i < 5; i++) {
		forge_page(&memory[i], 8, 88);
		cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
	}
	forge_page(&key.memory_bytes, 8, 88);
	cr_assert_eq(get(&values[0]), 0);
	for (unsigned i = 0; i < 4; i++) {
		forge_page(&passes[i], 8, 80);
		cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
	}
	forge_page(&key.passes, 8, 80);
	for (unsigned i = 0; i < 4; i++) {
		forge_page(&algorithms[i], 4, 96);
		cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
	}
}

Test(vault, what_must_be_zero_is_zero_also_under_a_right_checksum)
{
	const unsigned page[] = {100, 103, 176, 4079};
	const unsigned entry[] = {184, 239};

	store(0, 1);
	for (unsigned i = 0; i < 2; i++) {
		forge_entry(0, "x", 1, entry[i]);
		cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
		forge_entry(0, "", 1, entry[i]);
		cr_assert_eq(get(&values[0]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		forge_page("x", 1, page[i]);
		cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
		forge_page("", 1, page[i]);
		cr_assert_eq(get(&values[0]), 0);
	}
}

Test(vault, a_file_without_end_is_refused_by_its_size)
{
	struct disk_file *f = &help_disk.file[disk_find(&help_disk, "vault")];

	store(0, 1);
	f->size = f->safe_size = UINT64_C(1) << 40;
	cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
	cr_assert_not_null(strstr(fault.line, "longer"));
}

Test(vault, an_exchanged_public_key_is_noticed)
{
	struct jt_vault_key mine = key, other;

	cr_assert_eq(jt_vault_key_make(&other, "x", 1, &cheap), 0);
	key = other;
	forge_page(other.public_key, 32, 32);
	store(0, 1); /* sealed to who knows whom */
	cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
	cr_assert_not_null(strstr(fault.line, "exchanged"));
	key = mine;
}

Test(vault, one_tokens_value_does_not_pass_for_anothers)
{
	uint8_t sealed[JT_VAULT_SEALED_BYTES];

	store(0, 2);
	jt_vault_seal(key.public_key, values[1].text, sealed);
	forge_entry(0, sealed, sizeof(sealed), 72);
	cr_assert_eq(has(&values[0]), 0);
	cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(fault.offset, PAGE);
	memset(sealed, 7, sizeof(sealed));
	forge_entry(0, sealed, sizeof(sealed), 72);
	cr_assert_eq(get(&values[0]), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(get(&values[1]), 0);
}

/* ---- places used again ---- */

Test(vault, what_was_never_committed_is_written_over)
{
	store(0, 1);
	cr_assert_eq(store_as(&values[1], 3, JT_REC_CREATE, false), 0);
	cr_assert_eq(file_bytes(), PAGE + 4 * ENTRY);
	store(4, 2); /* its records bear the numbers that those were to bear */
	cr_assert_eq(file_bytes(), PAGE + 4 * ENTRY);
	expect_all(4, 2);
	cr_assert_eq(has(&values[1]), JT_VAULT_E_MISSING);
	cr_assert_eq(has(&values[0]), 0);
}

Test(vault, an_orphan_is_found_when_others_have_committed_since)
{
	store(0, 1);
	cr_assert_eq(store_as(&values[1], 1, JT_REC_CREATE, false), 0);
	cr_assert_eq(help_append(5, JT_REC_CREATE), 0);
	store(2, 1);
	cr_assert_eq(file_bytes(), PAGE + 2 * ENTRY);
	expect_all(2, 1);
	expect_all(0, 1);
}

Test(vault, a_token_changed_since_is_no_orphan)
{
	struct jt_record r;
	struct jt_journal j;

	store(0, 2);
	r = record_of(&values[0], JT_REC_RENEW);
	open_journal(&j, true);
	cr_assert_eq(jt_journal_append(&j, &r, 1, &fault), 0);
	jt_journal_close(&j);
	store(2, 1);
	expect_all(0, 3);
}

Test(vault, only_what_is_recoverable_is_put)
{
	uint8_t sealed[1][JT_VAULT_SEALED_BYTES];
	struct jt_record r[4];
	struct jt_vault vault;
	struct jt_journal j;

	for (unsigned i = 0; i < 4; i++)
		r[i] = record_of(&values[i], JT_REC_CREATE);
	memset(&r[0], 0, sizeof(r[0]));
	r[0].type = JT_REC_PLAN;
	r[0].plan.number = 1;
	r[1].token.flags = 0;
	r[3].type = JT_REC_RENEW;
	jt_vault_seal(key.public_key, values[2].text, sealed[0]);
	open_journal(&j, true);
	cr_assert_eq(jt_vault_open(&vault, &j, HELP_DIR, &fault), 0);
	cr_assert_eq(
		jt_vault_put(&vault, &j, r, 4,
			     (const uint8_t(*)[JT_VAULT_SEALED_BYTES])sealed,
			     &fault),
		0);
	jt_vault_close(&vault);
	cr_assert_eq(jt_journal_append(&j, r, 4, &fault), 0);
	jt_journal_close(&j);
	cr_assert_eq(file_bytes(), PAGE + ENTRY);
	store(5, 1); /* and it was put under the number of its own record */
	cr_assert_eq(get(&values[2]), 0);
}

/* N entries that belong to no token, and no time spent on sealing them. */
static void put_orphans(size_t n)
{
	uint8_t(*sealed)[JT_VAULT_SEALED_BYTES] = calloc(n, sizeof(*sealed));
	struct jt_record *r = calloc(n, sizeof(*r));
	struct jt_vault vault;
	struct jt_journal j;

	cr_assert(sealed && r);
	for (size_t i = 0; i < n; i++) {
		r[i] = record_of(&values[0], JT_REC_CREATE);
		memcpy(r[i].token.digest, &i, sizeof(i));
	}
	open_journal(&j, true);
	cr_assert_eq(jt_vault_open(&vault, &j, HELP_DIR, &fault), 0);
	cr_assert_eq(
		jt_vault_put(&vault, &j, r, n,
			     (const uint8_t(*)[JT_VAULT_SEALED_BYTES])sealed,
			     &fault),
		0);
	jt_vault_close(&vault);
	jt_journal_close(&j);
	free(sealed);
	free(r);
}

Test(vault, orphans_of_a_large_vault_are_found_in_time)
{
	uint64_t bytes;
	unsigned used = 0;

	store(0, 1);
	put_orphans(6000);
	bytes = file_bytes();
	cr_assert_eq(help_append(6100, JT_REC_CREATE), 0);
	/* each looks at two thirds of the places: 40 misses in a row are not
	 * to be seen, and most find one */
	for (unsigned i = 1; i <= 40; i++) {
		uint64_t had = file_bytes();

		store(i, 1);
		used += file_bytes() == had;
	}
	cr_assert_gt(used, 0);
	cr_assert_leq(file_bytes(), bytes + 40 * ENTRY);
	expect_all(0, 41);
}

/* ---- wiping ---- */

Test(vault, wiped_bytes_are_gone_from_the_file)
{
	uint8_t *bytes;
	size_t wiped;
	struct jt_record r[3];

	store(0, 5);
	bytes = file_copy();
	r[0] = record_of(&values[3], JT_REC_PURGE);
	r[1] = record_of(&values[1], JT_REC_REVOKE);
	r[2] = record_of(&values[9], JT_REC_REVOKE); /* has no entry */
	cr_assert_eq(wipe(r, 3, &wiped), 0, "%s", fault.line);
	cr_assert_eq(wiped, 2);
	help_io_power_cut(NULL);
	for (unsigned i = 0; i < 5; i++) {
		bool gone = i == 1 || i == 3;

		cr_assert_eq(has(&values[i]), gone ? JT_VAULT_E_MISSING : 0);
		for (unsigned at = 0; at < ENTRY; at += 64)
			cr_assert_eq(
				file_holds(bytes + PAGE + i * ENTRY + at, 16),
				!gone || at == 192);
	}
	free(bytes);
	cr_assert_eq(wipe(r, 3, &wiped), 0);
	cr_assert_eq(wiped, 0);
	store(10, 2);
	cr_assert_eq(file_bytes(), PAGE + 5 * ENTRY);
	expect_all(10, 2);
}

Test(vault, a_damaged_entry_of_a_dead_token_is_wiped_too)
{
	store(0, 2);
	flip(PAGE + 8, 0);
	flip(PAGE + 80, 0);
	cr_assert_eq(wipe_one(&values[0]), 0);
	cr_assert_eq(has(&values[0]), JT_VAULT_E_MISSING);
	cr_assert_eq(has(&values[1]), 0);
}

Test(vault, a_rotation_ends_what_is_older_and_nothing_else)
{
	struct value new = values[0];
	struct jt_record r;

	/* the same id, another secret */
	memcpy(new.text + JT_PUBLIC_BYTES, values[1].text + JT_PUBLIC_BYTES,
	       JT_TOKEN_BYTES - JT_PUBLIC_BYTES);
	jt_token_digest((uint8_t *)new.text, new.digest);
	store(0, 1);
	cr_assert_eq(store_as(&new, 1, JT_REC_ROTATE, true), 0);
	cr_assert_eq(get(&values[0]), 0);
	cr_assert_eq(get(&new), 0);
	r = record_of(&new, JT_REC_ROTATE);
	r.number = new.number;
	cr_assert_eq(wipe(&r, 1, NULL), 0);
	cr_assert_eq(has(&values[0]), JT_VAULT_E_MISSING);
	cr_assert_eq(get(&new), 0);
	r.type = JT_REC_RENEW;
	r.number = UINT64_MAX;
	cr_assert_eq(wipe(&r, 1, NULL), 0);
	cr_assert_eq(get(&new), 0);
	cr_assert_eq(wipe_one(&new), 0);
	cr_assert_eq(has(&new), JT_VAULT_E_MISSING);
}

Test(vault, the_last_word_on_an_id_counts)
{
	struct jt_record r[3];

	store(0, 3);
	for (unsigned i = 0; i < 3; i++)
		r[i] = record_of(&values[1],
				 i == 1 ? JT_REC_REVOKE : JT_REC_ROTATE);
	cr_assert_eq(wipe(r, 3, NULL), 0);
	cr_assert_eq(has(&values[1]), JT_VAULT_E_MISSING);
	expect_all(0, 1);
	expect_all(2, 1);
}

/* ---- faults of the system ---- */

static uint64_t mask;

static bool keep(unsigned i)
{
	return mask >> i & 1;
}

/* After each call K has failed for good: CHECK(acknowledged), for every way
 * in which a power cut may end it, and for a mere kill. */
static void stop_at_every_call(int (*run)(void), void (*check)(bool))
{
	bool acknowledged, done = false;

	disk_copy(&before, &help_disk);
	for (uint64_t k = 1; !done; k++) {
		unsigned n;

		help_io_kill();
		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){
			.fail_at = k,
			.forever = true,
			.error = EIO,
		});
		acknowledged = run() == 0;
		done = help_calls < k;
		help_io_kill();
		disk_copy(&stopped, &help_disk);
		n = disk_choices(&help_disk);
		cr_assert_lt(n, 12);
		for (mask = 0; mask < UINT64_C(1) << n; mask++) {
			disk_copy(&help_disk, &stopped);
			help_io_power_cut(keep);
			check(acknowledged);
			help_io_kill();
		}
		disk_copy(&help_disk, &stopped);
		check(acknowledged);
	}
	cr_assert(acknowledged);
}

static void expect_none_or_whole(bool acknowledged)
{
	int rc = has(&values[0]);

	cr_assert(rc == JT_VAULT_E_MISSING ||
		  (rc == JT_JOURNAL_E_NONE && !acknowledged));
	if (rc == JT_JOURNAL_E_NONE)
		cr_assert_eq(init_vault(), 0, "%s", fault.line);
	store(0, 1);
	cr_assert_eq(get(&values[0]), 0);
}

static int init_again(void)
{
	struct jt_journal j;
	int rc = jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault);

	if (rc != 0)
		return rc;
	rc = jt_vault_init(&j, HELP_DIR, &key, &fault);
	jt_journal_close(&j);
	return rc;
}

Test(vault, is_not_there_or_whole_after_a_crash, .init = start_without)
{
	stop_at_every_call(init_again, expect_none_or_whole);
}

static int put_two(void)
{
	return store_as(&values[4], 2, JT_REC_CREATE, true);
}

/* Old ones are there; new ones, if the journal has them. */
static void expect_old_and_perhaps_new(bool acknowledged)
{
	struct jt_commit c;

	expect_all(0, 1);
	expect_all(2, 2);
	cr_assert_eq(help_look(&c), 0, "%s", help_fault.line);
	cr_assert(c.number == 7 || (c.number == 5 && !acknowledged));
	if (c.number == 7)
		expect_all(4, 2);
	if (help_append(1, JT_REC_CREATE) == 0) /* else a flush failed */
		store(6, 2);
	expect_all(0, 1);
	expect_all(2, 2);
	if (c.number == 7)
		expect_all(4, 2);
}

Test(vault, loses_nothing_to_a_crash_while_putting)
{
	store(0, 4);
	cr_assert_eq(wipe_one(&values[1]), 0);
	cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	stop_at_every_call(put_two, expect_old_and_perhaps_new);
}

static int wipe_the_second(void)
{
	return wipe_one(&values[1]);
}

static void expect_wiped_or_not(bool acknowledged)
{
	int rc = has(&values[1]);

	cr_assert(rc == JT_VAULT_E_MISSING || (rc == 0 && !acknowledged));
	expect_all(0, 1);
	expect_all(2, 1);
	cr_assert_eq(wipe_one(&values[1]), 0);
	cr_assert_eq(has(&values[1]), JT_VAULT_E_MISSING);
}

Test(vault, a_crash_while_wiping_takes_nothing_else)
{
	store(0, 3);
	stop_at_every_call(wipe_the_second, expect_wiped_or_not);
}

Test(vault, any_error_of_any_call_is_told)
{
	bool done = false;

	store(0, 2);
	disk_copy(&before, &help_disk);
	for (uint64_t k = 1; !done; k++) {
		int rc;

		help_io_kill();
		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){.fail_at = k, .error = EIO});
		rc = store_as(&values[4], 1, JT_REC_CREATE, true);
		done = help_calls < k;
		cr_assert_eq(help_io_open_fds(), 0);
		if (rc != 0)
			cr_assert_neq(fault.line[0], '\0');
		help_io_power_cut(NULL);
		expect_all(0, 2);
		if (rc == 0)
			expect_all(4, 1);
	}
}

Test(vault, any_error_while_reading_gives_no_value)
{
	bool done = false;

	store(0, 2);
	for (uint64_t k = 1; !done; k++) {
		char out[JT_TOKEN_BYTES] = "untouched";
		struct jt_vault vault;
		struct jt_journal j;
		int rc;

		open_journal(&j, false);
		help_io_plan((struct help_plan){.fail_at = k, .error = EIO});
		rc = jt_vault_open(&vault, &j, HELP_DIR, &fault);
		if (rc == 0) {
			rc = jt_vault_get(&vault, values[1].text,
					  values[1].digest, PASS, strlen(PASS),
					  out, &fault);
			jt_vault_close(&vault);
		}
		done = help_calls < k;
		cr_assert_eq(rc == 0, memcmp(out, values[1].text, 64) == 0);
		if (rc != 0)
			cr_assert_str_eq(out, "untouched");
		jt_journal_close(&j);
		cr_assert_eq(help_io_open_fds(), 0);
		help_io_kill();
	}
}

Test(vault, interrupted_and_short_transfers_end_well)
{
	help_io_plan((struct help_plan){
		.interrupt = true,
		.transfer_max = 100,
	});
	store(0, 3);
	cr_assert_eq(wipe_one(&values[1]), 0);
	store(3, 2);
	cr_assert_eq(file_bytes(), PAGE + 4 * ENTRY);
	expect_all(2, 3);
	cr_assert_eq(get(&values[0]), 0);
}

Test(vault, a_full_disk_refuses_and_harms_nothing)
{
	store(0, 2);
	for (unsigned room = 0; room < 3 * ENTRY; room += 100) {
		help_io_plan((struct help_plan){
			.capacity = disk_used(&help_disk) + room,
		});
		cr_assert_eq(store_as(&values[2], 3, JT_REC_CREATE, true),
			     -ENOSPC);
		cr_assert_not_null(strstr(fault.line, "No space"));
		expect_all(0, 2);
		help_io_plan((struct help_plan){0});
		disk_copy(&stopped, &help_disk);
		store(5, 3);
		cr_assert_eq(file_bytes(), PAGE + 5 * ENTRY);
		expect_all(0, 2);
		expect_all(5, 3);
		disk_copy(&help_disk, &stopped);
		disk_cut(&help_disk, "vault", PAGE + 2 * ENTRY);
	}
}

Test(vault, is_written_under_the_journals_lock_only)
{
	struct jt_vault vault;
	struct jt_journal j;

	store(0, 1);
	open_journal(&j, true);
	cr_assert_eq(jt_vault_open(&vault, &j, HELP_DIR, &fault), 0);
	cr_assert_eq(store_as(&values[1], 1, JT_REC_CREATE, true),
		     JT_JOURNAL_E_BUSY);
	cr_assert_eq(get(&values[0]), 0); /* readers need no lock */
	jt_vault_close(&vault);
	jt_journal_close(&j);
	store(1, 1);
	expect_all(0, 2);
}
