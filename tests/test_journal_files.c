/*
 * test_journal_files: the journal on the real file system, between real
 * processes. Its directory stands in /tmp and is removed afterwards.
 */
#include "tests/help_journal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct jt_fault fault;
static char dir[64];

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/jeton-journal-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

static const char *path(const char *name)
{
	static char out[128];

	snprintf(out, sizeof(out), "%s/%s", dir, name);
	return out;
}

static void make_real(void)
{
	make_dir();
	cr_assert_eq(jt_journal_create(&jt_io_os, dir, "jt", &fault), 0, "%s",
		     fault.line);
}

static int open_real(struct jt_journal *j, unsigned wait_ms)
{
	return jt_journal_open_write(j, &jt_io_os, dir, wait_ms, &fault);
}

Test(journal_files, gives_its_files_to_one_user_alone, .init = make_dir,
     .fini = remove_dir)
{
	struct stat st;
	char sub[128];

	snprintf(sub, sizeof(sub), "%s/data", dir);
	cr_assert_eq(jt_journal_create(&jt_io_os, sub, "jt", &fault), 0);
	cr_assert_eq(stat(path("data"), &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0700);
	cr_assert_eq(stat(path("data/journal"), &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(stat(path("data/journal.lock"), &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_neq(stat(path("data/journal.new"), &st), 0);
}

Test(journal_files, gives_new_files_to_the_owner_of_the_directory,
     .init = make_dir, .fini = remove_dir)
{
	struct jt_journal j;
	struct stat st;

	if (geteuid() != 0)
		cr_skip_test("only root can make files for others");
	cr_assert_eq(chown(dir, 1234, 1235), 0);
	cr_assert_eq(jt_journal_create(&jt_io_os, dir, "jt", &fault), 0);
	cr_assert_eq(stat(path("journal"), &st), 0);
	cr_assert(st.st_uid == 1234 && st.st_gid == 1235);
	cr_assert_eq(stat(path("journal.lock"), &st), 0);
	cr_assert(st.st_uid == 1234 && st.st_gid == 1235);
	cr_assert_eq(chown(path("journal"), 0, 0), 0);
	cr_assert_eq(open_real(&j, 0), JT_JOURNAL_E_UNSAFE);
	cr_assert_not_null(strstr(fault.line, "chown 1234"));
}

Test(journal_files, refuses_what_others_may_write, .init = make_real,
     .fini = remove_dir)
{
	struct jt_journal j;
	mode_t bad[] = {0620, 0602, 0666};

	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(chmod(path("journal"), bad[i]), 0);
		cr_assert_eq(open_real(&j, 0), JT_JOURNAL_E_UNSAFE);
		cr_assert_not_null(strstr(fault.line, "chmod 600"));
		cr_assert_eq(jt_journal_open(&j, &jt_io_os, dir, &fault),
			     JT_JOURNAL_E_UNSAFE);
	}
	cr_assert_eq(chmod(path("journal"), 0600), 0);
	cr_assert_eq(chmod(path("journal.lock"), 0622), 0);
	cr_assert_eq(open_real(&j, 0), JT_JOURNAL_E_UNSAFE);
	cr_assert_eq(chmod(path("journal.lock"), 0600), 0);
	cr_assert_eq(chmod(dir, 0770), 0);
	cr_assert_eq(open_real(&j, 0), JT_JOURNAL_E_UNSAFE);
	cr_assert_eq(chmod(dir, 0750), 0);
	cr_assert_eq(open_real(&j, 0), 0, "%s", fault.line);
	jt_journal_close(&j);
}

Test(journal_files, refuses_links_pipes_and_directories, .init = make_real,
     .fini = remove_dir)
{
	struct jt_journal j;
	char other[128];

	snprintf(other, sizeof(other), "%s/other", dir);
	cr_assert_eq(rename(path("journal"), other), 0);
	cr_assert_eq(symlink("other", path("journal")), 0);
	cr_assert_eq(open_real(&j, 0), JT_JOURNAL_E_UNSAFE);
	cr_assert_eq(jt_journal_open(&j, &jt_io_os, dir, &fault),
		     JT_JOURNAL_E_UNSAFE);
	cr_assert_eq(unlink(path("journal")), 0);
	cr_assert_eq(mkfifo(path("journal"), 0600), 0);
	cr_assert_eq(open_real(&j, 0), JT_JOURNAL_E_UNSAFE);
	cr_assert_eq(jt_journal_open(&j, &jt_io_os, dir, &fault),
		     JT_JOURNAL_E_UNSAFE);
	cr_assert_eq(unlink(path("journal")), 0);
	cr_assert_eq(mkdir(path("journal"), 0700), 0);
	cr_assert_eq(jt_journal_open(&j, &jt_io_os, dir, &fault),
		     JT_JOURNAL_E_UNSAFE);
}

static uint64_t ms_now(void)
{
	return jt_io_os.mono_ns() / 1000000;
}

Test(journal_files, waits_for_another_process_no_longer_than_told,
     .init = make_real, .fini = remove_dir)
{
	struct jt_journal j;
	uint64_t start;
	int ready[2];
	char byte;
	pid_t child;

	cr_assert_eq(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (open_real(&j, 0) != 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	start = ms_now();
	cr_assert_eq(open_real(&j, 200), JT_JOURNAL_E_BUSY);
	cr_assert(ms_now() - start >= 200 && ms_now() - start < 1500);
	cr_assert_not_null(strstr(fault.line, "journal.lock"));
	cr_assert_eq(jt_journal_open(&j, &jt_io_os, dir, &fault), 0);
	jt_journal_close(&j);
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(open_real(&j, 1000), 0, "%s", fault.line);
	jt_journal_close(&j);
	cr_assert_eq(waitpid(child, NULL, 0), child);
}

Test(journal_files, leaves_no_descriptor_to_a_child, .init = make_real,
     .fini = remove_dir)
{
	struct jt_journal j;
	char line[512];
	FILE *child;

	cr_assert_eq(open_real(&j, 0), 0);
	child = popen("readlink /proc/$$/fd/*", "r");
	cr_assert_not_null(child);
	while (fgets(line, sizeof(line), child) != NULL)
		cr_assert_null(strstr(line, "jeton-journal"), "%s", line);
	pclose(child);
	jt_journal_close(&j);
}

static void append_many(unsigned commits, unsigned batch)
{
	struct jt_record r[8];
	struct jt_journal j;

	for (unsigned i = 0; i < commits; i++) {
		help_records(r, batch, JT_REC_CREATE);
		if (open_real(&j, 20000) != 0 ||
		    jt_journal_append(&j, r, batch, &fault) != 0)
			_exit(1);
		jt_journal_close(&j);
	}
}

Test(journal_files, takes_turns_between_processes, .init = make_real,
     .fini = remove_dir)
{
	struct jt_journal_summary sum;
	int status, bad = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (fork() == 0) {
			append_many(30, i + 1);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 4; i++) {
		cr_assert(wait(&status) > 0);
		bad += status != 0;
	}
	cr_assert_eq(bad, 0);
	cr_assert_eq(jt_journal_check(&jt_io_os, dir, NULL, &sum, &fault), 0);
	cr_assert_eq(sum.records, 30 * (1 + 2 + 3 + 4));
	cr_assert_eq(sum.batches, 120);
}

Test(journal_files, survives_the_death_of_a_writer_at_any_moment,
     .init = make_real, .fini = remove_dir)
{
	struct timespec nap = {0};
	uint64_t seed = 7, before = 0;
	struct jt_journal_summary sum;

	for (unsigned i = 0; i < 40; i++) {
		pid_t child = fork();
		int rc;

		if (child == 0) {
			append_many(100000, 8);
			_exit(0);
		}
		nap.tv_nsec = (long)(help_random(&seed) % 4000000);
		nanosleep(&nap, NULL);
		kill(child, SIGKILL);
		cr_assert_eq(waitpid(child, NULL, 0), child);
		rc = jt_journal_check(&jt_io_os, dir, NULL, &sum, &fault);
		cr_assert_eq(rc, 0, "%s", fault.line);
		cr_assert_geq(sum.records, before);
		cr_assert_eq(sum.records, 8 * sum.batches);
		before = sum.records;
	}
	append_many(1, 8);
	cr_assert_eq(jt_journal_check(&jt_io_os, dir, NULL, &sum, &fault), 0);
	cr_assert_eq(sum.records, before + 8);
}

/* In a child, for the limit cannot be lifted again. */
static int append_under_limit(uint64_t bytes, size_t n,
			      enum jt_record_type type)
{
	struct rlimit limit = {bytes, bytes};
	struct jt_record *r = calloc(n, sizeof(*r));
	struct jt_journal j;
	int status;

	cr_assert_not_null(r);
	help_records(r, n, type);
	if (fork() == 0) {
		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
		    open_real(&j, 1000) != 0)
			_exit(100);
		_exit(jt_journal_append(&j, r, n, &fault));
	}
	free(r);
	cr_assert_gt(wait(&status), 0);
	return WEXITSTATUS(status);
}

static void expect_state(uint64_t records, off_t bytes)
{
	struct jt_journal_summary sum;
	struct stat st;

	cr_assert_eq(jt_journal_check(&jt_io_os, dir, NULL, &sum, &fault), 0,
		     "%s", fault.line);
	cr_assert_eq(sum.records, records);
	cr_assert_eq(stat(path("journal"), &st), 0);
	cr_assert_eq(st.st_size, bytes);
}

Test(journal_files, a_size_limit_cuts_writes_short_but_loses_nothing,
     .init = make_real, .fini = remove_dir)
{
	struct stat st;
	off_t size;

	cr_assert_eq(stat(path("journal"), &st), 0);
	size = st.st_size;
	cr_assert_eq(append_under_limit(1u << 30, 4096, JT_REC_CREATE), 0);
	for (unsigned more = 0; more < 1000; more += 111) {
		uint64_t limit = (uint64_t)size + more;

		cr_assert_eq(append_under_limit(limit, 1, JT_REC_CREATE),
			     JT_JOURNAL_E_FULL);
		cr_assert_eq(append_under_limit(limit, 20000, JT_REC_CREATE),
			     JT_JOURNAL_E_FULL);
		expect_state(4096 + more / 111, size);
		cr_assert_eq(append_under_limit(limit, 1, JT_REC_REVOKE), 0);
		expect_state(4097 + more / 111, size);
	}
	cr_assert_eq(append_under_limit(1u << 30, 1, JT_REC_CREATE), 0);
}
