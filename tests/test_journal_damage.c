/*
 * test_journal_damage: bytes of a journal changed behind its back.
 *
 * The subject is one journal of 64 records in 22 batches; a test changes it,
 * and asks jt_journal_check() and the openers what they make of it. "Never a
 * wrong state" means: refused, or exactly the state before.
 */
#include "admin/format.h"
#include "admin/rescue.h"
#include "tests/help_journal.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS 64u
#define END (JT_JOURNAL_DATA + RECORDS * JT_RECORD_BYTES)

static struct jt_fault fault;
static struct disk whole;
static struct jt_commit commit;

static void make_journal(void)
{
	help_journal_new(0);
	for (unsigned n = 0, batch = 1; n < RECORDS; n += batch) {
		batch = n % 5 + 1 < RECORDS - n ? n % 5 + 1 : RECORDS - n;
		cr_assert_eq(help_append(batch, JT_REC_CREATE), 0);
	}
	commit = help_commit();
	cr_assert_eq(commit.number, RECORDS);
	disk_copy(&whole, &help_disk);
}

static struct disk_file *journal(void)
{
	int file = disk_find(&help_disk, JT_JOURNAL_NAME);

	cr_assert_geq(file, 0);
	return &help_disk.file[file];
}

/* The byte at AT, in the cache; for tests that never flush. */
static uint8_t *byte_at(uint64_t at)
{
	struct disk_page *page = journal()->page[at / DISK_PAGE];

	cr_assert_not_null(page);
	return &page->now[at % DISK_PAGE];
}

static uint64_t record_at(unsigned number)
{
	return jt_record_offset(0, number);
}

static void get(uint64_t at, void *out, size_t bytes)
{
	cr_assert_eq(disk_read(&help_disk,
			       disk_find(&help_disk, JT_JOURNAL_NAME), out,
			       bytes, at, false),
		     bytes);
}

static void put(uint64_t at, const void *bytes, size_t n)
{
	disk_poke(&help_disk, JT_JOURNAL_NAME, bytes, n, at);
}

/* The page or record that byte AT lies in. */
static uint64_t unit_of(uint64_t at)
{
	return at -
	       at % (at < JT_JOURNAL_DATA ? JT_PAGE_BYTES : JT_RECORD_BYTES);
}

/* Damage at AT must be noticed, and told of the right page or record. */
static void expect_damage_at(uint64_t at)
{
	int rc = help_check();

	if (rc == JT_JOURNAL_E_VERSION)
		cr_assert(at < 16, "version at %lu", (unsigned long)at);
	else
		cr_assert_eq(rc, JT_JOURNAL_E_DAMAGED, "%d at %lu", rc,
			     (unsigned long)at);
	cr_assert_eq(unit_of(help_fault.offset), unit_of(at), "byte %lu: %s",
		     (unsigned long)at, help_fault.line);
}

static void flip_every_bit(uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at++) {
		uint8_t *byte = byte_at(at);

		for (unsigned bit = 0; bit < 8; bit++) {
			*byte ^= (uint8_t)(1u << bit);
			expect_damage_at(at);
			*byte ^= (uint8_t)(1u << bit);
		}
	}
	cr_assert_eq(help_check(), 0);
}

Test(journal_damage, every_bit_of_the_header_is_noticed, .init = make_journal)
{
	flip_every_bit(0, JT_PAGE_BYTES);
}

Test(journal_damage, every_bit_of_the_slots_is_noticed, .init = make_journal)
{
	flip_every_bit(JT_PAGE_BYTES, JT_JOURNAL_DATA);
}

Test(journal_damage, every_bit_of_the_records_is_noticed, .init = make_journal)
{
	flip_every_bit(JT_JOURNAL_DATA, END);
}

Test(journal_damage, every_value_of_a_byte_is_noticed, .init = make_journal)
{
	uint64_t starts[] = {0, 4096, 8192, record_at(31)};
	unsigned bytes[] = {80, 40, 40, 256};

	for (unsigned i = 0; i < 4; i++) {
		for (uint64_t at = starts[i]; at < starts[i] + bytes[i]; at++) {
			uint8_t *byte = byte_at(at), was = *byte;

			for (unsigned add = 1; add < 256; add++) {
				*byte = (uint8_t)(was + add);
				expect_damage_at(at);
			}
			*byte = was;
		}
	}
}

