/*
 * test_compact: a compacted journal is the same journal.
 *
 * What the records come to is folded by help_story, apart from the code under
 * test; it must be the same before and after, for every crash and every lost
 * sector. History must be whole, too: numbers, tags and bytes of all records
 * that were ever committed, wherever they stand.
 */
#include "admin/compact.h"

#include "admin/anchor.h"
#include "admin/backup.h"
#include "admin/format.h"
#include "admin/rescue.h"
#include "admin/survey.h"
#include "tests/help_story.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#define IMAGES_MAX 64u /* power cuts tried after one call */
#define HISTORY_MAX 20000u

static struct story told, read_back;
static struct jt_compacted done;
static struct jt_fault fault;
static uint64_t seed = 7;

static void begin(unsigned commits)
{
	help_journal_new(0);
	memset(&told, 0, sizeof(told));
	story_tell(&told, &seed, commits);
}

static int compact(void)
{
	return jt_journal_compact(&help_io, HELP_DIR, &done, &help_fault);
}

static void compact_well(void)
{
	cr_assert_eq(compact(), 0, "%s", help_fault.line);
	cr_assert_eq(help_io_open_fds(), 0);
	cr_assert_eq(disk_find(&help_disk, JT_COMPACT_NAME), -1);
}

static void expect_told(void)
{
	story_read(&read_back);
	cr_assert(story_same(&told, &read_back));
}

static void open_journal(struct jt_journal *j)
{
	cr_assert_eq(jt_journal_open(j, &help_io, HELP_DIR, &fault), 0, "%s",
		     fault.line);
}

/* ---- the state ---- */

Test(compact, comes_to_the_same_state, .timeout = 120)
{
	for (unsigned i = 0; i < 60; i++) {
		struct jt_commit before, after;

		begin((unsigned)(help_random(&seed) % 400));
		before = help_commit();
		compact_well();
		after = help_commit();
		cr_assert(help_same(&before, &after));
		cr_assert(help_same(&before, &done.end));
		expect_told();
	}
}

Test(compact, and_so_does_the_compacted_when_it_goes_on)
{
	struct jt_journal j;

	begin(0);
	for (uint64_t g = 2; g < 8; g++) {
		story_tell(&told, &seed, 150);
		compact_well();
		expect_told();
		open_journal(&j);
		cr_assert_eq(j.generation, g);
		cr_assert_eq(j.archive, g - 1);
		cr_assert_eq(j.base, j.committed.number);
		jt_journal_close(&j);
		story_tell(&told, &seed, 40);
		expect_told();
		help_commit();
	}
}

Test(compact, leaves_behind_what_says_nothing)
{
	struct jt_journal_summary sum;
	uint64_t most = 6 * STORY_TOKENS + 2 * STORY_PLANS + 2 * STORY_SCOPES;

	begin(3000);
	compact_well();
	cr_expect_gt(done.records_before, 6000);
	cr_expect_lt(done.records_after, most);
	cr_expect_lt(done.bytes_after, done.bytes_before);
	cr_expect_str_eq(done.archive, "journal.000001");
	cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, NULL, &sum, &fault),
		     0, "%s", fault.line);
	cr_expect_eq(sum.records, done.records_after);
	cr_expect_eq(sum.state, done.state);
	cr_expect_eq(sum.archives, 1);
	cr_expect_eq(sum.first, 1);
	cr_expect_geq(sum.reserve, JT_JOURNAL_RESERVE);
}

Test(compact, of_an_empty_journal_and_of_one_that_is_small_already)
{
	begin(0);
	compact_well();
	cr_expect_eq(done.records_after, 0);
	compact_well();
	expect_told();
	story_tell(&told, &seed, 20);
	compact_well();
	compact_well();
	cr_expect_eq(done.records_before, done.records_after);
	expect_told();
}

static struct jt_record token_record(uint8_t type, unsigned at)
{
	struct jt_record r = {.type = type};
	char id[JT_ID_BYTES + 1];

	snprintf(id, sizeof(id), "jt_live_%02uxxxxxxxxxxxxxx", at);
	memcpy(r.token.id, id, JT_ID_BYTES);
	memcpy(r.env, "live", 4);
	r.token.expires_s = 1900000000u;
	return r;
}

static int append(struct jt_record *records, size_t n)
{
	struct jt_journal j;
	int rc = jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault);

	if (rc == 0) {
		rc = jt_journal_append(&j, records, n, &help_fault);
		jt_journal_close(&j);
	}
	return rc;
}

