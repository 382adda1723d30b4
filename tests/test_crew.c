/* crew: real workers, started, killed and started again. */
#include "sidecar/crew.h"

#include "sidecar/loop.h"
#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
#define S 1000000000ull

static struct help_table t;
static struct jt_crew crew;
static struct help_token token;
static struct sockaddr_un address;
static int listener;

static uint64_t boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * S + (uint64_t)ts.tv_nsec;
}

static void nap(void)
{
	const struct timespec ms = {.tv_nsec = (long)MS};

	nanosleep(&ms, NULL);
}

static void start(void)
{
	struct jt_loop loop;
	int rc = jt_loop_init(&loop, JT_BACKEND_AUTO,
			      &(struct jt_loop_size){.inflight = 8});

	if (rc)
		cr_skip_test("%s", jt_loop_why(rc));
	jt_loop_deinit(&loop);
	help_quiet();
	help_table_new(&t, 64);
	help_issue(&t, &token);
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, 100, "jeton-crew-%d", getpid());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(
		!bind(listener, (struct sockaddr *)&address, sizeof(address)));
	cr_assert(!listen(listener, 100));
}

static void stop(void)
{
	jt_crew_stop(&crew, 2000);
}

TestSuite(crew, .init = start, .fini = stop, .timeout = 30);

static void hire(unsigned n)
{
	struct jt_worker_args args = {
		.n_workers = n,
		.connections_max = 20,
		.listener = listener,
		.http = -1,
		.http_tcp = -1,
		.serving_lock = open("/dev/null", O_RDWR | O_CLOEXEC),
		.segments = t.fds,
		.started_ns = boot_ns(),
	};

	cr_assert_eq(jt_crew_init(&crew, &args, &t.maps), 0);
}

static unsigned n_serving(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < crew.args.n_workers; i++)
		n += jt_load_seq(&t.maps.board[i].state) == JT_DESK_SERVING;
	return n;
}

/* Tend with the clock as it is until N serve. */
static void tend_until(unsigned n)
{
	for (unsigned i = 0; i < 5000 && n_serving() != n; i++) {
		jt_crew_tend(&crew, boot_ns());
		nap();
	}
	cr_assert_eq(n_serving(), n);
}

