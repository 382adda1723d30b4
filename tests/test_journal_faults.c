/*
 * test_journal_faults: calls that fail, processes and machines that stop.
 *
 * An operation (create, append, rescue) is run once for every K: up to its K-th
 * call all is well, from there on nothing works. Then the process is gone, or
 * the machine with it and with some choice of what was not flushed. What was
 * acknowledged must be there, what was not must be there whole or not at all,
 * and the next append must work.
 */
#include "admin/format.h"
#include "admin/rescue.h"
#include "tests/help_journal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGES_MAX 256u /* power cuts tried after one K */

struct operation {
	int (*run)(void);
	bool creates;
	uint64_t adds; /* records */
};

static struct jt_fault fault;
static struct disk before, stopped;
static struct jt_commit old;
static uint64_t seed = 42;
static uint64_t keep_mask;
static bool keep_random;

static bool keep(unsigned i)
{
	return keep_random ? help_random(&seed) & 1 : keep_mask >> i & 1;
}

static int create(void)
{
	return jt_journal_create(&help_io, HELP_DIR, "jt", &help_fault);
}

static int append_one(void)
{
	return help_append(1, JT_REC_CREATE);
}

static int append_five(void)
{
	return help_append(5, JT_REC_CREATE);
}

/* More than what is kept above the reserve: the file must grow. */
static int append_large(void)
{
	return help_append(4200, JT_REC_CREATE);
}

static int rescue(void)
{
	return jt_journal_rescue(&help_io, HELP_DIR, &help_fault);
}

static const struct operation creation = {create, true, 0};
static const struct operation one = {append_one, false, 1};
static const struct operation five = {append_five, false, 5};
static const struct operation large = {append_large, false, 4200};
static const struct operation rescuing = {rescue, false, 0};

static void start(const struct operation *op)
{
	help_journal_new(op->creates ? 0 : 3);
	if (op->creates)
		disk_clear(&help_disk);
	else
		old = help_commit();
	disk_copy(&before, &help_disk);
}

/* The state after a stop: nothing wrong, nothing acknowledged is missing. */
static void expect_sound(const struct operation *op, bool acknowledged,
			 uint64_t k)
{
	struct jt_commit c;
	int rc = help_look(&c);

	if (op->creates && rc == JT_JOURNAL_E_NONE) {
		cr_assert_not(acknowledged, "call %lu", k);
		cr_assert_eq(create(), 0, "call %lu: %s", k, help_fault.line);
		rc = help_look(&c);
		old = c;
	}
	cr_assert_eq(rc, 0, "call %lu: %s", k, help_fault.line);
	if (op->creates)
		cr_assert_eq(c.number, 0);
	else if (c.number == old.number)
		cr_assert(op->adds == 0 || !acknowledged, "call %lu", k);
	else
		cr_assert_eq(c.number, old.number + op->adds);
	cr_assert_eq(append_five(), 0, "call %lu: %s", k, help_fault.line);
	cr_assert_eq(help_commit().number, c.number + 5);
}

/* Run OP until its K-th call; true when it needed fewer. */
static bool run_until(const struct operation *op, uint64_t k, int error,
		      bool *acknowledgedp)
{
	disk_copy(&help_disk, &before);
	help_io_plan((struct help_plan){
		.fail_at = k,
		.forever = true,
		.error = error,
	});
	*acknowledgedp = op->run() == 0;
	return help_calls < k;
}

static void kill_at_every_call(const struct operation *op)
{
	bool acknowledged, done = false;

	start(op);
	for (uint64_t k = 1; !done; k++) {
		done = run_until(op, k, EIO, &acknowledged);
		help_io_kill();
		expect_sound(op, acknowledged, k);
		help_io_kill();
	}
	cr_assert(acknowledged);
}

/* All that a power cut now could leave, or IMAGES_MAX samples of it. */
static void try_images(const struct operation *op, bool acknowledged,
		       uint64_t k)
{
	unsigned n = disk_choices(&help_disk);
	uint64_t images = n < 8 ? UINT64_C(1) << n : IMAGES_MAX;

	disk_copy(&stopped, &help_disk);
	keep_random = n >= 8;
	for (keep_mask = 0; keep_mask < images; keep_mask++) {
		disk_copy(&help_disk, &stopped);
		help_io_power_cut(keep);
		expect_sound(op, acknowledged, k);
		help_io_kill();
	}
}

static void power_cut_at_every_call(const struct operation *op, unsigned step)
{
	bool acknowledged, done = false;

	start(op);
	for (uint64_t k = 1; !done; k += step) {
		done = run_until(op, k, EIO, &acknowledged);
		help_io_plan((struct help_plan){0});
		try_images(op, acknowledged, k);
	}
	cr_assert(acknowledged);
}