static void commit(struct jt_record r)
{
	cr_assert_eq(append(&r, 1), 0, "%s", help_fault.line);
	story_fold(&told, &r);
}

/* The types and numbers that stand in front, e.g. "1:create 4:renew". */
static void expect_state(const char *expected)
{
	char text[400] = "";
	struct jt_record r[32];
	struct jt_reader reader;
	struct jt_journal j;
	size_t n;

	open_journal(&j);
	jt_reader_init(&reader, &j);
	if (j.origin < j.base)
		cr_assert_eq(jt_reader_next(&reader, r, 32, &n, &fault), 0);
	else
		n = 0;
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "%s%lu:%s", i ? " " : "", r[i].number,
			 jt_record_verb(r[i].type));
	cr_assert_str_eq(text, expected);
	jt_journal_close(&j);
	expect_told();
}

Test(compact, keeps_of_a_token_what_its_newest_record_does_not_say)
{
	struct jt_record r = token_record(JT_REC_CREATE, 1);

	begin(0);
	commit(r);
	for (uint8_t i = 1; i <= 4; i++) {
		r.type = JT_REC_ROTATE;
		r.token.digest[0] = i;
		r.token.old_until_s = 1800000000u + i;
		commit(r);
		r.type = JT_REC_RENEW;
		commit(r);
	}
	r.type = JT_REC_SUSPEND;
	r.token.flags = JT_TOKEN_SUSPENDED;
	commit(r);
	r.type = JT_REC_RENAME;
	memcpy(r.token.name, "other", 5);
	commit(r);
	compact_well();
	expect_state("1:create 6:rotate 8:rotate 11:rename");
	cr_assert_eq(read_back.tokens[1].newest.token.flags,
		     JT_TOKEN_SUSPENDED);
	cr_assert_eq(read_back.tokens[1].before[0], 3);
}

Test(compact, forgets_what_was_purged_and_takes_the_id_again)
{
	struct jt_record r = token_record(JT_REC_CREATE, 1);
	static const uint8_t types[] = {JT_REC_ROTATE, JT_REC_REVOKE,
					JT_REC_PURGE};

	begin(0);
	for (unsigned i = 0; i < 2; i++) {
		r.type = JT_REC_CREATE;
		commit(r);
		for (unsigned k = 0; k < 3; k++) {
			r.type = types[k];
			r.token.digest[0]++;
			commit(r);
		}
	}
	compact_well();
	expect_state("");
	r.type = JT_REC_CREATE;
	commit(r);
	compact_well();
	expect_state("9:create");
}

Test(compact, keeps_the_last_notice)
{
	struct jt_record r = token_record(JT_REC_CREATE, 1);
	struct jt_record notice = {.type = JT_REC_NOTICE};

	begin(0);
	commit(r);
	memcpy(notice.notice.id, r.token.id, JT_ID_BYTES);
	notice.notice.expires_s = r.token.expires_s;
	for (notice.notice.days = 9; notice.notice.days > 6;
	     notice.notice.days--)
		commit(notice);
	compact_well();
	expect_state("1:create 4:notice");
	r.type = JT_REC_RENEW;
	r.token.expires_s++;
	commit(r);
	compact_well();
	expect_state("1:create 4:notice 5:renew");
	r.token.expires_s--;
	commit(r);
	compact_well();
	expect_state("1:create 4:notice 6:renew");
}

Test(compact, keeps_plans_where_who_names_them_finds_them)
{
	struct jt_record plan = {.type = JT_REC_PLAN}, r;

	begin(0);
	for (uint16_t i = 1; i <= 2; i++) {
		plan.plan.number = i;
		commit(plan);
	}
	r = token_record(JT_REC_CREATE, 1);
	r.token.plan = 2;
	commit(r);
	for (plan.plan.rate = 1; plan.plan.rate < 5; plan.plan.rate++)
		commit(plan);
	r = (struct jt_record){.type = JT_REC_RULES};
	commit(r);
	memcpy(r.rules.max_lifetime, "1y", 2);
	commit(r);
	compact_well();
	expect_state("1:plan 2:plan 3:create 7:plan 9:rules");
}

