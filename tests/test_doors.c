/* doors: one daemon a journal, one a socket; what is stale is replaced. */
#include "sidecar/doors.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct jt_paths paths;
static struct jt_doors doors;
static const struct jt_doors_want doors_want = {.http = true,
						.http_listen = ""};
static struct jt_fault fault;
static char top[64];

static void start(void)
{
	help_quiet();
	help_dir(top);
	snprintf(paths.data, sizeof(paths.data), "%s/data", top);
	snprintf(paths.run, sizeof(paths.run), "%s/run", top);
	umask(0); /* the least helpful one */
}

TestSuite(doors, .init = start);

static int open_doors(void)
{
	memset(&fault, 0, sizeof(fault));
	return jt_doors_open(&doors, &paths, &doors_want, &fault);
}

static void expect_open(void)
{
	cr_assert_eq(open_doors(), 0, "%s", fault.line);
}

/* Mode of TOP/NAME, 0 when absent. */
static mode_t mode_of(const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return lstat(path, &st) ? 0 : st.st_mode;
}

static void expect_refused(void)
{
	cr_expect_neq(open_doors(), 0);
	cr_expect_gt(strlen(fault.line), 10);
	cr_expect_null(strchr(fault.line, '\n'));
	cr_expect_lt(doors.resp, 0);
	cr_expect_lt(doors.control, 0);
	cr_expect_lt(doors.serving_lock, 0);
	cr_expect_lt(doors.run_lock, 0);
}

static int dial(const char *name)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(jt_paths_socket(paths.run, name, &address), 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -errno;
}

Test(doors, modes_are_right_whatever_the_umask)
{
	static const mode_t masks[] = {0, 022, 077, 0777};

	for (unsigned i = 0; i < 4; i++) {
		umask(0);
		expect_open(); /* directories are there */
		jt_doors_close(&doors);
		umask(masks[i]);
		expect_open();
		cr_expect_eq(mode_of("run/jeton.sock"), S_IFSOCK | 0660);
		cr_expect_eq(mode_of("run/jeton-control.sock"),
			     S_IFSOCK | 0600);
		cr_expect_eq(mode_of("data/serving.lock") & 077, 0);
		cr_expect_eq(umask(0), masks[i], "the umask is put back");
		jt_doors_close(&doors);
	}
}

Test(doors, directories_are_made)
{
	snprintf(paths.data, sizeof(paths.data), "%s/a/b/data", top);
	snprintf(paths.run, sizeof(paths.run), "%s/c/d/run", top);
	expect_open();
	cr_expect_eq(mode_of("a/b/data"), S_IFDIR | 0700);
	cr_expect_eq(mode_of("c/d/run"), S_IFDIR | 0755);
}

Test(doors, both_sockets_can_be_reached)
{
	expect_open();
	cr_expect_geq(dial(JT_RESP_NAME), 0);
	cr_expect_geq(dial(JT_CONTROL_NAME), 0);
	cr_expect(fcntl(doors.control, F_GETFL) & O_NONBLOCK);
	cr_expect_not(fcntl(doors.resp, F_GETFL) & O_NONBLOCK);
}

Test(doors, nothing_is_inherited_by_a_program)
{
	int fds[4];

	expect_open();
	fds[0] = doors.resp;
	fds[1] = doors.control;
	fds[2] = doors.serving_lock;
	fds[3] = doors.run_lock;
	for (unsigned i = 0; i < 4; i++)
		cr_expect(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, "%u", i);
}

Test(doors, lock_names_the_process_and_the_socket)
{
	char path[128], text[512] = "", want[512];
	FILE *f;

	expect_open();
	snprintf(path, sizeof(path), "%s/data/serving.lock", top);
	f = fopen(path, "re");
	cr_assert_not_null(f);
	cr_assert_gt(fread(text, 1, sizeof(text) - 1, f), 0);
	snprintf(want, sizeof(want),
		 "pid %d\ncontrol %s/run/jeton-control.sock\n", getpid(), top);
	cr_expect_str_eq(text, want);
	fclose(f);
}

Test(doors, close_removes_sockets_and_frees_the_locks)
{
	expect_open();
	jt_doors_close(&doors);
	cr_expect_eq(mode_of("run/jeton.sock"), 0);
	cr_expect_eq(mode_of("run/jeton-control.sock"), 0);
	cr_expect_neq(mode_of("data/serving.lock"), 0);
	jt_doors_close(&doors); /* twice is once */
	expect_open();
}

Test(doors, stale_sockets_of_a_crash_are_replaced)
{
	expect_open();
	close(doors.resp);
	close(doors.control);
	close(doors.serving_lock);
	close(doors.run_lock);
	cr_expect_neq(mode_of("run/jeton.sock"), 0);
	cr_expect_eq(dial(JT_RESP_NAME), -ECONNREFUSED);
	expect_open();
	cr_expect_geq(dial(JT_RESP_NAME), 0);
}

