/* paths: precedence, defaults, and names that must not pass. */
#include "admin/paths.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct jt_paths p;
static struct jt_fault fault;

static void setup(void)
{
	static const char *const names[] = {
		"JETON_DATA", "JETON_RUN", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"};

	for (size_t i = 0; i < 4; i++)
		unsetenv(names[i]);
	setenv("HOME", "/home/me", 1);
}

TestSuite(paths, .init = setup);

Test(paths, flags_go_before_environment)
{
	setenv("JETON_DATA", "/env/data", 1);
	setenv("JETON_RUN", "/env/run", 1);
	cr_assert_eq(jt_paths_resolve(&p, NULL, NULL, &fault), 0);
	cr_assert_str_eq(p.data, "/env/data");
	cr_assert_str_eq(p.run, "/env/run");
	cr_assert(p.data_given && p.run_given);
	cr_assert_eq(jt_paths_resolve(&p, "/flag/data", NULL, &fault), 0);
	cr_assert_str_eq(p.data, "/flag/data");
	cr_assert_str_eq(p.run, "/env/run");
	cr_assert_eq(jt_paths_resolve(&p, "/flag/data", "/r", &fault), 0);
	cr_assert_str_eq(p.run, "/r");
}

Test(paths, an_empty_variable_is_none)
{
	setenv("JETON_DATA", "", 1);
	cr_assert_eq(jt_paths_resolve(&p, NULL, NULL, &fault), 0);
	cr_assert_not(p.data_given);
}

/* The defaults depend on who asks: ask as root and as somebody. */
static void as(uid_t uid, void (*check)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (uid && setuid(uid) < 0)
			_exit(0); /* not root: the other half is tested */
		if (geteuid() != uid)
			_exit(0);
		check();
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void need(bool ok)
{
	if (!ok)
		_exit(1);
}

static void root_defaults(void)
{
	setenv("XDG_STATE_HOME", "/x", 1);
	need(jt_paths_resolve(&p, NULL, NULL, &fault) == 0);
	need(strcmp(p.data, "/var/lib/jeton") == 0);
	need(strcmp(p.run, "/run/jeton") == 0);
	need(!p.data_given && !p.run_given);
}

static void user_defaults(void)
{
	need(jt_paths_resolve(&p, NULL, NULL, &fault) == 0);
	need(strcmp(p.data, "/home/me/.local/state/jeton") == 0);
	need(strcmp(p.run, "/home/me/.local/state/jeton/run") == 0);
	setenv("XDG_STATE_HOME", "/state", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	need(jt_paths_resolve(&p, NULL, NULL, &fault) == 0);
	need(strcmp(p.data, "/state/jeton") == 0);
	need(strcmp(p.run, "/run/user/7/jeton") == 0);
	setenv("XDG_STATE_HOME", "not/absolute", 1);
	setenv("XDG_RUNTIME_DIR", "neither", 1);
	need(jt_paths_resolve(&p, NULL, NULL, &fault) == 0);
	need(strcmp(p.data, "/home/me/.local/state/jeton") == 0);
	need(jt_paths_resolve(&p, "/d", NULL, &fault) == 0);
	need(strcmp(p.run, "/d/run") == 0);
}

static void homeless(void)
{
	unsetenv("HOME");
	need(jt_paths_resolve(&p, NULL, NULL, &fault) == JT_PATHS_E_BAD);
	need(strstr(fault.line, "--data") != NULL);
}

Test(paths, defaults_of_root)
{
	as(0, root_defaults);
}

Test(paths, defaults_of_a_user)
{
	as(geteuid() ? geteuid() : 65534, user_defaults);
}

Test(paths, a_user_without_a_home_must_say_where)
{
	/* a number that no account has */
	if (geteuid() == 0)
		as(54321, homeless);
}

Test(paths, come_out_absolute)
{
	char here[PATH_MAX], want[PATH_MAX + 8];

	cr_assert_not_null(getcwd(here, sizeof(here)));
	snprintf(want, sizeof(want), "%s/sub/d", here);
	cr_assert_eq(jt_paths_resolve(&p, "sub/d", "/r", &fault), 0);
	cr_assert_str_eq(p.data, want);
}

Test(paths, refuse_hostile_names)
{
	cr_assert_eq(jt_paths_resolve(&p, "", NULL, &fault), JT_PATHS_E_BAD);
	cr_assert_eq(jt_paths_resolve(&p, "/a\nb", NULL, &fault),
		     JT_PATHS_E_BAD);
	cr_assert_null(strchr(fault.line, '\n'));
	cr_assert_eq(jt_paths_resolve(&p, "/a", "/\x1b[2J", &fault),
		     JT_PATHS_E_BAD);
	cr_assert_eq(jt_paths_resolve(&p, "/a", "\x7f", &fault),
		     JT_PATHS_E_BAD);
}

Test(paths, refuse_endless_names)
{
	char path[2 * PATH_MAX];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	cr_assert_eq(jt_paths_resolve(&p, path, NULL, &fault), -ENAMETOOLONG);
	path[0] = '/';
	cr_assert_eq(jt_paths_resolve(&p, path, NULL, &fault), -ENAMETOOLONG);
	path[PATH_MAX - 1] = '\0';
	cr_assert_eq(jt_paths_resolve(&p, path, "/r", &fault), 0);
	path[0] = 'x';
	cr_assert_eq(jt_paths_resolve(&p, path, "/r", &fault), -ENAMETOOLONG);
}

Test(paths, makes_a_socket_address)
{
	struct sockaddr_un a;
	char dir[200];

	cr_assert_eq(jt_paths_socket("/run/jeton", JT_RESP_NAME, &a), 0);
	cr_assert_eq(a.sun_family, AF_UNIX);
	cr_assert_str_eq(a.sun_path, "/run/jeton/jeton.sock");
	memset(dir, 'd', sizeof(dir));
	dir[107 - 11] = '\0';
	cr_assert_eq(jt_paths_socket(dir, JT_RESP_NAME, &a), 0);
	cr_assert_eq(strlen(a.sun_path), 107);
	dir[107 - 11] = 'd';
	dir[107 - 10] = '\0';
	cr_assert_eq(jt_paths_socket(dir, JT_RESP_NAME, &a), -ENAMETOOLONG);
}

Test(paths, makes_directories_with_parents)
{
	char top[] = "/tmp/jeton-paths-XXXXXX", dir[64];
	struct stat st;

	cr_assert_not_null(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/a/b/c", top);
	cr_assert_eq(jt_paths_make(dir), 0);
	cr_assert_eq(jt_paths_make(dir), 0);
	cr_assert_eq(stat(dir, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	rmdir(dir);
	snprintf(dir, sizeof(dir), "%s/a/b", top);
	rmdir(dir);
	snprintf(dir, sizeof(dir), "%s/a", top);
	rmdir(dir);
	rmdir(top);
	cr_assert_eq(jt_paths_make("/dev/null/x"), -ENOTDIR);
}