Test(journal_damage, every_cut_below_the_commit_is_refused,
     .init = make_journal)
{
	struct disk_file *f = journal();
	struct jt_commit c;
	uint64_t size = f->size;

	for (uint64_t at = 0; at < END; at++) {
		f->size = at;
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
		cr_assert_leq(help_fault.offset, at);
		cr_assert_eq(help_look(&c), JT_JOURNAL_E_DAMAGED);
	}
	f->size = size;
	cr_assert_eq(help_check(), 0);
}

Test(journal_damage, every_cut_above_the_commit_changes_nothing,
     .init = make_journal)
{
	struct disk_file *f = journal();
	struct jt_commit c;
	uint64_t size = f->size;

	for (uint64_t at = END; at < size; at += at < END + 1024 ? 1 : 256) {
		f->size = at;
		cr_assert_eq(help_look(&c), 0);
		cr_assert(help_same(&c, &commit));
	}
	for (unsigned cut = 0; cut < 600; cut += 85) {
		disk_copy(&help_disk, &whole);
		disk_cut(&help_disk, JT_JOURNAL_NAME, END + cut);
		cr_assert_eq(help_append(3, JT_REC_CREATE), 0);
		cr_assert_eq(help_commit().number, RECORDS + 3);
	}
}

static void expect_refusal(const char *what, unsigned a, unsigned b)
{
	struct jt_commit c;
	int rc = help_look(&c);

	cr_assert(rc == JT_JOURNAL_E_DAMAGED ||
			  (rc == 0 && help_same(&c, &commit)),
		  "%s %u %u", what, a, b);
	rc = help_check();
	cr_assert_eq(rc, JT_JOURNAL_E_DAMAGED, "%s %u %u: %d", what, a, b, rc);
}

Test(journal_damage, any_two_records_swapped_are_noticed, .init = make_journal)
{
	struct jt_record a, b;

	for (unsigned i = 1; i <= RECORDS; i++) {
		for (unsigned k = i + 1; k <= RECORDS; k++) {
			get(record_at(i), &a, sizeof(a));
			get(record_at(k), &b, sizeof(b));
			put(record_at(i), &b, sizeof(b));
			put(record_at(k), &a, sizeof(a));
			expect_refusal("swapped", i, k);
			cr_assert_eq(help_fault.number, i);
			put(record_at(i), &a, sizeof(a));
			put(record_at(k), &b, sizeof(b));
		}
	}
	cr_assert_eq(help_check(), 0);
}

Test(journal_damage, any_record_in_anothers_place_is_noticed,
     .init = make_journal)
{
	struct jt_record a, b;

	for (unsigned i = 1; i <= RECORDS; i++) {
		for (unsigned k = 1; k <= RECORDS; k++) {
			if (i == k)
				continue;
			get(record_at(i), &a, sizeof(a));
			get(record_at(k), &b, sizeof(b));
			put(record_at(k), &a, sizeof(a));
			expect_refusal("copied", i, k);
			put(record_at(k), &b, sizeof(b));
		}
	}
}

Test(journal_damage, any_record_dropped_doubled_or_zeroed_is_noticed,
     .init = make_journal)
{
	static struct jt_record all[RECORDS + 1];
	struct jt_record none = {.type = 0};

	for (unsigned i = 1; i <= RECORDS; i++) {
		size_t rest = (RECORDS - i) * sizeof(*all);

		get(record_at(i), all, rest + sizeof(*all));
		put(record_at(i), &all[1], rest);
		put(record_at(RECORDS), &none, sizeof(none));
		expect_refusal("dropped", i, 0);
		disk_copy(&help_disk, &whole);
		put(record_at(i) + sizeof(*all), all, rest + sizeof(*all));
		if (i < RECORDS)
			expect_refusal("doubled", i, 0);
		disk_copy(&help_disk, &whole);
		put(record_at(i), &none, sizeof(none));
		expect_refusal("zeroed", i, 0);
		disk_copy(&help_disk, &whole);
	}
}

