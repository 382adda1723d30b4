/* service: the manager's variables, hostile ones too, and what it is told. */
#include "sidecar/service.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define S 1000000000ull

static struct jt_service_link service;
static struct jt_passed passed;
static struct jt_fault fault;
static char dir[64], path[108];
static int manager;

static void start(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
					    "WATCHDOG_PID",  "LISTEN_FDS",
					    "LISTEN_PID",    "LISTEN_FDNAMES"};

	help_quiet();
	help_dir(dir);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

TestSuite(service, .init = start);

static void expect_refused(int rc, const char *name)
{
	cr_expect_eq(rc, JT_SERVICE_E_BAD);
	cr_expect(strstr(fault.line, name), "%s", fault.line);
	cr_expect_null(strchr(fault.line, '\n'));
}

/* ---- notices ---- */

static void listen_as_manager(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(path, sizeof(path), "%s/notify", dir);
	strcpy(address.sun_path, path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_eq(
		bind(manager, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
}

static const char *heard(void)
{
	static char text[512];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

Test(service, without_a_manager_nothing_is_said)
{
	cr_assert_eq(jt_service_init(&service, &fault), 0);
	cr_expect_lt(service.fd, 0);
	jt_service_ready(&service);
	jt_service_reloading(&service);
	jt_service_status(&service, S, "x");
	cr_expect_eq(jt_service_tend(&service, S, true, 77), 77);
	jt_service_stopping(&service);
	jt_service_deinit(&service);
}

Test(service, each_notice_is_a_datagram)
{
	unsigned long long us;

	listen_as_manager();
	cr_assert_eq(jt_service_init(&service, &fault), 0);
	cr_expect_null(getenv("NOTIFY_SOCKET"), "children do not speak");
	cr_expect(fcntl(service.fd, F_GETFD) & FD_CLOEXEC);
	jt_service_ready(&service);
	cr_expect_str_eq(heard(), "READY=1");
	jt_service_reloading(&service);
	cr_expect_eq(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu", &us),
		     1);
	cr_expect_gt(us, 0);
	jt_service_stopping(&service);
	cr_expect_str_eq(heard(), "STOPPING=1");
	cr_expect_str_eq(heard(), "");
	jt_service_deinit(&service);
}

Test(service, abstract_name_is_reached)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];
	int n = snprintf(name, sizeof(name), "@jt-test-%d", getpid());

	memcpy(address.sun_path + 1, name + 1, (size_t)n - 1);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(manager, (struct sockaddr *)&address,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				      (size_t)n)),
		     0);
	setenv("NOTIFY_SOCKET", name, 1);
	cr_assert_eq(jt_service_init(&service, &fault), 0);
	jt_service_ready(&service);
	cr_expect_str_eq(heard(), "READY=1");
}

Test(service, status_is_told_when_it_changes_once_a_second)
{
	listen_as_manager();
	cr_assert_eq(jt_service_init(&service, &fault), 0);
	jt_service_status(&service, 10 * S, "one");
	cr_expect_str_eq(heard(), "STATUS=one");
	jt_service_status(&service, 10 * S + 1, "two");
	cr_expect_str_eq(heard(), "");
	jt_service_status(&service, 11 * S, "one");
	cr_expect_str_eq(heard(), "");
	jt_service_status(&service, 12 * S, "two");
	cr_expect_str_eq(heard(), "STATUS=two");
}

Test(service, ready_is_said_again_until_it_is_taken)
{
	char away[128];

	listen_as_manager();
	snprintf(away, sizeof(away), "%s.away", path);
	cr_assert_eq(jt_service_init(&service, &fault), 0);
	cr_assert_eq(rename(path, away), 0);
	jt_service_ready(&service);
	cr_expect_str_eq(heard(), "");
	cr_assert_eq(rename(away, path), 0);
	jt_service_tend(&service, S, true, 100);
	cr_expect_str_eq(heard(), "READY=1");
	jt_service_tend(&service, S, true, 100);
	cr_expect_str_eq(heard(), "", "once");
}

Test(service, watchdog_is_told_at_half_its_time_while_all_is_well)
{
	listen_as_manager();
	setenv("WATCHDOG_USEC", "3000000", 1);
	cr_assert_eq(jt_service_init(&service, &fault), 0);
	cr_expect_null(getenv("WATCHDOG_USEC"));
	cr_expect_eq(jt_service_tend(&service, 100 * S, true, 5000), 1501);
	cr_expect_str_eq(heard(), "WATCHDOG=1");
	jt_service_tend(&service, 101 * S, true, 100);
	cr_expect_str_eq(heard(), "");
	jt_service_tend(&service, 102 * S, false, 100);
	cr_expect_str_eq(heard(), "", "nobody serves");
	jt_service_tend(&service, 102 * S, true, 100);
	cr_expect_str_eq(heard(), "WATCHDOG=1");
}

Test(service, watchdog_of_another_process_is_not_ours)
{
	listen_as_manager();
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	cr_assert_eq(jt_service_init(&service, &fault), 0);
	jt_service_tend(&service, 100 * S, true, 100);
	cr_expect_str_eq(heard(), "");
}