Test(journal_faults, create_is_whole_or_absent_after_a_kill)
{
	kill_at_every_call(&creation);
}

Test(journal_faults, append_is_whole_or_absent_after_a_kill)
{
	kill_at_every_call(&one);
	kill_at_every_call(&five);
	kill_at_every_call(&large);
}

Test(journal_faults, create_is_whole_or_absent_after_a_power_cut)
{
	power_cut_at_every_call(&creation, 1);
}

Test(journal_faults, append_is_whole_or_absent_after_a_power_cut)
{
	power_cut_at_every_call(&one, 1);
	power_cut_at_every_call(&five, 1);
}

Test(journal_faults, growing_append_is_whole_or_absent_after_a_power_cut)
{
	power_cut_at_every_call(&large, 5);
}

Test(journal_faults, rescue_loses_nothing_after_a_kill_or_power_cut)
{
	kill_at_every_call(&rescuing);
	power_cut_at_every_call(&rescuing, 3);
}

/* Of link and rename the disk may keep the second alone, if both are pending.
 */
Test(journal_faults, rescue_never_loses_the_old_file)
{
	struct jt_journal j;

	start(&rescuing);
	help_io_plan((struct help_plan){
		.fail_at = 3,
		.forever = true,
		.error = EIO,
		.kinds = 1u << CALL_SYNC,
	});
	cr_assert_eq(rescue(), -EIO);
	disk_copy(&stopped, &help_disk);
	cr_assert_lt(disk_choices(&stopped), 10);
	for (keep_mask = 0; keep_mask < 1024; keep_mask++) {
		disk_copy(&help_disk, &stopped);
		help_io_power_cut(keep);
		cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault),
			     0);
		cr_assert(j.generation == 1 ||
			  disk_find(&help_disk, "journal.rescued-1") >= 0);
		jt_journal_close(&j);
	}
}

/* Some crash in the middle of an append of N; true when it was acknowledged. */
static bool crash_once(size_t n)
{
	int rc;

	help_io_plan((struct help_plan){
		.fail_at = help_random(&seed) % 45 + 1,
		.forever = true,
		.error = EIO,
	});
	rc = help_append(n, JT_REC_CREATE);
	keep_random = true;
	if (help_random(&seed) % 2 == 0)
		help_io_power_cut(keep);
	else
		help_io_kill();
	return rc == 0;
}

static void expect_tag(uint64_t number, const uint8_t tag[JT_TAG_BYTES])
{
	struct jt_journal j;
	struct jt_record r;

	if (number == 0)
		return;
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	cr_assert_eq(jt_journal_read(&j, number, &r, 1, &fault), 0);
	cr_assert_arr_eq(r.tag, tag, JT_TAG_BYTES);
	jt_journal_close(&j);
}

static void crash_chain(void)
{
	struct jt_commit sure, now;

	help_journal_new(0);
	sure = help_commit();
	for (unsigned i = 0; i < 6; i++) {
		size_t n = help_random(&seed) % 12 + 1;
		bool acknowledged = crash_once(n);

		now = help_commit();
		cr_assert(now.number == sure.number ||
			  now.number == sure.number + n);
		if (acknowledged)
			cr_assert_eq(now.number, sure.number + n);
		expect_tag(sure.number, sure.tag);
		if (help_random(&seed) % 2 == 0) {
			n = help_random(&seed) % 12 + 1;
			cr_assert_eq(help_append(n, JT_REC_REVOKE), 0);
			cr_assert_eq(help_commit().number, now.number + n);
			now = help_commit();
		} else if (!acknowledged) {
			/* Shown, but never flushed: the next cut may take it.
			 */
			help_io_power_cut(NULL);
			now = help_commit();
		}
		sure = now;
	}
}

Test(journal_faults, chains_of_crashes_keep_all_that_was_acknowledged)
{
	for (unsigned i = 0; i < 500; i++)
		crash_chain();
}

static int append_revoke(void)
{
	return help_append(1, JT_REC_REVOKE);
}

/* Only the K-th call fails: never a false success, never a leak. */
static void fail_single_calls(const struct operation *op, int error)
{
	bool done = false;

	start(op);
	for (uint64_t k = 1; !done; k++) {
		int rc;

		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){.fail_at = k, .error = error});
		rc = op->run();
		done = help_calls < k;
		cr_assert_eq(help_io_open_fds(), 0, "call %lu", k);
		help_fault.line[0] = '\0';
		help_io_power_cut(NULL);
		expect_sound(op, rc == 0, k);
		help_io_kill();
	}
}

