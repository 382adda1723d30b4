/*
 * sweep: what the meters say reaches the file; restore: and comes back to the
 * same tokens, wherever they stand then.
 */
#include "sidecar/restore.h"
#include "sidecar/sweep.h"

#include "admin/journal.h"
#include "tests/help_record.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY 1200u
#define N 600u
#define LATEST_S (HELP_NOW_S + 1000)
#define OVERLAP_S (HELP_NOW_S + 86400u)

static struct help_table t;
static struct jt_ledger l;
static struct jt_maps looker; /* the scribe's maps */
static struct jt_sweep s;
static struct jt_restored restored;
static struct help_token tokens[N];
static struct jt_record newest[N];
static struct disk before;
static uint64_t number, renames;
static int dir_fd;
static void (*on_write)(void); /* within a write of the sweep */

/* ---- the I/O table of these tests ---- */

static struct jt_io io;

static ssize_t hooked_pwrite(int fd, const void *buf, size_t bytes, off_t at)
{
	void (*f)(void) = on_write;

	on_write = NULL;
	if (f)
		f();
	return help_io.pwrite(fd, buf, bytes, at);
}

static int counted_rename(int olddir, const char *old, int newdir,
			  const char *new)
{
	renames++;
	return help_io.renameat(olddir, old, newdir, new);
}

