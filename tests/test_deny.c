/* deny: the file of revokes that the journal cannot take; and what a crash or
 * damage leaves of it. */
#include "admin/deny.h"

#include "admin/rescue.h"
#include "sidecar/denials.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define S 1000000000ull
#define A(place) (4096u + 256u * (place))
#define B(place) (A(place) + 2560000u)
#define BYTES 5124096u

static uint8_t id[16] = "this journal id";
static struct jt_deny_file file;
static struct disk before;
static int dir_fd;

static void open_dir(void)
{
	dir_fd = help_io.openat(AT_FDCWD, HELP_DIR,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	cr_assert_geq(dir_fd, 0);
}

static void begin(void)
{
	help_quiet();
	help_journal_new(1);
	open_dir();
}

static struct jt_denial some(unsigned n)
{
	struct jt_denial d = {.actor_uid = 1000 + n, .time_ns = n * S};

	snprintf(d.id, sizeof(d.id), "jt_live_%015u", n);
	d.id[JT_ID_BYTES - 1] = 'x';
	snprintf(d.reason, sizeof(d.reason), "reason %u", n);
	return d;
}

static void make(unsigned n)
{
	struct jt_denial list[4];

	for (unsigned i = 0; i < n; i++)
		list[i] = some(i);
	cr_assert_eq(jt_deny_make(&file, &help_io, dir_fd, id, list, n), 0);
}

/* What a scan finds, place by place. */
static enum jt_deny_kind kinds[JT_DENY_MAX];
static struct jt_denial found[8];
static unsigned n_found;

static void note(void *ctx, uint32_t place, enum jt_deny_kind kind,
		 const struct jt_denial *d)
{
	kinds[place] = kind;
	if (n_found < 8)
		found[n_found] = *d;
	n_found++;
}

static unsigned scan(void)
{
	memset(kinds, 0, sizeof(kinds));
	n_found = 0;
	cr_assert_eq(jt_deny_scan(&file, note, NULL), 0);
	return n_found;
}

static void open_again(int want)
{
	cr_assert_eq(jt_deny_open(&file, &help_io, dir_fd, id, O_RDWR), want);
}

static bool is_some(const struct jt_denial *d, unsigned n)
{
	struct jt_denial want = some(n);

	return memcmp(d->id, want.id, JT_ID_BYTES) == 0;
}

Test(deny, new_file_is_whole_flushed_and_without_holes, .init = begin)
{
	struct stat st;

	make(0);
	help_io_power_cut(NULL);
	open_dir();
	open_again(0);
	cr_expect_eq(scan(), 0);
	help_io.fstat(file.fd, &st);
	cr_expect_eq(st.st_size, BYTES);
	cr_expect_eq(disk_find(&help_disk, "deny.new"), -1);
}

Test(deny, entry_is_read_as_it_was_written_also_after_a_power_cut,
     .init = begin)
{
	struct jt_denial d = some(7);

	make(2);
	cr_assert_eq(jt_deny_write(&file, 9999, &d), 0);
	cr_assert_eq(jt_deny_sync(&file), 0);
	help_io_power_cut(NULL);
	open_dir();
	open_again(0);
	cr_assert_eq(scan(), 3);
	cr_expect_eq(kinds[9999], JT_DENY_PENDING);
	cr_expect_eq(memcmp(&found[2], &d, sizeof(d)), 0);
	cr_assert_eq(jt_deny_clear(&file, 9999), 0);
	cr_expect_eq(scan(), 2);
}

Test(deny, file_is_bound_to_its_journal, .init = begin)
{
	struct jt_deny_sum sum;
	uint8_t other[16] = "another journal";

	make(2);
	jt_deny_close(&file);
	cr_expect_eq(jt_deny_open(&file, &help_io, dir_fd, other, O_RDWR),
		     JT_DENY_E_FOREIGN);
	scan();
	cr_expect_eq(kinds[0], JT_DENY_LOST, "none of ours");
	cr_expect_eq(jt_deny_count(&help_io, dir_fd, other, &sum),
		     JT_DENY_E_FOREIGN);
	cr_expect(jt_deny_has(&help_io, dir_fd, id, some(1).id));
	cr_expect_not(jt_deny_has(&help_io, dir_fd, other, some(1).id));
}

/* All that is not flushed may come or not, each sector by itself. */
static unsigned cut_choice;
static bool keep(unsigned i)
{
	return cut_choice >> i & 1;
}

Test(deny, unflushed_entry_is_there_or_not_and_harms_no_other, .init = begin)
{
	struct jt_denial d = some(3);
	unsigned n, there = 0;

	make(2);
	disk_copy(&before, &help_disk);
	cr_assert_eq(jt_deny_write(&file, 2, &d), 0);
	n = disk_choices(&help_disk);
	cr_assert(n >= 2 && n < 8, "%u", n);
	for (cut_choice = 0; cut_choice < 1u << n; cut_choice++) {
		disk_copy(&help_disk, &before);
		open_dir();
		open_again(0);
		cr_assert_eq(jt_deny_write(&file, 2, &d), 0);
		help_io_power_cut(keep);
		open_dir();
		open_again(0);
		scan();
		cr_expect_eq(kinds[0], JT_DENY_PENDING);
		cr_expect_eq(kinds[1], JT_DENY_PENDING);
		cr_expect(kinds[2] == JT_DENY_FREE ||
			  kinds[2] == JT_DENY_PENDING);
		there += kinds[2] == JT_DENY_PENDING;
	}
	cr_expect_gt(there, 0);
}

Test(deny, torn_copy_alone_does_not_exist, .init = begin)
{
	uint8_t bytes[256];
	static const uint8_t zeros[256];

	make(1);
	help_io.pread(file.fd, bytes, sizeof(bytes), A(0));
	disk_poke(&help_disk, "deny", zeros, sizeof(zeros), B(0));
	for (unsigned keep_n = 0; keep_n <= 256; keep_n++) {
		disk_poke(&help_disk, "deny", zeros, sizeof(zeros), A(0));
		disk_poke(&help_disk, "deny", bytes, keep_n, A(0));
		scan();
		/* from the 32nd byte on the id is told, so it is denied */
		cr_expect_eq(kinds[0],
			     keep_n < 32    ? JT_DENY_FREE
			     : keep_n < 256 ? JT_DENY_HURT
					    : JT_DENY_PENDING,
			     "%u", keep_n);
	}
}

Test(deny, every_bit_of_one_copy_may_flip, .init = begin)
{
	uint8_t bytes[256];

	make(1);
	for (unsigned area = 0; area < 2; area++) {
		uint64_t at = area ? B(0) : A(0);

		help_io.pread(file.fd, bytes, sizeof(bytes), (off_t)at);
		for (unsigned bit = 0; bit < 8 * 256; bit++) {
			uint8_t bad = bytes[bit / 8] ^ (uint8_t)(1u << bit % 8);

			disk_poke(&help_disk, "deny", &bad, 1, at + bit / 8);
			scan();
			cr_assert_eq(kinds[0], JT_DENY_HURT, "bit %u", bit);
			cr_assert(is_some(&found[0], 0));
			disk_poke(&help_disk, "deny", &bytes[bit / 8], 1,
				  at + bit / 8);
		}
	}
}

Test(deny, both_copies_hurt_are_denied_while_an_id_holds, .init = begin)
{
	make(1);
	disk_poke(&help_disk, "deny", "x", 1, A(0) + 60);
	disk_poke(&help_disk, "deny", "x", 1, B(0) + 250);
	scan();
	cr_expect_eq(kinds[0], JT_DENY_HURT);
	cr_expect(is_some(&found[0], 0));
	cr_expect_eq(found[0].actor_uid, JT_DENY_NOBODY);
	disk_poke(&help_disk, "deny", "x", 1, A(0) + 3);
	scan();
	cr_expect_eq(kinds[0], JT_DENY_HURT);
	disk_poke(&help_disk, "deny", "x", 1, B(0) + 3);
	scan();
	cr_expect_eq(kinds[0], JT_DENY_LOST);
}

Test(deny, entry_stands_for_no_other_place, .init = begin)
{
	uint8_t bytes[256];

	make(1);
	help_io.pread(file.fd, bytes, sizeof(bytes), A(0));
	disk_poke(&help_disk, "deny", bytes, sizeof(bytes), A(5));
	disk_poke(&help_disk, "deny", bytes, sizeof(bytes), B(5));
	scan();
	cr_expect_eq(kinds[5], JT_DENY_LOST);
}

Test(deny, making_it_fails_at_any_call_without_harm, .init = begin)
{
	struct jt_denial list[1] = {some(0)};

	make(1);
	jt_deny_close(&file);
	disk_copy(&before, &help_disk);
	for (uint64_t k = 1;; k++) {
		int rc;

		disk_copy(&help_disk, &before);
		open_dir();
		help_io_plan((struct help_plan){.fail_at = k, .error = EIO});
		rc = jt_deny_make(&file, &help_io, dir_fd, id, list, 1);
		help_io_plan((struct help_plan){0});
		help_io_power_cut(NULL);
		open_dir();
		open_again(0);
		cr_assert_eq(scan(), 1, "call %lu", k);
		if (rc == 0) {
			cr_assert_gt(k, 100);
			break;
		}
	}
}

/* ---- the keeper's list ---- */

static struct help_table t;
static struct jt_feed feed;
static struct jt_denials denials;
static struct help_token tokens[4];

static void open_feed(void)
{
	struct jt_journal j;

	help_table_new(&t, 64);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &help_fault), 0);
	cr_assert_eq(jt_feed_init(&feed, HELP_DIR, &j, &t.maps), 0);
	while (jt_feed_step(&feed))
		;
	cr_assert_eq(jt_denials_init(&denials, &j, HELP_DIR), 0);
	jt_denials_apply(&denials, &feed.ledger);
}

