/*
 * test_journal: the contract of admin/journal.h, without damage or faults.
 */
#include "tests/help_journal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct jt_fault fault;

Test(journal, is_absent_until_created)
{
	struct jt_commit c;
	struct jt_journal j;

	cr_assert_eq(help_look(&c), JT_JOURNAL_E_NONE);
	help_disk.dir = true;
	help_disk.dir_mode = 0700;
	cr_assert_eq(help_look(&c), JT_JOURNAL_E_NONE);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     JT_JOURNAL_E_NONE);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(journal, is_empty_and_whole_when_created)
{
	struct jt_journal_summary sum;
	struct jt_journal j;

	help_journal_new(0);
	cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, NULL, &sum, &fault),
		     0);
	cr_assert_eq(sum.records, 0);
	cr_assert_geq(sum.reserve, JT_JOURNAL_RESERVE);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	cr_assert_eq(j.committed.number, 0);
	cr_assert_eq(j.generation, 1);
	cr_assert_str_eq(j.prefix, "jt");
	cr_assert_not(j.adopted);
	cr_assert_arr_eq(j.committed.tag, j.base_tag, JT_TAG_BYTES);
	jt_journal_close(&j);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(journal, refuses_a_second_creator_and_a_bad_prefix)
{
	const char *bad[] = {"", "j", "abcde", "JT", "j1", "j_", "\xc3\xa4"};

	help_journal_new(1);
	cr_assert_eq(jt_journal_create(&help_io, HELP_DIR, "jt", &fault),
		     JT_JOURNAL_E_EXISTS);
	cr_assert_eq(help_commit().number, 1);
	disk_clear(&help_disk);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(
			jt_journal_create(&help_io, HELP_DIR, bad[i], &fault),
			-EINVAL);
	cr_assert_not(help_disk.dir);
}

Test(journal, append_fills_in_what_the_caller_does_not)
{
	struct jt_record r[5], back[5];
	struct jt_journal j;

	help_journal_new(2);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     0);
	help_records(r, 5, JT_REC_CREATE);
	cr_assert_eq(jt_journal_append(&j, r, 5, &fault), 0);
	cr_assert_eq(j.committed.number, 7);
	cr_assert_arr_eq(j.committed.tag, r[4].tag, JT_TAG_BYTES);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(r[i].number, 3 + i);
		cr_assert_eq(r[i].part, i + 1);
		cr_assert_eq(r[i].parts, 5);
		cr_assert_eq(r[i].actor_uid, getuid());
		cr_assert_eq(r[i].time_ns, j.committed.time_ns);
		cr_assert_arr_eq(r[i].op, r[0].op, 16);
	}
	cr_assert_eq(jt_journal_read(&j, 3, back, 5, &fault), 0);
	cr_assert_arr_eq(back, r, sizeof(r));
	help_records(back, 1, JT_REC_CREATE);
	cr_assert_eq(jt_journal_append(&j, back, 1, &fault), 0);
	cr_assert_arr_neq(back[0].op, r[0].op, 16);
	jt_journal_close(&j);
	cr_assert_eq(help_commit().number, 8);
}

Test(journal, append_refuses_what_no_reader_would_accept)
{
	struct jt_record good, r[2];
	struct jt_journal j;
	size_t places[] = {1, 2, 3, 54, 55, 56 + 24 + 32 + 10, 0};

	help_journal_new(1);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     0);
	help_records(&good, 1, JT_REC_CREATE);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		r[0] = r[1] = good;
		((uint8_t *)&r[1])[places[i]] = 0x7f;
		cr_assert_eq(jt_journal_append(&j, r, 2, &fault), -EINVAL);
	}
	help_records(r, 1, JT_REC_PLAN);
	r[0].plan.zeros[103] = 1;
	cr_assert_eq(jt_journal_append(&j, r, 1, &fault), -EINVAL);
	cr_assert_eq(jt_journal_append(&j, r, 0, &fault), -EINVAL);
	cr_assert_eq(j.committed.number, 1);
	cr_assert_eq(jt_journal_append(&j, &good, 1, &fault), 0);
	jt_journal_close(&j);
	cr_assert_eq(help_commit().number, 2);
}

