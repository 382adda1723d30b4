/*
 * control: the client against a stand-in keeper.
 *
 * A forked child holds the serving lock and answers each request line with
 * the next prepared reply; it then waits to be killed, unless told to hang up.
 */
#include "admin/control.h"
#include "admin/paths.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_UP "hang up"
#define SILENCE "silence"
#define WAIT_MS 300

static char dir[64];
static pid_t keeper;
static struct jt_control c;

static void setup(void)
{
	strcpy(dir, "/tmp/jeton-control-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	keeper = 0;
	c.fd = -1;
}

static void remove_in(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

static void teardown(void)
{
	jt_control_close(&c);
	if (keeper > 0) {
		kill(keeper, SIGKILL);
		waitpid(keeper, NULL, 0);
	}
	remove_in(JT_SERVING_NAME);
	remove_in(JT_CONTROL_NAME);
	rmdir(dir);
}

TestSuite(control, .init = setup, .fini = teardown);

/* The serving lock with TEXT in it; locked when LOCK. */
static int lock_file(const char *text, bool lock)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, JT_SERVING_NAME);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		abort();
	if (lock && flock(fd, LOCK_EX | LOCK_NB) < 0)
		abort();
	return fd;
}

static int listen_here(void)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (jt_paths_socket(dir, JT_CONTROL_NAME, &a) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0)
		abort();
	return fd;
}

static void answer(int fd, const char *const *replies)
{
	char line[512];

	for (; *replies; replies++) {
		ssize_t n = recv(fd, line, sizeof(line) - 1, 0);

		if (n <= 0 || line[n - 1] != '\n')
			_exit(1);
		if (strcmp(*replies, HANG_UP) == 0)
			_exit(0);
		if (strcmp(*replies, SILENCE) != 0 &&
		    send(fd, *replies, strlen(*replies), MSG_NOSIGNAL) < 0)
			_exit(2);
	}
	pause();
}

/* Start the stand-in; returns when it serves. */
static void serve(const char *const *replies)
{
	char text[256], ready;
	int pipe_fd[2], fd;

	cr_assert_eq(pipe(pipe_fd), 0);
	keeper = fork();
	if (keeper == 0) {
		snprintf(text, sizeof(text), "pid %d\ncontrol %s/%s\n",
			 (int)getpid(), dir, JT_CONTROL_NAME);
		lock_file(text, true);
		fd = listen_here();
		if (write(pipe_fd[1], "x", 1) != 1)
			_exit(3);
		answer(accept(fd, NULL, NULL), replies);
		_exit(0);
	}
	close(pipe_fd[1]);
	cr_assert_eq(read(pipe_fd[0], &ready, 1), 1);
	close(pipe_fd[0]);
}

#define SERVE(...) serve((const char *[]){__VA_ARGS__, NULL})

static void connect_now(void)
{
	int e = jt_control_connect(&c, dir, WAIT_MS);

	cr_assert_eq(e, 0, "%d: %s", e, c.line);
}

Test(control, nobody_serves_without_a_lock_file)
{
	cr_assert_eq(jt_control_connect(&c, dir, WAIT_MS),
		     JT_CONTROL_E_NOT_SERVING);
	cr_assert_eq(jt_control_sync(&c, 1), JT_CONTROL_E_UNREACHABLE);
}

Test(control, a_file_without_a_lock_is_a_dead_keeper)
{
	close(lock_file("pid 1\ncontrol /nowhere\n", false));
	cr_assert_eq(jt_control_connect(&c, dir, WAIT_MS),
		     JT_CONTROL_E_NOT_SERVING);
}

Test(control, the_probe_leaves_no_lock_behind)
{
	int fd = lock_file("pid 1\ncontrol /nowhere\n", false);

	cr_assert_eq(jt_control_connect(&c, dir, WAIT_MS),
		     JT_CONTROL_E_NOT_SERVING);
	cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
}

Test(control, a_held_lock_without_a_socket_is_unreachable)
{
	static const char *const texts[] = {
		"pid 1\ncontrol /nowhere/at.sock\n",
		"",
		"pid 1\n",
		"pid 1\ncontrol /cut",
		"pid 1\ncontrol \n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd = lock_file(texts[i], true);

		cr_assert_eq(jt_control_connect(&c, dir, WAIT_MS),
			     JT_CONTROL_E_UNREACHABLE);
		cr_assert(c.line[0]);
		close(fd);
	}
}

Test(control, a_path_too_long_is_refused)
{
	char text[400];
	int fd;

	memset(text, 'p', sizeof(text));
	memcpy(text, "pid 1\ncontrol /", 15);
	strcpy(text + sizeof(text) - 2, "\n");
	fd = lock_file(text, true);
	cr_assert_eq(jt_control_connect(&c, dir, WAIT_MS),
		     JT_CONTROL_E_UNREACHABLE);
	close(fd);
}

Test(control, a_symbolic_link_is_no_lock_file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, JT_SERVING_NAME);
	cr_assert_eq(symlink("/etc/passwd", path), 0);
	cr_assert_eq(jt_control_connect(&c, dir, WAIT_MS), -ELOOP);
}

