/*
 * sandbox_files: Landlock, by its system calls, as the C library of Debian 12
 * knows none of them and its headers only the first version.
 *
 * Everything that the kernel's version can forbid is forbidden, then what a
 * process needs is allowed again below some directories:
 *
 *   worker, HTTP   nothing
 *   scribe, clerk  data: read and write; /proc and /sys: read (clerk)
 *   keeper         data, run: read and write
 *                  /etc, /usr, /lib, /lib64, /proc, /sys, /run, its own
 *                  binary's and the configuration file's directory: read
 *                  its own binary's directory, and the loader: execute
 *
 * A keeper can start a newer binary from there (an upgrade), and through the
 * loader whatever it may read, inside the same sandbox; it cannot write where
 * it may execute, unless somebody installs it in its own data directory.
 *
 * Descriptors that are open already are not touched, nor is memory that never
 * had a path (memfd), so tables come and are reopened as before.
 */
#include "sidecar/sandbox.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* As in linux/landlock.h, whatever of it is installed. */
#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_DIR (1ull << 7)
#define FS_MAKE_REG (1ull << 8)
#define FS_MAKE_SOCK (1ull << 9)
#define FS_FIRST ((1ull << 13) - 1) /* of version 1 */
#define FS_REFER (1ull << 13)	    /* 2 */
#define FS_TRUNCATE (1ull << 14)    /* 3 */
#define FS_IOCTL_DEV (1ull << 15)   /* 5 */
#define NET_ALL 3ull		    /* 4: bind, connect TCP */
#define SCOPE_ALL 3ull		    /* 6: abstract sockets, signals */

#define READ (FS_READ_FILE | FS_READ_DIR)
#define WRITE                                                                  \
	(READ | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |   \
	 FS_MAKE_SOCK | FS_REFER | FS_TRUNCATE)
#define OF_A_FILE                                                              \
	(FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

/* Version 6; a kernel takes a shorter one as well. */
struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct ruleset {
	int fd;
	uint64_t fs; /* what is forbidden, so what can be allowed */
};

static struct ruleset_attr what_there_is(long version,
					 enum jt_sandbox_kind kind)
{
	struct ruleset_attr attr = {.fs = FS_FIRST};

	attr.fs |= version >= 2 ? FS_REFER : 0;
	attr.fs |= version >= 3 ? FS_TRUNCATE : 0;
	attr.fs |= version >= 5 ? FS_IOCTL_DEV : 0;
	attr.net = version >= 4 ? NET_ALL : 0;
	/* the keeper's service manager may listen at an abstract socket */
	attr.scoped = version >= 6 && kind != JT_SANDBOX_KEEPER ? SCOPE_ALL : 0;
	return attr;
}

static size_t bytes_of(long version)
{
	return version >= 6   ? sizeof(struct ruleset_attr)
	       : version >= 4 ? offsetof(struct ruleset_attr, scoped)
			      : offsetof(struct ruleset_attr, net);
}

/* What is not there needs no rule. */
static int allow(const struct ruleset *r, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.allowed_access =
							  rights & r->fs};
	struct stat st;
	int rc;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return 0;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_A_FILE;
	rc = syscall(SYS_landlock_add_rule, r->fd, LANDLOCK_RULE_PATH_BENEATH,
		     &rule, 0)
		     ? -errno
		     : 0;
	close(rule.parent_fd);
	return rc;
}

static int allow_dir_of(const struct ruleset *r, const char *file,
			uint64_t rights)
{
	char path[PATH_MAX];
	char *slash;

	if (snprintf(path, sizeof(path), "%s", file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	return allow(r, slash ? path : ".", rights);
}

/* ---- the keeper's own program ---- */

static int find_loader(struct dl_phdr_info *info, size_t bytes, void *loaderp)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			memcpy(loaderp,
			       &(const char *){(const char *)info->dlpi_addr +
					       info->dlpi_phdr[i].p_vaddr},
			       sizeof(const char *));
	return 1; /* the first one is the program itself */
}

static int allow_itself(const struct ruleset *r)
{
	const char *loader = NULL;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int rc = 0;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	dl_iterate_phdr(find_loader, &loader);
	if (loader)
		rc = allow(r, loader, READ | FS_EXECUTE);
	return rc ? rc : allow_dir_of(r, self, READ | FS_EXECUTE);
}

/* ---- all of it ---- */

static int allow_keeper(const struct ruleset *r, const struct jt_sandbox *box)
{
	static const char *const readable[] = {
		"/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/run"};
	int rc = allow_itself(r);

	for (size_t i = 0; !rc && i < sizeof(readable) / sizeof(readable[0]);
	     i++)
		rc = allow(r, readable[i], READ);
	if (!rc && box->config[0])
		rc = allow_dir_of(r, box->config, READ);
	if (!rc)
		rc = allow(r, box->data, WRITE);
	return rc ? rc : allow(r, box->run, WRITE);
}

static int allow_all(const struct ruleset *r, const struct jt_sandbox *box,
		     enum jt_sandbox_kind kind)
{
	int rc = 0;

	switch (kind) {
	case JT_SANDBOX_KEEPER:
		return allow_keeper(r, box);
	case JT_SANDBOX_CLERK:
		rc = allow(r, "/proc", READ);
		if (!rc)
			rc = allow(r, "/sys", READ);
		return rc ? rc : allow(r, box->data, WRITE);
	case JT_SANDBOX_SCRIBE:
		return allow(r, box->data, WRITE);
	default:
		return 0;
	}
}

/* Of the kernel's; else negative errno. */
static long find_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? version : version < 0 ? -errno : -ENOSYS;
}

int jt_sandbox_files_there(void)
{
	long version = find_version();

	return version < 0 ? (int)version : 0;
}

int jt_sandbox_files(const struct jt_sandbox *box, enum jt_sandbox_kind kind)
{
	long version = find_version();
	struct ruleset_attr attr;
	struct ruleset r;
	int rc;

	if (version < 0)
		return (int)version;
	attr = what_there_is(version, kind);
	r.fs = attr.fs;
	r.fd = (int)syscall(SYS_landlock_create_ruleset, &attr,
			    bytes_of(version), 0);
	if (r.fd < 0)
		return -errno;
	rc = allow_all(&r, box, kind);
	if (!rc && syscall(SYS_landlock_restrict_self, r.fd, 0))
		rc = -errno;
	close(r.fd);
	return rc;
}
