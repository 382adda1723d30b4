/* user: see user.h. */
#include "sidecar/user.h"

#include "sidecar/log.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER "jeton"

static int not_root(const struct jt_config *config)
{
	const struct passwd *pw =
		config->user[0] ? getpwnam(config->user) : NULL;

	if (config->user[0] && (!pw || pw->pw_uid != geteuid()))
		jt_log(JT_LOG_WARNING,
		       "`user` is not followed: only root can become somebody "
		       "else, and this is uid %u",
		       (unsigned)geteuid());
	return 0;
}

static int nobody_of_that_name(const struct jt_config *config,
			       struct jt_fault *faultp)
{
	if (config->user[0])
		return jt_fault_set(faultp, 1, 0, 0,
				    "there is no user `%s`; make it, or name "
				    "another with --user",
				    config->user);
	jt_log(JT_LOG_WARNING,
	       "workers stay root, without its rights: there is no user `" USER
	       "`; make it, or name another with --user");
	return 0;
}

static bool is_of(const char *dir, uid_t uid)
{
	struct stat st;

	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid;
}

/* Is the run directory that user's, or was it made so just now? */
static bool has_run(const char *run, const struct passwd *pw)
{
	if (access(run, F_OK) == 0)
		return is_of(run, pw->pw_uid);
	return jt_paths_make(run) == 0 && chmod(run, 0755) == 0 &&
	       lchown(run, pw->pw_uid, pw->pw_gid) == 0;
}

static int become(const struct passwd *pw, struct jt_fault *faultp)
{
	if (initgroups(pw->pw_name, pw->pw_gid) == 0 &&
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == 0 &&
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == 0)
		return 0;
	return jt_fault_set(faultp, -errno, 0, 0,
			    "cannot become user `%s`: %s; start jetond as "
			    "that user, or name another with --user",
			    pw->pw_name, strerror(errno));
}

int jt_user_take(const struct jt_config *config, struct jt_sandbox *box,
		 struct jt_fault *faultp)
{
	const struct jt_paths *paths = &config->paths;
	const struct passwd *pw;

	if (geteuid() != 0)
		return not_root(config);
	pw = getpwnam(config->user[0] ? config->user : USER);
	if (!pw)
		return nobody_of_that_name(config, faultp);
	if (pw->pw_uid == 0)
		return 0; /* as somebody wants it */
	box->drop = true;
	box->uid = pw->pw_uid;
	box->gid = pw->pw_gid;
	if (!is_of(paths->data, pw->pw_uid))
		return 0;
	if (has_run(paths->run, pw))
		return become(pw, faultp);
	jt_log(JT_LOG_WARNING,
	       "the keeper stays root: %s is not of user `%s`; chown it, or "
	       "choose another run directory",
	       paths->run, pw->pw_name);
	return 0;
}