Test(journal, reads_the_same_in_pieces_of_any_size)
{
	struct jt_record r[64], all[64];
	struct jt_journal j;
	struct jt_reader reader;
	size_t n;

	help_journal_new(10);
	cr_assert_eq(help_append(30, JT_REC_CREATE), 0);
	cr_assert_eq(help_append(24, JT_REC_REVOKE), 0);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	cr_assert_eq(jt_journal_read(&j, 1, all, 64, &fault), 0);
	for (size_t max = 1; max <= 64; max++) {
		size_t sum = 0;

		jt_reader_init(&reader, &j);
		do {
			cr_assert_eq(
				jt_reader_next(&reader, r, max, &n, &fault), 0,
				"%s", fault.line);
			cr_assert_arr_eq(r, &all[sum], n * sizeof(*r));
			sum += n;
		} while (n > 0);
		cr_assert_eq(sum, 64);
	}
	jt_journal_close(&j);
}

Test(journal, reader_goes_on_from_any_verified_pair)
{
	struct jt_record r[64], all[20];
	struct jt_journal j;
	struct jt_reader reader;
	size_t n;

	help_journal_new(10);
	cr_assert_eq(help_append(10, JT_REC_CREATE), 0);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	cr_assert_eq(jt_journal_read(&j, 1, all, 20, &fault), 0);
	for (unsigned from = 1; from <= 20; from++) {
		jt_reader_init(&reader, &j);
		reader.next = from + 1;
		memcpy(reader.tag, all[from - 1].tag, JT_TAG_BYTES);
		cr_assert_eq(jt_reader_next(&reader, r, 64, &n, &fault), 0);
		cr_assert_eq(n, 20 - from);
		reader.next = from;
		cr_assert_eq(jt_reader_next(&reader, r, 64, &n, &fault),
			     JT_JOURNAL_E_DAMAGED);
		cr_assert_eq(n, 0);
	}
	jt_journal_close(&j);
}

Test(journal, read_may_not_pass_the_commit_or_the_base)
{
	struct jt_record r[4];
	struct jt_journal j;

	help_journal_new(3);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	cr_assert_eq(jt_journal_read(&j, 0, r, 1, &fault), -EINVAL);
	cr_assert_eq(jt_journal_read(&j, 1, r, 4, &fault), -EINVAL);
	cr_assert_eq(jt_journal_read(&j, 4, r, 1, &fault), -EINVAL);
	cr_assert_eq(jt_journal_read(&j, UINT64_MAX, r, 2, &fault), -EINVAL);
	cr_assert_eq(jt_journal_read(&j, 1, r, SIZE_MAX, &fault), -EINVAL);
	cr_assert_eq(jt_journal_read(&j, 1, r, 3, &fault), 0);
	jt_journal_close(&j);
}

Test(journal, keeps_its_reserve_through_every_commit)
{
	struct jt_journal_summary sum;
	uint64_t total = 0, seed = 1;

	help_journal_new(0);
	for (unsigned i = 0; i < 60; i++) {
		size_t n = i % 7 == 6 ? 1500 : help_random(&seed) % 40 + 1;

		cr_assert_eq(help_append(n, JT_REC_CREATE), 0);
		total += n;
		cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, NULL, &sum,
					      &fault),
			     0);
		cr_assert_eq(sum.records, total);
		cr_assert_eq(sum.batches, i + 1);
		cr_assert_geq(sum.reserve, JT_JOURNAL_RESERVE);
	}
}

Test(journal, does_not_write_a_large_batch_twice)
{
	uint64_t written = 0;

	help_journal_new(1);
	help_io_plan((struct help_plan){0});
	cr_assert_eq(help_append(16000, JT_REC_CREATE), 0);
	for (unsigned i = 0; i < help_n_trace; i++)
		if (help_trace[i].call == CALL_WRITE)
			written += help_trace[i].bytes;
	cr_assert_leq(written, (16000 + 10000 + 4096) * 256 + 8192);
	cr_assert_eq(help_commit().number, 16001);
}