Test(compact, refuses_a_history_that_makes_no_sense)
{
	/* 12 is no type */
	static const uint8_t wrong[] = {JT_REC_REVOKE, JT_REC_PURGE, 12,
					JT_REC_CREATE};
	struct jt_record r;

	for (unsigned i = 0; i < 4; i++) {
		begin(0);
		r = token_record(wrong[i], 1);
		cr_assert_eq(append(&r, 1), 0);
		r = token_record(wrong[i], 1);
		cr_assert_eq(append(&r, 1), 0);
		cr_assert_eq(compact(), wrong[i] == 12 ? JT_JOURNAL_E_VERSION
						       : JT_JOURNAL_E_DAMAGED);
		cr_assert_eq(help_fault.number, i < 3 ? 1 : 2);
		cr_assert_eq(disk_find(&help_disk, JT_COMPACT_NAME), -1);
		cr_assert_eq(disk_find(&help_disk, "journal.000001"), -1);
		cr_assert_eq(help_io_open_fds(), 0);
		help_commit();
	}
}

Test(compact, survey_takes_more_tokens_than_it_first_has_room_for)
{
	struct jt_record r = {.type = 0};
	struct jt_survey s;

	cr_assert_eq(jt_survey_init(&s, 20000), 0);
	for (uint64_t i = 1; i <= 20000; i++) {
		r.type = i <= 10000 ? JT_REC_CREATE : JT_REC_RENEW;
		r.number = i;
		memset(r.token.id, 0, JT_ID_BYTES);
		snprintf(r.token.id, JT_ID_BYTES, "jt_live_%lu", i % 10000);
		cr_assert_eq(jt_survey_add(&s, i, &r, &fault), 0);
	}
	jt_survey_end(&s);
	for (uint64_t i = 1; i <= 20000; i++)
		cr_assert(jt_survey_keeps(&s, i));
	cr_assert_eq(s.n_tokens, 10000);
	jt_survey_deinit(&s);
}

/* ---- records from before the base ---- */

Test(compact, finds_a_state_record_by_its_number)
{
	static struct jt_record r[2000], found;
	struct jt_reader reader;
	struct jt_journal j;
	bool kept[4000] = {false};
	size_t n = 0;

	begin(500);
	compact_well();
	story_tell(&told, &seed, 5);
	open_journal(&j);
	jt_reader_init(&reader, &j);
	cr_assert_eq(jt_reader_next(&reader, r, 2000, &n, &fault), 0);
	cr_assert_eq(n, done.state);
	for (size_t i = 0; i < n; i++) {
		kept[r[i].number] = true;
		cr_assert_eq(
			jt_journal_read(&j, r[i].number, &found, 1, &fault), 0);
		cr_assert_arr_eq(&found, &r[i], sizeof(found));
		cr_assert_eq(jt_journal_peek(&j, i + 1, &found, 1, &fault), 0);
		cr_assert_arr_eq(&found, &r[i], sizeof(found));
	}
	for (uint64_t k = 1; k <= j.base; k++)
		if (!kept[k])
			cr_assert_eq(jt_journal_read(&j, k, &found, 1, &fault),
				     JT_JOURNAL_E_ARCHIVED);
	for (uint64_t k = j.base + 1; k <= j.committed.number; k++) {
		cr_assert_eq(jt_journal_read(&j, k, &found, 1, &fault), 0);
		cr_assert_eq(found.number, k);
	}
	cr_assert_eq(jt_journal_read(&j, 0, &found, 1, &fault), -EINVAL);
	cr_assert_eq(jt_journal_read(&j, j.base, r, 2, &fault), -EINVAL);
	cr_assert_eq(jt_journal_peek(&j, 0, r, 1, &fault), -EINVAL);
	cr_assert_eq(jt_journal_peek(&j, jt_journal_count(&j), r, 2, &fault),
		     -EINVAL);
	jt_journal_close(&j);
}

/* All records from FROM on, as history gives them. */
static size_t history(uint64_t from, struct jt_record *records,
		      struct jt_archive *a)
{
	size_t n, all = 0;

	cr_assert_eq(jt_archive_begin(a, &help_io, HELP_DIR, from, &fault), 0,
		     "%s", fault.line);
	do {
		cr_assert_eq(jt_archive_next(a, records + all, 37, &n, &fault),
			     0, "%s", fault.line);
		all += n;
		cr_assert_lt(all, HISTORY_MAX - 37);
	} while (n > 0);
	return all;
}

static struct jt_record whole[HISTORY_MAX], part[HISTORY_MAX];

static void tell_generations(unsigned n)
{
	begin(30);
	for (unsigned i = 1; i < n; i++) {
		compact_well();
		story_tell(&told, &seed, 30);
	}
}

