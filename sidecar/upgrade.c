/*
 * upgrade: see upgrade.h.
 *
 * Until the next one has said SERVING nothing of ours has been given up, so
 * whatever goes wrong before is one line of log. Behind it, the next one's end
 * means that ours goes on alone. It is killed for certain then, and its end
 * waited for, before anybody else is told anything.
 */
#include "sidecar/upgrade.h"

#include "sidecar/log.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define HELLO_NS (30 * NS_PER_S)
#define SERVE_NS (8 * NS_PER_S)	   /* from the estate on: admins wait */
#define LEARN_NS (1800 * NS_PER_S) /* a replay */

void jt_upgrade_init(struct jt_upgrade *u, char **argv)
{
	ssize_t n;

	memset(u, 0, sizeof(*u));
	u->argv = argv;
	u->link = u->way_out = -1;
	n = readlink("/proc/self/exe", u->path, sizeof(u->path) - 1);
	u->path[n > 0 ? n : 0] = '\0';
}

static void drop(int *fdp)
{
	if (*fdp >= 0)
		close(*fdp);
	*fdp = -1;
}

static void fail(struct jt_upgrade *u, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void fail(struct jt_upgrade *u, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(u->why, sizeof(u->why), format, args);
	va_end(args);
	u->n_failed++;
}

/* ---- the next one's first steps ---- */

static _Noreturn void become_next(const struct jt_upgrade *u, int link,
				  const struct jt_service_link *service)
{
	char text[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(text, sizeof(text), "%d", link);
	setenv(JT_HANDOVER_VARIABLE, text, 1);
	jt_service_pass_on(service);
	if (!fcntl(link, F_SETFD, 0))
		execv(u->path, u->argv);
	jt_log(JT_LOG_ERROR, "cannot start %s: %s", u->path, strerror(errno));
	_exit(127);
}

bool jt_upgrade_start(struct jt_upgrade *u,
		      const struct jt_service_link *service, uint64_t now_ns)
{
	int ends[2];

	u->why[0] = u->version[0] = '\0';
	if (access(u->path, X_OK)) {
		fail(u, "cannot start %s: %s; put the new program there",
		     u->path, strerror(errno));
		return false;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
		fail(u, "no sockets to hand over with: %s", strerror(errno));
		return false;
	}
	u->pid = fork();
	if (u->pid == 0)
		become_next(u, ends[1], service);
	close(ends[1]);
	u->link = ends[0];
	if (u->pid < 0) {
		drop(&u->link);
		u->pid = 0;
		fail(u, "cannot start a process: %s", strerror(errno));
		return false;
	}
	u->phase = JT_UPGRADE_STARTS;
	u->now_ns = now_ns;
	u->deadline_ns = now_ns + HELLO_NS;
	u->theirs = u->told = 0;
	jt_log(JT_LOG_NOTICE, "starting %s, process %d, to take over", u->path,
	       (int)u->pid);
	return true;
}

/* ---- what it says ---- */

static enum jt_upgrade_event hear(struct jt_upgrade *u,
				  const struct jt_handover_word *word,
				  const int *fds, unsigned n)
{
	if (word->number > u->theirs)
		u->theirs = word->number;
	if (word->kind == JT_HANDOVER_READY && n == 1 && u->way_out < 0 &&
	    u->phase == JT_UPGRADE_LEARNS) {
		u->way_out = fds[0];
		return JT_UPGRADE_ESTATE;
	}
	jt_handover_close(fds, n);
	if (word->kind == JT_HANDOVER_HELLO && u->phase == JT_UPGRADE_STARTS) {
		snprintf(u->version, sizeof(u->version), "%s", word->text);
		return JT_UPGRADE_OFFER;
	}
	if (word->kind == JT_HANDOVER_SERVING && u->phase == JT_UPGRADE_GIVEN) {
		u->phase = JT_UPGRADE_SERVES;
		u->n_done++;
		return JT_UPGRADE_LEAVE;
	}
	/* before it serves it has nobody to say that for */
	if (u->phase != JT_UPGRADE_SERVES)
		return JT_UPGRADE_GOES_ON;
	return word->kind == JT_HANDOVER_GONE	 ? JT_UPGRADE_STOP
	       : word->kind == JT_HANDOVER_HURRY ? JT_UPGRADE_HURRY
						 : JT_UPGRADE_GOES_ON;
}

static void tell(struct jt_upgrade *u, uint64_t applied)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_APPLIED,
					.number = applied};

	if (u->phase >= JT_UPGRADE_GIVEN && applied != u->told &&
	    !jt_handover_send(u->link, &word, NULL, 0))
		u->told = applied;
}