Test(service, hostile_variables_are_refused)
{
	static char huge[300];
	const struct {
		const char *name, *value;
	} bad[] = {
		{"NOTIFY_SOCKET", "relative"},
		{"NOTIFY_SOCKET", "@"},
		{"NOTIFY_SOCKET", "/"},
		{"NOTIFY_SOCKET", "vsock:2:1234"},
		{"NOTIFY_SOCKET", huge},
		{"WATCHDOG_USEC", "0"},
		{"WATCHDOG_USEC", "-1"},
		{"WATCHDOG_USEC", "1s"},
		{"WATCHDOG_USEC", "18446744073709551616"},
		{"WATCHDOG_USEC", "99999999999999999999999999999999999999"},
		{"WATCHDOG_USEC", "86400000001"},
	};

	memset(huge, 'x', sizeof(huge) - 1);
	huge[0] = '/';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv(bad[i].name, bad[i].value, 1);
		expect_refused(jt_service_init(&service, &fault), bad[i].name);
		cr_expect_null(getenv(bad[i].name));
		cr_expect_lt(service.fd, 0);
	}
}

/* ---- sockets that are passed ---- */

struct offer {
	unsigned n;			 /* descriptors that are there */
	const char *count, *pid, *names; /* NULL: count and pid as they are */
};

/* Put N descriptors at 3 and on. */
static void pass(const struct offer *o)
{
	char text[16];

	for (int fd = 3; fd < 3 + (int)o->n; fd++) {
		int null = open("/dev/null", O_RDONLY);

		if (null == fd)
			continue;
		dup2(null, fd);
		close(null);
	}
	close(3 + (int)o->n);
	snprintf(text, sizeof(text), "%u", o->n);
	setenv("LISTEN_FDS", o->count ? o->count : text, 1);
	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", o->pid ? o->pid : text, 1);
	if (o->names)
		setenv("LISTEN_FDNAMES", o->names, 1);
}

static bool is_forgotten(void)
{
	return !getenv("LISTEN_FDS") && !getenv("LISTEN_PID") &&
	       !getenv("LISTEN_FDNAMES");
}

/*
 * What comes of it, in a process of its own, whose descriptors are nobody's:
 * 'y': as WANT has it, 'n': otherwise, or the variable that is complained of:
 * 'P', 'F' or 'N' (LISTEN_FDNAMES).
 */
static char outcome(const struct offer *o, struct jt_passed want)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		pass(o);
		if (jt_service_sockets(&passed, &fault) == 0)
			_exit(memcmp(&passed, &want, sizeof(want)) == 0 &&
					      is_forgotten()
				      ? 'y'
				      : 'n');
		_exit(strstr(fault.line, "LISTEN_PID") == fault.line	? 'P'
		      : strstr(fault.line, "LISTEN_FDS ") == fault.line ? 'F'
									: 'N');
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? (char)WEXITSTATUS(status) : '!';
}

Test(service, sockets_go_to_the_doors_that_they_are_named_for)
{
	const struct offer all = {.n = 5,
				  .names = "http:control:resp:http-tcp:attach"};
	const struct offer one = {.n = 1, .names = "resp"};
	struct jt_passed want = {
		.http = 3, .control = 4, .resp = 5, .tcp = 6, .attach = 7};

	cr_expect_eq(outcome(&all, want), 'y');
	want = JT_PASSED_NONE;
	want.resp = 3;
	cr_expect_eq(outcome(&one, want), 'y');
}

Test(service, without_any_no_door_is_passed)
{
	const struct offer none = {.n = 0, .names = ""};
	const struct offer parents = {.n = 1, .names = "resp", .pid = "1"};

	cr_assert_eq(jt_service_sockets(&passed, &fault), 0);
	cr_expect_lt(passed.resp, 0);
	cr_expect_eq(outcome(&none, JT_PASSED_NONE), 'y');
	cr_expect_eq(outcome(&parents, JT_PASSED_NONE), 'y',
		     "and not for our children, either");
}