/* The refusal comes after some seconds of patience. */
Test(doors, second_daemon_of_a_journal_is_refused, .timeout = 20)
{
	struct jt_doors first;

	expect_open();
	first = doors;
	snprintf(paths.run, sizeof(paths.run), "%s/other", top);
	expect_refused();
	cr_expect(strstr(fault.line, "serving.lock"), "%s", fault.line);
	snprintf(paths.run, sizeof(paths.run), "%s/run", top);
	cr_expect_geq(dial(JT_RESP_NAME), 0, "the first one still serves");
	jt_doors_close(&first);
	expect_open();
}

Test(doors, second_daemon_of_a_socket_is_refused, .timeout = 20)
{
	expect_open();
	snprintf(paths.data, sizeof(paths.data), "%s/other", top);
	expect_refused();
	cr_expect(strstr(fault.line, JT_RUN_LOCK_NAME), "%s", fault.line);
	cr_expect_geq(dial(JT_RESP_NAME), 0, "the first one still serves");
	cr_expect_geq(dial(JT_CONTROL_NAME), 0);
}

/* Workers inherit it, and can hand it on. */
Test(doors, who_inherits_the_lock_cannot_change_its_text)
{
	char *at;

	expect_open();
	cr_expect_eq(write(doors.serving_lock, "x", 1), -1);
	cr_expect_eq(errno, EBADF);
	cr_expect_eq(pwrite(doors.serving_lock, "x", 1, 0), -1);
	cr_expect_eq(ftruncate(doors.serving_lock, 0), -1);
	at = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED,
		  doors.serving_lock, 0);
	cr_expect_eq(at, MAP_FAILED);
	at = mmap(NULL, 1, PROT_READ, MAP_SHARED, doors.serving_lock, 0);
	cr_expect_neq(at, MAP_FAILED);
	cr_expect_eq(mprotect(at, 1, PROT_READ | PROT_WRITE), -1);
	/* nor is there another one by which it could */
	for (int fd = STDERR_FILENO + 1; fd < 64; fd++) {
		struct stat held, other;

		cr_assert(!fstat(doors.serving_lock, &held));
		if (fstat(fd, &other) || other.st_ino != held.st_ino ||
		    other.st_dev != held.st_dev)
			continue;
		cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	}
	cr_expect_eq(jt_doors_mark(&doors, true), 0, "the keeper can");
}

/* A text that nobody finds would be none. */
Test(doors, lock_that_was_replaced_is_not_written)
{
	char path[128];
	struct stat st;

	expect_open();
	snprintf(path, sizeof(path), "%s/data/serving.lock", top);
	cr_assert(!unlink(path));
	cr_expect_eq(jt_doors_mark(&doors, true), -ENOENT);
	cr_expect_eq(mode_of("data/serving.lock"), 0, "made anew");
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	cr_expect_eq(jt_doors_mark(&doors, true), -ESTALE);
	cr_expect(!stat(path, &st) && st.st_size == 0);
}

Test(doors, lock_that_is_a_pipe_waits_for_nobody, .timeout = 20)
{
	char path[128];

	expect_open();
	jt_doors_close(&doors);
	snprintf(path, sizeof(path), "%s/data/serving.lock", top);
	cr_assert(!unlink(path) && !mkfifo(path, 0600));
	expect_refused();
}

/* A worker that outlives its keeper still holds the lock. */
Test(doors, lock_is_free_only_when_every_holder_is_gone)
{
	char path[128];
	int worker, fd;

	expect_open();
	worker = fcntl(doors.serving_lock, F_DUPFD_CLOEXEC, 3);
	jt_doors_close(&doors);
	snprintf(path, sizeof(path), "%s/data/serving.lock", top);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert(fd >= 0);
	cr_expect_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
	close(worker);
	cr_expect_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	expect_open();
}

Test(doors, socket_path_of_108_bytes_is_refused)
{
	size_t n = strlen(top);

	/* run/jeton-control.sock: 107 bytes fit, with the longer name */
	snprintf(paths.run, sizeof(paths.run), "%s/%0*d", top,
		 (int)(107 - strlen(JT_CONTROL_NAME) - 1 - n - 1), 0);
	expect_open();
	jt_doors_close(&doors);
	strcat(paths.run, "0");
	expect_refused();
	cr_expect(strstr(fault.line, "long"), "%s", fault.line);
	cr_expect_eq(dial(JT_RESP_NAME), -ENOENT, "nothing is left behind");
	memset(paths.run + strlen(paths.run), '0', 200);
	expect_refused();
}

