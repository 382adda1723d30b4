/*
 * test_anchor: the anchor file, and what it says of a journal.
 */
#include "admin/anchor.h"
#include "admin/rescue.h"
#include "tests/help_journal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILE_BYTES 8192u

static struct jt_fault fault;
static struct disk before, stopped;
static int dir_fd;

static void open_dir(void)
{
	dir_fd = help_io.openat(AT_FDCWD, HELP_DIR,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	cr_assert_geq(dir_fd, 0);
}

static void make_journal(void)
{
	help_journal_new(5);
	open_dir();
}

static struct jt_anchor some(uint64_t number)
{
	struct jt_anchor a = {.number = number, .clock_s = 1000 + number};

	memset(a.journal_id, 0x5a, sizeof(a.journal_id));
	memset(a.tag, (int)number, sizeof(a.tag));
	return a;
}

static int write_some(uint64_t number)
{
	struct jt_anchor a = some(number);

	return jt_anchor_write(&help_io, dir_fd, &a);
}

static void expect_some(uint64_t number)
{
	struct jt_anchor want = some(number), got;

	cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &got), 0);
	want.sequence = got.sequence;
	cr_assert_arr_eq(&got, &want, sizeof(got));
}

Test(anchor, is_absent_until_written, .init = make_journal)
{
	struct jt_anchor a;

	cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a), JT_ANCHOR_E_NONE);
	cr_assert_eq(write_some(1), 0);
	expect_some(1);
	cr_assert_eq(disk_find(&help_disk, "anchor.new"), -1);
	cr_assert_eq(help_io_open_fds(), 1);
}

Test(anchor, is_read_as_it_was_written_last, .init = make_journal)
{
	struct jt_anchor a;

	for (uint64_t n = 1; n < 50; n++) {
		cr_assert_eq(write_some(n * 7 % 50), 0);
		expect_some(n * 7 % 50);
		cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a), 0);
		cr_assert_eq(a.sequence, n + 1);
	}
	help_io_power_cut(NULL);
	open_dir();
	expect_some(49 * 7 % 50);
}

Test(anchor, every_bit_is_noticed_or_passed_over, .init = make_journal)
{
	uint8_t bytes[FILE_BYTES];
	struct jt_anchor a;

	for (uint64_t n = 1; n < 4; n++)
		cr_assert_eq(write_some(n), 0);
	disk_read(&help_disk, disk_find(&help_disk, "anchor"), bytes,
		  sizeof(bytes), 0, false);
	for (unsigned at = 0; at < FILE_BYTES; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			uint8_t bad = bytes[at] ^ (uint8_t)(1u << bit);

			disk_poke(&help_disk, "anchor", &bad, 1, at);
			/* Sequence 4 wrote the last, at place 0. */
			expect_some(at < 4096 ? 2 : 3);
		}
		disk_poke(&help_disk, "anchor", &bytes[at], 1, at);
	}
	disk_poke(&help_disk, "anchor", "x", 1, 20);
	disk_poke(&help_disk, "anchor", "x", 1, 4096 + 20);
	cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a), JT_ANCHOR_E_DAMAGED);
}

Test(anchor, a_cut_file_is_damaged, .init = make_journal)
{
	struct jt_anchor a;

	cr_assert_eq(write_some(1), 0);
	for (unsigned at = FILE_BYTES; at-- > 0;) {
		disk_cut(&help_disk, "anchor", at);
		cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a),
			     JT_ANCHOR_E_DAMAGED);
	}
}

Test(anchor, a_damaged_one_is_replaced_by_the_next_write, .init = make_journal)
{
	cr_assert_eq(write_some(1), 0);
	disk_cut(&help_disk, "anchor", 100);
	cr_assert_eq(write_some(2), 0);
	expect_some(2);
}

Test(anchor, a_slot_does_not_count_in_the_others_place, .init = make_journal)
{
	uint8_t page[4096];
	struct jt_anchor a;

	cr_assert_eq(write_some(1), 0);
	cr_assert_eq(write_some(2), 0);
	disk_read(&help_disk, disk_find(&help_disk, "anchor"), page, 4096, 0,
		  false);
	disk_poke(&help_disk, "anchor", page, 4096, 4096);
	disk_poke(&help_disk, "anchor", "x", 1, 20);
	cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a), JT_ANCHOR_E_DAMAGED);
}

static uint64_t mask;

static bool keep(unsigned i)
{
	return mask >> i & 1;
}

/* Old or new, whatever the cut leaves; HAD 0: there was none. */
static void expect_old_or_new(uint64_t had, bool acknowledged)
{
	struct jt_anchor a;
	int rc;

	open_dir();
	rc = jt_anchor_read(&help_io, dir_fd, &a);
	if (rc == JT_ANCHOR_E_NONE) {
		cr_assert(had == 0 && !acknowledged);
	} else {
		cr_assert_eq(rc, 0);
		cr_assert(a.number == 9 || (a.number == had && !acknowledged));
		expect_some(a.number);
	}
	cr_assert_eq(write_some(10), 0);
	expect_some(10);
	help_io_kill();
}

