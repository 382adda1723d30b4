/* usage: the file of use counts, and what it makes of bytes it did not write.
 */
#include "admin/usage.h"

#include "tests/help_journal.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define N 40u

static const uint8_t journal_id[16] = "a journal's id.";
static const uint8_t other_id[16] = "another one's id";
static struct disk before;
static int dir_fd;

static void open_dir(void)
{
	dir_fd = help_io.openat(AT_FDCWD, HELP_DIR,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	cr_assert_geq(dir_fd, 0);
}

static void start(void)
{
	disk_clear(&help_disk);
	help_disk.dir = help_disk.dir_safe = true;
	help_disk.dir_mode = 0700;
	open_dir();
}

TestSuite(usage, .init = start);

static void digest_of(uint64_t i, uint8_t digest[32])
{
	uint64_t seed = i;

	for (unsigned k = 0; k < 4; k++) {
		uint64_t word = help_random(&seed);

		memcpy(digest + 8 * k, &word, sizeof(word));
	}
}

static struct jt_usage some(uint64_t i)
{
	return (struct jt_usage){
		.uses = 10 + i,
		.refusals = i,
		.last_use_s = 1800000000 + i,
		.old_use_s = i % 3,
		.quota = i << 37 | i,
	};
}

static struct jt_usage_entry entry(uint64_t i)
{
	struct jt_usage u = some(i);
	struct jt_usage_entry e;
	uint8_t digest[32];

	digest_of(i, digest);
	jt_usage_pack(&e, journal_id, digest, &u);
	return e;
}

static int write_file(const uint8_t id[16], uint64_t first, uint64_t n)
{
	struct jt_usage_file f;
	int rc = jt_usage_stage(&f, &help_io, dir_fd, id);

	for (uint64_t i = 0; i < n && !rc; i++) {
		struct jt_usage_entry e = entry(first + i);

		rc = jt_usage_write(&f, i, &e, 1);
	}
	if (!rc)
		rc = jt_usage_publish(&f);
	if (rc)
		jt_usage_abandon(&f);
	jt_usage_close(&f);
	return rc;
}

static void make(void)
{
	cr_assert_eq(write_file(journal_id, 0, N), 0);
}

static int load(struct jt_usage_table *t)
{
	int rc = jt_usage_load(t, &help_io, dir_fd, journal_id);
	struct jt_usage u;
	uint8_t digest[32];

	cr_assert_eq(help_io_open_fds(), 1);
	digest_of(1ull << 40, digest);
	cr_assert_not(jt_usage_find(t, digest, &u));
	cr_assert_eq(u.uses, 0);
	return rc;
}

static bool has(const struct jt_usage_table *t, uint64_t i)
{
	struct jt_usage want = some(i), got;
	uint8_t digest[32];
	bool found;

	digest_of(i, digest);
	found = jt_usage_find(t, digest, &got);
	if (found)
		cr_assert_arr_eq(&got, &want, sizeof(got));
	return found;
}

/* That many of the N are known. */
static unsigned known(void)
{
	struct jt_usage_table t;
	unsigned n = 0;

	if (load(&t) != 0)
		cr_assert_eq(t.n_rows, 0);
	for (uint64_t i = 0; i < N; i++)
		n += has(&t, i);
	jt_usage_free(&t);
	return n;
}

static int result(void)
{
	struct jt_usage_table t;
	int rc = load(&t);

	jt_usage_free(&t);
	return rc;
}

Test(usage, without_a_file_nobody_is_known)
{
	cr_expect_eq(result(), JT_USAGE_E_NONE);
	cr_expect_eq(known(), 0);
	cr_expect_str_empty(jt_usage_why(JT_USAGE_E_NONE));
}

Test(usage, is_found_by_digest_as_it_was_written)
{
	make();
	cr_expect_eq(result(), 0);
	cr_expect_eq(known(), N);
	cr_expect_eq(disk_find(&help_disk, "usage.new"), -1);
}

Test(usage, only_half_of_a_digest_is_a_key)
{
	struct jt_usage_table t;
	struct jt_usage u;
	uint8_t digest[32];

	make();
	cr_assert_eq(load(&t), 0);
	digest_of(7, digest);
	digest[15] ^= 1;
	cr_expect_not(jt_usage_find(&t, digest, &u));
	digest[15] ^= 1;
	digest[16] ^= 1;
	cr_expect(jt_usage_find(&t, digest, &u));
	jt_usage_free(&t);
}

Test(usage, survives_a_power_cut_once_published)
{
	make();
	help_io_power_cut(NULL);
	open_dir();
	cr_expect_eq(known(), N);
}

Test(usage, many_are_found_too)
{
	struct jt_usage_table t;
	unsigned n = 0;

	cr_assert_eq(write_file(journal_id, 0, 20000), 0);
	cr_assert_eq(load(&t), 0);
	for (uint64_t i = 0; i < 20000; i++)
		n += has(&t, i);
	cr_expect_eq(n, 20000);
	jt_usage_free(&t);
}

/* ---- bytes that nobody wrote ---- */

static void flip(uint64_t at, unsigned bit)
{
	int file = disk_find(&help_disk, JT_USAGE_NAME);
	uint8_t byte;

	cr_assert_eq(disk_read(&help_disk, file, &byte, 1, at, false), 1);
	byte ^= (uint8_t)(1u << bit);
	disk_poke(&help_disk, JT_USAGE_NAME, &byte, 1, at);
}

Test(usage, each_bit_of_an_entry_is_noticed)
{
	uint64_t at = JT_USAGE_DATA + 5 * sizeof(struct jt_usage_entry);

	make();
	for (unsigned bit = 0; bit < 512; bit++) {
		struct jt_usage_table t;

		flip(at + bit / 8, bit % 8);
		cr_assert_eq(load(&t), 0);
		cr_assert_eq(t.n_damaged, 1, "bit %u", bit);
		cr_assert_not(has(&t, 5));
		cr_assert(has(&t, 4) && has(&t, 6));
		jt_usage_free(&t);
		flip(at + bit / 8, bit % 8);
	}
	cr_expect_eq(known(), N);
}

Test(usage, each_bit_of_the_header_is_noticed)
{
	make();
	for (unsigned bit = 0; bit < 8 * JT_USAGE_DATA; bit += 3) {
		flip(bit / 8, bit % 8);
		cr_assert_neq(result(), 0, "bit %u", bit);
		cr_assert_eq(known(), 0);
		flip(bit / 8, bit % 8);
	}
	cr_expect_eq(result(), 0);
}

Test(usage, is_told_from_that_of_another_journal)
{
	struct jt_usage_entry e;
	struct jt_usage u;

	cr_assert_eq(write_file(other_id, 0, N), 0);
	cr_expect_eq(result(), JT_USAGE_E_FOREIGN);
	cr_expect_eq(known(), 0);
	/* and each entry by itself */
	e = entry(1);
	cr_expect_eq(jt_usage_unpack(&e, journal_id, &u), JT_USAGE_SAVED);
	cr_expect_eq(jt_usage_unpack(&e, other_id, &u), JT_USAGE_INVALID);
}

Test(usage, cut_anywhere_keeps_what_is_whole)
{
	make();
	disk_copy(&before, &help_disk);
	for (uint64_t bytes = 0; bytes < JT_USAGE_DATA + 300; bytes++) {
		disk_cut(&help_disk, JT_USAGE_NAME, bytes);
		if (bytes < JT_USAGE_DATA)
			cr_assert_eq(result(), JT_USAGE_E_DAMAGED);
		else
			cr_assert_eq(known(), (bytes - JT_USAGE_DATA) / 64);
		disk_copy(&help_disk, &before);
	}
}

Test(usage, zeros_are_nobody)
{
	static const struct jt_usage_entry none;
	struct jt_usage u;

	cr_expect_eq(jt_usage_unpack(&none, journal_id, &u), JT_USAGE_EMPTY);
	make();
	disk_poke(&help_disk, JT_USAGE_NAME, &none, sizeof(none),
		  JT_USAGE_DATA + 64 * 9);
	cr_expect_eq(result(), 0);
	cr_expect_eq(known(), N - 1);
}

Test(usage, random_bytes_are_nobody)
{
	uint64_t seed = 42, word;

	make();
	for (unsigned i = 0; i < N * 8; i++) {
		word = help_random(&seed);
		disk_poke(&help_disk, JT_USAGE_NAME, &word, sizeof(word),
			  JT_USAGE_DATA + 8 * i);
	}
	cr_expect_eq(result(), 0);
	cr_expect_eq(known(), 0);
}

Test(usage, of_two_entries_with_one_key_the_newer_counts)
{
	struct jt_usage_table t;
	struct jt_usage u = some(3), got;
	struct jt_usage_entry e;
	uint8_t digest[32];

	make();
	digest_of(3, digest);
	u.uses += 100;
	jt_usage_pack(&e, journal_id, digest, &u);
	for (unsigned line = 0; line < N; line += N - 1) {
		disk_poke(&help_disk, JT_USAGE_NAME, &e, sizeof(e),
			  JT_USAGE_DATA + 64 * line);
		cr_assert_eq(load(&t), 0);
		cr_expect(jt_usage_find(&t, digest, &got));
		cr_expect_eq(got.uses, u.uses);
		jt_usage_free(&t);
	}
}

Test(usage, file_of_others_is_not_read)
{
	int file;

	make();
	file = disk_find(&help_disk, JT_USAGE_NAME);
	help_disk.file[file].mode |= 0020;
	cr_expect_eq(result(), JT_USAGE_E_UNSAFE);
	help_disk.file[file].mode = S_IFLNK | 0777;
	cr_expect_eq(result(), JT_USAGE_E_UNSAFE);
	help_disk.file[file].mode = S_IFREG | 0600;
	help_disk.file[file].uid = 77;
	cr_expect_eq(result(), JT_USAGE_E_UNSAFE);
	help_disk.file[file].uid = 0;
	cr_expect_eq(result(), 0);
}

/* ---- the system fails ---- */

Test(usage, reading_interrupted_and_in_pieces_is_the_same)
{
	make();
	help_io_plan((struct help_plan){.interrupt = true, .transfer_max = 7});
	cr_expect_eq(known(), N);
}

Test(usage, reading_fails_at_each_call_without_a_trace)
{
	unsigned n = 0;

	make();
	for (uint64_t k = 1;; k++) {
		struct jt_usage_table t;
		int rc;

		help_io_plan((struct help_plan){.fail_at = k, .error = EIO});
		rc = load(&t);
		if (help_calls < k) {
			jt_usage_free(&t);
			break;
		}
		/* closing may fail, too, and means nothing */
		cr_assert(rc == -EIO || (rc == 0 && t.n_rows == N), "%d", rc);
		cr_assert(rc == 0 || t.n_rows == 0);
		n += rc != 0;
		jt_usage_free(&t);
	}
	cr_expect_geq(n, 4);
}

/* Whatever fails, and whatever of it a power cut keeps: old or new. */
Test(usage, writing_fails_at_each_call_and_leaves_old_or_new)
{
	static const int errors[] = {EIO, ENOSPC};

	make();
	help_io_power_cut(NULL);
	disk_copy(&before, &help_disk);
	for (unsigned e = 0; e < 2; e++)
		for (uint64_t k = 1;; k++) {
			struct jt_usage_table t;
			bool done;
			int rc;

			help_io_kill();
			disk_copy(&help_disk, &before);
			open_dir();
			help_io_plan((struct help_plan){.fail_at = k,
							.error = errors[e]});
			rc = write_file(journal_id, N, 4);
			done = help_calls < k;
			help_io_plan((struct help_plan){0});
			cr_assert_eq(help_io_open_fds(), 1);
			help_io_power_cut(NULL);
			open_dir();
			cr_assert_eq(load(&t), 0);
			if (rc == 0)
				cr_assert(has(&t, N) && has(&t, N + 3) &&
					  !has(&t, 0));
			else
				cr_assert(has(&t, 0) && has(&t, N - 1));
			jt_usage_free(&t);
			if (done)
				break;
		}
}

Test(usage, knows_when_its_name_went_to_another_file)
{
	struct jt_usage_file f;

	make();
	cr_assert_eq(jt_usage_open(&f, &help_io, dir_fd, journal_id, O_RDWR),
		     0);
	cr_expect_eq(jt_usage_ours(&f), 1);
	make();
	cr_expect_eq(jt_usage_ours(&f), 0);
	cr_assert_eq(help_io.unlinkat(dir_fd, JT_USAGE_NAME, 0), 0);
	cr_expect_eq(jt_usage_ours(&f), 0);
	jt_usage_close(&f);
}
