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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_UP "hang up"
#define SILENCE "silence"
#define WAIT_MS 300

static char dir[64];
static pid_t keeper;
static int listener; /* the stand-in's */
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

/* "ERR NOTFOUND ..." to each line that is the one expected. */
static void check(int fd, const char *const *lines)
{
	char line[512];

	for (unsigned i = 0; *lines; i++, lines++) {
		ssize_t n = recv(fd, line, sizeof(line) - 1, 0);
		const char *reply = "ERR NOTFOUND as expected\n";

		if (n <= 0)
			_exit(1);
		line[n] = '\0';
		if (strcmp(line, *lines) != 0)
			reply = "ERR USAGE not as expected\n";
		if (send(fd, reply, strlen(reply), MSG_NOSIGNAL) < 0)
			_exit(2);
	}
	pause();
}

/* Start the stand-in; returns when it serves. */
static void serve_with(void (*act)(int, const char *const *),
		       const char *const *lines)
{
	char text[256], ready;
	int pipe_fd[2], fd;

	cr_assert_eq(pipe(pipe_fd), 0);
	keeper = fork();
	if (keeper == 0) {
		snprintf(text, sizeof(text), "pid %d\ncontrol %s/%s\n",
			 (int)getpid(), dir, JT_CONTROL_NAME);
		lock_file(text, true);
		listener = fd = listen_here();
		if (write(pipe_fd[1], "x", 1) != 1)
			_exit(3);
		act(accept(fd, NULL, NULL), lines);
		_exit(0);
	}
	close(pipe_fd[1]);
	cr_assert_eq(read(pipe_fd[0], &ready, 1), 1);
	close(pipe_fd[0]);
}

