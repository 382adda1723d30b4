/*
 * help_io: the table; see the header.
 */
#include "tests/help_io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define FD_FIRST 1000
#define FDS_MAX 32
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

enum {
	FILE_NONE = 0,
	FILE_DIR = -1,
	FILE_PARENT = -2,
	FILE_BOOT_ID = -3
};

struct open_file {
	int file; /* file number + 1, or one of the above */
	int flags;
	bool locked;
};

struct disk help_disk;
struct help_plan help_plan;
uint64_t help_calls;
struct help_trace help_trace[HELP_TRACE_MAX];
unsigned help_n_trace;
unsigned help_torn_reads;
uint64_t help_bad_byte;
uint64_t help_wall_ns = UINT64_C(1700000000000000000);
char help_boot_id[37] = "11111111-2222-3333-4444-555555555555";

static struct open_file fds[FDS_MAX];
static uint64_t mono_ns;
static bool interrupted;

void help_io_plan(struct help_plan plan)
{
	help_plan = plan;
	help_calls = 0;
	help_n_trace = 0;
	interrupted = false;
}

static const char *name_of(int file)
{
	for (unsigned i = 0; i < DISK_NAMES; i++)
		if (help_disk.now[i].name[0] != '\0' &&
		    help_disk.now[i].file == file)
			return help_disk.now[i].name;
	return file < 0 ? "." : "";
}

static void trace(enum help_call call, int file, uint64_t at, uint64_t bytes)
{
	struct help_trace *t = &help_trace[help_n_trace];

	if (help_n_trace == HELP_TRACE_MAX)
		return;
	help_n_trace++;
	*t = (struct help_trace){.call = call, .at = at, .bytes = bytes};
	snprintf(t->name, sizeof(t->name), "%s", name_of(file));
}

/* Does the plan want this call to fail? Sets errno. */
static bool fails(enum help_call call)
{
	const struct help_plan *p = &help_plan;

	if (p->interrupt && call != CALL_CLOSE) {
		interrupted = !interrupted;
		errno = EINTR;
		if (interrupted)
			return true;
	}
	if (p->kinds != 0 && (p->kinds >> call & 1) == 0 &&
	    !(p->forever && p->fail_at != 0 && help_calls >= p->fail_at))
		return false;
	help_calls++;
	if (p->fail_at == 0 || help_calls < p->fail_at ||
	    (help_calls > p->fail_at && !p->forever))
		return false;
	errno = p->error;
	return true;
}

static struct open_file *get(int fd)
{
	assert(fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX);
	assert(fds[fd - FD_FIRST].file != FILE_NONE);
	return &fds[fd - FD_FIRST];
}

static int give(int file, int flags)
{
	assert((flags & O_CLOEXEC) != 0);
	for (int i = 0; i < FDS_MAX; i++) {
		if (fds[i].file != FILE_NONE)
			continue;
		fds[i] = (struct open_file){.file = file, .flags = flags};
		return FD_FIRST + i;
	}
	errno = EMFILE;
	return -1;
}

static int open_path(const char *name, int flags)
{
	if (strcmp(name, HELP_DIR) == 0 && help_disk.dir)
		return give(FILE_DIR, flags);
	if (strcmp(name, BOOT_ID) == 0 && help_boot_id[0] != '\0')
		return give(FILE_BOOT_ID, flags);
	errno = ENOENT;
	return -1;
}

static int io_openat(int dir, const char *name, int flags, mode_t mode)
{
	int file;

	if (fails(CALL_OPEN))
		return -1;
	if (dir == AT_FDCWD)
		return open_path(name, flags);
	assert(get(dir)->file == FILE_DIR);
	if (strcmp(name, "..") == 0)
		return give(FILE_PARENT, flags);
	assert((flags & O_NOFOLLOW) != 0);
	file = disk_find(&help_disk, name);
	errno = file < 0 ? ENOENT : EEXIST;
	if ((file < 0) != ((flags & O_CREAT) != 0))
		return -1;
	if (file >= 0 && S_ISLNK(help_disk.file[file].mode)) {
		errno = ELOOP;
		return -1;
	}
	if (file < 0)
		file = disk_make(&help_disk, name, S_IFREG | mode, 0);
	trace(CALL_OPEN, file, 0, 0);
	return give(file + 1, flags);
}

static int io_close(int fd)
{
	(void)fails(CALL_CLOSE);
	*get(fd) = (struct open_file){.file = FILE_NONE};
	return 0;
}

