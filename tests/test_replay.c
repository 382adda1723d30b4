/* replay: two cores say what one says, of sound journals and of others. */
#include "sidecar/replay.h"

#include "admin/compact.h"
#include "admin/format.h"
#include "sidecar/measure.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_MAX 40000u

static char dir[64];
static struct jt_journal journal;

static void commit(size_t n, enum jt_record_type type)
{
	struct jt_record *records = calloc(n, sizeof(*records));
	struct jt_journal j;

	help_records(records, n, type);
	cr_assert_eq(jt_journal_open_write(&j, &jt_io_os, dir, 50, &help_fault),
		     0, "%s", help_fault.line);
	cr_assert_eq(jt_journal_append(&j, records, n, &help_fault), 0, "%s",
		     help_fault.line);
	jt_journal_close(&j);
	free(records);
}

static void open_journal(void)
{
	cr_assert_eq(jt_journal_open(&journal, &jt_io_os, dir, &help_fault), 0,
		     "%s", help_fault.line);
}

/* Batches of 1 to 700 records, so that they end anywhere. */
static void make(size_t n)
{
	uint64_t seed = n;

	help_quiet();
	help_dir(dir);
	cr_assert_eq(jt_journal_create(&jt_io_os, dir, "jt", &help_fault), 0);
	while (n) {
		size_t some = help_random(&seed) % 700 + 1;

		some = some < n ? some : n;
		commit(some, JT_REC_CREATE);
		n -= some;
	}
	open_journal();
}

struct sum {
	uint64_t n;
	uint8_t tag[JT_TAG_BYTES]; /* of the last record */
	uint64_t hash;		   /* of all, in their order */
};

static void add(void *ctx, struct jt_record *records, size_t n)
{
	struct sum *sum = ctx;

	for (size_t i = 0; i < n; i++) {
		uint64_t words[32];

		memcpy(words, &records[i], sizeof(words));
		for (unsigned k = 0; k < 32; k++)
			sum->hash = (sum->hash ^ words[k]) *
				    UINT64_C(0x9e3779b97f4a7c15);
		sum->n++;
		memcpy(sum->tag, records[i].tag, JT_TAG_BYTES);
	}
}

static int by_reader(struct jt_reader *r, struct sum *sum,
		     struct jt_fault *faultp)
{
	static struct jt_record records[1000];
	size_t n;
	int rc;

	do {
		rc = jt_reader_next(r, records, 1000, &n, faultp);
		add(sum, records, rc ? 0 : n);
	} while (!rc && n);
	return rc;
}

static int by_replay(struct jt_reader *r, struct sum *sum,
		     struct jt_fault *faultp)
{
	struct jt_replay p;
	bool more = true;
	int rc = jt_replay_init(&p, r);

	cr_assert_eq(rc, 0);
	while (!rc && more)
		rc = jt_replay_step(&p, r, add, sum, &more, faultp);
	jt_replay_deinit(&p);
	return rc;
}

static void expect_same(void)
{
	struct jt_fault one = {0}, two = {0};
	struct sum a = {0}, b = {0};
	struct jt_reader r, q;
	int rc;

	jt_reader_init(&r, &journal);
	jt_reader_init(&q, &journal);
	rc = by_reader(&r, &a, &one);
	cr_assert_eq(by_replay(&q, &b, &two), rc, "%s / %s", one.line,
		     two.line);
	cr_expect_str_eq(one.line, two.line);
	cr_expect_eq(one.number, two.number);
	cr_expect_eq(one.offset, two.offset);
	if (rc)
		return;
	cr_expect_eq(a.n, b.n);
	cr_expect_eq(a.hash, b.hash);
	cr_expect_eq(r.next, q.next);
	cr_expect_arr_eq(r.tag, q.tag, JT_TAG_BYTES);
}

Test(replay, any_number_of_records_comes_whole_and_in_order)
{
	static const size_t sizes[] = {0, 1, 2047, 2048, 2049, 16384, 16385};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make(sizes[i]);
		expect_same();
		jt_journal_close(&journal);
	}
}