static void append(struct jt_record r)
{
	struct jt_journal j;

	cr_assert_eq(
		jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault),
		0);
	cr_assert_eq(jt_journal_append(&j, &r, 1, &help_fault), 0);
	jt_journal_close(&j);
	while (jt_feed_step(&feed))
		;
}

static void start(void)
{
	help_quiet();
	help_wall_ns = HELP_NOW_S * S;
	help_journal_new(0);
	open_feed();
	for (unsigned i = 0; i < 4; i++) {
		help_token_make(&tokens[i], "live");
		append(help_create(&tokens[i]));
	}
}

TestSuite(denials, .init = start);

static int deny(unsigned i)
{
	return jt_denials_add(&denials, &feed.ledger, tokens[i].text, 1234,
			      "why not");
}

static void restart(void)
{
	help_io_kill();
	open_feed();
}

static void tend(void)
{
	static uint64_t now = 1000 * S;

	for (unsigned i = 0; i < 5; i++) {
		now += 10 * S;
		jt_denials_tend(&denials, &feed, now);
		while (jt_feed_step(&feed))
			;
	}
}

static struct jt_record last_record(void)
{
	struct jt_record r;

	cr_assert_eq(jt_journal_read(&feed.journal,
				     feed.journal.committed.number, &r, 1,
				     &help_fault),
		     0);
	return r;
}