static void answer(char *text, size_t max, const char *line)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	cr_assert(!connect(fd, (struct sockaddr *)&address, sizeof(address)));
	cr_assert_gt(send(fd, line, strlen(line), MSG_NOSIGNAL), 0);
	n = recv(fd, text, max - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

static void expect_verify(const char *word)
{
	char line[100], text[600];

	snprintf(line, sizeof(line), "VERIFY %s\r\n", token.text);
	answer(text, sizeof(text), line);
	cr_expect(strstr(text, word), "%s", text);
}

Test(crew, workers_start_and_answer)
{
	hire(2);
	tend_until(2);
	expect_verify("VALID");
	help_state(&t, &token, JT_SLOT_REVOKED);
	expect_verify("REVOKED");
	cr_expect_neq(crew.hands[0].pid, crew.hands[1].pid);
	cr_expect_eq(t.maps.board[1].pid, (uint64_t)crew.hands[1].pid);
}

Test(crew, tend_of_a_whole_crew_changes_nothing)
{
	pid_t pid;

	hire(1);
	tend_until(1);
	pid = crew.hands[0].pid;
	for (unsigned i = 0; i < 100; i++)
		cr_expect_gt(jt_crew_tend(&crew, boot_ns()), 1000);
	cr_expect_eq(crew.hands[0].pid, pid);
}

Test(crew, killed_worker_is_replaced_and_its_desk_cleared)
{
	struct jt_calls *calls = &t.maps.calls[JT_PEERS_MAX - 1];
	pid_t pid;

	hire(2);
	tend_until(2);
	pid = crew.hands[0].pid;
	jt_store_seq(&t.maps.board[0].connections, 7);
	jt_store_seq(&t.maps.board[0].paused, 1);
	jt_store_seq(&calls->connections, 7);
	jt_store_seq(&calls->admitted, 8);
	jt_store_seq(&calls[JT_PEERS_MAX].connections, 9);
	cr_assert(!kill(pid, SIGKILL));
	for (unsigned i = 0; i < 5000 && crew.hands[0].pid == pid; i++) {
		jt_crew_tend(&crew, boot_ns());
		nap();
	}
	cr_assert_neq(crew.hands[0].pid, pid);
	cr_expect_eq(t.maps.board[0].connections, 0);
	cr_expect_eq(t.maps.board[0].paused, 0);
	cr_expect_eq(calls->connections, 0);
	cr_expect_eq(calls->admitted, 8, "that is so for all times");
	cr_expect_eq(calls[JT_PEERS_MAX].connections, 9, "the other's");
	tend_until(2);
	expect_verify("VALID");
}

/* End the first worker; it is gone, but was not taken off yet. */
static void end_first(void)
{
	siginfo_t info;

	cr_assert_neq(crew.hands[0].pid, 0);
	cr_assert(!kill(crew.hands[0].pid, SIGKILL));
	cr_assert(!waitid(P_PID, (id_t)crew.hands[0].pid, &info,
			  WEXITED | WNOWAIT));
}

Test(crew, a_dead_worker_uses_nothing_but_what_it_used)
{
	struct jt_desk *d = &t.maps.board[0];
	pid_t pid;

	hire(1);
	tend_until(1);
	pid = crew.hands[0].pid;
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	jt_store_relaxed(&d->cpu_ns, S);
	jt_store_relaxed(&d->resident, 1ull << 50);
	jt_store_relaxed(&d->open_fds, 1ull << 50);
	kill(pid, SIGKILL);
	while (crew.hands[0].pid == pid)
		jt_crew_tend(&crew, boot_ns());
	cr_expect_lt(jt_load_relaxed(&d->resident), 1ull << 50);
	cr_expect_lt(jt_load_relaxed(&d->open_fds), 1ull << 50);
	tend_until(1);
	cr_expect_geq(jt_load_relaxed(&d->cpu_ns), S);
}

Test(crew, other_worker_goes_on_while_one_is_dead)
{
	hire(2);
	tend_until(2);
	end_first();
	for (unsigned i = 0; i < 20; i++)
		expect_verify("VALID");
}

static unsigned die(uint64_t now)
{
	end_first();
	return jt_crew_tend(&crew, now);
}

Test(crew, short_lives_are_followed_by_longer_and_longer_rests)
{
	uint64_t now = 1000 * S, rest, last = 0;

	hire(1);
	jt_crew_tend(&crew, now);
	for (unsigned i = 0; i < 12; i++) {
		unsigned due_ms = die(now);

		rest = crew.hands[0].pid ? 0 : crew.hands[0].start_at_ns - now;
		cr_expect_geq(rest, last, "%lu after %lu", rest, last);
		cr_expect_leq(rest, 5 * S);
		cr_expect(!rest || due_ms <= rest / MS + 1);
		if (rest) {
			jt_crew_tend(&crew, now + rest - 1);
			cr_expect_eq(crew.hands[0].pid, 0, "too early");
		}
		now += rest;
		jt_crew_tend(&crew, now);
		last = rest;
	}
	cr_expect_eq(last, 5 * S);
}

Test(crew, life_of_a_second_is_forgiven)
{
	uint64_t now = 1000 * S;

	hire(1);
	jt_crew_tend(&crew, now);
	for (unsigned i = 0; i < 4; i++) {
		die(now);
		now += 5 * S;
		jt_crew_tend(&crew, now);
	}
	now += S;
	die(now);
	cr_expect_neq(crew.hands[0].pid, 0, "at once");
	cr_expect_eq(crew.hands[0].failures, 0);
}

Test(crew, stop_ends_all_and_starts_none)
{
	pid_t pids[3];

	hire(3);
	tend_until(3);
	for (unsigned i = 0; i < 3; i++)
		pids[i] = crew.hands[i].pid;
	jt_crew_stop(&crew, 2000);
	for (unsigned i = 0; i < 3; i++) {
		cr_expect_eq(kill(pids[i], 0), -1);
		cr_expect_eq(errno, ESRCH);
		cr_expect_eq(crew.hands[i].pid, 0);
	}
}

Test(crew, worker_that_does_not_stop_is_killed)
{
	pid_t pid;

	hire(1);
	tend_until(1);
	pid = crew.hands[0].pid;
	cr_assert(!kill(pid, SIGSTOP));
	jt_crew_stop(&crew, 200);
	cr_expect_eq(kill(pid, 0), -1);
}

Test(crew, worker_keeps_no_descriptor_but_its_own)
{
	char path[64], link[256];
	unsigned n = 0;
	ssize_t bytes;

	for (unsigned i = 0; i < 20; i++) /* without close-on-exec, even */
		cr_assert_geq(open("/etc/passwd", O_RDONLY), 0);
	hire(2);
	tend_until(2);
	for (int fd = 3; fd < 200; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d",
			 crew.hands[0].pid, fd);
		bytes = readlink(path, link, sizeof(link) - 1);
		if (bytes < 0)
			continue;
		link[bytes] = '\0';
		n++;
		cr_expect_not(strstr(link, "passwd"), "%d is %s", fd, link);
	}
	/* listener, lock, two segments, two wake-ups, the link over which a
	 * larger table comes, the ring, and two of /proc/self */
	cr_expect_leq(n, 10);
}

Test(crew, worker_dies_with_its_keeper)
{
	int pipes[2];
	pid_t keeper, worker;

	cr_assert(!pipe2(pipes, O_CLOEXEC));
	keeper = fork();
	if (keeper == 0) {
		/* the writable identity stays behind; desks do not */
		struct jt_maps maps = t.reader;

		hire(1);
		crew.maps = &maps;
		jt_crew_tend(&crew, boot_ns());
		if (write(pipes[1], &crew.hands[0].pid, sizeof(pid_t)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	cr_assert_eq(read(pipes[0], &worker, sizeof(worker)), sizeof(worker));
	for (unsigned i = 0; i < 5000 && !jt_load_seq(&t.maps.board[0].pid);
	     i++)
		nap();
	expect_verify("VALID");
	cr_assert(!kill(keeper, SIGKILL));
	waitpid(keeper, NULL, 0);
	for (unsigned i = 0; i < 5000 && kill(worker, 0) == 0; i++)
		nap();
	/* gone, or a zombie that somebody else has to reap */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/%d/exe",
		 worker);
	cr_expect_neq(access(address.sun_path, F_OK), 0);
}