static void serve(const char *const *replies)
{
	serve_with(answer, replies);
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

/* ---- whose socket it is ---- */

#define STRANGER 65533
#define OWNER 65534

/* Whoever makes it listen, whoever made it or holds it. */
static void listen_as(int fd, uid_t uid)
{
	cr_assert_eq(seteuid(uid), 0);
	cr_assert_eq(listen(fd, 64), 0);
	cr_assert_eq(seteuid(0), 0);
}

Test(control, only_root_the_caller_and_the_owner_are_believed)
{
	char text[128];
	int fd, lock;

	if (geteuid() != 0)
		cr_skip_test("needs root to be others");
	snprintf(text, sizeof(text), "pid 1\ncontrol %s/%s\n", dir,
		 JT_CONTROL_NAME);
	lock = lock_file(text, true);
	fd = listen_here();
	cr_expect_eq(jt_control_connect(&c, dir, WAIT_MS), 0, "root's");
	jt_control_close(&c);

	listen_as(fd, STRANGER);
	cr_expect_eq(jt_control_connect(&c, dir, WAIT_MS),
		     JT_CONTROL_E_UNREACHABLE);
	cr_expect(c.fd < 0 && strstr(c.line, "is of uid 65533"), "%s", c.line);
	cr_expect_null(strchr(c.line, '\n'));

	cr_assert_eq(chown(dir, OWNER, (gid_t)-1), 0);
	cr_expect_eq(jt_control_connect(&c, dir, WAIT_MS),
		     JT_CONTROL_E_UNREACHABLE, "%s", c.line);
	listen_as(fd, OWNER);
	cr_expect_eq(jt_control_connect(&c, dir, WAIT_MS), 0, "%s", c.line);
	jt_control_close(&c);

	/* the caller's own, of a directory of somebody else's */
	listen_as(fd, STRANGER);
	snprintf(text, sizeof(text), "%s/%s", dir, JT_CONTROL_NAME);
	cr_assert(!chmod(dir, 0755) && !chmod(text, 0666) &&
		  !fchmod(lock, 0644));
	cr_assert_eq(seteuid(STRANGER), 0);
	cr_expect_eq(jt_control_connect(&c, dir, WAIT_MS), 0, "%s", c.line);
	jt_control_close(&c);
	cr_assert(!seteuid(0) && !seteuid(OWNER));
	cr_expect_eq(jt_control_connect(&c, dir, WAIT_MS),
		     JT_CONTROL_E_UNREACHABLE);
	cr_assert_eq(seteuid(0), 0);
	listen_as(fd, 0);
	cr_assert_eq(seteuid(STRANGER), 0);
	cr_expect_eq(jt_control_connect(&c, dir, WAIT_MS), 0, "root's");
	cr_assert_eq(seteuid(0), 0);
	close(fd);
	close(lock);
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

static const char gold[JT_PLAN_MAX] = "gold";
static const char read_orders[JT_SCOPE_MAX] = "orders:read";
static const struct jt_room room = {2, 3, 4, 5};
static const struct jt_limit limit = {2, 3, 4, 5, JT_QUOTA_MINUTES, 15};

/* Asked so, answered so: the line that the keeper gets is exact. */
Test(control, words_carry_their_numbers)
{
	static const char *const asked[] = {
		"FIT 1 2 3 4 5\n",
		"LIMIT 1 2 3 4 5 4 15\n",
		"PLAN 1 gold\n",
		"SCOPE 1 orders:read\n",
		"SET 1 01000000000000000000000000000000000000000000000000000000"
		"00000080\n",
		"PAIR 1 65535 2\n",
		"USERS 1 65535\n",
		"NAMES 8191\n",
		"LOOK jt_live_AAAAAAAAAAAAAAAA\n",
		"STATUS\n",
		NULL,
	};
	uint8_t bits[32] = {[0] = 1, [31] = 0x80};
	uint64_t tokens, pairs;
	struct jt_look look;
	uint16_t n, next;
	bool flag;

	serve_with(check, asked);
	connect_now();
	cr_assert_eq(jt_control_fit(&c, 1, &room), JT_CONTROL_E_NOTFOUND, "%s",
		     c.line);
	cr_assert_eq(jt_control_limit(&c, 1, &limit, &n, &next),
		     JT_CONTROL_E_NOTFOUND, "%s", c.line);
	cr_assert_eq(jt_control_plan(&c, 1, gold, &n, &flag),
		     JT_CONTROL_E_NOTFOUND, "%s", c.line);
	cr_assert_eq(jt_control_scope(&c, 1, read_orders, &n, &next),
		     JT_CONTROL_E_NOTFOUND, "%s", c.line);
	cr_assert_eq(jt_control_set(&c, 1, bits, &n, &next),
		     JT_CONTROL_E_NOTFOUND, "%s", c.line);
	cr_assert_eq(jt_control_pair(&c, 1, 65535, 2, &flag),
		     JT_CONTROL_E_NOTFOUND, "%s", c.line);
	cr_assert_eq(jt_control_users(&c, 1, 65535, &tokens, &pairs),
		     JT_CONTROL_E_NOTFOUND, "%s", c.line);
	cr_assert_eq(jt_control_names(&c, 8191), JT_CONTROL_E_NOTFOUND, "%s",
		     c.line);
	cr_assert_eq(jt_control_look(&c, "jt_live_AAAAAAAAAAAAAAAA", &look),
		     JT_CONTROL_E_NOTFOUND, "%s", c.line);
	cr_assert_eq(jt_control_status(&c), JT_CONTROL_E_NOTFOUND, "%s",
		     c.line);
}

Test(control, answers_with_numbers_are_taken_apart)
{
	uint8_t bits[32] = {0};
	uint64_t tokens, pairs;
	uint16_t number, next;
	bool flag = false;

	SERVE("OK\n", "OK 3 9\n", "OK 0 65536\n", "OK 7 1\n", "OK 0 0\n",
	      "OK 256 0\n", "OK 8191 0\n", "OK 1\n", "OK 0\n",
	      "OK 99999999999 3\n");
	connect_now();
	cr_assert_eq(jt_control_fit(&c, 1, &room), 0);
	cr_assert_eq(jt_control_limit(&c, 1, &limit, &number, &next), 0);
	cr_assert_eq(number, 3);
	cr_assert_eq(next, 9);
	cr_assert_eq(jt_control_limit(&c, 1, &limit, &number, &next), 0);
	cr_assert_eq(number, 0);
	cr_assert_eq(next, 0, "none left");
	cr_assert_eq(jt_control_plan(&c, 1, gold, &number, &flag), 0);
	cr_assert_eq(number, 7);
	cr_assert(flag);
	cr_assert_eq(jt_control_plan(&c, 1, gold, &number, &flag), 0);
	cr_assert_eq(number, 0);
	cr_assert_not(flag);
	cr_assert_eq(jt_control_scope(&c, 1, read_orders, &number, &next), 0);
	cr_assert_eq(number, 256);
	cr_assert_eq(jt_control_set(&c, 1, bits, &number, &next), 0);
	cr_assert_eq(number, 8191);
	cr_assert_eq(jt_control_pair(&c, 1, 2, 3, &flag), 0);
	cr_assert(flag);
	cr_assert_eq(jt_control_pair(&c, 1, 2, 3, &flag), 0);
	cr_assert_not(flag);
	cr_assert_eq(jt_control_users(&c, 1, 2, &tokens, &pairs), 0);
	cr_assert_eq(tokens, 99999999999);
	cr_assert_eq(pairs, 3);
}

Test(control, look_names_and_status_are_taken_apart)
{
	struct jt_look look;

	SERVE("OK 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n", "OK a:b c\n",
	      "OK {\"a\":1}\n");
	connect_now();
	cr_assert_eq(jt_control_look(&c, "jt_live_AAAAAAAAAAAAAAAA", &look), 0);
	cr_assert_eq(look.first, 1);
	cr_assert_eq(look.last, 2);
	cr_assert_eq(look.plan, 3);
	cr_assert_eq(look.own, 4);
	cr_assert_eq(look.set, 5);
	cr_assert_eq(look.uses, 6);
	cr_assert_eq(look.refusals, 7);
	cr_assert_eq(look.last_use_s, 8);
	cr_assert_eq(look.old_use_s, 9);
	cr_assert_eq(look.quota, 10);
	cr_assert_eq(look.old_digest[3], 14);
	cr_assert_eq(look.old_use_by, 15);
	cr_assert_eq(jt_control_names(&c, 5), 0);
	cr_assert_str_eq(c.line + 3, "a:b c");
	cr_assert_eq(jt_control_status(&c), 0);
	cr_assert_str_eq(c.line + 3, "{\"a\":1}");
}

Test(control, top_is_taken_apart)
{
	struct jt_top top;

	SERVE("OK 500 1 2 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n", "OK 0 0 0\n");
	connect_now();
	cr_assert_eq(jt_control_top(&c, 10, &top), 0);
	cr_assert_eq(top.span_ms, 500);
	cr_assert_eq(top.n_used, 1);
	cr_assert_eq(top.n_refused, 2);
	cr_assert_eq(top.used[0].last, 1);
	cr_assert_eq(top.used[0].uses, 2);
	cr_assert_eq(top.used[0].refusals, 3);
	cr_assert_eq(top.used[0].more_uses, 4);
	cr_assert_eq(top.used[0].more_refusals, 5);
	cr_assert_eq(top.refused[1].last, 11);
	cr_assert_eq(top.refused[1].more_refusals, 15);
	cr_assert_eq(jt_control_top(&c, 10, &top), 0);
	cr_assert_eq(top.n_used, 0);
}

Test(control, top_of_another_shape_is_nonsense)
{
	static const char *const replies[] = {
		"OK\n",
		"OK 1 2\n",
		"OK 1 1 0\n",
		"OK 1 1 0 1 2 3 4\n",
		"OK 1 1 0 1 2 3 4 5 6\n",
		"OK 1 0 0 1\n",
		"OK 1 3 0 1 2 3 4 5 1 2 3 4 5 1 2 3 4 5\n",
		"OK 1 18446744073709551615 0\n",
		"OK 1 0 18446744073709551616\n",
	};
	struct jt_top top;

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		SERVE(replies[i]);
		connect_now();
		cr_assert_eq(jt_control_top(&c, 2, &top),
			     JT_CONTROL_E_UNREACHABLE, "%s", replies[i]);
		cr_assert_eq(c.fd, -1);
		teardown();
		setup();
	}
}

#define PENDING_ID "jt_live_AAAAAAAAAAAAAAAA"

Test(control, pending_is_taken_apart)
{
	uint64_t from = 7, clock_s;
	const char *ids;

	SERVE("OK 1800000000 9 " PENDING_ID " " PENDING_ID "\n",
	      "OK 1800000001 9\n");
	connect_now();
	cr_assert_eq(jt_control_pending(&c, &from, &clock_s, &ids), 0);
	cr_assert_eq(from, 9);
	cr_assert_eq(clock_s, 1800000000);
	cr_assert_str_eq(ids, " " PENDING_ID " " PENDING_ID);
	cr_assert_eq(jt_control_pending(&c, &from, &clock_s, &ids), 0);
	cr_assert_eq(clock_s, 1800000001);
	cr_assert_str_eq(ids, "");
}

Test(control, pending_of_another_shape_is_nonsense)
{
	static const char *const replies[] = {
		"OK\n",
		"OK 1\n",
		"OK 1 8 x\n",
		"OK 1 8 " PENDING_ID "x\n",
		"OK 1 7 " PENDING_ID "\n", /* it would be asked for ever */
		"OK 1 8" PENDING_ID " \n",
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		uint64_t from = 7, clock_s;
		const char *ids;

		SERVE(replies[i]);
		connect_now();
		cr_assert_eq(jt_control_pending(&c, &from, &clock_s, &ids),
			     JT_CONTROL_E_UNREACHABLE, "%s", replies[i]);
		teardown();
		setup();
	}
}

Test(control, the_longest_names_fit_a_request)
{
	char plan[JT_PLAN_MAX], scope[JT_SCOPE_MAX];
	uint16_t number, next;
	bool removed;

	memset(plan, 'p', sizeof(plan));
	memset(scope, 's', sizeof(scope));
	SERVE("OK 1 0\n", "OK 1 2\n");
	connect_now();
	cr_assert_eq(jt_control_plan(&c, UINT64_MAX, plan, &number, &removed),
		     0);
	cr_assert_eq(jt_control_scope(&c, UINT64_MAX, scope, &number, &next),
		     0);
}

/* Each of these must close the connection, whatever was asked. */
Test(control, answers_of_another_shape_are_nonsense)
{
	static const char *const replies[] = {
		"OK 1 2 3 4 5 6 7 8 9 10 11 12 13 14\n",
		"OK 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
		"OK 1 2 3 4 5 6\n", "OK\n"};
	struct jt_look look;

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		SERVE(replies[i]);
		connect_now();
		cr_assert_eq(
			jt_control_look(&c, "jt_live_AAAAAAAAAAAAAAAA", &look),
			JT_CONTROL_E_UNREACHABLE, "%s", replies[i]);
		cr_assert_eq(c.fd, -1);
		teardown();
		setup();
	}
}