Test(control, sync_waits_for_its_number)
{
	SERVE("OK 7\n", "OK 9\n", "OK 9\n");
	connect_now();
	cr_assert_eq(jt_control_sync(&c, 7), 0);
	cr_assert_eq(jt_control_sync(&c, 8), 0);
	/* less than asked for is a lie, not an answer */
	cr_assert_eq(jt_control_sync(&c, 10), JT_CONTROL_E_UNREACHABLE);
	cr_assert_eq(c.fd, -1);
}

Test(control, where_is_the_sockets_directory)
{
	char where[PATH_MAX];

	cr_assert_not(jt_control_where(dir, where));
	SERVE("OK 7\n");
	cr_assert(jt_control_where(dir, where));
	cr_assert_str_eq(where, dir);
}

Test(control, fit_plan_look_status)
{
	struct jt_look look;
	uint16_t number, next;

	SERVE("OK\n", "OK 3 9\n", "OK 0 65536\n", "OK 1 2 3 4 5 6\n",
	      "OK {\"a\":1}\n");
	connect_now();
	cr_assert_eq(jt_control_fit(&c, 1, 2, 3, 4), 0);
	cr_assert_eq(jt_control_plan(&c, 1, 2, 3, 4, &number, &next), 0);
	cr_assert_eq(number, 3);
	cr_assert_eq(next, 9);
	cr_assert_eq(jt_control_plan(&c, 1, 2, 3, 4, &number, &next), 0);
	cr_assert_eq(number, 0);
	cr_assert_eq(next, 0, "none left");
	cr_assert_eq(jt_control_look(&c, "jt_live_AAAAAAAAAAAAAAAA", &look), 0);
	cr_assert_eq(look.first, 1);
	cr_assert_eq(look.last, 2);
	cr_assert_eq(look.plan, 3);
	cr_assert_eq(look.uses, 4);
	cr_assert_eq(look.refusals, 5);
	cr_assert_eq(look.last_use_s, 6);
	cr_assert_eq(jt_control_status(&c), 0);
	cr_assert_str_eq(c.line + 3, "{\"a\":1}");
}

Test(control, refusals_have_words)
{
	struct jt_look look;

	SERVE("ERR FULL no room\n", "ERR NOTFOUND none\n", "ERR RED disk\n",
	      "ERR TIMEOUT slow\n", "ERR USAGE what\n", "OK 1\n");
	connect_now();
	cr_assert_eq(jt_control_fit(&c, 1, 1, 1, 1), JT_CONTROL_E_FULL);
	cr_assert_str_eq(c.line, "ERR FULL no room");
	cr_assert_eq(jt_control_look(&c, "jt_live_AAAAAAAAAAAAAAAA", &look),
		     JT_CONTROL_E_NOTFOUND);
	cr_assert_eq(jt_control_sync(&c, 1), JT_CONTROL_E_REFUSED);
	cr_assert_eq(jt_control_sync(&c, 1), JT_CONTROL_E_REFUSED);
	cr_assert_eq(jt_control_sync(&c, 1), JT_CONTROL_E_REFUSED);
	/* a refusal does not end the connection */
	cr_assert_eq(jt_control_sync(&c, 1), 0);
}

/* Each of these replies to SYNC must close the connection. */
static void nonsense(const char *reply)
{
	SERVE(reply);
	connect_now();
	cr_assert_eq(jt_control_sync(&c, 1), JT_CONTROL_E_UNREACHABLE, "%s",
		     reply);
	cr_assert_eq(c.fd, -1);
	cr_assert(c.line[0]);
	cr_assert_eq(jt_control_sync(&c, 1), JT_CONTROL_E_UNREACHABLE);
}

#define NONSENSE(name, reply)                                                  \
	Test(control, name)                                                    \
	{                                                                      \
		nonsense(reply);                                               \
	}

NONSENSE(an_empty_line_is_nonsense, "\n")
NONSENSE(a_word_is_nonsense, "hello\n")
NONSENSE(okay_is_not_ok, "OKAY 1\n")
NONSENSE(a_missing_number_is_nonsense, "OK\n")
NONSENSE(a_surplus_number_is_nonsense, "OK 1 2\n")
NONSENSE(a_negative_number_is_nonsense, "OK -1\n")
NONSENSE(a_blank_number_is_nonsense, "OK  1\n")
NONSENSE(trailing_bytes_are_nonsense, "OK 1x\n")
NONSENSE(a_huge_number_is_nonsense, "OK 99999999999999999999\n")
NONSENSE(an_unknown_refusal_is_nonsense, "ERR WHY not\n")
NONSENSE(control_characters_are_nonsense, "OK 1\x1b[2J\n")
NONSENSE(two_lines_are_nonsense, "OK 1\nOK 2\n")
NONSENSE(a_hang_up_is_an_end, HANG_UP)
NONSENSE(a_cut_line_times_out, "OK 1")
NONSENSE(silence_times_out, SILENCE)

Test(control, an_endless_line_is_cut_off)
{
	static char big[JT_CONTROL_LINE + 100];

	memset(big, 'x', sizeof(big) - 1);
	nonsense(big);
	cr_assert_not_null(strstr(c.line, "long"));
}

Test(control, a_late_answer_is_not_the_next_one)
{
	SERVE(SILENCE, "OK 1\nOK 2\n");
	connect_now();
	cr_assert_eq(jt_control_sync(&c, 1), JT_CONTROL_E_UNREACHABLE);
	cr_assert_eq(jt_control_sync(&c, 2), JT_CONTROL_E_UNREACHABLE);
}
