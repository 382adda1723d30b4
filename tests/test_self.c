/* self: a process's figures follow what it does. */
#include "sidecar/self.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MB (1ull << 20)

static struct jt_self self;
static struct jt_figures before, after;

static void start(void)
{
	jt_self_open(&self);
	jt_self_look(&self, &before);
}

TestSuite(self, .init = start);

Test(self, counts_open_descriptors)
{
	int fds[20];

	for (unsigned i = 0; i < 20; i++)
		fds[i] = dup(STDERR_FILENO);
	jt_self_look(&self, &after);
	cr_expect_eq(after.open_fds, before.open_fds + 20);
	close(fds[3]);
	jt_self_look(&self, &after);
	cr_expect_eq(after.open_fds, before.open_fds + 19);
}

Test(self, counts_them_one_by_one_where_the_kernel_has_no_number)
{
	/* a directory that says 0, too */
	DIR *dir = opendir("/proc/self/ns");
	uint64_t n = 0;

	cr_assert_not_null(dir);
	while (readdir(dir))
		n++;
	self.fds = dirfd(dir);
	self.looks = 0;
	for (unsigned i = 0; i < 40; i++) {
		jt_self_look(&self, &after);
		cr_expect_eq(after.open_fds, n - 2);
	}
	self.fds = -1;
	closedir(dir);
}

Test(self, sees_memory_that_is_used)
{
	char *p = malloc(64 * MB);

	cr_assert_not_null(p);
	memset(p, 1, 64 * MB);
	jt_self_look(&self, &after);
	cr_expect_gt(before.resident, MB / 2);
	cr_expect_geq(after.resident, before.resident + 60 * MB);
	cr_expect_eq(p[MB], 1);
	free(p);
}

Test(self, sees_time_that_is_spent)
{
	struct timespec t = {0};

	while (t.tv_sec == 0 && t.tv_nsec < 50000000)
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	jt_self_look(&self, &after);
	cr_expect_geq(after.cpu_ns, 50000000);
	cr_expect_lt(after.cpu_ns, 60000000000ull);
}

Test(self, what_cannot_be_had_is_nought)
{
	self.statm = self.fds = -1;
	jt_self_look(&self, &after);
	cr_expect_eq(after.resident, 0);
	cr_expect_eq(after.open_fds, 0);
}
