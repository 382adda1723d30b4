/*
 * trial: see trial.h.
 *
 * A child makes a ring as large as a worker's, says with its exit status how
 * that went, and is gone: the keeper itself, which forks, never has a ring. A
 * child that cannot tell (no process, killed) shows nothing, and workers then
 * say for themselves what they miss.
 */
#include "sidecar/trial.h"

#include "sidecar/log.h"
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* 0, or the negative errno of who could not have a ring. */
static int try_ring(const struct jt_loop_size *size)
{
	struct jt_loop loop;
	int status, rc;
	pid_t pid = fork();

	if (pid < 0)
		return 0;
	if (pid == 0) {
		rc = jt_loop_init(&loop, JT_BACKEND_URING, size);
		_exit(-rc & 0xff); /* all of them are less than 134 */
	}
	do
		rc = waitpid(pid, &status, 0);
	while (rc < 0 && errno == EINTR);
	return rc == pid && WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
}

enum jt_backend jt_trial_choose(enum jt_backend wanted,
				const struct jt_loop_size *size)
{
	int rc;

	if (wanted != JT_BACKEND_AUTO)
		return wanted;
	rc = try_ring(size);
	if (!jt_loop_is_refused(rc))
		return JT_BACKEND_URING;
	jt_log(JT_LOG_NOTICE,
	       "serving through epoll, which is slower, because %s",
	       jt_loop_why(rc));
	return JT_BACKEND_EPOLL;
}
