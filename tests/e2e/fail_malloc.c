/*
 * fail_malloc: LD_PRELOAD that lets allocation number $FAIL_AT of a process
 * fail, and no other. Counted from the program's first instruction on; with
 * $FAIL_COUNT the number of all is written there when the process ends.
 *
 * Those of the C library's own look-up of users are not counted: without
 * memory it ends the process itself (glibc 2.36: a null pointer and an
 * assertion in nss/nss_database.c). A daemon looks up before it has anything.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);

static unsigned long calls, fail_at;
static pid_t owner;
static int looking_up;

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("FAIL_AT");

	fail_at = at ? strtoul(at, NULL, 10) : 0;
	owner = getpid();
	calls = 0;
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("FAIL_COUNT");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
	unsigned long n = calls;

	if (fd < 0 || getpid() != owner)
		return;
	dprintf(fd, "%lu\n", n);
	close(fd);
}

static int fails(void)
{
	/* several threads may allocate; each number is given once */
	if (looking_up ||
	    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) != fail_at)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t bytes)
{
	return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	return fails() ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *p, size_t bytes)
{
	return fails() ? NULL : __libc_realloc(p, bytes);
}

struct passwd *getpwnam(const char *name)
{
	struct passwd *(*look_up)(const char *) = dlsym(RTLD_NEXT, "getpwnam");
	struct passwd *found;

	looking_up++;
	found = look_up(name);
	looking_up--;
	return found;
}

int initgroups(const char *name, gid_t group)
{
	int (*look_up)(const char *, gid_t) = dlsym(RTLD_NEXT, "initgroups");
	int rc;

	looking_up++;
	rc = look_up(name, group);
	looking_up--;
	return rc;
}
