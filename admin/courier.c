/*
 * courier: see courier.h.
 *
 * The text fits into the pipe, so it is written whole before anything waits,
 * whether or not the command ever reads it.
 */
#include "admin/courier.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

static int describe(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr,
		    int in)
{
	sigset_t set;
	int e = posix_spawn_file_actions_adddup2(files, in, STDIN_FILENO);

	if (e == 0)
		e = posix_spawn_file_actions_adddup2(files, STDERR_FILENO,
						     STDOUT_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_addclosefrom_np(files,
							     STDERR_FILENO + 1);
	sigemptyset(&set);
	if (e == 0)
		e = posix_spawnattr_setsigmask(attr, &set);
	sigfillset(&set);
	sigdelset(&set, SIGKILL);
	sigdelset(&set, SIGSTOP);
	if (e == 0)
		e = posix_spawnattr_setsigdefault(attr, &set);
	return e ? e
		 : posix_spawnattr_setflags(attr,
					    POSIX_SPAWN_SETPGROUP |
						    POSIX_SPAWN_SETSIGMASK |
						    POSIX_SPAWN_SETSIGDEF);
}

/* 0 or an errno. */
static int start(const char *command, int in, pid_t *pidp)
{
	char sh[] = "sh", c[] = "-c", *copy = strdup(command);
	char *argv[] = {sh, c, copy, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int e;

	if (!copy)
		return ENOMEM;
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	e = describe(&files, &attr, in);
	if (e == 0)
		e = posix_spawn(pidp, "/bin/sh", &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	free(copy);
	return e;
}

/* A pipe that holds the text; the descriptor to read it from, or -errno. */
static int fill_pipe(const char *text, size_t bytes)
{
	int ends[2], e = 0;

	assert(bytes <= JT_COURIER_TEXT);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	if (write(ends[1], text, bytes) != (ssize_t)bytes)
		e = -EIO;
	close(ends[1]);
	if (e)
		close(ends[0]);
	return e ? e : ends[0];
}

/* Wait, kill what takes too long, take its status: 0 or an errno. */
static int await(pid_t pid, int timeout_ms, int *statusp)
{
	struct pollfd fd = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int n, e = 0;

	/* our signals are ignored or end us: an EINTR may start the time anew
	 */
	do
		n = fd.fd < 0 ? -1 : poll(&fd, 1, timeout_ms);
	while (n < 0 && fd.fd >= 0 && errno == EINTR);
	if (n <= 0) {
		e = n < 0 ? errno : ETIMEDOUT;
		kill(-pid, SIGKILL);
	}
	if (fd.fd >= 0)
		close(fd.fd);
	while (waitpid(pid, statusp, 0) < 0 && errno == EINTR)
		continue;
	return e;
}

static bool judge(int e, int status, int timeout_ms, char *why)
{
	if (e == ETIMEDOUT)
		snprintf(why, JT_WHY_MAX, "had not ended after %d s",
			 timeout_ms / 1000);
	else if (e)
		snprintf(why, JT_WHY_MAX, "cannot be waited for: %s",
			 strerrordesc_np(e));
	else if (WIFSIGNALED(status))
		snprintf(why, JT_WHY_MAX, "was ended by signal %d",
			 WTERMSIG(status));
	else if (WEXITSTATUS(status))
		snprintf(why, JT_WHY_MAX, "ended with %d", WEXITSTATUS(status));
	else
		return true;
	return false;
}

bool jt_courier_give(const char *command, const char *text, size_t bytes,
		     int timeout_ms, char why[JT_WHY_MAX])
{
	int in = fill_pipe(text, bytes), status = 0, e;
	pid_t pid;

	e = in < 0 ? -in : start(command, in, &pid);
	if (in >= 0)
		close(in);
	if (e) {
		snprintf(why, JT_WHY_MAX, "cannot be started: %s",
			 strerrordesc_np(e));
		return false;
	}
	e = await(pid, timeout_ms, &status);
	return judge(e, status, timeout_ms, why);
}