Test(control, number_beyond_16_bits_is_nonsense)
{
	uint16_t number, next;

	SERVE("OK 65536 1\n");
	connect_now();
	cr_assert_eq(jt_control_limit(&c, 1, &limit, &number, &next),
		     JT_CONTROL_E_UNREACHABLE);
	cr_assert_eq(c.fd, -1);
}

Test(control, names_without_a_name_are_nonsense)
{
	SERVE("OK\n");
	connect_now();
	cr_assert_eq(jt_control_names(&c, 1), JT_CONTROL_E_UNREACHABLE);
}

Test(control, refusals_have_words)
{
	struct jt_look look;

	SERVE("ERR FULL no room\n", "ERR NOTFOUND none\n", "ERR RED disk\n",
	      "ERR TIMEOUT slow\n", "ERR USAGE what\n", "OK 1\n");
	connect_now();
	cr_assert_eq(jt_control_fit(&c, 1, &room), JT_CONTROL_E_FULL);
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

/* It lets one in, hangs up on its request, and answers the next. */
static void leave(int fd, const char *const *replies)
{
	char line[512];

	if (recv(fd, line, sizeof(line), 0) <= 0)
		_exit(1);
	close(fd);
	if (replies[0])
		answer(accept(listener, NULL, NULL), replies);
	_exit(0);
}

Test(control, one_that_left_for_another_is_asked_there_once)
{
	serve_with(leave, (const char *const[]){"OK 7\n", HANG_UP, NULL});
	connect_now();
	cr_assert_eq(jt_control_sync(&c, 7), 0, "%s", c.line);
	cr_assert_eq(jt_control_sync(&c, 7), JT_CONTROL_E_UNREACHABLE);
	cr_expect_not_null(strstr(c.line, "hung up"), "%s", c.line);
}

Test(control, an_upgrade_is_not_asked_for_twice)
{
	const char *version;
	uint64_t pid;

	serve_with(leave, (const char *const[]){"OK 7 1.0\n", NULL});
	connect_now();
	cr_assert_eq(jt_control_upgrade(&c, &pid, &version),
		     JT_CONTROL_E_UNREACHABLE);
}

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