static void cut_power_while_writing(uint64_t had)
{
	bool acknowledged, done = false;

	disk_copy(&before, &help_disk);
	for (uint64_t k = 1; !done; k++) {
		unsigned n;

		help_io_kill();
		disk_copy(&help_disk, &before);
		open_dir();
		help_io_plan((struct help_plan){
			.fail_at = k,
			.forever = true,
			.error = EIO,
		});
		acknowledged = write_some(9) == 0;
		done = help_calls < k;
		disk_copy(&stopped, &help_disk);
		n = disk_choices(&help_disk);
		cr_assert_lt(n, 12);
		for (mask = 0; mask < UINT64_C(1) << n; mask++) {
			disk_copy(&help_disk, &stopped);
			help_io_power_cut(keep);
			expect_old_or_new(had, acknowledged);
		}
		disk_copy(&help_disk, &stopped);
		help_io_kill();
		expect_old_or_new(had, acknowledged);
	}
	cr_assert(acknowledged);
}

Test(anchor, is_old_or_new_after_a_kill_or_power_cut, .init = make_journal)
{
	cut_power_while_writing(0);
	disk_copy(&help_disk, &before);
	open_dir();
	for (uint64_t n = 1; n < 3; n++) {
		cr_assert_eq(write_some(n), 0);
		cut_power_while_writing(n);
		help_io_kill();
		disk_copy(&help_disk, &before);
		open_dir();
	}
}

Test(anchor, interrupted_and_short_writes_end_well, .init = make_journal)
{
	help_io_plan((struct help_plan){
		.interrupt = true,
		.transfer_max = 333,
	});
	for (uint64_t n = 1; n < 5; n++) {
		cr_assert_eq(write_some(n), 0);
		expect_some(n);
	}
}

Test(anchor, any_error_of_any_call_is_told, .init = make_journal)
{
	bool done = false;

	cr_assert_eq(write_some(1), 0);
	disk_copy(&before, &help_disk);
	for (uint64_t k = 1; !done; k++) {
		int rc;

		help_io_kill();
		disk_copy(&help_disk, &before);
		open_dir();
		help_io_plan((struct help_plan){.fail_at = k, .error = EIO});
		rc = write_some(9);
		done = help_calls < k;
		cr_assert_eq(help_io_open_fds(), 1);
		help_io_power_cut(NULL);
		open_dir();
		if (rc == 0)
			expect_some(9);
		else
			expect_some(1);
	}
}

Test(anchor, a_file_that_others_may_write_is_not_believed, .init = make_journal)
{
	struct jt_anchor a;
	struct jt_journal j;
	int file;

	cr_assert_eq(write_some(1), 0);
	file = disk_find(&help_disk, "anchor");
	help_disk.file[file].mode = S_IFREG | 0602;
	cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a), JT_ANCHOR_E_UNSAFE);
	cr_assert_eq(write_some(2), JT_ANCHOR_E_UNSAFE);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     JT_JOURNAL_E_UNSAFE);
	help_disk.file[file].mode = S_IFLNK | 0777;
	cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a), JT_ANCHOR_E_UNSAFE);
}

static void anchor_at(const struct jt_journal *j, uint64_t number,
		      struct jt_anchor *ap)
{
	struct jt_record r;

	*ap = (struct jt_anchor){.number = number};
	memcpy(ap->journal_id, j->id, sizeof(ap->journal_id));
	memcpy(ap->tag, j->base_tag, sizeof(ap->tag));
	if (number == 0)
		return;
	cr_assert_eq(jt_journal_read(j, number, &r, 1, &fault), 0);
	memcpy(ap->tag, r.tag, sizeof(ap->tag));
}

Test(anchor, every_commit_of_a_history_holds, .init = make_journal)
{
	struct jt_journal j;
	struct jt_anchor a;

	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	for (uint64_t n = 0; n <= 5; n++) {
		anchor_at(&j, n, &a);
		cr_assert_eq(jt_anchor_check(&j, &a, &fault), 0);
		a.tag[5] ^= 1;
		cr_assert_eq(jt_anchor_check(&j, &a, &fault), JT_JOURNAL_E_OLD);
		cr_assert_not_null(strstr(fault.line, "another history"));
	}
	jt_journal_close(&j);
}

