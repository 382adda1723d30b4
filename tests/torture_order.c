/*
 * torture_order: synced before applied before acknowledged, on every run.
 *
 * help_disk knows of each sector what the disk holds and what only the cache
 * does. So the order need not be read off a trace: at each moment at which
 * something becomes reachable by others, what it leads to must be the same in
 * both. The moments:
 *
 *   a commit slot is written	the records of the file are on the disk
 *   a file gets a name that a start reads	all of it is on the disk
 *   a batch is acknowledged	records, slot and the file's name are
 *   a follower applies a commit	the same
 */
#include "tests/torture.h"

#include "admin/format.h"
#include <fcntl.h>

static struct disk_file *journal_file(void)
{
	int i = disk_find(&help_disk, JT_JOURNAL_NAME);

	return i < 0 ? NULL : &help_disk.file[i];
}

/* Is [FROM, TO) of the file the same on the disk? */
static bool is_safe(const struct disk_file *f, uint64_t from, uint64_t to)
{
	if (f->safe_size < to && f->safe_size < f->size)
		return false;
	for (uint64_t at = from, n; at < to; at += n) {
		const struct disk_page *p = f->page[at / DISK_PAGE];
		unsigned in = at % DISK_PAGE;

		n = DISK_PAGE - in < to - at ? DISK_PAGE - in : to - at;
		if (p && memcmp(p->now + in, p->safe + in, n) != 0)
			return false;
	}
	return true;
}

/* The newest number that a slot on the disk names. */
static uint64_t safe_number(const struct disk_file *f)
{
	uint64_t newest = 0;

	for (unsigned i = 1; i <= 2; i++) {
		const struct jt_slot_page *slot;

		if (!f->page[i])
			continue;
		slot = (const struct jt_slot_page *)(const void *)f->page[i]
			       ->safe;
		if (slot->number > newest)
			newest = slot->number;
	}
	return newest;
}

/* What the disk has under that name. */
static int safe_file(const char *name)
{
	for (unsigned i = 0; i < DISK_NAMES; i++)
		if (strcmp(help_disk.safe[i].name, name) == 0)
			return help_disk.safe[i].file;
	return -1;
}

void torture_must_be_safe(uint64_t number, const char *what)
{
	const struct disk_file *f = journal_file();
	const struct jt_header_page *h;
	uint64_t end;

	T_COUNT(ordered);
	if (!f || !f->page[0]) {
		torture_failed("%s, and there is no journal", what);
		return;
	}
	h = (const struct jt_header_page *)(const void *)f->page[0]->now;
	end = jt_record_offset(h->base - h->state_records, number) +
	      JT_RECORD_BYTES;
	if (!is_safe(f, JT_JOURNAL_DATA, end) || safe_number(f) < number)
		torture_failed("%s before it was synced: record %" PRIu64, what,
			       number);
	if (!help_disk.dir_safe)
		torture_failed("%s in a directory that a power cut takes",
			       what);
	if (safe_file(JT_JOURNAL_NAME) !=
	    disk_find(&help_disk, JT_JOURNAL_NAME))
		torture_failed("%s in a file that a power cut unnames", what);
}

/* ---- the table ---- */

struct jt_io torture_io;
void (*torture_hook)(void);

/* What the hook does is not watched. */
static void before(void)
{
	void (*hook)(void) = torture_hook;

	if (!hook)
		return;
	torture_hook = NULL;
	hook();
	torture_hook = hook;
}

static int watched_openat(int dir, const char *name, int flags, mode_t mode)
{
	before();
	return help_io.openat(dir, name, flags, mode);
}

static int watched_close(int fd)
{
	before();
	return help_io.close(fd);
}

static ssize_t watched_pread(int fd, void *buf, size_t bytes, off_t at)
{
	before();
	return help_io.pread(fd, buf, bytes, at);
}

static ssize_t watched_pwrite(int fd, const void *buf, size_t bytes, off_t at)
{
	const struct disk_file *f = journal_file();

	before();
	if (f && at >= JT_PAGE_BYTES && at < JT_JOURNAL_DATA &&
	    help_io_file(fd) == f - help_disk.file) {
		T_COUNT(ordered);
		if (!is_safe(f, JT_JOURNAL_DATA, f->size))
			torture_failed("a slot was written before the records "
				       "were synced");
	}
	return help_io.pwrite(fd, buf, bytes, at);
}

static int watched_fdatasync(int fd)
{
	before();
	return help_io.fdatasync(fd);
}

static int watched_fsync(int fd)
{
	before();
	return help_io.fsync(fd);
}

static int watched_ftruncate(int fd, off_t bytes)
{
	before();
	return help_io.ftruncate(fd, bytes);
}

static int watched_flock(int fd, int op)
{
	before();
	return help_io.flock(fd, op);
}

static void must_be_whole(const char *from, const char *to)
{
	int i = disk_find(&help_disk, from);

	T_COUNT(ordered);
	if (i >= 0 && !is_safe(&help_disk.file[i], 0, help_disk.file[i].size))
		torture_failed("%s was named %s before it was synced", from,
			       to);
}

static int watched_renameat(int olddir, const char *old, int newdir,
			    const char *new)
{
	before();
	must_be_whole(old, new);
	return help_io.renameat(olddir, old, newdir, new);
}

static int watched_linkat(int olddir, const char *old, int newdir,
			  const char *new, int flags)
{
	before();
	return help_io.linkat(olddir, old, newdir, new, flags);
}

static int watched_unlinkat(int dir, const char *name, int flags)
{
	before();
	return help_io.unlinkat(dir, name, flags);
}

void torture_order_init(void)
{
	torture_io = help_io;
	torture_io.openat = watched_openat;
	torture_io.close = watched_close;
	torture_io.pread = watched_pread;
	torture_io.pwrite = watched_pwrite;
	torture_io.fdatasync = watched_fdatasync;
	torture_io.fsync = watched_fsync;
	torture_io.ftruncate = watched_ftruncate;
	torture_io.flock = watched_flock;
	torture_io.renameat = watched_renameat;
	torture_io.linkat = watched_linkat;
	torture_io.unlinkat = watched_unlinkat;
}
