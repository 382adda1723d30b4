/*
 * sandbox: see sandbox.h; system calls: sandbox_calls.c; files:
 * sandbox_files.c.
 *
 * Order. The user first: afterwards the kernel has taken back who may trace
 * us and that we die with our parent, so both are said again and the parent is
 * looked at again. Landlock before seccomp, which forbids to ask for more.
 *
 * Who becomes whom, when root started it: workers, which write no file, the
 * user that was named; scribe and clerk, which write in the data directory
 * alone, its owner, so that they need no right to do so, nor to give files
 * away. The keeper is that user from its start on (user.c), or stays root.
 *
 * Upgrades: a keeper that was started by a keeper is inside its sandbox
 * already, and would add a layer a time, of which a kernel takes sixteen. So
 * who finds itself inside leaves it at that: the keeper's filter answers a call
 * that makes no sense with an error that no kernel gives (sandbox_calls.c).
 */
#include "sidecar/sandbox.h"

#include "sidecar/log.h"
#include "sidecar/sandbox_mark.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[] = {"no-new-privs", "no-rights", "no-dump",
				    "no-core",	    "landlock",	 "seccomp"};
#define N_NAMES (sizeof(names) / sizeof(names[0]))
_Static_assert(JT_LAYERS_ALL == (1u << N_NAMES) - 1, "a name for each");

void jt_sandbox_words(unsigned layers, char text[JT_LAYERS_TEXT])
{
	size_t at = 0;

	strcpy(text, "none");
	for (unsigned i = 0; i < N_NAMES; i++)
		if (layers & 1u << i)
			at += (size_t)snprintf(text + at, JT_LAYERS_TEXT - at,
					       "%s%s", at ? " " : "", names[i]);
}

void jt_sandbox_hide(const struct jt_sandbox *box)
{
	const struct rlimit none = {0, 0};

	if (box->insecure)
		return;
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

/* ---- rights ---- */

static bool has_rights(void)
{
	struct __user_cap_header_struct who = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0}, have[2] = {0};

	return syscall(SYS_capget, &who, have) != 0 ||
	       memcmp(have, none, sizeof(none)) != 0;
}

/*
 * A worker of root would still be root: it could write into the keeper's memory
 * whatever the seals say. With nothing to give up it need not be allowed, as in
 * a service whose unit forbids capset(2).
 */
static void give_up_rights(void)
{
	struct __user_cap_header_struct who = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (has_rights() && syscall(SYS_capset, &who, none))
		jt_log(JT_LOG_WARNING, "cannot give up capabilities: %s",
		       strerror(errno));
}

/* The user's own group alone: a worker has no need of any other. */
static int become(uid_t uid, gid_t gid, pid_t keeper)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(1); /* it died before we could say that again */
	return 0;
}

/* False: it stays who it is, and nobody else is in between. */
static bool whom(const struct jt_sandbox *box, enum jt_sandbox_kind kind,
		 uid_t *uidp, gid_t *gidp)
{
	struct stat st;

	if (geteuid() != 0 || kind == JT_SANDBOX_KEEPER)
		return false;
	*uidp = box->uid;
	*gidp = box->gid;
	if (kind == JT_SANDBOX_WORKER || kind == JT_SANDBOX_HTTP)
		return box->drop;
	if (stat(box->data, &st) || st.st_uid == 0)
		return false;
	*uidp = st.st_uid;
	*gidp = st.st_gid;
	return true;
}

static void be_nobody_special(const struct jt_sandbox *box,
			      enum jt_sandbox_kind kind)
{
	uid_t uid;
	gid_t gid;
	int rc;

	if (whom(box, kind, &uid, &gid)) {
		rc = become(uid, gid, box->keeper);
		if (rc)
			jt_log(JT_LOG_WARNING,
			       "cannot become user %u: %s; it stays root",
			       (unsigned)uid, strerror(-rc));
	}
	/* the keeper forks those who become somebody else, and signals them */
	if (kind != JT_SANDBOX_KEEPER)
		give_up_rights();
}

/* ---- what is so ---- */

static unsigned look(void)
{
	struct rlimit core = {.rlim_max = RLIM_INFINITY};
	unsigned layers = 0;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		layers |= JT_LAYER_NO_NEW_PRIVS;
	if (prctl(PR_GET_DUMPABLE) == 0)
		layers |= JT_LAYER_NO_DUMP;
	if (!has_rights())
		layers |= JT_LAYER_NO_RIGHTS;
	if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0)
		layers |= JT_LAYER_NO_CORE;
	return layers;
}

static const char *const kinds[JT_SANDBOX_KINDS] = {
	"the keeper", "a worker", "an HTTP worker", "the scribe", "the clerk"};

static void tell(enum jt_sandbox_kind kind, unsigned missing, int files,
		 int calls)
{
	char text[JT_LAYERS_TEXT];

	jt_sandbox_words(missing, text);
	jt_log(JT_LOG_WARNING,
	       "%s goes on without: %s (Landlock: %s; seccomp: %s); a newer "
	       "kernel, or a container that allows them, would have them",
	       kinds[kind], text, files ? strerror(-files) : "there",
	       calls ? strerror(-calls) : "there");
}

unsigned jt_sandbox_enter(const struct jt_sandbox *box,
			  enum jt_sandbox_kind kind)
{
	unsigned layers, missing;
	int files = -ECANCELED, calls = -ECANCELED;
	bool inside = kind == JT_SANDBOX_KEEPER && jt_sandbox_is_inside();

	if (!box) {
		give_up_rights();
		return look();
	}
	be_nobody_special(box, kind);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (box->insecure)
		return look();
	jt_sandbox_hide(box); /* a change of user has taken that back */
	files = inside ? jt_sandbox_files_there() : jt_sandbox_files(box, kind);
	/* afterwards it could not ask any more */
	layers = look() | (files ? 0 : JT_LAYER_LANDLOCK);
	calls = inside ? 0 : jt_sandbox_calls(box, kind);
	layers |= calls ? 0 : JT_LAYER_SECCOMP;
	missing = JT_LAYERS_ALL & ~layers;
	/* root who keeps a journal of root's is told so by user.c */
	if (kind == JT_SANDBOX_KEEPER)
		missing &= ~JT_LAYER_NO_RIGHTS;
	else
		missing &= box->layers | JT_LAYER_NO_RIGHTS;
	if (missing)
		tell(kind, missing, files, calls);
	return layers;
}