static void open_dir(void)
{
	dir_fd = help_io.openat(AT_FDCWD, HELP_DIR,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	cr_assert_geq(dir_fd, 0);
}

/* ---- a sidecar's life ---- */

static void must(struct jt_record *r)
{
	int rc;

	r->number = ++number;
	rc = jt_ledger_apply(&l, r);
	cr_assert_eq(rc, 0, "%d", rc);
	jt_store_release(&t.maps.identity_rw->applied, number);
}

/* As after a start: the newest records of those who live, in order. */
static void replay(void)
{
	help_table_new(&t, CAPACITY);
	cr_assert_eq(jt_ledger_init(&l, &t.maps), 0);
	l.now = help_now();
	for (unsigned i = 0; i < N; i++) {
		struct jt_record r = newest[i];

		if (!r.type)
			continue;
		r.type = JT_REC_CREATE;
		r.number = ++number;
		cr_assert_eq(jt_ledger_apply(&l, &r), 0);
	}
	jt_store_release(&t.maps.identity_rw->applied, number);
	cr_assert_eq(jt_segment_look(&t.fds, &looker), 0);
	cr_assert_eq(jt_sweep_init(&s, &looker, &io, dir_fd), 0);
}

static int restore(void)
{
	return jt_restore(&l, &help_io, dir_fd, t.maps.identity->journal_id,
			  LATEST_S, &restored);
}

static int sweep(void)
{
	int rc = jt_sweep_begin(&s);

	while (!rc && (rc = jt_sweep_slice(&s)) == 1)
		rc = 0;
	return rc ? rc : jt_sweep_end(&s);
}

/* The sidecar ends, or the machine does. */
static void die(void)
{
	jt_sweep_deinit(&s);
	jt_segment_unmap(&looker);
	jt_ledger_deinit(&l);
	jt_segment_unmap(&t.maps);
	jt_segment_unmap(&t.reader);
	close(t.fds.identity);
	close(t.fds.meters);
	help_io_kill();
	disk_collect(&help_disk);
	open_dir();
}

static void cut_power(disk_keep keep)
{
	die();
	help_io_power_cut(keep);
	open_dir();
}

static void again(void)
{
	die();
	replay();
	cr_assert_eq(restore(), 0);
}

static void again_after_cut(disk_keep keep)
{
	cut_power(keep);
	replay();
	cr_assert_eq(restore(), 0);
}

static void start(void)
{
	io = help_io;
	io.pwrite = hooked_pwrite;
	io.renameat = counted_rename;
	disk_clear(&help_disk);
	help_disk.dir = help_disk.dir_safe = true;
	help_disk.dir_mode = 0700;
	open_dir();
	for (unsigned i = 0; i < N; i++) {
		help_token_make(&tokens[i], "live");
		newest[i] = help_create(&tokens[i]);
	}
	replay();
	number = N;
}

TestSuite(sweep, .init = start);

static uint32_t line_of(unsigned i)
{
	uint32_t line = jt_ledger_find(&l, newest[i].token.id);

	cr_assert_neq(line, JT_LINE_NONE);
	return line;
}

static struct jt_meter *meter(unsigned i)
{
	return &t.maps.lines[line_of(i)];
}

static struct jt_usage some(uint64_t i)
{
	return (struct jt_usage){
		.uses = 1000 + i,
		.refusals = i,
		.last_use_s = HELP_NOW_S + i % 500,
		.old_use_s = HELP_NOW_S - i,
		.quota = i << 37 | (i + 3),
	};
}

static void set(unsigned i, struct jt_usage u)
{
	struct jt_meter *m = meter(i);

	jt_store_seq(&m->uses, u.uses);
	jt_store_seq(&m->refusals, u.refusals);
	jt_store_seq(&m->last_use_s, u.last_use_s);
	jt_store_seq(&m->old_use_s, u.old_use_s);
	jt_store_seq(&m->quota, u.quota);
}

static struct jt_usage get(unsigned i)
{
	const struct jt_meter *m = meter(i);

	return (struct jt_usage){
		.uses = jt_load_seq(&m->uses),
		.refusals = jt_load_seq(&m->refusals),
		.last_use_s = jt_load_seq(&m->last_use_s),
		.old_use_s = jt_load_seq(&m->old_use_s),
		.quota = jt_load_seq(&m->quota),
	};
}

static bool is(unsigned i, struct jt_usage want)
{
	struct jt_usage have = get(i);

	return memcmp(&have, &want, sizeof(want)) == 0;
}

static void use_all(void)
{
	for (unsigned i = 0; i < N; i++)
		set(i, some(i));
}

static void expect_all(void)
{
	for (unsigned i = 0; i < N; i++)
		if (newest[i].type)
			cr_assert(is(i, some(i)), "token %u", i);
}

static void rotate(unsigned i)
{
	help_rotate(&newest[i], &tokens[i], OVERLAP_S);
	must(&newest[i]);
}

static void purge(unsigned i)
{
	struct jt_record r = help_as(newest[i], JT_REC_PURGE);

	must(&r);
	newest[i].type = 0;
}

/* Writes, flushes of files and renames since the plan began. */
static unsigned calls(enum help_call call)
{
	unsigned n = 0;

	for (unsigned i = 0; i < help_n_trace; i++)
		n += help_trace[i].call == call;
	return n;
}

/* ---- nothing fails ---- */

Test(sweep, counts_come_back_after_a_restart)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	again();
	expect_all();
	cr_expect_eq(restored.n_restored, N);
	cr_expect_eq(restored.n_damaged + restored.n_strangers, 0);
}

Test(sweep, counts_come_back_after_a_power_cut)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	set(3, some(77));
	cr_assert_eq(sweep(), 0);
	again_after_cut(NULL);
	cr_expect(is(3, some(77)));
	cr_expect(is(4, some(4)));
}

Test(sweep, nothing_used_is_nothing_written)
{
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(s.n_written, 0);
	again();
	cr_expect_eq(restored.n_restored, 0);
}

Test(sweep, without_a_file_counts_begin_at_zero)
{
	cr_expect_eq(restore(), JT_USAGE_E_NONE);
	cr_expect(is(0, (struct jt_usage){0}));
}

Test(sweep, what_did_not_change_is_not_written)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	help_io_plan((struct help_plan){0});
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(
		calls(CALL_WRITE) + calls(CALL_DATASYNC) + calls(CALL_SYNC), 0);
	set(5, some(500));
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(calls(CALL_WRITE), 1);
	cr_expect_eq(calls(CALL_DATASYNC), 1);
	cr_expect_eq(help_trace[0].bytes, 64);
	cr_expect_eq(help_trace[0].at, JT_USAGE_DATA + 64 * line_of(5));
}