/* ---- when it does not come to anything ---- */

static void say_end(struct jt_upgrade *u, int status)
{
	if (WIFSIGNALED(status))
		fail(u, "%s was killed by signal %d", u->path,
		     WTERMSIG(status));
	else
		fail(u, "%s ended with status %d; see its lines in the log",
		     u->path, WEXITSTATUS(status));
}

static enum jt_upgrade_event give_up(struct jt_upgrade *u)
{
	drop(&u->link);
	drop(&u->way_out);
	u->phase = JT_UPGRADE_NONE;
	jt_log(JT_LOG_ALERT, "the upgrade failed, and this daemon goes on: %s",
	       u->why);
	return JT_UPGRADE_FAILED;
}

enum jt_upgrade_event jt_upgrade_tend(struct jt_upgrade *u, pid_t child,
				      int status, uint64_t applied,
				      uint64_t now_ns)
{
	enum jt_upgrade_event event = JT_UPGRADE_GOES_ON;
	struct jt_handover_word word;
	int fds[JT_HANDOVER_FDS], rc = 0;
	unsigned n;

	u->now_ns = now_ns;
	if (u->phase == JT_UPGRADE_NONE)
		return JT_UPGRADE_GOES_ON;
	if (!child) {
		u->pid = 0;
		if (!u->why[0])
			say_end(u, status);
		return give_up(u);
	}
	while (event == JT_UPGRADE_GOES_ON && !rc) {
		rc = jt_handover_receive(u->link, &word, fds, &n);
		if (!rc)
			event = hear(u, &word, fds, n);
	}
	if (event != JT_UPGRADE_GOES_ON)
		return event;
	if (rc == -EPIPE && !u->why[0] && u->phase == JT_UPGRADE_SERVES)
		fail(u, "%s is gone", u->path);
	if (u->phase != JT_UPGRADE_SERVES && now_ns >= u->deadline_ns &&
	    !u->why[0])
		fail(u, "%s does not come to serve", u->path);
	if (u->why[0])
		kill(u->pid, SIGKILL); /* its end is seen in a later turn */
	else
		tell(u, applied);
	return JT_UPGRADE_GOES_ON;
}

/* ---- what it is given ---- */

void jt_upgrade_offer(struct jt_upgrade *u, struct jt_handover_word *word,
		      const int fds[JT_DOORS_N], uint32_t passed)
{
	int have[JT_DOORS_N], rc;
	unsigned n = 0;

	word->kind = JT_HANDOVER_OFFER;
	word->passed = passed;
	word->have = 0;
	for (unsigned i = 0; i < JT_DOORS_N; i++) {
		if (fds[i] < 0)
			continue;
		word->have |= 1u << i;
		have[n++] = fds[i];
	}
	rc = jt_handover_send(u->link, word, have, n);
	if (rc)
		fail(u, "the doors cannot be handed over: %s", strerror(-rc));
	u->phase = JT_UPGRADE_LEARNS;
	u->deadline_ns = u->now_ns + LEARN_NS;
}

void jt_upgrade_give(struct jt_upgrade *u, uint64_t applied, int *fds,
		     unsigned n, const char *why_not)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_ESTATE,
					.number = applied};
	int rc = 0;

	if (!why_not)
		rc = jt_handover_send(u->link, &word, fds, n);
	if (why_not || rc)
		fail(u, "the meters cannot be handed over: %s",
		     why_not ? why_not : strerror(-rc));
	jt_handover_close(fds, n);
	u->phase = JT_UPGRADE_GIVEN;
	u->told = applied;
	u->deadline_ns = u->now_ns + SERVE_NS;
}

void jt_upgrade_goodbye(struct jt_upgrade *u, uint64_t applied)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_GONE,
					.number = applied};

	if (u->phase == JT_UPGRADE_SERVES)
		(void)jt_handover_send(u->link, &word, NULL, 0);
}

void jt_upgrade_abort(struct jt_upgrade *u)
{
	if (!u->why[0])
		fail(u, "a revoke that the journal does not take comes first");
}

uint64_t jt_upgrade_theirs(const struct jt_upgrade *u)
{
	return u->phase >= JT_UPGRADE_GIVEN ? u->theirs : UINT64_MAX;
}