/* Put each record and page of OTHER into the journal, from record FROM on. */
static void splice(const struct disk *other, unsigned from)
{
	int file = disk_find(other, JT_JOURNAL_NAME);
	uint8_t page[JT_PAGE_BYTES];

	for (unsigned i = from; i <= RECORDS; i++) {
		disk_read(other, file, page, JT_RECORD_BYTES, record_at(i),
			  false);
		put(record_at(i), page, JT_RECORD_BYTES);
		expect_refusal("spliced", i, 0);
		disk_copy(&help_disk, &whole);
	}
	for (unsigned i = 1; i < 3; i++) {
		disk_read(other, file, page, sizeof(page), JT_PAGE_BYTES * i,
			  false);
		put(JT_PAGE_BYTES * i, page, sizeof(page));
		expect_refusal("slot spliced", i, 0);
		disk_copy(&help_disk, &whole);
	}
}

Test(journal_damage, records_and_slots_of_another_journal_are_noticed,
     .init = make_journal)
{
	static struct disk other, mine;

	disk_copy(&mine, &whole);
	make_journal();
	disk_copy(&other, &whole);
	disk_copy(&whole, &mine);
	disk_copy(&help_disk, &mine);
	commit = help_commit();
	splice(&other, 1);
}

Test(journal_damage, records_and_slots_of_another_history_are_noticed)
{
	static struct disk start, other;

	help_journal_new(32);
	disk_copy(&start, &help_disk);
	cr_assert_eq(help_append(16, JT_REC_CREATE), 0);
	cr_assert_eq(help_append(16, JT_REC_CREATE), 0);
	disk_copy(&other, &help_disk);
	disk_copy(&help_disk, &start);
	cr_assert_eq(help_append(16, JT_REC_CREATE), 0);
	cr_assert_eq(help_append(16, JT_REC_CREATE), 0);
	disk_copy(&whole, &help_disk);
	commit = help_commit();
	splice(&other, 33);
}

Test(journal_damage, a_slot_in_the_others_place_is_noticed,
     .init = make_journal)
{
	struct jt_slot_page a, b;

	get(4096, &a, sizeof(a));
	get(8192, &b, sizeof(b));
	put(8192, &a, sizeof(a));
	expect_refusal("slot", 0, 1);
	put(4096, &b, sizeof(b));
	expect_refusal("slots", 0, 1);
	put(8192, &b, sizeof(b));
	expect_refusal("slot", 1, 0);
}

Test(journal_damage, nothing_behind_the_commit_exists, .init = make_journal)
{
	size_t sizes[] = {1,	2,	255,	 256,	   257,
			  4096, 100000, 3000000, 4u << 20, 5000000};
	uint8_t *garbage = malloc(5000000);
	uint64_t seed = 3;

	cr_assert_not_null(garbage);
	for (unsigned i = 0; i < 30; i++) {
		size_t n = sizes[i / 3];

		for (size_t k = 0; k < n; k++)
			garbage[k] = i % 3 == 0	  ? 0
				     : i % 3 == 1 ? 0xff
						  : (uint8_t)help_random(&seed);
		disk_copy(&help_disk, &whole);
		put(END, garbage, n);
		cr_assert(help_commit().number == RECORDS);
		cr_assert_eq(help_append(2, JT_REC_CREATE), 0);
		cr_assert_eq(help_commit().number, RECORDS + 2);
	}
	free(garbage);
}

static unsigned newer_slot(void)
{
	struct jt_slot_page s[2];

	get(4096, s, sizeof(s));
	return s[1].number > s[0].number;
}

static void spoil_slot(unsigned slot)
{
	put(4096 * (1 + slot) + 30, "\x55\xaa\x55", 3);
}

/* Slot SLOT is bad: NUMBER records stand, with alarm, until a writer came. */
static void expect_repair(unsigned slot, uint64_t number)
{
	struct jt_journal j;

	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(help_fault.offset, 4096 * (1 + slot));
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	cr_assert(j.adopted);
	cr_assert_eq(j.committed.number, number);
	jt_journal_close(&j);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     0);
	cr_assert(j.adopted);
	cr_assert_eq(j.committed.number, number);
	jt_journal_close(&j);
	help_io_power_cut(NULL);
	cr_assert_eq(help_commit().number, number);
	cr_assert_eq(help_append(2, JT_REC_CREATE), 0);
	cr_assert_eq(help_commit().number, number + 2);
}