Test(sweep, each_word_of_a_meter_is_looked_at)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	for (unsigned w = 0; w < 5; w++) {
		struct jt_usage u = some(9);

		((uint64_t *)&u)[w]++;
		set(9, u);
		help_io_plan((struct help_plan){0});
		cr_assert_eq(sweep(), 0);
		cr_assert_eq(calls(CALL_WRITE), 1, "word %u", w);
		set(9, some(9));
		cr_assert_eq(sweep(), 0);
	}
}

Test(sweep, neighbours_are_written_as_one)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	help_io_plan((struct help_plan){0});
	set(10, some(1));
	set(12, some(1));
	set(200, some(1));
	set(599, some(1));
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(calls(CALL_WRITE), 2);
	cr_expect_eq(help_trace[0].bytes, 191 * 64);
	again();
	for (unsigned i = 0; i < N; i++)
		cr_assert(is(i, some(i == 10 || i == 12 || i == 200 || i == 599
					     ? 1
					     : i)));
}

Test(sweep, goes_on_in_the_file_that_is_there)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	again();
	renames = 0;
	help_io_plan((struct help_plan){0});
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(calls(CALL_WRITE) + renames, 0);
	set(0, some(8));
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(calls(CALL_WRITE), 1);
	cr_expect_eq(renames, 0);
}

Test(sweep, file_that_was_removed_is_made_anew)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	cr_assert_eq(help_io.unlinkat(dir_fd, JT_USAGE_NAME, 0), 0);
	cr_assert_eq(sweep(), 0);
	again();
	expect_all();
}

/* ---- tokens change ---- */

Test(sweep, counts_follow_the_digest_and_not_the_line)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	/* gone from the journal, too: all others stand elsewhere now */
	newest[0].type = newest[7].type = newest[300].type = 0;
	again();
	cr_expect_eq(line_of(1), 0);
	expect_all();
	cr_expect_eq(restored.n_restored, N - 3);
	cr_expect_eq(restored.n_strangers, 3);
}

Test(sweep, tokens_on_other_lines_get_a_whole_new_file)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	newest[0].type = 0;
	again();
	renames = 0;
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(renames, 1);
	again();
	expect_all();
	cr_expect_eq(restored.n_strangers, 0);
	renames = 0;
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(renames, 0);
}

Test(sweep, rotation_is_saved_although_no_word_changed)
{
	use_all();
	for (unsigned i = 0; i < N; i++)
		set(i, (struct jt_usage){.uses = 1 + i});
	cr_assert_eq(sweep(), 0);
	rotate(17);
	help_io_plan((struct help_plan){0});
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(calls(CALL_WRITE), 1);
	/* the old value is long over, and the journal compacted */
	newest[17].token.old_until_s = 0;
	again();
	cr_expect_eq(get(17).uses, 18);
}

static void crash_after_rotations(unsigned n)
{
	struct jt_record first;

	use_all();
	cr_assert_eq(sweep(), 0);
	first = newest[17];
	die();
	/* all that the journal says: the rotations, too */
	help_table_new(&t, CAPACITY);
	cr_assert_eq(jt_ledger_init(&l, &t.maps), 0);
	l.now = help_now();
	for (unsigned i = 0; i < N; i++)
		must(&newest[i]);
	for (unsigned i = 0; i < n; i++)
		rotate(17);
	cr_assert_neq(memcmp(first.token.digest, newest[17].token.digest, 32),
		      0);
	cr_assert_eq(restore(), 0);
	for (unsigned i = 0; i < N; i++) {
		struct jt_usage want = some(i);

		if (i == 17) /* that was of an even older value */
			want.old_use_s = 0;
		cr_assert(is(i, want), "token %u", i);
	}
}

