/*
 * io: the table for the real system, and the loops every caller would need.
 *
 * A signal may interrupt any call and a write may be cut short by a limit or a
 * nearly full disk; neither is an error, so both are continued here and nowhere
 * else. The number of interruptions in a row is bounded: a call that never gets
 * anywhere ends as the -EINTR that it is.
 */
#include "admin/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* renameat */
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define TRIES_MAX 10000u

static int os_openat(int dir, const char *name, int flags, mode_t mode)
{
	return openat(dir, name, flags, mode);
}

static int os_fstat(int fd, struct stat *st)
{
	return fstat(fd, st);
}

static int os_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	return fstatat(dir, name, st, flags);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t os_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

static uint64_t os_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void os_sleep_ns(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	/* An early wake-up only makes the caller look again earlier. */
	(void)nanosleep(&ts, NULL);
}

const struct jt_io jt_io_os = {
	.openat = os_openat,
	.close = close,
	.pread = pread,
	.pwrite = pwrite,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.ftruncate = ftruncate,
	.fstat = os_fstat,
	.fstatat = os_fstatat,
	.flock = flock,
	.renameat = renameat,
	.linkat = linkat,
	.unlinkat = unlinkat,
	.mkdirat = mkdirat,
	.fchown = fchown,
	.wall_ns = os_wall_ns,
	.mono_ns = os_mono_ns,
	.sleep_ns = os_sleep_ns,
};

/* Did a call end without doing anything, so that it may be made again? */
static int again(unsigned *tries)
{
	return (errno == EINTR || errno == EAGAIN) && ++*tries < TRIES_MAX;
}

int jt_io_read_at(const struct jt_io *io, int fd, void *buf, size_t bytes,
		  uint64_t at)
{
	uint8_t *to = buf;
	unsigned tries = 0;

	if (at > INT64_MAX || bytes > (uint64_t)INT64_MAX - at)
		return -EOVERFLOW;
	while (bytes > 0) {
		ssize_t n = io->pread(fd, to, bytes, (off_t)at);

		if (n < 0 && again(&tries))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		to += n;
		at += (uint64_t)n;
		bytes -= (size_t)n;
		tries = 0;
	}
	return 0;
}

int jt_io_write_at(const struct jt_io *io, int fd, const void *buf,
		   size_t bytes, uint64_t at)
{
	const uint8_t *from = buf;
	unsigned tries = 0;

	if (at > INT64_MAX || bytes > (uint64_t)INT64_MAX - at)
		return -EFBIG;
	while (bytes > 0) {
		ssize_t n = io->pwrite(fd, from, bytes, (off_t)at);

		if (n < 0 && again(&tries))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		from += n;
		at += (uint64_t)n;
		bytes -= (size_t)n;
		tries = 0;
	}
	return 0;
}

/* Make CALL until it is not interrupted; the result becomes 0.. or -errno. */
#define UNTIL_DONE(rc, call)                                                   \
	do {                                                                   \
		unsigned left_ = TRIES_MAX;                                    \
                                                                               \
		do                                                             \
			(rc) = (call);                                         \
		while ((rc) < 0 && errno == EINTR && --left_ > 0);             \
		if ((rc) < 0)                                                  \
			(rc) = -errno;                                         \
	} while (0)

int jt_io_open(const struct jt_io *io, int dir, const char *name, int flags,
	       mode_t mode)
{
	int rc;

	UNTIL_DONE(rc, io->openat(dir, name, flags | O_CLOEXEC, mode));
	return rc;
}

int jt_io_sync(const struct jt_io *io, int fd)
{
	int rc;

	UNTIL_DONE(rc, io->fdatasync(fd));
	return rc;
}

int jt_io_sync_all(const struct jt_io *io, int fd)
{
	int rc;

	UNTIL_DONE(rc, io->fsync(fd));
	return rc;
}

int jt_io_truncate(const struct jt_io *io, int fd, uint64_t bytes)
{
	int rc;

	UNTIL_DONE(rc, io->ftruncate(fd, (off_t)bytes));
	return rc;
}

int jt_io_stat(const struct jt_io *io, int fd, struct stat *st)
{
	int rc;

	UNTIL_DONE(rc, io->fstat(fd, st));
	return rc;
}

int jt_io_stat_at(const struct jt_io *io, int dir, const char *name,
		  struct stat *st)
{
	int rc;

	UNTIL_DONE(rc, io->fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW));
	return rc;
}

int jt_io_lock(const struct jt_io *io, int fd, int op)
{
	int rc;

	UNTIL_DONE(rc, io->flock(fd, op));
	return rc;
}

int jt_io_rename(const struct jt_io *io, int dir, const char *from,
		 const char *to)
{
	int rc;

	UNTIL_DONE(rc, io->renameat(dir, from, dir, to));
	return rc;
}

int jt_io_link(const struct jt_io *io, int dir, const char *from,
	       const char *to)
{
	int rc;

	UNTIL_DONE(rc, io->linkat(dir, from, dir, to, 0));
	return rc;
}

int jt_io_unlink(const struct jt_io *io, int dir, const char *name)
{
	int rc;

	UNTIL_DONE(rc, io->unlinkat(dir, name, 0));
	return rc;
}

int jt_io_mkdir(const struct jt_io *io, int dir, const char *name, mode_t mode)
{
	int rc;

	UNTIL_DONE(rc, io->mkdirat(dir, name, mode));
	return rc;
}

int jt_io_chown(const struct jt_io *io, int fd, uid_t uid, gid_t gid)
{
	int rc;

	UNTIL_DONE(rc, io->fchown(fd, uid, gid));
	return rc;
}