Test(denials, deny_is_in_force_at_once_and_after_a_power_cut)
{
	cr_expect_eq(help_word(&t, &tokens[0]), JT_VALID);
	cr_assert_eq(deny(0), 0);
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	cr_assert_eq(jt_denials_settle(&denials), 0);
	cr_expect_not_null(jt_denials_trouble(&denials));
	help_io_power_cut(NULL);
	restart();
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	cr_expect_eq(help_word(&t, &tokens[1]), JT_VALID);
	cr_expect_eq(denials.n, 1);
}

Test(denials, they_come_into_the_journal_with_uid_and_reason_and_are_cleared)
{
	struct jt_record r;

	deny(0);
	deny(1);
	jt_denials_settle(&denials);
	tend();
	cr_expect_eq(denials.n, 0);
	cr_expect_null(jt_denials_trouble(&denials));
	r = last_record();
	cr_expect_eq(r.type, JT_REC_REASON);
	cr_expect_eq(r.actor_uid, 1234);
	cr_expect_eq(r.parts, 3);
	cr_expect_str_eq(r.reason, "why not");
	restart();
	cr_expect_eq(denials.n, 0);
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	cr_expect_eq(help_check(), 0);
}

Test(denials, no_record_that_comes_meanwhile_revives)
{
	struct jt_record r = help_create(&tokens[0]);
	struct help_token newer = tokens[0];

	deny(0);
	append(help_as(r, JT_REC_RENEW));
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	append(help_as(r, JT_REC_RESUME));
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	help_rotate(&r, &newer, HELP_NOW_S + 1000);
	append(r);
	cr_expect_eq(feed.health, JT_HEALTH_OK);
	cr_expect_eq(help_word(&t, &newer), JT_REVOKED);
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	tend();
	cr_expect_eq(denials.n, 0);
	cr_expect_eq(help_word(&t, &newer), JT_REVOKED);
}

Test(denials, unknown_and_already_revoked_need_no_entry)
{
	struct help_token nobody;

	help_token_make(&nobody, "live");
	cr_expect_eq(jt_denials_add(&denials, &feed.ledger, nobody.text, 1, ""),
		     JT_DENIALS_E_NOTFOUND);
	append(help_as(help_create(&tokens[0]), JT_REC_REVOKE));
	cr_expect_eq(deny(0), 0);
	cr_expect_eq(denials.n, 0);
	deny(1);
	cr_expect_eq(deny(1), 0);
	cr_expect_eq(denials.n, 1);
}