Test(sweep, crash_after_a_rotation_loses_nothing)
{
	crash_after_rotations(1);
}

Test(sweep, crash_after_two_rotations_loses_nothing)
{
	crash_after_rotations(2);
}

Test(sweep, crash_after_five_rotations_loses_nothing)
{
	crash_after_rotations(5);
}

Test(sweep, purged_token_leaves_zeros)
{
	static const struct jt_usage_entry none;
	struct jt_usage_entry e;
	uint32_t line = line_of(40);

	use_all();
	cr_assert_eq(sweep(), 0);
	purge(40);
	cr_assert_eq(sweep(), 0);
	disk_read(&help_disk, disk_find(&help_disk, JT_USAGE_NAME), &e,
		  sizeof(e), JT_USAGE_DATA + 64 * line, false);
	cr_expect_arr_eq(&e, &none, sizeof(e));
	again();
	expect_all();
	cr_expect_eq(restored.n_strangers, 0);
}

Test(sweep, heir_of_a_line_inherits_no_count)
{
	struct help_token heir;
	struct jt_record r;
	uint32_t line = line_of(40);

	use_all();
	cr_assert_eq(sweep(), 0);
	rotate(40); /* so that a value of it is among those dropped lately */
	rotate(40);
	purge(40);
	l.now.wall_s += 10;
	jt_ledger_tidy(&l, 0);
	l.now.wall_s += 10;
	jt_ledger_tidy(&l, 0);
	help_token_make(&heir, "live");
	r = help_create(&heir);
	must(&r);
	cr_assert_eq(jt_ledger_find(&l, r.token.id), line);
	/* at once, and at a start after a crash before the next round */
	cr_assert_eq(restore(), 0);
	cr_expect_eq(jt_load_seq(&t.maps.lines[line].uses), 0);
	jt_store_seq(&t.maps.lines[line].uses, 3);
	cr_assert_eq(sweep(), 0);
	jt_store_seq(&t.maps.lines[line].uses, 0);
	cr_assert_eq(restore(), 0);
	cr_expect_eq(jt_load_seq(&t.maps.lines[line].uses), 3);
	expect_all();
}

static void rotate_last(void)
{
	rotate(N - 1);
}

static void purge_last(void)
{
	purge(N - 1);
}

/* Two far lines change; at the first one's write the other changes hands. */
static void change_hands(void (*how)(void))
{
	use_all();
	cr_assert_eq(sweep(), 0);
	set(0, some(1));
	set(N - 1, (struct jt_usage){.uses = 4321});
	on_write = how;
	cr_assert_eq(sweep(), 0);
	cr_assert_null(on_write);
}

Test(sweep, rotation_within_a_round_is_in_that_round)
{
	change_hands(rotate_last);
	again();
	cr_expect_eq(get(N - 1).uses, 4321);
}

Test(sweep, purge_within_a_round_is_in_that_round)
{
	change_hands(purge_last);
	again();
	cr_expect_eq(restored.n_strangers, 0);
}

Test(sweep, new_token_is_found_in_the_next_round)
{
	struct help_token made;
	struct jt_record r;
	uint32_t line;

	use_all();
	cr_assert_eq(sweep(), 0);
	help_token_make(&made, "live");
	r = help_create(&made);
	must(&r);
	line = jt_ledger_find(&l, r.token.id);
	jt_store_seq(&t.maps.lines[line].uses, 5);
	help_io_plan((struct help_plan){0});
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(calls(CALL_WRITE), 1);
}

/* ---- bytes and words that nobody should have written ---- */

