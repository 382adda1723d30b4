/* paths: see paths.h. Environment is read by secure_getenv(). */
#include "admin/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATA_ROOT "/var/lib/jeton"
#define RUN_ROOT "/run/jeton"

static const char *env(const char *name)
{
	const char *value = secure_getenv(name);

	return value && *value ? value : NULL;
}

/* XDG: a path that is not absolute is to be ignored. */
static const char *xdg(const char *name)
{
	const char *value = env(name);

	return value && *value == '/' ? value : NULL;
}

static const char *home(void)
{
	const char *value = xdg("HOME");
	const struct passwd *pw;

	if (value)
		return value;
	pw = getpwuid(geteuid());
	return pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : NULL;
}

/* OUT = DIR + TAIL; false when it does not fit. */
static bool join(char out[PATH_MAX], const char *dir, const char *tail)
{
	return snprintf(out, PATH_MAX, "%s%s", dir, tail) < PATH_MAX;
}

static bool has_control(const char *path)
{
	for (; *path; path++)
		if ((uint8_t)*path < ' ' || *path == 0x7f)
			return true;
	return false;
}

/* Take a path that somebody wrote: check it and make it absolute. */
static int take(char out[PATH_MAX], const char *path, const char *what,
		struct jt_fault *faultp)
{
	char here[PATH_MAX];

	if (!*path || has_control(path))
		return jt_fault_set(faultp, JT_PATHS_E_BAD, 0, 0,
				    "the %s directory's name is empty or holds "
				    "a control character; choose another",
				    what);
	if (path[0] == '/')
		return join(out, path, "") ? 0 : -ENAMETOOLONG;
	if (!getcwd(here, sizeof(here)))
		return -errno;
	if (!join(out, here, "/") || strlen(out) + strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcat(out, path);
	return 0;
}

static int default_data(char out[PATH_MAX], struct jt_fault *faultp)
{
	const char *state = xdg("XDG_STATE_HOME");
	const char *dir;

	if (geteuid() == 0)
		return join(out, DATA_ROOT, "") ? 0 : -ENAMETOOLONG;
	if (state)
		return join(out, state, "/jeton") ? 0 : -ENAMETOOLONG;
	dir = home();
	if (!dir)
		return jt_fault_set(faultp, JT_PATHS_E_BAD, 0, 0,
				    "no home directory is known; give --data "
				    "DIR or set HOME");
	return join(out, dir, "/.local/state/jeton") ? 0 : -ENAMETOOLONG;
}

static int default_run(char out[PATH_MAX], const char *data)
{
	const char *runtime = xdg("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		return join(out, RUN_ROOT, "") ? 0 : -ENAMETOOLONG;
	if (runtime)
		return join(out, runtime, "/jeton") ? 0 : -ENAMETOOLONG;
	return join(out, data, "/run") ? 0 : -ENAMETOOLONG;
}

int jt_paths_resolve(struct jt_paths *p, const char *data_flag,
		     const char *run_flag, struct jt_fault *faultp)
{
	const char *data = data_flag ? data_flag : env("JETON_DATA");
	const char *run = run_flag ? run_flag : env("JETON_RUN");
	int e;

	memset(p, 0, sizeof(*p));
	p->data_given = data != NULL;
	p->run_given = run != NULL;
	e = data ? take(p->data, data, "data", faultp)
		 : default_data(p->data, faultp);
	if (e == 0)
		e = run ? take(p->run, run, "run", faultp)
			: default_run(p->run, p->data);
	if (e < 0)
		jt_fault_set(faultp, e, 0, 0,
			     "the data or run directory cannot be used: %s; "
			     "give --data DIR and --run DIR",
			     strerror(-e));
	return e;
}

int jt_paths_make(const char *dir)
{
	char path[PATH_MAX];
	size_t n = strlen(dir);

	if (n >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, dir, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		path[i] = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		path[i] = dir[i];
	}
	return 0;
}

int jt_paths_socket(const char *dir, const char *name,
		    struct sockaddr_un *addressp)
{
	int n;

	memset(addressp, 0, sizeof(*addressp));
	addressp->sun_family = AF_UNIX;
	n = snprintf(addressp->sun_path, sizeof(addressp->sun_path), "%s/%s",
		     dir, name);
	if (n < 0 || (size_t)n >= sizeof(addressp->sun_path))
		return -ENAMETOOLONG;
	return 0;
}