Test(doors, other_things_in_a_sockets_place_are_not_followed)
{
	char path[128], target[128];
	int fd;

	expect_open();
	jt_doors_close(&doors);
	snprintf(path, sizeof(path), "%s/run/jeton.sock", top);
	snprintf(target, sizeof(target), "%s/precious", top);
	fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	cr_assert(fd >= 0);
	cr_assert(!symlink(target, path));
	expect_open();
	cr_expect_eq(mode_of("run/jeton.sock"), S_IFSOCK | 0660);
	cr_expect_eq(mode_of("precious"), S_IFREG | 0600);
	jt_doors_close(&doors);
	cr_assert(!mkdir(path, 0700));
	expect_refused();
}

static const char *const sockets[] = {JT_RESP_NAME, JT_CONTROL_NAME,
				      JT_ATTACH_NAME, JT_HTTP_NAME};

/* Put somebody else's there: 0 a file, 1 a link to one, 2 a socket. */
static int usurp(const char *name, unsigned kind)
{
	struct sockaddr_un address;
	int fd = -1;

	cr_assert_eq(jt_paths_socket(paths.run, name, &address), 0);
	cr_assert(!unlink(address.sun_path));
	if (kind == 0)
		fd = open(address.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC,
			  0600);
	if (kind == 1)
		return symlink("elsewhere", address.sun_path);
	if (kind == 2) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_assert(!bind(fd, (void *)&address, sizeof(address)));
		cr_assert(!listen(fd, 1));
	}
	cr_assert_geq(fd, 0);
	return fd;
}

Test(doors, close_leaves_what_has_taken_a_sockets_place)
{
	static const mode_t types[] = {S_IFREG, S_IFLNK, S_IFSOCK};
	char name[64];

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned kind = 0; kind < 3; kind++) {
			expect_open(); /* which replaces it, under the lock */
			usurp(sockets[i], kind);
			jt_doors_close(&doors);
			for (unsigned k = 0; k < 4; k++) {
				snprintf(name, sizeof(name), "run/%s",
					 sockets[k]);
				cr_expect_eq(mode_of(name) & S_IFMT,
					     k == i ? types[kind] : 0, "%s",
					     name);
			}
		}
		cr_expect_geq(dial(sockets[i]), 0, "it is served by them");
		expect_open();
		jt_doors_close(&doors);
	}
}

/* DOORS becomes the heir's. */
static void bequeath(struct jt_doors *older)
{
	int fds[JT_DOORS_N] = {0};
	uint32_t passed;

	*older = doors;
	jt_doors_offer(older, fds, &passed);
	for (unsigned i = 0; i < JT_DOORS_N; i++)
		fds[i] = fds[i] > 0 ? fcntl(fds[i], F_DUPFD_CLOEXEC, 3) : -1;
	cr_assert_eq(jt_doors_inherit(&doors, &paths, fds, passed, &doors_want,
				      &fault),
		     0, "%s", fault.line);
	older->borrowed = true;
	jt_doors_close(older);
	cr_assert_eq(jt_doors_own(&doors), 0);
}

Test(doors, heir_removes_what_it_was_given_and_nothing_else)
{
	struct jt_doors older;

	expect_open();
	bequeath(&older);
	cr_expect_geq(dial(JT_RESP_NAME), 0);
	usurp(JT_CONTROL_NAME, 0);
	jt_doors_close(&doors);
	cr_expect_eq(mode_of("run/jeton.sock"), 0);
	cr_expect_eq(mode_of("run/jeton-http.sock"), 0);
	cr_expect_eq(mode_of("run/jeton-control.sock") & S_IFMT, S_IFREG);
}

Test(doors, lock_that_is_a_symbolic_link_is_refused)
{
	char path[128], target[128];

	expect_open();
	jt_doors_close(&doors);
	snprintf(path, sizeof(path), "%s/data/serving.lock", top);
	snprintf(target, sizeof(target), "%s/precious", top);
	cr_assert(!rename(path, target));
	cr_assert(!symlink(target, path));
	expect_refused();
	cr_expect_eq(mode_of("run/jeton.sock"), 0);
	cr_assert(!unlink(target));
	expect_refused();
	cr_expect_eq(mode_of("precious"), 0, "made through the link");
}

Test(doors, run_directory_that_others_may_write_is_refused)
{
	static const mode_t bad[] = {0777, 0775, 0757, 01777};

	expect_open();
	jt_doors_close(&doors);
	for (unsigned i = 0; i < 4; i++) {
		cr_assert(!chmod(paths.run, bad[i]));
		expect_refused();
	}
	cr_assert(!chmod(paths.run, 0755));
	expect_open();
}

Test(doors, run_directory_that_is_a_file_is_refused)
{
	int fd = open(paths.run, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	cr_assert(fd >= 0);
	expect_refused();
}

Test(doors, lock_that_was_replaced_is_no_longer_ours)
{
	char path[128];

	expect_open();
	cr_expect(jt_doors_ours(&doors));
	snprintf(path, sizeof(path), "%s/data/serving.lock", top);
	cr_assert(!unlink(path));
	cr_expect_not(jt_doors_ours(&doors));
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	cr_expect_not(jt_doors_ours(&doors));
}