Test(compact, history_is_read_through_all_archives)
{
	struct jt_archive a;
	uint64_t end;
	size_t n;

	/* the same story in one file, and in five */
	tell_generations(5);
	end = help_commit().number;
	n = history(1, whole, &a);
	cr_assert_eq(n, end);
	cr_assert_str_eq(a.missing, "");
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(whole[i].number, i + 1);
	cr_assert_arr_eq(a.reader.tag, a.newest.committed.tag, JT_TAG_BYTES);
	jt_archive_end(&a);
	for (uint64_t from = 2; from <= end + 1; from += 13) {
		n = history(from, part, &a);
		cr_assert_eq(n, end + 1 - from);
		cr_assert_arr_eq(part, &whole[from - 1], n * sizeof(*part));
		jt_archive_end(&a);
		cr_assert_eq(help_io_open_fds(), 0);
	}
	cr_assert_eq(jt_archive_begin(&a, &help_io, HELP_DIR, end + 2, &fault),
		     JT_JOURNAL_E_OLD);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(compact, an_archive_that_is_gone_is_said_and_the_rest_is_read)
{
	struct jt_journal_summary sum;
	struct jt_archive a;
	uint64_t end;
	size_t n;

	tell_generations(4);
	end = help_commit().number;
	history(1, whole, &a);
	jt_archive_end(&a);
	disk_change(&help_disk, "", -1, "journal.000002");
	n = history(1, part, &a);
	cr_assert_not_null(strstr(a.missing, "journal.000002"));
	cr_assert_gt(a.first, 1);
	cr_assert_eq(n, end + 1 - a.first);
	cr_assert_arr_eq(part, &whole[a.first - 1], n * sizeof(*part));
	cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, NULL, &sum, &fault),
		     0, "%s", fault.line);
	cr_assert_eq(sum.archives, 1);
	cr_assert_eq(sum.first, a.first);
	jt_archive_end(&a);
	/* who does not ask for it does not miss it */
	n = history(end - 3, part, &a);
	cr_assert_eq(n, 4);
	cr_assert_str_eq(a.missing, "");
	jt_archive_end(&a);
}

Test(compact, a_damaged_archive_is_named)
{
	struct jt_archive a;
	size_t n;
	int rc;

	tell_generations(3);
	disk_poke(&help_disk, "journal.000001", "X", 1,
		  JT_JOURNAL_DATA + 256 * 5 + 70);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	cr_assert_not_null(strstr(help_fault.line, "journal.000001"));
	cr_assert_eq(help_fault.number, 6);
	cr_assert_eq(jt_archive_begin(&a, &help_io, HELP_DIR, 1, &fault), 0);
	do
		rc = jt_archive_next(&a, part, 4, &n, &fault);
	while (rc == 0 && n > 0);
	cr_assert_eq(rc, JT_JOURNAL_E_DAMAGED);
	jt_archive_end(&a);
	expect_told();
}

Test(compact, an_archive_of_another_history_is_refused)
{
	struct jt_journal j, older;
	int file;

	tell_generations(3);
	file = disk_find(&help_disk, "journal.000001");
	disk_change(&help_disk, "", -1, "journal.000002");
	disk_change(&help_disk, "journal.000002", file, "journal.000001");
	open_journal(&j);
	cr_assert_eq(jt_archive_open(&j, &older, &fault), JT_JOURNAL_E_DAMAGED);
	jt_journal_close(&j);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(help_io_open_fds(), 0);
}

static int check_expect(const struct jt_commit *c)
{
	struct jt_journal_summary sum;

	return jt_journal_check(&help_io, HELP_DIR, c, &sum, &fault);
}

Test(compact, old_receipts_stay_good)
{
	struct jt_commit at[6], wrong;
	struct jt_journal j;

	begin(0);
	for (unsigned i = 0; i < 6; i++) {
		story_tell(&told, &seed, 9);
		at[i] = help_commit();
		if (i % 2)
			compact_well();
	}
	for (unsigned i = 0; i < 6; i++) {
		cr_assert_eq(check_expect(&at[i]), 0, "%s", fault.line);
		wrong = at[i];
		wrong.tag[3] ^= 1;
		cr_assert_eq(check_expect(&wrong), JT_JOURNAL_E_OLD);
		wrong.number = i ? at[i - 1].number : 1;
		wrong.tag[3] ^= 1;
		cr_assert_eq(check_expect(&wrong), JT_JOURNAL_E_OLD);
	}
	/* the beginning of all */
	open_journal(&j);
	memset(&wrong, 0, sizeof(wrong));
	cr_assert_eq(jt_archive_tag(&j, 0, wrong.tag, &fault), 0);
	cr_assert_eq(check_expect(&wrong), 0);
	jt_journal_close(&j);
	disk_change(&help_disk, "", -1, "journal.000001");
	cr_assert_eq(check_expect(&at[0]), JT_JOURNAL_E_ARCHIVED);
	cr_assert_not_null(strstr(fault.line, "journal.000001"));
	cr_assert_eq(check_expect(&at[2]), 0);
}