Test(journal_damage, a_bad_slot_loses_nothing_and_is_repaired,
     .init = make_journal)
{
	for (unsigned more = 0; more < 6; more++) {
		for (unsigned slot = 0; slot < 2; slot++) {
			disk_copy(&help_disk, &whole);
			spoil_slot(slot);
			expect_repair(slot, RECORDS + more * 3);
		}
		disk_copy(&help_disk, &whole);
		cr_assert_eq(help_append(3, JT_REC_CREATE), 0);
		disk_copy(&whole, &help_disk);
	}
}

Test(journal_damage, two_bad_slots_are_refused, .init = make_journal)
{
	struct jt_commit c;
	struct jt_journal j;

	spoil_slot(0);
	spoil_slot(1);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(help_look(&c), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(help_fault.offset, 4096);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(jt_journal_rescue(&help_io, HELP_DIR, &fault),
		     JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(journal_damage, a_follower_outlives_a_slot_that_goes_bad,
     .init = make_journal)
{
	struct jt_journal j;

	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	spoil_slot(newer_slot());
	cr_assert_eq(jt_journal_refresh(&j, &fault), 0);
	cr_assert_eq(j.committed.number, RECORDS);
	cr_assert(j.adopted);
	cr_assert_eq(help_append(4, JT_REC_CREATE), 0);
	cr_assert_eq(jt_journal_refresh(&j, &fault), 0);
	cr_assert_eq(j.committed.number, RECORDS + 4);
	jt_journal_close(&j);
}

/* Append N records, but end the process before the slot is written. */
static void abandon(unsigned n)
{
	help_io_plan((struct help_plan){
		.fail_at = 1,
		.forever = true,
		.error = 5,
		.kinds = 1u << CALL_DATASYNC,
	});
	cr_assert_neq(help_append(n, JT_REC_CREATE), 0);
	help_io_kill();
	disk_flush(&help_disk, disk_find(&help_disk, JT_JOURNAL_NAME));
	cr_assert_eq(help_commit().number, RECORDS);
}

Test(journal_damage, a_phantom_never_comes_back, .init = make_journal)
{
	for (unsigned old = 1; old <= 6; old++) {
		for (unsigned new = 1; new <= 6; new ++) {
			disk_copy(&help_disk, &whole);
			abandon(old);
			cr_assert_eq(help_append(new, JT_REC_REVOKE), 0);
			cr_assert_eq(help_commit().number, RECORDS + new);
			spoil_slot(newer_slot());
			expect_repair(newer_slot(), RECORDS + new);
		}
	}
}

Test(journal_damage, a_batch_is_adopted_only_whole, .init = make_journal)
{
	struct jt_record none = {.type = 0};
	unsigned older;

	for (unsigned lost = 1; lost <= 5; lost++) {
		disk_copy(&help_disk, &whole);
		abandon(5);
		put(record_at(RECORDS + lost), &none, sizeof(none));
		older = !newer_slot();
		spoil_slot(older);
		expect_repair(older, RECORDS);
	}
	disk_copy(&help_disk, &whole);
	abandon(5);
	older = !newer_slot();
	spoil_slot(older);
	expect_repair(older, RECORDS + 5);
}

static void put_header(struct jt_header_page *h)
{
	struct jt_commit c = {.number = h->base};
	struct jt_slot_page s;

	jt_header_first_tag(h, c.tag);
	put(0, h, sizeof(*h));
	for (unsigned i = 0; i < 2; i++) {
		jt_slot_make(&s, h->id, i, &c);
		put(4096 * (1 + i), &s, sizeof(s));
	}
}

Test(journal_damage, impossible_headers_are_refused, .init = make_journal)
{
	uint64_t numbers[] = {JT_NUMBER_MAX + 1, UINT64_MAX, UINT64_MAX - 1,
			      UINT64_MAX - 255,	 INT64_MAX,  0};
	struct jt_header_page good, h;

	get(0, &good, sizeof(good));
	for (unsigned i = 0; numbers[i] != 0; i++) {
		h = good;
		h.generation = 2;
		h.base = numbers[i];
		jt_header_seal(&h);
		put_header(&h);
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
		h = good;
		h.generation = numbers[i];
		jt_header_seal(&h);
		put_header(&h);
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	}
	h = good;
	h.base = 1;
	jt_header_seal(&h);
	put_header(&h);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	h = good;
	h.zero[sizeof(h.zero) - 1] = 1;
	jt_header_seal(&h);
	put_header(&h);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
}

static void expect_refused(struct jt_header_page h)
{
	jt_header_seal(&h);
	put_header(&h);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
}

Test(journal_damage, impossible_states_are_refused, .init = make_journal)
{
	struct jt_header_page good, h;

	get(0, &good, sizeof(good));
	good.generation = 2;
	good.base = 5;
	for (uint64_t n = 6; n != 0; n *= 2) {
		h = good;
		h.state_records = n;
		expect_refused(h);
	}
	h = good;
	h.state_tag[15] = 1; /* of no record */
	expect_refused(h);
	h = good;
	h.archive = 2; /* itself */
	expect_refused(h);
	h = good;
	h.base = JT_NUMBER_MAX;
	h.state_records = JT_NUMBER_MAX; /* more than the file has room for */
	expect_refused(h);
	h = good;
	h.generation = 1;
	h.base = 0;
	h.state_records = 1;
	expect_refused(h);
}

Test(journal_damage, a_newer_format_is_not_called_damage, .init = make_journal)
{
	struct jt_header_page h;

	get(0, &h, sizeof(h));
	h.version = JT_FORMAT_VERSION + 1;
	put(0, &h, sizeof(h));
	cr_assert_eq(help_check(), JT_JOURNAL_E_VERSION);
	cr_assert_not_null(strstr(help_fault.line, "newer jeton"));
}

Test(journal_damage, the_oldest_format_is_still_read, .init = make_journal)
{
	static const uint8_t domain[16] = "jeton header";
	struct jt_header_page h;
	const char *why;

	get(0, &h, sizeof(h));
	h.version = JT_FORMAT_OLDEST;
	crypto_generichash_blake2b_salt_personal(
		h.checksum, 16, (const uint8_t *)&h,
		offsetof(struct jt_header_page, checksum), NULL, 0, NULL,
		domain);
	cr_assert_eq(jt_header_check(&h, &why), 0, "%s", why);
}

Test(journal_damage, slots_that_name_impossible_records_are_refused,
     .init = make_journal)
{
	uint64_t numbers[] = {RECORDS + 1,	 100000000,  JT_NUMBER_MAX,
			      JT_NUMBER_MAX + 1, UINT64_MAX, 0};
	struct jt_header_page h;
	struct jt_slot_page s;
	struct jt_commit c = commit;

	get(0, &h, sizeof(h));
	for (unsigned i = 0; numbers[i] != 0; i++) {
		for (unsigned slot = 0; slot < 2; slot++) {
			c.number = numbers[i];
			jt_slot_make(&s, h.id, slot, &c);
			put(4096 * (1 + slot), &s, sizeof(s));
			expect_refusal("number", i, slot);
			disk_copy(&help_disk, &whole);
		}
	}
}

/* Somebody who can make tags puts N records behind the commit. */
static void put_forged(struct jt_record *records, size_t n)
{
	struct jt_header_page h;
	struct jt_slot_page s;
	struct jt_commit c = {.number = RECORDS + n};

	get(0, &h, sizeof(h));
	memcpy(c.tag, commit.tag, sizeof(c.tag));
	jt_chain_seal(records, n, c.tag);
	put(END, records, n * sizeof(*records));
	jt_slot_make(&s, h.id, !newer_slot(), &c);
	put(4096 * (1 + !newer_slot()), &s, sizeof(s));
}

Test(journal_damage, fields_are_checked_though_the_chain_holds,
     .init = make_journal)
{
	struct jt_record good, r;
	size_t at[] = {1, 2, 8, 40, 44, 55, 56 + 24 + 32 + 60};

	cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	get(record_at(RECORDS + 1), &good, sizeof(good));
	for (unsigned i = 0; i < sizeof(at) / sizeof(*at); i++) {
		disk_copy(&help_disk, &whole);
		r = good;
		((uint8_t *)&r)[at[i]] ^= 0x41;
		put_forged(&r, 1);
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED, "byte %zu",
			     at[i]);
		cr_assert_eq(help_fault.number, RECORDS + 1);
	}
	disk_copy(&help_disk, &whole);
	r = good;
	r.type = 77;
	put_forged(&r, 1);
	cr_assert_eq(help_check(), JT_JOURNAL_E_VERSION);
	disk_copy(&help_disk, &whole);
	put_forged(&good, 1);
	cr_assert_eq(help_check(), 0, "%s", help_fault.line);
}

/* Three records behind the commit that a stranger made. */
struct forged {
	uint32_t part[3], parts[3];
	bool same_op[3];
	bool sound;
	unsigned whole; /* records in whole batches from the first on */
};

Test(journal_damage, batches_are_checked_though_the_chain_holds,
     .init = make_journal)
{
	static const struct forged cases[] = {
		{{1, 2, 3}, {3, 3, 3}, {true, true, true}, true, 3},
		{{1, 1, 1}, {1, 1, 1}, {true, false, true}, true, 3},
		{{1, 2, 1}, {2, 2, 1}, {true, true, false}, true, 3},
		{{1, 2, 3}, {3, 3, 3}, {true, false, true}, false, 0},
		{{1, 2, 3}, {4, 4, 4}, {true, true, true}, false, 0},
		{{2, 3, 4}, {4, 4, 4}, {true, true, true}, false, 0},
		{{2, 3, 1}, {3, 3, 1}, {true, true, true}, false, 0},
		{{1, 3, 3}, {3, 3, 3}, {true, true, true}, false, 0},
		{{1, 2, 2}, {3, 3, 2}, {true, true, true}, false, 0},
		{{1, 1, 1}, {2, 2, 1}, {true, true, true}, false, 0},
		{{0, 1, 1}, {0, 1, 1}, {true, true, true}, false, 0},
		{{1, 1, 1}, {0, 1, 1}, {true, true, true}, false, 0},
		{{1, 2, 1}, {1, 1, 1}, {true, true, true}, false, 1},
		{{1, 2, 1}, {2, 2, 2}, {true, true, true}, false, 2},
	};
	struct jt_record good[3], r[3];

	cr_assert_eq(help_append(3, JT_REC_CREATE), 0);
	get(END, good, sizeof(good));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		disk_copy(&help_disk, &whole);
		memcpy(r, good, sizeof(r));
		for (unsigned k = 0; k < 3; k++) {
			r[k].part = cases[i].part[k];
			r[k].parts = cases[i].parts[k];
			r[k].op[7] ^= !cases[i].same_op[k];
		}
		put_forged(r, 3);
		cr_assert_eq(help_check(),
			     cases[i].sound ? 0 : JT_JOURNAL_E_DAMAGED,
			     "case %u: %s", i, help_fault.line);
		spoil_slot(newer_slot());
		expect_repair(newer_slot(), RECORDS + cases[i].whole);
	}
}

Test(journal_damage, random_changes_never_make_a_wrong_state,
     .init = make_journal)
{
	uint64_t seed = 11;

	for (unsigned i = 0; i < 4000; i++) {
		struct jt_commit c;
		unsigned n = help_random(&seed) % 6 + 1;

		for (unsigned k = 0; k < n; k++) {
			uint64_t r = help_random(&seed);
			uint64_t at = r % 3 == 0 ? 4096 + (r >> 8) % 64
						 : (r >> 8) % (END + 8192);

			put(at, &r, r >> 4 & 7);
		}
		if (help_look(&c) == 0 && c.number >= RECORDS)
			cr_assert(help_same(&c, &commit));
		if (help_check() == 0)
			cr_assert(help_same(&c, &commit));
		disk_copy(&help_disk, &whole);
	}
}
