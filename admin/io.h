/*
 * io: the few operating-system calls that journal, anchor and lock may make.
 *
 * Everything durable goes through a table of functions, so that a test can
 * fail, shorten or trace the K-th call without touching the code under test.
 * Semantics are those of the system call of the same name; errors come back
 * as -1 with errno. All paths are relative to a directory descriptor.
 *
 * Any process may use jt_io_os; tables of tests live in tests/.
 */
#ifndef JT_ADMIN_IO_H
#define JT_ADMIN_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct jt_io {
	int (*openat)(int dir, const char *name, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*pread)(int fd, void *buf, size_t bytes, off_t at);
	ssize_t (*pwrite)(int fd, const void *buf, size_t bytes, off_t at);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*ftruncate)(int fd, off_t bytes);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir, const char *name, struct stat *st, int flags);
	int (*flock)(int fd, int op);
	int (*renameat)(int olddir, const char *old, int newdir,
			const char *new);
	int (*linkat)(int olddir, const char *old, int newdir, const char *new,
		      int flags);
	int (*unlinkat)(int dir, const char *name, int flags);
	int (*mkdirat)(int dir, const char *name, mode_t mode);
	int (*fchown)(int fd, uid_t uid, gid_t gid);
	/* Wall clock, nanoseconds since 1970 UTC. */
	uint64_t (*wall_ns)(void);
	/* Monotonic clock, only for measuring a wait. */
	uint64_t (*mono_ns)(void);
	void (*sleep_ns)(uint64_t ns);
};

extern const struct jt_io jt_io_os;

/*
 * Read or write exactly BYTES at AT; EINTR and short transfers are continued.
 * Return 0, or negative errno; a read that meets the end of file is -ENODATA,
 * a write that makes no progress is -ENOSPC.
 */
int jt_io_read_at(const struct jt_io *io, int fd, void *buf, size_t bytes,
		  uint64_t at);
int jt_io_write_at(const struct jt_io *io, int fd, const void *buf,
		   size_t bytes, uint64_t at);

/*
 * The other calls with EINTR continued and errors as negative errno. Syncs are
 * continued after EINTR only, which says that nothing was tried; every other
 * failure of a sync is final, because the kernel reports a lost page once.
 */
int jt_io_open(const struct jt_io *io, int dir, const char *name, int flags,
	       mode_t mode);
int jt_io_sync(const struct jt_io *io, int fd);
int jt_io_sync_all(const struct jt_io *io, int fd); /* fsync: directories */
int jt_io_truncate(const struct jt_io *io, int fd, uint64_t bytes);
int jt_io_stat(const struct jt_io *io, int fd, struct stat *st);
int jt_io_stat_at(const struct jt_io *io, int dir, const char *name,
		  struct stat *st);
int jt_io_lock(const struct jt_io *io, int fd, int op);
int jt_io_rename(const struct jt_io *io, int dir, const char *from,
		 const char *to);
int jt_io_link(const struct jt_io *io, int dir, const char *from,
	       const char *to);
int jt_io_unlink(const struct jt_io *io, int dir, const char *name);
int jt_io_mkdir(const struct jt_io *io, int dir, const char *name, mode_t mode);
int jt_io_chown(const struct jt_io *io, int fd, uid_t uid, gid_t gid);

#endif
