/* scribe: a real process, asked, killed, stopped; and the keeper's end of it.
 */
#include "sidecar/crew.h"

#include "admin/usage.h"
#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
#define PATIENCE 20000u /* ms */

static struct help_table t;
static struct help_token token;
static struct jt_crew crew;
static char dir[64];
static int dir_fd;

static uint64_t boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

static void nap(void)
{
	const struct timespec ms = {.tv_nsec = (long)MS};

	nanosleep(&ms, NULL);
}

/* No workers: nobody but the scribe. */
static void start(void)
{
	struct jt_worker_args args = {.listener = STDIN_FILENO};

	help_quiet();
	help_dir(dir);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(dir_fd, 0);
	help_table_new(&t, 64);
	help_issue(&t, &token);
	args.segments = t.fds;
	args.serving_lock = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(jt_crew_init(&crew, &args, &t.maps), 0);
	jt_crew_keep_usage(&crew, &jt_io_os, dir_fd);
	jt_crew_tend(&crew, boot_ns());
	cr_assert_gt(crew.scribe.pid, 0);
}

static void stop(void)
{
	if (crew.scribe.pid)
		jt_crew_stop_scribe(&crew, false, 0);
}

TestSuite(scribe, .init = start, .fini = stop, .timeout = 60);

static bool saved(uint64_t ticket, unsigned within_ms)
{
	for (unsigned ms = 0; ms < within_ms; ms++) {
		jt_crew_tend(&crew, boot_ns());
		if (jt_crew_saved(&crew, ticket))
			return true;
		nap();
	}
	return false;
}

/* What the file says of the token's uses. */
static uint64_t in_file(void)
{
	struct jt_usage_table table;
	struct jt_usage u;
	uint8_t digest[32];

	jt_token_digest((const uint8_t *)token.text, digest);
	jt_usage_load(&table, &jt_io_os, dir_fd, t.maps.identity->journal_id);
	jt_usage_find(&table, digest, &u);
	jt_usage_free(&table);
	return u.uses;
}

static void use(uint64_t n)
{
	jt_meter_used(help_meter(&t, &token), n, HELP_NOW_S);
}

Test(scribe, saves_when_asked)
{
	for (uint64_t i = 1; i < 20; i++) {
		use(1);
		cr_assert(saved(jt_crew_save(&crew), PATIENCE));
		cr_assert_eq(crew.save_rc, 0);
		cr_assert_eq(in_file(), i);
	}
}

Test(scribe, saves_unasked_within_five_seconds)
{
	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	use(7);
	for (unsigned ms = 0; ms < 5000 && in_file() != 7; ms++)
		nap();
	cr_expect_eq(in_file(), 7);
}

Test(scribe, waits_until_the_meters_are_restored)
{
	uint64_t ticket;

	stop();
	unlinkat(dir_fd, JT_USAGE_NAME, 0);
	jt_store_seq(&t.maps.identity_rw->state, JT_IDENTITY_LOADING);
	crew.scribe.start_at_ns = 0;
	jt_crew_tend(&crew, boot_ns());
	use(5);
	ticket = jt_crew_save(&crew);
	cr_expect_not(saved(ticket, 500));
	cr_expect_neq(faccessat(dir_fd, JT_USAGE_NAME, F_OK, 0), 0);
	jt_store_seq(&t.maps.identity_rw->state, JT_IDENTITY_SERVING);
	cr_expect(saved(ticket, PATIENCE));
	cr_expect_eq(in_file(), 5);
}

Test(scribe, killed_it_is_replaced_and_the_ticket_answered)
{
	for (unsigned i = 1; i < 4; i++) {
		pid_t pid = crew.scribe.pid;
		uint64_t ticket;

		use(1);
		kill(pid, SIGSTOP);
		ticket = jt_crew_save(&crew);
		cr_assert_not(saved(ticket, 50));
		kill(pid, SIGKILL);
		cr_assert(saved(ticket, PATIENCE));
		cr_assert_neq(crew.scribe.pid, pid);
		cr_assert_eq(in_file(), i);
	}
}

Test(scribe, says_what_it_uses_and_its_successor_goes_on_from_there)
{
	const struct jt_figures *f = &crew.figures;
	uint64_t cpu_ns = 1ull << 50;

	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	cr_expect_gt(f->cpu_ns, 0);
	cr_expect_gt(f->resident, 0);
	cr_expect_gt(f->open_fds, 3);
	/* as if it had run for long */
	crew.before_ns = cpu_ns;
	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	cr_expect_gt(f->cpu_ns, cpu_ns);
	cpu_ns = f->cpu_ns;
	kill(crew.scribe.pid, SIGKILL);
	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	cr_expect_gt(f->cpu_ns, cpu_ns);
	cr_expect_lt(f->cpu_ns, cpu_ns + PATIENCE * MS);
	/* dead, and none after it */
	crew.scribe_args.io = NULL;
	kill(crew.scribe.pid, SIGKILL);
	while (crew.scribe.pid)
		jt_crew_tend(&crew, boot_ns());
	cr_expect_gt(f->cpu_ns, cpu_ns);
	cr_expect_eq(f->resident, 0);
	cr_expect_eq(f->open_fds, 0);
}

Test(scribe, signals_that_stop_a_daemon_are_not_for_it)
{
	pid_t pid = crew.scribe.pid;

	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	kill(pid, SIGTERM);
	kill(pid, SIGINT);
	kill(pid, SIGHUP);
	use(3);
	cr_expect(saved(jt_crew_save(&crew), PATIENCE));
	cr_expect_eq(crew.scribe.pid, pid);
	cr_expect_eq(in_file(), 3);
}

Test(scribe, stopped_it_saves_what_was_counted_last)
{
	pid_t pid = crew.scribe.pid;

	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	use(9);
	cr_expect_eq(jt_crew_stop_scribe(&crew, true, PATIENCE), 0);
	cr_expect_eq(in_file(), 9);
	cr_expect_eq(crew.scribe.pid, 0);
	cr_expect_eq(kill(pid, 0), -1);
}

Test(scribe, that_does_not_answer_is_not_waited_for_for_ever)
{
	pid_t pid = crew.scribe.pid;

	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	kill(pid, SIGSTOP);
	cr_expect_eq(jt_crew_stop_scribe(&crew, true, 50), -ETIME);
	cr_expect_eq(kill(pid, 0), -1);
}

Test(scribe, trouble_is_told_and_its_end_too)
{
	char away[80];

	cr_assert(saved(jt_crew_save(&crew), PATIENCE));
	/* there is no writing into a directory that is gone */
	snprintf(away, sizeof(away), "%s/usage", dir);
	unlink(away);
	cr_assert_eq(rmdir(dir), 0);
	use(1);
	cr_expect(saved(jt_crew_save(&crew), PATIENCE));
	cr_expect_eq(crew.save_rc, -ENOENT, "%d", crew.save_rc);
	cr_expect(saved(jt_crew_save(&crew), PATIENCE));
	cr_expect_eq(crew.save_rc, -ENOENT);
}