Test(service, names_that_do_not_fit_the_sockets_are_refused)
{
	static const struct offer bad[] = {
		{.n = 1, .names = NULL},
		{.n = 1, .names = ""},
		{.n = 1, .names = "RESP"},
		{.n = 1, .names = "res"},
		{.n = 1, .names = "resp:"},
		{.n = 1, .names = "resp:http"},
		{.n = 2, .names = "resp"},
		{.n = 2, .names = "resp:"},
		{.n = 2, .names = "resp:resp"},
		{.n = 2, .names = "resp::http"},
		{.n = 2, .names = ":resp"},
		{.n = 1, .names = "jetond.socket"},
		{.n = 3, .names = "resp:http:x"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(outcome(&bad[i], JT_PASSED_NONE), 'N', "%s",
			     bad[i].names ? bad[i].names : "none");
}

Test(service, counts_that_are_none_are_refused)
{
	static const char *const bad[] = {"-1",
					  "x",
					  "6",
					  "2147483648",
					  "18446744073709551617",
					  " 1",
					  "1 ",
					  "999999999999999999999999"};
	struct offer o = {.n = 1, .names = "resp"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.count = bad[i];
		cr_expect_eq(outcome(&o, JT_PASSED_NONE), 'F', "%s", bad[i]);
	}
	o = (struct offer){.n = 1, .names = "resp", .pid = "me"};
	cr_expect_eq(outcome(&o, JT_PASSED_NONE), 'P');
	o = (struct offer){.n = 1, .count = "2", .names = "resp:http"};
	cr_expect_eq(outcome(&o, JT_PASSED_NONE), 'F', "one is not open");
}

/* ---- passed sockets as doors ---- */

static struct jt_paths paths;
static struct jt_doors doors;

static int open_doors(bool http)
{
	const struct jt_doors_want want = {
		.passed = &passed, .http = http, .http_listen = ""};

	snprintf(paths.data, sizeof(paths.data), "%s/data", dir);
	snprintf(paths.run, sizeof(paths.run), "%s/run", dir);
	memset(&fault, 0, sizeof(fault));
	return jt_doors_open(&doors, &paths, &want, &fault);
}

static int bound(const char *name, int type, bool listening)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir,
		 name);
	unlink(address.sun_path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listening)
		cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

static bool is_there(const char *name)
{
	char text[128];
	struct stat st;

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	return lstat(text, &st) == 0;
}

Test(service, passed_socket_is_the_door_and_its_path_stays)
{
	char run[96];

	snprintf(run, sizeof(run), "%s/run", dir);
	cr_assert_eq(mkdir(run, 0755), 0);
	passed = JT_PASSED_NONE;
	passed.resp = bound("run/jeton.sock", SOCK_STREAM, true);
	passed.http = bound("web", SOCK_STREAM, true);
	cr_assert_eq(open_doors(true), 0, "%s", fault.line);
	cr_expect_eq(doors.resp, passed.resp);
	cr_expect_eq(doors.http, passed.http);
	cr_expect(fcntl(doors.http, F_GETFL) & O_NONBLOCK);
	cr_expect_not(fcntl(doors.resp, F_GETFL) & O_NONBLOCK);
	cr_expect_not(is_there("run/jeton-http.sock"), "not a second one");
	cr_expect(is_there("run/jeton-control.sock"));
	jt_doors_close(&doors);
	cr_expect(is_there("run/jeton.sock"));
	cr_expect(is_there("web"));
	cr_expect_not(is_there("run/jeton-control.sock"));
	cr_expect_eq(fcntl(passed.resp, F_GETFD), -1, "closed");
}

/* As after a variable that was refused, before any door was opened. */
Test(service, doors_that_were_never_open_close_nothing)
{
	jt_doors_init(&doors);
	jt_doors_close(&doors);
	cr_expect_neq(fcntl(STDERR_FILENO, F_GETFD), -1);
	cr_expect_neq(fcntl(STDIN_FILENO, F_GETFD), -1);
}

static void expect_no_door(const char *why, bool http)
{
	cr_expect_eq(open_doors(http), 1);
	cr_expect(strstr(fault.line, why), "%s", fault.line);
	cr_expect_lt(doors.resp, 0);
	cr_expect_not(is_there("run/jeton.sock"));
}

Test(service, socket_that_is_not_what_the_door_needs_is_refused)
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	passed = JT_PASSED_NONE;
	passed.resp = bound("a", SOCK_STREAM, false);
	expect_no_door("listens", true);
	passed = JT_PASSED_NONE;
	passed.resp = bound("a", SOCK_DGRAM, false);
	expect_no_door("listens", true);
	passed = JT_PASSED_NONE;
	passed.resp = bound("a", SOCK_SEQPACKET, true);
	expect_no_door("listens", true);
	passed = JT_PASSED_NONE;
	passed.resp = open("/dev/null", O_RDONLY | O_CLOEXEC);
	expect_no_door("listens", true);
	passed = JT_PASSED_NONE;
	passed.resp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(listen(passed.resp, 8), 0);
	expect_no_door("no path", true);
	passed = JT_PASSED_NONE;
	passed.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(passed.tcp, (struct sockaddr *)&any, sizeof(any)), 0);
	cr_assert_eq(listen(passed.tcp, 8), 0);
	expect_no_door("loopback", true);
	passed = JT_PASSED_NONE;
	passed.tcp = bound("a", SOCK_STREAM, true);
	expect_no_door("loopback", true);
	passed = JT_PASSED_NONE;
	passed.control = bound("a", SOCK_STREAM, true);
	expect_no_door("admin tool", true);
	passed = JT_PASSED_NONE;
	passed.http = bound("a", SOCK_STREAM, true);
	expect_no_door("http-workers", false);
}

Test(service, loopback_port_is_taken)
{
	struct sockaddr_in here = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	passed = JT_PASSED_NONE;
	passed.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(passed.tcp, (struct sockaddr *)&here, sizeof(here)),
		     0);
	cr_assert_eq(listen(passed.tcp, 8), 0);
	cr_assert_eq(open_doors(true), 0, "%s", fault.line);
	cr_expect_eq(doors.http_tcp, passed.tcp);
	jt_doors_close(&doors);
}