static int anchor_at(const struct jt_commit *c)
{
	struct jt_anchor a = {.number = c->number};
	struct jt_journal j;
	int rc;

	open_journal(&j);
	memcpy(a.journal_id, j.id, sizeof(a.journal_id));
	memcpy(a.tag, c->tag, sizeof(a.tag));
	rc = jt_anchor_check(&j, &a, &fault);
	jt_journal_close(&j);
	return rc;
}

Test(compact, an_anchor_from_before_is_compared_with_the_archive)
{
	struct jt_commit then, wrong;

	begin(20);
	wrong = then = help_commit();
	wrong.tag[0] ^= 1;
	story_tell(&told, &seed, 20);
	compact_well();
	cr_assert_eq(anchor_at(&then), 0);
	cr_assert_eq(anchor_at(&wrong), JT_JOURNAL_E_OLD);
	cr_assert_not_null(strstr(fault.line, "another history"));
	cr_assert_eq(anchor_at(&done.end), 0);
	disk_change(&help_disk, "", -1, done.archive);
	cr_assert_eq(anchor_at(&then), JT_JOURNAL_E_OLD);
	cr_assert_not_null(strstr(fault.line, "archive"));
	cr_assert_eq(anchor_at(&done.end), 0);
	cr_assert_eq(help_io_open_fds(), 0);
}

/* ---- damage to what stands in front ---- */

Test(compact, every_byte_of_the_state_is_covered, .timeout = 60)
{
	uint64_t end;
	uint8_t b, bad;
	int file;

	begin(12);
	compact_well();
	end = JT_JOURNAL_DATA + 256 * done.state;
	file = disk_find(&help_disk, "journal");
	for (uint64_t at = 80; at < end; at++) {
		if (at == 112)
			at = JT_JOURNAL_DATA; /* zeros and slots: elsewhere */
		disk_read(&help_disk, file, &b, 1, at, false);
		bad = b ^ (uint8_t)(1u << at % 8);
		disk_poke(&help_disk, "journal", &bad, 1, at);
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED, "%lu", at);
		if (at >= JT_JOURNAL_DATA)
			cr_assert_eq(help_fault.offset, at / 256 * 256);
		disk_poke(&help_disk, "journal", &b, 1, at);
	}
	help_commit();
}

Test(compact, state_records_moved_about_are_found)
{
	uint8_t a[256], b[256];
	uint64_t last;
	int file;

	begin(12);
	compact_well();
	file = disk_find(&help_disk, "journal");
	last = JT_JOURNAL_DATA + 256 * (done.state - 1);
	for (uint64_t at = JT_JOURNAL_DATA; at < last; at += 256) {
		disk_read(&help_disk, file, a, 256, at, false);
		disk_read(&help_disk, file, b, 256, at + 256, false);
		disk_poke(&help_disk, "journal", b, 256, at);
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
		disk_poke(&help_disk, "journal", a, 256, at + 256);
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
		disk_poke(&help_disk, "journal", a, 256, at);
		disk_poke(&help_disk, "journal", b, 256, at + 256);
	}
	help_commit();
}

/* A writer of rubbish with a right chain: order is checked as well. */
Test(compact, state_out_of_order_is_refused)
{
	struct jt_record r[2];
	struct jt_header_page h;
	struct jt_commit c;
	struct jt_journal j;
	uint8_t tag[JT_TAG_BYTES];

	begin(12);
	compact_well();
	open_journal(&j);
	cr_assert_eq(jt_journal_peek(&j, 1, r, 2, &fault), 0);
	cr_assert_eq(jt_io_read_at(&help_io, j.fd, &h, sizeof(h), 0), 0);
	c = j.committed;
	jt_journal_close(&j);
	h.state_records = 2;
	for (unsigned i = 0; i < 5; i++) {
		struct jt_record bad[2] = {r[i == 1], r[i != 1]};
		struct jt_slot_page s;

		if (i == 2)
			bad[1].number = h.base + 1;
		if (i == 3)
			bad[1].part = bad[1].parts + 1;
		memcpy(tag, h.base_tag, sizeof(tag));
		jt_state_seal(bad, 2, tag);
		tag[0] ^= i == 4;
		memcpy(h.state_tag, tag, sizeof(tag));
		jt_header_seal(&h);
		disk_poke(&help_disk, "journal", &h, sizeof(h), 0);
		disk_poke(&help_disk, "journal", bad, sizeof(bad),
			  JT_JOURNAL_DATA);
		for (unsigned k = 0; k < 2; k++) {
			jt_slot_make(&s, h.id, k, &c);
			disk_poke(&help_disk, "journal", &s, sizeof(s),
				  4096 * (k + 1));
		}
		cr_assert_eq(help_check(), i ? JT_JOURNAL_E_DAMAGED : 0, "%u",
			     i);
	}
}