Test(sweep, hostile_words_are_cut)
{
	set(1, (struct jt_usage){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
				 UINT64_MAX});
	set(2, (struct jt_usage){.uses = 1, .last_use_s = LATEST_S});
	cr_assert_eq(sweep(), 0);
	again();
	cr_expect_eq(get(1).uses, 1ull << 62);
	cr_expect_eq(get(1).refusals, 1ull << 62);
	cr_expect_eq(get(1).last_use_s, LATEST_S);
	cr_expect_eq(get(1).old_use_s, LATEST_S);
	cr_expect_eq(get(2).last_use_s, LATEST_S);
	/* it is a count within a window, and cannot be above the most */
	cr_expect_leq(get(1).quota & ((1ull << 37) - 1), JT_METER_QUOTA_MAX);
}

Test(sweep, damaged_entry_costs_that_token_alone)
{
	uint8_t byte = 0xa5;

	use_all();
	cr_assert_eq(sweep(), 0);
	disk_poke(&help_disk, JT_USAGE_NAME, &byte, 1,
		  JT_USAGE_DATA + 64 * line_of(50) + 20);
	again();
	cr_expect_eq(restored.n_damaged, 1);
	cr_expect(is(50, (struct jt_usage){0}));
	for (unsigned i = 0; i < N; i++)
		cr_assert(i == 50 || is(i, some(i)));
	/* and the next round makes that good */
	set(50, some(50));
	cr_assert_eq(sweep(), 0);
	again();
	cr_expect_eq(restored.n_damaged, 0);
	expect_all();
}

Test(sweep, damaged_file_is_made_anew)
{
	uint8_t byte = 0xa5;

	use_all();
	cr_assert_eq(sweep(), 0);
	disk_poke(&help_disk, JT_USAGE_NAME, &byte, 1, 3);
	die();
	replay();
	cr_expect_eq(restore(), JT_USAGE_E_DAMAGED);
	use_all();
	cr_assert_eq(sweep(), 0);
	again();
	expect_all();
}

Test(sweep, entries_behind_the_table_go)
{
	struct jt_usage_entry e;
	struct jt_usage u = some(1);
	uint8_t key[JT_USAGE_KEY] = "nobody at all";

	use_all();
	cr_assert_eq(sweep(), 0);
	jt_usage_pack(&e, t.maps.identity->journal_id, key, &u);
	disk_poke(&help_disk, JT_USAGE_NAME, &e, sizeof(e),
		  JT_USAGE_DATA + 64 * (CAPACITY + 5));
	again();
	cr_expect_eq(restored.n_strangers, 1);
	cr_assert_eq(sweep(), 0);
	again();
	cr_expect_eq(restored.n_strangers, 0);
	expect_all();
}

/* ---- the system fails ---- */

Test(sweep, file_is_right_again_after_any_call_failed)
{
	static const int errors[] = {EIO, ENOSPC, EROFS, EMFILE, EINTR};

	for (unsigned e = 0; e < 5; e++)
		for (uint64_t k = 1;; k++) {
			bool done;
			int rc;

			use_all();
			cr_assert_eq(sweep(), 0);
			for (unsigned i = 0; i < N; i += 290)
				set(i, some(i + 1));
			if (k % 2) {
				/* with the opening of the file in it */
				jt_sweep_deinit(&s);
				cr_assert_eq(
					jt_sweep_init(&s, &looker, &io, dir_fd),
					0);
			}
			help_io_plan((struct help_plan){.fail_at = k,
							.error = errors[e]});
			rc = sweep();
			done = help_calls < k;
			help_io_plan((struct help_plan){0});
			if (rc)
				cr_assert_eq(sweep(), 0, "error %u call %lu", e,
					     k);
			again_after_cut(NULL);
			for (unsigned i = 0; i < N; i++)
				cr_assert(is(i, some(i % 290 ? i : i + 1)),
					  "error %u call %lu token %u", e, k,
					  i);
			if (done && k % 2)
				break;
		}
}

static uint64_t keep_seed;

static bool keep_some(unsigned i)
{
	return help_random(&keep_seed) & 1;
}