static size_t read_boot_id(void *buf, size_t bytes, size_t at)
{
	size_t left = strlen(help_boot_id);

	left = at < left ? left - at : 0;
	bytes = bytes < left ? bytes : left;
	memcpy(buf, help_boot_id + at, bytes);
	return bytes;
}

static ssize_t io_pread(int fd, void *buf, size_t bytes, off_t at)
{
	const struct open_file *f = get(fd);

	if (fails(CALL_READ))
		return -1;
	if (help_plan.transfer_max != 0 && bytes > help_plan.transfer_max)
		bytes = help_plan.transfer_max;
	if (f->file == FILE_BOOT_ID)
		return (ssize_t)read_boot_id(buf, bytes, (size_t)at);
	if (help_bad_byte >= (uint64_t)at && help_bad_byte - at < bytes &&
	    help_bad_byte != 0 &&
	    strcmp(name_of(f->file - 1), "journal") == 0) {
		errno = EIO;
		return -1;
	}
	bytes = disk_read(&help_disk, f->file - 1, buf, bytes, (uint64_t)at,
			  (f->flags & O_DIRECT) != 0);
	if (help_torn_reads > 0 && at == 4096 && bytes > 4096)
		((uint8_t *)buf)[help_torn_reads-- % 2 * 4096 + 20] ^= 1;
	return (ssize_t)bytes;
}

/* How many of BYTES at AT the disk has room for. */
static size_t fit(int file, size_t bytes, uint64_t at)
{
	uint64_t size = help_disk.file[file].size;
	uint64_t used = disk_used(&help_disk);
	uint64_t end = size;

	if (help_plan.capacity == 0 || at + bytes <= size)
		return bytes;
	if (used < help_plan.capacity)
		end += help_plan.capacity - used;
	if (end <= at)
		return 0;
	return end - at < bytes ? end - at : bytes;
}

static ssize_t io_pwrite(int fd, const void *buf, size_t bytes, off_t at)
{
	struct open_file *f = get(fd);

	if (fails(CALL_WRITE))
		return -1;
	assert((f->flags & O_ACCMODE) == O_RDWR);
	if (help_plan.transfer_max != 0 && bytes > help_plan.transfer_max)
		bytes = help_plan.transfer_max;
	bytes = fit(f->file - 1, bytes, (uint64_t)at);
	if (bytes == 0) {
		errno = ENOSPC;
		return -1;
	}
	trace(CALL_WRITE, f->file - 1, (uint64_t)at, bytes);
	return (ssize_t)disk_write(&help_disk, f->file - 1, buf, bytes,
				   (uint64_t)at);
}

static int flush(enum help_call call, int fd)
{
	struct open_file *f = get(fd);

	if (fails(call)) {
		/* A process that is dead no longer learns of lost pages. */
		if (f->file > 0 && errno != EINTR && !help_plan.forever)
			disk_flush_fails(&help_disk, f->file - 1);
		return -1;
	}
	trace(call, f->file > 0 ? f->file - 1 : -1, 0, 0);
	if (f->file == FILE_DIR)
		disk_flush_dir(&help_disk);
	else if (f->file == FILE_PARENT)
		help_disk.dir_safe = help_disk.dir;
	else
		disk_flush(&help_disk, f->file - 1);
	return 0;
}

static int io_fdatasync(int fd)
{
	return flush(CALL_DATASYNC, fd);
}

static int io_fsync(int fd)
{
	return flush(CALL_SYNC, fd);
}

static int io_ftruncate(int fd, off_t bytes)
{
	struct open_file *f = get(fd);

	if (fails(CALL_TRUNCATE))
		return -1;
	trace(CALL_TRUNCATE, f->file - 1, 0, (uint64_t)bytes);
	disk_resize(&help_disk, f->file - 1, (uint64_t)bytes);
	return 0;
}

static void describe(int file, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = 1;
	if (file < 0) {
		st->st_mode = S_IFDIR | help_disk.dir_mode;
		st->st_uid = help_disk.dir_uid;
		return;
	}
	st->st_ino = (ino_t)file + 1;
	st->st_mode = help_disk.file[file].mode;
	st->st_uid = help_disk.file[file].uid;
	st->st_size = (off_t)help_disk.file[file].size;
}

static int io_fstat(int fd, struct stat *st)
{
	struct open_file *f = get(fd);

	if (fails(CALL_STAT))
		return -1;
	describe(f->file > 0 ? f->file - 1 : -1, st);
	return 0;
}