Test(compact, a_compacted_file_cut_short_is_refused)
{
	begin(12);
	compact_well();
	for (uint64_t n = 0; n < done.state; n++) {
		disk_cut(&help_disk, "journal",
			 JT_JOURNAL_DATA + 256 * (done.state - n) - 1);
		cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	}
}

/* ---- crashes ---- */

static struct disk before, stopped;
static struct story untouched;
static struct jt_commit old;
static uint64_t keep_mask;
static bool keep_random;

static bool keep(unsigned i)
{
	return keep_random ? help_random(&seed) & 1 : keep_mask >> i & 1;
}

/* A journal of two generations, and commits behind the second's base. */
static void start(void)
{
	begin(8);
	compact_well();
	story_tell(&told, &seed, 8);
	old = help_commit();
	disk_copy(&before, &help_disk);
	untouched = told;
}

static uint64_t generation(void)
{
	struct jt_journal j;
	uint64_t g;

	open_journal(&j);
	g = j.generation;
	jt_journal_close(&j);
	return g;
}

/* Old or new, with all of history, and the next change works. */
static void expect_sound(bool acknowledged, uint64_t k)
{
	struct jt_commit c = help_commit();
	struct jt_archive a;

	told = untouched;
	cr_assert(help_same(&c, &old), "call %lu", k);
	expect_told();
	cr_assert(!acknowledged || generation() == 3, "call %lu", k);
	cr_assert_eq(history(1, part, &a), old.number, "call %lu", k);
	cr_assert_str_eq(a.missing, "");
	jt_archive_end(&a);
	story_tell(&told, &seed, 1);
	compact_well();
	expect_told();
	cr_assert_eq(disk_find(&help_disk, JT_COMPACT_NAME), -1);
	cr_assert_eq(history(1, part, &a), help_commit().number);
	jt_archive_end(&a);
}

static bool run_until(uint64_t k, int error, bool forever, bool *acknowledgedp)
{
	disk_copy(&help_disk, &before);
	help_io_plan((struct help_plan){
		.fail_at = k, .forever = forever, .error = error});
	*acknowledgedp = compact() == 0;
	return help_calls < k;
}

Test(compact_faults, a_kill_at_any_call_leaves_old_or_new, .timeout = 120)
{
	bool acknowledged, over = false;

	start();
	for (uint64_t k = 1; !over; k++) {
		over = run_until(k, EIO, true, &acknowledged);
		help_io_kill();
		expect_sound(acknowledged, k);
		help_io_kill();
	}
	cr_assert(acknowledged);
}

static void try_images(bool acknowledged, uint64_t k)
{
	unsigned n = disk_choices(&help_disk);
	uint64_t images = n < 6 ? UINT64_C(1) << n : IMAGES_MAX;

	disk_copy(&stopped, &help_disk);
	keep_random = n >= 6;
	for (keep_mask = 0; keep_mask < images; keep_mask++) {
		disk_copy(&help_disk, &stopped);
		help_io_power_cut(keep_mask == 0 ? NULL : keep);
		expect_sound(acknowledged, k);
		help_io_kill();
	}
}

Test(compact_faults, a_power_cut_at_any_call_leaves_old_or_new, .timeout = 600)
{
	bool acknowledged, over = false;

	start();
	for (uint64_t k = 1; !over; k++) {
		over = run_until(k, EIO, true, &acknowledged);
		help_io_plan((struct help_plan){0});
		try_images(acknowledged, k);
	}
	cr_assert(acknowledged);
}

Test(compact_faults, any_error_of_any_call_is_no_false_success, .timeout = 120)
{
	int errors[] = {EIO, ENOSPC, EMFILE};

	start();
	for (unsigned i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		bool acknowledged, over = false;

		for (uint64_t k = 1; !over; k++) {
			over = run_until(k, errors[i], false, &acknowledged);
			cr_assert_eq(help_io_open_fds(), 0, "call %lu", k);
			help_io_power_cut(NULL);
			expect_sound(acknowledged, k);
			help_io_kill();
		}
		cr_assert(acknowledged);
	}
}