/* What the trace must show between lock and acknowledgement. */
static void check_order(uint64_t slot)
{
	int state = 0; /* records, flushed, slot, flushed */

	for (unsigned i = 0; i < help_n_trace; i++) {
		const struct help_trace *t = &help_trace[i];

		if (strcmp(t->name, "journal") != 0)
			continue;
		if (t->call == CALL_WRITE && t->at >= JT_JOURNAL_DATA)
			cr_assert_eq(state, 0, "a record after its flush");
		else if (t->call == CALL_WRITE)
			cr_assert(t->at == slot && state++ == 1);
		else if (t->call == CALL_DATASYNC)
			cr_assert(state++ % 2 == 0);
	}
	cr_assert_eq(state, 3, "acknowledged before the slot's flush");
}

Test(journal, flushes_records_before_the_slot_and_the_slot_before_it_returns)
{
	help_journal_new(0);
	for (unsigned i = 0; i < 6; i++) {
		help_io_plan((struct help_plan){0});
		cr_assert_eq(help_append(i == 4 ? 6000 : 3, JT_REC_CREATE), 0);
		check_order(i % 2 == 0 ? 8192 : 4096);
	}
}

Test(journal, follower_sees_each_commit_and_never_goes_back)
{
	struct jt_journal j;

	help_journal_new(1);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	for (unsigned i = 2; i < 9; i++) {
		cr_assert_eq(jt_journal_refresh(&j, &fault), 0);
		cr_assert_eq(j.committed.number, i - 1);
		cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	}
	cr_assert_eq(jt_journal_refresh(&j, &fault), 0);
	cr_assert_eq(jt_journal_sync(&j), 0);
	cr_assert_eq(j.committed.number, 8);
	jt_journal_close(&j);
}

Test(journal, follower_notices_another_file_under_its_name)
{
	struct jt_journal j;

	help_journal_new(3);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	disk_change(&help_disk, "elsewhere", disk_find(&help_disk, "journal"),
		    "journal");
	cr_assert_eq(jt_journal_refresh(&j, &fault), JT_JOURNAL_E_REPLACED);
	disk_make(&help_disk, "journal", S_IFREG | 0600, 0);
	cr_assert_eq(jt_journal_refresh(&j, &fault), JT_JOURNAL_E_REPLACED);
	cr_assert_eq(j.committed.number, 3);
	jt_journal_close(&j);
}

Test(journal, writer_notices_another_file_under_its_name)
{
	struct jt_journal j;
	struct jt_record r;

	help_journal_new(3);
	help_records(&r, 1, JT_REC_CREATE);
	cr_assert_eq(jt_journal_open_write(&j, &help_io, HELP_DIR, 0, &fault),
		     0);
	disk_change(&help_disk, "elsewhere", disk_find(&help_disk, "journal"),
		    "journal");
	cr_assert_eq(jt_journal_append(&j, &r, 1, &fault),
		     JT_JOURNAL_E_REPLACED);
	jt_journal_close(&j);
}

Test(journal, follower_notices_a_file_cut_or_rewound)
{
	static struct disk before;
	struct jt_journal j;

	help_journal_new(3);
	disk_copy(&before, &help_disk);
	cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	disk_copy(&help_disk, &before);
	cr_assert_eq(jt_journal_refresh(&j, &fault), JT_JOURNAL_E_DAMAGED);
	cr_assert_eq(j.committed.number, 5);
	disk_cut(&help_disk, "journal", JT_JOURNAL_DATA + 100);
	cr_assert_eq(jt_journal_refresh(&j, &fault), JT_JOURNAL_E_DAMAGED);
	jt_journal_close(&j);
}