/* Tokens have moved; the machine ends somewhere in the first round. */
Test(sweep, power_cut_while_all_is_written_anew_loses_no_count)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	newest[0].type = newest[100].type = 0;
	cut_power(NULL);
	disk_copy(&before, &help_disk);
	for (uint64_t k = 1;; k++) {
		bool done;

		help_io_kill();
		disk_copy(&help_disk, &before);
		open_dir();
		replay();
		cr_assert_eq(restore(), 0);
		help_io_plan((struct help_plan){
			.fail_at = k, .forever = true, .error = EIO});
		(void)sweep();
		done = help_calls < k;
		help_io_plan((struct help_plan){0});
		keep_seed = k;
		again_after_cut(k % 2 ? keep_some : NULL);
		expect_all();
		die();
		if (done)
			break;
	}
}

Test(sweep, power_cut_between_rounds_leaves_old_or_new)
{
	for (uint64_t k = 0; k < 200; k++) {
		use_all();
		cr_assert_eq(sweep(), 0);
		for (unsigned i = 0; i < N; i++)
			set(i, some(i + 1));
		/* written, but not flushed */
		cr_assert_eq(jt_sweep_begin(&s), 0);
		while (jt_sweep_slice(&s) == 1)
			;
		keep_seed = k;
		again_after_cut(keep_some);
		for (unsigned i = 0; i < N; i++)
			cr_assert(is(i, some(i)) || is(i, some(i + 1)));
	}
}

Test(sweep, flush_that_failed_is_not_trusted_again)
{
	use_all();
	cr_assert_eq(sweep(), 0);
	set(9, some(10));
	help_io_plan((struct help_plan){
		.fail_at = 1, .kinds = 1u << CALL_DATASYNC, .error = EIO});
	cr_assert_eq(sweep(), -EIO);
	help_io_plan((struct help_plan){0});
	renames = 0;
	cr_assert_eq(sweep(), 0);
	cr_expect_eq(renames, 1);
	again_after_cut(NULL);
	cr_expect(is(9, some(10)));
}

Test(sweep, full_disk_keeps_what_has_its_place)
{
	for (unsigned i = 0; i < 100; i++)
		set(i, some(i));
	cr_assert_eq(sweep(), 0);
	/* the first hundred have room in the file, the last have not */
	help_io_plan((struct help_plan){.capacity = 1});
	set(50, some(51));
	set(N - 1, some(N - 1));
	cr_assert_eq(sweep(), -ENOSPC);
	set(60, some(61));
	cr_assert_eq(sweep(), -ENOSPC);
	again_after_cut(NULL);
	cr_expect(is(50, some(51)));
	cr_expect(is(60, some(61)));
	cr_expect(is(N - 1, (struct jt_usage){0}));
}

Test(sweep, full_disk_that_has_room_again_gets_all)
{
	for (unsigned i = 0; i < 100; i++)
		set(i, some(i));
	cr_assert_eq(sweep(), 0);
	help_io_plan((struct help_plan){.capacity = 1});
	use_all();
	cr_assert_eq(sweep(), -ENOSPC);
	help_io_plan((struct help_plan){0});
	cr_assert_eq(sweep(), 0);
	again_after_cut(NULL);
	expect_all();
}

Test(sweep, full_disk_at_the_first_file_leaves_nothing_behind)
{
	use_all();
	help_io_plan((struct help_plan){.capacity = 5000});
	cr_assert_eq(sweep(), -ENOSPC);
	cr_expect_eq(disk_find(&help_disk, "usage.new"), -1);
	cr_expect_eq(disk_find(&help_disk, JT_USAGE_NAME), -1);
	help_io_plan((struct help_plan){0});
	cr_assert_eq(sweep(), 0);
	again();
	expect_all();
}

Test(sweep, others_directory_is_refused_until_it_is_ours)
{
	use_all();
	help_disk.dir_mode = 0777;
	cr_expect_eq(sweep(), JT_USAGE_E_UNSAFE);
	help_disk.dir_mode = 0700;
	cr_expect_eq(sweep(), 0);
	again();
	expect_all();
}