Test(replay, state_records_come_before_the_others)
{
	struct jt_compacted done;

	make(5000);
	jt_journal_close(&journal);
	cr_assert_eq(jt_journal_compact(&jt_io_os, dir, &done, &help_fault), 0,
		     "%s", help_fault.line);
	commit(3000, JT_REC_CREATE);
	open_journal();
	cr_assert_gt(journal.base, journal.origin);
	expect_same();
}

static void flip(const char *name, uint64_t at, uint8_t mask)
{
	char path[128];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR);
	cr_assert_eq(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= mask;
	cr_assert_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

/* At and around every border between stretches and banks, in every field. */
Test(replay, a_flipped_bit_is_refused_with_the_words_of_one_core)
{
	static const uint64_t records[] = {1,	  2,	 2047,	2048,  2049,
					   16384, 16385, 16386, 20000, 32768,
					   32769, 39999, 40000};
	static const uint64_t fields[] = {0, 2, 4, 8, 16, 24, 40, 44, 100, 240};

	make(N_MAX);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]);
		     k++) {
			uint64_t at = JT_JOURNAL_DATA +
				      (records[i] - 1) * JT_RECORD_BYTES +
				      fields[k];
			struct sum sum = {0};
			struct jt_reader r;

			flip(JT_JOURNAL_NAME, at, 0x10);
			expect_same();
			jt_reader_init(&r, &journal);
			cr_expect_neq(by_replay(&r, &sum, &help_fault), 0,
				      "record %llu, byte %llu",
				      (unsigned long long)records[i],
				      (unsigned long long)fields[k]);
			flip(JT_JOURNAL_NAME, at, 0x10);
		}
}

/* Of two bad records the first is named, whoever met his sooner. */
Test(replay, the_first_damage_is_named)
{
	make(N_MAX);
	flip(JT_JOURNAL_NAME, JT_JOURNAL_DATA + 16383 * 256 + 100, 1);
	flip(JT_JOURNAL_NAME, JT_JOURNAL_DATA + 4000 * 256 + 100, 1);
	expect_same();
}

Test(replay, a_stretch_that_does_not_follow_is_not_believed)
{
	struct sum sum = {0};
	struct jt_replay p;
	struct jt_reader r;
	bool more;

	make(N_MAX);
	jt_reader_init(&r, &journal);
	cr_assert_eq(jt_replay_init(&p, &r), 0);
	/* fills the first bank, then applies it */
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(
			jt_replay_step(&p, &r, add, &sum, &more, &help_fault),
			0);
	cr_assert_eq(sum.n, 16384);
	r.tag[3] ^= 1;
	cr_expect_eq(jt_replay_step(&p, &r, add, &sum, &more, &help_fault),
		     JT_JOURNAL_E_DAMAGED);
	cr_expect_eq(sum.n, 16384);
	cr_expect_eq(r.next, 16385);
}

Test(replay, goes_on_from_the_middle)
{
	struct sum sum = {0};
	struct jt_record last;
	struct jt_reader r;

	make(20000);
	cr_assert_eq(jt_journal_read(&journal, 7000, &last, 1, &help_fault), 0);
	jt_reader_init(&r, &journal);
	r.next = 7001;
	memcpy(r.tag, last.tag, sizeof(r.tag));
	cr_assert_eq(by_replay(&r, &sum, &help_fault), 0, "%s",
		     help_fault.line);
	cr_expect_eq(sum.n, 13000);
	cr_expect_arr_eq(sum.tag, journal.committed.tag, JT_TAG_BYTES);
}

Test(replay, measured_in_parts_is_measured)
{
	struct jt_feed_size size = {0}, rest = {0};

	make(N_MAX);
	cr_assert_eq(jt_feed_measure(&journal, 0, &size, &help_fault), 0);
	cr_expect_eq(size.tokens, N_MAX);
	cr_expect_eq(size.owner_bytes, sizeof("somebody"));
	rest.tokens = 100;
	cr_assert_eq(jt_measure_from(&journal, 30001, 0, &rest, &help_fault),
		     0);
	cr_expect_eq(rest.tokens, 10100);
}