Test(journal_faults, any_error_of_any_call_is_no_false_success)
{
	int errors[] = {EIO,   EDQUOT, EFBIG,  ENOSPC,
			EROFS, EACCES, EMFILE, ENOMEM};

	for (unsigned i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		fail_single_calls(&one, errors[i]);
		fail_single_calls(&five, errors[i]);
	}
	fail_single_calls(&rescuing, EIO);
	fail_single_calls(&rescuing, ENOSPC);
	fail_single_calls(&large, EIO);
	fail_single_calls(&large, ENOSPC);
	fail_single_calls(&creation, EIO);
	fail_single_calls(&creation, ENOSPC);
}

/* The K-th fdatasync of an append fails, and the kernel drops the pages. */
static void fail_flush(uint64_t k)
{
	struct jt_commit shown;
	struct jt_journal j;

	help_journal_new(3);
	old = help_commit();
	help_io_plan((struct help_plan){
		.fail_at = k,
		.error = EIO,
		.kinds = 1u << CALL_DATASYNC,
	});
	cr_assert_eq(append_five(), -EIO);
	cr_assert_eq(help_calls, k + 1, "one flush more, of the mark alone");
	help_io_plan((struct help_plan){0});
	cr_assert_not_null(strstr(help_fault.line, "rescue"));
	cr_assert_eq(append_revoke(), JT_JOURNAL_E_POISONED);
	cr_assert_not_null(strstr(help_fault.line, "journal rescue"));
	cr_assert_eq(jt_journal_accept(&help_io, HELP_DIR, &old, &fault),
		     JT_JOURNAL_E_POISONED);
	cr_assert_eq(help_look(&shown), 0);
	cr_assert_geq(shown.number, old.number);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	jt_journal_close(&j);
}

Test(journal_faults, a_failed_flush_stops_writers_and_rescue_recovers)
{
	for (uint64_t k = 1; k <= 2; k++) {
		struct jt_commit c;
		struct jt_journal j;

		fail_flush(k);
		cr_assert_eq(rescue(), 0, "%s", help_fault.line);
		c = help_commit();
		cr_assert(help_same(&c, &old), "not on the disk: flush %lu", k);
		cr_assert_geq(disk_find(&help_disk, "journal.rescued-1"), 0);
		cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault),
			     0);
		cr_assert_eq(j.generation, 2);
		jt_journal_close(&j);
		cr_assert_eq(append_five(), 0, "%s", help_fault.line);
		help_io_power_cut(NULL);
		cr_assert_eq(help_commit().number, old.number + 5);
		cr_assert_eq(rescue(), 0, "%s", help_fault.line);
		cr_assert_geq(disk_find(&help_disk, "journal.rescued-2"), 0);
		cr_assert_eq(help_commit().number, old.number + 5);
	}
}

Test(journal_faults, the_mark_of_a_failed_flush_ends_with_the_boot)
{
	for (uint64_t k = 1; k <= 2; k++) {
		fail_flush(k);
		help_io_kill();
		cr_assert_eq(append_one(), JT_JOURNAL_E_POISONED);
		help_io_power_cut(NULL);
		cr_assert_eq(help_commit().number, old.number);
		cr_assert_eq(append_one(), 0, "%s", help_fault.line);
	}
}

Test(journal_faults, the_mark_stays_where_no_boot_can_be_told)
{
	help_boot_id[0] = '\0';
	fail_flush(2);
	help_io_power_cut(NULL);
	cr_assert_eq(append_one(), JT_JOURNAL_E_POISONED);
	strcpy(help_boot_id, "11111111-2222-3333-4444-555555555555");
	cr_assert_eq(append_one(), JT_JOURNAL_E_POISONED);
	cr_assert_eq(rescue(), 0);
	cr_assert_eq(append_one(), 0);
}

Test(journal_faults, the_mark_is_made_though_the_disk_is_full)
{
	help_journal_new(3);
	help_io_plan((struct help_plan){
		.fail_at = 1,
		.error = EIO,
		.kinds = 1u << CALL_DATASYNC,
		.capacity = disk_used(&help_disk),
	});
	cr_assert_eq(append_one(), -EIO);
	cr_assert_eq(append_one(), JT_JOURNAL_E_POISONED);
}

Test(journal_faults, a_handle_whose_flush_failed_writes_no_more)
{
	struct jt_record r[2];
	struct jt_journal j;

	help_journal_new(1);
	help_records(r, 2, JT_REC_CREATE);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     0);
	help_io_plan((struct help_plan){
		.fail_at = 2,
		.error = EIO,
		.kinds = 1u << CALL_DATASYNC,
	});
	cr_assert_eq(jt_journal_append(&j, r, 2, &fault), -EIO);
	cr_assert_eq(j.committed.number, 1);
	cr_assert_eq(jt_journal_append(&j, r, 2, &fault),
		     JT_JOURNAL_E_POISONED);
	jt_journal_close(&j);
}