/* A reader with a small piece at a time, while others are being recorded. */
Test(denials, reader_in_pieces_misses_none_that_still_waits)
{
	char ids[2 * (JT_ID_BYTES + 1) + 1];
	uint64_t from;

	for (unsigned i = 0; i < 4; i++)
		deny(i);
	from = jt_denials_tell(&denials, 0, ids, sizeof(ids));
	cr_expect_eq(from, 2);
	cr_expect(strstr(ids, " jt_live_") == ids);
	cr_expect_eq(strlen(ids), sizeof(ids) - 1);
	tend(); /* all are in the journal, another is not */
	help_token_make(&tokens[0], "live");
	append(help_create(&tokens[0]));
	deny(0);
	from = jt_denials_tell(&denials, from, ids, sizeof(ids));
	cr_expect_eq(from, 5);
	cr_expect_eq(memcmp(ids + 1, tokens[0].text, JT_ID_BYTES), 0);
	cr_expect_eq(strlen(ids), JT_ID_BYTES + 1);
	cr_expect_eq(jt_denials_tell(&denials, from, ids, sizeof(ids)), 5);
	cr_expect_str_eq(ids, "");
}

Test(denials, lock_held_by_another_is_not_waited_for)
{
	struct jt_journal j;

	deny(0);
	cr_assert_eq(
		jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault),
		0);
	tend();
	cr_expect_eq(denials.n, 1);
	jt_journal_close(&j);
	tend();
	cr_expect_eq(denials.n, 0);
}

Test(denials, failed_flush_is_never_called_durable)
{
	deny(0);
	help_io_plan((struct help_plan){
		.fail_at = 1,
		.forever = true,
		.error = EIO,
		.kinds = 1u << CALL_DATASYNC | 1u << CALL_SYNC,
	});
	cr_expect_eq(jt_denials_settle(&denials), 1);
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	help_io_plan((struct help_plan){0});
	/* another file, not another flush of the same */
	cr_expect_eq(jt_denials_settle(&denials), 0);
	help_io_power_cut(NULL);
	restart();
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
}

/* Whatever call fails from some time on: what was called durable is. */
Test(denials, any_call_may_fail)
{
	disk_copy(&before, &help_disk);
	for (uint64_t k = 1; k < 60; k++) {
		bool durable;

		disk_copy(&help_disk, &before);
		restart();
		help_io_plan((struct help_plan){
			.fail_at = k, .forever = true, .error = EIO});
		deny(0);
		durable = jt_denials_settle(&denials) == 0;
		cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
		jt_denials_tend(&denials, &feed, 9000 * S);
		help_io_plan((struct help_plan){0});
		help_io_power_cut(NULL);
		if (help_look(&(struct jt_commit){0}) != 0)
			continue;
		restart();
		if (durable)
			cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED,
				     "call %lu", k);
	}
}

Test(denials, file_removed_meanwhile_is_noticed)
{
	open_dir();
	deny(0);
	help_io.unlinkat(dir_fd, "deny", 0);
	cr_expect_eq(jt_denials_settle(&denials), 0);
	help_io_power_cut(NULL);
	restart();
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
}

Test(denials, poisoned_journal_is_left_alone_until_it_is_rescued)
{
	struct jt_journal j;
	struct jt_record r = help_as(help_create(&tokens[0]), JT_REC_REVOKE);

	cr_assert_eq(
		jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault),
		0);
	help_io_plan((struct help_plan){
		.fail_at = 1, .error = EIO, .kinds = 1u << CALL_DATASYNC});
	cr_assert_neq(jt_journal_append(&j, &r, 1, &help_fault), 0);
	help_io_plan((struct help_plan){0});
	jt_journal_close(&j);
	deny(0);
	cr_assert_eq(jt_denials_settle(&denials), 0);
	tend();
	cr_expect_eq(denials.n, 1);
	cr_expect(strstr(jt_denials_trouble(&denials), "rescue"));
	restart();
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
}

Test(denials, what_the_journal_did_not_take_stays_pending)
{
	deny(0);
	jt_denials_settle(&denials);
	help_io_plan((struct help_plan){.fail_at = 1,
					.forever = true,
					.error = ENOSPC,
					.kinds = 1u << CALL_WRITE});
	tend();
	help_io_plan((struct help_plan){0});
	cr_expect_eq(denials.n, 1);
	restart();
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	tend();
	cr_expect_eq(denials.n, 0);
	cr_expect_eq(last_record().type, JT_REC_REASON);
}

Test(denials, damaged_header_loses_no_entry)
{
	deny(0);
	jt_denials_settle(&denials);
	disk_poke(&help_disk, "deny", "x", 1, 20);
	restart();
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	restart();
	cr_expect_eq(help_word(&t, &tokens[0]), JT_REVOKED);
	cr_expect_eq(denials.n, 1);
}

Test(denials, crash_between_commit_and_clearing_is_harmless)
{
	deny(0);
	jt_denials_settle(&denials);
	append(help_as(help_create(&tokens[0]), JT_REC_REVOKE));
	restart();
	cr_expect_eq(denials.n, 1);
	tend();
	cr_expect_eq(denials.n, 0);
	cr_expect_eq(last_record().type, JT_REC_REVOKE);
	restart();
	cr_expect_eq(denials.n, 0);
}