/* Its own file is worthless then; anything else may mislead the next writer. */
Test(compact_faults, a_failed_flush_poisons_when_others_rely_on_it)
{
	bool over = false;

	start();
	for (uint64_t k = 1; !over; k++) {
		int rc;

		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){
			.fail_at = k,
			.error = EIO,
			.kinds = 1u << CALL_SYNC | 1u << CALL_DATASYNC,
		});
		rc = compact();
		over = help_calls < k;
		help_io_plan((struct help_plan){0});
		if (over)
			break;
		cr_assert_eq(rc, -EIO);
		rc = help_append(1, JT_REC_CREATE);
		/* 1: the new file; 2: the old; 3, 4: the directory */
		cr_assert_eq(rc, k == 1 ? 0 : JT_JOURNAL_E_POISONED, "%lu", k);
		if (k > 1)
			cr_assert_eq(
				jt_journal_rescue(&help_io, HELP_DIR, &fault),
				0, "%s", fault.line);
		help_commit();
		help_io_kill();
	}
}

Test(compact_faults, a_rescue_keeps_state_and_archives)
{
	struct jt_archive a;

	start();
	cr_assert_eq(jt_journal_rescue(&help_io, HELP_DIR, &fault), 0, "%s",
		     fault.line);
	expect_sound(false, 0);
	cr_assert_eq(generation(), 4);
	/* also of one that has nothing behind its base */
	cr_assert_eq(jt_journal_rescue(&help_io, HELP_DIR, &fault), 0, "%s",
		     fault.line);
	expect_told();
	story_tell(&told, &seed, 3);
	compact_well();
	expect_told();
	cr_assert_eq(history(1, part, &a), help_commit().number);
	jt_archive_end(&a);
}

Test(compact_faults, a_full_disk_changes_nothing)
{
	start();
	for (uint64_t room = 1; room < 3600000; room += 456789) {
		help_io_plan((struct help_plan){
			.capacity = disk_used(&help_disk) + room});
		cr_assert_eq(compact(), -ENOSPC);
		cr_assert_eq(disk_find(&help_disk, JT_COMPACT_NAME), -1);
		disk_flush_dir(&help_disk);
		help_io_kill(); /* gives back what was removed */
		help_commit();
	}
	expect_sound(false, 0);
}

Test(compact_faults, short_and_interrupted_calls_end_well)
{
	start();
	help_io_plan(
		(struct help_plan){.interrupt = true, .transfer_max = 5000});
	cr_assert_eq(compact(), 0, "%s", help_fault.line);
	help_io_power_cut(NULL);
	expect_sound(true, 0);
}

Test(compact_faults, a_foreign_file_is_not_taken_for_the_archive)
{
	start();
	disk_make(&help_disk, "journal.000002", S_IFREG | 0600, 0);
	cr_assert_eq(compact(), JT_JOURNAL_E_EXISTS);
	cr_assert_not_null(strstr(help_fault.line, "journal.000002"));
	cr_assert_eq(disk_find(&help_disk, JT_COMPACT_NAME), -1);
	disk_change(&help_disk, "", -1, "journal.000002");
	expect_sound(false, 0);
}

Test(compact_faults, what_an_earlier_run_left_is_removed)
{
	start();
	disk_make(&help_disk, JT_COMPACT_NAME, S_IFREG | 0600, 0);
	expect_sound(false, 0);
}

/* ---- others at the same time ---- */

static struct jt_io meddling;
static unsigned locks, meddle_at;
static void (*meddle)(void);

/* The first lock is the directory's, the second the journal's. */
static int flock_late(int fd, int op)
{
	if (++locks == meddle_at)
		meddle();
	return help_io.flock(fd, op);
}

static int compact_with(void (*what)(void), unsigned at)
{
	meddling = help_io;
	meddling.flock = flock_late;
	meddle = what;
	meddle_at = at;
	locks = 0;
	return jt_journal_compact(&meddling, HELP_DIR, &done, &help_fault);
}

static void write_more(void)
{
	story_tell(&told, &seed, 25);
}

static void write_much(void)
{
	cr_assert_eq(help_append(16000, JT_REC_COPY), 0, "%s", help_fault.line);
}

static void do_rescue(void)
{
	cr_assert_eq(jt_journal_rescue(&help_io, HELP_DIR, &fault), 0);
}

