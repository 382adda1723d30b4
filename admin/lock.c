/*
 * lock: waiting for the lock, and the poison mark.
 *
 * Why a mark at all: after a failed flush the kernel drops the dirty pages or
 * calls them clean, and reports that once, to one process. The next writer
 * would read back from the page cache what the disk never got, and build on it.
 * Only a reboot, or a copy read past the cache, tells what is really there.
 *
 * The mark must still get written when the disk is full, so the file has its
 * 64 bytes from the first lock on and is only ever overwritten. It counts for
 * the boot that it names; where no boot id can be read it counts for ever.
 */
#include "admin/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define MARK_BYTES 64u
#define BOOT_ID_BYTES 36u
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define POLL_FIRST_NS 500000u
#define POLL_MAX_NS 20000000u
#define NS_PER_MS UINT64_C(1000000)

static const char poisoned[] = "poisoned ";
#define POISONED_LEN (sizeof(poisoned) - 1)

/* "unknown", padded, where the system does not tell. */
static void boot_id(const struct jt_io *io, char out[BOOT_ID_BYTES])
{
	int fd = jt_io_open(io, AT_FDCWD, BOOT_ID_PATH, O_RDONLY, 0);
	int rc = fd;

	if (fd >= 0) {
		rc = jt_io_read_at(io, fd, out, BOOT_ID_BYTES, 0);
		io->close(fd);
	}
	if (rc < 0) {
		memset(out, ' ', BOOT_ID_BYTES);
		memcpy(out, "unknown", 7);
	}
}

static int write_mark(const struct jt_io *io, int lock_fd,
		      const char mark[MARK_BYTES])
{
	int rc = jt_io_write_at(io, lock_fd, mark, MARK_BYTES, 0);

	return rc < 0 ? rc : jt_io_sync(io, lock_fd);
}

int jt_lock_clear(const struct jt_io *io, int lock_fd)
{
	char mark[MARK_BYTES];

	memset(mark, ' ', sizeof(mark));
	memcpy(mark, "clean", 5);
	mark[MARK_BYTES - 1] = '\n';
	return write_mark(io, lock_fd, mark);
}

void jt_lock_poison(const struct jt_io *io, int lock_fd)
{
	char mark[MARK_BYTES];

	memset(mark, ' ', sizeof(mark));
	memcpy(mark, poisoned, POISONED_LEN);
	boot_id(io, mark + POISONED_LEN);
	mark[MARK_BYTES - 1] = '\n';
	/* The page cache is enough for this boot; a later one does not care. */
	(void)write_mark(io, lock_fd, mark);
}

int jt_lock_check(const struct jt_io *io, int lock_fd, struct jt_fault *faultp)
{
	char mark[MARK_BYTES], now[BOOT_ID_BYTES];
	const char *then = mark + POISONED_LEN;
	int rc = jt_io_read_at(io, lock_fd, mark, sizeof(mark), 0);

	if (rc == -ENODATA)
		return 0; /* the first locker had no room for the mark */
	if (rc < 0)
		return jt_fault_set(faultp, rc, 0, 0, "%s: cannot read: %s",
				    JT_JOURNAL_LOCK_NAME, strerrordesc_np(-rc));
	if (memcmp(mark, poisoned, POISONED_LEN) != 0)
		return 0;
	boot_id(io, now);
	if (memcmp(then, now, sizeof(now)) != 0 &&
	    memcmp(then, "unknown", 7) != 0 && memcmp(now, "unknown", 7) != 0)
		return 0;
	return jt_fault_set(faultp, JT_JOURNAL_E_POISONED, 0, 0,
			    "a flush to disk failed since the last boot, so "
			    "nothing more is written; check the disk, then "
			    "run `jeton journal rescue` or reboot");
}

/* First lock in this directory: give the mark its bytes while there is room. */
static void fill_new(const struct jt_io *io, int lock_fd)
{
	struct stat st;

	if (jt_io_stat(io, lock_fd, &st) == 0 && st.st_size < MARK_BYTES)
		(void)jt_lock_clear(io, lock_fd);
}

static int wait_for(const struct jt_io *io, int lock_fd, unsigned wait_ms)
{
	uint64_t end = io->mono_ns() + wait_ms * NS_PER_MS;
	uint64_t nap = POLL_FIRST_NS;

	for (;;) {
		int rc = jt_io_lock(io, lock_fd, LOCK_EX | LOCK_NB);

		if (rc != -EWOULDBLOCK)
			return rc;
		if (io->mono_ns() >= end)
			return JT_JOURNAL_E_BUSY;
		io->sleep_ns(nap);
		nap = nap * 2 < POLL_MAX_NS ? nap * 2 : POLL_MAX_NS;
	}
}

int jt_lock_take(const struct jt_place *p, unsigned wait_ms, int *fdp,
		 struct jt_fault *faultp)
{
	int fd, rc;

	rc = jt_place_file(p, JT_JOURNAL_LOCK_NAME, O_RDWR | O_CREAT, &fd,
			   faultp);
	if (rc != 0)
		return rc;
	rc = wait_for(p->io, fd, wait_ms);
	if (rc == 0) {
		fill_new(p->io, fd);
		*fdp = fd;
		return 0;
	}
	p->io->close(fd);
	if (rc < 0)
		return jt_place_fault(p, faultp, rc, JT_JOURNAL_LOCK_NAME,
				      "cannot lock");
	return jt_fault_set(faultp, rc, 0, 0,
			    "another writer has held %s/%s for %u ms; try "
			    "again, or see who with: fuser %s/%s",
			    p->path, JT_JOURNAL_LOCK_NAME, wait_ms, p->path,
			    JT_JOURNAL_LOCK_NAME);
}