Test(journal_faults, rescue_does_not_need_what_stands_behind_the_commit)
{
	fail_flush(1);
	help_bad_byte = JT_JOURNAL_DATA + 4096;
	cr_assert_eq(rescue(), 0, "%s", help_fault.line);
	help_bad_byte = JT_JOURNAL_DATA + 256;
	cr_assert_eq(rescue(), -EIO);
	cr_assert_eq(help_fault.offset, JT_JOURNAL_DATA);
	help_bad_byte = 0;
	cr_assert_eq(append_one(), 0);
}

Test(journal_faults, rescue_asks_for_a_free_archive_name)
{
	help_journal_new(3);
	disk_make(&help_disk, "journal.rescued-1", S_IFREG | 0600, 0);
	cr_assert_eq(rescue(), JT_JOURNAL_E_EXISTS);
	cr_assert_eq(disk_find(&help_disk, "journal.new"), -1);
	cr_assert_eq(append_one(), 0);
	cr_assert_eq(help_io_open_fds(), 0);
}

/* The process is killed at its last flush of the directory, or of the parent
 * of it; another one commits; the power is cut. */
static void name_not_flushed(const struct operation *op, uint64_t nth)
{
	struct jt_commit c;

	start(op);
	help_io_plan((struct help_plan){
		.fail_at = nth,
		.forever = true,
		.error = EIO,
		.kinds = 1u << CALL_SYNC,
	});
	cr_assert_neq(op->run(), 0);
	help_io_kill();
	if (help_look(&c) == JT_JOURNAL_E_NONE)
		cr_assert_eq(create(), 0, "%s", help_fault.line);
	cr_assert_eq(append_five(), 0, "%s", help_fault.line);
	c = help_commit();
	help_io_power_cut(NULL);
	cr_assert_eq(help_commit().number, c.number);
}

Test(journal_faults, what_is_committed_to_a_file_without_a_safe_name_is_kept)
{
	for (uint64_t nth = 1; nth <= 3; nth++) {
		name_not_flushed(&creation, nth);
		name_not_flushed(&rescuing, nth);
	}
}

/* Where the next commit of one record has to extend the reserve. */
static void make_short(void)
{
	help_journal_new(0);
	cr_assert_eq(help_append(4096, JT_REC_CREATE), 0);
	old = help_commit();
}

static void expect_only_revokes(uint64_t capacity)
{
	uint64_t size;

	make_short();
	size = help_disk.file[disk_find(&help_disk, "journal")].size;
	help_io_plan((struct help_plan){.capacity = capacity + size});
	for (unsigned i = 0; i < 20; i++) {
		cr_assert_eq(append_one(), JT_JOURNAL_E_FULL);
		cr_assert_not_null(strstr(help_fault.line, "only revokes"));
		cr_assert_eq(help_commit().number, old.number + i);
		cr_assert_eq(append_revoke(), 0, "%s", help_fault.line);
		cr_assert_eq(help_commit().number, old.number + i + 1);
	}
	cr_assert_eq(help_disk.file[disk_find(&help_disk, "journal")].size,
		     size, "cut back to what it was");
	cr_assert_eq(help_append(9981, JT_REC_REVOKE), JT_JOURNAL_E_FULL);
	cr_assert_eq(help_append(9980, JT_REC_REVOKE), 0);
	cr_assert_eq(append_revoke(), JT_JOURNAL_E_FULL);
	help_io_plan((struct help_plan){0});
	cr_assert_eq(append_one(), 0);
	help_io_power_cut(NULL);
	cr_assert_eq(help_commit().number, old.number + 10001);
}

Test(journal_faults, a_full_disk_stops_all_but_revokes)
{
	expect_only_revokes(64);
	expect_only_revokes(64 + 1);
	expect_only_revokes(64 + 300);
	expect_only_revokes(64 + 100000);
}