Test(journal, follower_notices_another_history_of_the_same_length)
{
	static struct disk start;
	struct jt_journal j;

	help_journal_new(3);
	disk_copy(&start, &help_disk);
	cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault), 0);
	disk_copy(&help_disk, &start);
	cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
	cr_assert_eq(jt_journal_refresh(&j, &fault), JT_JOURNAL_E_DAMAGED);
	jt_journal_close(&j);
}

Test(journal, a_slot_caught_half_written_is_read_again)
{
	struct jt_journal j;

	help_journal_new(3);
	for (unsigned i = 0; i < 20; i++) {
		help_torn_reads = i % 5;
		cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &fault),
			     0);
		cr_assert_not(j.adopted);
		cr_assert_eq(j.committed.number, 3 + i);
		cr_assert_eq(help_append(1, JT_REC_CREATE), 0);
		help_torn_reads = i % 5;
		cr_assert_eq(jt_journal_refresh(&j, &fault), 0);
		cr_assert_not(j.adopted);
		cr_assert_eq(j.committed.number, 4 + i);
		jt_journal_close(&j);
	}
}

Test(journal, second_writer_is_told_that_it_is_busy)
{
	struct jt_journal first, second;
	uint64_t before;

	help_journal_new(1);
	cr_assert_eq(
		jt_journal_open_write(&first, &help_io, HELP_DIR, 0, &fault),
		0);
	before = help_io.mono_ns();
	cr_assert_eq(
		jt_journal_open_write(&second, &help_io, HELP_DIR, 300, &fault),
		JT_JOURNAL_E_BUSY);
	cr_assert_not_null(strstr(fault.line, "another writer"));
	cr_assert_geq(help_io.mono_ns() - before, 300000000);
	cr_assert_leq(help_io.mono_ns() - before, 400000000);
	jt_journal_close(&first);
	cr_assert_eq(
		jt_journal_open_write(&second, &help_io, HELP_DIR, 0, &fault),
		0);
	jt_journal_close(&second);
	cr_assert_eq(help_io_open_fds(), 0);
}

Test(journal, receipt_is_read_as_it_was_printed)
{
	struct jt_commit a = {.number = UINT64_C(123456789012)}, b;
	char text[JT_RECEIPT_MAX];

	for (unsigned i = 0; i < JT_TAG_BYTES; i++)
		a.tag[i] = (uint8_t)(i * 17);
	jt_receipt_format(&a, text);
	cr_assert_str_eq(text, "123456789012:"
			       "00112233445566778899aabbccddeeff");
	cr_assert_eq(jt_receipt_parse(text, &b), 0);
	cr_assert(help_same(&a, &b));
}

Test(journal, receipt_of_another_form_is_refused)
{
	const char *bad[] = {
		"",
		":",
		"1:",
		"1",
		":00112233445566778899aabbccddeeff",
		"-1:00112233445566778899aabbccddeeff",
		"1:00112233445566778899aabbccddeef",
		"1:00112233445566778899aabbccddeeff0",
		"1:00112233445566778899aabbccddeefg",
		"1 :00112233445566778899aabbccddeeff",
		"18446744073709551617:00112233445566778899aabbccddeeff",
		"99999999999999999999999999999999999999999999999999999999:",
	};
	struct jt_commit c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(jt_receipt_parse(bad[i], &c), -EINVAL, "%s",
			     bad[i]);
}

Test(journal, check_holds_the_history_against_a_receipt)
{
	struct jt_journal_summary sum;
	struct jt_commit c[4], bad;

	help_journal_new(0);
	for (unsigned i = 0; i < 4; i++) {
		c[i] = help_commit();
		cr_assert_eq(help_append(i + 1, JT_REC_CREATE), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, &c[i], &sum,
					      &fault),
			     0);
		bad = c[i];
		bad.tag[3] ^= 4;
		cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, &bad, &sum,
					      &fault),
			     JT_JOURNAL_E_OLD);
	}
	bad = help_commit();
	bad.number++;
	cr_assert_eq(jt_journal_check(&help_io, HELP_DIR, &bad, &sum, &fault),
		     JT_JOURNAL_E_OLD);
}