static void compact_too(void)
{
	cr_assert_eq(compact(), JT_JOURNAL_E_BUSY);
	cr_assert_not_null(strstr(help_fault.line, "another compaction"));
}

Test(compact, what_is_committed_meanwhile_is_in_it)
{
	struct jt_journal_summary sum;
	struct jt_journal j;

	start();
	cr_assert_eq(compact_with(write_more, 2), 0, "%s", help_fault.line);
	cr_assert_eq(help_commit().number, done.end.number);
	cr_assert_gt(done.end.number, old.number);
	open_journal(&j);
	cr_assert_eq(j.base, old.number);
	jt_journal_close(&j);
	expect_told();
	/* more than the reserve that it was built with */
	cr_assert_eq(compact_with(write_much, 2), 0, "%s", help_fault.line);
	cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, NULL, &sum, &fault),
		     0);
	cr_assert_geq(sum.reserve, JT_JOURNAL_RESERVE);
	expect_told();
	help_io_power_cut(NULL);
	expect_told();
}

Test(compact, gives_up_when_the_file_was_replaced_meanwhile)
{
	start();
	cr_assert_eq(compact_with(do_rescue, 2), JT_JOURNAL_E_REPLACED, "%s",
		     help_fault.line);
	cr_assert_eq(generation(), 3);
	cr_assert_eq(help_io_open_fds(), 0);
	cr_assert_eq(disk_find(&help_disk, JT_COMPACT_NAME), -1);
	expect_told();
}

Test(compact, two_at_a_time_exclude_each_other)
{
	start();
	cr_assert_eq(compact_with(compact_too, 2), 0, "%s", help_fault.line);
	expect_told();
	cr_assert_eq(generation(), 3);
}

Test(compact, a_writer_that_does_not_let_go_is_told)
{
	struct jt_journal j;

	start();
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     0);
	cr_assert_eq(compact(), JT_JOURNAL_E_BUSY);
	jt_journal_close(&j);
	expect_sound(false, 0);
}

Test(compact, takes_the_owner_of_the_directory)
{
	start();
	help_disk.dir_uid = 77;
	for (unsigned i = 0; i < DISK_FILES; i++)
		help_disk.file[i].uid = 77;
	compact_well();
	cr_assert_eq(help_disk.file[disk_find(&help_disk, "journal")].uid, 77);
}

/* ---- backups ---- */

#define COPY HELP_DIR "/copy"

static int backup(struct jt_commit *endp)
{
	uint64_t bytes;

	return jt_journal_backup(&help_io, HELP_DIR, COPY, endp, &bytes,
				 &help_fault);
}

/* The copy as the journal. */
static void restore(void)
{
	int file = disk_find(&help_disk, "copy");

	disk_change(&help_disk, "", -1, "journal");
	disk_change(&help_disk, "journal", file, "copy");
	disk_flush_dir(&help_disk);
}

Test(backup, is_the_journal_as_it_was)
{
	struct jt_commit end;

	start();
	cr_assert_eq(backup(&end), 0, "%s", help_fault.line);
	cr_assert(help_same(&end, &old));
	help_io_power_cut(NULL);
	told = untouched;
	story_tell(&told, &seed, 10);
	restore();
	cr_assert_eq(generation(), 2);
	expect_sound(false, 0);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(backup, does_not_write_over_a_file)
{
	struct jt_commit end;

	start();
	disk_make(&help_disk, "copy", S_IFREG | 0600, 0);
	cr_assert_eq(backup(&end), -EEXIST);
	cr_assert_geq(disk_find(&help_disk, "copy"), 0);
}

Test(backup, that_failed_leaves_no_file_and_no_false_success)
{
	bool over = false;

	start();
	for (uint64_t k = 1; !over; k++) {
		struct jt_commit end;
		int rc;

		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){.fail_at = k, .error = EIO});
		rc = backup(&end);
		over = help_calls < k;
		cr_assert_eq(help_io_open_fds(), 0);
		help_io_plan((struct help_plan){0});
		cr_assert_eq(rc == 0, disk_find(&help_disk, "copy") >= 0,
			     "call %lu", k);
		if (rc == 0) {
			help_io_power_cut(NULL);
			restore();
			cr_assert(help_same(&old, &end));
			expect_told();
		}
		help_io_kill();
	}
}

Test(backup, of_a_damaged_journal_is_refused)
{
	struct jt_commit end;

	start();
	disk_poke(&help_disk, "journal", "X", 1, JT_JOURNAL_DATA + 300);
	cr_assert_eq(backup(&end), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(disk_find(&help_disk, "copy"), -1);
}