Test(journal_faults, a_quota_or_size_limit_stops_all_but_revokes)
{
	int errors[] = {ENOSPC, EDQUOT, EFBIG};
	struct jt_journal_summary sum;

	for (unsigned i = 0; i < 3; i++) {
		/* Call 1 writes the record, call 2 the first zeros. */
		struct help_plan plan = {
			.fail_at = 2,
			.error = errors[i],
			.kinds = 1u << CALL_WRITE,
		};

		make_short();
		help_io_plan(plan);
		cr_assert_eq(append_one(), JT_JOURNAL_E_FULL);
		help_io_plan(plan);
		cr_assert_eq(append_revoke(), 0);
		help_io_plan((struct help_plan){0});
		cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, NULL, &sum,
					      &fault),
			     0);
		cr_assert_eq(sum.reserve, 9999);
		cr_assert_eq(append_one(), 0);
		cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, NULL, &sum,
					      &fault),
			     0);
		cr_assert_geq(sum.reserve, JT_JOURNAL_RESERVE);
	}
}

Test(journal_faults, a_revoke_that_cannot_be_written_is_not_committed)
{
	int errors[] = {ENOSPC, EDQUOT, EFBIG, EIO};

	for (unsigned i = 0; i < 4; i++) {
		make_short();
		help_io_plan((struct help_plan){
			.fail_at = 1,
			.error = errors[i],
			.kinds = 1u << CALL_WRITE,
		});
		cr_assert_eq(append_revoke(), i < 3 ? JT_JOURNAL_E_FULL : -EIO);
		cr_assert_eq(help_commit().number, old.number);
		cr_assert_eq(append_revoke(), 0);
	}
}

Test(journal_faults, a_revoke_on_a_full_disk_survives_every_power_cut)
{
	static const struct operation op = {append_revoke, false, 1};
	bool acknowledged, done = false;

	make_short();
	disk_copy(&before, &help_disk);
	for (uint64_t k = 1; !done; k++) {
		uint64_t used = disk_used(&before);

		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){
			.fail_at = k,
			.forever = true,
			.error = EIO,
			.capacity = used + 20000,
		});
		acknowledged = op.run() == 0;
		done = help_calls < k;
		help_io_plan((struct help_plan){0});
		try_images(&op, acknowledged, k);
	}
	cr_assert(acknowledged);
}

Test(journal_faults, create_on_a_full_disk_leaves_nothing)
{
	for (uint64_t capacity = 1; capacity < 3700000; capacity += 123456) {
		help_io_kill();
		disk_clear(&help_disk);
		help_io_plan((struct help_plan){.capacity = capacity});
		cr_assert_eq(create(), JT_JOURNAL_E_FULL, "%lu", capacity);
		cr_assert_eq(disk_find(&help_disk, "journal"), -1);
		cr_assert_eq(disk_find(&help_disk, "journal.new"), -1);
		help_io_plan((struct help_plan){0});
		cr_assert_eq(create(), 0, "%s", help_fault.line);
		cr_assert_eq(help_commit().number, 0);
	}
}

Test(journal_faults, short_transfers_of_any_length_end_well)
{
	help_journal_new(3);
	disk_copy(&before, &help_disk);
	for (size_t n = 1; n < 5 * 256; n += n < 300 ? 1 : 7) {
		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){.transfer_max = n});
		cr_assert_eq(append_five(), 0);
		help_io_plan((struct help_plan){0});
		help_io_power_cut(NULL);
		cr_assert_eq(help_commit().number, 8);
	}
}

Test(journal_faults, interrupted_calls_are_made_again)
{
	help_io_kill();
	disk_clear(&help_disk);
	help_io_plan((struct help_plan){
		.interrupt = true,
		.transfer_max = 5000,
	});
	cr_assert_eq(create(), 0, "%s", help_fault.line);
	cr_assert_eq(append_one(), 0, "%s", help_fault.line);
	cr_assert_eq(append_large(), 0, "%s", help_fault.line);
	cr_assert_eq(rescue(), 0, "%s", help_fault.line);
	cr_assert_eq(append_five(), 0, "%s", help_fault.line);
	help_io_power_cut(NULL);
	cr_assert_eq(help_commit().number, 4206);
}

/* Short writes may leave a torn slot in the cache: damage, but no loss. */
Test(journal_faults, a_kill_inside_a_short_write_is_whole_or_absent)
{
	bool acknowledged, done = false;

	start(&five);
	for (uint64_t k = 1; !done; k++) {
		struct jt_commit c;

		disk_copy(&help_disk, &before);
		help_io_plan((struct help_plan){
			.fail_at = k,
			.forever = true,
			.error = EIO,
			.transfer_max = 100,
		});
		acknowledged = append_five() == 0;
		done = help_calls < k;
		help_io_kill();
		cr_assert_eq(help_look(&c), 0, "%s", help_fault.line);
		cr_assert(c.number == 8 || (c.number == 3 && !acknowledged));
		cr_assert_eq(append_one(), 0, "%s", help_fault.line);
		cr_assert_eq(help_commit().number, c.number + 1);
	}
}