static int io_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	int file = disk_find(&help_disk, name);

	if (fails(CALL_STAT_AT))
		return -1;
	assert(get(dir)->file == FILE_DIR && flags == AT_SYMLINK_NOFOLLOW);
	if (file < 0) {
		errno = ENOENT;
		return -1;
	}
	describe(file, st);
	return 0;
}

static int io_flock(int fd, int op)
{
	struct open_file *f = get(fd);

	if (fails(CALL_FLOCK))
		return -1;
	assert(op == (LOCK_EX | LOCK_NB));
	for (int i = 0; i < FDS_MAX; i++) {
		if (fds[i].file == f->file && fds[i].locked) {
			errno = EWOULDBLOCK;
			return -1;
		}
	}
	f->locked = true;
	return 0;
}

static int rename_file(enum help_call call, const char *from, const char *to)
{
	int file = disk_find(&help_disk, from);

	if (fails(call))
		return -1;
	errno = file < 0 ? ENOENT : EEXIST;
	if (file < 0 || (call == CALL_LINK && disk_find(&help_disk, to) >= 0))
		return -1;
	trace(call, file, 0, 0);
	disk_change(&help_disk, to, file, call == CALL_LINK ? "" : from);
	return 0;
}

static int io_renameat(int olddir, const char *old, int newdir, const char *new)
{
	assert(get(olddir)->file == FILE_DIR && olddir == newdir);
	return rename_file(CALL_RENAME, old, new);
}

static int io_linkat(int olddir, const char *old, int newdir, const char *new,
		     int flags)
{
	assert(get(olddir)->file == FILE_DIR && olddir == newdir);
	assert(flags == 0);
	return rename_file(CALL_LINK, old, new);
}

static int io_unlinkat(int dir, const char *name, int flags)
{
	int file = disk_find(&help_disk, name);

	if (fails(CALL_UNLINK))
		return -1;
	assert(get(dir)->file == FILE_DIR && flags == 0);
	errno = ENOENT;
	if (file < 0)
		return -1;
	trace(CALL_UNLINK, file, 0, 0);
	disk_change(&help_disk, "", 0, name);
	return 0;
}

static int io_mkdirat(int dir, const char *name, mode_t mode)
{
	if (fails(CALL_MKDIR))
		return -1;
	assert(dir == AT_FDCWD && strcmp(name, HELP_DIR) == 0);
	errno = EEXIST;
	if (help_disk.dir)
		return -1;
	help_disk.dir = true;
	help_disk.dir_mode = mode;
	return 0;
}

static int io_fchown(int fd, uid_t uid, gid_t gid)
{
	struct open_file *f = get(fd);

	if (fails(CALL_CHOWN))
		return -1;
	(void)gid;
	help_disk.file[f->file - 1].uid = uid;
	return 0;
}

static uint64_t io_wall_ns(void)
{
	return help_wall_ns += 1000;
}

static uint64_t io_mono_ns(void)
{
	return mono_ns;
}

static void io_sleep_ns(uint64_t ns)
{
	mono_ns += ns;
}

const struct jt_io help_io = {
	.openat = io_openat,
	.close = io_close,
	.pread = io_pread,
	.pwrite = io_pwrite,
	.fdatasync = io_fdatasync,
	.fsync = io_fsync,
	.ftruncate = io_ftruncate,
	.fstat = io_fstat,
	.fstatat = io_fstatat,
	.flock = io_flock,
	.renameat = io_renameat,
	.linkat = io_linkat,
	.unlinkat = io_unlinkat,
	.mkdirat = io_mkdirat,
	.fchown = io_fchown,
	.wall_ns = io_wall_ns,
	.mono_ns = io_mono_ns,
	.sleep_ns = io_sleep_ns,
};

void help_io_kill(void)
{
	memset(fds, 0, sizeof(fds));
	disk_collect(&help_disk);
	help_io_plan((struct help_plan){0});
}

void help_io_power_cut(disk_keep keep)
{
	memset(fds, 0, sizeof(fds));
	disk_power_cut(&help_disk, keep);
	if (help_boot_id[0] != '\0')
		help_boot_id[0] =
			help_boot_id[0] < '9' ? help_boot_id[0] + 1 : '0';
	help_io_plan((struct help_plan){0});
}

int help_io_file(int fd)
{
	int file = get(fd)->file;

	return file > 0 ? file - 1 : -1;
}

unsigned help_io_open_fds(void)
{
	unsigned n = 0;

	for (int i = 0; i < FDS_MAX; i++)
		n += fds[i].file != FILE_NONE;
	return n;
}