Test(anchor, a_journal_that_ends_before_it_is_an_older_copy,
     .init = make_journal)
{
	uint64_t numbers[] = {6, 7, 1000000, UINT64_MAX};
	struct jt_journal j;
	struct jt_anchor a;

	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	for (unsigned i = 0; i < 4; i++) {
		anchor_at(&j, 5, &a);
		a.number = numbers[i];
		cr_assert_eq(jt_anchor_check(&j, &a, &fault), JT_JOURNAL_E_OLD);
		cr_assert_not_null(strstr(fault.line, "older copy"));
		cr_assert_not_null(strstr(fault.line, "record 5"));
	}
	jt_journal_close(&j);
}

Test(anchor, another_journals_is_refused, .init = make_journal)
{
	struct jt_journal j;
	struct jt_anchor a;

	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	anchor_at(&j, 2, &a);
	a.journal_id[0] ^= 1;
	cr_assert_eq(jt_anchor_check(&j, &a, &fault), JT_JOURNAL_E_OLD);
	cr_assert_eq(jt_anchor_write(&help_io, dir_fd, &a), 0);
	jt_journal_close(&j);
	cr_assert_eq(help_append(1, JT_REC_CREATE), JT_JOURNAL_E_OLD);
	cr_assert_eq(help_check(), JT_JOURNAL_E_OLD);
}

Test(anchor, a_damaged_one_stops_writers_and_check_but_not_readers,
     .init = make_journal)
{
	struct jt_commit c;

	cr_assert_eq(write_some(1), 0);
	disk_cut(&help_disk, "anchor", 10);
	cr_assert_eq(help_append(1, JT_REC_CREATE), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(help_check(), JT_JOURNAL_E_DAMAGED);
	cr_assert_not_null(strstr(help_fault.line, "anchor"));
	cr_assert_eq(help_look(&c), 0);
}

static int accept(const struct jt_commit *at)
{
	return jt_journal_accept(&help_io, HELP_DIR, at, &fault);
}

/* The disk as it was BEFORE, but with today's anchor. */
static void put_old_copy_back(void)
{
	uint8_t bytes[FILE_BYTES];

	disk_read(&help_disk, disk_find(&help_disk, "anchor"), bytes,
		  sizeof(bytes), 0, false);
	disk_copy(&help_disk, &before);
	disk_make(&help_disk, "anchor", S_IFREG | 0600, 0);
	disk_poke(&help_disk, "anchor", bytes, sizeof(bytes), 0);
}

Test(anchor, an_older_copy_put_back_is_refused_until_accepted)
{
	struct jt_commit old, end, wrong, c;

	help_journal_new(5);
	wrong = old = help_commit();
	disk_copy(&before, &help_disk);
	cr_assert_eq(help_append(5, JT_REC_CREATE), 0);
	end = help_commit();
	cr_assert_eq(accept(&end), 0, "%s", fault.line);
	cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	put_old_copy_back();
	cr_assert_eq(help_append(1, JT_REC_CREATE), JT_JOURNAL_E_OLD);
	cr_assert_not_null(strstr(help_fault.line, "older copy"));
	cr_assert_eq(help_check(), JT_JOURNAL_E_OLD);
	cr_assert_eq(help_look(&c), 0);
	cr_assert(help_same(&c, &old));
	wrong.tag[0] ^= 1;
	cr_assert_eq(accept(&wrong), JT_JOURNAL_E_OLD);
	cr_assert_eq(accept(&end), JT_JOURNAL_E_OLD);
	cr_assert_eq(help_append(1, JT_REC_CREATE), JT_JOURNAL_E_OLD);
	cr_assert_eq(accept(&old), 0);
	cr_assert_eq(help_append(1, JT_REC_CREATE), 0, "%s", help_fault.line);
	cr_assert_eq(help_commit().number, 6);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(anchor, accept_never_sets_the_clock_back, .init = make_journal)
{
	struct jt_commit c = help_commit();
	struct jt_anchor a = some(1);

	a.clock_s = UINT64_C(1) << 40;
	cr_assert_eq(jt_anchor_write(&help_io, dir_fd, &a), 0);
	cr_assert_eq(accept(&c), 0, "%s", fault.line);
	cr_assert_eq(jt_anchor_read(&help_io, dir_fd, &a), 0);
	cr_assert_eq(a.number, 5);
	cr_assert_eq(a.clock_s, UINT64_C(1) << 40);
}

Test(anchor, without_its_journal_it_forbids_a_new_one)
{
	struct jt_commit c;

	help_journal_new(5);
	c = help_commit();
	cr_assert_eq(accept(&c), 0);
	disk_change(&help_disk, "", 0, "journal");
	cr_assert_eq(jt_journal_create(&help_io, HELP_DIR, "jt", &fault),
		     JT_JOURNAL_E_OLD);
	disk_change(&help_disk, "", 0, "anchor");
	cr_assert_eq(jt_journal_create(&help_io, HELP_DIR, "jt", &fault), 0);
}
